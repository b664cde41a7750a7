//! Config providers of AWS on Moto, which answers as AWS does: `deploy/rig/with-moto.sh cargo test -p dray-providers --test it NAME`.

mod chain;
mod moto;
mod secrets;
