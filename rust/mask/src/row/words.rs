//! Words that are not a name by themselves, in lower case, by how much they say.

/// What an ordinary word needs before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordinary {
    /// Never by itself, nor as one of two: articles, prepositions, titles.
    Function,
    /// Never by itself: what a street or a part of a house is called.
    Street,
    /// Only with a capital: words of everyday and of the ward that are names too.
    Plain,
}

/// What `word`, in its one spelling, is besides a name.
pub(crate) fn ordinary(word: &[u8]) -> Option<Ordinary> {
    let in_list = |list: &[&str]| {
        list.binary_search_by(|known| known.as_bytes().cmp(word))
            .is_ok()
    };
    if in_list(&FUNCTION) {
        Some(Ordinary::Function)
    } else if in_list(&STREET) {
        Some(Ordinary::Street)
    } else if in_list(&PLAIN) {
        Some(Ordinary::Plain)
    } else {
        None
    }
}

#[rustfmt::skip]
static FUNCTION: [&str; 127] = [
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "co", "com",
    "da", "das", "de", "del", "della", "den", "der", "des", "di", "do", "dos", "dr", "du", "e",
    "edu", "el", "esq", "et", "for", "from", "gov", "had", "has", "have", "he", "her", "him",
    "his", "http", "https", "i", "ibn", "if", "ii", "iii", "in", "inc", "is", "it", "its", "iv",
    "jr", "la", "las", "le", "les", "llc", "los", "ltd", "md", "me", "mr", "mrs", "ms", "mx",
    "my", "na", "nee", "net", "no", "none", "nor", "not", "null", "of", "on", "or", "org",
    "our", "out", "per", "phd", "pt", "rn", "she", "so", "sr", "st", "than", "that", "the",
    "their", "them", "then", "they", "this", "to", "unknown", "up", "us", "van", "vi", "via",
    "vii", "von", "was", "we", "were", "what", "when", "where", "which", "who", "why", "with",
    "www", "y", "yes", "you", "your", "zu", "zum", "zur",
];

#[rustfmt::skip]
static STREET: [&str; 54] = [
    "alley", "apartment", "apt", "ave", "avenue", "bldg", "blvd", "boulevard", "box",
    "building", "calle", "cir", "circle", "county", "crescent", "ct", "drive", "fl", "floor",
    "freeway", "highway", "hwy", "ln", "loop", "lot", "number", "parkway", "pkwy", "pl",
    "plaza", "po", "rd", "rm", "road", "room", "route", "rte", "rue", "rural", "sq", "square",
    "ste", "strasse", "street", "suite", "ter", "terrace", "trail", "trl", "turnpike", "unit",
    "usa", "village", "weg",
];

