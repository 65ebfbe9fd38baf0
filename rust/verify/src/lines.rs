//! The lines of a member, read in blocks: what is held is one line and one block.

use crate::container::{BLOCK, some};
use crate::fault::{Checked, refuse};
use crate::json::TEXT_LIMIT;
use memchr::memchr;
use std::io::Read;

/// Gives each line without its LF.
pub(crate) struct Lines<R> {
    source: R,
    room: Vec<u8>,
    /// What was read and not given out is between these two.
    start: usize,
    end: usize,
    /// So many bytes behind `start` hold no line end.
    seen: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            room: Vec::new(),
            start: 0,
            end: 0,
            seen: 0,
        }
    }

    /// The next line; none at the end, which must come behind an LF.
    pub(crate) fn next(&mut self) -> Checked<Option<&[u8]>> {
        loop {
            let unseen = self.room.get(self.start + self.seen..self.end);
            let unseen = unseen.unwrap_or_default();
            let found = memchr(b'\n', unseen);
            let length = self.seen + found.unwrap_or(unseen.len());
            refuse(length > TEXT_LIMIT, || {
                format!("a line is longer than {TEXT_LIMIT} bytes")
            })?;
            if found.is_some() {
                let line = self.start..self.start + length;
                (self.start, self.seen) = (line.end + 1, 0);
                return Ok(self.room.get(line));
            }
            self.seen = length;
            if self.fill()? == 0 {
                refuse(length > 0, || "the last line has no end".to_owned())?;
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> Checked<usize> {
        self.room.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // Doubled, so that a long line is moved a few times only.
        let wanted = (self.end * 2).max(BLOCK);
        if self.room.len() < wanted {
            self.room.resize(wanted, 0);
        }
        let room = self.room.get_mut(self.end..).unwrap_or_default();
        let read = some(&mut self.source, room)?;
        self.end += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use proptest::prelude::*;

    /// Gives a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            let (now, rest) = self.0.split_at(self.1.min(self.0.len()).min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.0 = rest;
            Ok(now.len())
        }
    }

    fn all(data: &[u8], drop: usize) -> Result<Vec<Vec<u8>>, String> {
        let mut lines = Lines::new(Drops(data, drop));
        let mut out = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => out.push(line.to_vec()),
                Ok(None) => break,
                Err(Fault::Tampered(text)) => return Err(text),
                Err(other) => panic!("{other:?}"),
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_bytes(
            data in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            drop in 1..40_usize,
        ) {
            let whole = data.is_empty() || data.ends_with(b"\n");
            match all(&data, drop) {
                Ok(lines) => {
                    prop_assert!(whole);
                    prop_assert_eq!(lines.iter().flat_map(|l| [l, &b"\n"[..]].concat()).collect::<Vec<_>>(), data);
                }
                Err(text) => {
                    prop_assert!(!whole);
                    prop_assert_eq!(text, "the last line has no end");
                }
            }
        }
    }

    #[test]
    fn a_line_has_its_limit() {
        let mut data = vec![b'x'; TEXT_LIMIT];
        data.push(b'\n');
        assert_eq!(all(&data, BLOCK).map(|lines| lines.len()), Ok(1));
        data.insert(0, b'x');
        assert_eq!(
            all(&data, BLOCK).map_err(|text| text.contains("longer")),
            Err(true)
        );
        assert!(all(&vec![b'x'; TEXT_LIMIT + 9], BLOCK).is_err());
    }
}
