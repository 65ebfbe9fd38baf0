//! What the ledger says of this session: boot, open, and where its chain stood last.

use crate::epoch::{Epoch, Told};
use crate::fault::{At, Checked, hex, refuse, same, shown};
use crate::json::{Nodes, Value};
use crate::key::Key;
use crate::lines::Lines;
use crate::manifest::{Manifest, version};
use crate::note::Checkpoint;
use crate::shape::{count, digest, proof, string};
use crate::tree::{check_inclusion, leaf_hash};
use crate::trust::Trust;

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

/// The leaves, each proven under the checkpoint.
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
    /// That signed the checkpoint; none where the ledger had no epochs yet.
    pub(crate) epoch: Option<Epoch>,
}

/// The most bytes of a leaf's data: what tlog-tiles can store.
const LEAF_LIMIT: usize = 0xffff;

/// One line of the member: a leaf and where it stands.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) leaf: Vec<u8>,
    kind: String,
}

impl Leaves {
    /// Step 6.
    pub(crate) fn read(
        mut data: &[u8],
        checkpoint: &Checkpoint,
        manifest: &Manifest,
        trust: Option<&Trust>,
    ) -> Checked<Self> {
        let (mut entries, mut told) = (Vec::new(), Told::default());
        let (mut last, mut number) = (None, 0_u64);
        let mut lines = Lines::new(&mut data);
        while let Some(line) = lines.next()? {
            number = number.saturating_add(1);
            let place = format!("line {number}");
            let entry = Entry::read(line, checkpoint).at(&place)?;
            refuse(last >= Some(entry.index), || {
                format!("{place}: leaves are not in order")
            })?;
            last = Some(entry.index);
            let again = match entry.kind.as_str() {
                "epoch" => told.certificate.replace(entry).is_some(),
                "checkpoint" => told.last.replace(entry).is_some(),
                _ => {
                    entries.push(entry);
                    entries.len() > 3
                }
            };
            refuse(again, || format!("{place}: one leaf too many"))?;
        }
        let three = <[Entry; 3]>::try_from(entries)
            .map_err(|entries| format!("expected three leaves, got {}", entries.len()))?;
        let (mut made, counted) = Self::told(&three, manifest)?;
        let demanded = trust.is_some_and(|trust| (1..=checkpoint.size).contains(&trust.epochs));
        if counted || told.any() || demanded {
            made.epoch = Some(told.check(checkpoint, &manifest.key)?);
        }
        Ok(made)
    }

    /// And whether the boot counted epochs.
    fn told([boot, open, last]: &[Entry; 3], manifest: &Manifest) -> Result<(Self, bool), String> {
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
        let counted = boot.get("epoch").is_some();
        if counted {
            count(boot, "epoch").at("boot leaf")?;
        }
        let number = count(open, "session_no").at("open leaf")?;
        for (leaf, name) in [(open, "open"), (last, end.word())] {
            belongs(leaf, manifest, number).at(format_args!("{name} leaf"))?;
            // A recovery is written by the boot after the one in which the session was opened.
            if name != End::Recovery.word() {
                let again: [u8; 16] = digest(leaf, "boot").at(format_args!("{name} leaf"))?;
                same(&format!("{name} leaf, boot"), hex(&again), hex(&id))?;
            }
        }
        let made = Self {
            indices,
            boot: id,
            number,
            open: state(open).at("open leaf")?,
            end,
            last: state(last).at(format_args!("{} leaf", end.word()))?,
            bytes: count(last, "bytes").at("last leaf")?,
            sha256: digest(last, "sha256").at("last leaf")?,
            epoch: None,
        };
        Ok((made, counted))
    }
}

impl Entry {
    fn read(line: &[u8], checkpoint: &Checkpoint) -> Result<Self, String> {
        let mut nodes = Nodes::default();
        let stated = nodes.spelled(line, &["index", "leaf", "proof"])?;
        let index = count(stated, "index")?;
        let data = string(stated, "leaf")?.into_owned().into_bytes();
        refuse(data.len() > LEAF_LIMIT, || {
            format!("a leaf of {} bytes", data.len())
        })?;
        let hash = leaf_hash(&data);
        check_inclusion(
            hash,
            index,
            checkpoint.size,
            &proof(stated)?,
            &checkpoint.root,
        )?;
        let (_, kind) = leaf(&mut Nodes::default(), &data)?;
        Ok(Self {
            index,
            leaf: data,
            kind,
        })
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
