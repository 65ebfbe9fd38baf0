//! `scan`: free text with every span that a detector finds replaced by its label.
//!
//! One pass over many rows classifies their characters; detectors are asked only at the triggers that
//! this shows, and rows without one are not looked at. Rows are rewritten in bulk: the bytes between
//! two spans are copied in one piece across as many rows as lie between them, and a batch without a
//! span is passed on. No row sees another: a digit at the end of one does not hide a
//! number at the start of the next.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericStringArray, LargeStringArray, OffsetSizeTrait, StringViewArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::MaskError;
use crate::detect::gates::Bitmaps;
use crate::detect::kinds::Kinds;
use crate::detect::lexis::is_space;
use crate::detect::triggers::{Rules, Triggers};
use crate::detect::written::Form;
use crate::detect::{KINDS, Kind, Span, again, opaque, server_time, union, whole};
use crate::dictionary::{self, is_enum};
use crate::fold::{Folded, is_plain};
use crate::json;
use crate::owned::{compact, owned};
use crate::patterns::Search;
use crate::report::DetectorCounts;
use crate::row::{Beside, RowRule};
use crate::text::{TextBuilder, build, for_each_text};

/// Bytes of rows that are looked at together: they and their bitmaps stay in the nearest caches.
const WINDOW: usize = 1 << 14;

/// What is not an identifier in this text, because a rule has let it through: it is a clear column's, or
/// the server wrote it there from clear columns.
#[derive(Debug, Clone)]
pub(crate) struct Spared {
    /// Dates and time stamps in the server's form.
    pub(crate) times: bool,
    /// The numbers of a JSON document.
    pub(crate) numbers: bool,
    /// Dates in the forms that the statement had them written in; with `times` only.
    pub(crate) forms: Vec<Form>,
    /// Names and towns in values of so many words: of a clinician, of a city. All where there is none.
    pub(crate) names: Option<usize>,
}

impl Default for Spared {
    fn default() -> Self {
        Self {
            times: false,
            numbers: false,
            forms: Vec::new(),
            names: Some(0),
        }
    }
}

impl Spared {
    /// Whether names and towns stay in this text.
    fn keeps_names(&self, text: &[u8]) -> bool {
        let few = |most| {
            let mut words = text.split(|&c| is_space(c)).filter(|word| !word.is_empty());
            words.nth(most).is_none()
        };
        // A name is a word.
        self.names.is_none_or(|most| most > 0 && few(most))
    }

    /// Whether a span stays in a text of which `names` says whether names and towns do.
    fn holds(&self, text: &[u8], span: Span, names: bool) -> bool {
        let written = || self.forms.iter().any(|form| form.holds(text, span));
        let named = matches!(span.kind, Kind::Name | Kind::Place);
        (self.times && (server_time::holds(text, span) || written())) || (named && names)
    }
}

/// The detectors, ready, with what they found so far.
pub(crate) struct Scanner {
    json: bool,
    spared: Spared,
    triggers: Arc<Triggers>,
    spans: Vec<Span>,
    folded: Folded,
    /// The triggers of many rows, and of a text by itself.
    bitmaps: Bitmaps,
    lone: Bitmaps,
    /// What the policy looks for beside the detectors.
    search: Option<Box<Search>>,
    /// The values that stand beside the current text.
    row: RowRule,
    /// By [`Kind::index`].
    found: Vec<DetectorCounts>,
}

