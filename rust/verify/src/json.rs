//! JSON with one reading, as a flat list of places in the bytes.
//!
//! It refuses what the page refuses: keys that stand twice in one object, numbers that are no
//! integers below 2^53, `-0`, control characters, lone surrogates, more than 64 levels, bytes that
//! are not UTF-8, anything before or behind the object. Nothing is copied: a node has sixteen bytes
//! for each value, so a record of 16 MiB takes 128 MiB at worst.

use crate::fault::shown;
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Integers of this magnitude and more are not read: others read them as floats.
const INTEGER_LIMIT: i64 = 1 << 53;
/// Objects and lists inside each other, the outermost counted.
const DEPTH_LIMIT: usize = 64;
/// The longest text that is read: a record's.
pub(crate) const TEXT_LIMIT: usize = 16 << 20;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Integer,
    String,
    List,
    Object,
}

impl Kind {
    /// The word for it in a sentence.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// A string with an escape in it.
    escaped: bool,
    start: u32,
    end: u32,
    /// How many nodes belong to this one, itself included.
    span: u32,
}

/// The nodes of one text; kept between records so that their room is used again.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// One object on one line, nothing before it and nothing behind it.
    pub(crate) fn object<'a>(&'a mut self, raw: &'a [u8]) -> Result<Value<'a>, String> {
        if raw.first() != Some(&b'{') || raw.last() != Some(&b'}') {
            return Err("not one object".to_owned());
        }
        self.read(raw, true)
    }

    /// One object with exactly these members, given in rising order, in its one spelling.
    pub(crate) fn spelled<'a>(
        &'a mut self,
        raw: &'a [u8],
        names: &[&str],
    ) -> Result<Value<'a>, String> {
        let made = self.object(raw)?;
        made.has_only(names)?;
        if made.canonical() == raw {
            Ok(made)
        } else {
            Err("not in its one spelling".to_owned())
        }
    }

    /// As `spelled`, with one member more or without it.
    pub(crate) fn spelled_with<'a>(
        &'a mut self,
        raw: &'a [u8],
        names: &[&'static str],
        optional: &'static str,
    ) -> Result<Value<'a>, String> {
        let mut all = names.to_vec();
        if self.object(raw)?.get(optional).is_some() {
            all.push(optional);
            all.sort_unstable();
        }
        self.spelled(raw, &all)
    }

    /// One object in a text that people write: line ends and indentation are allowed outside strings.
    pub(crate) fn file<'a>(&'a mut self, raw: &'a [u8]) -> Result<Value<'a>, String> {
        let made = self.read(raw, false)?;
        if made.kind() == Kind::Object {
            Ok(made)
        } else {
            Err("not an object".to_owned())
        }
    }

    fn read<'a>(&'a mut self, raw: &'a [u8], one_line: bool) -> Result<Value<'a>, String> {
        if raw.len() > TEXT_LIMIT {
            return Err(format!("longer than {TEXT_LIMIT} bytes"));
        }
        let text = std::str::from_utf8(raw)
            .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        self.nodes.clear();
        let mut parser = Parser {
            text,
            one_line,
            at: 0,
            nodes: &mut self.nodes,
            keys: Vec::new(),
        };
        parser.space();
        parser.value(0)?;
        parser.space();
        if parser.at != raw.len() {
            return Err(format!("bytes behind the value, at byte {}", parser.at));
        }
        Ok(Value {
            text,
            nodes: &self.nodes,
        })
    }
}

