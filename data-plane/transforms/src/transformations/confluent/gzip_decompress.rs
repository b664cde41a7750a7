//! `GzipDecompress$Key` and `GzipDecompress$Value`: bytes in gzip's format become what was compressed.

use std::io::Read as _;

use dray_connect::config::{ConfigDef, ParsedConfig};
use dray_connect::datum::{Datum, Field};
use dray_connect::{Error, Result};
use flate2::bufread::MultiGzDecoder;

use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "GzipDecompress",
    sided: true,
    definition: ConfigDef::new,
    make: |side, config| Ok(Box::new(GzipDecompress::new(side, config))),
};

/// What a value may become. A record that a broker takes by default has 1 MB, and gzip can make a thousand times as much of it:
/// a few of those would end the process.
const LARGEST: u64 = 64 * 1024 * 1024;

struct GzipDecompress {
    side: Side,
    inflated: Vec<u8>,
}

impl GzipDecompress {
    fn new(side: Side, _: &ParsedConfig) -> Self {
        Self {
            side,
            inflated: Vec::new(),
        }
    }
}

impl Transformation for GzipDecompress {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(self.side) {
            return Ok(Applied::Kept);
        }
        let Field { schema, datum } = record.field(self.side);
        let Datum::Bytes(span) = datum else {
            return Err(Error::data(format!(
                "Only byte arrays supported for [gzip decompression], found: {}",
                record.java_class(self.side)
            )));
        };
        self.inflated.clear();
        let mut decoder = MultiGzDecoder::new(record.backing().bytes(span)).take(LARGEST + 1);
        if let Err(error) = decoder.read_to_end(&mut self.inflated) {
            return Err(Error::data(format!("{} bytes are not in gzip's format", span.len())).with_source(error));
        }
        if self.inflated.len() as u64 > LARGEST {
            self.inflated = Vec::new();
            return Err(Error::data(format!(
                "{} bytes in gzip's format become more than {LARGEST}, which is as much as there may be",
                span.len()
            )));
        }
        let datum = Datum::Bytes(record.backing_mut().copy(&self.inflated));
        record.set(self.side, Field { schema, datum });
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use crate::testing::value;

    const DECOMPRESS: &str = "io.confluent.connect.transforms.GzipDecompress$Value";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Confluent's example: `Hello world` in Base64, compressed.
    #[test]
    fn the_documented_example() {
        let text = b"SGVsbG8gd29ybGQK\n";
        let given = SchemaAndValue::new(Schema::bytes(), gzip(text));
        let expected = SchemaAndValue::new(Schema::bytes(), Value::bytes(&text[..]));
        assert_eq!(value(DECOMPRESS, &[], given), Ok(expected));
        let two = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(
            value(DECOMPRESS, &[], SchemaAndValue::schemaless(two)).unwrap().value,
            Value::bytes(&b"ab"[..])
        );
    }

    #[test]
    fn what_is_not_compressed_or_too_large_is_refused() {
        let refused = |given: Value| value(DECOMPRESS, &[], SchemaAndValue::schemaless(given)).unwrap_err();
        assert_eq!(refused(vec![1, 2, 3].into()), "3 bytes are not in gzip's format");
        let whole = gzip(b"abc");
        assert!(refused(whole[..whole.len() - 4].into()).ends_with("are not in gzip's format"));
        assert_eq!(
            refused("text".into()),
            "Only byte arrays supported for [gzip decompression], found: java.lang.String"
        );
        let bomb = gzip(&vec![0; 64 * 1024 * 1024 + 1]);
        assert!(bomb.len() < 100_000);
        assert!(refused(bomb.into()).contains("become more than 67108864"));
        assert_eq!(value(DECOMPRESS, &[], SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
    }
}
