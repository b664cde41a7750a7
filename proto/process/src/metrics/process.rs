//! What the process uses, from /proc, under the names that all of Prometheus' client libraries give it. Where there is no /proc, nothing.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Asks the system.
#[derive(Debug)]
pub(super) struct Usage;

impl Collector for Usage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(now) = now() else { return Ok(()) };
        let help = "CPU time of all threads, user and system, in seconds.";
        let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(now.cpu_seconds).encode(metric)?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory.", now.resident),
            ("process_virtual_memory_bytes", "Virtual memory.", now.virtual_memory),
            (
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
                now.started,
            ),
            ("process_threads", "Threads.", now.threads),
            ("process_open_fds", "Open file descriptors.", now.open_files),
            (
                "process_max_fds",
                "The most file descriptors that may be open.",
                now.most_files,
            ),
        ] {
            if let Some(value) = value {
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(metric)?;
            }
        }
        Ok(())
    }
}

struct Now {
    cpu_seconds: f64,
    threads: Option<f64>,
    resident: Option<f64>,
    virtual_memory: Option<f64>,
    started: Option<f64>,
    open_files: Option<f64>,
    most_files: Option<f64>,
}

fn now() -> Option<Now> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and `state` is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some(Now {
        cpu_seconds: (field(14)? + field(15)?) / ticks,
        threads: field(20),
        virtual_memory: field(23),
        resident: field(24).map(|pages| pages * rustix::param::page_size() as f64),
        started: field(22).zip(boot_time()).map(|(after, boot)| boot + after / ticks),
        open_files: std::fs::read_dir("/proc/self/fd")
            .ok()
            .map(|files| files.count() as f64),
        most_files: most_files(),
    })
}

/// In seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()
}

fn most_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
