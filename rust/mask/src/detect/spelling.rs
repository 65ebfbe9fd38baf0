//! Words as names are made of: letters with apostrophes and dashes inside, how they are written, and
//! what is known of them.

use super::endings;
use super::lexicon::{Known, known};
use super::lexis::{LETTER, at, before, is_blank, is_letter, is_word, run_back_up_to, run_up_to};

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One capital.
    Initial,
    /// A capital and small letters, perhaps another capital further on (`McDonald`).
    Title,
    /// Capitals alone.
    Caps,
    Lower,
    /// Anything else, as `HbA` and `WBCs`.
    Mixed,
}

/// A word in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) start: usize,
    /// Before the `'s` of a possessive.
    pub(crate) end: usize,
    pub(crate) shape: Shape,
    pub(crate) known: Known,
    pub(crate) possessive: bool,
}

impl Word {
    pub(crate) fn is(&self, any: Known) -> bool {
        self.known.is(any)
    }

    /// Whether it is a plain word and may not be a name.
    pub(crate) fn is_plain(&self) -> bool {
        self.is(Known::PLAIN) && !self.is(Known::NAME)
    }

    /// Whether a name may have it as a part: a word in title case that is none of the plain ones, or
    /// capitals that some list has for a name.
    pub(crate) fn may_name(&self) -> bool {
        match self.shape {
            Shape::Title => !self.is_plain(),
            Shape::Caps => self.is(Known::NAME),
            _ => false,
        }
    }

