//! From Connect's schemas to JSON Schemas, and from those of others to Connect's.

use dray_connect::schema::Type;

use super::*;

fn check_schema(schema: &SchemaRef, pairs: &[(&str, &str)], expected: &str) {
    let printed = from_connect::from_connect(schema, &settings(pairs));
    assert_eq!(
        printed.unwrap_or_else(|error| format!("error: {error}")),
        expected.replace('\n', "")
    );
}

#[test]
fn schemas_are_those_of_confluent() {
    check_schema(&Connect::int8(), &[], r#"{"type":"integer","connect.type":"int8"}"#);
    check_schema(
        &Connect::optional_string(),
        &[],
        r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#,
    );
    check_schema(&Connect::bytes(), &[], r#"{"type":"string","connect.type":"bytes"}"#);
    let flag = SchemaBuilder::boolean().name("t").default_value(Value::Boolean(true));
    let count = SchemaBuilder::int32().default_value(Value::Int32(3));
    let color = SchemaBuilder::string()
        .parameter("io.confluent.connect.json.Enum", "")
        .parameter("io.confluent.connect.json.Enum.BLUE", "BLUE")
        .parameter("io.confluent.connect.json.Enum.RED", "RED")
        .parameter("io.confluent.connect.json.Enum.<NULL>", "<NULL>");
    let map = |key, value| SchemaBuilder::map(key, value).build().unwrap();
    let order = record(
        "com.example.Order",
        &[
            ("id", Connect::int64()),
            ("note", Connect::optional_string()),
            ("count", count.build().unwrap()),
            ("flag", flag.build().unwrap()),
            ("price", logical::decimal_schema(2)),
            ("tags", map(Connect::string(), Connect::string())),
            ("color", color.build().unwrap()),
            ("pairs", map(Connect::int32(), Connect::string())),
        ],
    );
    let mut builder = order.to_builder().doc("what").version(3);
    for (name, value) in [("b", "1"), ("a", "2"), ("connect.x", "3"), ("zz", "4")] {
        builder = builder.parameter(name, value);
    }
    // As the library prints it that Confluent's converter uses.
    check_schema(
        &builder.build().unwrap(),
        &[("object.additional.properties", "false")],
        r#"{"type":"object","additionalProperties":false,"title":"com.example.Order","description":"what","connect.version":3,
"connect.parameters":{"zz":"4","a":"2","b":"1","connect.x":"3"},
"properties":{"note":{"connect.index":1,"oneOf":[{"type":"null"},{"type":"string"}]},
"flag":{"title":"t","default":true,"connect.index":3,"type":"boolean"},"color":{"enum":["RED",null,"BLUE"],"connect.index":6},
"price":{"type":"string","title":"org.apache.kafka.connect.data.Decimal","connect.index":4,"connect.version":1,"connect.type":"bytes","connect.parameters":{"scale":"2"}},
"count":{"type":"integer","default":3,"connect.index":2,"connect.type":"int32"},
"id":{"type":"integer","connect.index":0,"connect.type":"int64"},
"pairs":{"type":"array","connect.index":7,"connect.type":"map","items":{"type":"object","properties":{"value":{"type":"string","connect.index":1},"key":{"type":"integer","connect.index":0,"connect.type":"int32"}}}},
"tags":{"type":"object","connect.index":5,"connect.type":"map","additionalProperties":{"type":"string"}}}}"#,
    );
    let optional = order.to_builder().optional().build().unwrap();
    let text = from_connect::from_connect(&optional, &settings(&[])).unwrap();
    assert!(text.starts_with(r#"{"oneOf":[{"type":"null"},{"type":"object","title":"com.example.Order","properties""#));
    let numeric = [("decimal.format", "NUMERIC")];
    check_schema(
        &logical::decimal_schema(2),
        &numeric,
        r#"{"type":"number","title":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.type":"bytes","connect.parameters":{"scale":"2"}}"#,
    );
    let double = SchemaBuilder::float64()
        .default_value(Value::Float64(1.5e10))
        .optional();
    check_schema(
        &double.build().unwrap(),
        &[],
        r#"{"oneOf":[{"type":"null"},{"type":"number","default":1.5e+10,"connect.type":"float64"}]}"#,
    );
    check_schema(
        &union(&[Connect::int64(), Connect::string()])
            .optional()
            .build()
            .unwrap(),
        &[],
        r#"{"oneOf":[{"type":"null"},{"type":"integer","connect.index":0,"connect.type":"int64"},{"type":"string","connect.index":1}]}"#,
    );
}

/// A schema in a few words: its type, then what else there is.
fn outline(schema: &SchemaRef) -> String {
    let mut out = match schema.type_() {
        Type::Struct => {
            let fields = schema.fields().unwrap().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{} {}", field.name, outline(&field.schema)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Type::Array => format!("[{}]", outline(schema.value_schema().unwrap())),
        Type::Map => {
            let (key, value) = (schema.key_schema().unwrap(), schema.value_schema().unwrap());
            format!("<{}: {}>", outline(key), outline(value))
        }
        primitive @ (Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::Float32
        | Type::Float64
        | Type::Boolean
        | Type::String
        | Type::Bytes) => primitive.name().to_owned(),
    };
    let name = schema
        .name()
        .map(|name| format!(" '{}'", name.rsplit('.').next().unwrap()));
    let version = schema.version().map(|version| format!(" v{version}"));
    let default = schema.default().map(|value| format!(" ={value}"));
    for part in [name, version, default].into_iter().flatten() {
        out.push_str(&part);
    }
    if schema.optional() {
        out.push('?');
    }
    out
}

#[test]
fn schemas_of_others() {
    for (text, expected) in [
        (r#"{"type":"integer"}"#, "int64 v7"),
        (r#"{"type":"number","title":"n","connect.version":2}"#, "float64 'n' v2"),
        (
            r#"{"type":"integer","connect.type":"int16","default":5}"#,
            "int16 v7 =5",
        ),
        (r#"{"type":"string","format":"date"}"#, "string v7"),
        (r#"{"type":["string","null"],"default":null}"#, "string v7?"),
        (
            r#"{"type":["null","object"],"properties":{"a":{"type":"boolean"}}}"#,
            "{a boolean} v7?",
        ),
        (r#"{"properties":{"a":{"type":"boolean"}}}"#, "{a boolean} v7"),
        // Without numbers the order is Java's.
        (
            r#"{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"}}}"#,
            "{name string, id int64} v7",
        ),
        (
            r#"{"type":"object","properties":{"id":{"type":"integer","connect.index":0},"name":{"type":"string","connect.index":1}}}"#,
            "{id int64, name string} v7",
        ),
        (r#"{"type":"array","items":{"type":"string"}}"#, "[string] v7"),
        (
            r#"{"type":"object","connect.type":"map","additionalProperties":{"type":"number"}}"#,
            "<string: float64> v7",
        ),
        (r#"{"enum":["a",1,null]}"#, "string v7"),
        (r#"{"type":"string","enum":["a","b"],"title":"lost"}"#, "string v7"),
        (r#"{"const":"a","type":"string"}"#, "string v7"),
        (r#"{"const":1,"type":"integer"}"#, "int64 v7"),
        (
            r#"{"oneOf":[{"type":"null"},{"type":"integer","title":"n"}],"title":"lost"}"#,
            "int64 'n' v7?",
        ),
        (r#"{"anyOf":[{"type":"integer"}]}"#, "int64 v7"),
        (
            r#"{"oneOf":[{"type":"integer"},{"type":"string"}],"title":"lost"}"#,
            "{io.confluent.connect.json.OneOf.field.0 int64?, io.confluent.connect.json.OneOf.field.1 string?} 'OneOf' v7",
        ),
        (
            r#"{"anyOf":[{"type":"integer"},{"type":"null"},{"type":"array","items":{"type":"string"}}]}"#,
            "{io.confluent.connect.json.OneOf.field.0 int64?, io.confluent.connect.json.OneOf.field.1 [string]?} 'OneOf' v7?",
        ),
        // Several at once are a struct of all, without a name.
        (
            r##"{"title":"lost","type":"object","properties":{"own":{"type":"string"}},
                "allOf":[{"$ref":"#/definitions/base"}],"definitions":{"base":{"properties":{"id":{"type":"integer"}}}}}"##,
            "{id int64, own string}",
        ),
        (
            r##"{"allOf":[{"$ref":"#/definitions/t"}],"definitions":{"t":{"type":"string","title":"T"}}}"##,
            "string 'T' v7",
        ),
        (
            r#"{"type":"object","title":"x","anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
            "{io.confluent.connect.json.OneOf.field.0 {}?, io.confluent.connect.json.OneOf.field.1 {}?} 'OneOf' v7",
        ),
        // Beside a $ref other words count in modern dialects only.
        (
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/t","properties":{"x":{"type":"null"}},"definitions":{"t":{"properties":{"y":{"type":"string"}}}}}"##,
            "{y string} v7",
        ),
        (
            r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/t","properties":{"x":{"type":"integer"}},"$defs":{"t":{"properties":{"y":{"type":"string"}}}}}"##,
            "{y string, x int64}",
        ),
        (
            r#"{"type":"string","connect.type":"bytes","title":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.parameters":{"scale":"2"}}"#,
            "bytes 'Decimal' v1",
        ),
        // A default that does not fit is none.
        (
            r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},"default":[1]}}}"#,
            "{a [string]} v7",
        ),
        (r#"{"type":"string","default":"x"}"#, "string v7 =x"),
    ] {
        let found = connect_of(text, &[]);
        assert_eq!(
            found.map_or_else(|error| error.to_string(), |schema| outline(&schema)),
            expected,
            "{text}"
        );
    }
}

#[test]
fn settings_change_schemas() {
    let check = |text: &str, pairs: &[(&str, &str)], expected: &str| {
        let found = connect_of(text, pairs);
        assert_eq!(
            found.map_or_else(|error| error.to_string(), |schema| outline(&schema)),
            expected,
            "{text}"
        );
    };
    let text = r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}"#;
    check(
        text,
        &[("use.optional.for.nonrequired", "true")],
        "{a string, b string?} v7",
    );
    check(
        r#"{"anyOf":[{"type":"string"}]}"#,
        &[("flatten.singleton.unions", "false")],
        "{io.confluent.connect.json.OneOf.field.0 string?} 'OneOf' v7",
    );
    let modern = r##"{"$schema":"https://json-schema.org/draft/2019-09/schema","$ref":"#/$defs/t","type":"object","properties":{"x":{"type":"string"}},"$defs":{"t":{"type":"object","properties":{"y":{"type":"string"}}}}}"##;
    check(modern, &[("ignore.modern.dialects", "true")], "{y string} v7");
    let sums = [("generalized.sum.type.support", "true")];
    check(
        r#"{"oneOf":[{"type":"integer"},{"oneOf":[{"type":"string"},{"type":"boolean"}]}]}"#,
        &sums,
        "{connect_union_field_0 int64?, connect_union_field_1 {connect_union_field_0 string?, connect_union_field_1 boolean?} \
         'connect_union_1'?} 'connect_union_0' v7",
    );
    let schema = connect_of(r#"{"enum":["x","y"]}"#, &sums).unwrap();
    let parameters: Vec<String> = schema
        .parameters()
        .unwrap()
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let name = "org.apache.kafka.connect.data.Enum";
    assert_eq!(
        parameters,
        [format!("{name}="), format!("{name}.x=0"), format!("{name}.y=1")]
    );
}

#[test]
fn what_cannot_be_a_schema_says_why() {
    for (text, part) in [
        ("{}", "does not say what type"),
        ("true", "does not say what type"),
        ("false", "false alone"),
        (r#"{"type":"null"}"#, "null alone"),
        (r#"{"type":"text"}"#, "\"text\" is no type"),
        (r#"{"type":"array"}"#, "did not specify the items type"),
        (
            r#"{"type":"array","items":[{"type":"string"}]}"#,
            "did not specify the items type",
        ),
        (
            r#"{"type":"object","connect.type":"map"}"#,
            "does not say what its values are",
        ),
        (
            r#"{"type":"integer","connect.type":"int128"}"#,
            "Unsupported type int128",
        ),
        (
            r#"{"type":"object","properties":{"a":5}}"#,
            "a: 5 stands where a schema should",
        ),
        (r#"{"type":"object","properties":{"a":{}}}"#, "a: it does not say"),
        (r#"{"type":"string","connect.version":"1"}"#, "Invalid Connect version"),
        (r#"{"type":"string","connect.parameters":{"a":1}}"#, "to be strings"),
        (
            r#"{"allOf":[{"const":true},{"not":{"type":"null"}}]}"#,
            "does not go together",
        ),
        (r#"{"$ref":"http://example.com/x.json"}"#, "nor among its references"),
        (r##"{"$ref":"#"}"##, "contains itself"),
        (
            r##"{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/a"}}}"##,
            "contains itself",
        ),
        (
            r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicRef":"#n"}"##,
            "$dynamicRef",
        ),
    ] {
        let error = connect_of(text, &[]).unwrap_err();
        assert!(
            matches!(error, Error::Data(_)) && error.to_string().contains(part),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_short_text_does_not_make_a_large_schema() {
    // Each level has the one below it twice.
    let mut definitions = vec![r#""n0":{"type":"string"}"#.to_owned()];
    for level in 1..40 {
        let below = format!("{{\"$ref\":\"#/definitions/n{}\"}}", level - 1);
        definitions.push(format!(
            "\"n{level}\":{{\"properties\":{{\"a\":{below},\"b\":{below}}}}}"
        ));
    }
    let text = format!(
        "{{\"$ref\":\"#/definitions/n39\",\"definitions\":{{{}}}}}",
        definitions.join(",")
    );
    let schema = connect_of(&text, &[]).unwrap();
    let settings = Settings::read(&ConfigMap::new()).unwrap();
    for error in [
        read::Plan::of(&schema).map(drop).unwrap_err(),
        write::Plan::of(Some(&schema), &settings).map(drop).unwrap_err(),
        from_connect::from_connect(&schema, &settings).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("more than 50000"), "{error}");
    }
    let error = connect_of(&text, &[("generalized.sum.type.support", "true")]).unwrap_err();
    assert!(error.to_string().contains("more than 50000"), "{error}");
}
