//! What a test asks the registry itself.

use serde_json::{Value, json};

/// The JSON of an answer, which must be a good one.
pub(crate) fn post(url: &str, path: &str, body: &Value) -> Value {
    let sent = ureq::post(format!("{url}{path}"))
        .content_type("application/json")
        .send(body.to_string());
    let text = sent.unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn register(url: &str, subject: &str, schema: &str, references: &Value) -> i32 {
    register_as("AVRO", url, subject, schema, references)
}

pub(crate) fn register_as(kind: &str, url: &str, subject: &str, schema: &str, references: &Value) -> i32 {
    let body = json!({ "schema": schema, "schemaType": kind, "references": references });
    let answer = post(url, &format!("/subjects/{subject}/versions"), &body);
    i32::try_from(answer["id"].as_i64().unwrap()).unwrap()
}

pub(crate) fn compatibility(url: &str, subject: &str, level: &str) {
    let body = json!({ "compatibility": level }).to_string();
    ureq::put(format!("{url}/config/{subject}"))
        .content_type("application/json")
        .send(body)
        .unwrap();
}
