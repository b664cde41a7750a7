//! Records that contain themselves.

use super::*;

const LIST: &str = r#"{"type":"record","name":"Node","namespace":"n","fields":[{"name":"value","type":"int"},{"name":"next","type":["null","Node"],"default":null}],"connect.name":"n.Node"}"#;
const TREE: &str = r#"{"type":"record","name":"Tree","namespace":"n","fields":[{"name":"text","type":"string"},{"name":"children","type":{"type":"array","items":"Tree"}},{"name":"by_name","type":{"type":"map","values":"Tree"}}],"connect.name":"n.Tree"}"#;
/// One by way of the other, where it is one of a union.
const MUTUAL: &str = r#"{"type":"record","name":"A","namespace":"n","fields":[{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"a","type":["null","int","A"],"default":null},{"name":"b","type":["null","B"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}}],"connect.name":"n.B"}],"default":null},{"name":"pairs","type":{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"n.B"}]}}}],"connect.name":"n.A"}"#;

fn avro(text: &str) -> Schema {
    parse::parse(text, &[]).unwrap()
}

fn connect(text: &str, settings: &Settings) -> SchemaRef {
    to_connect::to_connect(&avro(text), None, settings).unwrap()
}

/// Any value of a schema, as far down as there is room.
fn value(schema: &SchemaRef, levels: u32) -> BoxedStrategy<Value> {
    if schema.optional() && levels == 0 {
        return Just(Value::Null).boxed();
    }
    let some = match schema.type_() {
        Type::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        Type::String if schema.parameters().is_some() => {
            prop::sample::select(vec!["X", "Y"]).prop_map(Value::from).boxed()
        }
        Type::String => "[a-zü]{0,5}".prop_map(Value::string).boxed(),
        Type::Array | Type::Map if levels == 0 => Just(if schema.type_() == Type::Map {
            Value::Map(Vec::new())
        } else {
            Value::Array(Vec::new())
        })
        .boxed(),
        Type::Array => prop::collection::vec(value(schema.value_schema().unwrap(), levels - 1), 0..3)
            .prop_map(Value::Array)
            .boxed(),
        Type::Map => {
            let key = value(schema.key_schema().unwrap(), 0);
            let entry = (key, value(schema.value_schema().unwrap(), levels - 1));
            prop::collection::vec(entry, 0..3).prop_map(Value::map).boxed()
        }
        Type::Struct => {
            let schema = Connect::resolved(schema);
            let fields: Vec<_> = schema.fields().unwrap().iter().map(|field| &field.schema).collect();
            // Of a union one has a value.
            let is_union = schema.name() == Some("io.confluent.connect.avro.Union");
            let fields: Vec<_> = fields
                .into_iter()
                .map(|field| value(field, levels.saturating_sub(1)))
                .collect();
            (fields, any::<prop::sample::Index>())
                .prop_map(move |(values, index)| {
                    let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
                    let kept = index.index(values.len());
                    let any_is_set = !values[kept].is_null();
                    for (index, value) in values.into_iter().enumerate() {
                        let takes = !is_union || index == if any_is_set { kept } else { 0 };
                        if takes && (!is_union || !value.is_null()) {
                            record.put_at(index, value).unwrap();
                        }
                    }
                    if is_union && record.values().iter().all(Value::is_null) {
                        record.put_at(0, Value::Int32(7)).unwrap();
                    }
                    Value::from(record)
                })
                .boxed()
        }
        Type::Int8 | Type::Int16 | Type::Int64 | Type::Float32 | Type::Float64 | Type::Boolean | Type::Bytes => {
            panic!("none of these has one")
        }
    };
    if !schema.optional() {
        return some;
    }
    prop_oneof![1 => Just(Value::Null), 3 => some].boxed()
}

