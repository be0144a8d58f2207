//! From a SQL text and values to an answer.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::bind::{Params, Values};
use crate::catalog;
use crate::error::{QueryError, closest};
use crate::format::{self, Format, TableStyle};
use crate::header::Header;
use crate::library::Query;
use crate::read_only;
use crate::session::Session;

/// A query that is planned and has not run yet.
#[derive(Debug)]
pub struct Answer {
    frame: DataFrame,
    sql: String,
}

impl Session {
    /// Plans a question.
    pub async fn ask(&self, query: &Query, params: &Params) -> Result<Answer, QueryError> {
        self.plan(&query.sql, &query.header, params).await
    }

    /// Plans a SQL text, with the parameters that its header declares, if it has one.
    pub async fn sql(&self, text: &str, params: &Params) -> Result<Answer, QueryError> {
        self.plan(text, &Header::parse(text)?, params).await
    }

    async fn plan(&self, sql: &str, header: &Header, params: &Params) -> Result<Answer, QueryError> {
        let failed = |error| QueryError::of_engine(error, sql);
        let mut statement = parse(sql)?;
        read_only::check(&statement)?;
        let values = Values::new(header, params);
        values.apply(&mut statement, params)?;
        let newest = if values.need_newest() { self.newest_day().await? } else { None };
        let scalars = values.scalars(newest)?;
        let state = catalog::for_query(&self.base, &self.tables).map_err(failed)?;
        known_tables(&state, &statement)?;
        let plan = state.statement_to_plan(statement).await.map_err(failed)?;
        let plan = plan.with_param_values(scalars).map_err(failed)?;
        read_only::options().verify_plan(&plan).map_err(failed)?;
        Ok(Answer { frame: DataFrame::new(state, plan), sql: sql.to_owned() })
    }
}

/// The one statement of a text.
fn parse(sql: &str) -> Result<Statement, QueryError> {
    let parser = DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).build();
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let mut statements = statements.map_err(|error| QueryError::of_engine(error, sql))?;
    match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => Err(QueryError::OneStatement(0)),
        (Some(_), more) => Err(QueryError::OneStatement(more + 1)),
    }
}

/// Refuses names of tables that do not exist, with a suggestion.
fn known_tables(state: &SessionState, statement: &Statement) -> Result<(), QueryError> {
    let references =
        state.resolve_table_references(statement).map_err(|error| QueryError::of_engine(error, ""))?;
    for reference in references {
        let ours = match &reference {
            TableReference::Bare { .. } => true,
            TableReference::Partial { schema, .. } => schema.as_ref() != INFORMATION_SCHEMA,
            TableReference::Full { catalog, schema, .. } => {
                catalog.as_ref() == catalog::CATALOG && schema.as_ref() != INFORMATION_SCHEMA
            }
        };
        let known = reference.schema().is_none_or(|schema| schema == catalog::SCHEMA)
            && catalog::names().any(|name| name == reference.table());
        let function = matches!(&reference, TableReference::Bare { table } if state.table_functions().contains_key(table.as_ref()));
        if ours && !known && !function {
            return Err(QueryError::UnknownTable {
                name: reference.to_string(),
                suggestion: closest(reference.table(), catalog::names()),
                known: catalog::names().collect::<Vec<_>>().join(", "),
            });
        }
    }
    Ok(())
}

impl Answer {
    /// The columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        std::sync::Arc::clone(self.frame.schema().inner())
    }

    /// Whether the answer is a plan, as EXPLAIN gives.
    pub(crate) fn is_plan(&self) -> bool {
        matches!(self.frame.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_))
    }

    /// Runs the query: its rows, batch by batch, as they come.
    pub async fn stream(self) -> Result<BoxStream<'static, Result<RecordBatch, QueryError>>, QueryError> {
        let sql = self.sql;
        let stream = self.frame.execute_stream().await.map_err(|error| QueryError::of_engine(error, &sql))?;
        Ok(stream.map_err(move |error| QueryError::of_engine(error, &sql)).boxed())
    }

    /// Runs the query and keeps all its rows in memory.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, QueryError> {
        self.stream().await?.try_collect().await
    }

    /// Runs the query and writes its rows as they come. Gives their number.
    pub async fn write(
        self,
        format: Format,
        style: &TableStyle,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, QueryError> {
        let plan = self.is_plan();
        let mut writer = format::writer(format, style, plan, &self.schema(), out)?;
        let mut stream = self.stream().await?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            writer.batch(&batch)?;
        }
        writer.finish()?;
        Ok(rows)
    }
}
