//! Compares `dray_connect::pattern` with the real java.util.regex: patterns, texts and replacements, both sides, every answer.
//!
//! `DRAY_TEST_ORACLE` names the script that starts the Java side. What we choose to do differently is explained in
//! `differences.md`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test, which clippy does not take for tests"
)]

mod edges;
mod generate;
mod points;
mod random;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use dray_connect::pattern::{Error, Pattern, PatternError, Replacement};
use serde_json::{Value as Json, json};

/// One question.
pub(crate) struct Case {
    pub(crate) regex: String,
    pub(crate) text: String,
    pub(crate) replacement: String,
}

/// The corpus must not shrink unnoticed.
const AT_LEAST: usize = 40_000;
/// So many of them are generated.
const GENERATED: usize = 6000;

/// Answers that we refuse, by the names of `differences.md`, and how many there are: they must not grow unnoticed.
const REFUSED: &[(&str, usize)] = &[
    ("blind-reference", 60),
    ("canonical-equivalence", 80),
    ("character-names", 160),
    ("grapheme-clusters", 240),
    ("half-intersection", 160),
    ("half-pair", 349),
    ("leftovers", 211),
    ("look-behind-length", 379),
    ("marks-at-boundaries", 26),
    ("mixed-look-behind", 209),
    ("own-group", 496),
    ("size", 160),
];

/// Characters that a later Unicode than that of JDK 17 puts into other classes.
const MOVED: &[(u32, u32)] = &[
    (0x363, 0x36f),
    (0xc04, 0xc04),
    (0xf82, 0xf83),
    (0x10fc, 0x10fc),
    (0x1734, 0x1734),
    (0x1dd3, 0x1de6),
    (0x30fb, 0x30fb),
    (0xab69, 0xab69),
    (0xff65, 0xff65),
];

#[test]
fn agrees_with_java() {
    let mut cases = edges::cases();
    // More than usual, to search by hand.
    let more = std::env::var("DRAY_TEST_PATTERNS").map_or(GENERATED, |count| count.parse().unwrap());
    cases.extend(generate::cases(more));
    assert!(cases.len() >= AT_LEAST, "only {} cases", cases.len());
    let theirs = ask(cases.iter().map(question).collect());
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differing = Vec::new();
    let (mut matching, mut wrong) = (0, 0);
    let mut last: Option<(&str, Result<Pattern, PatternError>)> = None;
    for (case, theirs) in cases.iter().zip(theirs) {
        let theirs = same_parts(theirs);
        wrong += usize::from(theirs.get("error").is_some());
        let (_, pattern) = match last.take() {
            Some(last) if last.0 == case.regex => last,
            _ => (case.regex.as_str(), Pattern::compile(&case.regex)),
        };
        match answer(&pattern, case) {
            Ok(ours) if ours == theirs => {
                matching += usize::from(ours["matches"] == true || ours["replaced"] != case.text)
            }
            // A half of a pair, which our text cannot hold.
            Ok(_) if theirs.is_null() => *refused.entry("half-pair").or_default() += 1,
            Ok(ours) => differing.push(format!(
                "{:?} {:?} {:?}\n  ours   {ours}\n  theirs {theirs}",
                case.regex, case.text, case.replacement
            )),
            // Refused by both, in the same words.
            Err(reason) if theirs["message"] == reason.as_str() => {}
            Err(reason) => *refused.entry(name(&reason)).or_default() += 1,
        }
        last = Some((&case.regex, pattern));
    }
    println!(
        "{} cases, {matching} matching, {wrong} wrong patterns, {} differ, refused: {refused:?}",
        cases.len(),
        differing.len()
    );
    let shown = differing.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        differing.is_empty(),
        "{} of {} cases differ:\n{shown}",
        differing.len(),
        cases.len()
    );
    if more == GENERATED {
        assert_eq!(
            refused,
            REFUSED.iter().copied().collect(),
            "refused more or less than before"
        );
    }
}

