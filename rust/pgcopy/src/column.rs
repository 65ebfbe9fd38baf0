//! One column under construction: cells go in by the mini-batch, an Arrow array comes out.

use crate::error::{CopyError, Fault};
use crate::reader::Reader;
use crate::types::{ColumnPlan, ColumnType, Infinity};
use crate::{numeric, print};
use arrow_array::types::{Decimal128Type, Int32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, PrimitiveArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{
    BooleanBuffer, Buffer, IntervalMonthDayNano, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer,
};
use arrow_schema::{ArrowError, Field};
use std::collections::HashMap;
use std::sync::Arc;

/// One field of one row: `None` is NULL.
pub(crate) type Cell<'a> = Option<&'a [u8]>;

/// One column of cells that lie row by row.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'r, 'a> {
    rows: &'r [Cell<'a>],
    column: usize,
    width: usize,
    /// Whether any cell of the rows is NULL.
    nulls: bool,
}

impl<'r, 'a> Cells<'r, 'a> {
    /// Column `column` of whole rows of `width` cells.
    pub(crate) fn new(rows: &'r [Cell<'a>], column: usize, width: usize, nulls: bool) -> Self {
        let width = width.max(1);
        Self {
            rows,
            column,
            width,
            nulls,
        }
    }

    fn len(self) -> usize {
        self.rows.len() / self.width
    }

    #[inline]
    fn iter(self) -> impl Iterator<Item = &'r Cell<'a>> {
        let rows = self.rows.chunks_exact(self.width);
        rows.filter_map(move |row| row.get(self.column))
    }
}

/// How many bytes of printed text (numeric, bit) one column may add in one batch: a few bytes of
/// the stream print as many, and Arrow's offsets end at 2 GiB.
pub(crate) const PRINTED_LIMIT: usize = 256 << 20;
/// A buffer is not handed on with more room than this: one giant cell must not size all that follow.
const KEPT_CAPACITY: usize = 4 << 20;

/// 2000-01-01 counted from 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;

type Print = fn(&[u8], &mut Vec<u8>) -> Result<(), Fault>;

/// Offsets and bytes of a variable-length column.
struct Bytes {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

enum Values {
    Presence,
    Bool(Vec<bool>),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Decimal(Vec<i128>, u8, i8),
    Text(Bytes),
    Printed(Bytes, Print),
    Bytea(Bytes),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>, Option<Arc<str>>),
    Interval(Vec<IntervalMonthDayNano>),
    Uuid(Vec<u8>),
    Enum(Vec<i32>, HashMap<Box<[u8]>, i32>, ArrayRef),
    List(Vec<i32>, Box<Column>, Arc<Field>),
}

/// What a decoded column holds.
#[derive(Clone, Debug)]
pub enum DecodedColumn {
    /// The values, in the type of [`ColumnType::field`].
    Values(ArrayRef),
    /// Which rows hold a value (`None`: all do); the values were not kept.
    Presence(Option<NullBuffer>),
}

/// A column's builder.
pub(crate) struct Column {
    name: String,
    infinity: Infinity,
    values: Values,
    valid: NullBufferBuilder,
    pub(crate) infinities: u64,
}

impl Column {
    pub(crate) fn new(plan: &ColumnPlan, infinity: Infinity) -> Result<Self, CopyError> {
        let values = if plan.presence_only {
            // The plan is checked all the same: a treatment does not make an unknown type known.
            plan.column_type.field(&plan.name)?;
            Values::Presence
        } else {
            Values::new(&plan.name, &plan.column_type, infinity)?
        };
        Ok(Self {
            name: plan.name.clone(),
            infinity,
            values,
            valid: NullBufferBuilder::new(0),
            infinities: 0,
        })
    }

