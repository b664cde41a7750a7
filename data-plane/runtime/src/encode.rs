//! The way of a source batch to Kafka's bytes: converters, in Connect's order (header, key, value).

use crate::breaker::because;
use crate::dead_letter::{SourceLetters, Why};
use crate::ledger::{Ledger, PartitionNumber, Sequence};
use crate::policy::{ErrorPolicy, Failure, Stage, Tries};
use crate::transform::Refused;
use dray_connect::datum::Datum;
use dray_connect::offset::SourcePartition;
use dray_connect::source_batch::{Body, Field, SourceBatch, SourceRecord, WholeBatch};
use dray_connect::{Error, Result};
use dray_converters::{Converter, HeaderConverter, Lookup, Written, WrittenHeaders};
use dray_kafka::port::{HeaderRef, ProduceRecord};
use std::fmt;
use std::ops::Range;
use tokio::time::Instant;

/// The converters of one task.
pub struct Converters {
    /// For keys.
    pub key: Box<dyn Converter>,
    /// For values.
    pub value: Box<dyn Converter>,
    /// For headers.
    pub header: Box<dyn HeaderConverter>,
}

impl Converters {
    /// What the converter of a stage lacked when it failed just now.
    pub(crate) fn lookup(&mut self, stage: Stage) -> Option<Lookup> {
        if stage == Stage::KeyConverter {
            self.key.lookup()
        } else if stage == Stage::ValueConverter {
            self.value.lookup()
        } else {
            None
        }
    }
}

/// What of a key or value stands still already, and what lies in the scratch buffer, which does not.
fn split(written: Written<'_>) -> (Option<&[u8]>, Option<Range<usize>>) {
    match written {
        Written::Null => (None, None),
        Written::Same(bytes) => (Some(bytes), None),
        Written::Scratch(range) => (None, Some(range)),
    }
}

/// What of a record lies in the scratch buffer or among the headers, which still moved when the record was made.
struct Late {
    record: usize,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

/// A whole batch on its way to Kafka.
#[derive(Clone, Copy)]
pub struct Passed<'a> {
    /// How many records go before it.
    pub after: usize,
    /// Destination topic.
    pub topic: &'a str,
    /// Destination partition.
    pub partition: i32,
    /// The batch.
    pub batch: &'a WholeBatch,
    /// Its one entry in the ledger.
    pub sequence: Sequence,
}

/// A batch in bytes. Borrows the batch; what the converters wrote lies in the scratch buffer given to [`encode`].
pub struct EncodedBatch<'a> {
    /// How it ends. The records before that are there.
    pub end: End,
    /// Whole batches among the records, in order.
    pub passed: Vec<Passed<'a>>,
    records: Vec<ProduceRecord<'a>>,
    late: Vec<Late>,
    headers: WrittenHeaders<'a>,
}

/// How the encoding of a batch ends.
pub enum End {
    /// All of it is done.
    Whole,
    /// A failure that is not tolerated.
    Failed(Error),
    /// A record failed retriably: it is to be tried again then, and what comes behind it waits.
    Again(Instant),
    /// A converter lacks what this finds: then the record is converted again, and what comes behind it waits.
    Lacks(Lookup),
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("Whole"),
            Self::Failed(error) => write!(f, "Failed({error:?})"),
            Self::Again(when) => write!(f, "Again({when:?})"),
            Self::Lacks(_) => f.write_str("Lacks"),
        }
    }
}

/// How far the encoding of a batch is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records that are done, whatever became of them.
    pub done: usize,
    /// Those of the next one.
    tries: Tries,
}

/// What becomes of records that fail on their way.
pub struct Failing<'a, 'f> {
    /// Whether they may.
    pub policy: &'f ErrorPolicy,
    /// Those that the transforms have refused.
    pub refused: &'a [Refused],
    /// Where their letters go, if anywhere.
    pub letters: Option<&'a SourceLetters>,
    /// Told of each that fails for good here.
    pub report: &'f mut (dyn FnMut(&Failure) + Send),
}

