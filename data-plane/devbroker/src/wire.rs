//! The shape of every request that is served, and a walk over it before the codec sees it: kafka-protocol 0.18 allocates an
//! array by the length that the frame claims, so that a claim which the frame does not keep would end the process.
//! `tests` holds the shapes against the codec, in every version.

use kafka_protocol::messages::ApiKey;

/// All elements of all arrays of one frame: what they decode to is some 100 bytes each, so this bounds the memory that a
/// frame of many empty elements takes.
const MAX_ELEMENTS: usize = 1_000_000;
/// The greatest version: where a field did not end.
const NOW: i16 = i16::MAX;

/// What a field is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    Text,
    Bytes,
    /// Arrays: of 32-bit integers, of texts, of structures.
    Ints,
    Texts,
    Structs(Fields),
}

/// The first and the last version of a field, and its kind.
pub(crate) type Fields = &'static [(i16, i16, Kind)];

use Kind::{Bytes, Fixed, Ints, Structs, Text, Texts};

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);

/// Configuration entries, as three APIs have them.
const CONFIGS: Fields = &[(0, NOW, Text), (0, NOW, Text)];

/// The API, the version from which lengths are compact and structures end with tags, and the fields.
pub(crate) const REQUESTS: &[(ApiKey, i16, Fields)] = &[
    (
        ApiKey::Produce,
        9,
        &[
            (3, NOW, Text),
            (0, NOW, I16),
            (0, NOW, I32),
            (
                0,
                NOW,
                Structs(&[(0, NOW, Text), (0, NOW, Structs(&[(0, NOW, I32), (0, NOW, Bytes)]))]),
            ),
        ],
    ),
    (
        ApiKey::Fetch,
        12,
        &[
            (0, NOW, I32),
            (0, NOW, I32),
            (0, NOW, I32),
            (0, NOW, I32),
            (0, NOW, I8),
            (7, NOW, I32),
            (7, NOW, I32),
            (
                0,
                NOW,
                Structs(&[
                    (0, NOW, Text),
                    (
                        0,
                        NOW,
                        Structs(&[
                            (0, NOW, I32),
                            (9, NOW, I32),
                            (0, NOW, I64),
                            (5, NOW, I64),
                            (0, NOW, I32),
                        ]),
                    ),
                ]),
            ),
            (7, NOW, Structs(&[(0, NOW, Text), (0, NOW, Ints)])),
            (11, NOW, Text),
        ],
    ),
    (
        ApiKey::ListOffsets,
        6,
        &[
            (0, NOW, I32),
            (2, NOW, I8),
            (
                0,
                NOW,
                Structs(&[
                    (0, NOW, Text),
                    (0, NOW, Structs(&[(0, NOW, I32), (4, NOW, I32), (0, NOW, I64)])),
                ]),
            ),
        ],
    ),
    (
        ApiKey::Metadata,
        9,
        &[
            (0, NOW, Structs(&[(0, NOW, Text)])),
            (4, NOW, I8),
            (8, NOW, I8),
            (8, NOW, I8),
        ],
    ),
    (
        ApiKey::OffsetCommit,
        8,
        &[
            (0, NOW, Text),
            (0, NOW, I32),
            (0, NOW, Text),
            (7, NOW, Text),
            (0, 4, I64),
            (
                0,
                NOW,
                Structs(&[
                    (0, NOW, Text),
                    (
                        0,
                        NOW,
                        Structs(&[(0, NOW, I32), (0, NOW, I64), (6, NOW, I32), (0, NOW, Text)]),
                    ),
                ]),
            ),
        ],
    ),
    (
        ApiKey::OffsetFetch,
        6,
        &[
            (0, NOW, Text),
            (0, NOW, Structs(&[(0, NOW, Text), (0, NOW, Ints)])),
            (7, NOW, I8),
        ],
    ),
    (ApiKey::FindCoordinator, 3, &[(0, NOW, Text), (1, NOW, I8)]),
    (
        ApiKey::JoinGroup,
        6,
        &[
            (0, NOW, Text),
            (0, NOW, I32),
            (1, NOW, I32),
            (0, NOW, Text),
            (5, NOW, Text),
            (0, NOW, Text),
            (0, NOW, Structs(&[(0, NOW, Text), (0, NOW, Bytes)])),
        ],
    ),
    (
        ApiKey::Heartbeat,
        4,
        &[(0, NOW, Text), (0, NOW, I32), (0, NOW, Text), (3, NOW, Text)],
    ),
    (
        ApiKey::LeaveGroup,
        4,
        &[
            (0, NOW, Text),
            (0, 2, Text),
            (3, NOW, Structs(&[(0, NOW, Text), (0, NOW, Text)])),
        ],
    ),
    (
        ApiKey::SyncGroup,
        4,
        &[
            (0, NOW, Text),
            (0, NOW, I32),
            (0, NOW, Text),
            (3, NOW, Text),
            (5, NOW, Text),
            (5, NOW, Text),
            (0, NOW, Structs(&[(0, NOW, Text), (0, NOW, Bytes)])),
        ],
    ),
    (ApiKey::DescribeGroups, 5, &[(0, NOW, Texts), (3, NOW, I8)]),
    (ApiKey::ListGroups, 3, &[(4, NOW, Texts)]),
    (ApiKey::ApiVersions, 3, &[(3, NOW, Text), (3, NOW, Text)]),
    (
        ApiKey::CreateTopics,
        5,
        &[
            (
                0,
                NOW,
                Structs(&[
                    (0, NOW, Text),
                    (0, NOW, I32),
                    (0, NOW, I16),
                    (0, NOW, Structs(&[(0, NOW, I32), (0, NOW, Ints)])),
                    (0, NOW, Structs(CONFIGS)),
                ]),
            ),
            (0, NOW, I32),
            (0, NOW, I8),
        ],
    ),
    (ApiKey::DeleteTopics, 4, &[(0, NOW, Texts), (0, NOW, I32)]),
    (
        ApiKey::DeleteRecords,
        2,
        &[
            (
                0,
                NOW,
                Structs(&[(0, NOW, Text), (0, NOW, Structs(&[(0, NOW, I32), (0, NOW, I64)]))]),
            ),
            (0, NOW, I32),
        ],
    ),
    (
        ApiKey::InitProducerId,
        2,
        &[(0, NOW, Text), (0, NOW, I32), (3, NOW, I64), (3, NOW, I16)],
    ),
    (
        ApiKey::DescribeConfigs,
        4,
        &[
            (0, NOW, Structs(&[(0, NOW, I8), (0, NOW, Text), (0, NOW, Texts)])),
            (0, NOW, I8),
            (3, NOW, I8),
        ],
    ),
    (
        ApiKey::AlterConfigs,
        2,
        &[
            (
                0,
                NOW,
                Structs(&[(0, NOW, I8), (0, NOW, Text), (0, NOW, Structs(CONFIGS))]),
            ),
            (0, NOW, I8),
        ],
    ),
    (
        ApiKey::CreatePartitions,
        2,
        &[
            (
                0,
                NOW,
                Structs(&[(0, NOW, Text), (0, NOW, I32), (0, NOW, Structs(&[(0, NOW, Ints)]))]),
            ),
            (0, NOW, I32),
            (0, NOW, I8),
        ],
    ),
    (ApiKey::DeleteGroups, 2, &[(0, NOW, Texts)]),
    (
        ApiKey::IncrementalAlterConfigs,
        1,
        &[
            (
                0,
                NOW,
                Structs(&[
                    (0, NOW, I8),
                    (0, NOW, Text),
                    (0, NOW, Structs(&[(0, NOW, Text), (0, NOW, I8), (0, NOW, Text)])),
                ]),
            ),
            (0, NOW, I8),
        ],
    ),
    (
        ApiKey::OffsetDelete,
        NOW,
        &[
            (0, NOW, Text),
            (0, NOW, Structs(&[(0, NOW, Text), (0, NOW, Structs(&[(0, NOW, I32)]))])),
        ],
    ),
    (ApiKey::DescribeCluster, 0, &[(0, NOW, I8), (1, NOW, I8)]),
];

