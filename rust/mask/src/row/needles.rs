//! What is looked for: the words of a row's values, and the values as a whole.

use super::spell::{CAPITAL, DIGIT, Spelled, WORD};
use super::words::{Ordinary, ordinary};

/// The digits of a telephone number with its area, without the country.
pub(crate) const NATIONAL: usize = 10;
/// The digits of one without its area.
const LOCAL: usize = 7;
/// The most digits of a telephone number.
const LONGEST_NUMBER: usize = 15;
/// The fewest digits that count without what stands beside them.
const RUN: usize = 5;
/// The fewest letters or digits of a value, and letters of a word.
const FEWEST: usize = 3;
/// Values of more characters or words count as a whole only.
pub(crate) const LONGEST: usize = 256;
const MOST_WORDS: usize = 16;
/// Further columns share the last bit.
const OWNERS: u32 = 31;

/// When a word counts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alone {
    Never,
    Capital,
    Always,
}

/// What a word of a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// With a digit.
    Number,
    Initial,
    Function,
    /// An ordinary word, with another meaning than the name's.
    Plain,
    Name,
}

/// A word of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) sort: Sort,
    pub(crate) alone: Alone,
    /// Of a value without digits.
    pub(crate) name: bool,
    /// The bit of its column.
    pub(crate) owner: u32,
}

/// A value, or a part, that counts only from end to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) owner: u32,
    /// A number: bounded by what is no digit, and zeros before it do not count.
    pub(crate) number: bool,
    /// Counts only where something separates its letters: without, it is a word like others.
    pub(crate) apart: bool,
}

/// Marks a letter that a separator may stand before.
pub(crate) const JOINT: u8 = 0x10;

/// All that is looked for in one row.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flags: Vec<u8>,
    pub(crate) members: Vec<Member>,
    pub(crate) wholes: Vec<Whole>,
    /// The first bytes of members and wholes.
    firsts: [u64; 4],
    /// First letters of the members that are names, as bits from `a` on.
    pub(crate) initials: u32,
    /// The columns that hold a value without digits.
    pub(crate) names: u32,
    spelled: Spelled,
}

