//! A tolerant pull scanner over borrowed text: tags and leaf texts, mended where what is meant is plain.
//!
//! Not a general XML reader: it knows no namespaces (prefixes are dropped), refuses document types, skips
//! attributes, and reads what reporters wrongly write (see [`super::repairs`]). Every byte is looked at a
//! bounded number of times, and nesting is bounded, so that time and memory are linear in the text.

use std::borrow::Cow;

use super::Limits;
use super::failure::reason;
use super::names;
use super::repairs::{Repairs, kind};
use super::words;

/// Why the text cannot be read on.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) reason: &'static str,
    /// Where, in bytes from the text's beginning.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: String,
}

/// What reading the text gives, or why it is no report.
pub(super) type Result<T> = std::result::Result<T, Broken>;

/// A start tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    /// The name as it stands.
    pub(super) raw: &'a str,
    /// The name without prefix, in the standard's letter case.
    pub(super) name: &'a str,
    /// Where the tag begins.
    pub(super) at: usize,
    /// Whether the tag closes itself.
    pub(super) empty: bool,
}

/// The scanner.
#[derive(Debug)]
pub(super) struct Scanner<'a, 'r> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
    pub(super) limits: &'r Limits,
    pub(super) repairs: &'r mut Repairs,
    /// Text that stood between elements, where the caller asks for it.
    pub(super) stray: Option<&'a str>,
}

const UPPER: u8 = 2;
const COLON: u8 = 4;
/// What the bytes of a name are: 0 for those that no name has.
static CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut b = 0;
    while b < 256 {
        class[b] = match b as u8 {
            b'a'..=b'z' | b'_' | b'0'..=b'9' | b'-' | b'.' | 0x80..=0xff => 1,
            b'A'..=b'Z' => 1 | UPPER,
            b':' => 1 | COLON,
            _ => 0,
        };
        b += 1;
    }
    class
};

impl<'a, 'r> Scanner<'a, 'r> {
    pub(super) fn new(text: &'a str, pos: usize, limits: &'r Limits, repairs: &'r mut Repairs) -> Self {
        Self { text, bytes: text.as_bytes(), pos, limits, repairs, stray: None }
    }

