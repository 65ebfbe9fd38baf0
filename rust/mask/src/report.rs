//! What the result record says of the masking: counts, never values.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts since the masker was made. Columns are keyed by name; a repeated name gets `_2`, `_3` in
/// the order of the columns (and the next free number where a column already has that name).
///
/// A cell is one value of the result; in a list each element counts as one. NULL is not counted
/// where it stays apart from the values; where every row comes back NULL every row is counted, so that
/// the count does not tell which of them held something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Column → treatment → cells that left changed. A `clear` column whose text was scanned counts
    /// its changed cells under `scan`: that is what was done to them.
    pub cells_masked: BTreeMap<String, BTreeMap<String, u64>>,
    /// Column → detector → what it found.
    pub detectors: BTreeMap<String, BTreeMap<String, DetectorCounts>>,
}

/// What one detector found in one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DetectorCounts {
    /// Cells with at least one span.
    pub cells: u64,
    /// Labels written.
    pub spans: u64,
}

/// Names made unique, in order: name, name_2, name_3.
pub(crate) fn unique_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = std::collections::BTreeSet::new();
    let mut unique = Vec::new();
    for name in names {
        let mut candidate = name.to_owned();
        let mut number = 2u32;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{name}_{number}");
            number = number.saturating_add(1);
        }
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    #[test]
    fn repeated_names_are_numbered() {
        let names = super::unique_names(["a", "a_2", "a", "b", "a"].into_iter());
        assert_eq!(names, ["a", "a_2", "a_3", "b", "a_4"]);
    }
}
