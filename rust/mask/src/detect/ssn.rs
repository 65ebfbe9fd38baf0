//! Social security and individual taxpayer numbers: three, two and four digits with a separator of
//! any kind between them. The area rules (000, 666, 9xx) un-mask nothing: they choose the label, that of
//! an ITIN for the areas and groups in which the IRS gives them out. Nine bare digits are told by
//! `long_number`.

use super::lexis::{at, before, group, number, separator};
use super::{Kind, Span};

pub(crate) fn find(text: &[u8], start: usize, spans: &mut Vec<Span>) {
    if before(text, start).is_ascii_digit() {
        return;
    }
    let found = || {
        let middle = separator(text, group(text, start, 3)?)?;
        let last = separator(text, group(text, middle, 2)?)?;
        Some((middle, group(text, last, 4)?))
    };
    if let Some((middle, end)) = found() {
        let group = number(text, middle, middle + 2);
        // 987-65-4320 to 4329 are printed in advertisements, as social security numbers.
        let printed = number(text, start, start + 3) == 987
            && group == 65
            && number(text, end - 4, end - 1) == 432;
        let given = at(text, start) == b'9'
            && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
            && !printed;
        let kind = if given { Kind::Itin } else { Kind::Ssn };
        spans.push(Span { start, end, kind });
    }
}
