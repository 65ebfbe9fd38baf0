//! The logic of a session: what may follow what, which numbers add up, the grant in force.
//!
//! It holds one entry for each statement that runs, and the numbers of those that ended as ranges.

use crate::fault::{At, hex, refuse, same, shown};
use crate::json::{Kind, Value};
use crate::shape::{Is, Shape, count, digest, fits, needed, string};
use crate::time::moment;
use std::collections::{BTreeMap, HashMap};

const OPEN: &Shape = &[
    ("actor", Is::TextOrNull),
    ("client", Is::Any),
    ("connection", Is::Text),
    ("database_floor", Is::Any),
    ("gateway_version", Is::Text),
    ("grant", Is::Object),
    ("identity", Is::Text),
    ("issuer", Is::Text),
    ("policy_hash", Is::Hash),
    ("purpose", Is::Text),
    ("subject", Is::Text),
    ("token_fingerprint", Is::Text),
];
const GRANT: &Shape = &[
    ("connection", Is::Text),
    ("decided_by", Is::Text),
    ("expires_at", Is::Text),
    ("id", Is::Text),
    ("identity", Is::Text),
    ("max_rows", Is::CountOrNull),
    ("not_before", Is::Text),
    ("purpose", Is::Text),
    ("tables", Is::List),
];
const INTENT: &Shape = &[
    ("analysis", Is::Object),
    ("decision", Is::List),
    ("format", Is::Text),
    ("notes", Is::List),
    ("params", Is::Any),
    ("server_text", Is::TextOrNull),
    ("statement", Is::Text),
    ("statement_no", Is::Count),
];
const ANALYSIS: &Shape = &[
    ("control", Is::List),
    ("outputs", Is::List),
    ("tables", Is::List),
];
const DECISION: &Shape = &[
    ("column", Is::Text),
    ("columns", Is::List),
    ("reason", Is::Text),
    ("treatment", Is::Any),
];
const RESULT: &Shape = &[
    ("bytes", Is::Count),
    ("chunk", Is::Count),
    ("cumulative_rows", Is::Count),
    ("digest", Is::Hash),
    ("rows", Is::Count),
    ("statement_no", Is::Count),
];
const RELEASE: &Shape = &[
    ("cells_masked", Is::Object),
    ("chunks", Is::Count),
    ("detectors", Is::Object),
    ("digest", Is::Hash),
    ("notes", Is::List),
    ("rows", Is::Count),
    ("statement_no", Is::Count),
    ("truncated", Is::Truth),
];
const REFUSED: &Shape = &[
    ("code", Is::Text),
    ("detail", Is::Text),
    ("statement_no", Is::Count),
];
/// Of a statement that was too long to be kept.
const LONG: &Shape = &[
    ("statement_blake3", Is::Hash),
    ("statement_bytes", Is::Count),
    ("statement_head", Is::Text),
];
const ERROR: &Shape = &[
    ("code", Is::Text),
    ("detail", Is::Text),
    ("rows", Is::Count),
    ("statement_no", Is::Count),
];
const CANCEL: &Shape = &[
    ("reason", Is::Text),
    ("rows", Is::Count),
    ("statement_no", Is::Count),
];
const CLOSE: &Shape = &[("reason", Is::Text), ("statements", Is::Count)];

/// A statement that has an intent and has not ended.
#[derive(Debug, Default)]
struct Running {
    chunks: u64,
    rows: u64,
    /// The digests of its chunks, 32 bytes each.
    digests: Vec<u8>,
    /// Why nothing may have been released.
    barred: Option<&'static str>,
}

/// How statements ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) releases: u64,
    pub(crate) refusals: u64,
    pub(crate) errors: u64,
    pub(crate) cancels: u64,
}

impl Ends {
    fn all(self) -> u64 {
        let stopped = self.errors.saturating_add(self.cancels);
        self.releases
            .saturating_add(self.refusals)
            .saturating_add(stopped)
    }
}

/// What the records tell, up to the last that was taken.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) closed: bool,
    pub(crate) rows: u128,
    pub(crate) ends: Ends,
    /// The grant of the `open` record in its one spelling.
    pub(crate) grant: Vec<u8>,
    pub(crate) policy: [u8; 32],
    begins: String,
    expires: String,
    max_rows: Option<u64>,
    running: HashMap<u64, Running>,
    ended: Ranges,
}

