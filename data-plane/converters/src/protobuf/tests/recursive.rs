//! Messages that contain themselves.

use super::*;
use crate::again::MAX_LEVELS;

const LIST: &str = "syntax = \"proto3\";\npackage n;\n\nmessage Node {\n  int32 value = 1;\n  Node next = 2;\n}\n";
const TREE: &str = r#"syntax = "proto3"; package n;
message Tree { string text = 1; repeated Tree children = 2; map<string, Tree> by_name = 3; oneof one { Tree other = 4; int32 number = 5; } }"#;
/// One by way of another, which stands beside it and has one of its own within it.
const MUTUAL: &str = r#"syntax = "proto3"; package n;
message A { B b = 1; repeated C c = 2; Leaf leaf = 3; message C { A a = 1; B b = 2; map<int32, C> c = 3; } }
message B { optional A a = 1; oneof one { A.C c = 2; string s = 3; } B b = 4; }
message Leaf { int32 x = 1; }"#;

fn connect(text: &str, settings: &Settings) -> SchemaRef {
    let message = File::parse(text, &[]).unwrap().message(&[0]).unwrap();
    to_connect::to_connect(&message, None, settings).unwrap()
}

/// A field with a message in it.
fn nested(key: u8, within: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    wire::block(within, &mut out);
    out
}

/// Messages within each other, each as that field of the one around it.
fn deep(key: u8, levels: usize) -> Vec<u8> {
    // From the end, as the lengths stand in front.
    let (mut backwards, mut length) = (Vec::new(), 0);
    for _ in 0..levels {
        let mut head = vec![key];
        wire::varint(length as u64, &mut head);
        length += head.len();
        backwards.extend(head.iter().rev());
    }
    backwards.reverse();
    backwards
}

/// Any value of a schema, as far down as there is room. What is missing is empty in a list or a map.
fn value(schema: &SchemaRef, levels: u32) -> BoxedStrategy<Value> {
    if schema.type_() == Type::Struct && levels == 0 {
        return Just(Value::Null).boxed();
    }
    match schema.type_() {
        Type::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        Type::String => "[a-zü]{0,5}".prop_map(Value::string).boxed(),
        Type::Array | Type::Map if levels <= 1 => Just(if schema.type_() == Type::Map {
            Value::Map(Vec::new())
        } else {
            Value::Array(Vec::new())
        })
        .boxed(),
        Type::Array => prop::collection::vec(value(schema.value_schema().unwrap(), levels - 1), 0..3)
            .prop_map(|values| Value::Array(values.into_iter().filter(|value| !value.is_null()).collect()))
            .boxed(),
        Type::Map => {
            let key = value(schema.key_schema().unwrap(), 0);
            let entry = (key, value(schema.value_schema().unwrap(), levels - 1));
            prop::collection::vec(entry, 0..3)
                .prop_map(|entries| Value::map(entries.into_iter().filter(|(_, value)| !value.is_null())))
                .boxed()
        }
        Type::Struct => {
            let schema = Connect::resolved(schema);
            let is_union = from_connect::is_union(&schema);
            let fields = schema.fields().unwrap().iter();
            let fields: Vec<_> = fields.map(|field| value(&field.schema, levels - 1)).collect();
            let some = (fields, any::<prop::sample::Index>()).prop_map(move |(values, index)| {
                let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
                let kept = index.index(values.len());
                if is_union && values[kept].is_null() {
                    return Value::Null;
                }
                for (index, value) in values.into_iter().enumerate() {
                    if !is_union || index == kept {
                        record.put_at(index, value).unwrap();
                    }
                }
                Value::from(record)
            });
            prop_oneof![1 => Just(Value::Null), 4 => some].boxed()
        }
        Type::Int8 | Type::Int16 | Type::Int64 | Type::Float32 | Type::Float64 | Type::Boolean | Type::Bytes => {
            panic!("none of these has one")
        }
    }
}