struct Parser<'a, 'n> {
    text: &'a str,
    /// Between its parts stand spaces at most.
    one_line: bool,
    at: usize,
    nodes: &'n mut Vec<Node>,
    /// The keys of the objects that are open, for those whose keys are not in order.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        loop {
            match self.peek() {
                Some(b' ') => self.at += 1,
                Some(b'\t' | b'\n' | b'\r') if !self.one_line => self.at += 1,
                _ => break,
            }
        }
    }

    fn wrong<T>(&self, expected: &str) -> Result<T, String> {
        let at = self.at;
        Err(match self.peek() {
            None => format!("ends at byte {at}, expected {expected}"),
            Some(byte) => {
                let got = shown(&char::from(byte).to_string(), 1);
                format!("expected {expected} at byte {at}, got {got}")
            }
        })
    }

    fn push(&mut self, kind: Kind, escaped: bool, start: usize, end: usize) -> Result<(), String> {
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Err("too long".to_owned());
        };
        self.nodes.push(Node {
            kind,
            escaped,
            start,
            end,
            span: 1,
        });
        Ok(())
    }

    /// A value at `depth`; the recursion ends at the limit, far above any stack's end.
    fn value(&mut self, depth: usize) -> Result<(), String> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') if depth >= DEPTH_LIMIT => {
                Err(format!("more than {DEPTH_LIMIT} levels at byte {start}"))
            }
            Some(b'{') => self.container(Kind::Object, b'}', depth + 1),
            Some(b'[') => self.container(Kind::List, b']', depth + 1),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            _ => {
                let rest = self.text.get(start..).unwrap_or_default();
                for (word, kind) in [
                    ("true", Kind::Boolean),
                    ("false", Kind::Boolean),
                    ("null", Kind::Null),
                ] {
                    if rest.starts_with(word) {
                        self.at += word.len();
                        return self.push(kind, false, start, self.at);
                    }
                }
                self.wrong("a value")
            }
        }
    }

    fn container(&mut self, kind: Kind, close: u8, depth: usize) -> Result<(), String> {
        let place = self.nodes.len();
        self.push(kind, false, self.at, self.at)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            let mut order = Order::default();
            loop {
                if kind == Kind::Object {
                    if self.peek() != Some(b'"') {
                        return self.wrong("a key");
                    }
                    let key = self.nodes.len();
                    self.string()?;
                    order.next(self.plain(key));
                    self.space();
                    if self.peek() != Some(b':') {
                        return self.wrong("a colon");
                    }
                    self.at += 1;
                    self.space();
                }
                self.value(depth)?;
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => break,
                    _ => return self.wrong("a comma or the end"),
                }
                self.space();
            }
            self.at += 1;
            if kind == Kind::Object && !order.rising {
                self.distinct(place)?;
            }
        }
        let span = u32::try_from(self.nodes.len() - place).unwrap_or(u32::MAX);
        let end = u32::try_from(self.at).unwrap_or(u32::MAX);
        if let Some(node) = self.nodes.get_mut(place) {
            (node.span, node.end) = (span, end);
        }
        Ok(())
    }

    /// A string without escapes, or nothing.
    fn plain(&self, at: usize) -> Option<&'a str> {
        let node = self.nodes.get(at)?;
        let text = self.text.get(node.start as usize..node.end as usize)?;
        (!node.escaped).then_some(text)
    }

    /// The keys of the object at `place` differ, whatever their order and their escapes.
    fn distinct(&mut self, place: usize) -> Result<(), String> {
        self.keys.clear();
        let (mut at, end) = (place + 1, self.nodes.len());
        while at < end {
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            let raw = self.text.get(node.start as usize..node.end as usize);
            self.keys
                .push(unescaped(raw.unwrap_or_default(), node.escaped));
            at += 1;
            at += self.nodes.get(at).map_or(1, |value| value.span as usize);
        }
        self.keys.sort_unstable();
        let twice = self.keys.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(shown(one, 60)),
            _ => None,
        });
        match twice {
            Some(key) => Err(format!("the key {key} stands twice in one object")),
            None => Ok(()),
        }
    }

    fn integer(&mut self) -> Result<(), String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        let digits = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let negative_zero = first == Some(b'0') && digits != start;
        if self.at == digits || (first == Some(b'0') && self.at - digits > 1) || negative_zero {
            return Err(format!("not an integer's one spelling at byte {start}"));
        }
        if let Some(b'.' | b'e' | b'E') = self.peek() {
            return Err(format!("not an integer at byte {start}"));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match text.parse::<i64>() {
            Ok(value) if value.abs() < INTEGER_LIMIT => {
                self.push(Kind::Integer, false, start, self.at)
            }
            _ => Err(format!("an integer of 2^53 or more at byte {start}")),
        }
    }

    fn string(&mut self) -> Result<(), String> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let (mut at, mut escaped) = (start, false);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', rest) else {
                return Err(format!("the string at byte {start} does not end"));
            };
            at += found;
            if bytes.get(at) == Some(&b'"') {
                break;
            }
            escaped = true;
            at += 1;
            at += match bytes.get(at) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
                Some(b'u') => code_point(bytes.get(at..).unwrap_or_default())
                    .map(|(_, length)| length)
                    .ok_or_else(|| format!("no character at byte {}", at - 1))?,
                _ => return Err(format!("no escape at byte {}", at - 1)),
            };
        }
        let text = bytes.get(start..at).unwrap_or_default();
        // Every byte is looked at, so that many are looked at at once.
        if text
            .iter()
            .fold(false, |found, &byte| found | (byte < 0x20))
        {
            return Err(format!("control character in the string at byte {start}"));
        }
        self.at = at + 1;
        self.push(Kind::String, escaped, start, at)
    }
}

/// Whether keys come in rising order, which says without more that no two are one.
struct Order<'a> {
    last: Option<&'a str>,
    rising: bool,
}

impl Default for Order<'_> {
    fn default() -> Self {
        Self {
            last: None,
            rising: true,
        }
    }
}

impl<'a> Order<'a> {
    fn next(&mut self, key: Option<&'a str>) {
        let follows = match (self.last, key) {
            (Some(last), Some(key)) => last < key,
            (None, Some(_)) => true,
            _ => false,
        };
        self.rising &= follows;
        self.last = key;
    }
}

/// What `uXXXX` stands for, with the low half behind a high one, and how many bytes that took.
fn code_point(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, digit| {
            Some(value << 4 | char::from(*digit).to_digit(16)?)
        })
    };
    let first = unit(1)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, 5));
    }
    let second = unit(7).filter(|_| bytes.get(5..7) == Some(b"\\u"))?;
    let low = second.checked_sub(0xDC00).filter(|&low| low < 0x400)?;
    let value = 0x10000 + ((first - 0xD800) << 10) + low;
    Some((char::from_u32(value)?, 11))
}

