//! The oracle: every rule of the detectors said once more in the plainest way, at every place of a
//! text, without triggers, tables or early exits. Regular expressions say the shapes; a second engine
//! runs them.
//!
//! Kept for ever beside the fast path, which must find the same spans in every text.

mod again;
mod conditions;
mod phones;

use again::{again, small};
use conditions::*;
use phones::opening;
use regex_automata::hybrid::dfa::{Cache, DFA, OverlappingState};
use regex_automata::{Anchored, Input, MatchKind};

use crate::detect::kinds::Kinds;
use crate::detect::lexis::quantity;
use crate::detect::{
    Find, Kind, Span, capital, date_digits, date_words, hl7, long_number, name, phone, record,
    spoken, subject, zip,
};
use crate::fold::{fold, is_mark};

/// A span in bytes of the text.
pub(crate) type Found = (usize, usize, Kind);

const SEPARATOR: &str = r"(?:[ \t]{0,2}[-._/][ \t\r\n]{0,2}|[ \t]{1,2})";
const GAP: &str = r"(?:[ \t]?[-.][ \t]?|[ \t])";
const MONTH_GAP: &str = r"[ \t,./-]{0,3}";
const RANGE_TAIL: &str = r"[ \t]?-[ \t]?[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}";
const URL_TAIL: &str = r#"[^\x00-\x20<>"\x7f]*[^\x00-\x20<>"\x7f.,;:!?)\]}']"#;
const KEY: &str = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|\
    [0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{56}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128}";

/// One shape: a pattern and the condition on where it stands.
struct Shape {
    pattern: DFA,
    kind: Kind,
    fits: Fits,
}

type Fits = fn(&[u8], usize, usize) -> bool;

/// Every rule, compiled.
pub(crate) struct Naive {
    shapes: Vec<Shape>,
    key: DFA,
    groups: DFA,
    after_word: DFA,
    before_word: DFA,
    day_after_month: DFA,
    day_before_month: DFA,
    month: DFA,
    year: DFA,
    year_after_month: DFA,
    value: DFA,
    state_zip: DFA,
    age_unit: DFA,
    age_word: DFA,
    age_in_words: DFA,
    records: Vec<(DFA, record::Keyword)>,
    grouped: DFA,
    accession: DFA,
    fillers: DFA,
    far_fillers: DFA,
}

fn compile(pattern: &str) -> DFA {
    let syntax = regex_automata::util::syntax::Config::new()
        .unicode(false)
        .utf8(false);
    DFA::builder()
        .configure(DFA::config().match_kind(MatchKind::All))
        .syntax(syntax)
        .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
        .build(pattern)
        .expect("a pattern of the oracle")
}

/// Every end of a match of `dfa` that begins at `start`.
fn ends(dfa: &DFA, text: &[u8], start: usize) -> Vec<usize> {
    let mut cache = Cache::new(dfa);
    let input = Input::new(text).range(start..).anchored(Anchored::Yes);
    let mut state = OverlappingState::start();
    let mut found = Vec::new();
    loop {
        dfa.try_search_overlapping_fwd(&mut cache, &input, &mut state)
            .expect("a search");
        match state.get_match() {
            Some(half) => found.push(half.offset()),
            None => break,
        }
    }
    found.dedup();
    found
}

/// The folded characters of a text, and where each stood with the marks that change it.
pub(crate) fn folded(text: &str) -> (Vec<u8>, Vec<(usize, usize)>) {
    let place = |(start, c): (usize, char)| {
        let behind = &text[start + c.len_utf8()..];
        let end = text.len() - behind.trim_start_matches(is_mark).len();
        Some((fold(c)?, (start, end)))
    };
    text.char_indices().filter_map(place).unzip()
}

/// Spans of folded characters in the bytes that they stood at.
pub(crate) fn in_bytes(places: &[(usize, usize)], spans: Vec<Found>) -> Vec<Found> {
    let bytes = |(s, e, kind): Found| (places[s].0, places[e - 1].1, kind);
    spans.into_iter().map(bytes).collect()
}

