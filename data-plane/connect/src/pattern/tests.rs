//! What needs no Java to be known. All else is in `tests/oracle`.

use super::Pattern;

fn matches(regex: &str, text: &str) -> bool {
    Pattern::compile(regex)
        .unwrap_or_else(|error| panic!("{error}"))
        .matches(text)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn topics_match_as_a_whole() {
    assert!(matches("app-.*", "app-log"));
    assert!(!matches("app-", "app-log"));
    assert!(matches("a|ab", "ab"));
    assert!(matches("^a$", "a"));
    assert!(matches("(?!internal)[a-z-]+(?<!-test)", "orders-live"));
    assert!(!matches("(?!internal)[a-z-]+(?<!-test)", "orders-test"));
}
