//! Names of states. They are no places that go, and tell that a town stands before them or a ZIP code
//! behind them.

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

/// What stands before a ZIP code: the last words of states, and of the District of Columbia.
pub(super) fn last_words() -> impl Iterator<Item = &'static str> {
    let words = STATES
        .iter()
        .map(|name| name.rsplit_once(' ').map_or(*name, |(_, last)| last));
    words.chain(["columbia"])
}
