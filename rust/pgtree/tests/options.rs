//! What a policy's options lean on, in trees of real servers: an equality that stands alone, and an
//! aggregate over one plain table. Each change of a tree that would make it another question must take
//! it out of the list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pgtree::{Lineage, lineage};
use std::path::Path;

const MAJORS: [u16; 4] = [15, 16, 17, 18];

fn tree(major: u16, name: &str) -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let text = std::fs::read_to_string(base.join(major.to_string()).join(name)).unwrap();
    text.splitn(3, '\n').nth(2).unwrap().to_owned()
}

/// The tree with something else in it, wrapped again as the server wraps.
fn changed(tree: &str, from: &str, to: &str) -> String {
    let flat = tree.trim_end().replace('\n', " ");
    assert!(flat.contains(from), "no {from} in the tree");
    let flat = flat.replacen(from, to, 1);
    let mut rest = flat.as_str();
    let mut wrapped = String::new();
    while rest.len() > 78 {
        let (at, next) = if rest.as_bytes()[78] == b' ' {
            (78, 79)
        } else {
            let space = rest[..78].rfind(' ').unwrap();
            (space, space + 1)
        };
        wrapped += &rest[..at];
        wrapped.push('\n');
        rest = &rest[next..];
    }
    wrapped + rest + "\n"
}

fn read(tree: &str, major: u16) -> Lineage {
    lineage(tree, major).unwrap()
}

/// The columns of each equality, and the parameter.
fn equalities(found: &Lineage) -> Vec<(usize, Option<i64>)> {
    found
        .equalities
        .iter()
        .map(|e| (e.columns.iter().flatten().count(), e.parameter))
        .collect()
}

#[test]
fn a_parameter_and_a_column_at_the_top_of_where() {
    for major in MAJORS {
        let found = read(&tree(major, "option_lookup.tree"), major);
        assert_eq!(equalities(&found), [(1, Some(1))]);
        let apart: Vec<_> = found
            .control
            .iter()
            .map(|u| (u.place, u.equality))
            .collect();
        assert_eq!(apart, [("WHERE", Some(0)), ("WHERE", None)]);
    }
}

#[test]
fn two_columns_in_an_inner_join() {
    for major in MAJORS {
        let found = read(&tree(major, "option_join.tree"), major);
        assert_eq!(equalities(&found), [(2, None)]);
        assert!(!found.equalities[0].constant);
    }
}

#[test]
fn what_is_not_that_equality_is_an_ordinary_use() {
    let changes = [
        ("option_lookup.tree", ":boolop and", ":boolop or"),
        ("option_lookup.tree", ":opno 98", ":opno 531"), // <>
        ("option_lookup.tree", ":opno 98", ":opno 254"), // name = text
        ("option_lookup.tree", ":opno 98", ":opno 20000"),
        (
            "option_lookup.tree",
            ":inputcollid 100",
            ":inputcollid 16384",
        ),
        ("option_lookup.tree", ":varlevelsup 0", ":varlevelsup 1"),
        ("option_join.tree", ":boolop and", ":boolop or"),
        ("option_join.tree", ":inputcollid 100", ":inputcollid 16384"),
    ];
    for (name, from, to) in changes {
        for major in MAJORS {
            let tree = tree(major, name);
            // The first column of the trees is an output.
            let text = if from == ":varlevelsup 0" {
                let at = tree.find("{OPEXPR").unwrap();
                tree[..at].to_owned() + &tree[at..].replacen(from, to, 1)
            } else {
                changed(&tree, from, to)
            };
            match lineage(&text, major) {
                Ok(found) => {
                    assert!(equalities(&found).is_empty(), "{name} with {to} on {major}");
                    assert!(found.control.iter().all(|u| u.equality.is_none()));
                }
                Err(_) => assert_eq!(from, ":varlevelsup 0", "{name} with {to} on {major}"),
            }
        }
    }
}

#[test]
fn an_outer_join_is_not_an_equality_that_stands_alone() {
    for major in MAJORS {
        for kind in ["1", "2", "3"] {
            let tree = tree(major, "option_join.tree");
            let at = tree.find("{JOINEXPR").unwrap();
            let (before, join) = tree.split_at(at);
            let text =
                before.to_owned() + &join.replacen(":jointype 0", &format!(":jointype {kind}"), 1);
            assert!(
                equalities(&read(&text, major)).is_empty(),
                "{kind} on {major}"
            );
        }
    }
}

/// The least number of values that each aggregate is said to be over.
fn values(found: &Lineage) -> Vec<Option<u32>> {
    found.outputs.iter().map(|o| o.sources[0].2).collect()
}

#[test]
fn aggregates_over_one_table_with_their_floor() {
    for major in MAJORS {
        let found = read(&tree(major, "option_aggregate.tree"), major);
        assert_eq!(values(&found), [None, Some(5), Some(5)]);
        let floor = found
            .control
            .iter()
            .find(|u| u.place == "HAVING count")
            .unwrap();
        assert_eq!(floor.values, Some(5));
    }
}

#[test]
fn the_floor_is_what_having_says() {
    for (bytes, floor) in [
        ("[ 4 0 0 0 0 0 0 0 ]", 4),
        ("[ 0 1 0 0 0 0 0 0 ]", 256),
        ("[ -5 -1 -1 -1 -1 -1 -1 -1 ]", 0),
        ("[ 0 0 0 -128 0 0 0 0 ]", 0),
    ] {
        for major in MAJORS {
            let text = changed(
                &tree(major, "option_aggregate.tree"),
                "[ 5 0 0 0 0 0 0 0 ]",
                bytes,
            );
            assert_eq!(
                values(&read(&text, major))[1],
                Some(floor),
                "{bytes} on {major}"
            );
        }
    }
}

#[test]
fn another_condition_is_no_floor() {
    for (from, to) in [
        (":opno 430", ":opno 420"), // <=
        (":opno 430", ":opno 416"), // =
        (":consttype 23", ":consttype 1700"),
    ] {
        for major in MAJORS {
            let text = changed(&tree(major, "option_aggregate.tree"), from, to);
            let found = read(&text, major);
            assert_eq!(values(&found), [None, Some(0), Some(0)], "{to} on {major}");
            assert!(
                found
                    .control
                    .iter()
                    .any(|u| u.place == "HAVING" && u.values.is_none())
            );
        }
    }
}

#[test]
fn other_aggregates_and_other_levels_are_ordinary_uses() {
    for (from, to) in [
        (":aggfnoid 2101", ":aggfnoid 2116"), // max(int4)
        (":aggfnoid 2101", ":aggfnoid 2106"), // avg(interval)
        (":aggfnoid 2101", ":aggfnoid 2335"), // array_agg
        (":aggfnoid 2101", ":aggfnoid 2053"),
        (":hasSubLinks false", ":hasSubLinks true"),
        (":hasTargetSRFs false", ":hasTargetSRFs true"),
        (":hasWindowFuncs false", ":hasWindowFuncs true"),
        (":aggvariadic false", ":aggvariadic true"),
    ] {
        for major in MAJORS {
            let text = changed(&tree(major, "option_aggregate.tree"), from, to);
            assert_eq!(values(&read(&text, major))[1], None, "{to} on {major}");
        }
    }
}
