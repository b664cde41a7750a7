//! What needs no Java to be known. All else is in `tests/oracle`.

use proptest::prelude::*;

use super::{Error, Pattern, PatternError, Replacement};

fn pattern(regex: &str) -> Pattern {
    Pattern::compile(regex).unwrap_or_else(|error| panic!("{error}"))
}

fn matches(regex: &str, text: &str) -> bool {
    pattern(regex).matches(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(regex: &str) -> PatternError {
    Pattern::compile(regex).expect_err(regex)
}

fn replaced(regex: &str, text: &str, replacement: &str) -> Result<String, Error> {
    pattern(regex)
        .replace_first(text, &Replacement::new(replacement))
        .map(std::borrow::Cow::into_owned)
}

#[test]
fn topics_match_as_a_whole() {
    assert!(matches("app-.*", "app-log"));
    assert!(!matches("app-", "app-log"));
    assert!(matches("a|ab", "ab"));
    assert!(matches("^a$", "a"));
    assert!(!matches("^a$", "a\n"));
    assert!(matches("(?!internal)[a-z-]+(?<!-test)", "orders-live"));
    assert!(!matches("(?!internal)[a-z-]+(?<!-test)", "orders-test"));
}

#[test]
fn what_java_refuses_is_refused_in_its_words() {
    for (regex, message) in [
        ("(a", "Unclosed group near index 2\n(a"),
        ("a|*", "Dangling meta character '*' near index 2\na|*\n  ^"),
        ("[a", "Unclosed character class near index 1\n[a\n ^"),
        (
            "a\tb\\y",
            "Illegal/unsupported escape sequence near index 4\na\tb\\y\n \t  ^",
        ),
    ] {
        let error = refusal(regex);
        assert_eq!(error.to_string(), message);
        assert!(!error.is_refused());
    }
}

#[test]
fn what_only_we_refuse_says_what_and_why() {
    for (regex, message) in [
        (
            "a\\X",
            "Not supported: \\X (the engine does not know grapheme clusters) near index 2\na\\X\n  ^",
        ),
        (
            "(?:(a)|b)*\\1",
            "Not supported: the back reference to group 1 (Java may have forgotten to take back what the group matched before) near \
             index 10\n(?:(a)|b)*\\1\n          ^",
        ),
    ] {
        let error = refusal(regex);
        assert_eq!(error.to_string(), message);
        assert!(error.is_refused());
    }
    assert!(refusal("(?:a{1000}){1000}").is_refused());
    assert!(refusal(&"(".repeat(100_000)).is_refused());
    assert!(refusal(&"[".repeat(100_000)).is_refused());
    assert!(!matches("a|".repeat(10_000).as_str(), "b"));
}

#[test]
fn the_first_match_is_replaced() {
    assert_eq!(replaced("(.*)-(.*)", "a-b", "$2_$1").as_deref(), Ok("b_a"));
    assert_eq!(replaced("(?<n>b)", "abb", "[${n}$12]").as_deref(), Ok("a[bb2]b"));
    assert_eq!(replaced("x", "abc", "$9").as_deref(), Ok("abc"));
}

#[test]
fn a_wrong_replacement_has_javas_class_and_words() {
    let class = |error: &Error| error.java_class();
    let error = replaced("(a)", "a", "$2").unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), class(&error)),
        ("No group 2", "java.lang.IndexOutOfBoundsException")
    );
    let error = replaced("a", "a", "${x}").unwrap_err();
    let expected = ("No group with name {x}", "java.lang.IllegalArgumentException");
    assert_eq!((error.to_string().as_str(), class(&error)), expected);
}

#[test]
fn a_leftover_is_never_given_out() {
    let error = replaced("(?:(.))*b", "aab", "$1").unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert_eq!(replaced("((?:.)*)b", "aab", "$1").as_deref(), Ok("aa"));
    assert_eq!(replaced("(?=(a))a", "a", "[$1]").as_deref(), Ok("[a]"));
}

#[test]
fn a_search_without_end_is_an_error() {
    let pattern = pattern("(?:a|aa|(?=b)c)+\\z(?<!a)");
    let error = pattern.matches(&"a".repeat(60)).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    assert_eq!(pattern.matches("b"), Ok(false));
}

#[test]
fn texts_that_cannot_be_decided_are_errors() {
    let blind = pattern("(?i)(.)\\1");
    assert_eq!(blind.matches("aA"), Ok(true));
    assert!(matches!(blind.matches("éÉ"), Err(Error::Unsupported { .. })));
    let word = pattern("e\\b.*");
    assert_eq!(word.matches("e-é"), Ok(true));
    assert!(matches!(word.matches("e\u{301}"), Err(Error::Unsupported { .. })));
}

/// Pieces of patterns, put together without a grammar.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "é", "😀", ".", "\\d", "\\w", "\\p{", "}", "Lu", "[", "]", "[^", "&&", "-", "(", ")", "(?:", "(?=",
        "(?!", "(?<=", "(?<!", "(?<n>", "(?>", "(?i)", "(?x)", "(?", "|", "*", "+", "?", "{", "{2}", "{1,", "{,",
        "\\1", "\\k<n>", "\\Q", "\\E", "\\", "\\x", "\\u", "0", "1", "^", "$", "\\b", "\\R", " ", "#", "\n", "\\c",
        "\\0", ",",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics(regex in prop_oneof![pieces(), any::<String>()], text in "[abé😀0 \n]{0,8}", replacement in "[$0-2{}na\\\\]{0,6}") {
        if let Ok(pattern) = Pattern::compile(&regex) {
            let whole = pattern.matches(&text);
            let replaced = pattern.replace_first(&text, &Replacement::new(&replacement));
            // What matches as a whole is found as a part of itself.
            if whole == Ok(true) {
                let found = pattern.replace_first(&text, &Replacement::new("\u{1}"));
                let replaced = found.is_ok_and(|found| found.contains('\u{1}'));
                prop_assert!(replaced, "not found as a part");
            }
            drop(replaced);
        }
    }
}
