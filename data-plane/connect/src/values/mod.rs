//! Text and values: how a value prints, what a text means, and how one type becomes another.
//!
//! These are the rules of Connect's `Values`, which the simple header converter and the Cast transform follow. Dates are
//! read and written in UTC where Java takes the zone of its process.

mod convert;
mod infer;
mod merge;
mod number;
mod parse;
mod temporal;
mod text;
mod tokens;

pub use self::convert::{
    convert_to, convert_to_boolean, convert_to_byte, convert_to_date, convert_to_decimal, convert_to_double,
    convert_to_float, convert_to_integer, convert_to_list, convert_to_long, convert_to_map, convert_to_short,
    convert_to_struct, convert_to_time, convert_to_timestamp,
};
pub use self::infer::infer_schema;
pub(crate) use self::merge::width;
pub use self::number::parse_decimal;
pub use self::parse::parse_string;
pub use self::text::convert_to_string;

#[cfg(test)]
mod tests;
