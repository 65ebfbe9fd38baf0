//! The fast path finds what the oracle finds: on hand-picked texts, and on realistic text that is cut,
//! joined, respelled and damaged at random.

mod windows;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use proptest::prelude::*;

use crate::detect::kinds::Kinds;
use crate::detect::triggers::Rules;
use crate::detect::{Kind, date_words, name, phone, record, subject};
use crate::naive::Naive;
use crate::scan::Scanner;

/// Pieces of notes: with identifiers, without, and the stuff between.
const PIECES: [&str; 323] = [
    "Qwrtz,00912837",
    "00912837",
    "0091283",
    "PT: AMB 150 FT",
    "5/19 10:30",
    "Hope Summers denies",
    "Art Qwrtz was admitted",
    "Leah 3 yo",
    "BB Kowalski",
    "LABOR DAY 1",
    "from 7/22 to 7/25",
    "7/22-7/25",
    "7/22 - 7/25-8/17",
    "7 / 22-7/25",
    "between 7/2 and 7/23",
    "5/7/22-7/25",
    "as of 7/22",
    "cath 8/19 showed",
    "extubated 7/24",
    "dob 3.4.60",
    "born on 080888",
    "in her late 90s",
    "his 90's",
    "aged ninety-four",
    "a nonagenarian",
    "turned 92 last",
    "her 93rd birthday",
    "Age/Sex: 96/F",
    "the twenty-third day of June",
    "July the fourth",
    "May second",
    "Christmas Eve",
    "on Thanksgiving",
    "Labor Day",
    "PID|1||448812^^^HOSP^MR||QWRTZ^P||19600304|M",
    "PV1|1|I\rNK1|1|QWRTZ^X|\nORC|RE|A1|",
    "OBR|1|99887^XQZT^PLUGH",
    "EIN 12-3456789",
    "SN: A45-22910",
    "ext. 51234",
    "plate 7ABC123",
    "DL D1234567",
    "Path # SP-24-00912",
    "pt # 0029188",
    "NDC 00093-1048-01",
    "60-50-40-30-20-10",
    "06-09-12-15-18",
    "00-05-10-15-20-25",
    "Boston, Massachusetts",
    "Qwrtzville NY",
    "near Lake Qwrtz",
    "Qwrtz County",
    "2 may.of 2021",
    "pager listed for patient recorded the 02079 460958",
    "bed A1  Mercy General Hospital",
    "123-45-6789",
    "123 45 6789",
    "123.45.6789",
    "123456789",
    "12-345-6789",
    "078-05-1120",
    "617-555-1212",
    "(617) 555-1212",
    "+1 617 555 1212",
    "1-800-555-1212",
    "617.555.1212 ext. 45",
    "6175551212",
    "x4587",
    "+44 20 7946 0958",
    "0044 20 7946 0958",
    "+49 (0)30 1234567",
    "555-1234",
    "(03) 5353 2421",
    "0490 75 40 81",
    "71-33-52-22",
    "699-956-915",
    "6175551212-12",
    "617555-1212",
    "john.doe@example.com",
    "a@b",
    "'x@y.org'",
    "http://a.example/x?y=1.",
    "www.example.com/",
    "clinic.org",
    "patient.example.co.uk/path)",
    "10.0.0.1",
    "256.1.1.1",
    "1.2.3.4.5",
    "fe80::1ff:fe23:4567:890a",
    "::1",
    "12:30:45",
    "00:1A:2B:3C:4D:5E",
    "00-1A-2B-3C-4D-5E",
    "001a.2b3c.4d5e",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111-123",
    "3782 822463 10005",
    "4111111111111111",
    "4111111111111112",
    "12345678901234567890",
    "03/04/24",
    "3/4/1950",
    "03-04-50",
    "3.4.50",
    "30.05.2022",
    "30 05 2022",
    "2022-05-30T14:00:00Z",
    "2022-05-30",
    "2022-05",
    "12/2021",
    "3/14",
    "20220530",
    "31121999",
    "May 30th, 2022",
    "30 May 2022",
    "3rd of June",
    "June 3rd",
    "Jan. 5",
    "5-JAN-22",
    "Sept 5, '22",
    "may 2",
    "2 may",
    "March",
    "dec",
    "of 2021",
    "1/2 tab",
    "10/20/30 mg",
    "MRN",
    "mrn:",
    "MRN#00123",
    "med rec no",
    "Medical record",
    "pt ID",
    "patient",
    "account",
    "Acct #",
    "member ID:",
    "policy",
    "case",
    "claim",
    "order",
    "NPI",
    "SSN",
    "ss#",
    "ending in",
    "number",
    "no.",
    "is",
    "#",
    "00123",
    "ST-998877",
    "12345-JS",
    "AB1234563",
    "1EG4-TE5-MK73",
    "1EG4TE5MK73",
    "1M8GDM9AXKP042788",
    "GB82 WEST 1234 5698 7654 32",
    "GB56HXDO88167774656119",
    "02139-4307",
    "Boston, MA 02139",
    "Cambridge MA",
    "95 year old",
    "92yo",
    "95 Y",
    "aged 93",
    "age: 97",
    "101F",
    "120 f",
    "90 years ago",
    "Tel.",
    "phone:\n",
    "call",
    "fax",
    "on",
    "seen",
    "DOB",
    "since",
    "BP 120/80",
    "5/325 mg",
    "T 98.6",
    "HR 72",
    "CPT 99213",
    "F32.9",
    "10 mg BID",
    "500",
    "0.123456789",
    "135-145",
    "L4-L5",
    "2",
    "7",
    "12",
    "345",
    "1234",
    "12345",
    "1,000",
    "%",
    "mg",
    "(",
    ")",
    "+",
    "-",
    ".",
    "/",
    ":",
    "@",
    "é",
    "漢",
    "１２３",
    "1 2 3 4 5 6 7 8 9",
    "1-2.3",
    "W123456789",
    "123456789A",
    "M.R.N.",
    "Med. Rec.",
    "AB 12345",
    "on file as",
    "ns",
    "3/4-3/9/24",
    "a://b://c",
    "com.com.org",
    "plan: 500 mL",
    "Order: CBC12",
    "group: 120",
    "file: 77812",
    "id",
    "=",
    "78b9001a-4111-4111-8111-123456789012",
    "12345678-1234-aba1-8123-2022053012ab",
    "12345678-1234-1234-1234-123456789012",
    "0cc175b9c0f1b6a831c399e269772661",
    "AB001234567890ABCDEF1234567890123456789F",
    "12345678901234567890123456789012",
    "Dr.",
    "mr. ",
    "MS",
    "Mrs",
    "Nurse",
    "Prof.",
    "Kowalski",
    "Anna",
    "KOWALSKI, ANNA",
    "J.",
    "Q",
    "van der",
    "O'Brien",
    "Name:",
    "my name is",
    "patient",
    "daughter",
    "spoke with",
    "Smith-Jones",
    "Graves'",
    "disease",
    "Jennifer's",
    "Xqzt",
    "and",
    "St.",
    "Will",
    "M\u{fc}ller, J.",
    "Seen by",
    "c/o",
    "Иван",
    "McDonald",
    "JOHN",
    "Maria is",
    "(Anna)",
    "\"Jennifer",
    "Robert, agrees",
    "Labs: WBC",
    "Jennifer\nreports",
    "ninety-two",
    "hundred and one",
    "years old",
    "(01)00844588003288",
    "(17)141120(21)A1",
    "+H123PARTNO1234567890120/$$42L1",
    "lives at 12 Main St",
    "912-78-1234",
    "912 49 1234",
    "1234567893",
    "1234567894",
    "itin",
    "tax id",
    "IBAN",
    "iban no:",
    "GB82 WEST 1234 5698 7654 33",
    "DE89370400440532013001",
    "license plate",
    "plates:",
    "AB12 CDE",
    "KA 01 HH 1234",
    "MAC address",
    "tel. nr. 99 99 999",
    "Fax no.",
    "781 1704 office",
    "(37) 788-063-Office",
    "home",
    "work,",
    "001A2B3C4D5E",
    "Apt 4B",
    "Boston, MA 02139",
    "Via Roma 7",
    "from Seattle",
    "zip code 35350",
    "zip: 7412 SL",
    "10969 Berlin",
    "Mercy General Hospital",
    "St. Mary's Medical Center",
    "works at Xqzt Steel",
    "on Maple Street",
    "in Sheffield S10 2QT",
    "Xqzt, MD",
    "husband (Xqzt)",
    "Kowalski agrees",
    "Kalamazoo",
    "Xqzt, Ohio",
    "B. Xqzt",
    "Seen by Xqzt,",
    "anna kowalski",
    "wife jennifer",
    "Zoltan Qwrtz denies",
    "kowalski",
    "12 Main St, Xqzt, OH",
];

