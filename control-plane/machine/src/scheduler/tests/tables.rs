//! What happens, case by case.

use super::*;

/// What follows from an event, and where everything is then.
fn check(world: &mut World, event: Event, decisions: &str, then: &str) {
    let decided = world.run(event);
    assert_eq!(line(&decided), decisions);
    let then: Vec<_> = then.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.shown().lines().map(str::trim).collect::<Vec<_>>(), then);
}

fn lost(agent: u32) -> Event {
    Event::AgentLost(number(agent))
}

fn policy(agent: u32, policy: AgentPolicy) -> Event {
    Event::PolicyChanged {
        agent: number(agent),
        policy,
    }
}

#[test]
fn the_costliest_go_first_and_a_connector_spreads_over_zones_then_agents() {
    let mut world = World::with([
        agent(1, "a", 9, 9_000),
        agent(2, "a", 9, 9_000),
        agent(3, "b", 9, 9_000),
    ]);
    // Task 2 is the costliest; the next goes to the other zone, the third to the agent that has none.
    check(
        &mut world,
        Event::Published(set(1, &[1_000, 1_000, 3_000])),
        "1-0>3 1-1>2 1-2>1",
        "1: 1-2 \n 2: 1-1 \n 3: 1-0",
    );
    // Another connector: the zone with fewest of its tasks, then the least loaded.
    check(
        &mut world,
        Event::Published(set(2, &[500])),
        "2-0>2",
        "1: 1-2 \n 2: 1-1 2-0 \n 3: 1-0",
    );
}

#[test]
fn a_lost_agent_gives_up_its_tasks_and_no_other() {
    let mut world = World::with([
        agent(1, "a", 9, 9_000),
        agent(2, "b", 9, 9_000),
        agent(3, "c", 9, 9_000),
    ]);
    world.run(Event::Published(set(1, &[1_000; 6])));
    assert_eq!(world.shown(), "1: 1-0 1-3\n2: 1-1 1-4\n3: 1-2 1-5");
    check(
        &mut world,
        Event::AgentSilent(number(2)),
        "",
        "1: 1-0 1-3 \n 2: 1-1 1-4 \n 3: 1-2 1-5",
    );
    assert_eq!(world.scheduler.placement(key(1, 1)), Some(Placement::Silent(number(2))));
    check(
        &mut world,
        lost(2),
        "1-1:2>1 1-4:2>3",
        "1: 1-0 1-1 1-3 \n 2: \n 3: 1-2 1-4 1-5",
    );
    // Back again it gets nothing at once: what runs is left alone.
    check(
        &mut world,
        joined(agent(2, "b", 9, 9_000)),
        "",
        "1: 1-0 1-1 1-3 \n 2: \n 3: 1-2 1-4 1-5",
    );
}

