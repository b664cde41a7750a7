//! Generates Rust from the protos, without protoc.

use prost_types::{DescriptorProto, FileDescriptorSet};
use std::path::{Path, PathBuf};
use std::{env, error::Error, fmt::Write as _, fs};

const FILES: [&str; 17] = [
    "dray/admin/v1/agent.proto",
    "dray/admin/v1/cluster.proto",
    "dray/admin/v1/connector.proto",
    "dray/admin/v1/letter.proto",
    "dray/admin/v1/logger.proto",
    "dray/admin/v1/offset.proto",
    "dray/admin/v1/operation.proto",
    "dray/admin/v1/plugin.proto",
    "dray/admin/v1/preview.proto",
    "dray/admin/v1/read.proto",
    "dray/admin/v1/state.proto",
    "dray/admin/v1/status.proto",
    "dray/agent/v1/agent.proto",
    "dray/agent/v1/call.proto",
    "dray/plugin/v1/config.proto",
    "dray/plugin/v1/letter.proto",
    "dray/store/v1/store.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for file in FILES {
        println!("cargo::rerun-if-changed={}", protos.join(file).display());
    }
    let mut descriptors = protox::compile(FILES, [&protos])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        .compile_fds(descriptors.clone())?;
    fs::write(out.join("fields.rs"), fields(&descriptors, "dray.store.v1")?)?;
    // Comments are for the code above; reflection does not show them.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(out.join("dray.binpb"), prost::Message::encode_to_vec(&descriptors))?;
    Ok(())
}

/// Which fields each message of a package has: everything else in a record is a newer version's.
fn fields(descriptors: &FileDescriptorSet, package: &str) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for file in descriptors.file.iter().filter(|file| file.package() == package) {
        for message in &file.message_type {
            let numbers: Vec<_> = numbers(message).collect();
            writeln!(
                code,
                "impl Fields for v1::{} {{ const NUMBERS: &'static [u32] = &{numbers:?}; }}",
                message.name()
            )?;
        }
    }
    Ok(code)
}

fn numbers(message: &DescriptorProto) -> impl Iterator<Item = i32> {
    message.field.iter().map(prost_types::FieldDescriptorProto::number)
}
