//! Keys as C2SP spells them, and Ed25519 as strictly as the page asks.

use crate::fault::{At, hex, refuse, same, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// The mark of Ed25519 in C2SP's keys.
const ED25519: u8 = 1;

/// Base64 in its one spelling, padding and unused bits included.
pub(crate) fn decode64(text: &str) -> Result<Vec<u8>, String> {
    match STANDARD.decode(text) {
        Ok(data) if STANDARD.encode(&data) == text => Ok(data),
        _ => Err(format!(
            "not base64 in its one spelling: {}",
            shown(text, 100)
        )),
    }
}

/// A verifier key: `name+hex(key id)+base64(0x01 ‖ public key)`.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    public: [u8; 32],
}

impl Key {
    /// Reads the key; its id must be the one that its name and its bytes have.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("not an Ed25519 verifier key: {}", shown(text, 200));
        let (name, rest) = text.split_once('+').ok_or_else(wrong)?;
        let (stated, encoded) = rest.split_once('+').ok_or_else(wrong)?;
        let named = |b: u8| b.is_ascii_alphanumeric() || b"_./:~-".contains(&b);
        if !(1..=255).contains(&name.len()) || !name.bytes().all(named) {
            return Err(wrong());
        }
        let key = decode64(encoded)?;
        let public = match key.split_first() {
            Some((&ED25519, public)) => <[u8; 32]>::try_from(public).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        let hashed = Sha256::new().chain_update(name).chain_update(b"\n");
        let [a, b, c, d, ..]: [u8; 32] = hashed.chain_update(&key).finalize().into();
        let id = [a, b, c, d];
        same("key id", stated, hex(&id).as_str())?;
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            id,
            public,
        })
    }

    /// `signature` is this key's signature of `message`, in its one spelling.
    pub(crate) fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), String> {
        strict(&self.public, message, signature).at(format_args!("signature by {}", self.name))
    }
}

/// RFC 8032 without cofactor: S below the group's order, A and R the one encoding of points that are
/// not of small order.
fn strict(public: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), String> {
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        let got = signature.len();
        return Err(format!("a signature has 64 bytes, got {got}"));
    };
    let signature = Signature::from_bytes(&signature);
    for (name, point) in [("the key", public), ("R", signature.r_bytes())] {
        // The library takes y of p and more, and a zero with a sign; their one encoding is another.
        let decoded = CompressedEdwardsY(*point)
            .decompress()
            .filter(|found| found.compress().as_bytes() == point)
            .ok_or_else(|| format!("{name} is not the one encoding of a point"))?;
        refuse(decoded.is_small_order(), || {
            format!("{name} is of small order")
        })?;
    }
    VerifyingKey::from_bytes(public)
        .and_then(|key| key.verify_strict(message, &signature))
        .map_err(|_| "the signature does not match, or S is not below the group's order".to_owned())
}
