//! A request in the making. What is large is spliced in between the bytes of its message, and never copied.

use super::dial::unfit;
use crate::error::Result;
use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Encodable as _, Request, StrBytes};

/// Where the correlation id stands: behind the length, the API and its version.
const CORRELATION_AT: usize = 8;
const LENGTH: usize = 4;

/// A request. Its message is written to `body`.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) body: BytesMut,
    /// What comes in where, in rising order.
    splices: Vec<(usize, Bytes)>,
}

impl Frame {
    /// A request of this API and version, with its header.
    pub(crate) fn new<R: Request>(version: i16, client: &StrBytes) -> Result<Self> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(client.clone()));
        let mut body = BytesMut::with_capacity(256);
        body.put_u32(0);
        header
            .encode(&mut body, R::header_version(version))
            .map_err(|error| unfit(R::KEY, version, &error))?;
        Ok(Self {
            body,
            splices: Vec::new(),
        })
    }

    /// A whole request.
    pub(crate) fn of<R: Request>(request: &R, version: i16, client: &StrBytes) -> Result<Self> {
        let mut frame = Self::new::<R>(version, client)?;
        request
            .encode(&mut frame.body, version)
            .map_err(|error| unfit(R::KEY, version, &error))?;
        Ok(frame)
    }

    /// Puts these bytes behind what `body` has now.
    pub(crate) fn splice(&mut self, bytes: Bytes) {
        self.splices.push((self.body.len(), bytes));
    }

    /// The bytes to write, with length and correlation id.
    ///
    /// # Errors
    /// When it is longer than a length can say.
    pub(super) fn finish(mut self, correlation: i32, out: &mut Vec<Bytes>) -> Result<(), std::num::TryFromIntError> {
        let spliced: usize = self.splices.iter().map(|(_, bytes)| bytes.len()).sum();
        let length = i32::try_from(self.body.len() - LENGTH + spliced)?;
        self.body[..LENGTH].copy_from_slice(&length.to_be_bytes());
        self.body[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
        let mut rest = self.body.freeze();
        let mut at = 0;
        for (place, bytes) in self.splices {
            out.push(rest.split_to(place - at));
            at = place;
            out.push(bytes);
        }
        out.push(rest);
        out.retain(|bytes| !bytes.is_empty());
        Ok(())
    }
}

/// Seven bits a byte, the lowest first.
pub(crate) fn put_uvarint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::MetadataRequest;

    #[test]
    fn what_is_spliced_stands_where_it_was_put() {
        let mut frame = Frame::new::<MetadataRequest>(9, &StrBytes::from_static_str("me")).expect("a frame");
        let head = frame.body.len();
        frame.body.put_slice(b"ab");
        frame.splice(Bytes::from_static(b"LARGE"));
        frame.splice(Bytes::new());
        frame.body.put_slice(b"cd");
        frame.splice(Bytes::from_static(b"LAST"));
        let mut pieces = Vec::new();
        frame.finish(7, &mut pieces).expect("short enough");
        let all = pieces.concat();
        assert_eq!(&all[head..], b"abLARGEcdLAST");
        assert_eq!(all[..4], (all.len() as u32 - 4).to_be_bytes());
        assert_eq!(all[8..12], 7_i32.to_be_bytes());
        assert_eq!(pieces.len(), 4);
    }
}
