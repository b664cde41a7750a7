//! `InsertField$Key` and `InsertField$Value`: adds fields with what is known about the record, or with a fixed text.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use dray_connect::backing::{Backing, TopicId};
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use dray_connect::datum::Datum;
use dray_connect::logical::{timestamp_builder, timestamp_schema};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::record::{MapMut, Shape};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Origin, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "InsertField",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(InsertField::new(side, config)?)),
};

const PURPOSE: &str = "field insertion";

fn definition() -> ConfigDef {
    let text = |name: &str, doc: String| {
        ConfigKey::new(name, ConfigType::String)
            .default_null()
            .importance(Importance::Medium)
            .doc(doc)
    };
    let field = |name: &str, what: &str| {
        text(
            name,
            format!("Name of a field for {what}. With ! at its end the field is required, with ? or neither optional."),
        )
    };
    ConfigDef::new()
        .define(field("topic.field", "the topic"))
        .define(field("partition.field", "the partition"))
        .define(field("offset.field", "the offset, which only records of sinks have"))
        .define(field("timestamp.field", "the timestamp of the record"))
        .define(field("static.field", "the text of static.value"))
        .define(text(
            "static.value",
            "The text of the field that static.field names.".to_owned(),
        ))
        .define(replace_null())
}

struct InsertField {
    side: Side,
    insertions: Vec<Insertion>,
    replace_null: bool,
    plans: Plans<Plan>,
    /// Where in a map each of the insertions goes: to an entry, or behind the last under this name.
    places: Shape<Vec<Place>>,
}

enum Place {
    At(usize),
    New(Datum),
}

/// A field to add.
struct Insertion {
    name: Arc<str>,
    optional: bool,
    what: What,
}

enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(Arc<str>),
}

/// The schema with the new fields at its end.
struct Plan {
    schema: SchemaRef,
    defaults: Defaults,
}

impl InsertField {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let text = config.string("static.value");
        let mut insertions = Vec::new();
        // In the order in which Connect appends them.
        for (key, what) in [
            ("topic.field", What::Topic),
            ("partition.field", What::Partition),
            ("offset.field", What::Offset),
            ("timestamp.field", What::Timestamp),
            ("static.field", What::Static(text.unwrap_or_default().into())),
        ] {
            let Some(name) = config.string(key) else { continue };
            let (name, optional) = match name.strip_suffix('?') {
                Some(name) => (name, true),
                None => name.strip_suffix('!').map_or((name, true), |name| (name, false)),
            };
            insertions.push(Insertion {
                name: name.into(),
                optional,
                what,
            });
        }
        if insertions.is_empty() {
            return Err(Error::config("No field insertion configured"));
        }
        if let (Some(field), None) = (config.string("static.field"), text) {
            // Java prints the identity of an object in place of the name.
            let problem = format!("No value specified for static field: {field}");
            return Err(Error::invalid_config("static.value", None, Some(&problem)));
        }
        Ok(Self {
            side,
            insertions,
            replace_null: config.boolean(REPLACE_NULL)?,
            plans: Plans::default(),
            places: Shape::default(),
        })
    }
}

impl What {
    fn schema(&self, optional: bool) -> SchemaRef {
        static OPTIONAL_TIMESTAMP: LazyLock<SchemaRef> = LazyLock::new(|| {
            let builder = timestamp_builder().optional();
            builder.build().expect("a timestamp can be optional")
        });
        match (self, optional) {
            (Self::Topic | Self::Static(_), true) => Schema::optional_string(),
            (Self::Topic | Self::Static(_), false) => Schema::string(),
            (Self::Partition, true) => Schema::optional_int32(),
            (Self::Partition, false) => Schema::int32(),
            (Self::Offset, true) => Schema::optional_int64(),
            (Self::Offset, false) => Schema::int64(),
            (Self::Timestamp, true) => Arc::clone(&OPTIONAL_TIMESTAMP),
            (Self::Timestamp, false) => timestamp_schema(),
        }
    }
}

