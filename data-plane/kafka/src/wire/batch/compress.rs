//! Compressing the records of a batch, in the forms that Java's broker and clients read.

use super::compression::Codec;
use std::io::Write as _;

/// As snappy-java frames its blocks: a magic word and two versions, then blocks of 32 KiB after their length.
const XERIAL_HEAD: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_BLOCK: usize = 32 << 10;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

impl Codec {
    /// The codec of this name (`compression.type`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// How a batch's attributes name it.
    pub(crate) fn attributes(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The records compressed. None when nothing is to be compressed, or it failed, which only a lack of memory can cause: what is not
    /// compressed can be sent as it is.
    pub(crate) fn compress(self, records: &[u8], level: Option<i32>) -> Option<Vec<u8>> {
        let out = Vec::with_capacity(records.len() / 4 + 64);
        match self {
            Self::None => None,
            Self::Gzip => {
                let level = level
                    .and_then(|level| u32::try_from(level).ok())
                    .filter(|level| *level <= 9);
                let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                encoder.write_all(records).ok()?;
                encoder.finish().ok()
            }
            // One level only; blocks that do not refer to each other, as Java's reader demands.
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
                encoder.write_all(records).ok()?;
                encoder.finish().ok()
            }
            Self::Zstd => zstd::bulk::compress(records, level.unwrap_or(ZSTD_LEVEL)).ok(),
            Self::Snappy => {
                let mut out = out;
                out.extend_from_slice(XERIAL_HEAD);
                let mut encoder = snap::raw::Encoder::new();
                for block in records.chunks(XERIAL_BLOCK) {
                    let compressed = encoder.compress_vec(block).ok()?;
                    out.extend_from_slice(&u32::try_from(compressed.len()).ok()?.to_be_bytes());
                    out.extend_from_slice(&compressed);
                }
                Some(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let records: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 100).to_be_bytes()).collect();
        for name in ["gzip", "snappy", "lz4", "zstd"] {
            let codec = Codec::named(name).expect("a codec");
            assert_eq!(Codec::of(codec.attributes()), Ok(codec));
            for level in [None, Some(1), Some(9), Some(-5)] {
                let compressed = codec.compress(&records, level).expect("compressed");
                assert!(
                    compressed.len() < records.len() / 4,
                    "{name} at {level:?}: {}",
                    compressed.len()
                );
                assert_eq!(
                    codec.decompress(&compressed.into()).expect("decompressed"),
                    records,
                    "{name} at {level:?}"
                );
            }
        }
        assert_eq!(Codec::named("brotli"), None);
    }
}
