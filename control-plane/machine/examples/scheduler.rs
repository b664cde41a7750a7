//! What the scheduler costs at full size: 1,000 agents in 4 regions of 3 zones, 10,000 connectors, 100,000 tasks of skewed costs.
//!
//! `scheduler` prints the median and the least of several runs in milliseconds, and how many decisions each event led to.
//! `scheduler EVENT` runs up to the end of that event once, for callgrind: what an event alone costs is the difference from the
//! event before it.
#![allow(clippy::print_stdout)]

use dray_machine::scheduler::{AgentSpec, Decision, Event, Limits, Needs, Scheduler, TaskInput, TaskSet};
use dray_model::{AgentNumber, AgentPolicy, Capacity, ConnectorUid, Cost, Millis, PluginClass, Region, Zone};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Instant;

const AGENTS: u32 = 1_000;
const CONNECTORS: u64 = 10_000;
const TASKS: usize = 100_000;
const REGIONS: u32 = 4;
const ZONES: u32 = 3;
const CLASSES: u64 = 40;
const RUNS: usize = 11;
const EVENTS: [&str; 7] = [
    "nothing",
    "cold",
    "lost",
    "joins",
    "zone-lost",
    "zone-returns",
    "rebuild",
];

/// xorshift: skewed costs without a crate, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn agent(number: u32) -> AgentSpec {
    AgentSpec {
        number: AgentNumber::try_from(number).expect("counted from 1"),
        region: Region::try_from(format!("region-{}", number % REGIONS)).expect("a name"),
        zone: Zone::try_from(format!("zone-{}", number / REGIONS % ZONES)).expect("a name"),
        labels: BTreeMap::new(),
        plugins: (0..CLASSES).map(|class| (class_name(class), "1.2.0".into())).collect(),
        // Room for a region that lost one of its three zones.
        capacity: Capacity::new(250, 400_000).expect("not 0"),
        policy: AgentPolicy::Active,
    }
}

fn class_name(class: u64) -> PluginClass {
    PluginClass::try_from(format!("org.example.Plugin{class}")).expect("a name")
}

/// Ten tasks a connector on average; most cost little, few cost a hundred times as much.
fn task_sets() -> Vec<TaskSet> {
    let mut random = Random(42);
    let mut left = TASKS;
    (1..=CONNECTORS)
        .map(|connector| {
            let rest = usize::try_from(CONNECTORS - connector).expect("small");
            let count = if rest == 0 {
                left
            } else {
                (1 + random.below(19) as usize).min(left - rest)
            };
            left -= count;
            let tasks = (0..count).map(|number| {
                let units = 200 * 2_u32.pow(u32::try_from(random.below(8).min(random.below(8))).expect("below 8"));
                TaskInput {
                    number: u32::try_from(number).expect("small"),
                    cost: Cost::try_from(units).expect("not 0"),
                    owner: None,
                }
            });
            TaskSet {
                connector: uid(connector),
                needs: Needs {
                    plugins: vec![(
                        class_name(connector % CLASSES),
                        Some("[1.0,2.0)".parse().expect("a range")),
                    )],
                    regions: vec![
                        Region::try_from(format!("region-{}", connector % u64::from(REGIONS))).expect("a name"),
                    ],
                    ..Needs::default()
                },
                prefers: None,
                starts_a_second: None,
                movable: true,
                tasks: tasks.collect(),
            }
        })
        .collect()
}

fn uid(connector: u64) -> ConnectorUid {
    NonZeroU64::new(connector).expect("counted from 1").into()
}

/// No limits: what a plan costs, not how slowly it is carried out.
fn limits() -> Limits {
    Limits {
        moves_per_agent: u32::MAX,
        balance_a_minute: u32::MAX,
        starts_per_agent: u32::MAX,
        guarded_recovery_a_second: u32::MAX,
        ..Limits::default()
    }
}

struct Cluster {
    scheduler: Scheduler,
    now: Millis,
    /// Time and decisions of the last event.
    spent: f64,
    decisions: Vec<Decision>,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self {
            scheduler: Scheduler::new(limits(), Millis(0)),
            now: Millis(0),
            spent: 0.0,
            decisions: Vec::new(),
        };
        (1..=AGENTS).for_each(|number| cluster.tell([joined(number)]));
        cluster
    }

    fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        let events: Vec<_> = events.into_iter().collect();
        let start = Instant::now();
        let mut decisions = Vec::new();
        for event in events {
            decisions.append(&mut self.scheduler.on(self.now, event));
        }
        self.spent = start.elapsed().as_secs_f64() * 1_000.0;
        self.decisions = black_box(decisions);
    }

    /// Carries out what was decided, and lets ten minutes pass.
    fn carry_out(&mut self) {
        for decision in std::mem::take(&mut self.decisions) {
            let Decision::Assign { task, to, .. } = decision else {
                continue;
            };
            self.decisions
                .append(&mut self.scheduler.on(self.now, Event::Owned { task, agent: to }));
            self.decisions
                .append(&mut self.scheduler.on(self.now, Event::Running { task, agent: to }));
        }
        self.now = self.now.plus(600_000);
    }

    fn balance(&mut self) {
        self.tell([Event::Tick]);
    }
}

