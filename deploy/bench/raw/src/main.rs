//! The raw client of the benchmarks: what librdkafka itself costs on the same broker, and the eyes with which the benchmarks see a destination.
//!
//! Data goes to stdout, one JSON object or one word a line; a failure ends with exit code 1 and a reason.

mod consume;
mod flows;
mod input;
mod latency;
mod produce;
mod topic;

use rdkafka::config::ClientConfig;
use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: rawbench COMMAND
  version                                    librdkafka's version
  generate KIND RECORDS FILE                 lines of a seed; KIND: text100, text200, text1k, text2k, json, inline
  checksum FILE                              {lines, sum}; the sum does not depend on the order of the lines
  create BOOTSTRAP TOPIC PARTITIONS [K=V..]  creates a topic with this configuration
  drop BOOTSTRAP TOPIC                       deletes it
  produce BOOTSTRAP TOPIC FILE [K=V..]       each line a record, spread over the partitions; K=V are librdkafka's
  consume BOOTSTRAP TOPIC OUT [K=V..]        the whole topic into the file OUT, a line a record; OUT `-` discards; then commits
  arrived BOOTSTRAP TOPIC RECORDS            says `first` and `last` when the topic has one and has RECORDS records
  committed BOOTSTRAP TOPIC GROUP            says `first` and `last` when the group has committed some and all of the topic
  append FILE RATE SECONDS                   appends stamped lines of 200 bytes, RATE a second
  stamp BOOTSTRAP TOPIC RATE SECONDS         produces such lines, each at once
  latency BOOTSTRAP TOPIC RECORDS SKIP       {records, p50_ms, ..} of records that were stamped so, without the first SKIP
  flows BOOTSTRAP FOLDER SOURCES SINKS RATE  numbered lines through file sources and file sinks, and their gaps (src/flows.rs)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rawbench {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["version"] => println!("{}", rdkafka::util::get_rdkafka_version().1),
        ["generate", kind, records, file] => input::generate(kind, records.parse()?, file)?,
        ["checksum", file] => input::checksum(file)?,
        ["create", servers, topic, partitions, settings @ ..] => {
            topic::create(&client(servers, &[])?, topic, partitions.parse()?, &pairs(settings)?)?;
        }
        ["drop", servers, topic] => topic::drop(&client(servers, &[])?, topic)?,
        ["produce", servers, topic, file, settings @ ..] => produce::run(&client(servers, settings)?, topic, file)?,
        ["consume", servers, topic, out, settings @ ..] => consume::run(&client(servers, settings)?, topic, out)?,
        ["arrived", servers, topic, records] => topic::arrived(&client(servers, &[])?, topic, records.parse()?)?,
        ["committed", servers, topic, group] => topic::committed(&client(servers, &[])?, topic, group)?,
        ["append", file, rate, seconds] => latency::append(file, rate.parse()?, seconds.parse()?)?,
        ["stamp", servers, topic, rate, seconds] => {
            latency::stamp(&client(servers, &[])?, topic, rate.parse()?, seconds.parse()?)?;
        }
        ["latency", servers, topic, records, skip] => {
            latency::measure(&client(servers, &[])?, topic, records.parse()?, skip.parse()?)?;
        }
        ["flows", servers, folder, sources, sinks, rate] => {
            flows::run(
                &client(servers, &[])?,
                folder,
                sources.parse()?,
                sinks.parse()?,
                rate.parse()?,
            )?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn pairs<'a>(settings: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>> {
    let pair = |setting: &&'a str| {
        setting
            .split_once('=')
            .ok_or_else(|| format!("{setting}: K=V is wanted").into())
    };
    settings.iter().map(pair).collect()
}

fn client(servers: &str, settings: &[&str]) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    for (key, value) in pairs(settings)? {
        config.set(key, value);
    }
    Ok(config)
}