#[rustfmt::skip]
static PLAIN: [&str; 1119] = [
    "able", "abuse", "access", "account", "ache", "active", "acute", "add", "admit", "after",
    "again", "age", "aged", "ago", "air", "alert", "all", "allergic", "allergy", "alone",
    "along", "also", "always", "ambient", "ambulatory", "amount", "angel", "ankle", "answer",
    "apply", "appt", "apr", "april", "arm", "arms", "art", "ash", "ask", "aug", "august",
    "aunt", "autumn", "away", "baby", "back", "bad", "baker", "ball", "band", "bank", "bar",
    "barber", "bark", "baron", "base", "bass", "bath", "bay", "beach", "bean", "bear", "beard",
    "beat", "bed", "beech", "before", "began", "begin", "behind", "bell", "below", "bench",
    "bend", "berry", "best", "better", "between", "big", "bill", "birch", "bird", "birth",
    "bishop", "black", "blade", "blaze", "blood", "bloom", "blue", "board", "body", "bold",
    "bolt", "bond", "bone", "book", "boot", "born", "both", "bottom", "bow", "boy", "bp",
    "brace", "brain", "branch", "brand", "brave", "bread", "break", "breast", "breath", "brick",
    "bridge", "bright", "bring", "broad", "brother", "brow", "brown", "brush", "buck", "bud",
    "bull", "burn", "burns", "bush", "butcher", "calf", "call", "calm", "came", "camp", "cane",
    "captain", "car", "carbon", "card", "care", "careful", "case", "cash", "cast", "cat",
    "cause", "cell", "center", "central", "chance", "change", "chapel", "charity", "chart",
    "chase", "check", "cheek", "chest", "chief", "child", "chin", "church", "city", "clay",
    "clean", "clear", "clerk", "cliff", "clinic", "close", "cloud", "coast", "coat", "cold",
    "colon", "colonel", "come", "common", "complete", "constant", "cook", "cool", "cord",
    "corn", "corner", "cost", "cotton", "cough", "counsel", "count", "court", "cousin", "cove",
    "cover", "crisp", "crop", "cross", "crow", "cruise", "crystal", "cup", "cure", "curry",
    "dad", "daily", "dash", "date", "daughter", "dawn", "day", "days", "dead", "deal", "dear",
    "death", "dec", "december", "deep", "deer", "denied", "denies", "dental", "diamond", "did",
    "diet", "doctor", "does", "dog", "done", "door", "dose", "dot", "double", "dove", "down",
    "draft", "drain", "draw", "dream", "dress", "drew", "drink", "drop", "drug", "dry", "duke",
    "during", "dusk", "dust", "dusty", "duty", "each", "eagle", "ear", "earl", "early", "east",
    "easter", "easy", "eat", "edge", "eight", "elbow", "elder", "elm", "emerald", "end",
    "english", "eve", "even", "evening", "ever", "every", "exam", "eye", "eyes", "face", "fact",
    "fair", "faith", "fall", "falls", "false", "family", "far", "farm", "farmer", "fast",
    "father", "favor", "fear", "feb", "february", "feel", "feet", "felt", "female", "fern",
    "fever", "few", "field", "fields", "fill", "find", "fine", "finger", "fire", "first",
    "fish", "fisher", "fit", "five", "flat", "flood", "flower", "fluid", "foley", "follow",
    "followup", "foot", "force", "ford", "forest", "forever", "form", "foster", "found", "four",
    "fox", "fracture", "france", "frank", "free", "french", "fresh", "fri", "frost", "fruit",
    "full", "gain", "gait", "garden", "gas", "gate", "gates", "gave", "gay", "gem", "gene",
    "general", "gentle", "german", "get", "gift", "ginger", "girl", "give", "given", "glad",
    "glass", "glory", "goal", "god", "gold", "golden", "gone", "good", "grace", "grade",
    "graft", "grand", "grant", "grave", "graves", "gray", "great", "green", "grey", "grip",
    "ground", "group", "grove", "grow", "guest", "gum", "gun", "guy", "hair", "hale", "hall",
    "hand", "hands", "happy", "harbor", "hard", "harm", "harmony", "hawk", "head", "heal",
    "heart", "heat", "heath", "heaven", "hedge", "heel", "height", "held", "help", "herb",
    "here", "hernia", "high", "hill", "hills", "hip", "history", "hit", "hold", "hole",
    "holiday", "holland", "home", "honey", "honor", "hood", "hope", "hopes", "horn", "hospital",
    "hot", "hour", "hours", "house", "hr", "hunt", "hunter", "hurt", "husband", "ice", "ill",
    "image", "impact", "improve", "inch", "injury", "iris", "iron", "island", "islands",
    "issue", "ivory", "jan", "january", "jaw", "job", "join", "joint", "jolly", "joy", "judge",
    "jul", "july", "jun", "june", "junior", "just", "justice", "keen", "keep", "kept", "key",
    "kidney", "kind", "king", "knee", "knife", "knight", "knot", "know", "known", "lab", "lady",
    "lake", "lamb", "lance", "land", "lane", "large", "lark", "laser", "last", "late", "later",
    "law", "lawn", "lead", "leaf", "lean", "least", "leave", "left", "leg", "legal", "legs",
    "lens", "lesion", "less", "level", "life", "lift", "light", "limb", "line", "lip", "list",
    "little", "live", "liver", "living", "load", "lobe", "local", "lock", "long", "look",
    "loose", "lord", "loss", "lots", "love", "loved", "low", "lower", "luck", "lump", "lunch",
    "lung", "mace", "madam", "madame", "made", "main", "major", "maker", "male", "man",
    "manual", "many", "maple", "mar", "marble", "march", "mark", "market", "marks", "married",
    "marsh", "mass", "master", "mate", "matter", "max", "may", "mead", "mean", "means", "med",
    "medical", "medicine", "meek", "men", "merit", "merry", "met", "middle", "might", "mild",
    "mile", "miles", "mill", "miller", "mind", "mine", "minor", "miracle", "miss", "mission",
    "mister", "mix", "mobile", "model", "moderate", "modest", "mole", "mom", "mon", "monday",
    "month", "months", "moody", "moon", "moor", "more", "morning", "moss", "most", "mother",
    "motion", "mount", "mouth", "move", "much", "mural", "muscle", "must", "nail", "name",
    "narrow", "nasal", "near", "neck", "need", "nephew", "nerve", "neutral", "never", "new",
    "next", "nice", "niece", "night", "nine", "noble", "nodal", "node", "norm", "normal",
    "north", "nose", "note", "noted", "nov", "november", "now", "nurse", "oak", "oath", "obese",
    "oct", "october", "odd", "off", "office", "oil", "old", "olive", "once", "one", "only",
    "open", "opera", "oral", "orange", "order", "other", "over", "own", "pace", "page", "paid",
    "pain", "pale", "palm", "paper", "parish", "park", "parks", "part", "past", "pat", "patch",
    "path", "patience", "patient", "patients", "pay", "peace", "peak", "pepper", "person",
    "phase", "phone", "piece", "pierce", "pike", "pill", "pilot", "pine", "pink", "piper",
    "place", "plain", "plan", "plant", "play", "pleasant", "plum", "point", "polite", "pollard",
    "pollen", "pool", "poor", "pope", "port", "porter", "post", "posture", "pot", "potter",
    "pound", "power", "pray", "precious", "present", "press", "price", "pride", "priest",
    "prime", "prince", "prior", "private", "prn", "problem", "process", "proper", "provider",
    "pulse", "pump", "pure", "purple", "push", "queen", "quick", "quiet", "quill", "rain",
    "raise", "ran", "range", "rash", "rate", "raven", "ray", "reach", "read", "reading",
    "ready", "rear", "reason", "recent", "record", "red", "reflex", "regular", "relief", "rest",
    "result", "return", "rib", "rice", "rich", "ridge", "right", "ring", "rise", "risk",
    "river", "rivers", "rock", "rode", "role", "roll", "roman", "roof", "root", "rope", "rose",
    "rough", "round", "row", "royal", "rub", "rule", "run", "rush", "russet", "rust", "rusty",
    "sad", "safe", "sage", "said", "sailor", "saint", "sales", "salt", "same", "sample", "sand",
    "sands", "sat", "saturday", "save", "saw", "say", "scar", "schedule", "school", "sea",
    "seal", "sear", "season", "second", "see", "seen", "self", "sell", "send", "senior",
    "sense", "sent", "sep", "september", "serene", "sergeant", "series", "serum", "set",
    "seven", "severe", "sex", "shade", "shape", "share", "sharp", "sheet", "shepherd", "shin",
    "ship", "shoe", "shore", "short", "shot", "should", "shoulder", "show", "shower", "sick",
    "side", "sides", "sight", "sign", "signal", "silver", "simple", "since", "sincere",
    "singer", "single", "sir", "sister", "site", "six", "size", "skin", "skip", "sky", "sleep",
    "slight", "slow", "small", "smart", "smoke", "smoker", "smooth", "snow", "social", "soft",
    "sole", "some", "son", "song", "sons", "soon", "sore", "sound", "source", "south", "spa",
    "space", "speak", "spear", "spine", "spirit", "spoke", "spot", "spring", "stable", "staff",
    "stage", "stain", "stand", "star", "stark", "start", "stat", "state", "steady", "steel",
    "stem", "step", "stern", "still", "stock", "stomach", "stone", "stool", "stop", "storm",
    "story", "straight", "strain", "stream", "strength", "stress", "stroke", "strong", "study",
    "sugar", "summer", "summers", "sun", "sunday", "sunny", "sunshine", "sure", "surgeon",
    "surgery", "swab", "swan", "sweat", "sweet", "swift", "tab", "table", "take", "talk",
    "tall", "team", "tear", "teen", "temple", "ten", "tender", "tendon", "term", "test",
    "thigh", "thin", "thing", "think", "third", "thorn", "three", "throat", "thu", "thumb",
    "thursday", "tibia", "tide", "tie", "time", "times", "tiny", "tired", "tissue", "today",
    "toe", "told", "tone", "tongue", "took", "tooth", "top", "total", "touch", "tour", "tower",
    "town", "trace", "track", "train", "treasure", "treat", "tree", "trend", "trial", "true",
    "trust", "tube", "tue", "tuesday", "tumor", "turn", "two", "type", "ulcer", "uncle",
    "under", "union", "unique", "until", "upper", "urban", "urgent", "urine", "use", "used",
    "usual", "vale", "valley", "valve", "vein", "venus", "very", "vessel", "victor", "view",
    "virgin", "virtue", "visit", "vital", "vitals", "voice", "volume", "wait", "wake", "wales",
    "walk", "walker", "wall", "walls", "want", "ward", "wards", "warm", "wash", "water",
    "waters", "wave", "way", "weak", "weaver", "wed", "week", "weeks", "weight", "well",
    "wells", "went", "west", "wet", "wheat", "wheel", "while", "white", "whole", "wick", "wide",
    "widow", "wife", "wild", "will", "wills", "win", "wind", "window", "wine", "wing", "winter",
    "wise", "wish", "within", "without", "wolf", "woman", "wood", "woods", "wool", "word",
    "work", "works", "world", "worse", "worth", "would", "wound", "wren", "wrist", "wrong",
    "yard", "year", "years", "yellow", "young", "youth", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_apart() {
        for list in [&FUNCTION[..], &STREET[..], &PLAIN[..]] {
            assert!(list.is_sorted_by(|a, b| a < b));
        }
        assert_eq!(ordinary(b"the"), Some(Ordinary::Function));
        assert_eq!(ordinary(b"street"), Some(Ordinary::Street));
        assert_eq!(ordinary(b"will"), Some(Ordinary::Plain));
        assert_eq!(ordinary(b"garcia"), None);
        let both = |word: &&&str| STREET.contains(*word) || PLAIN.contains(*word);
        assert_eq!(FUNCTION.iter().find(both), None);
        assert_eq!(STREET.iter().find(|word| PLAIN.contains(*word)), None);
    }
}
