//! Gzip: every member, within bounds. What stands behind the last member is junk, and said to be.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder};

use super::Limits;
use super::failure::{Failure, reason};

/// What a gzip member begins with: magic and the only compression method there is.
pub(super) const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// An unpacked gzip.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) bytes: Vec<u8>,
    /// Bytes behind the last member that are neither a member nor padding.
    pub(super) junk: usize,
}

/// Unpacks all members; `budget` is how many bytes may come out.
pub(super) fn unpack(packed: &[u8], limits: &Limits, budget: u64) -> Result<Unpacked, Failure> {
    let mut bytes = Vec::with_capacity(expected_size(packed, budget));
    let mut rest = packed;
    while rest.starts_with(MAGIC) {
        let mut decoder = GzDecoder::new(rest);
        inflate(&mut decoder, packed.len(), limits, budget, &mut bytes)
            .map_err(|e| e.failure("the gzip", packed.len(), limits))?;
        rest = decoder.into_inner();
    }
    let junk = if rest.iter().all(|&b| b == 0) { 0 } else { rest.len() };
    Ok(Unpacked { bytes, junk })
}

/// The size that the trailer claims, as far as it is plausible: address space, not memory yet.
fn expected_size(packed: &[u8], budget: u64) -> usize {
    let claimed = packed.last_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b) as usize);
    let plausible = packed.len().saturating_mul(40).min(usize::try_from(budget).unwrap_or(usize::MAX));
    if claimed <= plausible { claimed } else { packed.len().saturating_mul(4).min(plausible) }
}

/// Why a stream could not be inflated.
#[derive(Debug)]
pub(super) enum InflateError {
    Truncated,
    Corrupt(String),
    Ratio,
    Budget(u64),
}

impl InflateError {
    pub(super) fn failure(self, what: &str, packed: usize, limits: &Limits) -> Failure {
        match self {
            Self::Truncated => Failure::new(
                reason::TRUNCATED,
                format!(
                    "{what} ends in the middle after {packed} bytes; it was cut off on its way: ask for it again"
                ),
            ),
            Self::Corrupt(why) => Failure::new(
                reason::CORRUPT,
                format!("{what} cannot be unpacked ({why}); it was damaged on its way: ask for it again"),
            ),
            Self::Ratio => Failure::limit(
                reason::LIMIT_RATIO,
                &format!("{what} expands its {packed} bytes beyond reason"),
                "ratio",
                limits.ratio,
            ),
            Self::Budget(left) => Failure::limit(
                reason::LIMIT_UNPACKED,
                &format!("{what} unpacks to more than the {left} bytes that are left for this record"),
                "unpacked_bytes",
                limits.unpacked_bytes,
            ),
        }
    }
}

/// Appends what a decoder gives, until its end or a bound.
pub(super) fn inflate(
    decoder: &mut impl Read,
    packed: usize,
    limits: &Limits,
    budget: u64,
    out: &mut Vec<u8>,
) -> Result<(), InflateError> {
    let ratio_bound = (packed as u64).saturating_mul(limits.ratio).max(limits.ratio_floor_bytes);
    let bound = ratio_bound.min(budget);
    let left = bound.saturating_sub(out.len() as u64);
    match decoder.take(left.saturating_add(1)).read_to_end(out) {
        Ok(n) if n as u64 > left && bound == budget => Err(InflateError::Budget(budget)),
        Ok(n) if n as u64 > left => Err(InflateError::Ratio),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(InflateError::Truncated),
        Err(e) => Err(InflateError::Corrupt(e.to_string())),
    }
}

/// What the bare deflate stream that `packed` begins with inflates to.
pub(super) fn inflate_raw(packed: &[u8], limits: &Limits, budget: u64) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    inflate(&mut DeflateDecoder::new(packed), packed.len(), limits, budget, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8]) -> Result<Unpacked, &'static str> {
        let limits = Limits { unpacked_bytes: 64 << 20, ..Limits::default() };
        super::unpack(packed, &limits, limits.unpacked_bytes).map_err(|f| f.reason)
    }

    #[test]
    fn members_are_joined_padding_is_passed_over_and_junk_is_counted() {
        let packed = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(unpack(&packed), Ok(Unpacked { bytes: b"one two".to_vec(), junk: 0 }));
        let padded = [packed.clone(), vec![0; 9]].concat();
        assert_eq!(unpack(&padded).map(|u| u.junk), Ok(0));
        let followed = [packed, b"\r\n--".to_vec()].concat();
        assert_eq!(unpack(&followed), Ok(Unpacked { bytes: b"one two".to_vec(), junk: 4 }));
    }

    #[test]
    fn a_cut_or_damaged_member_fails() {
        let noise: Vec<u8> = (0..5000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let packed = gzip(&noise);
        for cut in [3, 11, packed.len() / 2, packed.len() - 1] {
            assert_eq!(unpack(&packed[..cut]), Err(reason::TRUNCATED), "{cut} of {}", packed.len());
        }
        let mut damaged = packed.clone();
        let middle = damaged.len() - 6;
        damaged[middle] ^= 0xff;
        assert_eq!(unpack(&damaged), Err(reason::CORRUPT));
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = gzip(&vec![0; 2 << 20]);
        let limits = Limits { ratio: 100, ratio_floor_bytes: 1 << 20, ..Limits::default() };
        let failed = super::unpack(&bomb, &limits, limits.unpacked_bytes).map(|u| u.bytes.len());
        assert_eq!(failed.map_err(|f| f.reason), Err(reason::LIMIT_RATIO));
        let failed = super::unpack(&bomb, &limits, 1 << 20).unwrap_err();
        assert_eq!(failed.reason, reason::LIMIT_UNPACKED);
    }
}
