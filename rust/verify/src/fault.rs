//! What ends a verification: something is not as recorded, or the file could not be read.

use std::fmt::{Debug, Display};
use std::io;
use std::path::Path;

/// Why there is no verdict of 0 or 2.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Not as it was recorded; the text says what, expected and got.
    Tampered(String),
    /// The operating system did not give the bytes.
    Unreadable(io::Error),
    /// What the auditor gave beside the bundle is not what he says it is.
    Usage(String),
    /// What was found could not be told.
    Unheard(io::Error),
}

/// What a step of the procedure gives.
pub(crate) type Checked<T> = Result<T, Fault>;

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Tampered(text)
    }
}

/// Refuses with a text when something is wrong.
pub(crate) fn refuse(when: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if when { Err(text()) } else { Ok(()) }
}

/// Both are the same, or this is what was expected and this what came.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
    Err(format!(
        "{what}: expected {}, got {}",
        shown(&expected, 200),
        shown(&got, 200)
    ))
}

/// Puts the place before what is wrong there.
pub(crate) trait At<T> {
    /// As it is, or with the place before the text.
    fn at(self, place: impl Display) -> Result<T, String>;
}

impl<T> At<T> for Result<T, String> {
    fn at(self, place: impl Display) -> Result<T, String> {
        self.map_err(|text| format!("{place}: {text}"))
    }
}

/// A text as one line that cannot steer a terminal, of so many characters at most.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (number, c) in text.chars().enumerate() {
        if number == limit {
            out.push('…');
            break;
        }
        let escaped = c.escape_debug();
        // Quotes and backslashes are printable; everything else that is escaped is not.
        if escaped.len() == 1 || matches!(c, '"' | '\'' | '\\') {
            out.push(c);
        } else {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
    out
}

/// A path for a sentence.
pub(crate) fn named(path: &Path) -> String {
    shown(&path.to_string_lossy(), 200)
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(
                DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'),
            ));
        }
    }
    out
}

/// What a digit stands for, and `NONE` for every other byte.
const VALUES: [u8; 256] = values();
const NONE: u8 = 0xff;

#[allow(clippy::indexing_slicing, reason = "worked out by the compiler")]
const fn values() -> [u8; 256] {
    let mut out = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        let digit = if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        };
        out[digit as usize] = value;
        value += 1;
    }
    out
}

/// Lower-case hex of exactly `N` bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let value = |at: usize| {
            let digit = pair.get(at).copied().unwrap_or_default();
            VALUES.get(usize::from(digit)).copied().unwrap_or(NONE)
        };
        let (high, low) = (value(0), value(1));
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 16).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_runs_the_other_way_is_spelled_out() {
        assert_eq!(shown("a\u{202e}\n\"é\\", 10), "a\\u{202e}\\u{a}\"é\\");
        assert_eq!(shown("abc", 2), "ab…");
    }

    #[test]
    fn hex_has_one_case_and_one_length() {
        assert_eq!(hex(&[0, 0x5a, 0xff]), "005aff");
        assert_eq!(unhex::<3>("005aff"), Some([0, 0x5a, 0xff]));
        for wrong in ["005aFF", "005af", "005aff0", "005agf", "é05af"] {
            assert_eq!(unhex::<3>(wrong), None, "{wrong}");
        }
    }
}
