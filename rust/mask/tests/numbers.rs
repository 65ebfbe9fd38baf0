//! Numbers by their word and their check: what is told, what label it has, and what is left alone.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let field = Field::new("note", DataType::Utf8, true);
    let mut masker = Masker::new(&[(field, Treatment::Scan)], &[0; 32]).unwrap();
    let rows: ArrayRef = Arc::new(StringArray::from_iter_values(
        cases.iter().map(|case| case.0),
    ));
    let masked = masker.mask(0, &rows).unwrap();
    for (got, (text, expected)) in masked.as_string::<i32>().iter().zip(cases) {
        assert_eq!(got.unwrap(), *expected, "{text}");
    }
}

#[track_caller]
fn unchanged(texts: &[&str]) {
    let cases: Vec<_> = texts.iter().map(|&text| (text, text)).collect();
    check(&cases);
}

#[test]
fn taxpayer_numbers() {
    check(&[
        ("912-78-1234", "[ITIN]"),
        ("912 50 1234, 999.99.1234", "[ITIN], [ITIN]"),
        // Areas and groups that the IRS has not given out, and one that is printed in advertisements.
        (
            "912-49-1234 912-66-1234 912-89-1234 912-93-1234",
            "[SSN] [SSN] [SSN] [SSN]",
        ),
        ("987-65-4321 812-78-1234", "[SSN] [SSN]"),
        ("ITIN 912781234", "ITIN [ITIN]"),
        ("itin no: 912 78 1234", "itin no: [ITIN]"),
        ("Tax ID: 912781234", "Tax ID: [ITIN]"),
        (
            "taxpayer identification number 912-49-1234",
            "taxpayer identification number [ITIN]",
        ),
        ("912-78-1234-99", "[ITIN]"),
    ]);
}

#[test]
fn providers() {
    check(&[
        ("NPI 1234567894", "NPI [NPI]"),
        ("seen by 1234567893.", "seen by [NPI]."),
        // Fails the check; no telephone number begins with 1 either, but it is masked.
        ("seen by 1234567894.", "seen by [PHONE]."),
        // Passes the check, and may be a telephone number.
        ("2345678908", "[PHONE]"),
        (
            "national provider identifier 2345678908",
            "national provider identifier [NPI]",
        ),
        ("1234567893-12", "[NPI]"),
        ("DEA AB1234563", "DEA [DEA]"),
        ("AB1234563 AB1234564", "[DEA] AB1234564"),
        ("DEA number AB1234564", "DEA number [DEA]"),
    ]);
}

#[test]
fn accounts() {
    check(&[
        // A routing number's check is that of one social security number in ten: the word decides.
        ("ABA 021000021", "ABA [ACCOUNT]"),
        ("routing no. 0210-0002-1", "routing no. [ACCOUNT]"),
        ("021000021", "[SSN]"),
        ("sort code 12-34-56", "sort code [ACCOUNT]"),
        ("GB82 WEST 1234 5698 7654 32", "[IBAN]"),
        ("IBAN: GB82 WEST 1234 5698 7654 33", "IBAN: [IBAN]"),
        ("iban DE89370400440532013001", "iban [IBAN]"),
    ]);
    unchanged(&["cyber: DE89 is a code", "IBAN XX12ABCD"]);
}

#[test]
fn vehicles_and_devices() {
    check(&[
        ("1M8GDM9AXKP042788", "[VIN]"),
        (
            "vehicle identification number 1M8GDM9AXKP042789",
            "vehicle identification number [VIN]",
        ),
        ("license plate AB12 CDE", "license plate [PLATE]"),
        ("license plate: KA 01 HH 1234.", "license plate: [PLATE]."),
        ("plate no. 8XYZ 992 seen", "plate no. [PLATE] seen"),
        ("plates: 7ABC123 BMW", "plates: [PLATE] BMW"),
        (
            "registration number AB12 CDE",
            "registration number [PLATE]",
        ),
        ("S/N A1B2C3D4", "S/N [DEVICE]"),
        ("MAC address 001A2B3C4D5E", "MAC address [MAC]"),
        (
            "00:1A:2B:3C:4D:5E 00-1a-2b-3c-4d-5e 001A.2B3C.4D5E",
            "[MAC] [MAC] [MAC]",
        ),
        (
            "2001:db8::1 fe80::1ff:fe23:4567:890a ::ffff:192.0.2.1",
            "[IP] [IP] [IP]",
        ),
    ]);
}

