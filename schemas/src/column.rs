//! A column, described once: name, type, unit, meaning and source.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

/// The types that columns have. Few on purpose: every reader of Parquet and Delta
/// Lake has each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Utf8,
    Bool,
    Int32,
    Int64,
    Float64,
    /// A UTC calendar day.
    Date,
    /// An instant, UTC, in microseconds.
    Timestamp,
    /// Sixteen bytes: a 128-bit hash. In messages only; tables show it as hex text.
    Hash,
    /// A list of text.
    TextList,
    /// A list of structs with these columns.
    StructList(&'static [Column]),
}

impl Type {
    /// The Arrow type.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Utf8 => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Hash => DataType::FixedSizeBinary(16),
            Self::TextList => DataType::List(list_item(DataType::Utf8)),
            Self::StructList(columns) => DataType::List(list_item(DataType::Struct(fields(*columns)))),
        }
    }

    /// How the type is written in documentation.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Date => "date",
            Self::Timestamp => "timestamp (UTC)",
            Self::Hash => "hash (16 bytes)",
            Self::TextList => "list of text",
            Self::StructList(_) => "list of struct",
        }
    }
}

/// A column of a table or of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub r#type: Type,
    /// Whether a value may be absent. Absent is never the same as empty or `none`.
    pub nullable: bool,
    /// The unit of the value (`messages`, `rows`, `bytes`, `seconds`), or empty.
    pub unit: &'static str,
    /// What the value says, in a sentence.
    pub meaning: &'static str,
    /// Where the definition comes from: an RFC section, or `dmarcflow`.
    pub source: &'static str,
}

impl Column {
    /// A column whose value is always there.
    pub const fn required(
        name: &'static str,
        r#type: Type,
        meaning: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, r#type, nullable: false, unit: "", meaning, source }
    }

    /// A column whose value may be absent.
    pub const fn optional(
        name: &'static str,
        r#type: Type,
        meaning: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, r#type, nullable: true, unit: "", meaning, source }
    }

    /// The same column with its unit.
    pub const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The Arrow field.
    pub fn field(&self) -> Field {
        Field::new(self.name, self.r#type.arrow(), self.nullable)
    }
}

/// Arrow fields of some columns, in order.
pub fn fields<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Fields {
    columns.into_iter().map(Column::field).collect()
}

/// The item of every list: named `element`, as Parquet and Delta Lake name it.
pub fn list_item(item: DataType) -> FieldRef {
    Arc::new(Field::new("element", item, false))
}
