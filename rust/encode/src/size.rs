//! How many bytes masked rows are: additive by row, so that it does not matter how they were batched.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Bytes of all columns in the rows `from..from + count`.
pub(crate) fn of_rows(columns: &[ArrayRef], from: usize, count: usize) -> usize {
    columns.iter().map(|column| of(column, from, count)).sum()
}

fn of(column: &dyn Array, from: usize, count: usize) -> usize {
    let between = |offsets: &[i32]| match (offsets.get(from), offsets.get(from + count)) {
        (Some(start), Some(end)) => usize::try_from(end - start).unwrap_or(0),
        _ => 0,
    };
    match column.data_type() {
        DataType::Null => 0,
        DataType::Boolean => count,
        DataType::Utf8 => count * 4 + between(column.as_string::<i32>().value_offsets()),
        DataType::Binary => count * 4 + between(column.as_binary::<i32>().value_offsets()),
        DataType::Utf8View => {
            let lengths = column.as_string_view().lengths().skip(from).take(count);
            count * 16 + lengths.map(|length| length as usize).sum::<usize>()
        }
        DataType::FixedSizeBinary(width) => count * usize::try_from(*width).unwrap_or(0),
        DataType::Dictionary(key, _) => count * key.primitive_width().unwrap_or(0),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let offsets = lists.value_offsets();
            let start = offsets
                .get(from)
                .and_then(|at| usize::try_from(*at).ok())
                .unwrap_or(0);
            count * 4 + of(lists.values(), start, between(offsets))
        }
        other => count * other.primitive_width().unwrap_or(16),
    }
}
