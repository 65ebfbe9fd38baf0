//! URLs: a scheme and `://`, `www.`, or a domain under a well-known top level, each to the next blank.

use super::lexis::{
    at, before, is_letter, is_word, run, run_back, run_back_up_to, run_up_to, same,
};
use super::{Kind, Span};

/// Top levels that are taken for a domain without a scheme. Not one of them is an English word that
/// may follow a full stop without a blank.
const TOP_LEVELS: [&str; 10] = [
    "com", "org", "net", "edu", "gov", "mil", "info", "biz", "io", "uk",
];

/// `[A-Za-z][A-Za-z0-9+.-]*://` and what follows.
pub(crate) fn find_scheme(text: &[u8], colon: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
    if at(text, colon + 1) != b'/' || at(text, colon + 2) != b'/' {
        return;
    }
    let from = run_back(text, colon, |c| {
        c.is_ascii_alphanumeric() || matches!(c, b'+' | b'.' | b'-')
    });
    let start = run_up_to(text, from, colon - from, |c| !c.is_ascii_alphabetic());
    let end = tails.end(text, colon + 3);
    if start < colon && end > colon + 3 {
        spans.push(Span {
            start,
            end,
            kind: Kind::Url,
        });
    }
}

/// `www.` and what follows.
pub(crate) fn find_www(text: &[u8], at_word: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
    let dot = at_word + 3;
    if !same(text, at_word, dot, "www") || at(text, dot) != b'.' || is_word(before(text, at_word)) {
        return;
    }
    let end = tails.end(text, dot + 1);
    if end > dot + 1 {
        spans.push(Span {
            start: at_word,
            end,
            kind: Kind::Url,
        });
    }
}

/// Labels of 255 characters at most, a dot and a top level; then a path if there is one.
pub(crate) fn find_domain(text: &[u8], dot: usize, tails: &mut Tails, spans: &mut Vec<Span>) {
    let top = run(text, dot + 1, is_letter);
    if is_word(at(text, top)) || !TOP_LEVELS.iter().any(|t| same(text, dot + 1, top, t)) {
        return;
    }
    let from = run_back_up_to(text, dot, 255, |c| is_word(c) || c == b'.' || c == b'-');
    let start = run(text, from, |c| !is_word(c));
    if start >= dot || !is_word(before(text, dot)) {
        return;
    }
    let end = if at(text, top) == b'/' {
        tails.end(text, top)
    } else {
        top
    };
    spans.push(Span {
        start,
        end: end.max(top),
        kind: Kind::Url,
    });
}

/// The last stretch without blanks that was asked for: in a text of nothing but `a://a://` it is walked
/// once, not once a colon.
#[derive(Default)]
pub(crate) struct Tails {
    from: usize,
    stop: usize,
    /// `stop` without the punctuation of the sentence.
    end: usize,
}

impl Tails {
    /// The end of what is no blank, quote or angle bracket from `i` on, without the punctuation of the
    /// sentence.
    fn end(&mut self, text: &[u8], i: usize) -> usize {
        if !(self.from..self.stop).contains(&i) {
            self.from = i;
            self.stop = run(text, i, |c| {
                c > b' ' && !matches!(c, b'<' | b'>' | b'"' | 0x7f)
            });
            self.end = self.stop;
            while self.end > i && is_punctuation(before(text, self.end)) {
                self.end -= 1;
            }
        }
        self.end.max(i)
    }
}

fn is_punctuation(c: u8) -> bool {
    matches!(
        c,
        b'.' | b',' | b';' | b':' | b'!' | b'?' | b')' | b']' | b'}' | b'\''
    )
}