#[test]
fn what_is_read_is_written_as_it_was() {
    for (text, pairs) in [
        (LIST, &[][..]),
        (TREE, &[]),
        (MUTUAL, &[]),
        (MUTUAL, &[("generalized.sum.type.support", "true")]),
        (TREE, &[("flatten.unions", "true")]),
        (MUTUAL, &[("wrapper.for.nullables", "true")]),
    ] {
        let settings = settings(pairs);
        let schema = connect(text, &settings);
        assert_eq!(schema, connect(text, &settings));
        let written = text_of(&schema, pairs);
        let is_flat = settings.flatten_unions;
        if !is_flat {
            assert_eq!(connect(&written, &settings), schema, "{written}");
        }
        assert_eq!(text_of(&connect(&written, &settings), pairs), written);
        // With the version of its subject, which is also that of the message within itself.
        let message = File::parse(text, &[]).unwrap().message(&[0]).unwrap();
        let versioned = to_connect::to_connect(&message, Some(3), &settings).unwrap();
        assert_eq!(versioned.version(), Some(3));
        assert_ne!(versioned, schema);
        assert_eq!(text_of(&versioned, pairs), written);
    }
    // To the letter of Confluent's, but for the package, which names have only where they are to keep it.
    assert_eq!(
        text_of(&connect(LIST, &settings(&[])), &[]),
        LIST.replace("package n;\n", "")
    );
    let enhanced = [("enhanced.protobuf.schema.support", "true")];
    assert_eq!(text_of(&connect(LIST, &settings(&enhanced)), &enhanced), LIST);
    let settings = settings(&enhanced);
    // What stood beside each other is within the first one then, and stays there.
    let once = connect(&text_of(&connect(MUTUAL, &settings), &enhanced), &settings);
    let twice = connect(&text_of(&once, &enhanced), &settings);
    assert_eq!(once, twice);
    let b = Connect::resolved(&once.field("b").unwrap().schema);
    assert_eq!(b.name(), Some("n.A.B"));
}

#[test]
fn it_is_the_same_whatever_leads_to_it() {
    let settings = settings(&[]);
    let around = "message Two { Tree tree = 1; repeated Tree trees = 2; B b = 3; A a = 4; }";
    let bodies = |text: &str| text.split_once("package n;").unwrap().1.to_owned();
    let text = format!("syntax = \"proto3\"; {around} {} {}", bodies(TREE), bodies(MUTUAL));
    let schema = connect(&text, &settings);
    let field = |name: &str| SchemaRef::clone(&schema.field(name).unwrap().schema);
    assert_eq!(
        field("tree").fields().unwrap(),
        connect(TREE, &settings).fields().unwrap()
    );
    let of_list = field("trees").value_schema().unwrap().fields().unwrap().to_vec();
    assert_eq!(of_list, field("tree").fields().unwrap());
    let tree = field("tree");
    let children = &tree.field("children").unwrap().schema;
    let child = children.value_schema().unwrap();
    assert!(child.is_reference() && child.fields().is_err() && child.name() == Some("Tree"));
    assert_eq!(Connect::resolved(child).fields().unwrap(), tree.fields().unwrap());
    let b_of_a = Connect::resolved(&field("a").field("b").unwrap().schema);
    assert_eq!(b_of_a.fields().unwrap(), field("b").fields().unwrap());
    assert_eq!(connect(&text_of(&schema, &[]), &settings), schema);
}

#[test]
fn a_name_means_what_it_should() {
    // A message of the same name stands nearer, and fields are called as messages are.
    let text = r#"syntax = "proto3"; package n;
message A { B b = 1; A A = 2; message B { A inner = 1; .n.A outer = 2; message A { int32 x = 1; .n.A.B B = 2; } } }"#;
    for pairs in [&[][..], &[("enhanced.protobuf.schema.support", "true")]] {
        let settings = settings(pairs);
        let schema = connect(text, &settings);
        let written = text_of(&schema, pairs);
        assert!(written.contains("A outer = 2"), "{written}");
        let again = connect(&written, &settings);
        let outer = |schema: &SchemaRef| {
            let b = Connect::resolved(&schema.field("b").unwrap().schema);
            let outer = Connect::resolved(&b.field("outer").unwrap().schema);
            let names: Vec<_> = outer.fields().unwrap().iter().map(|field| field.name.clone()).collect();
            names.join(" ")
        };
        assert_eq!(outer(&again), "b A", "{written}");
        assert_eq!(text_of(&again, pairs), written);
    }
}

