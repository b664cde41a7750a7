//! Fetched messages of all partitions through one queue, many at a time.
//!
//! rdkafka hands out one message a call, each with an event object, three readings of the clock and two locks: more than
//! everything else that a sink's record costs here. librdkafka has a call for batches, which rdkafka does not wrap. This
//! file and `topic.rs` are the only ones with `unsafe`.

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::ffi::{CStr, CString};
use std::ptr::{NonNull, null, null_mut};
use std::time::Duration;

/// Messages a call. Their bytes are librdkafka's until they are copied, so this bounds no memory.
const MESSAGES: usize = 128;

/// Whether librdkafka 2.12 names an error code: its own, and those of brokers.
fn is_named(code: i32) -> bool {
    matches!(code, -200..=-137 | -100 | -1..=97 | 100 | 110..=113 | 117 | 118 | 129)
}

/// A header as it lies in librdkafka's memory.
type RawHeader<'a> = (&'a [u8], Option<&'a [u8]>);

/// A fetched message, borrowed from librdkafka.
pub(super) struct Fetched<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: rdkafka::Timestamp,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// Most messages have none, and an empty vector costs nothing.
    pub(super) headers: Vec<RawHeader<'a>>,
}

/// The queue that the partitions of one consumer deliver to. Must be dropped before its consumer.
#[derive(Debug)]
pub(super) struct FetchQueue {
    queue: NonNull<c::rd_kafka_queue_t>,
    messages: Vec<*mut c::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; the array of messages is empty between calls.
unsafe impl Send for FetchQueue {}

impl FetchQueue {
    /// An empty queue of this consumer; nothing delivers to it yet.
    pub(super) fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Self {
        // SAFETY: the consumer's handle is valid as long as the consumer is.
        let queue = NonNull::new(unsafe { c::rd_kafka_queue_new(consumer.client().native_ptr()) });
        Self {
            queue: queue.expect("librdkafka aborts where there is no memory"),
            messages: Vec::with_capacity(MESSAGES),
        }
    }

    /// Lets a partition deliver here, from before it is assigned on; without this it delivers to the consumer's own
    /// queue. librdkafka keeps this choice of the application over an assignment.
    pub(super) fn adopt<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, topic: &str, partition: i32) {
        let Ok(topic) = CString::new(topic) else { return };
        // SAFETY: all handles are valid; the partition's handle is given back, its queue keeps a reference to ours.
        unsafe {
            let from = c::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition);
            if !from.is_null() {
                c::rd_kafka_queue_forward(from, self.queue.as_ptr());
                c::rd_kafka_queue_destroy(from);
            }
        }
    }

    /// Shows up to `most` messages, and at most some hundred, to `visit`; waits for the first one, not for more. Returns
    /// how many there were. An error concerns one partition.
    pub(super) fn take(
        &mut self,
        most: usize,
        wait: Duration,
        visit: &mut dyn FnMut(Result<Fetched<'_>, Code>),
    ) -> usize {
        let most = most.min(MESSAGES);
        let mut count = self.receive(most, Duration::ZERO, visit);
        if count == 0 && !wait.is_zero() {
            // librdkafka would wait until the array is full.
            count = self.receive(1.min(most), wait, visit);
        }
        count
    }

    fn receive(&mut self, most: usize, wait: Duration, visit: &mut dyn FnMut(Result<Fetched<'_>, Code>)) -> usize {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        self.messages.resize(most, null_mut());
        // SAFETY: the array has room for `most` pointers.
        let count =
            unsafe { c::rd_kafka_consume_batch_queue(self.queue.as_ptr(), millis, self.messages.as_mut_ptr(), most) };
        // It answers -1 when the queue is no consumer's, which cannot be.
        self.messages.truncate(usize::try_from(count).unwrap_or(0));
        let count = self.messages.len();
        let mut topic = Topic::default();
        for message in self.messages.drain(..) {
            let message = Message(message);
            match message.view(&mut topic) {
                Ok(fetched) => visit(Ok(fetched)),
                Err(Some(code)) => visit(Err(code)),
                Err(None) => {}
            }
        }
        count
    }
}

impl Drop for FetchQueue {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, given back once.
        unsafe { c::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// The topic of the last message of one call: neighbours mostly share it.
struct Topic {
    handle: *const c::rd_kafka_topic_t,
    name: String,
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            handle: null(),
            name: String::new(),
        }
    }
}

/// Owns one message.
struct Message(*mut c::rd_kafka_message_t);

impl Message {
    /// The message, or its error; no error where it is one that librdkafka does not know, which it goes on after.
    fn view<'a>(&'a self, topic: &'a mut Topic) -> Result<Fetched<'a>, Option<Code>> {
        // SAFETY: librdkafka gave the message to us. Its error is read as the number that it is in C: a broker may answer one
        // that the bindings' enum lacks, and no reference to the whole message may exist then.
        match unsafe { (&raw const (*self.0).err).cast::<i32>().read() } {
            0 => {}
            code if !is_named(code) => {
                tracing::warn!(
                    code,
                    "a fetch was answered with an error code that librdkafka does not know"
                );
                return Err(None);
            }
            // SAFETY: the enum has this code.
            _ => return Err(Some(unsafe { (*self.0).err }.into())),
        }
        // SAFETY: the message lives until `self` is dropped.
        let raw = unsafe { &*self.0 };
        if topic.handle != raw.rkt.cast_const() {
            topic.handle = raw.rkt;
            topic.name.clear();
            // SAFETY: a message without an error has a topic, whose name ends with a zero.
            let name = unsafe { CStr::from_ptr(c::rd_kafka_topic_name(raw.rkt)) };
            topic.name.push_str(&name.to_string_lossy());
        }
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid.
        let at = unsafe { c::rd_kafka_message_timestamp(self.0, &raw mut kind) };
        let timestamp = match kind {
            _ if at == -1 => rdkafka::Timestamp::NotAvailable,
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => rdkafka::Timestamp::NotAvailable,
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => rdkafka::Timestamp::CreateTime(at),
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => rdkafka::Timestamp::LogAppendTime(at),
        };
        Ok(Fetched {
            topic: &topic.name,
            partition: raw.partition,
            offset: raw.offset,
            timestamp,
            // SAFETY: both lie in the message.
            key: unsafe { bytes(raw.key, raw.key_len) },
            // SAFETY: as above.
            value: unsafe { bytes(raw.payload, raw.len) },
            headers: self.headers(),
        })
    }

    fn headers(&self) -> Vec<RawHeader<'_>> {
        let mut found = Vec::new();
        let mut headers = null_mut();
        // SAFETY: the message is valid; the headers stay its property.
        let error = unsafe { c::rd_kafka_message_headers(self.0, &raw mut headers) };
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return found;
        }
        loop {
            let (mut name, mut value, mut len) = (null(), null(), 0);
            // SAFETY: the headers are valid; what is returned lies in the message.
            let header = unsafe {
                let error =
                    c::rd_kafka_header_get_all(headers, found.len(), &raw mut name, &raw mut value, &raw mut len);
                if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return found;
                }
                (CStr::from_ptr(name).to_bytes(), bytes(value, len))
            };
            found.push(header);
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: given to us, given back once.
        unsafe { c::rd_kafka_message_destroy(self.0) }
    }
}

/// # Safety
/// `start` is null or the start of `len` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}
