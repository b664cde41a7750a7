//! The codecs of record batches, as Java's client has them. What comes out of a codec is bounded: a batch is small on the wire
//! whatever it claims to hold.

use bytes::Bytes;
use std::io::Read;

/// What one batch may hold when it is decompressed. A broker takes batches of 1 MiB unless told otherwise, so this is a ratio of 256
/// there; it keeps places in a batch within 32 bits.
pub(crate) const MOST: usize = 256 << 20;
/// No snappy element gives more than 64 bytes for each of its own.
const SNAPPY_RATIO: usize = 64;
/// How snappy-java frames its blocks: this, two versions of four bytes each, then blocks after their length.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Why records could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a batch of more than {MOST} bytes when it is decompressed")]
    TooLarge,
    #[error("{0:?} does not decompress")]
    Corrupt(Codec, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Codec {
    /// The codec that a batch's attributes name, or the number that no codec has.
    pub(crate) fn of(attributes: i16) -> Result<Self, i16> {
        match attributes & 7 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(other),
        }
    }

    /// The records as they were before they were compressed.
    ///
    /// # Errors
    /// When the bytes are not this codec's, or hold more than [`MOST`] bytes.
    pub(crate) fn decompress(self, compressed: &Bytes) -> Result<Bytes, Error> {
        let out = match self {
            Self::None => return Ok(compressed.clone()),
            Self::Gzip => self.read(compressed.len(), flate2::read::MultiGzDecoder::new(&compressed[..])),
            Self::Lz4 => self.read(compressed.len(), lz4_flex::frame::FrameDecoder::new(&compressed[..])),
            Self::Zstd => match zstd::stream::read::Decoder::with_buffer(&compressed[..]) {
                Ok(decoder) => self.read(compressed.len(), decoder),
                Err(error) => Err(self.corrupt(error)),
            },
            Self::Snappy => self.snappy(compressed),
        };
        out.map(Bytes::from)
    }

    fn corrupt(self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Corrupt(self, error.into())
    }

    fn read(self, compressed: usize, decoder: impl Read) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(compressed.saturating_mul(3).min(1 << 20));
        let read = decoder.take(MOST as u64 + 1).read_to_end(&mut out);
        read.map_err(|error| self.corrupt(error))?;
        if out.len() > MOST {
            return Err(Error::TooLarge);
        }
        Ok(out)
    }

    fn snappy(self, compressed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        if !compressed.starts_with(XERIAL) {
            self.snappy_block(compressed, &mut out)?;
            return Ok(out);
        }
        let mut rest = compressed
            .get(XERIAL_HEADER..)
            .ok_or_else(|| self.corrupt("a header that is cut off"))?;
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let block = tail
                .get(..u32::from_be_bytes(*length) as usize)
                .ok_or_else(|| self.corrupt("a block that is cut off"))?;
            self.snappy_block(block, &mut out)?;
            rest = &tail[block.len()..];
        }
        if rest.is_empty() {
            Ok(out)
        } else {
            Err(self.corrupt("a block's length that is cut off"))
        }
    }

    fn snappy_block(self, block: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let length = snap::raw::decompress_len(block).map_err(|error| self.corrupt(error))?;
        // Before anything is allocated by it.
        if length > block.len().saturating_mul(SNAPPY_RATIO) {
            return Err(self.corrupt("a block that claims more than it can hold"));
        }
        let at = out.len();
        if at + length > MOST {
            return Err(Error::TooLarge);
        }
        out.resize(at + length, 0);
        let written = snap::raw::Decoder::new().decompress(block, &mut out[at..]);
        written.map(drop).map_err(|error| self.corrupt(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).expect("written");
        encoder.finish().expect("finished")
    }

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        let raw = snap::raw::Encoder::new().compress_vec(&plain).expect("compressed");
        let mut xerial = [XERIAL, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for part in plain.chunks(32 << 10) {
            let block = snap::raw::Encoder::new().compress_vec(part).expect("compressed");
            xerial.extend((block.len() as u32).to_be_bytes());
            xerial.extend(block);
        }
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).expect("written");
        for (codec, compressed) in [
            (Codec::None, plain.clone()),
            (Codec::Gzip, gzip(&plain)),
            // Two members behind each other are one stream.
            (Codec::Gzip, [gzip(&plain[..1000]), gzip(&plain[1000..])].concat()),
            (Codec::Snappy, raw),
            (Codec::Snappy, xerial),
            (Codec::Lz4, lz4.finish().expect("finished")),
            (Codec::Zstd, zstd::encode_all(&plain[..], 3).expect("compressed")),
        ] {
            let back = codec
                .decompress(&Bytes::from(compressed.clone()))
                .expect("decompresses");
            assert!(back == plain, "{codec:?}");
            if codec != Codec::None {
                let cut = Bytes::from(compressed).slice(..compressed_half(&plain));
                assert!(codec.decompress(&cut).is_err(), "{codec:?}: half of it is not enough");
            }
        }
    }

    /// Short enough to be within every codec's output.
    fn compressed_half(plain: &[u8]) -> usize {
        plain.len() / 400
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = std::io::repeat(0).take(MOST as u64 + 1);
        let bomb = zstd::encode_all(zeros, 1).expect("compressed");
        assert!(bomb.len() < 1 << 20);
        let refused = Codec::Zstd.decompress(&Bytes::from(bomb)).expect_err("too large");
        assert!(matches!(refused, Error::TooLarge), "{refused:?}");
        // Five bytes that claim 4 GiB.
        let claims = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(Codec::Snappy.decompress(&claims), Err(Error::Corrupt(..))));
    }
}
