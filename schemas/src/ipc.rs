//! A message's value: one record batch as an Arrow IPC stream, its schema version in a header.
//!
//! The evolution rule: a version only adds nullable columns. A reader takes from the
//! batch the columns that it knows, by name, and fills those that the writer did not
//! have with nulls; columns that it does not know are left aside. So version N is read
//! by N+1 and N+1 by N.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray, new_null_array};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// Why a value could not be read as the batch that it should be.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    #[error("the value is not an Arrow IPC stream: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the value holds no record batch")]
    Empty,
    #[error("column `{column}` is {found}, expected {expected}")]
    Type { column: String, found: DataType, expected: DataType },
    #[error("required column `{column}` is missing")]
    Missing { column: String },
}

/// A batch as bytes.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, IpcError> {
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut writer = StreamWriter::try_new(&mut bytes, batch.schema_ref())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// The batch in those bytes, in the shape of `schema`.
pub fn decode(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, IpcError> {
    let mut reader = StreamReader::try_new(bytes, None)?;
    let batch = reader.next().ok_or(IpcError::Empty)??;
    conform(batch, schema)
}

/// A batch in the shape of `schema`: known columns by name, missing ones as nulls.
pub fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, IpcError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let rows = batch.num_rows();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => conform_array(column, field),
            None => absent(field, rows),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn conform_array(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, IpcError> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), field.data_type()) {
        (DataType::List(_), DataType::List(item)) => {
            let (_, offsets, values, nulls) = array.as_list::<i32>().clone().into_parts();
            let values = conform_array(&values, item)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = fields
                .iter()
                .map(|field| match array.column_by_name(field.name()) {
                    Some(column) => conform_array(column, field),
                    None => absent(field, array.len()),
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, array.nulls().cloned())?))
        }
        (found, expected) => Err(IpcError::Type {
            column: field.name().clone(),
            found: found.clone(),
            expected: expected.clone(),
        }),
    }
}

fn absent(field: &FieldRef, rows: usize) -> Result<ArrayRef, IpcError> {
    if field.is_nullable() || rows == 0 {
        Ok(new_null_array(field.data_type(), rows))
    } else {
        Err(IpcError::Missing { column: field.name().clone() })
    }
}

/// An Arrow schema behind an `Arc`, from fields.
pub fn schema(fields: impl Into<arrow::datatypes::Fields>) -> SchemaRef {
    Arc::new(Schema::new(fields.into()))
}
