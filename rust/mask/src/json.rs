//! JSON under `scan`: strings are scanned, keys and everything else stay, what comes out is JSON.
//!
//! A string is read without its escapes, behind the key it stands under, so that `{"mrn": "00123"}` is
//! told by its context; an integer is scanned only for what its key names and for the row's own values
//! and then becomes a string, and for the latter alone where the numbers are those of clear columns.
//! A key that spells an identifier itself is masked too. The walk keeps its own stack, as deep as
//! [`DEEPEST`]; text that is not JSON, or deeper, is scanned as text.

use crate::detect::lexis;
use crate::detect::triggers::Rules;
use crate::scan::Scanner;

/// The deepest nesting that is walked.
const DEEPEST: usize = 1_000;

/// Appends the scanned form of `text`; whether it changed.
pub(crate) fn push(scanner: &mut Scanner, text: &str, out: &mut Vec<u8>) -> bool {
    let Some(tokens) = tokens(text) else {
        return scanner.push_text(text, 1, out);
    };
    let mut changed = false;
    let mut copied = 0;
    let mut scratch = String::new();
    for token in &tokens {
        let Some(raw) = text.get(token.start..token.end) else {
            continue;
        };
        scratch.clear();
        if let Some((from, to)) = token.key
            && let Some(key) = text.get(from..to)
        {
            push_context(key, &mut scratch);
        }
        let context = scratch.len();
        let rules = match token.what {
            What::Integer if token.key.is_none() || scanner.spares_numbers() => {
                // Not even a clear column's number may be one of the row's own.
                let own = scanner.has_patterns() && !scanner.spares_numbers();
                if !scanner.knows_row() && !own {
                    continue;
                }
                scratch.push_str(raw);
                None
            }
            What::Integer => {
                scratch.push_str(raw);
                Some(Rules::Named)
            }
            What::Key | What::String => {
                unescape(raw, &mut scratch);
                Some(Rules::All)
            }
        };
        let mut result = String::new();
        let mut taken = context;
        match rules {
            Some(rules) => scanner.find(&scratch, rules),
            None => scanner.find_in_number(&scratch, !scanner.spares_numbers()),
        };
        if context > 0 {
            scanner.find_behind(&scratch, context);
        }
        let spans = scanner.spans();
        if !spans.iter().any(|span| span.end > context) {
            continue;
        }
        for span in spans.iter().filter(|span| span.end > context) {
            result.push_str(
                scratch
                    .get(taken..span.start.max(context))
                    .unwrap_or_default(),
            );
            result.push_str(scanner.label(span));
            taken = span.end;
        }
        result.push_str(scratch.get(taken..).unwrap_or_default());
        scanner.keep_after(context);
        scanner.count(1);
        out.extend_from_slice(text.as_bytes().get(copied..token.start).unwrap_or_default());
        match token.what {
            What::Integer => out.extend_from_slice(quoted(&result).as_bytes()),
            What::Key | What::String => {
                let quoted = quoted(&result);
                let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
                out.extend_from_slice(inner.as_bytes());
            }
        }
        copied = token.end;
        changed = true;
    }
    out.extend_from_slice(text.as_bytes().get(copied..).unwrap_or_default());
    changed
}

/// The most characters of a key that are read as context, from its end.
const KEY_READ: usize = 64;

/// A key as the words before its value: `patientMrn_no` reads `patient Mrn no: `.
fn push_context(key: &str, out: &mut String) {
    // Cut before it is copied: a long key over many values must not be copied for each.
    let cut = key
        .char_indices()
        .rev()
        .take(KEY_READ)
        .last()
        .map_or(0, |(i, _)| i);
    let mut plain = String::new();
    unescape(key.get(cut..).unwrap_or_default(), &mut plain);
    let mut lower = false;
    for c in plain.chars() {
        if lower && c.is_ascii_uppercase() {
            out.push(' ');
        }
        lower = c.is_ascii_lowercase();
        out.push(if c == '_' { ' ' } else { c });
    }
    out.push_str(": ");
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Key,
    String,
    Integer,
}

/// A part of the text that may be scanned: the inside of a string, or an integer.
#[derive(Debug)]
struct Token {
    what: What,
    start: usize,
    end: usize,
    /// The inside of the key that a value stands under.
    key: Option<(usize, usize)>,
}

/// Where the walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of the array that just began.
    FirstValue,
    Key,
    /// A key, or the end of the object that just began.
    FirstKey,
    /// `,` or the end of what is open; the end of the text when nothing is.
    Next,
}

/// An open object or array, with the key it stands under or has read last.
struct Open {
    object: bool,
    key: Option<(usize, usize)>,
}