/// What a member of a consumer group sends as its subscription, after the version.
pub(crate) const SUBSCRIPTION: Fields = &[
    (0, NOW, Texts),
    (0, NOW, Bytes),
    (1, NOW, Structs(&[(0, NOW, Text), (0, NOW, Ints)])),
    (2, NOW, I32),
    (3, NOW, Text),
];

/// Why a frame is not given to the codec.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Bad {
    #[error("an array of {claimed} elements is claimed where {rest} bytes are left")]
    Claim { claimed: usize, rest: usize },
    #[error("more than {MAX_ELEMENTS} elements in one frame")]
    Elements,
    #[error("it ends in the middle of a field")]
    Short,
    #[error("a length that is none")]
    Length,
    #[error("its shape is not known")]
    Unknown,
}

/// Walks over the body of a request.
pub(crate) fn check_request(api: ApiKey, version: i16, body: &[u8]) -> Result<(), Bad> {
    let (_, compact, fields) = REQUESTS.iter().find(|(known, ..)| *known == api).ok_or(Bad::Unknown)?;
    check(fields, version, version >= *compact, body)
}

/// Walks over a subscription, after its version.
pub(crate) fn check_subscription(version: i16, body: &[u8]) -> Result<(), Bad> {
    check(SUBSCRIPTION, version, false, body)
}

