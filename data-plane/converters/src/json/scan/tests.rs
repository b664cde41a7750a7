use super::{ends_plain, first_end, plain_end, short_number};

#[test]
fn strings_end_at_their_quotes_wherever_they_stand() {
    for length in 0..40 {
        for behind in 0..40 {
            for before in 0..3 {
                let text = [vec![b'"'; before], vec![b'a'; length], vec![b'"'], vec![b'}'; behind]].concat();
                // A shorter input than a word is left to the scanner.
                let end = (text.len() >= 16).then_some(before + length);
                assert_eq!(plain_end(&text, before), end, "{length}, {behind}, {before}");
                for byte in [b'\\', 0x1f, 0x80, 0xff] {
                    let mut text = text.clone();
                    text[before + length] = byte;
                    assert_eq!(plain_end(&text, before), None, "{byte:#x}");
                }
            }
        }
        let open = vec![b'a'; length];
        assert_eq!(plain_end(&open, 0), None, "no quote, {length}");
        assert_eq!(plain_end(&open, length), None, "at the end, {length}");
        assert_eq!(plain_end(&open, length + 1), None, "past the end, {length}");
    }
}

#[test]
fn every_byte_that_ends_a_run_is_found() {
    for byte in 0..=u8::MAX {
        let ends = matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..);
        for place in 0..16 {
            let mut bytes = [b'a'; 16];
            bytes[place] = byte;
            for skipped in 0..=16 {
                let expected = place.checked_sub(skipped).filter(|_| ends);
                assert_eq!(first_end(&bytes, skipped), expected, "{byte:#x} at {place}");
            }
        }
    }
}

#[test]
fn the_first_byte_that_ends_a_run_is_found() {
    for byte in 0..=u8::MAX {
        let ends = matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..);
        for place in 0..8 {
            // What stands behind must not matter.
            for behind in [b'a', b'"', 0, 0x7f, 0xff] {
                let mut bytes = [b'a'; 8];
                bytes[place..].fill(behind);
                bytes[place] = byte;
                let behind_ends = behind != b'a' && behind != 0x7f;
                let expected = if ends {
                    place
                } else if behind_ends {
                    place + 1
                } else {
                    8
                };
                let found = ends_plain(u64::from_le_bytes(bytes)).trailing_zeros() as usize / 8;
                assert_eq!(found, expected, "{byte:#x} at {place}, {behind:#x} behind");
            }
        }
    }
}

#[test]
fn short_numbers_are_the_doubles_that_they_are_nearest_to() {
    let mut random = 1_u64;
    for round in 0..200_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let digits = (random >> 3) % 10_u64.pow(round % 18 + 1);
        // The point goes before the last digits, as many as there are or fewer.
        let digits = digits.to_string();
        let (whole, fraction) = digits.split_at(random as usize % digits.len());
        let whole = if whole.is_empty() { "0" } else { whole };
        let text = format!("-{whole}.{fraction},");
        let (number, end) = short_number(text.as_bytes(), 0).unwrap_or_else(|| panic!("{text} is not taken"));
        assert_eq!(end, text.len() - 1, "{text}");
        let expected: f64 = text[..end].parse().unwrap();
        // Java's exact numbers know no negative zero.
        let expected = if expected == 0.0 { 0.0 } else { expected };
        assert_eq!(number.double().to_bits(), expected.to_bits(), "{text}");
    }
}

#[test]
fn short_numbers_end_where_they_end() {
    for (text, decimals) in [
        ("0", Some(0)),
        ("-0.50", Some(2)),
        ("123456789012345678", Some(0)),
        ("1.23456789012345678", Some(17)),
        ("1234567890123456789", None),
        ("12.34567890123456789", None),
        ("00", None),
        ("01.5", None),
        ("-", None),
        ("1.", None),
        (".5", None),
        ("1e2", None),
        ("1.5E2", None),
    ] {
        let found = short_number(text.as_bytes(), 0).map(|(number, end)| (number.decimals, end));
        assert_eq!(found, decimals.map(|decimals| (decimals, text.len())), "{text}");
    }
}
