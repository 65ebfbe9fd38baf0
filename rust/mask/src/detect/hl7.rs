//! Messages of HL7 version 2: what their fields hold is told by the place that the standard gives it.
//!
//! `PID|1||448812^^^HOSP^MR||DOE^JANE^Q||19600304|F`: identifiers, names, births, addresses and telephones
//! of patients, relatives and guarantors; who treats them; numbers of visits and orders. A segment is a
//! line, or what is behind a blank; those behind it are read with it. What is in other fields is told as
//! everywhere.

use super::lexis::{at, before, is_letter, is_space, is_word, run_up_to};
use super::{Kind, Span};

/// The first letters of the segments that a text is read at.
pub(crate) const WORDS: [&str; 3] = ["pid", "pv", "obr"];

/// What the fields of a segment hold, the first behind its name counted as one.
type Fields = &'static [(usize, Kind)];

const SEGMENTS: [(&[u8], Fields); 9] = [
    (
        b"PID",
        &[
            (2, Kind::Mrn),
            (3, Kind::Mrn),
            (4, Kind::Mrn),
            (5, Kind::Name),
            (6, Kind::Name),
            (7, Kind::Date),
            (9, Kind::Name),
            (11, Kind::Address),
            (13, Kind::Phone),
            (14, Kind::Phone),
            (18, Kind::Account),
            (19, Kind::Ssn),
            (20, Kind::License),
            (21, Kind::Mrn),
            (29, Kind::Date),
        ],
    ),
    (
        b"NK1",
        &[
            (2, Kind::Name),
            (4, Kind::Address),
            (5, Kind::Phone),
            (6, Kind::Phone),
        ],
    ),
    (
        b"PV1",
        &[
            (7, Kind::Name),
            (8, Kind::Name),
            (9, Kind::Name),
            (17, Kind::Name),
            (19, Kind::Case),
            (44, Kind::Date),
            (45, Kind::Date),
            (50, Kind::Case),
        ],
    ),
    (
        b"OBR",
        &[
            (2, Kind::Case),
            (3, Kind::Case),
            (6, Kind::Date),
            (7, Kind::Date),
            (8, Kind::Date),
            (10, Kind::Name),
            (14, Kind::Date),
            (16, Kind::Name),
            (17, Kind::Phone),
            (22, Kind::Date),
            (28, Kind::Name),
            (32, Kind::Name),
        ],
    ),
    (
        b"ORC",
        &[
            (2, Kind::Case),
            (3, Kind::Case),
            (4, Kind::Case),
            (9, Kind::Date),
            (10, Kind::Name),
            (11, Kind::Name),
            (12, Kind::Name),
            (14, Kind::Phone),
        ],
    ),
    (
        b"GT1",
        &[
            (2, Kind::Account),
            (3, Kind::Name),
            (4, Kind::Name),
            (5, Kind::Address),
            (6, Kind::Phone),
            (7, Kind::Phone),
            (8, Kind::Date),
            (12, Kind::Ssn),
        ],
    ),
    (
        b"IN1",
        &[
            (8, Kind::Policy),
            (16, Kind::Name),
            (18, Kind::Date),
            (19, Kind::Address),
            (36, Kind::Policy),
            (49, Kind::Member),
        ],
    ),
    (b"OBX", &[(14, Kind::Date), (16, Kind::Name)]),
    (b"MRG", &[(1, Kind::Mrn), (4, Kind::Mrn), (7, Kind::Name)]),
];

/// The most segments that are read behind one.
const FOLLOWING: usize = 16;
/// The most fields of a segment, and the most characters of one that are masked as a whole.
const FIELDS: usize = 64;
const LONGEST: usize = 512;

/// Asked where one of [`WORDS`] may begin.
pub(crate) fn find(text: &[u8], at_name: usize, spans: &mut Vec<Span>) {
    if is_word(before(text, at_name)) || !opens(text.get(at_name..).unwrap_or_default()) {
        return;
    }
    let mut start = at_name;
    for following in 0..FOLLOWING {
        let rest = text.get(start..).unwrap_or_default();
        // The next of them is asked by itself.
        if following > 0 && opens(rest) {
            return;
        }
        let name = rest.get(..3).filter(|_| at(text, start + 3) == b'|');
        let Some(name) = name else { return };
        let fields = SEGMENTS.iter().find(|(segment, _)| *segment == name);
        let end = segment(
            text,
            start + 4,
            fields.map_or(&[], |(_, fields)| fields),
            spans,
        );
        start = run_up_to(text, end, 4, is_space);
        if start == end {
            return;
        }
    }
}

/// Whether a segment begins here at which a text is read.
fn opens(text: &[u8]) -> bool {
    let opening: [&[u8]; 3] = [b"PID|", b"PV1|", b"OBR|"];
    opening.iter().any(|name| text.starts_with(name))
}

/// Tells the fields of the segment whose first one begins at `start`; where its line ends.
fn segment(text: &[u8], start: usize, fields: Fields, spans: &mut Vec<Span>) -> usize {
    let mut start = start;
    for field in 1..=FIELDS {
        let end = run_up_to(text, start, LONGEST, |c| !matches!(c, b'|' | b'\r' | b'\n'));
        let told = fields.iter().find(|(place, _)| *place == field);
        let value = text.get(start..end).unwrap_or_default();
        let kind = told
            .map(|&(_, kind)| kind)
            .or(is_person(value).then_some(Kind::Name));
        // `""` says that there is none.
        if let Some(kind) = kind
            && value.iter().any(|&c| is_word(c))
        {
            spans.push(Span { start, end, kind });
        }
        if at(text, end) != b'|' {
            return end;
        }
        start = end + 1;
    }
    start
}

/// Whether this is `1043298876^DOE^JANE`, and no code of a list: `1043298876^GLUCOSE^SCT`.
fn is_person(value: &[u8]) -> bool {
    let mut parts = value.split(|&c| c == b'^');
    let [id, family, given] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let letters = |part: &[u8]| {
        part.iter()
            .all(|&c| is_letter(c) || matches!(c, b'\'' | b'-'))
    };
    let lists: [&[u8]; 4] = [b"SCT", b"CPT", b"HCPCS", b"LOCAL"];
    id.len() >= 5
        && id.iter().all(u8::is_ascii_digit)
        && (letters(family) && family.len() >= 2)
        && (letters(given) && given.len() >= 3)
        && !lists.contains(&given)
}
