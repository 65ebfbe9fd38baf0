//! The words of a dump, cut exactly as the server's `pg_strtok` would cut them.
//!
//! A word ends at an unescaped space or bracket; a backslash takes the next character with it. One
//! space stands between two words, lists or nodes, and none inside a bracket: anything else was not
//! printed by the server.

use crate::error::{Result, not_understood};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    NodeOpen,
    NodeClose,
    ListOpen,
    ListClose,
    /// As printed, escapes included.
    Word(&'a str),
}

#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    rest: &'a str,
    /// At the start or just inside a bracket, where no space stands.
    opened: bool,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(dump: &'a str) -> Self {
        Self {
            rest: dump,
            opened: true,
        }
    }

    /// The next word or bracket.
    pub(crate) fn next(&mut self) -> Result<Token<'a>> {
        let closes = matches!(self.rest.as_bytes().first(), Some(b'}' | b')'));
        if !self.opened && !closes {
            match self.rest.strip_prefix(' ') {
                Some(rest) => self.rest = rest,
                None if self.rest.is_empty() => {}
                None => return not_understood("the server's tree lacks a space"),
            }
        }
        let (token, length) = match self.rest.as_bytes().first() {
            None => return not_understood("the server's tree ends too early"),
            Some(b'{') => (Token::NodeOpen, 1),
            Some(b'}') if closes => (Token::NodeClose, 1),
            Some(b'(') => (Token::ListOpen, 1),
            Some(b')') if closes => (Token::ListClose, 1),
            Some(_) => {
                let word = self.word()?;
                (Token::Word(word), word.len())
            }
        };
        self.opened = matches!(token, Token::NodeOpen | Token::ListOpen);
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(token)
    }

    /// The token after this point, which stays where it is.
    pub(crate) fn peek(&self) -> Result<Token<'a>> {
        Self::next(&mut { *self })
    }

    /// The text that is not cut yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Takes the word `:name` if it is the next one and a space follows it.
    pub(crate) fn label(&mut self, name: &str) -> bool {
        let label = self.rest.strip_prefix(" :").filter(|_| !self.opened);
        match label.and_then(|rest| rest.strip_prefix(name)) {
            Some(rest) if rest.starts_with(' ') => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the word `<>` if it is the next one and something follows it.
    pub(crate) fn null(&mut self) -> bool {
        let word = match self.opened {
            true => Some(self.rest),
            false => self.rest.strip_prefix(' '),
        };
        match word.and_then(|word| word.strip_prefix("<>")) {
            Some(rest) if rest.starts_with([' ', ')', '}']) => {
                self.rest = rest;
                self.opened = false;
                true
            }
            _ => false,
        }
    }

    /// Takes the next word if it is a number of at most ten digits, exactly as the server prints one: no
    /// plus sign, no leading zero. Anything else stays where it is.
    pub(crate) fn number(&mut self) -> Option<i64> {
        let bytes = self.rest.as_bytes();
        let mut at = usize::from(!self.opened);
        if !self.opened && bytes.first() != Some(&b' ') {
            return None;
        }
        let negative = bytes.get(at) == Some(&b'-');
        at += usize::from(negative);
        let first = at;
        let mut value = 0i64;
        while let Some(digit) = bytes.get(at).map(|b| b.wrapping_sub(b'0'))
            && digit < 10
            && at < first + 10
        {
            value = value * 10 + i64::from(digit);
            at += 1;
        }
        let canonical = match at - first {
            0 => false,
            1 => value != 0 || !negative,
            _ => bytes.get(first) != Some(&b'0'),
        };
        if !canonical || !matches!(bytes.get(at), Some(b' ' | b')' | b'}')) {
            return None;
        }
        self.rest = self.rest.get(at..)?;
        self.opened = false;
        Some(if negative { -value } else { value })
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            not_understood("the server's tree has a tail")
        }
    }

    fn word(&self) -> Result<&'a str> {
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while let Some(&byte) = bytes.get(end) {
            match KINDS.get(usize::from(byte)) {
                Some(Byte::Inside) => end += 1,
                Some(Byte::Ends) => break,
                Some(Byte::Escapes) => match bytes.get(end + 1) {
                    None => return not_understood("the server's tree ends in an escape"),
                    Some(_) => end += 2,
                },
                Some(Byte::Control) | None => {
                    return not_understood("the server's tree holds a control character");
                }
            }
        }
        match self.rest.get(..end) {
            Some(word) if end > 0 => Ok(word),
            _ => not_understood("the server's tree holds an empty word or a torn escape"),
        }
    }
}

/// What a byte is to the word it stands in.
#[derive(Clone, Copy)]
enum Byte {
    Inside,
    Ends,
    Escapes,
    Control,
}

const KINDS: [Byte; 256] = kinds();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn kinds() -> [Byte; 256] {
    let mut kinds = [Byte::Inside; 256];
    let mut control = 0;
    while control < 0x20 {
        kinds[control] = Byte::Control;
        control += 1;
    }
    kinds[0x7f] = Byte::Control;
    kinds[b' ' as usize] = Byte::Ends;
    kinds[b'(' as usize] = Byte::Ends;
    kinds[b')' as usize] = Byte::Ends;
    kinds[b'{' as usize] = Byte::Ends;
    kinds[b'}' as usize] = Byte::Ends;
    kinds[b'\\' as usize] = Byte::Escapes;
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dump: &str) -> Result<Vec<Token<'_>>> {
        let mut tokens = Tokens::new(dump);
        let mut found = Vec::new();
        while tokens.end().is_err() {
            found.push(tokens.next()?);
        }
        Ok(found)
    }

    #[test]
    fn escaped_structure_stays_in_its_word() {
        let found = all(r"({T :f a\ \{\)\\})").unwrap();
        assert_eq!(found.get(4), Some(&Token::Word(r"a\ \{\)\\")));
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn a_number_is_taken_only_as_the_server_prints_it() {
        for (dump, number) in [
            (" 0 ", Some(0)),
            (" -1}", Some(-1)),
            (" 4294967295)", Some(4_294_967_295)),
            (" -0 ", None),
            (" 01 ", None),
            (" +1 ", None),
            (" 1a ", None),
            (" 1\\ 2 ", None),
            (" 1\n", None),
            (" 1", None),
            ("  1 ", None),
            ("1 ", None),
            (" - ", None),
            (" <> ", None),
            (" 42949672950 ", None),
        ] {
            let mut tokens = Tokens::new(dump);
            tokens.opened = false;
            assert_eq!(tokens.number(), number, "{dump:?}");
            let left = if number.is_some() { 1 } else { dump.len() };
            assert_eq!(tokens.rest().len(), left, "{dump:?}");
        }
    }

    #[test]
    fn double_spaces_control_characters_and_a_last_backslash_are_refused() {
        for dump in [
            "a  b", "a\tb", "a\u{7f}", "a\\", "a\nb", " a", "( a)", "(a )", "(a) )", "{a}{b}",
            "a(b)", "(a)b", "a ",
        ] {
            assert!(all(dump).is_err(), "{dump:?}");
        }
    }
}
