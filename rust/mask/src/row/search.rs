//! Where a row's values stand in a text: words are found first, then what stands beside them.

use super::needles::{Alone, JOINT, Member, Needles, Sort, Whole, characters};
use super::outline::GAP;
use super::spell::{CAPITAL, DIGIT, FIRST, Spelled, WORD};

/// The longest word that is taken apart into words of the row.
const JOINED: usize = 64;
/// The fewest letters of a value that may be spelled out, one by one.
const SPELLED_OUT: usize = 4;
/// The fewest letters and digits of a value whose digits may stand apart.
const DIGITS_APART: usize = 5;
/// The fewest letters of a word that digits may follow.
const BEFORE_DIGITS: usize = 4;
/// Comparisons for each byte, and for any text: what needs more is masked as it is.
const STEPS: usize = 64;
const FREE_STEPS: usize = 1 << 14;

/// A word of the text.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    start: usize,
    end: usize,
    /// The columns that have it as a word; none when no column has.
    owners: u32,
    /// It counts by itself.
    alone: bool,
    /// What it is in every value that has it.
    number: bool,
    initial: bool,
    function: bool,
    /// It has another meaning in every value of letters that has it.
    plain: bool,
    /// A column without digits has it.
    name: bool,
    /// The columns that it was found for; none when it stays.
    found: u32,
    /// Nothing between it and the next word stays.
    glued: bool,
}

/// What the search keeps between rows.
#[derive(Debug, Default)]
pub(crate) struct Search {
    words: Vec<Word>,
}

impl Search {
    /// Calls `found` with each stretch of `text` that is the row's, in order and apart.
    pub(crate) fn run(
        &mut self,
        text: &Spelled,
        needles: &Needles,
        found: &mut dyn FnMut(usize, usize),
    ) {
        self.cut(text);
        for word in &mut self.words {
            weigh(text, needles, word);
        }
        let size = text.bytes.len().saturating_add(needles.bytes.len());
        let mut steps = size.saturating_mul(STEPS).saturating_add(FREE_STEPS);
        if self.wholes(text, needles, &mut steps).is_none() {
            return found(0, text.bytes.len());
        }
        for word in &mut self.words {
            if word.alone {
                word.found |= word.owners;
            }
        }
        self.pairs(text);
        self.neighbours(text, needles);
        self.stretches(text, found);
    }

    fn cut(&mut self, text: &Spelled) {
        self.words.clear();
        let mut i = 0;
        while i < text.bytes.len() {
            if text.flag(i) & WORD == 0 {
                i += 1;
                continue;
            }
            let end = text.word_end(i);
            self.words.push(Word {
                start: i,
                end,
                ..Word::default()
            });
            i = end;
        }
    }

    /// Finds the values as a whole; nothing when that takes too long.
    fn wholes(&mut self, text: &Spelled, needles: &Needles, steps: &mut usize) -> Option<()> {
        let numbers = needles.wholes.iter().any(|whole| whole.number);
        for i in 0..self.words.len() {
            let Some(&Word { start, end, .. }) = self.words.get(i) else {
                break;
            };
            if !needles.begins(text.byte(start)) && text.flag(start) & DIGIT == 0 {
                // A run of digits may stand behind letters.
                if !numbers || !(start..end).any(|i| text.flag(i) & DIGIT != 0) {
                    continue;
                }
            }
            for whole in needles.beginning(text.byte(start), false) {
                for spelled_out in [false, true] {
                    if let Some(to) = ends(text, needles, whole, start, spelled_out, steps)? {
                        self.mark(i, to, whole.owner);
                    }
                }
            }
            if !numbers {
                continue;
            }
            for at in start..end {
                let begins =
                    text.flag(at) & DIGIT != 0 && (at == start || text.flag(at - 1) & DIGIT == 0);
                if !begins {
                    continue;
                }
                let mut bare = at;
                while text.byte(bare) == b'0' {
                    bare += 1;
                }
                for from in [at, bare] {
                    for whole in needles.beginning(text.byte(from), true) {
                        if let Some(to) = ends(text, needles, whole, from, false, steps)? {
                            self.mark(i, to, whole.owner);
                        }
                    }
                }
            }
        }
        Some(())
    }

    /// The words from `first` on that begin before `end` are found, and what stands between them.
    fn mark(&mut self, first: usize, end: usize, owner: u32) {
        let rest = self.words.get_mut(first..).unwrap_or_default();
        let covered = rest.iter().take_while(|word| word.start < end).count();
        for (i, word) in rest.iter_mut().take(covered).enumerate() {
            word.found |= owner;
            word.glued |= i + 1 < covered;
        }
    }

