//! Which epoch signed the checkpoint: the one that its last leaf names, certified by the log's key.

use crate::fault::{At, refuse, same};
use crate::json::{Nodes, Value};
use crate::key::{Key, Signs, decode64};
use crate::leaves::Entry;
use crate::note::Checkpoint;
use crate::shape::{count, digest, string};

/// What stands before the fields that certify an epoch's key.
const CERTIFIED: &[u8] = b"maskgate epoch certificate v1\n";
/// What stands before the number and the lines that an epoch's key signs.
const SIGNED: &[u8] = b"maskgate epoch checkpoint v1\n";

/// The epoch in force at a checkpoint's size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) index: u64,
}

/// The two leaves that tell of it, where they are in the bundle.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) certificate: Option<Entry>,
    pub(crate) last: Option<Entry>,
}

impl Told {
    /// Something is said of epochs, so that all of it must be.
    pub(crate) fn any(&self) -> bool {
        self.certificate.is_some() || self.last.is_some()
    }

    /// No earlier epoch's key signs at this size, and no later one's.
    pub(crate) fn check(&self, checkpoint: &Checkpoint, key: &Key) -> Result<Epoch, String> {
        let missing = |kind: &str| {
            let size = checkpoint.size;
            format!("epochs hold at {size} leaves: {kind} leaf is missing")
        };
        let entry = self.certificate.as_ref().ok_or_else(|| missing("epoch"))?;
        let last = self.last.as_ref().ok_or_else(|| missing("checkpoint"))?;
        let (mut first, mut second) = (Nodes::default(), Nodes::default());
        let named = second.object(&last.leaf)?;
        let stated = first.object(&entry.leaf)?;
        let epoch = Epoch {
            number: count(stated, "number").at("epoch leaf")?,
            index: entry.index,
        };
        same(
            "last leaf",
            last.index.checked_add(1),
            Some(checkpoint.size),
        )?;
        epoch.is_named(named).at("checkpoint leaf")?;
        epoch.signed(stated, checkpoint, key).at("epoch leaf")?;
        Ok(epoch)
    }
}

impl Epoch {
    /// By the last leaf under the checkpoint.
    fn is_named(self, last: Value<'_>) -> Result<(), String> {
        let _: [u8; 16] = digest(last, "boot")?;
        string(last, "ts")?;
        same("epoch", count(last, "epoch")?, self.number)?;
        same("certificate", count(last, "certificate")?, self.index)
    }

    /// Its certificate is the log's, for this place, and its key has signed the checkpoint.
    fn signed(self, stated: Value<'_>, checkpoint: &Checkpoint, key: &Key) -> Result<(), String> {
        let _: [u8; 16] = digest(stated, "boot")?;
        let (previous, from) = (count(stated, "previous")?, count(stated, "from")?);
        let first = count(stated, "first")?;
        same("previous", previous.checked_add(1), Some(self.number))?;
        same("from", Some(from), self.index.checked_add(1))?;
        let (text, ts) = (string(stated, "key")?, string(stated, "ts")?);
        let mut message = CERTIFIED.to_vec();
        for part in [key.name.as_str(), &text, &ts] {
            let length = u32::try_from(part.len()).map_err(|_| "too long".to_owned())?;
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part.as_bytes());
        }
        for number in [self.number, previous, from, first] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        let signature = decode64(&string(stated, "signature")?).at("signature")?;
        key.check(&message, &signature).at("certificate")?;
        let own = Key::read(&text, Signs::Epoch).at("key")?;
        same("name of the key", own.name.as_str(), key.name.as_str())?;
        let number = self.number.to_be_bytes();
        let message = [SIGNED, &number, checkpoint.text.as_bytes()].concat();
        let line = checkpoint.signature_of(&own);
        refuse(line.is_none(), || {
            format!("epoch {} has not signed the checkpoint", self.number)
        })?;
        own.check(&message, line.unwrap_or_default())
            .at("checkpoint")
    }
}
