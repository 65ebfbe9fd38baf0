//! The detectors: one a file, each a rule over folded text (see [`lexis`]) told by shape, checksum or
//! context word.
//!
//! A detector is asked at its triggers only (see [`triggers`]) and answers with candidate spans. Which spans are masked
//! is not its business: the union of all candidates is, each connected stretch under the label of its
//! longest candidate. A check digit never un-masks: it may change a label. Candidates inside an opaque
//! key are dropped before (see [`opaque`]).
//!
//! What is told is said at the head of each file. Names and places are told by what stands beside them
//! (see `name` and `place`), by a list alone where they are nothing else (see `lone`); what the row itself tells is found in
//! [`crate::row`]; photographs and the like are not found.

pub(crate) mod again;
pub(crate) mod age;
pub(crate) mod capital;
mod classes;
pub(crate) mod date_digits;
pub(crate) mod date_words;
pub(crate) mod device;
pub(crate) mod email;
mod endings;
mod envelope;
mod facility;
pub(crate) mod gates;
pub(crate) mod hl7;
pub(crate) mod kinds;
mod lexicon;
pub(crate) mod lexis;
mod lone;
pub(crate) mod long_number;
pub(crate) mod name;
pub(crate) mod network;
pub(crate) mod opaque;
mod pair;
pub(crate) mod phone;
mod place;
pub(crate) mod record;
pub(crate) mod server_time;
pub(crate) mod shapes;
mod sieve;
pub(crate) mod simd;
pub(crate) mod spelling;
pub(crate) mod spoken;
pub(crate) mod ssn;
mod states;
pub(crate) mod subject;
mod towns;
pub(crate) mod triggers;
pub(crate) mod url;
mod words;
pub(crate) mod written;
pub(crate) mod zip;

use lexis::{at, before, digits, run_back};
#[cfg(test)]
pub(crate) use simd::{narrowly, plainly};

/// The kinds of spans, each with the name that reports and rules have for it, and what stands in its place.
macro_rules! kinds {
    ($($kind:ident $name:literal $label:literal,)*) => {
        /// What a span is. The order decides between candidates of equal length: what the policy or the
        /// row says before what a context word says, and that before what a shape says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind {
            /// One of the policy's own patterns, by its place among them.
            Pattern(u8),
            $($kind,)*
        }

        impl Kind {
            /// Every kind in order, but the policy's own.
            pub(crate) const ALL: [Self; KINDS] = [$(Self::$kind,)*];

            /// The place in [`Kind::ALL`]; the policy's own come behind.
            pub(crate) const fn index(self) -> usize {
                enum Order {
                    $($kind,)*
                }
                match self {
                    $(Self::$kind => Order::$kind as usize,)*
                    Self::Pattern(place) => KINDS + place as usize,
                }
            }

            /// The name in the report, and in rules; the policy's own have theirs elsewhere.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Pattern(_) => "own",
                }
            }

            /// What stands in the place of a span; of the policy's own, if nobody knows better.
            pub(crate) fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)*
                    Self::Pattern(_) => crate::DEFAULT_LABEL,
                }
            }
        }
    };
}

/// How many kinds there are, but the policy's own.
pub(crate) const KINDS: usize = 29;

kinds! {
    Row "row" "[ROW]",
    Mrn "mrn" "[MRN]",
    Account "account" "[ACCOUNT]",
    Member "member" "[MEMBER]",
    Policy "policy" "[POLICY]",
    Case "case" "[CASE]",
    Npi "npi" "[NPI]",
    Dea "dea" "[DEA]",
    Mbi "mbi" "[MBI]",
    License "license" "[LICENSE]",
    Plate "plate" "[PLATE]",
    Device "device" "[DEVICE]",
    Vin "vin" "[VIN]",
    Iban "iban" "[IBAN]",
    Email "email" "[EMAIL]",
    Url "url" "[URL]",
    Card "card" "[CARD]",
    Itin "itin" "[ITIN]",
    Ssn "ssn" "[SSN]",
    Zip "zip" "[ZIP]",
    Phone "phone" "[PHONE]",
    Date "date" "[DATE]",
    Ip "ip" "[IP]",
    Mac "mac" "[MAC]",
    Age "age" "[AGE]",
    Id "id" "[ID]",
    Name "name" "[NAME]",
    Address "address" "[ADDRESS]",
    Place "place" "[PLACE]",
}

impl Kind {
    /// Those that a rule can name: what stands in the row is named by its columns.
    pub(crate) fn nameable() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| *kind != Self::Row)
    }

    /// Whether a dash and more digits beside a span belong to the same number.
    fn is_dashed_number(self) -> bool {
        matches!(
            self,
            Self::Card | Self::Ssn | Self::Itin | Self::Npi | Self::Phone | Self::Zip | Self::Id
        )
    }
}

/// A candidate: characters `start..end` of the folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
}

/// A rule: the folded text, where its trigger stands, where its candidates go.
pub(crate) type Find = fn(&[u8], usize, &mut Vec<Span>);

/// The most groups that hang on one side of a number.
const HANGING: usize = 4;

/// The candidate with the digits that hang on it by dashes, so that no tail of a number stays.
pub(crate) fn whole(text: &[u8], span: Span) -> Span {
    if !span.kind.is_dashed_number() {
        return span;
    }
    let Span {
        mut start,
        mut end,
        kind,
    } = span;
    for _ in 0..HANGING {
        let before_this = (start, end);
        if let Some(dash) = start.checked_sub(1)
            && at(text, dash) == b'-'
            && before(text, dash).is_ascii_digit()
        {
            start = run_back(text, dash, |c| c.is_ascii_digit());
        }
        if at(text, end) == b'-' && at(text, end + 1).is_ascii_digit() {
            end = digits(text, end + 1);
        }
        if (start, end) == before_this {
            break;
        }
    }
    Span { start, end, kind }
}

/// Joins candidates that share a character, in place: sorted spans that do not overlap, each with the
/// kind of its longest candidate (of the first kind among equals).
pub(crate) fn union(spans: &mut Vec<Span>) {
    if spans.len() < 2 {
        return;
    }
    spans.sort_unstable_by_key(|span| (span.start, span.end, span.kind));
    let mut kept = 0usize;
    let mut longest = 0usize;
    for i in 0..spans.len() {
        let Some(&span) = spans.get(i) else { break };
        let length = span.end - span.start;
        let last = kept.checked_sub(1).and_then(|k| spans.get_mut(k));
        match last {
            Some(last) if span.start < last.end => {
                last.end = last.end.max(span.end);
                if (length, std::cmp::Reverse(span.kind)) > (longest, std::cmp::Reverse(last.kind))
                {
                    last.kind = span.kind;
                    longest = length;
                }
            }
            _ => {
                if let Some(slot) = spans.get_mut(kept) {
                    *slot = span;
                }
                kept += 1;
                longest = length;
            }
        }
    }
    spans.truncate(kept);
}
