//! `scan`: free text with every span that a detector finds replaced by its label.
//!
//! One pass over a batch classifies its characters; detectors are asked only at the triggers that this
//! shows. Rows are rewritten in bulk:
//! the bytes between two spans are copied in one piece across as many rows as lie between them, and a
//! batch without a span is passed on. No row sees another: a digit at the end of one does not hide a
//! number at the start of the next.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericStringArray, LargeStringArray, OffsetSizeTrait, StringViewArray,
};
use arrow_schema::DataType;

use crate::MaskError;
use crate::detect::classes::Bitmaps;
use crate::detect::triggers::{Rules, Triggers};
use crate::detect::written::Form;
use crate::detect::{KINDS, Kind, Span, opaque, server_time, union, whole};
use crate::dictionary::{self, is_enum};
use crate::fold::{Folded, is_plain};
use crate::json;
use crate::owned::{compact, owned};
use crate::report::DetectorCounts;
use crate::text::{TextBuilder, build, for_each_text};

/// Bytes of rows that are classified together: they and their bitmaps stay in the nearest caches.
const WINDOW: usize = 1 << 15;

/// The bytes of a column that the bitmaps hold.
#[derive(Default)]
struct Window {
    start: usize,
    end: usize,
    /// All of it is its own folding.
    plain: bool,
}

/// What is not an identifier in this text, because the server wrote it there from clear columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spared {
    /// Dates and time stamps in the server's form.
    pub(crate) times: bool,
    /// The numbers of a JSON document.
    pub(crate) numbers: bool,
    /// Dates in the forms that the statement had them written in; with `times` only.
    pub(crate) forms: Vec<Form>,
}

impl Spared {
    fn holds(&self, text: &[u8], span: Span) -> bool {
        let written = || self.forms.iter().any(|form| form.holds(text, span));
        self.times && (server_time::holds(text, span) || written())
    }
}

/// The detectors, ready, with what they found so far.
pub(crate) struct Scanner {
    json: bool,
    spared: Spared,
    triggers: Triggers,
    spans: Vec<Span>,
    folded: Folded,
    /// The classes of many rows, and of a text by itself.
    bitmaps: Bitmaps,
    lone: Bitmaps,
    found: [DetectorCounts; KINDS],
}

