//! The questions: every letter by itself, common patterns, and random ones, with instants and texts that are near an edge.

use super::random::Random;
use super::texts;
use super::{Input, Question};

/// Every letter of a pattern.
const LETTERS: [char; 23] = [
    'G', 'y', 'Y', 'M', 'L', 'w', 'W', 'D', 'd', 'F', 'E', 'u', 'a', 'H', 'k', 'K', 'h', 'm', 's', 'S', 'z', 'Z', 'X',
];

/// Patterns that people use.
const COMMON: [&str; 18] = [
    "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "yyyy-MM-dd'T'HH:mm:ssZ",
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd",
    "yyyyMMdd",
    "yyyyMMddHHmmssSSS",
    "yyMMddHHmmssZ",
    "yyyyMMdd-HH",
    "dd/MM/yy",
    "MM/dd/yyyy hh:mm:ss a",
    "EEE, d MMM yyyy HH:mm:ss Z",
    "EEE, MMM d, ''yy",
    "h:mm a",
    "hh 'o''clock' a, zzzz",
    "yyyyy.MMMMM.dd GGG hh:mm aaa",
    "YYYY-'W'ww-u",
    "EEEE MMMM d HH:mm:ss z yyyy",
];

/// Instants at which something changes.
const INSTANTS: [i64; 62] = [
    0,
    1,
    -1,
    999,
    -999,
    86_399_999,
    86_400_000,
    43_199_999,
    43_200_000,
    // 2024-02-29, 2023-02-28, 2023-03-01, 2000-02-29, 1900-02-28, 1900-03-01, 2100-02-28, 2100-03-01
    1_709_208_123_456,
    1_677_542_400_000,
    1_677_628_800_000,
    951_782_400_000,
    -2_203_977_600_000,
    -2_203_891_200_000,
    4_107_456_000_000,
    4_107_542_400_000,
    // around the turn of several years: weeks
    1_704_067_199_999,
    1_704_067_200_000,
    1_735_603_200_000,
    1_735_689_600_000,
    1_767_139_200_000,
    1_672_531_200_000,
    1_640_908_800_000,
    // 9999-12-31T23:59:59.999, 10000-01-01, 99999-12-31
    253_402_300_799_999,
    253_402_300_800_000,
    3_093_527_980_799_999,
    // the cutover and the days, month and year around it
    -12_219_292_800_000,
    -12_219_292_800_001,
    -12_219_379_200_000,
    -12_219_379_200_001,
    -12_219_206_400_000,
    -12_218_515_200_000,
    -12_217_824_000_000,
    -12_216_960_000_000,
    -12_213_000_000_000,
    -12_212_553_600_000,
    -12_212_553_600_001,
    -12_243_398_400_000,
    -12_243_398_400_001,
    -12_212_000_000_000,
    -12_220_156_800_000,
    // 1500-02-29 of the Julian calendar
    -14_825_808_000_000,
    -14_825_721_600_000,
    // the years 1 and 0, and before
    -62_135_769_600_000,
    -62_135_769_600_001,
    -62_135_596_800_000,
    -62_135_596_800_001,
    -62_167_392_000_000,
    -62_167_392_000_001,
    -62_198_755_200_000,
    -93_692_592_000_000,
    -125_000_000_000_000,
    // days at the limits of 32 bits
    185_542_587_187_199_999,
    -185_542_587_187_200_000,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MAX - 86_400_000 * 300,
    i64::MIN,
    i64::MIN + 86_400_000 * 25,
    i64::MIN + 86_400_000 * 29,
];

/// 2026-11-21, and times that make the century start at an edge.
const NOWS: [i64; 8] = [
    1_795_219_200_000,
    1_795_219_200_000,
    // 2024-02-29, 2180-02-29, 1970-01-01, 1655-01-01, 1662-10-20, 50-06-01
    1_709_208_123_456,
    6_632_064_000_000,
    0,
    -9_940_406_400_000,
    -9_694_252_800_000,
    -60_576_249_600_000,
];

pub(super) fn all() -> Vec<Question> {
    let mut random = Random::new(0x5eed);
    let mut questions = Vec::new();
    each_letter(&mut questions, &mut random);
    common(&mut questions, &mut random);
    every_day(&mut questions);
    mixed(&mut questions, &mut random);
    wrong_patterns(&mut questions, &mut random);
    two_digit_years(&mut questions, &mut random);
    odd_ones(&mut questions);
    questions
}

