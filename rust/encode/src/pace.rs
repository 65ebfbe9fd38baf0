//! Where chunks are cut: after a number of rows that depends on earlier chunks' masked sizes, or
//! where the masked rows grow past a limit. Raw lengths have no say, so a cut tells nothing of them.

use crate::size::of_rows;
use arrow_array::ArrayRef;

/// Rows of the first chunk: few, so that the first bytes leave soon.
const FIRST_ROWS: usize = 256;
/// Each chunk may have this many times the rows of the last.
const GROWTH: usize = 4;
/// No chunk has more rows.
const MOST_ROWS: usize = 65_536;
/// Masked bytes aimed at.
const AIM_BYTES: usize = 1 << 21;
/// The row that takes a chunk to this many masked bytes is its last.
const MOST_BYTES: usize = 4 << 20;

/// The size of the chunk in the making.
#[derive(Debug)]
pub struct Pace {
    target: usize,
    rows: usize,
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            target: FIRST_ROWS,
            rows: 0,
            bytes: 0,
        }
    }
}

impl Pace {
    /// Rows that may still come before the cut, at least one.
    #[must_use]
    pub fn room(&self) -> usize {
        self.target.saturating_sub(self.rows).max(1)
    }

    /// Rows in the chunk.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes rows from `from` on into the chunk, at least one and at most `count`; how many.
    pub fn take(&mut self, columns: &[ArrayRef], from: usize, count: usize) -> usize {
        let most = count.min(self.room());
        let limit = MOST_BYTES.saturating_sub(self.bytes);
        let mut taken = most;
        if of_rows(columns, from, most) > limit {
            // The fewest rows that reach the limit; sizes only grow with the rows.
            let (mut below, mut enough) = (0, most);
            while below + 1 < enough {
                let middle = below + (enough - below) / 2;
                match of_rows(columns, from, middle) >= limit {
                    true => enough = middle,
                    false => below = middle,
                }
            }
            taken = enough;
        }
        self.rows += taken;
        self.bytes += of_rows(columns, from, taken);
        taken
    }

    /// Whether the chunk ends here.
    #[must_use]
    pub fn full(&self) -> bool {
        self.rows >= self.target || self.bytes >= MOST_BYTES
    }

    /// Ends the chunk and sets the next one's rows by this one's masked size; its rows.
    pub fn cut(&mut self) -> usize {
        let by_size = self.rows.saturating_mul(AIM_BYTES) / self.bytes.max(1);
        let by_growth = self.rows.saturating_mul(GROWTH);
        self.target = by_size.min(by_growth).clamp(1, MOST_ROWS);
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use std::sync::Arc;

    /// The cuts of these columns when they come in pieces of `piece` rows.
    fn cuts(column: &ArrayRef, piece: usize) -> Vec<usize> {
        let mut pace = Pace::default();
        let mut cuts = Vec::new();
        let mut at = 0;
        while at < column.len() {
            let part = [column.slice(at, piece.min(column.len() - at).min(pace.room()))];
            at += part[0].len();
            let mut from = 0;
            while from < part[0].len() {
                from += pace.take(&part, from, part[0].len() - from);
                if pace.full() {
                    cuts.push(pace.cut());
                }
            }
        }
        cuts
    }

    #[test]
    fn grows_by_four_towards_its_aim() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![0; 1_000_000]));
        assert_eq!(
            cuts(&column, 1_000_000)[..5],
            [256, 1024, 4096, 16_384, 65_536]
        );
    }

    #[test]
    fn pieces_do_not_move_the_cuts() {
        let text = |i: usize| {
            "x".repeat(if i.is_multiple_of(700) {
                1_500_000
            } else {
                i % 50
            })
        };
        let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..5000).map(text)));
        let whole = cuts(&column, 5000);
        assert!(whole.len() > 5);
        for piece in [1, 7, 256, 1000] {
            assert_eq!(cuts(&column, piece), whole);
        }
    }

    #[test]
    fn one_huge_row_is_one_chunk() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["y".repeat(5 << 20); 3]));
        assert_eq!(cuts(&column, 3), [1, 1, 1]);
    }
}
