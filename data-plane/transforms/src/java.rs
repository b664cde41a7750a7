//! What Java does with texts: the order of its hash maps, its splitting, its numbers.

pub(crate) mod number;

/// Splits at colons as `String.split(":")` does: empty parts at the end are dropped, an empty text has one part.
pub(crate) fn split_at_colons(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return vec![text];
    }
    let mut parts: Vec<&str> = text.split(':').collect();
    while parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts
}

/// `String.trim`: everything up to the space is cut, other white space is not.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Brings entries into the order in which a Java `HashMap` that they were put into one after the other is walked: it
/// shows where one of several entries counts. Of entries with equal keys the last one stays, at the first place.
pub(crate) fn hash_order<T>(entries: impl IntoIterator<Item = (String, T)>) -> Vec<(String, T)> {
    let mut ordered: Vec<(String, T)> = Vec::new();
    for (key, value) in entries {
        match ordered.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => ordered.push((key, value)),
        }
    }
    let mut buckets = 16_usize;
    while ordered.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    // A stable sort: within a bucket the order is that of putting in.
    ordered.sort_by_key(|(key, _)| {
        let hash = key
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_between_colons() {
        for (text, expected) in [
            ("", &[""][..]),
            (":", &[]),
            ("::", &[]),
            ("a", &["a"]),
            ("a:", &["a"]),
            ("a:b::", &["a", "b"]),
            (":b", &["", "b"]),
            ("a::b", &["a", "", "b"]),
        ] {
            assert_eq!(split_at_colons(text), expected, "{text}");
        }
    }

    #[test]
    fn the_order_of_a_hash_map() {
        let order = |keys: &[&str]| {
            let entries = keys.iter().enumerate().map(|(place, key)| ((*key).to_owned(), place));
            let ordered: Vec<String> = hash_order(entries).into_iter().map(|(key, _)| key).collect();
            ordered.join(" ")
        };
        // What `new HashMap` of Java 17 prints for them.
        assert_eq!(
            order(&["zeta", "alpha", "name", "id", "created_at"]),
            "zeta alpha name created_at id"
        );
        let many: Vec<String> = (0..14).map(|number| format!("field{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            order(&many),
            "field11 field12 field1 field0 field10 field13 field7 field6 field9 field8 field3 field2 field5 field4"
        );
        assert_eq!(order(&["Aa", "BB", "Aa"]), "Aa BB");
        assert_eq!(order(&["BB", "Aa"]), "BB Aa");
    }
}
