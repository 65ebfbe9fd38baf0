//! The container: a ZIP file that has one form, read from its beginning to its end once.
//!
//! It refuses every byte that these members would not have put there. A length that is claimed costs
//! nothing: room is taken for bytes that have come, and only for the small members.

use crate::fault::{Checked, Fault, refuse, same, shown};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read};

/// What is done with a member's bytes beside hashing them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Kept in memory.
    Keep,
    /// Hashed with BLAKE3 too.
    Blake3,
    /// Nothing.
    Pass,
}

/// The members in their order, with the most bytes each may have.
const MEMBERS: [(&str, u32, Use); 10] = [
    ("manifest.json", 1 << 16, Use::Keep),
    (SESSION, u32::MAX, Use::Pass),
    ("ledger/leaves.jsonl", 1 << 20, Use::Keep),
    ("ledger/consistency.json", 1 << 16, Use::Keep),
    ("checkpoint", 1 << 16, Use::Keep),
    ("grant.json", 16 << 20, Use::Keep),
    ("policy.toml", 16 << 20, Use::Blake3),
    ("report.html", u32::MAX, Use::Pass),
    ("verify.py", 1 << 20, Use::Pass),
    ("README.txt", 1 << 20, Use::Pass),
];
pub(crate) const SESSION: &str = "session.jsonl";
/// The container has no ZIP64.
const FILE_LIMIT: u64 = u32::MAX as u64;
pub(crate) const BLOCK: usize = 1 << 18;

/// What stands in both headers of a member: version, flags, method, time, date.
const FIXED: [u8; 10] = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
/// Made by Unix; the version again.
const MADE_BY: [u8; 2] = [20, 3];
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// One member as it was found.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    /// Where its bytes begin in the file.
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
    /// Of policy.toml.
    pub(crate) blake3: Option<blake3::Hash>,
    /// The bytes of a small member; empty for others.
    pub(crate) kept: Vec<u8>,
}

/// The members, and how long the file is.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) members: Vec<Member>,
    pub(crate) bytes: u64,
}

impl Container {
    /// Reads to the end of the file.
    pub(crate) fn read(file: &mut impl Read) -> Checked<Self> {
        let mut made = Self {
            members: Vec::with_capacity(MEMBERS.len()),
            bytes: 0,
        };
        let mut block = vec![0; BLOCK];
        let mut central = Vec::new();
        for (name, limit, usage) in MEMBERS {
            made.take(file, name, limit, usage, &mut block, &mut central)
                .map_err(|fault| within(fault, name))?;
        }
        made.ending(file, central)
            .map_err(|fault| within(fault, "directory"))?;
        Ok(made)
    }

    /// A member by its name; there is one of each.
    pub(crate) fn member(&self, name: &str) -> Result<&Member, String> {
        let mut members = self.members.iter();
        members
            .find(|member| member.name == name)
            .ok_or_else(|| format!("container: {name} is missing"))
    }

    fn take(
        &mut self,
        file: &mut impl Read,
        name: &'static str,
        limit: u32,
        usage: Use,
        block: &mut [u8],
        central: &mut Vec<u8>,
    ) -> Checked<()> {
        let at = u32::try_from(self.bytes).map_err(|_| over())?;
        let mut header = [0; 30];
        exact(file, &mut header, "before this member")?;
        let (mark, rest) = header.split_at(4);
        refuse(mark != b"PK\x03\x04", || {
            format!("no member begins at byte {at}")
        })?;
        let mut stated = Fields(rest);
        let (fixed, crc, size) = (stated.take::<10>()?, stated.u32()?, stated.u32()?);
        let (again, length, extra) = (stated.u32()?, stated.u16()?, stated.u16()?);
        let mut found = vec![0; usize::from(length)];
        exact(file, &mut found, "in the name of this member")?;
        let found = String::from_utf8_lossy(&found);
        refuse(found != name, || {
            format!("expected this member, got {}", shown(&found, 100))
        })?;
        refuse(size > limit, || {
            format!("{size} bytes, at most {limit} allowed")
        })?;
        same("version, flags, method, time, date", fixed, FIXED)?;
        same("sizes", (again, extra), (size, 0))?;
        let start = u64::from(at) + 30 + u64::from(length);
        let (member, found) = contents(file, name, size, start, usage, block)?;
        same("CRC-32", crc, found)?;
        self.bytes = start + u64::from(size);
        self.members.push(member);
        central.extend_from_slice(b"PK\x01\x02");
        central.extend_from_slice(&MADE_BY);
        central.extend_from_slice(rest);
        central.extend_from_slice(&[0; 6]); // comment, disk, internal attributes
        central.extend_from_slice(&ATTRIBUTES.to_le_bytes());
        central.extend_from_slice(&at.to_le_bytes());
        central.extend_from_slice(name.as_bytes());
        Ok(())
    }

