//! Tables of bytes and of the values that they are.

use super::schemas::{color, optional};
use super::*;

const LISTS: &str = "syntax = \"proto3\"; message M { int32 a = 1; repeated int32 list = 2; In in = 3; map<string, int32> m = 4; \
     repeated In many = 5; string s = 6; repeated string texts = 7; sint64 z = 8; } \
     message In { int32 x = 1; int32 y = 2; repeated string t = 3; }";

#[test]
fn fields_come_in_any_order_and_number() {
    let nothing = "Struct{a=0,list=[],m={},many=[],s=,texts=[],z=0}";
    for (bytes, expected) in [
        (&[][..], nothing),
        // The last one counts.
        (&[8, 1, 8, 2], "Struct{a=2,list=[],m={},many=[],s=,texts=[],z=0}"),
        // Packed, one by one, and both.
        (&[0x12, 2, 1, 2], "Struct{a=0,list=[1, 2],m={},many=[],s=,texts=[],z=0}"),
        (
            &[0x10, 1, 0x10, 2],
            "Struct{a=0,list=[1, 2],m={},many=[],s=,texts=[],z=0}",
        ),
        (
            &[0x10, 1, 8, 9, 0x12, 2, 2, 3, 0x12, 0, 0x10, 4],
            "Struct{a=9,list=[1, 2, 3, 4],m={},many=[],s=,texts=[],z=0}",
        ),
        // A message that comes twice is one.
        (
            &[0x1a, 4, 8, 1, 0x10, 2, 8, 5, 0x1a, 5, 8, 7, 0x1a, 1, b'x'],
            "Struct{a=5,list=[],in=Struct{x=7,y=2,t=[x]},m={},many=[],s=,texts=[],z=0}",
        ),
        (
            &[0x1a, 0],
            "Struct{a=0,list=[],in=Struct{x=0,y=0,t=[]},m={},many=[],s=,texts=[],z=0}",
        ),
        // Of a map's entries the last one of a key counts; what an entry lacks has its default.
        (
            &[
                0x22, 5, 0x0a, 1, b'k', 0x10, 1, 0x22, 5, 0x0a, 1, b'k', 0x10, 2, 0x22, 0,
            ],
            "Struct{a=0,list=[],m={k=2, =0},many=[],s=,texts=[],z=0}",
        ),
        (
            &[0x2a, 2, 8, 1, 0x32, 1, b's', 0x2a, 0],
            "Struct{a=0,list=[],m={},many=[Struct{x=1,y=0,t=[]}, Struct{x=0,y=0,t=[]}],s=s,texts=[],z=0}",
        ),
        (
            &[0x3a, 0, 0x3a, 1, b'b', 0x40, 3],
            "Struct{a=0,list=[],m={},many=[],s=,texts=[, b],z=-2}",
        ),
        // Nobody knows these: a number, eight bytes, a text, a group and four bytes.
        (
            &[
                0x78, 1, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 1, 0, 0x7b, 8, 1, 0x7c, 0x7d, 1, 2, 3, 4, 8, 3,
            ],
            "Struct{a=3,list=[],m={},many=[],s=,texts=[],z=0}",
        ),
        // Numbers may be longer than they need be, and negative ones have ten bytes.
        (&[8, 0x81, 0x80, 0], "Struct{a=1,list=[],m={},many=[],s=,texts=[],z=0}"),
        (
            &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            "Struct{a=-1,list=[],m={},many=[],s=,texts=[],z=0}",
        ),
    ] {
        check(LISTS, bytes, &[], expected);
    }
}

