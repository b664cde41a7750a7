//! The checksum (CRC-32C) of bytes, of more bytes behind them, and of bytes whose front is exchanged, without reading those behind it. Pure.

use crc_fast::{CrcAlgorithm, Digest};

/// The last step of every checksum inverts it.
const INVERTED: u32 = u32::MAX;

/// The checksum of these bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of bytes that have this one, with these behind them.
pub(crate) fn append(checksum: u32, bytes: &[u8]) -> u32 {
    let mut all = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(checksum ^ INVERTED));
    all.update(bytes);
    all.finalize() as u32 // it has 32 bits
}

/// The polynomial, with its lowest power first.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Powers of two in the number of bits behind the front: a batch is shorter than 2 GiB.
const POWERS: usize = 36;
/// x to the power of 2^n.
const X: [u32; POWERS] = {
    let mut powers = [1 << 30; POWERS];
    let mut n = 1;
    while n < POWERS {
        powers[n] = times(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product of two polynomials modulo ours.
const fn times(a: u32, mut b: u32) -> u32 {
    let (mut product, mut bit) = (0, 1 << 31);
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        bit >>= 1;
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
    }
    product
}

/// The checksum of bytes of which only the front has changed: `checksum` was that of all of them, `before` and `after` are those of the
/// front alone, and so many bytes stand behind it.
pub(crate) fn with_other_front(checksum: u32, (before, after): (u32, u32), behind: usize) -> u32 {
    // Checksums are linear in what they are of, and what stands behind a change multiplies it by x for each bit.
    let mut change = before ^ after;
    let mut bytes = behind;
    for power in &X[3..] {
        if bytes & 1 == 1 {
            change = times(*power, change);
        }
        bytes >>= 1;
    }
    checksum ^ change
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_that_of_all_bytes(
            before in prop::collection::vec(any::<u8>(), 40), after in prop::collection::vec(any::<u8>(), 40),
            behind in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let all = |front: &[u8]| crc32c(&[front, &behind[..]].concat());
            let found = with_other_front(all(&before), (crc32c(&before), crc32c(&after)), behind.len());
            prop_assert_eq!(found, all(&after));
            prop_assert_eq!(found, append(crc32c(&after), &behind));
        }
    }

    #[test]
    fn large_batches_too() {
        let behind = vec![0x5a; (1 << 24) + 12_345];
        let all = |front: &[u8]| crc32c(&[front, &behind[..]].concat());
        let found = with_other_front(all(b"one"), (crc32c(b"one"), crc32c(b"two")), behind.len());
        assert_eq!(found, all(b"two"));
    }
}
