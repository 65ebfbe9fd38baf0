//! Undoing the server's line wrapping, only where it can be undone in exactly one way.
//!
//! `format_node_dump` cuts the dump into lines of at most 78 bytes. It replaces one space by a newline
//! where it can (also the space of an escaped `\ ` inside an identifier), and where 78 bytes hold no
//! space after the first byte it inserts a newline into the middle of a token. An identifier may also
//! hold a newline of its own. Read naively, the three look alike, and a forged field fits between them.
//!
//! So: every newline is taken for a space, the result is wrapped again, and the two texts must agree
//! to the byte; and no full line may be without a space, so that no token was cut. Together these leave
//! one possible dump. For let T be the true dump and D the one read, and look at their first difference,
//! in the wrapped line that starts at s. It is not a cut token: that line would be 78 bytes without a
//! space. So it is a newline of T's own at p, printed as such, where D has a space. D breaks there only
//! if D[p+1..=s+78] holds no space; then T holds none there either, and T's own line, still longer than
//! 78, breaks before p or is cut at s+78, where D would have a space: a contradiction. (A space at the
//! very end would be lost without a trace, but a dump ends with a bracket.)
//!
//! Bytes are counted as the server counted them, which is in UTF-8 if that is the encoding of the
//! database; in another, a name outside ASCII may be refused.

use crate::error::{Result, not_understood};

const LINE: usize = 78; // LINELEN of the server's print.c
const MAX_BYTES: usize = 32 << 20; // a statement of 1 MiB makes less

/// Refuse what no sensible statement makes, before memory is spent on it.
pub(crate) fn within_size(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        return not_understood("the analysed statement is too large: write a smaller one");
    }
    Ok(())
}

/// The dump of a notice on one line.
pub(crate) fn unwrap(text: &str) -> Result<String> {
    within_size(text)?;
    let Some(body) = text.strip_suffix('\n') else {
        return not_understood("the server's tree was cut off");
    };
    let uncertain = || {
        not_understood(
            "the statement holds a name that cannot be read back with certainty: use plain names",
        )
    };
    let spaced = |byte| if byte == b'\n' { b' ' } else { byte };
    let dump: Vec<u8> = body.bytes().map(spaced).collect();
    let Ok(dump) = String::from_utf8(dump) else {
        return uncertain();
    };
    let mut rest = Some(text.as_bytes());
    wrap(&dump, |line, last| {
        let full = line.len() == LINE && !last;
        let certain = !full || line.iter().skip(1).any(|&b| b == b' ');
        rest = rest
            .filter(|_| certain)
            .and_then(|rest| rest.strip_prefix(line))
            .and_then(|rest| rest.strip_prefix(b"\n"));
    });
    if rest.is_none_or(|rest| !rest.is_empty()) {
        return uncertain();
    }
    Ok(dump)
}

/// The lines that the server's `format_node_dump` makes of a dump, each with whether it is the last.
fn wrap(dump: &str, mut found: impl FnMut(&[u8], bool)) {
    let mut rest = dump.as_bytes();
    while let Some((line, after)) = rest.split_at_checked(LINE) {
        let (kept, next) = match after.first() {
            None => break,
            Some(b' ') => (line, after.get(1..)),
            Some(_) => match line.iter().rposition(|&b| b == b' ') {
                Some(space) if space > 0 => {
                    (line.get(..space).unwrap_or(line), rest.get(space + 1..))
                }
                _ => (line, Some(after)),
            },
        };
        rest = next.unwrap_or_default();
        found(kept, rest.is_empty());
    }
    if !rest.is_empty() {
        found(rest, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped_bytes(dump: &str) -> Vec<u8> {
        let mut wrapped = Vec::new();
        wrap(dump, |line, _| {
            wrapped.extend_from_slice(line);
            wrapped.push(b'\n');
        });
        wrapped
    }

    fn wrapped(dump: &str) -> String {
        String::from_utf8(wrapped_bytes(dump)).unwrap()
    }

    #[test]
    fn a_line_breaks_at_a_space_and_comes_back() {
        let dump = "word ".repeat(100) + "end";
        assert_eq!(unwrap(&wrapped(&dump)).unwrap(), dump);
    }

    #[test]
    fn a_cut_token_is_refused() {
        let dump = format!("a {} b", "x".repeat(200));
        assert!(unwrap(&wrapped(&dump)).is_err());
    }

    #[test]
    fn a_newline_in_a_name_is_refused() {
        let dump = format!(":resname a\\\n:resno\\ 7 {}", "word ".repeat(40));
        assert!(unwrap(&wrapped(&dump)).is_err());
    }

    #[test]
    fn text_without_its_last_newline_was_cut_off() {
        let dump = "word ".repeat(100);
        let text = wrapped(&dump);
        assert!(unwrap(text.trim_end_matches('\n')).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // The claim of the module's heading, over texts made of what the wrapper treats specially.
        #[test]
        fn what_is_read_back_is_what_was_wrapped(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(" ".to_owned()),
                    Just("\n".to_owned()),
                    Just("\\ ".to_owned()),
                    Just("\\\n".to_owned()),
                    (1usize..90).prop_map(|n| "x".repeat(n)),
                    Just("é".to_owned()),
                    Just(")".to_owned()),
                ],
                1..60,
            )
        ) {
            let dump = parts.concat() + ")"; // as every dump ends
            // A character cut in two never reaches a client, whose text is UTF-8.
            if let Ok(text) = String::from_utf8(wrapped_bytes(&dump))
                && let Ok(read) = unwrap(&text)
            {
                prop_assert_eq!(read.as_bytes(), dump.as_bytes());
            }
        }
    }
}
