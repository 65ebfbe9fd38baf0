//! The numbered steps, in their order; each says its line when it has passed.

use crate::container::{Container, Member, SESSION};
use crate::epoch::Epoch;
use crate::fault::{At, Checked, Fault, hex, refuse, same, shown};
use crate::json::Nodes;
use crate::leaves::{End, Leaves};
use crate::listing::{Parts, list};
use crate::manifest::Manifest;
use crate::memory::{Known, Memory, Since};
use crate::note::Checkpoint;
use crate::receipts::Compared;
use crate::records::{Opened, Records, locate};
use crate::shape::{count, proof};
use crate::story::Story;
use crate::tree::check_extension;
use crate::trust::Trust;
use crate::{Brought, Verdict};
use std::io::{self, Read, Seek, SeekFrom};

/// Where the lines of the steps go.
pub(crate) type Say<'a> = dyn FnMut(&str) -> io::Result<()> + 'a;

/// All of it, when nothing is wrong. The listing comes behind the steps, and before a checkpoint is
/// remembered: should the file have been changed meanwhile, then nothing is.
pub(crate) fn procedure<F: Read + Seek>(
    file: &mut F,
    brought: Brought<'_>,
    say: &mut Say<'_>,
) -> Checked<(Verdict, String)> {
    let Brought { trust, listing, .. } = brought;
    let tools = concat!(
        "the verifier in Rust, version ",
        env!("CARGO_PKG_VERSION"),
        "; BLAKE3 of the crate blake3; Ed25519 of the crate ed25519-dalek"
    );
    step(say, 0, "tools", tools)?;
    let container = Container::read(file)?;
    let told = format!(
        "{} members, {} bytes, none of them free",
        container.members.len(),
        container.bytes
    );
    step(say, 1, "container", &told)?;

    let manifest = Manifest::read(&container.member("manifest.json")?.kept).at("manifest.json")?;
    step(
        say,
        2,
        "manifest",
        &format!("signed by {}", manifest.key.text),
    )?;

    check_members(file, &container, &manifest)?;
    let told = "each as long and with the SHA-256 that the manifest says";
    step(say, 3, "members", told)?;

    let told = match trust {
        None => "no trust file: the bundle vouches for itself, which proves nothing".to_owned(),
        Some(trust) => {
            check_trust(&manifest, trust).at("trust")?;
            format!("the trust file names this origin and key: {}", trust.origin)
        }
    };
    step(say, 4, "trust", &told)?;

    let note = &container.member("checkpoint")?.kept;
    let checkpoint = Checkpoint::read(note, &manifest.key, trust)?;
    let mut told = format!("{} leaves, root {}", checkpoint.size, hex(&checkpoint.root));
    if trust.is_some_and(|trust| !trust.witnesses.is_empty()) {
        told.push_str("; cosigned by ");
        told.push_str(&match checkpoint.cosigned.as_slice() {
            [] => "no known witness".to_owned(),
            known => known.join(", "),
        });
    }
    step(say, 5, "checkpoint", &told)?;

    let data = &container.member("ledger/leaves.jsonl")?.kept;
    let leaves = placed(
        Leaves::read(data, &checkpoint, &manifest, trust),
        "ledger/leaves.jsonl",
    )?;
    let mut told = format!(
        "boot, open and {} leaf are under it: {:?}",
        leaves.end.word(),
        leaves.indices
    );
    told.push_str(&match leaves.epoch {
        None => "; no epochs yet".to_owned(),
        Some(Epoch { number, index }) => {
            format!("; signed in epoch {number}, certified at leaf {index}")
        }
    });
    step(say, 6, "ledger", &told)?;

    let session = container.member(SESSION)?;
    let mut parts = Parts::default();
    let each = |raw: &[u8]| {
        if listing {
            parts.add(raw);
        }
    };
    let source = part(file, session)?;
    let records = placed(
        Records::read(
            source,
            session.sha256,
            &manifest,
            &leaves,
            brought.receipts.is_some(),
            each,
        ),
        SESSION,
    )?;
    let told = format!(
        "{} in one chain, as the {} leaf says",
        manifest.records,
        leaves.end.word()
    );
    step(say, 7, "records", &told)?;

    let Records {
        opened,
        story,
        released,
        ..
    } = records;
    let opened = opened.ok_or_else(|| "session.jsonl: no record".to_owned())?;
    let stated = &container.member("ledger/consistency.json")?.kept;
    let since = check_consistency(stated, opened, &checkpoint).at("ledger/consistency.json")?;
    let told = format!(
        "opened at checkpoint {}, which this ledger extends",
        opened.size
    );
    step(say, 8, "time", &told)?;
    step(say, 9, "statements", &statements(&story))?;

    check_documents(&container, &story)?;
    let told = format!(
        "grant.json and policy.toml are the recorded ones; report.html retells the records, --list \
         shows them; verify.py has SHA-256 {}",
        hex(&container.member("verify.py")?.sha256)
    );
    step(say, 10, "documents", &told)?;
    let unfinished = match leaves.end {
        End::Close => None,
        End::Recovery => Some("the gateway stopped before the session was closed"),
        End::Commit => Some("the session was still open when this was exported"),
    };
    let unfinished = unfinished.map(|why| format!("incomplete: {why}"));
    let mut missing: Vec<String> = unfinished.into_iter().collect();
    if let (Some(path), Some(released)) = (brought.receipts, &released) {
        let Manifest { session, key, .. } = &manifest;
        let compared = Compared::with(path, session, key, released, &story)?;
        step(say, 11, "receipts", &compared.told())?;
        if !compared.all_found() {
            let text = "incomplete: not every receipt is of a statement in this bundle";
            missing.push(text.to_owned());
        }
    }
    let quorum = trust.map(|trust| trust.quorum);
    let seen = checkpoint.cosigned.len() as u64;
    let mut unwritten = None;
    let lacking = match quorum {
        None => Some("give --trust a file that you did not get with the bundle".to_owned()),
        Some(quorum) if seen < quorum => Some(format!(
            "{seen} of the {quorum} witnesses it needs have cosigned the checkpoint"
        )),
        Some(_) => match brought.remember {
            None => None,
            Some(path) => {
                let memory = Memory::read(path, &manifest.key.name)?;
                match memory.judge(&checkpoint, opened, &since)? {
                    Known::Seen => None,
                    Known::Unproven(why) => Some(why),
                    Known::New => {
                        unwritten = Some(memory);
                        None
                    }
                }
            }
        },
    };
    missing.extend(lacking.map(|why| format!("not anchored: {why}")));
    if listing {
        list(part(file, session)?, parts.hashes(), say)?;
    }
    if let Some(memory) = unwritten {
        memory.add(&checkpoint)?;
    }
    Ok(match missing.as_slice() {
        [] => (Verdict::Verified, "verified and anchored".to_owned()),
        _ => (Verdict::Incomplete, missing.join("; ")),
    })
}