#[test]
fn what_is_read_is_written_as_it_was() {
    for (text, pairs) in [
        (LIST, &[][..]),
        (TREE, &[]),
        (MUTUAL, &[]),
        (MUTUAL, &[("enhanced.avro.schema.support", "true")]),
        (MUTUAL, &[("generalized.sum.type.support", "true")]),
        (LIST, &[("discard.type.doc.default", "true")]),
    ] {
        let settings = settings(pairs);
        let schema = connect(text, &settings);
        let again = connect(text, &settings);
        assert_eq!(schema, again);
        let written = print::print(&from_connect::from_connect(Some(&schema), &settings).unwrap());
        let back = connect(&written, &settings);
        if pairs.is_empty() && text != MUTUAL {
            assert_eq!(written, text);
        }
        let twice = print::print(&from_connect::from_connect(Some(&back), &settings).unwrap());
        assert_eq!(written, twice);
        // With the version of its subject, which is also that of the record within itself.
        let versioned = to_connect::to_connect(&avro(text), Some(3), &settings).unwrap();
        assert_eq!(versioned.version(), Some(3));
        assert_ne!(versioned, schema);
        from_connect::from_connect(Some(&versioned), &settings).unwrap();
    }
}

#[test]
fn it_is_the_same_whatever_leads_to_it() {
    let settings = settings(&[]);
    let within = r#"{"type":"record","name":"Two","fields":[{"name":"tree","type":TREE},{"name":"same","type":"n.Tree"},
        {"name":"maybe","type":["null","n.Tree"],"default":null},{"name":"list","type":["null",LIST]},
        {"name":"set","type":"n.Node","default":{"value":1,"next":null}}]}"#;
    let text = within.replace("TREE", TREE).replace("LIST", LIST);
    let schema = connect(&text, &settings);
    let field = |name: &str| SchemaRef::clone(&schema.field(name).unwrap().schema);
    assert_eq!(field("tree"), connect(TREE, &settings));
    assert!(SchemaRef::ptr_eq(&field("tree"), &field("same")));
    assert_eq!(field("maybe").fields().unwrap(), field("tree").fields().unwrap());
    let default = field("set").default().unwrap().to_string();
    assert_eq!(default, "Struct{value=1}");
    let tree = field("tree");
    let children = &tree.field("children").unwrap().schema;
    let child = children.value_schema().unwrap();
    assert!(child.is_reference() && child.fields().is_err() && child.lookup_field("text").is_err());
    assert_eq!(*Connect::resolved(child), *field("tree"));
    let written = print::print(&from_connect::from_connect(Some(&schema), &settings).unwrap());
    assert_eq!(connect(&written, &settings), schema);
    // A before B, and B before A.
    let (a, settings) = (avro(MUTUAL), &settings);
    let mut b = a.clone();
    b.set_root(a.names["n.B"]);
    let b = to_connect::to_connect(&b, None, settings).unwrap();
    let a = to_connect::to_connect(&a, None, settings).unwrap();
    let b_of_a = Connect::resolved(&a.field("b").unwrap().schema);
    assert_eq!(b_of_a.fields().unwrap(), b.fields().unwrap());
}

#[test]
fn a_default_may_contain_itself() {
    let settings = settings(&[]);
    let default = r#","default":{"text":"a","children":[{"text":"b","children":[],"by_name":{}}],"by_name":{}}"#;
    let record = |of: &str, default: &str| {
        let of = of.replace("TREE", TREE);
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"tree","type":{of}{default}}}]}}"#)
    };
    let schema = connect(&record("TREE", default), &settings);
    let value = Value::from(Struct::new(SchemaRef::clone(&schema)).unwrap());
    // Also with the schema of another, where it is a branch.
    for of in ["TREE", r#"["string",TREE]"#] {
        let avro = avro(&record(of, ""));
        let bytes = encode(Some(&schema), &value, &avro, &settings).unwrap();
        let (_, back) = decode(&avro, &bytes, &settings).unwrap();
        assert!(back.to_string().contains("Struct{text=b"), "{of}: {back}");
    }
}