/// Encodes what is left of a batch, and enters its records into the ledger. It ends before a record that failed retriably or that a converter
/// lacks something for, and goes on there when it is called again. Of one that fails for good and is tolerated the letter goes in its
/// place; without letters it is entered as finished. So is one that the transforms have refused. What comes after a failure that is not tolerated is not entered, so no offset beyond it is ever committed.
// Into its one caller, however the crate is cut into units.
#[inline]
pub fn encode<'a>(
    batch: &'a SourceBatch,
    progress: &mut Progress,
    converters: &mut Converters,
    ledger: &mut Ledger,
    failing: &mut Failing<'a, '_>,
    scratch: &mut Vec<u8>,
) -> EncodedBatch<'a> {
    scratch.clear();
    let numbers: Vec<PartitionNumber> = batch
        .source_partitions()
        .iter()
        .map(|key: &SourcePartition| ledger.partition(key))
        .collect();
    let mut encoded = EncodedBatch {
        end: End::Whole,
        passed: Vec::new(),
        records: Vec::with_capacity(batch.len() - progress.done),
        late: Vec::new(),
        headers: WrittenHeaders::default(),
    };
    let keep_text = converters.key.keeps_text().is_some() && converters.value.keeps_text().is_some();
    for (place, record) in batch.records().iter().enumerate().skip(progress.done) {
        let number = numbers[record.source_partition.index()];
        if keep_text && let Some((key, value)) = texts(batch, record) {
            let sequence = ledger.enter(number, &record.source_offset);
            encoded.records.push(produced(batch, record, sequence, key, value));
            continue;
        }
        let written = scratch.len();
        match encoded.parts(batch, record, converters, scratch) {
            Ok(Some((key, value, headers))) => {
                let sequence = ledger.enter(number, &record.source_offset);
                encoded.push(batch, record, sequence, key, value, headers);
            }
            Ok(None) => match &record.body {
                Body::Passed(id) => {
                    let sequence = ledger.enter(number, &record.source_offset);
                    encoded.passed.push(Passed {
                        after: encoded.records.len(),
                        topic: batch.topic_name(record.topic),
                        partition: record.kafka_partition.unwrap_or_default(),
                        batch: batch.whole(*id),
                        sequence,
                    });
                }
                Body::Data { .. } | Body::Encoded { .. } | Body::Dropped => {
                    encoded.leave_out((batch, place), ledger, number, failing, scratch);
                }
            },
            Err(failure) => {
                encoded.headers.take_back();
                scratch.truncate(written);
                if place > progress.done {
                    *progress = Progress {
                        done: place,
                        tries: Tries::default(),
                    };
                }
                // No try of the record's: it could not even be looked at.
                if let Some(lookup) = converters.lookup(failure.stage) {
                    encoded.end = End::Lacks(lookup);
                    return encoded;
                }
                if let Some(when) = progress.tries.next(failure.stage, &failure.error, failing.policy) {
                    encoded.end = End::Again(when);
                    return encoded;
                }
                if let Err(error) = encoded.give_up((batch, place), failure, ledger, number, failing, scratch) {
                    encoded.end = End::Failed(error);
                    return encoded;
                }
            }
        }
    }
    progress.done = batch.len();
    encoded
}

type Parts<'a> = (Written<'a>, Written<'a>, Range<usize>);

