//! Schemas of Connect and texts of .proto files, either way.

use super::*;
use crate::schema_registry::Reference;

pub(super) fn optional(schema: SchemaRef) -> SchemaRef {
    schema.to_builder().optional().build().unwrap()
}

pub(super) fn color() -> SchemaBuilder {
    SchemaBuilder::string()
        .name("Color")
        .parameter(ENUM, "Color")
        .parameter(format!("{ENUM}.BLUE"), "5")
        .parameter(format!("{ENUM}.RED"), "0")
}

/// Something of each kind.
fn order() -> SchemaRef {
    let item = SchemaBuilder::struct_()
        .name("shop.Item")
        .field("sku", Connect::string())
        .field(
            "item",
            SchemaBuilder::struct_()
                .name("item")
                .field("x", Connect::int64())
                .build()
                .unwrap(),
        )
        .build()
        .unwrap();
    let union = SchemaBuilder::struct_()
        .name(format!("{UNION}.paid"))
        .optional()
        .field(
            "card",
            SchemaBuilder::string().optional().parameter(TAG, "20").build().unwrap(),
        )
        .field(
            "cash",
            SchemaBuilder::int32().optional().parameter(TAG, "21").build().unwrap(),
        )
        .build()
        .unwrap();
    let amount = logical::decimal_builder(2)
        .parameter("connect.decimal.precision", "9")
        .build();
    SchemaBuilder::struct_()
        .name("com.shop.Order")
        .field("id", Connect::int64())
        .field("note", Connect::optional_string())
        .field("items", SchemaBuilder::array(SchemaRef::clone(&item)).build().unwrap())
        .field("first", optional(item))
        .field(
            "counts",
            SchemaBuilder::map(Connect::string(), Connect::int32())
                .name("by_color")
                .build()
                .unwrap(),
        )
        .field("color", color().build().unwrap())
        .field("amount", amount.unwrap())
        .field("at", optional(logical::timestamp_schema()))
        .field("day", logical::date_schema())
        .field("paid_0", union)
        .field("tiny", Connect::int8())
        .field(
            "big",
            SchemaBuilder::int64()
                .parameter("io.confluent.connect.protobuf.Type", "fixed64")
                .parameter(TAG, "100")
                .build()
                .unwrap(),
        )
        .build()
        .unwrap()
}

#[test]
fn schemas_are_those_of_confluent() {
    let expected = r#"syntax = "proto3";
package com.shop;

import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";

message Order {
  int64 id = 1;
  string note = 2;
  repeated Item items = 3;
  Item first = 4;
  repeated ByColorEntry counts = 5;
  Color color = 6;
  confluent.type.Decimal amount = 7 [(confluent.field_meta) = {
    params: [
      {
        value: "9",
        key: "precision"
      },
      {
        value: "2",
        key: "scale"
      }
    ]
  }];
  google.protobuf.Timestamp at = 8;
  google.type.Date day = 9;
  int32 tiny = 11 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  fixed64 big = 100;

  oneof paid {
    string card = 20;
    int32 cash = 21;
  }

  message Item {
    string sku = 1;
    itemMessage item = 2;

    message itemMessage {
      int64 x = 1;
    }
  }
  message ByColorEntry {
    string key = 1;
    int32 value = 2;
  }
  enum Color {
    RED = 0;
    BLUE = 5;
  }
}
"#;
    assert_eq!(text_of(&order(), &[]), expected);
    let optionals = text_of(&order(), &[("optional.for.nullables", "true")]);
    for line in [
        "  int64 id = 1;\n  optional string note = 2;\n  repeated Item items = 3;\n  optional Item first = 4;\n",
        "  optional google.protobuf.Timestamp at = 8;\n  google.type.Date day = 9;\n",
        "  oneof paid {\n    string card = 20;\n",
    ] {
        assert!(optionals.contains(line), "{optionals}");
    }
    let wrappers = text_of(&order(), &[("wrapper.for.nullables", "true")]);
    for line in [
        "import \"google/protobuf/wrappers.proto\";\n",
        "  google.protobuf.StringValue note = 2;\n",
        "  oneof paid {\n    string card = 20;\n",
    ] {
        assert!(wrappers.contains(line), "{wrappers}");
    }
    let unnamed = SchemaBuilder::struct_()
        .field("a", SchemaBuilder::struct_().build().unwrap())
        .field(
            "m",
            SchemaBuilder::map(Connect::int32(), Connect::string()).build().unwrap(),
        )
        .build()
        .unwrap();
    let expected = r#"syntax = "proto3";

message ConnectDefault1 {
  ConnectDefault2 a = 1;
  repeated ConnectDefault3Entry m = 2;

  message ConnectDefault2 {}
  message ConnectDefault3Entry {
    int32 key = 1;
    string value = 2;
  }
}
"#;
    assert_eq!(text_of(&unnamed, &[]), expected);
    let own = from_connect::from_connect(&Connect::optional_string(), &settings(&[])).unwrap();
    assert_eq!(
        (&*own.text, &*own.name),
        (builtin::WRAPPERS, "google.protobuf.StringValue")
    );
    let file = File::parse(&own.text, &[]).unwrap();
    assert_eq!(file.find(&own.name).unwrap().1, [7]);
}

