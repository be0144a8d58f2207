//! What stands between an element's tags, where it is more than plain text: references, CDATA, child elements,
//! and markup that was meant as text.

use super::names;
use super::repairs::kind;
use super::xml::{CDATA, Result, Scanner, Tag, begins_name, is_schema};

impl<'a> Scanner<'a, '_> {
    /// Reads to the end tag of `tag`. The text goes to `out`, without that of child elements. A start tag that
    /// nothing closes is text, unless it has one of the standard's names: then something was lost.
    pub(super) fn content(
        &mut self,
        tag: Tag<'a>,
        place: &'static str,
        mut out: Option<&mut String>,
    ) -> Result<()> {
        if tag.empty {
            return Ok(());
        }
        let mut open: Vec<(&'a str, usize)> = Vec::new();
        loop {
            let from = self.pos;
            let Some(n) = memchr::memchr2(b'<', b'&', &self.bytes[from..]) else {
                return Err(self.truncated(tag));
            };
            let at = from + n;
            self.append(&mut out, &self.text[from..at], tag)?;
            self.pos = at;
            match &self.bytes[at..] {
                [b'&', ..] => self.reference(at, place, tag, &mut out)?,
                [b'<', b'/', ..] => {
                    if self.close_in_content(at, tag, place, &mut open, &mut out)? {
                        return Ok(());
                    }
                }
                [b'<', b'!' | b'?', ..] => match self.markup_end(at)? {
                    Some(end) => {
                        if self.bytes[at..].starts_with(CDATA) {
                            self.append(&mut out, &self.text[at + CDATA.len()..end - 3], tag)?;
                        }
                        self.pos = end;
                    }
                    None => self.unescaped(place, tag, &mut out)?,
                },
                [b'<', b, ..] if begins_name(*b) => match self.start_tag(at)? {
                    Some(child) if child.empty || is_schema(child.raw) => {}
                    Some(child) => {
                        if open.len() >= self.limits.xml_depth {
                            return Err(self.too_deep(at));
                        }
                        open.push((child.raw, out.as_ref().map_or(0, |o| o.len())));
                        self.append(&mut out, &self.text[at..self.pos], tag)?;
                    }
                    None => self.unescaped(place, tag, &mut out)?,
                },
                _ => self.unescaped(place, tag, &mut out)?,
            }
        }
    }

    /// An end tag inside of `tag`; whether it is that of `tag` itself.
    fn close_in_content(
        &mut self,
        at: usize,
        tag: Tag<'a>,
        place: &'static str,
        open: &mut Vec<(&'a str, usize)>,
        out: &mut Option<&mut String>,
    ) -> Result<bool> {
        let Some((name, end)) = self.end_tag(at) else {
            if self.is_last_markup(at) {
                return Err(self.cut_tag(at));
            }
            self.unescaped(place, tag, out)?;
            return Ok(false);
        };
        self.pos = end;
        let opened = open.iter().rposition(|(open, _)| *open == name);
        if opened.is_none() && is_schema(name) {
            return Ok(false);
        }
        if opened.is_none() && name != tag.raw {
            return Err(self.not_nested(at, name, open.last().map_or(tag.raw, |(open, _)| open)));
        }
        let unclosed = opened.map_or(0, |n| n + 1);
        for (name, _) in open.drain(unclosed..) {
            if names::is_standard(name) {
                return Err(self.not_nested(at, tag.raw, name));
            }
            self.repairs.add(kind::UNESCAPED_LT, place, Some(name));
        }
        if let Some((_, len)) = opened.and_then(|_| open.pop())
            && let Some(out) = out
        {
            out.truncate(len);
        }
        Ok(opened.is_none())
    }

    /// A `<` that is text.
    fn unescaped(&mut self, place: &'static str, tag: Tag<'a>, out: &mut Option<&mut String>) -> Result<()> {
        if out.is_some() {
            let rest = &self.text[self.pos..];
            let piece = &rest[..rest.floor_char_boundary(20)];
            self.repairs.add(kind::UNESCAPED_LT, place, Some(piece));
        }
        self.pos += 1;
        self.append(out, "<", tag)
    }

    fn append(&self, out: &mut Option<&mut String>, text: &str, tag: Tag<'a>) -> Result<()> {
        if let Some(out) = out {
            // Blanks around the text do not count, so twice the bound is room for them.
            if out.len() + text.len() > 2 * self.limits.field_bytes {
                return Err(self.field_too_long(tag));
            }
            out.push_str(text);
        }
        Ok(())
    }

    /// An `&`: one of the five entities, a character number, or text.
    fn reference(
        &mut self,
        at: usize,
        place: &'static str,
        tag: Tag<'a>,
        out: &mut Option<&mut String>,
    ) -> Result<()> {
        let window = &self.bytes[at + 1..self.bytes.len().min(at + 34)];
        let name = memchr::memchr(b';', window).and_then(|n| std::str::from_utf8(&window[..n]).ok());
        let (repair, original) = match name {
            Some(name) => match entity(name) {
                Some(c) => {
                    self.pos = at + name.len() + 2;
                    return self.append(out, c.encode_utf8(&mut [0; 4]), tag);
                }
                None if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    (kind::UNDEFINED_ENTITY, name)
                }
                None => (kind::BARE_AMPERSAND, "&"),
            },
            None => (kind::BARE_AMPERSAND, "&"),
        };
        if out.is_some() {
            self.repairs.add(repair, place, Some(original));
        }
        self.pos = at + 1;
        self.append(out, "&", tag)
    }
}

/// The character that a reference names.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            // What is no character of XML stands for none.
            Some(char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER))
        }
    }
}
