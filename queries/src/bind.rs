//! Values of parameters: read as the type that the header declares, and bound to the parsed
//! statement's placeholders. A value never becomes part of a SQL text.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use arrow::datatypes::IntervalMonthDayNano;
use chrono::NaiveDate;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Statement as Sql, Value, visit_expressions_mut,
};

use crate::error::{QueryError, closest};
use crate::header::{Header, ParameterType};

/// Parameters as given: name and text. An empty text is no value: SQL's NULL.
pub type Params = BTreeMap<String, String>;

const NEWEST: &str = "newest";

/// The longest span of days.
const MOST_DAYS: i32 = 36_525;
const DAYS: &str = "a number of days, at most 36525";

/// The values of a statement's parameters, not yet of their types.
#[derive(Debug)]
pub(crate) struct Values(BTreeMap<String, (ParameterType, Option<String>)>);

impl Values {
    /// What is given, and the header's defaults for what is not. A parameter that no header declares has
    /// the type that its value looks like.
    pub(crate) fn new(header: &Header, given: &Params) -> Self {
        let mut values = BTreeMap::new();
        for parameter in &header.parameters {
            values.insert(parameter.name.clone(), (parameter.r#type, parameter.default.clone()));
        }
        for (name, value) in given {
            let r#type =
                header.parameter(name).map_or_else(|| looks_like(value), |parameter| parameter.r#type);
            values.insert(
                name.clone(),
                (r#type, Some(value.trim().to_owned()).filter(|text| !text.is_empty())),
            );
        }
        Self(values)
    }

    /// Whether a value depends on the newest day in the data.
    pub(crate) fn need_newest(&self) -> bool {
        self.0.values().any(|(r#type, text)| {
            *r#type == ParameterType::Date && text.as_deref().is_some_and(|text| text.starts_with(NEWEST))
        })
    }

    /// Gives the statement's placeholders their types. Every placeholder must have a value or a default, and
    /// every given value a placeholder.
    pub(crate) fn apply(&self, statement: &mut Statement, given: &Params) -> Result<(), QueryError> {
        let mut used = Vec::new();
        let outcome = inner(statement).map_or(ControlFlow::Continue(()), |sql| {
            visit_expressions_mut(sql, |expr| {
                let Some(name) = placeholder(expr) else { return ControlFlow::Continue(()) };
                let Some((r#type, _)) = self.0.get(&name) else { return ControlFlow::Break(name) };
                cast(expr, *r#type);
                used.push(name);
                ControlFlow::Continue(())
            })
        });
        if let ControlFlow::Break(name) = outcome {
            return Err(QueryError::MissingParameter { name });
        }
        match given.keys().find(|name| !used.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let known = match used.is_empty() {
                    true => "the query takes none".to_owned(),
                    false => {
                        used.sort();
                        used.dedup();
                        format!("the query takes {}", used.join(", "))
                    }
                };
                let suggestion = closest(name, used.iter().map(String::as_str));
                Err(QueryError::UnknownParameter { name: name.clone(), suggestion, known })
            }
        }
    }

    /// The values in their types.
    pub(crate) fn scalars(&self, newest: Option<i32>) -> Result<HashMap<String, ScalarValue>, QueryError> {
        let scalar = |(name, (r#type, text)): (&String, &(ParameterType, Option<String>))| {
            let value =
                scalar(*r#type, text.as_deref(), newest).map_err(|expected| QueryError::Parameter {
                    name: name.clone(),
                    value: text.clone().unwrap_or_default(),
                    expected,
                })?;
            Ok((name.clone(), value))
        };
        self.0.iter().map(scalar).collect()
    }
}

/// The statement that holds the expressions.
fn inner(statement: &mut Statement) -> Option<&mut Sql> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => inner(&mut explain.statement),
        _ => None,
    }
}

fn placeholder(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$').map(str::to_owned),
            _ => None,
        },
        _ => None,
    }
}

/// `$name` becomes `CAST($name AS type)`: the planner needs types before it knows values.
fn cast(expr: &mut Expr, r#type: ParameterType) {
    let data_type = match r#type {
        ParameterType::Text => DataType::Varchar(None),
        ParameterType::Int => DataType::BigInt(None),
        ParameterType::Float => DataType::DoublePrecision,
        ParameterType::Bool => DataType::Boolean,
        ParameterType::Date => DataType::Date,
        ParameterType::Days => DataType::Interval { fields: None, precision: None },
    };
    let inner = std::mem::replace(expr, Expr::value(Value::Null));
    *expr = Expr::Cast { kind: CastKind::Cast, expr: Box::new(inner), data_type, array: false, format: None };
}

fn scalar(
    r#type: ParameterType,
    text: Option<&str>,
    newest: Option<i32>,
) -> Result<ScalarValue, &'static str> {
    Ok(match r#type {
        ParameterType::Text => ScalarValue::Utf8(text.map(str::to_owned)),
        ParameterType::Int => ScalarValue::Int64(parse(text, "a whole number")?),
        ParameterType::Float => ScalarValue::Float64(parse(text, "a number")?),
        ParameterType::Bool => ScalarValue::Boolean(parse(text, "true or false")?),
        ParameterType::Days => ScalarValue::IntervalMonthDayNano(match parse::<i32>(text, DAYS)? {
            None => None,
            Some(days) if (0..=MOST_DAYS).contains(&days) => Some(IntervalMonthDayNano::new(0, days, 0)),
            Some(_) => return Err(DAYS),
        }),
        ParameterType::Date => ScalarValue::Date32(match text {
            None => None,
            Some(text) => {
                date(text, newest).ok_or("a date such as 2026-01-31, nor `newest` or `newest-7`")?
            }
        }),
    })
}

