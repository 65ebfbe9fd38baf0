//! The messages of one `COPY … TO STDOUT`, and of what is asked behind it in the same flight, cut
//! anywhere: the bytes of the COPY's rows joined, or found where they lie, every other message whole.
//!
//! It refuses kinds that no COPY has, rows outside of one that has begun and not ended, a row or
//! another message that is longer than its limit (before a byte of it is held), and a length that no
//! message has. A row is not held: what has come of it is given on.

use crate::reader::Reader;
use std::ops::Range;
use thiserror::Error;

/// The kind of a message and its length, which counts itself and not the kind.
const HEAD: usize = 5;
const LENGTH: usize = 4;

/// A message that holds no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its first byte.
    pub kind: u8,
    /// What follows its length.
    pub body: Vec<u8>,
}

/// Where rows lie in an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Whole messages, one behind the other, heads included.
    Messages(Range<usize>),
    /// Bytes of one message.
    Bytes(Range<usize>),
}

/// Why reading cannot go on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// The next row is longer than its limit.
    #[error("a row is longer than its limit")]
    RowTooLong,
    /// What has come is no message, or one that has no place here.
    #[error("the server sent what has no place in a COPY")]
    Unexpected,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing but what the server says before `CopyOutResponse`.
    Before,
    /// `CopyOutResponse` has come.
    Rows,
    /// `CopyDone` or an error has come.
    After,
    /// `ReadyForQuery` has come.
    Ended,
}

/// Begun between two messages, with the query on its way; read to `ReadyForQuery`.
pub struct Messages {
    stage: Stage,
    most_of_a_row: usize,
    most_of_another: usize,
    /// What has come of the message that another piece of input goes on with, its head included.
    begun: Vec<u8>,
    /// Bytes of a row's message that are still to come.
    left: usize,
    failed: Option<MessageError>,
}

impl Messages {
    /// Limits in bytes of one message's body.
    #[must_use]
    pub fn new(most_of_a_row: usize, most_of_another: usize) -> Self {
        Self {
            stage: Stage::Before,
            most_of_a_row,
            most_of_another,
            begun: Vec::new(),
            left: 0,
            failed: None,
        }
    }

    /// Whether `ReadyForQuery` has come.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Appends the rows in `input` to `rows` and the other messages to `others`, in order, and says
    /// how much it read: all of it, unless `ReadyForQuery` came before its end.
    ///
    /// # Errors
    /// As [`MessageError`] says; nothing more is read then, and the error stays.
    pub fn receive(
        &mut self,
        input: &[u8],
        rows: &mut Vec<u8>,
        others: &mut Vec<Message>,
    ) -> Result<usize, MessageError> {
        let mut append = |found| {
            let bytes = match found {
                Rows::Messages(message) => message.start + HEAD..message.end,
                Rows::Bytes(bytes) => bytes,
            };
            rows.extend_from_slice(input.get(bytes).unwrap_or_default());
        };
        self.read(input, &mut append, others)
    }

    /// As [`Messages::receive`], but says where the rows lie, in order, instead of copying them.
    /// `from` is where `input` begins in what the places are counted in.
    ///
    /// # Errors
    /// As [`MessageError`] says; nothing more is read then, and the error stays.
    pub fn find(
        &mut self,
        input: &[u8],
        from: usize,
        rows: &mut Vec<Rows>,
        others: &mut Vec<Message>,
    ) -> Result<usize, MessageError> {
        let behind = |place: Range<usize>| from + place.start..from + place.end;
        let mut note = |found| match (found, rows.last_mut()) {
            (Rows::Messages(next), Some(Rows::Messages(last))) if last.end == from + next.start => {
                last.end = from + next.end;
            }
            (Rows::Messages(place), _) => rows.push(Rows::Messages(behind(place))),
            (Rows::Bytes(place), _) => rows.push(Rows::Bytes(behind(place))),
        };
        self.read(input, &mut note, others)
    }

    /// Why reading could not go on.
    #[must_use]
    pub fn failed(&self) -> Option<MessageError> {
        self.failed
    }

