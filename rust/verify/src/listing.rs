//! The session for people, from bytes that were verified: they are read again, and each part of them
//! must be what it was before a line of it is shown.

use crate::fault::{Checked, Fault, refuse, shown};
use crate::json::{Kind, Nodes, Value};
use crate::lines::Lines;
use std::io::{self, Read};

/// Lines are taken together until they have so many bytes.
const PART: usize = 1 << 20;
/// No value is longer.
const WHOLE: usize = 1 << 24;

/// The hashes of the parts of what was verified: 32 bytes for each MiB.
#[derive(Default)]
pub(crate) struct Parts {
    hasher: blake3::Hasher,
    bytes: usize,
    hashes: Vec<blake3::Hash>,
}

impl Parts {
    /// The next line.
    pub(crate) fn add(&mut self, raw: &[u8]) {
        self.hasher.update(raw).update(b"\n");
        self.bytes = self.bytes.saturating_add(raw.len()).saturating_add(1);
        if self.bytes >= PART {
            self.end();
        }
    }

    fn end(&mut self) {
        self.hashes.push(self.hasher.finalize());
        self.hasher.reset();
        self.bytes = 0;
    }

    /// All of them, the last however short.
    pub(crate) fn hashes(mut self) -> Vec<blake3::Hash> {
        self.end();
        self.hashes
    }
}

/// Says the records of `source`, whose parts have these hashes.
pub(crate) fn list(
    source: impl Read,
    hashes: Vec<blake3::Hash>,
    say: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Checked<()> {
    let mut expected = hashes.into_iter();
    let (mut lines, mut part) = (Lines::new(source), Vec::new());
    loop {
        let more = match lines.next()? {
            Some(raw) => {
                part.extend_from_slice(raw);
                part.push(b'\n');
                true
            }
            None => false,
        };
        if part.len() < PART && more {
            continue;
        }
        refuse(expected.next() != Some(blake3::hash(&part)), || {
            "the file was changed while it was read".to_owned()
        })?;
        let records = part.split_inclusive(|&byte| byte == b'\n');
        for raw in records.filter_map(|line| line.strip_suffix(b"\n")) {
            say(&told(raw)?).map_err(Fault::Unheard)?;
        }
        part.clear();
        if !more {
            return Ok(());
        }
    }
}

/// A record as lines that cannot steer a terminal.
fn told(raw: &[u8]) -> Result<String, String> {
    let mut nodes = Nodes::default();
    let record = nodes.object(raw)?;
    let text = |name: &str| record.get(name).map(plain).unwrap_or_default();
    let mut out = format!("\n[{}] {} {}", text("i"), text("ts"), text("type"));
    let body = record.get("body");
    let mut members: Vec<_> = body.iter().flat_map(Value::members).collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in members {
        let value = plain(value);
        let mut values = value.split('\n').map(|line| shown(line, WHOLE));
        let first = values.next().unwrap_or_default();
        out.push_str(&format!("\n    {}: {first}", shown(&name, 200)));
        for more in values {
            out.push_str("\n        ");
            out.push_str(&more);
        }
    }
    Ok(out)
}

/// A string as it is, anything else in its one spelling.
fn plain(value: Value<'_>) -> String {
    if value.kind() == Kind::String {
        value.string().unwrap_or_default().into_owned()
    } else {
        String::from_utf8_lossy(&value.canonical()).into_owned()
    }
}
