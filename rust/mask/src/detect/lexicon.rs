//! What is known of a word by itself: given names, surnames, cities, and plain words that begin with
//! a capital in notes (headings, departments, drugs, months, countries).
//!
//! The lists beside this file are plain facts in lower case without accents. A name that is a plain
//! word, a place or an eponym too (`Mark`, `Graves`, `Jordan`) stands in the list of such words, and only
//! *may* be a name. A list alone makes no name (see `name` for what has to stand beside it) but of
//! words that are nothing else and no eponyms (see `lone`).

use std::sync::OnceLock;

use super::{subject, towns};

/// What a word is; several may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known(u32);

impl Known {
    /// A given name and nothing else.
    pub(crate) const GIVEN: Self = Self(1);
    pub(crate) const SURNAME: Self = Self(1 << 1);
    /// A given name that is something else too.
    pub(crate) const MAYBE_GIVEN: Self = Self(1 << 2);
    pub(crate) const MAYBE_SURNAME: Self = Self(1 << 3);
    pub(crate) const PLAIN: Self = Self(1 << 4);
    pub(crate) const CITY: Self = Self(1 << 5);
    /// A title that names follow, beside those of `name::TITLES`.
    pub(crate) const TITLE: Self = Self(1 << 6);
    /// What a field is called whose value is a name.
    pub(crate) const FIELD: Self = Self(1 << 7);
    /// Who may stand before `name`: `Drug name: Aspirin` is none of a person.
    pub(crate) const OWNER: Self = Self(1 << 8);
    /// Relatives and others whom names follow.
    pub(crate) const RELATION: Self = Self(1 << 9);
    /// Words that a name often follows.
    pub(crate) const BEFORE: Self = Self(1 << 10);
    /// Small words inside of names.
    pub(crate) const PARTICLE: Self = Self(1 << 11);
    /// What a name before it is the name of, and no person: `disease`, `hospital`.
    pub(crate) const THING: Self = Self(1 << 12);
    /// What makes a place of the name behind it: `Saint`, `Lake`.
    pub(crate) const SAINT: Self = Self(1 << 13);
    /// A kind of street, behind its name; the short ones are other words too.
    pub(crate) const STREET: Self = Self(1 << 14);
    pub(crate) const SHORT_STREET: Self = Self(1 << 15);
    /// A kind of street, before its name.
    pub(crate) const OPENER: Self = Self(1 << 16);
    /// What has a number inside of a house.
    pub(crate) const UNIT: Self = Self(1 << 17);
    /// What an address stands behind, and what a town.
    pub(crate) const LIVING: Self = Self(1 << 18);
    pub(crate) const ORIGIN: Self = Self(1 << 19);
    /// What somebody is who is named behind it: `Patient`, `NP`.
    pub(crate) const ROLE: Self = Self(1 << 20);
    /// A name, also of a town, that is a sign's, a scale's or a maker's more often than not: never
    /// told alone.
    pub(crate) const EPONYM: Self = Self(1 << 21);
    /// What the names of towns of two words end with.
    pub(crate) const TOWN_END: Self = Self(1 << 22);
    /// What somebody writes behind their name.
    pub(crate) const CREDENTIAL: Self = Self(1 << 23);
    /// Hospitals, schools and the like.
    pub(crate) const FACILITY: Self = Self(1 << 24);
    /// Something else too, but a name more often than not: in the lists of names and in those of words
    /// that are some.
    pub(crate) const COMMON: Self = Self(1 << 25);
    /// A word of the towns and houses of several words.
    pub(crate) const TOWN: Self = Self(1 << 26);
    /// What the names of hospitals end with.
    pub(crate) const HOUSE_END: Self = Self(1 << 27);
    /// What employers are called that are a word too.
    pub(crate) const COMPANY: Self = Self(1 << 28);
    /// What the names of houses begin with, though it is a plain word.
    pub(crate) const HOUSE_FRONT: Self = Self(1 << 29);
    /// What opens a rule of places.
    pub(crate) const PLACED: Self = Self((1 << 14) | (1 << 15) | (1 << 16) | (1 << 17) | (1 << 13));
    /// Any of the four.
    pub(crate) const NAME: Self = Self(0b1111);
    /// Given name or surname and nothing else.
    pub(crate) const SURE: Self = Self(0b11);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no list has it that says what it is.
    pub(crate) const fn is_nothing(self) -> bool {
        !self.is(Self::NAME.or(Self::PLAIN).or(Self::CITY))
    }