impl<'a> EncodedBatch<'a> {
    #[inline(always)]
    fn parts(
        &mut self,
        batch: &'a SourceBatch,
        record: &'a SourceRecord,
        converters: &mut Converters,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Parts<'a>>, Failure> {
        let topic: &str = batch.topic_name(record.topic);
        self.headers.begin();
        match &record.body {
            Body::Data { key, value, headers } => {
                for header in headers.iter().flat_map(|headers| headers.iter()) {
                    let written = converters
                        .header
                        .from_connect_header(topic, &header.key, &header.value, scratch)
                        .map_err(|error| Failure {
                            stage: Stage::HeaderConverter,
                            class: converters.header.class().into(),
                            error,
                        })?;
                    self.headers
                        .push(&header.key, written.map_or(Written::Null, Written::Scratch));
                }
                let mut field = |field: &'a Field, converter: &mut dyn Converter, stage: Stage| {
                    let (schema, value) = batch.view(field);
                    converter
                        .from_connect_with_headers(topic, &mut self.headers, schema, value, scratch)
                        .map_err(|error| Failure {
                            stage,
                            class: converter.class().into(),
                            error,
                        })
                };
                let key = field(key, converters.key.as_mut(), Stage::KeyConverter)?;
                let value = field(value, converters.value.as_mut(), Stage::ValueConverter)?;
                Ok(Some((key, value, self.headers.of_record())))
            }
            Body::Encoded { key, value, headers } => {
                let backing = batch.backing();
                let part = |span: &Option<_>| span.map_or(Written::Null, |span| Written::Same(backing.bytes(span)));
                for (name, value) in headers {
                    let name = std::str::from_utf8(backing.bytes(*name)).map_err(|_| Failure {
                        stage: Stage::HeaderConverter,
                        class: converters.header.class().into(),
                        error: Error::data("a header's name is not UTF-8"),
                    })?;
                    self.headers.push(name, part(value));
                }
                Ok(Some((part(key), part(value), self.headers.of_record())))
            }
            Body::Dropped | Body::Passed(_) => Ok(None),
        }
    }

    #[inline(always)]
    fn push(
        &mut self,
        batch: &'a SourceBatch,
        record: &SourceRecord,
        sequence: Sequence,
        key: Written<'a>,
        value: Written<'a>,
        headers: Range<usize>,
    ) {
        let (key, late_key) = split(key);
        let (value, late_value) = split(value);
        if late_key.is_some() || late_value.is_some() || !headers.is_empty() {
            self.late.push(Late {
                record: self.records.len(),
                key: late_key,
                value: late_value,
                headers,
            });
        }
        self.records.push(produced(batch, record, sequence, key, value));
    }

    /// A record that does not go to Kafka: the transforms have left it out, or refused it.
    #[cold]
    fn leave_out(
        &mut self,
        (batch, place): (&'a SourceBatch, usize),
        ledger: &mut Ledger,
        number: PartitionNumber,
        failing: &Failing<'a, '_>,
        scratch: &mut Vec<u8>,
    ) {
        let record = &batch.records()[place];
        let refused = failing.refused.iter().find(|refused| refused.place == place);
        if let (Some(refused), Some(letters)) = (refused, failing.letters) {
            let sequence = ledger.enter(number, &record.source_offset);
            let (body, failure) = (&refused.body, &refused.failure);
            self.push_letter(batch, record, (body, failure), sequence, letters, scratch);
        } else {
            ledger.enter_finished(number, &record.source_offset);
        }
    }

    /// A record that failed for good.
    ///
    /// # Errors
    /// When it may not.
    #[cold]
    fn give_up(
        &mut self,
        (batch, place): (&'a SourceBatch, usize),
        failure: Failure,
        ledger: &mut Ledger,
        number: PartitionNumber,
        failing: &mut Failing<'a, '_>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        (failing.report)(&failure);
        if let Err(verdict) = failing.policy.tolerate() {
            return Err(because(verdict, failure.error));
        }
        let record = &batch.records()[place];
        if let Some(letters) = failing.letters {
            let sequence = ledger.enter(number, &record.source_offset);
            self.push_letter(batch, record, (&record.body, &failure), sequence, letters, scratch);
        } else {
            ledger.enter_finished(number, &record.source_offset);
        }
        Ok(())
    }

    /// The letter of a record, in its place.
    #[cold]
    fn push_letter(
        &mut self,
        batch: &'a SourceBatch,
        record: &SourceRecord,
        (body, failure): (&'a Body, &Failure),
        sequence: Sequence,
        letters: &'a SourceLetters,
        scratch: &mut Vec<u8>,
    ) {
        self.headers.begin();
        let why = Why {
            failure,
            topic: batch.topic_name(record.topic),
            kafka_partition: record.kafka_partition,
            source: Some((
                &batch.source_partitions()[record.source_partition.index()],
                &record.source_offset,
            )),
        };
        let (key, value) = letters.write(batch, body, &why, scratch, &mut self.headers);
        let headers = self.headers.of_record();
        self.push(batch, record, sequence, key, value, headers);
        if let Some(letter) = self.records.last_mut() {
            (letter.topic, letter.partition) = (letters.topic.as_str(), None);
        }
    }

    /// The headers of all records, one after the other: what [`EncodedBatch::into_records`] borrows from.
    #[must_use]
    pub fn headers<'b>(&self, scratch: &'b [u8]) -> Vec<HeaderRef<'b>>
    where
        'a: 'b,
    {
        let header = |(key, written): &(&'a str, Written<'a>)| HeaderRef {
            key,
            value: written.bytes(scratch),
        };
        self.headers.all().iter().map(header).collect()
    }

    /// The records as the port takes them.
    #[must_use]
    pub fn into_records<'b>(self, scratch: &'b [u8], headers: &'b [HeaderRef<'b>]) -> Vec<ProduceRecord<'b>>
    where
        'a: 'b,
    {
        let mut records: Vec<ProduceRecord<'b>> = self.records;
        for late in self.late {
            let record = &mut records[late.record];
            record.key = late.key.map(|range| &scratch[range]).or(record.key);
            record.value = late.value.map(|range| &scratch[range]).or(record.value);
            record.headers = &headers[late.headers];
        }
        records
    }
}

