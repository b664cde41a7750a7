//! The records: a function of their kind and number, so that every run and every machine has the same ones.

use crate::Result;
use memmap2::Mmap;
use std::fs::File;
use std::io::{BufWriter, Write};

const INLINE_SCHEMA: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"},"#,
    r#"{"type":"string","optional":true,"field":"email"},{"type":"double","optional":true,"field":"amount"},"#,
    r#"{"type":"int32","optional":true,"field":"quantity"},{"type":"boolean","optional":true,"field":"active"},"#,
    r#"{"type":"string","optional":true,"field":"city"},{"type":"string","optional":true,"field":"ssn"},"#,
    r#"{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"created"},"#,
    r#"{"type":"string","optional":true,"field":"note"}],"optional":false,"name":"bench.Customer"}"#
);

/// Writes `records` lines and makes them durable, so that no later run pays for writing them back.
pub(crate) fn generate(kind: &str, records: u64, path: &str) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut line = Vec::new();
    for number in 0..records {
        line.clear();
        match kind {
            "text100" => text(number, 100, &mut line)?,
            "text200" => text(number, 200, &mut line)?,
            "text1k" => text(number, 1024, &mut line)?,
            "text2k" => text(number, 2048, &mut line)?,
            "json" => json(number, &mut line)?,
            "inline" => {
                write!(line, r#"{{"schema":{INLINE_SCHEMA},"payload":"#)?;
                json(number, &mut line)?;
                line.push(b'}');
            }
            _ => return Err("the kinds are text100, text200, text1k, text2k, json, inline".into()),
        }
        line.push(b'\n');
        file.write_all(&line)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

/// The number, then letters of a generator seeded with it (xorshift).
fn text(number: u64, size: usize, line: &mut Vec<u8>) -> Result<()> {
    write!(line, "{number:012} ")?;
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while line.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        line.push(b'a' + (state % 26) as u8);
    }
    Ok(())
}

/// Ten fields: numbers, text, a boolean and a time.
fn json(number: u64, line: &mut Vec<u8>) -> Result<()> {
    write!(
        line,
        concat!(
            r#"{{"id":{},"name":"customer-{}","email":"user{}@example.com","amount":{}.{:02},"quantity":{},"active":{},"#,
            r#""city":"Springfield","ssn":"{:09}","created":{},"note":"the quick brown fox jumps over"}}"#
        ),
        number,
        number % 100_000,
        number % 77_777,
        number % 1000,
        number % 100,
        number % 13,
        number.is_multiple_of(2),
        number % 999_999_999,
        1_700_000_000_000 + number
    )?;
    Ok(())
}

/// Lines and the sum of their hashes: two files with the same lines, in whatever order, have the same.
pub(crate) fn checksum(path: &str) -> Result<()> {
    let (mut lines, mut sum) = (0_u64, 0_u64);
    // Safety: the benchmarks look at files that nobody writes any more.
    let map = unsafe { Mmap::map(&File::open(path)?)? };
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', &map) {
        lines += 1;
        sum = sum.wrapping_add(hash(&map[start..end]));
        start = end + 1;
    }
    if start != map.len() {
        return Err("the last line has no end".into());
    }
    println!(r#"{{"lines":{lines},"sum":"{sum:016x}"}}"#);
    Ok(())
}

/// Eight bytes a step, multiply and rotate (FxHash); good enough to see a line that is lost, doubled or changed.
fn hash(line: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    let mut words = line.chunks_exact(8);
    let mut result = step(0, line.len() as u64);
    for word in &mut words {
        result = step(result, u64::from_le_bytes(word.try_into().expect("chunks of eight")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    step(result, u64::from_le_bytes(last))
}
