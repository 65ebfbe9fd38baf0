//! What `scan` tells and what it leaves: texts and what comes out.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

fn masker(field: Field) -> Masker {
    Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap()
}

fn text_field() -> Field {
    Field::new("note", DataType::Utf8, true)
}

fn json_field() -> Field {
    let metadata = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
    text_field().with_metadata(metadata)
}

fn scan_with(field: Field, rows: &[&str]) -> Vec<String> {
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let masked = masker(field).mask(0, &array).unwrap();
    masked
        .as_string::<i32>()
        .iter()
        .map(|row| row.unwrap().to_owned())
        .collect()
}

/// What is told, and what stands there afterwards.
const TOLD: [(&str, &str); 238] = [
    ("Name/MRN: ST-900001", "Name/MRN: [MRN]"),
    ("DOB/SSN 900110001 seen", "DOB/SSN [SSN] seen"),
    ("SSN 123-45-6789.", "SSN [SSN]."),
    ("ssn:123 45 6789, next", "ssn:[SSN], next"),
    ("SSN 123.45.6789", "SSN [SSN]"),
    ("his social is 123456789", "his social is [SSN]"),
    (
        "social security number 078-05-1120",
        "social security number [SSN]",
    ),
    ("123–45–6789 and 123 45 6789", "[SSN] and [SSN]"),
    ("１２３-４５-６７８９", "[SSN]"),
    ("12\u{200b}3-45-6789", "[SSN]"),
    ("ITIN 912-70-1234", "ITIN [ITIN]"),
    ("last 4 of SSN 6789", "last 4 of SSN [SSN]"),
    ("SSN ending in 6789", "SSN ending in [SSN]"),
    ("SSN# 123 - 45 - 6789", "SSN# [SSN]"),
    ("Call 617-555-1212 now", "Call [PHONE] now"),
    ("Call (617) 555-1212 x123", "Call [PHONE]"),
    ("(617)555-1212", "[PHONE]"),
    ("617.555.1212 ext. 45", "[PHONE]"),
    ("+1 617 555 1212", "[PHONE]"),
    ("1-800-555-1212", "[PHONE]"),
    ("+1 (617) 555-1212", "[PHONE]"),
    ("6175551212", "[PHONE]"),
    ("16175551212", "[PHONE]"),
    ("+44 20 7946 0958", "[PHONE]"),
    ("0044 20 7946 0958", "[PHONE]"),
    ("+49 (0)30 1234567", "[PHONE]"),
    ("tel: 555-1234", "tel: [PHONE]"),
    ("phone 467 3395", "phone [PHONE]"),
    ("fax 0490 75 40 81", "fax [PHONE]"),
    ("345-899-3560x4587", "[PHONE]"),
    ("john.doe@example.com, ok", "[EMAIL], ok"),
    ("<John_O'Neil+x@sub.example.co.uk>", "<[EMAIL]>"),
    ("'a@b.io'", "'[EMAIL]'"),
    ("MRN: 00123", "MRN: [MRN]"),
    ("MRN#00123", "MRN#[MRN]"),
    ("MRN 123 456", "MRN [MRN]"),
    ("med rec no 4471", "med rec no [MRN]"),
    (
        "Medical Record Number: A-12345",
        "Medical Record Number: [MRN]",
    ),
    (
        "Medical record # is ST-998877 today",
        "Medical record # is [MRN] today",
    ),
    ("pt ID 12345-JS", "pt ID [MRN]"),
    ("account 12345678", "account [ACCOUNT]"),
    ("Acct # 12-3456", "Acct # [ACCOUNT]"),
    ("Member ID: XYZ123456", "Member ID: [MEMBER]"),
    ("policy no. 889-22-1", "policy no. [POLICY]"),
    ("case ST-998877", "case [CASE]"),
    ("case number 12345-JS", "case number [CASE]"),
    ("claim #2024-00123", "claim #[CASE]"),
    ("NPI 1234567893", "NPI [NPI]"),
    ("NPI: 1234567893 Luhn", "NPI: [NPI] Luhn"),
    ("DEA AB1234563", "DEA [DEA]"),
    ("mbi 1EG4-TE5-MK73", "mbi [MBI]"),
    ("1EG4TE5MK73", "[MBI]"),
    ("VIN 1M8GDM9AXKP042788", "VIN [VIN]"),
    ("1M8GDM9AXKP042788", "[VIN]"),
    ("GB82 WEST 1234 5698 7654 32", "[IBAN]"),
    ("GB56HXDO88167774656119", "[IBAN]"),
    ("seen 03/04/24 for", "seen [DATE] for"),
    ("DOB 3/4/1950", "DOB [DATE]"),
    ("dob:03-04-50", "dob:[DATE]"),
    ("2022-05-30T14:00:00Z", "[DATE]"),
    ("30.05.2022", "[DATE]"),
    ("30.5.2022", "[DATE]"),
    ("May 30th, 2022", "[DATE]"),
    ("30 May 2022", "[DATE]"),
    ("the 3rd of June", "the [DATE]"),
    ("on June 3rd he", "on [DATE] he"),
    ("Jan. 5", "[DATE]"),
    ("5-JAN-22", "[DATE]"),
    ("12/2021", "[DATE]"),
    ("2022-05", "[DATE]"),
    ("on 3/14 he", "on [DATE] he"),
    ("20220530", "[DATE]"),
    ("05302022", "[DATE]"),
    ("January 2020", "[DATE]"),
    ("Sept 5, '22", "[DATE]"),
    ("4111 1111 1111 1111", "[CARD]"),
    ("4111-1111-1111-1111", "[CARD]"),
    ("4111111111111111", "[CARD]"),
    ("3782 822463 10005", "[CARD]"),
    ("10.0.0.1", "[IP]"),
    ("192.168.1.254.", "[IP]."),
    ("fe80::1ff:fe23:4567:890a", "[IP]"),
    ("00:1A:2B:3C:4D:5E", "[MAC]"),
    ("00-1A-2B-3C-4D-5E", "[MAC]"),
    ("001a.2b3c.4d5e", "[MAC]"),
    ("http://clinic.example.org/p?id=1.", "[URL]."),
    ("see www.example.com/x)", "see [URL])"),
    ("portal at patient.example.com", "portal at [URL]"),
    ("02139-4307", "[ZIP]"),
    ("Boston, MA 02139", "[PLACE], MA [ZIP]"),
    ("Cambridge MA 02139", "[PLACE] MA [ZIP]"),
    ("95 year old man", "[AGE] year old man"),
    ("a 92-year-old", "a [AGE]-year-old"),
    ("101 y/o F", "[AGE] y/o F"),
    ("95yo", "[AGE]yo"),
    ("aged 93", "aged [AGE]"),
    ("age: 97", "age: [AGE]"),
    ("94M with", "[AGE]M with"),
    ("MRN for this patient: 00123", "MRN for this patient: [MRN]"),
    ("(MRN 00123)", "(MRN [MRN])"),
    ("MRN=00123;DOB=1/2/1950", "MRN=[MRN];DOB=[DATE]"),
    ("123-45-6789-01", "[SSN]"),
    ("1234-567-890-1234", "[PHONE]"),
    ("license plate 7ABC123", "license plate [PLATE]"),
    (
        "driver's license number S12345678",
        "driver's license number [LICENSE]",
    ),
    ("passport 123456789", "passport [LICENSE]"),
    ("serial number SN-44871", "serial number [DEVICE]"),
    ("hospital number 44871", "hospital number [MRN]"),
    ("123_45_6789", "[SSN]"),
    ("1 2 3 4 5 6 7 8 9", "[ID]"),
    ("SSN:123456789", "SSN:[SSN]"),
    ("ssn123456789", "ssn[SSN]"),
    ("MRN123456", "MRN[MRN]"),
    ("mrn-8837", "mrn-[MRN]"),
    ("MRN. 4471", "MRN. [MRN]"),
    (
        "MRN 00123 and SSN 123-45-6789, phone (617)555-1212 and john@x.org",
        "MRN [MRN] and SSN [SSN], phone [PHONE] and [EMAIL]",
    ),
    ("His MRN is on file as 12345", "His MRN is on file as [MRN]"),
    (
        "patient MRN (hospital) 88123",
        "patient MRN (hospital) [MRN]",
    ),
    ("M.R.N. 00123", "M.R.N. [MRN]"),
    ("medical-record number 55512", "medical-record number [MRN]"),
    ("MRN: AB 12345", "MRN: [MRN]"),
    ("Record #: 77812", "Record #: [MRN]"),
    ("chart #4471", "chart #[MRN]"),
    ("acct no: 0012-3344-55", "acct no: [ACCOUNT]"),
    (
        "Health plan beneficiary number 1EG4TE5MK72",
        "Health plan beneficiary number [MEMBER]",
    ),
    ("Medicare number 1EG4-TE5-MK72", "Medicare number [MBI]"),
    ("insurance ID W123456789", "insurance ID [MEMBER]"),
    ("Insurance policy XJK-22918", "Insurance policy [POLICY]"),
    ("group # 88123", "group # [POLICY]"),
    ("Patient ID: P-00123", "Patient ID: [MRN]"),
    ("Pt. ID 12345", "Pt. ID [MRN]"),
    ("patient #12345", "patient #[MRN]"),
    ("DOB: 12-Mar-1954", "DOB: [DATE]"),
    ("DOB 1954-03-12", "DOB [DATE]"),
    ("born March 12, 1954", "born [DATE]"),
    ("born on the 12th of March 1954", "born on the [DATE]"),
    ("born 12.03.54", "born [DATE]"),
    ("03-12-1954 10:33", "[DATE] 10:33"),
    ("12MAR1954", "[DATE]"),
    ("Mar 12 '54", "[DATE]"),
    ("March 2019", "[DATE]"),
    ("Mar-12-2019", "[DATE]"),
    ("2019/03/12", "[DATE]"),
    (
        "Admitted 3/4, discharged 3/9",
        "Admitted [DATE], discharged [DATE]",
    ),
    ("d/c 3/9/24", "d/c [DATE]"),
    ("f/u 03/2025", "f/u [DATE]"),
    ("3/4-3/9/24", "[DATE]-[DATE]"),
    ("Dec 25th", "[DATE]"),
    ("25th December", "[DATE]"),
    ("5/30/22 at 14:00", "[DATE] at 14:00"),
    ("5/30/2022.", "[DATE]."),
    ("(5/30/2022)", "([DATE])"),
    ("20220530T1400", "[DATE]T1400"),
    ("2022-5-3", "[DATE]"),
    ("30-05-2022", "[DATE]"),
    ("30/05/22", "[DATE]"),
    ("May 30 – June 3, 2022", "[DATE] – [DATE]"),
    ("May 30-June 2", "[DATE]"),
    ("Jan/5/2021", "[DATE]"),
    ("phone:6175551212", "phone:[PHONE]"),
    ("617 555 1212", "[PHONE]"),
    ("617-555-1212 ext 5", "[PHONE]"),
    ("(617)-555-1212", "[PHONE]"),
    ("617/555-1212", "[PHONE]"),
    ("+16175551212", "[PHONE]"),
    ("001 617 555 1212", "[PHONE]"),
    ("1 (617) 555 1212", "[PHONE]"),
    ("617.5551212", "[PHONE]"),
    ("617-5551212", "[PHONE]"),
    ("tel 555 1212", "tel [PHONE]"),
    ("call me at 5551212", "call me at [PHONE]"),
    ("Fax: 617 555 1213", "Fax: [PHONE]"),
    ("cell (617) 555–1212", "cell [PHONE]"),
    ("JOHN.DOE@EXAMPLE.COM", "[EMAIL]"),
    ("john.doe＠example.com", "[EMAIL]"),
    ("jane_d+news@mail.example.co", "[EMAIL]"),
    ("https://portal.example.com/patient/123?mrn=4471", "[URL]"),
    ("HTTP://X.ORG", "[URL]"),
    ("ftp://10.0.0.1/file", "[URL]"),
    ("example.com/patients/7", "[URL]"),
    ("ip 2001:db8::1", "ip [IP]"),
    ("IP: 10.1.2.3:8080", "IP: [IP]:8080"),
    ("10.1.2.3/24", "[IP]/24"),
    ("5500 0000 0000 0004", "[CARD]"),
    ("378282246310005", "[CARD]"),
    ("6011-1111-1111-1117", "[CARD]"),
    ("4111.1111.1111.1111", "[CARD]"),
    ("age 90", "age [AGE]"),
    ("90 y.o. F", "[AGE] y.o. F"),
    ("90 years of age", "[AGE] years of age"),
    ("99-yr-old", "[AGE]-yr-old"),
    ("92 y/o", "[AGE] y/o"),
    ("MA 02139-4307", "MA [ZIP]"),
    ("license plate ABC-1234", "license plate [PLATE]"),
    ("plate # ABC1234", "plate # [PLATE]"),
    ("DL# S12345678", "DL# [LICENSE]"),
    ("NPI#1234567893", "NPI#[NPI]"),
    ("DEA: BS1234563", "DEA: [DEA]"),
    ("device serial # 1234-AB", "device serial # [DEVICE]"),
    ("IMEI 490154203237518", "IMEI [DEVICE]"),
    ("UDI (01)00844588003288(17)141120", "UDI [DEVICE]"),
    (
        "(01)00844588003288(17)141120(10)A213B1(21)1234 ok",
        "[DEVICE] ok",
    ),
    (
        "+H123PARTNO1234567890120/$$420020216LOT123 ok",
        "[DEVICE] ok",
    ),
    (
        "ninety-two year old, BP 120/80",
        "[AGE] year old, BP 120/80",
    ),
    ("She is ninety-five years old.", "She is [AGE] years old."),
    (
        "HR 80, a Hundred and one years old",
        "HR 80, a [AGE] years old",
    ),
    ("routing number 021000021", "routing number [ACCOUNT]"),
    ("Mar-2024", "[DATE]"),
    ("92F and aged 91", "[AGE]F and aged [AGE]"),
    ("case no. ST-998877", "case no. [CASE]"),
    ("Case ID 12345-JS", "Case ID [CASE]"),
    ("claim 2024-00123-7", "claim [CASE]"),
    ("encounter 99812345", "encounter [CASE]"),
    ("accession: S24-00123", "accession: [CASE]"),
    ("confirmation number QX81723", "confirmation number [CASE]"),
    ("employee id 44712", "employee id [LICENSE]"),
    ("MRN：００１２３", "MRN：[MRN]"),
    ("MRN 00\u{2011}123\u{2011}45", "MRN [MRN]"),
    ("1-2-3-4-5-6-7-8-9", "[ID]"),
    ("Med. Rec. # 4471", "Med. Rec. # [MRN]"),
    ("phone:\n467 3395\n", "phone:\n[PHONE]\n"),
    ("Tel.\n(71) 4233-6306", "Tel.\n[PHONE]"),
    ("Cell: 60-56-85-91", "Cell: [PHONE]"),
    ("see\tMRN\t00123", "see\tMRN\t[MRN]"),
    ("a 123-45-\n6789 b", "a [SSN] b"),
    ("x 123\u{2011}45\u{2011}6789 y", "x [SSN] y"),
    ("MRN:００１２３", "MRN:[MRN]"),
    ("Straße 12, müller@beispiel.de", "Straße 12, [EMAIL]"),
    ("Ünal's SSN: 123–45–6789…", "Ünal's SSN: [SSN]…"),
    ("on\u{a0}3/14\u{a0}he", "on\u{a0}[DATE]\u{a0}he"),
    ("123\u{200b}-\u{200b}45\u{200b}-\u{200b}6789", "[SSN]"),
    (
        "４１１１\u{3000}１１１１\u{3000}１１１１\u{3000}１１１１",
        "[CARD]",
    ),
    ("٦١٧-٥٥٥-٠١٤٢", "[PHONE]"),
    ("MAY 5 and may 5th", "[DATE] and [DATE]"),
    ("seen may 5 for cough", "seen [DATE] for cough"),
    ("(617) 555-0142 or 617.555.0143", "[PHONE] or [PHONE]"),
    ("02139-4307-12", "[ZIP]"),
    (
        "0.5 mg on 2024-01-02, 0.25 after",
        "0.5 mg on [DATE], 0.25 after",
    ),
];

