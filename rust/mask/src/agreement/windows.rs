//! Many rows together hold what the oracle finds in each of them by itself, on every engine of this
//! machine, in every layout, wherever a row lies among its neighbours.
//!
//! The oracle is slow and windows are fast: it reads a note once, and the note then lies in many
//! windows. `MASK_FUZZ_WINDOWS` asks for more of them and `MASK_FUZZ_SEED` for the same ones again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, LargeStringArray, StringArray};
use arrow_array::{Int32Array, StringViewArray};
use arrow_schema::DataType;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::{NAIVE, PIECES, note};
use crate::detect::{narrowly, plainly};
use crate::naive::Found;
use crate::scan::Scanner;

/// A text and what the oracle makes of it.
#[derive(Debug, Clone)]
struct Note {
    text: String,
    masked: String,
    /// What is told of it before names come again.
    told: Vec<Found>,
}

impl Note {
    fn new(text: String) -> Self {
        let told = NAIVE.with(|naive| naive.told(&text));
        Self::of(text, told)
    }

    fn of(text: String, told: Vec<Found>) -> Self {
        let spans = NAIVE.with(|naive| naive.together(&text, &told));
        let mut masked = String::new();
        let mut copied = 0;
        for (start, end, kind) in spans {
            masked.push_str(&text[copied..start]);
            masked.push_str(kind.label());
            copied = end;
        }
        masked.push_str(&text[copied..]);
        Self { text, masked, told }
    }

    /// A row of nothing.
    fn filler(length: usize) -> Self {
        let text = "lorem ipsum dolor sit, ".repeat(length / 23 + 1)[..length].to_owned();
        let masked = text.clone();
        Self {
            text,
            masked,
            told: Vec::new(),
        }
    }

    /// Notes behind each other that no rule sees across, but names that come again.
    fn joined<'a>(notes: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut text, mut told) = (String::new(), Vec::new());
        for note in notes {
            let start = text.len();
            let moved = |&(from, to, kind): &Found| (start + from, start + to, kind);
            told.extend(note.told.iter().map(moved));
            text.push_str(&note.text);
            text.push_str(WALL);
        }
        Self::of(text, told)
    }
}

/// Nothing reaches farther than thirty characters over what is no digit.
const WALL: &str = "|||||||||||||||||||||||||||||||||||||||||";

/// A note between walls, for [`Note::joined`].
fn walled(text: &str) -> Note {
    Note::new(format!("| {text} |"))
}

/// The array's rows masked in one go.
fn masked(array: &ArrayRef) -> Vec<Option<String>> {
    let (masked, _) = Scanner::new(false).mask(array, None).unwrap();
    match masked.data_type() {
        DataType::Utf8 => texts(masked.as_string::<i32>()),
        DataType::LargeUtf8 => texts(masked.as_string::<i64>()),
        DataType::Utf8View => texts(masked.as_string_view()),
        _ => {
            let values = masked.as_dictionary::<Int32Type>();
            texts(values.downcast_dict::<StringArray>().unwrap())
        }
    }
}

fn texts<'a>(rows: impl IntoIterator<Item = Option<&'a str>>) -> Vec<Option<String>> {
    rows.into_iter().map(|row| row.map(str::to_owned)).collect()
}

/// Fails unless the rows become what is expected of each, on every engine of this machine.
fn check(array: &ArrayRef, expected: &[Option<&Note>]) {
    for engine in ["best", "narrow", "plain"] {
        let got = match engine {
            "best" => masked(array),
            "narrow" => narrowly(|| masked(array)),
            _ => plainly(|| masked(array)),
        };
        assert_eq!(got.len(), expected.len());
        for (i, (got, note)) in got.iter().zip(expected).enumerate() {
            let want = note.map(|note| note.masked.as_str());
            let text = note.map(|note| &note.text);
            assert_eq!(
                got.as_deref(),
                want,
                "row {i} on the {engine} engine: {text:?}"
            );
        }
    }
}

fn utf8(rows: &[Option<&Note>]) -> ArrayRef {
    let texts = rows.iter().map(|note| note.map(|note| note.text.as_str()));
    Arc::new(texts.collect::<StringArray>())
}

/// Every piece by itself and between walls.
fn pieces() -> [Vec<Note>; 2] {
    let alone = PIECES.iter().map(|piece| Note::new((*piece).to_owned()));
    [
        alone.collect(),
        PIECES.iter().copied().map(walled).collect(),
    ]
}

#[test]
fn every_piece_at_every_place() {
    let [alone, walled] = pieces();
    for shift in 0..256 {
        // A shift of the rows, and of one long row; the next one begins in the midst of a group.
        let filler = Note::filler(shift);
        let mut rows = vec![Some(&filler)];
        rows.extend(alone.iter().map(Some));
        check(&utf8(&rows), &rows);
        if shift % 16 == 0 {
            rows.reverse();
            check(&utf8(&rows), &rows);
        }
        let (before, half) = (Note::filler(shift), &walled[shift % walled.len()..]);
        let long = Note::joined(std::iter::once(&before).chain(half));
        let rows = [
            Some(&long),
            None,
            Some(&alone[shift % alone.len()]),
            Some(&long),
        ];
        check(&utf8(&rows), &rows);
    }
}

