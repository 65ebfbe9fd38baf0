//! The search finds what the oracle finds: in notes of names and ordinary words, respelled, cut and
//! joined at random, beside values that are made in the same way.

use proptest::prelude::*;

use super::naive;
use super::outline::Plain;
use super::{Beside, Columns, RowRule};
use crate::detect::Span;
use std::sync::Arc;

/// What values are made of, and notes too.
const NAMES: [&str; 44] = [
    "Maria",
    "José",
    "García",
    "Lopez",
    "Smith",
    "O'Brien",
    "OBrien",
    "McDonald",
    "Mc",
    "Donald",
    "MacLeod",
    "DeLuca",
    "van",
    "de",
    "la",
    "Will",
    "Young",
    "May",
    "Li",
    "Ng",
    "Wu",
    "J",
    "M.",
    "A",
    "Street",
    "Main",
    "North",
    "Springfield",
    "Elm",
    "St",
    "Apt",
    "12",
    "4",
    "02139",
    "ST-998877",
    "00123456",
    "(617) 555-1212",
    "+1",
    "A1234567",
    "Weiß",
    "Иванов",
    "王伟",
    "m@example.com",
    "s",
];

/// What stands around them.
const WORDS: [&str; 20] = [
    "patient", "will", "may", "return", "the", "a", "I", "and", "street", "young", "617", "555",
    "1212", "998877", "123456", "s", "es", "J.", "12", "x",
];

const GAPS: [&str; 18] = [
    " ", " ", " ", " ", "", "-", ".", ", ", "'", "’", "\n", "-\n", " - ", "_", "(", "    ", "/",
    "\u{200b}",
];

#[derive(Debug, Clone)]
enum Way {
    Same,
    Upper,
    Lower,
    Title,
    Marked,
    Apart(usize),
    Wide,
    Cut(usize),
}

fn respelled(word: &str, way: &Way) -> String {
    match way {
        Way::Same => word.to_owned(),
        Way::Upper => word.to_uppercase(),
        Way::Lower => word.to_lowercase(),
        Way::Title => {
            let mut rest = word.chars();
            let first = rest.next().map(|c| c.to_uppercase().to_string());
            first.unwrap_or_default() + &rest.as_str().to_lowercase()
        }
        Way::Marked => word.chars().flat_map(|c| [c, '\u{301}']).collect(),
        Way::Apart(gap) => {
            let letters: Vec<String> = word.chars().map(String::from).collect();
            letters.join(GAPS[gap % GAPS.len()])
        }
        Way::Wide => word
            .chars()
            .map(|c| match c {
                '!'..='~' => char::from_u32(u32::from(c) + 0xFEE0).unwrap(),
                _ => c,
            })
            .collect(),
        Way::Cut(at) => {
            let count = word.chars().count().max(1);
            word.chars().take(1 + at % count).collect()
        }
    }
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        6 => Just(Way::Same),
        2 => Just(Way::Upper),
        4 => Just(Way::Lower),
        2 => Just(Way::Title),
        1 => Just(Way::Marked),
        1 => any::<usize>().prop_map(Way::Apart),
        1 => Just(Way::Wide),
        1 => any::<usize>().prop_map(Way::Cut),
    ]
}

fn phrase(most: usize, own: u32) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        own => proptest::sample::select(&NAMES[..]),
        4 => proptest::sample::select(&WORDS[..]),
    ];
    let piece = (word, way(), 0..GAPS.len());
    proptest::collection::vec(piece, 0..most).prop_map(|pieces| {
        let mut text = String::new();
        for (word, way, gap) in pieces {
            text.push_str(&respelled(word, &way));
            text.push_str(GAPS[gap]);
        }
        text
    })
}