/// Clinical text without identifiers: it comes back as it was.
const LEFT: [&str; 119] = [
    "since 2019",
    "MRN verified, BP 120/80",
    "mrn and dob checked",
    "The MRN of the patient was reviewed",
    "NPI taxonomy 5",
    "Social security benefits since 2019",
    "account of events",
    "Policy change in 2020",
    "policy in 2020 changed",
    "case closed 2021",
    "claim denied 3 times",
    "member since 2019",
    "Insurance: 80/20",
    "Insurance verified",
    "medicare part B",
    "confirmation of 10 lesions",
    "plan: 10 mg daily",
    "plan: metformin 1000 mg",
    "Plan: 1. continue 2. follow up",
    "record 3 readings",
    "visit: 15 min",
    "Chart: 3 pages",
    "file: 200 KB",
    "Order: 250 mL bolus",
    "group: 120 patients",
    "Incident: 300 mL blood loss",
    "text 5 times",
    "contact precautions",
    "Rx: 500 mg TID",
    "Rx: 1000 mg",
    "ref: 135-145",
    "patient: 120 lb",
    "Plan: 500 mL NS",
    "Order: CBC12",
    "BP 120/80",
    "5/325 mg",
    "Percocet 5/325 mg q6h",
    "2/10 pain",
    "pain 2/10",
    "pain is 2/10 today, was 8/10",
    "T 98.6",
    "HR 72",
    "1/2 tab",
    "CPT 99213",
    "ICD F32.9",
    "10 mg BID",
    "Vitals: BP 120/80 HR 72 RR 16 T 98.6 SpO2 99% on RA",
    "WBC 7.2, Hgb 13.5, Plt 250, Na 140 K 4.1 Cl 102 CO2 24 BUN 14 Cr 0.9 Glu 98",
    "Strength 5/5 in all extremities, reflexes 2+ bilaterally",
    "Metformin 500 mg PO BID x 30 days, disp #60, refills 3",
    "follow up in 2-3 weeks",
    "Patient may take 2 tablets every 4-6 hours as needed",
    "march 3 miles daily",
    "may 2 tablets",
    "EF 55-60%",
    "visual acuity 20/20 OD, 20/40 OS",
    "BMI 27.4, weight 180 lb, height 5'10\"",
    "Lisinopril 10/12.5 mg",
    "10/20/30 mg titration",
    "on 1/2 NS at 75 cc/hr",
    "A1c 6.5%",
    "since 2019",
    "in 1998 he had surgery",
    "45 year old male",
    "65yo F with COPD",
    "an 89 year old woman",
    "5 cm x 3 cm x 2 cm mass",
    "Ratio 1:2:3 at 12:30:45",
    "Insulin 70/30 10 units",
    "Troponin 0.04, lactate 1.2, pH 7.35/45/90/24",
    "Grade 3/6 systolic murmur",
    "L4-L5 disc",
    "C5-6 radiculopathy, T12-L1",
    "COVID-19 negative",
    "HbA1c, B12 500 pg/mL",
    "type 2 diabetes",
    "Case discussed with the team of 3",
    "medical record reviewed",
    "Chart reviewed, no 3 issues",
    "order 2 units PRBC",
    "account for 3 months",
    "The plan is to continue 2 meds",
    "No 12 lead ECG changes",
    "patient is 6 feet tall",
    "Give 1000 mL bolus over 30 minutes, then 125 mL/hr",
    "1,000,000 units",
    "dose of 0.123456789",
    "G2P1001 at 39w2d",
    "s/p CABG x3 in 2015",
    "Call 911 if chest pain",
    "call if glucose 250 or BP 180/110",
    "Mr. 3 doses given",
    "group 1 of 3",
    "Oxygen 2L NC, FiO2 40%",
    "Room 12, bed 3",
    "GCS 15, NIHSS 4",
    "q4-6h prn",
    "0800-1600 shift",
    "ref range 135-145",
    "Na 135-145 mmol/L",
    "platelets 150-400 x10^9/L",
    "Section 3.2.1 of the protocol",
    "version 1.2.3",
    "dec 2 mg",
    "Take 1 may repeat in 5 minutes",
    "file a complaint",
    "tid x 10 days",
    "VAS 4/10 -> 2/10",
    "MRI 1.5 T",
    "member of 2 groups",
    "NYHA class III",
    "DEA schedule 2",
    "mL/min/1.73 m2",
    "PHQ-9 score 12, GAD-7 score 10",
    "case 3 of appendicitis",
    "ages 90-100 cohort",
    "5 of ninety patients, ninety years ago",
    "120 m walk",
    "HCO3 24 PaCO2 40",
];

