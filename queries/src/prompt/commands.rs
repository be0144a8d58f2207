//! The prompt's commands, and what those that only tell something say.

use std::fmt::Write;

use dmarcflow_schemas::{TABLES, Table};

use crate::bind::Params;
use crate::catalog::VIEWS;
use crate::error::{QueryError, closest};
use crate::format::Format;
use crate::library::Library;

/// Each command and what it does, as `\?` lists them.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("\\d", "the tables and views"),
    ("\\d TABLE", "the columns of a table"),
    ("\\dt", "the tables"),
    ("\\l", "the queries that come with the program"),
    ("\\l QUERY", "the parameters and columns of one"),
    ("\\run QUERY [NAME=VALUE…]", "runs one of them"),
    ("\\format FORMAT", "table, csv, json or ndjson"),
    ("\\timing", "shows how long queries take, or no longer"),
    ("\\q", "leaves"),
    ("\\?", "this list"),
];

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Relations,
    Tables,
    Describe(String),
    Queries,
    Query(String),
    Run(String, Params),
    Format(Format),
    Timing,
    Quit,
    Help,
}

impl Command {
    /// Reads what follows the `\`.
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let wrong = || QueryError::Plan(format!("there is no command `\\{text}`; \\? lists them"));
        let words: Vec<_> = text.trim_end_matches(';').split_whitespace().collect();
        Ok(match *words {
            ["d"] => Self::Relations,
            ["dt"] => Self::Tables,
            ["d", name] => Self::Describe(name.to_owned()),
            ["l"] => Self::Queries,
            ["l", name] => Self::Query(name.to_owned()),
            ["run", name, ref params @ ..] => {
                let pair = |word: &&str| {
                    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
                };
                Self::Run(name.to_owned(), params.iter().map(pair).collect::<Option<_>>().ok_or_else(wrong)?)
            }
            ["format", name] => match name.parse()? {
                Format::Parquet => return Err(QueryError::Plan("parquet is not for a terminal".to_owned())),
                format => Self::Format(format),
            },
            ["timing"] => Self::Timing,
            ["q" | "quit"] => Self::Quit,
            ["?" | "help"] => Self::Help,
            _ => return Err(wrong()),
        })
    }

    /// What a command that only tells something says.
    pub(super) fn text(&self, library: &Library) -> Result<String, QueryError> {
        Ok(match self {
            Self::Relations => list(tables().chain(views())),
            Self::Tables => list(tables()),
            Self::Describe(name) => describe(name)?,
            Self::Queries => {
                list(library.list().iter().map(|query| (query.name.as_str(), query.header.title.as_str())))
            }
            Self::Query(name) => query(library, name)?,
            Self::Help => list(COMMANDS.iter().copied()),
            _ => String::new(),
        })
    }
}

fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().map(|table| (table.name, table.row))
}

fn views() -> impl Iterator<Item = (&'static str, &'static str)> {
    let first = |sql: &'static str| sql.lines().next().unwrap_or_default().trim_start_matches(['-', ' ']);
    VIEWS.iter().map(move |(name, sql)| (*name, first(sql)))
}

fn describe(name: &str) -> Result<String, QueryError> {
    if let Some((_, sql)) = VIEWS.iter().find(|(view, _)| *view == name) {
        return Ok((*sql).to_owned());
    }
    let Some(table) = Table::named(name) else {
        return Err(QueryError::UnknownTable {
            name: name.to_owned(),
            suggestion: closest(name, crate::catalog::names()),
            known: crate::catalog::names().collect::<Vec<_>>().join(", "),
        });
    };
    let types = table.columns.iter().map(|column| format!("{}  {}", column.name, column.r#type.name()));
    let types: Vec<_> = types.collect();
    Ok(list(types.iter().map(String::as_str).zip(table.columns.iter().map(|column| column.meaning))))
}

fn query(library: &Library, name: &str) -> Result<String, QueryError> {
    let query = library.get(name)?;
    let header = &query.header;
    let mut text = format!("{}\n{}\n\nparameters\n", header.title, header.description);
    let parameters: Vec<_> = header
        .parameters
        .iter()
        .map(|parameter| format!("{}={}", parameter.name, parameter.default.as_deref().unwrap_or("null")))
        .collect();
    text += &list(
        parameters.iter().map(String::as_str).zip(header.parameters.iter().map(|p| p.meaning.as_str())),
    );
    text += "\ncolumns\n";
    text += &list(header.columns.iter().map(|column| (column.name.as_str(), column.meaning.as_str())));
    Ok(text)
}

fn list<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let entries: Vec<_> = entries.collect();
    let width = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, meaning) in entries {
        let _ = writeln!(text, "  {name:width$}  {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let params =
            Params::from([("ip".to_owned(), "192.0.2.1".to_owned()), ("days".to_owned(), "7".to_owned())]);
        assert_eq!(
            Command::parse("run address ip=192.0.2.1 days=7;").unwrap(),
            Command::Run("address".to_owned(), params)
        );
        assert_eq!(Command::parse("format csv").unwrap(), Command::Format(Format::Csv));
        assert_eq!(Command::parse("d reports").unwrap(), Command::Describe("reports".to_owned()));
        for wrong in ["x", "run", "run address days", "format parquet", "format xml", "d a b"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_commands_tell_names_everything() {
        let library = Library::new().unwrap();
        let relations = Command::Relations.text(&library).unwrap();
        assert!(crate::catalog::names().all(|name| relations.contains(name)));
        assert!(
            Command::Describe("daily".to_owned())
                .text(&library)
                .unwrap()
                .contains("apportioned_messages  int64")
        );
        assert!(
            Command::Describe("dialy".to_owned())
                .text(&library)
                .unwrap_err()
                .to_string()
                .contains("did you mean `daily`")
        );
        assert!(Command::Query("services".to_owned()).text(&library).unwrap().contains("days=30"));
    }
}