/// Where the insertions go in such a map; none where one of them goes to the place of another.
fn places(map: &mut MapMut<'_>, insertions: &[Insertion]) -> Option<Vec<Place>> {
    let distinct: HashSet<&str> = insertions.iter().map(|new| &*new.name).collect();
    let place = |new: &Insertion| match map.find(&new.name) {
        Some(index) => Place::At(index),
        None => Place::New(map.backing_mut().constant(&new.name)),
    };
    let places = insertions.iter().map(place).collect();
    (distinct.len() == insertions.len()).then_some(places)
}

/// What is known about a record.
struct Known {
    topic: TopicId,
    partition: Option<i32>,
    timestamp: Option<i64>,
    origin: Origin,
}

impl Known {
    fn of(record: &ConnectRecord<'_>) -> Self {
        Self {
            topic: record.topic_id(),
            partition: record.kafka_partition,
            timestamp: record.timestamp,
            origin: record.origin(),
        }
    }

    /// Refuses a record that has no offset where one is to be inserted.
    fn check(&self, insertions: &[Insertion]) -> Result<()> {
        if self.origin == Origin::Source && insertions.iter().any(|new| matches!(new.what, What::Offset)) {
            let class = self.origin.java_class();
            return Err(Error::data(format!(
                "Only SinkRecord supported for [{PURPOSE}], found: {class}"
            )));
        }
        Ok(())
    }

    /// The value to insert; none when it is not known. `timestamp` says what a timestamp is.
    #[inline]
    fn value(&self, what: &What, timestamp: fn(i64) -> Datum, backing: &mut Backing) -> Option<Datum> {
        match what {
            What::Topic => Some(backing.topic_text(self.topic)),
            What::Partition => self.partition.map(Datum::Int32),
            What::Offset => match self.origin {
                Origin::Sink { offset } => Some(Datum::Int64(offset)),
                Origin::Source => None,
            },
            What::Timestamp => self.timestamp.map(timestamp),
            What::Static(text) => Some(backing.constant(text)),
        }
    }
}

fn plan(schema: &SchemaRef, insertions: &[Insertion], replace_null: bool) -> Result<Plan> {
    let mut builder = copy_schema_basics(schema, SchemaBuilder::struct_());
    for field in schema.fields()? {
        builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
    }
    for new in insertions {
        builder = builder.field(Arc::clone(&new.name), new.what.schema(new.optional));
    }
    Ok(Plan {
        schema: builder.build()?,
        defaults: Defaults::of(schema, replace_null)?,
    })
}

