//! Task sets: one value, or a manifest and the parts that it names by digest. A part is put where it is absent, before the manifest is
//! written; parts that no manifest names are left over and may go. A set that changes a little keeps most of its parts.

use super::cluster::{read_written, written};
use super::{Rest, v1};
use crate::read::{self, number};
use crate::{Error, Invalid};
use dray_model::record::{MAX_TASKS, TaskSet, TaskSpec};
use dray_model::{ConfigDiff, ConfigDigest};
use prost::Message;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// The most bytes of a block before it is compressed: a third of what etcd takes in one request, and what anybody has to hold for it.
const BLOCK: usize = 512 << 10;
/// The most bytes of one task in a block; less than a block by what frames it.
const TASK: usize = BLOCK - 16;
/// zstd's own default; higher ones gain little on texts of this size.
const LEVEL: i32 = 3;
/// What an incompressible block may grow by.
const STORED: usize = BLOCK + (BLOCK >> 8) + 64;
const WHAT: &str = "task_set";

/// The SHA-256 of a part as it is stored: its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartDigest([u8; 32]);

impl PartDigest {
    fn of(part: &[u8]) -> Self {
        Self(Sha256::digest(part).into())
    }

    /// The bytes, as in the part's key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A task set as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The value of the set.
    pub value: Vec<u8>,
    /// The parts that must be there before it; none for a set of ordinary size.
    pub parts: Vec<(PartDigest, Vec<u8>)>,
}

/// The values of a task set. `rest` is what the value that it replaces was read with.
///
/// # Errors
/// When it has too many tasks, or one that is too large.
pub fn encode(set: &TaskSet, rest: &Rest) -> Result<Encoded, Error> {
    let count = set.tasks.len();
    if count > MAX_TASKS as usize {
        return Err(Error::TooManyTasks { count });
    }
    let mut blocks = blocks(set)?;
    let mut wire = v1::TaskSet {
        connector_uid: set.uid.get(),
        config_version: set.config_version,
        count: count as u32, // at most MAX_TASKS
        written: Some(written(set.written)),
        ..Default::default()
    };
    let mut parts = Vec::new();
    if blocks.len() > 1 {
        for block in &blocks {
            let value = compress(block);
            let digest = PartDigest::of(&value);
            wire.parts.push(v1::Part {
                digest: digest.0.into(),
                count: block.tasks.len() as u32, // at most MAX_TASKS
            });
            // Equal tasks may make equal parts; two puts of one key are refused in a transaction.
            if parts.iter().all(|(other, _)| *other != digest) {
                parts.push((digest, value));
            }
        }
    } else if let Some(block) = blocks.pop() {
        wire.block = compress(&block);
    }
    Ok(Encoded {
        value: rest.join(&wire),
        parts,
    })
}

/// The tasks, cut where a block is full.
fn blocks(set: &TaskSet) -> Result<Vec<v1::TaskBlock>, Error> {
    let mut blocks: Vec<v1::TaskBlock> = Vec::new();
    let mut room = 0;
    for (number, task) in set.tasks.iter().enumerate() {
        let task = wire_task(task);
        let bytes = task.encoded_len();
        if bytes > TASK {
            return Err(Error::TaskTooLarge {
                task: number,
                bytes,
                limit: TASK,
            });
        }
        let framed = bytes + 1 + prost::length_delimiter_len(bytes);
        if framed > room || blocks.is_empty() {
            blocks.push(v1::TaskBlock::default());
            room = BLOCK;
        }
        room -= framed;
        if let Some(block) = blocks.last_mut() {
            block.tasks.push(task);
        }
    }
    Ok(blocks)
}

fn compress(block: &v1::TaskBlock) -> Vec<u8> {
    zstd::bulk::compress(&block.encode_to_vec(), LEVEL).expect("the destination is as large as zstd asks for")
}

/// The value of a task set that was read; its parts may still be missing.
#[derive(Clone, Debug)]
pub struct Manifest {
    wire: v1::TaskSet,
    parts: Vec<PartDigest>,
    rest: Rest,
}

