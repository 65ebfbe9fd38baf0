//! What stands behind a street on an envelope: the town, the country, the post code, each behind a comma or
//! on a line of its own. An address was told where it begins; that is why words of no list count here.
//!
//! A state's name stays as everywhere, a country goes with its address. Left alone: plain words behind a
//! street (`12 Main St, Patient agrees`), and a word of no list on the next line with nothing behind it
//! that an address goes on with.

use super::lexicon::{Known, known};
use super::lexis::{at, before, digits, is_letter, is_space, is_word, quantity, run_up_to, same};
use super::spelling::{Shape, Word, gap, word_at};
use super::zip::{self, is_state};
use super::{Kind, Span, states};

/// Words of a town.
const WORDS: usize = 4;

/// Countries as addresses end with them, in small letters.
const COUNTRIES: [&str; 50] = [
    "usa",
    "united states",
    "united kingdom",
    "canada",
    "mexico",
    "germany",
    "france",
    "spain",
    "italy",
    "portugal",
    "ireland",
    "scotland",
    "england",
    "netherlands",
    "belgium",
    "switzerland",
    "austria",
    "denmark",
    "sweden",
    "norway",
    "finland",
    "iceland",
    "greenland",
    "poland",
    "hungary",
    "czech republic",
    "slovakia",
    "slovenia",
    "croatia",
    "serbia",
    "greece",
    "cyprus",
    "turkey",
    "estonia",
    "latvia",
    "lithuania",
    "russia",
    "ukraine",
    "tunisia",
    "south africa",
    "nigeria",
    "kenya",
    "india",
    "china",
    "japan",
    "brazil",
    "uruguay",
    "argentina",
    "australia",
    "new zealand",
];

/// Adds what stands behind the address that ends at `end`.
pub(super) fn behind(text: &[u8], end: usize, spans: &mut Vec<Span>) {
    let mut push = |start, end, kind| spans.push(Span { start, end, kind });
    // Behind part of a house no comma is needed: `Suite 19 CHARLEROI`.
    let numbered = before(text, end).is_ascii_digit();
    let bare = || gap(text, end).filter(|_| numbered).map(|next| (next, b' '));
    let Some((start, mark)) = next_part(text, end).or_else(bare) else {
        return;
    };
    let address = end;
    let mut end = end;
    if let Some((town, sure)) = town(text, start, mark)
        && (sure || goes_on(text, town))
    {
        push(start, town, Kind::Place);
        end = town;
    }
    if let Some((start, _)) = next_part(text, end).or(gap(text, end).map(|next| (next, b' ')))
        && let Some(stop) = country(text, start)
    {
        push(start, stop, Kind::Place);
        end = stop;
    } else if let Some((_, stop)) = region(text, end) {
        end = stop;
    }
    let comma = end + usize::from(at(text, end) == b',');
    let start = run_up_to(text, comma, 6, is_space);
    if end > address
        && start > end
        && let Some(stop) = zip::code(text, start)
        && (digits(text, start) - start >= 3 || at(text, start).is_ascii_uppercase())
        && ends(text, stop)
        && !quantity(text, stop)
    {
        push(start, stop, Kind::Zip);
    }
}

/// Where the next part of an address begins behind `end`, and the comma or line's end before it.
fn next_part(text: &[u8], end: usize) -> Option<(usize, u8)> {
    let dot = end + usize::from(at(text, end) == b'.' && at(text, end + 1) == b',');
    // A comma may begin the next line.
    let comma = match run_up_to(text, dot, 2, is_space) {
        sign if at(text, sign) == b',' => sign + 1,
        _ => dot,
    };
    let start = run_up_to(text, comma, 8, is_space);
    let line = text.get(comma..start)?.contains(&b'\n');
    let mark = if comma > dot { b',' } else { b'\n' };
    (start > end && (mark == b',' || line)).then_some((start, mark))
}