const JOINTS: [&str; 14] = [
    " ", " ", " ", "", "-", ".", "/", ", ", ": ", "\n", "  ", " - ", "\u{200b}", "\u{2013}",
];

/// One random change.
#[derive(Debug, Clone)]
enum Change {
    Delete(prop::sample::Index),
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, char),
    Upper(prop::sample::Index),
}

fn characters() -> impl Strategy<Value = char> {
    let usual: Vec<char> = "0123456789 -./:@()#,'+_\t\r\nxTZstndohmayMRNe\u{a0}\u{2011}\u{ad}٣é☃"
        .chars()
        .collect();
    prop_oneof![8 => prop::sample::select(usual), 1 => any::<char>()]
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        place().prop_map(Change::Delete),
        (place(), characters()).prop_map(|(i, c)| Change::Replace(i, c)),
        (place(), characters()).prop_map(|(i, c)| Change::Insert(i, c)),
        place().prop_map(Change::Upper),
    ]
}

fn note() -> impl Strategy<Value = String> {
    let piece = (
        prop::sample::select(&PIECES[..]),
        prop::sample::select(&JOINTS[..]),
    );
    let pieces = prop::collection::vec(piece, 1..7);
    (pieces, prop::collection::vec(change(), 0..4)).prop_map(|(pieces, changes)| {
        let mut text: Vec<char> = pieces
            .iter()
            .flat_map(|(piece, joint)| piece.chars().chain(joint.chars()))
            .collect();
        for change in changes {
            if text.is_empty() {
                break;
            }
            match change {
                Change::Delete(i) => {
                    text.remove(i.index(text.len()));
                }
                Change::Replace(i, c) => {
                    let i = i.index(text.len());
                    text[i] = c;
                }
                Change::Insert(i, c) => text.insert(i.index(text.len()), c),
                Change::Upper(i) => {
                    let i = i.index(text.len());
                    text[i] = text[i].to_ascii_uppercase();
                }
            }
        }
        text.into_iter().collect()
    })
}

