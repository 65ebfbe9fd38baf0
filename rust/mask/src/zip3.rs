//! `zip3`: a ZIP code becomes its first three digits, and 000 where the area that all ZIP codes with
//! these digits form holds 20,000 people or fewer (45 CFR 164.514(b)(2)(i)(B)).
//!
//! What is kept is a list, not what is left out: a prefix in which the census named by the policy
//! counted nobody (military, of one company, for post boxes alone, not assigned) is 000, and so is
//! all that is no ZIP code: five digits, or nine with a dash after the fifth.

use crate::MaskError;
use crate::cells::Cell;

/// What stands for every area that is too small, and for what is no area.
const NOWHERE: &[u8] = b"000";

/// Prefixes in which the census of 2020 counted people, first and last of each run: table P1 of its
/// Demographic and Housing Characteristics file, by ZIP code tabulation area, and its counts of the
/// island areas for 008 and 969. Federal Washington (202 to 205) and the post boxes of Dallas and Houston
/// (753, 772), where hardly anybody lives by any of the three censuses, are left out.
const INHABITED: [(u16, u16); 65] = [
    (6, 54),
    (56, 89),
    (100, 191),
    (193, 201),
    (206, 212),
    (214, 268),
    (270, 310),
    (312, 331),
    (333, 339),
    (341, 342),
    (344, 344),
    (346, 347),
    (349, 352),
    (354, 374),
    (376, 398),
    (400, 418),
    (420, 427),
    (430, 458),
    (460, 508),
    (510, 516),
    (520, 528),
    (530, 532),
    (534, 535),
    (537, 551),
    (553, 554),
    (556, 567),
    (570, 577),
    (580, 588),
    (590, 620),
    (622, 631),
    (633, 641),
    (644, 648),
    (650, 658),
    (660, 662),
    (664, 681),
    (683, 693),
    (700, 701),
    (703, 708),
    (710, 714),
    (716, 731),
    (734, 741),
    (743, 752),
    (754, 770),
    (773, 816),
    (820, 838),
    (840, 841),
    (843, 847),
    (850, 853),
    (855, 857),
    (859, 860),
    (863, 865),
    (870, 871),
    (873, 875),
    (877, 884),
    (890, 891),
    (893, 895),
    (897, 898),
    (900, 900),
    (902, 908),
    (910, 928),
    (930, 937),
    (939, 941),
    (943, 961),
    (967, 986),
    (988, 999),
];

/// The areas of 20,000 people or fewer by the decennial census of 2000, as the guidance of the
/// Department of Health and Human Services on the Safe Harbor method lists them.
const SMALL_2000: [u16; 17] = [
    36, 59, 63, 102, 203, 556, 692, 790, 821, 823, 830, 831, 878, 879, 884, 890, 893,
];
/// By that of 2010: ZIP code tabulation areas added up by their first three digits.
const SMALL_2010: [u16; 14] = [
    36, 59, 102, 203, 205, 369, 556, 692, 821, 823, 878, 879, 884, 893,
];
/// By that of 2020, likewise.
const SMALL_2020: [u16; 18] = [
    36, 59, 102, 202, 203, 204, 205, 369, 556, 692, 753, 772, 821, 823, 878, 879, 884, 893,
];

/// The prefixes that one census lets through, a bit each.
#[derive(Debug, Clone)]
pub(crate) struct Zip3 {
    kept: [u64; 16],
}

impl Zip3 {
    /// Refuses a census whose lists are not here.
    pub(crate) fn new(column: &str, census: u16) -> Result<Self, MaskError> {
        let small: &[u16] = match census {
            2000 => &SMALL_2000,
            2010 => &SMALL_2010,
            2020 => &SMALL_2020,
            _ => {
                return Err(MaskError::Option {
                    column: column.to_owned(),
                    detail: format!(
                        "zip3 knows the areas of no census of {census}; there are 2000, 2010, 2020"
                    ),
                });
            }
        };
        let mut kept = [0u64; 16];
        for (first, last) in INHABITED {
            for prefix in (first..=last).filter(|prefix| !small.contains(prefix)) {
                if let Some(word) = kept.get_mut(usize::from(prefix / 64)) {
                    *word |= 1 << (prefix % 64);
                }
            }
        }
        Ok(Self { kept })
    }

    /// Appends the three digits.
    pub(crate) fn push(&self, cell: Cell, out: &mut Vec<u8>) {
        match prefix(cell) {
            Some(prefix) if self.keeps(prefix) => {
                for place in [100, 10, 1] {
                    out.push(b'0' + u8::try_from(prefix / place % 10).unwrap_or(0));
                }
            }
            _ => out.extend_from_slice(NOWHERE),
        }
    }

    fn keeps(&self, prefix: u16) -> bool {
        self.kept
            .get(usize::from(prefix / 64))
            .is_some_and(|word| word >> (prefix % 64) & 1 == 1)
    }
}

/// The first three digits of a ZIP code as a number. A column of numbers has lost the leading zeros of
/// its codes; nine digits without a dash could be either form and are none.
fn prefix(cell: Cell) -> Option<u16> {
    let number = match cell {
        Cell::Text(text) => return prefix_of_text(text),
        Cell::Integer(number) => number,
        Cell::Decimal(mantissa, 0) => i64::try_from(mantissa).ok()?,
        Cell::Decimal(..) | Cell::Float(_) => return None,
    };
    if !(0..=99_999).contains(&number) {
        return None;
    }
    u16::try_from(number / 100).ok()
}

