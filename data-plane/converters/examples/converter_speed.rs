//! What a record of ten fields costs in a converter, as `make bench W=converters` asks for it: `converter_speed CLASS URL TOPIC FILE` with the
//! registry behind the URL. The messages go to the file in base64, a line each. Answers `decode N` and `encode N` on standard input with the
//! nanoseconds that each of N records took, in the mean.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

mod speed;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "--version" {
        println!("converter_speed {}", env!("CARGO_PKG_VERSION"));
        return;
    }
    let mut speed = speed::Speed::with(&args[1], &args[2], &args[3]);
    let lines: String = speed
        .messages()
        .map(|message| STANDARD.encode(message) + "\n")
        .collect();
    std::fs::write(&args[4], lines).unwrap();
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (what, records) = line.split_once(' ').unwrap();
        let records = records.parse().unwrap();
        let each = if what == "decode" {
            speed.decode_mean(records)
        } else {
            speed.encode_mean(records)
        };
        println!("{each}");
        std::io::stdout().flush().unwrap();
    }
}
