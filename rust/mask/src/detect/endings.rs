//! What the ending of a word of no list says of it: that nothing but surnames end so (`Qwrtzowski`), or
//! nothing but the words of medicine and of everyday English (`Qwrtzectomy`).

use std::sync::LazyLock;

/// What nothing but surnames ends with, in words of six letters or more.
const SURNAMES: &[&[u8]] = &[
    b"nski", b"wski", b"wsky", b"lski", b"lsky", b"vsky", b"nsky", b"rski", b"cki", b"zki", b"ska",
    b"skaya", b"hev", b"iev", b"aev", b"eev", b"mov", b"sov", b"gov", b"dov", b"tov", b"pov",
    b"bov", b"zov", b"eva", b"ovec", b"evec", b"elli", b"ucci", b"acci", b"ieri", b"eira", b"eiro",
    b"lsen", b"usen", b"psen", b"gsen", b"onen", b"anen", b"hofer", b"bauer", b"ovski", b"evski",
    b"nyi", b"czny", b"slav", b"dottir", b"sson", b"ovic", b"evic", b"ovich", b"evich", b"owski",
    b"ewski", b"inski", b"owska", b"ewska", b"inska", b"enko", b"shvili", b"escu", b"poulos",
    b"inen", b"quist", b"qvist", b"gaard", b"chev", b"kov", b"nov", b"rov", b"lov", b"yev",
    b"nsen", b"ksen", b"rsen", b"dsen", b"tsen", b"iewicz", b"owicz", b"wicz", b"czyk", b"czak",
    b"czuk", b"opoulos", b"akis", b"idis", b"oglu", b"ssian", b"nejad", b"zadeh", b"ullah",
    b"uddin", b"ishvili", b"auskas", b"aitis", b"unas", b"strom", b"berg", b"feld", b"baum",
    b"wald", b"bach", b"mann", b"stein", b"hauser", b"dorf", b"inskas", b"sdottir", b"worth",
    b"ington", b"wright", b"leigh", b"thwaite", b"croft", b"hurst", b"guez", b"ndez", b"ichi",
    b"moto", b"mura", b"naka", b"yama", b"shima", b"kawa", b"gawa", b"hashi", b"chuk", b"shyn",
    b"arjee", b"ukwu", b"wande", b"wale", b"tunde", b"ova", b"mez", b"nez", b"rez", b"pez",
    b"quez", b"vez", b"inez", b"yan", b"uchi",
];

