//! However a file comes in blocks and however many lines are taken at a time, the lines are the same.

use super::*;
use proptest::prelude::*;

/// Lines and the positions behind them, found byte by byte; what is left has no terminator yet.
fn expected(file: &[u8]) -> Vec<(Vec<u8>, i64)> {
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(byte) = file.get(at) {
        at += 1;
        match (byte, file.get(at)) {
            // It may be the first half of a terminator.
            (b'\r', None) => break,
            (b'\r', Some(b'\n')) => at += 1,
            (b'\r' | b'\n', _) => {}
            (other, _) => {
                line.push(*other);
                continue;
            }
        }
        lines.push((std::mem::take(&mut line), at as i64));
    }
    lines
}

fn sent(batch: &SourceBatch) -> Vec<(Vec<u8>, i64)> {
    let row = |record: &SourceRecord| {
        let Body::Data { value, .. } = &record.body else {
            panic!("the file source sends data");
        };
        let Datum::Str(text) = value.datum else {
            panic!("a line is a text");
        };
        let position = record.source_offset.to_map().long(POSITION);
        (batch.backing().bytes(text.span()).to_vec(), position.unwrap_or(-1))
    };
    batch.records().iter().map(row).collect()
}

proptest! {
    #[test]
    fn blocks_and_limits_change_nothing(
        bytes in prop::collection::vec(prop::sample::select(&b"\r\n\r\nab"[..]), 0..60),
        blocks in prop::collection::vec((0_usize..9, 1_usize..5, any::<bool>()), 1..12),
    ) {
        let stamp = Stamp::of_file("t".into(), Arc::new(OffsetMap::new()), "f");
        let mut lines = Lines::new(0);
        let (mut at, mut all) = (0_usize, Vec::new());
        let last = (usize::MAX, 1000, true);
        for (size, limit, empty) in blocks.into_iter().chain([last]) {
            let end = bytes.len().min(at.saturating_add(size));
            let block = [&lines.held()[..], &bytes[at..end]].concat();
            at = end;
            lines.feed(block.into());
            loop {
                let mut batch = SourceBatch::new();
                let count = lines.fill(&mut batch, &stamp, limit).unwrap();
                all.extend(sent(&batch));
                // Else the next block comes while lines are left.
                if count == 0 || !empty {
                    break;
                }
            }
        }
        prop_assert_eq!(all, expected(&bytes));
    }
}
