//! Names and places: what is told, and clinical text that comes back as it was.

// A test that cannot go on should panic; clippy lets only functions marked as tests do so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use mask::{Masker, Treatment};

/// One sentence a line, without identifiers.
const CLINICAL: &str = include_str!("texts/clinical.txt");

fn scan(rows: &[&str]) -> Vec<String> {
    scan_under(&Treatment::Scan, rows)
}

fn scan_under(treatment: &Treatment, rows: &[&str]) -> Vec<String> {
    let field = Field::new("note", DataType::Utf8, true);
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let mut masker = Masker::new(&[(field, treatment.clone())], &[0; 32]).unwrap();
    let masked = masker.mask(0, &array).unwrap();
    masked
        .as_string::<i32>()
        .iter()
        .map(|row| row.unwrap().to_owned())
        .collect()
}

const NAMES: [(&str, &str); 129] = [
    ("Contact: Lorraine (friend)", "Contact: [NAME] (friend)"),
    ("Liam and Mia discharged", "[NAME] and [NAME] discharged"),
    ("report from Qwrtz. Stable", "report from [NAME]. Stable"),
    ("report from Radiology.", "report from Radiology."),
    ("NAME: QWRTZ, PLUGHA", "NAME: [NAME]"),
    ("Attending: Ng, Desmond", "Attending: [NAME]"),
    ("please call me Qwrtz.", "please call me [NAME]."),
    ("Anna Vasquez de la Qwrtz", "[NAME]"),
    ("Currently denies pain", "Currently denies pain"),
    ("Aetna denied coverage", "Aetna denied coverage"),
    (
        "She is a pleasant 80 year old",
        "She is a pleasant 80 year old",
    ),
    ("Qwrtz was a 5 year course", "Qwrtz was a 5 year course"),
    ("Qwrtz is a 54 year old man", "[NAME] is a 54 year old man"),
    (
        "Plugh Qwrtz is a very pleasant 54-year-old",
        "[NAME] is a very pleasant 54-year-old",
    ),
    ("Anna Qwrtz, a 54 y/o woman", "[NAME], a 54 y/o woman"),
    ("Pain. Qwrtz denies fever.", "Pain. [NAME] denies fever."),
    ("Brown states he fell", "[NAME] states he fell"),
    ("Jones was intubated", "[NAME] was intubated"),
    ("patient name: qwrtz, anna", "patient name: qwrtz, anna"),
    ("patient name: anna kowalski", "patient name: [NAME]"),
    ("her name is nowak", "her name is [NAME]"),
    ("mother, Guadalupe, called", "mother, [NAME], called"),
    ("Hi Victor, see below", "Hi [NAME], see below"),
    ("Goes by Qwrtz.", "Goes by [NAME]."),
    ("Baby Girl Qwrtz born", "Baby Girl [NAME] born"),
    ("appt w/ Kowalski today", "appt w/ [NAME] today"),
    ("drs. kowalski and nowak", "drs. [NAME] and [NAME]"),
    ("Signed: J. Q. Public, MD", "Signed: [NAME], MD"),
    ("PATIENT: VAN DYKE, PIETER", "PATIENT: [NAME]"),
    ("Dr. Jose\u{301} saw", "Dr. [NAME] saw"),
    ("D'Angelo Russell fell", "[NAME] fell"),
    ("Baby boy Johnson doing well", "Baby boy [NAME] doing well"),
    (
        "BG Lee. Baby girl Xqztmann fed",
        "BG Lee. Baby girl [NAME] fed",
    ),
    ("Mr. Smith was seen", "Mr. [NAME] was seen"),
    ("Mrs Garcia-Lopez called", "Mrs [NAME] called"),
    ("Ms. Xqzt is here", "Ms. [NAME] is here"),
    ("seen by dr. kowalski today", "seen by dr. [NAME] today"),
    ("mr smith states", "mr [NAME] states"),
    ("Dr.Kowalski", "Dr.[NAME]"),
    ("DR. SMITH NOTIFIED", "DR. [NAME] NOTIFIED"),
    ("Dr. J. R. Kowalski", "Dr. [NAME]"),
    ("Drs. Kowalski and Nowak", "Drs. [NAME] and [NAME]"),
    ("Dr. Brown agrees", "Dr. [NAME] agrees"),
    ("Dr. Van der Berg", "Dr. [NAME]"),
    ("Dr. O'Brien's note", "Dr. [NAME]'s note"),
    ("Nurse Patel at bedside", "Nurse [NAME] at bedside"),
    ("Prof. Lindqvist", "Prof. [NAME]"),
    ("Miss Jones", "Miss [NAME]"),
    ("Rev. Green visited", "Rev. [NAME] visited"),
    ("Herr Müller", "Herr [NAME]"),
    ("Señora Ibáñez", "Señora [NAME]"),
    ("Name: Zoltan Qwrtz", "Name: [NAME]"),
    ("NAME: SMITH, JOHN", "NAME: [NAME]"),
    ("PATIENT: SMITH, JOHN Q.", "PATIENT: [NAME]."),
    ("Patient Name: Qwrtz, Plugh", "Patient Name: [NAME]"),
    ("My name is Rubija", "My name is [NAME]"),
    ("her name is Plugh.", "her name is [NAME]."),
    ("Patient Jennifer Lopez", "Patient [NAME]"),
    ("patient Kowalski reports", "patient [NAME] reports"),
    ("daughter Mary at bedside", "daughter [NAME] at bedside"),
    ("his wife Plugh called", "his wife [NAME] called"),
    ("Signed by Kowalski", "Signed by [NAME]"),
    (
        "Electronically signed by: Anna Smith, MD",
        "Electronically signed by: [NAME], MD",
    ),
    ("spoke with Jennifer about", "spoke with [NAME] about"),
    ("c/o Kowalski", "c/o [NAME]"),
    ("Dear Ahmed,", "Dear [NAME],"),
    ("attn: Kowalski", "attn: [NAME]"),
    ("John Smith", "[NAME]"),
    ("JOHN SMITH", "[NAME]"),
    ("John Q. Public was", "[NAME] was"),
    ("John Q Plugh", "[NAME]"),
    ("J. Kowalski", "[NAME]"),
    ("J.R. Kowalski", "[NAME]"),
    ("Kowalski, J.", "[NAME]."),
    ("Smith, John", "[NAME]"),
    ("Smith,John", "[NAME]"),
    ("Qwrtz, Jennifer", "[NAME]"),
    ("Anna Qwrtz", "[NAME]"),
    ("Qwrtz Kowalski", "[NAME]"),
    ("Mary Ann Smith", "[NAME]"),
    ("Mark Johnson", "[NAME]"),
    ("Anna van der Berg", "[NAME]"),
    ("Jose de la Cruz", "[NAME]"),
    ("Omar bin Laden", "[NAME]"),
    ("Sean O'Brien", "[NAME]"),
    ("Ronald McDonald", "[NAME]"),
    ("Maria Garcia-Lopez", "[NAME]"),
    ("Anna-Maria Qwrtz", "[NAME]"),
    ("José García", "[NAME]"),
    ("JOSÉ GARCÍA", "[NAME]"),
    ("Jose\u{301} Garci\u{301}a", "[NAME]"),
    ("Łukasz Żółkowski", "[NAME]"),
    ("Jörg Weiß", "[NAME]"),
    ("Hồng Nguyễn", "[NAME]"),
    ("Jennifer Smith's chart", "[NAME]'s chart"),
    ("Seen with John Smith.", "Seen with [NAME]."),
    ("told Jennifer that", "told [NAME] that"),
    ("per Kowalski", "per [NAME]"),
    ("Informant: Kowalski", "Informant: [NAME]"),
    ("PCP: Anna Qwrtz", "PCP: [NAME]"),
    ("Provider: Kowalski, Anna MD", "Provider: [NAME] MD"),
    (
        "Emergency contact: Maria Lopez (wife)",
        "Emergency contact: [NAME] (wife)",
    ),
    ("Name:\nJohn Smith", "Name:\n[NAME]"),
    ("full_name: Qwrtz", "full_name: [NAME]"),
    ("Mr. White and Mrs. Black", "Mr. [NAME] and Mrs. [NAME]"),
    ("brother Will Smith", "brother [NAME]"),
    ("Grace Kowalski", "[NAME]"),
    ("Cameron Stewart", "[NAME]"),
    ("sister Anna, brother Tom", "sister [NAME], brother [NAME]"),
    ("Mr. Young will follow", "Mr. [NAME] will follow"),
    (
        "his son Ahmed and daughter Fatima",
        "his son [NAME] and daughter [NAME]",
    ),
    ("Patient is Jennifer Qwrtz", "Patient is [NAME]"),
    ("Hi Jennifer,", "Hi [NAME],"),
    ("Thanks, John Smith RN", "Thanks, [NAME] RN"),
    ("Resident: K. Nowak", "Resident: [NAME]"),
    ("Maria is a 45 year old", "[NAME] is a 45 year old"),
    (
        "Stable. Jennifer reports pain.",
        "Stable. [NAME] reports pain.",
    ),
    ("Her son, Ahmed, agrees.", "Her son, [NAME], agrees."),
    (
        "Contacted daughter (Susan) today",
        "Contacted daughter ([NAME]) today",
    ),
    ("discussed with NP Johnson", "discussed with NP [NAME]"),
    ("Pt. Williams c/o pain", "Pt. [NAME] c/o pain"),
    ("seen by J Kowalski", "seen by [NAME]"),
    ("Sarah L. Mitchell, M.D.", "[NAME], M.D."),
    ("PT: JOHNSON, ROBERT A   MRN", "PT: [NAME]   MRN"),
    (
        "Drs. Adams, Baker and Chen.",
        "Drs. [NAME], [NAME] and [NAME].",
    ),
    ("Cc: Dr. Anna Smith", "Cc: Dr. [NAME]"),
    ("(John Smith)", "([NAME])"),
    ("\"Anna Smith\"", "\"[NAME]\""),
    ("Smith, John, 45M", "[NAME], 45M"),
];

