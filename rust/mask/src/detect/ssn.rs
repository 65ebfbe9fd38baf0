//! Social security and individual taxpayer numbers: three, two and four digits with a separator of
//! any kind between them. The area rules (000, 666, 9xx) un-mask nothing. Nine bare digits are told
//! by `long_number`.

use super::lexis::{before, group, separator};
use super::{Kind, Span};

pub(crate) fn find(text: &[u8], at: usize, spans: &mut Vec<Span>) {
    if before(text, at).is_ascii_digit() {
        return;
    }
    let end = group(text, at, 3)
        .and_then(|i| separator(text, i))
        .and_then(|i| group(text, i, 2))
        .and_then(|i| separator(text, i))
        .and_then(|i| group(text, i, 4));
    if let Some(end) = end {
        spans.push(Span {
            start: at,
            end,
            kind: Kind::Ssn,
        });
    }
}
