//! Bytes to text: UTF-8 as it stands where it is valid, anything else decoded, and said so.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::repairs::{Repairs, kind};

/// Where the XML declaration must stand. Bytes.
const DECLARATION_MAX: usize = 256;

/// Whether bytes are UTF-16 text, by their mark or by how markup looks in it.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0xff, 0xfe, ..] | [b'<', 0, b'?' | b'!' | b'a'..=b'z' | b'A'..=b'Z', 0, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] | [0, b'<', 0, b'?' | b'!' | b'a'..=b'z' | b'A'..=b'Z', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// The text of a document.
pub(super) fn decode<'a>(bytes: &'a [u8], repairs: &mut Repairs) -> Cow<'a, str> {
    if let Some(encoding) = utf16(bytes) {
        repairs.add(kind::ENCODING, "text", Some(encoding.name()));
        return without_nul(encoding.decode(bytes).0, repairs);
    }
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if body.len() < bytes.len() {
        repairs.add(kind::BOM, "text", None);
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => decode_other(body, repairs),
    };
    without_nul(text, repairs)
}

/// Text in the encoding that it declares; where that is UTF-8 or unknown, whatever of it is valid UTF-8.
fn decode_other<'a>(body: &'a [u8], repairs: &mut Repairs) -> Cow<'a, str> {
    if let Some(encoding) = declared(body).filter(|e| *e != UTF_8 && e.is_ascii_compatible()) {
        repairs.add(kind::ENCODING, "text", Some(encoding.name()));
        return encoding.decode_without_bom_handling(body).0;
    }
    for chunk in body.utf8_chunks().filter(|c| !c.invalid().is_empty()) {
        let original: String = chunk.invalid().iter().map(|b| format!("\\x{b:02x}")).collect();
        repairs.add(kind::INVALID_UTF8, "text", Some(&original));
    }
    String::from_utf8_lossy(body)
}

/// The encoding that the XML declaration names.
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(DECLARATION_MAX)];
    let head = &head[..memchr::memchr(b'>', head)?];
    let value = head.get(memchr::memmem::find(head, b"encoding")? + b"encoding".len()..)?;
    let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first()?;
    Encoding::for_label(&value[..memchr::memchr(quote, value)?])
}

/// NUL stands for no character in XML, and few databases take it: it becomes the replacement character.
fn without_nul<'a>(text: Cow<'a, str>, repairs: &mut Repairs) -> Cow<'a, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return text;
    }
    repairs.add(kind::NUL, "text", None);
    Cow::Owned(text.replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, Vec<(&'static str, Option<String>)>) {
        let mut repairs = Repairs::default();
        let text = decode(bytes, &mut repairs).into_owned();
        (text, repairs.iter().map(|r| (r.0, r.2.map(str::to_owned))).collect())
    }

    #[test]
    fn utf8_is_borrowed_and_its_mark_removed() {
        let mut repairs = Repairs::default();
        assert!(matches!(decode("<ä/>".as_bytes(), &mut repairs), Cow::Borrowed("<ä/>")));
        assert!(matches!(decode("\u{feff}<ä/>".as_bytes(), &mut repairs), Cow::Borrowed("<ä/>")));
        assert_eq!(repairs.iter().count(), 1);
    }

    #[test]
    fn utf16_is_told_by_its_mark_or_its_markup() {
        let le = |s: &str| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let be = |s: &str| s.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        for bytes in [le("\u{feff}<?x ä?>"), be("\u{feff}<?x ä?>"), le("<?x ä?>"), be("<?x ä?>")] {
            assert_eq!(decoded(&bytes).0, "<?x ä?>");
        }
    }

    #[test]
    fn declared_encodings_count_where_the_bytes_are_not_utf8() {
        let (text, repairs) = decoded(b"<?xml version='1.0' encoding='windows-1252'?><a>\x80\xe4</a>");
        assert!(text.ends_with("<a>€ä</a>"), "{text}");
        assert_eq!(repairs, [("encoding", Some("windows-1252".to_owned()))]);
        assert!(decoded(b"<?xml encoding=\"ISO-8859-1\"?><a>\xe4</a>").0.ends_with("<a>ä</a>"));
        let mislabelled = "<?xml version='1.0' encoding='iso-8859-1'?><a>ä</a>";
        assert_eq!(decoded(mislabelled.as_bytes()).0, mislabelled);
    }

    #[test]
    fn invalid_bytes_are_replaced_run_by_run() {
        let (text, repairs) = decoded(b"<a>\xff\xfe x \xff\x00</a>");
        assert_eq!(text, "<a>\u{fffd}\u{fffd} x \u{fffd}\u{fffd}</a>");
        assert_eq!(repairs[0], ("invalid-utf8", Some("\\xff".to_owned())));
        assert_eq!(repairs.last(), Some(&("nul", None)));
    }
}
