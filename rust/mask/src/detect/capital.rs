//! Where names of people and places are looked for: at words that begin with a capital and stand close
//! behind another such word, behind a colon, or amid a sentence.

use super::lexis::{at, before, is_letter, is_space, is_word, run_back};
use super::spelling::{Shape, is_capital, word_at};
use super::{Span, lone, name, place};

/// Asked where a word begins with a capital.
#[inline(never)] // seldom
pub(crate) fn find(text: &[u8], i: usize, spans: &mut Vec<Span>) {
    let asked = asked(text, i);
    let Some(word) = word_at(text, i) else { return };
    lone::find(text, &word, spans);
    if !asked {
        return;
    }
    // Most of these words end here.
    let numbered = is_space(before(text, i)) && before(text, i.saturating_sub(1)).is_ascii_digit();
    if word.may_name() || word.is_rare() || numbered {
        name::find(text, i, &word, spans);
        place::find(text, &word, spans);
    } else if word.shape == Shape::Title {
        name::find_after_initials(text, &word, spans);
    }
}

/// What may stand before a word that belongs to a name, as the gate says it on 64 characters at once: a
/// colon, or a word that begins with a capital and one more character, and up to two gaps; or a letter or
/// digit and one gap, where the second letter is no capital.
fn asked(text: &[u8], i: usize) -> bool {
    if !is_capital(at(text, i)) || is_letter(before(text, i)) {
        return false;
    }
    // Amid a sentence.
    let last = before(text, i);
    let amid = is_space(last) || matches!(last, b'(' | b')' | b'_');
    if amid && is_word(before(text, i - 1)) && !is_capital(at(text, i + 1)) {
        return true;
    }
    let mut end = i;
    for _ in 0..3 {
        let Some(last) = end.checked_sub(1) else {
            return false;
        };
        let begin = run_back(text, last, is_letter);
        if at(text, last) == b':' || (begin < last && is_capital(at(text, begin))) {
            return true;
        }
        let gap = is_space(at(text, last)) || matches!(at(text, last), b'(' | b')' | b'_');
        if !gap {
            return false;
        }
        end = last;
    }
    false
}
