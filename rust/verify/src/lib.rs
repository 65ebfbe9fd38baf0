//! The second verifier of evidence bundles: what the auditor's script says, by other code, faster.
//!
//! Written from `docs/session-log.md` in another language with other libraries, so that a mistake in
//! one of the two shows as a difference. It refuses to repair, to guess, and to warn and go on: the
//! first thing that is wrong is the verdict. No input makes it panic. It reads a bundle from its
//! beginning to its end and the records once more, and holds the small members, one record, and one
//! entry for each statement that runs, however large the file is or says that it is; where receipts
//! are compared, a hash for each statement that was released.

#![forbid(unsafe_code)]

mod container;
mod epoch;
mod fault;
mod json;
mod key;
mod leaves;
mod lines;
mod listing;
mod manifest;
mod memory;
mod note;
mod procedure;
mod receipts;
mod records;
mod shape;
mod story;
mod time;
mod tree;
mod trust;

pub use trust::{TRUST_LIMIT, Trust};

use fault::{Fault, named, shown};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// What a bundle is; the numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte is as recorded, the session is closed, and a trust file names the key.
    Verified = 0,
    /// Something is not as it was recorded.
    Tampered = 1,
    /// The session is open, or nothing from outside names the key.
    Incomplete = 2,
    /// Nothing was judged: a file cannot be read, or the trust file is none.
    Usage = 3,
}

impl Verdict {
    /// Its exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What the auditor brings to the bundle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought<'a> {
    /// Which keys he trusts.
    pub trust: Option<&'a Trust>,
    /// The file of the checkpoints that he has seen: compared, and added to.
    pub remember: Option<&'a Path>,
    /// What clients kept of statements: a file, or a directory of them.
    pub receipts: Option<&'a Path>,
    /// The records of a bundle in which nothing is wrong are said as well.
    pub listing: bool,
}

/// Judges the bundle: a line to `say` for each step that passed, and the sentence on what it came to.
///
/// # Errors
///
/// Only those of `say`: what cannot be read is [`Verdict::Usage`].
pub fn verify<F: Read + Seek>(
    bundle: &mut F,
    brought: Brought<'_>,
    say: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<(Verdict, String)> {
    match procedure::procedure(bundle, brought, say) {
        Ok((verdict, text)) => Ok((verdict, format!("verdict {}: {text}", verdict.code()))),
        Err(Fault::Tampered(text)) => {
            let sentence = format!("verdict 1: tampered: {}", shown(&text, 1000));
            Ok((Verdict::Tampered, sentence))
        }
        Err(Fault::Unreadable(error)) => Ok((Verdict::Usage, error.to_string())),
        Err(Fault::Usage(text)) => Ok((Verdict::Usage, text)),
        Err(Fault::Unheard(error)) => Err(error),
    }
}

/// As [`verify`], of files: the trust file is read first, and a bundle must be a file.
///
/// # Errors
///
/// Only those of `say`.
pub fn verify_file(
    bundle: &Path,
    trust: Option<&Path>,
    brought: Brought<'_>,
    say: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<(Verdict, String)> {
    let usage = |text: String| Ok((Verdict::Usage, text));
    let trust = match trust.map(trust_file).transpose() {
        Ok(trust) => trust,
        Err(text) => return usage(text),
    };
    // Asked before it is opened too: to open a pipe is to wait for whoever writes into it.
    let file = match std::fs::metadata(bundle) {
        Ok(about) if about.is_file() => File::open(bundle),
        _ => return usage(format!("{}: no such file", named(bundle))),
    };
    let trust = trust.as_ref();
    match file {
        Ok(mut file) => verify(&mut file, Brought { trust, ..brought }, say),
        Err(error) => usage(format!("{}: {error}", named(bundle))),
    }
}

fn trust_file(path: &Path) -> Result<Trust, String> {
    let mut raw = Vec::new();
    let limit = TRUST_LIMIT as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut raw))
        .map_err(|error| error.to_string())
        .and_then(|_| Trust::read(&raw))
        .map_err(|text| format!("trust file {}: {}", named(path), shown(&text, 200)))
}
