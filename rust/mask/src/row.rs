//! The row-aware rule: what stands in a row's own columns is masked in its texts too, whichever way it
//! is written there.
//!
//! Both sides are brought to one spelling (see [`spell`]): case, accents, width and marks that do not
//! show make no difference. Of each value the text may hold
//!
//! - the **whole**: its letters and digits in order, from 3 on, bounded by what is neither, with up to
//!   three separators between its words and beside its digits; inside a word only such separators as
//!   are no blanks, a line's end behind a dash, or one after each letter;
//! - its **numbers**: each of its runs of digits and the digits that no letter stands between, from 5
//!   on, without leading zeros; of 10 to 15 digits the last 10 and the last 7 too;
//! - its **words**, if it has at most 256 characters and 16 words and is no URL (of an e-mail address
//!   those before the `@`): in a value of letters each from 3 letters on, ordinary words (see
//!   [`words`]) and words of two letters only with a capital; in a value with digits each from 4
//!   letters on that is no ordinary word. Articles and what streets are called never count alone. A
//!   name counts with an ending (`s`, `es`), with digits behind it, and joined with others (one of two
//!   letters only before the word that it has behind it in the value);
//! - **two words** beside each other that are both the row's, of whichever columns, unless one is an
//!   article or a lone letter; a number and a word only of one column;
//! - what stands **beside** a found word: further words of the row, a capital that is dotted or the
//!   initial of one of its names, a possessive `s`. An ordinary word in lower case does not join a
//!   word with a capital: `Smith will return`.
//!
//! A span covers whole words. What would take more comparisons than a fixed number for each byte is
//! masked as a whole. Names that are respelled with other letters (`Müller`, `Mueller`) or in another
//! script are not told.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod naive;
mod needles;
mod outline;
mod search;
mod spell;
mod values;
mod words;

use needles::Needles;
use outline::{Outline, Plain};
use search::Search;
use spell::Spelled;
pub(crate) use values::{Beside, Columns, can_stand_beside, rows_of_elements};

use crate::detect::{Kind, Span};
use crate::fold::is_plain;

/// The values of one row, and where they stand in its texts.
#[derive(Debug, Default)]
pub(crate) struct RowRule {
    /// The values one after the other, and for each its column, its end, and whether it counts as a
    /// whole only.
    values: String,
    ends: Vec<(usize, usize, bool)>,
    scratch: String,
    outline: Outline,
    spelled: Spelled,
    needles: Needles,
    /// `needles` are those of the values.
    ready: bool,
    search: Search,
}

impl RowRule {
    /// Looks for nothing from here on.
    pub(crate) fn clear(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        self.values.clear();
        self.ends.clear();
        self.outline.clear();
        self.ready = false;
    }

    /// Looks for the values beside text `i` from here on.
    pub(crate) fn set(&mut self, beside: &Beside<'_>, i: usize) {
        self.clear();
        let (values, ends) = (&mut self.values, &mut self.ends);
        let (outline, spelled) = (&mut self.outline, &mut self.spelled);
        beside.each(i, &mut self.scratch, &mut |column, value, whole| {
            if value.is_empty() {
                return;
            }
            values.push_str(value);
            ends.push((column, values.len(), whole));
            let long = needles::is_long(value);
            match is_plain(value.as_bytes()) {
                true if long => outline.add(Plain(value.as_bytes()), long),
                true => outline.add_plain(value.as_bytes()),
                false => {
                    spelled.set(value);
                    outline.add(&*spelled, long);
                }
            }
        });
    }

    /// Whether anything is looked for.
    pub(crate) fn is_set(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Adds the spans of `text`, in bytes, apart and in order among themselves.
    pub(crate) fn collect(&mut self, text: &str, spans: &mut Vec<Span>) {
        if !self.is_set() {
            return;
        }
        if is_plain(text.as_bytes()) {
            return self.collect_plain(text.as_bytes(), spans);
        }
        self.spelled.set(text);
        if self.outline.may_hold(&self.spelled) {
            self.find(spans);
        }
    }

    /// As [`RowRule::collect`], of text that is its own folding.
    pub(crate) fn collect_plain(&mut self, text: &[u8], spans: &mut Vec<Span>) {
        if self.is_set() && self.outline.may_hold_plain(text) {
            self.spelled.set_plain(text);
            self.find(spans);
        }
    }

    /// The spans of the text in `spelled`.
    #[inline(never)]
    fn find(&mut self, spans: &mut Vec<Span>) {
        if !self.ready {
            self.needles.clear();
            let mut start = 0;
            for &(column, end, whole) in &self.ends {
                let value = self.values.get(start..end).unwrap_or_default();
                self.needles.add(column, value, whole);
                start = end;
            }
            self.ready = true;
        }
        let spelled = &self.spelled;
        self.search.run(spelled, &self.needles, &mut |start, end| {
            let (start, end) = spelled.original(start, end);
            let kind = Kind::Row;
            spans.push(Span { start, end, kind });
        });
    }
}
