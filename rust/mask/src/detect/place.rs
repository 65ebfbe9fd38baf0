//! Places smaller than a state: street addresses, parts of houses, boxes, towns.
//!
//! - a street: a number, words and a kind of street (`12 Main St`), a kind of street, words and a number
//!   (`Via Roma 7`, `12 rue de la Paix` with a capital), a word that ends like a street and a number
//!   (`Hauptstrasse 12`), with `Apt 4B` and the like behind it; after `lives at`, `address:` and the like
//!   a number and words of any name;
//! - a street without a number after `on`, `near` and the like (`on Sycamore Street`), `Interstate 80`;
//! - `Suite 501`, `PO Box 123`;
//! - a town: before a state's abbreviation (`Boston, MA`, any name before a ZIP code), a large one
//!   after `in`, `from`, `to` or `near`, any name after `lives in`, `born in` and the like; before a
//!   state's name (`Xqzt, Ohio`), behind a street and before any state (`12 Main St, Xqzt, OH`); with
//!   the post code behind it (`Sheffield S10 2QT`).
//!
//! States and countries stay (45 CFR 164.514(b)(2)(i)(B) speaks of subdivisions smaller than a state),
//! and so do towns of no list that nothing announces. Institutions are in `facility`.

use super::facility;
use super::lexicon::{Known, known};
use super::lexis::{
    at, before, digits, is_blank, is_letter, is_word, run_back_up_to, run_up_to, same,
};
use super::spelling::{Shape, Word, gap, gap_before, word_at, word_before};
use super::zip::{self, is_state};
use super::{Kind, Span, envelope, states, towns};

/// Words between a number and a kind of street, and words of an address.
const BETWEEN: usize = 5;

/// Words that a street of one word ends with.
const ENDINGS: [&str; 24] = [
    "strasse", "strase", "gasse", "weg", "platz", "allee", "gatan", "vagen", "katu", "tie", "kuja",
    "polku", "vej", "gade", "vanget", "veien", "gata", "straat", "laan", "gracht", "plein", "utca",
    "stradet", "parken",
];

/// Asked for a word that begins with a capital.
pub(crate) fn find(text: &[u8], word: &Word, spans: &mut Vec<Span>) {
    let street = Known::STREET.or(Known::SHORT_STREET);
    let mut address = |start, end| {
        let end = with_units(text, directed(text, end));
        // `704 1436 Redbud Drive`.
        let more = gap_before(text, start).and_then(|end| house_number(text, end));
        let start = more.unwrap_or(start);
        let kind = Kind::Address;
        spans.push(Span { start, end, kind });
        envelope::behind(text, end, spans);
    };
    if word.is(street)
        && let Some(start) = street_before(text, word)
    {
        address(start, word.end);
    }
    if word.is(Known::OPENER)
        && let Some((start, end)) = opened(text, word)
    {
        address(start, end);
    }
    if let Some((start, end)) = one_word(text, word) {
        address(start, end);
    }
    if before(text, word.start.saturating_sub(1)).is_ascii_digit()
        && let Some((start, end)) = announced(text, word)
    {
        address(start, end);
    }
    if word.is(Known::UNIT)
        && let Some(end) = unit(text, word.start)
    {
        let house = numbered_before(text, word.start);
        // `traffic on Route 66`: a road through many states is no place smaller than one.
        if house.is_some() || !is_route(text, word.start, word.end) {
            address(house.unwrap_or(word.start), end);
        }
    }
    if let Some((start, end)) = boxed(text, word) {
        address(start, end);
    }
    let mut push = |start, end, kind| spans.push(Span { start, end, kind });
    if let Some((start, end)) = towns::find(text, word).or_else(|| towns::house(text, word)) {
        push(start, end, Kind::Place);
    }
    if let Some((start, end)) = before_state(text, word).or_else(|| county(text, word)) {
        push(start, end, Kind::Place);
    }
    let town = town(text, word).or_else(|| town_of_state(text, word));
    if let Some(end) = town {
        push(word.start, end, Kind::Place);
        if let Some((start, end)) = code_behind(text, end) {
            push(start, end, Kind::Zip);
        }
    }
    if let Some((start, end)) = facility::find(text, word) {
        push(start, end, Kind::Place);
    }
    if let Some(end) = facility::employer(text, word) {
        push(word.start, end, Kind::Place);
    }
}

