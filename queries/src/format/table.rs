//! A table for people: aligned by the width that characters take on a terminal, numbers to the right.
//!
//! Widths are taken from the first rows; the rest follows as it comes. A single row that is too wide
//! is written as one line a column. Only on a terminal is anything cut: long values end in `…`, and columns that
//! do not fit at all are counted below the table. Control characters, which reports may hold, are shown, never sent.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float64Type, SchemaRef};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cells::Cells;
use super::{AnswerWriter, TableStyle};
use crate::error::QueryError;

/// Rows that the widths are taken from.
const SAMPLE_ROWS: usize = 1000;
/// Width beyond which a single row is written as lines, when it does not go to a terminal.
const WIDE: usize = 120;
/// No column is cut to less than this.
const LEAST_WIDTH: usize = 8;
/// Between columns.
const GAP: usize = 2;

/// See the module.
pub(super) struct Table<'a> {
    out: &'a mut (dyn Write + Send),
    columns: Vec<Column>,
    width: Option<usize>,
    /// Rows that wait for the widths; absent once those are fixed.
    sample: Option<Vec<Vec<String>>>,
    rows: u64,
}

struct Column {
    name: String,
    right: bool,
    kind: Kind,
    width: usize,
    shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number of things: digits in groups.
    Quantity,
    /// A share: two decimals.
    Percent,
    Other,
}

impl<'a> Table<'a> {
    pub(super) fn new(schema: &SchemaRef, style: &TableStyle, out: &'a mut (dyn Write + Send)) -> Self {
        let columns = schema.fields().iter().map(column).collect();
        Self { out, columns, width: style.width, sample: Some(Vec::new()), rows: 0 }
    }

    /// Fixes the widths and writes the head and the rows that waited.
    fn start(&mut self) -> Result<(), QueryError> {
        let Some(sample) = self.sample.take() else { return Ok(()) };
        for column in &mut self.columns {
            column.width = column.name.width();
        }
        for row in &sample {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(cell.width());
            }
        }
        if let Some(width) = self.width {
            fit(&mut self.columns, width);
        }
        let mut text = String::new();
        self.line(&mut text, |column| column.name.clone());
        self.line(&mut text, |column| "-".repeat(column.width));
        self.out.write_all(text.as_bytes())?;
        self.rows(&sample)
    }

    fn line(&self, text: &mut String, cell: impl Fn(&Column) -> String) {
        let cells: Vec<_> = self.columns.iter().map(cell).collect();
        draw(&self.columns, self.width.is_some(), &cells, text);
    }

    fn rows(&mut self, rows: &[Vec<String>]) -> Result<(), QueryError> {
        let mut text = String::new();
        for row in rows {
            draw(&self.columns, self.width.is_some(), row, &mut text);
        }
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// The only row, a line a column, if it is too wide for one line.
    fn single(&mut self) -> Result<bool, QueryError> {
        let Some([row]) = self.sample.as_deref() else { return Ok(false) };
        let columns = || self.columns.iter().zip(row);
        let wide: usize = columns().map(|(column, cell)| column.name.width().max(cell.width()) + GAP).sum();
        if wide.saturating_sub(GAP) <= self.width.unwrap_or(WIDE) {
            return Ok(false);
        }
        let names = self.columns.iter().map(|column| column.name.width()).max().unwrap_or(0);
        let mut text = String::new();
        for (column, cell) in columns() {
            pad(&mut text, &column.name, names, false);
            let room =
                self.width.map_or(usize::MAX, |width| width.saturating_sub(names + GAP).max(LEAST_WIDTH));
            text.extend([&" ".repeat(GAP), &*cut(cell, room), "\n"]);
        }
        self.out.write_all(text.as_bytes())?;
        Ok(true)
    }
}

impl AnswerWriter for Table<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let rows = texts(&self.columns, batch)?;
        self.rows += rows.len() as u64;
        match &mut self.sample {
            Some(sample) => {
                sample.extend(rows);
                if sample.len() >= SAMPLE_ROWS {
                    self.start()?;
                }
                Ok(())
            }
            None => self.rows(&rows),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), QueryError> {
        if !self.single()? {
            self.start()?;
        }
        let hidden = self.columns.iter().filter(|column| !column.shown).count();
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let mut text = format!("({} row{}", group(&self.rows.to_string()), plural(self.rows));
        if hidden > 0 {
            let _ = write!(text, "; {hidden} more column{} do not fit", plural(hidden as u64));
        }
        writeln!(self.out, "{text})")?;
        Ok(self.out.flush()?)
    }
}

