//! The auditor's own file: which origin, which keys sign for it, and which witnesses are enough.

use crate::fault::{At, refuse, same};
use crate::json::{Kind, Nodes, Value};
use crate::key::{Key, Signs};
use crate::manifest::version;
use crate::shape::{count, needed, string};
use std::collections::HashSet;

/// The most bytes that a trust file has.
pub const TRUST_LIMIT: usize = 1 << 16;
const KEYS: [&str; 4] = ["keys", "origin", "type", "v"];
const OPTIONAL: [&str; 3] = ["epochs", "quorum", "witnesses"];

/// An origin, the keys that may sign for it, and the witnesses that must have seen what they sign.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) origin: String,
    pub(crate) keys: Vec<String>,
    pub(crate) witnesses: Vec<Key>,
    /// From this size on an epoch's key must have signed too; 0 where nothing is asked.
    pub(crate) epochs: u64,
    /// So many of the witnesses; none where there are none.
    pub(crate) quorum: u64,
}

impl Trust {
    /// Reads the file's bytes. A member that is not known is refused: a misspelled demand is one
    /// that nobody checks.
    ///
    /// # Errors
    ///
    /// A sentence on what is wrong with the file.
    pub fn read(raw: &[u8]) -> Result<Self, String> {
        refuse(raw.len() > TRUST_LIMIT, || {
            format!("longer than {TRUST_LIMIT} bytes")
        })?;
        let mut nodes = Nodes::default();
        let stated = nodes.file(raw)?;
        let demanding = stated.get("witnesses").is_some() || stated.get("quorum").is_some();
        let given = OPTIONAL.iter().filter(|name| stated.get(name).is_some());
        let mut names: Vec<&str> = KEYS.iter().chain(given).copied().collect();
        names.sort_unstable();
        stated.has_only(&names)?;
        let epochs = match stated.get("epochs") {
            None => 0,
            Some(_) => count(stated, "epochs")?,
        };
        same("type", string(stated, "type")?.as_ref(), "trust")?;
        version(stated)?;
        let origin = string(stated, "origin")?.into_owned();
        let keys = listed(stated, "keys", Signs::Log)?;
        for key in &keys {
            same("name of a key", key.name.as_str(), origin.as_str())?;
        }
        let (mut witnesses, mut quorum) = (Vec::new(), 0);
        if demanding {
            witnesses = listed(stated, "witnesses", Signs::Witness)?;
            quorum = count(stated, "quorum")?;
            let different: HashSet<_> = witnesses.iter().map(|one| one.public).collect();
            let what = "witnesses with keys of their own";
            same(what, different.len(), witnesses.len())?;
            let possible = 1..=witnesses.len() as u64;
            refuse(!possible.contains(&quorum), || {
                "no quorum of these witnesses".to_owned()
            })?;
        }
        Ok(Self {
            origin,
            keys: keys.into_iter().map(|key| key.text).collect(),
            epochs,
            witnesses,
            quorum,
        })
    }
}

/// A list of keys that is not empty.
fn listed(stated: Value<'_>, name: &str, signs: Signs) -> Result<Vec<Key>, String> {
    let list = needed(stated, name)?;
    refuse(
        list.kind() != Kind::List || list.items().next().is_none(),
        || format!("{name} must name keys"),
    )?;
    let read = |item: Value<'_>| {
        let text = item.string().ok_or("a key is text")?;
        Key::read(&text, signs)
    };
    list.items().map(read).collect::<Result<_, _>>().at(name)
}
