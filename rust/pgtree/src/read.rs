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
        latest: None,
        tree: Tree::default(),
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
    latest: Option<(&'t str, &'t Spec)>, // nodes of one kind follow one another
    tree: Tree<'t>,
    // Elements of the lists that are still open; one that closes moves its own out.
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

    /// A number within the range of `T`.
    fn number<T: TryFrom<i64>>(&mut self) -> Result<i64> {
        match self.tokens.number() {
            Some(n) if T::try_from(n).is_ok() => Ok(n),
            _ => not_understood("the server's tree holds a value where a number belongs"),
        }
    }

    fn text(&mut self, text: Cow<'t, str>) -> Value {
        self.tree.texts.push(text);
        Value::Text(self.tree.texts.len() - 1)
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
        let known = self.latest.filter(|(name, _)| *name == printed);
        let Some(spec) = known.map_or_else(|| self.schema.node(printed), |(_, spec)| Some(spec))
        else {
            return not_understood(format!(
                "the statement holds {printed}, which is not on the list for this server version"
            ));
        };
        self.latest = Some((printed, spec));
        let fits = spec.class == class || (class == Class::SetOp && spec.tag == Tag::RangeTblRef);
        if !fits {
            return not_understood(format!(
                "the server's tree holds {printed} where {class:?} belongs"
            ));
        }
        // The places of its own values are taken before those of the nodes below it.
        let start = self.tree.values.len();
        self.tree
            .values
            .resize_with(start + spec.fields.len(), || Value::Absent);
        let values = since(start, &self.tree.values)?;
        let mut entries = u16::MAX;
        for (field, place) in spec.fields.iter().zip(start..) {
            if field.entries & entries == 0 {
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
            if let Some(slot) = self.tree.values.get_mut(place) {
                *slot = value;
            }
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
        self.finish(spec, values)
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

    fn finish(&mut self, spec: &'t Spec, values: Span) -> Result<NodeId> {
        if self.tree.nodes.len() >= MAX_NODES {
            return not_understood("the analysed statement is too large: write a smaller one");
        }
        self.tree.nodes.push(NodeData { spec, values });
        Ok(NodeId(self.tree.nodes.len() - 1))
    }

    /// Kept small, because it is one frame of each level of nesting.
    fn value(&mut self, field: &'static str, kind: Kind) -> Result<Value> {
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
    fn scalar(&mut self, field: &'static str, kind: Kind) -> Result<Value> {
        Ok(match kind {
            Kind::Int => Value::Number(self.number::<i32>()?),
            Kind::Oid => Value::Number(self.number::<u32>()?),
            Kind::Bool => match self.word()? {
                "true" => Value::True,
                "false" => Value::False,
                _ => return not_understood(format!("the field {field} is neither true nor false")),
            },
            Kind::Enum(max) => match self.number::<u8>()? {
                n if n <= i64::from(max) => Value::Number(n),
                n => return not_understood(format!("{n} is not on the list of values of {field}")),
            },
            Kind::Word(admitted) => match self.word()? {
                "<>" if admitted.contains(&"<>") => Value::Null,
                word if admitted.contains(&word) => self.text(Cow::Borrowed(word)),
                _ => {
                    return not_understood(format!(
                        "the field {field} holds a value that is not on its list"
                    ));
                }
            },
            Kind::Location | Kind::Place => Value::Number(self.number::<i32>()?),
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
                word => {
                    let name = name(word, place)?;
                    self.text(name)
                }
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
        if start == self.tree.items.len() {
            return not_understood("the server's tree holds an empty list, which it prints as <>");
        }
        since(start, &self.tree.items)
    }

    /// `((…) (…))`; a row without columns is `<>`.
    fn rows(&mut self) -> Result<Value> {
        self.expect(Token::ListOpen)?;
        self.deeper()?;
        let mut rows = Vec::new();
        while self.tokens.peek()? != Token::ListClose {
            rows.push(if self.tokens.null() {
                Span::empty()
            } else {
                self.list(Class::Expr, false)?
            });
        }
        self.take()?;
        self.depth -= 1;
        let start = self.tree.lists.len();
        self.tree.lists.extend(rows);
        since(start, &self.tree.lists).map(Value::Lists)
    }

    /// A grouping set holds nothing, numbers, or sets; which of them is not told by its first bracket.
    fn content(&mut self) -> Result<Value> {
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
    fn numbers(&mut self, letter: &'static str) -> Result<Value> {
        if letter != "b" && self.tokens.null() {
            return Ok(Value::Null);
        }
        self.expect(Token::ListOpen)?;
        self.expect(Token::Word(letter))?;
        let start = self.tree.numbers.len();
        while self.tokens.peek()? != Token::ListClose {
            let n = if letter == "i" {
                self.number::<i32>()?
            } else {
                self.number::<u32>()?
            };
            self.tree.numbers.push(n);
        }
        self.take()?;
        since(start, &self.tree.numbers).map(Value::Numbers)
    }

    fn names(&mut self, place: Place) -> Result<Value> {
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

    fn operator(&mut self) -> Result<Value> {
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
    fn datum(&mut self) -> Result<Value> {
        if self.tokens.null() {
            return Ok(Value::Null);
        }
        let length = self.number::<u32>()?;
        self.expect(Token::Word("["))?;
        let mut count = 0u32;
        let mut low = [0u8; 8];
        while self.tokens.peek()? != Token::Word("]") {
            let byte = self.number::<i16>()?;
            if !(-128..=255).contains(&byte) {
                return not_understood("a constant holds what is not a byte");
            }
            if let Some(place) = low.get_mut(count as usize) {
                *place = (byte & 0xff) as u8;
            }
            count += 1;
        }
        self.take()?;
        // A value passed by reference prints its length in bytes, one passed by value a whole Datum.
        if i64::from(count) != length && !(count == 8 && length < 8) {
            return not_understood("a constant is not as long as it says");
        }
        Ok(Value::Number(i64::from_le_bytes(low)))
    }
}

/// The bit of a range table entry's kind, which says what fields follow.
fn entry_bits(kind: &Value) -> u16 {
    match kind {
        Value::Number(n) => u32::try_from(*n)
            .ok()
            .and_then(|n| 1u16.checked_shl(n))
            .unwrap_or(0),
        _ => 0,
    }
}

fn since<T>(start: usize, pool: &[T]) -> Result<Span> {
    Span::since(start, pool).ok_or_else(|| inconsistent("the size of the tree"))
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
