//! E-mail addresses: a local part, `@`, a domain with a dot and a letter in it.

use super::lexis::{before, is_letter, is_word, run, run_back};
use super::{Kind, Span};

pub(crate) fn find(text: &[u8], at_sign: usize, spans: &mut Vec<Span>) {
    let from = run_back(text, at_sign, is_local);
    // A quote or a dot before the address is not part of it.
    let start = run(text, from, |c| matches!(c, b'\'' | b'.' | b'-'));
    let stop = run(text, at_sign + 1, |c| is_word(c) || c == b'.' || c == b'-');
    let mut end = stop;
    while end > at_sign && !is_word(before(text, end)) {
        end -= 1;
    }
    let domain = text.get(at_sign + 1..end).unwrap_or_default();
    let inner = domain.get(1..).unwrap_or_default();
    if start < at_sign
        && domain.first().is_some_and(|&c| is_word(c))
        && inner.contains(&b'.')
        && domain.iter().any(|&c| is_letter(c))
    {
        spans.push(Span {
            start,
            end,
            kind: Kind::Email,
        });
    }
}

fn is_local(c: u8) -> bool {
    is_word(c) || matches!(c, b'.' | b'_' | b'%' | b'+' | b'\'' | b'~' | b'-')
}
