//! Texts to be parsed: written by a format, spoilt, or put together field by field.

use dray_transforms::simple_date_format::SimpleDateFormat;

use super::random::Random;

/// For a single field.
pub(super) const EDGES: [&str; 46] = [
    "",
    " ",
    "\t ",
    "0",
    "1",
    "-1",
    "- 1",
    "--1",
    "+1",
    "12",
    "24",
    "31",
    "32",
    "60",
    "99",
    "100",
    "366",
    "367",
    "1582",
    "-2147483648",
    "2147483648",
    "99999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1234567890123456789012",
    "1E2",
    "15E-1",
    "1E",
    "1E-",
    "5e2",
    "1E99",
    "-1E400",
    "1E-400",
    "9E18",
    "10E18",
    "1E9223372036854775807",
    "1E99999999999999999999",
    "NaN",
    "-NaN",
    "∞",
    "-∞5",
    "5E∞",
    "٣",
    "1٣",
    "1.5",
];

/// Numbers between valid and absurd.
const NUMBERS: [&str; 26] = [
    "-1",
    "-2",
    "-13",
    "007",
    "13",
    "24",
    "25",
    "61",
    "100",
    "1000",
    "-400",
    "40000",
    "2147483647",
    "-2147483648",
    "4294967297",
    "99999999999999999999",
    "1E2",
    "25E-1",
    "-5E-1",
    "1E1E1",
    "NaN",
    "∞",
    "-∞",
    "١٢",
    "１２",
    "0000000000000000000012",
];

const NAMES: [&str; 24] = [
    "Jan",
    "january",
    "MAY",
    "Sept",
    "September",
    "dec",
    "Mon",
    "monday",
    "SUNDAY",
    "Thurs",
    "am",
    "PM",
    "Am",
    "A",
    "AD",
    "bc",
    "Anno Domini",
    "before christ",
    "BCE",
    "Ma",
    "ſunday",
    "frıday",
    "FRİDAY",
    "oct",
];

const ZONES: [&str; 40] = [
    "Z",
    "z",
    "UTC",
    "utc",
    "UTCx",
    "UT",
    "GMT",
    "gmt",
    "Gmt+1",
    "GMT+1:00",
    "GMT-12:34",
    "GMT+1:0",
    "GMT+01:00",
    "GMT+24:00",
    "GMT+23:59",
    "GMT+",
    "GMT1",
    "GMT+0100",
    "+01",
    "-01",
    "+0100",
    "-0130",
    "+01:00",
    "-12:59",
    "+1",
    "+1:00",
    "+2400",
    "+0160",
    "+010",
    "+",
    "-",
    "Coordinated Universal Time",
    "coordinated universal timex",
    "PST",
    "CET",
    "Pacific Standard Time",
    "EST5EDT",
    "Nowhere",
    "Greenwich Mean Time",
    "greenwich mean timely",
];

/// What a format writes, or nothing when the pattern is wrong.
pub(super) fn formatted(pattern: &str, millis: i64) -> String {
    let mut text = String::new();
    if let Ok(mut format) = SimpleDateFormat::compile(pattern, 0) {
        format.format(millis, &mut text);
    }
    text
}

/// A text for a letter, mostly a fitting one.
pub(super) fn of(letter: char, random: &mut Random) -> String {
    let text = match (letter, random.below(20)) {
        (_, 0) => random.pick(&NAMES).to_owned(),
        (_, 1) => random.pick(&NUMBERS).to_owned(),
        (_, 2) => random.pick(&ZONES).to_owned(),
        ('G' | 'E' | 'a', _) => random.pick(&NAMES).to_owned(),
        ('M' | 'L', 3..10) => random.pick(&NAMES).to_owned(),
        ('z' | 'Z' | 'X', _) => random.pick(&ZONES).to_owned(),
        ('y' | 'Y', 3..14) => (random.below(3000) as i64 - 500).to_string(),
        ('y' | 'Y', 14) => (random.next() as i32).to_string(),
        (_, 3) => (random.next() as i32 >> random.below(31)).to_string(),
        (_, 4..7) => (random.below(500) as i64 - 200).to_string(),
        (_, 7..10) => format!("{:02}", random.below(60)),
        _ => random.below(31).to_string(),
    };
    match random.below(30) {
        0 => format!(" {text}"),
        1 => format!("\t  {text}"),
        _ => text,
    }
}

/// A text for each run of letters, and the text between them.
pub(super) fn along(pattern: &str, random: &mut Random) -> String {
    let mut text = String::new();
    let mut last = None;
    let mut quoted = false;
    for c in pattern.chars() {
        if c == '\'' {
            quoted = !quoted;
        } else if quoted || !c.is_ascii_alphabetic() {
            text.push(c);
        } else if last != Some(c) {
            text.push_str(&of(c, random));
        }
        last = Some(c);
    }
    if random.chance(10) { spoilt(&text, random) } else { text }
}

/// A text with one change.
pub(super) fn spoilt(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = random.below(chars.len() + 1);
    match random.below(4) {
        0 => chars.truncate(at),
        1 if at < chars.len() => drop(chars.remove(at)),
        2 if at < chars.len() => chars[at] = random.pick(&['0', '7', '-', '+', ' ', 'x', 'E', '٣', '\u{a0}', '😀']),
        _ => chars.insert(
            at,
            random.pick(&['0', '7', '-', '+', ' ', 'x', 'E', '٣', '\u{a0}', '😀']),
        ),
    }
    chars.into_iter().collect()
}