    fn read(
        &mut self,
        input: &[u8],
        rows: &mut impl FnMut(Rows),
        others: &mut Vec<Message>,
    ) -> Result<usize, MessageError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let read = self.read_on(input, rows, others);
        self.failed = read.err();
        read
    }

    fn read_on(
        &mut self,
        input: &[u8],
        rows: &mut impl FnMut(Rows),
        others: &mut Vec<Message>,
    ) -> Result<usize, MessageError> {
        let mut rest = input;
        let size = input.len();
        self.rest_of_a_row(&mut rest, size, rows);
        if !self.begun.is_empty() {
            self.rest_of_a_message(&mut rest, size, rows, others)?;
        }
        while !self.ended() {
            let Some((kind, length)) = head(rest)? else {
                self.begun.extend_from_slice(rest);
                rest = &[];
                break;
            };
            self.allow(kind, length)?;
            let at = size - rest.len();
            let body = rest.get(HEAD..).unwrap_or_default();
            if let Some((body, after)) = body.split_at_checked(length) {
                if kind == b'd' {
                    rows(Rows::Messages(at..at + HEAD + length));
                } else {
                    self.turn(kind);
                    others.push(Message {
                        kind,
                        body: body.to_vec(),
                    });
                }
                rest = after;
            } else {
                if kind == b'd' {
                    self.left = length;
                    rest = body;
                    self.rest_of_a_row(&mut rest, size, rows);
                } else {
                    self.begun.extend_from_slice(rest);
                    rest = &[];
                }
                break;
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok(size - rest.len())
    }

    /// Goes on with a row's message; `rest` is the end of an input of `size` bytes.
    fn rest_of_a_row(&mut self, rest: &mut &[u8], size: usize, rows: &mut impl FnMut(Rows)) {
        let at = size - rest.len();
        let (come, after) = rest.split_at(self.left.min(rest.len()));
        if !come.is_empty() {
            rows(Rows::Bytes(at..at + come.len()));
        }
        self.left -= come.len();
        *rest = after;
    }

    /// Goes on with a message of which a part came with the last input.
    fn rest_of_a_message(
        &mut self,
        rest: &mut &[u8],
        size: usize,
        rows: &mut impl FnMut(Rows),
        others: &mut Vec<Message>,
    ) -> Result<(), MessageError> {
        self.fill(rest, HEAD);
        let Some((kind, length)) = head(&self.begun)? else {
            return Ok(());
        };
        self.allow(kind, length)?;
        if kind == b'd' {
            self.begun.clear();
            self.left = length;
            self.rest_of_a_row(rest, size, rows);
            return Ok(());
        }
        self.fill(rest, HEAD + length);
        if self.begun.len() == HEAD + length {
            self.turn(kind);
            let body = self.begun.get(HEAD..).unwrap_or_default().to_vec();
            self.begun.clear();
            others.push(Message { kind, body });
        }
        Ok(())
    }

    /// Takes from `rest` until `size` bytes of the message are there.
    fn fill(&mut self, rest: &mut &[u8], size: usize) {
        let missing = size.saturating_sub(self.begun.len());
        let (come, after) = rest.split_at(missing.min(rest.len()));
        self.begun.extend_from_slice(come);
        *rest = after;
    }

    fn allow(&self, kind: u8, length: usize) -> Result<(), MessageError> {
        match (kind, self.stage) {
            (b'd', Stage::Rows) if length > self.most_of_a_row => Err(MessageError::RowTooLong),
            (b'd', Stage::Rows) => Ok(()),
            (b'd', _) | (b'c', Stage::Before | Stage::After) | (b'H', Stage::Rows) => {
                Err(MessageError::Unexpected)
            }
            // A row of what was asked behind the COPY.
            (b'D', Stage::Before | Stage::Rows) => Err(MessageError::Unexpected),
            (
                b'1' | b'2' | b'3' | b'c' | b'C' | b'D' | b'E' | b'H' | b'N' | b'S' | b'A' | b'Z',
                _,
            ) if length <= self.most_of_another => Ok(()),
            _ => Err(MessageError::Unexpected),
        }
    }

    fn turn(&mut self, kind: u8) {
        self.stage = match (kind, self.stage) {
            (b'H', Stage::Before) => Stage::Rows,
            (b'c' | b'E', _) => Stage::After,
            (b'Z', _) => Stage::Ended,
            (_, stage) => stage,
        };
    }
}

/// The kind of the message that begins here and the length of its body; `None` if its head is cut.
#[inline]
fn head(bytes: &[u8]) -> Result<Option<(u8, usize)>, MessageError> {
    let mut reader = Reader::new(bytes);
    let (Some([kind]), Some(length)) = (reader.take_array(), reader.i32()) else {
        return Ok(None);
    };
    match usize::try_from(length) {
        Ok(length) if length >= LENGTH => Ok(Some((kind, length - LENGTH))),
        _ => Err(MessageError::Unexpected),
    }
}

/// The body of the row's message at the front of `input` and what follows it; `None` if it is none that
/// lies there whole.
#[inline]
pub(crate) fn row_message(input: &[u8]) -> Option<(&[u8], &[u8])> {
    match head(input) {
        Ok(Some((b'd', length))) => input.get(HEAD..)?.split_at_checked(length),
        _ => None,
    }
}