impl Story {
    /// One record's place, type, body and time.
    pub(crate) fn take(
        &mut self,
        index: u64,
        kind: &str,
        body: Value<'_>,
        ts: &str,
    ) -> Result<(), String> {
        refuse(self.closed, || "stands behind the close record".to_owned())?;
        refuse((kind == "open") != (index == 0), || {
            "a session begins with its one open".to_owned()
        })?;
        match kind {
            "open" => self.open(body),
            "intent" => self.intent(body, ts),
            "result" => self.result(body),
            "release" => self.release(body),
            "refused" => self.refused(body),
            "error" => self.stopped(body, ERROR),
            "cancel" => self.stopped(body, CANCEL),
            "export" => fits(body, &[]),
            "close" => self.close(body),
            _ => Err("unknown type of record".to_owned()),
        }
    }

    /// The statement is over, in whatever way.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        self.ended.holds(number)
    }

    /// Statements that have an intent and no end.
    pub(crate) fn unfinished(&self) -> usize {
        self.running.len()
    }

    /// All statements.
    pub(crate) fn statements(&self) -> u64 {
        self.ends.all().saturating_add(self.running.len() as u64)
    }

    fn open(&mut self, body: Value<'_>) -> Result<(), String> {
        fits(body, OPEN)?;
        self.policy = digest(body, "policy_hash")?;
        let grant = needed(body, "grant")?;
        self.granted(body, grant).at("grant")?;
        self.grant = grant.canonical();
        Ok(())
    }

    fn granted(&mut self, body: Value<'_>, grant: Value<'_>) -> Result<(), String> {
        fits(grant, GRANT)?;
        let holder = format!("{}#{}", string(body, "issuer")?, string(body, "subject")?);
        same("identity", string(grant, "identity")?.as_ref(), &holder)?;
        let connection = string(body, "connection")?;
        same("connection", string(grant, "connection")?, connection)?;
        refuse(string(grant, "decided_by")? == holder, || {
            "approved by the one who asked for it".to_owned()
        })?;
        let mut tables = needed(grant, "tables")?.items().peekable();
        let named = tables.peek().is_some() && tables.all(|table| table.kind() == Kind::String);
        refuse(!named, || "tables must name tables".to_owned())?;
        self.begins = moment(&string(grant, "not_before")?)?;
        self.expires = moment(&string(grant, "expires_at")?)?;
        self.max_rows = match needed(grant, "max_rows")?.kind() {
            Kind::Null => None,
            _ => Some(count(grant, "max_rows")?),
        };
        Ok(())
    }

    /// A number that no statement had before.
    fn begun(&mut self, body: Value<'_>) -> Result<u64, String> {
        let number = count(body, "statement_no")?;
        refuse(number < 1, || "statements are numbered from 1".to_owned())?;
        let known = self.running.contains_key(&number) || self.ended.holds(number);
        refuse(known, || format!("statement {number} has begun already"))?;
        Ok(number)
    }

    fn running(&mut self, body: Value<'_>) -> Result<(u64, &mut Running), String> {
        let number = count(body, "statement_no")?;
        let ended = self.ended.holds(number);
        match self.running.get_mut(&number) {
            Some(statement) => Ok((number, statement)),
            None if ended => Err(format!("statement {number} has ended")),
            None => Err(format!("statement {number} has no intent before")),
        }
    }

    fn ended(&mut self, number: u64) {
        self.running.remove(&number);
        self.ended.add(number);
    }

    fn intent(&mut self, body: Value<'_>, ts: &str) -> Result<(), String> {
        fits(body, INTENT)?;
        let number = self.begun(body)?;
        let analysis = needed(body, "analysis")?;
        fits(analysis, ANALYSIS).at("analysis")?;
        let decision = needed(body, "decision")?;
        let outputs = needed(analysis, "outputs")?.items().count();
        same("decided columns", decision.items().count(), outputs)?;
        let in_force = self.begins.as_str() <= ts && ts <= self.expires.as_str();
        let mut barred = (!in_force).then_some("the grant was not in force");
        for column in decision.items() {
            fits(column, DECISION).at("decision")?;
            let treatment = needed(column, "treatment")?;
            let name = treatment.get("name").unwrap_or(treatment);
            let Some(name) = name.string() else {
                return Err("decision: a treatment without a name".to_owned());
            };
            if name == "deny" {
                barred = Some("a column was denied");
            }
        }
        if body.get("policy_hash").is_some() {
            let policy: [u8; 32] = digest(body, "policy_hash")?;
            same("policy", hex(&policy), hex(&self.policy))?;
        }
        let statement = Running {
            barred,
            ..Running::default()
        };
        self.running.insert(number, statement);
        Ok(())
    }

    fn result(&mut self, body: Value<'_>) -> Result<(), String> {
        fits(body, RESULT)?;
        let (_, statement) = self.running(body)?;
        statement.may_release()?;
        same("chunk", count(body, "chunk")?, statement.chunks)?;
        let rows = count(body, "rows")?;
        let so_far = statement.rows.saturating_add(rows);
        same("rows so far", count(body, "cumulative_rows")?, so_far)?;
        let digest: [u8; 32] = digest(body, "digest")?;
        statement.digests.extend_from_slice(&digest);
        statement.rows = so_far;
        statement.chunks = statement.chunks.saturating_add(1);
        self.rows = self.rows.saturating_add(u128::from(rows));
        match self.max_rows {
            Some(limit) if self.rows > u128::from(limit) => Err(format!(
                "{} rows released, the grant allows {limit}",
                self.rows
            )),
            _ => Ok(()),
        }
    }

    fn release(&mut self, body: Value<'_>) -> Result<(), String> {
        fits(body, RELEASE)?;
        let (number, statement) = self.running(body)?;
        statement.may_release()?;
        same("rows", count(body, "rows")?, statement.rows)?;
        same("chunks", count(body, "chunks")?, statement.chunks)?;
        let expected = blake3::hash(&statement.digests);
        let got: [u8; 32] = digest(body, "digest")?;
        same("digest of the chunks", hex(&got), hex(expected.as_bytes()))?;
        self.ended(number);
        self.ends.releases = self.ends.releases.saturating_add(1);
        Ok(())
    }

    fn refused(&mut self, body: Value<'_>) -> Result<(), String> {
        fits(body, REFUSED)?;
        let kept = body.get("statement");
        if kept.is_none_or(|kept| kept.kind() != Kind::String) {
            fits(body, LONG)?;
        }
        let number = self.begun(body)?;
        self.ended(number);
        self.ends.refusals = self.ends.refusals.saturating_add(1);
        Ok(())
    }

    /// `error` and `cancel`.
    fn stopped(&mut self, body: Value<'_>, shape: &Shape) -> Result<(), String> {
        fits(body, shape)?;
        let (number, statement) = self.running(body)?;
        same("rows", count(body, "rows")?, statement.rows)?;
        self.ended(number);
        let ends = &mut self.ends;
        let kind = if shape == ERROR {
            &mut ends.errors
        } else {
            &mut ends.cancels
        };
        *kind = kind.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, body: Value<'_>) -> Result<(), String> {
        fits(body, CLOSE)?;
        if let Some(number) = self.running.keys().min() {
            return Err(format!("statement {number} has not ended"));
        }
        same("statements", count(body, "statements")?, self.statements())?;
        refuse(!self.ended.is_one_to(self.statements()), || {
            let got = self.ended.last();
            format!("last number: expected {}, got {got}", self.statements())
        })?;
        self.closed = true;
        Ok(())
    }
}