impl Scanner {
    /// `json` says that the column's text is JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            spared: Spared::default(),
            triggers: Triggers::of(Kinds::ALL),
            spans: Vec::new(),
            folded: Folded::default(),
            bitmaps: Bitmaps::default(),
            lone: Bitmaps::default(),
            search: None,
            row: RowRule::default(),
            found: vec![DetectorCounts::default(); KINDS],
        }
    }

    /// The same, for a text in which some things are spared.
    pub(crate) fn sparing(self, spared: Spared) -> Self {
        Self { spared, ..self }
    }

    /// The same, for detectors of these kinds alone.
    pub(crate) fn choosing(self, kinds: Kinds) -> Self {
        let triggers = Triggers::of(kinds);
        Self { triggers, ..self }
    }

    /// The same, with what the policy looks for beside the detectors.
    pub(crate) fn looking_for(self, search: Option<Search>) -> Self {
        let kinds = search.as_ref().map_or(KINDS, Search::kinds);
        Self {
            search: search.map(Box::new),
            found: vec![DetectorCounts::default(); kinds],
            ..self
        }
    }

    /// Whether the policy looks for something beside the detectors.
    pub(crate) fn has_patterns(&self) -> bool {
        self.search.is_some()
    }

    /// Whether values that stand beside the current text are looked for in it.
    pub(crate) fn knows_row(&self) -> bool {
        self.row.is_set()
    }

    /// Whether the numbers of a JSON document stay as they are.
    pub(crate) fn spares_numbers(&self) -> bool {
        self.spared.numbers
    }

    /// What each detector found so far, for those that found something.
    pub(crate) fn found<'a>(&'a self) -> impl Iterator<Item = (&'a str, DetectorCounts)> {
        let search = self.search.iter();
        let own = search.flat_map(|search| (KINDS..search.kinds()).map(|i| search.name(i)));
        let names = Kind::ALL.into_iter().map(|kind| -> &'a str { kind.name() });
        let names = names.chain(own);
        names
            .zip(self.found.iter().copied())
            .filter(|(_, counts)| counts.spans > 0)
    }

    /// What stands in the place of a span.
    pub(crate) fn label(&self, span: &Span) -> &str {
        label(self.search.as_deref(), span)
    }

    /// The scanned array, in the same layout, and how many of its cells changed; what stands `beside`
    /// each text is masked in it too.
    pub(crate) fn mask(
        &mut self,
        array: &ArrayRef,
        beside: Option<&Beside<'_>>,
    ) -> Result<(ArrayRef, u64), MaskError> {
        let masked = self.mask_array(array, beside);
        self.row.clear();
        masked
    }

    fn mask_array(
        &mut self,
        array: &ArrayRef,
        beside: Option<&Beside<'_>>,
    ) -> Result<(ArrayRef, u64), MaskError> {
        if is_enum(array.data_type()) {
            let mut cells = 0u64;
            let masked = dictionary::rebuild(array, &mut |value, uses, out| {
                if self.push_text(value, uses, out) {
                    cells += uses;
                }
                Ok(())
            })?;
            return Ok((masked, cells));
        }
        if self.json {
            return self.mask_json(array, beside);
        }
        match array.data_type() {
            DataType::Utf8 => self.mask_rows(array, array.as_string::<i32>(), beside),
            DataType::LargeUtf8 => self.mask_rows(array, array.as_string::<i64>(), beside),
            DataType::Utf8View => {
                let rows: ArrayRef =
                    Arc::new(array.as_string_view().iter().collect::<LargeStringArray>());
                let (masked, cells) = self.mask_rows(&rows, rows.as_string::<i64>(), beside)?;
                if cells == 0 {
                    return Ok((owned(array)?, 0));
                }
                Ok((
                    Arc::new(StringViewArray::from(masked.as_string::<i64>())),
                    cells,
                ))
            }
            _ => Err(MaskError::Inconsistent("not a string layout")),
        }
    }

    fn mask_rows<O: OffsetSizeTrait>(
        &mut self,
        array: &ArrayRef,
        rows: &GenericStringArray<O>,
        beside: Option<&Beside<'_>>,
    ) -> Result<(ArrayRef, u64), MaskError> {
        if rows.offsets().has_non_empty_nulls(rows.nulls()) {
            let rows = compact(rows)?;
            let array: ArrayRef = Arc::new(rows.clone());
            return self.mask_rows(&array, &rows, beside);
        }
        let offsets = rows.value_offsets();
        let mut rewritten = Rewritten::new(rows);
        let mut first = 0;
        while first < rows.len() {
            let count = window(offsets.get(first..).unwrap_or_default());
            self.mask_window(first, count, beside, &mut rewritten)?;
            first += count;
        }
        let cells = rewritten.cells;
        if cells == 0 {
            return Ok((owned(array)?, 0));
        }
        Ok((rewritten.finish(rows.nulls())?, cells))
    }

    /// Finds the spans of `count` rows from `first` on and hands them over, row by row.
    fn mask_window<O: OffsetSizeTrait>(
        &mut self,
        first: usize,
        count: usize,
        beside: Option<&Beside<'_>>,
        rewritten: &mut Rewritten<'_, O>,
    ) -> Result<(), MaskError> {
        let broken = || MaskError::Inconsistent("offsets");
        let data = rewritten.data;
        let offsets = rewritten.offsets;
        let offsets = offsets.get(first..=first + count).ok_or_else(broken)?;
        let place = |row: usize| offsets.get(row).map_or(usize::MAX, |o| o.as_usize());
        let (start, end) = (place(0), place(count));
        let text = data.get(start..end).ok_or_else(broken)?;
        let begins = offsets.iter().map(|o| o.as_usize() - start);
        self.triggers.find(text, begins, &mut self.bitmaps);
        let plain = self.bitmaps.plain();
        let edge = |i: usize| {
            let offset = |o: &O| o.as_usize().saturating_sub(start);
            offsets.binary_search_by_key(&i, offset).is_ok()
        };
        if let Some(search) = &mut self.search {
            search.begin();
        }
        let mut row = 0;
        while row < count {
            if plain && beside.is_none() {
                // On to the row that has the next trigger.
                let from = place(row) - start;
                let mut next = self.bitmaps.next(from);
                if let Some(search) = &mut self.search {
                    next = [next, search.next(text, from, edge)]
                        .into_iter()
                        .flatten()
                        .min();
                }
                let Some(next) = next else { break };
                while place(row + 1) - start <= next {
                    row += 1;
                }
            }
            let (from, to) = (place(row) - start, place(row + 1) - start);
            let bytes = text.get(from..to).ok_or_else(broken)?;
            if plain || is_plain(bytes) {
                let (bitmaps, spans) = (&self.bitmaps, &mut self.spans);
                let (triggers, spared) = (&self.triggers, &self.spared);
                collect(triggers, bytes, bitmaps, from, Rules::All, spared, spans);
                if let Some(search) = &mut self.search
                    && search.next(text, from, edge).is_some_and(|next| next < to)
                {
                    search.collect(bytes, spans);
                }
            } else {
                // Arrow has checked it; were it not UTF-8, building the result would fail.
                self.find_folded(&String::from_utf8_lossy(bytes), Rules::All);
            }
            if let Some(beside) = beside
                && !bytes.is_empty()
            {
                self.row.set(beside, first + row);
                let spans = self.spans.len();
                if plain || is_plain(bytes) {
                    self.row.collect_plain(bytes, &mut self.spans);
                } else {
                    let text = String::from_utf8_lossy(bytes);
                    self.row.collect(&text, &mut self.spans);
                }
                self.unite(spans);
            }
            if !self.spans.is_empty() {
                self.count(1);
                rewritten.replace(first + row, &self.spans, self.search.as_deref())?;
            }
            row += 1;
        }
        Ok(())
    }

    fn mask_json(
        &mut self,
        array: &ArrayRef,
        beside: Option<&Beside<'_>>,
    ) -> Result<(ArrayRef, u64), MaskError> {
        let mut out = TextBuilder::new(array.len(), 0);
        let mut cells = 0u64;
        let mut row = 0;
        for_each_text(array, |value| {
            if let (Some(beside), Some(_)) = (beside, value) {
                self.row.set(beside, row);
            }
            row += 1;
            if let Some(value) = value
                && json::push(self, value, out.bytes())
            {
                cells += 1;
            }
            out.end_row()
        })?;
        Ok((out.finish_as(array.data_type(), array.nulls())?, cells))
    }

    /// Appends the scanned `text`; whether it changed. It stands for `uses` cells.
    pub(crate) fn push_text(&mut self, text: &str, uses: u64, out: &mut Vec<u8>) -> bool {
        self.find(text, Rules::All);
        self.count(uses);
        let mut copied = 0;
        for span in &self.spans {
            out.extend_from_slice(text.as_bytes().get(copied..span.start).unwrap_or_default());
            out.extend_from_slice(self.label(span).as_bytes());
            copied = span.end;
        }
        out.extend_from_slice(text.as_bytes().get(copied..).unwrap_or_default());
        !self.spans.is_empty()
    }

    /// The spans of `text` in bytes, sorted and apart.
    pub(crate) fn find(&mut self, text: &str, rules: Rules) -> &[Span] {
        if is_plain(text.as_bytes()) {
            self.triggers
                .find(text.as_bytes(), std::iter::empty(), &mut self.lone);
            let (triggers, spared) = (&self.triggers, &self.spared);
            let text = text.as_bytes();
            collect(
                triggers,
                text,
                &self.lone,
                0,
                rules,
                spared,
                &mut self.spans,
            );
            if let Some(search) = &mut self.search {
                search.collect(text, &mut self.spans);
            }
        } else {
            self.find_folded(text, rules);
        }
        self.find_row(text);
        &self.spans
    }

    /// What the policy looks for, if `patterns` says so, and what stands beside `number`, a plain text.
    pub(crate) fn find_in_number(&mut self, number: &str, patterns: bool) -> &[Span] {
        self.spans.clear();
        if let Some(search) = &mut self.search
            && patterns
        {
            search.collect(number.as_bytes(), &mut self.spans);
        }
        self.find_row(number);
        &self.spans
    }

    /// Adds what the policy looks for in `text[from..]`, a value that was read behind its key: where a
    /// pattern has `^`, the value begins.
    pub(crate) fn find_behind(&mut self, text: &str, from: usize) {
        let (Some(search), Some(value)) = (&mut self.search, text.get(from..)) else {
            return;
        };
        let mut own = Vec::new();
        if is_plain(value.as_bytes()) {
            search.collect(value.as_bytes(), &mut own);
        } else {
            self.folded.set(value);
            search.collect(&self.folded.chars, &mut own);
            for span in &mut own {
                (span.start, span.end) = self.folded.original(span.start, span.end);
            }
        }
        let before = self.spans.len();
        self.spans.extend(own.into_iter().map(|span| Span {
            start: from + span.start,
            end: from + span.end,
            ..span
        }));
        self.unite(before);
    }

    /// What was found last.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Adds to the spans of `text` what stands beside it.
    fn find_row(&mut self, text: &str) {
        let before = self.spans.len();
        self.row.collect(text, &mut self.spans);
        self.unite(before);
    }

    /// The union with what was added behind the first `before` spans.
    fn unite(&mut self, before: usize) {
        if self.spans.len() > before {
            union(&mut self.spans);
        }
    }

    fn find_folded(&mut self, text: &str, rules: Rules) {
        self.folded.set(text);
        let chars = &self.folded.chars;
        self.triggers
            .find(chars, std::iter::empty(), &mut self.lone);
        let (triggers, spared) = (&self.triggers, &self.spared);
        collect(
            triggers,
            chars,
            &self.lone,
            0,
            rules,
            spared,
            &mut self.spans,
        );
        if let Some(search) = &mut self.search {
            search.collect(chars, &mut self.spans);
        }
        for span in &mut self.spans {
            (span.start, span.end) = self.folded.original(span.start, span.end);
        }
    }

    /// Forgets the current spans that end before `start`.
    pub(crate) fn keep_after(&mut self, start: usize) {
        self.spans.retain(|span| span.end > start);
    }

    /// Adds the current spans, which stand for `uses` cells, to the counts.
    pub(crate) fn count(&mut self, uses: u64) {
        let mut seen = 0u128;
        for span in &self.spans {
            let bit = 1u128 << span.kind.index();
            let repeated = seen & bit != 0;
            seen |= bit;
            if let Some(counts) = self.found.get_mut(span.kind.index()) {
                counts.spans = counts.spans.saturating_add(uses);
                counts.cells = counts.cells.saturating_add(if repeated { 0 } else { uses });
            }
        }
    }
}

