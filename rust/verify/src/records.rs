//! The records: one chain from its genesis to what the ledger says, and the story that it tells.

use crate::fault::{At, Checked, Fault, hex, refuse, same, shown};
use crate::json::{Nodes, Value};
use crate::leaves::{End, Leaves};
use crate::lines::Lines;
use crate::manifest::{Manifest, version};
use crate::receipts::{self, Released};
use crate::shape::{count, digest, fits, needed, string};
use crate::story::Story;
use crate::time::moment;
use std::io::Read;

const GENESIS: &str = "maskgate 2026-11 session genesis v1";
const RECORD: &str = "maskgate 2026-11 record v1";
const KEYS: [&str; 7] = ["body", "i", "prev", "sid", "ts", "type", "v"];
const FIRST_KEYS: [&str; 8] = ["body", "genesis", "i", "prev", "sid", "ts", "type", "v"];
const GENESIS_KEYS: [&str; 5] = ["boot", "cp_root", "cp_size", "origin", "session_no"];

type Head = [u8; 32];

/// The checkpoint that a session was opened at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
}

/// The chain's function, its key derived once.
pub(crate) struct Chain {
    fresh: blake3::Hasher,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            fresh: blake3::Hasher::new_derive_key(RECORD),
        }
    }

    /// h_i from h_{i-1}, i and the record's bytes.
    pub(crate) fn link(&self, previous: &Head, index: u64, raw: &[u8]) -> Head {
        let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let mut head = [0; 44];
        let parts = [&previous[..], &index.to_be_bytes(), &length.to_be_bytes()];
        for (to, from) in head.iter_mut().zip(parts.iter().copied().flatten()) {
            *to = *from;
        }
        let mut hasher = self.fresh.clone();
        hasher.update(&head).update(raw).finalize().into()
    }
}

/// h_-1.
pub(crate) fn genesis(
    origin: &str,
    sid: &[u8; 16],
    boot: &[u8; 16],
    session_no: u64,
    opened: Opened,
) -> Head {
    let length = u32::try_from(origin.len()).unwrap_or(u32::MAX);
    let mut hasher = blake3::Hasher::new_derive_key(GENESIS);
    hasher
        .update(&length.to_be_bytes())
        .update(origin.as_bytes());
    hasher
        .update(sid)
        .update(boot)
        .update(&session_no.to_be_bytes());
    hasher
        .update(&opened.size.to_be_bytes())
        .update(&opened.root);
    hasher.finalize().into()
}

/// Step 7 and what step 9 needs: every record in its order, and the ledger's word at the end.
pub(crate) struct Records<'a> {
    manifest: &'a Manifest,
    leaves: &'a Leaves,
    chain: Chain,
    head: Head,
    /// The time of the record before.
    last: String,
    index: u64,
    pub(crate) opened: Option<Opened>,
    pub(crate) story: Story,
    /// Kept where there are receipts to compare.
    pub(crate) released: Option<Released>,
}

impl<'a> Records<'a> {
    /// Reads the member to its end; `each` is given every line when it has been checked. `sha256` is
    /// the member's, from when the file was read first: should it have been changed since, then what
    /// is read now still has to be what the leaf's head stands for. With `receipts`, what one of
    /// each released statement must say is kept.
    pub(crate) fn read(
        source: impl Read,
        sha256: [u8; 32],
        manifest: &'a Manifest,
        leaves: &'a Leaves,
        receipts: bool,
        mut each: impl FnMut(&[u8]),
    ) -> Checked<Self> {
        let mut made = Self {
            manifest,
            leaves,
            chain: Chain::new(),
            head: [0; 32],
            last: String::new(),
            index: 0,
            opened: None,
            story: Story::default(),
            released: receipts.then(Released::new),
        };
        let (mut lines, mut nodes) = (Lines::new(source), Nodes::default());
        let mut bytes = 0_u64;
        while let Some(raw) = lines.next()? {
            let index = made.index;
            made.take(&mut nodes, raw)
                .map_err(|text| format!("record {index}{text}"))?;
            each(raw);
            bytes = bytes.saturating_add(raw.len() as u64).saturating_add(1);
        }
        made.end(bytes, sha256)?;
        Ok(made)
    }

    fn take(&mut self, nodes: &mut Nodes, raw: &[u8]) -> Result<(), String> {
        let plain = |text: String| format!(": {text}");
        let record = nodes.object(raw).map_err(plain)?;
        let ts = self.envelope(record, raw).map_err(plain)?;
        let kind = string(record, "type").map_err(plain)?;
        let body = needed(record, "body").map_err(plain)?;
        fits(body, &[]).at(": body")?;
        self.story
            .take(self.index, &kind, body, &ts)
            .map_err(|text| format!(" ({}): {text}", shown(&kind, 20)))?;
        if let Some(released) = self.released.as_mut().filter(|_| kind == "release") {
            let Manifest { session, key, .. } = self.manifest;
            let receipt = receipts::expected(body, &self.head, session, key).map_err(plain)?;
            released.insert(count(body, "statement_no").map_err(plain)?, receipt);
        }
        self.index = self.index.saturating_add(1);
        Ok(())
    }

