//! The decoder's work on a fixed stream, for counting instructions: `make bench-check`.

// A measurement that cannot go on should panic.
#![allow(clippy::expect_used)]

mod eleven;

use pgcopy::ColumnPlan;

const ROWS: u32 = 20_000;

/// What is counted: callgrind is told this name.
#[inline(never)]
fn counted(plans: &[ColumnPlan], bytes: &[u8]) -> usize {
    eleven::decode(plans, bytes)
}

fn main() {
    let bytes = eleven::copy(ROWS);
    let rows = counted(&eleven::plans(), &bytes);
    assert_eq!(rows, ROWS as usize);
}
