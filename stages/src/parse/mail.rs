//! Mail (RFC 5322, MIME): its parts, decoded, however deep, without copying what needs no decoding.
//!
//! Header fields are read by `mail-parser`, with RFC 2047 and 2231. The body is walked here, because a mail
//! may be hostile: nesting is bounded, and no part is decoded as a character set before its kind is known.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Message, MessageParser, MimeHeaders};

/// How much of a part is looked through for the end of its header. Bytes.
const HEADER_MAX: usize = 1 << 20;

/// Fields of which every mail has at least one.
const FIELDS: &[&str] = &[
    "from",
    "to",
    "subject",
    "date",
    "received",
    "return-path",
    "delivered-to",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "x-original-to",
    "dkim-signature",
    "authentication-results",
];

/// A part's header, as far as it decides what becomes of the body.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Media type, lower case: `multipart/mixed`.
    pub(super) media: String,
    /// The boundary of a multipart.
    pub(super) boundary: Option<String>,
    /// The name that the part is to be saved under.
    pub(super) name: Option<String>,
    /// The transfer encoding, lower case.
    encoding: String,
}

/// A part: its header and its body as it stands.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Header and body.
    pub(super) whole: &'a [u8],
    pub(super) header: Header,
    pub(super) body: &'a [u8],
}

/// Whether bytes begin with the header of a mail.
pub(super) fn is_mail(bytes: &[u8]) -> bool {
    let head = &bytes[..header_end(bytes).0];
    let mut known = false;
    for (n, line) in head.split(|&b| b == b'\n').enumerate() {
        match field_name(line) {
            Some(name) => known |= FIELDS.iter().any(|f| f.as_bytes().eq_ignore_ascii_case(name)),
            None if n == 0 => return false,
            None if line.iter().all(u8::is_ascii_whitespace)
                || line.starts_with(b" ")
                || line.starts_with(b"\t") => {}
            // mbox separators inside headers, and nothing else, are let pass.
            None if line.starts_with(b">From ") => {}
            None => return false,
        }
    }
    known
}

fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(|&b| b.is_ascii_graphic())).then_some(name)
}

/// Where the header ends and where the body begins.
fn header_end(bytes: &[u8]) -> (usize, usize) {
    if bytes.starts_with(b"\n") {
        return (0, 1);
    }
    if bytes.starts_with(b"\r\n") {
        return (0, 2);
    }
    let head = &bytes[..bytes.len().min(HEADER_MAX)];
    for newline in memchr::memchr_iter(b'\n', head) {
        match &bytes[newline + 1..] {
            [b'\n', ..] => return (newline + 1, newline + 2),
            [b'\r', b'\n', ..] => return (newline + 1, newline + 3),
            _ => {}
        }
    }
    (head.len(), head.len())
}

impl<'a> Part<'a> {
    /// Reads a part's header.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let (end, body) = header_end(bytes);
        let header = MessageParser::default().parse_headers(&bytes[..end]);
        Self {
            whole: bytes,
            header: header.map(|m| Header::of(&m)).unwrap_or_default(),
            body: &bytes[body..],
        }
    }

    /// The parts of a multipart.
    pub(super) fn children(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let boundary = format!("--{}", self.header.boundary.as_deref().unwrap_or_default());
        Children { rest: self.body, boundary: boundary.into_bytes(), started: false }.map(Part::read)
    }

    /// The body without its transfer encoding; and the encoding, where it was not what the header says.
    pub(super) fn decoded(&self) -> (Cow<'a, [u8]>, Option<&str>) {
        let mismatch = Some(self.header.encoding.as_str());
        match self.header.encoding.as_str() {
            // What begins as markup or as an archive does was never encoded.
            "base64" if looks_plain(self.body) => (Cow::Borrowed(self.body), mismatch),
            "base64" => match base64_decode(self.body) {
                Some(bytes) => (Cow::Owned(bytes), None),
                None => (Cow::Owned(base64_tolerant(self.body)), mismatch),
            },
            "quoted-printable" => match quoted_printable_decode(self.body) {
                Some(bytes) => (Cow::Owned(bytes), None),
                None => (Cow::Borrowed(self.body), mismatch),
            },
            // An archive in base64 without the header that says so.
            _ if [b"H4sI".as_slice(), b"UEsD"]
                .iter()
                .any(|m| self.body.trim_ascii_start().starts_with(m)) =>
            {
                (Cow::Owned(base64_tolerant(self.body)), mismatch)
            }
            _ => (Cow::Borrowed(self.body), None),
        }
    }
}

