//! Addresses in networks: IPv4, IPv6, and MAC as `hh:hh:hh:hh:hh:hh`, with dashes, or `hhhh.hhhh.hhhh`.

use std::net::Ipv6Addr;

use super::lexis::{at, before, group, is_word, number, run, run_back, run_back_up_to, run_up_to};
use super::phone::is_series;
use super::{Kind, Span};

/// The longest run of hexadecimal digits, colons and dots that may be an address.
const LONGEST: usize = 48;

/// IPv6, and MAC with colons.
pub(crate) fn find_colons(text: &[u8], colon: usize, spans: &mut Vec<Span>) {
    let of_address = |c: u8| c.is_ascii_hexdigit() || c == b':' || c == b'.';
    let start = run_back_up_to(text, colon, LONGEST, of_address);
    // Asked once an address: at its first colon.
    let inside = text.get(start..colon).unwrap_or_default();
    if inside.contains(&b':') || of_address(before(text, start)) || is_word(before(text, start)) {
        return;
    }
    let stop = run_up_to(text, start, LONGEST, of_address);
    if of_address(at(text, stop)) || is_word(at(text, stop)) {
        return;
    }
    let mut end = stop;
    while end > colon && before(text, end) == b'.' {
        end -= 1;
    }
    if before(text, end) == b':' && end >= 2 && before(text, end - 1) != b':' {
        end -= 1;
    }
    let start = run(text, start, |c| c == b'.');
    if mac(text, start, b':') == Some(end) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Mac,
        });
        return;
    }
    let address = text.get(start..end).unwrap_or_default();
    let groups = address
        .split(|&c| c == b':')
        .filter(|group| !group.is_empty())
        .count();
    let parsed = std::str::from_utf8(address)
        .ok()
        .and_then(|a| a.parse::<Ipv6Addr>().ok());
    if groups >= 2 && parsed.is_some() {
        spans.push(Span {
            start,
            end,
            kind: Kind::Ip,
        });
    }
}

/// MAC with dashes.
pub(crate) fn find_dashed_mac(text: &[u8], dash: usize, spans: &mut Vec<Span>) {
    let Some(start) = dash.checked_sub(2) else {
        return;
    };
    if is_word(before(text, start)) || follows(text, start, b'-') {
        return;
    }
    if let Some(end) = mac(text, start, b'-')
        && !is_word(at(text, end))
        && at(text, end) != b'-'
        && !(at(text, start) != b'0' && is_series(text, start, end))
    {
        spans.push(Span {
            start,
            end,
            kind: Kind::Mac,
        });
    }
}

/// IPv4, asked at its first dot; MAC in three groups of four.
pub(crate) fn find_dotted(text: &[u8], dot: usize, spans: &mut Vec<Span>) {
    let start = run_back(text, dot, is_word);
    if follows(text, start, b'.') {
        return;
    }
    if let Some(end) = ipv4(text, start) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Ip,
        });
    } else if let Some(end) = cisco(text, start) {
        spans.push(Span {
            start,
            end,
            kind: Kind::Mac,
        });
    }
}

/// Whether a letter or digit and `mark` stand before `i`.
fn follows(text: &[u8], i: usize, mark: u8) -> bool {
    before(text, i) == mark && i.checked_sub(1).is_some_and(|i| is_word(before(text, i)))
}

fn ipv4(text: &[u8], start: usize) -> Option<usize> {
    let mut i = start;
    for place in 0..4 {
        if place > 0 {
            i = (at(text, i) == b'.').then_some(i + 1)?;
        }
        let end = (1..=3).find_map(|count| group(text, i, count))?;
        if number(text, i, end) > 255 {
            return None;
        }
        i = end;
    }
    let more = is_word(at(text, i)) || (at(text, i) == b'.' && at(text, i + 1).is_ascii_digit());
    (!more).then_some(i)
}

fn cisco(text: &[u8], start: usize) -> Option<usize> {
    let mut i = start;
    for place in 0..3 {
        if place > 0 {
            i = (at(text, i) == b'.').then_some(i + 1)?;
        }
        let end = run(text, i, |c| c.is_ascii_hexdigit());
        if end != i + 4 {
            return None;
        }
        i = end;
    }
    let more = is_word(at(text, i)) || (at(text, i) == b'.' && is_word(at(text, i + 1)));
    (!more).then_some(i)
}

/// The end of six pairs of hexadecimal digits with `mark` between them.
fn mac(text: &[u8], start: usize, mark: u8) -> Option<usize> {
    let mut i = start;
    for place in 0..6 {
        if place > 0 {
            i = (at(text, i) == mark).then_some(i + 1)?;
        }
        if !at(text, i).is_ascii_hexdigit() || !at(text, i + 1).is_ascii_hexdigit() {
            return None;
        }
        i += 2;
    }
    Some(i)
}
