//! Tables and properties; `tests/oracle/dates` compares with Java.

use proptest::prelude::*;

use super::{ParseError, PatternError, SimpleDateFormat};

/// 2026-11-21T00:00:00Z
const NOW: i64 = 1_795_219_200_000;

fn compile(pattern: &str) -> SimpleDateFormat {
    SimpleDateFormat::compile(pattern, NOW).unwrap()
}

fn text(pattern: &str, millis: i64) -> String {
    let mut text = String::new();
    compile(pattern).format(millis, &mut text);
    text
}

#[test]
fn patterns_that_are_refused() {
    let error = |pattern| SimpleDateFormat::compile(pattern, NOW).unwrap_err();
    assert_eq!(error("yyyy-MM-ddThh"), PatternError::IllegalCharacter('T'));
    assert_eq!(error("yyyy'T"), PatternError::UnterminatedQuote);
    assert_eq!(error("'''"), PatternError::UnterminatedQuote);
    assert_eq!(error("XXXX"), PatternError::InvalidIsoZone(4));
    assert_eq!(error("XXXXj"), PatternError::IllegalCharacter('j'));
    assert_eq!(error("b").to_string(), "Illegal pattern character 'b'");
    assert_eq!(error("'").to_string(), "Unterminated quote");
    assert_eq!(error("XXXXX").to_string(), "invalid ISO 8601 format: length=5");
}

#[test]
fn each_letter_formats() {
    for (pattern, expected) in [
        ("G GGGG", "AD AD"),
        ("y yy yyy yyyy yyyyy", "2023 23 2023 2023 02023"),
        ("Y YY YYYY", "2023 23 2023"),
        ("M MM MMM MMMM L LL LLL LLLL", "11 11 Nov November 11 11 Nov November"),
        ("w W D d F", "46 3 318 14 2"),
        ("E EEEE u", "Tue Tuesday 2"),
        ("a H k K h m s S SSS", "PM 22 22 10 10 13 20 7 007"),
        ("z zzzz Z X XX XXX", "UTC Coordinated Universal Time +0000 Z Z Z"),
        ("'T''o' ''d'' ü", "T'o '14' ü"),
        ("", ""),
    ] {
        assert_eq!(text(pattern, 1_700_000_000_007), expected, "{pattern}");
    }
}

#[test]
fn parses() {
    for (pattern, text, millis) in [
        (
            "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
            "2023-11-14T22:13:20.007Z",
            1_700_000_000_007,
        ),
        ("yyyyMMdd", "20231114", 1_699_920_000_000),
        ("yyyyMMddHHmmssSSS", "20231114221320007", 1_700_000_000_007),
        ("yyyy-MM-dd", "2023-11-14 and more", 1_699_920_000_000),
        ("yyyy-MM-dd", "2023-13-32", 1_706_745_600_000),
        ("yy", "70", 0),
        ("yy", "46", 2_398_377_600_000),
        ("HH:mm", "25:-1", 89_940_000),
        ("d MMMM yyyy h:mm a", "14 nov 2023 12:13 am", 1_699_920_780_000),
        ("yyyy-MM-dd HH:mm XXX", "2023-11-14 22:13 +01:00", 1_699_996_380_000),
        ("yyyy-MM-dd HH:mm z", "2023-11-14 22:13 GMT+1:00", 1_699_996_380_000),
        ("YYYY-'W'ww-u", "2023-W46-2", 1_699_920_000_000),
        ("d", "١٤", 1_123_200_000),
    ] {
        assert_eq!(compile(pattern).parse(text), Ok(millis), "{pattern} {text}");
    }
}

#[test]
fn texts_that_do_not_match() {
    for (pattern, text, offset) in [
        ("yyyy-MM-dd", "2023/11/14", Some(4)),
        ("yyyy-MM-dd", "2023-11-", Some(8)),
        ("yyyyMMdd", "20231", Some(4)),
        ("MMM", "Nix", Some(0)),
        ("z", "Pacific Standard Time", Some(0)),
        ("X", "+1", Some(2)),
        ("", "x", None),
    ] {
        let expected = ParseError {
            text: text.to_owned(),
            offset,
        };
        assert_eq!(compile(pattern).parse(text), Err(expected), "{pattern} {text}");
    }
    let error = compile("d").parse("x").unwrap_err();
    assert_eq!(error.to_string(), "Unparseable date: \"x\"");
}

#[test]
fn two_digit_years_lie_around_the_making() {
    let format = compile("yy-MM-dd");
    let year = |text: &str| {
        let mut year = String::new();
        compile("yyyy-MM-dd").format(format.parse(text).unwrap(), &mut year);
        year
    };
    assert_eq!(year("46-11-20"), "2046-11-20");
    assert_eq!(year("46-11-21"), "1946-11-21");
    assert_eq!(year("45-11-21"), "2045-11-21");
    assert_eq!(year("47-01-01"), "1947-01-01");
}

#[test]
fn patterns_of_fixed_widths_have_a_short_cut() {
    for (pattern, expected) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", true),
        ("yyyyMMdd", true),
        ("yyyy-MM-dd X", false),
        ("d.M.yyyy", false),
        ("yyyy MMM", false),
        ("yyyyy-MM-dd", false),
        ("'a text that is longer than most are'yyyyMMdd", false),
    ] {
        assert_eq!(compile(pattern).template.is_some(), expected, "{pattern}");
    }
}

proptest! {
    #[test]
    fn there_and_back(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
        let text = text("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", millis);
        prop_assert_eq!(compile("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").parse(&text), Ok(millis));
    }

    #[test]
    fn every_instant_there_and_back(millis: i64) {
        for pattern in ["G yyy-M-d H:m:s.S", "yyy D G h a m s S", "EEEE, d. MMMM yyy G HH:mm:ss,SSS zzzz"] {
            let text = text(pattern, millis);
            prop_assert_eq!(compile(pattern).parse(&text), Ok(millis), "{} {}", pattern, text);
        }
    }

    #[test]
    fn one_instant_after_the_other(start in 0..253_402_300_800_000_i64, steps in prop::collection::vec(-100_000..100_000_i64, 1..20)) {
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "yyyyMMdd", "SSS.mm.yyyy", "ss"] {
            let mut format = compile(pattern);
            let mut millis = start;
            for step in &steps {
                millis += step;
                let mut written = String::new();
                format.format(millis, &mut written);
                prop_assert_eq!(written, text(pattern, millis), "{} {}", pattern, millis);
            }
        }
    }

    #[test]
    fn nothing_panics(pattern in "[GyYMLwWDdFEuaHkKhmsSzZX' :ü-]{0,12}", text in "\\PC{0,20}|[-+:0-9E ]{0,20}", millis: i64) {
        if let Ok(mut format) = SimpleDateFormat::compile(&pattern, millis) {
            let mut formatted = String::new();
            format.format(millis, &mut formatted);
            drop(format.parse(&text));
            drop(format.parse(&formatted));
        }
    }

    #[test]
    fn the_short_cut_writes_the_same(
        pattern in "(yyyy|MM|dd|HH|mm|ss|SSS|-|'T'|ü| ){1,9}",
        millis in prop_oneof![any::<i64>(), -1_i64..253_402_300_800_001, Just(253_402_300_799_999), Just(0)],
    ) {
        let format = compile(&pattern);
        let mut without = String::new();
        super::format::format(&format.steps, millis, &mut without);
        prop_assert_eq!(text(&pattern, millis), without);
    }
}
