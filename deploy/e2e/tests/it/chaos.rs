//! Everything that can be killed is killed, at moments that nobody chose, and then everything is counted.

use crate::cluster::Cluster;
use crate::servers::{Broker, Etcd};
use crate::turn;
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_millis(50);
/// Until all tasks run and bring lines again, after any fault.
const RECOVERY: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug)]
enum Fault {
    AgentKilled,
    AgentFrozen,
    LeaderKilled,
    LeaderFrozen,
    EtcdLeaderKilled,
    BrokerKilled,
}

use Fault::{AgentFrozen, AgentKilled, BrokerKilled, EtcdLeaderKilled, LeaderFrozen, LeaderKilled};

/// By turns, so that few kills are of all kinds; agents die most often.
const FAULTS: [Fault; 10] = [
    AgentKilled,
    LeaderKilled,
    AgentFrozen,
    EtcdLeaderKilled,
    BrokerKilled,
    AgentKilled,
    LeaderFrozen,
    AgentKilled,
    AgentFrozen,
    AgentKilled,
];

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(default)
}

/// Numbers that look random, the same ones for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pause(&mut self, most: u64) {
        let end = Instant::now() + Duration::from_millis(self.below(most));
        while Instant::now() < end {
            std::thread::park_timeout(end - Instant::now());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_is_killed() {
    let _turn = turn::alone().await;
    let kills = number("DRAY_TEST_KILLS", 5);
    let connectors = number("DRAY_TEST_CONNECTORS", 12);
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path(), 3);
    let broker = Broker::start(folder.path());
    let mut cluster = Cluster::start_in(folder, &etcd.endpoints(), &broker.bootstrap(), 3, 3).await;
    let traffic = cluster
        .under_load(connectors / 2, connectors - connectors / 2, PACE)
        .await;
    let mut random = Random(number("DRAY_TEST_SEED", std::process::id() as usize) as u64);
    let start = Instant::now();
    for kill in 0..kills {
        let fault = FAULTS[kill % FAULTS.len()];
        let agent = random.below(3) as usize;
        let began = Instant::now();
        match fault {
            AgentKilled => {
                cluster.agents[agent].kill();
                random.pause(4_000);
                cluster.agents[agent].start_again();
            }
            AgentFrozen => {
                cluster.agents[agent].freeze();
                random.pause(12_000);
                cluster.agents[agent].thaw();
            }
            LeaderKilled | LeaderFrozen => {
                let leader = cluster.admin.leader_but(None).await;
                let place = cluster
                    .controls
                    .iter()
                    .position(|control| control.name == leader)
                    .unwrap();
                let control = &mut cluster.controls[place];
                if matches!(fault, LeaderKilled) {
                    control.kill();
                    random.pause(8_000);
                    control.start_again();
                } else {
                    control.freeze();
                    random.pause(12_000);
                    control.thaw();
                }
            }
            EtcdLeaderKilled => {
                let member = etcd.leader().expect("one leads");
                etcd.kill(member);
                random.pause(4_000);
                etcd.up(member);
            }
            BrokerKilled => {
                broker.kill();
                random.pause(4_000);
                broker.start_again();
            }
        }
        cluster.wait(
            &format!("all run again after kill {kill}: {fault:?}"),
            RECOVERY,
            |audit| audit.synced() && audit.running() == 2 * connectors,
        );
        cluster.wait_for_flow(&traffic, RECOVERY);
        let (flow, gap) = traffic.longest_gap(began, Instant::now());
        println!(
            "{:4} s, kill {kill}: {fault:?}; all goes on after {:?}, longest gap {gap:?} ({flow})",
            start.elapsed().as_secs(),
            began.elapsed()
        );
    }
    println!("{kills} kills in {:?}: {}", start.elapsed(), cluster.check(traffic));
}
