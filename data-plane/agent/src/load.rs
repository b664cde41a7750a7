//! What this process uses: read from the system once a second.

use dray_session::Event;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// The reading before.
#[derive(Default)]
pub(crate) struct Load {
    last: Option<(Instant, Duration)>,
}

impl Load {
    /// The CPU time since the last reading, and the memory; `None` when it is not time yet.
    pub(crate) fn measure(&mut self, now: Instant) -> Option<Event> {
        let since = self.last.map(|(then, _)| now - then);
        if since.is_some_and(|since| since < EVERY) {
            return None;
        }
        let used = cpu();
        let before = self.last.replace((now, used));
        let (since, (_, before)) = (since?, before?);
        let millis = used.saturating_sub(before).as_secs_f64() / since.as_secs_f64() * 1_000.0;
        Some(Event::Load {
            cpu_millis: millis.round() as u32,
            memory_bytes: resident().unwrap_or(0),
        })
    }
}

/// The CPU time of all threads of the process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory in bytes; `None` where /proc is not there.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_measures_this_process_once_a_second() {
        let mut load = Load::default();
        let start = Instant::now();
        assert_eq!(
            load.measure(start).map(|_| ()),
            None,
            "the first reading is no difference"
        );
        assert_eq!(load.measure(start + Duration::from_millis(500)).map(|_| ()), None);
        let mut sum = 0_u64;
        while cpu() < load.last.unwrap().1 + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        let Some(Event::Load {
            cpu_millis,
            memory_bytes,
        }) = load.measure(start + EVERY)
        else {
            panic!("a second is over");
        };
        assert!((20..2_000).contains(&cpu_millis), "{cpu_millis}");
        assert!(memory_bytes > 1 << 20, "{memory_bytes}");
    }
}
