//! RFC 6962 trees over SHA-256: that a leaf is in one, and that one goes on from another.

use crate::fault::{hex, refuse};
use sha2::{Digest, Sha256};

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

/// The hash of a leaf's data.
pub(crate) fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(data)
        .finalize()
        .into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let joined = Sha256::new().chain_update([1]).chain_update(left);
    joined.chain_update(right).finalize().into()
}

/// The leaf at `index` is in the tree of `size` leaves under `root` (RFC 9162, 2.1.3.2).
pub(crate) fn check_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), String> {
    refuse(index >= size, || {
        format!("leaf {index} is not in a tree of {size}")
    })?;
    let mut walk = Walk {
        at: index,
        last: size - 1,
        ..Walk::from(leaf)
    };
    for sibling in proof {
        walk.step(sibling)?;
    }
    walk.end()?;
    leads("root that the proof leads to", &walk.new, root)
}

/// The tree of `new` leaves under `new_root` begins with the one of `old` under `old_root`
/// (RFC 9162, 2.1.4.2).
pub(crate) fn check_extension(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), String> {
    refuse(old > new, || {
        format!("a tree of {new} cannot extend one of {old}")
    })?;
    if old == 0 || old == new {
        refuse(!proof.is_empty(), || "the proof must be empty".to_owned())?;
        let known = if old == 0 {
            Sha256::digest(b"").into()
        } else {
            *new_root
        };
        return leads("old root", old_root, &known);
    }
    // Where the old tree is complete its own root is the first hash, and left out.
    let (start, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let Some((first, rest)) = proof.split_first() else {
            return Err("the proof is empty".to_owned());
        };
        (first, rest)
    };
    let shift = (old - 1).trailing_ones();
    let mut walk = Walk {
        at: (old - 1) >> shift,
        last: (new - 1) >> shift,
        ..Walk::from(*start)
    };
    for sibling in rest {
        walk.step(sibling)?;
    }
    walk.end()?;
    leads("old root", &walk.old, old_root)?;
    leads("new root", &walk.new, new_root)
}

fn leads(what: &str, got: &Hash, expected: &Hash) -> Result<(), String> {
    refuse(got != expected, || {
        format!("{what}: expected {}, got {}", hex(expected), hex(got))
    })
}

/// From a node up to the root: what it is with the siblings to the left alone, and with all.
struct Walk {
    at: u64,
    last: u64,
    old: Hash,
    new: Hash,
}

impl From<Hash> for Walk {
    fn from(start: Hash) -> Self {
        Self {
            at: 0,
            last: 0,
            old: start,
            new: start,
        }
    }
}

impl Walk {
    fn step(&mut self, sibling: &Hash) -> Result<(), String> {
        refuse(self.last == 0, || "the proof is too long".to_owned())?;
        if self.at & 1 == 1 || self.at == self.last {
            self.old = node(sibling, &self.old);
            self.new = node(sibling, &self.new);
            while self.at != 0 && self.at & 1 == 0 {
                (self.at, self.last) = (self.at >> 1, self.last >> 1);
            }
        } else {
            self.new = node(&self.new, sibling);
        }
        (self.at, self.last) = (self.at >> 1, self.last >> 1);
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        refuse(self.last != 0, || "the proof is too short".to_owned())
    }
}