fn parse<T: std::str::FromStr>(
    text: Option<&str>,
    expected: &'static str,
) -> Result<Option<T>, &'static str> {
    text.map(|text| text.parse().map_err(|_| expected)).transpose()
}

/// Days since 1970-01-01; `Some(None)` is the newest day of a lake without any.
fn date(text: &str, newest: Option<i32>) -> Option<Option<i32>> {
    if let Some(rest) = text.strip_prefix(NEWEST) {
        let back = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('-')?.parse().ok().filter(|days: &i32| *days >= 0)?
        };
        return Some(newest.map(|newest| newest.saturating_sub(back)));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok().map(Some)
}

fn looks_like(text: &str) -> ParameterType {
    let text = text.trim();
    if text.parse::<i64>().is_ok() {
        ParameterType::Int
    } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
        ParameterType::Float
    } else if text.parse::<bool>().is_ok() {
        ParameterType::Bool
    } else if date(text, None).is_some() {
        ParameterType::Date
    } else {
        ParameterType::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_their_types() {
        let newest = Some(20_000);
        assert_eq!(
            scalar(ParameterType::Date, Some("newest"), newest),
            Ok(ScalarValue::Date32(Some(20_000)))
        );
        assert_eq!(
            scalar(ParameterType::Date, Some("newest-30"), newest),
            Ok(ScalarValue::Date32(Some(19_970)))
        );
        assert_eq!(
            scalar(ParameterType::Date, Some("1970-01-11"), newest),
            Ok(ScalarValue::Date32(Some(10)))
        );
        assert_eq!(scalar(ParameterType::Date, Some("newest"), None), Ok(ScalarValue::Date32(None)));
        assert!(scalar(ParameterType::Date, Some("newest--3"), newest).is_err());
        assert!(scalar(ParameterType::Date, Some("2026-02-30"), newest).is_err());
        assert!(scalar(ParameterType::Int, Some("3 OR 1=1"), newest).is_err());
        assert_eq!(
            scalar(ParameterType::Text, Some("' OR 1=1"), newest),
            Ok(ScalarValue::Utf8(Some("' OR 1=1".to_owned())))
        );
        let week = ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 7, 0)));
        assert_eq!(scalar(ParameterType::Days, Some("7"), newest), Ok(week));
        assert!(scalar(ParameterType::Days, Some("-7"), newest).is_err());
        assert!(scalar(ParameterType::Days, Some("99999999"), newest).is_err());
        assert_eq!(scalar(ParameterType::Bool, None, newest), Ok(ScalarValue::Boolean(None)));
    }

    #[test]
    fn an_undeclared_value_has_the_type_that_it_looks_like() {
        let types = ["12", "1.5", "true", "2026-01-02", "newest", "NaN", "192.0.2.1"].map(looks_like);
        use ParameterType::{Bool, Date, Float, Int, Text};
        assert_eq!(types, [Int, Float, Bool, Date, Date, Text, Text]);
    }
}