#[test]
fn identifiers_are_replaced_by_their_labels() {
    let (texts, expected): (Vec<&str>, Vec<&str>) = TOLD.into_iter().unzip();
    for ((got, text), expected) in scan_with(text_field(), &texts)
        .iter()
        .zip(texts)
        .zip(expected)
    {
        assert_eq!(got, expected, "{text:?}");
    }
}

#[test]
fn clinical_text_comes_back_unchanged() {
    for (got, text) in scan_with(text_field(), &LEFT).iter().zip(LEFT) {
        assert_eq!(got, text);
    }
}

#[test]
fn identifiers_are_told_inside_of_sentences() {
    for (text, expected) in TOLD {
        let around = |inner: &str| format!("He said; {inner}\nBP 120/80; done");
        let got = scan_with(text_field(), &[&around(text)]);
        // The next line may be a word of context less, never a tail of an identifier more.
        assert_eq!(got[0], around(expected), "{text:?}");
    }
}

#[test]
fn a_row_does_not_hide_the_next() {
    let rows = [
        "BP 120",
        "123-45-6789",
        "45",
        "6789",
        "",
        "mail: a",
        "@b.zz",
        "x",
        "617-555-1212",
    ];
    let got = scan_with(text_field(), &rows);
    let expected = [
        "BP 120", "[SSN]", "45", "6789", "", "mail: a", "@b.zz", "x", "[PHONE]",
    ];
    assert_eq!(got, expected);
}

