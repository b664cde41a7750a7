//! Configurations for the corpus: for each transformation and predicate a table of edges, and one drawn at random.

use super::random::Random;

/// Keys and values below an alias, without the class.
pub(crate) type Config = Vec<(&'static str, String)>;

/// The edges of a configuration: keys and values below an alias.
pub(crate) type Edges = &'static [&'static [(&'static str, &'static str)]];

/// A transformation: its simple name, whether there is one for keys and one for values, and the edges of its configuration.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) sided: bool,
    pub(crate) edges: Edges,
    pub(crate) draw: fn(&mut Random, &[String]) -> Config,
}

const RND: &str = "replace.null.with.default";

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "Cast",
        sided: true,
        edges: &[
            &[],
            &[("spec", "")],
            &[("spec", ",")],
            &[("spec", "int8")],
            &[("spec", "int16")],
            &[("spec", "int32")],
            &[("spec", "int64")],
            &[("spec", "float32")],
            &[("spec", "float64")],
            &[("spec", "boolean")],
            &[("spec", "string")],
            &[("spec", " String ")],
            &[("spec", "STRING"), (RND, "false")],
            &[("spec", "bytes")],
            &[("spec", "array")],
            &[("spec", "struct")],
            &[("spec", "date")],
            &[("spec", "id:")],
            &[("spec", ":int8")],
            &[("spec", ":")],
            &[("spec", "id:int8:x")],
            &[("spec", "id:int8:")],
            &[("spec", "id:bytes")],
            &[("spec", "id:map")],
            &[("spec", "id:nothing")],
            &[("spec", "id:int8,int16")],
            &[("spec", "int8,int16")],
            &[("spec", "id:int8,id:int16")],
            &[("spec", "id:int8,id:int8")],
            &[("spec", "id:int8,,name:string")],
            &[("spec", "id : Int16 , name :STRING")],
            &[(
                "spec",
                "id:string,name:string,Zoë:string,a.b:string,price:string,ts:string,nested:string,list:string,map:string",
            )],
            &[(
                "spec",
                "id:int8,name:int8,Zoë:int8,a.b:int8,price:int8,ts:int8,flag:int8,topic:int8,date:int8",
            )],
            &[(
                "spec",
                "id:int32,name:int16,Zoë:boolean,a.b:boolean,price:float32,flag:int32,b:int64,topic:int32",
            )],
            &[
                (
                    "spec",
                    "id:float64,price:int64,a:int16,nested:boolean,list:boolean,b:string",
                ),
                (RND, "false"),
            ],
            &[("spec", "nope:int8")],
            &[(
                "spec",
                "flag:string,😀 x:string,a:string,b:string,topic:string,date:string",
            )],
        ],
        draw: |random, fields| {
            const TYPES: &[&str] = &[
                "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "STRING", "Int8",
                "string", "int64",
            ];
            const BAD: &[&str] = &["bytes", "struct", "date", "", "int"];
            let kind = |random: &mut Random| {
                if random.chance(1) {
                    random.pick(BAD)
                } else {
                    random.pick(TYPES)
                }
            };
            let spec = if random.chance(15) {
                kind(random).to_owned()
            } else {
                let fields = some(random, fields, 4);
                let elements = fields.iter().map(|field| format!("{field}:{}", kind(random)));
                elements.collect::<Vec<_>>().join(",")
            };
            with_rnd(random, vec![("spec", spec)])
        },
    },
    Subject {
        name: "DropHeaders",
        sided: false,
        edges: &[
            &[],
            &[("headers", "")],
            &[("headers", ",")],
            &[("headers", "h1")],
            &[("headers", "h1,h1")],
            &[("headers", "h1,,h2")],
            &[("headers", " h1 , h2 ")],
            &[("headers", "H1,nope")],
            &[("headers", "h1,h2,internal,Zoë,id")],
        ],
        draw: |random, _| {
            let headers = [HEADERS, &["nope"]].concat();
            vec![("headers", some(random, &owned(&headers), 3).join(","))]
        },
    },
    Subject {
        name: "ExtractField",
        sided: true,
        edges: &[
            &[],
            &[("field", "")],
            &[("field", "id")],
            &[("field", " id ")],
            &[("field", "name"), (RND, "false")],
            &[("field", "Zoë")],
            &[("field", "nope")],
            &[("field", "a.b")],
            &[("field", "a.b"), ("field.syntax.version", "V2")],
            &[("field", "`a.b`"), ("field.syntax.version", "V2")],
            &[("field", "`a.b`"), ("field.syntax.version", "V1")],
            &[("field", "nested.a.b"), ("field.syntax.version", "v2")],
            &[("field", "nested.`a.b`"), ("field.syntax.version", "V2")],
            &[("field", "nested.`a.b`.c"), ("field.syntax.version", "V2")],
            &[("field", "a.id"), ("field.syntax.version", "V2"), (RND, "false")],
            &[("field", "a.b"), ("field.syntax.version", "V2"), (RND, "false")],
            &[("field", "nested.id"), ("field.syntax.version", "V2")],
            &[("field", "nested.nope.x"), ("field.syntax.version", "V2")],
            &[("field", "id.x"), ("field.syntax.version", "V2")],
            &[("field", "list.x"), ("field.syntax.version", "V2")],
            &[("field", "map.id"), ("field.syntax.version", "V2")],
            &[("field", ""), ("field.syntax.version", "V2")],
            &[("field", "."), ("field.syntax.version", "V2")],
            &[("field", "id."), ("field.syntax.version", "V2")],
            &[("field", ".id"), ("field.syntax.version", "V2")],
            &[("field", "a..b"), ("field.syntax.version", "V2")],
            &[("field", "`"), ("field.syntax.version", "V2")],
            &[("field", "``"), ("field.syntax.version", "V2")],
            &[("field", "`id"), ("field.syntax.version", "V2")],
            &[("field", "id`"), ("field.syntax.version", "V2")],
            &[("field", "a.`b"), ("field.syntax.version", "V2")],
            &[("field", "`id`x"), ("field.syntax.version", "V2")],
            &[("field", "`i`d`"), ("field.syntax.version", "V2")],
            &[("field", "`id\\`.b`"), ("field.syntax.version", "V2")],
            &[("field", "`id\\`"), ("field.syntax.version", "V2")],
            &[("field", "`id\\`x`"), ("field.syntax.version", "V2")],
            &[("field", "`a`.`b`"), ("field.syntax.version", "V2")],
            &[("field", "a.b`c.d"), ("field.syntax.version", "V2")],
            &[("field", "id"), ("field.syntax.version", "V3")],
            &[("field", "id"), ("field.syntax.version", "")],
            &[("field", "😀 x"), ("field.syntax.version", "V2")],
        ],
        draw: |random, fields| {
            let mut field = some(random, fields, 1).pop().unwrap_or_default();
            let mut config = Vec::new();
            if random.chance(50) {
                if random.chance(30) {
                    field = format!("`{field}`");
                }
                if random.chance(50) {
                    field = format!("{field}.{}", random.pick(super::data::NAMES));
                }
                config.push(("field.syntax.version", "V2".to_owned()));
            }
            config.push(("field", field));
            with_rnd(random, config)
        },
    },
    Subject {
        name: "Filter",
        sided: false,
        edges: &[&[], &[("unknown", "key")]],
        draw: |_, _| Vec::new(),
    },
    Subject {
        name: "Flatten",
        sided: true,
        edges: &[
            &[],
            &[("delimiter", ".")],
            &[("delimiter", "")],
            &[("delimiter", " ")],
            &[("delimiter", "_")],
            &[("delimiter", " - ")],
            &[("delimiter", "€😀")],
            &[("delimiter", "$1")],
        ],
        draw: |random, _| match random.below(4) {
            0 => Vec::new(),
            1 => vec![("delimiter", String::new())],
            _ => vec![("delimiter", random.pick(&[".", "_", "€", "--", "b"]).to_owned())],
        },
    },
    Subject {
        name: "HeaderFrom",
        sided: true,
        edges: &[
            &[],
            &[("fields", "id"), ("headers", "h"), ("operation", "move")],
            &[("fields", "id"), ("headers", "h"), ("operation", "copy")],
            &[("fields", "id"), ("headers", "h"), ("operation", "MOVE")],
            &[("fields", "id"), ("headers", "h"), ("operation", "steal")],
            &[("fields", "id"), ("headers", "h"), ("operation", "")],
            &[("fields", "id"), ("headers", "h")],
            &[("fields", ""), ("headers", "h"), ("operation", "move")],
            &[("fields", "id"), ("headers", ""), ("operation", "move")],
            &[("fields", "id,name"), ("headers", "h"), ("operation", "move")],
            &[("fields", "id"), ("headers", "h,i"), ("operation", "copy")],
            &[("fields", "id,id"), ("headers", "h,i"), ("operation", "copy")],
            &[("fields", "id,id"), ("headers", "h,i"), ("operation", "move")],
            &[("fields", "id,name"), ("headers", "h,h"), ("operation", "copy")],
            &[("fields", "id,,name"), ("headers", "h,i,j"), ("operation", "copy")],
            &[("fields", "id,name"), ("headers", "internal,h1"), ("operation", "move")],
            &[
                ("fields", "id,name"),
                ("headers", "internal,h1"),
                ("operation", "move"),
                (RND, "false"),
            ],
            &[
                ("fields", "Zoë,price,nested,list,map"),
                ("headers", "a,b,c,d,e"),
                ("operation", "copy"),
            ],
            &[
                ("fields", "Zoë,price,nested,list,map"),
                ("headers", "a,b,c,d,e"),
                ("operation", "move"),
            ],
            &[("fields", "nested"), ("headers", "c"), ("operation", "move")],
            &[("fields", "a"), ("headers", "Zoë"), ("operation", "move")],
            &[("fields", "list"), ("headers", "Zoë"), ("operation", "move")],
            &[("fields", "nope"), ("headers", "h"), ("operation", "move")],
            &[
                ("fields", "nope"),
                ("headers", "h"),
                ("operation", "copy"),
                (RND, "false"),
            ],
        ],
        draw: |random, fields| {
            let fields = some(random, fields, 3);
            let mut headers: Vec<String> = fields.iter().map(|_| random.pick(HEADERS).to_owned()).collect();
            headers.dedup();
            if random.chance(90) {
                headers = (0..fields.len()).map(|number| format!("h{number}")).collect();
            }
            let operation = if random.chance(2) {
                "Copy"
            } else {
                random.pick(&["copy", "move"])
            };
            let config = vec![
                ("fields", fields.join(",")),
                ("headers", headers.join(",")),
                ("operation", operation.to_owned()),
            ];
            with_rnd(random, config)
        },
    },
    Subject {
        name: "HoistField",
        sided: true,
        edges: &[
            &[],
            &[("field", "")],
            &[("field", " ")],
            &[("field", "wrapped")],
            &[("field", " Zoë.😀 ")],
        ],
        draw: |random, _| vec![("field", random.pick(super::data::NAMES).to_owned())],
    },
    Subject {
        name: "InsertField",
        sided: true,
        edges: &[
            &[],
            &[("topic.field", "")],
            &[("topic.field", "t")],
            &[("topic.field", "t?")],
            &[("topic.field", "t!")],
            &[("topic.field", "?")],
            &[("topic.field", "!")],
            &[("topic.field", "t!?")],
            &[("topic.field", "t??")],
            &[("topic.field", "id")],
            &[("topic.field", "topic!")],
            &[("partition.field", "p")],
            &[("partition.field", "p!")],
            &[("offset.field", "o")],
            &[("offset.field", "o!")],
            &[("timestamp.field", "when")],
            &[("timestamp.field", "when!")],
            &[("static.field", "s")],
            &[("static.value", "v")],
            &[("static.field", "s"), ("static.value", "")],
            &[("static.field", "s!"), ("static.value", " Zoë ")],
            &[("static.field", "Zoë"), ("static.value", "1")],
            &[("topic.field", "x"), ("partition.field", "x")],
            &[("topic.field", "x"), ("static.field", "x"), ("static.value", "v")],
            &[
                ("topic.field", "t1"),
                ("partition.field", "p1!"),
                ("offset.field", "o1"),
                ("timestamp.field", "w1"),
                ("static.field", "s1!"),
                ("static.value", "v"),
            ],
            &[
                ("static.field", "s1"),
                ("static.value", "v"),
                ("timestamp.field", "w1!"),
                ("partition.field", "p1"),
                ("topic.field", "t1"),
                (RND, "false"),
            ],
            &[("topic.field", "t"), (RND, "maybe")],
            &[("topic.field", "t"), (RND, "false")],
        ],
        draw: |random, fields| {
            let mut config = Vec::new();
            for key in [
                "topic.field",
                "partition.field",
                "offset.field",
                "timestamp.field",
                "static.field",
            ] {
                if random.chance(40) {
                    let mut name = if random.chance(8) {
                        some(random, fields, 1).pop().unwrap_or_default()
                    } else {
                        format!("new {key}")
                    };
                    name.push_str(random.pick(&["", "", "?", "!"]));
                    config.push((key, name));
                }
            }
            if random.chance(60) {
                config.push(("static.value", random.pick(&["v", "1", "Zoë", "", " x "]).to_owned()));
            }
            with_rnd(random, config)
        },
    },
    Subject {
        name: "InsertHeader",
        sided: false,
        edges: &[
            &[],
            &[("header", "h")],
            &[("value.literal", "h")],
            &[("header", ""), ("value.literal", "")],
            &[("header", "h1"), ("value.literal", "1")],
            &[("header", " h1 "), ("value.literal", " 300 ")],
            &[("header", "internal"), ("value.literal", "true")],
            &[("header", "x"), ("value.literal", "null")],
            &[("header", "x"), ("value.literal", "[1,2,3]")],
            &[("header", "x"), ("value.literal", "[1,\"a\"]")],
            &[("header", "x"), ("value.literal", "{\"a\":1,\"b\":2}")],
            &[("header", "x"), ("value.literal", "{}")],
            &[("header", "x"), ("value.literal", "[]")],
            &[("header", "x"), ("value.literal", "1.5")],
            &[("header", "x"), ("value.literal", "99999999999999999999")],
            &[("header", "x"), ("value.literal", "2024-02-29")],
            &[("header", "x"), ("value.literal", "2024-02-29T12:34:56.789Z")],
            &[("header", "x"), ("value.literal", "12:34:56.789Z")],
            &[("header", "x"), ("value.literal", "\"quoted \\\" text\"")],
            &[("header", "x"), ("value.literal", "Zoë 😀")],
            &[("header", "x"), ("value.literal", "[1,2")],
            &[("header", "x"), ("value.literal", "NULL")],
        ],
        draw: |random, _| {
            const LITERALS: &[&str] = &[
                "v",
                "1",
                "true",
                "-5.25",
                "[1, 2]",
                "{\"a\": \"b\"}",
                "null",
                "2024-02-29",
                "Zoë",
            ];
            vec![
                ("header", random.pick(HEADERS).to_owned()),
                ("value.literal", random.pick(LITERALS).to_owned()),
            ]
        },
    },
    Subject {
        name: "MaskField",
        sided: true,
        edges: &[
            &[],
            &[("fields", "")],
            &[("fields", "id")],
            &[("fields", "id"), ("replacement", "")],
            &[("fields", "id"), ("replacement", " ")],
            &[("fields", "id"), ("replacement", "7")],
            &[("fields", "id,name"), ("replacement", "***")],
            &[("fields", "name"), ("replacement", " *** ")],
            &[("fields", "name"), (RND, "false")],
            &[("fields", "id,id")],
            &[("fields", "id,,name")],
            &[("fields", "nope")],
            &[("fields", "nope"), ("replacement", "x")],
            &[("fields", "name,Zoë,a.b,price,ts,nested")],
            &[("fields", "name,Zoë,a.b,price,ts,nested"), ("replacement", "300")],
            &[
                ("fields", "name,Zoë,a.b,price,ts,nested"),
                ("replacement", "3.75"),
                (RND, "false"),
            ],
            &[("fields", "nested,flag")],
            &[("fields", "nested"), ("replacement", "-1.5e3")],
            &[("fields", "ts"), ("replacement", "NaN")],
            &[("fields", "price,ts"), ("replacement", "99999999999999999999")],
            &[("fields", "😀 x")],
            &[("fields", "a")],
            &[("fields", "a"), ("replacement", "12.5")],
            &[("fields", "a"), ("replacement", "1e2")],
            &[("fields", "b,topic")],
            &[("fields", "b"), ("replacement", "7")],
            &[("fields", "list")],
            &[("fields", "map,list")],
            &[("fields", "list"), ("replacement", "7")],
            &[("fields", "map"), ("replacement", "7")],
            &[("fields", "flag"), ("replacement", "true")],
            &[("fields", "id"), ("replacement", "0x10")],
            &[("fields", "id"), ("replacement", "1_000")],
            &[("fields", "id,name,Zoë,a.b,price,ts"), ("replacement", " 12 ")],
            &[("fields", "name"), ("replacement", "12"), (RND, "TRUE")],
        ],
        draw: |random, fields| {
            let mut config = vec![("fields", some(random, fields, 3).join(","))];
            if random.chance(50) {
                const REPLACEMENTS: &[&str] = &["7", "x", "-1.5", "300", "1e3", "99999999999", "true", "NaN", "0"];
                config.push(("replacement", random.pick(REPLACEMENTS).to_owned()));
            }
            with_rnd(random, config)
        },
    },
    Subject {
        name: "RegexRouter",
        sided: false,
        edges: &[
            &[],
            &[("regex", "a")],
            &[("replacement", "a")],
            &[("regex", ""), ("replacement", "x")],
            &[("regex", "("), ("replacement", "x")],
            &[("regex", "[a-"), ("replacement", "x")],
            &[("regex", "*"), ("replacement", "x")],
            &[("regex", "orders"), ("replacement", "x")],
            &[("regex", "ORDERS"), ("replacement", "x")],
            &[("regex", "(?i)ORDERS"), ("replacement", "x")],
            &[("regex", "order"), ("replacement", "x")],
            &[("regex", ".*"), ("replacement", "$0-copy")],
            &[("regex", ".*?"), ("replacement", "x")],
            &[("regex", "o|orders"), ("replacement", "x")],
            &[("regex", "(.*)-(\\d+)"), ("replacement", "$2_$1")],
            &[("regex", "(?<name>.*)-\\d+"), ("replacement", "${name}")],
            &[("regex", "(.*)"), ("replacement", "$2")],
            &[("regex", "(.*)"), ("replacement", "${nope}")],
            &[("regex", "(.*)"), ("replacement", "$")],
            &[("regex", "(.*)"), ("replacement", "$x")],
            &[("regex", "(.*)"), ("replacement", "\\$1")],
            &[("regex", "(.*)"), ("replacement", "a\\")],
            &[("regex", "(.*)"), ("replacement", "$10")],
            &[("regex", "(o)(.*)"), ("replacement", "$1$3")],
            &[("regex", "(x)?(.*)"), ("replacement", "[$1]$2")],
            &[("regex", "(.*)"), ("replacement", "")],
            &[("regex", "(.*)"), ("replacement", " $1 ")],
            &[("regex", "([\\w.]+)"), ("replacement", "€$1😀")],
            &[("regex", "\\p{L}+"), ("replacement", "letters")],
            &[("regex", "a\\.b\\.c"), ("replacement", "dots")],
            &[("regex", "(?=o).*"), ("replacement", "ahead")],
            &[("regex", "(\\w)\\1.*"), ("replacement", "x")],
            &[("regex", "^orders$"), ("replacement", "anchored")],
            &[("regex", "[^-]*+(-.*)?"), ("replacement", "x$1")],
        ],
        draw: |random, _| {
            const REGEXES: &[&str] = &[
                "(.*)",
                "(\\w+)-(\\d+)",
                "(.*?)-(.*)",
                "orders.*",
                "([a-z]+)\\.(.*)",
                ".*",
                "[oa](.*)",
                "(Zoë)?(.*)",
            ];
            const REPLACEMENTS: &[&str] = &["$1", "x-$0", "$2.$1", "plain", "Zoë", "", "\\$1", "$1$1"];
            vec![
                ("regex", random.pick(REGEXES).to_owned()),
                ("replacement", random.pick(REPLACEMENTS).to_owned()),
            ]
        },
    },
    Subject {
        name: "ReplaceField",
        sided: true,
        edges: &[
            &[],
            &[("exclude", "")],
            &[("exclude", "id")],
            &[("exclude", "nope")],
            &[("exclude", "id,id")],
            &[("exclude", "id,,name")],
            &[("exclude", ",")],
            &[("exclude", " id , name ")],
            &[("include", "id")],
            &[("include", "nope")],
            &[("include", "id,id")],
            &[("include", "name,id"), (RND, "false")],
            &[("include", "id,name"), ("exclude", "id")],
            &[("exclude", "id,name,Zoë,a.b,price,ts,nested,list,map,flag,😀 x,a,b")],
            &[("renames", "id:new")],
            &[("renames", "id:id")],
            &[("renames", "id:name")],
            &[("renames", "id:name,name:id")],
            &[("renames", "id:x,name:x")],
            &[("renames", "id:x,id:y")],
            &[("renames", "id:x,id:x")],
            &[("renames", "id:")],
            &[("renames", ":id")],
            &[("renames", ":")],
            &[("renames", "id")],
            &[("renames", "id:a:b")],
            &[("renames", "id: x")],
            &[("renames", "id : x")],
            &[("renames", "nope:x")],
            &[("renames", "a.b:ab,Zoë:z€")],
            &[("renames", "id:new"), ("include", "new")],
            &[("renames", "id:new"), ("include", "id")],
            &[("renames", "id:name"), ("exclude", "name")],
            &[("renames", "id:new"), (RND, "false")],
            &[("renames", "id:new"), (RND, "maybe")],
            &[("whitelist", "id"), ("blacklist", "id")],
        ],
        draw: |random, fields| {
            let mut config = Vec::new();
            if random.chance(50) {
                config.push(("exclude", some(random, fields, 2).join(",")));
            }
            if random.chance(35) {
                config.push(("include", some(random, fields, 4).join(",")));
            }
            if random.chance(60) {
                let (from, to) = (
                    some(random, fields, 3),
                    some(random, &owned(&["x", "y", "id", "Zoë"]), 3),
                );
                let pairs = from.iter().zip(&to).map(|(from, to)| format!("{from}:{to}"));
                config.push(("renames", pairs.collect::<Vec<_>>().join(",")));
            }
            with_rnd(random, config)
        },
    },
    Subject {
        name: "SetSchemaMetadata",
        sided: true,
        edges: &[
            &[],
            &[("schema.name", "")],
            &[("schema.name", "n")],
            &[("schema.name", " Zoë.N ")],
            &[("schema.version", "3")],
            &[("schema.version", " 3 ")],
            &[("schema.version", "-3")],
            &[("schema.version", "x")],
            &[("schema.version", "")],
            &[("schema.version", "99999999999")],
            &[("schema.version", "1.0")],
            &[("schema.name", "com.example.New"), ("schema.version", "0")],
            &[("schema.name", "n"), ("schema.version", "2147483647"), (RND, "false")],
            &[("schema.name", "org.apache.kafka.connect.data.Date")],
        ],
        draw: |random, _| {
            let mut config = Vec::new();
            if random.chance(80) {
                config.push(("schema.name", random.pick(&["n", "com.example.Name", "Zoë"]).to_owned()));
            }
            if random.chance(50) {
                config.push(("schema.version", random.pick(&["0", "1", "77", "-1"]).to_owned()));
            }
            with_rnd(random, config)
        },
    },
    Subject {
        name: "TimestampConverter",
        sided: true,
        edges: &[
            &[],
            &[("target.type", "")],
            &[("target.type", "Unix")],
            &[("target.type", "unix")],
            &[("target.type", "Date")],
            &[("target.type", "Time")],
            &[("target.type", "Timestamp")],
            &[("target.type", "string")],
            &[("target.type", "string"), ("format", "")],
            &[("target.type", "string"), ("format", " ")],
            &[("target.type", "string"), ("format", "yyyy-MM-dd HH:mm:ss")],
            &[("target.type", "string"), ("format", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")],
            &[("target.type", "string"), ("format", "EEE, d MMM yyyy G")],
            &[("target.type", "string"), ("format", "bad pattern")],
            &[("target.type", "string"), ("format", "yyyy'")],
            &[("target.type", "Timestamp"), ("format", "bad pattern")],
            &[("target.type", "Timestamp"), ("format", "yyyy-MM-dd HH:mm:ss")],
            &[("target.type", "Timestamp"), ("format", "yyyy-MM-dd")],
            &[("target.type", "Date"), ("format", "yyyy-MM-dd'T'HH:mm:ss.SSSX")],
            &[("target.type", "unix"), ("format", "yyyy-MM-dd")],
            &[("target.type", "unix"), ("unix.precision", "seconds")],
            &[("target.type", "unix"), ("unix.precision", "microseconds")],
            &[("target.type", "unix"), ("unix.precision", "nanoseconds")],
            &[("target.type", "unix"), ("unix.precision", "Seconds")],
            &[("target.type", "unix"), ("unix.precision", "")],
            &[("target.type", "Timestamp"), ("unix.precision", "seconds")],
            &[("target.type", "Timestamp"), ("unix.precision", "microseconds")],
            &[("target.type", "Time"), ("unix.precision", "nanoseconds")],
            &[("target.type", "Date"), ("unix.precision", "seconds")],
            &[
                ("target.type", "string"),
                ("format", "yyyy"),
                ("unix.precision", "seconds"),
            ],
            &[("target.type", "unix"), ("field", "id")],
            &[("target.type", "Timestamp"), ("field", "id")],
            &[("target.type", "Timestamp"), ("field", "price")],
            &[("target.type", "unix"), ("field", "date"), (RND, "false")],
            &[("target.type", "Date"), ("field", "a")],
            &[
                ("target.type", "Time"),
                ("field", "topic"),
                ("unix.precision", "seconds"),
            ],
            &[
                ("target.type", "Timestamp"),
                ("field", "ts"),
                ("format", "yyyy-MM-dd HH:mm:ss"),
            ],
            &[("target.type", "Timestamp"), ("field", "ts")],
            &[("target.type", "string"), ("field", "b"), ("format", "HH:mm:ss.SSS")],
            &[("target.type", "string"), ("field", " date "), ("format", "yyyy-MM-dd")],
            &[("target.type", "unix"), ("field", "nope")],
            &[("target.type", "unix"), ("field", "nested")],
            &[("target.type", "unix"), ("field", "name")],
            &[("target.type", "Timestamp"), ("field", "price"), (RND, "false")],
        ],
        draw: |random, fields| {
            let mut config = vec![(
                "target.type",
                random.pick(&["string", "unix", "Date", "Time", "Timestamp"]).to_owned(),
            )];
            if random.chance(75) {
                const LIKELY: &[&str] = &["id", "ts", "date", "price", "a", "b"];
                let field = if random.chance(50) {
                    random.pick(LIKELY).to_owned()
                } else {
                    some(random, fields, 1).join("")
                };
                config.push(("field", field));
            }
            if random.chance(70) {
                const FORMATS: &[&str] = &[
                    "yyyy-MM-dd",
                    "yyyy-MM-dd HH:mm:ss",
                    "yyyy-MM-dd'T'HH:mm:ss.SSSX",
                    "HH:mm",
                    "yyyyMMdd",
                ];
                config.push(("format", random.pick(FORMATS).to_owned()));
            }
            if random.chance(40) {
                const PRECISIONS: &[&str] = &["nanoseconds", "microseconds", "milliseconds", "seconds"];
                config.push(("unix.precision", random.pick(PRECISIONS).to_owned()));
            }
            with_rnd(random, config)
        },
    },
    Subject {
        name: "TimestampRouter",
        sided: false,
        edges: &[
            &[],
            &[("topic.format", "")],
            &[("topic.format", "plain")],
            &[("topic.format", "${timestamp}")],
            &[("topic.format", "${topic}")],
            &[("topic.format", "${topic}-${topic}-${timestamp}-${timestamp}")],
            &[("topic.format", "$topic-${Timestamp}-${}")],
            &[("topic.format", " ${topic} ")],
            &[("topic.format", "$1\\${topic}Zoë")],
            &[("timestamp.format", "")],
            &[("timestamp.format", "yyyy")],
            &[("timestamp.format", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")],
            &[("timestamp.format", "EEEE MMMM d, y G")],
            &[("timestamp.format", "YYYY-'W'ww-u")],
            &[("timestamp.format", "bad pattern")],
            &[("timestamp.format", "'open")],
            &[("timestamp.format", "''")],
        ],
        draw: |random, _| {
            const FORMATS: &[&str] = &["yyyyMMdd", "yyyy-MM", "HH", "yyyy-MM-dd'T'HH:mm:ss.SSSX", "'${topic}'"];
            let mut config = Vec::new();
            if random.chance(70) {
                config.push(("timestamp.format", random.pick(FORMATS).to_owned()));
            }
            if random.chance(50) {
                config.push((
                    "topic.format",
                    random
                        .pick(&["${topic}_${timestamp}", "a-${timestamp}", "${topic}"])
                        .to_owned(),
                ));
            }
            config
        },
    },
    Subject {
        name: "ValueToKey",
        sided: false,
        edges: &[
            &[],
            &[("fields", "")],
            &[("fields", ",")],
            &[("fields", "id")],
            &[("fields", "id,id")],
            &[("fields", "id,,name")],
            &[("fields", "name,id")],
            &[("fields", " Zoë , id ")],
            &[("fields", "name,id"), (RND, "false")],
            &[("fields", "nope")],
            &[("fields", "id,nope")],
            &[("fields", "nested")],
            &[("fields", "a.b")],
            &[("fields", "list")],
            &[("fields", "price,ts,a,b,topic,date")],
        ],
        draw: |random, fields| {
            let config = vec![("fields", some(random, fields, 3).join(","))];
            with_rnd(random, config)
        },
    },
];

/// The predicates with edges of their configurations.
pub(crate) const PREDICATES: &[(&str, Edges)] = &[
    (
        "HasHeaderKey",
        &[
            &[],
            &[("name", "")],
            &[("name", " ")],
            &[("name", "h1")],
            &[("name", " h1 ")],
            &[("name", "H1")],
            &[("name", "Zoë")],
            &[("name", "internal"), ("unknown", "key")],
        ],
    ),
    ("RecordIsTombstone", &[&[], &[("name", "x")]]),
    (
        "TopicNameMatches",
        &[
            &[],
            &[("pattern", "")],
            &[("pattern", " ")],
            &[("pattern", "(")],
            &[("pattern", "orders")],
            &[("pattern", " orders ")],
            &[("pattern", "order")],
            &[("pattern", "(?i)ORDERS.*")],
            &[("pattern", ".*")],
            &[("pattern", "[a-z]+-\\d{4}")],
            &[("pattern", "\\p{javaLetter}+\\..*")],
        ],
    ),
];

/// Names of headers that records of the corpus may have.
pub(crate) const HEADERS: &[&str] = &["h1", "h2", "internal", "Zoë", "id"];

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Some of the fields, at least one; now and then one that is not there, or one twice, or an empty one.
fn some(random: &mut Random, fields: &[String], most: usize) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for _ in 0..1 + random.below(most) {
        let name = match random.below(100) {
            0..=11 => random.pick(super::data::NAMES).to_owned(),
            12 => "nope".to_owned(),
            13 => String::new(),
            _ if fields.is_empty() => random.pick(super::data::NAMES).to_owned(),
            _ => fields[random.below(fields.len())].clone(),
        };
        if !chosen.contains(&name) || random.chance(3) {
            chosen.push(name);
        }
    }
    chosen
}

fn with_rnd(random: &mut Random, mut config: Config) -> Config {
    if random.chance(35) {
        let value = if random.chance(2) {
            "maybe"
        } else {
            random.pick(&["true", "false", "FALSE", " false "])
        };
        config.push((RND, value.to_owned()));
    }
    config
}