/// Whether an address may be over at `i`.
fn ends(text: &[u8], i: usize) -> bool {
    let joined = matches!(at(text, i), b'.' | b'-' | b'/') && is_word(at(text, i + 1));
    !(is_word(at(text, i)) || joined)
}

/// The end of the town that begins at `start`, behind a comma or a line's end, and whether it needs nothing
/// more behind it.
fn town(text: &[u8], start: usize, mark: u8) -> Option<(usize, bool)> {
    let first = word_at(text, start)?;
    if country(text, start).is_some() || states::named(text, start).is_some() {
        return None;
    }
    let part = |word: &Word| {
        let named = Known::TITLE
            .or(Known::ROLE)
            .or(Known::RELATION)
            .or(Known::CREDENTIAL);
        let plain =
            word.is(Known::PLAIN) && !word.is(Known::CITY.or(Known::TOWN_END).or(Known::SAINT));
        matches!(word.shape, Shape::Title | Shape::Caps)
            && !word.possessive
            && !plain
            && !word.is(named)
            && !is_state(text.get(word.start..word.end).unwrap_or_default())
    };
    if !part(&first) || first.len() < 3 {
        return None;
    }
    let mut listed = first.is(Known::CITY);
    let mut end = first.end;
    for _ in 1..WORDS {
        let dot = end + usize::from(at(text, end) == b'.');
        let Some(next) = gap(text, dot) else { break };
        let small = run_up_to(text, next, 6, is_letter);
        let particle = known(text.get(next..small).unwrap_or_default()).is(Known::PARTICLE);
        let next = if particle && at(text, next).is_ascii_lowercase() {
            gap(text, small)
        } else {
            Some(next)
        };
        let Some(word) = next.and_then(|next| word_at(text, next)).filter(part) else {
            break;
        };
        if country(text, word.start).is_some() || states::named(text, word.start).is_some() {
            break;
        }
        listed |= word.is(Known::TOWN_END);
        end = word.end;
    }
    // `12 Main St, Xqzt Plugh denies`.
    let verb = gap(text, end).is_some_and(|next| at(text, next).is_ascii_lowercase());
    let closed = ends(text, end) && !matches!(at(text, end), b':' | b'(' | b'\'');
    let sure = listed || mark == b',' && !verb;
    closed.then_some((end, sure))
}

/// Whether behind a town at `end` stands what an address goes on with.
fn goes_on(text: &[u8], end: usize) -> bool {
    let bare = run_up_to(text, end, 2, is_space);
    let next = next_part(text, end).map_or(bare, |(next, _)| next);
    let code = at(text, next).is_ascii_digit() || at(text, next).is_ascii_uppercase();
    let code = code && zip::code(text, next).is_some();
    next > end && (code || country(text, next).is_some() || region(text, end).is_some())
}

/// The end of the country at `i`.
fn country(text: &[u8], i: usize) -> Option<usize> {
    if !at(text, i).is_ascii_uppercase() {
        return None;
    }
    let first = run_up_to(text, i, 14, is_letter);
    let second = gap(text, first).map_or(first, |next| run_up_to(text, next, 14, is_letter));
    COUNTRIES.iter().find_map(|country| {
        let (one, two) = (
            same(text, i, first, country),
            same(text, i, second, country),
        );
        let end = if one { first } else { second };
        ((one || two) && !is_word(at(text, end))).then_some(end)
    })
}

/// The state or province behind a town that ends at `end`: two or three capitals, or a state's name.
fn region(text: &[u8], end: usize) -> Option<(usize, usize)> {
    let sign = run_up_to(text, end, 2, is_space);
    let comma = if at(text, sign) == b',' {
        sign + 1
    } else {
        end
    };
    let start = run_up_to(text, comma, 6, is_space);
    let stop = run_up_to(text, start, 4, |c| c.is_ascii_uppercase());
    if start == end {
        return None;
    }
    if (2..=3).contains(&(stop - start)) && !is_word(at(text, stop)) {
        return Some((start, stop));
    }
    states::named(text, start).map(|stop| (start, stop))
}
