//! What we choose to do differently; the reasons are in `differences.md` under the same names.

use serde_json::Value as Json;

use super::corpus::Case;

/// How often each occurs in the corpus.
pub(crate) const EXPECTED: &[(&str, usize)] = &[
    ("blanks-around-predicate", 29),
    ("byte-buffer", 7),
    ("date-time-parse", 140),
    ("float-digits", 8),
    ("half-expanded-json", 2),
    ("index-out-of-bounds", 96),
    ("null-names", 8),
    ("object-in-message", 106),
    ("record-in-message", 126),
    ("refused-earlier", 150),
    ("simple-names", 20),
    ("sink-without-partition", 186),
    ("struct-default", 43),
    ("time-zone-data", 32),
    ("unchecked-exceptions", 338),
    ("unexpected-update", 5),
    ("which-error-first", 37),
    ("which-key", 900),
    ("works-here", 6),
];

/// The name of the difference, where it is one of those we chose.
pub(crate) fn name(case: &Case, ours: &Json, theirs: &Json) -> Option<&'static str> {
    if let Some(name) = debezium(case, ours, theirs) {
        return Some(name);
    }
    if simple_name(case, ours, theirs) {
        return Some("simple-names");
    }
    if let Some(name) = unchecked(ours, theirs) {
        return Some(name);
    }
    if ours["invalid"] != theirs["invalid"] {
        return None;
    }
    if predicate_with_blanks(case, theirs) {
        return Some("blanks-around-predicate");
    }
    let (our_text, their_text) = (
        ours["message"].as_str().unwrap_or(""),
        theirs["message"].as_str().unwrap_or(""),
    );
    if their_text == "Struct schemas do not match." && case.question.to_string().contains(r#""default":{"t":"STRUCT""#)
    {
        return Some("struct-default");
    }
    if our_text.starts_with("a map with a key of class null is no record") && theirs.get("record").is_some() {
        return Some("null-names");
    }
    if ours["at"] != theirs["at"] || ours["stage"] != theirs["stage"] {
        return None;
    }
    if theirs.get("record").is_some() && numbers(ours) == numbers(theirs) {
        return Some("float-digits");
    }
    if theirs["error"].is_null() || ours["error"] != theirs["error"] {
        return None;
    }
    if their_text.contains("InsertionSpec@") && our_text.starts_with(before(their_text, "org.apache")) {
        return Some("object-in-message");
    }
    if their_text.starts_with("Timestamp missing on record: ") && our_text.starts_with("Timestamp missing on record: ")
    {
        return Some("record-in-message");
    }
    if which_error_first(case, ours) {
        return Some("which-error-first");
    }
    if their_text.contains("java.nio.HeapByteBuffer") && their_text.replace("java.nio.HeapByteBuffer", "[B") == our_text
    {
        return Some("byte-buffer");
    }
    None
}

/// The answer with each float read, and printed as we print it.
fn numbers(answer: &Json) -> Json {
    match answer {
        Json::Object(members) => {
            let read = |v: &Json| -> Option<String> {
                let text = v.as_str()?;
                match members["t"].as_str()? {
                    "FLOAT32" => text.parse::<f32>().ok().map(|number| number.to_string()),
                    "FLOAT64" => text.parse::<f64>().ok().map(|number| number.to_string()),
                    _ => None,
                }
            };
            let tagged = members.contains_key("t");
            let member = |(name, v): (&String, &Json)| {
                let number = if tagged && name == "v" { read(v) } else { None };
                (name.clone(), number.map_or_else(|| numbers(v), Json::String))
            };
            Json::Object(members.iter().map(member).collect())
        }
        Json::Array(elements) => Json::Array(elements.iter().map(numbers).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => answer.clone(),
    }
}

/// One of several mistakes in a record, of one class, met by a stage that goes through names in an order of its own.
fn which_error_first(case: &Case, ours: &Json) -> bool {
    let stage = ours["stage"].as_str().unwrap_or_default();
    let class = case.question["config"][format!("transforms.{stage}.type")]
        .as_str()
        .unwrap_or_default();
    ours["error"] == "DataException" && (class.contains("MaskField$") || class.contains("HeaderFrom$"))
}

/// An exception that Java throws by mistake, where we say what is wrong.
fn unchecked(ours: &Json, theirs: &Json) -> Option<&'static str> {
    if ours["at"] != theirs["at"] || ours["stage"] != theirs["stage"] {
        return None;
    }
    let (error, validated) = (theirs["error"].as_str()?, ours["invalid"] == theirs["invalid"]);
    match (error, ours["error"].as_str()?) {
        ("NullPointerException" | "ClassCastException", "DataException") if validated => Some("unchecked-exceptions"),
        ("ArrayIndexOutOfBoundsException", "ConfigException") if theirs["invalid"].is_null() => {
            Some("unchecked-exceptions")
        }
        ("IndexOutOfBoundsException", "IllegalArgumentException") if ours["message"] == theirs["message"] => {
            Some("index-out-of-bounds")
        }
        _ => None,
    }
}