fn format(pattern: &str, millis: i64) -> Question {
    Question {
        pattern: pattern.to_owned(),
        now_millis: NOWS[0],
        input: Input::Format(millis),
    }
}

fn parse(pattern: &str, text: String) -> Question {
    Question {
        pattern: pattern.to_owned(),
        now_millis: NOWS[0],
        input: Input::Parse(text),
    }
}

fn each_letter(questions: &mut Vec<Question>, random: &mut Random) {
    for letter in LETTERS {
        for count in (1..=6).chain([254, 255, 300, 309, 310, 66_000]) {
            let pattern = letter.to_string().repeat(count);
            if count > 6 {
                questions.push(format(&pattern, 1_709_208_123_456));
                questions.push(parse(&pattern, "5".to_owned()));
                // Two fields: the number of letters is the number of characters.
                if count < 400 {
                    questions.push(parse(&(pattern + "d"), "0".repeat(count) + "12"));
                }
                continue;
            }
            questions.extend(INSTANTS.map(|millis| format(&pattern, millis)));
            for text in texts::EDGES {
                questions.push(parse(&pattern, text.to_owned()));
            }
            for _ in 0..10 {
                let text = texts::of(letter, random);
                questions.push(parse(&format!("yyyy MM dd {pattern}"), format!("2024 02 29 {text}")));
                questions.push(parse(&pattern, text));
            }
        }
    }
}

fn common(questions: &mut Vec<Question>, random: &mut Random) {
    for pattern in COMMON {
        questions.extend(INSTANTS.map(|millis| format(pattern, millis)));
        for _ in 0..60 {
            let millis = instant(random);
            questions.push(format(pattern, millis));
            let text = texts::formatted(pattern, millis);
            questions.push(parse(pattern, texts::spoilt(&text, random)));
            questions.push(parse(pattern, text));
        }
        for _ in 0..60 {
            questions.push(parse(pattern, texts::along(pattern, random)));
        }
    }
}

/// Each day around the cutover and around some new years: weeks of all kinds.
fn every_day(questions: &mut Vec<Question>) {
    let pattern = "G y M d D Y w W F E u";
    for first in [-141_800, -719_900, -1_450_000, 0, 19_700, -730_000, -1_300_000] {
        for day in first..first + 800 {
            questions.push(format(pattern, day * 86_400_000));
        }
    }
    for (start, end) in [(i64::MIN, 40), (i64::MAX - 86_400_000 * 39, 40)] {
        questions.extend((0..end).map(|day| format(pattern, start + day * 86_400_000)));
    }
    // A leap year and others over 28 years, then BC ones whose weeks Java counts by the wrong year.
    for year in -60..60 {
        for near in -8..8 {
            questions.push(format(pattern, (year * 365_250 + near * 1000) / 1000 * 86_400_000));
            questions.push(format(
                pattern,
                (-719_164_000 + year * 365_250 + near * 1000) / 1000 * 86_400_000,
            ));
        }
    }
}

/// Random fields in random order, each of them with a text of its own.
fn mixed(questions: &mut Vec<Question>, random: &mut Random) {
    for _ in 0..12_000 {
        let pattern = pattern(random);
        let now_millis = random.pick(&NOWS);
        let input = match random.below(5) {
            0 => Input::Format(instant(random)),
            1 => Input::Parse(texts::formatted(&pattern, instant(random))),
            2 => Input::Parse(texts::spoilt(&texts::formatted(&pattern, instant(random)), random)),
            _ => Input::Parse(texts::along(&pattern, random)),
        };
        questions.push(Question {
            pattern,
            now_millis,
            input,
        });
    }
}

fn pattern(random: &mut Random) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(6) {
        let letter = random.pick(&LETTERS);
        let most = if letter == 'X' { 3 } else { 6 };
        pattern.push_str(&letter.to_string().repeat(1 + random.below(most)));
        pattern.push_str(random.pick(&[
            "", "", "-", " ", " ", "/", ":", ",", "'T'", "''", "' of '", "'it''s'", "é", "日", "'😀'", "1", ".",
            "\u{a0}",
        ]));
    }
    pattern
}

/// Most are of our time, some of any time, some at an edge.
fn instant(random: &mut Random) -> i64 {
    match random.below(10) {
        0..4 => (random.next() % 4_000_000_000_000) as i64 - 1_000_000_000_000,
        4 => (random.next() % 130_000_000_000_000) as i64 - 65_000_000_000_000,
        5 => -12_219_292_800_000 + (random.next() % 80_000_000_000) as i64 - 40_000_000_000,
        6 => random.next() as i64,
        7 => random.next() as i64 >> random.below(63),
        _ => random.pick(&INSTANTS),
    }
}

