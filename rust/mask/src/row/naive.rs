//! The oracle: the rule said once more in the plainest way, every value at every word, with neither an
//! outline nor a table. Regular expressions say what a whole value may look like.

use regex_automata::{Anchored, Input, meta::Regex};

use super::spell::{CAPITAL, DIGIT, FIRST, Spelled, WORD};
use super::words::{Ordinary, ordinary};

/// A value beside the text: its column, how it is written, and whether it counts as a whole only.
pub(super) type Value<'a> = (usize, &'a str, bool);

/// A word, or the character of a script without blanks.
struct Piece {
    start: usize,
    end: usize,
    word: String,
    capital: bool,
}

/// A word of a value.
struct Own {
    word: String,
    /// The word behind it in its value.
    next: Option<String>,
    column: usize,
    /// Of a value without digits.
    name: bool,
    alone: Alone,
    class: Class,
}

#[derive(PartialEq, Clone, Copy)]
enum Alone {
    Never,
    Capital,
    Always,
}

#[derive(PartialEq, Clone, Copy)]
enum Class {
    Number,
    Letter,
    Article,
    Plain,
    Name,
}

fn pieces(text: &Spelled) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for i in 0..text.bytes.len() {
        if text.flags[i] & WORD == 0 {
            continue;
        }
        match pieces.last_mut() {
            Some(last) if last.end == i && text.flags[i] & FIRST == 0 => last.end += 1,
            _ => pieces.push(Piece {
                start: i,
                end: i + 1,
                word: String::new(),
                capital: text.flags[i] & CAPITAL != 0,
            }),
        }
    }
    for piece in &mut pieces {
        piece.word = String::from_utf8(text.bytes[piece.start..piece.end].to_vec()).unwrap();
    }
    pieces
}

fn digits(word: &str) -> usize {
    word.bytes().filter(u8::is_ascii_digit).count()
}

fn letters_only(word: &str) -> bool {
    digits(word) == 0
}

/// What a value looks like from end to end: its characters, each with whether it begins a part.
fn pattern(characters: &[(char, bool)], spelled_out: bool) -> String {
    let size: usize = characters.iter().map(|(c, _)| c.len_utf8()).sum();
    let mut pattern = String::from("(?s-u)");
    for (i, &(c, begins)) in characters.iter().enumerate() {
        let beside_digit =
            i > 0 && (c.is_ascii_digit() || characters[i - 1].0.is_ascii_digit()) && size >= 5;
        if i > 0 {
            pattern.push_str(if spelled_out {
                r"[^A-Za-z0-9\x80-\xff]{1,3}"
            } else if begins || beside_digit {
                r"[^A-Za-z0-9\x80-\xff]{0,3}"
            } else {
                r"(?:[^A-Za-z0-9\x80-\xff \t\r\n]{0,3}|-\n[^A-Za-z0-9\x80-\xff]?|-[^A-Za-z0-9\x80-\xff]\n)"
            });
        }
        let mut buffer = [0; 4];
        for byte in c.encode_utf8(&mut buffer).bytes() {
            pattern.push_str(&format!(r"\x{byte:02x}"));
        }
    }
    pattern
}

fn regex(pattern: &str) -> Regex {
    let syntax = regex_automata::util::syntax::Config::new()
        .unicode(false)
        .utf8(false);
    let config = Regex::config().utf8_empty(false);
    Regex::builder()
        .configure(config)
        .syntax(syntax)
        .build(pattern)
        .unwrap()
}

fn end_of(regex: &Regex, text: &Spelled, from: usize) -> Option<usize> {
    let input = Input::new(&text.bytes)
        .range(from..)
        .anchored(Anchored::Yes);
    regex.find(input).map(|found| found.end())
}

