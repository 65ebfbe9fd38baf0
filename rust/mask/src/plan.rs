//! Which treatment can be given to which type, and what comes out: decided before the first row.

use std::sync::Arc;

use arrow_schema::{DataType, Field};

use crate::MaskError;
use crate::bucket::Bucket;
use crate::cells::{is_text_or_integer, is_text_or_number};
use crate::detect::kinds::Kinds;
use crate::detect::written::Form;
use crate::dictionary::is_enum;
use crate::fpe::{self, Fpe};
use crate::json::quoted;
use crate::owned::can_own;
use crate::partial::Partial;
use crate::patterns::{Patterns, Search};
use crate::redact::Label;
use crate::scan::{Scanner, Spared};
use crate::shift::Shift;
use crate::text::is_string;
use crate::token::Token;
use crate::treatment::{Letters, Treatment};
use crate::year::Year;
use crate::zip3::Zip3;
use crate::{layouts, lists};

/// The metadata key that says what was done to a column.
const TREATMENT_KEY: &str = "maskgate.treatment";
const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
const JSON: &str = "arrow.json";

/// What is done to one array.
pub(crate) enum Action {
    Own,
    Label(Label),
    Nulls,
    Partial(Partial),
    Token(Token),
    Fpe(Box<Fpe>),
    Year(Year),
    Shift(Box<Shift>),
    Zip3(Zip3),
    Bucket(Bucket),
    Scan(Box<Scanner>),
    /// The elements of a list or the entries of a map, each by the inner action.
    Elements(Box<Action>),
    /// The fields of a struct, each by its own action.
    Fields(Vec<Action>),
    /// The array brought to another layout, then the inner action.
    Converted(DataType, Box<Action>),
}

/// One column: what comes in, what is done, what goes out.
pub(crate) struct Plan {
    pub(crate) input: DataType,
    pub(crate) output: Field,
    pub(crate) treatment: &'static str,
    pub(crate) action: Action,
}

/// What a plan needs beyond the column itself.
pub(crate) struct Setting<'a> {
    pub(crate) token_key: &'a [u8; 32],
    pub(crate) reference_year: i64,
    /// What the policy looks for beside the detectors.
    pub(crate) patterns: Option<&'a Patterns>,
}

impl Plan {
    /// Err when the type cannot take the treatment.
    pub(crate) fn new(
        field: &Field,
        treatment: &Treatment,
        setting: &Setting,
    ) -> Result<Self, MaskError> {
        let Some((action, item)) = action(field, field.name(), treatment, setting)? else {
            return Err(MaskError::Impossible {
                column: field.name().clone(),
                treatment: treatment.name(),
                data_type: type_name(field),
                possible: possible(field, setting),
            });
        };
        // A dictionary's values and those of runs may be NULL where no row is.
        let made_null = matches!(
            action,
            Action::Nulls | Action::Shift(_) | Action::Converted(_, _)
        );
        let nullable = field.is_nullable() || made_null;
        let mut output = item.with_name(field.name()).with_nullable(nullable);
        let mut metadata = output.metadata().clone();
        metadata.insert(TREATMENT_KEY.to_owned(), treatment.name().to_owned());
        output.set_metadata(metadata);
        Ok(Self {
            input: field.data_type().clone(),
            output,
            treatment: treatment.name(),
            action,
        })
    }
}