#[test]
fn every_window_of_every_layout_gives_the_same_rows() {
    let rows: Vec<Option<&str>> = TOLD
        .iter()
        .take(24)
        .flat_map(|(text, _)| [Some(*text), None, Some("no 1 is here"), Some("")])
        .collect();
    let expected: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.map(|row| scan_with(text_field(), &[row])[0].clone()))
        .collect();
    let layouts: [ArrayRef; 4] = [
        Arc::new(StringArray::from_iter(rows.iter())),
        Arc::new(LargeStringArray::from_iter(rows.iter())),
        Arc::new(StringViewArray::from_iter(rows.iter())),
        Arc::new(rows.iter().copied().collect::<DictionaryArray<Int32Type>>()),
    ];
    for array in layouts {
        for (start, length) in [
            (0, rows.len()),
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 40),
            (5, 0),
            (90, 6),
        ] {
            let mut m = masker(Field::new("c", array.data_type().clone(), true));
            let masked = m.mask(0, &array.slice(start, length)).unwrap();
            assert_eq!(masked.data_type(), array.data_type());
            let got: Vec<Option<String>> = match masked.data_type() {
                DataType::Utf8 => owned(masked.as_string::<i32>().iter()),
                DataType::LargeUtf8 => owned(masked.as_string::<i64>().iter()),
                DataType::Utf8View => owned(masked.as_string_view().iter()),
                _ => {
                    let dictionary = masked.as_dictionary::<Int32Type>();
                    owned(
                        dictionary
                            .downcast_dict::<StringArray>()
                            .unwrap()
                            .into_iter(),
                    )
                }
            };
            assert_eq!(got, expected[start..start + length]);
        }
    }
}

