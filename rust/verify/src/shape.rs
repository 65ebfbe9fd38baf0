//! What an object must hold: members by name and kind. Further members are nobody's business.

use crate::fault::{shown, unhex};
use crate::json::{Kind, Value};
use std::borrow::Cow;

/// A kind of member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Any,
    Text,
    TextOrNull,
    Count,
    CountOrNull,
    Hash,
    Truth,
    List,
    Object,
}

/// The members that an object must hold, in rising order.
pub(crate) type Shape = [(&'static str, Is)];

/// `holder` is an object that holds what the shape says.
pub(crate) fn fits(holder: Value<'_>, shape: &Shape) -> Result<(), String> {
    if holder.kind() != Kind::Object {
        return Err(format!("expected an object, got {}", holder.kind().word()));
    }
    // Records are in their one spelling, so that one walk finds all; others are searched.
    let mut walk = holder.walk();
    for &(name, is) in shape {
        let found = walk.find_map(|(key, value)| key.is(name).then_some(value));
        let value = match found {
            Some(value) => value,
            None => needed(holder, name)?,
        };
        let null = value.kind() == Kind::Null;
        match is {
            Is::Any => {}
            Is::TextOrNull | Is::CountOrNull if null => {}
            Is::Text | Is::TextOrNull => kind(value, name, Kind::String)?,
            Is::Count | Is::CountOrNull => _ = counted(value, name)?,
            Is::Hash => _ = hashed::<32>(value, name)?,
            Is::Truth => kind(value, name, Kind::Boolean)?,
            Is::List => kind(value, name, Kind::List)?,
            Is::Object => kind(value, name, Kind::Object)?,
        }
    }
    Ok(())
}

/// A member that must be there.
pub(crate) fn needed<'a>(holder: Value<'a>, name: &str) -> Result<Value<'a>, String> {
    holder.get(name).ok_or_else(|| format!("{name} is missing"))
}

fn kind(value: Value<'_>, name: &str, expected: Kind) -> Result<(), String> {
    if value.kind() == expected {
        return Ok(());
    }
    let (expected, got) = (expected.word(), value.kind().word());
    Err(format!("{name} must be {expected}, got {got}"))
}

/// A member that is a string.
pub(crate) fn string<'a>(holder: Value<'a>, name: &str) -> Result<Cow<'a, str>, String> {
    let value = needed(holder, name)?;
    kind(value, name, Kind::String)?;
    Ok(value.string().unwrap_or_default())
}

/// A member that is an integer of 0 or more.
pub(crate) fn count(holder: Value<'_>, name: &str) -> Result<u64, String> {
    counted(needed(holder, name)?, name)
}

fn counted(value: Value<'_>, name: &str) -> Result<u64, String> {
    kind(value, name, Kind::Integer)?;
    let number = value.integer().unwrap_or(-1);
    u64::try_from(number).map_err(|_| format!("{name} is negative"))
}

/// A member that is `N` bytes in lower-case hex.
pub(crate) fn digest<const N: usize>(holder: Value<'_>, name: &str) -> Result<[u8; N], String> {
    hashed(needed(holder, name)?, name)
}

fn hashed<const N: usize>(value: Value<'_>, name: &str) -> Result<[u8; N], String> {
    kind(value, name, Kind::String)?;
    let text = value.string().unwrap_or_default();
    unhex(&text).ok_or_else(|| format!("{name} is not {N} bytes in hex: {}", shown(&text, 80)))
}

/// A proof: a list of hashes in hex.
pub(crate) fn proof(holder: Value<'_>) -> Result<Vec<[u8; 32]>, String> {
    let list = needed(holder, "proof")?;
    kind(list, "proof", Kind::List)?;
    let hashes = list.items().map(|item| unhex(item.string()?.as_ref()));
    hashes
        .collect::<Option<_>>()
        .ok_or_else(|| "proof must hold hashes in hex".to_owned())
}
