//! Receipts: what clients were given of released statements, compared with the bundle's records.

use crate::fault::{At, Checked, Fault, hex, named, refuse, same, shown};
use crate::json::{Nodes, TEXT_LIMIT, Value};
use crate::key::{Key, decode64};
use crate::shape::{count, needed, string};
use crate::story::Story;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a receipt's signature covers before the receipt itself.
const PREFIX: &[u8] = b"maskgate receipt v1\n";

/// For each released statement the hash of what a receipt of it must say.
pub(crate) type Released = HashMap<u64, [u8; 32]>;

/// The hash of the receipt that a `release` record stands for: its one spelling, unsigned.
pub(crate) fn expected(
    body: Value<'_>,
    record_hash: &[u8; 32],
    session: &str,
    key: &Key,
) -> Result<[u8; 32], String> {
    let spelled = |name: &str| needed(body, name).map(|value| value.canonical());
    // Keys and ids have no character that is escaped.
    let parts = [
        b"{\"cells_masked\":".to_vec(),
        spelled("cells_masked")?,
        b",\"digest\":".to_vec(),
        spelled("digest")?,
        format!(",\"key\":\"{}\",\"notes\":", key.text).into_bytes(),
        spelled("notes")?,
        format!(",\"record_hash\":\"{}\",\"rows\":", hex(record_hash)).into_bytes(),
        spelled("rows")?,
        format!(",\"session\":\"{session}\",\"statement\":").into_bytes(),
        spelled("statement_no")?,
        b",\"truncated\":".to_vec(),
        spelled("truncated")?,
        b"}".to_vec(),
    ];
    Ok(Sha256::digest(parts.concat()).into())
}

/// How many receipts were found to be what.
#[derive(Default)]
pub(crate) struct Compared {
    recorded: u64,
    others: u64,
    later: u64,
}

impl Compared {
    /// Each receipt that is of this session is of a statement in it.
    pub(crate) fn with(
        path: &Path,
        session: &str,
        key: &Key,
        released: &Released,
        story: &Story,
    ) -> Checked<Self> {
        let mut made = Self::default();
        for file in files(path).map_err(|error| unreadable(path, &error))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("receipt {}", shown(&name, 200));
            let mut raw = Vec::new();
            File::open(&file)
                .and_then(|file| file.take(TEXT_LIMIT as u64 + 1).read_to_end(&mut raw))
                .map_err(|error| unreadable(&file, &error))?;
            made.take(&raw, session, key, released, story).at(place)?;
        }
        Ok(made)
    }

    fn take(
        &mut self,
        raw: &[u8],
        session: &str,
        key: &Key,
        released: &Released,
        story: &Story,
    ) -> Result<(), String> {
        let mut nodes = Nodes::default();
        let receipt = nodes.file(raw)?;
        let (stated, signer) = (string(receipt, "session")?, string(receipt, "key")?);
        let signature = string(receipt, "signature")?;
        let number = count(receipt, "statement")?;
        if stated != session {
            self.others += 1;
            return Ok(());
        }
        same("key", signer.as_ref(), key.text.as_str())?;
        let unsigned = receipt.canonical_without("signature");
        key.check(&[PREFIX, &unsigned].concat(), &decode64(&signature)?)?;
        if !story.closed && !story.has_ended(number) {
            self.later += 1;
            return Ok(());
        }
        let hash: [u8; 32] = Sha256::digest(&unsigned).into();
        refuse(released.get(&number) != Some(&hash), || {
            format!("statement {number} is not recorded as it says")
        })?;
        self.recorded += 1;
        Ok(())
    }

    /// Whether there is one at least, and none of a statement that the bundle does not have yet.
    pub(crate) fn all_found(&self) -> bool {
        self.recorded > 0 && self.later == 0
    }

    /// The step's line.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} are of records in this bundle, {} of other sessions, {} of statements behind it",
            self.recorded, self.others, self.later
        )
    }
}

/// The file, or the files of the directory that are called so, by their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".json") {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::Usage(format!("{}: {error}", named(path)))
}