#[test]
fn every_length_around_a_block_a_group_and_a_window() {
    let [_, walled] = pieces();
    for (i, size) in [64usize, 128, 256, 512, 1 << 14, (1 << 14) + 256]
        .into_iter()
        .enumerate()
    {
        for more in 0..12 {
            let length = size - 6 + more;
            // Ends with a piece, so that its last character is the row's.
            let piece = &walled[(i * 37 + more * 5) % walled.len()];
            let last = Note::new(piece.text.trim_matches(['|', ' ']).to_owned());
            let Some(rest) = length.checked_sub(last.text.len() + 3) else {
                continue;
            };
            let mut row = Note::filler(rest);
            for text in [&mut row.text, &mut row.masked] {
                text.push_str("|| ");
            }
            let behind = Note::new(format!("|| {}", last.text));
            row.text.push_str(&last.text);
            row.masked.push_str(&behind.masked[3..]);
            let rows = [
                Some(&row),
                Some(&last),
                None,
                Some(&row),
                Some(&row),
                Some(&last),
            ];
            check(&utf8(&rows), &rows);
        }
    }
}

#[test]
fn more_opening_words_than_a_block_has_bits() {
    let many = "mrn may tel dob acct ss rx age ".repeat(400);
    let texts = [
        many.clone(),
        format!("{many}| mrn 00123"),
        "mrn 00123 ".repeat(40),
        "Jan 5; ".repeat(100),
        "a@b.co 1.2.3.4 ".repeat(70),
    ];
    for text in texts {
        // Too long for the oracle: its last words stand for it, and each row for the other.
        let mut lone = Vec::new();
        Scanner::new(false).push_text(&text, 1, &mut lone);
        let masked = String::from_utf8(lone).unwrap();
        let found = masked.matches('[').count();
        let expected = match &text[..3] {
            "mrn" if text.len() == 400 => 40,
            "mrn" if text.ends_with("00123") => 1,
            "Jan" => 100,
            "a@b" => 140,
            _ => 0,
        };
        assert_eq!(found, expected, "{text}");
        let row = Note {
            text,
            masked,
            told: Vec::new(),
        };
        let rows = [Some(&row); 3];
        check(&utf8(&rows), &rows);
    }
}

/// A number of the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().expect("a number"))
}

/// Notes and windows made of one seed.
struct Source {
    runner: TestRunner,
    alone: Vec<Note>,
    walled: Vec<Note>,
}

impl Source {
    fn below(&mut self, most: usize) -> usize {
        self.runner.rng().random_range(0..most)
    }

    fn fresh(&mut self) -> String {
        note().new_tree(&mut self.runner).unwrap().current()
    }

    /// Rows for a window or two: most are notes, some are long, empty or nothing at all.
    fn rows(&mut self) -> Vec<Option<Note>> {
        let most = [1500, 9000, 17_000, 40_000][self.below(4)];
        let (mut rows, mut size) = (Vec::new(), 0);
        while size < most {
            let row = match self.below(20) {
                0 => None,
                1 => Some(Note::filler(0)),
                2..=4 => {
                    let most = [8, 64, 300][self.below(3)];
                    let length = self.below(most);
                    Some(Note::filler(length))
                }
                5 => {
                    let most = [3, 12, 200][self.below(3)];
                    let count = self.below(most);
                    let notes: Vec<usize> =
                        (0..count).map(|_| self.below(self.walled.len())).collect();
                    Some(Note::joined(notes.iter().map(|&i| &self.walled[i])))
                }
                _ => {
                    let i = self.below(self.alone.len());
                    Some(self.alone[i].clone())
                }
            };
            size += row.as_ref().map_or(0, |row| row.text.len());
            rows.push(row);
        }
        rows
    }
}

/// The rows in a layout of the eight.
fn laid_out(rows: &[Option<&Note>], layout: usize) -> ArrayRef {
    let texts = || rows.iter().map(|note| note.map(|note| note.text.as_str()));
    match layout {
        0 => Arc::new(texts().collect::<LargeStringArray>()),
        1 => Arc::new(texts().collect::<StringViewArray>()),
        2 => {
            let keys = (0..).zip(rows).map(|(i, row)| row.map(|_| i));
            let values = texts().map(Option::unwrap_or_default);
            let values = StringArray::from_iter_values(values);
            let keys = keys.collect::<Int32Array>();
            Arc::new(DictionaryArray::new(keys, Arc::new(values)))
        }
        _ => utf8(rows),
    }
}

#[test]
fn windows_of_damaged_notes_agree_with_the_oracle() {
    let windows = asked("MASK_FUZZ_WINDOWS", 60);
    let seed = asked("MASK_FUZZ_SEED", 7);
    println!("MASK_FUZZ_SEED={seed} MASK_FUZZ_WINDOWS={windows}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut source = Source {
        runner: TestRunner::new_with_rng(ProptestConfig::default(), rng),
        alone: Vec::new(),
        walled: Vec::new(),
    };
    for _ in 0..200 {
        let text = source.fresh();
        source.walled.push(walled(&text));
        source.alone.push(Note::new(text));
    }
    for window in 0..windows {
        if window % 4 == 0 {
            // The notes change slowly.
            let text = source.fresh();
            let i = source.below(source.alone.len());
            source.walled[i] = walled(&text);
            source.alone[i] = Note::new(text);
        }
        let rows = source.rows();
        let rows: Vec<Option<&Note>> = rows.iter().map(Option::as_ref).collect();
        let layout = source.below(8);
        let from = source.below(rows.len());
        let count = 1 + source.below(rows.len() - from);
        let array = laid_out(&rows, layout);
        if window % 3 == 0 {
            check(&array.slice(from, count), &rows[from..from + count]);
        } else {
            check(&array, &rows);
        }
    }
}