/// Words that a street stands behind without a number.
const ON_STREET: [&str; 9] = [
    "on", "at", "near", "off", "of", "along", "and", "from", "to",
];

/// Whether one of these stands before `i`.
fn linked(text: &[u8], i: usize, words: &[&str]) -> bool {
    gap_before(text, i).is_some_and(|end| {
        let start = run_back_up_to(text, end, 8, is_letter);
        words
            .iter()
            .any(|word| text.get(start..end) == Some(word.as_bytes()))
    })
}

/// The start of a house number that ends at `end`: up to six digits, perhaps a letter or a range.
fn house_number(text: &[u8], end: usize) -> Option<usize> {
    let of_number = |c: u8| is_word(c) || c == b'-';
    let start = run_back_up_to(text, end, 9, of_number);
    let whole = digits(text, start);
    let rest = text.get(whole..end)?;
    let letter = rest.len() <= 1 && rest.iter().all(u8::is_ascii_alphabetic);
    let range = rest.split_first().is_some_and(|(dash, more)| {
        *dash == b'-' && !more.is_empty() && more.iter().all(u8::is_ascii_digit)
    });
    let apart = !matches!(before(text, start), b'.' | b'/' | b'$' | b',' | b'-' | b'_')
        && !is_word(before(text, start));
    ((1..=6).contains(&(whole - start)) && (letter || range) && apart).then_some(start)
}

/// `5th`, `42nd`.
fn is_ordinal(token: &[u8]) -> bool {
    let number = token.iter().take_while(|c| c.is_ascii_digit()).count();
    (1..=3).contains(&number)
        && token.get(number..).is_some_and(|ending| {
            ["st", "nd", "rd", "th"]
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known.as_bytes()))
        })
}

/// House numbers in words.
const NUMBERS: [&str; 10] = [
    "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten",
];

/// The start of the address whose kind of street this word is.
fn street_before(text: &[u8], word: &Word) -> Option<usize> {
    // `2 Main St elevation`.
    let segment = gap(text, word.end).is_some_and(|next| {
        let stop = run_up_to(text, next, 10, is_letter);
        let seen = [
            "elevation",
            "depression",
            "segment",
            "changes",
            "elevations",
        ];
        seen.iter().any(|seen| same(text, next, stop, seen))
    });
    if segment {
        return None;
    }
    // `12 High St`; in capitals it is a segment, too.
    let saint = word.shape == Shape::Title && same(text, word.start, word.end, "st");
    let short = word.is(Known::SHORT_STREET) && !saint;
    // `10 Units Dr. Smith`.
    if short && at(text, word.end) == b'.' && same(text, word.start, word.end, "dr") {
        let next = gap(text, word.end + 1);
        if next.is_some_and(|next| at(text, next).is_ascii_uppercase()) {
            return None;
        }
    }
    let mut end = gap_before(text, word.start)?;
    let (mut own, mut dotted) = (false, false);
    for words in 0..=BETWEEN {
        if words > 0
            && let Some(start) = house_number(text, end)
        {
            return (own || !short).then_some(start);
        }
        let dot = usize::from(before(text, end) == b'.');
        let start = run_back_up_to(text, end - dot, 24, |c| {
            is_word(c) || matches!(c, b'\'' | b'-')
        });
        let token = text.get(start..end - dot)?;
        dotted |= dot == 1 && token.len() > 2;
        let found = known(token);
        let first = token.first().copied()?;
        // `One Longfellow Place`.
        if own && !dotted && NUMBERS.iter().any(|number| token == number.as_bytes()) {
            return Some(start);
        }
        let capital = first.is_ascii_uppercase() && token.iter().all(|&c| !c.is_ascii_digit());
        let small = found.is(Known::PARTICLE) || matches!(token, b"of" | b"the");
        if !(capital || small || is_ordinal(token)) {
            return None;
        }
        // In capitals only beside others: `HEAD CT`.
        let same_case = word.shape != Shape::Caps
            || (token.len() >= 3 && token.iter().all(|c| !c.is_ascii_lowercase()));
        own |= same_case && (is_ordinal(token) || (capital && !found.is(Known::PLAIN)));
        // `on Sycamore Street`.
        if !short && word.shape == Shape::Title && linked(text, start, &ON_STREET) {
            let whole = word.len() > 3 || own;
            return (whole && !found.is(Known::PARTICLE)).then_some(start);
        }
        end = gap_before(text, start)?;
    }
    None
}

