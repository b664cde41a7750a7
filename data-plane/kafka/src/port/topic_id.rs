//! Topic ids (KIP-516): a topic that is deleted and created anew under its name has another one, and no id is ever used twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A topic's own id, written as Kafka's tools write it: 22 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(Uuid);

impl TopicId {
    /// None for the id that stands for no id.
    pub(crate) fn of(id: Uuid) -> Option<Self> {
        (!id.is_nil()).then_some(Self(id))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The text is no topic id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a topic id is 22 characters of base64 (`kafka-topics.sh --describe` shows it)")]
pub struct NoTopicId;

impl FromStr for TopicId {
    type Err = NoTopicId;

    fn from_str(text: &str) -> Result<Self, NoTopicId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoTopicId)?;
        Uuid::from_slice(&bytes).ok().and_then(Self::of).ok_or(NoTopicId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of `org.apache.kafka.common.Uuid`.
    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        for (id, text) in [
            (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (0xfbff_bf00_0000_0000_0000_0000_0000_0000, "-_-_AAAAAAAAAAAAAAAAAA"),
        ] {
            let id = TopicId::of(Uuid::from_u128(id)).expect("an id");
            assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
        }
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA AQ",
            "+/+/AAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<TopicId>(), Err(NoTopicId), "{text}");
        }
    }
}
