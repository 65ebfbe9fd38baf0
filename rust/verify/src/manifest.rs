//! The manifest: signed, in its one spelling, and true of every member.

use crate::container::Member;
use crate::fault::{At, hex, refuse, same, shown, unhex};
use crate::json::{Nodes, Value};
use crate::key::{Key, Signs, decode64};
use crate::shape::{count, digest, needed, string};
use crate::time::moment;
use std::borrow::Cow;

/// What a manifest's signature covers before the manifest itself.
const PREFIX: &[u8] = b"maskgate evidence manifest v1\n";
const KEYS: [&str; 9] = [
    "created",
    "key",
    "members",
    "origin",
    "records",
    "session",
    "signature",
    "type",
    "v",
];

/// What the manifest says, its signature and its members checked.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) key: Key,
    /// The session's id as it is written, and its bytes.
    pub(crate) session: String,
    pub(crate) sid: [u8; 16],
    pub(crate) records: u64,
    listed: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    name: String,
    bytes: u64,
    sha256: [u8; 32],
}

impl Manifest {
    /// Step 2: reads it and checks its signature by the key that it names itself.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, String> {
        let mut nodes = Nodes::default();
        let stated = nodes.spelled(raw, &KEYS)?;
        version(stated)?;
        let kind = string(stated, "type")?;
        same("type", kind.as_ref(), "evidence")?;
        moment(&string(stated, "created")?).at("created")?;
        let key = Key::read(&string(stated, "key")?, Signs::Log)?;
        same("origin", string(stated, "origin")?.as_ref(), &key.name)?;
        let session = string(stated, "session")?.into_owned();
        let sid = session_id(&session)
            .ok_or_else(|| format!("not a session's id: {}", shown(&session, 60)))?;
        let records = count(stated, "records")?;
        let signature = decode64(&string(stated, "signature")?).at("signature")?;
        let signed = [PREFIX, &stated.canonical_without("signature")].concat();
        key.check(&signed, &signature)?;
        let listed = needed(stated, "members")?.members().map(Listed::read);
        Ok(Self {
            key,
            session,
            sid,
            records,
            listed: listed.collect::<Result<_, _>>().at("members")?,
        })
    }

    /// Step 3: it names the other members and no more.
    pub(crate) fn check_names(&self, members: &[Member]) -> Result<(), String> {
        let mut found: Vec<_> = members.iter().skip(1).map(|member| member.name).collect();
        let mut listed: Vec<_> = self.listed.iter().map(|one| one.name.as_str()).collect();
        found.sort_unstable();
        listed.sort_unstable();
        same("members", listed, found)
    }

    /// Step 3: the member is as long as it says, with that SHA-256.
    pub(crate) fn check_member(&self, member: &Member) -> Result<(), String> {
        let Some(one) = self.listed.iter().find(|one| one.name == member.name) else {
            return Err("is not listed".to_owned());
        };
        same("bytes", member.size, one.bytes)?;
        let (got, expected) = (hex(&member.sha256), hex(&one.sha256));
        same("SHA-256", got.as_str(), expected.as_str())
    }
}

impl Listed {
    fn read((name, entry): (Cow<'_, str>, Value<'_>)) -> Result<Self, String> {
        let read = || {
            entry.has_only(&["bytes", "sha256"])?;
            Ok::<_, String>((count(entry, "bytes")?, digest(entry, "sha256")?))
        };
        let (bytes, sha256) = read().at(shown(&name, 60))?;
        Ok(Self {
            name: name.into_owned(),
            bytes,
            sha256,
        })
    }
}

/// `v` is 1.
pub(crate) fn version(stated: Value<'_>) -> Result<(), String> {
    refuse(stated.get("v").and_then(|v| v.integer()) != Some(1), || {
        "v must be 1".to_owned()
    })
}

/// The bytes of a UUID in lower-case hex with hyphens.
fn session_id(text: &str) -> Option<[u8; 16]> {
    let hyphens = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-');
    let places: Vec<_> = hyphens.map(|(place, _)| place).collect();
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    unhex(&digits).filter(|_| places == [8, 13, 18, 23])
}