/// Blanks around it are those of a column of fixed width.
fn prefix_of_text(text: &str) -> Option<u16> {
    let text = text.trim_matches(' ').as_bytes();
    let (code, rest) = text.split_at_checked(5)?;
    let further = match rest {
        [] => rest,
        [b'-', further @ ..] if further.len() == 4 => further,
        _ => return None,
    };
    if !code.iter().chain(further).all(u8::is_ascii_digit) {
        return None;
    }
    let digits = code.iter().take(3).map(|&c| u16::from(c - b'0'));
    Some(digits.fold(0, |prefix, digit| prefix * 10 + digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(census: u16, cell: Cell) -> String {
        let mut out = Vec::new();
        Zip3::new("c", census).unwrap().push(cell, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The rule once more, on characters and lists.
    fn naive(census: u16, cell: Cell) -> String {
        let code: String = match cell {
            Cell::Text(text) => text.trim_matches(' ').to_owned(),
            Cell::Integer(number) => format!("{number:05}"),
            Cell::Decimal(number, 0) => format!("{number:05}"),
            _ => String::new(),
        };
        let shape: String = code
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        let small = match census {
            2000 => SMALL_2000.to_vec(),
            2010 => SMALL_2010.to_vec(),
            _ => SMALL_2020.to_vec(),
        };
        let fits = match cell {
            Cell::Text(_) => shape == "99999" || shape == "99999-9999",
            _ => shape == "99999",
        };
        let prefix: String = code.chars().take(3).collect();
        let number: u16 = prefix.parse().unwrap_or(0);
        let lived_in = INHABITED.iter().any(|&(a, b)| a <= number && number <= b);
        if fits && lived_in && !small.contains(&number) {
            prefix
        } else {
            "000".to_owned()
        }
    }

    #[test]
    fn codes_and_what_is_none() {
        for (given, expected) in [
            ("02139", "021"),
            ("02139-4307", "021"),
            ("  02139 ", "021"),
            ("00601", "006"),
            ("99901", "999"),
            ("021394307", "000"),
            ("0213", "000"),
            ("02139-", "000"),
            ("02139-430", "000"),
            ("02139-43075", "000"),
            ("0213９", "000"),
            ("SW1A 1AA", "000"),
            ("K1A 0B1", "000"),
            ("", "000"),
            ("12345 Boston", "000"),
            ("١٢٣٤٥", "000"),
        ] {
            assert_eq!(text(2020, Cell::Text(given)), expected, "{given}");
        }
        for (given, expected) in [
            (2_139, "021"),
            (601, "006"),
            (501, "000"), // 005 is one tax office: nobody lives there
            (98_101, "981"),
            (0, "000"),
            (-2_139, "000"),
            (100_000, "000"),
            (21_394_307, "000"),
            (i64::MIN, "000"),
            (i64::MAX, "000"),
        ] {
            assert_eq!(text(2020, Cell::Integer(given)), expected, "{given}");
            let decimal = Cell::Decimal(i128::from(given), 0);
            assert_eq!(text(2020, decimal), expected, "{given}");
        }
    }

    #[test]
    fn each_census_has_its_small_areas() {
        let small = |census| {
            let kept = Zip3::new("c", census).unwrap();
            INHABITED
                .iter()
                .flat_map(|&(a, b)| a..=b)
                .filter(|&prefix| !kept.keeps(prefix))
                .collect::<Vec<_>>()
        };
        // Without those in which nobody lives in any of the three.
        let of = |list: &[u16]| {
            let nobody = [202, 203, 204, 205, 753, 772];
            list.iter()
                .copied()
                .filter(|p| !nobody.contains(p))
                .collect::<Vec<_>>()
        };
        assert_eq!(small(2000), of(&SMALL_2000));
        assert_eq!(small(2010), of(&SMALL_2010));
        assert_eq!(small(2020), of(&SMALL_2020));
        assert_eq!(text(2000, Cell::Text("06320")), "000");
        assert_eq!(text(2010, Cell::Text("06320")), "063");
        assert_eq!(text(2000, Cell::Text("36904")), "369");
        assert_eq!(text(2020, Cell::Text("36904")), "000");
        assert!(Zip3::new("c", 2030).is_err());
        assert!(Zip3::new("c", 0).is_err());
    }

    #[test]
    fn a_prefix_without_people_is_nowhere_in_every_census() {
        // Not assigned, military, the government's, a tax office's, for post boxes alone.
        let nobody = [
            0, 1, 4, 5, 55, 90, 98, 99, 192, 202, 203, 204, 205, 213, 311, 340, 375, 569, 733, 753,
            772, 885, 901, 942, 962, 966, 987,
        ];
        for prefix in nobody {
            for census in [2000, 2010, 2020] {
                let code = format!("{prefix:03}01");
                assert_eq!(text(census, Cell::Text(&code)), "000", "{code}");
            }
        }
    }

    #[test]
    fn runs_are_apart_and_in_order() {
        assert!(INHABITED.iter().all(|&(a, b)| a <= b && b <= 999));
        assert!(INHABITED.windows(2).all(|w| w[0].1 + 1 < w[1].0));
    }

    proptest! {
        #[test]
        fn as_the_plain_rule_says(
            census in prop::sample::select(vec![2000u16, 2010, 2020]),
            code in "[ ]{0,2}[0-9]{0,6}[-]?[0-9]{0,5}[ a]?",
            zip in "[0-9]{5}(-[0-9]{4})?",
            number in prop_oneof![0i64..120_000, any::<i64>()],
        ) {
            prop_assert_eq!(text(census, Cell::Text(&code)), naive(census, Cell::Text(&code)));
            prop_assert_eq!(text(census, Cell::Text(&zip)), naive(census, Cell::Text(&zip)));
            let integer = Cell::Integer(number);
            prop_assert_eq!(text(census, integer), naive(census, integer));
            let decimal = Cell::Decimal(i128::from(number), 0);
            prop_assert_eq!(text(census, decimal), naive(census, decimal));
        }
    }
}