/// What words end with, and names seldom, in words of seven letters or more.
const WORDS: &[&[u8]] = &[
    b"ned",
    b"sted",
    b"tted",
    b"nded",
    b"ked",
    b"ged",
    b"sed",
    b"zed",
    b"ced",
    b"ved",
    b"yed",
    b"lled",
    b"pped",
    b"rred",
    b"uted",
    b"tion",
    b"tions",
    b"sion",
    b"sions",
    b"ment",
    b"ments",
    b"ness",
    b"itis",
    b"osis",
    b"oses",
    b"emia",
    b"aemia",
    b"ectomy",
    b"otomy",
    b"ostomy",
    b"oscopy",
    b"ography",
    b"ology",
    b"ologic",
    b"ologist",
    b"ologists",
    b"pathy",
    b"pathic",
    b"plasty",
    b"algia",
    b"algic",
    b"plegia",
    b"plegic",
    b"uria",
    b"pnea",
    b"pnoea",
    b"rrhea",
    b"rrhoea",
    b"rrhage",
    b"rrhagic",
    b"gram",
    b"grams",
    b"graph",
    b"graphs",
    b"scope",
    b"scopic",
    b"metry",
    b"meter",
    b"meters",
    b"therapy",
    b"genic",
    b"genesis",
    b"ical",
    b"ically",
    b"ially",
    b"able",
    b"ible",
    b"ably",
    b"ibly",
    b"ative",
    b"ctive",
    b"osive",
    b"ulous",
    b"inous",
    b"enous",
    b"eous",
    b"tious",
    b"cious",
    b"uous",
    b"less",
    b"ism",
    b"isms",
    b"ized",
    b"ising",
    b"izing",
    b"ating",
    b"ated",
    b"ates",
    b"uting",
    b"iting",
    b"ality",
    b"ility",
    b"ivity",
    b"osity",
    b"icity",
    b"acity",
    b"edly",
    b"mab",
    b"nib",
    b"nibs",
    b"pril",
    b"artan",
    b"olol",
    b"statin",
    b"statins",
    b"azole",
    b"azoles",
    b"idine",
    b"cillin",
    b"mycin",
    b"micin",
    b"cycline",
    b"floxacin",
    b"parin",
    b"gliptin",
    b"gliflozin",
    b"glutide",
    b"tidine",
    b"setron",
    b"triptan",
    b"lukast",
    b"terol",
    b"solone",
    b"asone",
    b"onide",
    b"caine",
    b"azepam",
    b"zolam",
    b"oxetine",
    b"ipramine",
    b"triptyline",
    b"peridone",
    b"azine",
    b"avir",
    b"ovir",
    b"uvir",
    b"dipine",
    b"thiazide",
    b"semide",
    b"platin",
    b"rubicin",
    b"taxel",
    b"ciclib",
    b"afil",
    b"xaban",
    b"gatran",
    b"grel",
    b"osin",
    b"oxin",
    b"amine",
    b"codone",
    b"morphone",
    b"profen",
    b"coxib",
    b"oxicam",
    b"bital",
    b"toin",
    b"formin",
    b"glitazone",
    b"trexate",
    b"phylline",
    b"coccus",
    b"cocci",
    b"bacter",
    b"bacterium",
    b"viridae",
    b"noma",
    b"nomas",
    b"stoma",
    b"stomas",
    b"ectasia",
    b"ectatic",
    b"otic",
    b"omic",
    b"inic",
    b"onic",
    b"idic",
    b"umic",
    b"yses",
    b"ysis",
    b"lytic",
    b"trophy",
    b"trophic",
    b"phasia",
    b"phagia",
    b"lexia",
    b"uresis",
    b"pexy",
    b"desis",
    b"centesis",
    b"cyte",
    b"cytes",
    b"cytic",
    b"blast",
    b"blastic",
    b"oids",
    b"ferase",
    b"ylase",
    b"idase",
    b"inase",
    b"sulfate",
    b"chloride",
    b"phosphate",
    b"acetate",
    b"nitrate",
    b"oxide",
    b"sulfide",
    b"iodide",
    b"bromide",
    b"tartrate",
    b"maleate",
    b"mesylate",
    b"succinate",
    b"fumarate",
    b"citrate",
    b"gluconate",
    b"carbonate",
    b"lactate",
    b"hydrate",
    b"wise",
    b"care",
    b"ophil",
    b"ophils",
    b"osomal",
    b"ural",
    b"ional",
    b"ular",
    b"ulum",
    b"ulus",
    b"ature",
    b"iture",
    b"osure",
    b"ancies",
    b"encies",
    b"ence",
    b"ences",
    b"tory",
    b"tories",
];

/// The endings under their last letter.
struct Endings([Vec<&'static [u8]>; 32]);

impl Endings {
    fn new(endings: &[&'static [u8]]) -> Self {
        let mut sorted: [Vec<&[u8]>; 32] = Default::default();
        for ending in endings {
            if let Some(place) = sorted.get_mut(last(ending)) {
                place.push(ending);
            }
        }
        Self(sorted)
    }

    fn hold(&self, letters: &[u8]) -> bool {
        let ends = |ending: &&[u8]| {
            let start = letters.len().saturating_sub(ending.len());
            let last = letters.get(start..);
            last.is_some_and(|last| last.eq_ignore_ascii_case(ending))
        };
        self.0
            .get(last(letters))
            .is_some_and(|endings| endings.iter().any(ends))
    }
}

/// Five bits of the last letter, whatever its case.
fn last(letters: &[u8]) -> usize {
    usize::from(letters.last().map_or(0, |c| c & 31))
}

pub(super) fn like_surname(letters: &[u8]) -> bool {
    static ENDINGS: LazyLock<Endings> = LazyLock::new(|| Endings::new(SURNAMES));
    letters.len() >= 6 && ENDINGS.hold(letters)
}

pub(super) fn like_word(letters: &[u8]) -> bool {
    static ENDINGS: LazyLock<Endings> = LazyLock::new(|| Endings::new(WORDS));
    letters.len() >= 7 && ENDINGS.hold(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_names_and_words() {
        for name in ["Qwrtzowski", "VANDERQUIST", "Plughdottir"] {
            assert!(like_surname(name.as_bytes()), "{name}");
            assert!(!like_word(name.as_bytes()), "{name}");
        }
        for word in ["Qwrtzectomy", "PLUGHOLOL", "Xyzzymycin", "Plughation"] {
            assert!(like_word(word.as_bytes()), "{word}");
            assert!(!like_surname(word.as_bytes()), "{word}");
        }
        assert!(!like_word(b"Xqzt") && !like_surname(b"Xqzt"));
        assert!(!like_word(b"") && !like_surname(b""));
    }
}
