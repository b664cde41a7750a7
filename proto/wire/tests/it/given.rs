//! Any legal value of the model.

use dray_model::message::*;
use dray_model::record::*;
use dray_model::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

/// Numbers of every length on the wire.
fn large() -> impl Strategy<Value = NonZeroU64> + Clone {
    (any::<u64>(), 0..64_u32).prop_map(|(bits, shift)| NonZeroU64::new(bits >> shift).unwrap_or(NonZeroU64::MIN))
}

fn small() -> impl Strategy<Value = NonZeroU32> {
    (any::<u32>(), 0..32_u32).prop_map(|(bits, shift)| NonZeroU32::new(bits >> shift).unwrap_or(NonZeroU32::MIN))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{1,12}", "[a-z.]{1,20}"]
}

fn word<T: TryFrom<String, Error: std::fmt::Debug> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop_oneof!["[a-zé/ ]{1,9}", "x{255}"].prop_map(|text: String| T::try_from(text).unwrap())
}

fn config() -> impl Strategy<Value = ConfigMap> {
    btree_map(text(), text(), 0..4)
}

fn diff() -> impl Strategy<Value = Arc<ConfigDiff>> {
    (config(), vec(text(), 0..3)).prop_map(|(set, removed)| Arc::new(ConfigDiff { set, removed }))
}

fn digest() -> impl Strategy<Value = ConfigDigest> {
    any::<[u8; 32]>().prop_map(ConfigDigest::from)
}

fn cost() -> impl Strategy<Value = Cost> {
    small().prop_map(|units| Cost::try_from(units.get()).unwrap())
}

fn agent_number() -> impl Strategy<Value = AgentNumber> {
    small().prop_map(|number| AgentNumber::try_from(number.get()).unwrap())
}

fn session() -> impl Strategy<Value = SessionId> {
    large().prop_map(SessionId::from)
}

fn uid() -> impl Strategy<Value = ConnectorUid> {
    large().prop_map(ConnectorUid::from)
}

fn capacity() -> impl Strategy<Value = Capacity> {
    (small(), small()).prop_map(|(slots, cost)| Capacity { slots, cost })
}

fn instance() -> impl Strategy<Value = Instance> {
    any::<u128>().prop_map(Instance)
}

fn task() -> impl Strategy<Value = u32> {
    prop_oneof![0..MAX_TASKS, Just(TaskKey::INSTANCE)]
}

fn owned() -> impl Strategy<Value = Owned> {
    (uid(), task(), large()).prop_map(|(connector, number, generation)| Owned {
        task: TaskKey { connector, number },
        generation: generation.into(),
    })
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map(text(), text(), 0..4)
}

fn prose() -> impl Strategy<Value = String> {
    prop_oneof![text(), Just("é".repeat(4096))]
}

fn agent_session() -> impl Strategy<Value = AgentSession> {
    (agent_number(), session()).prop_map(|(agent, session)| AgentSession { agent, session })
}

fn dead_session() -> impl Strategy<Value = DeadSession> {
    (agent_session(), vec(word(), 0..3)).prop_map(|(session, clusters)| DeadSession { session, clusters })
}

