//! Words to tree, strictly by the table: the right fields, in the right order, with admissible values.
//!
//! Nesting and size are bounded, so a hostile tree costs a refusal and neither the stack nor the memory.

use crate::error::{Result, inconsistent, not_plain, not_understood};
use crate::names::{self, Place};
use crate::schema::{Class, Kind, Schema, Spec, Tag};
use crate::token::{Token, Tokens};
use crate::tree::{NodeData, NodeId, Span, Tree, Value};
use std::borrow::Cow;

/// Nodes and lists one inside the other. A chain of `||` or `+` takes two for each operand; the frames
/// of an unoptimised build at this depth fit the 2 MiB stack of a thread with room to spare.
const MAX_DEPTH: usize = 600;
const MAX_NODES: usize = 1_000_000;

/// The tree of a dump that is `({QUERY …})`.
pub(crate) fn read<'t>(dump: &'t str, schema: &'t Schema) -> Result<Tree<'t>> {
    let mut reader = Reader {
        tokens: Tokens::new(dump),
        schema,
        tree: Tree::default(),
        values: Vec::new(),
        items: Vec::new(),
        depth: 0,
        undigested: dump,
        digested: String::with_capacity(dump.len()),
    };
    reader.expect(Token::ListOpen)?;
    let root = reader.node(Class::Query)?;
    if reader.tokens.peek()? == Token::NodeOpen {
        return not_plain(
            "rules rewrite this statement into several: only one plain SELECT is run",
        );
    }
    reader.expect(Token::ListClose)?;
    reader.tokens.end()?;
    reader.digest();
    reader.tree.root = Some(root);
    reader.tree.digest = blake3::hash(reader.digested.as_bytes())
        .to_hex()
        .to_string();
    Ok(reader.tree)
}

struct Reader<'t> {
    tokens: Tokens<'t>,
    schema: &'t Schema,
    tree: Tree<'t>,
    // Values and list elements of what is still open; a node or list that closes moves its own out.
    values: Vec<Value<'t>>,
    items: Vec<Option<NodeId>>,
    depth: usize,
    // The dump without its locations. There is one way to print a tree, so this is the tree's own.
    undigested: &'t str,
    digested: String,
}