#[test]
fn a_list_of_any_length_is_read_to_a_limit() {
    let settings = settings(&[]);
    let avro = avro(LIST);
    let list = |length: usize| {
        let mut bytes = Vec::new();
        for number in 0..length {
            wire::long(number as i64, &mut bytes);
            bytes.push(if number + 1 == length { 0 } else { 2 });
        }
        bytes
    };
    let (schema, value) = decode(&avro, &list(MAX_LEVELS), &settings).unwrap();
    let bytes = encode(schema.as_ref(), &value, &avro, &settings).unwrap();
    assert_eq!(bytes, list(MAX_LEVELS));
    assert_eq!(value, value.clone());
    assert!(
        value
            .to_string()
            .starts_with("Struct{value=0,next=Struct{value=1,next=")
    );
    for length in [MAX_LEVELS + 10, 100_000] {
        let error = decode(&avro, &list(length), &settings).unwrap_err().to_string();
        assert!(
            error.ends_with("n.Node contains itself so often that the value nests deeper than 200 levels"),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
    }
    // Trees use two levels each.
    let deep = |levels: usize| [[0, 2].repeat(levels), vec![0, 0, 0], [0, 0].repeat(levels)].concat();
    let tree = parse::parse(TREE, &[]).unwrap();
    let (_, value) = decode(&tree, &deep(MAX_LEVELS / 2 - 1), &settings).unwrap();
    drop(value);
    assert!(decode(&tree, &deep(MAX_LEVELS / 2 + 1), &settings).is_err());
}

#[test]
fn what_goes_on_without_an_end_is_refused() {
    let settings = settings(&[]);
    let entries = r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":{"type":"array","items":"MapEntry"}}]}}"#;
    let error = to_connect::to_connect(&avro(entries), None, &settings).unwrap_err();
    assert!(error.to_string().contains("a map contains itself"), "{error}");
    // A record whose default is itself.
    let own = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"},{"name":"r","type":"R","default":{"x":1}}]}"#;
    let schema = SchemaBuilder::struct_()
        .name("R")
        .field("x", Connect::int32())
        .build()
        .unwrap();
    let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
    record.put("x", 1).unwrap();
    let error = encode(Some(&schema), &Value::from(record), &avro(own), &settings).unwrap_err();
    assert!(error.to_string().contains("or does not end"), "{error}");
}

#[test]
fn it_may_be_given_another_name_but_not_another_form() {
    let settings = settings(&[]);
    let schema = connect(LIST, &settings);
    let renamed = schema.with_metadata(Some("n.Other"), None);
    let text = print::print(&from_connect::from_connect(Some(&renamed), &settings).unwrap());
    assert_eq!(connect(&text, &settings), renamed);
    let form = SchemaBuilder::struct_().name("n.Node");
    let form = form.field("next", SchemaRef::clone(&schema.field("next").unwrap().schema));
    let error = from_connect::from_connect(Some(&form.build().unwrap()), &settings).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("two different schemas within one are both named n.Node")
    );
}

#[test]
fn a_schema_is_whole_when_only_a_part_of_it_is_left() {
    let settings = settings(&[]);
    let (children, value) = {
        let (schema, value) = decode(&avro(TREE), &[0, 2, 0, 0, 0, 0, 0], &settings).unwrap();
        let children = SchemaRef::clone(&schema.unwrap().field("children").unwrap().schema);
        (children, value.as_struct().unwrap().get("children").unwrap().clone())
    };
    let own = from_connect::from_connect(Some(&children), &settings).unwrap();
    let bytes = encode(Some(&children), &value, &own, &settings).unwrap();
    assert_eq!(bytes, [2, 0, 0, 0, 0]);
    let (schema, again) = decode(&own, &bytes, &settings).unwrap();
    assert_eq!(schema.unwrap(), children);
    assert_eq!(again, value);
}

#[test]
fn any_value_is_read_as_it_was_written() {
    for text in [LIST, TREE, MUTUAL] {
        let settings = settings(&[]);
        let schema = connect(text, &settings);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let check = |value: Value| {
            let (found, again) = there_and_back(Some(&schema), &value, &settings).unwrap();
            prop_assert_eq!(found.unwrap(), SchemaRef::clone(&schema));
            prop_assert_eq!(again, value);
            Ok(())
        };
        runner.run(&value(&schema, 5), check).unwrap();
    }
}

#[test]
fn json_writes_it_without_its_schema_only() {
    let (schema, value) = decode(&avro(LIST), &[2, 2, 4, 0], &settings(&[])).unwrap();
    let write = |enabled: &str| {
        let config: ConfigMap = [("schemas.enable".to_owned(), enabled.to_owned())].into();
        let mut out = Vec::new();
        let mut json = crate::JsonConverter::new(&config).unwrap();
        let written = json.from_connect("t", schema.as_ref(), ValueRef::from(&value), &mut out);
        written.map(|_| ()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    };
    assert_eq!(
        write("false"),
        Ok(r#"{"value":1,"next":{"value":2,"next":null}}"#.to_owned())
    );
    let error: String = write("true").unwrap_err();
    assert!(
        error.contains("the schema n.Node contains itself, which JsonConverter has no words for"),
        "{error}"
    );
}