fn both(
    naive: &Naive,
    scanner: &mut Scanner,
    kinds: Kinds,
    text: &str,
) -> [Vec<(usize, usize, String)>; 2] {
    let name = |kind| format!("{kind:?}");
    let fast = scanner.find(text, Rules::All);
    let fast = fast
        .iter()
        .map(|s| (s.start, s.end, name(s.kind)))
        .collect();
    let slow = naive
        .spans_of(text, kinds)
        .into_iter()
        .map(|(s, e, kind)| (s, e, name(kind)))
        .collect();
    [fast, slow]
}

thread_local! {
    static NAIVE: Naive = Naive::new();
}

/// Both find the same in this text.
fn agree(text: &str) -> Result<(), TestCaseError> {
    NAIVE.with(|naive| {
        let [fast, slow] = both(naive, &mut Scanner::new(false), Kinds::ALL, text);
        prop_assert_eq!(fast, slow, "{:?}", text);
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(800), ..ProptestConfig::default() })]

    #[test]
    fn fast_and_naive_agree_on_damaged_notes(text in note()) {
        agree(&text)?;
    }

    #[test]
    fn fast_and_naive_agree_on_chosen_detectors(
        texts in prop::collection::vec(note(), 1..6),
        chosen in prop::collection::vec(prop::sample::select(&Kind::ALL[..]), 0..6),
    ) {
        let kinds = chosen.into_iter().fold(Kinds::of([]), Kinds::with);
        let mut scanner = Scanner::new(false).choosing(kinds);
        for text in &texts {
            NAIVE.with(|naive| {
                let [fast, slow] = both(naive, &mut scanner, kinds, text);
                prop_assert_eq!(fast, slow, "{:?} {:?}", kinds, text);
                Ok(())
            })?;
        }
        // Many rows at once, with their neighbours.
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
        let (masked, _) = scanner.mask(&array, None).unwrap();
        for (got, text) in masked.as_string::<i32>().iter().zip(&texts) {
            let mut expected = Vec::new();
            scanner.push_text(text, 1, &mut expected);
            prop_assert_eq!(got.unwrap().as_bytes(), expected, "{:?} {:?}", kinds, text);
        }
    }

    #[test]
    fn fast_and_naive_agree_on_keys(
        text in "(mrn:? |tel |aba |no |1-|[0-9]{1,9}[ -]|x|_)?\
            ([0-9]{8}|[0-9a-f]{8}|[0-9]{7})(-([0-9]{4}|[0-9A-F]{4}|aba[0-9]|20[0-9]{2})){3}-\
            ([0-9]{12}|[0-9a-f]{12}|[0-9]{8}[a-f]{4})(-[0-9]{1,4}| [0-9]{2,4}|-|x|[.,] [0-9]{9})?",
        word in "(mrn:? |tel |vin )?([0-9a-f]{30,34}|[0-9a-f]{40}|[0-9]{31}f|[a-f]{2}[0-9]{30}|[0-9a-f]{127,129})",
        joint in "[ ,/-]{0,2}",
    ) {
        let text = format!("{text}{joint}{word}");
        agree(&text)?;
    }

    #[test]
    fn rows_do_not_see_their_neighbours(
        notes in prop::collection::vec(prop_oneof![3 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned), 1 => note(), 1 => "[0-9 .:/@()#a-fMRNxmay+,'-]{0,40}"], 1..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        // Some are cut in two, and the pieces lie beside each other and beside whole ones.
        let mut rows: Vec<String> = notes;
        for cut in cuts {
            let i = cut.index(rows.len());
            let half = rows[i].chars().count() / 2;
            let rest = rows[i].chars().skip(half).collect();
            rows[i] = rows[i].chars().take(half).collect();
            rows.insert(i + 1, rest);
        }
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(&rows));
        let (masked, _) = Scanner::new(false).mask(&array, None).unwrap();
        let mut lone = Scanner::new(false);
        for (got, row) in masked.as_string::<i32>().iter().zip(&rows) {
            let mut expected = Vec::new();
            lone.push_text(row, 1, &mut expected);
            prop_assert_eq!(got.unwrap().as_bytes(), expected, "{:?}", row);
        }
    }

    #[test]
    fn fast_and_naive_agree_on_capitals(text in "((Dr|mr|Anna|Mary|Kowalski|J|SMITH|JOHN|van|is|by|St|Via|Apt|MA|12|Qx)[ .,:()\n'-]{0,2}){1,9}") {
        agree(&text)?;
    }

    /// What the gates ask of numbers: how long, in which groups, what stands before and behind.
    #[test]
    fn fast_and_naive_agree_on_short_numbers(
        text in "((seen|DOB:|on|visit|Reports|at|x|tel|[.]|\\() ?)?\
            [0-9]{1,5}([ \t]?[-/. ][ \t]?[0-9]{1,5}){0,3}( ?(yo|M|F|m|mg|years|mL|%|tabs|,|[.]))?( [A-Za-z0-9]{1,3})?",
    ) {
        agree(&text)?;
    }

    /// The shortest dates, which no other gate lets through.
    #[test]
    fn fast_and_naive_agree_on_short_dates(
        text in "[ x]?([1-9]|[12][0-9])[-/.]([1-9]|0[1-9])[-/.](19[0-9]{2}|20[0-9]{2}|[0-9]{2})[a-z ,;]{0,2}",
    ) {
        agree(&text)?;
    }

    /// What they ask of letters and digits joined, and of dots.
    #[test]
    fn fast_and_naive_agree_on_joined_letters_and_digits(
        text in "[a-z]{0,2}[ +]?([A-Z]{1,2}[0-9]{1,9}|[A-HJ-NPR-Z0-9]{9,18}|[A-Z]{14,16}[0-9]|[a-z]{8} [0-9])[ .-]?[A-Z0-9]{0,4}([.][a-z0-9]{1,4}){0,4}",
    ) {
        agree(&text)?;
    }

    /// What the sieve asks of words: whole ones, in any case, at the end and before anything.
    #[test]
    fn fast_and_naive_agree_on_words(
        words in prop::collection::vec(
            prop_oneof![
                3 => prop::sample::select(record::KEYWORDS.map(|keyword| keyword.phrase).to_vec()),
                1 => prop::sample::select(phone::WORDS.to_vec()),
                1 => prop::sample::select(date_words::MONTHS.map(|(name, _)| name).to_vec()),
                1 => prop::sample::select(vec!["Anna", "Jo-Ann", "Maria", "Li-Mei", "D'Angelo", "mr", "Dr", "www.a", "age"]),
            ], 1..4),
        upper in any::<bool>(),
        joints in prop::collection::vec("[ :#.,'(\u{e9}-]{0,2}(is |no |reports )?[0-9]{0,6}[a-z]?", 3),
    ) {
        let mut text = String::new();
        for (word, joint) in words.iter().zip(&joints) {
            text.push_str(&if upper { word.to_uppercase() } else { (*word).to_owned() });
            text.push_str(joint);
        }
        agree(&text)?;
    }

    #[test]
    fn fast_and_naive_agree_on_noise(text in "[0-9 .:/@()#a-fMRNxmay+,'-]{0,40}") {
        agree(&text)?;
    }
}