fn owned<'a>(rows: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<String>> {
    rows.map(|row| row.map(str::to_owned)).collect()
}

#[test]
fn a_batch_without_a_hit_is_passed_on() {
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(LEFT));
    let masked = masker(text_field()).mask(0, &array).unwrap();
    let (before, after) = (array.to_data(), masked.to_data());
    assert_eq!(before.buffers()[1].as_ptr(), after.buffers()[1].as_ptr());
    assert_eq!(before.buffers()[0].as_ptr(), after.buffers()[0].as_ptr());
}

#[test]
fn what_was_found_is_counted() {
    let rows = [
        "SSN 123-45-6789 and 987-65-4321",
        "a@b.org, 1.2.3.4",
        "nothing",
    ];
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let mut m = masker(text_field());
    m.mask(0, &array).unwrap();
    m.mask(0, &array).unwrap();
    assert_eq!(
        serde_json::to_string(&m.report()).unwrap(),
        "{\"cells_masked\":{\"note\":{\"scan\":4}},\"detectors\":{\"note\":{\
         \"email\":{\"cells\":2,\"spans\":2},\"ip\":{\"cells\":2,\"spans\":2},\
         \"ssn\":{\"cells\":2,\"spans\":4}}}}"
    );
}

#[test]
fn a_dictionary_counts_its_rows() {
    let rows = ["123-45-6789", "x", "123-45-6789", "123-45-6789"];
    let array: ArrayRef = Arc::new(rows.into_iter().collect::<DictionaryArray<Int32Type>>());
    let mut m = masker(Field::new("c", array.data_type().clone(), true));
    m.mask(0, &array).unwrap();
    let report = m.report();
    assert_eq!(report.cells_masked["c"]["scan"], 3);
    assert_eq!(
        (
            report.detectors["c"]["ssn"].cells,
            report.detectors["c"]["ssn"].spans
        ),
        (3, 3)
    );
}