    /// Bytes held by what has been built since the last `take`.
    pub(crate) fn held(&self) -> usize {
        match &self.values {
            Values::Presence => 0,
            Values::Bool(v) => v.len(),
            Values::Int2(v) => v.len() * 2,
            Values::Int4(v) | Values::Date(v) | Values::Enum(v, ..) => v.len() * 4,
            Values::Float4(v) => v.len() * 4,
            Values::Int8(v) | Values::Time(v) | Values::Timestamp(v, _) => v.len() * 8,
            Values::Float8(v) => v.len() * 8,
            Values::Decimal(v, ..) => v.len() * 16,
            Values::Interval(v) => v.len() * 16,
            Values::Text(b) | Values::Printed(b, _) | Values::Bytea(b) => {
                b.bytes.len() + b.offsets.len() * 4
            }
            Values::Uuid(v) => v.len(),
            Values::List(offsets, child, _) => offsets.len() * 4 + child.held(),
        }
    }

    pub(crate) fn append(&mut self, cells: Cells<'_, '_>) -> Result<(), CopyError> {
        self.append_cells(cells)
            .map_err(|fault| fault.at(&self.name))
    }

    fn append_cells(&mut self, cells: Cells<'_, '_>) -> Result<(), Fault> {
        let valid = &mut self.valid;
        let infinities = &mut self.infinities;
        let infinity = self.infinity;
        let appended = match &mut self.values {
            Values::Presence => Ok(()),
            Values::Bool(values) => fixed(cells, values, |byte| match byte {
                [0] => Ok(false),
                [1] => Ok(true),
                _ => Err(Fault::Content),
            }),
            Values::Int2(values) => fixed(cells, values, |b| Ok(i16::from_be_bytes(b))),
            Values::Int4(values) => fixed(cells, values, |b| Ok(i32::from_be_bytes(b))),
            Values::Int8(values) => fixed(cells, values, |b| Ok(i64::from_be_bytes(b))),
            Values::Float4(values) => fixed(cells, values, |b| Ok(f32::from_be_bytes(b))),
            Values::Float8(values) => fixed(cells, values, |b| Ok(f64::from_be_bytes(b))),
            Values::Time(values) => fixed(cells, values, time),
            // An infinite value may become NULL: these say themselves which rows hold one.
            Values::Date(values) => {
                return temporal(cells, values, valid, infinity, infinities, date);
            }
            Values::Timestamp(values, _) => {
                return temporal(cells, values, valid, infinity, infinities, timestamp);
            }
            Values::Interval(values) => {
                return temporal(cells, values, valid, infinity, infinities, interval);
            }
            Values::Decimal(values, precision, scale) => {
                let limit = 10_i128.pow(u32::from(*precision));
                for (value, cell) in room(values, cells.len()).zip(cells.iter()) {
                    if let Some(cell) = cell {
                        *value = numeric::decimal(cell, limit, *scale)?;
                    }
                }
                Ok(())
            }
            // The empty "char" travels as a zero byte; no other text holds one.
            Values::Text(text) => text.extend(cells, |cell| match cell {
                [0] => &[],
                _ => cell,
            }),
            Values::Bytea(text) => text.extend(cells, |cell| cell),
            Values::Printed(text, print) => {
                for cell in cells.iter() {
                    if let Some(cell) = cell {
                        let before = text.bytes.len();
                        print(cell, &mut text.bytes)?;
                        // A long text is one that the server sent; only printing makes more of it.
                        if text.bytes.len() > PRINTED_LIMIT
                            && text.bytes.len() - before > cell.len()
                        {
                            return Err(Fault::Length);
                        }
                    }
                    text.close()?;
                }
                Ok(())
            }
            Values::Uuid(values) => {
                for cell in cells.iter() {
                    match cell {
                        Some(cell) if cell.len() == 16 => values.extend_from_slice(cell),
                        Some(_) => return Err(Fault::Size),
                        None => values.extend_from_slice(&[0; 16]),
                    }
                }
                Ok(())
            }
            Values::Enum(keys, known, _) => {
                for cell in cells.iter() {
                    keys.push(match cell {
                        Some(label) => *known.get(*label).ok_or(Fault::Label)?,
                        None => 0,
                    });
                }
                Ok(())
            }
            Values::List(offsets, child, _) => {
                let mut elements = Vec::new();
                for cell in cells.iter() {
                    elements.clear();
                    if let Some(cell) = cell {
                        array_elements(cell, &mut elements)?;
                        let nulls = elements.iter().any(Option::is_none);
                        child.append_cells(Cells::new(&elements, 0, 1, nulls))?;
                    }
                    let added = i32::try_from(elements.len()).map_err(|_| Fault::Length)?;
                    let last = offsets.last().copied().unwrap_or(0);
                    offsets.push(last.checked_add(added).ok_or(Fault::Length)?);
                }
                *infinities += std::mem::take(&mut child.infinities);
                Ok(())
            }
        };
        appended?;
        match cells.nulls {
            false => valid.append_n_non_nulls(cells.len()),
            true => cells.iter().for_each(|cell| valid.append(cell.is_some())),
        }
        Ok(())
    }