/// The tokens of `text`, nothing when it is not JSON (RFC 8259).
fn tokens(text: &str) -> Option<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut expect = Expect::Value;
    let mut i = 0;
    loop {
        i = lexis::run(bytes, i, lexis::is_space);
        let c = lexis::at(bytes, i);
        if i >= bytes.len() {
            return (expect == Expect::Next && open.is_empty()).then_some(found);
        }
        let key = open.last().and_then(|open| open.key);
        match (expect, c) {
            (Expect::Key | Expect::FirstKey, b'"') => {
                let end = string(bytes, i)?;
                found.push(Token {
                    what: What::Key,
                    start: i + 1,
                    end: end - 1,
                    key: None,
                });
                open.last_mut()?.key = Some((i + 1, end - 1));
                i = lexis::run(bytes, end, lexis::is_space);
                (lexis::at(bytes, i) == b':').then_some(())?;
                i += 1;
                expect = Expect::Value;
            }
            (Expect::FirstKey, b'}') | (Expect::FirstValue, b']') => {
                open.pop()?;
                i += 1;
                expect = Expect::Next;
            }
            (Expect::Next, b'}' | b']') => {
                (open.pop()?.object == (c == b'}')).then_some(())?;
                i += 1;
            }
            (Expect::Next, b',') => {
                expect = if open.last()?.object {
                    Expect::Key
                } else {
                    Expect::Value
                };
                i += 1;
            }
            (Expect::Value | Expect::FirstValue, b'{' | b'[') => {
                let object = c == b'{';
                open.push(Open { object, key });
                (open.len() <= DEEPEST).then_some(())?;
                expect = if object {
                    Expect::FirstKey
                } else {
                    Expect::FirstValue
                };
                i += 1;
            }
            (Expect::Value | Expect::FirstValue, b'"') => {
                let end = string(bytes, i)?;
                found.push(Token {
                    what: What::String,
                    start: i + 1,
                    end: end - 1,
                    key,
                });
                i = end;
                expect = Expect::Next;
            }
            (Expect::Value | Expect::FirstValue, b'-' | b'0'..=b'9') => {
                let end = number(bytes, i)?;
                let digits = bytes.get(i..end)?.iter().all(u8::is_ascii_digit);
                if digits {
                    found.push(Token {
                        what: What::Integer,
                        start: i,
                        end,
                        key,
                    });
                }
                i = end;
                expect = Expect::Next;
            }
            (Expect::Value | Expect::FirstValue, _) => {
                let rest = text.get(i..)?;
                let word = ["true", "false", "null"]
                    .into_iter()
                    .find(|w| rest.starts_with(w))?;
                i += word.len();
                expect = Expect::Next;
            }
            _ => return None,
        }
    }
}

/// The end of a string that begins with the quote at `i`, after its closing quote.
fn string(bytes: &[u8], i: usize) -> Option<usize> {
    let mut i = i + 1;
    loop {
        i = lexis::run(bytes, i, |c| c != b'"' && c != b'\\' && c >= 0x20);
        match bytes.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' => match bytes.get(i + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => i += 2,
                b'u' => {
                    let code = bytes.get(i + 2..i + 6)?;
                    code.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    i += 6;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The end of a number at `i`.
fn number(bytes: &[u8], i: usize) -> Option<usize> {
    let digits = |i: usize| Some(lexis::digits(bytes, i)).filter(|&end| end > i);
    let start = i + usize::from(lexis::at(bytes, i) == b'-');
    let mut end = digits(start)?;
    if lexis::at(bytes, start) == b'0' && end > start + 1 {
        return None;
    }
    if lexis::at(bytes, end) == b'.' {
        end = digits(end + 1)?;
    }
    if matches!(lexis::at(bytes, end), b'e' | b'E') {
        let sign = usize::from(matches!(lexis::at(bytes, end + 1), b'+' | b'-'));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}

/// Appends the inside of a string without its escapes; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(slash) = rest.find('\\') {
        out.push_str(rest.get(..slash).unwrap_or_default());
        let escape = rest.get(slash + 1..).unwrap_or_default();
        let (c, used) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => {
                let high = code_unit(escape, 1);
                let low = escape.get(5..7).filter(|next| *next == "\\u");
                let pair = low.and_then(|_| {
                    let pair = [high, code_unit(escape, 7)];
                    char::decode_utf16(pair).next().and_then(Result::ok)
                });
                match (char::from_u32(u32::from(high)), pair) {
                    (Some(c), _) => (c, 5),
                    (None, Some(c)) => (c, 11),
                    (None, None) => (char::REPLACEMENT_CHARACTER, 5),
                }
            }
            Some(&c) => (char::from(c), 1),
            None => break,
        };
        out.push(c);
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
}

fn code_unit(escape: &str, from: usize) -> u16 {
    let code = escape.get(from..from + 4).unwrap_or_default();
    u16::from_str_radix(code, 16).unwrap_or(0xFFFD)
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if u32::from(c) < 0x20 => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
