//! The checkpoint: a C2SP signed note of three lines, the log's signature, and those of others.

use crate::fault::{At, refuse, same, shown};
use crate::key::{Key, decode64, is_name};
use crate::tree::Hash;
use crate::trust::Trust;

/// What stands before the time in what a witness signs (C2SP tlog-cosignature).
const COSIGNED: &str = "cosignature/v1\ntime ";

/// The ledger's state that the note vouches for.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// What is signed: the three lines with their line ends.
    pub(crate) text: String,
    lines: Vec<Line>,
    /// The witnesses of the trust file that have signed it, each with its time.
    pub(crate) cosigned: Vec<String>,
}

/// A signature line; the key id is the first four bytes.
#[derive(Debug)]
struct Line {
    name: String,
    id: [u8; 4],
    body: Vec<u8>,
}

impl Checkpoint {
    /// Reads the note and checks that `key` signed it, and every line of a witness that is known.
    pub(crate) fn read(note: &[u8], key: &Key, trust: Option<&Trust>) -> Result<Self, String> {
        Self::checked(note, key, trust).at("checkpoint")
    }

    fn checked(note: &[u8], key: &Key, trust: Option<&Trust>) -> Result<Self, String> {
        let text = std::str::from_utf8(note).map_err(|_| "not UTF-8".to_owned())?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, "", signed @ .., ""] = lines.as_slice() else {
            return Err("expected three lines, an empty one and signatures".to_owned());
        };
        same("origin", *origin, key.name.as_str())?;
        let decimal = (1..=16).contains(&size.len())
            && !size.starts_with('0')
            && size.bytes().all(|b| b.is_ascii_digit());
        let size = size
            .parse()
            .ok()
            .filter(|_| decimal)
            .ok_or_else(|| format!("not a size: {}", shown(size, 60)))?;
        let root = decode64(root).at("root")?;
        let root = Hash::try_from(root).map_err(|root| format!("root of {} bytes", root.len()))?;
        let signatures = distinct(signed)?;
        let body = text.split_inclusive('\n').take(3).map(str::len).sum();
        let body = text.get(..body).unwrap_or_default();
        let own = signatures
            .first()
            .filter(|line| line.is_of(key))
            .ok_or_else(|| format!("the first signature is not one of {}", key.name))?;
        key.check(body.as_bytes(), &own.body)?;
        let mut cosigned = Vec::new();
        for witness in trust.iter().flat_map(|trust| &trust.witnesses) {
            if let Some(line) = signatures.iter().find(|line| line.is_of(witness)) {
                let time = cosignature(witness, &line.body, body)?;
                cosigned.push(format!("{} at {time}", witness.name));
            }
        }
        Ok(Self {
            size,
            root,
            text: body.to_owned(),
            lines: signatures,
            cosigned,
        })
    }

    /// What stands in the line that says it is this key's.
    pub(crate) fn signature_of(&self, key: &Key) -> Option<&[u8]> {
        let line = self.lines.iter().find(|line| line.is_of(key));
        line.map(|line| line.body.as_slice())
    }
}

/// The signature lines; no two of one name and key id.
fn distinct(lines: &[&str]) -> Result<Vec<Line>, String> {
    let mut read: Vec<Line> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for text in lines {
        let line = Line::read(text)?;
        refuse(!seen.insert((line.name.clone(), line.id)), || {
            format!("{} stands there twice", line.name)
        })?;
        read.push(line);
    }
    Ok(read)
}

impl Line {
    fn is_of(&self, key: &Key) -> bool {
        self.name == key.name && self.id == key.id
    }

    fn read(text: &str) -> Result<Self, String> {
        let (name, encoded) = text
            .strip_prefix("— ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| format!("not a signature line: {}", shown(text, 100)))?;
        let decoded = decode64(encoded).at("signature")?;
        let (id, body) = decoded
            .split_first_chunk()
            .filter(|(_, body)| !body.is_empty())
            .ok_or_else(|| format!("{name} has no signature"))?;
        Ok(Self {
            name: name.to_owned(),
            id: *id,
            body: body.to_vec(),
        })
    }
}

/// The time at which the witness signed the note's `body`.
fn cosignature(witness: &Key, signed: &[u8], body: &str) -> Result<u64, String> {
    let (time, signature) = signed
        .split_first_chunk()
        .ok_or_else(|| format!("a cosignature by {} is too short", witness.name))?;
    let time = u64::from_be_bytes(*time);
    refuse(i64::try_from(time).is_err(), || {
        format!("{} signed at a time that is none", witness.name)
    })?;
    let message = format!("{COSIGNED}{time}\n{body}");
    witness.check(message.as_bytes(), signature)?;
    Ok(time)
}
