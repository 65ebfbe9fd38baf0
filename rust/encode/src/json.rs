//! JSON text: strings escaped, documents checked before they are let into a line of their own.

const HEX: &[u8; 16] = b"0123456789abcdef";
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A JSON string (RFC 8259): quoted, with quotes, backslashes and control characters escaped.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else {
            break;
        };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u00");
                out.extend(HEX.get(usize::from(other >> 4)));
                out.extend(HEX.get(usize::from(other & 15)));
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that a JSON string must escape.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // In each byte the high bit is set when it is zero in `x`, at least up to the first such.
        let zero = |x: u64| x.wrapping_sub(LOW) & !x & HIGH;
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = control | zero(word ^ (LOW * 0x22)) | zero(word ^ (LOW * 0x5C));
        if found != 0 {
            return Some(i * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    tail.iter().position(special).map(|at| words.len() * 8 + at)
}

/// Embeds a document on one line: line ends between its tokens become spaces. What is not JSON (the
/// server never sends that) is written as a string, so that it cannot break out of its place.
pub(crate) fn document(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    let mut scan = Scan {
        rest: text.as_bytes(),
        out,
    };
    if scan.document().is_none() {
        out.truncate(start);
        string(text, out);
    }
}

/// What may stand next in a document.
enum Next {
    Value,
    /// A value or the end of the array just opened.
    FirstElement,
    Key,
    /// A key or the end of the object just opened.
    FirstKey,
    /// A comma or the end of what is open.
    Rest,
}

/// Reads a document and copies it as it goes. `None`: it is not JSON.
struct Scan<'a, 'o> {
    rest: &'a [u8],
    out: &'o mut Vec<u8>,
}

impl Scan<'_, '_> {
    fn document(&mut self) -> Option<()> {
        // Kept here and not on the call stack: nesting is as deep as the sender likes.
        let mut open = Vec::new();
        let mut next = Next::Value;
        loop {
            self.space();
            if matches!(next, Next::Rest) && open.is_empty() {
                return self.rest.is_empty().then_some(());
            }
            let byte = *self.rest.first()?;
            next = match (next, byte) {
                (Next::FirstElement, b']') | (Next::FirstKey, b'}') => {
                    open.pop();
                    self.copy(1)?;
                    Next::Rest
                }
                (Next::Rest, b']' | b'}') if open.last() == Some(&byte) => {
                    open.pop();
                    self.copy(1)?;
                    Next::Rest
                }
                (Next::Rest, b',') => {
                    self.copy(1)?;
                    if open.last() == Some(&b'}') {
                        Next::Key
                    } else {
                        Next::Value
                    }
                }
                (Next::Key | Next::FirstKey, b'"') => {
                    self.string()?;
                    self.space();
                    if self.rest.first() != Some(&b':') {
                        return None;
                    }
                    self.copy(1)?;
                    Next::Value
                }
                (Next::Value | Next::FirstElement, b'[') => {
                    open.push(b']');
                    self.copy(1)?;
                    Next::FirstElement
                }
                (Next::Value | Next::FirstElement, b'{') => {
                    open.push(b'}');
                    self.copy(1)?;
                    Next::FirstKey
                }
                (Next::Value | Next::FirstElement, _) => {
                    self.scalar(byte)?;
                    Next::Rest
                }
                _ => return None,
            };
        }
    }

    fn copy(&mut self, count: usize) -> Option<()> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.out.extend_from_slice(head);
        self.rest = tail;
        Some(())
    }

    fn space(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', tail)) = self.rest.split_first() {
            self.out.push(b' ');
            self.rest = tail;
        }
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        if self.rest.starts_with(word) {
            self.copy(word.len())
        } else {
            None
        }
    }

    fn string(&mut self) -> Option<()> {
        self.copy(1)?;
        loop {
            self.copy(first_special(self.rest)?)?;
            match self.rest {
                [b'"', ..] => return self.copy(1),
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    ..,
                ] => self.copy(2)?,
                [b'\\', b'u', a, b, c, d, ..]
                    if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) =>
                {
                    self.copy(6)?;
                }
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        if self.rest.first() == Some(&b'-') {
            self.copy(1)?;
        }
        let leading_zero = self.rest.first() == Some(&b'0');
        let whole = self.digits()?;
        if leading_zero && whole > 1 {
            return None;
        }
        if self.rest.first() == Some(&b'.') {
            self.copy(1)?;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.copy(1)?;
            if let Some(b'+' | b'-') = self.rest.first() {
                self.copy(1)?;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return None;
        }
        self.copy(count)?;
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(f: fn(&str, &mut Vec<u8>), text: &str) -> String {
        let mut out = Vec::new();
        f(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn documents() {
        for text in [
            "null",
            "-0.5e+10",
            "\"a\\u00e9\\n\"",
            "[]",
            "{}",
            "[1, [2, {\"a\": []}], \"x\"]",
            "{\"a\":1,\"a\":2}",
            "12345678901234567890123",
            "\"\u{7f}é\"",
        ] {
            assert_eq!(said(document, text), text);
        }
        assert_eq!(said(document, "{\n\t\"a\\n\":\r\n1}"), "{  \"a\\n\":  1}");
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        assert_eq!(said(document, &deep), deep);
    }

    #[test]
    fn what_is_no_document_becomes_a_string() {
        for text in [
            "",
            "{",
            "[1,]",
            "[1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "nul",
            "1 2",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "[REDACTED]",
            "null}\n{\"x\":1",
            "'a'",
            "]",
            "NaN",
            ",",
        ] {
            let written = said(document, text);
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn strings_read_back(text: String) {
            let written = said(string, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn accepts_what_serde_accepts(text in r#"[\[\]{}:,"\\0-9eE.+\-truefalsn \n]{0,24}"#) {
            let mut out = Vec::new();
            let ours = Scan { rest: text.as_bytes(), out: &mut out }.document().is_some();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs);
        }
    }
}
