//! The values that stand beside a text in its row, whatever array holds them.
//!
//! It refuses types whose values are not written in a text as they are: dates, fractions, JSON.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, StringArray, StringViewArray,
};
use arrow_schema::{DataType, Field};

use crate::MaskError;
use crate::dictionary::is_enum;
use crate::plan::is_json;
use crate::text::is_string;

/// The bytes of a UUID.
const UUID: i32 = 16;

/// Whether a column of this field may be looked for in a text of its row.
pub(crate) fn can_stand_beside(field: &Field) -> bool {
    match field.data_type() {
        DataType::List(item) => {
            !matches!(item.data_type(), DataType::List(_)) && can_stand_beside(item)
        }
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Decimal128(_, 0) => true,
        DataType::FixedSizeBinary(UUID) => true,
        data_type => (is_string(data_type) || is_enum(data_type)) && !is_json(field),
    }
}

/// The columns beside a text, read through [`Beside::of`].
pub(crate) struct Columns(Vec<Column>);

struct Column {
    lists: Option<ListArray>,
    /// The values, or the elements of the lists; no dictionary.
    values: ArrayRef,
}

impl Columns {
    /// The columns that hold something, as they are read.
    pub(crate) fn new(arrays: &[ArrayRef]) -> Result<Self, MaskError> {
        let mut columns = Vec::with_capacity(arrays.len());
        for array in arrays {
            if array.null_count() == array.len() {
                continue;
            }
            let lists: Option<&ListArray> = array.as_list_opt();
            let values = lists.map_or(array, ListArray::values);
            let values = match values.as_any_dictionary_opt() {
                Some(dictionary) => {
                    arrow_select::take::take(dictionary.values(), dictionary.keys(), None)?
                }
                None => Arc::clone(values),
            };
            columns.push(Column {
                lists: lists.cloned(),
                values,
            });
        }
        Ok(Self(columns))
    }

    /// Whether no column holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One column's values, told apart by type once a batch.
enum Values<'a> {
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Decimal(&'a Decimal128Array),
    Uuid(&'a FixedSizeBinaryArray),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, MaskError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string()),
            DataType::Utf8View => Self::TextView(array.as_string_view()),
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::Decimal128(_, 0) => Self::Decimal(array.as_primitive::<Decimal128Type>()),
            DataType::FixedSizeBinary(UUID) => Self::Uuid(array.as_fixed_size_binary()),
            _ => return Err(MaskError::Inconsistent("a column that cannot stand beside")),
        })
    }

    /// The value of row `i` as it is written, and whether it counts as a whole only. `scratch` may
    /// hold it.
    fn get<'s>(&'s self, i: usize, scratch: &'s mut String) -> Option<(&'s str, bool)> {
        use std::fmt::Write;
        scratch.clear();
        let valid = match self {
            Self::Text(array) => array.is_valid(i),
            Self::LargeText(array) => array.is_valid(i),
            Self::TextView(array) => array.is_valid(i),
            Self::Int16(array) => array.is_valid(i),
            Self::Int32(array) => array.is_valid(i),
            Self::Int64(array) => array.is_valid(i),
            Self::Decimal(array) => array.is_valid(i),
            Self::Uuid(array) => array.is_valid(i),
        };
        if !valid {
            return None;
        }
        // Writing to a `String` cannot fail; a sign is no digit.
        let written = match self {
            Self::Text(array) => return Some((array.value(i), false)),
            Self::LargeText(array) => return Some((array.value(i), false)),
            Self::TextView(array) => return Some((array.value(i), false)),
            Self::Int16(array) => write!(scratch, "{}", array.value(i)),
            Self::Int32(array) => write!(scratch, "{}", array.value(i)),
            Self::Int64(array) => write!(scratch, "{}", array.value(i)),
            Self::Decimal(array) => write!(scratch, "{}", array.value(i)),
            Self::Uuid(array) => array
                .value(i)
                .iter()
                .try_for_each(|byte| write!(scratch, "{byte:02x}")),
        };
        written.ok()?;
        Some((scratch, matches!(self, Self::Uuid(_))))
    }
}

/// The values beside each text of one array.
pub(crate) struct Beside<'a> {
    columns: Vec<(Option<&'a ListArray>, Values<'a>)>,
    /// For each text the row it stands in, where texts are the elements of lists.
    rows: Option<&'a [usize]>,
}

impl<'a> Beside<'a> {
    /// Nothing when no column holds anything.
    pub(crate) fn of(
        columns: &'a Columns,
        rows: Option<&'a [usize]>,
    ) -> Result<Option<Self>, MaskError> {
        if columns.is_empty() {
            return Ok(None);
        }
        let read = |column: &'a Column| Ok((column.lists.as_ref(), Values::of(&column.values)?));
        let columns: Result<_, MaskError> = columns.0.iter().map(read).collect();
        Ok(Some(Self {
            columns: columns?,
            rows,
        }))
    }

    /// Calls `take` with each value beside text `i`: its column's position, the value, and whether it
    /// counts as a whole only.
    pub(crate) fn each(
        &self,
        i: usize,
        scratch: &mut String,
        take: &mut dyn FnMut(usize, &str, bool),
    ) {
        let row = self.rows.map_or(Some(i), |rows| rows.get(i).copied());
        let Some(row) = row else { return };
        for (column, (lists, values)) in self.columns.iter().enumerate() {
            let elements = match lists {
                None => row..row + 1,
                Some(lists) if lists.is_valid(row) => {
                    let place = |i: usize| lists.value_offsets().get(i).copied().unwrap_or(0);
                    let place = |i: usize| usize::try_from(place(i)).unwrap_or(0);
                    place(row)..place(row + 1)
                }
                Some(_) => continue,
            };
            for element in elements {
                if let Some((value, whole)) = values.get(element, scratch) {
                    take(column, value, whole);
                }
            }
        }
    }
}

/// For each visible element of these lists the row it stands in.
pub(crate) fn rows_of_elements(array: &ArrayRef) -> Result<Vec<usize>, MaskError> {
    let lists: &ListArray = array
        .as_list_opt()
        .ok_or(MaskError::Inconsistent("a list that is none"))?;
    let mut rows = Vec::new();
    for row in 0..lists.len() {
        if lists.is_valid(row) {
            let length = usize::try_from(lists.value_length(row)).unwrap_or(0);
            rows.resize(rows.len() + length, row);
        }
    }
    Ok(rows)
}
