//! `CopyReader`: the rows of a COPY read from their socket by a thread that Python knows nothing of.
//!
//! It sleeps between two reads, for the server writes a few rows at a time and wakes whoever waits at
//! each of its writes; and it gives on many rows at once, for who takes them is faster and would be
//! woken by each few. It refuses to read far ahead of who takes the rows.

use crate::errors::KernelError;
use crate::messages::{CopyMessages, Others, lock, objects};
use crate::socket;
use pgcopy::{Message, MessageError, Messages, Rows};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes of a piece, of one that is given on while more come, and of all that may wait to be taken: as
/// much as comes while a chunk is filled, hashed and handed over, or the server would wait meanwhile.
/// When so many wait, no more are read until there are few.
const MOST_AT_ONCE: usize = 1 << 18;
const WORTH_GIVING: usize = 1 << 17;
const MOST_WAITING: usize = 4 << 20;
const FEW_WAITING: usize = 1 << 20;
/// Pieces that are taken at once: theirs is memory beside that of those that wait.
const MOST_TAKEN: usize = 4;
/// Between two reads. The pause grows while little comes in it and shrinks while much comes: the server
/// must not wait because its half of a local socket is full.
const PAUSES: [Duration; 2] = [Duration::from_micros(60), Duration::from_micros(960)];
const LITTLE: usize = 64 << 10;
const MUCH: usize = 144 << 10;
/// How long a read waits until it looks whether it is to stop, and what has come is given on.
const PATIENCE: Duration = Duration::from_millis(20);

/// What came from the socket, and where in it there are rows.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    filled: usize,
    rows: Vec<Rows>,
}

/// Rows in a piece.
pub(crate) enum Found<'a> {
    /// Whole messages.
    Messages(&'a [u8]),
    /// Bytes of a message.
    Bytes(&'a [u8]),
}

impl Piece {
    fn new() -> Self {
        Self {
            bytes: vec![0; MOST_AT_ONCE],
            filled: 0,
            rows: Vec::new(),
        }
    }

    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Finds the rows in the `size` bytes that have come into its room; what follows the end is left.
    fn take_in(
        &mut self,
        size: usize,
        messages: &mut Messages,
        left: &mut Left,
    ) -> Result<(), MessageError> {
        let from = self.filled;
        self.filled = self.bytes.len().min(from + size);
        let come = self.bytes.get(from..self.filled).unwrap_or_default();
        let read = messages.find(come, from, &mut self.rows, &mut left.others)?;
        left.rest
            .extend_from_slice(come.get(read..).unwrap_or_default());
        Ok(())
    }

    /// The rows, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Found<'_>> {
        let bytes = |place: &Range<usize>| self.bytes.get(place.clone()).unwrap_or_default();
        self.rows.iter().map(move |rows| match rows {
            Rows::Messages(place) => Found::Messages(bytes(place)),
            Rows::Bytes(place) => Found::Bytes(bytes(place)),
        })
    }
}

/// What the two threads share.
#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    size: usize,
    /// Pieces that were taken and can be filled again.
    spare: Vec<Piece>,
    stopped: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that no more will come, also when the thread panics.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// What the thread leaves behind.
#[derive(Default)]
struct Left {
    others: Vec<Message>,
    /// What came after ReadyForQuery.
    rest: Vec<u8>,
    /// There is nobody at the other end.
    lost: bool,
    unexpected: Option<MessageError>,
}

/// See `_kernel.pyi`.
#[pyclass(module = "gateway._kernel", frozen)]
pub struct CopyReader {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Left>>>,
}

