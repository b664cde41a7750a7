//! What we choose to do differently; the reasons are in `differences.md` under the same names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::corpus::Case;

/// The name of the difference, where it is one of those we chose.
pub(crate) fn name(case: &Case, ours: &Json, theirs: &Json) -> Option<&'static str> {
    if theirs["error"] == "StackOverflowError" && ours.get("error").is_none() {
        return Some("java-stack");
    }
    if ours["message"] == "Schema nests deeper than 100 levels" {
        return Some("schema-depth");
    }
    if half_pair(case) && without_bytes(ours) == without_bytes(theirs) {
        return Some("half-pair");
    }
    if ours.get("error").is_some() || theirs.get("error").is_some() {
        return None;
    }
    if equal_bytes_keys(case, ours, theirs) {
        return Some("equal-bytes-keys");
    }
    let (mut our_value, mut their_value) = (without_bytes(ours), without_bytes(theirs));
    let floats = our_value["value"] != their_value["value"] || our_value["schema"] != their_value["schema"];
    if floats && let Case::Parse { .. } = case {
        // The text of a header has the digits of the values in it, which are compared one by one.
        our_value["string"].take();
        their_value["string"].take();
    }
    if floats && !equal(&our_value, &their_value, Tolerance { floats, order: false }) {
        return None;
    }
    if ours.get("bytes_b64") == theirs.get("bytes_b64") {
        return Some("float-digits");
    }
    let (a, b) = (json_of(ours)?, json_of(theirs)?);
    if floats && equal(&a, &b, Tolerance { floats, order: false }) {
        return Some("float-digits");
    }
    let has_map = their_value.to_string().contains("\"MAP\"");
    (has_map && equal(&a, &b, Tolerance { floats, order: true })).then_some("map-order")
}

/// The answer with each half of a surrogate pair, in its escape, replaced by U+FFFD.
pub(crate) fn without_halves(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        let code = |text: &str| {
            text.get(2..6)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .unwrap_or(0)
        };
        let is_second = |text: &str| text.starts_with("\\u") && (0xdc00..0xe000).contains(&code(text));
        let (kept, length) = match code(escape) {
            0xd800..0xdc00 if is_second(escape.get(6..).unwrap_or_default()) => (&escape[..12], 12),
            0xd800..0xe000 => ("\\ufffd", 6),
            _ => (&escape[..6], 6),
        };
        text.push_str(before);
        text.push_str(kept);
        rest = &escape[length..];
    }
    text + rest
}

/// Whether a map with bytes as its keys has a key twice on their side.
fn equal_bytes_keys(case: &Case, ours: &Json, theirs: &Json) -> bool {
    let Case::Roundtrip { converter: "json", .. } = case else {
        return false;
    };
    let keys = |answer: &Json| -> Vec<String> {
        let entries = answer["value"]["v"].as_array().into_iter().flatten();
        entries
            .filter(|entry| entry[0]["t"] == "BYTES")
            .map(|entry| entry[0].to_string())
            .collect()
    };
    let (ours, mut theirs) = (keys(ours), keys(theirs));
    let count = theirs.len();
    theirs.sort();
    theirs.dedup();
    theirs.len() < count && ours == theirs
}

/// Whether the question has an escape of half a surrogate pair.
fn half_pair(case: &Case) -> bool {
    let Case::Roundtrip { bytes: Some(bytes), .. } = case else {
        return false;
    };
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    text.contains("\\ud8") || text.contains("\\ude")
}

fn without_bytes(answer: &Json) -> Json {
    let mut answer = answer.clone();
    if let Json::Object(members) = &mut answer {
        members.remove("bytes_b64");
        members.remove("causes");
    }
    answer
}

fn json_of(answer: &Json) -> Option<Json> {
    let bytes = STANDARD.decode(answer.get("bytes_b64")?.as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[derive(Clone, Copy)]
struct Tolerance {
    /// The digits of a float may differ where they are one number.
    floats: bool,
    /// Members of objects and pairs in arrays may come in another order.
    order: bool,
}

fn equal(a: &Json, b: &Json, tolerance: Tolerance) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let in_order = a.keys().eq(b.keys());
            a.len() == b.len()
                && (in_order || tolerance.order)
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b, tolerance)))
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            let pairs = a
                .iter()
                .chain(b)
                .all(|node| node.as_array().is_some_and(|pair| pair.len() == 2));
            let found = |a: &Json| b.iter().any(|b| equal(a, b, tolerance));
            a.iter().zip(b).all(|(a, b)| equal(a, b, tolerance)) || (tolerance.order && pairs && a.iter().all(found))
        }
        (Json::Number(a), Json::Number(b)) if tolerance.floats => same_float(&a.to_string(), &b.to_string()),
        (Json::String(a), Json::String(b)) if tolerance.floats => same_float(a, b),
        (a, b) => a == b,
    }
}

/// Two texts of one double, or of one float, of which theirs has more digits.
fn same_float(ours: &str, theirs: &str) -> bool {
    let is_float = |text: &str| text.contains('.') && !text.contains('/');
    let same = || {
        ours.parse::<f64>().is_ok_and(|number| theirs.parse() == Ok(number))
            || ours.parse::<f32>().is_ok_and(|number| theirs.parse() == Ok(number))
    };
    ours == theirs || (is_float(ours) && is_float(theirs) && ours.len() <= theirs.len() && same())
}