#[test]
fn lists_are_scanned_by_element() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append_value([Some("MRN 00123"), None, Some("ok")]);
    builder.append_null();
    builder.append_value([Some("a@b.org")]);
    let array: ArrayRef = Arc::new(builder.finish());
    let mut m = masker(Field::new("c", array.data_type().clone(), true));
    let masked = m.mask(0, &array.slice(1, 2)).unwrap();
    assert!(masked.is_null(0));
    let last = masked.as_list::<i32>().value(1);
    assert_eq!(last.as_string::<i32>().value(0), "[EMAIL]");
    let masked = m.mask(0, &array).unwrap();
    let first = masked.as_list::<i32>().value(0);
    assert_eq!(
        owned(first.as_string::<i32>().iter()),
        [Some("MRN [MRN]".into()), None, Some("ok".into())]
    );
    assert_eq!(m.report().cells_masked["c"]["scan"], 3);
}

#[test]
fn clear_scans_text_unless_told_not_to() {
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(["SSN 123-45-6789"]));
    for (scan, expected) in [(true, "SSN [SSN]"), (false, "SSN 123-45-6789")] {
        let columns = [(text_field(), Treatment::Clear { scan })];
        let mut m = Masker::new(&columns, &[0; 32]).unwrap();
        assert_eq!(
            m.mask(0, &array).unwrap().as_string::<i32>().value(0),
            expected
        );
        assert_eq!(m.output_field(0).metadata()["maskgate.treatment"], "clear");
        assert_eq!(m.report().cells_masked.len(), usize::from(scan));
    }
}