/// Behind the words of a street's name at `i`, and behind the number that follows them, if one does.
fn street_after(text: &[u8], i: usize) -> (usize, bool) {
    let mut end = i;
    for _ in 0..BETWEEN {
        let comma = end + usize::from(at(text, end) == b',');
        let Some(next) = gap(text, comma) else { break };
        let stop = digits(text, next);
        if (1..=5).contains(&(stop - next)) {
            let letter = usize::from(is_letter(at(text, stop)) && !is_word(at(text, stop + 1)));
            let apart = !is_word(at(text, stop + letter));
            return if apart {
                (stop + letter, true)
            } else {
                (end, false)
            };
        }
        if comma > end {
            break;
        }
        let stop = run_up_to(text, next, 24, |c| {
            is_letter(c) || matches!(c, b'\'' | b'-')
        });
        let particle = known(text.get(next..stop).unwrap_or_default()).is(Known::PARTICLE);
        if stop == next || !(at(text, next).is_ascii_uppercase() || particle) {
            break;
        }
        end = stop;
    }
    (end, false)
}

/// `Via Roma 7`, `7 Rue de la Paix`.
fn opened(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    if word.shape != Shape::Title {
        return None;
    }
    let after = word.end + usize::from(at(text, word.end) == b'.');
    let (end, numbered) = street_after(text, after);
    let house = gap_before(text, word.start).and_then(|end| house_number(text, end));
    (end > after && (numbered || house.is_some())).then_some((house.unwrap_or(word.start), end))
}

/// `Hauptstrasse 12`.
fn one_word(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    let letters = text.get(word.start..word.end)?;
    let ends = |ending: &&str| {
        let ending = ending.as_bytes();
        letters.len() >= ending.len() + 3
            && letters
                .get(letters.len() - ending.len()..)
                .is_some_and(|last| last.eq_ignore_ascii_case(ending))
    };
    if letters.len() < 6 || known(letters).is(Known::PLAIN) {
        return None;
    }
    let next = gap(text, word.end)?;
    let stop = digits(text, next);
    let stop = stop + usize::from(is_letter(at(text, stop)));
    if !(1..=5).contains(&(stop - next))
        || is_word(at(text, stop))
        || !at(text, next).is_ascii_digit()
        || !ENDINGS.iter().any(ends)
    {
        return None;
    }
    let house = gap_before(text, word.start).and_then(|end| house_number(text, end));
    Some((house.unwrap_or(word.start), stop))
}

/// A number and this word behind `lives at`, `address:` and the like.
fn announced(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    let start = house_number(text, gap_before(text, word.start)?)?;
    let blanks = run_back_up_to(text, start, 3, super::lexis::is_space);
    let mut end = blanks - usize::from(before(text, blanks) == b':');
    for _ in 0..3 {
        let from = run_back_up_to(text, end, 10, is_letter);
        let letters = text.get(from..end)?;
        if known(letters).is(Known::LIVING) {
            let (end, _) = street_after(text, word.end);
            return Some((start, end));
        }
        let link = ["at", "on", "is", "to", "in"];
        if !link
            .iter()
            .any(|link| letters.eq_ignore_ascii_case(link.as_bytes()))
        {
            return None;
        }
        end = gap_before(text, from)?;
    }
    None
}

/// Whether this is a road that has a number for its name.
fn is_route(text: &[u8], from: usize, to: usize) -> bool {
    let roads = ["route", "rte"];
    roads.iter().any(|one| same(text, from, to, one))
}

/// The end of `Apt. 4B` at `i`.
fn unit(text: &[u8], i: usize) -> Option<usize> {
    let end = run_up_to(text, i, 10, is_letter);
    if !known(text.get(i..end)?).is(Known::UNIT) {
        return None;
    }
    let dot = end + usize::from(at(text, end) == b'.');
    let blanks = run_up_to(text, dot, 2, is_blank);
    let sign = blanks + usize::from(at(text, blanks) == b'#');
    let stop = run_up_to(text, sign, 7, |c| is_word(c) || c == b'-');
    let token = text.get(sign..stop)?;
    let numbered = token.iter().any(u8::is_ascii_digit) || (token.len() == 1 && blanks > end);
    // `Route 2 tabs`.
    let open = is_route(text, i, end) && run_up_to(text, stop, 1, is_blank) > stop;
    (numbered && sign > end && !open && !is_word(at(text, stop))).then_some(stop)
}

