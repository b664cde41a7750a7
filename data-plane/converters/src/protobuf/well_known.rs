//! The messages that stand for Connect's logical types: `google.protobuf.Timestamp`, `google.type.Date`, `google.type.TimeOfDay` and
//! `confluent.type.Decimal`.

use std::num::NonZeroU64;

use bigdecimal::BigDecimal;
use bigdecimal::rounding::RoundingMode;
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::logical::{Logical, MILLIS_PER_DAY};
use dray_connect::value::calendar;
use dray_connect::{Error, Result};
use num_bigint::BigInt;
use prost_reflect::{Kind, MessageDescriptor};

use super::read::{Out, Parts, wrong_wire_type};
use super::wire::{LENGTH, VARINT, block, varint};
use crate::java_class;

/// What a Timestamp can say: from the year 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// A scale comes with each value, and a text of the number has as many zeros.
const MAX_SCALE: i32 = 100_000;
/// The bytes of as many digits.
const MAX_BYTES: usize = 42_000;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    Timestamp,
    Date,
    Time,
    Decimal,
}

impl WellKnown {
    /// Which one a message is.
    pub(super) fn of(message: &MessageDescriptor) -> Result<Option<Self>> {
        let (of, fields): (_, &[&str]) = match message.full_name() {
            "google.protobuf.Timestamp" => (Self::Timestamp, &["seconds", "nanos"]),
            "google.type.Date" => (Self::Date, &["year", "month", "day"]),
            "google.type.TimeOfDay" => (Self::Time, &["hours", "minutes", "seconds", "nanos"]),
            "confluent.type.Decimal" => (Self::Decimal, &["value", "precision", "scale"]),
            _ => return Ok(None),
        };
        // Somebody may call a message of his own the same.
        for (name, number) in fields.iter().zip(1..) {
            let field = message.get_field(number).filter(|field| field.name() == *name);
            let is_bytes = |kind: &Kind| matches!(kind, Kind::Bytes);
            let is_varint = |kind: &Kind| matches!(kind, Kind::Int32 | Kind::Int64 | Kind::Uint32);
            let fits = field.is_some_and(|field| {
                let kind = field.kind();
                !field.is_list()
                    && if *name == "value" {
                        is_bytes(&kind)
                    } else {
                        is_varint(&kind)
                    }
            });
            if !fits {
                return Err(Error::data(format!(
                    "{} is another message than the one that everybody knows: it has no field {name} with number {number}",
                    message.full_name()
                )));
            }
        }
        Ok(Some(of))
    }

    /// The one for a logical type, and the file that it is in.
    pub(super) fn of_logical(logical: Logical) -> (Self, &'static str, &'static str) {
        match logical {
            Logical::Decimal => (Self::Decimal, "confluent.type.Decimal", "confluent/type/decimal.proto"),
            Logical::Date => (Self::Date, "google.type.Date", "google/type/date.proto"),
            Logical::Time => (Self::Time, "google.type.TimeOfDay", "google/type/timeofday.proto"),
            Logical::Timestamp => (
                Self::Timestamp,
                "google.protobuf.Timestamp",
                "google/protobuf/timestamp.proto",
            ),
        }
    }

    pub(super) fn read(self, parts: Parts, out: &mut Out<'_>) -> Result<Datum> {
        if self == Self::Decimal {
            return decimal(parts, out);
        }
        let mut numbers = [0_u64; 4];
        out.each(parts, |bytes, _| {
            while !bytes.is_done() {
                let key = bytes.key()?;
                match numbers.get_mut((key >> 3) as usize - 1) {
                    Some(number) if key & 7 == VARINT => *number = bytes.varint()?,
                    Some(_) => return Err(wrong_wire_type(key)),
                    None => bytes.skip(key)?,
                }
            }
            Ok(())
        })?;
        let [first, rest @ ..] = numbers;
        let [second, third, fourth] = rest.map(|number| number as i32);
        let millis = match self {
            Self::Timestamp => {
                let seconds = first as i64;
                if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&second) {
                    return Err(Error::data(format!(
                        "Timestamp is not valid. Seconds {seconds} must be those of the years 1 to 9999, and nanos {second} \
                         between 0 and 999999999."
                    )));
                }
                seconds * 1000 + i64::from(second / 1_000_000)
            }
            Self::Date => {
                let date = (i64::from(first as i32), i64::from(second), i64::from(third));
                let day = calendar::day_of(date.0, date.1, date.2);
                // What rolls over is no date.
                if date.0 < 1 || calendar::date_of(day) != date {
                    return Err(Error::data(format!(
                        "there is no date of year {}, month {}, day {}",
                        date.0, date.1, date.2
                    )));
                }
                day * MILLIS_PER_DAY
            }
            Self::Time => {
                let hours = first as i32;
                let fits = (0..24).contains(&hours)
                    && (0..60).contains(&second)
                    && (0..60).contains(&third)
                    && (0..1_000_000_000).contains(&fourth);
                if !fits {
                    return Err(Error::data(format!(
                        "there is no time of day of hours {hours}, minutes {second}, seconds {third}, nanos {fourth}"
                    )));
                }
                let seconds = (i64::from(hours) * 60 + i64::from(second)) * 60 + i64::from(third);
                seconds * 1000 + i64::from(fourth / 1_000_000)
            }
            Self::Decimal => 0,
        };
        Ok(Datum::Date(millis))
    }

    /// Appends the fields of a value.
    pub(super) fn write(self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Decimal, ValueRef::Decimal(decimal)) => {
                let decimal = decimal.to_decimal();
                let (unscaled, scale) = decimal.as_bigint_and_exponent();
                let scale = i32::try_from(scale)
                    .map_err(|_| Error::data(format!("a decimal with scale {scale} cannot be written")))?;
                out.push(1 << 3 | LENGTH as u8);
                block(&unscaled.to_signed_bytes_be(), out);
                field(2, precision(&unscaled), out);
                field(3, i64::from(scale), out);
            }
            (Self::Timestamp, ValueRef::Date(millis)) => {
                let seconds = millis.div_euclid(1000);
                if !SECONDS.contains(&seconds) {
                    return Err(Error::data(format!(
                        "a Timestamp of Protobuf lies in the years 1 to 9999, and {millis} ms since 1970 do not"
                    )));
                }
                field(1, seconds, out);
                field(2, millis.rem_euclid(1000) * 1_000_000, out);
            }
            (Self::Date, ValueRef::Date(millis)) => {
                if millis.rem_euclid(MILLIS_PER_DAY) != 0 {
                    let text = "Kafka Connect Date type should not have any time fields set to non-zero values.";
                    return Err(Error::data(text));
                }
                let (year, month, day) = calendar::date_of(millis.div_euclid(MILLIS_PER_DAY));
                if !(1..=i64::from(i32::MAX)).contains(&year) {
                    return Err(Error::data(format!("google.type.Date has no year {year}")));
                }
                for (number, value) in [(1, year), (2, month), (3, day)] {
                    field(number, value, out);
                }
            }
            (Self::Time, ValueRef::Date(millis)) => {
                if !(0..=MILLIS_PER_DAY).contains(&millis) {
                    let text = "Time values must use number of millis greater than 0 and less than 86400000";
                    return Err(Error::data(text));
                }
                // As in Java, the end of a day is its beginning.
                let millis = millis % MILLIS_PER_DAY;
                field(1, millis / 3_600_000, out);
                field(2, millis / 60_000 % 60, out);
                field(3, millis / 1000 % 60, out);
                field(4, millis % 1000 * 1_000_000, out);
            }
            (of, value) => {
                let (name, expected) = match of {
                    Self::Decimal => ("Decimal", "BigDecimal"),
                    Self::Date => ("Date", "Date"),
                    Self::Time => ("Time", "Date"),
                    Self::Timestamp => ("Timestamp", "Date"),
                };
                return Err(Error::data(format!(
                    "Invalid type for {name}, expected {expected} but was {}",
                    java_class(value)
                )));
            }
        }
        Ok(())
    }
}

