//! A table's definition in its log: made when the table is missing, extended when columns are new.
//!
//! A newer program may add columns that may be absent, at the end or in nested structs; anything else
//! is refused with the column's name. A table with columns that this program does not know was written by
//! a newer one: they stay, and are absent in new rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow as _, TryIntoKernel as _};
use deltalake::kernel::{StructField, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::table::state::DeltaTableState;
use dmarcflow_schemas::tables::{PARTITION, Table};

use crate::error::{During, LakeError};
use crate::layout::statistics_columns;
use crate::options::Options;
use crate::store::Place;

/// Other programs that may define the same table at the same time before this one gives up.
const ATTEMPTS: usize = 5;

/// The table's state, after it was made or extended where that was needed.
pub(crate) async fn define(
    table: &Table,
    place: &Place,
    options: &Options,
) -> Result<DeltaTableState, LakeError> {
    let mut outcome = attempt(table, place, options).await;
    for _ in 1..ATTEMPTS {
        // Two programs that make or extend a table at once: the second finds what the first did.
        let Err(LakeError::Damaged { .. }) = &outcome else { break };
        outcome = attempt(table, place, options).await;
    }
    outcome
}

async fn attempt(table: &Table, place: &Place, options: &Options) -> Result<DeltaTableState, LakeError> {
    let opening = During { table: table.name, what: "opening it" };
    let mut delta = DeltaTable::new(Arc::clone(&place.log));
    let exists = delta.verify_deltatable_existence().await.map_err(|e| opening.error(e))?;
    if !exists {
        delta = create(table, place, options).await?;
    } else {
        delta.load().await.map_err(|e| opening.error(e))?;
        let missing = missing(table, delta.snapshot().map_err(|e| opening.error(e))?)?;
        if !missing.is_empty() {
            let extending = During { table: table.name, what: "adding new columns to it" };
            tracing::info!(table = table.name, columns = missing.len(), "adding new columns");
            delta = delta.add_columns().with_fields(missing).await.map_err(|e| extending.error(e))?;
        }
    }
    delta.snapshot().cloned().map_err(|e| opening.error(e))
}

async fn create(table: &Table, place: &Place, options: &Options) -> Result<DeltaTable, LakeError> {
    let creating = During { table: table.name, what: "making it" };
    let schema: StructType = table.schema().as_ref().try_into_kernel().map_err(|e| creating.rows(e))?;
    CreateBuilder::new()
        .with_log_store(Arc::clone(&place.log))
        .with_table_name(table.name)
        .with_comment(table.row)
        .with_columns(schema.fields().cloned())
        .with_partition_columns([PARTITION])
        .with_configuration(configuration(table, options))
        .with_save_mode(SaveMode::Ignore)
        .await
        .map_err(|e| creating.error(e))
}

fn configuration(table: &Table, options: &Options) -> Vec<(&'static str, Option<String>)> {
    let seconds = |duration: std::time::Duration| Some(format!("interval {} seconds", duration.as_secs()));
    vec![
        ("delta.checkpointInterval", Some(options.checkpoint_every.max(1).to_string())),
        ("delta.logRetentionDuration", seconds(options.keep_log)),
        ("delta.deletedFileRetentionDuration", seconds(options.keep_removed)),
        ("delta.dataSkippingStatsColumns", Some(statistics_columns(table).collect::<Vec<_>>().join(","))),
    ]
}

/// The columns that the stored table lacks, when that is the only difference.
fn missing(table: &Table, state: &DeltaTableState) -> Result<Vec<StructField>, LakeError> {
    let refused = |column: &str, problem: String, remedy| {
        Err(LakeError::Schema { table: table.name.to_owned(), column: column.to_owned(), problem, remedy })
    };
    let opening = During { table: table.name, what: "reading its definition" };
    let partitions = state.metadata().partition_columns();
    if partitions.iter().map(String::as_str).ne([PARTITION]) {
        let problem = format!("is not what the table is partitioned by; it is by {partitions:?}");
        return refused(PARTITION, problem, OTHER_LAKE);
    }
    let stored: Schema = state.schema().as_ref().try_into_arrow().map_err(|e| opening.error(e))?;
    let ours = table.schema();
    if let Some(unknown) =
        stored.fields().iter().find(|f| !f.is_nullable() && ours.field_with_name(f.name()).is_err())
    {
        return refused(
            unknown.name(),
            "is required and not known to this program".to_owned(),
            NEWER_PROGRAM,
        );
    }
    let mut missing = Vec::new();
    for field in ours.fields() {
        let difference = match stored.field_with_name(field.name()) {
            Ok(found) => compare(found, field),
            Err(_) if field.is_nullable() => Ok(true),
            Err(_) => Err("is missing, and required".to_owned()),
        };
        match difference {
            Ok(false) => {}
            Ok(true) => missing.push(field.as_ref().try_into_kernel().map_err(|e| opening.rows(e))?),
            Err(problem) => return refused(field.name(), problem, OTHER_LAKE),
        }
    }
    Ok(missing)
}

const OTHER_LAKE: &str = "use another --data folder or lake, and replay into it";
const NEWER_PROGRAM: &str = "use the newer program that wrote the table";

/// Whether `ours` has nested columns that `stored` lacks; an error when they differ otherwise.
fn compare(stored: &Field, ours: &Field) -> Result<bool, String> {
    if ours.is_nullable() && !stored.is_nullable() {
        return Err("may be absent now, but was required when the table was made".to_owned());
    }
    compare_types(stored.data_type(), ours.data_type())
}

fn compare_types(stored: &DataType, ours: &DataType) -> Result<bool, String> {
    match (stored, ours) {
        (DataType::List(stored), DataType::List(ours)) => compare_types(stored.data_type(), ours.data_type()),
        (DataType::Struct(stored), DataType::Struct(ours)) => compare_structs(stored, ours),
        (stored, ours) if stored == ours => Ok(false),
        (stored, ours) => Err(format!("is {stored}, this program writes {ours}")),
    }
}

fn compare_structs(stored: &Fields, ours: &Fields) -> Result<bool, String> {
    let mut more = false;
    for field in ours {
        more |= match stored.iter().find(|found| found.name() == field.name()) {
            Some(found) => compare(found, field)?,
            None if field.is_nullable() => true,
            None => return Err(format!("lacks the required `{}`", field.name())),
        };
    }
    Ok(more)
}
