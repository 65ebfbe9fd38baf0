//! The masker: one plan a column, made once; batches go through it one column at a time.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};

use crate::calendar::current_year;
use crate::cells::to_text;
use crate::dictionary::{self, is_enum};
use crate::patterns::Patterns;
use crate::plan::{Action, Plan, Setting, is_json};
use crate::report::{Report, unique_names};
use crate::row::{Beside, Columns, can_stand_beside, rows_of_elements};
use crate::scan::Scanner;
use crate::shift::Shift;
use crate::text::{TextBuilder, for_each_text, is_string};
use crate::treatment::Treatment;
use crate::{MaskError, layouts, lists, owned, redact};

/// The treatments of a result's columns, ready for its batches, with the counts so far.
pub struct Masker {
    columns: Vec<Column>,
    /// What [`Masker::output_field`] shows for a column that is not there.
    nothing: Field,
}

struct Column {
    plan: Plan,
    /// The column's key in the report.
    key: String,
    cells: u64,
    /// The types of the columns whose values are masked in this one's texts too.
    beside: Vec<DataType>,
}

impl Masker {
    /// A masker for columns of these fields and treatments. `token_key` is the tenant's secret for
    /// `token`. The reference year of `year` is this year in UTC.
    ///
    /// # Errors
    ///
    /// [`MaskError::Impossible`] when a type cannot take its treatment, with what it can take;
    /// [`MaskError::Option`] when an option makes no sense.
    pub fn new(columns: &[(Field, Treatment)], token_key: &[u8; 32]) -> Result<Self, MaskError> {
        Self::with_reference_year(columns, token_key, current_year()?)
    }

    /// As [`Masker::new`], with what the policy looks for in texts beside the detectors, if anything.
    ///
    /// # Errors
    ///
    /// As [`Masker::new`]; a treatment that chooses a pattern which there is not.
    pub fn with_patterns(
        columns: &[(Field, Treatment)],
        token_key: &[u8; 32],
        patterns: Option<&Patterns>,
    ) -> Result<Self, MaskError> {
        Self::planned(
            columns,
            &Setting {
                token_key,
                reference_year: current_year()?,
                patterns,
            },
        )
    }

    /// As [`Masker::new`], with the year in which ages are counted.
    ///
    /// # Errors
    ///
    /// As [`Masker::new`].
    pub fn with_reference_year(
        columns: &[(Field, Treatment)],
        token_key: &[u8; 32],
        reference_year: i64,
    ) -> Result<Self, MaskError> {
        Self::planned(
            columns,
            &Setting {
                token_key,
                reference_year,
                patterns: None,
            },
        )
    }

    fn planned(columns: &[(Field, Treatment)], setting: &Setting) -> Result<Self, MaskError> {
        let keys = unique_names(columns.iter().map(|(field, _)| field.name().as_str()));
        let mut planned = Vec::with_capacity(columns.len());
        for ((field, treatment), key) in columns.iter().zip(keys) {
            planned.push(Column {
                plan: Plan::new(field, treatment, setting)?,
                key,
                cells: 0,
                beside: Vec::new(),
            });
        }
        Ok(Self {
            columns: planned,
            nothing: Field::new("", DataType::Null, true),
        })
    }

    /// The field of column `i` after its treatment: its name, its new type, and in its metadata
    /// `maskgate.treatment`. A column that does not exist has type null.
    pub fn output_field(&self, i: usize) -> &Field {
        self.columns
            .get(i)
            .map_or(&self.nothing, |column| &column.plan.output)
    }

    /// From here on the values of the row's columns with these `fields` are masked in the texts of
    /// column `i` too, whichever way they are written there; they come with [`Masker::mask_beside`].
    ///
    /// # Errors
    ///
    /// [`MaskError::Option`] when the texts of column `i` are not scanned, or when the values of a
    /// field are none that a text holds as they are: text, enums, whole numbers, UUIDs, lists of them.
    pub fn expect_beside(&mut self, i: usize, fields: &[&Field]) -> Result<(), MaskError> {
        let column = self.columns.get_mut(i).ok_or(MaskError::NoSuchColumn(i))?;
        let refused = |detail: String| MaskError::Option {
            column: column.plan.output.name().clone(),
            detail,
        };
        if shift(&mut column.plan.action).is_some() {
            let [subject] = fields else {
                return Err(refused("shift takes one column for the subject".to_owned()));
            };
            let lists = lists::item_of(&column.plan.input).is_some();
            if lists && !matches!(column.plan.input, DataType::List(_) | DataType::ListView(_)) {
                return Err(refused("shift takes lists of no other kind".to_owned()));
            }
            if is_json(subject) || !Shift::takes_subject(subject.data_type()) {
                let (name, data_type) = (subject.name(), subject.data_type());
                let detail = format!("the row's column \"{name}\" ({data_type}) is no subject");
                return Err(refused(detail));
            }
            column.beside = vec![subject.data_type().clone()];
            return Ok(());
        }
        if !scans_strings(&column.plan.action, &column.plan.input) {
            let detail = "the row's values are masked only in text that is scanned";
            return Err(refused(detail.to_owned()));
        }
        if let Some(field) = fields.iter().find(|field| !can_stand_beside(field)) {
            let (name, data_type) = (field.name(), field.data_type());
            return Err(refused(format!(
                "the values of the row's column \"{name}\" ({data_type}) are not looked for in text"
            )));
        }
        column.beside = fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        Ok(())
    }

