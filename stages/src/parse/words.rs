//! Eight bytes at a time: the scans over a few bytes, for which a call or a branch a byte costs more than the scan.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The eight bytes at `at`, where there are so many.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Marks the high bit of each byte that is at least `low`, for bytes below 0x80 and `low` from 1 to 0x80.
#[inline(always)]
const fn at_least(ascii: u64, low: u8) -> u64 {
    ascii + (0x80 - low as u64) * ONES
}

/// Which of eight bytes are no blank: larger than a space.
#[inline(always)]
const fn solid(word: u64) -> u64 {
    (at_least(word & !HIGH, 0x21) | word) & HIGH
}

/// Which of eight bytes are something else than the small letters and underscores that names are made of.
#[inline(always)]
const fn unlike_names(word: u64) -> u64 {
    let ascii = word & !HIGH;
    !(at_least(ascii, b'_') & !at_least(ascii, b'{') & !word) & HIGH
}

/// Which of eight bytes are capital letters or not ASCII.
#[inline(always)]
const fn capital(word: u64) -> u64 {
    let ascii = word & !HIGH;
    ((at_least(ascii, b'A') & !at_least(ascii, b'[')) | word) & HIGH
}

/// The first place from `at` on that holds no blank.
#[inline(always)]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let solid = solid(word);
        if solid != 0 {
            return at + (solid.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| *b <= b' ') {
        at += 1;
    }
    at
}

/// The first place from `at` on that holds something else than small letters and underscores (or a backtick).
#[inline(always)]
pub(super) fn skip_name(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let other = unlike_names(word);
        if other != 0 {
            return at + (other.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| matches!(b, b'_'..=b'z')) {
        at += 1;
    }
    at
}

/// Whether `name` stands at `at`.
#[inline(always)]
pub(super) fn stands_at(bytes: &[u8], at: usize, name: &[u8]) -> bool {
    let mut done = 0;
    while done + 8 <= name.len() {
        if word(bytes, at + done) != word(name, done) {
            return false;
        }
        done += 8;
    }
    let rest = &name[done..];
    match bytes.get(at + done..at + done + rest.len()) {
        Some(found) => found.iter().zip(rest).fold(0, |unlike, (a, b)| unlike | (a ^ b)) == 0,
        None => false,
    }
}

/// Whether there are capital letters or bytes of other than ASCII characters.
#[inline(always)]
pub(super) fn any_capital(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks();
    chunks.iter().any(|chunk| capital(u64::from_le_bytes(*chunk)) != 0)
        || rest.iter().any(|b| b.is_ascii_uppercase() || *b >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_told_at_each_place() {
        for b in 0..=255u8 {
            for at in 0..20 {
                let mut bytes = [b' '; 20];
                bytes[at] = b;
                assert_eq!(skip_blanks(&bytes, 0), if b > b' ' { at } else { 20 }, "{b} at {at}");
                let mut bytes = [b'q'; 20];
                bytes[at] = b;
                assert_eq!(
                    skip_name(&bytes, 0),
                    if matches!(b, b'_'..=b'z') { 20 } else { at },
                    "{b} at {at}"
                );
                assert_eq!(any_capital(&bytes), b.is_ascii_uppercase() || b >= 0x80, "{b} at {at}");
            }
        }
    }

    #[test]
    fn names_are_compared_whole() {
        let text = b"<policy_evaluated>";
        for from in 0..text.len() {
            for to in from..=text.len() {
                assert!(stands_at(text, from, &text[from..to]));
                let mut other = text[from..to].to_vec();
                if let Some(last) = other.last_mut() {
                    *last ^= 1;
                    assert!(!stands_at(text, from, &other));
                }
            }
        }
        assert!(!stands_at(text, 10, b"evaluated>x"));
    }
}
