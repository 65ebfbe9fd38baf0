//! The framing of COPY BINARY: a state machine without I/O that accepts any split of the stream.
//!
//! Rows that lie whole in the bytes at hand are decoded from there; what is left of a row is carried.
//! Rows are first cut into cells, a small batch at a time, then decoded column by column. Where the
//! protocol's messages are at hand too, each of which holds a row, nothing waits for the end of a row
//! to know where the next one begins.

use crate::column::{Cell, Cells, Column, DecodedColumn};
use crate::error::CopyError;
use crate::messages::row_message;
use crate::reader::Reader;
use crate::types::{ColumnPlan, Infinity};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// No field of PostgreSQL's is longer: `MaxAllocSize`.
pub const MAX_CELL: usize = (1 << 30) - 1;
/// The server sends none; a longer header extension is not a COPY stream.
const MAX_EXTENSION: usize = 1 << 16;
/// A batch is handed over when its builders hold this much: masked and encoded, most of it is gone.
const BATCH_BYTES: usize = 4 << 20;
/// Rows cut into cells before they are decoded, and the bytes after which fewer are. Few enough that
/// the nearest cache still holds what was cut when it is decoded.
const MINI_ROWS: usize = 128;
const MINI_BYTES: usize = 1 << 20;
/// The same over the columns that print more than they read (numeric as text).
const MINI_EXPANDING: usize = 64;

/// Why [`Decoder::feed`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input is consumed; the stream goes on.
    More,
    /// The batch is full (by rows or by memory) and another row begins: take it, then feed the rest.
    Full,
    /// The trailer came, and nothing after it.
    Finished,
}

enum State {
    Header,
    Rows,
    Finished,
}

/// COPY BINARY in, decoded columns out.
pub struct Decoder {
    columns: Vec<Column>,
    fields: i16,
    mini_rows: usize,
    state: State,
    carry: Carry,
    /// Bytes of a message that are still to be read.
    message: usize,
    rows: usize,
}

/// What one look at the stream's next unit found.
enum Unit {
    /// A whole row.
    Row,
    Trailer,
    /// The unit does not end before this many bytes.
    Needs(usize),
}

/// The bytes of a unit that is not complete, and how far it has been looked at.
#[derive(Default)]
struct Carry {
    bytes: Vec<u8>,
    /// Fields of the row that lie whole in `bytes`, and where they end.
    fields: usize,
    end: usize,
}

impl Decoder {
    /// A decoder for a stream of these columns.
    ///
    /// # Errors
    /// [`CopyError::Plan`] when a column has a type that PostgreSQL cannot send.
    pub fn new(plans: &[ColumnPlan], infinity: Infinity) -> Result<Self, CopyError> {
        let fields = i16::try_from(plans.len())
            .map_err(|_| CopyError::Plan("a result has at most 1664 columns".to_owned()))?;
        let columns: Result<Vec<_>, _> = plans.iter().map(|p| Column::new(p, infinity)).collect();
        let expanding = plans
            .iter()
            .filter(|p| !p.presence_only && p.column_type.expands())
            .count();
        Ok(Self {
            columns: columns?,
            fields,
            mini_rows: MINI_EXPANDING
                .checked_div(expanding)
                .map_or(MINI_ROWS, |rows| rows.max(1)),
            state: State::Header,
            carry: Carry::default(),
            message: 0,
            rows: 0,
        })
    }

    /// Rows decoded since the last [`Decoder::take`].
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Infinite dates and times that became NULL so far.
    #[must_use]
    pub fn infinities(&self) -> u64 {
        self.columns.iter().map(|column| column.infinities).sum()
    }