    /// Takes what was built; the builder starts again empty.
    pub(crate) fn take(&mut self) -> Result<DecodedColumn, CopyError> {
        if matches!(self.values, Values::Presence) {
            return Ok(DecodedColumn::Presence(self.valid.finish()));
        }
        self.array().map(DecodedColumn::Values)
    }

    fn array(&mut self) -> Result<ArrayRef, CopyError> {
        let nulls = self.valid.finish();
        // The only array that can be refused here is text that is not UTF-8; Arrow's own message
        // could quote it and is dropped.
        let refused = |_: ArrowError| Fault::Utf8.at(&self.name);
        Ok(match &mut self.values {
            Values::Presence => Arc::new(arrow_array::NullArray::new(0)),
            Values::Bool(values) => {
                let bits = emptied(values).into_iter().collect::<BooleanBuffer>();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Values::Int2(values) => Arc::new(Int16Array::new(taken(values), nulls)),
            Values::Int4(values) => Arc::new(Int32Array::new(taken(values), nulls)),
            Values::Int8(values) => Arc::new(Int64Array::new(taken(values), nulls)),
            Values::Float4(values) => Arc::new(Float32Array::new(taken(values), nulls)),
            Values::Float8(values) => Arc::new(Float64Array::new(taken(values), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(taken(values), nulls)),
            Values::Time(values) => Arc::new(Time64MicrosecondArray::new(taken(values), nulls)),
            Values::Timestamp(values, zone) => Arc::new(
                TimestampMicrosecondArray::new(taken(values), nulls)
                    .with_timezone_opt(zone.clone()),
            ),
            Values::Interval(values) => {
                Arc::new(IntervalMonthDayNanoArray::new(taken(values), nulls))
            }
            Values::Decimal(values, precision, scale) => {
                let array: Decimal128Array =
                    PrimitiveArray::<Decimal128Type>::new(taken(values), nulls);
                Arc::new(
                    array
                        .with_precision_and_scale(*precision, *scale)
                        .map_err(refused)?,
                )
            }
            Values::Text(text) | Values::Printed(text, _) => {
                let (offsets, bytes) = text.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(refused)?)
            }
            Values::Bytea(text) => {
                let (offsets, bytes) = text.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(refused)?)
            }
            Values::Uuid(values) => {
                let bytes = Buffer::from_vec(emptied(values));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls).map_err(refused)?)
            }
            Values::Enum(keys, _, labels) => {
                let keys = PrimitiveArray::<Int32Type>::new(taken(keys), nulls);
                Arc::new(DictionaryArray::try_new(keys, Arc::clone(labels)).map_err(refused)?)
            }
            Values::List(offsets, child, field) => {
                let offsets = taken_offsets(offsets);
                let child = child.array()?;
                Arc::new(
                    ListArray::try_new(Arc::clone(field), offsets, child, nulls)
                        .map_err(refused)?,
                )
            }
        })
    }
}

