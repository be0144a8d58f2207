//! gzip (RFC 1952) and zip (APPNOTE 6.3) without anything that depends on clock or platform: equal input, equal bytes.

use miniz_oxide::deflate::compress_to_vec;

use crate::calendar::Day;

/// Effort of compression, from 0 to 10.
const LEVEL: u8 = 6;

/// One gzip member.
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(compress_to_vec(data, LEVEL));
    out.extend(crc32fast::hash(data).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}

/// A zip archive on its way.
#[derive(Debug, Default)]
pub(crate) struct Zip {
    out: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    /// Adds a file, dated to an instant in seconds since 1970.
    pub(crate) fn add(&mut self, name: &str, data: &[u8], at: i64) {
        let packed = compress_to_vec(data, LEVEL);
        let offset = self.out.len() as u32;
        let mut common = Vec::with_capacity(26);
        // Version needed, flags, method deflate.
        for field in [20, 0, 8, dos_time(at), dos_date(at)] {
            common.extend(u16::to_le_bytes(field));
        }
        for field in [crc32fast::hash(data), packed.len() as u32, data.len() as u32] {
            common.extend(field.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        self.out.extend(b"PK\x03\x04");
        self.out.extend(&common);
        self.out.extend(name.as_bytes());
        self.out.extend(packed);
        // Made by version 2.0 on MS-DOS; comment, disk and both attributes empty.
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&common);
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.entries += 1;
    }

    /// How many files it holds.
    pub(crate) fn entries(&self) -> u16 {
        self.entries
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let offset = self.out.len() as u32;
        self.out.extend(&self.directory);
        self.out.extend(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            self.out.extend(self.entries.to_le_bytes());
        }
        self.out.extend((self.directory.len() as u32).to_le_bytes());
        self.out.extend(offset.to_le_bytes());
        self.out.extend(0_u16.to_le_bytes());
        self.out
    }
}

/// MS-DOS time: hours, minutes, half seconds.
fn dos_time(at: i64) -> u16 {
    let second = at.rem_euclid(86_400);
    ((second / 3600) << 11 | (second / 60 % 60) << 5 | (second % 60 / 2)) as u16
}

/// MS-DOS date: years since 1980, month, day.
fn dos_date(at: i64) -> u16 {
    let (year, month, day) = Day::of(at).civil();
    ((year.clamp(1980, 2107) - 1980) as u16) << 9 | (month as u16) << 5 | day as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn others_read_the_gzip() {
        let data: Vec<u8> = (0..100_000_u32).map(|n| (n / 7) as u8).collect();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&*gzip(&data)).read_to_end(&mut back).unwrap();
        assert_eq!(back, data);
    }

    #[test]
    fn others_read_the_zip() {
        let mut zip = Zip::default();
        zip.add("a.xml", b"<feedback/>", 1_780_000_000);
        zip.add("deep/er/b.xml", &[b'x'; 5000], 1_780_000_000);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip.finish())).unwrap();
        assert_eq!(archive.len(), 2);
        let mut text = String::new();
        archive.by_name("deep/er/b.xml").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), 5000);
        let date = archive.by_index(0).unwrap().last_modified().unwrap();
        assert_eq!((date.year(), date.month(), date.day(), date.hour()), (2026, 5, 28, 20));
    }
}
