//! Messages of HL7 version 2: what their fields hold is told by the place that the standard gives it.
//!
//! `PID|1||448812^^^HOSP^MR||DOE^JANE^Q||19600304|F`: identifiers, names, births, addresses and telephones
//! of patients, relatives and guarantors; who treats them; numbers of visits and orders. A segment is a
//! line, or what is behind a blank; those behind it are read with it. What is in other fields is told as
//! everywhere.

use super::lexis::{at, before, is_letter, is_space, is_word, run, run_back, run_up_to};
use super::{Kind, Span};

/// The first letters of the segments that a text is read at.
pub(crate) const WORDS: [&str; 3] = ["pid", "pv", "obr"];

/// What the fields of a segment hold, the first behind its name counted as one.
type Fields = &'static [(Kind, &'static [usize])];

const SEGMENTS: [(&[u8], Fields); 9] = [
    (
        b"PID",
        &[
            (Kind::Mrn, &[2, 3, 4, 21]),
            (Kind::Name, &[5, 6, 9]),
            (Kind::Date, &[7, 29]),
            (Kind::Address, &[11]),
            (Kind::Place, &[12, 23]),
            (Kind::Phone, &[13, 14]),
            (Kind::Account, &[18]),
            (Kind::Ssn, &[19]),
            (Kind::License, &[20]),
        ],
    ),
    (
        b"NK1",
        &[
            (Kind::Name, &[2, 26, 30]),
            (Kind::Address, &[4, 32]),
            (Kind::Phone, &[5, 6, 31]),
            (Kind::Date, &[16]),
            (Kind::Id, &[33]),
            (Kind::Ssn, &[37]),
        ],
    ),
    (
        b"PV1",
        &[
            (Kind::Case, &[5, 19, 50]),
            (Kind::Name, &[7, 8, 9, 17, 52]),
            (Kind::Date, &[44, 45]),
        ],
    ),
    (
        b"OBR",
        &[
            (Kind::Case, &[2, 3]),
            (Kind::Date, &[6, 7, 8, 14, 22]),
            (Kind::Name, &[10, 16, 28, 32]),
            (Kind::Phone, &[17]),
        ],
    ),
    (
        b"ORC",
        &[
            (Kind::Case, &[2, 3, 4]),
            (Kind::Date, &[9]),
            (Kind::Name, &[10, 11, 12]),
            (Kind::Phone, &[14]),
        ],
    ),
    (
        b"GT1",
        &[
            (Kind::Account, &[2]),
            (Kind::Name, &[3, 4]),
            (Kind::Address, &[5, 17]),
            (Kind::Phone, &[6, 7, 18]),
            (Kind::Date, &[8]),
            (Kind::Ssn, &[12]),
        ],
    ),
    (
        b"IN1",
        &[
            (Kind::Policy, &[8, 36]),
            (Kind::Name, &[16]),
            (Kind::Date, &[18]),
            (Kind::Address, &[19]),
            (Kind::Member, &[49]),
        ],
    ),
    (b"OBX", &[(Kind::Date, &[14]), (Kind::Name, &[16])]),
    (
        b"MRG",
        &[
            (Kind::Mrn, &[1, 2, 4]),
            (Kind::Account, &[3]),
            (Kind::Case, &[5]),
            (Kind::Name, &[7]),
        ],
    ),
];

/// The most segments that are read behind one.
const FOLLOWING: usize = 16;
/// The most fields of a segment, and the most characters of one that are masked as a whole.
const FIELDS: usize = 64;
const LONGEST: usize = 512;
/// The length of a segment's name.
const NAMED: usize = 3;

/// Asked where one of [`WORDS`] may begin.
pub(crate) fn find(text: &[u8], at_name: usize, spans: &mut Vec<Span>) {
    if !opens(text, at_name) {
        return;
    }
    let mut start = at_name;
    for following in 0..FOLLOWING {
        // The next of them is asked by itself.
        if following > 0 && opens(text, start) {
            return;
        }
        let bar = start + NAMED;
        let Some(name) = text.get(start..bar).filter(|_| at(text, bar) == b'|') else {
            return;
        };
        let known = SEGMENTS.iter().find(|(segment, _)| *segment == name);
        let fields = known.map_or(&[][..], |(_, fields)| fields);
        let Some(end) = segment(text, bar + 1, fields, spans) else {
            return;
        };
        start = run_up_to(text, end, 4, is_space);
        if start == end {
            return;
        }
    }
}

/// Whether a segment begins at `i` at which a text is read.
fn opens(text: &[u8], i: usize) -> bool {
    let opening: [&[u8]; 3] = [b"PID|", b"PV1|", b"OBR|"];
    let rest = text.get(i..).unwrap_or_default();
    !is_word(before(text, i)) && opening.iter().any(|name| rest.starts_with(name))
}

/// Tells the fields of the segment whose first one begins at `start`; where its line ends, unless another
/// one that is asked by itself begins before. So nothing is read twice.
fn segment(text: &[u8], start: usize, fields: Fields, spans: &mut Vec<Span>) -> Option<usize> {
    let mut start = start;
    for field in 1..=FIELDS {
        let bar = run(text, start, |c| !matches!(c, b'|' | b'\r' | b'\n'));
        let next = bar.saturating_sub(NAMED);
        let another = next >= start && opens(text, next);
        let end = match another {
            true => run_back(text, next, is_space),
            false => bar,
        };
        let end = end.min(start + LONGEST);
        let told = fields.iter().find(|(_, places)| places.contains(&field));
        let value = text.get(start..end).unwrap_or_default();
        let kind = told
            .map(|&(kind, _)| kind)
            .or(is_person(value).then_some(Kind::Name));
        // `""` says that there is none.
        if let Some(kind) = kind
            && value.iter().any(|&c| is_word(c))
        {
            spans.push(Span { start, end, kind });
        }
        if another {
            return None;
        }
        if at(text, bar) != b'|' {
            return Some(bar);
        }
        start = bar + 1;
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A note may hold as many beginnings as its writer likes.
    #[test]
    fn segments_in_segments_are_read_once() {
        for line in [
            "PID|".repeat(400),
            format!("GT1|{}\n", "PID|".repeat(63)).repeat(20),
            format!("GT1|1|A1|QWRTZ|{}\n", "x|PV1|".repeat(20)).repeat(20),
            format!("OBR|{} ", "y".repeat(300)).repeat(20),
        ] {
            let text = line.as_bytes();
            let mut spans = Vec::new();
            for i in 0..text.len() {
                find(text, i, &mut spans);
            }
            let fields = text.iter().filter(|&&c| c == b'|').count();
            assert!(spans.len() <= fields, "{} in {fields}", spans.len());
        }
    }
}