#[test]
fn what_protobuf_cannot_keep_is_refused() {
    let record = |schema: SchemaRef| SchemaBuilder::struct_().name("R").field("x", schema).build().unwrap();
    let array = |element: SchemaRef| SchemaBuilder::array(element).build().unwrap();
    let map = || {
        SchemaBuilder::map(Connect::string(), Connect::string())
            .build()
            .unwrap()
    };
    let named = |name: &str, field: &str| {
        SchemaBuilder::struct_()
            .name(name)
            .field(field, Connect::int32())
            .build()
    };
    let two = SchemaBuilder::struct_()
        .field("a", named("N", "x").unwrap())
        .field("b", named("N", "y").unwrap());
    let odd = color()
        .parameter("other", "x")
        .parameter(format!("{ENUM}.GREEN"), "green");
    let union = SchemaBuilder::struct_().name(UNION).field("a", Connect::string());
    let deep = (0..40).fold(Connect::string(), |within, _| record(within));
    for (schema, expected) in [
        (array(Connect::string()), "Unsupported root schema of type ARRAY"),
        (map(), "Unsupported root schema of type MAP"),
        (logical::date_schema(), "a Date by itself cannot be written"),
        (record(array(array(Connect::string()))), "x: Array cannot be nested"),
        (record(array(map())), "x: an array of maps"),
        (record(array(union.build().unwrap())), "x: an array of unions"),
        (
            two.build().unwrap(),
            "two different schemas beside each other are both named N",
        ),
        (record(odd.build().unwrap()), "is no number: green"),
        (named("a-b", "x").unwrap(), "does not allow the name \"a-b\""),
        (named("R", "x = 1; } message S {").unwrap(), "scrub.invalid.names=true"),
        (
            record(
                SchemaBuilder::int32()
                    .parameter("io.confluent.connect.protobuf.Type", "uint64")
                    .build()
                    .unwrap(),
            ),
            "says uint64, which INT32",
        ),
        (
            record(SchemaBuilder::int32().parameter(TAG, "one").build().unwrap()),
            "is no number: one",
        ),
    ] {
        let error = text_of(&schema, &[]);
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
    }
    let error = encode(&deep, &Value::Null, &settings(&[])).err().unwrap().to_string();
    assert!(error.contains("recursion limit"), "{error}");
    let scrubbed = named("a-b.1c", "x y").unwrap();
    let text = text_of(&scrubbed, &[("scrub.invalid.names", "true")]);
    assert_eq!(
        text,
        "syntax = \"proto3\";\npackage a_b;\n\nmessage x1c {\n  int32 x_y = 1;\n}\n"
    );
    // What is attached to a place may differ.
    let both = SchemaBuilder::struct_()
        .field("a", named("N", "x").unwrap())
        .field("b", optional(named("N", "x").unwrap()));
    assert!(text_of(&both.build().unwrap(), &[]).matches("message N").count() == 1);
    // Two fields with one number.
    let twice = SchemaBuilder::struct_()
        .field("a", SchemaBuilder::int32().parameter(TAG, "1").build().unwrap())
        .field("b", Connect::int32())
        .build()
        .unwrap();
    let value = Value::from(Struct::new(SchemaRef::clone(&twice)).unwrap());
    assert!(encode(&twice, &value, &settings(&[])).is_err());
    // Members of a union without numbers of their own.
    let union = SchemaBuilder::struct_()
        .parameter(SUM_UNION, "u")
        .field("a", Connect::string())
        .field("b", Connect::int32())
        .build()
        .unwrap();
    let with = SchemaBuilder::struct_()
        .name("R")
        .field("x", Connect::int32())
        .field("u", union)
        .field("y", Connect::int32());
    let text = text_of(&with.build().unwrap(), &[]);
    assert!(
        text.contains("  int32 x = 1;\n  int32 y = 4;\n\n  oneof u {\n    string a = 2;\n    int32 b = 3;\n  }\n"),
        "{text}"
    );
}

