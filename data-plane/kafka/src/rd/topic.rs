//! A topic's handle, by which records are handed to librdkafka.
//!
//! rdkafka names the topic of each record: that is an allocation, librdkafka's lock for writing and a search, and a sixth of
//! what handing over a short record costs. It wraps no call with a handle, hence the `unsafe` here; what it does wrap is left
//! to it.

use crate::port::ProduceRecord;
use rdkafka::bindings as c;
use rdkafka::bindings::rd_kafka_vtype_t as vtype;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use std::ffi::{CString, c_void};
use std::ptr::{NonNull, null, null_mut};

/// The partition by which librdkafka chooses one itself.
const UNASSIGNED: i32 = -1;

/// A topic of one producer. Must be dropped before its producer.
#[derive(Debug)]
pub(super) struct Topic {
    name: String,
    client: *mut c::rd_kafka_t,
    handle: NonNull<c::rd_kafka_topic_t>,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Topic {}

impl Topic {
    /// None where librdkafka takes no such name.
    pub(super) fn new<C: ProducerContext>(producer: &BaseProducer<C>, name: &str) -> Option<Self> {
        let client = producer.client().native_ptr();
        let text = CString::new(name).ok()?;
        // SAFETY: the client is valid; librdkafka copies the name; without settings the topic has those of the client.
        let handle = unsafe { c::rd_kafka_topic_new(client, text.as_ptr(), null_mut()) };
        Some(Self {
            name: name.to_owned(),
            client,
            handle: NonNull::new(handle)?,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hands over a record of this topic without its headers. librdkafka copies it.
    pub(super) fn send(&self, record: &ProduceRecord<'_>, timestamp: Option<i64>, opaque: usize) -> Result<(), Code> {
        let start = |bytes: Option<&[u8]>| bytes.map_or(null(), |bytes| bytes.as_ptr().cast::<c_void>());
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        // SAFETY: the producer, and so the client and the handle, are alive. The arguments are a list of pairs of a tag and its
        // values, of the types that librdkafka documents for the tag, up to the last tag. The bytes are borrowed for longer than
        // the call, and copied in it. The opaque is a number.
        let error = unsafe {
            c::rd_kafka_producev(
                self.client,
                vtype::RD_KAFKA_VTYPE_RKT,
                self.handle.as_ptr(),
                vtype::RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(UNASSIGNED),
                vtype::RD_KAFKA_VTYPE_MSGFLAGS,
                c::RD_KAFKA_MSG_F_COPY,
                vtype::RD_KAFKA_VTYPE_VALUE,
                start(record.value),
                len(record.value),
                vtype::RD_KAFKA_VTYPE_KEY,
                start(record.key),
                len(record.key),
                vtype::RD_KAFKA_VTYPE_OPAQUE,
                opaque as *mut c_void,
                vtype::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp.unwrap_or(0),
                vtype::RD_KAFKA_VTYPE_END,
            )
        };
        if error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        Err(error.into())
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new`, given back once, while the producer is alive.
        unsafe { c::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}