impl Running {
    fn may_release(&self) -> Result<(), String> {
        match self.barred {
            Some(why) => Err(format!("released although {}", shown(why, 100))),
            None => Ok(()),
        }
    }
}

/// Numbers, those that follow each other as one range: first to last.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn holds(&self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back();
        before.is_some_and(|(_, &last)| number <= last)
    }

    /// Adds a number that is not held.
    fn add(&mut self, number: u64) {
        let behind = number.checked_add(1).and_then(|next| self.0.remove(&next));
        let last = behind.unwrap_or(number);
        let before = self.0.range_mut(..number).next_back();
        match before.filter(|(_, end)| end.checked_add(1) == Some(number)) {
            Some((_, end)) => *end = last,
            None => _ = self.0.insert(number, last),
        }
    }

    fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, &last)| last)
    }

    fn is_one_to(&self, last: u64) -> bool {
        match self.0.first_key_value() {
            None => last == 0,
            Some((&first, &end)) => self.0.len() == 1 && first == 1 && end == last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(numbers in proptest::collection::vec(1..60_u64, 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ranges.holds(number), set.contains(&number));
                if set.insert(number) {
                    ranges.add(number);
                }
                let count = set.len() as u64;
                prop_assert_eq!(ranges.last(), set.last().copied().unwrap_or(0));
                prop_assert_eq!(ranges.is_one_to(count), ranges.last() == count);
            }
        }
    }
}
