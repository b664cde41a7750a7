//! Dry runs of connectors.

use super::{Answer, CallErrorKind, elsewhere, error, failed, refusal};
use crate::lines::Lines;
use crate::stages::{Show, hide};
use dray_connect::ConfigMap;
use dray_connect::sink_batch::TopicPartition;
use dray_model::ConnectorName;
use dray_process::hidden::Hidden;
use dray_runtime::preview::{Ask, From, Given, MOST_RECORDS, Preview, Records};
use dray_runtime::worker::Worker;
use dray_wire::agent::v1::{PreviewCall, PreviewResult};
use serde_json::json;
use std::time::Duration;

/// Bytes of the records of an answer at most: somebody is to read it, and it goes through memory of three processes.
const MOST_BYTES: usize = 1 << 20;

pub(super) async fn preview(worker: &Worker, call: PreviewCall, hidden: &Hidden) -> Answer {
    let name = match ConnectorName::try_from(call.connector) {
        Ok(name) => name,
        Err(error) => return elsewhere(&format!("it cannot read the connector's name: {error}")),
    };
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved.config().clone(),
        Err(error) => return failed(error.to_string()),
    };
    let records = if call.lines.is_empty() {
        let offsets = call.offsets.into_iter().map(|from| {
            let topic = from.topic.into();
            let partition = from.partition;
            (TopicPartition { topic, partition }, from.offset)
        });
        let offsets: Vec<_> = offsets.collect();
        Records::Real {
            most: usize::try_from(call.records).unwrap_or(MOST_RECORDS),
            from: match call.from_beginning {
                _ if !offsets.is_empty() => From::Offsets(offsets),
                true => From::Oldest,
                false => From::Newest,
            },
            wait: Duration::from_millis(call.wait_ms.into()),
        }
    } else {
        match given(&config, &call.lines) {
            Ok(given) => Records::Given(given),
            Err(problem) => return error(CallErrorKind::BadRequest, problem, ""),
        }
    };
    let asked = Box::pin(worker.preview(Ask { name, config, records }));
    match asked.await {
        Ok(preview) => match shown(&preview, hidden) {
            Ok(result) => Answer::Preview(result),
            Err(error) => failed(error.to_string()),
        },
        Err(refused) => refusal(refused),
    }
}

fn given(config: &ConfigMap, lines: &[String]) -> Result<Vec<Given>, String> {
    let mut reads = Lines::new(config).map_err(|error| error.to_string())?;
    if lines.len() > MOST_RECORDS {
        return Err(format!(
            "{} lines are given, and {MOST_RECORDS} are the most",
            lines.len()
        ));
    }
    let read = (1..).zip(lines).map(|(number, line)| {
        let read = reads.read(line);
        read.map_err(|problem| format!("line {number}: {problem}"))
    });
    read.collect()
}

/// Without what is hidden, and as many records as go into an answer.
fn shown(preview: &Preview, hidden: &Hidden) -> dray_connect::Result<PreviewResult> {
    let mut show = Show::new(hidden.clone())?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    let mut notes: Vec<String> = preview.note.iter().map(|note| hidden.hide(note).into_owned()).collect();
    for (number, seen) in (1..).zip(&preview.records) {
        let mut record = json!({ "record": number, "stages": show.snapshots(seen) });
        hide(hidden, &mut record);
        let record = record.to_string();
        bytes += record.len();
        if bytes > MOST_BYTES {
            let all = preview.records.len();
            notes.push(format!(
                "only {} of {all} records fit into {MOST_BYTES} bytes",
                records.len()
            ));
            break;
        }
        records.push(record);
    }
    Ok(PreviewResult {
        records,
        note: notes.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_connect::value::SchemaAndValue;
    use dray_runtime::preview::{Outcome, Part, Seen};

    fn seen(value: Part) -> Seen {
        Seen {
            stage: "raw".into(),
            class: None,
            outcome: Outcome::Input,
            topic: "t".into(),
            partition: Some(0),
            offset: Some(7),
            timestamp: None,
            source: None,
            key: Part::Bytes(None),
            value,
            headers: vec![],
            error: None,
        }
    }

    fn preview(values: Vec<Part>) -> Preview {
        Preview {
            records: values.into_iter().map(|value| vec![seen(value)]).collect(),
            note: Some("say sesame".into()),
        }
    }

    #[test]
    fn what_is_hidden_is_in_no_form_of_a_value() {
        let hidden = Hidden::default();
        hidden.add("sesame", "${f:word}");
        hidden.add("471147", "${f:number}");
        let text = |text: &str| Part::Data(SchemaAndValue::schemaless(text));
        let result = shown(
            &preview(vec![
                Part::Bytes(Some(b"\xffopen sesame".to_vec())),
                Part::Bytes(Some(b"\xff\x00".to_vec())),
                text("a sesame"),
                Part::Data(SchemaAndValue::schemaless(471_147_i64)),
            ]),
            &hidden,
        )
        .unwrap();
        let values: Vec<serde_json::Value> = result
            .records
            .iter()
            .map(|record| serde_json::from_str::<serde_json::Value>(record).unwrap()["stages"][0]["value"].take())
            .collect();
        assert_eq!(values[0]["value"], "\u{fffd}open ${f:word}");
        assert_eq!(
            (&values[1]["value"], &values[1]["stored"]["encoding"]),
            (&json!("/wA="), &json!("base64"))
        );
        assert_eq!(
            (&values[2]["value"], &values[3]["value"]),
            (&json!("a ${f:word}"), &json!("${f:number}"))
        );
        assert_eq!(result.note, "say ${f:word}");
    }

    #[test]
    fn an_answer_has_as_many_records_as_fit() {
        let large = || Part::Bytes(Some(vec![b'x'; MOST_BYTES / 2]));
        let result = shown(&preview(vec![large(), large(), large()]), &Hidden::default()).unwrap();
        assert_eq!(result.records.len(), 1);
        assert_eq!(result.note, "say sesame; only 1 of 3 records fit into 1048576 bytes");
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let lines = ["{\"value\":1}".to_owned(), "{".to_owned()];
        let problem = given(&ConfigMap::new(), &lines).unwrap_err();
        assert!(problem.starts_with("line 2: not a record: "), "{problem}");
        let many = vec!["{\"value\":1}".to_owned(); 101];
        assert!(given(&ConfigMap::new(), &many).unwrap_err().starts_with("101 lines"));
    }
}
