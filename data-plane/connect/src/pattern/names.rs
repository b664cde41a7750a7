//! What stands between the braces of `\p{…}`: Java's names of properties, categories, scripts and blocks.
//!
//! Which names there are is Java's; what is in a category or a script comes from the tables of the regex crates.

use super::sets::{self, Set};

/// Blocks of JDK 17: first, last, names. A name is known without its blanks, too.
const BLOCKS: &str = include_str!("blocks.txt");
/// Scripts of JDK 17: name and short names.
const SCRIPTS: &str = include_str!("scripts.txt");
/// `Character.isMirrored` of JDK 17, for which the regex crates have no table.
const MIRRORED: &str = include_str!("mirrored.txt");

/// `\p{name}`; `blind` is `(?i)`, `wide` is `(?U)`. None: Java does not know the name.
pub(super) fn property(name: &str, blind: bool, wide: bool) -> Option<Set> {
    if let Some(block) = name.strip_prefix("In") {
        return self::block(block);
    }
    if let Some(name) = name.strip_prefix("Is") {
        return binary(name, blind)
            .or_else(|| plain(name, blind))
            .or_else(|| script(name));
    }
    let posix = if wide { wide_posix(name, blind) } else { None };
    posix.or_else(|| plain(name, blind))
}

/// `\p{key=value}`.
pub(super) fn pair(key: &str, value: &str, blind: bool) -> Option<Set> {
    match key {
        "sc" | "script" => script(value),
        "blk" | "block" => block(value),
        "gc" | "general_category" => plain(value, blind),
        _ => None,
    }
}

fn block(name: &str) -> Option<Set> {
    let name = name.to_uppercase();
    BLOCKS.lines().find_map(|line| {
        let mut parts = line.splitn(3, ' ');
        let (first, last, names) = (parts.next()?, parts.next()?, parts.next()?);
        names
            .split('|')
            .any(|known| known == name || (known.contains(' ') && known.replace(' ', "") == name))
            .then(|| hexadecimal(first, last))
    })
}

fn script(name: &str) -> Option<Set> {
    let name = name.to_uppercase();
    if matches!(name.as_str(), "UNKNOWN" | "ZZZZ") {
        return Some(sets::unicode(r"[\p{Cn}\p{Co}]"));
    }
    let line = SCRIPTS
        .lines()
        .find(|line| line.split(' ').any(|known| known == name))?;
    let full = line.split(' ').next()?;
    sets::known(&format!(r"\p{{Script={full}}}"))
}

/// The range; empty where it holds only halves of surrogate pairs.
fn hexadecimal(first: &str, last: &str) -> Set {
    let point = |text: &str| u32::from_str_radix(text, 16).ok().and_then(char::from_u32);
    match (point(first), point(last)) {
        (Some(first), Some(last)) => sets::range(first, last),
        _ => sets::empty(),
    }
}

fn mirrored() -> Set {
    MIRRORED
        .lines()
        .filter_map(|line| line.split_once(' '))
        .fold(sets::empty(), |set, (first, last)| {
            sets::union(set, &hexadecimal(first, last))
        })
}

