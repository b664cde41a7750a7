//! The machine compared with itself: what is kept in two places agrees.

use super::super::tasks::Stage;
use super::super::*;

pub(crate) fn check(machine: &Machine) {
    let mut owned: BTreeMap<AgentNumber, BTreeSet<TaskKey>> = BTreeMap::new();
    let mut targeted: BTreeMap<AgentNumber, BTreeSet<TaskKey>> = BTreeMap::new();
    let mut fences: BTreeMap<AgentSession, u32> = BTreeMap::new();
    let mut unproved = 0;
    for (uid, connector) in &machine.connectors {
        assert_eq!(machine.names.get(&connector.name), Some(uid));
        assert!(connector.tasks.contains_key(&TaskKey::INSTANCE));
        for (number, task) in &connector.tasks {
            let key = TaskKey {
                connector: *uid,
                number: *number,
            };
            assert_eq!(task.owner.is_none(), task.stage() == Stage::Unowned, "{key}: {task:?}");
            assert_eq!(task.owner.is_none(), task.generation.is_none(), "{key}");
            if let Some(owner) = task.owner {
                owned.entry(owner.agent).or_default().insert(key);
                assert!(
                    task.generation >= Some(owner.generation),
                    "{key}: the generation went back"
                );
                if let Some(agent) = machine.agents.get(&owner.agent) {
                    let record = &agent.record;
                    let live = record.session == Some(owner.session);
                    let dead = record.dead_sessions.contains_key(&owner.session);
                    match task.stage() {
                        Stage::Assigned | Stage::Revoking => assert!(live, "{key}: {task:?}"),
                        Stage::Orphaned => assert!(dead, "{key}: {task:?}"),
                        Stage::Unowned | Stage::Stopped => {}
                    }
                }
            }
            if let Some(target) = task.target {
                targeted.entry(target).or_default().insert(key);
            }
            for dead in &task.fences.known {
                *fences.entry(*dead).or_default() += 1;
            }
            unproved += usize::from(task.fences.inherited);
        }
    }
    assert_eq!(machine.fenced_first, fences);
    assert_eq!(machine.unproved, unproved);
    for (number, agent) in &machine.agents {
        assert_eq!(machine.ids.get(&agent.id), Some(number));
        assert_eq!(
            agent.owned,
            owned.remove(number).unwrap_or_default(),
            "owned by {number}"
        );
        assert_eq!(
            agent.targeted,
            targeted.remove(number).unwrap_or_default(),
            "targets at {number}"
        );
        let streams = agent.connection.iter().chain(agent.hello.iter().map(|(of, _)| of));
        for stream in streams {
            assert_eq!(machine.streams.get(stream), Some(&Stream::Agent(*number)));
        }
    }
    let work = &machine.work;
    assert!(work.tasks.is_empty() && work.agents.is_empty() && work.connectors.is_empty());
}