fn wrong_patterns(questions: &mut Vec<Question>, random: &mut Random) {
    for pattern in [
        "'", "'''", "''''", "yyyy'", "y'x", "XXXX", "XXXX'", "XXXXj", "XXXXXd", "''XXXX", "", "''", "é'",
    ] {
        questions.push(format(pattern, 0));
        questions.push(parse(pattern, "x".to_owned()));
        questions.push(parse(pattern, String::new()));
        questions.push(parse(pattern, "'".to_owned()));
    }
    for letter in ('A'..='Z').chain('a'..='z') {
        questions.push(format(&letter.to_string(), 0));
        questions.push(format(&format!("yyyy{letter}'"), 0));
    }
    for _ in 0..400 {
        let mut pattern = pattern(random);
        let at = (0..=random.below(pattern.len()))
            .rfind(|&at| pattern.is_char_boundary(at))
            .unwrap();
        pattern.insert(at, random.pick(&['\'', 'T', 'b', 'X', 'é', '5']));
        questions.push(format(&pattern, instant(random)));
        questions.push(parse(&pattern, texts::along(&pattern, random)));
    }
}

fn two_digit_years(questions: &mut Vec<Question>, random: &mut Random) {
    for now_millis in NOWS {
        for pattern in [
            "yy", "y", "yyyy", "YY", "yy-MM-dd", "yyMMdd", "YY w", "yy DDD", "G yy M", "yy Y", "Y yy M d",
        ] {
            for _ in 0..12 {
                questions.push(Question {
                    pattern: pattern.to_owned(),
                    now_millis,
                    input: Input::Parse(texts::along(pattern, random)),
                });
            }
            for year in [
                "46", "47", "44", "45", "00", "99", "90", "89", "75", "76", "-1", "1", "002", "٤٦", "4E", "+4",
            ] {
                questions.push(Question {
                    pattern: pattern.to_owned(),
                    now_millis,
                    input: Input::Parse(format!("{year}-02-28")),
                });
            }
        }
    }
}

/// What chance hardly finds.
fn odd_ones(questions: &mut Vec<Question>) {
    for (pattern, text) in [
        // The era of a week year is that of the other fields in local time.
        ("yyyy-MM-dd HH X YYYY", "0001-01-01 00 +23 5"),
        ("yyyy-MM-dd HH X YYYY", "0000-12-31 23 -23 5"),
        ("G yyyy D YYYY", "BC 0001 366 0001"),
        // The point of a number wraps around.
        ("m", "1E2147483647"),
        ("m", "1E2147483646"),
        ("m", "1E-2147483648"),
        ("m", "1E000000000000000000000000000002"),
        // A year of two digits, then another that is in a century for sure.
        ("yy yy M", "46 47 -20"),
        ("yy yy M", "47 46 -20"),
        ("yy YY M", "46 47 1"),
        ("yy YY w", "47 46 1"),
        // Blanks are skipped, and the zone looked for where they start.
        ("z", " GMT"),
        ("z", " GMT+1:00"),
        ("z", "\tUTC"),
        ("z", "  +0100"),
        ("X", " Z"),
        ("X", " z"),
        ("XXX", "\t+01:00"),
        ("z", "GMT+1"),
        ("z", "GMT+1:"),
        ("z", "GMT+1:1"),
        ("z", "GMT+12"),
        ("z", "GMT+123"),
        ("Z", "GMT-9:59x"),
        ("z", "Coordinated Universal Time"),
        ("Z", "coordinated universal times"),
        ("z", "Coordinated Universal"),
        ("yyyy'-'z", "1800-\t greenwich mean time"),
        ("yyyy'-'zHH", "1800- gmt12"),
        // Characters whose lower or upper case is ASCII.
        ("EEE", "\u{17f}UN"),
        ("EEE", "\u{17f}at"),
        ("EEEE", "fr\u{131}day"),
        ("EEEE", "FR\u{130}DAY"),
        ("G", "anno dom\u{131}n\u{130}"),
        ("yyyy 'K'", "2024 \u{212a}"),
        // Blanks of other kinds.
        ("yyyy MM", "2024\u{a0}01"),
        ("yyyy\u{a0}MM", "2024 01"),
        ("yyyy'T'MM", "2024t01"),
    ] {
        questions.push(parse(pattern, text.to_owned()));
    }
}