    /// Everything but type and body; gives the record's time and goes on in the chain.
    fn envelope(&mut self, record: Value<'_>, raw: &[u8]) -> Result<String, String> {
        if self.index == 0 {
            record.has_only(&FIRST_KEYS)?;
            self.genesis(needed(record, "genesis")?).at("genesis")?;
        } else {
            record.has_only(&KEYS)?;
        }
        version(record)?;
        same("number", count(record, "i")?, self.index)?;
        let session = string(record, "sid")?;
        same("session", session.as_ref(), &self.manifest.session)?;
        let previous: Head = digest(record, "prev")?;
        if previous != self.head {
            let what = "link to the record before it";
            same(what, hex(&previous), hex(&self.head))?;
        }
        let ts = string(record, "ts")?;
        refuse(ts.len() != 27 || !ts.ends_with('Z'), || {
            format!("its time has another form: {}", shown(&ts, 60))
        })?;
        let ts = moment(&ts)?;
        refuse(ts < self.last, || {
            format!("its time is {ts}, before {}", self.last)
        })?;
        self.head = self.chain.link(&self.head, self.index, raw);
        if self.index == 0 {
            same("n of the open leaf", self.leaves.open.n, 1)?;
            let stated = hex(&self.leaves.open.head);
            same("head in the open leaf", stated, hex(&self.head))?;
        }
        self.last.clone_from(&ts);
        Ok(ts)
    }

    /// h_-1 from what the first record says, which must be what the ledger says.
    fn genesis(&mut self, stated: Value<'_>) -> Result<(), String> {
        stated.has_only(&GENESIS_KEYS)?;
        let origin = string(stated, "origin")?;
        same("origin", origin.as_ref(), &self.manifest.key.name)?;
        let boot: [u8; 16] = digest(stated, "boot")?;
        same("boot", hex(&boot), hex(&self.leaves.boot))?;
        let number = count(stated, "session_no")?;
        same("session number", number, self.leaves.number)?;
        let opened = Opened {
            size: count(stated, "cp_size")?,
            root: digest(stated, "cp_root")?,
        };
        let [_, at, _] = self.leaves.indices;
        refuse(opened.size > at, || {
            "the checkpoint at open is newer than the open leaf".to_owned()
        })?;
        self.head = genesis(&origin, &self.manifest.sid, &boot, number, opened);
        self.opened = Some(opened);
        Ok(())
    }

    fn end(&self, bytes: u64, sha256: [u8; 32]) -> Result<(), String> {
        let leaves = self.leaves;
        same("manifest.json, records", self.manifest.records, self.index)?;
        let told = || {
            same("n", leaves.last.n, self.index)?;
            same("bytes", leaves.bytes, bytes)?;
            same("head", hex(&leaves.last.head), hex(&self.head))?;
            same("SHA-256", hex(&leaves.sha256), hex(&sha256))?;
            let closed = leaves.end == End::Close;
            same("end of the session", closed, self.story.closed)
        };
        told().at(format_args!("{} leaf", leaves.end.word()))
    }
}

/// The session's bytes are not those that were signed: which record it is, as far as what is left
/// says, none of it believed.
pub(crate) fn locate(source: impl Read, records: u64) -> Fault {
    match located(source, records) {
        Ok(place) => Fault::Tampered(format!("session.jsonl: {place}")),
        Err(Fault::Tampered(text)) => Fault::Tampered(format!("session.jsonl: {text}")),
        Err(other) => other,
    }
}

fn located(source: impl Read, records: u64) -> Checked<String> {
    let (mut lines, chain) = (Lines::new(source), Chain::new());
    let (mut head, mut index): (Head, u64) = ([0; 32], 0);
    while let Some(raw) = lines.next()? {
        let Some((number, previous)) = tail(raw) else {
            return Ok(format!("record {index} was changed: no envelope"));
        };
        if number != index {
            return Ok(format!(
                "record {index}, number: expected {index}, got {number}"
            ));
        }
        if index > 0 && head != previous {
            return Ok(format!(
                "record {} (or the link of record {index}), hash: expected {}, got {}",
                index - 1,
                hex(&previous),
                hex(&head)
            ));
        }
        head = chain.link(&previous, index, raw);
        index = index.saturating_add(1);
    }
    same("number of records", index, records)?;
    let last = index.saturating_sub(1);
    Ok(format!("record 0 or record {last} was changed"))
}

/// Number and link in the envelope, which stands behind the body at the line's end.
fn tail(raw: &[u8]) -> Option<(u64, Head)> {
    let end = raw.get(raw.len().saturating_sub(400)..)?;
    let at = memchr::memmem::rfind(end, b",\"i\":")?;
    let text = std::str::from_utf8(end.get(at + 5..)?).ok()?;
    let (number, rest) = text.split_once(",\"prev\":\"")?;
    Some((number.parse().ok()?, crate::fault::unhex(rest.get(..64)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::unhex;
    use crate::tree::leaf_hash;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_example_worked_by_hand_holds() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/chain.json"
        );
        let vector: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap();
        let opened = Opened {
            size: vector["cp_size"].as_u64().unwrap(),
            root: unhex(text("cp_root")).unwrap(),
        };
        let sid = unhex(&text("sid").replace('-', "")).unwrap();
        let (boot, number) = (
            unhex(text("boot")).unwrap(),
            vector["session_no"].as_u64().unwrap(),
        );
        let mut head = genesis(text("origin"), &sid, &boot, number, opened);
        assert_eq!(hex(&head), text("genesis"));
        let (chain, mut file) = (Chain::new(), Vec::new());
        let records = vector["records"].as_array().unwrap();
        for (index, record) in records.iter().enumerate() {
            let raw = record.as_str().unwrap().as_bytes();
            assert_eq!(tail(raw), Some((index as u64, head)));
            head = chain.link(&head, index as u64, raw);
            assert_eq!(hex(&head), vector["hashes"][index].as_str().unwrap());
            file.extend_from_slice(raw);
            file.push(b'\n');
        }
        assert_eq!(hex(&Sha256::digest(&file)), text("sha256"));
        assert_eq!(hex(&leaf_hash(text("leaf").as_bytes())), text("leaf_hash"));
    }
}