/// The spans of `text` in bytes.
pub(super) fn spans(text: &str, values: &[Value]) -> Vec<(usize, usize)> {
    let mut spelled = Spelled::default();
    spelled.set(text);
    let text = spelled;
    let pieces = pieces(&text);
    let mut own: Vec<Own> = Vec::new();
    // Columns for which a piece is found, and pieces that nothing is left between and the next.
    let mut found: Vec<Vec<usize>> = pieces.iter().map(|_| Vec::new()).collect();
    let mut glued = vec![false; pieces.len()];
    let mut names: Vec<usize> = Vec::new();
    let mut initials = String::new();
    for &(column, value, solid) in values {
        let ranges = ranges_of(&text, &pieces, value, solid);
        for (start, end) in ranges {
            let covered: Vec<usize> = (0..pieces.len())
                .filter(|&i| pieces[i].end > start && pieces[i].start < end)
                .collect();
            for &i in &covered {
                found[i].push(column);
                glued[i] |= covered.contains(&(i + 1));
            }
        }
        if value.chars().any(|c| c.is_alphanumeric()) || !value.is_empty() {
            let mut spelled = Spelled::default();
            spelled.set(value);
            if !spelled.flags.iter().any(|flags| flags & DIGIT != 0) {
                names.push(column);
            }
        }
        for word in words_of(column, value, solid) {
            if word.name {
                initials.extend(word.word.chars().next().filter(char::is_ascii_lowercase));
            }
            own.push(word);
        }
    }
    let told: Vec<Told> = pieces.iter().map(|piece| tell(piece, &own)).collect();
    for (found, told) in found.iter_mut().zip(&told) {
        if told.alone {
            found.extend(&told.columns);
        }
    }
    let gap = |i: usize| &text.bytes[pieces[i].end..pieces[i + 1].start];
    for i in 1..pieces.len() {
        let (a, b) = (&told[i - 1], &told[i]);
        let shared = a.columns.iter().any(|column| b.columns.contains(column));
        if a.columns.is_empty()
            || b.columns.is_empty()
            || gap(i - 1).len() > 3
            || [a, b]
                .iter()
                .any(|t| t.all(Class::Article) || t.all(Class::Letter))
            || (a.all(Class::Number) && b.all(Class::Number))
            || ((a.all(Class::Number) || b.all(Class::Number)) && !shared)
            || pieces[i - 1].word == pieces[i].word
            || (pieces[i - 1].capital != pieces[i].capital && (!shared || (a.name && b.name)))
        {
            continue;
        }
        found[i - 1].extend(&a.columns);
        found[i].extend(&b.columns);
    }
    loop {
        let before = found.iter().filter(|found| !found.is_empty()).count();
        for i in 0..pieces.len() {
            for (by, ahead) in [(i.wrapping_sub(1), false), (i + 1, true)] {
                if !found[i].is_empty() || by >= pieces.len() || found[by].is_empty() {
                    continue;
                }
                let between = gap(i.min(by));
                if between.len() > 3 {
                    continue;
                }
                let (piece, it) = (&pieces[i], &told[i]);
                let shared = it.columns.iter().any(|column| found[by].contains(column));
                let hung = matches!(between, b"'" | b"`" | b"?");
                let counts = !it.columns.is_empty()
                    && if it.all(Class::Letter) {
                        piece.capital || (hung && ahead)
                    } else if it.all(Class::Number) || it.all(Class::Article) {
                        shared
                    } else {
                        !it.all(Class::Plain)
                            || piece.capital
                            || !pieces[by].capital
                            || (shared && !it.name)
                    };
                let dotted = match ahead {
                    true => between.starts_with(b"."),
                    false => text.bytes.get(piece.end) == Some(&b'.'),
                };
                let lone = piece.word.chars().count() == 1;
                let known = piece.word.chars().all(|c| initials.contains(c));
                let name = found[by].iter().any(|column| names.contains(column));
                if counts {
                    found[i] = it.columns.clone();
                } else if (lone && piece.capital && name && (dotted || known))
                    || (!ahead && hung && piece.word == "s")
                {
                    found[i] = found[by].clone();
                }
            }
        }
        if found.iter().filter(|found| !found.is_empty()).count() == before {
            break;
        }
    }
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for i in 0..pieces.len() {
        if found[i].is_empty() {
            continue;
        }
        let joined = i > 0 && !found[i - 1].is_empty() && {
            let light = gap(i - 1).iter().all(|c| b" -'.,_".contains(c));
            glued[i - 1] || (gap(i - 1).len() <= 3 && light)
        };
        match spans.last_mut() {
            Some(last) if joined => last.1 = pieces[i].end,
            _ => spans.push((pieces[i].start, pieces[i].end)),
        }
    }
    spans
        .into_iter()
        .map(|(start, end)| text.original(start, end))
        .collect()
}