impl Naive {
    pub(crate) fn new() -> Self {
        let s = SEPARATOR;
        let g = GAP;
        let area = format!(r"[0-9]{{3}}(?:\)[ \t]{{0,2}}[-./]?[ \t]{{0,2}}|{s})");
        let local =
            format!(r"(?:{area}(?:[0-9]{{3}}{s}[0-9]{{4}}|[0-9]{{7}})|[0-9]{{6}}[-.][0-9]{{4}})");
        let extension = r"[ \t]{0,2},?[ \t]?(?i:extension|extn|ext|x|#)[.:]?[ \t]?[0-9]{1,6}";
        let mark = |m: &str| format!(r"[ \t]?{m}[ \t]?");
        let date = |m: &str| {
            let m = mark(m);
            format!("[0-9]{{1,2}}{m}[0-9]{{1,2}}{m}(?:[0-9]{{4}}|[0-9]{{2}})")
        };
        let ymd = |m: &str| format!("[0-9]{{4}}{m}[0-9]{{1,2}}{m}[0-9]{{1,2}}");
        let time = r"[Tt][0-9][0-9:.]{0,17}(?:[Zz]|[+-][0-9:]{0,5})?";
        let dates = [date("-"), date("/"), date(r"\.")].join("|");
        let isos = [ymd("-"), ymd("/"), ymd(r"\.")].join("|");
        let w = r"[A-Za-z0-9\x80]";
        let mbi = |dash: &str| {
            let a = "[AC-HJKMNP-RT-Yac-hjkmnp-rt-y]";
            let n = "[0-9AC-HJKMNP-RT-Yac-hjkmnp-rt-y]";
            format!("[1-9]{a}{n}[0-9]{dash}{a}{n}[0-9]{dash}{a}{a}[0-9][0-9]")
        };
        let tops = "(?i:com|org|net|edu|gov|mil|info|biz|io|uk)";
        let shapes: Vec<(String, Kind, Fits)> = vec![
            (
                format!("[0-9]{{3}}{s}[0-9]{{2}}{s}[0-9]{{4}}"),
                Kind::Ssn,
                alone,
            ),
            (
                format!("(?:[0-9]{{4}}{g}){{3}}(?:[0-9]{{1,7}}|[0-9]{{4}}{g}[0-9]{{3}})"),
                Kind::Card,
                alone,
            ),
            (
                format!("[0-9]{{4}}{g}[0-9]{{6}}{g}[0-9]{{4,5}}"),
                Kind::Card,
                alone,
            ),
            (r"555[-. ][0-9]{4}".into(), Kind::Phone, alone),
            (
                r"[0-9]{3}(?:-[0-9]{3}){2}|[0-9]{3}(?:\.[0-9]{3}){2}".into(),
                Kind::Phone,
                dashed,
            ),
            (r"[0-9]{2}(?:-[0-9]{2}){3}".into(), Kind::Phone, dashed),
            (
                format!(r"(?:1(?:{s}\(?|\())?{local}(?:{extension})?"),
                Kind::Phone,
                alone,
            ),
            (format!("[0-9](?:{s}[0-9]){{8}}"), Kind::Id, alone),
            ("[0-9]{5}-[0-9]{4}".into(), Kind::Zip, zip_and_four),
            (dates, Kind::Date, full_date),
            (
                r"[0-9]{2}[ \t][0-9]{2}[ \t][0-9]{4}".into(),
                Kind::Date,
                full_date,
            ),
            (
                format!("[0-9]{{1,2}}{}[0-9]{{4}}", mark("[/-]")),
                Kind::Date,
                month_year,
            ),
            (
                format!("[0-9]{{1,2}}{}[0-9]{{1,2}}", mark("/")),
                Kind::Date,
                month_day,
            ),
            (isos.clone(), Kind::Date, iso),
            (format!("(?:{isos}){time}"), Kind::Date, iso_time),
            ("[0-9]{4}[-/][0-9]{2}".into(), Kind::Date, year_month),
            ("[0-9]{8}".into(), Kind::Date, eight),
            (
                format!(
                    r"[A-Za-z0-9\x80_%+~][A-Za-z0-9\x80_%+~.'-]*@{w}(?:[A-Za-z0-9\x80.-]*{w})?"
                ),
                Kind::Email,
                email,
            ),
            (
                format!(r"[A-Za-z][A-Za-z0-9+.-]*://{URL_TAIL}"),
                Kind::Url,
                |_, _, _| true,
            ),
            (
                format!(r"(?i:www)\.{URL_TAIL}"),
                Kind::Url,
                |text, start, _| !word(text, back(start, 1)),
            ),
            (
                format!(r"{w}(?:[A-Za-z0-9\x80.-]*{w})?\.{tops}"),
                Kind::Url,
                |text, start, end| !word(text, end) && labels(&text[start..end]) <= 255,
            ),
            (
                format!(r"{w}(?:[A-Za-z0-9\x80.-]*{w})?\.{tops}/(?:{URL_TAIL})?"),
                Kind::Url,
                |text, start, end| labels(&text[start..end]) <= 255,
            ),
            (r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}".into(), Kind::Ip, ipv4),
            (
                r"[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}".into(),
                Kind::Mac,
                dotted_mac,
            ),
            (
                "[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}".into(),
                Kind::Mac,
                dashed_mac,
            ),
            (
                "[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}".into(),
                Kind::Mac,
                colons,
            ),
            (r"[0-9A-Fa-f:][0-9A-Fa-f:.]*".into(), Kind::Ip, ipv6),
            (
                r"\(01\)[0-9]{14}(?: ?\([0-9]{2,4}\)[A-Za-z0-9._/-]{1,30}){0,8}".into(),
                Kind::Device,
                gs1,
            ),
            (
                r"\+[A-Za-z][A-Za-z0-9]{8,29}(?:/[A-Za-z0-9/$+-]*[A-Za-z0-9])?".into(),
                Kind::Device,
                hibcc,
            ),
            (mbi(""), Kind::Mbi, token),
            (mbi("-"), Kind::Mbi, token),
            ("[A-Za-z][A-Za-z9][0-9]{7}".into(), Kind::Dea, dea),
            ("[0-9A-HJ-NPR-Za-hj-npr-z]{17}".into(), Kind::Vin, vin),
            (
                "[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,30}".into(),
                Kind::Iban,
                iban,
            ),
            (
                "[A-Za-z]{2}[0-9]{2}(?: [A-Za-z0-9]{4})*(?: [A-Za-z0-9]{1,4})".into(),
                Kind::Iban,
                iban,
            ),
        ];
        let shapes = shapes
            .into_iter()
            .map(|(pattern, kind, fits)| Shape {
                pattern: compile(&pattern),
                kind,
                fits,
            })
            .collect();
        let months = date_words::MONTHS.map(|(name, _)| name).join("|");
        let words = phone::WORDS.join("|");
        let d = "[0-9]{1,2}";
        let near = "number|numbers|num|no|nbr|nr|id|ids|identifier|is|was|card|code";
        let far = "of|on|file|for|patient|pt|the|this|last|four|ending|in|as|under|at|hospital|clinic|our|his|her|listed|recorded";
        let sign = r#"[ \t:#=.()\["'*-]"#;
        let fillers = |words: &str| format!("{sign}{{0,10}}(?:(?i:{words}){sign}{{1,10}}){{0,5}}");
        let between = format!(r"(?:{MONTH_GAP}|[ \t,./-]{{1,3}}(?i:of)[ \t])");
        let year = format!(r"{between}'?[0-9]{{4}}|{between}'[0-9]{{2}}|[-/][0-9]{{2}}");
        Self {
            shapes,
            key: compile(KEY),
            groups: compile(r"[0-9]+(?:(?:\)[-. ]?\(?|[-. ]\(?|\()[0-9]+)*"),
            after_word: compile(&format!(
                r"(?i:{words})\.?(?:[ \t]{{0,2}}(?i:no|nr|num)\.)?(?:[^0-9.;\r\n]{{0,30}}|[ \t:-]{{0,30}}[\r\n][ \t\r\n(+]{{0,29}})"
            )),
            before_word: compile(&format!(
                r"[0-9]{{2,}}(?:(?:\)[-. ]?\(?|[-. ]\(?|\()[0-9]{{2,}})+[ (-]{{1,3}}(?i:{})[ \t]{{0,2}}",
                phone::AFTER.join("|")
            )),
            day_after_month: compile(&format!(r"(?i:{months})\.?{MONTH_GAP}{d}(?i:st|nd|rd|th)?")),
            day_before_month: compile(&format!(
                r"{d}(?:(?i:st|nd|rd|th)[ \t./-]{{1,2}}|[ \t./-]{{0,2}}|(?i:st|nd|rd|th)?[ \t./-]?[ \t](?i:of)[ \t./-]{{1,2}})(?i:{months})"
            )),
            month: compile(&format!("(?i:{months})")),
            year: compile(&year),
            // A full stop of the month's abbreviation may stand before.
            year_after_month: compile(&format!(r"\.?(?:{year})")),
            value: compile(&format!("{w}+(?:[-_]{w}+)*")),
            state_zip: compile(
                r"(?:,[ \t]*|[a-z][ \t]+)(?:AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|VI|WA|WV|WI|WY)[ \t]{1,2}[0-9]{5}",
            ),
            age_unit: compile(r"[ \t-]?(?i:years|year|yrs|yr|y/o|y\.o|yo|y|yof|yom|f|m)"),
            age_word: compile(
                r"(?i:aged?)(?i:/sex|/gender)?[ \t:=]{0,2}(?:(?i:of|at|is)[ \t:=]{0,2}){0,2}(?:9[0-9]|1[0-4][0-9])",
            ),
            age_in_words: compile(
                r"(?i:(?:ninety|hundred)(?:[ \t-](?:and[ \t-])?(?:one|two|three|four|five|six|seven|eight|nine|ten))?[ \t-](?:years|year|yrs|yr|yo))",
            ),
            grouped: compile("[0-9]{2,3}(?:-[0-9]{2,3}){2}$"),
            accession: compile("[A-Z]{1,3}-?[0-9]{2}-[0-9]{3,7}$"),
            records: record::KEYWORDS
                .iter()
                .map(|keyword| {
                    let phrase = keyword.phrase.replace('.', r"\.");
                    let phrase = phrase.replace(' ', r"\.?[ \t-]{1,2}");
                    (compile(&format!("(?i:{phrase})")), *keyword)
                })
                .collect(),
            fillers: compile(&fillers(near)),
            far_fillers: compile(&fillers(&format!("{near}|{far}"))),
        }
    }

