//! What transforms do with a struct that contains itself.

use dray_connect::schema::{RecursiveBuilder, Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};

use crate::testing::value;

/// `Node{text, next: Node?}`
fn node() -> SchemaRef {
    let mut family = RecursiveBuilder::new(1);
    let next = RecursiveBuilder::reference(0).optional().build().unwrap();
    let node = SchemaBuilder::struct_()
        .name("Node")
        .field("text", Schema::string())
        .field("next", next);
    family.define(0, node.build().unwrap()).unwrap();
    family.build().unwrap().schema(0)
}

/// Of three: a, b and c.
fn list() -> SchemaAndValue {
    let schema = node();
    let next = SchemaRef::clone(&schema.field("next").unwrap().schema);
    let mut value = Value::Null;
    for (text, of) in [("c", &next), ("b", &next), ("a", &schema)] {
        let mut record = Struct::new(SchemaRef::clone(of)).unwrap();
        record.put("text", text).unwrap();
        record.put("next", value).unwrap();
        value = record.into();
    }
    SchemaAndValue::new(schema, value)
}

fn check(class: &str, keys: &[(&str, &str)], expected: Result<&str, &str>) {
    let result = value(class, keys, list());
    let found = result
        .as_ref()
        .map(|after| after.value.to_string())
        .map_err(String::as_str);
    assert_eq!(found, expected.map(str::to_owned), "{class}");
    if let Ok(after) = result
        && let (Some(schema), Value::Struct(record)) = (&after.schema, &after.value)
    {
        assert_eq!(**schema, **record.schema(), "{class}");
        assert!(!schema.is_reference());
    }
}

#[test]
fn the_top_is_changed_and_what_is_within_stays() {
    let whole = "Struct{text=a,next=Struct{text=b,next=Struct{text=c}}}";
    check(
        "ReplaceField$Value",
        &[("exclude", "text")],
        Ok("Struct{next=Struct{text=b,next=Struct{text=c}}}"),
    );
    check(
        "ReplaceField$Value",
        &[("renames", "next:n")],
        Ok("Struct{text=a,n=Struct{text=b,next=Struct{text=c}}}"),
    );
    check(
        "InsertField$Value",
        &[("static.field", "x"), ("static.value", "y")],
        Ok("Struct{text=a,next=Struct{text=b,next=Struct{text=c}},x=y}"),
    );
    check(
        "HoistField$Value",
        &[("field", "h")],
        Ok(&format!("Struct{{h={whole}}}")),
    );
    check("SetSchemaMetadata$Value", &[("schema.name", "Other")], Ok(whole));
    check(
        "MaskField$Value",
        &[("fields", "text"), ("replacement", "*")],
        Ok("Struct{text=*,next=Struct{text=b,next=Struct{text=c}}}"),
    );
    check("Cast$Value", &[("spec", "text:string")], Ok(whole));
}

#[test]
fn a_path_may_lead_into_it() {
    let path = |path| [("field", path), ("field.syntax.version", "v2")];
    check(
        "ExtractField$Value",
        &path("next"),
        Ok("Struct{text=b,next=Struct{text=c}}"),
    );
    check("ExtractField$Value", &path("next.next"), Ok("Struct{text=c}"));
    check("ExtractField$Value", &path("next.next.text"), Ok("c"));
    check("ExtractField$Value", &path("next.next.next.text"), Ok("null"));
}

#[test]
fn values_within_are_found_wherever_they_are() {
    check(
        "io.dray.connect.transforms.Redact$Value",
        &[("fields", "next.next.text"), ("replacement", "*")],
        Ok("Struct{text=a,next=Struct{text=b,next=Struct{text=*}}}"),
    );
    check(
        "io.dray.connect.transforms.Redact$Value",
        &[("pattern", "[bc]"), ("replacement", "*")],
        Ok("Struct{text=a,next=Struct{text=*,next=Struct{text=*}}}"),
    );
}

#[test]
fn flatten_finds_no_end() {
    let expected = "Flatten transformation does not support structs that contain themselves (field next, of Node): there is no \
                    end to their fields. ReplaceField with exclude leaves it out.";
    check("Flatten$Value", &[], Err(expected));
}
