//! What a column of the stream is, and which Arrow field it becomes.

use crate::error::CopyError;
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use serde::Deserialize;
use std::collections::HashMap;

/// Key of Arrow's extension name in a field's metadata.
pub const EXTENSION_NAME: &str = "ARROW:extension:name";
/// Key of Arrow's extension parameters in a field's metadata.
pub const EXTENSION_METADATA: &str = "ARROW:extension:metadata";

/// A column's PostgreSQL type, in so far as its binary form and its Arrow form depend on it.
///
/// `Text` stands for every type whose binary form is its UTF-8 text.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are PostgreSQL's own type names")]
pub enum ColumnType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Decimal128 when 1 ≤ precision ≤ 38 and 0 ≤ scale ≤ precision, PostgreSQL's text otherwise.
    Numeric {
        #[serde(default)]
        precision: Option<i32>,
        #[serde(default)]
        scale: Option<i32>,
    },
    Text,
    Bytea,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    /// Labels in sort order.
    Enum {
        labels: Vec<String>,
    },
    Oid,
    Inet,
    Cidr,
    Macaddr,
    Macaddr8,
    Bit,
    Array {
        element: Box<ColumnType>,
    },
}

/// What happens to an infinite date, timestamp or interval.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Infinity {
    /// It ends the stream: [`CopyError::Unrepresentable`].
    #[default]
    Error,
    /// It becomes NULL and is counted.
    Null,
}

/// One column of the stream to decode.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// The result column's name, for the field and for errors.
    pub name: String,
    /// The PostgreSQL type.
    pub column_type: ColumnType,
    /// Only which rows are NULL is wanted; the values are never built.
    pub presence_only: bool,
}

impl ColumnType {
    /// Precision and scale when the column becomes a decimal128.
    pub(crate) fn decimal(&self) -> Option<(u8, i8)> {
        match self {
            Self::Numeric {
                precision: Some(precision),
                scale,
            } => {
                let precision = u8::try_from(*precision).ok()?;
                let scale = i8::try_from(scale.unwrap_or(0)).ok()?;
                let fits = (1..=38).contains(&precision)
                    && scale >= 0
                    && i16::from(scale) <= i16::from(precision);
                fits.then_some((precision, scale))
            }
            _ => None,
        }
    }

    /// The Arrow field this column becomes before any treatment.
    ///
    /// # Errors
    /// [`CopyError::Plan`] for an array of arrays, which PostgreSQL does not have.
    pub fn field(&self, name: &str) -> Result<Field, CopyError> {
        let field = Field::new(name, self.data_type(name)?, true);
        Ok(match self {
            Self::Uuid => extension(field, "arrow.uuid"),
            Self::Json | Self::Jsonb => extension(field, "arrow.json"),
            _ => field,
        })
    }

    fn data_type(&self, name: &str) -> Result<DataType, CopyError> {
        Ok(match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { .. } => match self.decimal() {
                Some((precision, scale)) => DataType::Decimal128(precision, scale),
                None => DataType::Utf8,
            },
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Enum { .. } => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            Self::Array { element } => DataType::List(element.element_field(name)?.into()),
            Self::Text
            | Self::Timetz
            | Self::Json
            | Self::Jsonb
            | Self::Oid
            | Self::Inet
            | Self::Cidr
            | Self::Macaddr
            | Self::Macaddr8
            | Self::Bit => DataType::Utf8,
        })
    }

    /// The type as an array's element: an enum's labels come as plain text there.
    pub(crate) fn as_element(&self, name: &str) -> Result<Self, CopyError> {
        match self {
            Self::Array { .. } => Err(CopyError::Plan(format!(
                "column {name:?}: an array of arrays is not a PostgreSQL type"
            ))),
            Self::Enum { .. } => Ok(Self::Text),
            other => Ok(other.clone()),
        }
    }

    fn element_field(&self, name: &str) -> Result<Field, CopyError> {
        self.as_element(name)?.field("item")
    }

    /// Whether a few bytes may print as very many characters.
    pub(crate) fn expands(&self) -> bool {
        match self {
            Self::Numeric { .. } => self.decimal().is_none(),
            Self::Bit => true,
            Self::Array { element } => element.expands(),
            _ => false,
        }
    }
}

fn extension(field: Field, name: &str) -> Field {
    field.with_metadata(HashMap::from([
        (EXTENSION_NAME.to_owned(), name.to_owned()),
        (EXTENSION_METADATA.to_owned(), String::new()),
    ]))
}