/// With the unit that follows, a comma or line end between or not.
fn with_unit(text: &[u8], end: usize) -> usize {
    let dot = end + usize::from(at(text, end) == b'.');
    let comma = dot + usize::from(at(text, dot) == b',');
    let next = run_up_to(text, comma, 3, super::lexis::is_space);
    if at(text, next) == b'#' {
        let stop = run_up_to(text, next + 1, 6, is_word);
        if stop > next + 1 && !is_word(at(text, stop)) {
            return stop;
        }
    }
    if next > dot {
        unit(text, next).unwrap_or(end)
    } else {
        end
    }
}

/// With the quarter of the town that a street lies in: `Peachtree St NE`.
fn directed(text: &[u8], end: usize) -> usize {
    let quarters = ["N", "S", "E", "W", "NE", "NW", "SE", "SW"];
    let dot = end + usize::from(at(text, end) == b'.');
    let Some(next) = gap(text, dot) else {
        return end;
    };
    let stop = run_up_to(text, next, 3, is_word);
    let quarter = text.get(next..stop).unwrap_or_default();
    let known = quarters.iter().any(|one| quarter == one.as_bytes());
    let goes_on = matches!(at(text, stop), b'-' | b'/' | b'\'')
        || gap(text, stop).is_some_and(|more| at(text, more).is_ascii_lowercase());
    if known && !goes_on { stop } else { end }
}

/// With as many units as follow each other: `Suite 568 Apt. 108`.
fn with_units(text: &[u8], end: usize) -> usize {
    let first = with_unit(text, end);
    if first > end {
        with_unit(text, first)
    } else {
        end
    }
}

/// The start of a street of no known kind before the part of a house that begins at `unit`: a house
/// number, words, perhaps a number again.
fn numbered_before(text: &[u8], unit: usize) -> Option<usize> {
    let blanks = run_back_up_to(text, unit, 3, super::lexis::is_space);
    let mut end = blanks - usize::from(before(text, blanks) == b',');
    let number = house_number(text, end);
    if let Some(number) = number {
        end = gap_before(text, number)?;
    }
    for words in 0..=BETWEEN {
        if words > 0
            && let Some(start) = house_number(text, end)
        {
            return Some(start);
        }
        let dot = usize::from(before(text, end) == b'.');
        let start = run_back_up_to(text, end - dot, 24, |c| {
            is_letter(c) || matches!(c, b'\'' | b'-')
        });
        let first = text.get(start..end - dot)?.first()?;
        let particle = known(text.get(start..end - dot)?).is(Known::PARTICLE);
        (first.is_ascii_uppercase() || particle).then_some(())?;
        end = gap_before(text, start)?;
    }
    None
}

/// `PO Box 123`, `Box 1234`.
fn boxed(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    if !same(text, word.start, word.end, "box") {
        return None;
    }
    let next = gap(text, word.end)?;
    let stop = digits(text, next);
    if !(1..=6).contains(&(stop - next)) || is_word(at(text, stop)) {
        return None;
    }
    let end = gap_before(text, word.start)?;
    let office = run_back_up_to(text, end, 4, |c| is_letter(c) || c == b'.');
    let letters = text.get(office..end)?;
    let post = ["po", "p.o.", "pob", "post"];
    let post = post
        .iter()
        .any(|post| letters.eq_ignore_ascii_case(post.as_bytes()));
    if post {
        return Some((office, stop));
    }
    // `PSC 6293, Box 8158`, `Unit 4719 Box 7394`.
    let number = run_back_up_to(text, end - usize::from(before(text, end) == b','), 6, |c| {
        c.is_ascii_digit()
    });
    let unit = gap_before(text, number).map(|end| (run_back_up_to(text, end, 5, is_letter), end));
    let military = unit.filter(|&(from, to)| {
        let kinds = ["psc", "unit", "cmr"];
        kinds.iter().any(|kind| same(text, from, to, kind))
    });
    if let Some((from, _)) = military {
        return Some((from, stop));
    }
    (stop - next >= 4).then_some((word.start, stop))
}