#[pymethods]
impl CopyReader {
    #[new]
    fn new(socket: i32, messages: &CopyMessages) -> PyResult<Self> {
        let stream = socket::taken(socket)?;
        let shared = Arc::new(Shared::default());
        let (ours, messages) = (Arc::clone(&shared), messages.shared());
        let thread = thread::Builder::new()
            .name("copy".to_owned())
            .spawn(move || {
                let ending = Ending(ours);
                read_on(stream, &messages, &ending.0)
            })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    fn join<'py>(&self, py: Python<'py>) -> PyResult<(Others<'py>, Bound<'py, PyBytes>, bool)> {
        self.stop();
        let left = py.detach(|| {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.take().and_then(|thread| thread.join().ok())
        });
        let left = left.ok_or_else(|| {
            KernelError::Internal("the reader failed, or was joined before".to_owned())
        })?;
        match left.unexpected {
            Some(error) => Err(KernelError::UpstreamFailed(error.to_string()).into()),
            None => Ok((
                objects(py, left.others),
                PyBytes::new(py, &left.rest),
                left.lost,
            )),
        }
    }
}

impl CopyReader {
    /// Waits for pieces and takes some, for `used` ones; none when no more will come, or it was
    /// stopped.
    pub(crate) fn take(&self, used: &mut Vec<Piece>) -> Vec<Piece> {
        let mut waiting = self.shared.lock();
        waiting.spare.append(used);
        while waiting.pieces.is_empty() && !waiting.ended && !waiting.stopped {
            waiting = self
                .shared
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.stopped {
            return Vec::new();
        }
        let some = MOST_TAKEN.min(waiting.pieces.len());
        let taken: Vec<Piece> = waiting.pieces.drain(..some).collect();
        let size: usize = taken.iter().map(|piece| piece.filled).sum();
        waiting.size = waiting.size.saturating_sub(size);
        if waiting.size <= FEW_WAITING {
            self.shared.changed.notify_all();
        }
        taken
    }
}

impl Drop for CopyReader {
    /// A thread that nobody asks about ends by itself.
    fn drop(&mut self) {
        self.stop();
    }
}

fn read_on(mut stream: TcpStream, messages: &Mutex<Messages>, shared: &Shared) -> Left {
    let mut left = Left::default();
    let patient = stream.set_read_timeout(Some(PATIENCE));
    left.lost = patient.and(stream.set_nonblocking(false)).is_err();
    let mut piece = Piece::new();
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    while !left.lost && !lock(messages).ended() && wait_for_room(shared) {
        let size = match stream.read(piece.room()) {
            Ok(0) => {
                left.lost = true;
                break;
            }
            Ok(size) => size,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    // Who has something to take is not given a piece that little is in: of those,
                    // more would wait than may.
                    if shared.lock().pieces.is_empty() {
                        give(shared, &mut piece);
                    }
                    continue;
                }
                _ => {
                    left.lost = true;
                    break;
                }
            },
        };
        if let Err(error) = piece.take_in(size, &mut lock(messages), &mut left) {
            left.unexpected = Some(error);
            break;
        }
        if piece.filled >= WORTH_GIVING {
            give(shared, &mut piece);
        }
        thread::sleep(pause);
        pause = match size {
            ..LITTLE => longest.min(pause * 2),
            MUCH.. => shortest.max(pause / 2),
            _ => pause,
        };
    }
    give(shared, &mut piece);
    // As the event loop had it.
    let restored = stream
        .set_read_timeout(None)
        .and(stream.set_nonblocking(true));
    left.lost |= restored.is_err();
    left
}

/// False when it is to stop.
fn wait_for_room(shared: &Shared) -> bool {
    let mut waiting = shared.lock();
    if waiting.size < MOST_WAITING {
        return !waiting.stopped;
    }
    // Not for each few that are taken.
    while waiting.size > FEW_WAITING && !waiting.stopped {
        waiting = shared
            .changed
            .wait(waiting)
            .unwrap_or_else(PoisonError::into_inner);
    }
    !waiting.stopped
}

/// Gives the piece on if there are rows in it, and goes on with one that was taken.
fn give(shared: &Shared, piece: &mut Piece) {
    if !piece.rows.is_empty() {
        let mut waiting = shared.lock();
        waiting.size += piece.filled;
        let next = waiting.spare.pop().unwrap_or_else(Piece::new);
        waiting.pieces.push_back(std::mem::replace(piece, next));
        drop(waiting);
        shared.changed.notify_all();
    }
    piece.rows.clear();
    piece.filled = 0;
}
