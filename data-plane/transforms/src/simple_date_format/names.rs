//! The names of the locale en-US, and how a text is compared with them.

/// One character of a text: a byte of an ASCII text, or a UTF-16 code unit as Java counts.
pub(super) trait Unit: Copy + Into<u32> {}

impl Unit for u8 {}
impl Unit for u16 {}

/// Eras, BC first.
pub(super) const ERAS: [&str; 2] = ["BC", "AD"];

/// Java never writes these, but it reads them.
pub(super) const LONG_ERAS: [&str; 2] = ["Before Christ", "Anno Domini"];

/// January first.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Sunday first.
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// The halves of a day.
pub(super) const AM_PM: [&str; 2] = ["AM", "PM"];

/// The long name of UTC.
pub(super) const LONG_UTC: &str = "Coordinated Universal Time";

/// A name as three letters: those of months and days are short enough to be cut.
pub(super) fn short(name: &'static str) -> &'static str {
    &name[..3]
}

/// The index of the name at the start of a text, and its length. Names are in the order in which they are tried.
pub(super) fn find<U: Unit>(text: &[U], names: &[&'static str]) -> Option<(usize, usize)> {
    let index = names.iter().position(|name| starts_with(text, name))?;
    Some((index, names[index].len()))
}

/// The same with the three letters of each name, if none is there in full.
pub(super) fn find_or_short<U: Unit>(text: &[U], names: &[&'static str]) -> Option<(usize, usize)> {
    find(text, names).or_else(|| {
        let index = names.iter().position(|name| starts_with(text, short(name)))?;
        Some((index, 3))
    })
}

/// Whether a text starts with an ASCII name, upper or lower case.
pub(super) fn starts_with<U: Unit>(text: &[U], name: &str) -> bool {
    text.len() >= name.len()
        && text
            .iter()
            .zip(name.bytes())
            .all(|(&unit, byte)| folded(unit.into()) == u32::from(byte.to_ascii_lowercase()))
}

/// The lower case of the upper case, as far as it is ASCII.
fn folded(unit: u32) -> u32 {
    match unit {
        0x41..=0x5A => unit + 0x20,
        // Beside dotted and dotless i and long s only the Kelvin sign has the case of an ASCII letter; no name has a k.
        0x130 | 0x131 => u32::from(b'i'),
        0x17F => u32::from(b's'),
        _ => unit,
    }
}