#[test]
fn short_telephone_numbers_need_their_word() {
    check(&[
        ("call 999 9999", "call [PHONE]"),
        ("phone 999 999 999", "phone [PHONE]"),
        ("Fax no. 999-9999", "Fax no. [PHONE]"),
        ("facsimile: 999 9999", "facsimile: [PHONE]"),
        ("faxed to 999 9999", "faxed to [PHONE]"),
        ("voicemail 999 9999", "voicemail [PHONE]"),
        ("WhatsApp 98765 43210", "WhatsApp [PHONE]"),
        (
            "beeper 999 9999 or hotline 888 8888",
            "beeper [PHONE] or hotline [PHONE]",
        ),
    ]);
    unchanged(&["999 9999", "999 999 999", "98765 43210"]);
    check(&[
        (
            "781 1704 office\n(579)888-3058 fax",
            "[PHONE] office\n[PHONE] fax",
        ),
        ("416 60 039 office", "[PHONE] office"),
        (
            "(37) 788-063-Office\\,07700 063 966-Fax",
            "[PHONE]-Office\\,[PHONE]-Fax",
        ),
        (
            "999 9999 (home), 888 8888 (work)",
            "[PHONE] (home), [PHONE] (work)",
        ),
    ]);
    unchanged(&[
        "781 1704 office visits",
        "99 99 office",
        "120 80 72 home.",
        "9999999 work",
        "0.5 1 2 3 250 home",
    ]);
}

#[test]
fn clinical_sentences_stay() {
    unchanged(&[
        "Plates 2 and 3 were removed; growth plates open. Tibial plate: 4 holes, screws 3.5 mm.",
        "MAC 1.0 of sevoflurane; MAC prophylaxis with azithromycin 1200 mg weekly. CD4 count 45.",
        "Cancer registration form completed. Registration desk notified at 10:30.",
        "S/N ratio 12.5 on MRS. N/S 0.9 % 1000 mL bolus.",
        "Discharged home 2 days ago, works 12 hour shifts, 3 nights a week.",
        "Texted reminder sent 2 days before, beeper given, voicemail left, landline disconnected.",
        "Tax identity theft is a stressor. Student ID lost; national identity discussed.",
        "Vehicle identification was not possible at the scene; GCS 15, 120/80.",
        "Faxed 12 pages to pharmacy. Hotline number given. SMS sent at 14:30.",
        "IBAN not relevant. Provider national average 7.2, target 95 %.",
        "Code blue 12:34; sort of coded 3 times.",
    ]);
}

#[test]
fn charts_and_pagers() {
    check(&[
        ("Chart 12-34-56 pulled", "Chart [MRN] pulled"),
        ("Unit No: 221-55-09", "Unit No: [MRN]"),
        ("Pager 4-5521, beeper 2231", "Pager [PHONE], beeper [PHONE]"),
        ("pager #31337", "pager #[PHONE]"),
        ("Accession: S-23-001234", "Accession: [CASE]"),
        ("report SP-18-4432 signed", "report [CASE] signed"),
        ("Chart 03-04-2021 seen", "Chart [DATE] seen"),
    ]);
    unchanged(&[
        "Chart 3 of 5, unit 4 of 6 transfused",
        "Pager off, beeper lost",
        "Order 10-20 was sent",
    ]);
}