    /// Whether the trailer has come.
    #[must_use]
    pub fn finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Decodes from the front of `input` until it is used up, the trailer comes, or the batch holds
    /// `room` rows or [`BATCH_BYTES`] bytes. With `room` reached, `Full` says that another row has
    /// begun.
    ///
    /// # Errors
    /// [`CopyError::Malformed`] and [`CopyError::Unrepresentable`]; the decoder is then unusable.
    pub fn feed(&mut self, input: &mut &[u8], room: usize) -> Result<Progress, CopyError> {
        if matches!(self.state, State::Header) {
            if !self.carry.fill(input, header_end)? {
                return Ok(Progress::More);
            }
            self.carry.forget();
            self.state = State::Rows;
        }
        loop {
            if matches!(self.state, State::Finished) {
                return match input.is_empty() {
                    true => Ok(Progress::Finished),
                    false => Err(CopyError::malformed("bytes follow the COPY trailer")),
                };
            }
            let fields = self.fields;
            if self.rows >= room || self.held() >= BATCH_BYTES {
                if !self.carry.fill(input, |carry| row_begins(carry, fields))? {
                    return Ok(Progress::More);
                }
                match tuple_fields(&mut Reader::new(&self.carry.bytes), fields)? {
                    Some(true) => return Ok(Progress::Full),
                    _ => self.finish(),
                }
            } else if !self.carry.bytes.is_empty() {
                if !self.carry.fill(input, |carry| row_end(carry, fields))? {
                    return Ok(Progress::More);
                }
                let carried = std::mem::take(&mut self.carry.bytes);
                let decoded = self.decode(&mut carried.as_slice(), 1, cut_next);
                self.carry.bytes = carried;
                self.carry.forget();
                decoded?;
            } else if input.is_empty() {
                return Ok(Progress::More);
            } else {
                let most = self.mini_rows.min(room - self.rows);
                if self.decode(input, most, cut_next)? == 0
                    && !matches!(self.state, State::Finished)
                {
                    // A unit that is not whole: from here on it is carried.
                    self.carry.bytes.extend_from_slice(input);
                    *input = &[];
                }
            }
        }
    }

    /// As [`Decoder::feed`], of whole messages: of each the body counts.
    ///
    /// # Errors
    /// As [`Decoder::feed`]; [`CopyError::Malformed`] for what is not such a message.
    pub fn feed_messages(&mut self, input: &mut &[u8], room: usize) -> Result<Progress, CopyError> {
        loop {
            if self.message == 0 {
                let between_rows = matches!(self.state, State::Rows) && self.carry.bytes.is_empty();
                while between_rows && self.rows < room && self.held() < BATCH_BYTES {
                    let most = self.mini_rows.min(room - self.rows);
                    if self.decode(input, most, cut_message)? == 0 {
                        break;
                    }
                }
                if input.is_empty() {
                    return Ok(match self.finished() {
                        true => Progress::Finished,
                        false => Progress::More,
                    });
                }
                // Not one row, or one too many: read as bytes.
                let Some((body, after)) = row_message(input) else {
                    return Err(CopyError::malformed("what is no message of rows"));
                };
                self.message = body.len();
                leave(input, body.len() + after.len());
            }
            let (mut body, after) = input.split_at(self.message.min(input.len()));
            let progress = self.feed(&mut body, room)?;
            self.message = body.len();
            leave(input, body.len() + after.len());
            if progress == Progress::Full {
                return Ok(progress);
            }
        }
    }

