//! The records of the metadata store: `dray.store.v1` and [`dray_model::record`].
//!
//! A record is written back with the [`Rest`] that it was read with, so that what a newer version has put there is kept. Task sets have
//! [functions of their own](tasks), because a large one is several values.

mod agent;
mod cluster;
mod connector;
mod ownership;
pub mod tasks;

use crate::{Error, Invalid};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

/// As it is in the store.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("dray.store.v1");
}

/// A message whose fields are known by number; generated for all.
trait Fields {
    /// The numbers.
    const NUMBERS: &'static [u32];
}

include!(concat!(env!("OUT_DIR"), "/fields.rs"));

/// What a newer version has put into a record: the fields that this one does not know, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest(Vec<u8>);

impl Rest {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of<M: Message + Default + Fields>(bytes: &[u8]) -> Result<(M, Self), prost::DecodeError> {
        let message = M::decode(bytes)?;
        let (mut rest, mut left) = (Vec::new(), bytes);
        while !left.is_empty() {
            let field = left;
            let (number, wire_type) = decode_key(&mut left)?;
            skip_field(wire_type, number, &mut left, DecodeContext::default())?;
            if !M::NUMBERS.contains(&number) {
                rest.extend_from_slice(&field[..field.len() - left.len()]);
            }
        }
        Ok((message, Self(rest)))
    }

    /// Protobuf takes fields in any order, so they go to the end.
    fn join(&self, message: &impl Message) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(message.encoded_len() + self.0.len());
        message.encode_raw(&mut bytes);
        bytes.extend_from_slice(&self.0);
        bytes
    }
}

/// A record that is one value.
#[expect(private_bounds, reason = "records are made here only")]
pub trait Record: Form {}

/// How a record stands in the store.
trait Form: Sized {
    /// What it is, for errors.
    const WHAT: &'static str;
    /// Its message.
    type Wire: Message + Default + Fields;

    fn read(wire: Self::Wire) -> Result<Self, Invalid>;
    fn wire(&self) -> Result<Self::Wire, Invalid>;
}

impl<R: Form> Record for R {}

/// The record of a value, and what of the value this version does not know.
///
/// # Errors
/// When the value is not such a record, or says something that cannot be.
pub fn decode<R: Record>(value: &[u8]) -> Result<(R, Rest), Error> {
    let (wire, rest) = Rest::of::<R::Wire>(value).map_err(|source| Error::Bytes { what: R::WHAT, source })?;
    Ok((R::read(wire).map_err(|invalid| invalid.within(R::WHAT))?, rest))
}

/// The value of a record. `rest` is what the value that it replaces was read with; a new record has none.
///
/// # Errors
/// When the record cannot be one value: owners of two shards.
pub fn encode<R: Record>(record: &R, rest: &Rest) -> Result<Vec<u8>, Error> {
    let wire = record.wire().map_err(|invalid| invalid.within(R::WHAT))?;
    Ok(rest.join(&wire))
}
