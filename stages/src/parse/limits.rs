//! What one raw record may cost: every bound of the parse stage, with its unit.

/// Bounds on input. What exceeds one becomes a dead letter whose reason begins with `limit-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest archive or mail attachment, packed. Bytes.
    pub attachment_bytes: u64,
    /// Everything that is unpacked or decoded from one raw record, all layers added up. Bytes.
    pub unpacked_bytes: u64,
    /// Largest expansion of one compressed layer, as a factor.
    pub ratio: u64,
    /// What a compressed layer may expand to by any factor. Bytes.
    pub ratio_floor_bytes: u64,
    /// Archive entries, mail parts and compressed layers in one raw record.
    pub entries: usize,
    /// Wrappings inside each other: archives, compressed layers, mails and their multiparts.
    pub nesting: usize,
    /// Dead letters of one raw record; the last one holds the record whole.
    pub failures: usize,
    /// Reports in one raw record.
    pub reports: usize,
    /// XML elements inside each other.
    pub xml_depth: usize,
    /// Text of one element. Bytes.
    pub field_bytes: usize,
    /// Text of one record, all elements. Bytes.
    pub record_bytes: usize,
    /// Records in one report.
    pub records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attachment_bytes: 64 << 20,
            unpacked_bytes: 256 << 20,
            ratio: 500,
            ratio_floor_bytes: 16 << 20,
            entries: 65_536,
            nesting: 12,
            failures: 256,
            reports: 65_536,
            xml_depth: 64,
            field_bytes: 16 << 10,
            record_bytes: 256 << 10,
            records: 10_000_000,
        }
    }
}