#[test]
fn json_strings_are_scanned_and_stay_json() {
    let table = [
        (
            r#"{"note": "SSN 123-45-6789", "n": 1}"#,
            r#"{"note": "SSN [SSN]", "n": 1}"#,
        ),
        (r#"{"mrn": "00123"}"#, r#"{"mrn": "[MRN]"}"#),
        (
            r#"{"patientMrn": ["00123", "00124"]}"#,
            r#"{"patientMrn": ["[MRN]", "[MRN]"]}"#,
        ),
        (
            r#"{"phone_number": "467 3395"}"#,
            r#"{"phone_number": "[PHONE]"}"#,
        ),
        (
            r#"{"mrn": 12345, "count": 12345}"#,
            r#"{"mrn": "[MRN]", "count": 12345}"#,
        ),
        (
            r#"{"ssn": 123456789, "price": 4.5}"#,
            r#"{"ssn": "[SSN]", "price": 4.5}"#,
        ),
        (r#"{"age": 95}"#, r#"{"age": "[AGE]"}"#),
        (r#"{"a@b.org": true}"#, r#"{"[EMAIL]": true}"#),
        (
            r#"{"mrn": true, "x": "00123"}"#,
            r#"{"mrn": true, "x": "00123"}"#,
        ),
        (r#""call 617-555-1212""#, r#""call [PHONE]""#),
        (r#"["\u0031\u0032\u0033-45-6789"]"#, r#"["[SSN]"]"#),
        (
            r#"["say \"a@b.org\" \\ \n"]"#,
            r#"["say \"[EMAIL]\" \\ \n"]"#,
        ),
        (
            r#"["\ud83d\ude00 a@b.org \ud83d"]"#,
            "[\"\u{1f600} [EMAIL] \u{fffd}\"]",
        ),
        (r#"["\/plain\u00e9"]"#, r#"["\/plain\u00e9"]"#),
        (r#" [ ] "#, r#" [ ] "#),
        (
            r#"{"a": {}, "b": [[], {"c": null}]}"#,
            r#"{"a": {}, "b": [[], {"c": null}]}"#,
        ),
        // Not JSON: scanned as text.
        (r#"{"mrn": "00123""#, r#"{"mrn": "[MRN]""#),
        (
            r#"{"a": 01, "b": "a@b.org"}"#,
            r#"{"a": 01, "b": "[EMAIL]"}"#,
        ),
        ("SSN 123-45-6789", "SSN [SSN]"),
        ("", ""),
    ];
    let texts: Vec<&str> = table.iter().map(|(text, _)| *text).collect();
    for (got, (text, expected)) in scan_with(json_field(), &texts).iter().zip(table) {
        assert_eq!(got, expected, "{text}");
        let parsed =
            serde_json::from_str::<serde_json::Value>(text.replace("\\ud83d\"", "\"").as_str());
        assert_eq!(
            parsed.is_ok(),
            serde_json::from_str::<serde_json::Value>(got).is_ok(),
            "{text}"
        );
    }
}

#[test]
fn deep_json_is_scanned_without_a_stack() {
    let deep = |n: usize| format!("{}\"123-45-6789\"{}", "[".repeat(n), "]".repeat(n));
    for depth in [10, 999, 1_000, 1_001, 200_000] {
        let got = scan_with(json_field(), &[&deep(depth)]);
        assert_eq!(got[0], deep(depth).replace("123-45-6789", "[SSN]"));
    }
}

/// A quadratic rule would take hours on these.
#[test]
fn no_text_is_slow() {
    let pieces = [
        "a://",
        "://",
        "com.",
        "a@",
        "@",
        "a:",
        "1 ",
        "1-",
        "12-",
        "mrn-",
        "mrn ",
        "tel ",
        "may ",
        "1.1.",
        "(",
        "+1",
        "www.",
        "x.com/",
        "a1",
        "9999999999",
        "9",
        "a",
        "AB12 ",
        "is is ",
        "\u{301}",
        "1/",
        "30 may of ",
    ];
    for piece in pieces {
        let text = piece.repeat(500_000 / piece.len());
        let got = scan_with(text_field(), &[&text]);
        assert!(!got[0].is_empty(), "{piece:?}");
    }
    let key = "k".repeat(300_000);
    let values = vec!["\"v\""; 100_000].join(",");
    let text = format!("{{\"{key}\":[{values}]}}");
    assert_eq!(scan_with(json_field(), &[&text])[0], text);
}