/// The text that a string's bytes stand for; they were read before, so every escape is one.
fn unescaped(raw: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(rest.get(..at).unwrap_or_default());
        let escape = rest.get(at + 1..).unwrap_or_default();
        let (c, length) = match escape.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => code_point(escape.as_bytes()).unwrap_or(('\u{fffd}', 1)),
            Some(&byte) => (char::from(byte), 1),
            None => break,
        };
        out.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A value inside a text that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    text: &'a str,
    /// Its own node first, then what belongs to it.
    nodes: &'a [Node],
}

impl<'a> Value<'a> {
    fn raw(&self) -> &'a str {
        self.nodes
            .first()
            .and_then(|node| self.text.get(node.start as usize..node.end as usize))
            .unwrap_or_default()
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.nodes.first().map_or(Kind::Null, |node| node.kind)
    }

    /// The text of a string.
    pub(crate) fn string(&self) -> Option<Cow<'a, str>> {
        let node = self.nodes.first()?;
        (node.kind == Kind::String).then(|| unescaped(self.raw(), node.escaped))
    }

    /// The number of an integer.
    pub(crate) fn integer(&self) -> Option<i64> {
        (self.kind() == Kind::Integer)
            .then(|| self.raw().parse().ok())
            .flatten()
    }

    /// The values directly inside a list or an object, keys among them; nothing for anything else.
    fn inside(&self, holder: Kind) -> Inside<'a> {
        Inside {
            text: self.text,
            nodes: if self.kind() == holder {
                self.nodes.get(1..).unwrap_or_default()
            } else {
                &[]
            },
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.inside(Kind::List)
    }

    /// The members of an object, in the order in which they stand.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + use<'a> {
        self.walk()
            .filter_map(|(key, value)| Some((key.string()?, value)))
    }

    /// The members of an object with their keys as values, which copies nothing.
    pub(crate) fn walk(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        let mut inside = self.inside(Kind::Object);
        std::iter::from_fn(move || Some((inside.next()?, inside.next()?)))
    }

    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.walk()
            .find_map(|(key, value)| key.is(name).then_some(value))
    }

    /// Whether it is this string; without a copy, for most are spelled without escapes.
    pub(crate) fn is(&self, text: &str) -> bool {
        match self.nodes.first() {
            Some(node) if node.kind == Kind::String && !node.escaped => self.raw() == text,
            _ => self.string().is_some_and(|own| own == text),
        }
    }

    /// An object with exactly these members, given in rising order.
    pub(crate) fn has_only(&self, names: &[&str]) -> Result<(), String> {
        let mut expected = names.iter();
        let in_order = self.walk().fold(true, |right, (key, _)| {
            right & expected.next().is_some_and(|name| key.is(name))
        });
        if self.kind() == Kind::Object && in_order && expected.next().is_none() {
            return Ok(());
        }
        // In another order, which is allowed, or not what was expected.
        let mut got: Vec<_> = self.members().map(|(key, _)| key).collect();
        got.sort_unstable();
        if self.kind() == Kind::Object && got.iter().eq(names) {
            return Ok(());
        }
        let got = shown(&got.join(" "), 200);
        Err(format!("expected the keys {}, got {got}", names.join(" ")))
    }

    /// Its one spelling, RFC 8785.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw().len() + 2);
        self.write(&[], &mut out);
        out
    }

    /// Its one spelling, without the members of this name at its top.
    pub(crate) fn canonical_without(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&[name], &mut out);
        out
    }

    fn write(&self, without: &[&str], out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Null | Kind::Boolean | Kind::Integer => {
                out.extend_from_slice(self.raw().as_bytes());
            }
            Kind::String => write_string(&self.string().unwrap_or_default(), out),
            Kind::List => {
                out.push(b'[');
                for (number, item) in self.items().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    item.write(&[], out);
                }
                out.push(b']');
            }
            Kind::Object => {
                let mut members: Vec<_> = self
                    .members()
                    .filter(|(key, _)| !without.contains(&key.as_ref()))
                    .collect();
                // RFC 8785, 3.2.3: by UTF-16 code units.
                members
                    .sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
                out.push(b'{');
                for (number, (key, value)) in members.into_iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_string(&key, out);
                    out.push(b':');
                    value.write(&[], out);
                }
                out.push(b'}');
            }
        }
    }
}

struct Inside<'a> {
    text: &'a str,
    nodes: &'a [Node],
}

impl<'a> Iterator for Inside<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let span = self.nodes.first()?.span as usize;
        let (nodes, rest) = self.nodes.split_at_checked(span)?;
        self.nodes = rest;
        Some(Value {
            text: self.text,
            nodes,
        })
    }
}

/// RFC 8785, 3.2.2.2: quote, backslash and the controls are escaped, and nothing else.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\0'..'\u{20}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
