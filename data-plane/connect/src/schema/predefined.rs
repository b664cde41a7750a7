//! The predefined schemas: each primitive type, required and optional, made once and shared.

use std::sync::{Arc, LazyLock};

use super::{Schema, SchemaRef, Type};

fn primitive(kind: Type, optional: bool) -> SchemaRef {
    let mut schema = Schema::of(kind);
    schema.optional = optional;
    Arc::new(schema)
}

macro_rules! predefined {
    ($($kind:ident, $required:ident, $optional:ident, $text:literal;)*) => {
        impl Schema {
            $(
                #[doc = concat!("The shared schema of a required ", $text, ".")]
                #[must_use]
                pub fn $required() -> SchemaRef {
                    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| primitive(Type::$kind, false));
                    Arc::clone(&SCHEMA)
                }

                #[doc = concat!("The shared schema of an optional ", $text, ".")]
                #[must_use]
                pub fn $optional() -> SchemaRef {
                    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| primitive(Type::$kind, true));
                    Arc::clone(&SCHEMA)
                }
            )*

            /// The shared schema of a primitive type; none for arrays, maps and structs.
            #[must_use]
            pub fn primitive(kind: Type, optional: bool) -> Option<SchemaRef> {
                match (kind, optional) {
                    $(
                        (Type::$kind, false) => Some(Self::$required()),
                        (Type::$kind, true) => Some(Self::$optional()),
                    )*
                    (Type::Array | Type::Map | Type::Struct, _) => None,
                }
            }
        }
    };
}

predefined! {
    Int8, int8, optional_int8, "8 bit integer";
    Int16, int16, optional_int16, "16 bit integer";
    Int32, int32, optional_int32, "32 bit integer";
    Int64, int64, optional_int64, "64 bit integer";
    Float32, float32, optional_float32, "32 bit float";
    Float64, float64, optional_float64, "64 bit float";
    Boolean, boolean, optional_boolean, "boolean";
    String, string, optional_string, "string";
    Bytes, bytes, optional_bytes, "byte array";
}