    /// Whether it is of some use beside being a plain word: before or behind a name, in an address; or
    /// capitals of no list, unless they are three.
    pub(crate) fn is_rare(&self) -> bool {
        let unknown = self.known.is_nothing() && self.len() != 3;
        let houses = Known::TOWN.or(Known::HOUSE_END).or(Known::HOUSE_FRONT);
        let houses = houses.or(Known::COMPANY);
        let placed = Known::PLACED.or(Known::CITY).or(houses);
        match self.shape {
            Shape::Initial => true,
            Shape::Caps => unknown || self.is(placed) || self.len() == 2,
            _ => self.is(placed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// The longest piece of a word, and how many there may be.
const LONGEST: usize = 24;
const PIECES: usize = 4;

/// Capital letters, and those of scripts whose case is not looked at.
pub(crate) fn is_capital(c: u8) -> bool {
    c.is_ascii_uppercase() || c == LETTER
}

/// The word that begins at `i`; nothing where a letter or digit stands before it, or a digit behind.
pub(crate) fn word_at(text: &[u8], i: usize) -> Option<Word> {
    if !is_letter(at(text, i)) || is_word(before(text, i)) || before(text, i) == b'_' {
        return None;
    }
    let mut end = piece(text, i)?;
    if !matches!(at(text, end), b'\'' | b'-' | b'0'..=b'9' | b'_' | b'@') {
        let letters = text.get(i..end)?;
        return Some(Word {
            start: i,
            end,
            shape: shape(letters),
            known: known_alone(letters),
            possessive: false,
        });
    }
    let mut last = i;
    let mut pieces = 1;
    while matches!(at(text, end), b'\'' | b'-') && is_letter(at(text, end + 1)) {
        if pieces == PIECES {
            return None;
        }
        pieces += 1;
        last = end + 1;
        end = piece(text, last)?;
    }
    if matches!(at(text, end), b'0'..=b'9' | b'_' | b'@') {
        return None;
    }
    let mut possessive = false;
    if pieces > 1 && end - last == 1 && before(text, last) == b'\'' && at(text, last) | 0x20 == b's'
    {
        possessive = true;
        pieces -= 1;
        end = last - 1;
    } else if at(text, end) == b'\'' && before(text, end) | 0x20 == b's' {
        possessive = true;
    }
    let letters = text.get(i..end)?;
    Some(Word {
        start: i,
        end,
        shape: shape(letters),
        known: if pieces == 1 {
            known_alone(letters)
        } else {
            known_joined(letters)
        },
        possessive,
    })
}

/// The word that ends at `end`, as [`word_at`] would tell it from its beginning.
pub(crate) fn word_before(text: &[u8], end: usize) -> Option<Word> {
    let of_word = |c: u8| is_letter(c) || matches!(c, b'\'' | b'-');
    let mut start = run_back_up_to(text, end, PIECES * (LONGEST + 1), of_word);
    while start < end && !is_letter(at(text, start)) {
        start += 1;
    }
    let word = word_at(text, start)?;
    let possessive = if word.possessive { 2 } else { 0 };
    (word.end == end || word.end + possessive == end || (word.possessive && word.end + 1 == end))
        .then_some(word)
}

/// The end of the letters at `i`, unless they are too many for a name.
fn piece(text: &[u8], i: usize) -> Option<usize> {
    let end = run_up_to(text, i, LONGEST, is_letter);
    (!is_letter(at(text, end))).then_some(end)
}

fn shape(letters: &[u8]) -> Shape {
    let [first, rest @ ..] = letters else {
        return Shape::Mixed;
    };
    if !is_capital(*first) {
        return Shape::Lower;
    }
    let Some(second) = rest.first() else {
        return Shape::Initial;
    };
    if rest.iter().all(u8::is_ascii_lowercase) {
        return Shape::Title;
    }
    let not_small = |c: &u8| !(c.is_ascii_lowercase() || *c == LETTER);
    if second.is_ascii_uppercase() {
        return if rest.iter().all(not_small) {
            Shape::Caps
        } else {
            Shape::Mixed
        };
    }
    let (mut capitals, mut pieces, mut small) = (0usize, 0usize, false);
    for &c in rest {
        small |= c.is_ascii_lowercase() || c == LETTER;
        capitals += usize::from(c.is_ascii_uppercase());
        pieces += usize::from(!is_letter(c));
    }
    let last = rest.last().is_some_and(u8::is_ascii_uppercase);
    if !small {
        Shape::Caps
    } else if !last && capitals <= 1 + pieces {
        Shape::Title
    } else {
        Shape::Mixed
    }
}

/// With `Mc` and `Mac` before another capital.
fn known_alone(letters: &[u8]) -> Known {
    let found = known(letters);
    let scottish = match letters {
        [b'M', b'c', c, _, ..] | [b'M', b'a', b'c', c, _, ..] | [b'M', b'C', c, _, ..] => {
            c.is_ascii_uppercase()
        }
        _ => false,
    };
    if scottish && !found.is(Known::NAME) {
        return found.or(Known::SURNAME);
    }
    if found.is_nothing() {
        if endings::like_surname(letters) {
            return found.or(Known::SURNAME);
        }
        if endings::like_word(letters) {
            return found.or(Known::PLAIN);
        }
    }
    found
}

/// Of a word of several pieces: `O'Brien`, `Anna-Maria`, `Smith-Jones`; not `Follow-up`, `don't`.
fn known_joined(letters: &[u8]) -> Known {
    let pieces = || letters.split(|c| !is_letter(*c));
    let all = |of: Known| pieces().all(|piece| known(piece).is(of));
    let any = |of: Known| pieces().any(|piece| known(piece).is(of));
    let capitals = pieces().all(|piece| piece.first().is_some_and(|c| is_capital(*c)));
    let plain = pieces().any(|piece| {
        let found = known(piece);
        piece.len() > 1 && found.is(Known::PLAIN) && !found.is(Known::NAME)
    });
    // `o'connor`, `Joon-ho`.
    let irish = matches!(letters, [b'o' | b'O', b'\'', c, ..] if is_letter(*c));
    if irish && letters.len() > 4 && !letters.eq_ignore_ascii_case(b"o'clock") {
        return Known::SURNAME;
    }
    let [first, second] = [0, 1].map(|i| pieces().nth(i).unwrap_or_default());
    if !capitals && known(first).is(Known::GIVEN) && second.len() <= 4 && pieces().count() == 2 {
        return if plain { Known::PLAIN } else { Known::GIVEN };
    }
    // `Port-au-Prince`, `Stratford-upon-Avon`.
    let small = [
        "au", "de", "del", "en", "la", "le", "les", "on", "sur", "the", "upon",
    ];
    let middle = pieces().nth(1).unwrap_or_default();
    let town = pieces().count() == 3 && first.len() >= 4 && pieces().all(|piece| piece.len() != 1);
    if town && small.iter().any(|one| middle == one.as_bytes()) {
        let last = pieces().nth(2).unwrap_or_default();
        let cased = [first, last]
            .iter()
            .all(|one| one.first().is_some_and(|c| is_capital(*c)));
        if cased && last.len() >= 4 {
            return Known::CITY;
        }
    }
    if plain || !capitals {
        return Known::PLAIN;
    }
    if letters.get(1) == Some(&b'\'') && letters.len() > 4 {
        return Known::SURNAME;
    }
    let given = Known::GIVEN.or(Known::MAYBE_GIVEN);
    let surname = Known::SURNAME.or(Known::MAYBE_SURNAME);
    let mut found = Known::default();
    if any(Known::EPONYM) {
        found = Known::EPONYM;
    }
    if all(given) && any(Known::GIVEN) {
        found = found.or(Known::GIVEN);
    }
    if any(Known::SURNAME) && !any(Known::MAYBE_SURNAME) {
        found = found.or(Known::SURNAME);
    } else if any(surname) {
        found = found.or(Known::MAYBE_SURNAME);
    }
    found
}

/// The end of one or two blanks at `i`.
pub(crate) fn gap(text: &[u8], i: usize) -> Option<usize> {
    let end = run_up_to(text, i, 3, is_blank);
    (1..=2).contains(&(end - i)).then_some(end)
}

/// The start of one or two blanks that end at `i`.
pub(crate) fn gap_before(text: &[u8], i: usize) -> Option<usize> {
    let start = run_back_up_to(text, i, 3, is_blank);
    (1..=2).contains(&(i - start)).then_some(start)
}
