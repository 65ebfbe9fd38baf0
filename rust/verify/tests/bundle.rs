//! The bundle among the vectors, whole and damaged, from sources that behave badly.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use proptest::prelude::*;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use verify::{Brought, Trust, Verdict, verify};

fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

fn trust() -> Trust {
    Trust::read(&vector("trust.json")).unwrap()
}

fn judged(source: &mut (impl Read + Seek), listing: bool) -> (Verdict, Vec<String>) {
    let mut said = Vec::new();
    let mut say = |line: &str| {
        said.push(line.to_owned());
        Ok(())
    };
    let brought = Brought {
        trust: Some(&trust()),
        listing,
        ..Brought::default()
    };
    let (verdict, sentence) = verify(source, brought, &mut say).unwrap();
    said.push(sentence);
    (verdict, said)
}

#[test]
fn the_vector_is_verified_and_anchored() {
    let (verdict, said) = judged(&mut Cursor::new(vector("bundle.zip")), true);
    assert_eq!(verdict, Verdict::Verified, "{said:?}");
    assert_eq!(said.last().unwrap(), "verdict 0: verified and anchored");
    for (number, line) in said.iter().take(11).enumerate() {
        assert!(line.starts_with(&format!("{number:2}. ")), "{line}");
    }
    assert!(said[11].starts_with("\n[0] 2026-11-22T12:00:00.000000Z open\n    actor: maria@"));
    let bundle = &mut Cursor::new(vector("bundle.zip"));
    let (verdict, _) = verify(bundle, Brought::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(verdict, Verdict::Incomplete);
}

#[test]
fn the_vector_with_epochs_is_signed_by_the_one_in_force() {
    let trust = Trust::read(&vector("trust-epochs.json")).unwrap();
    let trusting = |bundle: &str, trust: &Trust| {
        let (mut said, source) = (Vec::new(), &mut Cursor::new(vector(bundle)));
        let brought = Brought {
            trust: Some(trust),
            ..Brought::default()
        };
        let mut say = |line: &str| {
            said.push(line.to_owned());
            Ok(())
        };
        let (verdict, sentence) = verify(source, brought, &mut say).unwrap();
        (verdict, format!("{}\n{sentence}", said.join("\n")))
    };
    let (verdict, said) = trusting("bundle-epochs.zip", &trust);
    assert_eq!(verdict, Verdict::Verified, "{said}");
    assert!(said.contains("; signed in epoch "), "{said}");
    let stated = String::from_utf8(vector("trust.json")).unwrap();
    let demanding = stated.replace("\"v\": 1", "\"v\": 1, \"epochs\": 1");
    let (verdict, said) = trusting("bundle.zip", &Trust::read(demanding.as_bytes()).unwrap());
    assert_eq!(verdict, Verdict::Tampered, "{said}");
    assert!(said.contains("epochs hold at"), "{said}");
}

#[test]
fn one_bit_of_each_byte_and_each_cut() {
    let whole = vector("bundle.zip");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let (verdict, said) = judged(&mut Cursor::new(changed), false);
        assert_eq!(verdict, Verdict::Tampered, "byte {at}: {said:?}");
    }
    for end in (0..whole.len()).step_by(7) {
        let (verdict, _) = judged(&mut Cursor::new(&whole[..end]), false);
        assert_eq!(verdict, Verdict::Tampered, "the first {end} bytes");
    }
    for behind in [&b"\0"[..], b"PK\x05\x06", &whole] {
        let joined = [&whole[..], behind].concat();
        assert_eq!(judged(&mut Cursor::new(joined), false).0, Verdict::Tampered);
    }
}

/// Gives other bytes from the second or third time that it is read through.
struct Fickle {
    readings: Vec<Vec<u8>>,
    seeks: usize,
    at: usize,
}

impl Read for Fickle {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let data = &self.readings[self.seeks.min(self.readings.len() - 1)];
        let from = data.get(self.at..).unwrap_or_default();
        let count = from.len().min(room.len());
        room[..count].copy_from_slice(&from[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Seek for Fickle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(at) = to else {
            return Err(io::Error::other("from its beginning only"));
        };
        (self.at, self.seeks) = (usize::try_from(at).unwrap(), self.seeks + 1);
        Ok(at)
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_shows_nothing_else() {
    let whole = vector("bundle.zip");
    let text = b"maria@example.org";
    let place = whole
        .windows(text.len())
        .position(|part| part == text)
        .unwrap();
    let mut other = whole.clone();
    other[place..place + 5].copy_from_slice(b"carla");
    for readings in [
        vec![whole.clone(), other.clone()],
        vec![whole.clone(), whole.clone(), other.clone()],
        vec![whole.clone(), whole.clone(), whole[..place].to_vec()],
        vec![other.clone(), whole.clone()],
    ] {
        let mut source = Fickle {
            readings,
            seeks: 0,
            at: 0,
        };
        let (verdict, said) = judged(&mut source, true);
        assert_eq!(verdict, Verdict::Tampered);
        assert!(!said.concat().contains("carla"), "{said:?}");
    }
}

#[test]
fn what_cannot_be_read_is_no_verdict_and_what_cannot_be_said_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    impl Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    assert_eq!(judged(&mut Broken, false).0, Verdict::Usage);
    let bundle = &mut Cursor::new(vector("bundle.zip"));
    let said = verify(bundle, Brought::default(), &mut |_| {
        Err(io::Error::other("closed"))
    });
    assert_eq!(said.unwrap_err().to_string(), "closed");
}

#[test]
fn a_length_that_is_claimed_costs_nothing() {
    // Four gigabytes of records are announced, and a source without end gives a line without end.
    let mut start = vector("bundle.zip");
    let name = b"session.jsonl";
    let at = start
        .windows(name.len())
        .position(|part| part == name)
        .unwrap();
    start.truncate(at + name.len());
    for field in [at - 12, at - 8] {
        start[field..field + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    }
    let (verdict, said) = judged(&mut Cursor::new(start), false);
    assert_eq!(verdict, Verdict::Tampered);
    assert!(
        said.last()
            .unwrap()
            .contains("the file ends inside this member")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn damage_is_found_and_nothing_panics(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_usize,
            proptest::collection::vec(any::<u8>(), 0..40)), 1..4))
    {
        let whole = vector("bundle.zip");
        let mut changed = whole.clone();
        for (start, length, bytes) in cuts {
            let start = start.index(changed.len() + 1);
            let end = changed.len().min(start + length);
            changed.splice(start..end, bytes);
        }
        let (verdict, _) = judged(&mut Cursor::new(&changed), true);
        prop_assert_eq!(verdict == Verdict::Verified, changed == whole);
    }

    #[test]
    fn trust_files_are_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        prop_assert!(Trust::read(&raw).is_err());
        let mut good = vector("trust.json");
        let at = at.index(good.len());
        good[at] ^= 1;
        let _ = Trust::read(&good);
    }
}
