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
    // What the rows take, not their buffers: those of a batch that was read are one, shared by all its columns.
    let size = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default();
    let mut bytes = Vec::with_capacity(batch.columns().iter().map(size).sum::<usize>() + 4096);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Column, Type, fields};
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    const INNER_1: &[Column] = &[Column::required("domain", Type::Utf8, "", "")];
    const INNER_2: &[Column] =
        &[Column::required("domain", Type::Utf8, "", ""), Column::optional("selector", Type::Utf8, "", "")];
    const VERSION_1: &[Column] = &[
        Column::required("name", Type::Utf8, "", ""),
        Column::required("dropped", Type::Int64, "", ""),
        Column::required("dkim", Type::StructList(INNER_1), "", ""),
    ];
    const VERSION_2: &[Column] = &[
        Column::required("dkim", Type::StructList(INNER_2), "", ""),
        Column::required("name", Type::Utf8, "", ""),
        Column::optional("added", Type::Int64, "", ""),
    ];

    fn written_by_version_1() -> Vec<u8> {
        let DataType::List(item) = VERSION_1[2].r#type.arrow() else { panic!("a list") };
        let DataType::Struct(inner) = item.data_type() else { panic!("of structs") };
        let domains: ArrayRef = Arc::new(StringArray::from(vec!["a.example", "b.example", "c.example"]));
        let values = StructArray::new(inner.clone(), vec![domains], None);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 1]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["x", "y"])),
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(ListArray::new(item, offsets, Arc::new(values), None)),
        ];
        encode(&RecordBatch::try_new(schema(fields(VERSION_1)), columns).unwrap()).unwrap()
    }

    #[test]
    fn a_message_of_version_n_is_read_by_n_plus_1_and_the_other_way_round() {
        let wanted = schema(fields(VERSION_2));
        let batch = decode(&written_by_version_1(), &wanted).unwrap();
        assert_eq!(batch.schema(), wanted);
        assert_eq!(batch["name"].as_string::<i32>().value(1), "y");
        assert_eq!(batch["added"].as_primitive::<Int64Type>().null_count(), 2);
        let first = batch["dkim"].as_list::<i32>().value(0);
        assert_eq!(first.as_struct()["domain"].as_string::<i32>().value(1), "b.example");
        assert!(first.as_struct()["selector"].is_null(0));

        let error = decode(&encode(&batch).unwrap(), &schema(fields(VERSION_1))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "required column `dropped` is missing",
            "what a version drops, it must not require"
        );
    }

    #[test]
    fn every_message_reads_what_it_wrote() {
        let schemas = [crate::report::SCHEMA.clone(), crate::report::MARK_SCHEMA.clone()];
        let rollups = crate::rollup::Rollup::ALL.map(crate::rollup::Rollup::schema);
        for schema in schemas.into_iter().chain(rollups) {
            let empty = RecordBatch::new_empty(Arc::clone(&schema));
            assert_eq!(decode(&encode(&empty).unwrap(), &schema).unwrap().schema(), schema);
        }
    }

    #[test]
    fn what_is_no_batch_is_an_error() {
        let schema = crate::report::SCHEMA.clone();
        assert!(matches!(decode(b"rubbish", &schema), Err(IpcError::Arrow(_))));
        let mut cut = written_by_version_1();
        cut.truncate(cut.len() / 2);
        assert!(decode(&cut, &schema).is_err());
    }
}
