//! Trees of real servers: read as expected, refused when anything about them is changed for the worse,
//! and never a panic, whatever is done to them.

// What tests share may fail loudly; the crate itself may not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pgtree::{Lineage, TreeError, digest, lineage, relations_named, stored_lineage};
use proptest::prelude::*;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

struct Captured {
    path: PathBuf,
    major: u16,
    expected: String,
    tree: String,
}

static CAPTURED: LazyLock<Vec<Captured>> = LazyLock::new(|| {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let mut found = Vec::new();
    for major in 15..=18 {
        for entry in std::fs::read_dir(base.join(major.to_string())).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut parts = text.splitn(3, '\n');
            let (_, expected, tree) = (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            );
            found.push(Captured {
                path,
                major,
                expected: expected.to_owned(),
                tree: tree.to_owned(),
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
});

/// The trees that are admitted, as an index into them.
fn admitted() -> Vec<&'static Captured> {
    CAPTURED
        .iter()
        .filter(|c| !c.expected.starts_with('!'))
        .collect()
}

/// A notice ends with a newline; text on one line is read as a stored tree.
fn read(text: &str, major: u16) -> Result<Lineage, TreeError> {
    if text.contains('\n') {
        lineage(text, major)
    } else {
        stored_lineage(text, major)
    }
}

fn said(answer: &Result<Lineage, TreeError>) -> String {
    let lineage = match answer {
        Ok(lineage) => lineage,
        Err(TreeError::NotPlainSelect(_)) => return "! StatementRefused".to_owned(),
        Err(TreeError::NotUnderstood(_)) => return "! NotUnderstood".to_owned(),
    };
    let outputs = lineage.outputs.iter().map(|output| {
        let mut text = format!("{:?}", output.shape).to_lowercase();
        output
            .columns
            .iter()
            .for_each(|c| write!(text, " {}.{}", c.0, c.1).unwrap());
        text
    });
    let mut control: Vec<_> = lineage
        .control
        .iter()
        .map(|u| format!("{} {}.{}", u.place, u.column.0, u.column.1))
        .collect();
    control.dedup(); // an equality stands apart from other uses of its column
    let mentions = lineage
        .mentions
        .iter()
        .map(|m| format!("{}.{}", m.column.0, m.column.1));
    let join =
        |parts: &mut dyn Iterator<Item = String>, by: &str| parts.collect::<Vec<_>>().join(by);
    format!(
        "{} ; {} ; {}",
        join(&mut outputs.into_iter(), " | "),
        join(&mut control.into_iter(), ", "),
        join(&mut mentions.into_iter(), ", ")
    )
}

#[test]
fn every_captured_tree_says_what_is_expected() {
    assert!(CAPTURED.len() > 90);
    for captured in CAPTURED.iter() {
        let answer = read(&captured.tree, captured.major);
        assert_eq!(
            said(&answer),
            captured.expected,
            "{}: {answer:?}",
            captured.path.display()
        );
    }
}

#[test]
fn every_column_is_read_through_a_reference_of_the_text() {
    let mut seen = 0;
    for captured in admitted() {
        let found = read(&captured.tree, captured.major).unwrap();
        let whose = |number: Option<usize>| number.map(|n| &found.references[n]);
        for output in &found.outputs {
            let mut columns: Vec<_> = output.sources.iter().map(|s| s.0).collect();
            columns.dedup();
            assert_eq!(columns, output.columns, "{}", captured.path.display());
        }
        let named = found
            .control
            .iter()
            .filter(|c| c.through_view.is_none() && c.place != "row security")
            .map(|c| (c.column, &c.references))
            .chain(found.mentions.iter().map(|m| (m.column, &m.references)));
        for (column, references) in named {
            assert!(!references.is_empty());
            for reference in references.iter().map(|r| whose(*r).unwrap()) {
                // What a view's body reads is the view's; what a table gives is asked for by number.
                let relation = found.relations.iter().find(|r| r.oid == reference.relation);
                let own = reference.relation == column.0
                    && (reference.selected.contains(&column.1) || reference.selected.contains(&0));
                assert!(own || relation.unwrap().kind == "v" || column.1 == 0);
                assert!(!reference.alias.is_empty());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_tree_of_another_version_is_refused() {
    // 15 to 16, 17 and 18 differ in Query itself; no tree passes for one of a neighbour.
    for captured in admitted() {
        for major in (15..=18).filter(|m| *m != captured.major) {
            let answer = read(&captured.tree, major);
            assert!(answer.is_err(), "{} as {major}", captured.path.display());
        }
    }
}

#[test]
fn a_tail_a_gap_and_a_second_tree_are_refused() {
    for captured in admitted() {
        let tree = captured.tree.trim_end();
        let flat = tree.replace('\n', " ");
        let two = format!(
            "{} {}",
            flat.strip_suffix(')').unwrap(),
            flat.strip_prefix('(').unwrap()
        );
        for text in [
            format!("{tree} "),
            tree.to_owned() + "\n\n",
            format!("{tree})\n"),
            format!("{tree}\n\n"),
            format!("{tree}\n{tree}\n"),
            format!(" {tree}\n"),
            two,
            flat.replacen(" :", "  :", 1),
            flat.replacen(":hasAggs", ":HasAggs", 1),
            flat.replacen(
                ":canSetTag true :utilityStmt <>",
                ":utilityStmt <> :canSetTag true",
                1,
            ),
            flat.replacen(":resno 1", ":resno 01", 1),
            flat.replacen(":limitOption 0", ":limitOption 7", 1),
        ] {
            assert!(
                read(&text, captured.major).is_err(),
                "{}: {text:.90}",
                captured.path.display()
            );
        }
    }
}

#[test]
fn locations_are_no_part_of_the_digest_and_everything_else_is() {
    for captured in admitted() {
        let flat = captured.tree.trim_end().replace('\n', " ");
        let digest = |text: &str| read(text, captured.major).map(|l| l.digest);
        let original = digest(&flat).unwrap();
        let moved = flat
            .replace(":stmt_location 0", ":stmt_location 7")
            .replace(":location 7", ":location 9");
        assert_eq!(
            digest(&moved).unwrap(),
            original,
            "{:?}",
            captured.path.display()
        );
        let renamed = flat.replacen(":resname ssn", ":resname snn", 1);
        if renamed != flat {
            assert_ne!(
                digest(&renamed).unwrap(),
                original,
                "{:?}",
                captured.path.display()
            );
        }
    }
}

#[test]
fn a_column_that_the_permission_check_does_not_list_is_refused() {
    let plain = CAPTURED.iter().filter(|c| c.path.ends_with("plain.tree"));
    let mut tried = 0;
    for captured in plain {
        let flat = captured.tree.trim_end().replace('\n', " ");
        let forged = flat.replacen(":selectedCols (b 8 9 10)", ":selectedCols (b 8 10)", 1);
        assert_ne!(forged, flat);
        assert!(read(&flat, captured.major).is_ok());
        assert!(read(&forged, captured.major).is_err());
        tried += 1;
    }
    assert_eq!(tried, 4);
}

/// `({QUERY …})` whose one output is `depth` calls one inside the other.
fn nested(depth: usize) -> String {
    let captured = CAPTURED
        .iter()
        .find(|c| c.path.ends_with("18/plain.tree"))
        .unwrap();
    let flat = captured.tree.trim_end().replace('\n', " ");
    let start = flat.find(":resname ssn").unwrap();
    let start = flat[start..].find("{OPEXPR").unwrap() + start;
    let end = flat[start..].find("} :resno 2").unwrap() + start + 1;
    let open = "{OPEXPR :opno 551 :opfuncid 177 :opresulttype 23 :opretset false :opcollid 0 :inputcollid 0 :args (";
    let close = ") :location 1}";
    format!(
        "{}{}{}{}{}",
        &flat[..start],
        open.repeat(depth),
        &flat[start..end],
        close.repeat(depth),
        &flat[end..]
    )
}

#[test]
fn depth_is_bounded_in_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let run = || {
        assert!(read(&nested(280), 18).is_ok());
        for depth in [300, 2_000, 100_000] {
            let refused = read(&nested(depth), 18).unwrap_err().to_string();
            assert!(refused.contains("nested too deeply"), "{refused}");
        }
        for unit in [
            "(",
            "{",
            "({QUERY :commandType 1 :querySource ",
            "({QUERY ",
            "\\",
        ] {
            assert!(read(&unit.repeat(100_000), 18).is_err());
        }
    };
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_notice_is_no_stored_tree_nor_the_other_way_round() {
    for captured in admitted() {
        let other = if captured.tree.contains('\n') {
            stored_lineage
        } else {
            lineage
        };
        assert!(
            other(&captured.tree, captured.major).is_err(),
            "{:?}",
            captured.path.display()
        );
    }
}

#[test]
fn empty_and_foreign_text_is_refused() {
    for text in [
        "",
        "\n",
        "()",
        "<>",
        "({})",
        "({QUERY})",
        "({QUERY})\n",
        "select 1",
        "(i 1 2)",
        "({VAR})",
        "\u{0}",
    ] {
        for major in 15..=18 {
            assert!(read(text, major).is_err(), "{text:?}");
        }
    }
}

/// Something done to the bytes of a tree.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
    Splice(usize, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..40_000;
    let piece = prop::sample::select(vec![
        "<>",
        "(",
        ")",
        "{",
        "}",
        " ",
        "\n",
        "\\",
        "\"",
        ":",
        "-1",
        "99999999999",
        "(b)",
        "(b 1)",
        "(i 1)",
        ":resno 7",
        "{VAR",
        "{QUERY",
        "true",
        "false",
        "4294967296",
        "\\\n",
        " <> ",
        "0",
    ]);
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(n, b)| Damage::Set(n, b)),
        at.clone().prop_map(Damage::Cut),
        (at.clone(), 1usize..200).prop_map(|(n, l)| Damage::Drop(n, l)),
        (at.clone(), 1usize..2_000).prop_map(|(n, l)| Damage::Repeat(n, l)),
        (at, piece).prop_map(|(n, p)| Damage::Splice(n, p)),
    ]
}

fn damaged(tree: &str, damages: &[Damage]) -> String {
    let mut bytes = tree.as_bytes().to_vec();
    for damage in damages {
        let length = bytes.len().max(1);
        match *damage {
            Damage::Set(n, b) => bytes
                .iter_mut()
                .skip(n % length)
                .take(1)
                .for_each(|x| *x = b),
            Damage::Cut(n) => bytes.truncate(n % length),
            Damage::Drop(n, l) => drop(bytes.drain(n % length..(n % length + l).min(bytes.len()))),
            Damage::Repeat(n, l) => {
                let piece = bytes[n % length..(n % length + l).min(bytes.len())].to_vec();
                bytes.splice(n % length..n % length, piece);
            }
            Damage::Splice(n, piece) => drop(bytes.splice(n % length..n % length, piece.bytes())),
        }
        if bytes.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_done_to_a_tree_makes_it_panic(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..4),
        flat in any::<bool>(),
        major in 15u16..=18,
    ) {
        let captured = which.get(&CAPTURED);
        let tree = if flat { captured.tree.trim_end().replace('\n', " ") } else { captured.tree.clone() };
        let major = if flat { captured.major } else { major };
        // An answer or a refusal; a panic fails the test.
        let _ = read(&damaged(&tree, &damages), major);
    }

    #[test]
    fn a_word_swapped_for_another_never_panics(
        which in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
    ) {
        let captured = which.get(&CAPTURED);
        let flat = captured.tree.trim_end().replace('\n', " ");
        let mut words: Vec<&str> = flat.split(' ').collect();
        let (from, to) = (from.index(words.len()), to.index(words.len()));
        words.swap(from, to);
        let _ = read(&words.join(" "), captured.major);
    }
}

#[test]
fn what_is_compared_before_rows_go_on_is_what_the_lineage_says() {
    for captured in admitted() {
        let text = &captured.tree;
        if !text.contains('\n') {
            continue;
        }
        let whole = lineage(text, captured.major).unwrap();
        assert_eq!(
            digest(text, captured.major).unwrap(),
            whole.digest,
            "{:?}",
            captured.path
        );
        let mut named = relations_named(text.as_bytes());
        named.retain(|&oid| oid != 0);
        let mut told: Vec<u32> = whole.relations.iter().map(|r| r.oid).collect();
        told.sort_unstable();
        assert_eq!(named, told, "{:?}", captured.path);
    }
}
