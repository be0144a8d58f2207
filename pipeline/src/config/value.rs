//! The kinds of values that settings have, and how they are written.

use std::collections::BTreeMap;
use std::time::Duration;

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Not given, where a setting may be left out.
    None,
    Text(String),
    Number(u64),
    Duration(Duration),
    Flag(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(n) => write!(f, "{n}"),
            Self::Duration(d) if d.subsec_millis() > 0 => write!(f, "{}ms", d.as_millis()),
            Self::Duration(d) => write!(f, "{}s", d.as_secs()),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) => f.write_str(&items.join(", ")),
            // Options of a store hold secrets: their names are shown, their values are not.
            Self::Map(entries) => f.write_str(&entries.keys().cloned().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The kind of a setting's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// A size in bytes: `64 MiB`.
    Size,
    /// A time span: `30s`, `400d`.
    Span,
    Flag,
    List,
    Map,
    /// One of these.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// What to give, for a message to a person.
    pub fn describe(self) -> String {
        let described = match self {
            Self::OneOf(values) => {
                return values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(" or ");
            }
            Self::Text => "text",
            Self::Number => "a whole number",
            Self::Size => "a size such as `64 MiB`",
            Self::Span => "a time span such as `5s`, `15m`, `12h` or `400d`",
            Self::Flag => "true or false",
            Self::List => "a list of text",
            Self::Map => "a table of text",
        };
        described.to_owned()
    }

    pub(super) fn of_text(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let problem = || format!("`{text}` is not {}", self.describe());
        Ok(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::OneOf(values) if values.contains(&text) => Value::Text(text.to_owned()),
            Self::OneOf(_) => return Err(problem()),
            Self::List if text.is_empty() => Value::List(Vec::new()),
            Self::List => Value::List(text.split(',').map(|item| item.trim().to_owned()).collect()),
            Self::Map if text.is_empty() => Value::Map(BTreeMap::new()),
            Self::Map => return Err(problem()),
            _ if text.is_empty() => Value::None,
            Self::Number => Value::Number(text.parse().map_err(|_| problem())?),
            Self::Flag => Value::Flag(text.parse().map_err(|_| problem())?),
            Self::Size => Value::Number(in_units(text, SIZES).ok_or_else(problem)?),
            Self::Span => Value::Duration(Duration::from_millis(in_units(text, SPANS).ok_or_else(problem)?)),
        })
    }

    pub(super) fn of_list(self, items: Vec<String>) -> Result<Value, String> {
        match self {
            Self::List => Ok(Value::List(items)),
            _ => Err(format!("a list is not {}", self.describe())),
        }
    }
}

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
const SPANS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn in_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<u64>().ok()?, text[digits..].trim());
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// A TOML value as text.
pub(super) fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_written_with_units() {
        assert_eq!(Kind::Size.of_text("64 MiB"), Ok(Value::Number(64 << 20)));
        assert_eq!(Kind::Size.of_text("1000"), Ok(Value::Number(1000)));
        assert_eq!(Kind::Span.of_text("400d"), Ok(Value::Duration(Duration::from_secs(400 * 86_400))));
        assert!(Kind::Span.of_text("7").is_err());
        assert!(Kind::Size.of_text("many MiB").is_err());
        assert!(Kind::Size.of_text("99999999999999 TiB").is_err());
    }
}
