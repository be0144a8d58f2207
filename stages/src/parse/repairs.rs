//! What had to be mended to read a report, counted: each distinct repair once.

/// The stable codes of repairs.
pub(super) mod kind {
    pub(in crate::parse) const BOM: &str = "bom";
    pub(in crate::parse) const ENCODING: &str = "encoding";
    pub(in crate::parse) const INVALID_UTF8: &str = "invalid-utf8";
    pub(in crate::parse) const NUL: &str = "nul";
    pub(in crate::parse) const JUNK_AFTER_GZIP: &str = "junk-after-gzip";
    pub(in crate::parse) const TRANSFER_ENCODING: &str = "transfer-encoding";
    pub(in crate::parse) const LEADING_BLANKS: &str = "leading-blanks";
    pub(in crate::parse) const DECLARATION: &str = "broken-declaration";
    pub(in crate::parse) const JUNK_BEFORE_ROOT: &str = "junk-before-root";
    pub(in crate::parse) const JUNK_AFTER_ROOT: &str = "junk-after-root";
    pub(in crate::parse) const SEVERAL_REPORTS: &str = "several-reports";
    pub(in crate::parse) const SCHEMA_TAG: &str = "stray-schema";
    pub(in crate::parse) const BARE_AMPERSAND: &str = "bare-ampersand";
    pub(in crate::parse) const UNDEFINED_ENTITY: &str = "undefined-entity";
    pub(in crate::parse) const UNESCAPED_LT: &str = "unescaped-lt";
    pub(in crate::parse) const STRAY_TEXT: &str = "stray-text";
    pub(in crate::parse) const NAME_CASE: &str = "name-case";
    pub(in crate::parse) const RENAMED: &str = "renamed-element";
    pub(in crate::parse) const UNKNOWN: &str = "unknown-element";
    pub(in crate::parse) const REPEATED: &str = "repeated-element";
    pub(in crate::parse) const MISSING: &str = "missing-element";
    pub(in crate::parse) const EXTENSION_CUT: &str = "extension-cut";
    pub(in crate::parse) const EMPTY_ORG: &str = "empty-org-name";
    pub(in crate::parse) const ANGLE_BRACKETS: &str = "angle-brackets";
    pub(in crate::parse) const TIMESTAMP: &str = "timestamp-mapped";
    pub(in crate::parse) const BAD_TIMESTAMP: &str = "bad-timestamp";
    pub(in crate::parse) const NO_DATE_RANGE: &str = "no-date-range";
    pub(in crate::parse) const VALUE_MAPPED: &str = "value-mapped";
    pub(in crate::parse) const VALUE_DROPPED: &str = "value-dropped";
    pub(in crate::parse) const NO_SOURCE_IP: &str = "record-without-source-ip";
    pub(in crate::parse) const BAD_SOURCE_IP: &str = "record-bad-source-ip";
    pub(in crate::parse) const BAD_COUNT: &str = "record-bad-count";
    /// Stands for all repairs beyond the distinct ones that are kept.
    pub(in crate::parse) const MORE: &str = "more";
}

/// How many distinct repairs of a report are kept.
pub(super) const DISTINCT: usize = 100;
/// How much of the original text is kept. Bytes.
pub(super) const ORIGINAL_BYTES: usize = 200;

/// One kind of repair at one place with one original text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repair {
    pub(super) kind: &'static str,
    /// Path of the element, or the wrapping.
    pub(super) place: &'static str,
    pub(super) original: Option<String>,
    /// How many times it was made.
    pub(super) count: i64,
}

/// The repairs of a report.
#[derive(Debug, Clone, Default)]
pub(super) struct Repairs {
    list: Vec<Repair>,
    more: i64,
}

impl Repairs {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.more = 0;
    }

    /// Counts a repair.
    #[cold]
    pub(super) fn add(&mut self, kind: &'static str, place: &'static str, original: Option<&str>) {
        self.add_times(kind, place, original, 1);
    }

    fn add_times(&mut self, kind: &'static str, place: &'static str, original: Option<&str>, times: i64) {
        let original = original.map(|text| cut(text, ORIGINAL_BYTES));
        let known = |r: &&mut Repair| r.kind == kind && r.place == place && r.original.as_deref() == original;
        if let Some(repair) = self.list.iter_mut().find(known) {
            repair.count += times;
        } else if self.list.len() < DISTINCT {
            self.list.push(Repair { kind, place, original: original.map(str::to_owned), count: times });
        } else {
            self.more += times;
        }
    }

    /// Adds all repairs of another list.
    pub(super) fn extend(&mut self, other: &Self) {
        for r in &other.list {
            self.add_times(r.kind, r.place, r.original.as_deref(), r.count);
        }
        self.more += other.more;
    }

    /// Kind, place, original, count of each; last the one that stands for the rest.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, Option<&str>, i64)> {
        let more = (self.more > 0).then_some((kind::MORE, "", None, self.more));
        self.list.iter().map(|r| (r.kind, r.place, r.original.as_deref(), r.count)).chain(more)
    }
}

/// The text's first bytes, at most `bytes` of them, ending between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_repairs_are_counted_and_distinct_ones_are_bounded() {
        let mut repairs = Repairs::default();
        for i in 0..DISTINCT + 5 {
            repairs.add(kind::VALUE_MAPPED, "feedback", Some(&i.to_string()));
            repairs.add(kind::VALUE_MAPPED, "feedback", Some("0"));
        }
        let list: Vec<_> = repairs.iter().collect();
        assert_eq!(list.len(), DISTINCT + 1);
        assert_eq!(list[0], (kind::VALUE_MAPPED, "feedback", Some("0"), DISTINCT as i64 + 6));
        assert_eq!(list[DISTINCT], (kind::MORE, "", None, 5));
    }

    #[test]
    fn the_original_is_cut_between_characters() {
        let mut repairs = Repairs::default();
        repairs.add(kind::VALUE_MAPPED, "feedback", Some(&"ä".repeat(150)));
        repairs.add(kind::VALUE_MAPPED, "feedback", Some(&format!("x{}", "ä".repeat(150))));
        let lengths: Vec<_> = repairs.iter().map(|r| r.2.map_or(0, str::len)).collect();
        assert_eq!(lengths, [200, 199]);
    }
}