/// How many of the rows with these offsets are looked at together, at least one.
fn window<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
    let start = offsets.first().map_or(0, |o| o.as_usize());
    let fitting = offsets.partition_point(|o| o.as_usize() - start <= WINDOW);
    fitting.saturating_sub(1).max(1)
}

/// Rows on their way out. Nothing is copied before the first change; then the bytes between two spans
/// are copied in one piece.
struct Rewritten<'a, O> {
    data: &'a [u8],
    offsets: &'a [O],
    out: Vec<u8>,
    new: Vec<O>,
    /// Everything before this is in `out`, or was replaced.
    copied: usize,
    cells: u64,
}

impl<'a, O: OffsetSizeTrait> Rewritten<'a, O> {
    fn new(rows: &'a GenericStringArray<O>) -> Self {
        let offsets = rows.value_offsets();
        Self {
            data: rows.value_data(),
            offsets,
            out: Vec::new(),
            new: Vec::new(),
            copied: offsets.first().map_or(0, |o| o.as_usize()),
            cells: 0,
        }
    }

    /// Labels in the place of the spans of a row that comes after all before.
    fn replace(
        &mut self,
        row: usize,
        spans: &[Span],
        search: Option<&Search>,
    ) -> Result<(), MaskError> {
        if self.cells == 0 {
            let size = self.data.len().saturating_sub(self.copied);
            self.out.reserve(size.saturating_add(size / 16));
            self.new.reserve(self.offsets.len());
        }
        self.cells += 1;
        self.end_rows(row)?;
        let start = self.offsets.get(row).map_or(0, |o| o.as_usize());
        for span in spans {
            let kept = self.data.get(self.copied..start + span.start);
            self.out.extend_from_slice(kept.unwrap_or_default());
            self.out.extend_from_slice(label(search, span).as_bytes());
            self.copied = start + span.end;
        }
        Ok(())
    }