fn before<'t>(text: &'t str, end: &str) -> &'t str {
    text.split(end).next().unwrap_or(text)
}

/// A class that Dray finds by its simple name and Connect does not.
fn simple_name(case: &Case, ours: &Json, theirs: &Json) -> bool {
    let class = case.question["config"]["transforms.one.type"]
        .as_str()
        .unwrap_or_default();
    let Some(invalid) = theirs["invalid"].as_array() else {
        return false;
    };
    let unknown = |entry: &Json| {
        entry
            .to_string()
            .contains(&format!("Class {class} could not be found."))
    };
    !class.contains('.')
        && class.contains('$')
        && theirs["at"] == "load"
        && ours["invalid"] == Json::Array(Vec::new())
        && matches!(&invalid[..], [entry] if unknown(entry))
}

/// A stage that names its predicate with blanks around the alias.
fn predicate_with_blanks(case: &Case, theirs: &Json) -> bool {
    let predicate = case.question["config"]["transforms.one.predicate"]
        .as_str()
        .unwrap_or_default();
    theirs["at"] == "load" && predicate.trim() != predicate
}

/// What we choose to do differently from Debezium.
fn debezium(case: &Case, ours: &Json, theirs: &Json) -> Option<&'static str> {
    if !super::debezium::NAMES.contains(&case.about) {
        return None;
    }
    let config = case.question["config"].to_string();
    let (our_error, their_error) = (ours["error"].as_str(), theirs["error"].as_str());
    let ends = |answer: &Json| answer["error"].is_null() && answer.get("panic").is_none();
    if (ours["at"].as_str(), our_error) == (Some("configure"), Some("ConfigException")) {
        return if theirs["at"] == "configure" {
            let same = ours["invalid"] == theirs["invalid"];
            Some(if same { "which-key" } else { "refused-earlier" })
        } else {
            config.contains("nowhere").then_some("refused-earlier")
        };
    }
    if ours["invalid"] != theirs["invalid"] {
        return None;
    }
    let their_text = theirs["message"].as_str().unwrap_or_default();
    match (our_error, their_error) {
        (None | Some("IllegalArgumentException"), Some("NullPointerException"))
            if their_text.contains("kafkaPartition") =>
        {
            Some("sink-without-partition")
        }
        (None, Some("NullPointerException" | "ClassCastException")) if ends(ours) => Some("works-here"),
        (Some("DataException"), Some("DateTimeParseException")) => Some("date-time-parse"),
        (Some("ConnectException"), Some("IllegalStateException"))
            if their_text.starts_with("Unexpected update message received") =>
        {
            Some("unexpected-update")
        }
        (None, None) if config.contains("Africa/Casablanca") => Some("time-zone-data"),
        (None, _)
            if config.contains(r#""transforms.one.table.expand.json.payload":"true""#) && half_expanded(theirs) =>
        {
            Some("half-expanded-json")
        }
        (
            Some("DataException" | "SchemaBuilderException"),
            Some("DataException" | "SchemaBuilderException" | "ClassCastException"),
        ) if case.about == "ExtractNewRecordState" && ours["at"] == theirs["at"] => Some("which-error-first"),
        _ => None,
    }
}

/// Whether Debezium has left a payload with the schema of what it could not make of it.
fn half_expanded(theirs: &Json) -> bool {
    let value = &theirs["record"]["value"];
    let text = value["value"]["t"] == "STRING" && value["schema"]["type"] != "STRING";
    text || theirs["message"].as_str().is_some_and(|text| {
        text.starts_with("Invalid Java object for schema")
            && text.ends_with("class java.lang.String for field: \"payload\"")
    })
}
