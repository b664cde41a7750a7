//! Objects that contain themselves.

use dray_connect::schema::Type;

use super::*;
use crate::again::MAX_LEVELS;
use crate::schema_registry::Reference;

const LIST: &str = r##"{"type":"object","title":"Node","properties":{"value":{"type":"integer","connect.index":0,"connect.type":"int32"},"next":{"connect.index":1,"oneOf":[{"type":"null"},{"$ref":"#"}]}}}"##;
const TREE: &str = r##"{"title":"Tree","type":"object","properties":{"text":{"type":"string","connect.index":0},
    "children":{"type":"array","items":{"$ref":"#"},"connect.index":1,"default":[]},
    "by name/~":{"type":"object","connect.type":"map","additionalProperties":{"$ref":"#"},"connect.index":2},
    "pairs":{"type":"array","connect.type":"map","connect.index":3,
        "items":{"type":"object","properties":{"key":{"type":"integer","connect.type":"int32"},"value":{"$ref":"#"}}}}}}"##;
/// Without titles, one by way of the other and of a union.
const MUTUAL: &str = r##"{"$ref":"#/definitions/a","definitions":{
    "a":{"type":"object","properties":{"b":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/b"}]},"all":{"type":"array","items":{"$ref":"#/$defs/b"}}}},
    "b":{"type":["object","null"],"properties":{
        "e":{"oneOf":[{"type":"integer","connect.type":"int32"},{"$ref":"#/definitions/a"},{"type":"array","items":{"$ref":"#/definitions/b"}}]},
        "leaf":{"$ref":"#/definitions/leaf"},"same":{"$ref":"#/definitions/leaf"}}},
    "leaf":{"type":"object","properties":{"x":{"type":"integer","connect.type":"int32"}}}}}"##;
/// A union that leads back to itself with a struct between.
const EXPRESSION: &str = r##"{"oneOf":[{"type":"integer","connect.type":"int32"},{"type":"object","title":"Sum",
    "properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}}}]}"##;
/// A struct that is an allOf.
const ALL: &str = r##"{"title":"All","allOf":[{"$ref":"#/definitions/base"},{"type":"object","properties":{"child":{"oneOf":[{"type":"null"},{"$ref":"#"}]}}}],
    "definitions":{"base":{"type":"object","properties":{"id":{"type":"integer","connect.type":"int32"}}}}}"##;

const EACH: [&str; 5] = [LIST, TREE, MUTUAL, EXPRESSION, ALL];