    /// Two words beside each other that are both the row's.
    fn pairs(&mut self, text: &Spelled) {
        for i in 1..self.words.len() {
            let Some([a, b]) = self.words.get_mut(i - 1..=i) else {
                break;
            };
            let shared = a.owners & b.owners;
            let capital = |word: &Word| text.flag(word.start) & CAPITAL != 0;
            let counts = a.owners != 0
                && b.owners != 0
                && b.start - a.end <= GAP
                && ![&a, &b].iter().any(|word| word.function || word.initial)
                && !(a.number && b.number)
                && (!(a.number || b.number) || shared != 0)
                && text.bytes.get(a.start..a.end) != text.bytes.get(b.start..b.end)
                && (capital(a) == capital(b) || (shared != 0 && !(a.name && b.name)));
            if counts {
                a.found |= a.owners;
                b.found |= b.owners;
            }
        }
    }

    /// What stands beside a found word and is the row's too: further words, initials, an `s`.
    fn neighbours(&mut self, text: &Spelled, needles: &Needles) {
        for i in 1..self.words.len() {
            let Some([a, b]) = self.words.get_mut(i - 1..=i) else {
                break;
            };
            if a.found != 0 && b.found == 0 {
                b.found = joins(text, needles, a, b, (a.end, b.start), false);
            }
        }
        for i in (1..self.words.len()).rev() {
            let Some([a, b]) = self.words.get_mut(i - 1..=i) else {
                break;
            };
            if b.found != 0 && a.found == 0 {
                a.found = joins(text, needles, b, a, (a.end, b.start), true);
            }
        }
    }

    fn stretches(&self, text: &Spelled, found: &mut dyn FnMut(usize, usize)) {
        let mut open: Option<(usize, usize, bool)> = None;
        for word in &self.words {
            if word.found == 0 {
                if let Some((start, end, _)) = open.take() {
                    found(start, end);
                }
                continue;
            }
            open = Some(match open {
                Some((start, end, glued)) => {
                    let between = text.bytes.get(end..word.start).unwrap_or_default();
                    let light = |c: &u8| matches!(c, b' ' | b'-' | b'\'' | b'.' | b',' | b'_');
                    if glued || (between.len() <= GAP && between.iter().all(light)) {
                        (start, word.end, word.glued)
                    } else {
                        found(start, end);
                        (word.start, word.end, word.glued)
                    }
                }
                None => (word.start, word.end, word.glued),
            });
        }
        if let Some((start, end, _)) = open {
            found(start, end);
        }
    }
}

/// The columns for which `word` is found because it stands beside `by`, which is; `gap` lies between
/// them, and `ahead` says that `word` comes first.
fn joins(
    text: &Spelled,
    needles: &Needles,
    by: &Word,
    word: &Word,
    gap: (usize, usize),
    ahead: bool,
) -> u32 {
    let between = text.bytes.get(gap.0..gap.1).unwrap_or_default();
    if between.len() > GAP {
        return 0;
    }
    let capital = text.flag(word.start) & CAPITAL != 0;
    let letter = characters(text.bytes.get(word.start..word.end).unwrap_or_default()) == 1;
    let hung = matches!(between, [b'\'' | b'`' | b'?']);
    let dotted = match ahead {
        true => between.first() == Some(&b'.'),
        false => text.byte(word.end) == b'.',
    };
    if word.owners != 0 {
        let shared = word.owners & by.found != 0;
        let counts = if word.initial {
            capital || (hung && ahead)
        } else if word.number || word.function {
            shared
        } else if word.plain && !capital {
            // A verb or the ward's word, unless names are written small here.
            text.flag(by.start) & CAPITAL == 0 || (shared && !word.name)
        } else {
            true
        };
        if counts {
            return word.owners;
        }
    }
    let name = by.found & needles.names != 0;
    let initial = letter && capital && name && {
        let c = text.byte(word.start);
        let known = c.is_ascii_lowercase() && needles.initials & (1 << (c - b'a')) != 0;
        dotted || known
    };
    let possessive = !ahead && hung && text.bytes.get(word.start..word.end) == Some(b"s");
    if initial || possessive { by.found } else { 0 }
}

/// Fills in what a word of the text is in the row's values.
fn weigh(text: &Spelled, needles: &Needles, word: &mut Word) {
    if !needles.begins(text.byte(word.start)) {
        return;
    }
    let bytes = text.bytes.get(word.start..word.end).unwrap_or_default();
    let capital = text.flag(word.start) & CAPITAL != 0;
    let (mut number, mut initial, mut function, mut plain) = (true, true, true, true);
    for member in &needles.members {
        if needles.text(member.start, member.end) != bytes {
            continue;
        }
        word.owners |= member.owner;
        word.name |= member.name;
        word.alone |= match member.alone {
            Alone::Always => true,
            Alone::Capital => capital,
            Alone::Never => false,
        };
        number &= member.sort == Sort::Number;
        initial &= member.sort == Sort::Initial;
        function &= member.sort == Sort::Function;
        plain &= member.sort == Sort::Plain;
    }
    if word.owners != 0 {
        (word.number, word.initial) = (number, initial);
        (word.function, word.plain) = (function, plain);
        return;
    }
    let owners = respelled(needles, bytes);
    if owners != 0 {
        word.owners = owners;
        word.alone = true;
        word.name = true;
    }
}

