//! What a topic has to look like after take-overs: the rules that every record is held against, in the order of its partition.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What a record says: which owner wrote it, and its number among the records of its partition. Later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    pub(super) generation: u32,
    pub(super) number: u64,
}

impl Value {
    /// As long as a record of a small table; the rest is filled up.
    pub(super) fn text(self) -> String {
        format!("{:<200}", format!("{} {}", self.generation, self.number))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split_whitespace();
        let generation = words.next()?.parse().ok()?;
        let number = words.next()?.parse().ok()?;
        Some(Self { generation, number })
    }
}

/// Records of one owner in one partition, one behind the other: what it was told is stored, or what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first one's number.
    pub(super) first: u64,
    /// The first one's offset.
    pub(super) offset: i64,
    pub(super) count: u64,
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}+{}", self.first, self.offset, self.count)
    }
}

impl FromStr for Stretch {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, rest) = text.split_once('@').ok_or("no offset")?;
        let (offset, count) = rest.split_once('+').ok_or("no count")?;
        Ok(Self {
            first: first.parse()?,
            offset: offset.parse()?,
            count: count.parse()?,
        })
    }
}

/// What was read of the topic.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The value of each key.
    keys: BTreeMap<Vec<u8>, Value>,
    /// The owner of the latest record of each partition.
    owners: BTreeMap<i32, u32>,
    stretches: BTreeMap<(u32, i32), Stretch>,
    pub(super) records: u64,
}

impl Log {
    /// Takes in the next record of a partition.
    ///
    /// # Errors
    /// When it must not be there.
    pub(super) fn add(&mut self, partition: i32, offset: i64, key: &[u8], value: &[u8]) -> Result<(), String> {
        let value = Value::read(value).ok_or_else(|| format!("{partition}-{offset} is none of ours"))?;
        self.records += 1;
        let place = format!("{value:?} at {partition}-{offset}");
        if let Some(before) = self.keys.insert(key.to_vec(), value)
            && before >= value
        {
            let key = String::from_utf8_lossy(key);
            return Err(format!("key {key} goes back from {before:?} to {place}"));
        }
        // Nothing of an owner may follow its successor's first record, whatever its key.
        let owner = self.owners.insert(partition, value.generation);
        if let Some(owner) = owner.filter(|owner| *owner > value.generation) {
            return Err(format!("{place} is behind a record of owner {owner}"));
        }
        let stretch = self.stretches.entry((value.generation, partition)).or_insert(Stretch {
            first: value.number,
            offset,
            count: 0,
        });
        let expected = (stretch.first + stretch.count, stretch.offset + stretch.count as i64);
        if (value.number, offset) != expected {
            return Err(format!("{place} follows a gap: {expected:?} was expected"));
        }
        stretch.count += 1;
        Ok(())
    }

    /// Compares with what an owner was told is stored in a partition. More may be: it was told no more.
    ///
    /// # Errors
    /// When something is missing, or stored elsewhere.
    pub(super) fn check(&self, generation: u32, partition: i32, told: Stretch) -> Result<(), String> {
        if told.count == 0 {
            return Ok(());
        }
        let found = self
            .stretches
            .get(&(generation, partition))
            .copied()
            .unwrap_or_default();
        if (found.first, found.offset) == (told.first, told.offset) && found.count >= told.count {
            return Ok(());
        }
        Err(format!(
            "owner {generation}, partition {partition}: {told} is acknowledged, {found} is there"
        ))
    }
}

/// Holds the records against the rules, in this order: partition, offset, key, generation and number.
fn check(records: &[(i32, i64, &str, u32, u64)], expected: Result<(), &str>) {
    let mut log = Log::default();
    let mut add = |(partition, offset, key, generation, number): &(i32, i64, &str, u32, u64)| {
        let (generation, number) = (*generation, *number);
        let value = Value { generation, number }.text();
        log.add(*partition, *offset, key.as_bytes(), value.as_bytes())
    };
    let result = records.iter().try_for_each(&mut add);
    assert_eq!(result, expected.map_err(str::to_owned));
}

#[test]
fn whatever_must_not_be_in_the_topic_is_noticed() {
    let first = (0, 5, "a", 1, 5);
    // Another owner goes on at the numbers that it found; something of the first one's has come in between.
    check(
        &[first, (0, 6, "b", 1, 6), (0, 7, "b", 2, 6), (1, 0, "c", 1, 0)],
        Ok(()),
    );
    check(
        &[first, (0, 6, "a", 2, 6), (0, 7, "a", 1, 7)],
        Err("key a goes back from Value { generation: 2, number: 6 } to Value { generation: 1, number: 7 } at 0-7"),
    );
    check(
        &[first, (0, 6, "a", 1, 5)],
        Err("key a goes back from Value { generation: 1, number: 5 } to Value { generation: 1, number: 5 } at 0-6"),
    );
    check(
        &[first, (0, 6, "b", 2, 6), (0, 7, "c", 1, 7)],
        Err("Value { generation: 1, number: 7 } at 0-7 is behind a record of owner 2"),
    );
    check(
        &[first, (0, 6, "b", 1, 7)],
        Err("Value { generation: 1, number: 7 } at 0-6 follows a gap: (6, 6) was expected"),
    );
    let mut log = Log::default();
    log.add(
        0,
        5,
        b"a",
        Value {
            generation: 1,
            number: 5,
        }
        .text()
        .as_bytes(),
    )
    .expect("the first");
    let told = |text: &str| log.check(1, 0, text.parse().expect("a stretch"));
    assert_eq!((told("5@5+1"), told("9@9+0")), (Ok(()), Ok(())));
    for wrong in ["5@5+2", "5@6+1", "4@4+1"] {
        let error = format!("owner 1, partition 0: {wrong} is acknowledged, 5@5+1 is there");
        assert_eq!(told(wrong), Err(error));
    }
}