/// Whether a kind of street or a number, and a comma, stand before `i`: the town of an address.
fn behind_street(text: &[u8], i: usize) -> bool {
    let blanks = run_back_up_to(text, i, 2, super::lexis::is_space);
    if before(text, blanks) != b',' {
        return false;
    }
    let end = blanks - 1 - usize::from(before(text, blanks - 1) == b'.');
    let start = run_back_up_to(text, end, 12, is_word);
    let token = text.get(start..end).unwrap_or_default();
    let street = known(token).is(Known::STREET.or(Known::SHORT_STREET));
    street && token.first().is_some_and(u8::is_ascii_uppercase)
}

/// The end of the town that begins with this word, before the name of a state: `Qwrtz, Ohio`.
pub(super) fn town_of_state(text: &[u8], word: &Word) -> Option<usize> {
    let plain = word.is_plain() && !word.is(Known::CITY);
    if word.shape != Shape::Title || word.possessive || plain {
        return None;
    }
    let mut end = word.end;
    for _ in 0..2 {
        let next = gap(text, end).and_then(|next| word_at(text, next));
        let Some(next) = next.filter(|next| next.shape == word.shape) else {
            break;
        };
        end = next.end;
    }
    let state = gap(text, end + 1).filter(|_| at(text, end) == b',')?;
    let stop = run_up_to(text, state, 14, is_letter);
    let capital = at(text, state).is_ascii_uppercase();
    let named = capital && states::first_words().any(|word| same(text, state, stop, word));
    named.then_some(end)
}

/// `Qwrtz County`, but before what is the county's: `Qwrtz County Jail`.
fn county(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    if word.shape != Shape::Title || !same(text, word.start, word.end, "county") {
        return None;
    }
    let last = word_before(text, gap_before(text, word.start)?)?;
    let named = last.shape == Shape::Title && !last.possessive && !last.is(Known::PLAIN);
    let more = gap(text, word.end).is_some_and(|next| at(text, next).is_ascii_uppercase());
    (named && !more && last.len() >= 4).then_some((last.start, word.end))
}

/// A post code with letters behind a town that ends at `end`: `Sheffield S10 2QT`.
pub(super) fn code_behind(text: &[u8], end: usize) -> Option<(usize, usize)> {
    let comma = end + usize::from(at(text, end) == b',');
    let start = gap(text, comma)?;
    let end = zip::code(text, start)?;
    let letters = text.get(start..end)?.iter().any(u8::is_ascii_alphabetic);
    letters.then_some((start, end))
}

/// The town before this abbreviation of a state.
fn before_state(text: &[u8], word: &Word) -> Option<(usize, usize)> {
    let state = text.get(word.start..word.end)?;
    if word.shape != Shape::Caps || word.possessive || !is_state(state) {
        return None;
    }
    let blanks = run_back_up_to(text, word.start, 3, super::lexis::is_space);
    let comma = before(text, blanks) == b',';
    let end = blanks - usize::from(comma);
    if (blanks == word.start && !comma) || word.start - blanks > 2 {
        return None;
    }
    let zip = gap(text, word.end).is_some_and(|next| {
        let stop = digits(text, next);
        let more = at(text, stop) == b'-' && !at(text, stop + 1).is_ascii_digit();
        stop == next + 5 && !is_letter(at(text, stop)) && !more
    });
    let town = |last: &Word| !last.is_plain() || zip && last.is(Known::CITY);
    let last = word_before(text, end).filter(|last| comma || town(last))?;
    let mut start = last.start;
    let mut listed = last.is(Known::CITY);
    if !matches!(last.shape, Shape::Title | Shape::Caps) || last.possessive {
        return None;
    }
    for _ in 0..2 {
        let Some(word) = gap_before(text, start).and_then(|end| word_before(text, end)) else {
            break;
        };
        let part = matches!(word.shape, Shape::Title | Shape::Caps)
            && word.shape == last.shape
            && !word.is(Known::STREET.or(Known::SHORT_STREET));
        if !part || !(zip || word.is(Known::SAINT)) {
            break;
        }
        listed |= word.is(Known::SAINT);
        start = word.start;
    }
    // `Qwrtz, OH`; `Qwrtz, MD` is a person.
    let doubtful = [
        "MD", "PA", "DO", "CT", "MA", "MS", "OR", "IN", "ME", "OK", "ID", "LA", "CA",
    ];
    let sure = !doubtful.iter().any(|other| state == other.as_bytes());
    let people = ["MD", "PA", "DO"]
        .iter()
        .any(|other| state == other.as_bytes());
    let links: &[&str] = if people {
        &["in", "near"]
    } else {
        &["in", "near", "from", "to", "of"]
    };
    let sure = sure || linked(text, start, links);
    let unknown = last.known.is_nothing() && last.shape == Shape::Title && sure;
    let housed = behind_street(text, start);
    // `Qwrtz NY`: these are no abbreviations of anything else.
    let plain = ["NY", "NJ", "WI", "MN", "KY", "WV", "WY", "OH"]
        .iter()
        .any(|one| state == one.as_bytes());
    let plain = plain && unknown && last.len() >= 5;
    (zip || plain || (comma && (listed || unknown || housed))).then_some((start, end))
}

