//! What the conversions of all messages share: fields of the wire read into legal values, with the field's name where they are not.

use crate::{Invalid, NotGiven};
use dray_model::record::MAX_TASKS;
use dray_model::{AgentNumber, Capacity, ConfigDigest, Cost, Instance, TaskKey};
use prost_types::Duration;
use std::fmt::Display;
use std::num::NonZeroU64;

/// The most bytes of a text for people: a trace, a reason. It is cut to this when it is sent.
pub(crate) const PROSE: usize = 8 << 10;
/// The most bytes of a text that names or counts something.
pub(crate) const WORD: usize = 255;

/// A message that must be there.
pub(crate) fn required<W, M: TryFrom<W, Error = Invalid>>(field: &str, value: Option<W>) -> Result<M, Invalid> {
    let value = value.ok_or_else(|| Invalid::new(field, "is missing"))?;
    M::try_from(value).map_err(|invalid| invalid.within(field))
}

/// Each message of a list.
pub(crate) fn each<W, M: TryFrom<W, Error = Invalid>>(field: &str, values: Vec<W>) -> Result<Vec<M>, Invalid> {
    let read =
        |(at, value)| M::try_from(value).map_err(|invalid: Invalid| invalid.within(format_args!("{field}[{at}]")));
    values.into_iter().enumerate().map(read).collect()
}

/// Each name of a list.
pub(crate) fn names<C: FromIterator<M>, M: TryFrom<String, Error: Display>>(
    field: &str,
    texts: Vec<String>,
) -> Result<C, Invalid> {
    let read = |(at, text)| name(&format!("{field}[{at}]"), text);
    texts.into_iter().enumerate().map(read).collect()
}

/// A name that has rules of its own.
pub(crate) fn name<M: TryFrom<String, Error: Display>>(field: &str, text: String) -> Result<M, Invalid> {
    M::try_from(text).map_err(|error| Invalid::new(field, error))
}

/// A number that is never 0.
pub(crate) fn number<M: From<NonZeroU64>>(field: &str, number: u64) -> Result<M, Invalid> {
    optional(number).ok_or_else(|| Invalid::new(field, "may not be 0"))
}

/// A number that is 0 when there is none.
pub(crate) fn optional<M: From<NonZeroU64>>(number: u64) -> Option<M> {
    NonZeroU64::new(number).map(M::from)
}

/// The number of a task, or of the connector instance.
pub(crate) fn task(number: u32) -> Result<u32, Invalid> {
    if number < MAX_TASKS || number == TaskKey::INSTANCE {
        Ok(number)
    } else {
        Err(Invalid::new(
            "task",
            format_args!("{number} is neither below {MAX_TASKS} nor the instance"),
        ))
    }
}

pub(crate) fn agent_number(field: &str, number: u32) -> Result<AgentNumber, Invalid> {
    AgentNumber::try_from(number).map_err(|error| Invalid::new(field, error))
}

pub(crate) fn cost(field: &str, units: u32) -> Result<Cost, Invalid> {
    Cost::try_from(units).map_err(|error| Invalid::new(field, error))
}

pub(crate) fn capacity(slots: u32, cost: u32) -> Result<Capacity, Invalid> {
    let field = if slots == 0 { "slots" } else { "cost" };
    Capacity::new(slots, cost).map_err(|error| Invalid::new(field, error))
}

pub(crate) fn digest(field: &str, bytes: &[u8]) -> Result<ConfigDigest, Invalid> {
    Ok(fixed::<32>(field, bytes)?.into())
}

pub(crate) fn instance(field: &str, bytes: &[u8]) -> Result<Instance, Invalid> {
    fixed(field, bytes).map(u128::from_be_bytes).map(Instance)
}

pub(crate) fn instance_bytes(instance: Instance) -> Vec<u8> {
    instance.0.to_be_bytes().into()
}

/// Exactly so many bytes.
pub(crate) fn fixed<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Invalid> {
    let wrong = |_| Invalid::new(field, format_args!("has {} bytes instead of {N}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

/// At most so many of them (bytes, messages).
pub(crate) fn at_most(field: &str, count: usize, limit: usize, what: &str) -> Result<(), Invalid> {
    if count > limit {
        return Err(Invalid::new(
            field,
            format_args!("has {count} {what}, and {limit} is the most"),
        ));
    }
    Ok(())
}

/// A text of limited length.
pub(crate) fn text(field: &str, text: String, limit: usize) -> Result<String, Invalid> {
    at_most(field, text.len(), limit, "bytes")?;
    Ok(text)
}

/// The same, where there is one.
pub(crate) fn optional_text(field: &str, value: Option<String>, limit: usize) -> Result<Option<String>, Invalid> {
    value.map(|value| text(field, value, limit)).transpose()
}

/// A text for people as it is sent: its beginning, cut between characters.
pub(crate) fn prose(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(PROSE));
    text
}

/// A span of whole milliseconds.
pub(crate) fn millis(field: &str, duration: Option<Duration>) -> Result<u32, Invalid> {
    let duration = duration.ok_or_else(|| Invalid::new(field, "is missing"))?;
    let whole = duration.nanos % 1_000_000 == 0 && (0..1_000_000_000).contains(&duration.nanos);
    let millis = whole
        .then(|| {
            duration
                .seconds
                .checked_mul(1_000)?
                .checked_add(i64::from(duration.nanos / 1_000_000))
        })
        .flatten();
    millis.and_then(|millis| u32::try_from(millis).ok()).ok_or_else(|| {
        Invalid::new(
            field,
            format_args!("{duration:?} is not from 0 to 2^32 - 1 whole milliseconds"),
        )
    })
}

/// The span of so many milliseconds.
pub(crate) fn duration(millis: u32) -> Duration {
    Duration {
        seconds: i64::from(millis / 1_000),
        nanos: (millis % 1_000) as i32 * 1_000_000,
    }
}

/// An enum that stands on the wire as a number.
pub(crate) fn choice<W: TryFrom<i32>, M: TryFrom<W, Error = NotGiven>>(field: &str, value: i32) -> Result<M, Invalid> {
    let unknown = |_| Invalid::new(field, format_args!("{value} is not a value that this version knows"));
    let wire = W::try_from(value).map_err(unknown)?;
    M::try_from(wire).map_err(|error| Invalid::new(field, error))
}

/// The two directions of an enum, from one list of what both call the same.
macro_rules! same_words {
    ($wire:ty, $model:ty: $($variant:ident)*) => {
        impl From<$model> for $wire {
            fn from(value: $model) -> Self {
                match value {
                    $(<$model>::$variant => Self::$variant,)*
                }
            }
        }

        impl TryFrom<$wire> for $model {
            type Error = $crate::NotGiven;

            fn try_from(value: $wire) -> Result<Self, $crate::NotGiven> {
                match value {
                    $(<$wire>::$variant => Ok(Self::$variant),)*
                    <$wire>::Unspecified => Err($crate::NotGiven),
                }
            }
        }
    };
}
pub(crate) use same_words;
