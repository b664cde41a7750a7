//! `SimpleDateFormat` beside Java's: both format the same instants and parse the same texts.

mod questions;
mod random;
mod texts;

use std::collections::BTreeMap;

use dray_transforms::simple_date_format::SimpleDateFormat;
use serde_json::{Value as Json, json};

use crate::ask::ask;

/// The questions must not become fewer unnoticed.
const AT_LEAST: usize = 20_000;

/// A pattern, when it is compiled, and what is done with it.
#[derive(Debug)]
struct Question {
    pattern: String,
    now_millis: i64,
    input: Input,
}

#[derive(Debug)]
enum Input {
    Format(i64),
    Parse(String),
}

#[test]
fn dates_are_those_of_java() {
    let questions = questions::all();
    assert!(questions.len() >= AT_LEAST, "only {} questions", questions.len());
    let theirs = ask(questions.iter().map(json_of).collect());
    let later = Later::of(&questions, &theirs);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differing = Vec::new();
    for (question, mut theirs) in questions.iter().zip(theirs) {
        if let Json::Object(members) = &mut theirs {
            members.remove("causes");
        }
        let ours = answer(question);
        *counts.entry(kind(&theirs)).or_default() += 1;
        if ours == theirs {
            continue;
        }
        match difference(question, &ours, &theirs, &later) {
            Some(name) => *counts.entry(name).or_default() += 1,
            None => differing.push(format!("{question:?}\n  ours   {ours}\n  theirs {theirs}")),
        }
    }
    println!("{} questions: {counts:?}", questions.len());
    assert!(
        differing.is_empty(),
        "{} of {} differ:\n{}",
        differing.len(),
        questions.len(),
        differing.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
    // A comparison of errors only, or without them, would say little.
    for (kind, least) in [
        ("text", 5000),
        ("millis", 5000),
        ("ParseException", 2000),
        ("IllegalArgumentException", 50),
    ] {
        assert!(
            counts.get(kind).is_some_and(|&count| count >= least),
            "too few {kind}: {counts:?}"
        );
    }
}

fn kind(answer: &Json) -> &'static str {
    match answer["error"].as_str() {
        Some("ParseException") => "ParseException",
        Some("IllegalArgumentException") => "IllegalArgumentException",
        Some(_) => "another error",
        None if answer.get("text").is_some() => "text",
        None => "millis",
    }
}

fn json_of(question: &Question) -> Json {
    let mut json = json!({"op": "date", "pattern": question.pattern, "now_millis": question.now_millis});
    match &question.input {
        Input::Format(millis) => json["format_millis"] = json!(millis),
        Input::Parse(text) => json["parse"] = json!(text),
    }
    json
}

fn answer(question: &Question) -> Json {
    let mut format = match SimpleDateFormat::compile(&question.pattern, question.now_millis) {
        Ok(format) => format,
        Err(error) => return json!({"error": "IllegalArgumentException", "message": error.to_string()}),
    };
    match &question.input {
        Input::Format(millis) => {
            let mut text = String::new();
            format.format(*millis, &mut text);
            json!({"text": text})
        }
        Input::Parse(text) => match format.parse(text) {
            Ok(millis) => json!({"millis": millis}),
            Err(error) => {
                let offset = error.offset.map_or(-1, |offset| offset as i64);
                json!({"error": "ParseException", "message": error.to_string(), "offset": offset})
            }
        },
    }
}

/// What Java does otherwise since versions after 17, if this is one.
struct Later {
    blanks: bool,
    exponents: bool,
}

impl Later {
    fn of(questions: &[Question], theirs: &[Json]) -> Self {
        let answer = |pattern: &str, text: &str| {
            let asked = questions
                .iter()
                .position(|question| {
                    question.pattern == pattern && matches!(&question.input, Input::Parse(parsed) if parsed == text)
                })
                .unwrap();
            theirs[asked]["millis"].as_i64()
        };
        Self {
            blanks: answer("yyyy MM", "2024\u{a0}01").is_some(),
            exponents: answer("m", "1E2147483647") != Some(0),
        }
    }
}

/// The name of the difference, where it is one of those that `differences.md` explains.
fn difference(question: &Question, ours: &Json, theirs: &Json, later: &Later) -> Option<&'static str> {
    let Input::Parse(text) = &question.input else {
        return None;
    };
    if later.blanks && (text.contains('\u{a0}') || question.pattern.contains('\u{a0}')) {
        return Some("later-blanks");
    }
    if later.exponents && (text.contains("1E9") || text.contains("1E2147483647")) {
        return Some("later-exponents");
    }
    let stopped = usize::try_from(ours["offset"].as_i64()?).ok()?;
    let further = theirs["offset"].as_i64().is_none_or(|offset| offset > stopped as i64);
    let units: Vec<u16> = text.encode_utf16().skip(stopped).collect();
    let rest = String::from_utf16_lossy(&units).to_uppercase();
    let ours = ["UTC", "COORDINATED UNIVERSAL TIME", "GMT", "GREENWICH MEAN TIME"];
    let name = rest.starts_with(|c: char| c.is_ascii_alphabetic()) && !ours.iter().any(|name| rest.starts_with(name));
    (further && name && question.pattern.contains(['z', 'Z'])).then_some("zone-names")
}