    /// Whether column `i` cannot be treated before [`Masker::expect_beside`] has announced the column
    /// of its subject.
    pub fn needs_beside(&mut self, i: usize) -> bool {
        let column = self.columns.get_mut(i);
        column.is_some_and(|c| c.beside.is_empty() && shift(&mut c.plan.action).is_some())
    }

    /// The treated column, in buffers that hold nothing of what was taken out.
    ///
    /// # Errors
    ///
    /// An array of another type than announced, text too large for one batch, or a column that was
    /// announced with others beside it.
    pub fn mask(&mut self, i: usize, array: &ArrayRef) -> Result<ArrayRef, MaskError> {
        self.mask_beside(i, array, &[])
    }

    /// As [`Masker::mask`], with the same rows of the columns that were announced with
    /// [`Masker::expect_beside`], unmasked, in that order.
    ///
    /// # Errors
    ///
    /// As [`Masker::mask`]; other columns than those announced, or of other rows.
    pub fn mask_beside(
        &mut self,
        i: usize,
        array: &ArrayRef,
        beside: &[ArrayRef],
    ) -> Result<ArrayRef, MaskError> {
        let column = self.columns.get_mut(i).ok_or(MaskError::NoSuchColumn(i))?;
        if array.data_type() != &column.plan.input {
            return Err(MaskError::UnexpectedType {
                column: column.plan.output.name().clone(),
                got: array.data_type().to_string(),
                expected: column.plan.input.to_string(),
            });
        }
        let types = beside.iter().map(|array| array.data_type());
        if !types.eq(&column.beside) || beside.iter().any(|other| other.len() != array.len()) {
            return Err(MaskError::Inconsistent(
                "the columns beside a text are not those announced",
            ));
        }
        if let (Some(shift), [subjects]) = (shift(&mut column.plan.action), beside) {
            shift.expect(subjects)?;
        }
        let beside = Columns::new(beside)?;
        let (masked, cells) = apply(
            &mut column.plan.action,
            array,
            column.plan.output.data_type(),
            (&beside, None),
        )?;
        column.cells = column.cells.saturating_add(cells);
        Ok(masked)
    }

    /// Whether the values of column `i` are not needed, only which rows are NULL.
    pub fn presence_only(&self, i: usize) -> bool {
        self.columns
            .get(i)
            .is_some_and(|column| matches!(column.plan.action, Action::Label(_) | Action::Nulls))
    }

    /// The treated column of `rows` rows, of which those not in `valid` are NULL.
    ///
    /// # Errors
    ///
    /// [`MaskError::NeedsValues`] when [`Masker::presence_only`] is false.
    pub fn mask_presence(
        &mut self,
        i: usize,
        valid: Option<&NullBuffer>,
        rows: usize,
    ) -> Result<ArrayRef, MaskError> {
        let column = self.columns.get_mut(i).ok_or(MaskError::NoSuchColumn(i))?;
        if valid.is_some_and(|valid| valid.len() != rows) {
            return Err(MaskError::Inconsistent(
                "as many validity bits as rows are needed",
            ));
        }
        let (masked, cells) = match &mut column.plan.action {
            Action::Label(label) => (label.mask(valid, rows)?, present(valid, rows)?),
            Action::Nulls => nulls(column.plan.output.data_type(), rows)?,
            _ => return Err(MaskError::NeedsValues(column.plan.output.name().clone())),
        };
        column.cells = column.cells.saturating_add(cells);
        Ok(masked)
    }

    /// The counts so far.
    pub fn report(&self) -> Report {
        let mut report = Report::default();
        for column in &self.columns {
            let plan = &column.plan;
            if column.cells > 0 {
                let name = if scanners(&plan.action).is_empty() {
                    plan.treatment.to_owned()
                } else {
                    "scan".to_owned()
                };
                let counts = report.cells_masked.entry(column.key.clone()).or_default();
                counts.insert(name, column.cells);
            }
            for (detector, found) in scanners(&plan.action).into_iter().flat_map(Scanner::found) {
                let detectors = report.detectors.entry(column.key.clone()).or_default();
                let counts = detectors.entry(detector.to_owned()).or_default();
                counts.cells = counts.cells.saturating_add(found.cells);
                counts.spans = counts.spans.saturating_add(found.spans);
            }
        }
        report
    }
}