fn connect(text: &str, pairs: &[(&str, &str)]) -> SchemaRef {
    let documents = Documents::parse(text, &[], &[], false).unwrap();
    to_connect::to_connect(&documents, None, &settings(pairs)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Any value of a schema, as far down as there is room; null where there is none.
fn value(schema: &SchemaRef, levels: u32) -> BoxedStrategy<Value> {
    if levels == 0 && (schema.optional() || schema.is_reference()) {
        return Just(Value::Null).boxed();
    }
    let whole = |value: &Value| !value.is_null();
    let some = match schema.type_() {
        Type::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        Type::String => "[a-zü]{0,5}".prop_map(Value::string).boxed(),
        Type::Array | Type::Map if levels <= 1 => Just(if schema.type_() == Type::Map {
            Value::Map(Vec::new())
        } else {
            Value::Array(Vec::new())
        })
        .boxed(),
        Type::Array => prop::collection::vec(value(schema.value_schema().unwrap(), levels - 1), 0..3)
            .prop_map(move |values| Value::Array(values.into_iter().filter(whole).collect()))
            .boxed(),
        Type::Map => {
            let key = value(schema.key_schema().unwrap(), 0);
            let entry = (key, value(schema.value_schema().unwrap(), levels - 1));
            prop::collection::vec(entry, 0..3)
                .prop_map(move |entries| Value::map(entries.into_iter().filter(|(_, value)| whole(value))))
                .boxed()
        }
        Type::Struct => {
            let schema = Connect::resolved(schema);
            let is_union = read::is_union(&schema);
            let fields = schema.fields().unwrap().iter();
            let fields: Vec<_> = fields
                .map(|field| value(&field.schema, levels.saturating_sub(1)))
                .collect();
            let of = move |(values, index): (Vec<Value>, prop::sample::Index)| {
                let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
                // Of a union one has a value, which may be the first in any case.
                let kept = index.index(values.len());
                if is_union && values[kept].is_null() {
                    record.put_at(0, Value::Int32(7)).unwrap();
                    return Value::from(record);
                }
                for (index, (value, field)) in values.into_iter().zip(schema.fields().unwrap()).enumerate() {
                    if is_union && index == kept || !is_union && (whole(&value) || field.schema.optional()) {
                        record.put_at(index, value).unwrap();
                    }
                }
                Value::from(record)
            };
            (fields, any::<prop::sample::Index>()).prop_map(of).boxed()
        }
        Type::Int8 | Type::Int16 | Type::Int64 | Type::Float32 | Type::Float64 | Type::Boolean | Type::Bytes => {
            panic!("none of these has one")
        }
    };
    if schema.optional() {
        return prop_oneof![1 => Just(Value::Null), 3 => some].boxed();
    }
    some
}

#[test]
fn what_is_read_is_written_as_it_was() {
    for text in EACH {
        for pairs in [
            &[][..],
            &[("generalized.sum.type.support", "true")],
            &[("use.optional.for.nonrequired", "true")],
            &[
                ("object.additional.properties", "false"),
                ("flatten.singleton.unions", "false"),
            ],
        ] {
            let schema = connect(text, pairs);
            assert_eq!(schema, connect(text, pairs));
            let written = from_connect::from_connect(&schema, &settings(pairs)).unwrap();
            let back = connect(&written, pairs);
            let is_counted = !pairs.is_empty() && pairs[0].0.starts_with("generalized");
            if !is_counted {
                assert_eq!(back, schema, "{text}\n{written}");
            }
            let twice = from_connect::from_connect(&back, &settings(pairs)).unwrap();
            assert_eq!(connect(&twice, pairs), back);
            if !is_counted {
                assert_eq!(twice, written);
            }
            // With the version of its subject, which is also that of the struct within itself.
            let versioned = connect_of(text, pairs).unwrap();
            assert_eq!(versioned == schema, text == ALL, "{text}");
        }
    }
    assert_eq!(connect_of(LIST, &[]).unwrap().version(), Some(7));
    let written = from_connect::from_connect(&connect(LIST, &[]), &settings(&[])).unwrap();
    let sorted = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(sorted(&written), sorted(LIST));
}

#[test]
fn it_is_the_same_whatever_leads_to_it() {
    let around = r##"{"type":"object","properties":{"tree":{"$ref":"t.json"},"same":{"oneOf":[{"type":"null"},{"$ref":"t.json"}]},
        "trees":{"type":"array","items":{"$ref":"t.json#"}}}}"##;
    let references = [Reference {
        name: "t.json".to_owned(),
        text: TREE.into(),
    }];
    let documents = Documents::parse(around, &references, &[], false).unwrap();
    let schema = to_connect::to_connect(&documents, None, &settings(&[])).unwrap();
    let field = |name: &str| SchemaRef::clone(&schema.field(name).unwrap().schema);
    assert_eq!(field("tree"), connect(TREE, &[]));
    assert!(field("same").optional());
    assert_eq!(field("same").fields().unwrap(), field("tree").fields().unwrap());
    assert_eq!(**field("trees").value_schema().unwrap(), *field("tree"));
    let tree = field("tree");
    let children = &tree.field("children").unwrap().schema;
    let child = children.value_schema().unwrap();
    assert!(child.is_reference() && child.fields().is_err() && child.name() == Some("Tree"));
    assert_eq!(children.default(), Some(&Value::Array(Vec::new())));
    assert_eq!(*Connect::resolved(child), *tree);
    let written = from_connect::from_connect(&schema, &settings(&[])).unwrap();
    assert_eq!(connect(&written, &[]), schema, "{written}");
}

