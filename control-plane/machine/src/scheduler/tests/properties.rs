//! Random events against a brute-force model: it asks every agent and every task, and knows nothing of the index.

use super::super::records::Link;
use super::super::slab::Slot;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// One event, with numbers that are taken modulo what exists.
#[derive(Clone, Debug)]
enum Step {
    Join {
        agent: u32,
        zone: u32,
        plugins: usize,
        label: bool,
        slots: u32,
        units: u32,
        fresh: bool,
    },
    Silent(u32),
    Lost(u32),
    Leave {
        agent: u32,
        back: Option<u64>,
    },
    Policy {
        agent: u32,
        policy: AgentPolicy,
    },
    Capacity {
        agent: u32,
        slots: u32,
        units: u32,
    },
    Publish {
        connector: u64,
        needs: usize,
        tasks: Vec<u32>,
    },
    Refuse {
        decision: usize,
        refusal: Refusal,
    },
    Cost {
        connector: u64,
        task: u32,
        units: u32,
    },
    /// Some of what was decided is carried out: so many decisions, from the oldest.
    CarryOut(usize),
    Fail {
        connector: u64,
        task: u32,
    },
    Free {
        connector: u64,
        task: u32,
    },
    Pass(u64),
}

const PLUGINS: [&[(&str, &str)]; 4] = [
    &[("P", "1.0")],
    &[("P", "1.0"), ("Q", "1.0")],
    &[("P", "2.0"), ("Q", "1.0")],
    &[],
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let agent = 1..9_u32;
    let (slots, units) = (1..12_u32, prop::sample::select(vec![3_000_u32, 10_000, 20_000]));
    let connector = 1..6_u64;
    let costs = prop::sample::select(vec![500_u32, 1_000, 1_000, 2_000, 5_000]);
    let policies = [
        AgentPolicy::Active,
        AgentPolicy::Active,
        AgentPolicy::Cordoned,
        AgentPolicy::Draining,
        AgentPolicy::Restarting,
        AgentPolicy::Removed,
    ];
    let step = prop_oneof![
        6 => (agent.clone(), 0..4_u32, 0..PLUGINS.len(), any::<bool>(), slots.clone(), units.clone(), any::<bool>())
            .prop_map(|(agent, zone, plugins, label, slots, units, fresh)| Step::Join { agent, zone, plugins, label, slots, units, fresh }),
        2 => agent.clone().prop_map(Step::Silent),
        2 => agent.clone().prop_map(Step::Lost),
        1 => (agent.clone(), prop::option::of(0..400_000_u64)).prop_map(|(agent, back)| Step::Leave { agent, back }),
        2 => (agent.clone(), prop::sample::select(policies.to_vec())).prop_map(|(agent, policy)| Step::Policy { agent, policy }),
        1 => (agent, slots, units).prop_map(|(agent, slots, units)| Step::Capacity { agent, slots, units }),
        5 => (connector.clone(), 0..NEEDS, prop::collection::vec(costs.clone(), 0..14))
            .prop_map(|(connector, needs, tasks)| Step::Publish { connector, needs, tasks }),
        1 => (any::<usize>(), prop::sample::select(vec![Refusal::Needs, Refusal::Connector]))
            .prop_map(|(decision, refusal)| Step::Refuse { decision, refusal }),
        2 => (connector.clone(), 0..14_u32, costs).prop_map(|(connector, task, units)| Step::Cost { connector, task, units }),
        6 => (0..30_usize).prop_map(Step::CarryOut),
        1 => (connector.clone(), 0..14_u32).prop_map(|(connector, task)| Step::Fail { connector, task }),
        1 => (connector, 0..14_u32).prop_map(|(connector, task)| Step::Free { connector, task }),
        5 => prop::sample::select(vec![100_u64, 5_000, 70_000, 700_000]).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

const NEEDS: usize = 6;

fn needs(which: usize) -> Needs {
    let plugins = |plugins: &[(&str, Option<&str>)]| {
        plugins
            .iter()
            .map(|(class, range)| (plugin(class), range.map(|range| range.parse().unwrap())))
            .collect()
    };
    match which {
        0 => Needs {
            plugins: plugins(&[("P", None)]),
            ..Needs::default()
        },
        1 => Needs {
            plugins: plugins(&[("P", Some("[1.0,2.0)"))]),
            ..Needs::default()
        },
        2 => Needs {
            plugins: plugins(&[("P", Some("[1.0,)")), ("Q", None)]),
            ..Needs::default()
        },
        3 => Needs {
            plugins: plugins(&[("P", None)]),
            selector: "ssd".parse().unwrap(),
            ..Needs::default()
        },
        4 => Needs {
            plugins: plugins(&[("P", None)]),
            regions: vec![Region::try_from("r1").unwrap()],
            ..Needs::default()
        },
        _ => Needs::default(),
    }
}

/// Zones 0 and 1 are of region r0, 2 and 3 of r1; the names of zones are used in both.
fn spec(agent: u32, zone: u32, plugins: usize, label: bool, slots: u32, units: u32) -> AgentSpec {
    AgentSpec {
        number: number(agent),
        region: Region::try_from(format!("r{}", zone / 2)).unwrap(),
        zone: Zone::try_from(format!("z{}", zone % 2)).unwrap(),
        labels: if label {
            [("ssd".to_owned(), String::new())].into()
        } else {
            dray_model::Labels::new()
        },
        plugins: PLUGINS[plugins]
            .iter()
            .map(|(class, version)| (plugin(class), (*version).into()))
            .collect(),
        capacity: Capacity::new(slots, units).unwrap(),
        policy: AgentPolicy::Active,
    }
}

/// What the outside knows: what was published and what agents refused.
#[derive(Default)]
struct Model {
    published: BTreeMap<u64, (usize, BTreeSet<u32>)>,
    /// Assignments not yet carried out.
    open: Vec<(TaskKey, AgentNumber)>,
}

/// The event of a step as the model's state makes it. `None`: it does not apply.
fn event(step: &Step, world: &mut World, model: &mut Model) -> Option<Event> {
    Some(match step.clone() {
        Step::Join {
            agent,
            zone,
            plugins,
            label,
            slots,
            units,
            fresh,
        } => Event::AgentJoined {
            agent: spec(agent, zone, plugins, label, slots, units),
            fresh,
        },
        Step::Silent(agent) => Event::AgentSilent(number(agent)),
        Step::Lost(agent) => Event::AgentLost(number(agent)),
        Step::Leave { agent, back } => Event::AgentLeaving {
            agent: number(agent),
            back_by: back.map(|back| world.now.plus(back)),
        },
        Step::Policy { agent, policy } => Event::PolicyChanged {
            agent: number(agent),
            policy,
        },
        Step::Capacity { agent, slots, units } => Event::CapacityChanged {
            agent: number(agent),
            capacity: Capacity::new(slots, units).unwrap(),
        },
        Step::Publish {
            connector,
            needs: which,
            tasks,
        } => {
            model.published.insert(
                connector,
                (which, (0..).zip(&tasks).map(|(number, _)| number).collect()),
            );
            if tasks.is_empty() {
                model.published.remove(&connector);
            }
            Event::Published(TaskSet {
                needs: needs(which),
                ..set(connector, &tasks)
            })
        }
        Step::Refuse { decision, refusal } => {
            let at = decision.checked_rem(model.open.len())?;
            let (task, agent) = model.open.remove(at);
            Event::Refused { task, agent, refusal }
        }
        Step::Cost { connector, task, units } => Event::CostMeasured {
            task: key(connector, task),
            cost: cost(units),
        },
        Step::Fail { connector, task } => Event::Failed(key(connector, task)),
        Step::Free { connector, task } => Event::Freed(key(connector, task)),
        Step::Pass(milliseconds) => {
            world.now = world.now.plus(milliseconds);
            Event::Tick
        }
        Step::CarryOut(_) => return None,
    })
}

type Targets = BTreeMap<TaskKey, Option<AgentNumber>>;

fn targets(world: &World) -> Targets {
    let index = &world.scheduler.index;
    index
        .tasks
        .iter()
        .map(|(_, task)| (task.key, world.scheduler.number(task.target)))
        .collect()
}

/// The hard constraints, read from what the agent said and what the connector needs.
fn may_run(world: &World, model: &Model, task: TaskKey, agent: Slot<Agent>) -> Result<(), &'static str> {
    let index = &world.scheduler.index;
    let record = &index.agents[agent];
    let needs = needs(model.published[&task.connector.get()].0);
    let connector = &index.connectors[index.by_uid[&task.connector]];
    if record.link != Link::Connected || record.spec.policy != AgentPolicy::Active {
        return Err("it is not connected and active");
    }
    if !needs.regions.is_empty() && !needs.regions.contains(&record.spec.region) {
        return Err("it is in another region");
    }
    for (class, range) in &needs.plugins {
        let fits = |(known, version): &(PluginClass, dray_model::PluginVersion)| {
            known == class && range.as_ref().is_none_or(|range| range.contains(version))
        };
        if !record.spec.plugins.iter().any(fits) {
            return Err("it lacks a plugin");
        }
    }
    if !needs.selector.fits(&record.spec.labels) {
        return Err("its labels do not fit");
    }
    if record.refused.contains(&connector.needs) || connector.refused.contains(&agent) {
        return Err("it refused");
    }
    Ok(())
}

fn load(world: &World, agent: Slot<Agent>) -> (u64, u64) {
    let tasks = world
        .scheduler
        .index
        .tasks
        .iter()
        .filter(|(_, task)| task.target == Some(agent));
    tasks.fold((0, 0), |(count, units), (_, task)| {
        (count + 1, units + u64::from(task.cost.units()))
    })
}

/// What must hold after every event.
fn verify(world: &World, model: &Model, before: &Targets, happened: &Event) {
    let index = &world.scheduler.index;
    let after = targets(world);
    let wanted: BTreeSet<_> = model
        .published
        .iter()
        .flat_map(|(connector, (_, tasks))| tasks.iter().map(|task| key(*connector, *task)))
        .collect();
    assert_eq!(
        after.keys().copied().collect::<BTreeSet<_>>(),
        wanted,
        "every published task is there, and no other"
    );

    let mut received = BTreeSet::new();
    for (task, target) in &after {
        if let Some(agent) = target.filter(|_| before.get(task) != Some(target)) {
            let slot = index.by_number[&agent];
            assert_eq!(
                may_run(world, model, *task, slot),
                Ok(()),
                "{task:?} was given to agent {agent}"
            );
            received.insert(slot);
        }
    }
    for agent in received {
        let ((count, units), spec) = (load(world, agent), &index.agents[agent].spec);
        assert!(
            count <= u64::from(spec.capacity.slots.get()),
            "agent {} was given more tasks than slots",
            spec.number
        );
        assert!(
            units <= u64::from(spec.capacity.cost.get()),
            "agent {} was given more than its capacity",
            spec.number
        );
    }
    for (_, task) in index.tasks.iter().filter(|(_, task)| task.target.is_none()) {
        for (slot, agent) in index
            .agents
            .iter()
            .filter(|(slot, _)| may_run(world, model, task.key, *slot).is_ok())
        {
            let (count, units) = load(world, slot);
            let room = count < u64::from(agent.spec.capacity.slots.get())
                && units + u64::from(task.cost.units()) <= agent.capacity();
            assert!(
                !room,
                "{:?} is unplaced, and agent {} could run it",
                task.key, agent.spec.number
            );
        }
        verify_reason(world, model, task.key);
    }
    // Who is placed stays, but for what the event is about.
    for (task, target) in before {
        let Some(agent) = target.filter(|_| after.get(task).is_some_and(|now| now != target)) else {
            continue;
        };
        let about = match happened {
            Event::AgentJoined { agent: spec, .. } => spec.number == agent,
            Event::AgentLost(lost) => *lost == agent,
            Event::AgentLeaving { agent: leaver, .. } | Event::PolicyChanged { agent: leaver, .. } => *leaver == agent,
            Event::Published(set) => set.connector == task.connector,
            Event::Refused { task: refused, .. } | Event::Returned(refused) => refused == task,
            // Ticks balance, recover and drain; the end of a move lets a drain go on.
            Event::Tick | Event::Owned { .. } => true,
            Event::AgentKnown(_)
            | Event::AgentSilent(_)
            | Event::CapacityChanged { .. }
            | Event::CostMeasured { .. } => false,
            Event::Freed(_) | Event::Running { .. } | Event::Failed(_) => false,
        };
        // A zone that is heard again lets its lost agents be recovered, at any event.
        let lost = index
            .by_number
            .get(&agent)
            .is_none_or(|slot| matches!(index.agents[*slot].link, Link::Lost { .. }));
        assert!(about || lost, "{task:?} was taken from agent {agent} by {happened:?}");
    }
}

/// The reason that is shown is the first condition that no agent fulfils.
fn verify_reason(world: &World, model: &Model, task: TaskKey) {
    let Some(Placement::Unplaced(reason)) = world.scheduler.placement(task) else {
        panic!("{task:?} has no reason")
    };
    let index = &world.scheduler.index;
    let errors: Vec<_> = index
        .agents
        .iter()
        .map(|(slot, _)| may_run(world, model, task, slot))
        .collect();
    let ready = || {
        errors
            .iter()
            .filter(|error| **error != Err("it is not connected and active"))
    };
    let right = match reason {
        Unplaced::NoAgent => ready().count() == 0,
        Unplaced::NoRegion { .. } => ready().all(|error| *error == Err("it is in another region")),
        Unplaced::NoPlugin { .. } | Unplaced::NoVersion { .. } | Unplaced::NoAgentWithAllPlugins => {
            ready().all(|error| matches!(*error, Err("it lacks a plugin" | "it is in another region")))
        }
        Unplaced::NoLabels { .. } => {
            !ready().any(|error| matches!(*error, Ok(()) | Err("it refused")))
                && ready().any(|error| *error == Err("its labels do not fit"))
        }
        Unplaced::Refused { agents } => {
            !errors.contains(&Ok(()))
                && errors.iter().filter(|error| **error == Err("it refused")).count() == agents as usize
        }
        Unplaced::Full { agents, .. } => {
            errors.iter().filter(|error| error.is_ok()).count() == agents as usize && agents > 0
        }
    };
    assert!(right, "{reason:?} is not why {task:?} is unplaced: {errors:?}");
}

/// Runs steps, verifies after each event, and returns everything that was decided.
fn run(steps: &[Step]) -> (World, Vec<Decision>) {
    let (mut world, mut model, mut all) = (World::new(), Model::default(), Vec::new());
    for step in steps {
        let mut events = Vec::new();
        if let Step::CarryOut(count) = step {
            for (task, agent) in model.open.drain(..(*count).min(model.open.len())) {
                events.extend([Event::Owned { task, agent }, Event::Running { task, agent }]);
            }
        }
        events.extend(event(step, &mut world, &mut model));
        for event in events {
            let before = targets(&world);
            let decisions = world.tell(event.clone());
            verify(&world, &model, &before, &event);
            for decision in &decisions {
                if let Decision::Assign { task, to, .. } = decision {
                    assert_eq!(world.target(*task), Some(*to), "what is assigned is the plan");
                    let starting = world.scheduler.index.agents[world.scheduler.index.by_number[to]].starting;
                    assert!(starting <= Limits::default().starts_per_agent);
                    model.open.retain(|(known, _)| known != task);
                    model.open.push((*task, *to));
                }
            }
            all.extend(decisions);
        }
    }
    (world, all)
}

proptest! {
    #![proptest_config(crate::seeds::same_each_time(150))]

    #[test]
    fn any_events_leave_a_legal_plan(steps in steps()) {
        run(&steps);
    }

    #[test]
    fn equal_events_give_equal_decisions(steps in steps()) {
        prop_assert_eq!(run(&steps).1, run(&steps).1);
    }

    /// When nothing happens any more, everything comes to rest: all is started, and nothing moves.
    #[test]
    fn without_events_the_plan_comes_to_rest(steps in steps()) {
        let (mut world, _) = run(&steps);
        // What was under way is carried out, and time passes.
        let open: Vec<_> = world.scheduler.index.tasks.iter().filter_map(|(_, task)| Some((task.key, task.target?))).collect();
        for (task, agent) in open {
            let agent = world.scheduler.index.agents[agent].spec.number;
            world.run(Event::Owned { task, agent });
            world.run(Event::Running { task, agent });
        }
        for _ in 0..40 {
            world.pass(700_000);
        }
        for _ in 0..3 {
            prop_assert_eq!(line(&world.pass(700_000)), "");
        }
    }

    /// An agent that joins and leaves again moves nothing that it did not receive. Costs are equal and small beside the band: else
    /// agents may be outside it that nobody could help, and the mean that the newcomer lowers lets them give to one another.
    #[test]
    fn who_comes_and_goes_leaves_the_others_alone(agents in 2..6_u32, tasks in prop::collection::vec(20..40_usize, 4..8)) {
        let mut world = World::with((1..=agents).map(|at| agent(at, &(at % 3).to_string(), 1_000, 1_000_000)));
        for (connector, count) in (1..).zip(&tasks) {
            world.run(Event::Published(set(connector, &vec![1_000; *count])));
        }
        for _ in 0..30 {
            world.pass(700_000);
        }
        let before = targets(&world);
        let guest = number(agents + 1);
        prop_assert_eq!(line(&world.run(joined(agent(agents + 1, "0", 1_000, 1_000_000)))), "");
        let mut received = BTreeSet::new();
        for _ in 0..30 {
            world.pass(700_000);
            received.extend(world.scheduler.tasks_of(guest));
        }
        for (task, target) in targets(&world) {
            prop_assert!(received.contains(&task) || before[&task] == target, "{task:?} moved between others");
        }
        let between = targets(&world);
        world.run(Event::AgentLost(guest));
        for (task, target) in targets(&world) {
            prop_assert!(target != Some(guest));
            prop_assert!(between[&task] == Some(guest) || between[&task] == target, "{task:?} was not on the lost agent");
        }
    }

    /// While agents have room, the tasks of a connector are spread over zones as evenly as they can be, and over agents.
    #[test]
    fn connectors_are_spread(zones in 1..5_u32, an_agent in 1..4_u32, connectors in prop::collection::vec(prop::collection::vec(1..9_u32, 1..20), 1..6)) {
        let count = zones * an_agent;
        let mut world = World::with((1..=count).map(|at| agent(at, &(at % zones).to_string(), 1_000, 1_000_000)));
        for (connector, costs) in (1..).zip(&connectors) {
            world.run(Event::Published(set(connector, &costs.iter().map(|units| units * 500).collect::<Vec<_>>())));
        }
        for (_, connector) in world.scheduler.index.connectors.iter() {
            let tasks = u32::try_from(connector.tasks.len()).unwrap();
            let zone_counts: Vec<_> = connector.in_zone.iter().map(|(_, count)| *count).collect();
            let agent_counts: Vec<_> = connector.on_agent.iter().map(|(_, count)| *count).collect();
            prop_assert!(zone_counts.iter().all(|count| *count <= tasks.div_ceil(zones)), "zones {zone_counts:?}");
            prop_assert!(agent_counts.iter().all(|count| *count <= tasks.div_ceil(count_of(&world))), "agents {agent_counts:?}");
        }
    }
}

fn count_of(world: &World) -> u32 {
    u32::try_from(world.scheduler.index.agents.len()).unwrap()
}
