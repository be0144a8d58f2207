//! The questions that come with the program: one SQL file each, with a header that says
//! what it answers, what it takes and what it gives.

use crate::error::{QueryError, closest};
use crate::header::Header;

/// A question: its name, its text and what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub name: String,
    pub header: Header,
    pub sql: String,
}

impl Query {
    /// A question of one's own, with a header or without.
    pub fn parse(name: impl Into<String>, sql: impl Into<String>) -> Result<Self, QueryError> {
        let sql = sql.into();
        Ok(Self { name: name.into(), header: Header::parse(&sql)?, sql })
    }
}

macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../", $name, ".sql")))),*] };
}

/// Every file, in the order in which documentation lists them.
const FILES: &[(&str, &str)] = files![
    "overview"
    "pass_rate_by_day"
    "domains"
    "sources"
    "failing_sources"
    "services"
    "safe_to_enforce"
    "reporters"
    "dispositions"
    "countries"
    "overrides"
    "policy_history"
    "address"
    "reports"
    "report"
    "incomplete_days"
    "repairs_by_reporter"
    "conflicts"
    "duplicates"
    "dead_letters"
];

/// The questions that come with the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library(Vec<Query>);

impl Library {
    /// Reads the headers of all files.
    pub fn new() -> Result<Self, QueryError> {
        FILES.iter().map(|(name, sql)| Query::parse(*name, *sql)).collect::<Result<_, _>>().map(Self)
    }

    /// All of them, in the order of the documentation.
    pub fn list(&self) -> &[Query] {
        &self.0
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Result<&Query, QueryError> {
        self.0.iter().find(|query| query.name == name).ok_or_else(|| {
            let names: Vec<_> = self.0.iter().map(|query| query.name.as_str()).collect();
            QueryError::UnknownQuery {
                name: name.to_owned(),
                suggestion: closest(name, names.iter().copied()),
                known: names.join(", "),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folder_is_in_the_library() {
        let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        let names = folder
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".sql").map(str::to_owned));
        let listed: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.collect::<BTreeSet<_>>(), listed);
    }

    #[test]
    fn every_header_is_complete() {
        for query in Library::new().unwrap().list() {
            let Header { title, description, parameters, columns } = &query.header;
            assert!(!title.is_empty() && !description.is_empty() && !columns.is_empty(), "{}", query.name);
            assert!(columns.iter().all(|column| !column.meaning.is_empty()), "{}", query.name);
            assert!(parameters.iter().all(|parameter| !parameter.meaning.is_empty()), "{}", query.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_a_suggestion() {
        let library = Library::new().unwrap();
        let error = library.get("domain").unwrap_err().to_string();
        assert!(error.starts_with("there is no query `domain`, did you mean `domains`?"), "{error}");
    }
}