/// The action for a field and the field after it; nothing when there is no such action.
fn action(
    field: &Field,
    column: &str,
    treatment: &Treatment,
    setting: &Setting,
) -> Result<Option<(Action, Field)>, MaskError> {
    let data_type = field.data_type();
    if let Some(plain) = layouts::plain(data_type) {
        return converted(field, plain, column, treatment, setting);
    }
    if !is_known(data_type) {
        return Ok(None);
    }
    let kept = field.clone();
    let text = || as_text(field);
    let for_clear = || (Kinds::ALL, setting.patterns.and_then(Patterns::for_clear));
    let answer = match treatment {
        // NULL throughout: there is nothing to take out, and nothing to tell.
        _ if data_type == &DataType::Null => Some((Action::Own, kept)),
        Treatment::Null => Some((Action::Nulls, kept)),
        Treatment::Redact { label } => Some(if is_json(field) {
            let quoted = quoted(label);
            (Action::Label(Label::new(&quoted, data_type.clone())), kept)
        } else if is_string(data_type) || is_enum(data_type) {
            (Action::Label(Label::new(label, DataType::Utf8)), text())
        } else {
            (Action::Nulls, kept)
        }),
        Treatment::Clear { .. }
        | Treatment::Made { .. }
        | Treatment::Scan
        | Treatment::Chosen { .. }
            if data_type.is_nested() =>
        {
            nested(field, column, treatment, setting)?
        }
        Treatment::Clear { scan: false } => Some((Action::Own, kept)),
        Treatment::Clear { scan: true } => Some(match scan(field, clear(), for_clear()) {
            Some(action) => (action, kept),
            None => (Action::Own, kept),
        }),
        Treatment::Made {
            times,
            numbers,
            forms,
        } => {
            let spared = Spared {
                times: *times,
                numbers: *numbers,
                forms: forms.iter().filter_map(|form| Form::read(form)).collect(),
                names: None,
            };
            Some(match scan(field, spared, for_clear()) {
                Some(action) => (action, kept),
                None => (Action::Own, kept),
            })
        }
        Treatment::Scan => {
            let every = (Kinds::ALL, setting.patterns.and_then(Patterns::all));
            scan(field, Spared::default(), every).map(|action| (action, kept))
        }
        Treatment::Chosen {
            detectors,
            patterns,
        } => {
            let chosen = chosen(column, detectors.as_deref(), patterns.as_deref(), setting)?;
            scan(field, Spared::default(), chosen).map(|action| (action, kept))
        }
        Treatment::Partial { .. }
        | Treatment::Token { .. }
        | Treatment::Fpe { .. }
        | Treatment::Year
        | Treatment::Shift { .. }
        | Treatment::Zip3 { .. }
        | Treatment::Bucket { .. }
            if is_list(data_type) =>
        {
            elements(field, column, treatment, setting)?
        }
        Treatment::Partial { first, last, char } => {
            if (is_string(data_type) || is_enum(data_type)) && !is_json(field) {
                Some((
                    Action::Partial(Partial::new(column, *first, *last, *char)?),
                    kept,
                ))
            } else {
                None
            }
        }
        Treatment::Token { domain, key_id } if Token::takes(data_type) => {
            let json = is_json(field);
            let token = Token::new(column, setting.token_key, domain, key_id, json)?;
            Some((Action::Token(token), text()))
        }
        Treatment::Year if Year::takes(data_type) => {
            Some((Action::Year(Year::new(setting.reference_year)), text()))
        }
        Treatment::Shift {
            domain,
            key_id,
            days,
        } if Shift::takes(data_type) => {
            let shift = Shift::new(column, setting.token_key, domain, key_id, *days)?;
            Some((Action::Shift(Box::new(shift)), kept))
        }
        Treatment::Zip3 { census } if is_text_or_integer(data_type) && !is_json(field) => {
            Some((Action::Zip3(Zip3::new(column, *census)?), text()))
        }
        Treatment::Bucket {
            width,
            origin,
            edges,
        } if is_text_or_number(data_type) && !is_json(field) => {
            let bucket = Bucket::new(column, *width, *origin, edges.as_deref())?;
            Some((Action::Bucket(bucket), text()))
        }
        Treatment::Fpe {
            domain,
            key_id,
            radix,
            letters,
            separators,
        } if is_text_or_integer(data_type) && !is_json(field) => {
            let key = fpe::key(column, setting.token_key, domain, key_id, *radix)?;
            let fpe = Fpe::new(column, &key, *radix, *letters, separators)?;
            Some((Action::Fpe(Box::new(fpe)), text()))
        }
        // A number of 64 bits without a sign has no integer's token: half of them are none.
        Treatment::Token { .. } if data_type == &DataType::UInt64 => None,
        Treatment::Token { .. }
        | Treatment::Fpe { .. }
        | Treatment::Year
        | Treatment::Shift { .. }
        | Treatment::Zip3 { .. }
        | Treatment::Bucket { .. } => match layouts::wider(data_type) {
            Some(wide) => converted(field, wide, column, treatment, setting)?,
            None => None,
        },
    };
    Ok(answer)
}

/// The action for the field in another layout.
fn converted(
    field: &Field,
    layout: DataType,
    column: &str,
    treatment: &Treatment,
    setting: &Setting,
) -> Result<Option<(Action, Field)>, MaskError> {
    let plain = without_extension(field.clone().with_data_type(layout.clone()));
    let inner = action(&plain, column, treatment, setting)?;
    Ok(inner.map(|(inner, after)| (Action::Converted(layout, Box::new(inner)), after)))
}

/// Whether every type in it is one that some treatment knows.
fn is_known(data_type: &DataType) -> bool {
    if let Some(plain) = layouts::plain(data_type) {
        return is_known(&plain);
    }
    match data_type {
        DataType::Struct(fields) => fields.iter().all(|field| is_known(field.data_type())),
        list => match lists::item_of(list) {
            Some(item) => is_known(item.data_type()),
            None => can_own(list),
        },
    }
}

/// Whether it is a list of single values.
fn is_list(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Map(_, _)) && lists::item_of(data_type).is_some()
}

/// Lists, maps and structs under a treatment that goes into them.
fn nested(
    field: &Field,
    column: &str,
    treatment: &Treatment,
    setting: &Setting,
) -> Result<Option<(Action, Field)>, MaskError> {
    let DataType::Struct(fields) = field.data_type() else {
        return elements(field, column, treatment, setting);
    };
    let mut actions = Vec::with_capacity(fields.len());
    let mut after = Vec::with_capacity(fields.len());
    for member in fields {
        let Some((action, member)) = action(member, column, treatment, setting)? else {
            return Ok(None);
        };
        actions.push(action);
        after.push(member);
    }
    let outer = field.clone().with_data_type(DataType::Struct(after.into()));
    Ok(Some((Action::Fields(actions), outer)))
}

