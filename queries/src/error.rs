//! What can go wrong, said so that a person knows what to do.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("`{location}` is no lake: {reason}")]
    Location { location: String, reason: String },
    #[error("table `{table}` cannot be opened: {reason}")]
    Table { table: String, reason: String },
    #[error("{statement} is refused: the lake is read-only here. SELECT, EXPLAIN, SHOW and DESCRIBE work")]
    ReadOnly { statement: String },
    #[error("{0} statements were given; give one")]
    OneStatement(usize),
    #[error("syntax error: {message}{excerpt}")]
    Syntax { message: String, excerpt: String },
    #[error("there is no table `{name}`{}; the tables are {known}", did_you_mean(.suggestion))]
    UnknownTable { name: String, suggestion: Option<String>, known: String },
    #[error("there is no query `{name}`{}; the queries are {known}", did_you_mean(.suggestion))]
    UnknownQuery { name: String, suggestion: Option<String>, known: String },
    #[error("parameter `{name}` has no value; give {name}=VALUE")]
    MissingParameter { name: String },
    #[error("there is no parameter `{name}`{}; {known}", did_you_mean(.suggestion))]
    UnknownParameter { name: String, suggestion: Option<String>, known: String },
    #[error("parameter `{name}`: `{value}` is not {expected}")]
    Parameter { name: String, value: String, expected: &'static str },
    #[error("header of the SQL text, line {line}: {problem}")]
    Header { line: usize, problem: String },
    #[error("{0}")]
    Plan(String),
    #[error("the query needs more memory than it may use ({0}); narrow it down, or allow it more")]
    Memory(String),
    #[error("the query failed: {0}")]
    Failed(String),
    #[error("the answer could not be written: {0}")]
    Write(#[from] std::io::Error),
    #[error("`{0}` is no format; formats are table, csv, json, ndjson and parquet")]
    Format(String),
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// How alike two names must be, from 0 to 1.
    const ALIKE: f64 = 0.7;
    let name = name.to_lowercase();
    let scored = known.into_iter().map(|other| (strsim::jaro_winkler(&name, other), other));
    let best = scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, other)| other.to_owned())
}

impl QueryError {
    /// An error of the engine, while it ran `sql`.
    pub(crate) fn of_engine(error: DataFusionError, sql: &str) -> Self {
        match error.find_root() {
            DataFusionError::SQL(parser, _) => Self::of_parser(parser, sql),
            DataFusionError::ResourcesExhausted(_) => Self::Memory(first_line(error.find_root())),
            DataFusionError::SchemaError(..)
            | DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_) => Self::Plan(plain(&error)),
            _ => Self::Failed(plain(&error)),
        }
    }

    /// An error of the parser, with the place where it stopped.
    fn of_parser(error: &ParserError, sql: &str) -> Self {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        };
        let excerpt =
            place(&message).and_then(|(line, column)| excerpt(sql, line, column)).unwrap_or_default();
        Self::Syntax { message, excerpt }
    }
}

/// The engine's message, without its own classification in front.
fn plain(error: &DataFusionError) -> String {
    error.find_root().message().into_owned()
}

fn first_line(error: &DataFusionError) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

/// Line and column, from 1, that a parser's message ends with.
fn place(message: &str) -> Option<(usize, usize)> {
    let (_, tail) = message.rsplit_once("at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, digits.parse().ok()?))
}

/// The line in question, with a mark below the place.
fn excerpt(sql: &str, line: usize, column: usize) -> Option<String> {
    let text = sql.lines().nth(line.checked_sub(1)?)?;
    let mark = " ".repeat(column.saturating_sub(1).min(text.chars().count()));
    Some(format!("\n  {text}\n  {mark}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_shows_its_place() {
        assert_eq!(place("Expected: x, found: y at Line: 2, Column: 15"), Some((2, 15)));
        assert_eq!(excerpt("SELECT 1\nFROM x y", 2, 6).as_deref(), Some("\n  FROM x y\n       ^"));
        assert_eq!(excerpt("SELECT 1", 9, 1), None);
    }

    #[test]
    fn a_suggestion_is_given_only_when_it_is_close() {
        assert_eq!(closest("reprots", ["records", "reports"]), Some("reports".to_owned()));
        assert_eq!(closest("xyz", ["records", "reports"]), None);
    }
}