const PLACES: [(&str, &str); 66] = [
    (
        "at Maple Grove Rehabilitation and Nursing Center",
        "at [PLACE]",
    ),
    ("from Duke University Hospital", "from [PLACE]"),
    ("seen at Qwrtz Imaging", "seen at [PLACE]"),
    ("seen at Outpatient Imaging", "seen at Outpatient Imaging"),
    ("(Qwrtz Regional)", "(Qwrtz Regional)"),
    ("from OSH (Qwrtz Regional) by", "from OSH ([PLACE]) by"),
    ("at One Qwrtz Place, Boston", "at [ADDRESS], [PLACE]"),
    ("Unit 4719 Box 7394", "[ADDRESS]"),
    ("704 1436 Redbud Drive", "[ADDRESS]"),
    ("Six Minute Walk test", "Six Minute Walk test"),
    ("trip to Qwrtz, tick bite", "trip to [PLACE], tick bite"),
    ("from Fall River today", "from [PLACE] today"),
    (
        "Ann Arbor IIIA, Los Angeles C.",
        "Ann Arbor IIIA, Los Angeles C.",
    ),
    ("at Mass General for", "at [PLACE] for"),
    ("at Kaiser Permanente Oakland", "at [PLACE]"),
    ("from Qwrtz Memorial.", "from [PLACE]."),
    ("in Adult General Surgery", "in Adult General Surgery"),
    ("at Brigham and Women's Hospital", "at [PLACE]"),
    ("seen at Qwrtz Cardiology Clinic", "seen at [PLACE]"),
    (
        "seen in Qwrtz Cardiology Clinic",
        "seen in Qwrtz Cardiology Clinic",
    ),
    ("retired from General Motors", "retired from [PLACE]"),
    ("works at Walmart", "works at [PLACE]"),
    ("from Port-au-Prince, Haiti", "from [PLACE], Haiti"),
    ("had a Roux-en-Y bypass", "had a Roux-en-Y bypass"),
    ("12 Main St, Qwrtz, OH", "[ADDRESS], [PLACE], OH"),
    (
        "12 Main St\nQwrtz Plugh\nNorway 64389",
        "[ADDRESS]\n[PLACE]\n[PLACE] [ZIP]",
    ),
    ("12 Main St, Patient agrees", "[ADDRESS], Patient agrees"),
    ("12 Main St\nSincerely,", "[ADDRESS]\nSincerely,"),
    ("12 Main St, Cambridge 02139", "[ADDRESS], [PLACE] [ZIP]"),
    ("28030 Qwrtz 55 Suite 297", "[ADDRESS]"),
    ("in Qwrtz, MA", "in [PLACE], MA"),
    ("12 Oak Rd, Suite 5 Apt 8", "[ADDRESS]"),
    ("lives at 12 Main St with", "lives at [ADDRESS] with"),
    ("at 123 Oak Street.", "at [ADDRESS]."),
    ("home: 4501 North Elm Avenue, Apt 4B", "home: [ADDRESS]"),
    ("123 MAIN ST", "[ADDRESS]"),
    ("88 5th Ave", "[ADDRESS]"),
    ("1200 W. Maple Rd, Suite 200", "[ADDRESS]"),
    ("17 St. James Blvd", "[ADDRESS]"),
    ("250 Martin Luther King Jr Dr", "[ADDRESS]"),
    ("12-14 Church Lane", "[ADDRESS]"),
    ("221B Baker Street", "[ADDRESS]"),
    (
        "12 Main St\nBoston, MA 02139",
        "[ADDRESS]\n[PLACE], MA [ZIP]",
    ),
    (
        "12 Main St, Boston, MA 02139-4307",
        "[ADDRESS], [PLACE], MA [ZIP]",
    ),
    ("Boston, MA", "[PLACE], MA"),
    ("Salt Lake City, UT 84101", "[PLACE], UT [ZIP]"),
    ("San Qwrtz, CA 90210", "[PLACE], CA [ZIP]"),
    ("PO Box 123", "[ADDRESS]"),
    ("at Suite 501", "at [ADDRESS]"),
    ("address: 86036 Rua do Arenque 1634", "address: [ADDRESS]"),
    (
        "The address is 450 Præstevænget 15",
        "The address is [ADDRESS]",
    ),
    ("lives at 255 Qwrtz", "lives at [ADDRESS]"),
    ("wohnt Hauptstraße 12", "wohnt [ADDRESS]"),
    ("in Rue de la Paix 5", "in [ADDRESS]"),
    ("at Via Roma 12", "at [ADDRESS]"),
    ("at Koskikatu 25", "at [ADDRESS]"),
    ("lives in Qwrtz with", "lives in [PLACE] with"),
    ("born in Boston", "born in [PLACE]"),
    ("He is from Seattle", "He is from [PLACE]"),
    ("travelled to San Francisco", "travelled to [PLACE]"),
    ("grew up in Kenosha", "grew up in [PLACE]"),
    ("moved here from Milwaukee", "moved here from [PLACE]"),
    ("lives in Texas", "lives in Texas"),
    ("born in Vietnam", "born in Vietnam"),
    ("Smith, MD", "[NAME], MD"),
    ("2 CHEST CT scans, 1 Head CT", "2 CHEST CT scans, 1 Head CT"),
];