/// What the rule finds, with and without the outline before it.
fn found(text: &str, values: &[(usize, String, bool)]) -> (Vec<(usize, usize)>, bool) {
    let mut rule = RowRule::default();
    // What is left of another row makes no difference.
    set(&mut rule, &[(0, "Zebra 555".to_owned(), false)]);
    let mut spans = Vec::new();
    rule.collect("a zebra", &mut spans);
    assert_eq!(spans.len(), 1);
    set(&mut rule, values);
    spans.clear();
    rule.collect(text, &mut spans);
    let asked = ranges(&spans);
    rule.spelled.set(text);
    let mut all = Vec::new();
    if rule.is_set() {
        rule.find(&mut all);
    }
    let may_hold = rule.outline.may_hold(&rule.spelled);
    if text.is_ascii() {
        assert_eq!(may_hold, rule.outline.may_hold(Plain(text.as_bytes())));
        assert_eq!(may_hold, rule.outline.may_hold_plain(text.as_bytes()));
    }
    assert_eq!(asked, ranges(&all), "the outline of {values:?} in {text:?}");
    (asked, may_hold)
}

fn ranges(spans: &[Span]) -> Vec<(usize, usize)> {
    spans.iter().map(|span| (span.start, span.end)).collect()
}

/// As [`RowRule::set`] does, without arrays where values count as a whole only.
fn set(rule: &mut RowRule, values: &[(usize, String, bool)]) {
    let arrays: Vec<arrow_array::ArrayRef> = values
        .iter()
        .map(|(_, value, _)| {
            Arc::new(arrow_array::StringArray::from(vec![value.as_str()])) as arrow_array::ArrayRef
        })
        .collect();
    let columns = Columns::new(&arrays).unwrap();
    match Beside::of(&columns, None).unwrap() {
        Some(beside) => rule.set(&beside, 0),
        None => rule.clear(),
    }
}

fn agrees(text: &str, values: &[String]) {
    let values: Vec<(usize, String, bool)> = values
        .iter()
        .enumerate()
        .map(|(i, value)| (i, value.clone(), false))
        .collect();
    let plain: Vec<naive::Value> = values
        .iter()
        .filter(|(_, value, _)| !value.is_empty())
        .map(|(i, value, solid)| (*i, value.as_str(), *solid))
        .collect();
    let (fast, _) = found(text, &values);
    let slow = naive::spans(text, &plain);
    let show = |spans: &[(usize, usize)]| -> Vec<String> {
        spans
            .iter()
            .map(|&(start, end)| text[start..end].to_owned())
            .collect()
    };
    assert_eq!(show(&fast), show(&slow), "{values:?} in {text:?}");
    assert_eq!(fast, slow, "{values:?} in {text:?}");
}

/// The names that count by themselves, at least with a capital.
fn telling() -> Vec<&'static str> {
    let size = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).count();
    let never = ["van", "Street", "Apt", "m@example.com"];
    let tells = |name: &&str| size(name) >= 3 && !never.contains(name);
    NAMES.into_iter().filter(tells).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_search_finds_what_the_oracle_finds(
        values in proptest::collection::vec(phrase(4, 16), 1..4),
        text in phrase(14, 8),
    ) {
        agrees(&text, &values);
    }

    #[test]
    fn a_value_is_found_however_it_is_respelled(
        name in proptest::sample::select(telling()),
        way in prop_oneof![Just(Way::Same), Just(Way::Upper), Just(Way::Marked), Just(Way::Wide)],
        before in 0..WORDS.len(),
    ) {
        let word = respelled(name, &way);
        let text = format!("{} {word}; end", WORDS[before]);
        let (spans, _) = found(&text, &[(0, name.to_owned(), false)]);
        let kept = |c: char| c.is_alphanumeric();
        let start = text.find(&word).unwrap();
        let (first, last) = (word.find(kept).unwrap(), word.rfind(kept).unwrap());
        let covers = |&(from, to): &(usize, usize)| from <= start + first && start + last < to;
        prop_assert!(spans.iter().any(covers), "{text:?}");
    }
}

#[test]
fn blocks_of_sixty_four_characters_have_no_seams() {
    for length in 0..200 {
        for value in ["Garcia", "998877", "Li Wei"] {
            let text = format!("{} {value}. 998877x", "x".repeat(length));
            agrees(&text, &[value.to_owned()]);
        }
    }
}
