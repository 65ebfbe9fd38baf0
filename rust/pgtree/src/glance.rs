//! What the words of a dump seem to say, found without reading it: more than there is, perhaps, and
//! never less.

use memchr::memmem;

/// The OIDs of the relations that range table entries seem to name, in order, each once.
///
/// No name can look like one: a name holds no colon, and a space in one has a backslash before it.
#[must_use]
pub fn relations_named(dump: &[u8]) -> Vec<u32> {
    let label = b":relid";
    let mut found: Vec<u32> = memmem::find_iter(dump, label)
        .filter_map(|at| {
            let (space, rest) = dump.get(at + label.len()..)?.split_first()?;
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let oid = std::str::from_utf8(rest.get(..digits)?).ok()?;
            // Where the server wraps a line there is a newline in place of the space.
            space.is_ascii_whitespace().then(|| oid.parse().ok())?
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// How many range table entries and how many queries there seem to be.
#[must_use]
pub fn entries_and_queries(dump: &str) -> (usize, usize) {
    let count = |word: &str| memmem::find_iter(dump.as_bytes(), word).count();
    (count("{RANGETBLENTRY"), count("{QUERY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_named_once_and_in_order() {
        let dump = b"{RANGETBLENTRY :relid 17 :x}{RANGETBLENTRY :relid\n9 :y}(:relid 17)";
        assert_eq!(relations_named(dump), [9, 17]);
    }

    #[test]
    fn what_is_no_number_names_nothing() {
        for dump in [
            &b":relid"[..],
            b":relid ",
            b":relid x",
            b":relid99",
            b":relid 99999999999",
            b":relids 5",
        ] {
            assert_eq!(relations_named(dump), [0u32; 0], "{dump:?}");
        }
    }

    #[test]
    fn parts_are_counted() {
        let dump = "{QUERY {RANGETBLENTRY {QUERY {RANGETBLENTRY {RANGETBLENTRY";
        assert_eq!(entries_and_queries(dump), (3, 2));
    }
}