    /// Takes the decoded columns; the next batch starts empty.
    ///
    /// # Errors
    /// [`CopyError::Malformed`] when a text is not UTF-8.
    pub fn take(&mut self) -> Result<Vec<DecodedColumn>, CopyError> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::take).collect()
    }

    fn held(&self) -> usize {
        self.columns.iter().map(Column::held).sum()
    }

    fn finish(&mut self) {
        self.carry.forget();
        self.state = State::Finished;
    }

    /// Decodes at most `most` whole rows from the front of `input`, as `cut` finds them there, and says
    /// how many they were.
    #[inline]
    fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
        most: usize,
        cut: impl Fn(&mut &'a [u8], i16, &mut [Cell<'a>]) -> Result<Unit, CopyError>,
    ) -> Result<usize, CopyError> {
        let width = self.columns.len();
        let mut cells: Vec<Cell<'a>> = Vec::with_capacity(most.saturating_mul(width));
        let size = input.len();
        let mut rows = 0;
        while rows < most && size - input.len() < MINI_BYTES {
            let begin = cells.len();
            cells.resize(begin + width, None);
            let places = cells.get_mut(begin..).unwrap_or_default();
            match cut(input, self.fields, places)? {
                Unit::Row => rows += 1,
                Unit::Trailer => {
                    self.finish();
                    break;
                }
                Unit::Needs(_) => break,
            }
        }
        // A row that is not whole left cells behind.
        let whole = cells.get(..rows * width).unwrap_or_default();
        let nulls = whole.iter().any(Option::is_none);
        for (i, column) in self.columns.iter_mut().enumerate() {
            column.append(Cells::new(whole, i, width, nulls))?;
        }
        self.rows += rows;
        Ok(rows)
    }
}

impl Carry {
    /// Takes bytes from `input` until `look` no longer needs more; false when the input ran out.
    fn fill(
        &mut self,
        input: &mut &[u8],
        look: impl Fn(&mut Self) -> Result<Unit, CopyError>,
    ) -> Result<bool, CopyError> {
        loop {
            let Unit::Needs(length) = look(self)? else {
                return Ok(true);
            };
            let missing = length.saturating_sub(self.bytes.len());
            let Some((head, tail)) = input.split_at_checked(missing.min(input.len())) else {
                return Ok(false);
            };
            self.bytes.extend_from_slice(head);
            *input = tail;
            if head.len() < missing {
                return Ok(false);
            }
        }
    }

    /// Empties the carry and overwrites what it held.
    fn forget(&mut self) {
        self.bytes.fill(0);
        std::hint::black_box(&self.bytes);
        self.bytes.clear();
        self.bytes.shrink_to(MINI_BYTES);
        (self.fields, self.end) = (0, 0);
    }
}