    /// The next child of an element, none when its end tag was read.
    #[inline]
    pub(super) fn child(&mut self, parent: Tag<'a>, place: &'static str) -> Result<Option<Tag<'a>>> {
        if parent.empty {
            return Ok(None);
        }
        loop {
            let at = words::skip_blanks(self.bytes, self.pos);
            self.pos = at;
            match self.bytes.get(at..) {
                Some([b'<', b'/', ..]) => {
                    if self.closes(at, parent.raw) {
                        return Ok(None);
                    }
                    self.stray_end(at, parent.raw, place)?;
                }
                Some([b'<', b'!' | b'?', ..]) => self.markup(at, place)?,
                Some([b'<', b, ..]) if begins_name(*b) => match self.start_tag(at)? {
                    Some(tag) if is_schema(tag.raw) => self.repairs.add(kind::SCHEMA_TAG, place, None),
                    Some(tag) => return Ok(Some(tag)),
                    None => self.stray_text(at, place),
                },
                None | Some([]) => return Err(self.truncated(parent)),
                Some(_) => self.stray_text(at, place),
            }
        }
    }

    /// The text of an element without child elements, without surrounding blanks.
    #[inline]
    pub(super) fn leaf(&mut self, tag: Tag<'a>, place: &'static str) -> Result<Cow<'a, str>> {
        if tag.empty {
            return Ok(Cow::Borrowed(""));
        }
        let from = self.pos;
        if let Some(n) = memchr::memchr2(b'<', b'&', &self.bytes[from..])
            && self.closes(from + n, tag.raw)
        {
            let text = trim(&self.text[from..from + n]);
            if text.len() > self.limits.field_bytes {
                return Err(self.field_too_long(tag));
            }
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        self.content(tag, place, Some(&mut text))?;
        let trimmed = trim(&text);
        match trimmed.len() {
            n if n > self.limits.field_bytes => Err(self.field_too_long(tag)),
            n if n == text.len() => Ok(Cow::Owned(text)),
            _ => Ok(Cow::Owned(trimmed.to_owned())),
        }
    }

    /// Passes over an element with all that is in it.
    pub(super) fn skip(&mut self, tag: Tag<'a>, place: &'static str) -> Result<()> {
        self.content(tag, place, None)
    }

    /// The XML of an element, tags included.
    pub(super) fn outer(&mut self, tag: Tag<'a>, place: &'static str) -> Result<&'a str> {
        self.content(tag, place, None)?;
        Ok(&self.text[tag.at..self.pos])
    }

    /// Whether the end tag of `raw` stands at `at`; if so, moves behind it.
    #[inline]
    fn closes(&mut self, at: usize, raw: &str) -> bool {
        let name = at + 2;
        let end = name + raw.len();
        if !self.bytes[at..].starts_with(b"</") || !words::stands_at(self.bytes, name, raw.as_bytes()) {
            return false;
        }
        if self.bytes.get(end) == Some(&b'>') {
            self.pos = end + 1;
            return true;
        }
        self.closes_after_blanks(end)
    }

    #[cold]
    fn closes_after_blanks(&mut self, end: usize) -> bool {
        let blanks = self.bytes[end..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let closes = self.bytes.get(end + blanks) == Some(&b'>');
        if closes {
            self.pos = end + blanks + 1;
        }
        closes
    }

    /// The start tag at `at`, or none where the `<` is text.
    #[inline]
    pub(super) fn start_tag(&mut self, at: usize) -> Result<Option<Tag<'a>>> {
        let end = words::skip_name(self.bytes, at + 1);
        if self.bytes.get(end) == Some(&b'>') {
            let raw = &self.text[at + 1..end];
            self.pos = end + 1;
            return Ok(Some(Tag { raw, name: raw, at, empty: false }));
        }
        self.other_start_tag(at, end)
    }

    /// A start tag with an unusual name or with attributes; `end` is as far as the name is usual.
    fn other_start_tag(&mut self, at: usize, mut end: usize) -> Result<Option<Tag<'a>>> {
        let mut seen = 0;
        while let Some(b) = self.bytes.get(end)
            && CLASS[*b as usize] != 0
        {
            seen |= CLASS[*b as usize];
            end += 1;
        }
        let raw = &self.text[at + 1..end];
        let name = if seen & (UPPER | COLON) == 0 { raw } else { self.plain_name(raw, seen) };
        if self.bytes.get(end) == Some(&b'>') {
            self.pos = end + 1;
            return Ok(Some(Tag { raw, name, at, empty: false }));
        }
        self.start_tag_with_attributes(at, end, raw, name)
    }

    fn plain_name(&mut self, raw: &'a str, seen: u8) -> &'a str {
        let local = if seen & COLON == 0 { raw } else { raw.rsplit(':').next().unwrap_or(raw) };
        if seen & UPPER == 0 {
            return local;
        }
        let Some((name, place)) = names::in_any_case(local) else { return local };
        self.repairs.add(kind::NAME_CASE, place, Some(raw));
        name
    }

    fn start_tag_with_attributes(
        &mut self,
        at: usize,
        end: usize,
        raw: &'a str,
        name: &'a str,
    ) -> Result<Option<Tag<'a>>> {
        let mut quote = None;
        let mut last = 0;
        match self.bytes.get(end) {
            Some(b) if b.is_ascii_whitespace() || *b == b'/' => {}
            Some(_) => return Ok(None),
            None => return Err(self.cut_tag(at)),
        }
        for (n, &b) in self.bytes[end..].iter().enumerate() {
            match (b, quote) {
                // No attribute value may hold this: it was no tag.
                (b'<', _) => return Ok(None),
                (b'"' | b'\'', None) => quote = Some(b),
                (b, Some(q)) if b == q => quote = None,
                (b'>', None) => {
                    self.pos = end + n + 1;
                    return Ok(Some(Tag { raw, name, at, empty: last == b'/' }));
                }
                _ => {}
            }
            last = b;
        }
        Err(self.cut_tag(at))
    }

    /// A comment, CDATA section or processing instruction between elements.
    fn markup(&mut self, at: usize, place: &'static str) -> Result<()> {
        let from = self.pos;
        if let Some(end) = self.markup_end(at)? {
            if self.bytes[at..].starts_with(CDATA) {
                self.note_stray(&self.text[at + CDATA.len()..end - 3], place);
            }
            self.pos = end;
        } else {
            self.pos = from;
            self.stray_text(at, place);
        }
        Ok(())
    }

    /// Where the comment, CDATA section or processing instruction at `at` ends; none where it is neither.
    pub(super) fn markup_end(&self, at: usize) -> Result<Option<usize>> {
        let rest = &self.bytes[at..];
        let close: &[u8] = if rest.starts_with(b"<!--") {
            b"-->"
        } else if rest.starts_with(CDATA) {
            b"]]>"
        } else if rest.starts_with(b"<?") {
            b"?>"
        } else if is_doctype(rest) {
            return Err(self.doctype(at));
        } else {
            return Ok(None);
        };
        let from = if close == b"-->" { 4 } else { 2 };
        match memchr::memmem::find(rest.get(from..).unwrap_or_default(), close) {
            Some(n) => Ok(Some(at + from + n + close.len())),
            None => Err(self.cut_tag(at)),
        }
    }

    /// Text between elements: up to the next tag.
    #[cold]
    fn stray_text(&mut self, at: usize, place: &'static str) {
        let from = at + 1;
        let end = memchr::memchr(b'<', &self.bytes[from.min(self.bytes.len())..])
            .map_or(self.bytes.len(), |n| from + n);
        self.note_stray(&self.text[at..end], place);
        self.pos = end;
    }

    fn note_stray(&mut self, text: &'a str, place: &'static str) {
        let text = trim(text);
        if !text.is_empty() {
            self.repairs.add(kind::STRAY_TEXT, place, Some(text));
            self.stray = Some(text);
        }
    }

    /// An end tag that does not close the open element.
    #[cold]
    fn stray_end(&mut self, at: usize, open: &str, place: &'static str) -> Result<()> {
        match self.end_tag(at) {
            Some((name, end)) if is_schema(name) => {
                self.repairs.add(kind::SCHEMA_TAG, place, None);
                self.pos = end;
                Ok(())
            }
            Some((name, _)) => Err(self.not_nested(at, name, open)),
            None if self.is_last_markup(at) => Err(self.cut_tag(at)),
            None => {
                self.stray_text(at, place);
                Ok(())
            }
        }
    }

    /// Whether the markup that begins at `at` neither ends nor is followed by other markup.
    pub(super) fn is_last_markup(&self, at: usize) -> bool {
        memchr::memchr2(b'<', b'>', &self.bytes[at + 1..]).is_none()
    }

    /// The name of the end tag at `at` and where the tag ends.
    pub(super) fn end_tag(&self, at: usize) -> Option<(&'a str, usize)> {
        let from = at + 2;
        let name = self.bytes.get(from..)?.iter().take_while(|b| CLASS[**b as usize] != 0).count();
        let behind = &self.bytes[from + name..];
        let blanks = behind.iter().take_while(|b| b.is_ascii_whitespace()).count();
        (name > 0 && behind.get(blanks) == Some(&b'>'))
            .then(|| (&self.text[from..from + name], from + name + blanks + 1))
    }

    fn broken(&self, reason: &'static str, at: usize, what: String) -> Broken {
        Broken { reason, at, what }
    }

    #[cold]
    pub(super) fn truncated(&self, open: Tag<'_>) -> Broken {
        self.broken(
            reason::TRUNCATED,
            self.bytes.len(),
            format!("the text ends inside of <{}>", short(open.raw)),
        )
    }

    #[cold]
    pub(super) fn cut_tag(&self, at: usize) -> Broken {
        self.broken(reason::TRUNCATED, at, "the text ends inside of the markup that begins here".to_owned())
    }

    #[cold]
    pub(super) fn not_nested(&self, at: usize, end: &str, open: &str) -> Broken {
        self.broken(
            reason::NOT_NESTED,
            at,
            format!("</{}> stands where <{}> is open", short(end), short(open)),
        )
    }

    #[cold]
    pub(super) fn doctype(&self, at: usize) -> Broken {
        self.broken(
            reason::DOCTYPE,
            at,
            "a document type is declared, which reports must not have".to_owned(),
        )
    }

    #[cold]
    pub(super) fn too_deep(&self, at: usize) -> Broken {
        let depth = self.limits.xml_depth;
        self.broken(reason::LIMIT_XML_DEPTH, at, format!("elements nest deeper than {depth} (`xml_depth`)"))
    }

    #[cold]
    pub(super) fn field_too_long(&self, tag: Tag<'_>) -> Broken {
        let (bound, name) = (self.limits.field_bytes, short(tag.raw));
        self.broken(
            reason::LIMIT_FIELD,
            tag.at,
            format!("<{name}> holds more than {bound} bytes of text (`field_bytes`)"),
        )
    }
}

pub(super) const CDATA: &[u8] = b"<![CDATA[";

/// Whether a document type begins here.
pub(super) fn is_doctype(bytes: &[u8]) -> bool {
    bytes.get(..9).is_some_and(|b| b.eq_ignore_ascii_case(b"<!DOCTYPE"))
}

/// A schema's tag, which some reporters leave in their reports.
pub(super) fn is_schema(raw: &str) -> bool {
    matches!(raw, "xs:schema" | "xsd:schema")
}

#[inline]
pub(super) fn begins_name(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b == b':' || b >= 0x80
}

/// Without blanks around it.
#[inline]
pub(super) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if *first > b' ' && *last > b' ' && *first < 0x80 && *last < 0x80 => text,
        _ => text.trim(),
    }
}

/// A name as error messages show it.
fn short(name: &str) -> &str {
    super::repairs::cut(name, 60)
}
