//! Names of states. They are no places that go, and tell that a town stands before them or a ZIP code
//! behind them.

use super::lexis::{at, is_word, word};

/// In small letters.
const STATES: [&str; 50] = [
    "alabama",
    "alaska",
    "arizona",
    "arkansas",
    "california",
    "colorado",
    "connecticut",
    "delaware",
    "florida",
    "georgia",
    "hawaii",
    "idaho",
    "illinois",
    "indiana",
    "iowa",
    "kansas",
    "kentucky",
    "louisiana",
    "maine",
    "maryland",
    "massachusetts",
    "michigan",
    "minnesota",
    "mississippi",
    "missouri",
    "montana",
    "nebraska",
    "nevada",
    "new hampshire",
    "new jersey",
    "new mexico",
    "new york",
    "north carolina",
    "north dakota",
    "ohio",
    "oklahoma",
    "oregon",
    "pennsylvania",
    "rhode island",
    "south carolina",
    "south dakota",
    "tennessee",
    "texas",
    "utah",
    "vermont",
    "virginia",
    "washington",
    "west virginia",
    "wisconsin",
    "wyoming",
];

/// What a town may stand before as well.
const PROVINCES: [&str; 6] = [
    "ontario",
    "quebec",
    "alberta",
    "manitoba",
    "saskatchewan",
    "puerto rico",
];

/// What the names of states and provinces begin with.
pub(super) fn first_words() -> impl Iterator<Item = &'static str> {
    let names = STATES.iter().chain(&PROVINCES);
    names.map(|name| name.split_once(' ').map_or(*name, |(first, _)| first))
}

/// The end of the name of a state or province that begins at `i` with a capital.
pub(super) fn named(text: &[u8], i: usize) -> Option<usize> {
    let names = STATES.iter().chain(&PROVINCES);
    let mut ends = names.filter_map(|name| word(text, i, name));
    ends.find(|&end| at(text, i).is_ascii_uppercase() && !is_word(at(text, end)))
}

/// What stands before a ZIP code: the last words of states, and of the District of Columbia.
pub(super) fn last_words() -> impl Iterator<Item = &'static str> {
    let words = STATES
        .iter()
        .map(|name| name.rsplit_once(' ').map_or(*name, |(_, last)| last));
    words.chain(["columbia"])
}
