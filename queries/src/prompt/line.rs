//! The line that is typed: where a statement ends, and what a word may become.

use dmarcflow_schemas::TABLES;
use rustyline::Context;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};

use super::commands::COMMANDS;
use crate::catalog;
use crate::library::Library;

const KEYWORDS: &[&str] = &[
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXPLAIN",
    "FILTER",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "SELECT",
    "SHOW",
    "SUM",
    "THEN",
    "UNION",
    "UNNEST",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Completes words and knows when a statement is whole.
pub(super) struct Helper {
    /// Tables, views, columns, keywords, commands and queries; sorted, each once.
    words: Vec<String>,
}

impl Helper {
    pub(super) fn new(library: &Library) -> Self {
        let columns = TABLES.iter().flat_map(|table| table.columns).map(|column| column.name);
        let commands = COMMANDS.iter().filter_map(|(command, _)| command.split(' ').next());
        let ours = catalog::names().chain(columns).chain(KEYWORDS.iter().copied()).chain(commands);
        let queries = library.list().iter().map(|query| query.name.clone());
        let mut words: Vec<_> = ours.map(str::to_owned).chain(queries).collect();
        words.sort();
        words.dedup();
        Self { words }
    }

    /// The words that begin as the text before `position` ends, in its letter case for keywords.
    fn candidates(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let typed = line.get(..position).unwrap_or(line);
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '\\';
        let start = typed
            .rfind(|c| !part(c))
            .map_or(0, |at| at + typed[at..].chars().next().map_or(1, char::len_utf8));
        let word = &typed[start..];
        if word.is_empty() {
            return (start, Vec::new());
        }
        let lower = word.chars().all(|c| !c.is_uppercase());
        let matching = self
            .words
            .iter()
            .filter(|known| known.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)));
        let cased = |known: &String| if lower { known.to_lowercase() } else { known.clone() };
        (start, matching.map(cased).collect())
    }
}

/// Whether the text is a command or ends with a `;` that is in no quotes and no comment.
fn is_whole(text: &str) -> bool {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.starts_with('\\') {
        return true;
    }
    let mut ended = false;
    let mut characters = trimmed.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('-', Some('-')) => {
                let _ = characters.by_ref().find(|c| *c == '\n');
            }
            ('/', Some('*')) => {
                let mut before = ' ';
                let closed =
                    characters.by_ref().skip(1).any(|c| std::mem::replace(&mut before, c) == '*' && c == '/');
                if !closed {
                    return false;
                }
            }
            (quote @ ('\'' | '"'), _) => {
                if !characters.by_ref().any(|c| c == quote) {
                    return false;
                }
                ended = false;
            }
            (';', _) => ended = true,
            (c, _) if c.is_whitespace() => {}
            _ => ended = false,
        }
    }
    ended
}

impl Completer for Helper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, position))
    }
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let whole = is_whole(context.input());
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Helper {
    type Hint = String;
}

impl Highlighter for Helper {}

impl rustyline::Helper for Helper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_a_semicolon_outside_of_quotes_and_comments() {
        for whole in [
            "SELECT 1;",
            "  ",
            "\\q",
            "SELECT ';';",
            "SELECT 1; -- end",
            "SELECT 'it''s';",
            "/* ; */ SELECT 1;",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in
            ["SELECT 1", "SELECT ';", "SELECT 1 -- ;", "/* SELECT 1;", "SELECT \";\"", "SELECT 1; SELECT"]
        {
            assert!(!is_whole(open), "{open}");
        }
    }

    #[test]
    fn words_are_completed() {
        let helper = Helper::new(&Library::new().unwrap());
        assert_eq!(helper.candidates("select * from record_d", 22), (14, vec!["record_dkim".to_owned()]));
        assert_eq!(helper.candidates("SEL", 3), (0, vec!["SELECT".to_owned()]));
        assert_eq!(helper.candidates("sel", 3), (0, vec!["select".to_owned()]));
        assert_eq!(helper.candidates("\\tim", 4), (0, vec!["\\timing".to_owned()]));
        assert_eq!(helper.candidates("été ", 6).1, Vec::<String>::new());
    }
}
