//! Identifiers in spellings that notes, messages and dictation have, and what looks like them.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn scan(rows: &[&str]) -> Vec<String> {
    let field = Field::new("note", DataType::Utf8, true);
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    let masked = masker.mask(0, &array).unwrap();
    let rows = masked.as_string::<i32>().iter();
    rows.map(|row| row.unwrap().to_owned()).collect()
}

fn told(table: &[(&str, &str)]) {
    let (texts, expected): (Vec<&str>, Vec<&str>) = table.iter().copied().unzip();
    for ((got, text), expected) in scan(&texts).iter().zip(&texts).zip(expected) {
        assert_eq!(got, expected, "{text:?}");
    }
}

fn left(texts: &[&str]) {
    for (got, text) in scan(texts).iter().zip(texts) {
        assert_eq!(got, text);
    }
}

#[test]
fn a_month_and_a_day_stand_behind_what_dates_stand_behind() {
    told(&[
        ("extubated 7/24, stable", "extubated [DATE], stable"),
        ("LMP 2/11.", "LMP [DATE]."),
        ("as of 7/22", "as of [DATE]"),
        ("follow up 7/22 at 2pm", "follow up [DATE] at 2pm"),
        ("echo 8/19 showed stenosis", "echo [DATE] showed stenosis"),
        ("from 7/22 to 7/25", "from [DATE] to [DATE]"),
        ("7/22-7/25", "[DATE]-[DATE]"),
        ("rounds 5/19 10:30", "rounds [DATE] 10:30"),
        ("between 7/2 and 7/23", "between [DATE] and [DATE]"),
    ]);
    left(&[
        "pain improved from 7/10 to 3/10",
        "MMSE declined from 28/30 to 12/30",
        "vision improved from 6/12 to 6/9",
        "BiPAP increased from 10/5 to 12/6",
        "benazepril from 5/10 to 5/20",
        "removed 3/19 polyps",
        "score of 7/22 on the questionnaire",
        "strength 4/5-5/5",
        "nodes 1/13 and 2/17",
    ]);
}

#[test]
fn births_are_told_in_any_digits() {
    told(&[
        ("DOB 3.4.60, F", "DOB [DATE], F"),
        ("born on 3.4.1960", "born on [DATE]"),
        ("dob 080888", "dob [DATE]"),
    ]);
    left(&["birth weight 3.4 kg", "birth length 50.5 cm", "DOB unknown"]);
}

#[test]
fn dictated_days_and_holidays_are_dates() {
    told(&[
        ("born on the fourth of July.", "born on the [DATE]."),
        ("the twenty-third day of June, 1951", "the [DATE]"),
        ("March twenty-third nineteen fifty", "[DATE] nineteen fifty"),
        ("admitted June third.", "admitted [DATE]."),
        ("admitted July the fourth.", "admitted [DATE]."),
        ("seen on Christmas Eve", "seen on [DATE]"),
        ("fell on Thanksgiving", "fell on [DATE]"),
        ("since Labor Day weekend", "since [DATE] weekend"),
    ]);
    left(&[
        "May second opinion be obtained",
        "patient may first try ice",
        "March first, then lunges",
        "the fourth digit of the hand",
        "Christmas tree pattern",
        "Christmas disease (factor IX)",
        "labor day 1 of induction",
        "LABOR DAY 1 OF INDUCTION",
        "home by Christmas",
    ]);
}

#[test]
fn ages_over_89_are_told_in_any_words() {
    told(&[
        ("in her late 90s", "in her late [AGE]"),
        ("in his 90's", "in his [AGE]"),
        ("in her nineties", "in her [AGE]"),
        ("a nonagenarian", "a [AGE]"),
        ("aged ninety-four", "aged [AGE]"),
        ("age: ninety", "age: [AGE]"),
        ("turned 92 last week", "turned [AGE] last week"),
        ("her 93rd birthday", "her [AGE]rd birthday"),
        ("Age/Sex: 96/F", "Age/Sex: [AGE]/F"),
    ]);
    left(&[
        "sats in the low 90s",
        "in his late 80s",
        "in the nineties",
        "ninety percent",
        "turned 90 degrees",
        "turned 95% of the time",
        "her 9th birthday",
        "in her 90 day plan",
        "Age/Sex: 45/F",
    ]);
}

