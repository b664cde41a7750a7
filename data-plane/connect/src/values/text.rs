//! Prints values as header text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::temporal::format_date;
use crate::value::Value;

/// The text of a value; none for null. A string is its own text; inside lists, maps and structs strings and bytes are
/// quoted, so that `parse_string` reads the text again.
#[must_use]
pub fn convert_to_string(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let mut out = String::new();
    append(&mut out, value, false);
    Some(out)
}

fn append(out: &mut String, value: &Value, embedded: bool) {
    match value {
        Value::Null
        | Value::Boolean(_)
        | Value::Int8(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::Decimal(_) => out.push_str(&value.java_to_string()),
        Value::String(text) if embedded => append_quoted(out, text),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => {
            let quote = if embedded { "\"" } else { "" };
            out.push_str(quote);
            STANDARD.encode_string(bytes, out);
            out.push_str(quote);
        }
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                separate(out, i);
                append(out, element, true);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                separate(out, i);
                append(out, key, true);
                out.push(':');
                append(out, value, true);
            }
            out.push('}');
        }
        Value::Struct(record) => {
            out.push('{');
            for (i, (field, _)) in record.iter().enumerate() {
                separate(out, i);
                append_quoted(out, &field.name);
                out.push(':');
                append(out, record.value_or_default(field), true);
            }
            out.push('}');
        }
        Value::Date(millis) => out.push_str(&format_date(*millis)),
    }
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn append_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '\\' | '"') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