    /// The spans of a text in bytes, sorted and apart, by detectors of these kinds.
    pub(crate) fn spans_of(&self, text: &str, kinds: Kinds) -> Vec<Found> {
        let (chars, places) = folded(text);
        in_bytes(&places, self.in_folded(&chars, kinds))
    }

    /// The spans of a folded text in its characters.
    pub(crate) fn in_folded(&self, chars: &[u8], kinds: Kinds) -> Vec<Found> {
        self.united(chars, self.each(chars, kinds), kinds)
    }

    /// What is told of a text at each of its places, in bytes; names that come again not yet.
    pub(crate) fn told(&self, text: &str) -> Vec<Found> {
        let (chars, places) = folded(text);
        in_bytes(&places, self.each(&chars, Kinds::ALL))
    }

    /// The spans of a text in which this is told.
    pub(crate) fn together(&self, text: &str, told: &[Found]) -> Vec<Found> {
        let (chars, places) = folded(text);
        let place = |byte: usize| places.partition_point(|place| place.0 < byte);
        let told = told
            .iter()
            .map(|&(from, to, kind)| (place(from), place(to), kind))
            .collect();
        in_bytes(&places, self.united(&chars, told, Kinds::ALL))
    }

    fn each(&self, chars: &[u8], kinds: Kinds) -> Vec<Found> {
        let keys = self.keys(chars);
        let inside = |from: usize, to: usize| keys.iter().any(|key| key.0 <= from && to <= key.1);
        let mut candidates = Vec::new();
        for start in 0..chars.len() {
            self.at(chars, start, &mut candidates);
        }
        candidates.retain(|&(from, to, _)| !inside(from, to));
        for start in 0..chars.len() {
            let mut named = Vec::new();
            self.records(chars, start, &mut named);
            // The word that names it belongs to it.
            named.retain(|&(_, to, _)| !inside(start, to));
            candidates.extend(named);
        }
        candidates.retain(|&(_, _, kind)| kinds.hold(kind));
        candidates
            .into_iter()
            .map(|found| whole(chars, found))
            .collect()
    }