/// The words of a value that is no free text.
const FEW: usize = 6;

/// What is spared in a clear column.
fn clear() -> Spared {
    Spared {
        names: Some(FEW),
        ..Spared::default()
    }
}

/// The detectors and the policy's patterns of these names, or all. Err for a name of none.
fn chosen(
    column: &str,
    detectors: Option<&[String]>,
    patterns: Option<&[String]>,
    setting: &Setting,
) -> Result<(Kinds, Option<Search>), MaskError> {
    let refused = |detail: String| MaskError::Option {
        column: column.to_owned(),
        detail,
    };
    let kinds = detectors.map_or(Ok(Kinds::ALL), Kinds::named);
    let kinds = kinds.map_err(|unknown| {
        let known = crate::detectors().join(", ");
        refused(format!(
            "there is no detector {unknown:?}; there are {known}"
        ))
    })?;
    let search = match (setting.patterns, patterns) {
        (Some(all), Some(names)) => all.named(names),
        (Some(all), None) => Ok(all.all()),
        (None, Some([name, ..])) => Err(name.as_str()),
        (None, _) => Ok(None),
    };
    let unknown = |name: &str| refused(format!("the policy has no pattern {name:?}"));
    Ok((kinds, search.map_err(unknown)?))
}

/// The scan of a text-like field, of text, JSON, enums, by these detectors and patterns.
fn scan(field: &Field, spared: Spared, (kinds, search): (Kinds, Option<Search>)) -> Option<Action> {
    match field.data_type() {
        text if is_string(text) || is_enum(text) => {
            let scanner = Scanner::new(is_json(field))
                .choosing(kinds)
                .sparing(spared)
                .looking_for(search);
            Some(Action::Scan(Box::new(scanner)))
        }
        _ => None,
    }
}

fn elements(
    field: &Field,
    column: &str,
    treatment: &Treatment,
    setting: &Setting,
) -> Result<Option<(Action, Field)>, MaskError> {
    let Some(item) = lists::item_of(field.data_type()) else {
        return Ok(None);
    };
    let Some((inner, inner_field)) = action(item, column, treatment, setting)? else {
        return Ok(None);
    };
    let same = inner_field.data_type() == item.data_type();
    let item = Arc::new(inner_field);
    let Some(list) = lists::with_item(field.data_type(), item) else {
        return Ok(None);
    };
    let outer = field.clone().with_data_type(list);
    let outer = if same {
        outer
    } else {
        without_extension(outer)
    };
    Ok(Some((Action::Elements(Box::new(inner)), outer)))
}

/// A text field of the same name; metadata speaks of the old type and goes.
fn as_text(field: &Field) -> Field {
    let plain = Field::new(field.name(), DataType::Utf8, field.is_nullable());
    if is_string(field.data_type()) && !is_json(field) {
        return plain.with_metadata(field.metadata().clone());
    }
    plain
}

fn without_extension(mut field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.remove(EXTENSION_NAME);
    metadata.remove(EXTENSION_METADATA);
    field.set_metadata(metadata);
    field
}

/// Whether the field is JSON as text.
pub(crate) fn is_json(field: &Field) -> bool {
    is_string(field.data_type())
        && field
            .metadata()
            .get(EXTENSION_NAME)
            .is_some_and(|name| name == JSON)
}

/// The type as a person reads it.
fn type_name(field: &Field) -> String {
    match field.data_type() {
        _ if is_json(field) => "json".to_owned(),
        list if is_list(list) => match lists::item_of(list) {
            Some(item) => format!("list of {}", type_name(item)),
            None => list.to_string(),
        },
        DataType::Map(_, _) => "a map".to_owned(),
        DataType::Struct(_) => "a struct".to_owned(),
        data_type if is_enum(data_type) => "an enum (dictionary of text)".to_owned(),
        data_type => data_type.to_string(),
    }
}

/// The names of the treatments that this field can take, for the message of a refusal.
fn possible(field: &Field, setting: &Setting) -> String {
    let samples = [
        Treatment::Clear { scan: true },
        Treatment::Redact {
            label: String::new(),
        },
        Treatment::Null,
        Treatment::Partial {
            first: 0,
            last: 0,
            char: '*',
        },
        Treatment::Token {
            domain: "d".to_owned(),
            key_id: "k".to_owned(),
        },
        Treatment::Fpe {
            domain: "d".to_owned(),
            key_id: "k".to_owned(),
            radix: 10,
            letters: Letters::default(),
            separators: String::new(),
        },
        Treatment::Year,
        Treatment::Shift {
            domain: "d".to_owned(),
            key_id: "k".to_owned(),
            days: 365,
        },
        Treatment::Zip3 { census: 2020 },
        Treatment::Bucket {
            width: Some(10),
            origin: None,
            edges: None,
        },
        Treatment::Scan,
    ];
    let names: Vec<&str> = samples
        .iter()
        .filter(|t| matches!(action(field, field.name(), t, setting), Ok(Some(_))))
        .map(Treatment::name)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