/// The end of the town that begins with this word, by what stands before it.
fn town(text: &[u8], word: &Word) -> Option<usize> {
    if !matches!(word.shape, Shape::Title | Shape::Caps) || word.len() < 2 {
        return None;
    }
    let link_end = gap_before(text, word.start)?;
    // `10969 Berlin`.
    let coded = run_back_up_to(text, link_end, 6, |c| c.is_ascii_digit());
    if link_end - coded == 5 && word.is(Known::CITY) && !is_word(before(text, coded)) {
        return Some(word.end);
    }
    // `, Boston 02139`.
    let code = gap(text, word.end).map(|next| (next, digits(text, next)));
    let coded = code.is_some_and(|(next, stop)| stop - next == 5 && !is_word(at(text, stop)));
    if coded && word.is(Known::CITY) && before(text, link_end) == b',' {
        return Some(word.end);
    }
    let link = run_back_up_to(text, link_end, 8, is_letter);
    let letters = text.get(link..link_end)?;
    let small = letters.to_ascii_lowercase();
    let of = |words: &[&str]| words.iter().any(|word| small == word.as_bytes());
    if !of(&["in", "from", "to", "near", "of", "outside", "around", "via"])
        || is_word(before(text, link))
    {
        return None;
    }
    let origin = gap_before(text, link).is_some_and(|end| {
        let from = run_back_up_to(text, end, 10, is_letter);
        known(text.get(from..end).unwrap_or_default()).is(Known::ORIGIN)
    });
    if of(&["of"]) && !origin {
        return None;
    }
    let any = origin && !word.is(Known::PLAIN) && !word.is(Known::GIVEN);
    let mut end = word.end;
    let saint = [
        "san", "santa", "los", "las", "el", "st", "fort", "ft", "baton", "des", "eau", "terre",
        "lake", "mount", "port", "cape",
    ]
    .iter()
    .any(|saint| same(text, word.start, word.end, saint));
    // `El Paso`, `St. Louis`, `Coral Springs`.
    let dot = end + usize::from(saint && at(text, end) == b'.');
    let second = gap(text, dot)
        .and_then(|next| word_at(text, next))
        .filter(|next| next.shape == word.shape && !next.possessive)
        .filter(|next| {
            let holy = same(text, word.start, word.end, "st") && !next.is(Known::CITY);
            (saint && !holy && !next.is_plain()) || next.is(Known::TOWN_END)
        });
    if let Some(next) = second {
        let region = !saint
            && word.is(Known::PLAIN)
            && !word.is(Known::NAME.or(Known::CITY).or(Known::SAINT));
        if region && !origin {
            return None;
        }
        end = next.end;
    } else if !(word.is(Known::CITY) || any) || word.len() < 3 {
        return None;
    }
    for _ in 0..2 {
        let next = gap(text, end).and_then(|next| word_at(text, next));
        let Some(next) = next.filter(|next| next.shape == word.shape) else {
            break;
        };
        if next.is(Known::PLAIN) || next.possessive {
            break;
        }
        if next.is(Known::THING) {
            return None;
        }
        end = next.end;
    }
    let thing = gap(text, end).is_some_and(|next| {
        let end = run_up_to(text, next, 16, is_letter);
        known(text.get(next..end).unwrap_or_default()).is(Known::THING)
    });
    (origin || !thing).then_some(end)
}
