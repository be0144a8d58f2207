//! Zip: every entry of the central directory, also those of equal names, within bounds.
//!
//! The layout is PKWARE's APPNOTE 6.3: local headers with data, then the central directory,
//! then its end record. Only what reports come in is read: stored and deflate, no encryption.

use std::borrow::Cow;

use super::Limits;
use super::failure::{Failure, reason};
use super::gzip::{InflateError, inflate_raw};

/// What an archive begins with: a local header, or the end record of an empty one.
pub(super) const MAGICS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
const END_LEN: usize = 22;
/// The end record's comment is this long at most. Bytes.
const COMMENT_MAX: usize = 0xffff;
/// In a 32-bit field: the value stands in the entry's zip64 field.
const IN_ZIP64: u64 = 0xffff_ffff;
const FLAG_ENCRYPTED: u16 = 1;

/// An entry of the central directory.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    /// From the local header to the end of the data as far as it is known: what a dead letter keeps.
    pub(super) raw: &'a [u8],
    data: &'a [u8],
    method: u16,
    flags: u16,
    crc: u32,
}

/// The entries of an archive, files only, in the directory's order.
pub(super) fn entries<'a>(archive: &'a [u8], limit: usize) -> Result<Vec<Entry<'a>>, Failure> {
    let truncated = || {
        Failure::new(
            reason::TRUNCATED,
            format!(
                "the zip of {} bytes has no complete directory at its end; it was cut off on its way: ask for it again",
                archive.len()
            ),
        )
    };
    let mut at = directory(archive).ok_or_else(truncated)?;
    let mut entries = Vec::new();
    while archive.get(at..).is_some_and(|rest| rest.starts_with(CENTRAL)) {
        let (entry, next) = central(archive, at).ok_or_else(truncated)?;
        at = next;
        entries.extend(entry);
        if entries.len() > limit {
            return Err(Failure::limit(
                reason::LIMIT_ENTRIES,
                "the zip has more entries than a record may have",
                "entries",
                limit as u64,
            ));
        }
    }
    Ok(entries)
}

/// Where the central directory begins. Archives may have bytes before them, which shifts their offsets;
/// so the directory is found from its end.
fn directory(archive: &[u8]) -> Option<usize> {
    let from = archive.len().saturating_sub(END_LEN + COMMENT_MAX);
    let end = from + memchr::memmem::rfind(archive.get(from..)?, END)?;
    let size = u32_at(archive, end + 12)?;
    let offset = u32_at(archive, end + 16)?;
    if size == IN_ZIP64 || offset == IN_ZIP64 {
        // The zip64 end record stands before its locator, which stands before this one.
        let zip64 = usize::try_from(u64_at(archive, end.checked_sub(20)?.checked_add(8)?)?).ok()?;
        return usize::try_from(u64_at(archive, zip64.checked_add(48)?)?).ok();
    }
    let behind = end.checked_sub(usize::try_from(size).ok()?)?;
    let given = usize::try_from(offset).ok()?;
    let begins = |at: usize| archive.get(at..).is_some_and(|rest| rest.starts_with(CENTRAL));
    Some(if begins(behind) || !begins(given) { behind } else { given })
}

/// The entry at a place of the directory, none for a folder, and where the next one begins.
fn central(archive: &[u8], at: usize) -> Option<(Option<Entry<'_>>, usize)> {
    let name_len = u16_at(archive, at + 28)? as usize;
    let extra_len = u16_at(archive, at + 30)? as usize;
    let comment_len = u16_at(archive, at + 32)? as usize;
    let name_at = at + CENTRAL_LEN;
    let name = archive.get(name_at..name_at + name_len)?;
    let extra = archive.get(name_at + name_len..name_at + name_len + extra_len)?;
    let next = name_at + name_len + extra_len + comment_len;
    if name.ends_with(b"/") || name.ends_with(b"\\") {
        return Some((None, next));
    }
    let (packed, unpacked) = (u32_at(archive, at + 20)?, u32_at(archive, at + 24)?);
    let (packed, local) = zip64(extra, packed, unpacked, u32_at(archive, at + 42)?)?;
    let local = usize::try_from(local).ok()?;
    // A local header that is missing or cut makes this entry fail, not the archive.
    let raw = archive.get(local..).unwrap_or_default();
    let lengths = u16_at(raw, 26)
        .zip(u16_at(raw, 28))
        .map_or(0, |(name, extra)| usize::from(name) + usize::from(extra));
    let data_at = LOCAL_LEN + lengths;
    let data_end = data_at.saturating_add(usize::try_from(packed).unwrap_or(usize::MAX)).min(raw.len());
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        raw: &raw[..data_end],
        data: raw.get(data_at..data_end).unwrap_or_default(),
        method: u16_at(archive, at + 10)?,
        flags: u16_at(archive, at + 8)?,
        crc: u32_at(archive, at + 16)? as u32,
    };
    Some((Some(entry), next))
}

/// Packed size and place of the local header, from the zip64 extra field where the header defers to it.
fn zip64(mut extra: &[u8], packed: u64, unpacked: u64, local: u64) -> Option<(u64, u64)> {
    if packed != IN_ZIP64 && local != IN_ZIP64 {
        return Some((packed, local));
    }
    loop {
        let (id, len) = (u16_at(extra, 0)?, u16_at(extra, 2)? as usize);
        let field = extra.get(4..4 + len)?;
        if id == 1 {
            let mut at = if unpacked == IN_ZIP64 { 8 } else { 0 };
            let mut take = |given: u64| {
                if given != IN_ZIP64 {
                    return Some(given);
                }
                at += 8;
                u64_at(field, at - 8)
            };
            return Some((take(packed)?, take(local)?));
        }
        extra = extra.get(4 + len..)?;
    }
}

impl Entry<'_> {
    /// The entry's bytes; `budget` is how many may come out.
    pub(super) fn unpack(&self, limits: &Limits, budget: u64) -> Result<Cow<'_, [u8]>, Failure> {
        let what = format!("the zip entry `{}`", self.name);
        if self.flags & FLAG_ENCRYPTED != 0 {
            return Err(Failure::new(
                reason::ENCRYPTED,
                format!("{what} is encrypted: decrypt it and hand it over again"),
            ));
        }
        let unpacked = match self.method {
            0 if self.data.len() as u64 > budget => Err(InflateError::Budget(budget)),
            0 => Ok(Cow::Borrowed(self.data)),
            8 => inflate_raw(self.data, limits, budget).map(Cow::Owned),
            other => {
                return Err(Failure::new(
                    reason::METHOD,
                    format!(
                        "{what} is packed by method {other}, only stored and deflate are read: unpack it and hand it over again"
                    ),
                ));
            }
        };
        let bytes = unpacked.map_err(|e| e.failure(&what, self.data.len(), limits))?;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes);
        if crc.sum() != self.crc {
            return Err(InflateError::Corrupt("its checksum does not match".into()).failure(
                &what,
                self.data.len(),
                limits,
            ));
        }
        Ok(bytes)
    }

    /// Whether it is what macOS adds beside each file.
    pub(super) fn is_noise(&self) -> bool {
        self.name.split(['/', '\\']).any(|segment| segment == "__MACOSX" || segment == ".DS_Store")
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from(u32::from_le_bytes(*b)))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}
