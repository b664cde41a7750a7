//! Questions for the Java side.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// All answers of the oracle, in order. The questions are written from a thread of their own, so that no pipe runs full.
pub(crate) fn ask(questions: Vec<Json>) -> Vec<Json> {
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
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    writer.join().unwrap();
    assert!(process.wait().unwrap().success(), "the oracle failed");
    assert_eq!(answers.len(), count, "the oracle did not answer every question");
    answers
}