#[test]
fn many_that_lead_to_each_other_are_written_down_once_each() {
    let names: Vec<String> = (0..20).map(|number| format!("M{number}")).collect();
    let fields = |_: &String| -> String {
        let each = names
            .iter()
            .zip(1..)
            .map(|(name, number)| format!("{name} f{number} = {number};"));
        each.collect()
    };
    let messages: String = names
        .iter()
        .map(|name| format!("message {name} {{ {} }}", fields(name)))
        .collect();
    let text = format!("syntax = \"proto3\"; {messages}");
    let settings = settings(&[]);
    let schema = connect(&text, &settings);
    let written = text_of(&schema, &[]);
    assert_eq!(written.matches("message ").count(), 20);
    assert_eq!(connect(&written, &settings), schema);
}

#[test]
fn a_long_way_back_does_not_nest() {
    let messages = (0..300).map(|number| format!("message M{number} {{ M{} x = 1; }} ", (number + 1) % 300));
    let text = format!("syntax = \"proto3\"; {}", messages.collect::<String>());
    let settings = settings(&[]);
    let schema = connect(&text, &settings);
    assert_eq!(connect(&text_of(&schema, &[]), &settings), schema);
}

#[test]
fn googles_struct_is_read() {
    let text =
        r#"syntax = "proto3"; import "google/protobuf/struct.proto"; message M { google.protobuf.Struct s = 1; }"#;
    // {"a": [true]}
    let boolean = nested(0x0a, &[0x20, 1]);
    let list = nested(0x32, &boolean);
    let entry = [nested(0x0a, b"a"), nested(0x12, &list)].concat();
    let bytes = nested(0x0a, &nested(0x0a, &entry));
    let file = File::parse(text, &[]).unwrap();
    for (pairs, expected) in [
        (
            &[][..],
            "Struct{s=Struct{fields={a=Struct{kind_0=Struct{list_value=Struct{values=[Struct{kind_0=Struct{bool_value=true}}]}}}}}}",
        ),
        (
            &[("flatten.unions", "true"), ("generate.struct.for.nulls", "true")],
            "Struct{s=Struct{fields={a=Struct{list_value=Struct{values=[Struct{bool_value=true}]}}}}}",
        ),
    ] {
        let (schema, found) = decode_message(&file, &[0], &bytes, &settings(pairs)).unwrap();
        assert_eq!(found.to_string(), expected);
        if pairs.is_empty() {
            let (_, again) = there_and_back(&schema, &found, &settings(pairs)).unwrap();
            assert_eq!(again.to_string(), expected);
        }
    }
}

