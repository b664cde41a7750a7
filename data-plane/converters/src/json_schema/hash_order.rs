//! The order in which Java's `HashMap` gives out texts. Confluent's converter keeps the properties of a schema in one: so come the fields of
//! a struct whose schema does not number them, and so are schemas printed.

/// The places of `names` in that order; `least` is the size that the table begins with, 16 where nothing is said.
pub(super) fn order<T: AsRef<str>>(names: &[T], least: usize) -> Vec<usize> {
    let mut size = least.max(1).next_power_of_two();
    // A table grows when more than three quarters of it are taken.
    while names.len() > size - size.div_ceil(4) {
        size *= 2;
    }
    let mut places: Vec<usize> = (0..names.len()).collect();
    // Within one bucket the first to come stays the first.
    places.sort_by_key(|place| bucket(names[*place].as_ref(), size));
    places
}

fn bucket(name: &str, size: usize) -> usize {
    let hash = name
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash ^ hash >> 16) as usize & (size - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], least: usize, expected: &str) {
        let ordered: Vec<&str> = order(names, least).into_iter().map(|place| names[place]).collect();
        assert_eq!(ordered.join(" "), expected);
    }

    #[test]
    fn names_come_by_their_hash() {
        // As a Java program prints them.
        check(&["id", "name", "email", "age"], 16, "name id email age");
        check(&["o", "p", "q"], 16, "p q o");
        check(&["b", "a", "c"], 16, "a b c");
        check(
            &["connect.version", "connect.index", "connect.type"],
            4,
            "connect.index connect.version connect.type",
        );
        check(&[], 16, "");
        // Two texts of the same hash.
        check(&["BB", "Aa"], 16, "BB Aa");
        check(&["Aa", "BB"], 16, "Aa BB");
    }

    #[test]
    fn a_table_grows_past_three_quarters() {
        let names: Vec<String> = (0..13).map(|n| char::from(b'a' + n).to_string()).collect();
        // In a table of 32 the letters from a to m stand in their order, in one of 16 they would not.
        assert_eq!(order(&names, 16), (0..13).collect::<Vec<_>>());
        // One more than twelve is where it grows: p stands first in the small table, and behind o in the large one.
        let mut twelve: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
        twelve.extend(["o", "p"]);
        assert_eq!(order(&twelve, 16)[0], 11);
        twelve.push("k");
        assert_eq!(order(&twelve, 16)[12], 11);
    }
}