    /// With the names that come again, if names are looked for.
    fn united(&self, chars: &[u8], mut told: Vec<Found>, kinds: Kinds) -> Vec<Found> {
        if kinds.hold(Kind::Name) {
            let mut names = small(chars, &told);
            let all: Vec<Found> = told.iter().chain(&names).copied().collect();
            names.extend(again(chars, &all));
            if !names.is_empty() {
                let keys = self.keys(chars);
                names.retain(|name| !keys.iter().any(|key| key.0 <= name.0 && name.1 <= key.1));
                told.extend(names);
            }
        }
        merge(told)
    }

    /// The opaque keys: UUIDs, and words of the length of a digest with a letter.
    fn keys(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for start in 0..text.len() {
            for end in ends(&self.key, text, start) {
                let apart = text[start..end].contains(&b'-');
                let letters = text[start..end].iter().any(u8::is_ascii_alphabetic);
                if token(text, start, end) && (apart || letters) {
                    found.push((start, end));
                }
            }
        }
        found
    }

    /// Every candidate that begins at or is told from `start`, but those of [`Naive::records`].
    fn at(&self, text: &[u8], start: usize, found: &mut Vec<Found>) {
        for shape in &self.shapes {
            for end in ends(&shape.pattern, text, start) {
                if (shape.fits)(text, start, end) {
                    let kind = match shape.kind {
                        Kind::Ssn if itin(&text[start..end]) => Kind::Itin,
                        kind => kind,
                    };
                    let phone = kind == Kind::Phone;
                    let from = if phone { opening(text, start).0 } else { start };
                    found.push((from, end, kind));
                }
            }
        }
        let mut run = start;
        while digit(text, run) {
            run += 1;
        }
        if run - start >= 9 && alone(text, start, run) && !fraction(text, start) {
            let hanging = |letters: usize| if letters <= 2 { letters } else { 0 };
            let before = hanging((1..4).take_while(|&n| letter(text, back(start, n))).count());
            let after = hanging((0..3).take_while(|&n| letter(text, run + n)).count());
            let kind = if before > 0 {
                Kind::Id
            } else {
                long_kind(&text[start..run])
            };
            found.push((start - before, run + after, kind));
        }
        if long_number::zeroed(text, start, run) {
            found.push((start, run, Kind::Id));
        }
        self.phones(text, start, found);
        self.dates(text, start, found);
        for end in ends(&self.state_zip, text, start) {
            if !word(text, end) {
                let letters = text[start..end]
                    .iter()
                    .filter(|c| c.is_ascii_uppercase())
                    .count();
                let bare = !word(text, back(start, 1)) || !text[start].is_ascii_uppercase();
                if letters == 2 && bare {
                    found.push((end - 5, end, Kind::Zip));
                }
            }
        }
        let five = start + 5;
        let digits = (start..five).all(|i| digit(text, i));
        if digits && !word(text, five) && zip::beside_town(text, start, five) {
            found.push((start, five, Kind::Zip));
        }
        self.ages(text, start, found);
        let mut names = Vec::new();
        zip::find_after_word(text, start, &mut names);
        self.words(text, start, &mut names);
        capital::find(text, start, &mut names);
        name::find_after_title(text, start, &mut names);
        subject::find(text, start, &mut names);
        found.extend(names.iter().map(|span| (span.start, span.end, span.kind)));
    }