#[test]
fn a_list_of_any_length_is_read_to_a_limit() {
    let schema = connect(LIST, &[]);
    let list = |length: usize| format!("{}null{}", r#"{"value":1,"next":"#.repeat(length), "}".repeat(length));
    let value = decode(&schema, list(MAX_LEVELS).as_bytes()).unwrap();
    assert_eq!(encode(Some(&schema), &value, &[]).unwrap().unwrap(), list(MAX_LEVELS));
    let too_deep = |schema: &SchemaRef, text: &str, name: &str| {
        let error = decode(schema, text.as_bytes()).unwrap_err().to_string();
        let expected = format!("{name} contains itself so often that the value nests deeper than 200 levels");
        assert!(error.ends_with(&expected), "{error}");
        assert!(error.len() < 600, "{error}");
    };
    for length in [MAX_LEVELS + 2, 100_000] {
        too_deep(&schema, &list(length), "Node");
    }
    // By way of a map and of a union values are parsed first, which ends at a depth of its own.
    let sums = |levels: usize| format!("{}1{}", r#"{"left":"#.repeat(levels), r#","right":2}"#.repeat(levels));
    let maps = |levels: usize| {
        format!(
            "{}{}",
            r#"{"by name/~":{"a":"#.repeat(levels),
            "{}".to_owned() + &"}}".repeat(levels)
        )
    };
    let (expression, tree) = (connect(EXPRESSION, &[]), connect(TREE, &[]));
    too_deep(&expression, &sums(MAX_LEVELS), "Sum");
    too_deep(&tree, &maps(MAX_LEVELS), "Tree");
    for (schema, text) in [(&expression, sums(100_000)), (&tree, maps(100_000))] {
        assert!(decode(schema, text.as_bytes()).is_err());
    }
    let value = decode(&expression, sums(90).as_bytes()).unwrap();
    assert_eq!(encode(Some(&expression), &value, &[]).unwrap().unwrap(), sums(90));
}

#[test]
fn the_branch_of_a_union_is_found_within_itself() {
    // Both have a child, and only what is in that tells which one is meant.
    let text = r##"{"type":"object","title":"A","properties":{"x":{"type":"integer","connect.index":0},"either":{"connect.index":1,"oneOf":[{"$ref":"#"},
        {"type":"object","title":"B","properties":{"y":{"type":"integer","connect.index":0},"either":{"$ref":"#","connect.index":1}}}]}}}"##;
    let schema = connect(text, &[]);
    for (text, expected) in [
        (r#"{"x":1,"either":{"x":2}}"#, ".0="),
        (r#"{"x":1,"either":{"y":2}}"#, ".1="),
        (r#"{"x":1,"either":{"y":2,"either":{"x":3,"either":{"y":4}}}}"#, ".1="),
    ] {
        let value = decode(&schema, text.as_bytes()).unwrap();
        let found = value.to_string();
        assert!(found.contains(&format!("OneOf.field{expected}")), "{text}: {found}");
        assert_eq!(encode(Some(&schema), &value, &[]).unwrap().unwrap(), text);
    }
}

#[test]
fn what_has_no_object_between_is_refused() {
    for text in [
        r##"{"$ref":"#"}"##,
        r##"{"type":"array","items":{"$ref":"#"}}"##,
        r##"{"type":"object","connect.type":"map","additionalProperties":{"$ref":"#"}}"##,
        r##"{"oneOf":[{"type":"null"},{"$ref":"#"}]}"##,
        r##"{"oneOf":[{"type":"string"},{"type":"array","items":{"$ref":"#"}}]}"##,
        r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/l"}},"definitions":{"l":{"type":"array","items":{"$ref":"#/definitions/l"}}}}"##,
    ] {
        let error = connect_of(text, &[]).unwrap_err().to_string();
        assert!(error.contains("it contains itself by the $ref #"), "{text}: {error}");
        assert!(error.contains("with no object between"), "{text}: {error}");
    }
    let error = connect_of(r##"{"allOf":[{"$ref":"#"}]}"##, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("it contains itself"), "{error}");
    // What is called as unions are is a union, and finds no value for ever.
    let union = r##"{"type":"object","title":"io.confluent.connect.json.OneOf","properties":{"a":{"$ref":"#"}}}"##;
    let schema = connect(union, &[]);
    for text in ["5", "{}", r#"{"a":{"a":{}}}"#] {
        assert!(decode(&schema, text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn many_that_lead_to_each_other_are_written_down_once_each() {
    let each = |what: &dyn Fn(usize) -> String| (0..20).map(what).collect::<Vec<_>>().join(",");
    let properties = each(&|number| format!(r##""f{number}":{{"$ref":"#/definitions/m{number}"}}"##));
    let definitions =
        each(&|number| format!(r#""m{number}":{{"type":"object","title":"M{number}","properties":{{{properties}}}}}"#));
    let text = format!(r##"{{"$ref":"#/definitions/m0","definitions":{{{definitions}}}}}"##);
    let schema = connect(&text, &[]);
    let written = from_connect::from_connect(&schema, &settings(&[])).unwrap();
    assert_eq!(written.matches("\"title\"").count(), 20);
    assert_eq!(connect(&written, &[]), schema);
}

#[test]
fn an_id_as_java_writes_it_is_found() {
    let java = LIST.replace(r##""$ref":"#""##, r##""$ref":"#id1""##);
    let java = java.replace(r#""title":"Node""#, r##""title":"Node","id":"#id1""##);
    assert_eq!(connect(&java, &[]), connect(LIST, &[]));
}

#[test]
fn a_long_way_back_does_not_nest() {
    let definitions: Vec<String> = (0..300)
        .map(|number| {
            let next = (number + 1) % 300;
            format!(r##""m{number}":{{"type":"object","title":"a/M~{number}","properties":{{"x":{{"$ref":"#/definitions/m{next}"}}}}}}"##)
        })
        .collect();
    let text = format!(
        r##"{{"$ref":"#/definitions/m0","definitions":{{{}}}}}"##,
        definitions.join(",")
    );
    let schema = connect(&text, &[]);
    let written = from_connect::from_connect(&schema, &settings(&[])).unwrap();
    assert_eq!(connect(&written, &[]), schema);
}

#[test]
fn it_may_be_given_another_name() {
    let schema = connect(LIST, &[]);
    let renamed = schema.with_metadata(Some("Other"), None);
    let text = from_connect::from_connect(&renamed, &settings(&[])).unwrap();
    assert_eq!(connect(&text, &[]), renamed, "{text}");
}

#[test]
fn a_schema_is_whole_when_only_a_part_of_it_is_left() {
    let (children, value) = {
        let schema = connect(TREE, &[]);
        let value = decode(&schema, br#"{"children":[{"text":"a","children":[{}]}]}"#).unwrap();
        let children = SchemaRef::clone(&schema.field("children").unwrap().schema);
        (children, value.as_struct().unwrap().get("children").unwrap().clone())
    };
    let (back, found) = there_and_back(&children, &value, &[]);
    assert_eq!(back, children);
    assert_eq!(found, value);
}

#[test]
fn any_recursive_value_is_read_as_it_was_written() {
    for text in EACH {
        let schema = connect(text, &[]);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let check = |value: Value| {
            if value.is_null() {
                return Ok(());
            }
            let (back, found) = there_and_back(&schema, &value, &[]);
            prop_assert_eq!(&back, &schema);
            let (_, again) = there_and_back(&back, &found, &[]);
            prop_assert_eq!(again, found);
            Ok(())
        };
        runner.run(&value(&schema, 6), check).unwrap();
    }
}