fn check(fields: Fields, version: i16, compact: bool, body: &[u8]) -> Result<(), Bad> {
    let mut walk = Walk {
        rest: body,
        version,
        compact,
        elements: 0,
    };
    walk.fields(fields)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    compact: bool,
    elements: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: Fields) -> Result<(), Bad> {
        for (first, last, kind) in fields {
            if (*first..=*last).contains(&self.version) {
                self.field(*kind)?;
            }
        }
        if self.compact {
            self.tags()?;
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), Bad> {
        match kind {
            Fixed(bytes) => self.skip(bytes),
            Text => {
                let length = if self.compact {
                    self.compact_length()?
                } else {
                    self.length(2)?
                };
                self.skip(length)
            }
            Bytes => {
                let length = if self.compact {
                    self.compact_length()?
                } else {
                    self.length(4)?
                };
                self.skip(length)
            }
            Ints => {
                let count = self.count()?;
                self.skip(count * 4)
            }
            Texts => {
                for _ in 0..self.count()? {
                    self.field(Text)?;
                }
                Ok(())
            }
            Structs(fields) => {
                for _ in 0..self.count()? {
                    self.fields(fields)?;
                }
                Ok(())
            }
        }
    }

    /// The number of elements that follow; each takes a byte at least.
    fn count(&mut self) -> Result<usize, Bad> {
        let claimed = if self.compact {
            self.compact_length()?
        } else {
            self.length(4)?
        };
        if claimed > self.rest.len() {
            let rest = self.rest.len();
            return Err(Bad::Claim { claimed, rest });
        }
        self.elements += claimed;
        if self.elements > MAX_ELEMENTS {
            return Err(Bad::Elements);
        }
        Ok(claimed)
    }

    /// A length of 2 or 4 bytes, where -1 is null.
    fn length(&mut self, bytes: usize) -> Result<usize, Bad> {
        let (head, rest) = self.rest.split_at_checked(bytes).ok_or(Bad::Short)?;
        self.rest = rest;
        let sign = if head[0] & 0x80 == 0 { 0 } else { -1_i64 };
        let length = head.iter().fold(sign, |length, byte| (length << 8) | i64::from(*byte));
        match length {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| Bad::Length),
        }
    }

    /// A length plus one, where 0 is null.
    fn compact_length(&mut self) -> Result<usize, Bad> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn varint(&mut self) -> Result<usize, Bad> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, rest) = self.rest.split_first().ok_or(Bad::Short)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| Bad::Length);
            }
        }
        Err(Bad::Length)
    }

    /// None of the served versions has a tag with an array in it; the codec keeps them as bytes.
    fn tags(&mut self) -> Result<(), Bad> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.skip(length)?;
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Bad> {
        self.rest = self.rest.get(bytes..).ok_or(Bad::Short)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
