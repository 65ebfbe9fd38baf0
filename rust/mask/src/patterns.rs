//! What a policy looks for beside the detectors: patterns and lists of words of its own, compiled once
//! for every column.
//!
//! They read the folded text that the detectors read (see [`crate::fold`]). Every match counts, not the
//! first and longest alone: of two that overlap none leaves a tail. A pattern that could match nothing
//! at all, or anything however long, is refused, and so is what takes too much memory.

mod search;
mod shapes;
mod words;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod naive;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use crate::detect::Kind;
pub(crate) use search::Search;
use shapes::Shapes;
use words::Words;

/// The most patterns and lists of one policy: what a scanner counts them in has room for no more.
const MOST: usize = 96;

/// One pattern or list of words, as a policy words it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The name that rules choose it by and reports count it by: small letters, digits and `_`.
    pub name: String,
    /// What stands in the place of what it finds, without its brackets: capitals, digits and `_`.
    pub label: String,
    /// Whether text of clear columns is searched, too.
    pub clear: bool,
    /// A regular expression; or there are words.
    #[serde(default)]
    pub regex: Option<String>,
    /// Words that count whatever their case and accents, where they stand whole.
    #[serde(default)]
    pub words: Option<Vec<String>>,
}

/// Why a policy's patterns cannot be used: which one, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {detail}")]
pub struct PatternError {
    /// The definition's name; empty where all of them together are too much.
    pub name: String,
    /// What is wrong and what to do. No word of a list is in it.
    pub detail: String,
}

/// Patterns and lists of words, compiled. A copy shares what was compiled.
#[derive(Debug, Clone)]
pub struct Patterns(Arc<Compiled>);

impl Patterns {
    /// All of these together.
    ///
    /// # Errors
    ///
    /// A name or label of other characters, or that stands twice or for a detector; a regular
    /// expression that is none, that matches the empty text, or texts of more than 256 characters; words
    /// of other scripts than Latin; and what is too large.
    pub fn compile(definitions: &[Definition]) -> Result<Self, PatternError> {
        let together = |detail: String| PatternError {
            name: String::new(),
            detail,
        };
        if definitions.len() > MOST {
            return Err(together(format!(
                "there are {}; a policy has at most {MOST} patterns and dictionaries",
                definitions.len()
            )));
        }
        let mut taken: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        let mut shapes = shapes::Builder::default();
        let mut words = words::Builder::default();
        let mut told = Vec::with_capacity(definitions.len());
        for (definition, place) in definitions.iter().zip(0u8..) {
            let refused = |detail: String| PatternError {
                name: definition.name.clone(),
                detail,
            };
            check_name(&definition.name).map_err(refused)?;
            check_label(&definition.label).map_err(refused)?;
            if !taken.insert(&definition.name) {
                let detail = "the name stands for a detector or for another pattern already";
                return Err(refused(detail.to_owned()));
            }
            match (&definition.regex, &definition.words) {
                (Some(regex), None) => shapes.add(place, regex),
                (None, Some(list)) => words.add(place, list),
                _ => Err("give a regex or words".to_owned()),
            }
            .map_err(refused)?;
            told.push(Told {
                name: definition.name.clone(),
                label: format!("[{}]", definition.label),
                clear: definition.clear,
            });
        }
        Ok(Self(Arc::new(Compiled {
            told,
            shapes: shapes.build().map_err(together)?.map(Arc::new),
            words: words.build().map_err(together)?,
        })))
    }

    /// The names, in the order of the definitions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.told.iter().map(|one| one.name.as_str())
    }

    /// What they can write in the place of what they find.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.told.iter().map(|one| one.label.as_str())
    }

    /// A search for all of them; nothing when there is none.
    pub(crate) fn all(&self) -> Option<Search> {
        self.those(|_| true)
    }

    /// A search for those that are meant for clear columns, too.
    pub(crate) fn for_clear(&self) -> Option<Search> {
        self.those(|one| one.clear)
    }

    /// A search for those of these names. Err names one that there is not.
    pub(crate) fn named<'a>(&self, names: &'a [String]) -> Result<Option<Search>, &'a str> {
        let known = |name: &&String| !self.names().any(|one| one == name.as_str());
        match names.iter().find(known) {
            Some(unknown) => Err(unknown),
            None => Ok(self.those(|one| names.contains(&one.name))),
        }
    }

    fn those(&self, chosen: impl Fn(&Told) -> bool) -> Option<Search> {
        let set = self
            .0
            .told
            .iter()
            .enumerate()
            .fold(0u128, |set, (i, one)| set | u128::from(chosen(one)) << i);
        (set != 0).then(|| Search::new(Arc::clone(&self.0), set))
    }
}

/// What was compiled.
#[derive(Debug)]
struct Compiled {
    told: Vec<Told>,
    shapes: Option<Arc<Shapes>>,
    words: Option<Words>,
}

/// What is said of what a definition finds.
#[derive(Debug)]
struct Told {
    name: String,
    /// With its brackets.
    label: String,
    clear: bool,
}

/// The longest name and label.
const LONGEST_NAME: usize = 40;

fn check_name(name: &str) -> Result<(), String> {
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    if name.bytes().all(letters)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= LONGEST_NAME
    {
        return Ok(());
    }
    Err(format!(
        "a name is 1 to {LONGEST_NAME} small letters, digits and _, a letter first"
    ))
}

fn check_label(label: &str) -> Result<(), String> {
    let letters = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
    if (1..=LONGEST_NAME).contains(&label.len()) && label.bytes().all(letters) {
        return Ok(());
    }
    Err(format!(
        "a label is 1 to {LONGEST_NAME} capitals, digits and _; it is written in brackets"
    ))
}
