//! The search finds what the oracle finds, by itself and beside the detectors, in texts alone and in many
//! rows at once.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use proptest::prelude::*;

use super::naive::Naive;
use super::{Definition, Patterns};
use crate::detect::kinds::Kinds;
use crate::detect::triggers::Rules;
use crate::detect::{KINDS, Kind};
use crate::naive::{folded, in_bytes, merge};
use crate::scan::Scanner;

/// What sets of definitions are made of: with literals and without, with boundaries, overlapping.
const REGEXES: [&str; 14] = [
    "ST-[0-9]{6}",
    r"\bST-[0-9]{4,6}\b",
    "[a-c]X[a-c]",
    "aXbX?c?",
    "[0-9]{3}",
    "[0-9]{2,4}-[A-Z]{1,3}",
    r"\b[A-Z]{2}[0-9]{2,5}\b",
    "(?i)case[ :#]{1,3}[0-9]{1,5}",
    "^x|y$",
    r"(?m)^[0-9]{2}$",
    r"\B1\B",
    ".{3}Q",
    r"[^a-z]{2}\z",
    "AB|BA|ABA",
];

const ENTRIES: [&str; 13] = [
    "Anna Berg",
    "Anna B",
    "anna berg-Anna 12",
    "van der",
    "van der Berg #7 B",
    "anna",
    "Béa",
    "van der Berg",
    "berg",
    "ST-9",
    "#7 B",
    "aXb",
    "x y",
];

const PIECES: [&str; 34] = [
    "ST-123456",
    "ST-1234567",
    "aXbXc",
    "aXbX",
    "abc",
    "12",
    "123",
    "1111",
    "AB12",
    "ABABA",
    "12-AB",
    "Case: 77",
    "case#1",
    "x",
    "y",
    "Q",
    "Anna",
    "ANNA",
    "Berg",
    "béa",
    "Be\u{301}a",
    "van",
    "der",
    "#7",
    "B",
    "Иван",
    "\u{200b}",
    "\u{2011}",
    "１２",
    "x y",
    "SSN 123-45-6789",
    "call 617-555-1212",
    "é",
    "_",
];

fn definitions() -> impl Strategy<Value = Vec<Definition>> {
    let regex = prop::sample::select(&REGEXES[..]).prop_map(|regex| (Some(regex.to_owned()), None));
    let words = prop::collection::vec(prop::sample::select(&ENTRIES[..]), 1..4)
        .prop_map(|words| (None, Some(words.into_iter().map(str::to_owned).collect())));
    let one = prop_oneof![2 => regex, 1 => words];
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let named = all
            .into_iter()
            .enumerate()
            .map(|(i, (regex, words))| Definition {
                name: format!("p{i}"),
                label: format!("P{i}"),
                clear: true,
                regex,
                words,
            });
        named.collect()
    })
}

fn text() -> impl Strategy<Value = String> {
    let joint = prop::sample::select(&["", " ", " ", "-", "\n", "  ", "    ", ", "][..]);
    let piece = prop_oneof![
        5 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => "[abX19 QAB-]{0,6}",
    ];
    prop::collection::vec((piece, joint), 0..6).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(p, j)| [p, j.to_owned()])
            .collect()
    })
}

thread_local! {
    static DETECTORS: crate::naive::Naive = crate::naive::Naive::new();
}

/// What the oracles find in a text, in bytes.
fn expected(naive: &Naive, chosen: &[u8], kinds: Kinds, text: &str) -> Vec<(usize, usize, Kind)> {
    let (chars, places) = folded(text);
    let mut candidates = naive.candidates(&chars, chosen);
    if kinds != Kinds::of([]) {
        candidates.extend(DETECTORS.with(|naive| naive.in_folded(&chars, kinds)));
    }
    in_bytes(&places, merge(candidates))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), ..ProptestConfig::default() })]

    #[test]
    fn the_search_finds_what_the_oracle_finds(
        definitions in definitions(),
        texts in prop::collection::vec(text(), 1..8),
        leave in any::<prop::sample::Index>(),
        detectors in any::<bool>(),
    ) {
        let patterns = Patterns::compile(&definitions).unwrap();
        let naive = Naive::new(&definitions);
        // All of them, or all but one.
        let mut chosen: Vec<u8> = (0..definitions.len() as u8).collect();
        if leave.index(2) == 1 {
            chosen.remove(leave.index(definitions.len()));
        }
        let names: Vec<String> = chosen.iter().map(|i| format!("p{i}")).collect();
        let kinds = if detectors { Kinds::ALL } else { Kinds::of([]) };
        let search = || patterns.named(&names).unwrap();
        let mut scanner = Scanner::new(false).choosing(kinds).looking_for(search());
        let mut masked = Vec::new();
        let (mut cells, mut spans) = (vec![0; KINDS + definitions.len()], vec![0; KINDS + definitions.len()]);
        for text in &texts {
            let expected = expected(&naive, &chosen, kinds, text);
            let found = scanner.find(text, Rules::All).iter().map(|s| (s.start, s.end, s.kind));
            prop_assert_eq!(found.collect::<Vec<_>>(), &expected[..], "{:?} {:?}", text, definitions);
            let (mut out, mut copied) = (String::new(), 0);
            for &(start, end, kind) in &expected {
                out.push_str(&text[copied..start]);
                match kind {
                    Kind::Pattern(i) => out.push_str(&format!("[P{i}]")),
                    kind => out.push_str(kind.label()),
                }
                copied = end;
                spans[kind.index()] += 1u64;
            }
            let found: std::collections::BTreeSet<_> = expected.iter().map(|e| e.2.index()).collect();
            found.into_iter().for_each(|kind| cells[kind] += 1u64);
            out.push_str(&text[copied..]);
            masked.push(out);
        }
        // Many rows at once, and what is counted.
        let mut rows = Scanner::new(false).choosing(kinds).looking_for(search());
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
        let (got, _) = rows.mask(&array, None).unwrap();
        let got: Vec<_> = got.as_string::<i32>().iter().map(Option::unwrap).collect();
        prop_assert_eq!(got, masked, "{:?} {:?}", texts, definitions);
        for (name, counts) in rows.found() {
            let own = name.strip_prefix('p').and_then(|i| i.parse::<usize>().ok());
            let kind = own.map_or_else(
                || Kind::ALL.into_iter().position(|kind| kind.name() == name).unwrap(),
                |i| KINDS + i,
            );
            prop_assert_eq!((counts.cells, counts.spans), (cells[kind], spans[kind]));
            (cells[kind], spans[kind]) = (0, 0);
        }
        prop_assert!(cells.iter().chain(&spans).all(|&left| left == 0));
    }
}