fn column(field: &FieldRef) -> Column {
    let right = field.data_type().is_numeric();
    let kind = match field.data_type() {
        DataType::Float64 if field.name().ends_with("percent") => Kind::Percent,
        kind if kind.is_integer() && counts(field.name()) => Kind::Quantity,
        _ => Kind::Other,
    };
    Column { name: visible(field.name()), right, kind, width: 0, shown: true }
}

/// Whether a column of that name counts something, rather than number or identify it.
fn counts(name: &str) -> bool {
    const COUNTED: &[&str] = &[
        "messages",
        "reports",
        "records",
        "rows",
        "copies",
        "repairs",
        "sources",
        "days",
        "bytes",
        "size",
        "domains",
        "reporters",
        "addresses",
        "duplicates",
        "count",
    ];
    let last = name.rsplit('_').next().unwrap_or(name);
    COUNTED.contains(&last) || name.starts_with("count(") || name.starts_with("sum(")
}

/// The batch's rows as text.
fn texts(columns: &[Column], batch: &RecordBatch) -> Result<Vec<Vec<String>>, QueryError> {
    let schema = batch.schema();
    let mut rows = vec![Vec::with_capacity(columns.len()); batch.num_rows()];
    for ((column, field), array) in columns.iter().zip(schema.fields()).zip(batch.columns()) {
        let percents = array.as_primitive_opt::<Float64Type>().filter(|_| column.kind == Kind::Percent);
        let array: &dyn Array = Arc::as_ref(array);
        let mut cells = Cells::new(field, array)?;
        for (index, row) in rows.iter_mut().enumerate() {
            let mut text = String::new();
            cells.append(index, &mut text)?;
            row.push(match (column.kind, percents) {
                (Kind::Percent, Some(values)) if values.is_valid(index) => {
                    format!("{:.2}", values.value(index))
                }
                (Kind::Quantity, _) => group(&text),
                _ => visible(&text),
            });
        }
    }
    Ok(rows)
}

/// Narrows the widest columns until the table fits; then leaves out columns from the right.
fn fit(columns: &mut [Column], width: usize) {
    let needed = |columns: &[Column]| {
        columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while needed(columns) > width {
        let widest = columns.iter_mut().filter(|column| !column.right && column.width > LEAST_WIDTH);
        match widest.max_by_key(|column| column.width) {
            Some(column) => column.width -= 1,
            None => break,
        }
    }
    let mut used = 0;
    for (index, column) in columns.iter_mut().enumerate() {
        used += column.width + if index > 0 { GAP } else { 0 };
        column.shown = index == 0 || used <= width;
    }
}

fn draw(columns: &[Column], terminal: bool, row: &[String], text: &mut String) {
    let start = text.len();
    for (index, (column, cell)) in columns.iter().zip(row).filter(|(column, _)| column.shown).enumerate() {
        if index > 0 {
            text.push_str(&" ".repeat(GAP));
        }
        let cell = if terminal { cut(cell, column.width) } else { cell.clone() };
        pad(text, &cell, column.width, column.right);
    }
    text.truncate(start + text[start..].trim_end_matches(' ').len());
    text.push('\n');
}

fn pad(text: &mut String, cell: &str, width: usize, right: bool) {
    let blanks = " ".repeat(width.saturating_sub(cell.width()));
    text.push_str(if right { &blanks } else { cell });
    text.push_str(if right { cell } else { &blanks });
}

/// The text, if it fits; else what fits of it, and `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0);
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used >= width {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

/// Characters that would move the cursor, colour the screen or turn the direction of text, as escapes.
fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A whole number with its digits in groups of three.
fn group(number: &str) -> String {
    let digits = number.trim_start_matches('-');
    let mut grouped = String::with_capacity(number.len() + digits.len() / 3);
    grouped.push_str(&number[..number.len() - digits.len()]);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_and_long_text_is_cut_by_width() {
        assert_eq!(
            ["", "7", "-999", "1000", "-1234567"].map(group),
            ["", "7", "-999", "1,000", "-1,234,567"]
        );
        assert_eq!(cut("日本語のドメイン", 7), "日本語…");
        assert_eq!(cut("example.org", 11), "example.org");
        assert_eq!(cut("example.org", 5), "exam…");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(visible("a\x1b[31mb\nc\u{202e}d"), "a\\u{1b}[31mb\\nc\\u{202e}d");
        assert_eq!(visible("Ümläut 日本"), "Ümläut 日本");
    }
}