fn step(say: &mut Say<'_>, number: u8, name: &str, text: &str) -> Checked<()> {
    say(&format!("{number:2}. {name}: {}", shown(text, 1000))).map_err(Fault::Unheard)
}

fn placed<T>(checked: Checked<T>, place: &str) -> Checked<T> {
    checked.map_err(|fault| match fault {
        Fault::Tampered(text) => Fault::Tampered(format!("{place}: {text}")),
        other => other,
    })
}

/// A member's bytes, from the file again.
fn part<'f, F: Read + Seek>(file: &'f mut F, member: &Member) -> Checked<io::Take<&'f mut F>> {
    file.seek(SeekFrom::Start(member.start))
        .map_err(Fault::Unreadable)?;
    Ok(file.take(member.size))
}

fn check_members<F: Read + Seek>(
    file: &mut F,
    container: &Container,
    manifest: &Manifest,
) -> Checked<()> {
    manifest
        .check_names(&container.members)
        .at("manifest.json")?;
    for member in container.members.iter().skip(1) {
        match manifest.check_member(member) {
            Err(_) if member.name == SESSION => {
                return Err(locate(part(file, member)?, manifest.records));
            }
            other => other.at(member.name)?,
        }
    }
    Ok(())
}

fn check_trust(manifest: &Manifest, trust: &Trust) -> Result<(), String> {
    same("origin", &manifest.key.name, &trust.origin)?;
    refuse(!trust.keys.contains(&manifest.key.text), || {
        let key = shown(&manifest.key.text, 200);
        format!("the trust file does not name {key}")
    })
}

/// The checkpoint that the session was opened at is a beginning of the one in the bundle.
/// Gives the proof from one that the auditor remembers; nobody's leads from nothing.
fn check_consistency(raw: &[u8], opened: Opened, checkpoint: &Checkpoint) -> Result<Since, String> {
    let mut nodes = Nodes::default();
    let stated = nodes.spelled_with(raw, &["from", "proof", "to"], "since")?;
    same("from", count(stated, "from")?, opened.size)?;
    same("to", count(stated, "to")?, checkpoint.size)?;
    check_extension(
        opened.size,
        checkpoint.size,
        &proof(stated)?,
        &opened.root,
        &checkpoint.root,
    )?;
    let Some(stated) = stated.get("since") else {
        return Ok(Since::default());
    };
    stated.has_only(&["from", "proof"]).at("since")?;
    let since = Since {
        from: count(stated, "from").at("since")?,
        proof: proof(stated).at("since")?,
    };
    refuse(since.from > checkpoint.size, || {
        "since is over the checkpoint's size".to_owned()
    })?;
    Ok(since)
}

fn statements(story: &Story) -> String {
    let ends = story.ends;
    let counts = [
        (ends.cancels, "cancel"),
        (ends.errors, "error"),
        (ends.refusals, "refusal"),
        (ends.releases, "release"),
        (story.unfinished() as u64, "unfinished"),
    ];
    let told: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let told = if told.is_empty() {
        "none".to_owned()
    } else {
        told.join(", ")
    };
    format!(
        "{} ({told}); {} rows released",
        story.statements(),
        story.rows
    )
}

fn check_documents(container: &Container, story: &Story) -> Result<(), String> {
    let grant = &container.member("grant.json")?.kept;
    refuse(grant.strip_suffix(b"\n") != Some(&story.grant), || {
        "grant.json: not the grant of the open record".to_owned()
    })?;
    let policy = container.member("policy.toml")?.blake3;
    let got = policy.map(|hash| hex(hash.as_bytes())).unwrap_or_default();
    same("policy.toml, BLAKE3", got, hex(&story.policy))
}