#[test]
fn malformed_bytes_say_where() {
    for (bytes, expected) in [
        (&[8][..], "a: malformed data: it ends before the message does"),
        (&[0x80], "malformed data: it ends before the message does"),
        (&[8, 0x80], "a: malformed data: it ends before the message does"),
        (&[0x32, 5, b'a'], "s: malformed data: it ends before the message does"),
        (
            &[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            "s: malformed data: it ends before the message does",
        ),
        (&[0x32, 1, 0xff], "s: malformed data: a text is not UTF-8"),
        (&[0x3a, 1, 0xff], "texts: malformed data: a text is not UTF-8"),
        (&[0, 0], "malformed data: there is no field number 0"),
        (&[0xff; 11], "malformed data: a number of more than ten bytes"),
        (
            &[9, 1, 2, 3, 4, 5, 6, 7, 8],
            "a: malformed data: field 1 comes with wire type 1, which its type is not written with",
        ),
        (
            &[0x30, 1],
            "s: malformed data: field 6 comes with wire type 0, which its type is not written with",
        ),
        (
            &[0x18, 1],
            "in: malformed data: field 3 comes with wire type 0, which its type is not written with",
        ),
        (
            &[0x15, 1, 2, 3, 4],
            "list: malformed data: field 2 comes with wire type 5, which its type is not written with",
        ),
        (
            &[0x12, 2, 1, 0x80],
            "list: malformed data: it ends before the message does",
        ),
        (
            &[0x1a, 2, 8, 0x80],
            "in: x: malformed data: it ends before the message does",
        ),
        (
            &[0x2a, 0, 0x2a, 1, 8],
            "many: 1: x: malformed data: it ends before the message does",
        ),
        (
            &[0x22, 2, 0x10, 0x80],
            "m: 0: value: malformed data: it ends before the message does",
        ),
        (&[0x7b], "malformed data: it ends before the message does"),
        (&[0x7c], "malformed data: the end of a group that was not begun"),
        (&[0x7e], "malformed data: there is no wire type 6"),
    ] {
        check(LISTS, bytes, &[], &format!("error: {expected}"));
    }
}

#[test]
fn one_of_several() {
    let text = "syntax = \"proto3\"; message M { oneof u { int32 a = 1; In b = 2; string c = 3; } int32 x = 9; } \
                message In { int32 x = 1; int32 y = 2; }";
    for (bytes, expected, flat) in [
        (&[][..], "Struct{x=0}", "Struct{x=0}"),
        (&[8, 0], "Struct{u_0=Struct{a=0},x=0}", "Struct{a=0,x=0}"),
        (&[8, 1, 0x1a, 0], "Struct{u_0=Struct{c=},x=0}", "Struct{c=,x=0}"),
        // Parts of one message are merged, unless another member came between.
        (
            &[0x12, 2, 8, 1, 0x48, 7, 0x12, 2, 0x10, 2],
            "Struct{u_0=Struct{b=Struct{x=1,y=2}},x=7}",
            "Struct{b=Struct{x=1,y=2},x=7}",
        ),
        (
            &[0x12, 2, 8, 1, 8, 5, 0x12, 2, 0x10, 2],
            "Struct{u_0=Struct{b=Struct{x=0,y=2}},x=0}",
            "Struct{b=Struct{x=0,y=2},x=0}",
        ),
        (&[0x12, 2, 8, 1, 8, 5], "Struct{u_0=Struct{a=5},x=0}", "Struct{a=5,x=0}"),
    ] {
        check(text, bytes, &[], expected);
        check(text, bytes, &[("flatten.unions", "true")], flat);
    }
    check(
        text,
        &[0x12, 1, 8],
        &[],
        "error: b: x: malformed data: it ends before the message does",
    );
}

#[test]
fn what_does_not_come() {
    let text = "syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; enum E { ZERO = 0; ONE = 1; } \
                \
                message M { optional int32 o = 1; In in = 2; google.protobuf.Int32Value w = 3; E e = 4; bytes b = 5; bool t = 6; } \
                message In { optional int32 o = 1; string s = 2; }";
    let bytes = Value::from(Vec::<u8>::new()).to_string();
    check(text, &[], &[], &format!("Struct{{e=ZERO,b={bytes},t=false}}"));
    check(
        text,
        &[],
        &[("generate.struct.for.nulls", "true"), ("int.for.enums", "true")],
        &format!("Struct{{o=0,in=Struct{{o=0,s=}},w=0,e=0,b={bytes},t=false}}"),
    );
    // An open enum has other numbers too.
    let open = "syntax = \"proto3\"; enum E { ZERO = 0; } message M { E e = 1; repeated E es = 2; }";
    check(
        open,
        &[8, 7, 0x12, 2, 0, 8],
        &[],
        "Struct{e=UNKNOWN_ENUM_VALUE_E_7,es=[ZERO, UNKNOWN_ENUM_VALUE_E_8]}",
    );
    check(open, &[8, 7], &[("int.for.enums", "true")], "Struct{e=7,es=[]}");
}

#[test]
fn proto2() {
    let text = "syntax = \"proto2\"; enum E { FIRST = 3; OTHER = 4; } \
                message M { optional int32 a = 1 [default = 7]; required string s = 2; optional E e = 3; repeated E es = 4; \
                optional string t = 5 [default = \"x\"]; oneof u { int32 m = 6; } repeated int32 p = 7 [packed = true]; extensions 100 to 200; }";
    check(text, &[], &[], "Struct{s=,es=[],p=[]}");
    check(
        text,
        &[],
        &[("optional.for.proto2", "false")],
        "Struct{a=7,s=,e=FIRST,es=[],t=x,p=[]}",
    );
    // A number that a closed enum has no symbol for is as good as not there; a text may be anything.
    check(
        text,
        &[0x18, 9, 0x20, 4, 0x20, 9, 0x12, 1, 0xff, 0x3a, 1, 5, 0x38, 6],
        &[],
        "Struct{s=\u{fffd},es=[OTHER],p=[5, 6]}",
    );
    check(
        text,
        &[0x18, 9, 0x22, 2, 3, 9],
        &[("int.for.enums", "true")],
        "Struct{s=,es=[3],p=[]}",
    );
    check(
        text,
        &[0x18, 4, 0x18, 9, 0x30, 0],
        &[],
        "Struct{u_0=Struct{m=0},s=,e=OTHER,es=[],p=[]}",
    );
}

#[test]
fn maps_that_are_messages() {
    let text = "syntax = \"proto3\"; message M { repeated ShoesEntry shoes = 1; message ShoesEntry { option map_entry = true; \
                string key = 1; In value = 2; message In { int32 x = 1; } } }";
    check(text, &[0x0a, 3, 0x0a, 1, b'k'], &[], "Struct{shoes={k=Struct{x=0}}}");
    let not = "syntax = \"proto3\"; message M { repeated Shoes shoes = 1; message Shoes { string key = 1; int32 value = 2; } }";
    check(
        not,
        &[0x0a, 3, 0x0a, 1, b'k'],
        &[],
        "Struct{shoes=[Struct{key=k,value=0}]}",
    );
}

#[test]
fn well_known_types() {
    let text = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/type/date.proto\"; \
                import \"google/type/timeofday.proto\"; import \"confluent/type/decimal.proto\"; \
                message M { google.protobuf.Timestamp ts = 1; google.type.Date d = 2; google.type.TimeOfDay t = 3; \
                confluent.type.Decimal n = 4; }";
    let file = File::parse(text, &[]).unwrap();
    let of = |bytes: &[u8]| {
        let found = decode_message(&file, &[0], bytes, &settings(&[]));
        found.map(|(_, value)| {
            let record = value.as_struct().unwrap();
            record.values().iter().find(|value| !value.is_null()).unwrap().clone()
        })
    };
    let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
    for (bytes, expected) in [
        (&[0x0a, 0][..], Value::Date(0)),
        (&[0x0a, 6, 8, 1, 0x10, 0xc0, 0x84, 0x3d], Value::Date(1001)),
        (
            &[0x12, 7, 8, 0xea, 0x0f, 0x10, 1, 0x18, 2],
            Value::Date(1_767_312_000_000),
        ),
        (&[0x12, 6, 8, 1, 0x10, 1, 0x18, 1], Value::Date(-62_135_769_600_000)),
        (&[0x1a, 6, 8, 23, 0x10, 59, 0x18, 59], Value::Date(86_399_000)),
        (&[0x1a, 0], Value::Date(0)),
        (&[0x22, 6, 0x0a, 2, 0xfb, 0x2e, 0x18, 2], decimal("-12.34")),
        // To so many digits, half of one away from zero.
        (&[0x22, 8, 0x0a, 2, 0xfb, 0x29, 0x10, 3, 0x18, 2], decimal("-12.4")),
        (&[0x22, 3, 0x0a, 1, 0], decimal("0")),
        // Twice is once: the later fields count.
        (&[0x0a, 2, 8, 1, 0x0a, 2, 8, 2], Value::Date(2000)),
    ] {
        assert_eq!(of(bytes).unwrap(), expected, "{bytes:?}");
    }
    for (bytes, expected) in [
        (&[0x0a, 2, 0x10, 0xff][..], "ends before"),
        (
            &[0x0a, 11, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            "Timestamp is not valid",
        ),
        (
            &[0x0a, 7, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f],
            "Timestamp is not valid",
        ),
        (&[0x0a, 2, 0x0a, 0], "wire type 2"),
        (&[0x12, 0], "no date of year 0"),
        (
            &[0x12, 7, 8, 0xea, 0x0f, 0x10, 2, 0x18, 30],
            "no date of year 2026, month 2, day 30",
        ),
        (
            &[0x12, 7, 8, 0xae, 0x0c, 0x10, 10, 0x18, 10],
            "no date of year 1582, month 10, day 10",
        ),
        (&[0x1a, 2, 8, 24], "no time of day of hours 24"),
        (&[0x22, 0], "Zero length BigInteger"),
        (
            &[0x22, 9, 0x0a, 1, 1, 0x18, 0x80, 0x80, 0x80, 0x80, 4],
            "a decimal with scale",
        ),
        (&[0x22, 9, 0x0a, 1, 1, 0x10, 0xff, 0xff, 0xff, 0xff, 0x0f], "Digits < 0"),
    ] {
        let error = of(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

fn struct_of(fields: &[(&str, SchemaRef, Value)]) -> (SchemaRef, Value) {
    let builder = SchemaBuilder::struct_().name("M");
    let builder = fields.iter().fold(builder, |builder, (name, schema, _)| {
        builder.field(*name, SchemaRef::clone(schema))
    });
    let schema = builder.build().unwrap();
    let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
    for (name, _, value) in fields {
        record.put(name, value.clone()).unwrap();
    }
    (schema, Value::from(record))
}

fn bytes_of(fields: &[(&str, SchemaRef, Value)], pairs: &[(&str, &str)]) -> std::result::Result<Vec<u8>, String> {
    let (schema, value) = struct_of(fields);
    let encoded = encode(&schema, &value, &settings(pairs));
    encoded.map(|(_, _, bytes)| bytes).map_err(|error| error.to_string())
}

#[test]
fn bytes_are_those_of_protobuf() {
    let array = |schema: SchemaRef| SchemaBuilder::array(schema).build().unwrap();
    let tagged = |builder: SchemaBuilder, tag: &str| builder.parameter(TAG, tag).build().unwrap();
    let of = |schema: SchemaRef, value: Value| bytes_of(&[("x", schema, value)], &[]).unwrap();
    assert_eq!(of(Connect::int32(), Value::Int32(150)), [8, 0x96, 1]);
    assert_eq!(of(Connect::int32(), Value::Int32(0)), Vec::<u8>::new());
    assert_eq!(of(Connect::optional_int32(), Value::Null), Vec::<u8>::new());
    assert_eq!(of(Connect::int32(), Value::Int32(-1)).len(), 11);
    assert_eq!(of(Connect::int8(), Value::Int8(-1)).len(), 11);
    assert_eq!(of(Connect::string(), Value::from("testing")), b"\x0a\x07testing");
    assert_eq!(
        of(Connect::float64(), Value::Float64(-0.0)),
        [9, 0, 0, 0, 0, 0, 0, 0, 0x80]
    );
    assert_eq!(of(Connect::float32(), Value::Float32(0.0)), Vec::<u8>::new());
    let numbers = [3, 270, 86_942].map(Value::Int32).to_vec();
    assert_eq!(
        of(array(Connect::int32()), Value::Array(numbers)),
        [0x0a, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]
    );
    assert_eq!(
        of(
            array(Connect::string()),
            Value::Array(vec![Value::from("a"), Value::from("")])
        ),
        [0x0a, 1, b'a', 0x0a, 0]
    );
    assert_eq!(of(array(Connect::string()), Value::Array(vec![])), Vec::<u8>::new());
    let map = SchemaBuilder::map(Connect::string(), Connect::optional_int32())
        .build()
        .unwrap();
    let entries = vec![(Value::from("k"), Value::Int32(1)), (Value::from(""), Value::Null)];
    assert_eq!(of(map, Value::Map(entries)), [0x0a, 5, 0x0a, 1, b'k', 0x10, 1, 0x0a, 0]);
    // In the order of numbers, whatever that of the struct is.
    let fields = [
        ("b", tagged(SchemaBuilder::int32(), "20"), Value::Int32(1)),
        ("a", tagged(SchemaBuilder::boolean(), "3"), Value::Boolean(true)),
    ];
    assert_eq!(bytes_of(&fields, &[]).unwrap(), [0x18, 1, 0xa0, 1, 1]);
    // What may be null is there or not.
    let zero = [("x", Connect::optional_int32(), Value::Int32(0))];
    assert_eq!(bytes_of(&zero, &[("optional.for.nullables", "true")]).unwrap(), [8, 0]);
    assert_eq!(
        bytes_of(&zero, &[("wrapper.for.nullables", "true")]).unwrap(),
        [0x0a, 0]
    );
    let one = [("x", Connect::optional_int32(), Value::Int32(1))];
    assert_eq!(
        bytes_of(&one, &[("wrapper.for.nullables", "true")]).unwrap(),
        [0x0a, 2, 8, 1]
    );
    // A default stands for null.
    let with_default = SchemaBuilder::string()
        .optional()
        .default_value(Value::from("d"))
        .build()
        .unwrap();
    let null = [("x", with_default, Value::Null)];
    assert_eq!(bytes_of(&null, &[]).unwrap(), [0x0a, 1, b'd']);
    assert_eq!(
        bytes_of(&null, &[("ignore.default.for.nullables", "true")]).unwrap(),
        Vec::<u8>::new()
    );
    // A long message within another.
    let inner = SchemaBuilder::struct_().field("s", Connect::string()).build().unwrap();
    let mut record = Struct::new(SchemaRef::clone(&inner)).unwrap();
    record.put("s", Value::from("x".repeat(300).as_str())).unwrap();
    let bytes = of(inner, Value::from(record));
    assert_eq!((&bytes[..6], bytes.len()), (&[0x0a, 0xaf, 2, 0x0a, 0xac, 2][..], 306));
    // By themselves.
    let root = |schema: SchemaRef, value: Value| encode(&schema, &value, &settings(&[])).unwrap().2;
    assert_eq!(root(Connect::string(), Value::from("x")), [0x0a, 1, b'x']);
    assert_eq!(root(Connect::int16(), Value::Int16(0)), Vec::<u8>::new());
}

#[test]
fn enums_as_numbers_and_variants() {
    let number = SchemaBuilder::int32()
        .name("Color")
        .parameter(ENUM, "Color")
        .parameter(format!("{ENUM}.RED"), "0")
        .parameter(format!("{ENUM}.BLUE"), "5")
        .build()
        .unwrap();
    let variant = SchemaBuilder::struct_()
        .name("org.apache.kafka.connect.data.Variant")
        .field("metadata", Connect::bytes())
        .field("value", Connect::bytes())
        .build()
        .unwrap();
    let mut of = Struct::new(SchemaRef::clone(&variant)).unwrap();
    of.put("metadata", Value::from(vec![1u8])).unwrap();
    of.put("value", Value::from(vec![2u8])).unwrap();
    let of = Value::from(of);
    let (schema, value) = struct_of(&[("c", number, Value::Int32(5)), ("v", variant, of.clone())]);
    let settings = settings(&[("int.for.enums", "true")]);
    let (_, _, bytes) = encode(&schema, &value, &settings).unwrap();
    assert_eq!(bytes, [8, 5, 0x12, 6, 0x0a, 1, 1, 0x12, 1, 2]);
    let (schema, back) = there_and_back(&schema, &value, &settings).unwrap();
    assert_eq!(arbitrary::plain(&back), arbitrary::plain(&value));
    // Its fields are those that everybody knows, whatever else the place says.
    let variant = &schema.field("v").unwrap().schema;
    assert_eq!(
        variant.fields().unwrap(),
        of.as_struct().unwrap().schema().fields().unwrap()
    );
}

#[test]
fn values_that_do_not_fit_say_where() {
    let array = |schema: SchemaRef| SchemaBuilder::array(schema).build().unwrap();
    let unsigned = SchemaBuilder::int64().parameter("io.confluent.connect.protobuf.Type", "uint32");
    let union = SchemaBuilder::struct_()
        .name(format!("{UNION}.u"))
        .field("a", Connect::optional_string())
        .build()
        .unwrap();
    let unset = Value::from(Struct::new(SchemaRef::clone(&union)).unwrap());
    let nulls = Value::Array(vec![Value::from("a"), Value::Null]);
    for (schema, value, expected) in [
        (
            unsigned.build().unwrap(),
            Value::Int64(-1),
            "x: -1 does not lie between 0 and 4294967295",
        ),
        (
            color().build().unwrap(),
            Value::from("GREEN"),
            "x: GREEN is no symbol of the enum M.Color",
        ),
        (union, unset, "a: Cannot find non-null field"),
        (
            array(Connect::optional_string()),
            nulls,
            "x: 1: Found null value within a list",
        ),
        (
            array(optional(logical::date_schema())),
            Value::Array(vec![Value::Null]),
            "x: 0: Found null value within a list",
        ),
        (
            logical::date_schema(),
            Value::Date(1),
            "x: Kafka Connect Date type should not have any time fields",
        ),
        (
            logical::date_schema(),
            Value::Date(-86_400_000 * 800_000),
            "x: google.type.Date has no year",
        ),
        (
            logical::time_schema(),
            Value::Date(-1),
            "x: Time values must use number of millis",
        ),
        (
            logical::timestamp_schema(),
            Value::Date(i64::MAX),
            "x: a Timestamp of Protobuf lies",
        ),
    ] {
        let error = bytes_of(&[("x", schema, value)], &[]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    // A value of another type than its schema says, as a batch may have it.
    let own = from_connect::from_connect(&Connect::string(), &settings(&[])).unwrap();
    let (message, _) = File::parse(&own.text, &[]).unwrap().find(&own.name).unwrap();
    let plan = Planner::new(&settings(&[]), true)
        .plan(&Connect::string(), &message)
        .unwrap();
    let wrong = plan
        .root
        .write(ValueRef::Int64(0), &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert_eq!(wrong, "Invalid type for STRING: class java.lang.Long");
}

#[test]
fn other_schemas_than_ones_own() {
    let (schema, value) = struct_of(&[
        ("a", Connect::int32(), Value::Int32(-1)),
        ("f", Connect::float32(), Value::Float32(0.5)),
        ("e", Connect::string(), Value::from("B")),
    ]);
    let written = |text: &str, is_strict: bool| {
        let settings = settings(&[]);
        let (message, _) = File::parse(text, &[]).unwrap().find("M").unwrap();
        let plan = Planner::new(&settings, is_strict).plan(&schema, &message);
        let mut out = Vec::new();
        plan.and_then(|plan| plan.root.write((&value).into(), &mut out))
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(out)
    };
    let wide = "syntax = \"proto3\"; enum E { A = 0; B = 1; } message M { E e = 1; double f = 2; sint64 a = 3; string more = 4; }";
    assert_eq!(
        written(wide, true).unwrap(),
        [8, 1, 0x11, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0x18, 1]
    );
    let narrow = "syntax = \"proto3\"; message M { int32 a = 1; }";
    assert_eq!(written(narrow, true).unwrap_err(), "f: the message M has no such field");
    assert_eq!(written(narrow, false).unwrap().len(), 11);
    let required = "syntax = \"proto2\"; message M { required int32 z = 1; }";
    assert_eq!(
        written(required, false).unwrap_err(),
        "z: the message M requires such a field"
    );
    for (text, expected) in [
        (
            "message M { string a = 1; }",
            "a: Schema{INT32} cannot be written as Protobuf's string",
        ),
        (
            "message M { repeated int32 a = 1; }",
            "a: Schema{INT32} cannot be written as Protobuf's repeated int32",
        ),
        (
            "message M { uint32 a = 1; }",
            "a: -1 does not lie between 0 and 4294967295",
        ),
    ] {
        assert_eq!(
            written(&format!("syntax = \"proto3\"; {text}"), false).unwrap_err(),
            expected
        );
    }
}

#[test]
fn few_bytes_do_not_make_many_values() {
    // A list of empty messages that have many fields.
    let fields: String = (1..1000).map(|n| format!("int32 f{n} = {n};")).collect();
    let text = format!("syntax = \"proto3\"; message M {{ repeated In in = 1; }} message In {{ {fields} }}");
    let file = File::parse(&text, &[]).unwrap();
    let error = decode_message(&file, &[0], &[0x0a, 0].repeat(5_000), &settings(&[])).unwrap_err();
    assert!(
        error.to_string().contains("becomes more than 1000000 values"),
        "{error}"
    );
    assert!(decode_message(&file, &[0], &[0x0a, 0].repeat(500), &settings(&[])).is_ok());
    // The same message again and again is read once.
    let text = "syntax = \"proto3\"; message M { In in = 1; } message In { repeated int32 a = 1; }";
    let file = File::parse(text, &[]).unwrap();
    let bytes = [0x0a, 2, 8, 1].repeat(100_000);
    let (_, value) = decode_message(&file, &[0], &bytes, &settings(&[])).unwrap();
    let list = value
        .as_struct()
        .unwrap()
        .get("in")
        .unwrap()
        .as_struct()
        .unwrap()
        .get("a")
        .unwrap()
        .clone();
    assert!(matches!(list, Value::Array(elements) if elements.len() == 100_000));
}
