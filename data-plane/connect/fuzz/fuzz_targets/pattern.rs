//! Any pattern, text and replacement: no call panics, and each ends.

#![no_main]

use dray_connect::pattern::{Pattern, Replacement};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    regex: &'a str,
    text: &'a str,
    replacement: &'a str,
}

/// What a configuration holds; a pattern may be long, and takes its time then.
const LONGEST: usize = 200;

fuzz_target!(|input: Input<'_>| {
    if input.regex.len() > LONGEST || input.text.len() > LONGEST {
        return;
    }
    let Ok(pattern) = Pattern::compile(input.regex) else {
        return;
    };
    let whole = pattern.matches(input.text);
    let replaced = pattern.replace_first(input.text, &Replacement::new("x"));
    if let (Ok(true), Ok(replaced)) = (whole, replaced) {
        assert!(replaced.contains('x'), "a match of the whole text is found as a part of it, too");
    }
    drop(pattern.replace_first(input.text, &Replacement::new(input.replacement)));
});