impl Transformation for InsertField {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(self.side) {
            return Ok(Applied::Kept);
        }
        let known = Known::of(record);
        if record.schema(self.side).is_none() {
            let mut map = record.map(self.side, PURPOSE)?;
            known.check(&self.insertions)?;
            let places = self.places.plan(&mut map, |map| places(map, &self.insertions));
            for (number, new) in self.insertions.iter().enumerate() {
                let Some(value) = known.value(&new.what, Datum::Int64, map.backing_mut()) else {
                    continue;
                };
                match places.and_then(|places| places.get(number)) {
                    Some(Place::At(index)) => map.set(*index, value),
                    Some(Place::New(name)) => map.append(*name, value),
                    None => map.put(&new.name, value),
                }
            }
            return Ok(Applied::Kept);
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = self.plans.get(fields.schema(), |schema| {
            plan(schema, &self.insertions, self.replace_null)
        })?;
        fields.change(|values, backing| plan.defaults.fill(values, backing));
        fields.refuse_null()?;
        known.check(&self.insertions)?;
        fields.reshape(&plan.schema, |values, backing| {
            for new in &self.insertions {
                // What is not known is left unset, also where the new field is required.
                let value = known.value(&new.what, Datum::Date, backing);
                values.push(value.unwrap_or_default());
            }
        });
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::{SchemaAndValue, Value};

    use super::*;
    use crate::testing::{Record, apply, map, record, refused, structure};

    const INSERT: &str = "InsertField$Value";
    const ALL: [(&str, &str); 6] = [
        ("topic.field", "topic"),
        ("partition.field", "partition!"),
        ("offset.field", "offset?"),
        ("timestamp.field", "timestamp"),
        ("static.field", "static!"),
        ("static.value", "text"),
    ];

    fn of_sink(value: SchemaAndValue) -> Record {
        Record {
            partition: Some(3),
            timestamp: Some(1000),
            origin: Origin::Sink { offset: 42 },
            ..record(value)
        }
    }

    fn shown(keys: &[(&str, &str)], record: &Record) -> Result<String, String> {
        apply(INSERT, keys, record).map(|result| result.value.value.java_to_string())
    }

    #[test]
    fn schemaless_fields_are_put_over_those_that_are_there() {
        let given = of_sink(map([("topic", "before".into()), ("a", 1.into())]));
        assert_eq!(
            shown(&ALL, &given).unwrap(),
            "{topic=t, a=1, partition=3, offset=42, timestamp=1000, static=text}"
        );
        let unknown = Record {
            partition: None,
            timestamp: None,
            ..given
        };
        assert_eq!(shown(&ALL, &unknown).unwrap(), "{topic=t, a=1, offset=42, static=text}");
        assert_eq!(
            shown(&ALL, &record(unknown.value)),
            Err(
                "Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord"
                    .to_owned()
            )
        );
    }

    fn schema() -> SchemaRef {
        let with_default = SchemaBuilder::string().optional().default_value("d".into());
        let builder = SchemaBuilder::struct_().name("n").optional();
        builder.field("a", with_default.build().unwrap()).build().unwrap()
    }

    #[test]
    fn with_a_schema_the_fields_are_appended_to_it() {
        let given = of_sink(structure(&schema(), [Value::Null]));
        let result = apply(INSERT, &ALL, &given).unwrap().value;
        assert_eq!(
            result.value.java_to_string(),
            "Struct{a=d,topic=t,partition=3,offset=42,timestamp=Thu Jan 01 00:00:01 UTC 1970,static=text}"
        );
        let expected = SchemaBuilder::struct_()
            .name("n")
            .field("a", Arc::clone(&schema().fields().unwrap()[0].schema))
            .field("topic", Schema::optional_string())
            .field("partition", Schema::int32())
            .field("offset", Schema::optional_int64())
            .field("timestamp", timestamp_builder().optional().build().unwrap())
            .field("static", Schema::string())
            .build()
            .unwrap();
        assert_eq!(result.schema, Some(expected));
        let keep_null = [("topic.field", "topic"), ("replace.null.with.default", "false")];
        assert_eq!(shown(&keep_null, &given).unwrap(), "Struct{topic=t}");
    }

    #[test]
    fn what_is_not_known_stays_unset_even_where_it_is_required() {
        let given = record(structure(&schema(), ["x".into()]));
        let keys = [("partition.field", "p!"), ("timestamp.field", "at!")];
        assert_eq!(shown(&keys, &given).unwrap(), "Struct{a=x}");
        assert!(shown(&[("offset.field", "o")], &given).is_err());
    }

    #[test]
    fn null_passes_and_what_cannot_be_done_is_refused() {
        let null = record(SchemaAndValue::NULL);
        assert_eq!(apply(INSERT, &ALL, &null).unwrap().value, SchemaAndValue::NULL);
        let tombstone = SchemaAndValue::new(schema(), Value::Null);
        assert_eq!(
            apply(INSERT, &ALL, &record(tombstone.clone())).unwrap().value,
            tombstone
        );
        let given = record(structure(&schema(), ["x".into()]));
        assert_eq!(
            shown(&[("topic.field", "a")], &given),
            Err("Cannot create field because of field name duplication a".to_owned())
        );
        let required = SchemaBuilder::struct_().field("r", Schema::int8()).build().unwrap();
        assert_eq!(
            shown(&[("topic.field", "a")], &record(structure(&required, [Value::Null]))),
            Err("Invalid value: null used for required field: \"r\", schema type: INT8".to_owned())
        );
        assert_eq!(
            shown(&[("topic.field", "a")], &record(SchemaAndValue::schemaless(7))),
            Err(
                "Only Map objects supported in absence of schema for [field insertion], found: java.lang.Integer"
                    .to_owned()
            )
        );
    }

    #[test]
    fn wrong_keys_are_refused() {
        assert_eq!(refused(INSERT, &[]), "No field insertion configured");
        assert_eq!(
            refused(INSERT, &[("static.field", "s!")]),
            "Invalid value null for configuration static.value: No value specified for static field: s!"
        );
    }
}
