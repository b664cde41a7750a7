//! Records of a few names that stand for very many: each has two of the next one. A plan that has each of them by itself takes all of the memory.

use super::*;

/// So many names: as deep as a JSON text may nest.
const NAMES: usize = 28;

/// Of names that begin so, with a leaf that has these fields. Where null is allowed a value may be small.
fn doubling(prefix: &str, leaf: &str, optional: bool) -> String {
    let of = |of: String| if optional { format!(r#"["null",{of}]"#) } else { of };
    let mut text = format!(r#"{{"type":"record","name":"{prefix}{NAMES}","fields":[{leaf}]}}"#);
    for n in (0..NAMES).rev() {
        let again = of(format!(r#""{prefix}{}""#, n + 1));
        text = format!(
            r#"{{"type":"record","name":"{prefix}{n}","fields":[{{"name":"a","type":{}}},{{"name":"b","type":{again}}}]}}"#,
            of(text)
        );
    }
    text
}

const X: &str = r#"{"name":"x","type":"int"}"#;

fn parsed(text: &str) -> Schema {
    parse::parse(text, &[]).unwrap()
}

/// One of each name, and null beside.
fn chain(schema: &SchemaRef) -> Value {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    match schema.field("a") {
        Some(field) => record.put("a", chain(&field.schema)).unwrap(),
        None => record.put("x", 7).unwrap(),
    };
    Value::from(record)
}

#[test]
fn they_are_read_and_written() {
    let (avro, settings) = (parsed(&doubling("A", X, true)), settings(&[]));
    let schema = to_connect::to_connect(&avro, None, &settings).unwrap();
    let value = chain(&schema);
    let bytes = encode(Some(&schema), &value, &avro, &settings).unwrap();
    // A branch of each `a`, the leaf, and null for each `b`.
    assert_eq!(bytes, [vec![2; NAMES], vec![14], vec![0; NAMES]].concat());
    assert_eq!(
        decode(&avro, &bytes, &settings).unwrap().1.to_string(),
        value.to_string()
    );
    // By the schema that is made of Connect's, too.
    let own = from_connect::from_connect(Some(&schema), &settings).unwrap();
    assert_eq!(encode(Some(&schema), &value, &own, &settings).unwrap(), bytes);
    // Where all of them have to be there, a message is too short for them.
    let avro = parsed(&doubling("A", X, false));
    assert!(decode(&avro, &[14; 1_000], &settings).is_err());
}

#[test]
fn what_does_not_fit_is_found_once() {
    let settings = settings(&[]);
    let schema = to_connect::to_connect(&parsed(&doubling("A", X, true)), None, &settings).unwrap();
    let value = chain(&schema);
    let other = parsed(&doubling("A", r#"{"name":"x","type":"string"}"#, true));
    let error = encode(Some(&schema), &value, &other, &settings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be written as Avro's string"), "{error}");
}

#[test]
fn as_others_they_are_refused_and_passed_over() {
    let writer = parsed(&doubling("A", X, true));
    let schema = to_connect::to_connect(&writer, None, &settings(&[])).unwrap();
    let bytes = encode(Some(&schema), &chain(&schema), &writer, &settings(&[])).unwrap();
    let read = |reader: &str| {
        let reader = parsed(reader);
        let connect = to_connect::to_connect(&reader, None, &settings(&[])).unwrap();
        let (plan, _cells) = resolve::resolve(&Arc::new(writer.clone()), &reader, Some(&connect))?;
        let mut batch = Backing::default();
        let span = batch.copy(&bytes);
        let mut out = Out {
            batch: &mut batch,
            span,
            stack: &mut Vec::new(),
            levels: MAX_LEVELS,
        };
        let datum = plan.read(&mut Bytes::new(&bytes, 0), &mut out)?;
        Ok::<_, Error>(datum.view(&batch).to_value().to_string())
    };
    let error = read(&doubling("A", r#"{"name":"x","type":"long"}"#, true)).unwrap_err();
    assert!(
        error.to_string().ends_with("have more than 200000 types to compare"),
        "{error}"
    );
    let nothing = r#"{"type":"record","name":"A0","fields":[{"name":"new","type":"int","default":5}]}"#;
    assert_eq!(read(nothing).unwrap(), "Struct{new=5}");
}

#[test]
fn what_takes_no_bytes_is_refused() {
    for leaf in ["", r#"{"name":"x","type":{"type":"fixed","name":"F","size":0}}"#] {
        let error = parsed(&doubling("A", leaf, false)).check_empty().unwrap_err();
        let expected = "takes no bytes and has more than 50000 parts";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(parsed(&doubling("A", leaf, true)).check_empty().is_ok());
    }
    assert!(parsed(&doubling("A", X, false)).check_empty().is_ok());
    let few = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"E","fields":[]}}]}"#;
    assert!(parsed(few).check_empty().is_ok());
    assert!(
        parsed(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"R"}]}"#)
            .check_empty()
            .is_ok()
    );
}