/// Whether an action scans the strings of a column of this type, each in its own row.
fn scans_strings(action: &Action, input: &DataType) -> bool {
    match (action, input) {
        (Action::Scan(_), data_type) => is_string(data_type),
        (Action::Elements(inner), DataType::List(item)) => {
            matches!(**inner, Action::Scan(_)) && is_string(item.data_type())
        }
        _ => false,
    }
}

/// What moves dates in an action that does.
fn shift(action: &mut Action) -> Option<&mut Shift> {
    match action {
        Action::Shift(shift) => Some(shift),
        Action::Elements(inner) | Action::Converted(_, inner) => shift(inner),
        _ => None,
    }
}

/// The scanners of an action: one for each text in it.
fn scanners(action: &Action) -> Vec<&Scanner> {
    match action {
        Action::Scan(scanner) => vec![scanner],
        Action::Elements(inner) | Action::Converted(_, inner) => scanners(inner),
        Action::Fields(fields) => fields.iter().flat_map(scanners).collect(),
        _ => Vec::new(),
    }
}

/// Rows that are not NULL.
fn present(valid: Option<&NullBuffer>, rows: usize) -> Result<u64, MaskError> {
    let nulls = valid.map_or(0, NullBuffer::null_count);
    u64::try_from(rows.saturating_sub(nulls)).map_err(|_| MaskError::TooLarge)
}

/// NULL in every row. Each row counts, whatever it held: the count must not tell which were NULL before.
fn nulls(output: &DataType, rows: usize) -> Result<(ArrayRef, u64), MaskError> {
    Ok((redact::nulls(output, rows), present(None, rows)?))
}

/// One action on one array: the result and the cells it changed. Beside stand the row's columns and,
/// where the array holds the elements of lists, the row of each.
fn apply(
    action: &mut Action,
    array: &ArrayRef,
    output: &DataType,
    beside: (&Columns, Option<&[usize]>),
) -> Result<(ArrayRef, u64), MaskError> {
    match action {
        Action::Own => Ok((owned::owned(array)?, 0)),
        Action::Label(label) => {
            let valid = dictionary::logical_nulls(array);
            let cells = present(valid.as_ref(), array.len())?;
            Ok((label.mask(valid.as_ref(), array.len())?, cells))
        }
        Action::Nulls => nulls(output, array.len()),
        Action::Partial(partial) if is_enum(array.data_type()) => {
            let mut cells = 0u64;
            let masked = dictionary::rebuild(array, &mut |value, uses, out| {
                cells += uses;
                partial.push(value, out);
                Ok(())
            })?;
            Ok((masked, cells))
        }
        Action::Partial(partial) => {
            let mut out = TextBuilder::new(array.len(), 0);
            for_each_text(array, |value| {
                if let Some(value) = value {
                    partial.push(value, out.bytes());
                }
                out.end_row()
            })?;
            let cells = present(array.nulls(), array.len())?;
            Ok((out.finish_as(output, array.nulls())?, cells))
        }
        Action::Token(token) => token.mask(array),
        Action::Fpe(fpe) => to_text(array, |cell, out| fpe.push(cell, out)),
        Action::Year(year) => year.mask(array),
        Action::Shift(shift) => shift.mask(array, beside.1),
        Action::Zip3(zip3) => to_text(array, |cell, out| zip3.push(cell, out)),
        Action::Bucket(bucket) => to_text(array, |cell, out| bucket.push(cell, out)),
        Action::Scan(scanner) => scanner.mask(array, Beside::of(beside.0, beside.1)?.as_ref()),
        Action::Elements(inner) => {
            let item = lists::item_of(output);
            let item = item.ok_or(MaskError::Inconsistent("a list that is none"))?;
            let mut cells = 0;
            let needed = !beside.0.is_empty() || matches!(**inner, Action::Shift(_));
            let rows = needed.then(|| rows_of_elements(array)).transpose()?;
            let beside = (beside.0, rows.as_deref());
            let masked = lists::map_elements(array, Some(item), &mut |elements| {
                let (masked, count) = apply(inner, elements, item.data_type(), beside)?;
                cells = count;
                Ok(masked)
            })?;
            Ok((masked, cells))
        }
        Action::Fields(actions) => {
            let broken = MaskError::Inconsistent("a struct that is none");
            let DataType::Struct(fields) = output else {
                return Err(broken);
            };
            let mut cells = 0u64;
            let masked = lists::map_fields(array, Some(fields), &mut |i, column| {
                let (Some(action), Some(field)) = (actions.get_mut(i), fields.get(i)) else {
                    return Err(broken.clone());
                };
                let (masked, count) = apply(action, column, field.data_type(), beside)?;
                cells = cells.saturating_add(count);
                Ok(masked)
            })?;
            Ok((masked, cells))
        }
        Action::Converted(plain, inner) => {
            apply(inner, &layouts::convert(array, plain)?, output, beside)
        }
    }
}
