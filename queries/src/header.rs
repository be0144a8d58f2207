//! The header of a SQL file: its leading comment lines, which say what it answers, what it
//! takes and what it gives.
//!
//! ```sql
//! -- Pass rate by day.
//! -- What share of the messages passed DMARC, a row a day.
//! --
//! -- parameters:
//! --   days   days  30      how many days, up to `until`
//! --   until  date  newest  the last day
//! -- columns:
//! --   date      the UTC day
//! --   messages  its messages
//! ```
//!
//! The first line is the title, the lines up to the first section are the description. A parameter has a
//! name, a type (`text`, `int`, `float`, `bool`, `date`, `days`), a default and a meaning; a default of `null`
//! means absent, and a date's default may be `newest` or `newest-N`, counted in days. A line that
//! is indented further continues the one before it.

use crate::error::QueryError;

/// What a file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    pub title: String,
    pub description: String,
    pub parameters: Vec<Parameter>,
    pub columns: Vec<Documented>,
}

/// A parameter that a query takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub r#type: ParameterType,
    /// What holds when no value is given, as text; absent is SQL's NULL.
    pub default: Option<String>,
    pub meaning: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    Text,
    Int,
    Float,
    Bool,
    Date,
    /// A span of whole days, given as their number; an interval in SQL.
    Days,
}

impl ParameterType {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "days" => Self::Days,
            _ => return None,
        })
    }

    /// Its name in headers and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::Days => "days",
        }
    }
}

/// A column that a query gives, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    pub name: String,
    pub meaning: String,
}

/// Columns by which a continuation is indented further than the entry it continues.
const CONTINUED: usize = 4;

enum Section {
    Description,
    Parameters,
    Columns,
}

impl Header {
    /// Reads the header of a text. A text without one has an empty header.
    pub fn parse(sql: &str) -> Result<Self, QueryError> {
        let mut header = Self::default();
        let mut section = Section::Description;
        let comments = sql.lines().map_while(|line| line.strip_prefix("--"));
        for (number, line) in comments.enumerate() {
            match line.trim() {
                "parameters:" => section = Section::Parameters,
                "columns:" => section = Section::Columns,
                text => header.line(&section, text, indentation(line), number + 1)?,
            }
        }
        Ok(header)
    }

    fn line(
        &mut self,
        section: &Section,
        text: &str,
        indentation: usize,
        line: usize,
    ) -> Result<(), QueryError> {
        let wrong = |problem: String| QueryError::Header { line, problem };
        let continued = indentation >= CONTINUED;
        match section {
            Section::Description if self.title.is_empty() => {
                self.title = text.trim_end_matches('.').to_owned()
            }
            Section::Description => join(&mut self.description, text),
            _ if text.is_empty() => {}
            Section::Parameters if continued => {
                let last = self.parameters.last_mut();
                join(&mut last.ok_or_else(|| wrong("nothing to continue".to_owned()))?.meaning, text);
            }
            Section::Columns if continued => {
                let last = self.columns.last_mut();
                join(&mut last.ok_or_else(|| wrong("nothing to continue".to_owned()))?.meaning, text);
            }
            Section::Parameters => self.parameters.push(parameter(text).map_err(wrong)?),
            Section::Columns => {
                let (name, meaning) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                self.columns.push(Documented { name: name.to_owned(), meaning: meaning.trim().to_owned() });
            }
        }
        Ok(())
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

fn parameter(text: &str) -> Result<Parameter, String> {
    const SHAPE: &str = "a parameter is written `name type default meaning`";
    let (name, rest) = text.split_once(char::is_whitespace).ok_or(SHAPE)?;
    let (r#type, rest) = rest.trim_start().split_once(char::is_whitespace).ok_or(SHAPE)?;
    let (default, meaning) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    let r#type = ParameterType::named(r#type)
        .ok_or_else(|| format!("`{}` is no type; types are text, int, float, bool, date and days", r#type))?;
    if default.is_empty() {
        return Err(SHAPE.to_owned());
    }
    Ok(Parameter {
        name: name.to_owned(),
        r#type,
        default: (default != "null").then(|| default.to_owned()),
        meaning: meaning.trim().to_owned(),
    })
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read() {
        let sql = "-- Pass rate.\n-- By day,\n-- in UTC.\n--\n-- parameters:\n--   days int 30 how many\n--       days\n--   domain text null one domain\n-- columns:\n--   date  the day\n--   rate  in percent\nSELECT 1\n-- columns:\n--   x no";
        let header = Header::parse(sql).unwrap();
        assert_eq!(header.title, "Pass rate");
        assert_eq!(header.description, "By day, in UTC.");
        let days = header.parameter("days").unwrap();
        assert_eq!(
            (days.r#type, days.default.as_deref(), days.meaning.as_str()),
            (ParameterType::Int, Some("30"), "how many days")
        );
        assert_eq!(header.parameter("domain").unwrap().default, None);
        let columns: Vec<_> = header.columns.iter().map(|c| (c.name.as_str(), c.meaning.as_str())).collect();
        assert_eq!(columns, [("date", "the day"), ("rate", "in percent")]);
    }

    #[test]
    fn a_text_without_a_header_has_none_and_a_wrong_one_names_the_line() {
        assert_eq!(Header::parse("SELECT 1").unwrap(), Header::default());
        let error = Header::parse("-- T\n-- parameters:\n--   days number 30 x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "header of the SQL text, line 3: `number` is no type; types are text, int, float, bool, date and days"
        );
        assert!(Header::parse("-- T\n-- parameters:\n--   days int").is_err());
    }
}