#[test]
fn places_are_told() {
    told(PLACES);
}

#[test]
fn names_are_told() {
    told(NAMES);
}

fn told<const N: usize>(table: [(&str, &str); N]) {
    let (texts, expected): (Vec<&str>, Vec<&str>) = table.into_iter().unzip();
    let wrong: Vec<_> = scan(&texts)
        .into_iter()
        .zip(expected)
        .filter(|(got, expected)| got != expected)
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn clinical_sentences_come_back_unchanged() {
    let sentences: Vec<&str> = CLINICAL.lines().collect();
    assert!(sentences.len() >= 150);
    let changed: Vec<_> = scan(&sentences)
        .into_iter()
        .zip(sentences)
        .filter(|(got, sentence)| got != sentence)
        .collect();
    assert_eq!(changed, []);
}

#[test]
fn a_clear_column_keeps_names_that_are_its_values() {
    let made = Treatment::Made {
        times: false,
        numbers: false,
        forms: Vec::new(),
    };
    let rows = [
        "Anna Smith",
        "Dr. John Q. Kowalski, MD",
        "Boston, MA",
        "Nurse Kowalski saw John Smith in Boston today",
        "Anna Smith, 12 Main St",
    ];
    let got = scan_under(&Treatment::Clear { scan: true }, &rows);
    assert_eq!(got[..3], rows[..3]);
    assert_eq!(got[3], "Nurse [NAME] saw [NAME] in [PLACE] today");
    assert_eq!(got[4], "Anna Smith, [ADDRESS]");
    // What the server made of clear columns keeps them all.
    let got = scan_under(&made, &rows);
    assert_eq!(got[..4], rows[..4]);
    assert_eq!(got[4], "Anna Smith, [ADDRESS]");
}

/// A quadratic rule would take hours on these.
#[test]
fn no_name_is_slow() {
    for piece in [
        "Dr. ",
        "dr. ",
        "Mr",
        "A ",
        "A.",
        "Anna ",
        "ANNA, ",
        "O'",
        "A-",
        "van ",
        "Van ",
        "J. ",
        "name: ",
        "Name is ",
        "Aa",
        "a'",
        "Smith\n",
        ": ",
        "de La ",
        "Boston, MA ",
        "Apt 1",
        "1 Via ",
        "Anna, ",
        "Jean-",
        "d'A ",
        "Kowalski ",
        "anna kowalski, mrn 00123; ",
        "Mr. Kowalski anna kowalski ",
        "husband (",
        "on Oak ",
        "at Mercy General ",
        "zip code is on file ",
        "Xqzt Plugh ",
        "Xqzt, ",
        "Sheffield S1 ",
        "works at Xqzt & ",
        "St. Mary's ",
    ] {
        let text = piece.repeat(80_000 / piece.len());
        assert!(!scan(&[&text])[0].is_empty(), "{piece:?}");
    }
    // What stands before names is gone through once, not for each of them.
    for treatment in [Treatment::Scan, Treatment::Clear { scan: true }] {
        let text = " ".repeat(200_000) + &"Mr. Kowalski ".repeat(20_000);
        let masked = scan_under(&treatment, &[&text]);
        assert!(masked[0].ends_with("Mr. [NAME] "));
    }
}

/// Each name is looked for wherever it comes again; a search of all for each would take hours.
#[test]
fn many_names_that_come_again_are_not_slow() {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    let names = (0..20_000).map(|n| {
        let name: String = [n, n / 26, n / 676, n / 17_576]
            .map(letter)
            .iter()
            .collect();
        format!("Mr. Zq{name}, ")
    });
    let text: String = names.collect();
    let masked = scan(&[&format!("{text}Zqbbbb")]);
    assert!(masked[0].ends_with("[NAME], [NAME]"));
}

/// Marked notes: `{entity:stretch}` is what has to go.
const NOTES: &str = include_str!("texts/notes.txt");

/// A note, and its marked stretches: entity, start, end.
type Marked = (String, Vec<(&'static str, usize, usize)>);

fn marked(line: &'static str) -> Marked {
    let (mut text, mut marks) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some(open) = rest.find('{') {
        let close = rest.find('}').unwrap();
        let (entity, stretch) = rest[open + 1..close].split_once(':').unwrap();
        text.push_str(&rest[..open]);
        marks.push((entity, text.len(), text.len() + stretch.len()));
        text.push_str(stretch);
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    (text, marks)
}

/// Where the labels of what is left stood in the text.
fn gone(text: &str, left: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let (mut place, mut rest) = (0, left);
    while let Some(open) = rest.find('[') {
        let close = open + rest[open..].find(']').unwrap();
        place += open;
        rest = &rest[close + 1..];
        let kept = &rest[..rest.find('[').unwrap_or(rest.len())];
        let end = match kept {
            "" => text.len(),
            kept => {
                let next = place + text[place..].chars().next().unwrap().len_utf8();
                next + text[next..].find(kept).unwrap()
            }
        };
        spans.push((place, end));
        place = end;
    }
    spans
}

#[test]
fn most_of_what_notes_say_of_people_is_told_and_little_else() {
    let lines = NOTES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let notes: Vec<Marked> = lines.map(marked).collect();
    let texts: Vec<&str> = notes.iter().map(|(text, _)| text.as_str()).collect();
    let mut told = std::collections::BTreeMap::<&str, (usize, usize)>::new();
    let mut alarms = Vec::new();
    for ((text, marks), left) in notes.iter().zip(scan(&texts)) {
        let spans = gone(text, &left);
        for &(entity, start, end) in marks {
            let missed = text[start..end].char_indices().any(|(i, c)| {
                let place = start + i;
                c.is_alphanumeric() && !spans.iter().any(|&(from, to)| from <= place && place < to)
            });
            let (whole, all) = told.entry(entity).or_default();
            *whole += usize::from(!missed);
            *all += 1;
        }
        let touches = |span: &(usize, usize)| {
            marks
                .iter()
                .any(|&(_, start, end)| span.0 < end && start < span.1)
        };
        alarms.extend(
            spans
                .iter()
                .filter(|span| !touches(span))
                .map(|_| left.clone()),
        );
    }
    assert_eq!(alarms, [] as [String; 0]);
    for (entity, least) in [("person", 92), ("place", 85), ("address", 75), ("zip", 80)] {
        let (whole, all) = told[entity];
        assert!(whole * 100 >= all * least, "{entity}: {whole} of {all}");
    }
}