/// A number, unless it is zero.
fn field(number: u8, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(number << 3 | VARINT as u8);
        varint(value as u64, out);
    }
}

/// The digits of a number; of zero one.
fn precision(unscaled: &BigInt) -> i64 {
    if let Ok(small) = i128::try_from(unscaled) {
        return small
            .unsigned_abs()
            .checked_ilog10()
            .map_or(1, |power| i64::from(power) + 1);
    }
    let digits = unscaled.magnitude().to_string().len();
    i64::try_from(digits).unwrap_or(i64::MAX)
}

fn decimal(parts: Parts, out: &mut Out<'_>) -> Result<Datum> {
    let (mut unscaled, mut precision, mut scale): (&[u8], i32, i32) = (&[], 0, 0);
    out.each(parts, |bytes, _| {
        while !bytes.is_done() {
            let key = bytes.key()?;
            match (key >> 3, key & 7) {
                (1, LENGTH) => {
                    let range = bytes.block()?;
                    unscaled = bytes.slice(range);
                }
                (2, VARINT) => precision = bytes.varint()? as i32,
                (3, VARINT) => scale = bytes.varint()? as i32,
                (1..=3, _) => return Err(wrong_wire_type(key)),
                (_, _) => bytes.skip(key)?,
            }
        }
        Ok(())
    })?;
    if unscaled.is_empty() {
        return Err(Error::data("Zero length BigInteger"));
    }
    if unscaled.len() > MAX_BYTES {
        return Err(Error::data(format!("a decimal of more than {MAX_BYTES} bytes")));
    }
    if scale.unsigned_abs() > MAX_SCALE.unsigned_abs() {
        return Err(Error::data(format!(
            "a decimal with scale {scale}, where at most {MAX_SCALE} digits may be behind or before the point"
        )));
    }
    let scale = i64::from(scale);
    let Ok(precision) = u64::try_from(precision) else {
        return Err(Error::data("Digits < 0"));
    };
    // A byte has less than three digits.
    let fits = precision == 0 || (unscaled.len() as u64).saturating_mul(3) <= precision || {
        let small = small(unscaled).map(i128::unsigned_abs);
        let limit = u32::try_from(precision)
            .ok()
            .and_then(|digits| 10_u128.checked_pow(digits));
        small.is_some_and(|small| limit.is_none_or(|limit| small < limit))
    };
    let mut whole = [0; 32];
    if fits
        && let Some((number, rest)) = whole.split_at_mut_checked(unscaled.len())
        && let Some(place) = rest.first_chunk_mut::<8>()
    {
        // As the batch has it: the number, then its scale.
        number.copy_from_slice(unscaled);
        *place = scale.to_be_bytes();
        return Ok(Datum::Decimal(out.batch.copy(&whole[..unscaled.len() + 8])));
    }
    let mut decimal = BigDecimal::new(BigInt::from_signed_bytes_be(unscaled), scale);
    if let Some(precision) = NonZeroU64::new(precision).filter(|digits| decimal.digits() > digits.get()) {
        decimal = decimal.with_precision_round(precision, RoundingMode::HalfUp);
    }
    Ok(out.batch.decimal(&decimal))
}

/// The number of at most 16 bytes.
fn small(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) {
        0xff
    } else {
        0
    };
    let mut whole = [sign; 16];
    let start = 16_usize.checked_sub(bytes.len())?;
    whole[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}