/// General categories, the POSIX names in ASCII, and `java.lang.Character`'s methods.
fn plain(name: &str, blind: bool) -> Option<Set> {
    let cased = |alone: &str| Some(sets::unicode(if blind { r"[\p{Lu}\p{Ll}\p{Lt}]" } else { alone }));
    let letters = |alone: &str| Some(sets::unicode(if blind { "[A-Za-z]" } else { alone }));
    let methods = |alone: &str| {
        Some(sets::unicode(if blind {
            r"[\p{Lowercase}\p{Uppercase}\p{Lt}]"
        } else {
            alone
        }))
    };
    let class = match name {
        "Lu" => return cased(r"\p{Lu}"),
        "Ll" => return cased(r"\p{Ll}"),
        "Lt" => return cased(r"\p{Lt}"),
        "Lower" => return letters("[a-z]"),
        "Upper" => return letters("[A-Z]"),
        "javaLowerCase" => return methods(r"\p{Lowercase}"),
        "javaUpperCase" => return methods(r"\p{Uppercase}"),
        "javaTitleCase" => return methods(r"\p{Lt}"),
        "javaMirrored" => return Some(mirrored()),
        // Halves of surrogate pairs: in no text.
        "Cs" => return Some(sets::empty()),
        "Cn" | "Lm" | "Lo" | "Mn" | "Me" | "Mc" | "Nd" | "Nl" | "No" | "Zs" | "Zl" | "Zp" | "Cc" | "Cf" | "Co"
        | "Pd" | "Ps" | "Pe" | "Pc" | "Po" | "Sm" | "Sc" | "Sk" | "So" | "Pi" | "Pf" | "L" | "M" | "N" | "Z" | "C"
        | "P" | "S" => {
            return sets::known(&format!(r"\p{{{name}}}"));
        }
        "LC" => r"[\p{Lu}\p{Ll}\p{Lt}]",
        "LD" | "javaLetterOrDigit" => r"[\p{L}\p{Nd}]",
        "L1" => r"[\x00-\xff]",
        "all" => return Some(sets::all()),
        "ASCII" => r"[\x00-\x7f]",
        "Alnum" => "[0-9A-Za-z]",
        "Alpha" => "[A-Za-z]",
        "Blank" => r"[\t ]",
        "Cntrl" => r"[\x00-\x1f\x7f]",
        "Digit" => "[0-9]",
        "Graph" => "[!-~]",
        "Print" => "[ -~]",
        "Punct" => r"[!-/:-@\[-`{-~]",
        "Space" => r"[\t-\r ]",
        "XDigit" => "[0-9A-Fa-f]",
        "javaAlphabetic" => r"\p{Alphabetic}",
        "javaIdeographic" => r"\p{Ideographic}",
        "javaDigit" => r"\p{Nd}",
        "javaDefined" => r"\P{Cn}",
        "javaLetter" => r"\p{L}",
        "javaJavaIdentifierStart" => r"[\p{L}\p{Nl}\p{Sc}\p{Pc}]",
        "javaJavaIdentifierPart" => r"[\p{L}\p{Nl}\p{Sc}\p{Pc}\p{Nd}\p{Mc}\p{Mn}\x00-\x08\x0e-\x1b\x7f-\x9f\p{Cf}]",
        "javaUnicodeIdentifierStart" => r"[\p{L}\p{Nl}\p{Other_ID_Start}]",
        "javaUnicodeIdentifierPart" => {
            r"[\p{L}\p{Nl}\p{Other_ID_Start}\p{Pc}\p{Nd}\p{Mc}\p{Mn}\p{Other_ID_Continue}\x00-\x08\x0e-\x1b\x7f-\x9f\p{Cf}]"
        }
        "javaIdentifierIgnorable" => r"[\x00-\x08\x0e-\x1b\x7f-\x9f\p{Cf}]",
        "javaSpaceChar" => r"\p{Z}",
        "javaWhitespace" => r"[\t-\r\x1c-\x1f[\p{Z}--[\u{a0}\u{2007}\u{202f}]]]",
        "javaISOControl" => r"[\x00-\x1f\x7f-\x9f]",
        _ => return None,
    };
    Some(sets::unicode(class))
}

/// The binary properties behind `Is`, in any case.
fn binary(name: &str, blind: bool) -> Option<Set> {
    let any_case = |alone: &'static str| {
        if blind {
            r"[\p{Lowercase}\p{Uppercase}\p{Lt}]"
        } else {
            alone
        }
    };
    let class = match name.to_uppercase().as_str() {
        "ALPHABETIC" => r"\p{Alphabetic}",
        "LETTER" => r"\p{L}",
        "IDEOGRAPHIC" => r"\p{Ideographic}",
        "LOWERCASE" => any_case(r"\p{Lowercase}"),
        "UPPERCASE" => any_case(r"\p{Uppercase}"),
        "TITLECASE" => any_case(r"\p{Lt}"),
        "WHITE_SPACE" | "WHITESPACE" => r"\p{White_Space}",
        "CONTROL" => r"\p{Cc}",
        "PUNCTUATION" => r"\p{P}",
        "HEX_DIGIT" | "HEXDIGIT" => r"[\p{Nd}\p{Hex_Digit}]",
        "ASSIGNED" => r"\P{Cn}",
        "NONCHARACTER_CODE_POINT" | "NONCHARACTERCODEPOINT" => r"\p{Noncharacter_Code_Point}",
        "DIGIT" => r"\p{Nd}",
        "ALNUM" => r"[\p{Alphabetic}\p{Nd}]",
        "BLANK" => BLANK,
        "GRAPH" => GRAPH,
        "PRINT" => PRINT,
        "WORD" => WORD,
        "JOIN_CONTROL" | "JOINCONTROL" => r"\p{Join_Control}",
        _ => return None,
    };
    Some(sets::unicode(class))
}

const BLANK: &str = r"[\p{Zs}\t]";
const GRAPH: &str = r"[^\p{Z}\p{Cc}\p{Cn}\s]";
const PRINT: &str = r"[[^\p{Z}\p{Cc}\p{Cn}\s]\p{Zs}]";
const WORD: &str = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]";

/// The POSIX names under `(?U)`, in any case.
fn wide_posix(name: &str, blind: bool) -> Option<Set> {
    let name = match name.to_uppercase().as_str() {
        "ALPHA" => "ALPHABETIC",
        "LOWER" => "LOWERCASE",
        "UPPER" => "UPPERCASE",
        "SPACE" => "WHITE_SPACE",
        "PUNCT" => "PUNCTUATION",
        "XDIGIT" => "HEX_DIGIT",
        "ALNUM" => "ALNUM",
        "CNTRL" => "CONTROL",
        "DIGIT" => "DIGIT",
        "BLANK" => "BLANK",
        "GRAPH" => "GRAPH",
        "PRINT" => "PRINT",
        _ => return None,
    };
    binary(name, blind)
}

/// `\w` under `(?U)`.
pub(super) fn wide_word() -> Set {
    sets::unicode(WORD)
}