#[test]
fn every_task_without_an_agent_has_its_reason() {
    let reason = |agents: Vec<AgentSpec>, needs: Needs, units: u32| {
        let mut world = World::with(agents);
        world.run(Event::Published(TaskSet {
            needs,
            ..set(1, &[units])
        }));
        match world.scheduler.placement(key(1, 0)) {
            Some(Placement::Unplaced(reason)) => reason.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let plain = || vec![agent(1, "a", 1, 9_000), agent(2, "a", 1, 9_000)];
    let needs = |plugins: &[(&str, Option<&str>)]| Needs {
        plugins: plugins
            .iter()
            .map(|(class, range)| (plugin(class), range.map(|range| range.parse().unwrap())))
            .collect(),
        ..Needs::default()
    };
    let with = |plugins: &[&str], at: u32| AgentSpec {
        plugins: plugins.iter().map(|class| (plugin(class), "1".into())).collect(),
        ..agent(at, "a", 1, 9_000)
    };
    let region = |region: &str| Needs {
        regions: vec![Region::try_from(region).unwrap()],
        ..needs(&[])
    };
    for (agents, needs, units, text) in [
        (
            vec![],
            needs(&[]),
            1,
            "no agent is connected and active: start one, or uncordon one",
        ),
        (
            plain(),
            region("eu"),
            1,
            "no agent is connected and active in region eu",
        ),
        (
            plain(),
            needs(&[("X", None)]),
            1,
            "no agent that may run it has the plugin X: install it",
        ),
        (
            plain(),
            needs(&[("P", Some("[2.0,)"))]),
            1,
            "no agent that may run it has the plugin P in version [2.0,): install it, or ask for another version",
        ),
        (
            vec![with(&["P"], 1), with(&["Q"], 2)],
            needs(&[("P", None), ("Q", None)]),
            1,
            "no agent has all of its plugins: install them on one",
        ),
        (
            plain(),
            Needs {
                selector: "disk=ssd".parse().unwrap(),
                ..needs(&[("P", None)])
            },
            1,
            "no agent with its plugins has labels that fulfil `disk=ssd`",
        ),
        (
            plain(),
            needs(&[("P", None)]),
            9_001,
            "all agents that could run it are full (2; it costs 9001 units and a slot): add an agent or capacity",
        ),
    ] {
        assert_eq!(reason(agents, needs, units), text);
    }
}

#[test]
fn a_refusal_tries_the_next_agent_and_ends_with_its_reason() {
    let mut world = World::with([agent(1, "a", 9, 9_000), agent(2, "a", 9, 9_000)]);
    let refused = |task, agent, refusal| Event::Refused {
        task,
        agent: number(agent),
        refusal,
    };
    assert_eq!(line(&world.tell(Event::Published(set(1, &[1_000])))), "1-0>1");
    assert_eq!(line(&world.tell(refused(key(1, 0), 1, Refusal::Connector))), "1-0>2");
    assert_eq!(line(&world.tell(refused(key(1, 0), 2, Refusal::Connector))), "1-0!");
    assert_eq!(
        world.shown(),
        "1: \n2: \n1-0: all agents that could run it refused it (2): see their reasons"
    );
    // Another connector with the same needs is not touched; a refusal of the needs reaches it.
    assert_eq!(line(&world.tell(Event::Published(set(2, &[1_000])))), "2-0>1");
    assert_eq!(line(&world.tell(refused(key(2, 0), 1, Refusal::Needs))), "2-0>2");
    assert_eq!(line(&world.tell(Event::Published(set(3, &[1_000])))), "3-0>2");
    // The connector's next configuration is offered again; only agent 2 is left.
    assert_eq!(line(&world.tell(Event::Published(set(1, &[1_000])))), "1-0>2");
    // Agent 1 with another inventory is offered what waits for it: nothing does.
    assert_eq!(line(&world.tell(joined(agent(1, "a", 9, 9_000)))), "");
}

#[test]
fn what_waits_is_placed_when_there_is_room() {
    let mut world = World::with([agent(1, "a", 2, 5_000)]);
    check(
        &mut world,
        Event::Published(set(1, &[4_000, 2_000, 1_000, 500])),
        "1-0>1 1-1! 1-2>1 1-3!",
        "1: 1-0 1-2
         1-1: all agents that could run it are full (1; it costs 2000 units and a slot): add an agent or capacity
         1-3: all agents that could run it are full (1; it costs 500 units and a slot): add an agent or capacity",
    );
    // The costliest that fits first.
    let capacity = Capacity::new(3, 6_000).unwrap();
    let more = Event::CapacityChanged {
        agent: number(1),
        capacity,
    };
    check(
        &mut world,
        more,
        "1-3>1",
        "1: 1-0 1-2 1-3
         1-1: all agents that could run it are full (1; it costs 2000 units and a slot): add an agent or capacity",
    );
    check(
        &mut world,
        joined(agent(2, "a", 2, 5_000)),
        "1-1>2",
        "1: 1-0 1-2 1-3 \n 2: 1-1",
    );
}

#[test]
fn who_says_when_it_is_back_finds_its_tasks_again() {
    let mut world = World::with([agent(1, "a", 9, 9_000), agent(2, "a", 9, 9_000)]);
    world.run(Event::Published(set(1, &[1_000; 4])));
    let leave = |until| Event::AgentLeaving {
        agent: number(1),
        back_by: Some(Millis(until)),
    };
    check(&mut world, leave(120_000), "", "1: 1-0 1-2 \n 2: 1-1 1-3");
    assert_eq!(
        world.scheduler.placement(key(1, 0)),
        Some(Placement::Held {
            agent: number(1),
            until: Millis(120_000)
        })
    );
    assert_eq!(line(&world.pass(119_999)), "");
    assert_eq!(
        line(&world.run(Event::AgentSilent(number(1)))),
        "",
        "its stream may well break"
    );
    // Its new session holds nothing: the machine frees its tasks, and they start again where they were.
    world.run(joined(agent(1, "a", 9, 9_000)));
    assert_eq!(line(&world.tell(Event::Freed(key(1, 0)))), "1-0>1");
    // Held for 5 minutes at most.
    world.run(leave(u64::MAX));
    assert_eq!(line(&world.pass(299_999)), "");
    assert_eq!(line(&world.pass(1)), "1-0>2 1-2:1>2");
}

#[test]
fn cordoned_keeps_draining_gives_a_few_removed_gives_all() {
    let mut world = World::with([agent(1, "a", 99, 99_000), agent(2, "a", 99, 99_000)]);
    world.run(Event::Published(set(1, &[1_000; 16])));
    assert_eq!(line(&world.run(policy(1, AgentPolicy::Cordoned))), "");
    assert_eq!(
        line(&world.run(Event::Published(set(2, &[1_000])))),
        "2-0>2",
        "a cordoned agent is no target"
    );
    // Eight tasks, five at a time; the next follows when one is owned by the other agent.
    assert_eq!(
        line(&world.tell(policy(1, AgentPolicy::Draining))),
        "1-0:1>2 1-2:1>2 1-4:1>2 1-6:1>2 1-8:1>2"
    );
    assert_eq!(
        line(&world.tell(Event::Owned {
            task: key(1, 2),
            agent: number(2)
        })),
        "1-10:1>2"
    );
    assert_eq!(line(&world.run(policy(1, AgentPolicy::Removed))), "1-12:1>2 1-14:1>2");
    assert_eq!(world.scheduler.tasks_of(number(1)), vec![]);
}

#[test]
fn a_drained_task_without_another_agent_stays() {
    let mut world = World::with([agent(1, "a", 9, 9_000)]);
    world.run(Event::Published(set(1, &[1_000])));
    check(&mut world, policy(1, AgentPolicy::Draining), "", "1: 1-0");
    check(&mut world, joined(agent(2, "a", 9, 9_000)), "", "1: 1-0 \n 2:");
    assert_eq!(line(&world.pass(1_000)), "1-0:1>2");
}

#[test]
fn a_move_to_an_agent_that_is_lost_is_called_off() {
    let mut world = World::with([agent(1, "a", 9, 9_000), agent(2, "a", 9, 9_000)]);
    world.run(Event::Published(set(1, &[1_000])));
    assert_eq!(line(&world.tell(policy(1, AgentPolicy::Draining))), "1-0:1>2");
    world.tell(policy(1, AgentPolicy::Active));
    assert_eq!(line(&world.tell(lost(2))), "1-0:1>1");
}

#[test]
fn starts_are_limited_and_the_next_follows() {
    let mut world = World::with([agent(1, "a", 9_999, 9_999_000)]);
    let first = world.tell(Event::Published(set(1, &[1_000; 262])));
    assert_eq!(first.len(), 256);
    assert_eq!(
        world.scheduler.placement(key(1, 256)),
        Some(Placement::Queued(number(1)))
    );
    assert_eq!(
        line(&world.tell(Event::Running {
            task: key(1, 3),
            agent: number(1)
        })),
        "1-256>1"
    );
    assert_eq!(line(&world.tell(Event::Failed(key(1, 4)))), "1-257>1");
    // A removed task gives its place up.
    assert_eq!(line(&world.tell(Event::Published(set(1, &[1_000; 261])))), "");
    assert_eq!(line(&world.tell(Event::Freed(key(1, 5)))), "1-5>1");
}

#[test]
fn agents_that_were_lost_together_are_forgotten() {
    let mut world = World::with([agent(1, "a", 9, 9_000), agent(2, "a", 9, 9_000)]);
    world.tell(lost(1));
    world.tell(lost(2));
    world.pass(700_000);
    assert_eq!(world.scheduler.index.agents.len(), 0);
    check(&mut world, joined(agent(3, "a", 9, 9_000)), "", "3:");
}

#[test]
fn what_is_there_already_is_no_start() {
    let mut world = World::with([agent(1, "a", 9_999, 9_999_000)]);
    let mut first = set(1, &[1_000; 300]);
    first.tasks.iter_mut().for_each(|task| task.owner = Some(number(1)));
    assert_eq!(line(&world.tell(Event::Published(first))), "");
    world.tell(joined(agent(2, "a", 9_999, 9_999_000)));
    // It was lost, and its tasks were to start elsewhere; then it is back and runs them still.
    assert_eq!(world.tell(lost(1)).len(), 256);
    world.tell(joined(agent(1, "a", 9_999, 9_999_000)));
    for task in 0..300 {
        let said = world.tell(Event::Returned(key(1, task)));
        let stays = format!("1-{task}:1>1"); // and another start may follow at the other agent
        assert!(line(&said).split(' ').any(|said| said == stays), "{}", line(&said));
        assert_eq!(world.scheduler.placement(key(1, task)), Some(Placement::On(number(1))));
    }
    // None of them is in progress, and all run: an agent that joins is given some.
    assert_eq!(world.tell(Event::Published(set(2, &[1_000; 600]))).len(), 512);
    world.tell(Event::Published(set(2, &[])));
    world.now = Millis(90_000);
    assert_eq!(world.tell(Event::Tick).len(), 5);
}

#[test]
fn balance_waits_for_settled_tasks_and_keeps_to_its_limits() {
    let mut world = World::with([agent(1, "a", 999, 100_000)]);
    world.run(Event::Published(set(1, &[1_000; 40])));
    world.run(joined(agent(2, "a", 999, 100_000)));
    assert_eq!(line(&world.pass(59_999)), "", "they run for less than a minute");
    // Moves in flight: five an agent.
    world.now = Millis(65_000);
    assert_eq!(world.tell(Event::Tick).len(), 5);
    world.now = Millis(70_000);
    assert_eq!(world.tell(Event::Tick).len(), 0, "all five are in flight");
    for task in world.scheduler.tasks_of(number(2)) {
        world.run(Event::Owned { task, agent: number(2) });
        world.run(Event::Running { task, agent: number(2) });
    }
    assert_eq!(world.tell(Event::Tick).len(), 0, "once in 5 s");
    // Into the band about 20 and no further.
    for _ in 0..10 {
        world.pass(5_000);
    }
    assert_eq!(
        (
            world.scheduler.tasks_of(number(1)).len(),
            world.scheduler.tasks_of(number(2)).len()
        ),
        (22, 18)
    );
    assert_eq!(line(&world.pass(700_000)), "");
}

#[test]
fn balance_moves_at_most_its_share_a_minute() {
    let mut world = World::new();
    world.scheduler.limits = Limits {
        balance_a_minute: 12,
        ..Limits::default()
    };
    world.run(joined(agent(1, "a", 999, 1_000_000)));
    world.run(Event::Published(set(1, &[1_000; 300])));
    for at in 2..=40 {
        world.run(joined(agent(at, "a", 999, 1_000_000)));
    }
    // 2 % of 300 are 6, so the 12 a minute count: 12 saved up, and one every 5 s.
    world.now = Millis(60_000);
    let moved: Vec<usize> = (0..6).map(|_| world.pass(5_000).len()).collect();
    assert_eq!(moved, [5, 5, 4, 1, 1, 1]);
}

#[test]
fn a_connector_that_may_not_move_does_not() {
    let mut world = World::with([agent(1, "a", 999, 100_000)]);
    world.run(Event::Published(TaskSet {
        movable: false,
        ..set(1, &[1_000; 40])
    }));
    world.run(joined(agent(2, "a", 999, 100_000)));
    assert_eq!(line(&world.pass(700_000)), "");
    assert_eq!(world.run(lost(1)).len(), 40, "recovery does");
}

/// Two zones of 20 agents, each with one task.
fn two_zones() -> World {
    let mut world = World::with((0..40).map(|at| agent(at + 1, if at < 20 { "a" } else { "b" }, 999, 1_000_000)));
    world.run(Event::Published(set(1, &[1_000; 4_000])));
    world
}

fn zone(world: &World, zone: &str) -> Option<ZoneState> {
    world
        .scheduler
        .zone_state(&Region::try_from("r").unwrap(), &Zone::try_from(zone).unwrap())
}

#[test]
fn most_of_a_zone_is_recovered_slowly() {
    let mut world = two_zones();
    for at in 1..=11 {
        world.tell(Event::AgentSilent(number(at)));
    }
    assert_eq!(zone(&world, "a"), Some(ZoneState::Normal), "55 % is not more than 55 %");
    assert_eq!(world.run(lost(1)).len(), 100, "one agent's tasks go at once");
    world.tell(Event::AgentSilent(number(12)));
    assert_eq!(zone(&world, "a"), Some(ZoneState::Partial));
    let first: usize = (2..=12).map(|at| world.run(lost(at)).len()).sum();
    assert_eq!(first, 100, "a second's worth");
    assert_eq!(world.pass(500).len(), 50);
    assert!(matches!(
        world.scheduler.placement(world.scheduler.tasks_of(number(12))[0]),
        Some(Placement::Recovering(_))
    ));
    // Who comes back keeps what it still has.
    let kept = world.scheduler.tasks_of(number(12));
    world.run(joined(agent(12, "a", 999, 1_000_000)));
    assert_eq!(zone(&world, "a"), Some(ZoneState::Normal));
    let now = world.scheduler.tasks_of(number(12));
    assert!(!kept.is_empty() && kept.iter().all(|task| now.contains(task)));
}

#[test]
fn when_all_are_silent_nothing_is_reassigned() {
    let mut world = two_zones();
    for at in 1..=40 {
        world.tell(Event::AgentSilent(number(at)));
    }
    assert!(world.scheduler.is_cut_off());
    for at in 1..=40 {
        assert_eq!(line(&world.run(lost(at))), "");
    }
    assert_eq!(line(&world.pass(700_000)), "");
    // The first that is heard ends it; the zones are still guarded.
    let moved = world.run(joined(agent(40, "b", 999, 1_000_000))).len();
    assert!(!world.scheduler.is_cut_off());
    assert_eq!(moved, 200, "a second's worth for each zone");
}

#[test]
fn a_small_cluster_is_not_guarded() {
    let mut world = World::with((1..=3).map(|at| agent(at, "a", 999, 999_000)));
    world.run(Event::Published(set(1, &[1_000; 300])));
    world.run(lost(1));
    assert_eq!(world.run(lost(2)).len(), 150);
}

#[test]
fn a_new_leader_keeps_what_the_store_says() {
    let mut old = two_zones();
    let owner = |world: &World, task: &TaskInput| world.target(key(1, task.number));
    let mut published = set(1, &[1_000; 4_000]);
    for task in &mut published.tasks {
        task.owner = owner(&old, task);
    }
    let mut new = World::new();
    for at in 0..40 {
        new.tell(Event::AgentKnown(agent(
            at + 1,
            if at < 20 { "a" } else { "b" },
            999,
            1_000_000,
        )));
    }
    assert_eq!(line(&new.tell(Event::Published(published))), "");
    assert_eq!(new.shown(), old.shown());
    for at in 0..40 {
        assert_eq!(
            line(&new.tell(joined(agent(at + 1, if at < 20 { "a" } else { "b" }, 999, 1_000_000)))),
            ""
        );
    }
    // Both decide alike from here on.
    assert_eq!(new.run(lost(5)), old.run(lost(5)));
    assert_eq!(new.shown(), old.shown());
}

#[test]
fn a_new_task_set_touches_only_what_changed() {
    let mut world = World::with([agent(1, "a", 99, 99_000), agent(2, "b", 99, 99_000)]);
    world.run(Event::Published(set(1, &[1_000; 3])));
    check(
        &mut world,
        Event::Published(set(1, &[1_000; 4])),
        "1-3>2",
        "1: 1-0 1-2 \n 2: 1-1 1-3",
    );
    check(&mut world, Event::Published(set(1, &[1_000])), "", "1: 1-0 \n 2:");
    // Needs that its agent does not fulfil any more.
    let elsewhere = Needs {
        plugins: vec![(plugin("Q"), None)],
        ..Needs::default()
    };
    let other = AgentSpec {
        plugins: vec![(plugin("Q"), "1".into())],
        ..agent(3, "c", 9, 9_000)
    };
    world.run(joined(other));
    let changed = TaskSet {
        needs: elsewhere,
        ..set(1, &[1_000])
    };
    check(&mut world, Event::Published(changed), "1-0:1>3", "1: \n 2: \n 3: 1-0");
    check(&mut world, Event::Published(set(1, &[])), "", "1: \n 2: \n 3:");
    assert_eq!(world.scheduler.placement(key(1, 0)), None);
}

#[test]
fn gone_agents_are_forgotten() {
    let mut world = World::with((1..=12).map(|at| agent(at, "a", 9, 9_000)));
    for at in 1..=9 {
        world.run(lost(at));
    }
    assert_eq!(zone(&world, "a"), Some(ZoneState::Partial));
    world.pass(600_000);
    assert_eq!(
        zone(&world, "a"),
        Some(ZoneState::Normal),
        "agents of the past are not silent"
    );
    assert_eq!(world.shown(), "10: \n11: \n12: ");
}