impl Drop for Carry {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Signature, flags, and an extension that is skipped.
fn header_end(carry: &mut Carry) -> Result<Unit, CopyError> {
    let mut reader = Reader::new(&carry.bytes);
    let Some(signature) = reader.take_array::<11>() else {
        return match SIGNATURE.starts_with(&carry.bytes) {
            true => Ok(Unit::Needs(11)),
            false => Err(not_a_copy()),
        };
    };
    if &signature != SIGNATURE {
        return Err(not_a_copy());
    }
    let (Some(flags), Some(extension)) = (reader.i32(), reader.i32()) else {
        return Ok(Unit::Needs(19));
    };
    if flags != 0 {
        return Err(CopyError::malformed(
            "the COPY header has flags that are not known",
        ));
    }
    match usize::try_from(extension) {
        Ok(length @ 0..=MAX_EXTENSION) if reader.rest().len() >= length => Ok(Unit::Row),
        Ok(length @ 0..=MAX_EXTENSION) => Ok(Unit::Needs(19 + length)),
        _ => Err(CopyError::malformed(
            "the COPY header has an impossible extension length",
        )),
    }
}

fn not_a_copy() -> CopyError {
    CopyError::malformed("the stream does not begin as COPY BINARY does")
}

/// A tuple's field count: `Some(true)` a row, `Some(false)` the trailer, `None` not enough bytes.
#[inline]
fn tuple_fields(reader: &mut Reader<'_>, fields: i16) -> Result<Option<bool>, CopyError> {
    match reader.i16() {
        None => Ok(None),
        Some(-1) => Ok(Some(false)),
        Some(count) if count == fields => Ok(Some(true)),
        Some(count) => Err(CopyError::malformed(format!(
            "a row has {count} fields where {fields} were promised"
        ))),
    }
}

/// A field's length: `None` for NULL.
#[inline]
fn field_length(length: i32) -> Result<Option<usize>, CopyError> {
    match usize::try_from(length) {
        Ok(length @ 0..=MAX_CELL) => Ok(Some(length)),
        _ if length == -1 => Ok(None),
        _ => Err(CopyError::malformed("a field has an impossible length")),
    }
}

fn row_begins(carry: &mut Carry, fields: i16) -> Result<Unit, CopyError> {
    match tuple_fields(&mut Reader::new(&carry.bytes), fields)? {
        Some(_) => Ok(Unit::Row),
        None => Ok(Unit::Needs(2)),
    }
}

/// Looks at the carried row from where the last look ended: a row of many large cells that comes in
/// many pieces is walked once.
fn row_end(carry: &mut Carry, fields: i16) -> Result<Unit, CopyError> {
    let mut reader = Reader::new(carry.bytes.get(carry.end..).unwrap_or_default());
    if carry.end == 0 {
        match tuple_fields(&mut reader, fields)? {
            None => return Ok(Unit::Needs(2)),
            Some(false) => return Ok(Unit::Trailer),
            Some(true) => carry.end = 2,
        }
    }
    while carry.fields < usize::from(fields.unsigned_abs()) {
        let Some(length) = reader.i32() else {
            return Ok(Unit::Needs(carry.end + 4));
        };
        let length = field_length(length)?.unwrap_or(0);
        // The server builds a row's message in one allocation: a longer row never was one.
        if carry.end + 4 + length > MAX_CELL {
            return Err(CopyError::malformed(
                "a row is longer than the server can send",
            ));
        }
        if reader.take(length).is_none() {
            return Ok(Unit::Needs(carry.end + 4 + length));
        }
        carry.end += 4 + length;
        carry.fields += 1;
    }
    Ok(Unit::Row)
}

/// How much more is needed is worked out by `row_end`, on the carried bytes.
const NOT_WHOLE: Unit = Unit::Needs(0);

/// Cuts what is next in `input` and takes it from there if it is whole.
#[inline]
fn cut_next<'a>(
    input: &mut &'a [u8],
    fields: i16,
    places: &mut [Cell<'a>],
) -> Result<Unit, CopyError> {
    let mut reader = Reader::new(input);
    let unit = cut_row(&mut reader, fields, places)?;
    if !matches!(unit, Unit::Needs(_)) {
        *input = reader.rest();
    }
    Ok(unit)
}

/// Takes from the front of `input` all but its last `rest` bytes.
fn leave(input: &mut &[u8], rest: usize) {
    *input = input.get(input.len() - rest..).unwrap_or_default();
}

/// Cuts the row that is all of the message at the front of `input`, and takes the message from there.
#[inline]
fn cut_message<'a>(
    input: &mut &'a [u8],
    fields: i16,
    places: &mut [Cell<'a>],
) -> Result<Unit, CopyError> {
    let Some((body, after)) = row_message(input) else {
        return Ok(NOT_WHOLE);
    };
    let mut reader = Reader::new(body);
    match cut_row(&mut reader, fields, places)? {
        Unit::Row if reader.is_empty() => {
            *input = after;
            Ok(Unit::Row)
        }
        _ => Ok(NOT_WHOLE),
    }
}

/// Cuts one row into its cells, one for each place.
#[inline]
fn cut_row<'a>(
    reader: &mut Reader<'a>,
    fields: i16,
    places: &mut [Cell<'a>],
) -> Result<Unit, CopyError> {
    match tuple_fields(reader, fields)? {
        None => return Ok(NOT_WHOLE),
        Some(false) => return Ok(Unit::Trailer),
        Some(true) => {}
    }
    for place in places {
        let Some(length) = reader.i32() else {
            return Ok(NOT_WHOLE);
        };
        *place = match field_length(length)? {
            None => None,
            Some(length) => match reader.take(length) {
                None => return Ok(NOT_WHOLE),
                cell => cell,
            },
        };
    }
    Ok(Unit::Row)
}
