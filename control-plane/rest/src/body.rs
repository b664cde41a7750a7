//! Bodies of requests. What is not as it should be is told in the words of Jackson, which Connect reads them with: status 500 and the
//! beginning of its text, without the place in the input.

use crate::error::Error;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// More than a record of the metadata store may have, so that nothing that could be stored is refused here.
pub(crate) const LIMIT: usize = 4 << 20;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration or a change of one: `None` where the client has written `null`.
pub(crate) type Entries = Vec<(String, Option<String>)>;

/// All of it.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Error> {
    let said = headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > LIMIT as u64) {
        return Err(Error::http(StatusCode::PAYLOAD_TOO_LARGE));
    }
    match timeout(PATIENCE, to_bytes(body, LIMIT)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        // A connection that breaks gets no answer anyway.
        Ok(Err(_)) => Err(Error::http(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => Err(Error::http(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// `None` for no body, and for `null`.
pub(crate) fn json(bytes: &[u8]) -> Result<Option<Value>, Error> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(Error::internal(format!("Unexpected character or end in JSON: {error}"))),
    }
}

/// What Java says when it calls a method on nothing.
pub(crate) fn nothing(call: &str, what: &str) -> Error {
    Error::internal(format!("Cannot invoke \"{call}\" because \"{what}\" is null"))
}

/// A class of Connect's that a body is read into, with the properties that it knows, in Jackson's order.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) properties: &'static [&'static str],
}

impl Class {
    pub(crate) fn fields(&self, value: Value) -> Result<Map<String, Value>, Error> {
        let name = self.name;
        let fields = match value {
            Value::Object(fields) => fields,
            Value::String(text) => return Err(self.cannot("String", "String value", &format!("'{text}'"))),
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                return Err(self.cannot("int/Int", "Number value", &number.to_string()));
            }
            Value::Number(number) => return Err(self.cannot("double/Double", "Number value", &number.to_string())),
            Value::Bool(flag) => return Err(self.cannot("boolean/Boolean", "boolean value", &flag.to_string())),
            Value::Null | Value::Array(_) => return Err(cannot_deserialize(name, &value)),
        };
        for key in fields.keys() {
            if !self.properties.contains(&key.as_str()) {
                let known: Vec<String> = self.properties.iter().map(|known| format!("\"{known}\"")).collect();
                let known = match &known[..] {
                    [one] => format!("one known property: {one}"),
                    more => format!("{} known properties: {}", more.len(), more.join(", ")),
                };
                return Err(Error::internal(format!(
                    "Unrecognized field \"{key}\" (class {name}), not marked as ignorable ({known})"
                )));
            }
        }
        Ok(fields)
    }

    fn cannot(&self, java: &str, kind: &str, shown: &str) -> Error {
        Error::internal(format!(
            "Cannot construct instance of `{}` (although at least one Creator exists): no {java}-argument constructor/factory method to \
             deserialize from {kind} ({shown})",
            self.name
        ))
    }
}

/// A text, as Jackson makes one out of any scalar.
pub(crate) fn text(value: Value) -> Result<Option<String>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(flag) => Ok(Some(flag.to_string())),
        Value::Array(_) | Value::Object(_) => Err(cannot_deserialize("java.lang.String", &value)),
    }
}

/// A configuration.
pub(crate) fn entries(value: Value) -> Result<Entries, Error> {
    const MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.String>";
    match value {
        Value::Object(fields) => fields.into_iter().map(|(key, value)| Ok((key, text(value)?))).collect(),
        Value::String(text) => Err(Error::internal(format!(
            "Cannot construct instance of `java.util.LinkedHashMap` (although at least one Creator exists): no String-argument \
             constructor/factory method to deserialize from String value ('{text}')"
        ))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(cannot_deserialize(MAP, &value)),
    }
}

pub(crate) fn cannot_deserialize(class: &str, value: &Value) -> Error {
    let (kind, token) = match value {
        Value::Null => ("Null value", "VALUE_NULL"),
        Value::Bool(true) => ("Boolean value", "VALUE_TRUE"),
        Value::Bool(false) => ("Boolean value", "VALUE_FALSE"),
        Value::Number(number) if number.is_i64() || number.is_u64() => ("Integer value", "VALUE_NUMBER_INT"),
        Value::Number(_) => ("Floating-point value", "VALUE_NUMBER_FLOAT"),
        Value::String(_) => ("String value", "VALUE_STRING"),
        Value::Array(_) => ("Array value", "START_ARRAY"),
        Value::Object(_) => ("Object value", "START_OBJECT"),
    };
    Error::internal(format!(
        "Cannot deserialize value of type `{class}` from {kind} (token `JsonToken.{token}`)"
    ))
}

/// A configuration as it is stored: a key whose value is null is one that is not there. Connect keeps such nulls, where they are not refused,
/// and a connector then has none of the key's default.
pub(crate) fn without_nulls(entries: Entries) -> BTreeMap<String, String> {
    let given = entries.into_iter().filter_map(|(key, value)| Some((key, value?)));
    given.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().message.unwrap()
    }

    #[test]
    fn scalars_become_texts_as_they_are_written() {
        let value = json(br#"{"a":1.50,"b":true,"c":"x","d":null,"e":10000000000000000000000}"#);
        let entries = entries(value.unwrap().unwrap()).unwrap();
        let shown: Vec<_> = entries.iter().map(|(_, value)| value.as_deref()).collect();
        assert_eq!(
            shown,
            [
                Some("1.50"),
                Some("true"),
                Some("x"),
                None,
                Some("10000000000000000000000")
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_as_jackson_does() {
        const CLASS: Class = Class {
            name: "a.B",
            properties: &["x"],
        };
        assert_eq!(
            told(CLASS.fields(json!([]))),
            "Cannot deserialize value of type `a.B` from Array value (token `JsonToken.START_ARRAY`)"
        );
        assert_eq!(
            told(CLASS.fields(json!({"y": 1}))),
            "Unrecognized field \"y\" (class a.B), not marked as ignorable (one known property: \"x\")"
        );
        assert_eq!(
            told(CLASS.fields(json!(1))),
            "Cannot construct instance of `a.B` (although at least one Creator exists): no int/Int-argument constructor/factory method \
             to deserialize from Number value (1)"
        );
        assert_eq!(
            told(entries(json!({"a": {}}))),
            "Cannot deserialize value of type `java.lang.String` from Object value (token `JsonToken.START_OBJECT`)"
        );
        assert!(json(b" ").unwrap().is_none() && json(b"null").unwrap().is_none());
        assert_eq!(json(b"{").unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn a_body_has_a_limit() {
        let long = read(&HeaderMap::new(), Body::from(vec![b' '; LIMIT + 1])).await;
        assert_eq!(long.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let said = HeaderMap::from_iter([(header::CONTENT_LENGTH, (LIMIT + 1).into())]);
        let announced = read(&said, Body::empty()).await;
        assert_eq!(announced.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            read(&HeaderMap::new(), Body::from(vec![b' '; LIMIT]))
                .await
                .unwrap()
                .len(),
            LIMIT
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_send_it_is_told_so() {
        let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let late = read(&HeaderMap::new(), never).await.unwrap_err();
        assert_eq!(late.message.unwrap(), "HTTP 408 Request Timeout");
    }
}
