//! The file format of Connect's `FileOffsetBackingStore`: a Java-serialised `HashMap<byte[], byte[]>`
//! (Java Object Serialization Stream Protocol, version 5). Only that shape is read; the same shape is written, so a
//! Java worker can take the file back.

use std::collections::BTreeMap;

/// The bytes that every such stream begins with: magic, version, object, class `java.util.HashMap` with its two fields.
const HEAD: &[u8] = b"\xac\xed\x00\x05\x73\x72\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02\
F\x00\x0aloadFactorI\x00\x09thresholdxp";
/// The class of `byte[]`, written in full the first time.
const BYTES_CLASS: &[u8] = b"\x72\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp";
/// After that, a reference to it: the HashMap's class and the map itself have the handles before it.
const BYTES_CLASS_AGAIN: &[u8] = b"\x71\x00\x7e\x00\x02";
/// The handle of the first array.
const FIRST_ARRAY: u32 = 0x007e_0003;

const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_ARRAY: u8 = 0x75;
const TC_BLOCK_DATA: u8 = 0x77;
const TC_END_BLOCK_DATA: u8 = 0x78;

/// Entries; a null value is a tombstone that was never cleaned up.
pub(super) type Map = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Reads a file's content. An empty file is an empty map.
pub(super) fn read(bytes: &[u8]) -> Result<Map, String> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let mut reader = Reader {
        bytes,
        at: 0,
        arrays: Vec::new(),
    };
    reader.expect(HEAD, "a Java-serialised java.util.HashMap")?;
    reader.take(8)?; // load factor and threshold: Java recomputes both, so do we
    reader.expect(&[TC_BLOCK_DATA, 8], "the map's size")?;
    reader.take(4)?; // number of buckets
    let size = reader.int()?;
    let mut map = Map::new();
    for _ in 0..size {
        let key = reader.array()?.ok_or("a key is null")?;
        let value = reader.array()?;
        map.insert(key, value);
    }
    reader.expect(&[TC_END_BLOCK_DATA], "the end of the map")?;
    Ok(map)
}

/// Writes a map as Java would.
pub(super) fn write(map: &Map) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    let size = map.len() as u32;
    // Java's own growth rule; readers ignore both numbers, but an old JVM checks that they are plausible.
    let buckets = (size * 4 / 3 + 1).next_power_of_two().max(16);
    out.extend(0.75f32.to_be_bytes());
    out.extend((buckets * 3 / 4).to_be_bytes());
    out.extend([TC_BLOCK_DATA, 8]);
    out.extend(buckets.to_be_bytes());
    out.extend(size.to_be_bytes());
    let mut first = true;
    for array in map.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]) {
        let Some(array) = array else {
            out.push(TC_NULL);
            continue;
        };
        out.push(TC_ARRAY);
        out.extend(if std::mem::take(&mut first) {
            BYTES_CLASS
        } else {
            BYTES_CLASS_AGAIN
        });
        out.extend((array.len() as u32).to_be_bytes());
        out.extend(array);
    }
    out.push(TC_END_BLOCK_DATA);
    out
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    arrays: Vec<Vec<u8>>,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("the file ends at byte {} in the middle of an entry", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn expect(&mut self, wanted: &[u8], what: &str) -> Result<(), String> {
        let at = self.at;
        if self.take(wanted.len())? == wanted {
            Ok(())
        } else {
            Err(format!("byte {at} is not {what}"))
        }
    }

    fn int(&mut self) -> Result<u32, String> {
        Ok(u32::from_be_bytes(
            self.take(4)?.try_into().expect("four bytes were taken"),
        ))
    }

    fn array(&mut self) -> Result<Option<Vec<u8>>, String> {
        let at = self.at;
        match self.take(1)?[0] {
            TC_NULL => Ok(None),
            TC_REFERENCE => {
                let place = self.int()?.wrapping_sub(FIRST_ARRAY) as usize;
                self.arrays
                    .get(place)
                    .cloned()
                    .map(Some)
                    .ok_or_else(|| format!("byte {at} refers to nothing"))
            }
            TC_ARRAY => {
                let class = if self.arrays.is_empty() {
                    BYTES_CLASS
                } else {
                    BYTES_CLASS_AGAIN
                };
                self.expect(class, "the class byte[]")?;
                let len = self.int()? as usize;
                let array = self.take(len)?.to_vec();
                self.arrays.push(array.clone());
                Ok(Some(array))
            }
            other => Err(format!("byte {at} is {other:#04x}, neither null nor a byte array")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut map = Map::new();
        assert_eq!(read(&write(&map)).unwrap(), map);
        map.insert(b"a".to_vec(), Some(b"1".to_vec()));
        map.insert(b"b".to_vec(), None);
        map.insert(b"".to_vec(), Some(vec![0; 70_000]));
        assert_eq!(read(&write(&map)).unwrap(), map);
    }

    #[test]
    fn what_java_wrote_is_read() {
        // ObjectOutputStream.writeObject of a HashMap with three entries, by OpenJDK 17.
        let java: &[u8] = b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02\
F\x00\x0aloadFactorI\x00\x09thresholdxp?@\x00\x00\x00\x00\x00\x0cw\x08\x00\x00\x00\x10\x00\x00\x00\x03\
ur\x00\x02[B\xac\xf3\x17\xf8\x06\x08T\xe0\x02\x00\x00xp\x00\x00\x00\x16[\"c\",{\"filename\":\"x\"}]\
uq\x00~\x00\x02\x00\x00\x00\x0e{\"position\":5}uq\x00~\x00\x02\x00\x00\x00\x02k3\
uq\x00~\x00\x02\x00\x00\x00\x01vuq\x00~\x00\x02\x00\x00\x00\x02k2px";
        let map = read(java).unwrap();
        assert_eq!(
            map[b"[\"c\",{\"filename\":\"x\"}]".as_slice()].as_deref(),
            Some(b"{\"position\":5}".as_slice())
        );
        assert_eq!(map[b"k2".as_slice()], None);
        assert_eq!(
            write(&map).len(),
            java.len(),
            "the same entries take the same bytes, in another order"
        );
    }

    #[test]
    fn damage_is_named_and_never_a_panic() {
        let good = write(&Map::from([(b"key".to_vec(), Some(b"value".to_vec()))]));
        for end in 1..good.len() {
            assert!(read(&good[..end]).is_err(), "cut at {end}");
        }
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x55;
            drop(read(&bad)); // either refused or another map, but it returns
        }
        assert_eq!(
            read(b"{}").unwrap_err(),
            "the file ends at byte 2 in the middle of an entry"
        );
    }
}