    /// The directory that these members have, and nothing behind it.
    fn ending(&mut self, file: &mut impl Read, mut expected: Vec<u8>) -> Checked<()> {
        let at = u32::try_from(self.bytes).map_err(|_| over())?;
        let count = [u8::try_from(self.members.len()).unwrap_or(u8::MAX), 0];
        let length = u32::try_from(expected.len()).unwrap_or(u32::MAX);
        expected.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        expected.extend_from_slice(&count);
        expected.extend_from_slice(&count);
        expected.extend_from_slice(&length.to_le_bytes());
        expected.extend_from_slice(&at.to_le_bytes());
        expected.extend_from_slice(&[0; 2]); // no comment
        let mut stored = vec![0; expected.len()];
        exact(file, &mut stored, "in the directory")?;
        refuse(stored != expected, || {
            "not the one these members have".to_owned()
        })?;
        self.bytes += expected.len() as u64;
        refuse(self.bytes > FILE_LIMIT, over)?;
        let behind = some(file, &mut [0; 1])?;
        refuse(behind != 0, || "bytes behind it".to_owned())?;
        Ok(())
    }
}

fn over() -> String {
    format!("more than {FILE_LIMIT} bytes")
}

fn within(fault: Fault, name: &str) -> Fault {
    match fault {
        Fault::Tampered(text) => Fault::Tampered(format!("container, {name}: {text}")),
        other => other,
    }
}

/// A member's bytes, hashed as they come; its CRC-32 beside it.
fn contents(
    file: &mut impl Read,
    name: &'static str,
    size: u32,
    start: u64,
    usage: Use,
    block: &mut [u8],
) -> Checked<(Member, u32)> {
    let (mut sha256, mut crc) = (Sha256::new(), crc32fast::Hasher::new());
    let mut blake3 = blake3::Hasher::new();
    let mut kept = Vec::new();
    let mut left = size as usize;
    while left > 0 {
        let room = left.min(block.len());
        let read = some(file, block.get_mut(..room).unwrap_or_default())?;
        refuse(read == 0, || "the file ends inside this member".to_owned())?;
        let bytes = block.get(..read).unwrap_or_default();
        sha256.update(bytes);
        crc.update(bytes);
        match usage {
            Use::Keep => kept.extend_from_slice(bytes),
            Use::Blake3 => _ = blake3.update(bytes),
            Use::Pass => {}
        }
        left -= read;
    }
    let member = Member {
        name,
        start,
        size: u64::from(size),
        sha256: sha256.finalize().into(),
        blake3: (usage == Use::Blake3).then(|| blake3.finalize()),
        kept,
    };
    Ok((member, crc.finalize()))
}

/// Fills the room, or says that the file ends here.
fn exact(file: &mut impl Read, room: &mut [u8], place: &str) -> Checked<()> {
    file.read_exact(room).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Fault::Tampered(format!("the file ends {place}")),
        _ => Fault::Unreadable(error),
    })
}

/// As many bytes as come at once; none at the end of the file.
pub(crate) fn some(file: &mut impl Read, room: &mut [u8]) -> Checked<usize> {
    loop {
        match file.read(room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.map_err(Fault::Unreadable),
        }
    }
}

/// The fields of a header, in little-endian order.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| "the header is too short".to_owned())?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }
}
