//! Which identifiers are admitted: `[\p{L}_][\p{L}\p{N}_$ ]{0,62}`, and the server's own few; for columns
//! also the signs of report headings, as in `Total %`, `City/State`, `2024` and `Cost (€)`.
//!
//! The reader does not need this to be safe (escapes and wrapping are exact); it is the second wall: a
//! name that cannot hold a brace, a colon, a backslash, a double quote or a line end cannot forge a
//! node, a field or a string.

use regex_automata::meta::Regex;
use std::sync::OnceLock;

const MAX_BYTES: usize = 63; // NAMEDATALEN - 1

/// Where a name stands decides which of the server's own spellings are admitted beside the alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A range table entry: `*VALUES*`, `*SELECT* 1`, …
    Relation,
    /// A column of a result: `?column?`; the empty name is a dropped column.
    Column,
    /// A field of a row constructor: SEARCH BREADTH FIRST makes one called `*DEPTH*`.
    Field,
    /// Anything else: only what a person may write.
    Other,
}

/// Whether `name`, unescaped, is admitted in this place.
pub(crate) fn admitted(name: &str, place: Place) -> bool {
    is_identifier(name)
        || match place {
            Place::Relation => is_servers_relation(name),
            Place::Column => matches!(name, "" | "?column?") || is_heading(name),
            Place::Field => matches!(name, "?column?" | "*DEPTH*"),
            Place::Other => false,
        }
}

fn is_servers_relation(name: &str) -> bool {
    match name.strip_prefix("*SELECT* ") {
        Some(number) => {
            !number.is_empty() && number.len() <= 9 && number.bytes().all(|b| b.is_ascii_digit())
        }
        None => matches!(name, "*VALUES*" | "*GROUP*" | "*TLOCRN*" | "*TROCRN*"),
    }
}

fn is_identifier(name: &str) -> bool {
    if name.is_empty() || name.len() > MAX_BYTES {
        return false;
    }
    if name.is_ascii() {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let mut bytes = name.bytes();
        return bytes.next().is_some_and(letter)
            && bytes.all(|b| letter(b) || b.is_ascii_digit() || b == b'$' || b == b' ');
    }
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    PATTERN
        .get_or_init(|| Regex::new(r"^[\p{L}_][\p{L}\p{N}_$ ]{0,62}$").ok())
        .as_ref()
        .is_some_and(|pattern| pattern.is_match(name))
}

/// The name of a column as a report has it: signs beside letters, and no sign of the tree's own form.
/// It begins with a letter, a digit or one of a few signs, and ends in no space.
fn is_heading(name: &str) -> bool {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    name.len() <= MAX_BYTES
        && !name.ends_with(' ')
        && PATTERN
            .get_or_init(|| {
                Regex::new(
                    r"^[\p{L}\p{Nd}_%#($€£][\p{L}\p{N}_$ %#&'()*+,./;<=>?!@|~^\[\]€£°–—-]{0,62}$",
                )
                .ok()
            })
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(name))
}

/// An operator's name, or its schema: what `operName` of a SubLink may hold, as printed.
pub(crate) fn operator_admitted(printed: &str) -> bool {
    let name = printed.strip_prefix('\\').unwrap_or(printed);
    let symbol = !name.is_empty()
        && name.len() <= MAX_BYTES
        && name.bytes().all(|b| b"+-*/<>=~!@#%^&|`?".contains(&b));
    symbol || is_identifier(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet() {
        for good in [
            "a",
            "_",
            "ssn",
            "first name",
            "Größe",
            "имя",
            "患者",
            "a$1",
            &"x".repeat(63),
        ] {
            assert!(is_identifier(good), "{good}");
        }
        let long = "x".repeat(64);
        for bad in [
            "",
            "1a",
            " a",
            "a:b",
            "a\n",
            "a\nb",
            "a\\b",
            "a\"",
            "a{b",
            "a)",
            "<>",
            "?column?",
            "a-b",
            "$1",
            "a\u{200b}b",
            "a\u{a0}b",
            "é\n",
            "é\u{202e}",
            &long,
        ] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }

    #[test]
    fn headings_are_names_of_columns_only() {
        for good in [
            "Total %",
            "City/State",
            "# of visits",
            "visits (total)",
            "no-show",
            "2024",
            "a.b",
            "Cost (€)",
            "Δ%",
            "% of all",
            "<=30",
            "O'Brien",
            "(none)",
            "30-day, all",
        ] {
            let expected = !matches!(good, "<=30");
            assert_eq!(admitted(good, Place::Column), expected, "{good}");
            for place in [Place::Relation, Place::Field, Place::Other] {
                assert!(!admitted(good, place), "{good}");
            }
        }
        for bad in [
            "a:b",
            "a\\b",
            "a\"b",
            "a{b",
            "a}b",
            "a\nb",
            "=1",
            "-1",
            "@x",
            " a",
            "a% ",
            "%\u{202e}",
            "%\u{200b}",
            "a\u{a0}%",
            "%\u{301}",
            "*VALUES*",
            "<>",
        ] {
            assert!(!admitted(bad, Place::Column), "{bad:?}");
        }
        assert!(!admitted(&"%".repeat(64), Place::Column));
    }

    #[test]
    fn the_servers_own_names_are_admitted_only_in_their_place() {
        assert!(admitted("*SELECT* 12", Place::Relation));
        assert!(!admitted("*SELECT* ", Place::Relation));
        assert!(!admitted("*SELECT* 1x", Place::Relation));
        assert!(!admitted("*VALUES*", Place::Column));
        assert!(admitted("?column?", Place::Column));
        assert!(!admitted("?column?", Place::Relation));
        assert!(!admitted("", Place::Relation));
    }
}
