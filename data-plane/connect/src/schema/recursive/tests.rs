use std::sync::Arc;

use super::RecursiveBuilder;
use crate::backing::Backing;
use crate::projector::project;
use crate::schema::{Schema, SchemaBuilder, SchemaRef, validate_value};
use crate::structs::Struct;
use crate::value::Value;

/// `Node{value, next: Node?, more: [Node]}`
fn node(name: &str) -> SchemaRef {
    let mut family = RecursiveBuilder::new(1);
    let next = RecursiveBuilder::reference(0).optional().build().unwrap();
    let more = SchemaBuilder::array(RecursiveBuilder::reference(0).build().unwrap());
    let node = SchemaBuilder::struct_()
        .name(name)
        .field("value", Schema::int32())
        .field("next", next)
        .field("more", more.build().unwrap());
    family.define(0, node.build().unwrap()).unwrap();
    family.build().unwrap().schema(0)
}

fn of(schema: &SchemaRef, value: i32, next: Value, more: Vec<Value>) -> Value {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    record.put("value", value).unwrap();
    record.put("next", next).unwrap();
    record.put("more", Value::Array(more)).unwrap();
    record.into()
}

fn next(schema: &SchemaRef) -> SchemaRef {
    SchemaRef::clone(&schema.field("next").unwrap().schema)
}

#[test]
fn equality_and_texts_end() {
    let (a, b) = (node("Node"), node("Node"));
    assert_eq!(a, b);
    assert_ne!(a, node("Other"));
    assert!(next(&a).refers_to_same(&next(&b)));
    assert_ne!(
        next(&a),
        *a.field("more").unwrap().schema.value_schema().unwrap(),
        "null is allowed in one"
    );
    assert_eq!(next(&a).to_string(), "Schema{Node:STRUCT}");
    assert!(format!("{a:?}").contains("Family of 1"));
    // Definitions count, and not only their names.
    let mut family = RecursiveBuilder::new(1);
    let next_only = RecursiveBuilder::reference(0).optional().build().unwrap();
    let shorter = SchemaBuilder::struct_()
        .name("Node")
        .field("next", next_only)
        .build()
        .unwrap();
    family.define(0, shorter).unwrap();
    let shorter = family.build().unwrap().schema(0);
    assert_ne!(next(&a), next(&shorter));
}

#[test]
fn a_reference_has_all_but_fields() {
    let a = node("Node");
    let reference = next(&a);
    assert!(reference.is_reference() && !a.is_reference());
    assert_eq!((reference.name(), reference.optional()), (Some("Node"), true));
    let error = reference.fields().unwrap_err().to_string();
    assert!(error.starts_with("Node stands within itself here"), "{error}");
    assert!(reference.field("value").is_none());
    assert!(reference.lookup_field("value").is_err());
    let resolved = Schema::resolved(&reference);
    assert!(resolved.optional() && Arc::ptr_eq(&resolved, &Schema::resolved(&reference)));
    assert_eq!(resolved.fields().unwrap(), a.fields().unwrap());
    assert!(Arc::ptr_eq(&Schema::resolved(&a), &a));
    // A builder that starts as a copy is one of a reference.
    let required = reference.to_builder().required().build().unwrap();
    assert_eq!(Schema::resolved(&required), a);
    let error = reference.to_builder().field("x", Schema::int8()).build().unwrap_err();
    assert_eq!(error.to_string(), "Cannot create fields on a reference");
}

#[test]
fn values_are_checked_all_the_way_down() {
    let a = node("Node");
    let inner = |value| of(&next(&a), value, Value::Null, Vec::new());
    let element = SchemaRef::clone(a.field("more").unwrap().schema.value_schema().unwrap());
    let value = of(&a, 1, inner(2), vec![of(&element, 3, inner(4), Vec::new())]);
    validate_value(&a, &value).unwrap();
    let text =
        "Struct{value=1,next=Struct{value=2,more=[]},more=[Struct{value=3,next=Struct{value=4,more=[]},more=[]}]}";
    assert_eq!(value.to_string(), text);
    let mut record = Struct::new(SchemaRef::clone(&a)).unwrap();
    let error = record
        .put("next", of(&node("Other"), 1, Value::Null, Vec::new()))
        .unwrap_err();
    assert_eq!(error.to_string(), "Struct schemas do not match.");
    // In and out of a batch.
    let mut batch = Backing::default();
    let datum = batch.value(&value);
    assert_eq!(datum.view(&batch).to_value(), value);
    let id = batch.schema(&next(&a));
    assert_eq!(batch.schema(&next(&a)), id);
    assert!(!batch.schema_of(id).is_reference());
    // Another schema of more fields, by the same names.
    let more = node("Node");
    assert_eq!(project(&a, &value, &more).unwrap(), value);
}

#[test]
fn nothing_is_left_once_nobody_has_it() {
    let a = node("Node");
    let weak = Arc::downgrade(&a);
    let more = SchemaRef::clone(&a.field("more").unwrap().schema);
    let inner = Schema::resolved(&next(&a));
    let weak_inner = Arc::downgrade(&inner);
    drop((a, inner));
    assert!(
        weak.upgrade().is_none() && weak_inner.upgrade().is_none(),
        "a ring in memory"
    );
    // What is left of it says all the same what it is.
    assert_eq!(Schema::resolved(more.value_schema().unwrap()), node("Node"));
}

#[test]
fn what_is_not_whole_is_refused() {
    assert!(RecursiveBuilder::new(1).build().is_err());
    let mut family = RecursiveBuilder::new(1);
    assert!(family.define(0, Schema::int8()).is_err());
    assert!(family.define(1, node("Node")).is_err());
    // Defaults and null belong to a place.
    let with = SchemaBuilder::struct_().name("S").optional().build().unwrap();
    family.define(0, with).unwrap();
    assert!(!family.build().unwrap().schema(0).optional());
}
