//! What is common to fields: words of a vocabulary, first value wins, domains in one form.

use std::borrow::Cow;

use super::repairs::{Repairs, cut, kind};
use super::values::{Reading, Vocabulary};
use super::words;
use super::xml::{Result, Scanner, Tag};

/// How much extension text of a report, and of a record, is kept. Bytes.
pub(super) const EXTENSION_BYTES: usize = 64 << 10;

/// A word of a vocabulary; none where the element is empty or unusable.
#[inline]
pub(super) fn read_word<'a>(
    xml: &mut Scanner<'a, '_>,
    tag: Tag<'a>,
    place: &'static str,
    vocabulary: &Vocabulary,
) -> Result<Option<&'static str>> {
    let text = xml.leaf(tag, place)?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(match vocabulary.read(&text) {
        Reading::Exact(word) => Some(word),
        Reading::Mapped(word) => {
            xml.repairs.add(kind::VALUE_MAPPED, place, Some(&text));
            Some(word)
        }
        Reading::Unusable => {
            xml.repairs.add(kind::VALUE_DROPPED, place, Some(&text));
            None
        }
    })
}

/// Takes a text, unless it is empty or there is one already.
#[inline]
pub(super) fn set<'a>(
    slot: &mut Option<Cow<'a, str>>,
    text: Cow<'a, str>,
    place: &'static str,
    repairs: &mut Repairs,
) {
    if text.is_empty() {
        return;
    }
    if slot.as_ref().is_some_and(|t| !t.is_empty()) {
        repairs.add(kind::REPEATED, place, Some(&text));
    } else {
        *slot = Some(text);
    }
}

/// Appends XML text that is kept as it stands, up to a bound.
pub(super) fn keep<'a>(
    slot: &mut Option<Cow<'a, str>>,
    text: &'a str,
    place: &'static str,
    repairs: &mut Repairs,
) {
    let held = slot.as_ref().map_or(0, |t| t.len());
    let room = EXTENSION_BYTES.saturating_sub(held);
    if text.len() > room {
        repairs.add(kind::EXTENSION_CUT, place, None);
    }
    let text = cut(text, room);
    match slot {
        None => *slot = Some(Cow::Borrowed(text)),
        Some(held) => held.to_mut().push_str(text),
    }
}

/// A domain in lower case, without trailing dot.
#[inline]
pub(super) fn normal_domain(domain: Cow<'_, str>) -> Cow<'_, str> {
    if !words::any_capital(domain.as_bytes()) && !domain.ends_with('.') {
        return domain;
    }
    Cow::Owned(domain.to_lowercase().trim_end_matches('.').to_owned())
}