    /// What only words open, which is said in one place.
    fn words(&self, text: &[u8], start: usize, spans: &mut Vec<Span>) {
        let letters = (start..).find(|&i| !letter(text, i)).unwrap_or(start);
        let word = text[start..letters].to_ascii_lowercase();
        let is = |words: &[&str]| words.iter().any(|one| one.as_bytes() == word);
        if letter(text, back(start, 1)) {
            return;
        }
        let months = date_words::MONTHS.map(|(name, _)| name);
        let opened: [(&[&str], Find); 7] = [
            (&phone::EXTENSIONS, phone::find_extension),
            (&date_digits::BIRTHS, date_digits::find_after_birth),
            (&["birthday"], spoken::find_birthday),
            (&months, spoken::find_day),
            (&spoken::HOLIDAYS, spoken::find_holiday),
            (&spoken::AGES, spoken::find_age),
            (&hl7::WORDS, hl7::find),
        ];
        for (words, find) in opened {
            if is(words) {
                find(text, start, spans);
            }
        }
    }

    /// Every end of a year that follows a month or a day which ends at `i`.
    fn years(&self, text: &[u8], i: usize, after_month: bool) -> Vec<usize> {
        let mut found = Vec::new();
        let pattern = if after_month {
            &self.year_after_month
        } else {
            &self.year
        };
        for end in ends(pattern, text, i) {
            let digits = numbers(&text[i..end])[0];
            let fits = digits.len() == 2
                || ((1800..2200).contains(&number(digits)) && !quantity(text, end));
            if fits && !digit(text, end) {
                found.push(end);
            }
        }
        found
    }