impl Scanner {
    /// `json` says that the column's text is JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            spared: Spared::default(),
            triggers: Triggers::new(),
            spans: Vec::new(),
            folded: Folded::default(),
            bitmaps: Bitmaps::default(),
            lone: Bitmaps::default(),
            found: [DetectorCounts::default(); KINDS],
        }
    }

    /// The same, for a text in which some things are spared.
    pub(crate) fn sparing(self, spared: Spared) -> Self {
        Self { spared, ..self }
    }

    /// Whether the numbers of a JSON document stay as they are.
    pub(crate) fn spares_numbers(&self) -> bool {
        self.spared.numbers
    }

    /// What each detector found so far, for those that found something.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&'static str, DetectorCounts)> {
        let found = Kind::ALL.into_iter().zip(self.found);
        found
            .filter(|(_, counts)| counts.spans > 0)
            .map(|(kind, counts)| (kind.name(), counts))
    }

    /// The scanned array, in the same layout, and how many of its cells changed.
    pub(crate) fn mask(&mut self, array: &ArrayRef) -> Result<(ArrayRef, u64), MaskError> {
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
            return self.mask_json(array);
        }
        match array.data_type() {
            DataType::Utf8 => self.mask_rows(array, array.as_string::<i32>()),
            DataType::LargeUtf8 => self.mask_rows(array, array.as_string::<i64>()),
            DataType::Utf8View => {
                let rows: ArrayRef =
                    Arc::new(array.as_string_view().iter().collect::<LargeStringArray>());
                let (masked, cells) = self.mask_rows(&rows, rows.as_string::<i64>())?;
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
    ) -> Result<(ArrayRef, u64), MaskError> {
        if rows.offsets().has_non_empty_nulls(rows.nulls()) {
            let rows = compact(rows)?;
            let array: ArrayRef = Arc::new(rows.clone());
            return self.mask_rows(&array, &rows);
        }
        let data = rows.value_data();
        let mut out: Vec<u8> = Vec::new();
        let mut offsets: Vec<O> = Vec::new();
        let first = rows.value_offsets().first().map_or(0, |o| o.as_usize());
        let last = rows.value_offsets().last().map_or(0, |o| o.as_usize());
        // Everything before this is in `out`, or was replaced.
        let mut copied = first;
        let mut cells = 0u64;
        let mut window = Window::default();
        for (row, pair) in rows.value_offsets().windows(2).enumerate() {
            let [start, end] = pair else { continue };
            let (start, end) = (start.as_usize(), end.as_usize());
            if end > window.end {
                let wide = start.saturating_add(WINDOW).clamp(end, last.max(end));
                let text = data
                    .get(start..wide)
                    .ok_or(MaskError::Inconsistent("offsets"))?;
                self.bitmaps.set(text);
                window = Window {
                    start,
                    end: wide,
                    plain: is_plain(text),
                };
            }
            let bytes = data.get(start..end).unwrap_or_default();
            if window.plain || is_plain(bytes) {
                let place = start - window.start;
                let (bitmaps, spans) = (&self.bitmaps, &mut self.spans);
                let rules = Rules::All;
                collect(
                    &self.triggers,
                    bytes,
                    bitmaps,
                    place,
                    rules,
                    spans,
                    &self.spared,
                );
            } else {
                // Arrow has checked it; were it not UTF-8, building the result would fail.
                self.find_folded(&String::from_utf8_lossy(bytes), Rules::All);
            }
            if !self.spans.is_empty() {
                if cells == 0 {
                    let size = data.len().saturating_sub(first);
                    out.reserve(size.saturating_add(size / 16));
                    offsets.reserve(rows.len().saturating_add(1));
                    for offset in rows.value_offsets().get(..=row).unwrap_or_default() {
                        offsets.push(narrow(offset.as_usize() - first)?);
                    }
                }
                cells += 1;
                self.count(1);
                for span in &self.spans {
                    out.extend_from_slice(data.get(copied..start + span.start).unwrap_or_default());
                    out.extend_from_slice(span.kind.label().as_bytes());
                    copied = start + span.end;
                }
            }
            if cells > 0 {
                offsets.push(narrow(out.len() + (end - copied))?);
            }
        }
        if cells == 0 {
            return Ok((owned(array)?, 0));
        }
        out.extend_from_slice(data.get(copied..last).unwrap_or_default());
        Ok((Arc::new(build(out, offsets, rows.nulls())?), cells))
    }

    fn mask_json(&mut self, array: &ArrayRef) -> Result<(ArrayRef, u64), MaskError> {
        let mut out = TextBuilder::new(array.len(), 0);
        let mut cells = 0u64;
        for_each_text(array, |value| {
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
            out.extend_from_slice(span.kind.label().as_bytes());
            copied = span.end;
        }
        out.extend_from_slice(text.as_bytes().get(copied..).unwrap_or_default());
        !self.spans.is_empty()
    }

    /// The spans of `text` in bytes, sorted and apart.
    pub(crate) fn find(&mut self, text: &str, rules: Rules) -> &[Span] {
        if is_plain(text.as_bytes()) {
            self.lone.set(text.as_bytes());
            collect(
                &self.triggers,
                text.as_bytes(),
                &self.lone,
                0,
                rules,
                &mut self.spans,
                &self.spared,
            );
        } else {
            self.find_folded(text, rules);
        }
        &self.spans
    }

    fn find_folded(&mut self, text: &str, rules: Rules) {
        self.folded.set(text);
        let chars = &self.folded.chars;
        self.lone.set(chars);
        let spans = &mut self.spans;
        collect(
            &self.triggers,
            chars,
            &self.lone,
            0,
            rules,
            spans,
            &self.spared,
        );
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
        let mut seen = 0u32;
        for span in &self.spans {
            let bit = 1u32 << (span.kind as u8);
            let repeated = seen & bit != 0;
            seen |= bit;
            if let Some(counts) = self.found.get_mut(usize::from(span.kind as u8)) {
                counts.spans = counts.spans.saturating_add(uses);
                counts.cells = counts.cells.saturating_add(if repeated { 0 } else { uses });
            }
        }
    }
}

fn narrow<O: OffsetSizeTrait>(offset: usize) -> Result<O, MaskError> {
    O::from_usize(offset).ok_or(MaskError::TooLarge)
}

/// The spans of a folded text whose characters are those from `first` on in `bitmaps`.
fn collect(
    triggers: &Triggers,
    text: &[u8],
    bitmaps: &Bitmaps,
    first: usize,
    rules: Rules,
    spans: &mut Vec<Span>,
    spared: &Spared,
) {
    spans.clear();
    if bitmaps.may_hold(first, first + text.len()) {
        triggers.collect(text, bitmaps, first, rules, spans);
        settle(text, spans, spared);
    }
}

/// Nothing inside opaque keys or what is spared, whole numbers, then the union.
fn settle(text: &[u8], spans: &mut Vec<Span>, spared: &Spared) {
    spans.retain(|span| !(opaque::hides(text, *span) || spared.holds(text, *span)));
    for span in spans.iter_mut() {
        *span = whole(text, *span);
    }
    union(spans);
}