impl Values {
    fn new(name: &str, column_type: &ColumnType, infinity: Infinity) -> Result<Self, CopyError> {
        Ok(match column_type {
            ColumnType::Bool => Self::Bool(Vec::new()),
            ColumnType::Int2 => Self::Int2(Vec::new()),
            ColumnType::Int4 => Self::Int4(Vec::new()),
            ColumnType::Int8 => Self::Int8(Vec::new()),
            ColumnType::Float4 => Self::Float4(Vec::new()),
            ColumnType::Float8 => Self::Float8(Vec::new()),
            ColumnType::Numeric { .. } => match column_type.decimal() {
                Some((precision, scale)) => Self::Decimal(Vec::new(), precision, scale),
                None => Self::Printed(Bytes::new(), numeric::print),
            },
            ColumnType::Text | ColumnType::Json => Self::Text(Bytes::new()),
            ColumnType::Bytea => Self::Bytea(Bytes::new()),
            ColumnType::Date => Self::Date(Vec::new()),
            ColumnType::Time => Self::Time(Vec::new()),
            ColumnType::Timetz => Self::Printed(Bytes::new(), print::timetz),
            ColumnType::Timestamp => Self::Timestamp(Vec::new(), None),
            ColumnType::Timestamptz => Self::Timestamp(Vec::new(), Some("UTC".into())),
            ColumnType::Interval => Self::Interval(Vec::new()),
            ColumnType::Uuid => Self::Uuid(Vec::new()),
            ColumnType::Jsonb => Self::Printed(Bytes::new(), print::jsonb),
            ColumnType::Enum { labels } => {
                let keys = labels
                    .iter()
                    .zip(0..)
                    .map(|(label, key)| (label.as_bytes().into(), key));
                let array = StringArray::from_iter_values(labels);
                Self::Enum(Vec::new(), keys.collect(), Arc::new(array))
            }
            ColumnType::Oid => Self::Printed(Bytes::new(), print::oid),
            ColumnType::Inet | ColumnType::Cidr => Self::Printed(Bytes::new(), print::network),
            ColumnType::Macaddr => Self::Printed(Bytes::new(), print::macaddr::<6>),
            ColumnType::Macaddr8 => Self::Printed(Bytes::new(), print::macaddr::<8>),
            ColumnType::Bit => Self::Printed(Bytes::new(), print::bits),
            ColumnType::Array { element } => {
                let plan = ColumnPlan {
                    name: name.to_owned(),
                    column_type: element.as_element(name)?,
                    presence_only: false,
                };
                let field = Arc::new(plan.column_type.field("item")?);
                Self::List(vec![0], Box::new(Column::new(&plan, infinity)?), field)
            }
        })
    }
}

impl Bytes {
    fn new() -> Self {
        Self {
            offsets: vec![0],
            bytes: Vec::new(),
        }
    }

    /// Ends the current value.
    #[inline]
    fn close(&mut self) -> Result<(), Fault> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| Fault::Length)?;
        self.offsets.push(end);
        Ok(())
    }

    /// Appends what `text` makes of each cell, nothing for NULL.
    #[inline]
    fn extend(
        &mut self,
        cells: Cells<'_, '_>,
        text: impl for<'a> Fn(&'a [u8]) -> &'a [u8],
    ) -> Result<(), Fault> {
        for (end, cell) in room(&mut self.offsets, cells.len()).zip(cells.iter()) {
            if let Some(cell) = cell {
                self.bytes.extend_from_slice(text(cell));
            }
            *end = i32::try_from(self.bytes.len()).map_err(|_| Fault::Length)?;
        }
        Ok(())
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        (
            taken_offsets(&mut self.offsets),
            Buffer::from_vec(emptied(&mut self.bytes)),
        )
    }
}

/// Takes the vector, leaves one with as much room as was used.
fn emptied<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len().min(KEPT_CAPACITY / size_of::<T>().max(1));
    std::mem::replace(values, Vec::with_capacity(room))
}

fn taken<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(emptied(values))
}

/// Offsets only ever grow from zero: each is the last plus a length.
fn taken_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let full = taken(offsets);
    offsets.push(0);
    OffsetBuffer::new(full)
}

/// Places for `count` more values, each of which is the default until it is written.
#[inline]
fn room<T: Clone + Default>(values: &mut Vec<T>, count: usize) -> std::slice::IterMut<'_, T> {
    let begin = values.len();
    values.resize(begin + count, T::default());
    values.get_mut(begin..).unwrap_or_default().iter_mut()
}

#[inline]
fn fixed<const N: usize, T: Clone + Default>(
    cells: Cells<'_, '_>,
    values: &mut Vec<T>,
    read: impl Fn([u8; N]) -> Result<T, Fault>,
) -> Result<(), Fault> {
    for (value, cell) in room(values, cells.len()).zip(cells.iter()) {
        if let Some(bytes) = cell {
            *value = read((*bytes).try_into().map_err(|_| Fault::Size)?)?;
        }
    }
    Ok(())
}

