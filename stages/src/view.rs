//! A batch's columns by name and type, or a clear fault.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};

use crate::Fault;

/// The column of that name, as the array type that `as_type` gives.
pub(crate) fn column<'a, A>(
    batch: &'a RecordBatch,
    name: &str,
    as_type: impl FnOnce(&'a ArrayRef) -> Option<&'a A>,
) -> Result<&'a A, Fault> {
    batch.column_by_name(name).and_then(as_type).ok_or_else(|| missing(name))
}

/// The child column of that name.
pub(crate) fn child<'a, A>(
    parent: &'a StructArray,
    name: &str,
    as_type: impl FnOnce(&'a ArrayRef) -> Option<&'a A>,
) -> Result<&'a A, Fault> {
    parent.column_by_name(name).and_then(as_type).ok_or_else(|| missing(name))
}

/// The records of a report message: the list, and its values as structs.
pub(crate) fn records(batch: &RecordBatch) -> Result<(&ListArray, &StructArray), Fault> {
    let list = column(batch, "records", |a| a.as_list_opt::<i32>())?;
    let values = list.values().as_struct_opt().ok_or_else(|| missing("records"))?;
    Ok((list, values))
}

/// The text at a place, or none where it is absent.
pub(crate) fn text(array: &arrow::array::StringArray, i: usize) -> Option<&str> {
    (!array.is_null(i)).then(|| array.value(i))
}

fn missing(name: &str) -> Fault {
    Fault::Poison {
        reason: "schema",
        detail: format!("the message has no column `{name}` of the right type"),
    }
}
