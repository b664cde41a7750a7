use super::*;
use dray_connect::offset::{OffsetMap, Primitive};
use dray_connect::schema::Schema;
use dray_runtime::preview::Failed;
use serde_json::json;

fn seen(key: Part, value: Part) -> Seen {
    Seen {
        stage: "polled".into(),
        class: None,
        outcome: preview::Outcome::Input,
        topic: "t".into(),
        partition: None,
        offset: None,
        timestamp: Some(9),
        source: None,
        key,
        value,
        headers: vec![],
        error: None,
    }
}

fn shown(seen: Seen) -> Snapshot {
    let mut show = Show::new(Hidden::default()).unwrap();
    show.snapshots(&[seen]).remove(0)
}

#[test]
fn data_and_bytes_are_told_apart() {
    let data = Part::Data(SchemaAndValue::new(Schema::int64(), 7_i64));
    let snapshot = shown(seen(data, Part::Bytes(Some("7\u{e4}".as_bytes().to_vec()))));
    assert_eq!(snapshot.key.schema, json!({"type": "int64", "optional": false}));
    assert_eq!((&snapshot.key.value, &snapshot.key.stored), (&json!(7), &None));
    let stored = Stored {
        bytes: 3,
        encoding: "utf-8".into(),
    };
    assert_eq!(
        (snapshot.value.value, snapshot.value.stored),
        (json!("7\u{e4}"), Some(stored))
    );
    let none = shown(seen(Part::Bytes(None), Part::Bytes(Some(vec![]))));
    assert_eq!((none.key.value, none.key.stored), (Json::Null, None));
    assert_eq!((none.value.value, none.value.stored.unwrap().bytes), (json!(""), 0));
}

/// What `dray transform test` has printed so far stays as it was, and what is printed can be read back.
#[test]
fn what_a_record_does_not_have_is_not_there() {
    let plain = shown(seen(Part::Bytes(None), Part::Data(SchemaAndValue::NULL)));
    let json = serde_json::to_value(&plain).unwrap();
    let nothing = json!({"schema": null, "schema_text": "none", "value": null});
    assert_eq!(
        json,
        json!({
            "stage": "polled", "class": null, "outcome": "input", "topic": "t", "partition": null, "timestamp": 9,
            "key": nothing, "value": nothing, "headers": [], "error": null,
        })
    );
    assert_eq!(Snapshot::deserialize(json).unwrap(), plain);

    let offset = OffsetMap::new().with("position", Primitive::Long(4));
    let failed = Failed {
        stage: "VALUE_CONVERTER",
        class: "x.DataException".into(),
        message: "no".into(),
    };
    let full = shown(Seen {
        source: Some((OffsetMap::new(), offset)),
        offset: Some(3),
        error: Some(failed),
        outcome: preview::Outcome::Failed,
        ..seen(Part::Bytes(Some(vec![0xff])), Part::Data(SchemaAndValue::NULL))
    });
    let json = serde_json::to_value(&full).unwrap();
    assert_eq!(json["source"], json!({"partition": {}, "offset": {"position": 4}}));
    assert_eq!(json["key"]["stored"], json!({"bytes": 1, "encoding": "base64"}));
    assert_eq!(
        (&json["offset"], &json["error"]["stage"]),
        (&json!(3), &json!("VALUE_CONVERTER"))
    );
    assert_eq!(Snapshot::deserialize(json).unwrap(), full);
}

#[test]
fn what_is_hidden_is_in_no_corner_of_an_object() {
    let hidden = Hidden::default();
    hidden.add("sesame", "${f:word}");
    hidden.add("4711", "${f:number}");
    let mut json = json!({"open sesame": [1, 4711, "x4711", {"a": ["sesame"]}], "b": null, "c": true});
    hide(&hidden, &mut json);
    assert_eq!(
        json,
        json!({"open ${f:word}": [1, "${f:number}", "x${f:number}", {"a": ["${f:word}"]}], "b": null, "c": true})
    );
}
