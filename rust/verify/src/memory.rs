//! The checkpoints that an auditor has seen: a line for each, its origin, its size and its root.

use crate::fault::{At, Checked, Fault, hex, named, same, unhex};
use crate::key::is_name;
use crate::note::Checkpoint;
use crate::records::Opened;
use crate::tree::{Hash, check_extension};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// A proof from a checkpoint that the auditor remembers, when he asked for one.
#[derive(Debug, Default)]
pub(crate) struct Since {
    pub(crate) from: u64,
    pub(crate) proof: Vec<Hash>,
}

/// What the auditor's file makes of a checkpoint.
pub(crate) enum Known {
    /// It is remembered.
    Seen,
    /// It goes on from what is remembered, and is to be remembered itself.
    New,
    /// It is not shown to go on from what is remembered: why.
    Unproven(String),
}

/// One origin's part of the file.
pub(crate) struct Memory<'a> {
    path: &'a Path,
    origin: &'a str,
    seen: BTreeMap<u64, Hash>,
}

impl<'a> Memory<'a> {
    /// Reads the file; one that is not there remembers nothing.
    pub(crate) fn read(path: &'a Path, origin: &'a str) -> Checked<Self> {
        let raw = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| unreadable(path, &error))?,
        };
        let seen = lines(&raw, origin).ok_or_else(|| {
            unreadable(path, &"not one root for each size of an origin".to_owned())
        })?;
        Ok(Self { path, origin, seen })
    }

    /// Whether the ledger of `checkpoint` goes on from the newest that is remembered.
    pub(crate) fn judge(
        &self,
        checkpoint: &Checkpoint,
        opened: Opened,
        since: &Since,
    ) -> Result<Known, String> {
        for (size, root) in [
            (checkpoint.size, checkpoint.root),
            (opened.size, opened.root),
        ] {
            if let Some(known) = self.seen.get(&size) {
                let what = format!("root of {size} leaves as remembered");
                same(&what, hex(&root), hex(known))?;
            }
        }
        let size = checkpoint.size;
        let Some((&newest, old)) = self.seen.last_key_value() else {
            return Ok(Known::New);
        };
        if self.seen.contains_key(&size) {
            return Ok(Known::Seen);
        }
        if size < newest {
            return Ok(Known::Unproven(format!(
                "it is older than the {newest} leaves you remember: have it exported again"
            )));
        }
        if newest != opened.size {
            if since.from != newest {
                return Ok(Known::Unproven(format!(
                    "no proof from the {newest} leaves you remember: export --since {newest}"
                )));
            }
            check_extension(newest, size, &since.proof, old, &checkpoint.root)
                .at("the ledger you remember")?;
        }
        Ok(Known::New)
    }

    /// Adds the checkpoint's line.
    pub(crate) fn add(&self, checkpoint: &Checkpoint) -> Checked<()> {
        let (origin, size, root) = (self.origin, checkpoint.size, hex(&checkpoint.root));
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path)
            .and_then(|mut file| file.write_all(format!("{origin} {size} {root}\n").as_bytes()))
            .map_err(|error| unreadable(self.path, &error))
    }
}

fn unreadable(path: &Path, error: &impl std::fmt::Display) -> Fault {
    Fault::Usage(format!("--remember {}: {error}", named(path)))
}

/// What the lines say of this origin; nothing where one is no such line, or two disagree.
fn lines(raw: &[u8], origin: &str) -> Option<BTreeMap<u64, Hash>> {
    let mut seen = BTreeMap::new();
    let text = std::str::from_utf8(raw).ok()?;
    for line in text.split_inclusive('\n') {
        let mut fields = line.strip_suffix('\n')?.split(' ');
        let (name, size, root) = (fields.next()?, fields.next()?, fields.next()?);
        let decimal = (1..=16).contains(&size.len())
            && !size.starts_with('0')
            && size.bytes().all(|byte| byte.is_ascii_digit());
        let (size, root) = (size.parse().ok()?, unhex(root)?);
        if !decimal || !is_name(name) || fields.next().is_some() {
            return None;
        }
        if name == origin && *seen.entry(size).or_insert(root) != root {
            return None;
        }
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_spelling() {
        let root = "0a".repeat(32);
        let good = format!("log.example.org 7 {root}\n");
        assert_eq!(
            lines(good.as_bytes(), "log.example.org"),
            Some(BTreeMap::from([(7, [10; 32])]))
        );
        assert_eq!(lines(good.as_bytes(), "another"), Some(BTreeMap::new()));
        assert_eq!(
            lines(good.repeat(2).as_bytes(), "another"),
            Some(BTreeMap::new())
        );
        assert_eq!(lines(b"", "x"), Some(BTreeMap::new()));
        for wrong in [
            good.replace('\n', ""),
            good.replace('\n', "\r\n"),
            good.replace('\n', "\n\n"),
            good.replace('\n', " \n"),
            good.replace('7', "07"),
            good.replace('7', "0"),
            good.replace('7', "+7"),
            good.replace('7', "12345678901234567"),
            good.replace("0a", "0A"),
            good.replace("log", "l+og"),
            format!("{good}{}", good.replace("0a", "0b")),
        ] {
            assert_eq!(lines(wrong.as_bytes(), "log.example.org"), None, "{wrong}");
        }
    }
}