/// The columns of a word that is made of the row's: with an ending, with digits behind it, of several.
fn respelled(needles: &Needles, word: &[u8]) -> u32 {
    let letters = word.iter().take_while(|c| !c.is_ascii_digit()).count();
    let bare = word.get(..letters).unwrap_or_default();
    let digits = word.get(letters..).unwrap_or_default();
    if !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let strong = |member: &&Member| member.sort == Sort::Name && member.alone == Alone::Always;
    let known = |stem: &[u8]| {
        let same = |member: &&Member| needles.text(member.start, member.end) == stem;
        let members = needles.members.iter().filter(strong).filter(same);
        members.fold(0, |owners, member| owners | member.owner)
    };
    if !digits.is_empty() && characters(bare) >= BEFORE_DIGITS {
        let owners = known(bare);
        if owners != 0 {
            return owners;
        }
    }
    if digits.is_empty() {
        for ending in [&b"s"[..], b"es"] {
            let owners = bare.strip_suffix(ending).map_or(0, known);
            if owners != 0 {
                return owners;
            }
        }
    }
    joined(needles, bare)
}

/// The columns of a word that is several of the row's words without anything between: two of three
/// letters or more, or one that is nothing but a name.
fn joined(needles: &Needles, word: &[u8]) -> u32 {
    if word.len() > JOINED {
        return 0;
    }
    // For each place the ways to get there: bit 0 to 2 with so many long words, 3 to 5 the same with
    // one that is only a name.
    let mut ways = [0u8; JOINED + 1];
    let mut owners = 0;
    if let Some(first) = ways.first_mut() {
        *first = 1;
    }
    for from in 0..word.len() {
        let way = ways.get(from).copied().unwrap_or(0);
        if way == 0 {
            continue;
        }
        let rest = word.get(from..).unwrap_or_default();
        for member in &needles.members {
            let part = needles.text(member.start, member.end);
            let size = characters(part);
            let letters = !matches!(member.sort, Sort::Number | Sort::Initial);
            // A word by itself was looked up already.
            if !letters || size < 2 || !rest.starts_with(part) || part.len() == word.len() {
                continue;
            }
            // Two letters begin too many words: only with what follows them in the value.
            let following = rest.get(part.len()..).unwrap_or_default();
            let joint = needles.flags.get(member.end).unwrap_or(&0) & JOINT != 0;
            let next = needles.members.iter().any(|next| {
                next.start == member.end
                    && joint
                    && following.starts_with(needles.text(next.start, next.end))
            });
            if from == 0 && size == 2 && !next {
                continue;
            }
            let mut next = way;
            if size >= 3 {
                next = (next & 0b1001) << 1 | (next & 0b1_0010) << 1 | (next & 0b10_0100);
            }
            if size >= 3 && member.sort == Sort::Name && member.alone == Alone::Always {
                next = (next | next << 3) & 0b11_1000;
            }
            if let Some(there) = ways.get_mut(from + part.len()) {
                *there |= next;
                owners |= member.owner;
            }
        }
    }
    let there = ways.get(word.len()).copied().unwrap_or(0);
    if there & 0b11_1100 != 0 { owners } else { 0 }
}

/// Where the value ends that begins at `from`, if it does; outside nothing when that takes too long.
fn ends(
    text: &Spelled,
    needles: &Needles,
    whole: &Whole,
    from: usize,
    spelled_out: bool,
    steps: &mut usize,
) -> Option<Option<usize>> {
    let bytes = needles.text(whole.start, whole.end);
    let flags = needles
        .flags
        .get(whole.start..whole.end)
        .unwrap_or_default();
    if spelled_out && (whole.number || characters(bytes) < SPELLED_OUT) {
        return Some(None);
    }
    let mut i = from;
    let mut apart = false;
    let mut before = 0;
    for (j, (&byte, &flag)) in bytes.iter().zip(flags).enumerate() {
        *steps = steps.checked_sub(1)?;
        let begins = byte & 0xC0 != 0x80;
        if j > 0 && begins {
            let gap =
                (i..=i + GAP).take_while(|&k| k < text.bytes.len() && text.flag(k) & WORD == 0);
            let gap = gap.count();
            if gap > GAP || (spelled_out && gap == 0) {
                return Some(None);
            }
            let digits = (flag | before) & DIGIT != 0 && bytes.len() >= DIGITS_APART;
            if gap > 0 && !(spelled_out || digits || flag & JOINT != 0) {
                let between = text.bytes.get(i..i + gap).unwrap_or_default();
                let line = matches!(between, [b'-', rest @ ..] if rest.contains(&b'\n'));
                let blank = between
                    .iter()
                    .any(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n'));
                if blank && !line {
                    return Some(None);
                }
            }
            apart |= gap > 0;
            i += gap;
        }
        if text.byte(i) != byte || text.flag(i) & WORD == 0 {
            return Some(None);
        }
        before = flag;
        i += 1;
    }
    let bounded = match whole.number {
        true => text.flag(i) & DIGIT == 0,
        false => text.flag(i) & WORD == 0 || text.flag(i) & FIRST != 0,
    };
    Some((bounded && (apart || !whole.apart)).then_some(i))
}