pub(super) const MANY: &str = r#"syntax = "proto3"; package a.b;
    import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "confluent/type/decimal.proto";
    option java_package = "x"; option (own.option) = { any: [thing] };
    message M { reserved 90; option deprecated = true;
      enum E { option allow_alias = true; A = 0; B = 1; C = 1 [deprecated = true]; }
      message In { string s = 1; In2 t = 2; message In2 {} }
      uint32 u = 3; E e = 1 [(own.option) = "x", deprecated = true];
      oneof one { string a = 4; In b = 5; } oneof two { E c = 6; }
      repeated In list = 7; map<string, In> some_map = 8; optional int32 o = 9; google.protobuf.Timestamp ts = 10;
      google.protobuf.StringValue w = 11; sfixed32 f = 12 [json_name = "F"];
      confluent.type.Decimal d = 13 [(confluent.field_meta) = { params: [ { value: "3", key: "scale" } ] }];
      int32 tiny = 14 [(confluent.field_meta).params = { key: "connect.type", value: "int16" }]; }
    service S { rpc R (M) returns (stream M); }"#;

#[test]
fn schemas_of_others() {
    let file = File::parse(MANY, &[]).unwrap();
    let message = file.message(&[0]).unwrap();
    let schema = to_connect::to_connect(&message, Some(7), &settings(&[])).unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("M"), Some(7)));
    // Unions come first, then the fields as the file has them.
    let names: Vec<_> = schema.fields().unwrap().iter().map(|field| &*field.name).collect();
    assert_eq!(
        names,
        [
            "one_0", "two_1", "u", "e", "list", "some_map", "o", "ts", "w", "f", "d", "tiny"
        ]
    );
    let field = |name: &str| SchemaRef::clone(&schema.field(name).unwrap().schema);
    let parameter = |of: &SchemaRef, name: &str| of.parameters().and_then(|all| all.get(name)).cloned();
    let u = SchemaBuilder::int64().parameter("io.confluent.connect.protobuf.Type", "uint32");
    assert_eq!(field("u"), u.optional().parameter(TAG, "3").build().unwrap());
    let e = SchemaBuilder::string()
        .name("E")
        .parameter(ENUM, "E")
        .parameter(format!("{ENUM}.A"), "0");
    let e = e
        .parameter(format!("{ENUM}.B"), "1")
        .parameter(format!("{ENUM}.C"), "1")
        .parameter(TAG, "1");
    assert_eq!(field("e"), e.optional().build().unwrap());
    assert_eq!(field("one_0").name(), Some("io.confluent.connect.protobuf.Union.one"));
    assert!(field("one_0").optional() && parameter(&field("one_0"), TAG).is_none());
    let b = SchemaRef::clone(&field("one_0").field("b").unwrap().schema);
    assert_eq!((b.name(), parameter(&b, TAG).as_deref()), (Some("In"), Some("5")));
    assert_eq!(field("list").type_(), Type::Array);
    assert_eq!(parameter(field("list").value_schema().unwrap(), TAG), None);
    assert_eq!(field("some_map").name(), Some("some_map"));
    assert_eq!(
        parameter(field("some_map").key_schema().unwrap(), TAG).as_deref(),
        Some("1")
    );
    assert_eq!(field("ts").name(), Some(logical::TIMESTAMP));
    assert_eq!((field("w").type_(), field("w").name()), (Type::String, None));
    assert_eq!(
        parameter(&field("f"), "io.confluent.connect.protobuf.Type").as_deref(),
        Some("sfixed32")
    );
    assert_eq!(parameter(&field("d"), "scale").as_deref(), Some("3"));
    assert_eq!(field("tiny").type_(), Type::Int16);
    assert!(schema.fields().unwrap().iter().all(|field| field.schema.optional()));

    let of = |pairs: &[(&str, &str)]| to_connect::to_connect(&message, None, &settings(pairs)).unwrap();
    let enhanced = of(&[("enhanced.protobuf.schema.support", "true")]);
    assert_eq!(enhanced.name(), Some("a.b.M"));
    let name = |field: &str| enhanced.field(field).unwrap().schema.name().unwrap().to_owned();
    assert_eq!(name("one_0"), "io.confluent.connect.protobuf.Union.a.b.M.one");
    assert_eq!(
        (name("e"), name("some_map")),
        ("a.b.M.E".to_owned(), "a.b.M.some_map".to_owned())
    );
    let optionals = of(&[("optional.for.nullables", "true"), ("int.for.enums", "true")]);
    let is_optional = |field: &str| optionals.field(field).unwrap().schema.optional();
    assert_eq!(
        ["u", "o", "ts", "list", "f"].map(is_optional),
        [false, true, true, true, false]
    );
    assert_eq!(optionals.field("e").unwrap().schema.type_(), Type::Int32);
    let wrappers = of(&[("wrapper.for.nullables", "true")]);
    let is_optional = |field: &str| wrappers.field(field).unwrap().schema.optional();
    assert_eq!(["u", "o", "w", "ts"].map(is_optional), [false, false, true, true]);
    let raw = of(&[("wrapper.for.raw.primitives", "false")]);
    assert_eq!(raw.field("w").unwrap().schema.name(), Some("StringValue"));
    let flat = of(&[("flatten.unions", "true")]);
    let names: Vec<_> = flat.fields().unwrap().iter().map(|field| &*field.name).collect();
    assert_eq!(names[..4], ["a", "b", "c", "u"]);
    let plain = of(&[
        ("generate.index.for.unions", "false"),
        ("generalized.sum.type.support", "true"),
    ]);
    let one = &plain.field("one").unwrap().schema;
    assert_eq!(
        (one.name(), parameter(one, SUM_UNION).as_deref()),
        (Some("one"), Some("one"))
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let reference = |name: &str, text: &str| Reference {
        name: name.to_owned(),
        text: text.into(),
    };
    let of = |text: &str, references: &[Reference]| {
        let read = File::parse(text, references).and_then(|file| {
            let message = file.message(&[0])?;
            to_connect::to_connect(&message, None, &settings(&[]))
        });
        read.map_or_else(|error| error.to_string(), |schema| format!("{:?}", schema.name()))
    };
    for (text, expected) in [
        ("message M {", "the schema: expected"),
        ("{\"type\":\"record\"}", "the schema:1:1"),
        ("edition = \"2023\"; message M {}", "an edition of Protobuf"),
        ("syntax = \"proto3\"; import \"x.proto\"; message M {}", "x.proto"),
        ("syntax = \"proto3\"; message M { X x = 1; }", "'X'"),
        ("syntax = \"proto2\"; message M { optional group G = 1 { } }", "GROUP"),
        ("syntax = \"proto3\"; enum E { A = 0; }", "of message [0] of its schema"),
        ("Zm9v", "no .proto file"),
        (
            "syntax = \"proto3\"; message M { int32 a = 1; int32 b = 1; }",
            "cannot be resolved",
        ),
    ] {
        let found = of(text, &[]);
        assert!(found.contains(expected), "{text}: {found}");
    }
    let deep = format!(
        "syntax = \"proto3\"; message M {{ int32 a = 1 [(confluent.field_meta) = {{ rules: {}{} }}]; }}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(of(&deep, &[]).contains("nests deeper"), "nested options");
    let messages = format!("{}{}", "message M {".repeat(100_000), "}".repeat(100_000));
    assert!(of(&messages, &[]).contains("recursion limit"), "nested messages");
    // Each message has two of the next: a short text for very many.
    let wide: String = (0..40)
        .map(|n| format!("message M{n} {{ M{} a = 1; M{} b = 2; }}", n + 1, n + 1))
        .collect();
    let wide = format!("syntax = \"proto3\"; {wide} message M40 {{ int32 x = 1; }}");
    assert!(of(&wide, &[]).contains("more than 50000"), "wide");
    // Files that refer to others, and one that only stands for another.
    let a = || {
        reference(
            "dir/a.proto",
            "syntax = \"proto3\"; package p; message A { int32 x = 1; }",
        )
    };
    let b = "syntax = \"proto3\"; import public \"dir/a.proto\"; message B { p.A a = 1; }";
    let c = "syntax = \"proto3\"; import \"b.proto\"; message C { p.A a = 1; B b = 2; }";
    assert_eq!(of(c, &[a(), reference("b.proto", b)]), "Some(\"C\")");
    assert_eq!(
        of("syntax = \"proto3\"; import public \"dir/a.proto\";", &[a()]),
        "Some(\"A\")"
    );
    // Nobody replaces what everybody knows.
    let date = "syntax = \"proto3\"; import \"google/type/date.proto\"; message M { google.type.Date d = 1; }";
    let wrong = reference("google/type/date.proto", "syntax = \"proto3\"; message Wrong {}");
    assert_eq!(of(date, &[wrong]), "Some(\"M\")");
    // One's own message by a name that everybody knows.
    let own = "syntax = \"proto3\"; package google.type; message M { Date d = 1; } message Date { string year = 1; }";
    assert!(
        of(own, &[]).contains("another message than the one"),
        "{}",
        of(own, &[])
    );
}

#[test]
fn descriptors_in_base64() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use prost_reflect::prost::Message as _;
    // With the options that a compiler has resolved: the scale of a decimal is one.
    let base = "syntax = \"proto3\"; package p; import \"confluent/meta.proto\"; import \"confluent/type/decimal.proto\"; \
                message M { map<string, int32> m = 1; message In { int32 x = 1; } \
                confluent.type.Decimal d = 2 [(confluent.field_meta) = { params: { key: \"scale\" value: \"3\" } }]; }";
    let mut pool = prost_reflect::DescriptorPool::global();
    for name in ["confluent/meta.proto", "confluent/type/decimal.proto"] {
        pool.add_file_descriptor_proto(builtin::file(name).unwrap()).unwrap();
    }
    pool.add_file_descriptor_proto(protox_parse::parse("made/by.proto", base).unwrap())
        .unwrap();
    let bytes = pool.get_file_by_name("made/by.proto").unwrap().encode_to_vec();
    let file = File::parse(&STANDARD.encode(&bytes), &[]).unwrap();
    // Here the entries of a map count: the file says them itself.
    let within = file.message(&[0, 1]).unwrap();
    assert_eq!(within.full_name(), "p.M.In");
    let (schema, value) = decode_message(&file, &[0], &[0x0a, 3, 0x0a, 1, b'k'], &settings(&[])).unwrap();
    assert_eq!(value.to_string(), "Struct{m={k=0}}");
    let scale = schema
        .field("d")
        .unwrap()
        .schema
        .parameters()
        .unwrap()
        .get("scale")
        .cloned();
    assert_eq!(scale.as_deref(), Some("3"));
    let edition = prost_reflect::prost_types::FileDescriptorProto {
        syntax: Some("editions".to_owned()),
        ..Default::default()
    };
    let error = File::parse(&STANDARD.encode(edition.encode_to_vec()), &[])
        .err()
        .unwrap();
    assert!(error.to_string().contains("an edition of Protobuf"), "{error}");
}
