//! Classes, one character after the other: what is in them here and in Java.

use std::collections::BTreeSet;

use dray_connect::pattern::Pattern;
use serde_json::{Value as Json, json};

use crate::ask;

/// Where scripts, cases and odd characters are; the rest of the planes is much the same for long stretches.
const RANGES: &[(u32, u32)] = &[
    (0, 0x33ff),
    (0x4db0, 0x4e10),
    (0x9fe0, 0xa0ff),
    (0xa490, 0xabff),
    (0xd790, 0xd7ff),
    (0xe000, 0xe010),
    (0xf8f0, 0x1_07ff),
    (0x1_d400, 0x1_d7ff),
    (0x1_e900, 0x1_e95f),
    (0x1_f100, 0x1_f1ff),
    (0x1_f600, 0x1_f610),
    (0xe_0000, 0xe_01ff),
    (0xf_fff0, 0xf_ffff),
    (0x10_fff0, 0x10_ffff),
];

const PROPERTIES: &[&str] = &[
    "Cn",
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "Mn",
    "Me",
    "Mc",
    "Nd",
    "Nl",
    "No",
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Pd",
    "Ps",
    "Pe",
    "Pc",
    "Po",
    "Sm",
    "Sc",
    "Sk",
    "So",
    "Pi",
    "Pf",
    "L",
    "M",
    "N",
    "Z",
    "C",
    "P",
    "S",
    "LC",
    "LD",
    "L1",
    "all",
    "ASCII",
    "Alnum",
    "Alpha",
    "Blank",
    "Cntrl",
    "Digit",
    "Graph",
    "Lower",
    "Print",
    "Punct",
    "Space",
    "Upper",
    "XDigit",
    "javaLowerCase",
    "javaUpperCase",
    "javaAlphabetic",
    "javaIdeographic",
    "javaTitleCase",
    "javaDigit",
    "javaDefined",
    "javaLetter",
    "javaLetterOrDigit",
    "javaJavaIdentifierStart",
    "javaJavaIdentifierPart",
    "javaUnicodeIdentifierStart",
    "javaUnicodeIdentifierPart",
    "javaIdentifierIgnorable",
    "javaSpaceChar",
    "javaWhitespace",
    "javaISOControl",
    "javaMirrored",
    "IsAlphabetic",
    "IsLetter",
    "IsIdeographic",
    "IsLowercase",
    "IsUppercase",
    "IsTitlecase",
    "IsWhite_Space",
    "IsControl",
    "IsPunctuation",
    "IsHex_Digit",
    "IsAssigned",
    "IsNoncharacter_Code_Point",
    "IsDigit",
    "IsAlnum",
    "IsBlank",
    "IsGraph",
    "IsPrint",
    "IsWord",
    "IsJoin_Control",
];

const CLASSES: &[&str] = &[
    ".",
    "(?s).",
    "(?d).",
    "\\d",
    "\\D",
    "\\h",
    "\\H",
    "\\s",
    "\\S",
    "\\v",
    "\\V",
    "\\w",
    "\\W",
    "(?U)\\d",
    "(?U)\\D",
    "(?U)\\s",
    "(?U)\\S",
    "(?U)\\w",
    "(?U)\\W",
    "(?U)\\h",
    "(?U)\\v",
    "\\R",
    "(?iu)[a-z]",
    "(?iu)[^a-z]",
    "(?iu)[à-ü]",
    "(?iu)[α-ω]",
    "(?iu)[Ā-ſ]",
    "(?iu)[ᾀ-ᾯ]",
    "(?iu)[ǄǅǆßẞſKÅΩµİı]",
    "(?iu)[\\u0000-\\uffff]",
    "(?iu)i",
    "(?iu)ı",
    "(?iu)İ",
    "(?iu)ß",
    "(?iu)µ",
    "(?iu)ÿ",
    "(?iu)å",
    "(?iu)ᾳ",
    "(?iu)ΐ",
    "(?iu)ǆ",
    "(?iu)σ",
    "(?iu)[i]",
    "(?iu)[ı]",
    "(?iu)[İ]",
    "(?iu)[ß]",
    "(?iu)[µ]",
    "(?iu)[ÿ]",
    "(?iu)[å]",
    "(?iu)[s]",
    "(?iu)[k]",
    "(?iu)[é]",
    "(?iu)[^é]",
    "(?i)[é]",
    "(?i)[à-ü]",
    "(?i)[@-_]",
    "(?i)[Z-a]",
    "(?i)[^k]",
    "(?iu)𐐀",
    "(?iu)[𐐀-𐐂]",
    "(?U)\\p{Lower}",
    "(?U)\\p{Upper}",
    "(?U)\\p{Alpha}",
    "(?U)\\p{Digit}",
    "(?U)\\p{Alnum}",
    "(?U)\\p{Punct}",
    "(?U)\\p{Graph}",
    "(?U)\\p{Print}",
    "(?U)\\p{Blank}",
    "(?U)\\p{Cntrl}",
    "(?U)\\p{XDigit}",
    "(?U)\\p{Space}",
    "(?iU)\\p{Lower}",
    "[\\w&&[^\\d]]",
    "[^\\w\\s]",
    "[\\p{L}&&[^\\p{Lu}]]",
    "[\\p{IsGreek}&&\\p{Lu}]",
    "(?iU)\\p{Upper}",
];