    /// Whether it is a name of a person or town, and of nothing else.
    pub(crate) const fn stands_alone(self) -> bool {
        self.is(Self::SURE.or(Self::CITY)) && !self.is(Self::PLAIN.or(Self::EPONYM))
    }

    /// Whether any of these holds.
    pub(crate) const fn is(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

/// Which list says what. Later ones are weighed against earlier ones in [`settled`].
const LISTS: [(&str, Known); 30] = [
    (include_str!("lexicon/given.txt"), Known::GIVEN),
    (include_str!("lexicon/surnames.txt"), Known::SURNAME),
    (include_str!("lexicon/given_words.txt"), Known::MAYBE_GIVEN),
    (
        include_str!("lexicon/surname_words.txt"),
        Known::MAYBE_SURNAME,
    ),
    (include_str!("lexicon/words.txt"), Known::PLAIN),
    (include_str!("lexicon/cities.txt"), Known::CITY),
    (include_str!("lexicon/titles.txt"), Known::TITLE),
    (include_str!("lexicon/fields.txt"), Known::FIELD),
    (include_str!("lexicon/owners.txt"), Known::OWNER),
    (include_str!("lexicon/relations.txt"), Known::RELATION),
    (include_str!("lexicon/before.txt"), Known::BEFORE),
    (include_str!("lexicon/particles.txt"), Known::PARTICLE),
    (include_str!("lexicon/things.txt"), Known::THING),
    (include_str!("lexicon/saints.txt"), Known::SAINT),
    (include_str!("lexicon/streets.txt"), Known::STREET),
    (
        include_str!("lexicon/short_streets.txt"),
        Known::SHORT_STREET,
    ),
    (include_str!("lexicon/openers.txt"), Known::OPENER),
    (include_str!("lexicon/units.txt"), Known::UNIT),
    (include_str!("lexicon/living.txt"), Known::LIVING),
    (include_str!("lexicon/origins.txt"), Known::ORIGIN),
    (include_str!("lexicon/roles.txt"), Known::ROLE),
    (include_str!("lexicon/eponyms.txt"), Known::EPONYM),
    (include_str!("lexicon/town_ends.txt"), Known::TOWN_END),
    (include_str!("lexicon/credentials.txt"), Known::CREDENTIAL),
    (include_str!("lexicon/facilities.txt"), Known::FACILITY),
    (towns::TOWNS, Known::TOWN),
    (towns::HOUSES, Known::TOWN),
    (include_str!("lexicon/house_ends.txt"), Known::HOUSE_END),
    (include_str!("lexicon/house_fronts.txt"), Known::HOUSE_FRONT),
    (include_str!("lexicon/companies.txt"), Known::COMPANY),
];

/// A name that is something else too is not sure.
fn settled(known: Known) -> Known {
    let plain = known.is(Known::PLAIN);
    let (mut sure, mut maybe) = (0, 0);
    for (name, other) in [
        (Known::GIVEN, Known::MAYBE_GIVEN),
        (Known::SURNAME, Known::MAYBE_SURNAME),
    ] {
        if known.is(other) || (known.is(name) && plain) {
            maybe |= other.0;
            if known.is(other) && known.is(name) {
                maybe |= Known::COMMON.0;
            }
        } else if known.is(name) {
            sure |= name.0;
        }
    }
    Known(sure | maybe | (known.0 & !Known::NAME.0))
}

/// Half as many again as there are words, at least: a power of two.
const SLOTS: usize = 1 << 15;

/// The letters that are compared together.
const HEAD: usize = 8;

/// A word: its first letters as a number, zero where there is none, and which of the rests are its
/// other letters.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    head: u64,
    rest: u32,
    known: Known,
}

/// The words by their hash, the next free slot after it.
struct Lexicon {
    slots: Vec<Slot>,
    /// What follows the first letters of long words; the first is nothing.
    rests: Vec<&'static [u8]>,
    alone: Beginnings,
}

impl Lexicon {
    fn new() -> Self {
        let mut lexicon = Self {
            slots: vec![Slot::default(); SLOTS],
            rests: vec![&[]],
            alone: Beginnings(Box::new([0; BEGINNINGS / 64])),
        };
        for (list, known) in LISTS {
            for word in list.split_ascii_whitespace() {
                lexicon.add(word.as_bytes(), known);
            }
        }
        for slot in &mut lexicon.slots {
            slot.known = settled(slot.known);
            if slot.known.stands_alone()
                || subject::may_begin(slot.known)
                || slot.known.is(Known::CITY)
            {
                lexicon.alone.add(beginning(slot.head));
            }
        }
        lexicon
    }