impl Needles {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.flags.clear();
        self.members.clear();
        self.wholes.clear();
        self.firsts = [0; 4];
        self.initials = 0;
        self.names = 0;
    }

    /// Whether a member or a whole begins with `first`.
    pub(crate) fn begins(&self, first: u8) -> bool {
        let bits = self.firsts.get(usize::from(first >> 6));
        bits.is_some_and(|bits| bits & (1 << (first & 63)) != 0)
    }

    fn push_member(&mut self, member: Member) {
        self.begin(member.start);
        self.members.push(member);
    }

    fn push_whole(&mut self, whole: Whole) {
        self.begin(whole.start);
        self.wholes.push(whole);
    }

    fn begin(&mut self, start: usize) {
        let first = self.bytes.get(start).copied().unwrap_or(0);
        if let Some(bits) = self.firsts.get_mut(usize::from(first >> 6)) {
            *bits |= 1 << (first & 63);
        }
    }

    /// The letters and digits of a member or a whole.
    pub(crate) fn text(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The values as a whole that begin with `first`, numbers or others.
    pub(crate) fn beginning(&self, first: u8, number: bool) -> impl Iterator<Item = &Whole> {
        self.wholes.iter().filter(move |whole| {
            whole.number == number && self.bytes.get(whole.start) == Some(&first)
        })
    }

    /// Takes in one value of a column; `solid` says that it counts as a whole only.
    pub(crate) fn add(&mut self, column: usize, value: &str, solid: bool) {
        let owner = 1 << u32::try_from(column).unwrap_or(OWNERS).min(OWNERS);
        let mut spelled = std::mem::take(&mut self.spelled);
        spelled.set(value);
        let long = is_long(value) || solid || value.contains("://");
        // Behind the `@` of an address stands what many share.
        let shared = spelled.bytes.iter().position(|&c| c == b'@');
        let shared = shared.unwrap_or(spelled.bytes.len());
        self.take(&spelled, shared, owner, long);
        self.spelled = spelled;
    }

    fn take(&mut self, spelled: &Spelled, shared: usize, owner: u32, solid: bool) {
        let first = self.bytes.len();
        // The words, as ranges of `bytes`, and how far apart from the one before.
        let mut words: Vec<(usize, usize, usize)> = Vec::new();
        let mut own_words = 0;
        let mut digits = 0;
        let mut i = 0;
        let mut last_end = 0;
        while i < spelled.bytes.len() {
            if spelled.flag(i) & WORD == 0 {
                i += 1;
                continue;
            }
            let end = spelled.word_end(i);
            let start = self.bytes.len();
            self.push_word(spelled, i, end, start > first);
            digits += (i..end).filter(|&i| spelled.flag(i) & DIGIT != 0).count();
            if words.len() <= MOST_WORDS {
                words.push((start, self.bytes.len(), i - last_end));
                own_words += usize::from(i < shared);
            }
            last_end = end;
            i = end;
        }
        let end = self.bytes.len();
        let size = characters(self.text(first, end));
        let dense = words.len() > 1 && self.text(first, end).iter().all(|c| !c.is_ascii());
        if size >= FEWEST || (size >= 2 && dense) {
            self.push_whole(Whole {
                start: first,
                end,
                owner,
                number: digits == end - first,
                apart: words.len() == 1 && digits == 0 && !solid,
            });
        }
        if digits == 0 {
            self.names |= owner;
        }
        if solid || words.len() > MOST_WORDS {
            return;
        }
        if digits >= RUN {
            self.numbers(first, end, owner);
        }
        let lone = words.len() == 1;
        words.truncate(own_words);
        self.words(&words, owner, digits == 0, lone);
    }

    /// Appends a word of `spelled` with its joints.
    fn push_word(&mut self, spelled: &Spelled, from: usize, to: usize, joint: bool) {
        let start = self.bytes.len();
        self.bytes
            .extend_from_slice(spelled.bytes.get(from..to).unwrap_or_default());
        let flags = spelled.flags.get(from..to).unwrap_or_default();
        self.flags
            .extend(flags.iter().map(|flags| flags & (WORD | DIGIT)));
        let word = self.bytes.get(start..).unwrap_or_default();
        let prefix = match word {
            [b'm', b'a', b'c', rest @ ..] if rest.len() >= FEWEST => 3,
            [b'm', b'c', rest @ ..] if rest.len() >= FEWEST => 2,
            _ => 0,
        };
        let mut before = 0;
        for (i, flags) in flags.iter().enumerate() {
            let camel = flags & CAPITAL != 0 && before & (CAPITAL | DIGIT) == 0;
            let here = match i {
                0 => joint,
                _ => camel || i == prefix,
            };
            if here && let Some(flags) = self.flags.get_mut(start + i) {
                *flags |= JOINT;
            }
            before = *flags;
        }
    }

    /// The numbers among `first..end`: runs of digits, and digits that no letter stands between.
    fn numbers(&mut self, first: usize, end: usize, owner: u32) {
        let is = |needles: &Self, i: usize, flag: u8| {
            i < end && needles.flags.get(i).is_some_and(|flags| flags & flag != 0)
        };
        let mut i = first;
        while i < end {
            if !is(self, i, DIGIT) {
                i += 1;
                continue;
            }
            let mut stop = i;
            let mut run = i;
            while is(self, stop, DIGIT) {
                stop += 1;
                let run_ends = !is(self, stop, DIGIT) || is(self, stop, JOINT);
                // The digits in one run are looked for below.
                if run_ends && (run > i || is(self, stop, DIGIT)) {
                    self.number(run, stop, owner);
                }
                if run_ends {
                    run = stop;
                }
            }
            self.number(i, stop, owner);
            if (NATIONAL..=LONGEST_NUMBER).contains(&(stop - i)) {
                self.number(stop - NATIONAL, stop, owner);
                self.number(stop - LOCAL, stop, owner);
            }
            i = stop;
        }
    }

    /// One number, without the zeros it begins with if enough is left.
    fn number(&mut self, mut start: usize, end: usize, owner: u32) {
        let zeros = self
            .text(start, end)
            .iter()
            .take_while(|&&c| c == b'0')
            .count();
        if end - start >= RUN + zeros {
            start += zeros;
        }
        if end - start >= RUN {
            self.push_whole(Whole {
                start,
                end,
                owner,
                number: true,
                apart: false,
            });
        }
    }

    fn words(&mut self, words: &[(usize, usize, usize)], owner: u32, name: bool, lone: bool) {
        let mut initial: Option<usize> = None;
        for &(start, end, apart) in words {
            let (sort, alone) = self.weigh(start, end, name, lone);
            let member = Member {
                start,
                end,
                sort,
                alone,
                name,
                owner,
            };
            self.push_member(member);
            let letter = self.bytes.get(start).copied().unwrap_or(0);
            if name && letter.is_ascii_lowercase() {
                self.initials |= 1 << (letter - b'a');
            }
            if let Some(from) = initial.take()
                && apart <= 1
                && sort != Sort::Number
                && characters(self.text(start, end)) >= FEWEST
            {
                self.push_member(Member {
                    start: from,
                    sort: Sort::Name,
                    alone: Alone::Always,
                    ..member
                });
            }
            if sort == Sort::Initial {
                initial = Some(start);
            }
            let inside = self.flags.get(start + 1..end).unwrap_or_default();
            if !lone && sort == Sort::Name && inside.iter().any(|flags| flags & JOINT != 0) {
                self.push_whole(Whole {
                    start,
                    end,
                    owner,
                    number: false,
                    apart: true,
                });
            }
        }
    }

    /// What a word is and when it counts by itself; `lone` is the only word of its value.
    fn weigh(&self, start: usize, end: usize, name: bool, lone: bool) -> (Sort, Alone) {
        let word = self.text(start, end);
        let flags = self.flags.get(start..end).unwrap_or_default();
        let digits = flags.iter().filter(|&flags| flags & DIGIT != 0).count();
        if digits > 0 {
            let strong = digits >= FEWEST && word.len() >= RUN && digits < word.len();
            let alone = if strong { Alone::Always } else { Alone::Never };
            return (Sort::Number, alone);
        }
        let size = characters(word);
        if size == 1 {
            return (Sort::Initial, Alone::Never);
        }
        match ordinary(word) {
            Some(Ordinary::Function) => (Sort::Function, Alone::Never),
            Some(Ordinary::Street) if !lone => (Sort::Plain, Alone::Never),
            Some(_) if name => (Sort::Plain, Alone::Capital),
            Some(_) => (Sort::Plain, Alone::Never),
            None if !name && size < 4 => (Sort::Name, Alone::Never),
            None if size == 2 => (Sort::Name, Alone::Capital),
            None => (Sort::Name, Alone::Always),
        }
    }
}

/// Whether a value counts as a whole only because it is long.
pub(crate) fn is_long(value: &str) -> bool {
    value.len() > LONGEST && value.chars().nth(LONGEST).is_some()
}

/// How many characters these are.
pub(crate) fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&c| c & 0xC0 != 0x80).count()
}