#[test]
fn a_list_of_any_length_is_read_to_a_limit() {
    let file = File::parse(LIST, &[]).unwrap();
    let settings = settings(&[]);
    let (schema, value) = decode_message(&file, &[0], &deep(0x12, MAX_LEVELS), &settings).unwrap();
    let (_, _, bytes) = encode(&schema, &value, &settings).unwrap();
    assert_eq!(bytes, deep(0x12, MAX_LEVELS));
    for levels in [MAX_LEVELS + 1, 300_000] {
        let bytes = deep(0x12, levels);
        let error = decode_message(&file, &[0], &bytes, &settings).unwrap_err().to_string();
        assert!(
            error.ends_with("Node contains itself so often that the value nests deeper than 200 levels"),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
    }
    assert!(deep(0x12, 300_000).len() > 1_000_000);
    let tree = File::parse(TREE, &[]).unwrap();
    // Through a list, a map's values and a union. Trees nest two levels each.
    let by_name = (0..MAX_LEVELS).fold(Vec::new(), |inner, _| nested(0x1a, &nested(0x12, &inner)));
    for bytes in [
        deep(0x12, 300_000),
        deep(0x22, 300_000),
        deep(0x12, MAX_LEVELS / 2 + 1),
        by_name,
    ] {
        let error = decode_message(&tree, &[0], &bytes, &settings).unwrap_err().to_string();
        assert!(error.contains("Tree contains itself so often"), "{error}");
    }
    for key in [0x12, 0x22] {
        let (schema, value) = decode_message(&tree, &[0], &deep(key, MAX_LEVELS / 2), &settings).unwrap();
        let (_, _, bytes) = encode(&schema, &value, &settings).unwrap();
        assert_eq!(bytes, deep(key, MAX_LEVELS / 2));
    }
}

#[test]
fn what_is_missing_within_itself_is_null() {
    // What does not come has the defaults of its fields, but of these there would be no end.
    let pairs = [("generate.struct.for.nulls", "true")];
    let text = format!("{LIST} message Two {{ Node node = 1; map<string, Node> nodes = 2; }}");
    let file = File::parse(&text, &[]).unwrap();
    let (_, value) = decode_message(&file, &[1], &[0x12, 0], &settings(&pairs)).unwrap();
    assert_eq!(
        value.to_string(),
        "Struct{node=Struct{value=0},nodes={=Struct{value=0}}}"
    );
    check(LIST, &[0x12, 0], &pairs, "Struct{value=0,next=Struct{value=0}}");
    // Two parts are one message, also within itself.
    check(
        LIST,
        &[0x12, 2, 0x08, 1, 0x12, 2, 0x12, 0],
        &[],
        "Struct{value=0,next=Struct{value=1,next=Struct{value=0}}}",
    );
}

#[test]
fn a_message_without_itself_is_written_as_one_that_has_it_and_back() {
    let settings = settings(&[]);
    let list = connect(LIST, &settings);
    let (_, value) = decode_message(&File::parse(LIST, &[]).unwrap(), &[0], &deep(0x12, 3), &settings).unwrap();
    // As the newest schema of a subject, which knows two of them only.
    let two = "syntax = \"proto3\"; message Node { Last next = 2; int32 value = 1; } message Last { int32 value = 1; }";
    let two = File::parse(two, &[]).unwrap().message(&[0]).unwrap();
    let error = Planner::new(&settings, true).plan(&list, &two).unwrap_err();
    assert_eq!(error.to_string(), "next: the message Last has no such field");
    let plan = Planner::new(&settings, false).plan(&list, &two).unwrap();
    let mut out = Vec::new();
    plan.root.write((&value).into(), &mut out).unwrap();
    assert_eq!(out, [0x12, 0]);
    // And a struct with nothing of the kind as a list.
    let one = SchemaBuilder::struct_()
        .name("Node")
        .field("value", Connect::int32())
        .build()
        .unwrap();
    let mut record = Struct::new(SchemaRef::clone(&one)).unwrap();
    record.put("value", 7).unwrap();
    let message = File::parse(LIST, &[]).unwrap().message(&[0]).unwrap();
    let plan = Planner::new(&settings, true).plan(&one, &message).unwrap();
    let mut out = Vec::new();
    plan.root.write((&Value::from(record)).into(), &mut out).unwrap();
    assert_eq!(out, [8, 7]);
    // A struct of another schema is none of these.
    let (_, other) = decode_message(&File::parse(TREE, &[]).unwrap(), &[0], &[], &settings).unwrap();
    assert!(encode(&list, &other, &settings).is_err());
}

#[test]
fn any_recursive_value_is_read_as_it_was_written() {
    for text in [LIST, TREE, MUTUAL] {
        let settings = settings(&[]);
        let schema = connect(text, &settings);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let check = |value: Value| {
            if value.is_null() {
                return Ok(());
            }
            let (found, again) = there_and_back(&schema, &value, &settings).unwrap();
            prop_assert_eq!(&found, &schema);
            let (_, once_more) = there_and_back(&found, &again, &settings).unwrap();
            prop_assert_eq!(once_more, again);
            Ok(())
        };
        runner.run(&value(&schema, 6), check).unwrap();
    }
}
