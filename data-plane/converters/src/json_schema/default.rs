//! Default values: Connect's values and the JSON that schemas hold.

use bigdecimal::BigDecimal;
use dray_connect::backing::Backing;
use dray_connect::schema::SchemaRef;
use dray_connect::value::{Value, decimal_to_string};
use serde_json::{Map, Number, Value as Json};

use super::hash_order;
use super::read::{self, Reading};
use super::write;

/// The value that a default stands for; none where it does not fit the schema.
pub(super) fn read(schema: &SchemaRef, json: &Json) -> Option<Value> {
    if json.is_null() {
        return None;
    }
    let text = json.to_string();
    let mut batch = Backing::default();
    let plan = read::Plan::of(schema).ok()?;
    let (datum, _) = plan
        .read(text.as_bytes(), None, &mut batch, &mut Reading::default())
        .ok()?;
    Some(datum.view(&batch).to_value()).filter(|value| !value.is_null())
}

/// The JSON of a default, as it is printed in a schema; none where JSON has no word for it.
pub(super) fn write(of: &write::Plan, value: &Value) -> Option<Json> {
    let mut out = Vec::new();
    // A struct's is of the schema as it was before it had the default, so that it is not compared.
    of.write_default(value, &mut out).ok()?;
    let json = serde_json::from_slice(&out).ok()?;
    printed(json)
}

/// As the library prints it that Confluent's converter uses: numbers without zeros at their end, members in the order of their hashes.
fn printed(json: Json) -> Option<Json> {
    Some(match json {
        Json::Number(number) => Json::Number(printed_number(&number)?),
        Json::Array(elements) => Json::Array(elements.into_iter().map(printed).collect::<Option<_>>()?),
        Json::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let mut out = Map::new();
            for place in hash_order::order(&names, 16) {
                let name = &names[place];
                out.insert(name.clone(), printed(members.get(name)?.clone())?);
            }
            Json::Object(out)
        }
        Json::Null | Json::Bool(_) | Json::String(_) => json,
    })
}

fn printed_number(number: &Number) -> Option<Number> {
    let text = number.to_string();
    let text = if text.contains(['e', 'E']) {
        decimal_to_string(&text.parse::<BigDecimal>().ok()?)
    } else if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_without_what_they_need_not_have() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("100", "100"),
            ("1.0E10", "1.0e+10"),
            (r#"{"id":1.0,"name":[2.50,null]}"#, r#"{"name":[2.5,null],"id":1}"#),
        ] {
            let json = serde_json::from_str(text).unwrap();
            assert_eq!(printed(json).unwrap().to_string(), expected);
        }
    }
}