    /// The new offsets up to the one of `row`: all of them moved as far as what is copied has moved.
    fn end_rows(&mut self, row: usize) -> Result<(), MaskError> {
        let old = self.offsets.get(self.new.len()..=row).unwrap_or_default();
        let Some(last) = old.last() else {
            return Ok(());
        };
        let moved = |offset: usize| (self.out.len() + offset).checked_sub(self.copied);
        // The last is the largest: if it fits, all do.
        narrow::<O>(moved(last.as_usize()).ok_or(MaskError::TooLarge)?)?;
        let (from, to) = (O::usize_as(self.copied), O::usize_as(self.out.len()));
        self.new
            .extend(old.iter().map(|offset| *offset - from + to));
        Ok(())
    }

    fn finish(mut self, nulls: Option<&NullBuffer>) -> Result<ArrayRef, MaskError> {
        self.end_rows(self.offsets.len().saturating_sub(1))?;
        let last = self.offsets.last().map_or(0, |o| o.as_usize());
        let rest = self.data.get(self.copied..last).unwrap_or_default();
        self.out.extend_from_slice(rest);
        Ok(Arc::new(build(self.out, self.new, nulls)?))
    }
}

fn narrow<O: OffsetSizeTrait>(offset: usize) -> Result<O, MaskError> {
    O::from_usize(offset).ok_or(MaskError::TooLarge)
}