fn joined(number: u32) -> Event {
    Event::AgentJoined {
        agent: agent(number),
        fresh: true,
    }
}

fn number(agent: u32) -> AgentNumber {
    AgentNumber::try_from(agent).expect("counted from 1")
}

/// Runs the events in order up to `last` and reports the time and the decisions of each.
fn run(last: &str) -> Vec<(&'static str, f64, usize)> {
    let mut figures = Vec::new();
    let mut cluster = Cluster::new();
    let sets = task_sets();
    let mut report = |cluster: &mut Cluster, name: &'static str| {
        figures.push((name, cluster.spent, cluster.decisions.len()));
        name == last
    };
    if last == "nothing" {
        return figures;
    }
    cluster.tell(sets.iter().cloned().map(Event::Published));
    if report(&mut cluster, "cold") {
        return figures;
    }
    cluster.carry_out();
    cluster.balance();
    cluster.carry_out();

    cluster.tell([Event::AgentLost(number(7))]);
    if report(&mut cluster, "lost") {
        return figures;
    }
    cluster.carry_out();

    // The tick also looks at all that is left from before; a first one takes that away.
    cluster.balance();
    cluster.carry_out();
    cluster.tell([joined(AGENTS + 1), Event::Tick]);
    if report(&mut cluster, "joins") {
        return figures;
    }
    cluster.carry_out();

    let zone: Vec<_> = (1..=AGENTS)
        .filter(|agent| agent % REGIONS == 1 && agent / REGIONS % ZONES == 1)
        .collect();
    cluster.tell(zone.iter().map(|agent| Event::AgentSilent(number(*agent))));
    cluster.tell(zone.iter().map(|agent| Event::AgentLost(number(*agent))));
    if report(&mut cluster, "zone-lost") {
        return figures;
    }
    cluster.carry_out();
    cluster.balance();
    cluster.carry_out();
    cluster.tell(zone.iter().map(|agent| joined(*agent)).chain([Event::Tick]));
    if report(&mut cluster, "zone-returns") {
        return figures;
    }
    cluster.carry_out();

    let mut known = sets;
    for set in &mut known {
        for task in &mut set.tasks {
            let key = dray_model::TaskKey {
                connector: set.connector,
                number: task.number,
            };
            task.owner = match cluster.scheduler.placement(key) {
                Some(dray_machine::scheduler::Placement::On(agent)) => Some(agent),
                _ => None,
            };
        }
    }
    let mut next = Cluster {
        scheduler: Scheduler::new(limits(), Millis(0)),
        now: Millis(0),
        spent: 0.0,
        decisions: Vec::new(),
    };
    let agents = (1..=AGENTS + 1).map(|number| Event::AgentKnown(agent(number)));
    next.tell(agents.chain(known.into_iter().map(Event::Published)));
    report(&mut next, "rebuild");
    figures
}

fn main() -> ExitCode {
    if let Some(last) = std::env::args().nth(1) {
        if !EVENTS.contains(&last.as_str()) {
            eprintln!("scheduler: `{last}` is none of {}", EVENTS.join(", "));
            return ExitCode::from(2);
        }
        black_box(run(&last));
        return ExitCode::SUCCESS;
    }
    let mut runs: BTreeMap<&str, (Vec<f64>, usize)> = BTreeMap::new();
    for _ in 0..RUNS {
        for (name, spent, decisions) in run("rebuild") {
            let (times, count) = runs.entry(name).or_default();
            times.push(spent);
            *count = decisions;
        }
    }
    println!(
        "{:<14}{:>12}{:>12}{:>12}",
        "event", "median ms", "least ms", "decisions"
    );
    for name in &EVENTS[1..] {
        let Some((times, decisions)) = runs.get_mut(name) else {
            continue;
        };
        times.sort_unstable_by(f64::total_cmp);
        println!(
            "{name:<14}{:>12.3}{:>12.3}{decisions:>12}",
            times[times.len() / 2],
            times[0]
        );
    }
    ExitCode::SUCCESS
}