impl<'t> Reader<'t> {
    fn take(&mut self) -> Result<Token<'t>> {
        self.tokens.next()
    }

    /// All that has been taken since the last location belongs to the digest.
    fn digest(&mut self) {
        let taken = self.undigested.len() - self.tokens.rest().len();
        self.digested
            .push_str(self.undigested.get(..taken).unwrap_or_default());
        self.undigested = self.tokens.rest();
    }

    fn expect(&mut self, token: Token<'t>) -> Result<()> {
        let got = self.take()?;
        if got == token {
            Ok(())
        } else {
            not_understood(format!(
                "the server's tree holds {got:?} where {token:?} belongs"
            ))
        }
    }

    fn word(&mut self) -> Result<&'t str> {
        match self.take()? {
            Token::Word(word) => Ok(word),
            token => not_understood(format!(
                "the server's tree holds {token:?} where a value belongs"
            )),
        }
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return not_understood(
                "the statement is nested too deeply: split it, or use IN and ANY for long lists",
            );
        }
        Ok(())
    }

    fn node(&mut self, class: Class) -> Result<NodeId> {
        self.expect(Token::NodeOpen)?;
        self.deeper()?;
        let printed = self.word()?;
        let Some(spec) = self.schema.node(printed) else {
            return not_understood(format!(
                "the statement holds {printed}, which is not on the list for this server version"
            ));
        };
        let fits = spec.class == class || (class == Class::SetOp && spec.tag == Tag::RangeTblRef);
        if !fits {
            return not_understood(format!(
                "the server's tree holds {printed} where {class:?} belongs"
            ));
        }
        let base = self.values.len();
        let mut entries = u16::MAX;
        for field in &spec.fields {
            if field.entries & entries == 0 {
                self.values.push(Value::Absent);
                continue;
            }
            let located = matches!(field.kind, Kind::Location | Kind::Place);
            if located {
                self.digest();
            }
            let word = self.label(printed, field)?;
            let value = self.value(word, field.kind)?;
            if located {
                self.undigested = self.tokens.rest();
            }
            if spec.tag == Tag::RangeTblEntry && field.name == "rtekind" {
                entries = entry_bits(&value);
            }
            self.values.push(value);
        }
        match self.take()? {
            Token::NodeClose => {}
            token => {
                return not_understood(format!(
                    "the server's tree holds {token:?} after the last field of {printed}"
                ));
            }
        }
        self.depth -= 1;
        self.finish(spec, base)
    }

    /// The `:name` of a field.
    fn label(&mut self, node: &str, field: &crate::schema::Field) -> Result<&'static str> {
        if self.tokens.label(field.name) {
            return Ok(field.name);
        }
        let got = self.take()?;
        not_understood(format!(
            "{node} holds {got:?} where the field {} belongs",
            field.name
        ))
    }

    fn finish(&mut self, spec: &'t Spec, base: usize) -> Result<NodeId> {
        let start = self.tree.values.len();
        self.tree.values.extend(self.values.drain(base..));
        let values = Span {
            start,
            end: self.tree.values.len(),
        };
        if self.tree.nodes.len() >= MAX_NODES {
            return not_understood("the analysed statement is too large: write a smaller one");
        }
        let Ok(id) = u32::try_from(self.tree.nodes.len()) else {
            return not_understood("the analysed statement is too large");
        };
        self.tree.nodes.push(NodeData { spec, values });
        Ok(NodeId(id))
    }

    /// Kept small, because it is one frame of each level of nesting.
    fn value(&mut self, field: &'static str, kind: Kind) -> Result<Value<'t>> {
        match kind {
            Kind::Node(class) => self.node(class).map(Value::Node),
            Kind::Maybe(_) | Kind::List(_) | Kind::Holes(_) if self.tokens.null() => {
                Ok(Value::Null)
            }
            Kind::Maybe(class) => self.node(class).map(Value::Node),
            Kind::List(class) => self.list(class, false).map(Value::Nodes),
            Kind::Holes(class) => self.list(class, true).map(Value::Nodes),
            Kind::Rows => self.rows(),
            Kind::Content => self.content(),
            scalar => self.scalar(field, scalar),
        }
    }

    /// A value that holds no node.
    fn scalar(&mut self, field: &'static str, kind: Kind) -> Result<Value<'t>> {
        Ok(match kind {
            Kind::Int => Value::Number(i64::from(number::<i32>(self.word()?)?)),
            Kind::Oid => Value::Number(i64::from(number::<u32>(self.word()?)?)),
            Kind::Bool => match self.word()? {
                "true" => Value::Flag(true),
                "false" => Value::Flag(false),
                _ => return not_understood(format!("the field {field} is neither true nor false")),
            },
            Kind::Enum(max) => match number::<u8>(self.word()?)? {
                n if n <= max => Value::Number(i64::from(n)),
                n => return not_understood(format!("{n} is not on the list of values of {field}")),
            },
            Kind::Word(admitted) => match self.word()? {
                "<>" if admitted.contains(&"<>") => Value::Null,
                word if admitted.contains(&word) => Value::Text(Cow::Borrowed(word)),
                _ => {
                    return not_understood(format!(
                        "the field {field} holds a value that is not on its list"
                    ));
                }
            },
            Kind::Location | Kind::Place => match self.take()? {
                Token::Word(word) => Value::Number(i64::from(number::<i32>(word)?)),
                _ => return not_understood("a location is not a number"),
            },
            Kind::Plain(plain, otherwise) => match self.tokens.peek()? {
                Token::Word(word) if word == plain => self.take().map(|_| Value::Admitted)?,
                _ => {
                    return not_plain(format!(
                        "only one plain SELECT is run, and {otherwise} ({field})"
                    ));
                }
            },
            Kind::Untouched => {
                self.expect(Token::ListOpen)?;
                self.expect(Token::Word("b"))?;
                if self.take()? != Token::ListClose {
                    return not_plain(format!(
                        "only one plain SELECT is run, and it changes data ({field})"
                    ));
                }
                Value::Admitted
            }
            Kind::Name(place) => match self.word()? {
                "<>" => Value::Null,
                word => Value::Text(name(word, place)?),
            },
            Kind::Names(place) => self.names(place)?,
            Kind::Operator => self.operator()?,
            Kind::Ints => self.numbers("i")?,
            Kind::Oids => self.numbers("o")?,
            Kind::Set => self.numbers("b")?,
            Kind::Datum => self.datum()?,
            Kind::Node(_)
            | Kind::Maybe(_)
            | Kind::List(_)
            | Kind::Holes(_)
            | Kind::Rows
            | Kind::Content => return Err(inconsistent(field)), // `value` reads these
        })
    }

    fn list(&mut self, class: Class, holes: bool) -> Result<Span> {
        self.expect(Token::ListOpen)?;
        self.deeper()?;
        let base = self.items.len();
        while self.tokens.peek()? != Token::ListClose {
            let item = if holes && self.tokens.null() {
                None
            } else {
                Some(self.node(class)?)
            };
            self.items.push(item);
        }
        self.take()?;
        self.depth -= 1;
        let start = self.tree.items.len();
        self.tree.items.extend(self.items.drain(base..));
        let end = self.tree.items.len();
        if start == end {
            return not_understood("the server's tree holds an empty list, which it prints as <>");
        }
        Ok(Span { start, end })
    }

    /// `((…) (…))`; a row without columns is `<>`.
    fn rows(&mut self) -> Result<Value<'t>> {
        self.expect(Token::ListOpen)?;
        self.deeper()?;
        let mut rows = Vec::new();
        while self.tokens.peek()? != Token::ListClose {
            let empty = Span { start: 0, end: 0 };
            rows.push(if self.tokens.null() {
                empty
            } else {
                self.list(Class::Expr, false)?
            });
        }
        self.take()?;
        self.depth -= 1;
        let start = self.tree.lists.len();
        self.tree.lists.extend(rows);
        Ok(Value::Lists(Span {
            start,
            end: self.tree.lists.len(),
        }))
    }

    /// A grouping set holds nothing, numbers, or sets; which of them is not told by its first bracket.
    fn content(&mut self) -> Result<Value<'t>> {
        if self.tokens.null() {
            return Ok(Value::Null);
        }
        let mut ahead = self.tokens;
        ahead.next()?;
        match ahead.peek()? {
            Token::Word(_) => self.numbers("i"),
            _ => Ok(Value::Nodes(self.list(Class::Sets, false)?)),
        }
    }

    /// `(i 1 2)`, `(o 25)` or the set `(b 3)`; an empty list is `<>`, an empty set `(b)`.
    fn numbers(&mut self, letter: &'static str) -> Result<Value<'t>> {
        if letter != "b" && self.tokens.null() {
            return Ok(Value::Null);
        }
        self.expect(Token::ListOpen)?;
        self.expect(Token::Word(letter))?;
        let start = self.tree.numbers.len();
        loop {
            match self.take()? {
                Token::ListClose => break,
                Token::Word(word) => {
                    let n = if letter == "i" {
                        i64::from(number::<i32>(word)?)
                    } else {
                        i64::from(number::<u32>(word)?)
                    };
                    self.tree.numbers.push(n);
                }
                token => {
                    return not_understood(format!(
                        "the server's tree holds {token:?} in a list of numbers"
                    ));
                }
            }
        }
        Ok(Value::Numbers(Span {
            start,
            end: self.tree.numbers.len(),
        }))
    }

    fn names(&mut self, place: Place) -> Result<Value<'t>> {
        if self.tokens.null() {
            return Ok(Value::Null);
        }
        self.expect(Token::ListOpen)?;
        loop {
            match self.take()? {
                Token::ListClose => return Ok(Value::Admitted),
                Token::Word("<>") if place == Place::Other => {}
                Token::Word(word) => drop(name(quoted(word)?, place)?),
                token => {
                    return not_understood(format!(
                        "the server's tree holds {token:?} in a list of names"
                    ));
                }
            }
        }
    }

    fn operator(&mut self) -> Result<Value<'t>> {
        if self.tokens.null() {
            return Ok(Value::Null);
        }
        self.expect(Token::ListOpen)?;
        loop {
            match self.take()? {
                Token::ListClose => return Ok(Value::Admitted),
                Token::Word(word) if names::operator_admitted(quoted(word)?) => {}
                _ => return not_understood("the name of an operator is not admitted"),
            }
        }
    }

    /// `<>`, or `length [ bytes ]`. Of the bytes only the first eight are kept: a typmod is one of them.
    fn datum(&mut self) -> Result<Value<'t>> {
        if self.tokens.null() {
            return Ok(Value::Null);
        }
        let length = number::<u32>(self.word()?)?;
        self.expect(Token::Word("["))?;
        let mut count = 0u32;
        let mut low = [0u8; 8];
        loop {
            match self.word()? {
                "]" => break,
                word => {
                    let byte = number::<i16>(word)?;
                    if !(-128..=255).contains(&byte) {
                        return not_understood("a constant holds what is not a byte");
                    }
                    if let Some(place) = low.get_mut(count as usize) {
                        *place = (byte & 0xff) as u8;
                    }
                    count += 1;
                }
            }
        }
        // A value passed by reference prints its length in bytes, one passed by value a whole Datum.
        if count != length && !(count == 8 && length < 8) {
            return not_understood("a constant is not as long as it says");
        }
        Ok(Value::Number(i64::from_le_bytes(low)))
    }
}

