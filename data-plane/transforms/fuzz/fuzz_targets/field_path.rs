//! Any path: nothing panics, and without backticks it is split at its dots.

#![no_main]

use dray_transforms::field_path::{FieldPath, Syntax};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    let whole = FieldPath::parse(path, Syntax::V1).expect("any text is a name");
    assert_eq!(whole.steps(), [path.into()]);
    let parsed = FieldPath::parse(path, Syntax::V2);
    if !path.contains('`') {
        let expected: Vec<Box<str>> = if path.is_empty() {
            Vec::new()
        } else {
            path.split('.').map(Into::into).collect()
        };
        assert_eq!(parsed.expect("nothing is quoted").steps(), expected);
    }
});
