//! Oddities of real reports. None of them changes what a report means: a reader that copes with them finds the
//! numbers of the world's truth.

use crate::prng::Rng;

/// What is odd about a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quirk {
    ByteOrderMark,
    Utf16,
    Windows1252,
    NoDeclaration,
    BrokenDeclaration,
    LeadingBlankLines,
    JunkAfterRoot,
    OtherNamespace,
    MalformedNamespace,
    UndeclaredPrefix,
    StraySchemaTag,
    Identities,
    EmptyValues,
    HardFail,
    LetterCase,
    NoSelector,
    BracketedId,
    PaddedNumbers,
    Milliseconds,
    IsoTimes,
    UnknownElements,
    PolicyTwice,
    BareAmpersand,
    UnescapedAddress,
    /// The interval ends where it begins.
    NoLength,
    /// Only where the report is delivered gzipped.
    JunkAfterGzip,
    /// Only where the report is delivered gzipped.
    GzipTwice,
}

impl Quirk {
    /// Every quirk.
    pub const ALL: [Self; 27] = [
        Self::ByteOrderMark,
        Self::Utf16,
        Self::Windows1252,
        Self::NoDeclaration,
        Self::BrokenDeclaration,
        Self::LeadingBlankLines,
        Self::JunkAfterRoot,
        Self::OtherNamespace,
        Self::MalformedNamespace,
        Self::UndeclaredPrefix,
        Self::StraySchemaTag,
        Self::Identities,
        Self::EmptyValues,
        Self::HardFail,
        Self::LetterCase,
        Self::NoSelector,
        Self::BracketedId,
        Self::PaddedNumbers,
        Self::Milliseconds,
        Self::IsoTimes,
        Self::UnknownElements,
        Self::PolicyTwice,
        Self::BareAmpersand,
        Self::UnescapedAddress,
        Self::NoLength,
        Self::JunkAfterGzip,
        Self::GzipTwice,
    ];

    /// A quirk with that probability.
    pub(crate) fn draw(rng: &mut Rng, rate: f64) -> Option<Self> {
        rng.chance(rate).then(|| *rng.pick(&Self::ALL))
    }

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte-order-mark",
            Self::Utf16 => "utf-16",
            Self::Windows1252 => "windows-1252",
            Self::NoDeclaration => "no-declaration",
            Self::BrokenDeclaration => "broken-declaration",
            Self::LeadingBlankLines => "leading-blank-lines",
            Self::JunkAfterRoot => "junk-after-root",
            Self::OtherNamespace => "other-namespace",
            Self::MalformedNamespace => "malformed-namespace",
            Self::UndeclaredPrefix => "undeclared-prefix",
            Self::StraySchemaTag => "stray-schema-tag",
            Self::Identities => "identities",
            Self::EmptyValues => "empty-values",
            Self::HardFail => "hardfail",
            Self::LetterCase => "letter-case",
            Self::NoSelector => "no-selector",
            Self::BracketedId => "bracketed-id",
            Self::PaddedNumbers => "padded-numbers",
            Self::Milliseconds => "milliseconds",
            Self::IsoTimes => "iso-times",
            Self::UnknownElements => "unknown-elements",
            Self::PolicyTwice => "policy-twice",
            Self::BareAmpersand => "bare-ampersand",
            Self::UnescapedAddress => "unescaped-address",
            Self::NoLength => "no-length",
            Self::JunkAfterGzip => "junk-after-gzip",
            Self::GzipTwice => "gzip-twice",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_a_rate_is_kept() {
        let names: std::collections::BTreeSet<_> = Quirk::ALL.iter().map(|q| q.name()).collect();
        assert_eq!(names.len(), Quirk::ALL.len());
        let mut rng = Rng::of(1, &[]);
        let drawn = (0..10_000).filter(|_| Quirk::draw(&mut rng, 0.1).is_some()).count();
        assert!((900..1100).contains(&drawn), "{drawn}");
    }
}
