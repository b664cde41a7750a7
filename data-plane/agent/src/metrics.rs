//! What an agent measures of itself: its session, its lease and its gate. What its connectors and tasks measure is the runtime's.

use dray_model::Millis;
use dray_runtime::gate::{FenceGate, boottime};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the agent, read by whoever looks.
#[derive(Debug, Default)]
pub(crate) struct SessionState {
    /// The session; 0: none has begun.
    session: AtomicU64,
    /// When the last heartbeat was acknowledged, on the clock of leases; 0: none was.
    acknowledged: AtomicU64,
}

impl SessionState {
    pub(crate) fn began(&self, session: u64) {
        self.session.store(session, Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self, at: Millis) {
        self.acknowledged.store(at.0, Ordering::Relaxed);
    }
}

/// Reads them.
#[derive(Debug)]
pub(crate) struct SessionCollector {
    pub(crate) state: Arc<SessionState>,
    pub(crate) gate: Arc<FenceGate>,
}

impl Collector for SessionCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (now, allowed) = (boottime(), self.gate.allowed());
        let seconds = |millis: u64| millis as f64 / 1_000.0;
        let session = self.state.session.load(Ordering::Relaxed);
        let metric = gauge(
            &mut encoder,
            "dray_agent_session",
            "The number of the session with the control plane; 0: there is none yet.",
        )?;
        ConstGauge::new(session as f64).encode(metric)?;
        let last = self.state.acknowledged.load(Ordering::Relaxed);
        let age = if last == 0 {
            f64::NAN
        } else {
            seconds(now.since(Millis(last)))
        };
        let metric = gauge(
            &mut encoder,
            "dray_agent_heartbeat_age_seconds",
            "Since the control plane acknowledged a heartbeat.",
        )?;
        ConstGauge::new(age).encode(metric)?;
        let classes = [
            ("fenced", allowed.fenced_until, false),
            ("strict", allowed.strict_until, allowed.suspect),
        ];
        let mut family = gauge(
            &mut encoder,
            "dray_agent_lease_seconds",
            "How long tasks of this class may go on without another word.",
        )?;
        for (class, until, _) in classes {
            ConstGauge::new(seconds(until.since(now))).encode(family.encode_family(&[("recovery", class)])?)?;
        }
        let mut family = gauge(
            &mut encoder,
            "dray_agent_gate_open",
            "Whether tasks of this class may begin something new.",
        )?;
        for (class, until, suspect) in classes {
            let open = !allowed.shut && !suspect && now < until;
            ConstGauge::new(f64::from(u8::from(open))).encode(family.encode_family(&[("recovery", class)])?)?;
        }
        Ok(())
    }
}

fn gauge<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
) -> Result<prometheus_client::encoding::MetricEncoder<'s>, std::fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}