/// What a piece of the text is in the row's values.
struct Told {
    columns: Vec<usize>,
    classes: Vec<Class>,
    alone: bool,
    name: bool,
}

impl Told {
    fn all(&self, class: Class) -> bool {
        !self.classes.is_empty() && self.classes.iter().all(|&it| it == class)
    }
}

fn tell(piece: &Piece, own: &[Own]) -> Told {
    let word = piece.word.as_str();
    let same: Vec<&Own> = own.iter().filter(|own| own.word == word).collect();
    if !same.is_empty() {
        return Told {
            columns: same.iter().map(|own| own.column).collect(),
            classes: same.iter().map(|own| own.class).collect(),
            alone: same.iter().any(|own| match own.alone {
                Alone::Always => true,
                Alone::Capital => piece.capital,
                Alone::Never => false,
            }),
            name: same.iter().any(|own| own.name),
        };
    }
    let strong = |own: &&Own| own.class == Class::Name && own.alone == Alone::Always;
    let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let mut columns: Vec<usize> = Vec::new();
    if letters_only(bare) {
        let endings: &[&str] = if bare == word { &["s", "es"] } else { &[] };
        let mut stems: Vec<&str> = endings
            .iter()
            .filter_map(|end| bare.strip_suffix(end))
            .collect();
        if bare != word && bare.chars().count() >= 4 {
            stems.push(bare);
        }
        for stem in stems {
            columns.extend(
                own.iter()
                    .filter(strong)
                    .filter(|own| own.word == stem)
                    .map(|own| own.column),
            );
        }
        if columns.is_empty() && bare.len() <= 64 {
            let mut parts = Vec::new();
            apart(bare, bare.len(), own, &mut parts, &mut columns);
        }
    }
    Told {
        alone: !columns.is_empty(),
        name: !columns.is_empty(),
        classes: Vec::new(),
        columns,
    }
}

/// Every way to take a word of `whole` bytes apart into words of the row.
fn apart<'a>(
    rest: &str,
    whole: usize,
    own: &'a [Own],
    parts: &mut Vec<&'a Own>,
    columns: &mut Vec<usize>,
) {
    if rest.is_empty() {
        let long = parts
            .iter()
            .filter(|own| own.word.chars().count() >= 3)
            .count();
        let strong = |own: &&Own| {
            own.word.chars().count() >= 3 && own.class == Class::Name && own.alone == Alone::Always
        };
        if long >= 2 || parts.iter().any(strong) {
            columns.extend(parts.iter().map(|own| own.column));
        }
        return;
    }
    for part in own {
        let letters = !matches!(part.class, Class::Number | Class::Letter);
        if letters
            && part.word.chars().count() >= 2
            && part.word.len() < whole
            && let Some(rest) = rest.strip_prefix(&part.word)
            && (!parts.is_empty()
                || part.word.chars().count() > 2
                || part
                    .next
                    .as_ref()
                    .is_some_and(|next| rest.starts_with(next)))
        {
            parts.push(part);
            apart(rest, whole, own, parts, columns);
            parts.pop();
        }
    }
}