#[test]
fn the_fields_of_messages_are_told_by_their_place() {
    told(&[
        (
            "PID|1||448812^^^HOSP^MR||QWRTZ^PLUGH^Q||19600304|M|||12 A ST^^XQ^LA^70801",
            "PID|1||[MRN]||[NAME]||[DATE]|M|||[ADDRESS]",
        ),
        (
            "MSH|^~\\&|LAB\rPID|||1||QWRTZ^P\rNK1|1|QWRTZ^X|SPO\rORC|RE|A1|B2",
            "MSH|^~\\&|LAB\rPID|||[MRN]||[NAME]\rNK1|1|[NAME]|SPO\rORC|RE|[CASE]|[CASE]",
        ),
        (
            "OBR|1|||80048^BMP^L|||||||||||1043298876^XQZT^PLUGH",
            "OBR|1|||80048^BMP^L|||||||||||[NAME]",
        ),
        // Where somebody was born, whom to call, who else treats him.
        (
            "PID|1||44||Q||||||||||||||||||XQZTVILLE|N\rNK1|1|Q|SPO|||||||||||||||||||||||||||PLUGH^X|81",
            "PID|1||[MRN]||[NAME]||||||||||||||||||[PLACE]|N\rNK1|1|[NAME]|SPO|||||||||||||||||||||||||||[NAME]|[PHONE]",
        ),
        // All of it on one line.
        (
            "PID|1||448812||QWRTZ^P||1960 PV1|1|I|||C77||QWRTZ^X OBR|1|A1|B2",
            "PID|1||[MRN]||[NAME]||[DATE] PV1|1|I|||[CASE]||[NAME] OBR|1|[CASE]|[CASE]",
        ),
    ]);
    let long = "word ".repeat(200);
    let (text, expected) = (
        format!("PID|1||448812\rNTE|1||{long}\rNK1|1|QWRTZ^X|SPO"),
        format!("PID|1||[MRN]\rNTE|1||{long}\rNK1|1|[NAME]|SPO"),
    );
    told(&[(&text, &expected)]);
    left(&[
        "PID treated with ceftriaxone 250 mg",
        "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL",
        "PID|1||\"\"||",
    ]);
}

#[test]
fn numbers_are_told_behind_more_words() {
    told(&[
        ("labeled 00912837.", "labeled [ID]."),
        ("Qwrtz,00912837", "Qwrtz,[ID]"),
        ("Hosp No K123456", "Hosp No [MRN]"),
        ("EIN 12-3456789", "EIN [ID]"),
        ("old number ST-248663, new", "old number [ID], new"),
        ("DL AB-123456", "DL [LICENSE]"),
        ("SN: A45-22910", "SN: [DEVICE]"),
        ("pump SN BLC204981K", "pump SN [DEVICE]"),
        ("call ext. 51234", "call ext. [PHONE]"),
        ("office ext 5512", "office ext [PHONE]"),
        ("plate 7ABC123", "plate [PLATE]"),
        ("DL D1234567 CA", "DL [LICENSE] CA"),
        ("Path # SP-24-00912", "Path # [CASE]"),
        ("pt # 0029188", "pt # [MRN]"),
        ("hospital # H1234567", "hospital # [MRN]"),
    ]);
    left(&[
        "SN visit 2w4, SN: 1w1",
        "Ext: no edema. Ext 5/5. Extension 0-120",
        "extension: 1200 mL bag",
        "plate 3.5 mm, 12-hole",
        "PT 13.2, PT: 12.4 s, PT # of visits",
        "Path: pT2N0",
        "hospital day 3",
        "order E0601",
        "PT: AMB 150 FT",
        "Unit: ICU 412",
        "0.0091283 of it",
        "platelet number: 250000, cell number 12",
        "NDC 00093-1048-01 dispensed",
        "taper 60-50-40-30-20-10",
        "doses at 06-09-12-15-18",
    ]);
    // A series is no excuse for what may be an address of a network.
    told(&[
        ("00-11-22-33-44-55", "[PHONE]"),
        ("00-05-10-15-20-25", "[MAC]"),
    ]);
}

#[test]
fn towns_and_counties_are_told_and_no_scales() {
    told(&[
        (
            "Boston, Massachusetts is home",
            "[PLACE], Massachusetts is home",
        ),
        ("a Qwrtzville NY resident", "a [PLACE] NY resident"),
        ("near Lake Qwrtz", "near [PLACE]"),
        ("resident of Qwrtz County", "resident of [PLACE]"),
        ("went to Strong Memorial ED", "went to [PLACE] ED"),
    ]);
    left(&[
        "Leeds dyspepsia score",
        "Johns Hopkins fall risk: moderate",
        "King's College criteria met",
        "2 Main St elevation leads",
        "Pierre Robin sequence. Treacher Collins.",
        "Positive for Achilles rupture",
        "County Jail",
        "Late because of traffic on Route 66.",
    ]);
}

#[test]
fn names_that_are_words_are_told_by_what_their_people_do() {
    told(&[
        ("Hope Summers denies pain", "[NAME] denies pain"),
        ("Grant Wood was admitted", "[NAME] was admitted"),
        ("Seen: Art Qwrtz lives alone", "Seen: [NAME] lives alone"),
        ("Leah 3 yo with fever", "[NAME] 3 yo with fever"),
        ("BB Kowalski in the nursery", "BB [NAME] in the nursery"),
    ]);
    left(&[
        "Art Line was removed",
        "Max Assist was needed",
        "Summer Camp was missed",
        "Chest Pain denies",
        "Bishop 6 at 39 weeks",
    ]);
}
