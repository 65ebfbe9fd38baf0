//! Dates in a form that the statement itself asked the server to write them in: `to_char(at, 'DD.MM.YYYY')`.
//!
//! A form is read as `to_char` reads it, as far as dates need; one with anything else in it is none.

use super::lexis::{at, before, digits};
use super::{Kind, Span};

/// One piece of a form, and the most characters that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// So many digits; fewer where the form suppresses padding.
    Digits { least: usize, most: usize },
    /// The name of a month or of a day, or its beginning; folded to small letters.
    Name { most: usize, padded: bool },
    /// This character.
    Sign(u8),
}

/// What a form's names are for, the longer before those that they begin with.
const PATTERNS: [(&str, Piece); 21] = [
    ("IYYY", exactly(4)),
    ("YYYY", exactly(4)),
    ("HH24", exactly(2)),
    ("HH12", exactly(2)),
    ("MONTH", name(9)),
    ("MON", name(3)),
    ("DDD", exactly(3)),
    ("DAY", name(9)),
    ("YY", exactly(2)),
    ("MM", exactly(2)),
    ("DD", exactly(2)),
    ("DY", name(3)),
    ("HH", exactly(2)),
    ("MI", exactly(2)),
    ("SS", exactly(2)),
    ("MS", exactly(3)),
    ("US", exactly(6)),
    ("IW", exactly(2)),
    ("WW", exactly(2)),
    ("Q", exactly(1)),
    ("W", exactly(1)),
];

const fn exactly(count: usize) -> Piece {
    Piece::Digits {
        least: count,
        most: count,
    }
}

const fn name(most: usize) -> Piece {
    Piece::Name { most, padded: true }
}

/// A form of dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form(Vec<Piece>);

/// The longest form that is read, and the longest date that is looked for.
const LONGEST: usize = 64;

impl Form {
    /// The form that `text` is, if it writes a day or a month and nothing unknown.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > LONGEST || !text.is_ascii() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut bare = false; // padding is suppressed for what follows
        while let Some(first) = rest.bytes().next() {
            let upper = rest.to_ascii_uppercase();
            if let Some(after) = upper.strip_prefix("FM") {
                bare = true;
                rest = rest.get(rest.len() - after.len()..)?;
            } else if let Some((name, piece)) =
                PATTERNS.iter().find(|(name, _)| upper.starts_with(name))
            {
                pieces.push(match *piece {
                    Piece::Digits { most, .. } if bare => Piece::Digits { least: 1, most },
                    Piece::Name { most, .. } if bare => Piece::Name {
                        most,
                        padded: false,
                    },
                    piece => piece,
                });
                bare = false;
                rest = rest.get(name.len()..)?;
                if matches!(upper.get(name.len()..name.len() + 2), Some("TH")) {
                    return None;
                }
            } else if first == b'"' {
                let (quoted, after) = rest.get(1..)?.split_once('"')?;
                pieces.extend(quoted.bytes().map(|c| Piece::Sign(c.to_ascii_lowercase())));
                rest = after;
            } else if first.is_ascii_alphanumeric() {
                return None;
            } else {
                pieces.push(Piece::Sign(first));
                rest = rest.get(1..)?;
            }
        }
        let dated = pieces.iter().any(|piece| !matches!(piece, Piece::Sign(_)));
        dated.then_some(Self(pieces))
    }

    /// Whether a date lies in a stretch of the folded text that has this form.
    pub(crate) fn holds(&self, text: &[u8], span: Span) -> bool {
        let first = span.start.saturating_sub(LONGEST);
        span.kind == Kind::Date
            && (first..=span.start)
                .any(|start| self.at(text, start).is_some_and(|end| span.end <= end))
    }

    fn at(&self, text: &[u8], start: usize) -> Option<usize> {
        if before(text, start).is_ascii_alphanumeric() {
            return None;
        }
        let mut i = start;
        for piece in &self.0 {
            i = match *piece {
                Piece::Digits { least, most } => {
                    let end = digits(text, i).min(i + most);
                    (end >= i + least).then_some(end)?
                }
                Piece::Name { most, padded } => {
                    let mut end = i;
                    while end < i + most && at(text, end).is_ascii_alphabetic() {
                        end += 1;
                    }
                    if end < i + 3 {
                        return None;
                    }
                    // One that is not the longest is filled up with spaces.
                    if padded {
                        while end < i + most && at(text, end) == b' ' {
                            end += 1;
                        }
                    }
                    end
                }
                Piece::Sign(sign) => (at(text, i) == sign).then_some(i + 1)?,
            };
        }
        (!at(text, i).is_ascii_alphanumeric()).then_some(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(form: &str, text: &str, part: &str) -> bool {
        let start = text.find(part).unwrap();
        let span = Span {
            start,
            end: start + part.len(),
            kind: Kind::Date,
        };
        Form::read(form).unwrap().holds(text.as_bytes(), span)
    }

    #[test]
    fn what_was_written_in_the_form() {
        for (form, text, part) in [
            ("DD.MM.YYYY", "seen 01.03.2024, well", "01.03.2024"),
            ("YYYY-MM", "cardiology 2024-03", "2024-03"),
            ("Mon YYYY", "cardiology - mar 2024", "mar 2024"),
            ("YYYYMMDD", "orthopaedics_20240301", "20240301"),
            ("FMDD FMMonth YYYY", "on 1 march 2024.", "1 march 2024"),
            ("YYYY-MM-DD\"T\"HH24:MI", "2024-03-01t09:30", "2024-03-01"),
            ("MM/DD/YY", "(03/01/24)", "03/01/24"),
            ("DD Month YYYY", "01 march     2024", "march     2024"),
        ] {
            assert!(held(form, text, part), "{form} in {text}");
        }
    }

    #[test]
    fn what_was_not() {
        for (form, text, part) in [
            ("DD.MM.YYYY", "seen 01/03/2024", "01/03/2024"),
            ("YYYY-MM", "cardiology 2024-03-01", "2024-03-01"),
            ("YYYY-MM", "2024-031", "2024-03"),
            ("YYYYMMDD", "x20240301", "20240301"),
            ("Mon YYYY", "on 4 mar 2024", "4 mar 2024"),
        ] {
            assert!(!held(form, text, part), "{form} in {text}");
        }
        let other = Span {
            start: 0,
            end: 8,
            kind: Kind::Mrn,
        };
        assert!(!Form::read("YYYYMMDD").unwrap().holds(b"20240301", other));
    }

    #[test]
    fn what_is_no_form() {
        for text in [
            "", "-", "finished", "DDth", "J", "x YYYY", "é YYYY", "\"YYYY", "TZ",
        ] {
            assert_eq!(Form::read(text), None, "{text}");
        }
    }
}