/// Where a value, its numbers and its words in parts stand as a whole.
fn ranges_of(text: &Spelled, pieces: &[Piece], value: &str, solid: bool) -> Vec<(usize, usize)> {
    let parts = parts(value);
    let characters: Vec<(char, bool)> = parts.iter().flatten().copied().collect();
    let all: String = characters.iter().map(|(c, _)| c).collect();
    let long = value.chars().count() > 256 || parts.len() > 16 || value.contains("://");
    let mut found = Vec::new();
    let mut wholes: Vec<(Vec<(char, bool)>, bool)> = Vec::new();
    let dense = parts.len() > 1 && !all.is_empty() && all.chars().all(|c| !c.is_ascii());
    let number = !all.is_empty() && all.bytes().all(|c| c.is_ascii_digit());
    let mut numbers: Vec<String> = Vec::new();
    if characters.len() >= 3 || (characters.len() >= 2 && dense) {
        if number {
            numbers.push(all.clone());
        } else {
            let word = parts.len() == 1 && letters_only(&all) && !solid && !oversized(value);
            wholes.push((characters.clone(), word));
        }
    }
    if !long && !solid {
        let joined: Vec<(char, bool)> = characters.clone();
        for section in joined.split(|(c, _)| !c.is_ascii_digit()) {
            let digits: String = section.iter().map(|(c, _)| c).collect();
            let mut runs: Vec<String> = vec![String::new()];
            for &(c, begins) in section {
                if begins {
                    runs.push(String::new());
                }
                runs.last_mut().unwrap().push(c);
            }
            if (10..=15).contains(&digits.len()) {
                runs.push(digits[digits.len() - 10..].to_owned());
                runs.push(digits[digits.len() - 7..].to_owned());
            }
            runs.push(digits);
            for run in runs {
                let bare = run.trim_start_matches('0');
                let run = if bare.len() >= 5 { bare } else { &run };
                if run.len() >= 5 {
                    numbers.push(run.to_owned());
                }
            }
        }
        let before_at = own_part(value, &parts);
        for part in parts.iter().take(before_at) {
            let word: String = part.iter().map(|(c, _)| c).collect();
            let joints = part.iter().skip(1).any(|(_, begins)| *begins);
            let first_begins = part[0].1;
            let name = class(&word, letters_only(&all), parts.len() == 1).0 == Class::Name;
            if parts.len() > 1 && joints && name {
                let mut part = part.clone();
                part[0].1 = first_begins;
                wholes.push((part, true));
            }
        }
    }
    for (characters, with_gap) in wholes {
        for spelled_out in [false, true] {
            if spelled_out && characters.len() < 4 {
                continue;
            }
            let regex = regex(&pattern(&characters, spelled_out));
            for piece in pieces {
                let Some(end) = end_of(&regex, text, piece.start) else {
                    continue;
                };
                let bounded = text.flag(end) & WORD == 0 || text.flag(end) & FIRST != 0;
                let gaps = (piece.start..end).any(|i| text.flag(i) & WORD == 0);
                if bounded && (gaps || !with_gap) {
                    found.push((piece.start, end));
                }
            }
        }
    }
    for number in numbers {
        let characters: Vec<(char, bool)> = number.chars().map(|c| (c, false)).collect();
        // A number of few digits, whose digits may stand apart only where its value has them apart.
        let characters = if number.len() < 5 {
            self::parts(value).into_iter().flatten().collect()
        } else {
            characters
        };
        let regex = regex(&pattern(&characters, false));
        for start in 0..text.bytes.len() {
            let begins = text.flag(start) & DIGIT != 0
                && (start == 0
                    || text.flag(start - 1) & DIGIT == 0
                    || text.flag(start) & FIRST != 0);
            if !begins {
                continue;
            }
            let zeros = text.bytes[start..]
                .iter()
                .take_while(|&&c| c == b'0')
                .count();
            for from in [start, start + zeros] {
                if let Some(end) = end_of(&regex, text, from)
                    && text.flag(end) & DIGIT == 0
                {
                    found.push((start, end));
                }
            }
        }
    }
    found
}

