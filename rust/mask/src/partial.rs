//! `partial`: the first and last characters of a text; the rest becomes one single character, so
//! that not even its length is told.
//!
//! A character is a base character with the marks that combine with it: decomposing a value does not
//! let more of it through. Where the kept ends would make up half of a value or more, all of it
//! becomes the one character; a configuration that asks for more than [`MOST_KEPT`] characters would
//! meet that in practically every value and is refused.

use crate::MaskError;
use crate::fold::is_silent;

/// The most characters that may be kept of one value, both ends together.
const MOST_KEPT: u32 = 32;

/// The rule with its ends.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    first: usize,
    last: usize,
    mark: char,
}

impl Partial {
    /// Refuses ends that keep too much and a mark that cannot be seen.
    pub(crate) fn new(column: &str, first: u32, last: u32, mark: char) -> Result<Self, MaskError> {
        let kept = first.saturating_add(last);
        if kept > MOST_KEPT {
            return Err(MaskError::Option {
                column: column.to_owned(),
                detail: format!(
                    "partial keeps {kept} characters, half or more of practically every value; at \
                     most {MOST_KEPT} are possible"
                ),
            });
        }
        if mark.is_control() || mark.is_whitespace() || extends(mark) {
            return Err(MaskError::Option {
                column: column.to_owned(),
                detail: "partial's char must be a character that can be seen on its own".into(),
            });
        }
        let size = |n: u32| usize::try_from(n).map_err(|_| MaskError::TooLarge);
        Ok(Self {
            first: size(first)?,
            last: size(last)?,
            mark,
        })
    }

    /// Appends the masked form of `value`.
    pub(crate) fn push(&self, value: &str, out: &mut Vec<u8>) {
        let length = value.chars().filter(|&c| !extends(c)).count();
        let mut mark = [0; 4];
        let mark = self.mark.encode_utf8(&mut mark).as_bytes();
        if (self.first + self.last).saturating_mul(2) >= length {
            out.extend_from_slice(mark);
            return;
        }
        // Marks before the first base character belong to no kept character and are not shown.
        let mut bases = value
            .char_indices()
            .filter(|&(_, c)| !extends(c))
            .map(|(at, _)| at);
        let start = bases.clone().next().unwrap_or(0);
        let head = bases.clone().nth(self.first).unwrap_or(start);
        let tail = bases.nth(length - self.last).unwrap_or(value.len());
        let tail = if self.last == 0 { value.len() } else { tail };
        out.extend_from_slice(value.as_bytes().get(start..head).unwrap_or_default());
        out.extend_from_slice(mark);
        out.extend_from_slice(value.as_bytes().get(tail..).unwrap_or_default());
    }
}

/// Whether the character does not show or only changes the one before it. Beyond what detectors pass
/// over: the vowel signs and points of scripts, which a detector may take for letters, and the skin
/// tones of emoji.
fn extends(c: char) -> bool {
    let code = u32::from(c);
    is_silent(code)
        || matches!(code,
            0x0591..=0x05BD
            | 0x05BF | 0x05C1..=0x05C2 | 0x05C4..=0x05C5 | 0x05C7
            | 0x0610..=0x061A
            | 0x064B..=0x065F
            | 0x0670
            | 0x06D6..=0x06DC | 0x06DF..=0x06E4 | 0x06E7..=0x06E8 | 0x06EA..=0x06ED
            | 0x0900..=0x0903 | 0x093A..=0x093C | 0x093E..=0x094F | 0x0951..=0x0957
            | 0x0981..=0x0983 | 0x09BC | 0x09BE..=0x09CD
            | 0x0E31 | 0x0E34..=0x0E3A | 0x0E47..=0x0E4E
            | 0x302A..=0x302F
            | 0x3099..=0x309A
            | 0x1F3FB..=0x1F3FF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u32, last: u32, value: &str) -> String {
        let mut out = Vec::new();
        Partial::new("c", first, last, '*')
            .unwrap()
            .push(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_rest_is_one_character_whatever_its_length() {
        assert_eq!(masked(0, 4, "4111111111111111"), "*1111");
        assert_eq!(masked(0, 4, "4111-1111-1111-1111"), "*1111");
        assert_eq!(masked(1, 1, "Johnson"), "J*n");
        assert_eq!(masked(2, 0, "Johnson"), "Jo*");
        assert_eq!(masked(0, 0, "Johnson"), "*");
        assert_eq!(masked(0, 0, ""), "*");
    }

    #[test]
    fn half_or_more_is_masked_whole() {
        assert_eq!(masked(0, 4, "12345678"), "*");
        assert_eq!(masked(0, 4, "123456789"), "*6789");
        assert_eq!(masked(1, 1, "Anna"), "*");
        assert_eq!(masked(1, 1, ""), "*");
    }

    #[test]
    fn marks_count_with_their_base() {
        // Five base characters, ten scalar values.
        let stretched = "A\u{301}n\u{301}n\u{301}a\u{301}s\u{301}";
        assert_eq!(masked(1, 1, stretched), "A\u{301}*s\u{301}");
        assert_eq!(masked(2, 1, stretched), "*");
        assert_eq!(masked(1, 1, "Łukasz"), "Ł*z");
        assert_eq!(masked(1, 0, "\u{301}\u{301}\u{301}abc"), "a*");
    }

    #[test]
    fn what_does_not_show_counts_as_no_character() {
        // A value padded with what nobody sees would pass for a long one and show its ends.
        for unseen in ["\u{3164}", "\u{ffa0}", "\u{180e}", "\u{fff9}", "\u{e0fff}"] {
            let padded = format!("An{}na", unseen.repeat(20));
            assert_eq!(masked(2, 2, &padded), "*", "{unseen:?}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert!(Partial::new("c", 20, 20, '*').is_err());
        assert!(Partial::new("c", u32::MAX, u32::MAX, '*').is_err());
        assert!(Partial::new("c", 1, 1, '\u{200b}').is_err());
        assert!(Partial::new("c", 1, 1, '\n').is_err());
    }
}