    fn dates(&self, text: &[u8], start: usize, found: &mut Vec<Found>) {
        let months = |i: usize| {
            ends(&self.month, text, i)
                .into_iter()
                .filter(|&e| !letter(text, e))
        };
        let plain = |from: usize, to: usize| {
            let name = std::str::from_utf8(&text[from..to]).unwrap();
            name.starts_with('m') && ["may", "mar", "march"].contains(&&*name.to_lowercase())
        };
        if !letter(text, back(start, 1)) {
            for month in months(start) {
                for end in self.years(text, month, true) {
                    found.push((start, end, Kind::Date));
                }
                for end in ends(&self.day_after_month, text, start) {
                    let day = numbers(&text[start..end])[0];
                    let more = is(text, end, b"./") && digit(text, end + 1);
                    let tail = &text[(end + 1).min(text.len())..];
                    let year = is(text, end, b"/")
                        && tail.iter().take_while(|c| c.is_ascii_digit()).count() == 4;
                    if letter(text, end)
                        || (digit(text, end) && digit(text, end - 1))
                        || !(1..=31).contains(&number(day))
                        || (more && !year)
                    {
                        continue;
                    }
                    for end in self.years(text, end, false) {
                        found.push((start, end, Kind::Date));
                    }
                    let next = end + usize::from(is(text, end, b" \t"));
                    let doubtful = plain(start, month)
                        && digit(text, end - 1)
                        && letter(text, next)
                        && !date_digits::after_announcing_word(text, start);
                    if !quantity(text, end) && !doubtful {
                        found.push((start, end, Kind::Date));
                    }
                }
            }
        }
        let piece = is(text, back(start, 1), b"./") || word(text, back(start, 1));
        for end in ends(&self.day_before_month, text, start) {
            if piece
                || letter(text, end)
                || !(1..=31).contains(&number(numbers(&text[start..end])[0]))
            {
                continue;
            }
            let name = (start..end)
                .rev()
                .take_while(|&i| letter(text, i))
                .last()
                .unwrap();
            let between = &text[start..name];
            for end in self.years(text, end, true) {
                found.push((start, end, Kind::Date));
            }
            let word = text[name..end].to_ascii_lowercase();
            let doubled = date_words::MONTHS
                .iter()
                .any(|(month, plain)| *plain && month.as_bytes() == word);
            let sentence =
                doubled && is(text, back(name, 1), b" \t") && is(text, back(name, 2), b".");
            if !sentence && (!plain(name, end) || between.iter().any(u8::is_ascii_alphabetic)) {
                found.push((start, end, Kind::Date));
            }
        }
    }

