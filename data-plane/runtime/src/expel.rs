//! What a dead session has left behind in a sink's consumer group: its members leave on their behalf, so that their partitions
//! go to living members at once and not after a session time-out.

use crate::guard::trace;
use dray_kafka::Result;
use dray_kafka::port::{ClientConfig, GroupMember, KafkaPort};
use std::time::Duration;
use tokio::time::Instant;

/// How long one request to the coordinator may take; then it is made again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at the group.
const PAUSE: Duration = Duration::from_secs(1);
/// A session without a member for so long has none that is about to join: a live one rejoins within 5 to 6 s.
const QUIET: Duration = Duration::from_secs(10);
/// A classic group that would be empty is not left before its new member is there, but not longer than this.
const JOINING: Duration = Duration::from_secs(5);
/// Until then the new member is looked for this often.
const JOINING_PAUSE: Duration = Duration::from_millis(50);
/// The end, whatever happens: a session that still has members after this long is alive and asks before it rejoins.
const LIMIT: Duration = Duration::from_secs(300);

/// The end of the `client.id` of all group members of a session.
#[must_use]
pub fn marker(session: dray_model::AgentSession) -> String {
    format!(".{}-{}", session.agent, session.session)
}

/// Before a successor joins: members of a dead session leave whose group has the new protocol (KIP-848). There a member that
/// joins afterwards gets their partitions with its first heartbeat, and one that is there already with its next, in 5 s.
///
/// # Errors
/// When the coordinator cannot be asked, or refuses.
pub async fn before_joining(port: &dyn KafkaPort, config: &ClientConfig, group: &str, dead: &str) -> Result<()> {
    let members = port.group_members(config, group, REQUEST_TIMEOUT).await?;
    let members: Vec<GroupMember> = of(&members, dead).filter(|member| !member.classic).cloned().collect();
    leave(port, config, group, dead, &members).await
}

/// Has all members of a dead session leave until it has had none for 10 s: a process that was only paused may join again before
/// it knows that it was declared dead. To be started beside the successor, whose `client.id` ends with `own`: members of a
/// classic group leave once it has joined, because a broker makes an empty group wait for 3 s before it assigns anything.
pub async fn expel(port: &dyn KafkaPort, config: &ClientConfig, group: &str, dead: &str, own: &str) {
    let start = Instant::now();
    let mut last_seen = start;
    while last_seen.elapsed() < QUIET {
        if start.elapsed() > LIMIT {
            tracing::error!(
                group,
                dead,
                "members of a dead session keep joining the group; it is left to them"
            );
            return;
        }
        let pause = match round(port, config, group, dead, own, start.elapsed() < JOINING).await {
            Ok(Round::None) => PAUSE,
            Ok(Round::Left) => {
                last_seen = Instant::now();
                PAUSE
            }
            Ok(Round::Wait) => {
                last_seen = Instant::now();
                JOINING_PAUSE
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!(group, dead, error = %trace(&error), "a dead session's group members cannot be looked for yet");
                last_seen = Instant::now();
                PAUSE
            }
            Err(error) => {
                tracing::warn!(group, dead, error = %trace(&error),
                    "a dead session's group members cannot leave on their behalf; the group's session time-out ends them");
                return;
            }
        };
        tokio::time::sleep(pause).await;
    }
}

enum Round {
    /// The dead session has no member.
    None,
    /// Its members have left.
    Left,
    /// They are left in the group until there is another member.
    Wait,
}

async fn round(
    port: &dyn KafkaPort,
    config: &ClientConfig,
    group: &str,
    dead: &str,
    own: &str,
    may_wait: bool,
) -> Result<Round> {
    let members = port.group_members(config, group, REQUEST_TIMEOUT).await?;
    let gone: Vec<GroupMember> = of(&members, dead).cloned().collect();
    if gone.is_empty() {
        return Ok(Round::None);
    }
    if may_wait && gone.iter().any(|member| member.classic) && of(&members, own).next().is_none() {
        return Ok(Round::Wait);
    }
    leave(port, config, group, dead, &gone).await?;
    Ok(Round::Left)
}

fn of<'a>(members: &'a [GroupMember], marker: &str) -> impl Iterator<Item = &'a GroupMember> {
    let marker = marker.to_owned();
    members.iter().filter(move |member| member.client_id.ends_with(&marker))
}

async fn leave(
    port: &dyn KafkaPort,
    config: &ClientConfig,
    group: &str,
    dead: &str,
    members: &[GroupMember],
) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    tracing::info!(
        group,
        dead,
        members = members.len(),
        "members of a dead session leave the group on their behalf"
    );
    port.leave_on_behalf(config, group, members, REQUEST_TIMEOUT).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_kafka::fake::FakeKafka;
    use dray_kafka::port::ConsumerEvent;

    fn config(client: &str) -> ClientConfig {
        let pairs = [("group.id", "g"), ("client.id", client)];
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_session_marks_its_members() {
        let session = dray_model::AgentSession {
            agent: 3.try_into().unwrap(),
            session: std::num::NonZeroU64::new(16_777_218).unwrap().into(),
        };
        assert_eq!(marker(session), ".3-16777218");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_sessions_member_leaves_as_often_as_it_comes_back() {
        let kafka = FakeKafka::new();
        kafka.create_topic("t", 1);
        let topics = ["t".to_owned()];
        let mut zombie = kafka.consumer(&config("c-0.1-7"), &topics, 1 << 20).unwrap();
        assert!(matches!(zombie.event().await, ConsumerEvent::Assigned(_)));
        let start = Instant::now();
        let client = config("");
        let expelled = expel(&kafka, &client, "g", ".1-7", ".2-9");
        let watch = async {
            for _ in 0..3 {
                assert!(matches!(zombie.event().await, ConsumerEvent::Lost(_)));
                tokio::time::sleep(Duration::from_secs(6)).await;
                kafka.assign("g");
                assert!(matches!(zombie.event().await, ConsumerEvent::Assigned(_)));
            }
            assert!(matches!(zombie.event().await, ConsumerEvent::Lost(_)));
            start.elapsed()
        };
        let both = tokio::time::timeout(LIMIT, async { tokio::join!(expelled, watch) });
        let ((), last) = both.await.expect("it is made to leave each time");
        assert!(start.elapsed() >= last + QUIET, "{:?} after {last:?}", start.elapsed());
        assert!(start.elapsed() < last + QUIET + PAUSE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn others_stay() {
        let kafka = FakeKafka::new();
        kafka.create_topic("t", 1);
        // The same agent in another session, and an agent whose number ends alike.
        for other in ["c-0.1-77", "c-0.11-7", "c-0"] {
            let mut member = kafka.consumer(&config(other), &["t".to_owned()], 1 << 20).unwrap();
            assert!(matches!(member.event().await, ConsumerEvent::Assigned(_)));
            before_joining(&kafka, &config(""), "g", ".1-7").await.unwrap();
            expel(&kafka, &config(""), "g", ".1-7", ".2-9").await;
            assert_eq!(
                kafka.group_members(&config(""), "g", PAUSE).await.unwrap().len(),
                1,
                "{other}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_new_protocol_is_left_before_joining() {
        let kafka = FakeKafka::new();
        let _zombie = kafka.consumer(&config("c-0.1-7"), &[], 1 << 20).unwrap();
        before_joining(&kafka, &config(""), "g", ".1-7").await.unwrap();
        assert!(kafka.group_members(&config(""), "g", PAUSE).await.unwrap().is_empty());
    }
}
