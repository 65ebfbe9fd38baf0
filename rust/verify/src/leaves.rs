//! What the ledger says of this session: boot, open, and where its chain stood last.

use crate::fault::{At, Checked, Fault, hex, refuse, same, shown};
use crate::json::{Nodes, Value};
use crate::key::Key;
use crate::lines::Lines;
use crate::manifest::{Manifest, version};
use crate::note::Checkpoint;
use crate::shape::{count, digest, proof, string};
use crate::tree::{check_inclusion, leaf_hash};

/// What the last leaf says the session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Closed by its `close` record.
    Close,
    /// Still open when it was exported.
    Commit,
    /// Open when the gateway stopped.
    Recovery,
}

impl End {
    /// The type of the leaf.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Commit => "commit",
            Self::Recovery => "recovery",
        }
    }
}

/// Where a chain stood.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) n: u64,
    pub(crate) head: [u8; 32],
}

/// The three leaves, each proven under the checkpoint.
#[derive(Debug)]
pub(crate) struct Leaves {
    pub(crate) indices: [u64; 3],
    pub(crate) boot: [u8; 16],
    pub(crate) number: u64,
    pub(crate) open: State,
    pub(crate) end: End,
    pub(crate) last: State,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// One line of the member: a leaf and where it stands.
struct Entry {
    index: u64,
    leaf: Vec<u8>,
}

impl Leaves {
    /// Step 6.
    pub(crate) fn read(
        mut data: &[u8],
        checkpoint: &Checkpoint,
        manifest: &Manifest,
    ) -> Checked<Self> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines = Lines::new(&mut data);
        while let Some(line) = lines.next()? {
            let place = format!("line {}", entries.len() + 1);
            let entry = Entry::read(line, checkpoint).at(&place)?;
            let last = entries.last();
            refuse(last.is_some_and(|last| entry.index <= last.index), || {
                format!("{place}: leaves are not in order")
            })?;
            refuse(entries.len() == 3, || format!("{place}: a fourth leaf"))?;
            entries.push(entry);
        }
        match <[Entry; 3]>::try_from(entries) {
            Ok(three) => Self::told(&three, manifest).map_err(Fault::Tampered),
            Err(entries) => Err(format!("expected three leaves, got {}", entries.len()).into()),
        }
    }

    fn told([boot, open, last]: &[Entry; 3], manifest: &Manifest) -> Result<Self, String> {
        let mut nodes = [Nodes::default(), Nodes::default(), Nodes::default()];
        let [first, second, third] = &mut nodes;
        let indices = [boot.index, open.index, last.index];
        let (boot, kind) = leaf(first, &boot.leaf).at("line 1")?;
        same("line 1, type", kind.as_str(), "boot")?;
        let (open, kind) = leaf(second, &open.leaf).at("line 2")?;
        same("line 2, type", kind.as_str(), "open")?;
        let (last, kind) = leaf(third, &last.leaf).at("line 3")?;
        let ends = [End::Close, End::Commit, End::Recovery];
        let end = ends
            .into_iter()
            .find(|end| end.word() == kind)
            .ok_or_else(|| {
                let got = shown(&kind, 60);
                format!("line 3, type: expected close, commit or recovery, got {got}")
            })?;
        let id: [u8; 16] = digest(boot, "boot").at("boot leaf")?;
        by(boot, &manifest.key).at("boot leaf")?;
        let number = count(open, "session_no").at("open leaf")?;
        for (leaf, name) in [(open, "open"), (last, end.word())] {
            belongs(leaf, manifest, number).at(format_args!("{name} leaf"))?;
            // A recovery is written by the boot after the one in which the session was opened.
            if name != End::Recovery.word() {
                let again: [u8; 16] = digest(leaf, "boot").at(format_args!("{name} leaf"))?;
                same(&format!("{name} leaf, boot"), hex(&again), hex(&id))?;
            }
        }
        Ok(Self {
            indices,
            boot: id,
            number,
            open: state(open).at("open leaf")?,
            end,
            last: state(last).at(format_args!("{} leaf", end.word()))?,
            bytes: count(last, "bytes").at("last leaf")?,
            sha256: digest(last, "sha256").at("last leaf")?,
        })
    }
}

impl Entry {
    fn read(line: &[u8], checkpoint: &Checkpoint) -> Result<Self, String> {
        let mut nodes = Nodes::default();
        let stated = nodes.spelled(line, &["index", "leaf", "proof"])?;
        let index = count(stated, "index")?;
        let leaf = string(stated, "leaf")?.into_owned().into_bytes();
        let hash = leaf_hash(&leaf);
        check_inclusion(
            hash,
            index,
            checkpoint.size,
            &proof(stated)?,
            &checkpoint.root,
        )?;
        Ok(Self { index, leaf })
    }
}

/// A leaf's data and its type.
fn leaf<'a>(nodes: &'a mut Nodes, data: &'a [u8]) -> Result<(Value<'a>, String), String> {
    let made = nodes.object(data)?;
    version(made)?;
    Ok((made, string(made, "type")?.into_owned()))
}

/// The boot that this key signs for.
fn by(boot: Value<'_>, key: &Key) -> Result<(), String> {
    same("origin", string(boot, "origin")?.as_ref(), &key.name)?;
    same("key", string(boot, "key")?.as_ref(), &key.text)
}

fn belongs(leaf: Value<'_>, manifest: &Manifest, number: u64) -> Result<(), String> {
    same("session", string(leaf, "sid")?.as_ref(), &manifest.session)?;
    same("session number", count(leaf, "session_no")?, number)
}

fn state(leaf: Value<'_>) -> Result<State, String> {
    Ok(State {
        n: count(leaf, "n")?,
        head: digest(leaf, "head")?,
    })
}