/// Characters that are in a class on one side only, for all classes; and how many classes there were.
pub(crate) fn compare() -> (usize, BTreeSet<(u32, String)>) {
    let mut classes: Vec<String> = CLASSES.iter().map(|class| (*class).to_owned()).collect();
    for name in PROPERTIES {
        classes.push(format!("\\p{{{name}}}"));
    }
    for name in [
        "Lu",
        "Ll",
        "Lt",
        "LC",
        "Lower",
        "Upper",
        "Alpha",
        "javaLowerCase",
        "javaUpperCase",
        "javaTitleCase",
        "IsLowercase",
        "IsUppercase",
        "IsTitlecase",
    ] {
        classes.push(format!("(?i)\\p{{{name}}}"));
    }
    // The tables come from Java; that they are read rightly is what is tested.
    for line in include_str!("../../src/pattern/scripts.txt").lines() {
        classes.extend(line.split(' ').map(|name| format!("\\p{{Is{name}}}")));
    }
    let mut questions: Vec<(String, Vec<(u32, u32)>)> =
        classes.into_iter().map(|class| (class, RANGES.to_vec())).collect();
    for line in include_str!("../../src/pattern/blocks.txt").lines() {
        let mut parts = line.splitn(3, ' ');
        let point = |text: Option<&str>| u32::from_str_radix(text.unwrap(), 16).unwrap();
        let (first, last) = (point(parts.next()), point(parts.next()));
        let around = vec![
            (first.saturating_sub(1), first + 1),
            (last - 1, (last + 1).min(0x10_ffff)),
        ];
        for name in parts.next().unwrap().split('|') {
            questions.push((format!("\\p{{In{name}}}"), around.clone()));
            questions.push((format!("\\p{{block={}}}", name.replace(' ', "")), around.clone()));
        }
    }
    let mut all = vec![json!({"op": "pattern", "regex": "\\p{Cn}", "points": RANGES})];
    all.extend(
        questions
            .iter()
            .map(|(class, ranges)| json!({"op": "pattern", "regex": class, "points": ranges})),
    );
    let mut answers = ask(all).into_iter();
    // A later Unicode has assigned some of these.
    let unassigned = points(&answers.next().unwrap());
    let mut differing = BTreeSet::new();
    for ((class, ranges), theirs) in questions.iter().zip(answers) {
        let theirs = points(&theirs);
        let pattern = Pattern::compile(class).unwrap_or_else(|error| panic!("{class}: {error}"));
        for point in ranges.iter().flat_map(|&(first, last)| first..=last) {
            let Some(c) = char::from_u32(point) else { continue };
            let ours = pattern.matches(c.encode_utf8(&mut [0; 4])).unwrap();
            if ours != theirs.contains(&point) && !unassigned.contains(&point) {
                differing.insert((point, class.clone()));
            }
        }
    }
    (questions.len(), differing)
}

fn points(answer: &Json) -> BTreeSet<u32> {
    let ranges = answer["points"].as_array().unwrap_or_else(|| panic!("{answer}"));
    ranges
        .iter()
        .flat_map(|range| range[0].as_u64().unwrap() as u32..=range[1].as_u64().unwrap() as u32)
        .collect()
}