fn oversized(value: &str) -> bool {
    value.chars().count() > 256 || value.contains("://")
}

/// The words of a value, each of characters that may begin a part.
fn parts(value: &str) -> Vec<Vec<(char, bool)>> {
    let mut spelled = Spelled::default();
    spelled.set(value);
    let mut parts = Vec::new();
    for (nth, piece) in pieces(&spelled).iter().enumerate() {
        let mut part = Vec::new();
        let prefix = ["mac", "mc"]
            .into_iter()
            .find(|prefix| piece.word.starts_with(prefix))
            .filter(|prefix| piece.word.len() - prefix.len() >= 3)
            .map_or(usize::MAX, str::len);
        for (i, c) in piece.word.char_indices() {
            let flags = spelled.flags[piece.start + i];
            let before = if i > 0 {
                spelled.flags[piece.start + i - 1]
            } else {
                0
            };
            let camel = flags & CAPITAL != 0 && before & (CAPITAL | DIGIT) == 0;
            let begins = match i {
                0 => nth > 0,
                _ => camel || i == prefix,
            };
            part.push((c, begins));
        }
        parts.push(part);
    }
    parts
}

/// How many words stand before the `@`.
fn own_part(value: &str, parts: &[Vec<(char, bool)>]) -> usize {
    let mut spelled = Spelled::default();
    spelled.set(value);
    let Some(at) = spelled.bytes.iter().position(|&c| c == b'@') else {
        return parts.len();
    };
    pieces(&spelled)
        .iter()
        .filter(|piece| piece.start < at)
        .count()
}

fn class(word: &str, name: bool, lone: bool) -> (Class, Alone) {
    let size = word.chars().count();
    if digits(word) > 0 {
        let strong = digits(word) >= 3 && word.len() >= 5 && digits(word) < word.len();
        return (
            Class::Number,
            if strong { Alone::Always } else { Alone::Never },
        );
    }
    if size == 1 {
        return (Class::Letter, Alone::Never);
    }
    match ordinary(word.as_bytes()) {
        Some(Ordinary::Function) => (Class::Article, Alone::Never),
        Some(Ordinary::Street) if !lone => (Class::Plain, Alone::Never),
        Some(_) => (
            Class::Plain,
            if name { Alone::Capital } else { Alone::Never },
        ),
        None if !name => (
            Class::Name,
            if size >= 4 {
                Alone::Always
            } else {
                Alone::Never
            },
        ),
        None => (
            Class::Name,
            if size == 2 {
                Alone::Capital
            } else {
                Alone::Always
            },
        ),
    }
}

fn words_of(column: usize, value: &str, solid: bool) -> Vec<Own> {
    let mut spelled = Spelled::default();
    spelled.set(value);
    let pieces = pieces(&spelled);
    let parts = parts(value);
    if solid || oversized(value) || pieces.len() > 16 {
        return Vec::new();
    }
    let name = pieces.iter().all(|piece| letters_only(&piece.word));
    let mut own = Vec::new();
    let count = own_part(value, &parts);
    for (i, piece) in pieces.iter().enumerate().take(count) {
        let (class, alone) = self::class(&piece.word, name, pieces.len() == 1);
        let word = |word: String, class, alone| Own {
            word,
            next: pieces
                .get(i + 1)
                .filter(|_| i + 1 < count)
                .map(|next| next.word.clone()),
            column,
            name,
            alone,
            class,
        };
        own.push(word(piece.word.clone(), class, alone));
        if i > 0
            && pieces[i - 1].word.chars().count() == 1
            && letters_only(&pieces[i - 1].word)
            && piece.start - pieces[i - 1].end <= 1
            && class != Class::Number
            && piece.word.chars().count() >= 3
        {
            let joined = format!("{}{}", pieces[i - 1].word, piece.word);
            own.push(word(joined, Class::Name, Alone::Always));
        }
    }
    own
}