/// The bit of a range table entry's kind, which says what fields follow.
fn entry_bits(kind: &Value<'_>) -> u16 {
    match kind {
        Value::Number(n) => u32::try_from(*n)
            .ok()
            .and_then(|n| 1u16.checked_shl(n))
            .unwrap_or(0),
        _ => 0,
    }
}

/// A number exactly as the server prints it: no plus sign, no leading zero.
fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let canonical = word == "0"
        || (!digits.is_empty()
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit()));
    match word.parse() {
        Ok(n) if canonical => Ok(n),
        _ => not_understood("the server's tree holds a value where a number belongs"),
    }
}

/// The inside of a quoted element of a list of strings.
fn quoted(word: &str) -> Result<&str> {
    let inside = word
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(inside) => Ok(inside),
        None => not_understood("the server's tree holds a string without its quotes"),
    }
}

/// A name as printed, unescaped and admitted.
fn name(printed: &str, place: Place) -> Result<Cow<'_, str>> {
    let name = match printed {
        "\"\"" => Cow::Borrowed(""),
        _ if printed.contains('\\') => Cow::Owned(unescaped(printed)),
        _ => Cow::Borrowed(printed),
    };
    if names::admitted(&name, place) {
        return Ok(name);
    }
    not_understood(
        "a name in the statement or in one of its tables holds characters that are not admitted: \
         use letters, digits, spaces, _ and $, at most 63, beginning with a letter; columns may also \
         have the signs of headings, as in \"Total %\"",
    )
}

/// A backslash stands before what would be read otherwise; what follows it is itself.
fn unescaped(printed: &str) -> String {
    let mut name = String::with_capacity(printed.len());
    let mut characters = printed.chars();
    while let Some(character) = characters.next() {
        name.extend(match character {
            '\\' => characters.next(),
            other => Some(other),
        });
    }
    name
}
