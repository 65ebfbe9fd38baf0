//! The checkpoint: a C2SP signed note of three lines with one signature.

use crate::fault::{At, hex, refuse, same, shown};
use crate::key::{Key, decode64};
use crate::tree::Hash;

/// The ledger's state that the note vouches for.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Checkpoint {
    /// Reads the note and checks that `key` signed it.
    pub(crate) fn read(note: &[u8], key: &Key) -> Result<Self, String> {
        Self::checked(note, key).at("checkpoint")
    }

    fn checked(note: &[u8], key: &Key) -> Result<Self, String> {
        let text = std::str::from_utf8(note).map_err(|_| "not UTF-8".to_owned())?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, "", signed, ""] = lines.as_slice() else {
            return Err("expected three lines, an empty one and one signature".to_owned());
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
        let signed = signed
            .strip_prefix("— ")
            .and_then(|rest| rest.strip_prefix(key.name.as_str())?.strip_prefix(' '))
            .ok_or_else(|| format!("not a signature of {}: {}", key.name, shown(signed, 100)))?;
        let signed = decode64(signed).at("signature")?;
        let (id, signature) = signed
            .split_at_checked(4)
            .ok_or_else(|| "signature: too short".to_owned())?;
        refuse(id != key.id, || {
            format!("key id: expected {}, got {}", hex(&key.id), hex(id))
        })?;
        // What is signed: the three lines with their line ends.
        let body = text.split_inclusive('\n').take(3).map(str::len).sum();
        key.check(note.get(..body).unwrap_or_default(), signature)?;
        Ok(Self { size, root })
    }
}
