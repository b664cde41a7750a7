//! Averages, maxima and rates as Kafka's metrics have them: over two samples of 30 s (`metrics.num.samples`, `metrics.sample.window.ms`).

use std::time::Duration;
use tokio::time::Instant;

/// How long a sample takes.
const SAMPLE: Duration = Duration::from_secs(30);

/// The present sample and the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    now: Option<Sample>,
    before: Option<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    begun: Instant,
    count: u64,
    sum: f64,
    max: f64,
}

impl Window {
    /// Something was measured.
    pub fn record(&mut self, at: Instant, value: f64) {
        if let Some(sample) = &mut self.now
            && at < sample.begun + SAMPLE
        {
            sample.count += 1;
            sample.sum += value;
            sample.max = sample.max.max(value);
            return;
        }
        self.before = self.now;
        self.now = Some(Sample {
            begun: at,
            count: 1,
            sum: value,
            max: value,
        });
    }

    /// The samples that are not too old.
    fn samples(&self, at: Instant) -> impl Iterator<Item = Sample> {
        let fresh = move |sample: &Sample| at < sample.begun + 2 * SAMPLE;
        [self.before, self.now].into_iter().flatten().filter(fresh)
    }

    /// The mean; not a number where nothing was measured.
    #[must_use]
    pub fn average(&self, at: Instant) -> f64 {
        let (sum, count) = self.samples(at).fold((0.0, 0), |(sum, count), sample| {
            (sum + sample.sum, count + sample.count)
        });
        sum / count as f64
    }

    /// The largest; not a number where nothing was measured.
    #[must_use]
    pub fn max(&self, at: Instant) -> f64 {
        self.samples(at).fold(f64::NAN, |max, sample| max.max(sample.max))
    }

    /// The sum in a second. As Kafka's, it counts one whole sample as gone by at least, so that a beginning is no peak.
    #[must_use]
    pub fn rate(&self, at: Instant) -> f64 {
        let begun = self.samples(at).map(|sample| sample.begun).min();
        let sum: f64 = self.samples(at).map(|sample| sample.sum).sum();
        begun.map_or(0.0, |begun| sum / (at - begun).max(SAMPLE).as_secs_f64())
    }
}

/// A number that only grows, and how fast.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Since it began.
    pub total: u64,
    window: Window,
}

impl Total {
    /// So many more.
    pub fn add(&mut self, at: Instant, count: usize) {
        self.total += count as u64;
        self.window.record(at, count as f64);
    }

    /// So many a second, over the window.
    #[must_use]
    pub fn rate(&self, at: Instant) -> f64 {
        self.window.rate(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::default();
        assert!(window.average(start).is_nan() && window.max(start).is_nan());
        assert_eq!(window.rate(start), 0.0);
        window.record(at(0), 90.0);
        window.record(at(29), 30.0);
        assert_eq!(
            (window.average(at(29)), window.max(at(29)), window.rate(at(29))),
            (60.0, 90.0, 4.0)
        );
        window.record(at(30), 30.0);
        assert_eq!(
            (window.average(at(50)), window.max(at(50)), window.rate(at(50))),
            (50.0, 90.0, 3.0)
        );
        // The first sample is gone, the second is not.
        assert_eq!(
            (window.average(at(60)), window.max(at(60)), window.rate(at(60))),
            (30.0, 30.0, 1.0)
        );
        assert_eq!(window.rate(at(200)), 0.0);
        assert!(window.max(at(200)).is_nan());
    }

    #[test]
    fn a_total_keeps_what_its_rate_forgets() {
        let start = Instant::now();
        let mut total = Total::default();
        total.add(start, 300);
        assert_eq!((total.total, total.rate(start)), (300, 10.0));
        assert_eq!((total.total, total.rate(start + Duration::from_secs(99))), (300, 0.0));
    }
}