fn plugin() -> impl Strategy<Value = Plugin> {
    use PluginKind::*;
    let kinds = vec![
        Source,
        Sink,
        Converter,
        HeaderConverter,
        Transformation,
        Predicate,
        ConfigProvider,
    ];
    (word(), text(), prop::sample::select(kinds)).prop_map(|(class, version, kind)| Plugin {
        class,
        version: version.into(),
        kind,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let held = (owned(), any::<bool>(), any::<Option<u32>>()).prop_map(|(owned, stopping, asked_restarts)| Held {
        owned,
        stopping,
        asked_restarts,
    });
    let who = (
        text(),
        word(),
        instance(),
        option::of(instance()),
        option::of(session()),
        option::of(large()),
    );
    let what = (text(), small(), small(), text(), word(), word(), labels(), capacity());
    (who, what, vec(plugin(), 0..3), vec(held, 0..3)).prop_map(|(who, what, plugins, held)| Hello {
        cluster: who.0,
        agent: who.1,
        instance: who.2,
        previous_instance: who.3,
        session: who.4,
        max_term: who.5.map(Term::from),
        software_version: what.0,
        protocol: (what.1.min(what.2).get(), what.1.max(what.2).get()),
        worker_id: what.3.into(),
        region: what.4,
        zone: what.5,
        labels: what.6,
        capacity: what.7,
        plugins,
        held,
    })
}

fn report() -> impl Strategy<Value = TaskReport> {
    use RunState::*;
    let states = vec![Fencing, Starting, Running, Paused, Restarting, Failed, Stopping];
    (
        owned(),
        prop::sample::select(states),
        option::of(prose()),
        any::<u32>(),
        option::of(cost()),
        any::<bool>(),
    )
        .prop_map(|(owned, state, trace, restarts, cost, tripped)| TaskReport {
            owned,
            state,
            trace,
            restarts,
            cost,
            tripped,
        })
}

fn refused() -> impl Strategy<Value = RefusedTask> {
    use RefusedWhy::*;
    let reasons = vec![NoPlugin, OverCapacity, Connector, Suspect];
    (owned(), prop::sample::select(reasons), prose()).prop_map(|(owned, why, message)| RefusedTask {
        owned,
        why,
        message,
    })
}

pub(crate) fn from_agent() -> impl Strategy<Value = FromAgent> {
    let heartbeat = (any::<u64>(), vec(report(), 0..3), any::<u32>(), any::<u64>());
    let stopped = (owned(), any::<bool>()).prop_map(|(owned, clean)| StoppedTask { owned, clean });
    prop_oneof![
        hello().prop_map(|hello| FromAgent::Hello(Box::new(hello))),
        heartbeat.prop_map(
            |(seq, changed, cpu_millis, memory_bytes)| FromAgent::Heartbeat(Heartbeat {
                seq,
                changed,
                cpu_millis,
                memory_bytes,
            })
        ),
        (any::<u64>(), vec(refused(), 0..3))
            .prop_map(|(nonce, refused)| FromAgent::AssignmentAck(AssignmentAck { nonce, refused })),
        vec(stopped, 0..3).prop_map(FromAgent::TasksStopped),
        vec(report(), 0..3).prop_map(FromAgent::TaskEvents),
        option::of(any::<u32>()).prop_map(|expect_back_ms| FromAgent::LeaveIntent(LeaveIntent { expect_back_ms })),
        (owned(), any::<u64>(), vec(diff(), 0..4)).prop_map(|(instance, config_version, tasks)| {
            FromAgent::TaskConfigs(TaskConfigs {
                instance,
                config_version,
                tasks,
            })
        }),
        (word(), option::of(prose()))
            .prop_map(|(cluster, refused)| FromAgent::WriterOpened(WriterOpened { cluster, refused })),
        (agent_session(), word()).prop_map(|(dead, cluster)| FromAgent::SessionFenced { dead, cluster }),
        vec(owned(), 0..4).prop_map(FromAgent::GenerationCheck),
        (any::<u64>(), option::of(prose()))
            .prop_map(|(id, error)| FromAgent::CommandResult(CommandResult { id, error })),
    ]
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    vec(
        (owned(), any::<bool>()).prop_map(|(owned, keep)| Verdict { owned, keep }),
        0..4,
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let lease = any::<[u32; 5]>().prop_map(|ms| LeasePolicy {
        heartbeat_ms: ms[0],
        suspect_ms: ms[1],
        lease_ms: ms[2],
        stop_ms: ms[3],
        quiet_ms: ms[4],
    });
    (session(), agent_number(), lease, any::<u32>(), verdicts(), config()).prop_map(
        |(session, number, lease, protocol, verdicts, worker)| Welcome {
            session,
            number,
            lease,
            protocol,
            verdicts,
            worker: Arc::new(worker),
        },
    )
}

fn connector() -> impl Strategy<Value = Arc<AssignedConnector>> {
    let recovery = prop::sample::select(vec![Recovery::Fenced, Recovery::Strict]);
    (uid(), word(), any::<u64>(), config(), recovery).prop_map(|(uid, name, config_version, config, recovery)| {
        Arc::new(AssignedConnector {
            uid,
            name,
            config_version,
            config,
            recovery,
        })
    })
}

fn delta() -> impl Strategy<Value = AssignmentDelta> {
    use RevokedWhy::*;
    let reasons = prop::sample::select(vec![Moved, Deleted, Stopped, Reconfigured, NotOwned]);
    let revocation = (owned(), any::<u32>(), reasons).prop_map(|(owned, graceful_ms, why)| Revocation {
        owned,
        graceful_ms,
        why,
    });
    let assignment = (
        owned(),
        diff(),
        digest(),
        any::<bool>(),
        cost(),
        vec(dead_session(), 0..2),
        any::<Option<u32>>(),
    )
        .prop_map(
            |(owned, config, digest, paused, cost, fence_first, asked_restarts)| Assignment {
                owned,
                config,
                digest,
                paused,
                cost,
                fence_first,
                asked_restarts,
            },
        );
    (
        any::<u64>(),
        vec(revocation, 0..3),
        vec(connector(), 0..3),
        vec(assignment, 0..3),
    )
        .prop_map(|(nonce, revocations, connectors, assignments)| AssignmentDelta {
            nonce,
            revocations,
            connectors,
            assignments,
        })
}

fn fenced() -> impl Strategy<Value = Fenced> {
    use FencedWhy::*;
    let reasons = prop::sample::select(vec![DeclaredDead, DuplicateId, Removed, Protocol, OtherCluster]);
    (reasons, prose(), any::<u32>()).prop_map(|(why, detail, retry_after_ms)| Fenced {
        why,
        detail,
        retry_after_ms,
    })
}

pub(crate) fn to_agent() -> impl Strategy<Value = ToAgent> {
    let fence = (connector(), vec(dead_session(), 0..3));
    let body = prop_oneof![
        welcome().prop_map(Order::Welcome),
        any::<u64>().prop_map(|seq| Order::HeartbeatAck(HeartbeatAck { seq })),
        delta().prop_map(|delta| Order::Assignments(Box::new(delta))),
        owned().prop_map(|instance| Order::TaskConfigsStored { instance }),
        word().prop_map(Order::WriterConfirmed),
        verdicts().prop_map(Order::Verdicts),
        (any::<u64>(), fence).prop_map(|(id, (connector, dead))| Order::Command(Command {
            id,
            what: CommandWhat::FenceSessions { connector, dead },
        })),
        fenced().prop_map(Order::Fenced),
        (vec(text(), 0..3), any::<u32>()).prop_map(|(endpoints, retry_after_ms)| Order::NotLeader(NotLeader {
            endpoints,
            retry_after_ms
        })),
    ];
    (large(), body).prop_map(|(term, body)| ToAgent {
        term: term.into(),
        body,
    })
}

fn written() -> impl Strategy<Value = Written> {
    (large(), any::<u64>()).prop_map(|(term, operation)| Written {
        term: term.into(),
        operation,
    })
}

pub(crate) fn connector_spec() -> impl Strategy<Value = ConnectorSpec> {
    let targets = vec![TargetState::Started, TargetState::Paused, TargetState::Stopped];
    let restarts = (any::<u32>(), btree_map(any::<u32>(), any::<u32>(), 0..4));
    let wanted = (config(), prop::sample::select(targets), any::<u64>());
    let tripped = btree_map(task(), large().prop_map(Generation::from), 0..3);
    let breaker =
        (text(), tripped, any::<bool>()).prop_map(|(reason, tasks, paused)| Breaker { reason, tasks, paused });
    let ends = (any::<bool>(), option::of(text()), option::of(breaker));
    (option::of(uid()), wanted, restarts, ends, text(), text()).prop_map(
        |(
            uid,
            (config, target, config_version),
            (restarts, task_restarts),
            (deleting, altering, breaker),
            writer,
            operation,
        )| {
            ConnectorSpec {
                uid,
                config,
                target,
                config_version,
                restarts,
                task_restarts,
                deleting,
                altering,
                breaker,
                writer,
                operation,
            }
        },
    )
}

pub(crate) fn task_set() -> impl Strategy<Value = TaskSet> {
    let task = (diff(), digest(), cost()).prop_map(|(config, digest, cost)| TaskSpec { config, digest, cost });
    (uid(), any::<u64>(), vec(task, 0..5), written()).prop_map(|(uid, config_version, tasks, written)| TaskSet {
        uid,
        config_version,
        tasks,
        written,
    })
}

pub(crate) fn ownership() -> impl Strategy<Value = Ownership> {
    let owner = || {
        (agent_number(), session(), large()).prop_map(|(agent, session, generation)| Owner {
            agent,
            session,
            generation: generation.into(),
        })
    };
    let tasks = (0..MAX_TASKS / SHARD_TASKS, btree_map(0..SHARD_TASKS, owner(), 0..6)).prop_map(|(shard, owners)| {
        let number = |(task, owner)| (shard * SHARD_TASKS + task, owner);
        owners.into_iter().map(number).collect()
    });
    let instance = owner().prop_map(|owner| [(TaskKey::INSTANCE, owner)].into());
    (uid(), prop_oneof![tasks, instance], written()).prop_map(|(uid, owners, written)| Ownership {
        uid,
        owners,
        written,
    })
}

pub(crate) fn agent_record() -> impl Strategy<Value = AgentRecord> {
    use AgentPolicy::*;
    let policy = prop::sample::select(vec![Active, Cordoned, Draining, Restarting, Removed]);
    let dead = btree_map(session(), btree_set(word(), 0..3), 0..3);
    let sessions = (
        option::of(session()),
        instance(),
        btree_set(word(), 0..3),
        any::<bool>(),
        dead,
    );
    let place = (text(), word(), word(), labels(), capacity(), text());
    (agent_number(), sessions, policy, place, written()).prop_map(|(number, sessions, policy, place, written)| {
        AgentRecord {
            number,
            session: sessions.0,
            instance: sessions.1,
            clusters: sessions.2,
            unfenceable: sessions.3,
            dead_sessions: sessions.4,
            policy,
            worker_id: place.0.into(),
            region: place.1,
            zone: place.2,
            labels: place.3,
            capacity: place.4,
            software_version: place.5,
            written,
        }
    })
}

pub(crate) fn cluster_meta() -> impl Strategy<Value = ClusterMeta> {
    (text(), any::<u32>(), agent_number(), config(), option::of(written())).prop_map(
        |(cluster, epoch, next_agent, worker, written)| ClusterMeta {
            cluster,
            epoch,
            next_agent,
            worker: Arc::new(worker),
            written,
        },
    )
}

pub(crate) fn leader_record() -> impl Strategy<Value = LeaderRecord> {
    (text(), vec(text(), 0..3), any::<u64>(), text()).prop_map(|(replica, endpoints, beats, software_version)| {
        LeaderRecord {
            replica,
            endpoints,
            beats,
            software_version,
        }
    })
}

pub(crate) fn replica_record() -> impl Strategy<Value = ReplicaRecord> {
    (vec(text(), 0..3), text()).prop_map(|(endpoints, software_version)| ReplicaRecord {
        endpoints,
        software_version,
    })
}
