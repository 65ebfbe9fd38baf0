//! Keys as C2SP spells them, and Ed25519 as strictly as the page asks.

use crate::fault::{At, hex, refuse, same, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// What a key signs, and with what mark C2SP's keys say so.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signs {
    /// Ed25519 over notes and manifests.
    Log,
    /// Ed25519 cosignatures with a time.
    Witness,
    /// Ed25519 over a number and a note's text.
    Epoch,
}

impl Signs {
    /// What stands before the public key.
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Log => b"\x01",
            Self::Witness => b"\x04",
            Self::Epoch => b"\xffmaskgate epoch v1",
        }
    }
}

/// What an origin and a witness may be called.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_./:~-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

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

/// A verifier key: `name+hex(key id)+base64(mark ‖ public key)`.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) public: [u8; 32],
}

impl Key {
    /// Reads the key; its id must be the one that its name and its bytes have.
    pub(crate) fn read(text: &str, signs: Signs) -> Result<Self, String> {
        let wrong = || {
            let text = shown(text, 200);
            format!("not an Ed25519 verifier key of this kind: {text}")
        };
        let (name, rest) = text.split_once('+').ok_or_else(wrong)?;
        let (stated, encoded) = rest.split_once('+').ok_or_else(wrong)?;
        refuse(!is_name(name), wrong)?;
        let key = decode64(encoded)?;
        let public = key.strip_prefix(signs.mark()).ok_or_else(wrong)?;
        let public = <[u8; 32]>::try_from(public).map_err(|_| wrong())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::unhex;

    fn bytes(value: &serde_json::Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        let pairs = (0..text.len() / 2).map(|at| &text[at * 2..at * 2 + 2]);
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect()
    }

    #[test]
    fn the_vectors_of_rfc_8032_hold_and_nothing_near_them() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/ed25519.json"
        );
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for vector in vectors["tests"].as_array().unwrap() {
            let public = bytes(&vector["public"]).try_into().unwrap();
            let (message, signature) = (bytes(&vector["message"]), bytes(&vector["signature"]));
            assert_eq!(strict(&public, &message, &signature), Ok(()));
            assert!(strict(&public, &[&message[..], b"x"].concat(), &signature).is_err());
            assert!(strict(&public, &message, &signature[1..]).is_err());
            for at in 0..64 {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert!(strict(&public, &message, &changed).is_err(), "{at}");
            }
            // S + L is as good in the equation.
            let order: [u8; 32] =
                unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
            let (mut more, mut carry) = (signature.clone(), 0);
            for (byte, add) in more[32..].iter_mut().zip(order) {
                let sum = u16::from(*byte) + u16::from(add) + carry;
                (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
            }
            assert!(strict(&public, &message, &more).is_err());
        }
    }

    #[test]
    fn points_of_small_order_and_second_spellings_are_refused() {
        for (text, why) in [
            (
                "0100000000000000000000000000000000000000000000000000000000000000",
                "small order",
            ),
            (
                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                "small order",
            ),
            (
                "0000000000000000000000000000000000000000000000000000000000000000",
                "small order",
            ),
            (
                "0000000000000000000000000000000000000000000000000000000000000080",
                "small order",
            ),
            (
                "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                "small order",
            ),
            (
                "0100000000000000000000000000000000000000000000000000000000000080",
                "one encoding",
            ),
            (
                "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                "one encoding",
            ),
            (
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                "one encoding",
            ),
            (
                "0200000000000000000000000000000000000000000000000000000000000000",
                "one encoding",
            ),
        ] {
            let public = unhex(text).unwrap();
            let said = strict(&public, b"", &[public, [0; 32]].concat()).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        let good = "example.com/log+1f2e58ee+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
        let id = Key::read(good, Signs::Log).unwrap_err();
        let id = id
            .rsplit_once("expected \"")
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0;
        let good = good.replace("1f2e58ee", id);
        let read = Key::read(&good, Signs::Log);
        assert_eq!(read.map(|key| key.text), Ok(good.clone()));
        assert!(Key::read(&good, Signs::Witness).is_err());
        for wrong in [
            good.replace("+AQ", "+Ag"),
            good.replace("example", "exämple"),
            good.replace("example.com/log", ""),
            good.replace('/', " "),
            good.to_uppercase(),
            good.replacen('+', "", 1),
            format!("{good}="),
            format!("{good}\n"),
            format!("{good}+"),
        ] {
            assert!(Key::read(&wrong, Signs::Log).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(decode64("AAE="), Ok(vec![0, 1]));
        for wrong in [
            "AAE", "AAF=", "AAE==", "A-_=", "AAE=\n", " AAE=", "AA=E", "A",
        ] {
            assert!(decode64(wrong).is_err(), "{wrong}");
        }
    }
}