#[test]
fn fast_and_naive_agree_on_every_piece_alone() {
    let mut scanner = Scanner::new(false);
    NAIVE.with(|naive| {
        for piece in PIECES {
            let [fast, slow] = both(naive, &mut scanner, Kinds::ALL, piece);
            assert_eq!(fast, slow, "{piece:?}");
        }
    });
}

#[test]
fn each_detector_alone_finds_what_the_oracle_finds() {
    NAIVE.with(|naive| {
        for kind in Kind::ALL {
            let kinds = Kinds::of([kind]);
            let mut scanner = Scanner::new(false).choosing(kinds);
            for piece in PIECES {
                let text = format!("{piece} {piece}, {piece}");
                let [fast, slow] = both(naive, &mut scanner, kinds, &text);
                assert_eq!(fast, slow, "{kind:?} {text:?}");
            }
        }
    });
}

#[test]
fn every_word_opens_its_rule() {
    let records = record::KEYWORDS.map(|keyword| keyword.phrase);
    let months = date_words::MONTHS.map(|(name, _)| name);
    let words = records.iter().chain(&phone::WORDS).chain(&phone::AFTER);
    let words = words.chain(&months);
    for word in words
        .copied()
        .chain(["age", "aged", "www"])
        .chain(name::TITLES)
        .chain(subject::WORDS.map(|(word, _)| word))
    {
        for word in [word.to_owned(), word.to_uppercase()] {
            for text in [
                format!("x {word} number 0012345"),
                format!("{word}: 617 5551212"),
                format!("on {word} 5, 2022 "),
                format!("x 617 5551 {word}"),
                format!("{word}.a/b"),
                format!("{word} 93"),
                format!("x {word} Kowalski"),
                format!("{word}. kowalski"),
            ] {
                agree(&text).unwrap();
            }
        }
    }
}

#[test]
fn letters_alone_are_no_vehicle() {
    // Its ninth passes the check.
    agree("vehicle NGDGCAFFXNEBHMBML sold").unwrap();
    agree("vehicle NGDGCAFFXNEBHMBM1 1M8GDM9AXKP042788").unwrap();
}
