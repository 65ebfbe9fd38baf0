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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::unhex;
    use proptest::prelude::*;
    use serde_json::Value;

    fn vectors() -> Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/merkle.json"
        );
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn hash(value: &Value) -> Hash {
        unhex(value.as_str().unwrap()).unwrap()
    }

    fn hashes(value: &Value) -> Vec<Hash> {
        value.as_array().unwrap().iter().map(hash).collect()
    }

    #[test]
    fn the_vectors_hold() {
        let vectors = vectors();
        let roots = hashes(&vectors["roots"]);
        let leaves = hashes(&vectors["leaf_hashes"]);
        for (leaf, expected) in vectors["leaves"].as_array().unwrap().iter().zip(&leaves) {
            let text = leaf.as_str().unwrap();
            let data: Vec<u8> = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
                .collect();
            assert_eq!(&leaf_hash(&data), expected);
        }
        for (size, expected) in roots.iter().enumerate() {
            assert_eq!(&root_of(&leaves[..size]), expected, "{size}");
        }
    }

    /// None where a number or a hash is one that no tree has.
    fn included(case: &Value) -> Option<bool> {
        let (index, size) = (case["index"].as_u64()?, case["size"].as_u64()?);
        let (leaf, root) = (known(&case["leaf"])?, known(&case["root"])?);
        let proof = all_known(&case["proof"])?;
        Some(check_inclusion(leaf, index, size, &proof, &root).is_ok())
    }

    fn extended(case: &Value) -> Option<bool> {
        let (old, new) = (case["old"].as_u64()?, case["new"].as_u64()?);
        let (before, after) = (known(&case["old_root"])?, known(&case["new_root"])?);
        let proof = all_known(&case["proof"])?;
        Some(check_extension(old, new, &proof, &before, &after).is_ok())
    }

    fn known(value: &Value) -> Option<Hash> {
        unhex(value.as_str()?)
    }

    fn all_known(value: &Value) -> Option<Vec<Hash>> {
        value.as_array()?.iter().map(known).collect()
    }

    #[test]
    fn the_proofs_of_the_vectors_are_judged_as_they_say() {
        let vectors = vectors();
        type Judge = fn(&Value) -> Option<bool>;
        for (name, judge) in [("inclusion", included as Judge), ("consistency", extended)] {
            for case in vectors[name].as_array().unwrap() {
                let held = judge(case).unwrap_or(false);
                assert_eq!(held, case["good"] == true, "{name}: {}", case["name"]);
            }
        }
    }

    /// RFC 6962, 2.1, as it stands there.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest(b"").into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&root_of(left), &root_of(right))
            }
        }
    }

    fn split(count: usize) -> usize {
        count.next_power_of_two() / 2
    }

    fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let at = split(leaves.len());
        let (left, right) = leaves.split_at(at);
        let (mut proof, sibling) = if index < at {
            (inclusion(index, left), root_of(right))
        } else {
            (inclusion(index - at, right), root_of(left))
        };
        proof.push(sibling);
        proof
    }

    fn consistency(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if whole {
                Vec::new()
            } else {
                vec![root_of(leaves)]
            };
        }
        let at = split(leaves.len());
        let (left, right) = leaves.split_at(at);
        let (mut proof, sibling) = if old <= at {
            (consistency(old, left, whole), root_of(right))
        } else {
            (consistency(old - at, right, false), root_of(left))
        };
        proof.push(sibling);
        proof
    }

    fn forest(size: usize) -> Vec<Hash> {
        (0..size)
            .map(|leaf| leaf_hash(&leaf.to_be_bytes()))
            .collect()
    }

    #[test]
    fn every_proof_of_small_trees_holds_and_no_other_length_does() {
        for size in 1..20 {
            let leaves = forest(size);
            let (new, root) = (size as u64, root_of(&leaves));
            for at in 0..size {
                let proof = inclusion(at, &leaves);
                let check =
                    |proof: &[Hash]| check_inclusion(leaves[at], at as u64, new, proof, &root);
                assert_eq!(check(&proof), Ok(()));
                assert!(check(&[&proof[..], &[root]].concat()).is_err());
                assert!(proof.is_empty() || check(&proof[1..]).is_err());
                assert!(check_inclusion(leaves[at], new, new, &proof, &root).is_err());
            }
            for old in 0..=size {
                let before = root_of(&leaves[..old]);
                let proof = if old == 0 {
                    Vec::new()
                } else {
                    consistency(old, &leaves, true)
                };
                let check =
                    |proof: &[Hash]| check_extension(old as u64, new, proof, &before, &root);
                assert_eq!(check(&proof), Ok(()), "{old} of {size}");
                assert!(check(&[&proof[..], &[root]].concat()).is_err());
                assert!(proof.is_empty() || check(&proof[1..]).is_err());
                assert!(check_extension(new + 1, new, &proof, &before, &root).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn another_hash_in_a_proof_is_refused(size in 2..40_usize, at in any::<usize>(), place in any::<usize>()) {
            let leaves = forest(size);
            let (at, root) = (at % size, root_of(&leaves));
            let mut proof = inclusion(at, &leaves);
            let place = place % proof.len();
            proof[place][0] ^= 1;
            prop_assert!(check_inclusion(leaves[at], at as u64, size as u64, &proof, &root).is_err());
            let old = at + 1;
            let mut proof = consistency(old, &leaves, true);
            if !proof.is_empty() {
                let place = place % proof.len();
                proof[place][31] ^= 1;
                let before = root_of(&leaves[..old]);
                prop_assert!(check_extension(old as u64, size as u64, &proof, &before, &root).is_err());
            }
        }

        #[test]
        fn no_numbers_make_it_panic(old in any::<u64>(), new in any::<u64>(), hashes in 0..70_usize) {
            let proof = vec![[7; 32]; hashes];
            prop_assert!(check_inclusion([0; 32], old, new, &proof, &[1; 32]).is_err());
            prop_assert!(check_extension(old, new, &proof, &[0; 32], &[1; 32]).is_err());
        }
    }
}
