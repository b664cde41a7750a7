//! Both machines in one loop: level 1 of the tests of the control plane.
//!
//! [`run`] takes a seed and plays one run: replicas that wrap a [`Machine`](dray_machine::cluster::Machine) while they lead, agents
//! that wrap a [`Session`](dray_session::Session) and a model of the runtime, a model network, store and Kafka, users, and a fault
//! injector, in virtual time and on one thread. The invariants I1 to I6 are checked while it runs. The same seed gives the same run.
//!
//! Read `world` for what is due when, `replica` and `agent` for how the machines are driven, `checks` for what must hold, `faults`
//! for what goes wrong, and [`Mutation`] for the broken variants that must be caught.

mod agent;
mod altering;
mod checks;
mod converged;
mod coverage;
mod faults;
mod fencing;
mod kafka;
mod mutation;
mod network;
mod process;
mod profile;
mod random;
mod replica;
mod requests;
mod runs;
mod store;
mod sweep;
mod trace;
mod users;
mod watching;
mod work;
mod world;
mod writers;
mod writes;

pub use coverage::{Coverage, Seen};
pub use mutation::Mutation;
pub use sweep::{Sweep, catch, report, sweep};

use trace::Trace;
use world::World;

/// Milliseconds of true time since the run began.
pub(crate) type Time = u64;

pub(crate) const REPLICAS: usize = 3;
/// Agents by id.
pub(crate) const AGENTS: usize = 5;
/// Processes of agents: some ids have a second one, on another host.
pub(crate) const AGENT_SLOTS: usize = AGENTS + 2;

/// How a run is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What is broken.
    pub mutation: Option<Mutation>,
    /// Keep a trace: the last lines, or all.
    pub trace: bool,
    /// All lines of it.
    pub whole_trace: bool,
}

/// What came of a run.
pub struct Outcome {
    /// What went wrong.
    pub failure: Option<String>,
    /// When: virtual milliseconds.
    pub ended_at: u64,
    /// How many events there were.
    pub steps: u64,
    /// What happened.
    pub coverage: Coverage,
    /// The trace, when one was kept.
    pub trace: Vec<String>,
}

/// Plays the run of a seed.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let trace = Trace::new(options.trace, options.whole_trace);
    let mut world = World::new(seed, options.mutation, trace);
    world.run();
    Outcome {
        failure: world.failure.take(),
        ended_at: world.now,
        steps: world.steps,
        coverage: world.coverage.clone(),
        trace: world.trace.take(),
    }
}