    fn records(&self, text: &[u8], start: usize, found: &mut Vec<Found>) {
        use record::Weight;
        if word(text, back(start, 1)) {
            return;
        }
        let slashed = is(text, back(start, 1), b"/");
        for (pattern, keyword) in &self.records {
            if slashed && keyword.weight != Weight::Strong {
                continue;
            }
            for end in ends(pattern, text, start) {
                let strong = keyword.weight == Weight::Strong;
                let fillers = if strong {
                    &self.far_fillers
                } else {
                    &self.fillers
                };
                for value in ends(fillers, text, end) {
                    let between = &text[end..value];
                    if letter(text, end) || self.begins_with_filler(text, value, strong) {
                        continue;
                    }
                    let hint = between.iter().any(|c| b":=".contains(c));
                    let marked = between.contains(&b'#')
                        || between.split(|c| !c.is_ascii_alphabetic()).any(|w| {
                            let w = std::str::from_utf8(w).unwrap().to_lowercase();
                            let marks =
                                ["number", "numbers", "num", "no", "nbr", "nr", "id", "ids"];
                            marks.contains(&&*w) || w == "identifier"
                        });
                    if let Some(end) = self.values(text, value) {
                        let end = match keyword.kind {
                            Kind::Plate => plate(text, value, end),
                            _ => end,
                        };
                        let body = &text[value..end];
                        let words = (value..end).filter(|&i| word(text, i)).count();
                        let digits = body.iter().filter(|c| c.is_ascii_digit()).count();
                        let long = digits >= 5 || (words >= 5 && words > digits && digits >= 3);
                        let range = words == digits && digits <= 6 && body.len() == digits + 1;
                        let enough = match keyword.weight {
                            Weight::Strong => words >= 2,
                            Weight::Weak | Weight::Marked if marked => words >= 3,
                            Weight::Weak => long || (hint && words >= 4),
                            Weight::Marked => {
                                let grouped = !ends(&self.grouped, body, 0).is_empty();
                                let accession = !ends(&self.accession, body, 0).is_empty();
                                let apart = body.contains(&b' ') && digits < 5;
                                (long && hint && !range && !apart && keyword.kind != Kind::Id)
                                    || code(body, keyword.kind)
                                    || (keyword.kind == Kind::Mrn && grouped)
                                    || (keyword.kind == Kind::Case && accession)
                            }
                        };
                        let fraction = is(text, end, b"/.") && digit(text, end + 1) && words <= 3;
                        let amount = !strong && quantity(text, end);
                        if enough && digits > 0 && !fraction && !amount {
                            found.push((value, end, keyword.kind));
                        }
                    }
                }
            }
        }
    }

    /// Whether what stands at `i` is a filler and so no value.
    fn begins_with_filler(&self, text: &[u8], i: usize, strong: bool) -> bool {
        let end = (i..).find(|&i| !letter(text, i)).unwrap();
        let mut probe = text[i..end].to_vec();
        probe.push(b' ');
        let fillers = if strong {
            &self.far_fillers
        } else {
            &self.fillers
        };
        end > i && !word(text, end) && ends(fillers, &probe, 0).contains(&probe.len())
    }

    /// The ends of the longest value at `i`.
    fn values(&self, text: &[u8], i: usize) -> Option<usize> {
        let joined = |i| {
            ends(&self.value, text, i)
                .into_iter()
                .rfind(|end| end - i <= 128)
        };
        let mut end = joined(i)?;
        let capitals = text[i..end].iter().all(u8::is_ascii_uppercase) && end - i >= 2;
        if capitals && end - i <= 3 && is(text, end, b" \t") {
            let three = (1..4).all(|n| digit(text, end + n));
            return if three { joined(end + 1) } else { Some(end) };
        }
        let short = text[i..end].iter().all(u8::is_ascii_digit) && end - i <= 4;
        while short && is(text, end, b" \t") {
            let next = end + 1;
            let stop = (next..).find(|&i| !digit(text, i)).unwrap();
            let fraction = is(text, stop, b"%") || (is(text, stop, b"/.") && digit(text, stop + 1));
            if !(2..=4).contains(&(stop - next)) || word(text, stop) || fraction {
                break;
            }
            end = stop;
        }
        Some(end)
    }

