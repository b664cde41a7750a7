//! Events of an outbox. What Debezium itself makes of some thousand is compared in `tests/oracle`.

use dray_connect::schema::{Schema, SchemaBuilder};
use dray_connect::value::Value;

use crate::testing::{Record, apply, record, refused, structure};

const ROUTER: &str = "io.debezium.transforms.outbox.EventRouter";

fn event(payload: &str) -> Record {
    let row = SchemaBuilder::struct_()
        .name("srv.outbox.Value")
        .optional()
        .field("id", Schema::string());
    let row = row
        .field("aggregatetype", Schema::string())
        .field("aggregateid", Schema::string());
    let row = row
        .field("type", Schema::string())
        .field("payload", Schema::optional_string())
        .build()
        .unwrap();
    let schema = SchemaBuilder::struct_()
        .name("srv.outbox.Envelope")
        .field("after", row.clone());
    let schema = schema
        .field("op", Schema::string())
        .field("ts_ms", Schema::int64())
        .build()
        .unwrap();
    let after = structure(
        &row,
        [
            "e1".into(),
            "Order".into(),
            "10".into(),
            "Created".into(),
            payload.into(),
        ],
    )
    .value;
    record(structure(&schema, [after, "c".into(), 5_i64.into()]))
}

fn shown(keys: &[(&str, &str)], payload: &str) -> Result<String, String> {
    let result = apply(ROUTER, keys, &event(payload))?;
    let headers = result
        .headers
        .iter()
        .map(|header| format!(" {}={}", header.key, header.value.value));
    let headers: String = headers.collect();
    Ok(format!(
        "{} {}: {}{headers}",
        result.topic, result.key.value, result.value.value
    ))
}

#[test]
fn a_row_becomes_a_message() {
    assert_eq!(shown(&[], "p").unwrap(), "outbox.event.Order 10: p id=e1");
    let placed = [("table.fields.additional.placement", "type:envelope:kind,type:header")];
    assert_eq!(
        shown(&placed, "p").unwrap(),
        "outbox.event.Order 10: Struct{payload=p,kind=Created} id=e1 type=Created"
    );
    let schema = apply(ROUTER, &placed, &event("p")).unwrap().value.schema.unwrap();
    assert_eq!(schema.name(), Some("srv.outbox.Order.Value"));
    let empty = [("route.tombstone.on.empty.payload", "true")];
    assert_eq!(shown(&empty, " ").unwrap(), "outbox.event.Order 10: null id=e1");
}

#[test]
fn json_is_expanded_or_stays_as_it_is() {
    let expand = [("table.expand.json.payload", "true")];
    for (payload, expected) in [
        (
            r#"{"a":{"b":[1,2]},"c":null,"d":5000000000}"#,
            "Struct{a=Struct{b=[1, 2]},d=5000000000}",
        ),
        (
            r#"{"l":[{"a":1},{"a":2,"b":true}]}"#,
            "Struct{l=[Struct{a=1}, Struct{a=2,b=true}]}",
        ),
        (r#"{"a":[1,"x"]}"#, r#"{"a":[1,"x"]}"#),
        (r#"{"a":99999999999999999999}"#, r#"{"a":99999999999999999999}"#),
        ("[1]", "[1]"),
        ("{", "{"),
    ] {
        let result = apply(ROUTER, &expand, &event(payload)).unwrap();
        assert_eq!(result.value.value.java_to_string(), expected);
        let is_text = matches!(result.value.value, Value::String(_));
        assert_eq!(result.value.schema.unwrap().type_().name() == "string", is_text);
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    assert!(shown(&expand, &deep).is_ok(), "what is nested too deeply stays a text");
}

#[test]
fn wrong_keys_are_refused() {
    assert_eq!(
        refused(ROUTER, &[("table.fields.additional.placement", "type:nowhere")]),
        "Invalid value type:nowhere for configuration table.fields.additional.placement: `nowhere` is no place for column type: \
         it must be header, envelope or partition"
    );
    assert!(
        refused(ROUTER, &[("table.op.invalid.behavior", "no")]).contains("Value must be one of warn, error, fatal")
    );
    assert_eq!(
        shown(&[("table.field.event.payload", "nope")], "p"),
        Err("Unable to find payload field nope in event".to_owned())
    );
}