impl Manifest {
    /// Reads the value of a task set.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(value: &[u8]) -> Result<Self, Error> {
        let (wire, rest) = Rest::of::<v1::TaskSet>(value).map_err(|source| Error::Bytes { what: WHAT, source })?;
        let digest = |(at, part): (usize, &v1::Part)| {
            read::fixed(&format!("{WHAT}.parts[{at}].digest"), &part.digest).map(PartDigest)
        };
        let parts = wire.parts.iter().enumerate().map(digest).collect::<Result<_, _>>()?;
        Ok(Self { wire, parts, rest })
    }

    /// The parts that are wanted for [`assemble`](Self::assemble), and what goes when the set is deleted.
    #[must_use]
    pub fn parts(&self) -> &[PartDigest] {
        &self.parts
    }

    /// The task set, with the parts that `part` finds.
    ///
    /// # Errors
    /// When a part is missing, or it or the value is damaged.
    pub fn assemble<'a>(self, part: impl Fn(&PartDigest) -> Option<&'a [u8]>) -> Result<(TaskSet, Rest), Error> {
        let wire = self.wire;
        if wire.count > MAX_TASKS {
            let count = wire.count as usize;
            return Err(Error::TooManyTasks { count });
        }
        let mut tasks = Vec::with_capacity(wire.count as usize);
        if !wire.block.is_empty() {
            let block = decompress(&wire.block).map_err(|problem| invalid("block", problem))?;
            for task in block.tasks {
                tasks.push(read_task(task).map_err(|invalid| invalid.within(format_args!("{WHAT}.block")))?);
            }
        }
        for (digest, named) in self.parts.iter().zip(&wire.parts) {
            let missing = || Error::PartMissing {
                digest: digest.to_string(),
            };
            let damaged = |problem: String| Error::PartDamaged {
                digest: digest.to_string(),
                problem,
            };
            let value = part(digest).ok_or_else(missing)?;
            let found = PartDigest::of(value);
            if found != *digest {
                return Err(damaged(format!("its digest is {found}")));
            }
            let block = decompress(value).map_err(damaged)?;
            if block.tasks.len() != named.count as usize {
                let problem = format!("it has {} tasks instead of {}", block.tasks.len(), named.count);
                return Err(damaged(problem));
            }
            for task in block.tasks {
                tasks.push(read_task(task).map_err(|invalid| damaged(invalid.to_string()))?);
            }
            if tasks.len() > wire.count as usize {
                break; // reported below, without holding more
            }
        }
        if tasks.len() != wire.count as usize {
            let problem = format!("says {}, and there are {}", wire.count, tasks.len());
            return Err(invalid("count", problem));
        }
        let at = |invalid: Invalid| invalid.within(WHAT);
        let set = TaskSet {
            uid: number("connector_uid", wire.connector_uid).map_err(at)?,
            config_version: wire.config_version,
            tasks,
            written: read_written("written", wire.written).map_err(at)?,
        };
        Ok((set, self.rest))
    }
}

fn invalid(field: &str, problem: String) -> Error {
    Error::Invalid(Invalid::new(format!("{WHAT}.{field}"), problem))
}

/// Never makes more than a block of what it is given.
fn decompress(value: &[u8]) -> Result<v1::TaskBlock, String> {
    if value.len() > STORED {
        return Err(format!("it has {} bytes, and {STORED} is the most", value.len()));
    }
    let bytes = zstd::bulk::decompress(value, BLOCK).map_err(|error| format!("zstd: {error}"))?;
    v1::TaskBlock::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

fn wire_task(task: &TaskSpec) -> v1::TaskSpec {
    v1::TaskSpec {
        set: task.config.set.clone(),
        removed: task.config.removed.clone(),
        digest: task.digest.as_bytes().into(),
        cost: task.cost.units(),
    }
}

fn read_task(task: v1::TaskSpec) -> Result<TaskSpec, Invalid> {
    let digest: ConfigDigest = read::digest("digest", &task.digest)?;
    Ok(TaskSpec {
        config: Arc::new(ConfigDiff {
            set: task.set,
            removed: task.removed,
        }),
        digest,
        cost: read::cost("cost", task.cost)?,
    })
}