impl Header {
    fn of(message: &Message<'_>) -> Self {
        let lower = |text: Option<&str>| text.unwrap_or_default().trim().to_ascii_lowercase();
        let kind = message.content_type();
        let media = kind.map(|k| match k.subtype() {
            Some(subtype) => format!("{}/{subtype}", k.ctype()).to_ascii_lowercase(),
            None => k.ctype().to_ascii_lowercase(),
        });
        Self {
            media: media.unwrap_or_default(),
            boundary: kind.and_then(|k| k.attribute("boundary")).filter(|b| !b.is_empty()).map(str::to_owned),
            name: message.attachment_name().map(str::to_owned),
            encoding: lower(message.content_transfer_encoding()),
        }
    }

    /// Whether the body is made of parts.
    pub(super) fn is_multipart(&self) -> bool {
        self.media.starts_with("multipart/") && self.boundary.is_some()
    }

    /// Whether the standard allows the transfer encoding on a part of this type (RFC 2046 §5.2).
    pub(super) fn encoding_is_legal(&self) -> bool {
        !self.media.starts_with("message/")
            || matches!(self.encoding.as_str(), "" | "7bit" | "8bit" | "binary")
    }

    pub(super) fn encoding(&self) -> &str {
        &self.encoding
    }
}

fn looks_plain(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    body.starts_with(b"<") || body.starts_with(super::gzip::MAGIC) || body.starts_with(b"PK\x03\x04")
}

/// The bodies between the boundary lines of a multipart.
struct Children<'a> {
    rest: &'a [u8],
    boundary: Vec<u8>,
    started: bool,
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if !self.started {
            self.started = true;
            // What stands before the first boundary is no part.
            self.take_until_boundary()?;
        }
        if self.rest.is_empty() {
            return None;
        }
        self.take_until_boundary()
    }
}

impl<'a> Children<'a> {
    /// The bytes before the next boundary line; moves behind that line, or to the end after the last.
    fn take_until_boundary(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest;
        for at in memchr::memmem::find_iter(bytes, &self.boundary) {
            let behind = &bytes[at + self.boundary.len()..];
            let line_begins = at == 0 || bytes[at - 1] == b'\n';
            let last = behind.starts_with(b"--");
            let line = &behind[..memchr::memchr(b'\n', behind).unwrap_or(behind.len())];
            // Another boundary may begin with this one: only blanks may follow it on its line.
            if !line_begins || !(last || line.trim_ascii().is_empty()) {
                continue;
            }
            self.rest = if last { &[] } else { behind.get(line.len() + 1..).unwrap_or_default() };
            let part = &bytes[..at];
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            return Some(part.strip_suffix(b"\r").unwrap_or(part));
        }
        // No further boundary: the mail was cut off, or has none at all.
        self.rest = &[];
        Some(bytes)
    }
}

/// Base64 as far as it goes: other characters are passed over, padding ends it.
fn base64_tolerant(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for &b in body {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_told_by_its_header_lines() {
        assert!(is_mail(b"Received: from a\r\n\tby b\r\nSubject: x\r\n\r\nbody"));
        assert!(is_mail(b"From: a@b\n"));
        assert!(!is_mail(b"note: this is text\nand more\n"));
        assert!(!is_mail(b"<feedback><report_id>a:b</report_id></feedback>"));
        assert!(!is_mail(b""));
    }

    #[test]
    fn parts_are_split_at_whole_boundary_lines() {
        let mail = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--bb\r\n\
                    --b \r\nContent-Type: text/plain; name*=utf-8''%C3%A4.xml\r\n\r\ntwo\r\n--b--\r\nepilogue";
        let parts: Vec<_> = Part::read(mail.as_bytes()).children().collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].body, b"one\r\n--bb");
        assert_eq!(parts[1].body, b"two");
        assert_eq!(parts[1].header.name.as_deref(), Some("ä.xml"));
    }

    #[test]
    fn a_cut_multipart_keeps_its_last_part() {
        let mail = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo";
        let bodies: Vec<_> = Part::read(mail.as_bytes()).children().map(|p| p.body).collect();
        assert_eq!(bodies, [b"one", b"two"]);
    }

    #[test]
    fn transfer_encodings_are_undone_even_where_they_lie() {
        let part = |encoding: &str, body: &'static str| {
            let head = Header { encoding: encoding.to_owned(), ..Header::default() };
            let part = Part { whole: &[], header: head, body: body.as_bytes() };
            let (bytes, mismatch) = part.decoded();
            (String::from_utf8(bytes.into_owned()).unwrap(), mismatch.is_some())
        };
        assert_eq!(part("base64", "aGVs\r\nbG8="), ("hello".to_owned(), false));
        assert_eq!(part("base64", "aGVs\r\nbG8*="), ("hello".to_owned(), true));
        assert_eq!(part("base64", "<a/>"), ("<a/>".to_owned(), true));
        assert_eq!(part("quoted-printable", "a=3Db=\r\nc"), ("a=bc".to_owned(), false));
        assert_eq!(part("quoted-printable", "a=b=zz"), ("a=b=zz".to_owned(), true));
        assert_eq!(part("7bit", "plain"), ("plain".to_owned(), false));
    }
}