/// One record as Kafka stores it, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodedRecord {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Encodes one record of a batch; none when nothing of it goes to Kafka as a record.
pub(crate) fn encode_one(
    batch: &SourceBatch,
    place: usize,
    converters: &mut Converters,
) -> Result<Option<EncodedRecord>, Failure> {
    let mut encoded = EncodedBatch {
        end: End::Whole,
        passed: Vec::new(),
        records: Vec::new(),
        late: Vec::new(),
        headers: WrittenHeaders::default(),
    };
    let mut scratch = Vec::new();
    let parts = encoded.parts(batch, &batch.records()[place], converters, &mut scratch)?;
    let owned = |written: &Written<'_>| written.bytes(&scratch).map(<[u8]>::to_vec);
    Ok(parts.map(|(key, value, _)| EncodedRecord {
        key: owned(&key),
        value: owned(&value),
        headers: encoded
            .headers
            .all()
            .iter()
            .map(|(name, written)| ((*name).to_owned(), owned(written)))
            .collect(),
    }))
}

/// The bytes of a key or value; none is null.
type Nullable<'a> = Option<&'a [u8]>;

/// Key and value of a record that has nothing but texts and nulls.
#[inline(always)]
fn texts<'a>(batch: &'a SourceBatch, record: &SourceRecord) -> Option<(Nullable<'a>, Nullable<'a>)> {
    let text = |field: &Field| {
        if let Datum::Str(text) = field.datum {
            Some(Some(batch.backing().bytes(text.span())))
        } else {
            (field.datum == Datum::Null).then_some(None)
        }
    };
    match &record.body {
        Body::Data {
            key,
            value,
            headers: None,
        } => Some((text(key)?, text(value)?)),
        Body::Data { .. } | Body::Encoded { .. } | Body::Dropped | Body::Passed(_) => None,
    }
}

/// A record as the port takes it, without what still moves.
#[inline(always)]
fn produced<'a>(
    batch: &'a SourceBatch,
    record: &SourceRecord,
    sequence: Sequence,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
) -> ProduceRecord<'a> {
    ProduceRecord {
        topic: batch.topic_name(record.topic),
        partition: record.kafka_partition,
        timestamp: record.timestamp,
        key,
        value,
        headers: &[],
        sequence: sequence.to_u64(),
    }
}
