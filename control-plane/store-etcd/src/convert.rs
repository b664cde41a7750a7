//! Between etcd's types and ours.

use dray_store::{Entry, Key, KeyRange, LeaseId, Revision};
use etcd_client::{KeyValue, ResponseHeader};

/// etcd's revisions are signed and never negative.
pub(crate) fn unsigned(revision: i64) -> Revision {
    Revision::new(u64::try_from(revision).unwrap_or_default())
}

/// A revision that etcd cannot have is one that is still to come.
pub(crate) fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// Every answer of etcd has a header.
pub(crate) fn revision(header: Option<&ResponseHeader>) -> Revision {
    unsigned(header.map_or(0, ResponseHeader::revision))
}

pub(crate) fn lease(id: i64) -> LeaseId {
    LeaseId::new(id.cast_unsigned())
}

pub(crate) fn lease_number(lease: LeaseId) -> i64 {
    lease.get().cast_signed()
}

pub(crate) fn entry(found: KeyValue) -> Entry {
    let (create_revision, mod_revision) = (unsigned(found.create_revision()), unsigned(found.mod_revision()));
    let lease = (found.lease() != 0).then(|| lease(found.lease()));
    let (key, value) = found.into_key_value();
    Entry {
        key: Key::from_stored(key),
        value: value.into(),
        create_revision,
        mod_revision,
        lease,
    }
}

/// The end of a range, exclusive; `None` for one key.
pub(crate) fn range_end(range: &KeyRange) -> Option<Vec<u8>> {
    match range {
        KeyRange::Only(_) => None,
        KeyRange::Below(prefix) => {
            let mut end = prefix.to_vec();
            while let Some(last) = end.pop() {
                if last < u8::MAX {
                    end.push(last + 1);
                    return Some(end);
                }
            }
            // etcd's word for "no end".
            Some(vec![0])
        }
    }
}

/// "3.4.23" as numbers; what follows them does not count.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.splitn(3, '.').map(|part| {
        let digits = part.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// Older ones have no progress requests, among other things, and are dead since 2021. One that does not say its version may be newer.
pub(crate) fn supported(text: &str) -> bool {
    version(text).is_none_or(|version| version >= (3, 4, 0))
}

/// Before these, a notification that was asked for could overtake the events that it vouches for (etcd issues 15220 and 17507).
pub(crate) fn progress_can_be_trusted(text: &str) -> bool {
    match version(text) {
        Some((3, 4, patch)) => patch >= 31,
        Some((3, 5, patch)) => patch >= 13,
        Some(version) => version >= (3, 6, 0),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let cases = [
            ("3.3.27", false, false),
            ("3.4.23", true, false),
            ("3.4.31", true, true),
            ("3.5.0", true, false),
            ("3.5.13", true, true),
            ("3.6.0-rc.1", true, true),
            ("4.0.0", true, true),
            ("2.3.8", false, false),
            ("next", true, false),
        ];
        for (text, ok, progress) in cases {
            assert_eq!(
                (supported(text), progress_can_be_trusted(text)),
                (ok, progress),
                "{text}"
            );
        }
    }

    #[test]
    fn ranges_end_before_the_next_sibling() {
        let end = |bytes: &'static [u8]| range_end(&KeyRange::Below(bytes.into()));
        assert_eq!(end(b"/a/"), Some(b"/a0".to_vec()));
        assert_eq!(end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end(b"\xff"), Some(vec![0]));
        assert_eq!(end(b""), Some(vec![0]));
        assert_eq!(range_end(&Key::root("a").only()), None);
    }
}