/// As `fixed`, for types that may be infinite.
#[inline]
fn temporal<const N: usize, T: Clone + Default>(
    cells: Cells<'_, '_>,
    values: &mut Vec<T>,
    valid: &mut NullBufferBuilder,
    infinity: Infinity,
    infinities: &mut u64,
    read: impl Fn([u8; N]) -> Result<T, Fault>,
) -> Result<(), Fault> {
    // Rows before this one that `valid` does not know yet: all of them hold a value.
    let mut present = 0;
    for (value, cell) in room(values, cells.len()).zip(cells.iter()) {
        if let Some(bytes) = cell {
            match read((*bytes).try_into().map_err(|_| Fault::Size)?) {
                Ok(read) => {
                    *value = read;
                    present += 1;
                    continue;
                }
                Err(Fault::Infinite) if infinity == Infinity::Null => *infinities += 1,
                Err(fault) => return Err(fault),
            }
        }
        valid.append_n_non_nulls(std::mem::take(&mut present));
        valid.append_null();
    }
    valid.append_n_non_nulls(present);
    Ok(())
}

fn date(bytes: [u8; 4]) -> Result<i32, Fault> {
    match i32::from_be_bytes(bytes) {
        i32::MAX | i32::MIN => Err(Fault::Infinite),
        days => days.checked_add(EPOCH_DAYS).ok_or(Fault::Range),
    }
}

fn time(bytes: [u8; 8]) -> Result<i64, Fault> {
    match i64::from_be_bytes(bytes) {
        DAY_US => Err(Fault::Midnight),
        us @ 0..DAY_US => Ok(us),
        _ => Err(Fault::Content),
    }
}

fn timestamp(bytes: [u8; 8]) -> Result<i64, Fault> {
    match i64::from_be_bytes(bytes) {
        i64::MAX | i64::MIN => Err(Fault::Infinite),
        us => us.checked_add(EPOCH_US).ok_or(Fault::Range),
    }
}

fn interval(bytes: [u8; 16]) -> Result<IntervalMonthDayNano, Fault> {
    let mut reader = Reader::new(&bytes);
    let us = reader.take_array().map(i64::from_be_bytes);
    let (Some(us), Some(days), Some(months)) = (us, reader.i32(), reader.i32()) else {
        return Err(Fault::Size);
    };
    match (months, days, us) {
        (i32::MAX, i32::MAX, i64::MAX) | (i32::MIN, i32::MIN, i64::MIN) => Err(Fault::Infinite),
        _ => {
            let nanos = us.checked_mul(1000).ok_or(Fault::Range)?;
            Ok(IntervalMonthDayNano::new(months, days, nanos))
        }
    }
}

/// The elements of `array_send`'s form: dimensions, has-null flag, element type, then per dimension
/// its length and lower bound, then the elements.
fn array_elements<'a>(cell: &'a [u8], elements: &mut Vec<Cell<'a>>) -> Result<(), Fault> {
    let mut reader = Reader::new(cell);
    let (Some(dimensions), Some(flags), Some(_element_oid)) =
        (reader.i32(), reader.i32(), reader.i32())
    else {
        return Err(Fault::Size);
    };
    match (dimensions, flags) {
        (0, 0 | 1) => {}
        (1, 0 | 1) => {
            let (Some(length), Some(_lower_bound)) = (reader.i32(), reader.i32()) else {
                return Err(Fault::Size);
            };
            let length = usize::try_from(length).map_err(|_| Fault::Content)?;
            if length > reader.rest().len() / 4 {
                return Err(Fault::Size);
            }
            elements.reserve(length);
            for _ in 0..length {
                elements.push(match reader.i32().ok_or(Fault::Size)? {
                    -1 if flags == 1 => None,
                    size => {
                        let size = usize::try_from(size).map_err(|_| Fault::Content)?;
                        Some(reader.take(size).ok_or(Fault::Size)?)
                    }
                });
            }
        }
        (2..=6, 0 | 1) => return Err(Fault::Dimensions),
        _ => return Err(Fault::Content),
    }
    if reader.is_empty() {
        Ok(())
    } else {
        Err(Fault::Size)
    }
}
