//! What reporters write for the standard's values: one table of what is meant.
//!
//! A word outside its vocabulary is mapped where its meaning is plain and dropped where it is not.
//! Nothing is ever mapped to `pass`.

/// The words that an element may hold, and words that are seen in their place.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: &'static [&'static str],
    meant: &'static [(&'static str, &'static str)],
    /// What an unknown word stands for, if for anything.
    other: Option<&'static str>,
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A word of the vocabulary, exactly.
    Exact(&'static str),
    /// Another writing, or another word for it.
    Mapped(&'static str),
    Unusable,
}

pub(super) static POLICY: Vocabulary =
    Vocabulary { words: &["none", "quarantine", "reject"], meant: &[("monitor", "none")], other: None };

pub(super) static DISPOSITION: Vocabulary = Vocabulary {
    words: &["none", "quarantine", "reject", "pass"],
    meant: &[("monitor", "none")],
    other: None,
};

/// `policy_evaluated/dkim` and `/spf`. What is not `pass` is no pass.
pub(super) static ALIGNED: Vocabulary = Vocabulary {
    words: &["pass", "fail"],
    meant: &[
        ("none", "fail"),
        ("neutral", "fail"),
        ("softfail", "fail"),
        ("hardfail", "fail"),
        ("temperror", "fail"),
        ("permerror", "fail"),
        ("unknown", "fail"),
        ("error", "fail"),
        ("invalid", "fail"),
        ("policy", "fail"),
    ],
    other: None,
};

/// RFC 7489 notes `unknown` as a common writing of temperror and `error` of permerror.
pub(super) static SPF_RESULT: Vocabulary = Vocabulary {
    words: &["pass", "fail", "softfail", "none", "neutral", "temperror", "permerror"],
    meant: &[
        ("hardfail", "fail"),
        ("unknown", "temperror"),
        ("error", "permerror"),
        ("invalid", "permerror"),
    ],
    other: None,
};

pub(super) static DKIM_RESULT: Vocabulary = Vocabulary {
    words: &["pass", "fail", "none", "policy", "neutral", "temperror", "permerror"],
    meant: &[
        ("hardfail", "fail"),
        ("softfail", "fail"),
        ("unknown", "temperror"),
        ("error", "permerror"),
        ("invalid", "permerror"),
    ],
    other: None,
};

pub(super) static SPF_SCOPE: Vocabulary =
    Vocabulary { words: &["mfrom", "helo"], meant: &[("mailfrom", "mfrom"), ("ehlo", "helo")], other: None };

pub(super) static REASON: Vocabulary = Vocabulary {
    words: &[
        "local_policy",
        "forwarded",
        "mailing_list",
        "other",
        "policy_test_mode",
        "sampled_out",
        "trusted_forwarder",
    ],
    meant: &[],
    other: Some("other"),
};

pub(super) static ALIGNMENT: Vocabulary =
    Vocabulary { words: &["r", "s"], meant: &[("relaxed", "r"), ("strict", "s")], other: None };

pub(super) static YES_NO: Vocabulary = Vocabulary {
    words: &["n", "y"],
    meant: &[("no", "n"), ("yes", "y"), ("false", "n"), ("true", "y")],
    other: None,
};

pub(super) static PSD: Vocabulary = Vocabulary {
    words: &["n", "y", "u"],
    meant: &[("no", "n"), ("yes", "y"), ("unknown", "u")],
    other: None,
};

pub(super) static DISCOVERY: Vocabulary = Vocabulary { words: &["treewalk", "psl"], meant: &[], other: None };

impl Vocabulary {
    /// What a text without surrounding blanks says.
    pub(super) fn read(&self, text: &str) -> Reading {
        if let Some(word) = self.words.iter().find(|w| **w == text) {
            return Reading::Exact(word);
        }
        self.read_other(text)
    }

    #[cold]
    fn read_other(&self, text: &str) -> Reading {
        let written = |w: &str| {
            let plain = |b: &u8| !matches!(b, b'_' | b'-' | b' ');
            w.bytes()
                .filter(plain)
                .map(|b| b.to_ascii_lowercase())
                .eq(text.bytes().filter(plain).map(|b| b.to_ascii_lowercase()))
        };
        let word = self.words.iter().find(|w| written(w)).copied();
        let meant = || self.meant.iter().find(|(w, _)| written(w)).map(|(_, meant)| *meant);
        word.or_else(meant).or(self.other).map_or(Reading::Unusable, Reading::Mapped)
    }
}

/// A count of messages: a number that is not negative. Signs and blanks are let pass.
pub(super) fn count(text: &str) -> Option<(i64, bool)> {
    let digits = text.strip_prefix('+').map_or(text, str::trim_start);
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = if all { digits.parse().ok()? } else { return None };
    Some((number, digits.len() == text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_words_other_writings_and_other_words() {
        assert_eq!(SPF_RESULT.read("pass"), Reading::Exact("pass"));
        assert_eq!(SPF_RESULT.read("Pass"), Reading::Mapped("pass"));
        assert_eq!(SPF_RESULT.read("Soft-Fail"), Reading::Mapped("softfail"));
        assert_eq!(SPF_RESULT.read("hardfail"), Reading::Mapped("fail"));
        assert_eq!(DKIM_RESULT.read("Unknown"), Reading::Mapped("temperror"));
        assert_eq!(REASON.read("local policy"), Reading::Mapped("local_policy"));
        assert_eq!(REASON.read("because"), Reading::Mapped("other"));
        assert_eq!(DISPOSITION.read("1"), Reading::Unusable);
        assert_eq!(DISPOSITION.read("pass"), Reading::Exact("pass"));
        assert_eq!(POLICY.read("pass"), Reading::Unusable);
    }

    #[test]
    fn no_other_word_ever_means_pass() {
        for vocabulary in [&ALIGNED, &SPF_RESULT, &DKIM_RESULT, &DISPOSITION] {
            assert!(vocabulary.meant.iter().all(|(_, meant)| *meant != "pass"));
            assert_ne!(vocabulary.other, Some("pass"));
            for text in ["passed", "ok", "pas", "p", "true", "1", "bypass", "invalid", ""] {
                assert!(
                    !matches!(vocabulary.read(text), Reading::Exact("pass") | Reading::Mapped("pass")),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("7"), Some((7, true)));
        assert_eq!(count("+ 7"), Some((7, false)));
        for text in ["", "-1", "x", "1.5", "1e3", "+", "9223372036854775808"] {
            assert_eq!(count(text), None, "{text}");
        }
    }
}
