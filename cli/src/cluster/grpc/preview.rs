//! Previews, to and from the wire.

use crate::cluster::{Ask, Error, ErrorKind, Preview};
use dray_wire::admin::v1;

pub(super) fn request(ask: &Ask) -> v1::PreviewConnectorRequest {
    let offset = |(topic, partition, offset): &(String, i32, i64)| v1::PreviewOffset {
        topic: topic.clone(),
        partition: *partition,
        offset: *offset,
    };
    v1::PreviewConnectorRequest {
        name: ask.name.clone(),
        config: ask.config.clone(),
        records: ask.records,
        lines: ask.lines.clone(),
        from_beginning: ask.from_beginning,
        offsets: ask.offsets.iter().map(offset).collect(),
        wait: ask.wait.and_then(|wait| wait.try_into().ok()),
    }
}

pub(super) fn preview(seen: v1::PreviewConnectorResponse) -> Result<Preview, Error> {
    let records = seen.records.iter().map(|record| serde_json::from_str(record));
    let records = records.collect::<Result<_, _>>().map_err(|error| {
        let said = format!("a record of the answer is not JSON: {error}");
        Error::new(ErrorKind::Failed, said)
    })?;
    Ok(Preview {
        records,
        note: seen.note,
    })
}