#[test]
fn classes_agree_with_java() {
    let (classes, mut differing) = points::compare();
    differing.retain(|(point, _)| !MOVED.iter().any(|(first, last)| (first..=last).contains(&point)));
    let shown: Vec<String> = differing
        .iter()
        .map(|(point, class)| format!("{point:x} {class}"))
        .collect();
    assert!(
        differing.is_empty(),
        "{} of {classes} classes differ:\n{}",
        differing.len(),
        shown.join("\n")
    );
}

/// Which of the chosen differences it is.
fn name(reason: &str) -> &'static str {
    const NAMES: &[(&str, &str)] = &[
        ("\\X", "grapheme-clusters"),
        ("\\b{g}", "grapheme-clusters"),
        ("\\N{", "character-names"),
        ("the flag c", "canonical-equivalence"),
        ("half of a surrogate pair", "half-pair"),
        ("&& without a right side", "half-intersection"),
        ("a character after &&[", "half-intersection"),
        ("Look-behind group", "look-behind-length"),
        ("a look-behind of more than one length", "mixed-look-behind"),
        ("middle of a surrogate pair", "half-pair"),
        ("it stands in that group", "own-group"),
        ("the back reference to group", "leftovers"),
        ("stands in a loop, a look-around", "leftovers"),
        ("compares ASCII text only", "blind-reference"),
        ("beside combining marks", "marks-at-boundaries"),
        ("error building NFA", "size"),
        ("steps back", "too-long"),
        ("nesting deeper", "size"),
    ];
    let found = NAMES.iter().find(|(part, _)| reason.contains(part));
    found.unwrap_or_else(|| panic!("no chosen difference: {reason}")).1
}

fn question(case: &Case) -> Json {
    json!({"op": "pattern", "regex": case.regex, "text": case.text, "replacement": case.replacement})
}

fn same_parts(mut theirs: Json) -> Json {
    if let Json::Object(members) = &mut theirs {
        members.remove("causes");
    }
    theirs
}

/// Our answer in the words of the oracle, or why we refuse.
fn answer(pattern: &Result<Pattern, PatternError>, case: &Case) -> Result<Json, String> {
    let pattern = match pattern {
        Ok(pattern) => pattern,
        Err(error) if error.is_refused() => return Err(error.to_string()),
        Err(error) => return Ok(json!({"error": "PatternSyntaxException", "message": error.to_string()})),
    };
    let matches = pattern.matches(&case.text).map_err(|error| error.to_string())?;
    match pattern.replace_first(&case.text, &Replacement::new(&case.replacement)) {
        Ok(replaced) => Ok(json!({"matches": matches, "replaced": replaced})),
        Err(error @ (Error::Replacement(_) | Error::NoGroup(_))) => {
            let class = error.java_class().rsplit('.').next().unwrap();
            Ok(json!({"matches": matches, "replaced": null, "refused": class, "message": error.to_string()}))
        }
        Err(error @ (Error::TooLong { .. } | Error::Unsupported { .. })) => Err(error.to_string()),
    }
}

/// All answers of the oracle, in order. The questions are written from a thread of their own, so that no pipe runs full.
fn ask(questions: Vec<Json>) -> Vec<Json> {
    let oracle = std::env::var("DRAY_TEST_ORACLE").expect("set DRAY_TEST_ORACLE: run `make test`");
    let mut process = Command::new(oracle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let count = questions.len();
    let writer = std::thread::spawn(move || {
        for question in questions {
            writeln!(input, "{question}").unwrap();
        }
    });
    let output = BufReader::new(process.stdout.take().unwrap());
    let answers: Vec<Json> = output
        .lines()
        // serde_json reads no half of a surrogate pair.
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap_or(Json::Null))
        .collect();
    writer.join().unwrap();
    assert!(process.wait().unwrap().success(), "the oracle failed");
    assert_eq!(answers.len(), count, "the oracle did not answer every question");
    answers
}