/// What stands in the place of a span.
fn label<'a>(search: Option<&'a Search>, span: &Span) -> &'a str {
    search.map_or(span.kind.label(), |search| search.label(span.kind))
}

/// The spans of a folded text whose characters are those from `first` on in `bitmaps`.
fn collect(
    triggers: &Triggers,
    text: &[u8],
    bitmaps: &Bitmaps,
    first: usize,
    rules: Rules,
    spared: &Spared,
    spans: &mut Vec<Span>,
) {
    spans.clear();
    triggers.collect(text, bitmaps, first, rules, spans);
    if !spans.is_empty() {
        settle(text, (bitmaps, first), spans, spared, triggers.names());
    }
}

/// Nothing inside opaque keys or what is spared, names wherever they come again (if they are looked for),
/// whole numbers, then the union.
fn settle(
    text: &[u8],
    row: (&Bitmaps, usize),
    spans: &mut Vec<Span>,
    spared: &Spared,
    names: bool,
) {
    // Asked once: as long as the text.
    let spared_names = spared.keeps_names(text);
    let kept =
        |span: &Span| !(opaque::hides(text, *span) || spared.holds(text, *span, spared_names));
    spans.retain(kept);
    if names && again::find(text, row, spans) {
        spans.retain(kept);
    }
    for span in spans.iter_mut() {
        *span = whole(text, *span);
    }
    union(spans);
}
