//! What may be asked: statements that read. Everything else is refused by name.
//!
//! Refusal is by list of what is allowed, on the parsed statement, before anything is planned; the engine
//! then checks the plan once more. Names of files, quoted or not, are tables that do not exist.

use datafusion::execution::context::SQLOptions;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::error::QueryError;

/// Refuses a statement that does not only read.
pub(crate) fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Explain(explain) => check(&explain.statement),
        Statement::Statement(sql) => check_sql(sql),
        other => Err(refused(other)),
    }
}

fn check_sql(sql: &Sql) -> Result<(), QueryError> {
    match sql {
        Sql::Explain { statement, .. } => check_sql(statement),
        Sql::Query(_)
        | Sql::ExplainTable { .. }
        | Sql::ShowTables { .. }
        | Sql::ShowColumns { .. }
        | Sql::ShowFunctions { .. }
        | Sql::ShowCreate { .. }
        | Sql::ShowVariable { .. } => Ok(()),
        other => Err(refused(other)),
    }
}

/// What the engine refuses in a plan, whatever statement it came from.
pub(crate) fn options() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Names the statement by its first words.
fn refused(statement: &impl std::fmt::Display) -> QueryError {
    /// Words of a statement that name what it does: `CREATE EXTERNAL TABLE`.
    const WORDS: usize = 3;
    let text = statement.to_string();
    let keyword = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let words: Vec<_> = text.split_whitespace().take(WORDS).take_while(keyword).collect();
    QueryError::ReadOnly {
        statement: if words.is_empty() { "this statement".to_owned() } else { words.join(" ") },
    }
}
