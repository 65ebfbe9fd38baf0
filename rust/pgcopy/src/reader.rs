//! A bounded reader: it moves forward over a slice or says that the slice is too short.
//!
//! It never indexes, never panics, and gives out only what it was lent.

/// A cursor over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes, or `None` (nothing consumed) when fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    /// The next `N` bytes by value, or `None` (nothing consumed) when fewer are left.
    #[inline]
    pub fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    /// A reader over the next `count` bytes alone.
    pub fn sub(&mut self, count: usize) -> Option<Reader<'a>> {
        self.take(count).map(Reader::new)
    }

    /// A big-endian `i16`.
    #[inline]
    pub fn i16(&mut self) -> Option<i16> {
        self.take_array().map(i16::from_be_bytes)
    }

    /// A big-endian `i32`.
    #[inline]
    pub fn i32(&mut self) -> Option<i32> {
        self.take_array().map(i32::from_be_bytes)
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_slice_consumes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.take(4), None);
        assert_eq!(reader.take_array::<4>(), None);
        assert!(reader.sub(usize::MAX).is_none());
        assert_eq!(reader.i16(), Some(0x0102));
        assert_eq!(reader.rest(), &[3]);
        assert_eq!(reader.take(1), Some(&[3][..]));
        assert!(reader.is_empty());
        assert_eq!(reader.take(0), Some(&[][..]));
    }
}