    fn ages(&self, text: &[u8], start: usize, found: &mut Vec<Found>) {
        let end = (start..).find(|&i| !digit(text, i)).unwrap();
        if over_89(text, start, end) {
            let mut units = ends(&self.age_unit, text, end).into_iter();
            if let Some(unit) = units.rfind(|&unit| !letter(text, unit)) {
                let name: Vec<u8> = text[end..unit]
                    .iter()
                    .copied()
                    .filter(|c| !b" \t-".contains(c))
                    .collect();
                let apart = unit - end > name.len();
                let sex = name.len() == 1 && !matches!(name[0], b'y' | b'Y');
                let ago = unit + usize::from(is(text, unit, b" \t"));
                let ago = text
                    .get(ago..ago + 3)
                    .is_some_and(|w| w.eq_ignore_ascii_case(b"ago"));
                if !ago && !(sex && (apart || name[0].is_ascii_lowercase())) {
                    found.push((start, end, Kind::Age));
                }
            }
        }
        if !word(text, back(start, 1)) {
            for unit in ends(&self.age_in_words, text, start) {
                let ago = unit + usize::from(is(text, unit, b" \t"));
                let ago = text
                    .get(ago..ago + 3)
                    .is_some_and(|w| w.eq_ignore_ascii_case(b"ago"));
                let end = (start..unit).rev().find(|&i| !letter(text, i)).unwrap();
                if !letter(text, unit) && !ago {
                    found.push((start, end, Kind::Age));
                }
            }
        }
        if !word(text, back(start, 1)) {
            for end in ends(&self.age_word, text, start) {
                let from = (start..end)
                    .rev()
                    .take_while(|&i| digit(text, i))
                    .last()
                    .unwrap();
                let apart = !letter(text, from - 1);
                if apart && over_89(text, from, end) && !word(text, end) {
                    found.push((from, end, Kind::Age));
                }
            }
        }
    }
}

fn over_89(text: &[u8], start: usize, end: usize) -> bool {
    let value = text.get(start..end).map_or(0, number);
    (2..=3).contains(&(end - start))
        && (90..150).contains(&value)
        && text[start] != b'0'
        && !is(text, back(start, 1), b"./-")
        && !word(text, back(start, 1))
        && !digit(text, end)
        && !(is(text, end, b".") && digit(text, end + 1))
}

/// With up to four groups of digits on each side that hang on a number by dashes.
fn whole(text: &[u8], (mut start, mut end, kind): Found) -> Found {
    if matches!(
        kind,
        Kind::Card | Kind::Ssn | Kind::Itin | Kind::Npi | Kind::Phone | Kind::Zip | Kind::Id
    ) {
        for _ in 0..4 {
            if is(text, end, b"-") && digit(text, end + 1) {
                end += 2;
                while digit(text, end) {
                    end += 1;
                }
            }
            if is(text, back(start, 1), b"-") && digit(text, back(start, 2)) {
                start -= 2;
                while digit(text, back(start, 1)) {
                    start -= 1;
                }
            }
        }
    }
    (start, end, kind)
}

/// Joins candidates that share a character, under the kind of the longest, the first among equals.
pub(crate) fn merge(candidates: Vec<Found>) -> Vec<Found> {
    let mut clusters: Vec<(usize, usize, Vec<Found>)> = Vec::new();
    for found in candidates {
        let (mut start, mut end, mut members) = (found.0, found.1, vec![found]);
        while let Some(i) = clusters.iter().position(|c| c.0 < end && start < c.1) {
            let cluster = clusters.remove(i);
            start = start.min(cluster.0);
            end = end.max(cluster.1);
            members.extend(cluster.2);
        }
        clusters.push((start, end, members));
    }
    clusters.sort();
    clusters
        .into_iter()
        .map(|(start, end, members)| {
            let longest = members.iter().map(|m| m.1 - m.0).max().unwrap();
            let kind = members
                .iter()
                .filter(|m| m.1 - m.0 == longest)
                .map(|m| m.2)
                .min()
                .unwrap();
            (start, end, kind)
        })
        .collect()
}
