//! The auditor's own file: which origin, and which keys sign for it.

use crate::fault::{At, same};
use crate::json::{Kind, Nodes};
use crate::key::Key;
use crate::manifest::version;
use crate::shape::{needed, string};

/// The most bytes that a trust file has.
pub const TRUST_LIMIT: usize = 1 << 16;

/// An origin and the keys that may sign for it.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) origin: String,
    pub(crate) keys: Vec<String>,
}

impl Trust {
    /// Reads the file's bytes.
    ///
    /// # Errors
    ///
    /// A sentence on what is wrong with the file.
    pub fn read(raw: &[u8]) -> Result<Self, String> {
        if raw.len() > TRUST_LIMIT {
            return Err(format!("longer than {TRUST_LIMIT} bytes"));
        }
        let mut nodes = Nodes::default();
        let stated = nodes.file(raw)?;
        same("type", string(stated, "type")?.as_ref(), "trust")?;
        version(stated)?;
        let origin = string(stated, "origin")?.into_owned();
        let listed = needed(stated, "keys")?;
        let mut keys = Vec::new();
        for item in listed.items() {
            let text = item.string().ok_or("keys must name keys")?;
            let key = Key::read(&text).at("keys")?;
            same("name of a key", key.name.as_str(), origin.as_str())?;
            keys.push(key.text);
        }
        if listed.kind() != Kind::List || keys.is_empty() {
            return Err("keys must name keys".to_owned());
        }
        Ok(Self { origin, keys })
    }
}