    /// Where the word is, or could be.
    fn place(&self, head: u64, rest: &[u8], length: usize) -> usize {
        let mut i = hash(head, length);
        while let Some(slot) = self.slots.get(i) {
            if slot.head == 0 || (slot.head == head && self.rests(slot, rest)) {
                break;
            }
            i = (i + 1) % SLOTS;
        }
        i
    }

    fn rests(&self, slot: &Slot, rest: &[u8]) -> bool {
        if slot.rest == 0 {
            return rest.is_empty();
        }
        let known = self.rests.get(slot.rest as usize);
        known.is_some_and(|known| known.eq_ignore_ascii_case(rest))
    }

    fn add(&mut self, word: &'static [u8], known: Known) {
        let (head, rest) = split(word);
        let place = self.place(head, rest, word.len());
        let next = u32::try_from(self.rests.len()).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if slot.head == 0 && !rest.is_empty() {
            slot.rest = next;
            self.rests.push(rest);
        }
        slot.head = head;
        slot.known = slot.known.or(known);
    }

    fn get(&self, word: &[u8]) -> Known {
        let (head, rest) = split(word);
        let slot = self.slots.get(self.place(head, rest, word.len()));
        slot.map_or(Known::default(), |slot| slot.known)
    }
}

/// The first letters made small, as a number, and the others.
fn split(word: &[u8]) -> (u64, &[u8]) {
    match word.split_first_chunk::<HEAD>() {
        Some((head, rest)) => (u64::from_le_bytes(*head) | 0x2020_2020_2020_2020, rest),
        None => {
            // Two halves that may overlap, or three letters.
            let four = |i: usize| {
                let four = word.get(i..).and_then(|rest| rest.first_chunk::<4>());
                four.map(|four| u64::from(u32::from_le_bytes(*four) | 0x2020_2020))
            };
            let last = word.len().saturating_sub(4);
            let head = match (four(0), four(last)) {
                (Some(low), Some(high)) => low | high << (8 * last),
                _ => {
                    let letters = word.iter().rev();
                    letters.fold(0, |head, &c| head << 8 | u64::from(c | 0x20))
                }
            };
            (head, &[])
        }
    }
}

fn hash(head: u64, length: usize) -> usize {
    let mixed = (head ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 49) as usize % SLOTS
}

/// How many hashes of first letters there are.
const BEGINNINGS: usize = 1 << 16;

/// Of the first letters. Of some hundred multipliers this one lets the fewest of the words through that
/// begin sentences in notes.
fn beginning(head: u64) -> usize {
    (head.wrapping_mul(0xd129_d067_43a0_8f07) >> 48) as usize % BEGINNINGS
}

fn lexicon() -> &'static Lexicon {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    LEXICON.get_or_init(Lexicon::new)
}

/// What names begin with that are told alone: a bit for each hash of their first letters.
pub(crate) struct Beginnings(Box<[u64; BEGINNINGS / 64]>);

impl Beginnings {
    fn add(&mut self, beginning: usize) {
        if let Some(bits) = self.0.get_mut(beginning / 64) {
            *bits |= 1 << (beginning % 64);
        }
    }

    /// Whether a word with these first letters, as `words::letters` has them, may be a name that is told
    /// alone.
    #[inline(always)]
    pub(crate) fn hold(&self, letters: u64) -> bool {
        let beginning = beginning(letters);
        let bits = self.0.get(beginning / 64);
        bits.is_some_and(|bits| bits >> (beginning % 64) & 1 == 1)
    }
}

pub(crate) fn beginnings() -> &'static Beginnings {
    &lexicon().alone
}

/// What is known of these letters, whatever their case.
pub(crate) fn known(word: &[u8]) -> Known {
    lexicon().get(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_lists_of_small_letters() {
        let mut words = std::collections::BTreeSet::new();
        for (list, _) in LISTS {
            for word in list.split_ascii_whitespace() {
                assert!(word.bytes().all(|c| c.is_ascii_lowercase()), "{word}");
                words.insert(word);
            }
        }
        assert!(words.len() * 3 <= SLOTS * 2, "{}", words.len());
    }

    #[test]
    fn a_name_that_is_a_word_is_not_sure() {
        assert_eq!(known(b"Jennifer"), Known::GIVEN);
        assert_eq!(known(b"KOWALSKI"), Known::SURNAME);
        for word in ["mark", "graves", "parkinson", "jordan", "may", "will"] {
            assert!(known(word.as_bytes()).is(Known::NAME), "{word}");
            assert!(!known(word.as_bytes()).is(Known::SURE), "{word}");
        }
        assert_eq!(known(b"xyzzy"), Known::default());
        assert_eq!(known(b""), Known::default());
    }
}
