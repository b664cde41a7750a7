use super::*;
use crate::wire::fetch::feed::Reset;
use crate::wire::fetch::inbox::Budget;
use dray_connect::sink_batch::TopicPartition;

fn lane(max_wait_ms: Option<i32>) -> Lane {
    let settings = FetchSettings {
        read_committed: false,
        min_bytes: 1,
        max_wait_ms,
        max_bytes: 1 << 20,
        partition_bytes: 1 << 20,
        rack: String::new(),
        preferred_for: Duration::from_secs(300),
    };
    Lane::new(0, 0, Arc::new(settings))
}

fn feed(lane: &Lane) -> Arc<Feed> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    let inbox = Inbox::new(1 << 20, Arc::new(Budget::new(1 << 20)));
    let fetch = (Arc::clone(&lane.settings), Reset::Earliest);
    Arc::new(Feed::new(
        partition,
        Uuid::from_u128(1),
        Some(7),
        fetch,
        Arc::new(inbox),
    ))
}

#[test]
fn a_lane_polls_more_seldom_with_more_partitions_and_when_it_is_silent() {
    let (own, now) = (lane(None), Instant::now());
    assert_eq!(
        [1, 100, 300, 9_000].map(|partitions| own.wait_ms(partitions, false, now)),
        [100, 100, 300, 500]
    );
    // What somebody has configured holds.
    assert_eq!(
        [false, true].map(|silent| lane(Some(50)).wait_ms(1, silent, now)),
        [50, 50]
    );
}

#[test]
fn the_polls_of_silent_lanes_end_together() {
    let (own, now) = (lane(None), Instant::now());
    let mut ends = std::collections::BTreeSet::new();
    for at in (0..10_000).map(|millis| now + Duration::from_millis(millis)) {
        let wait = own.wait_ms(1, true, at);
        assert!((500..5_500).contains(&wait), "{wait}");
        let wait = Duration::from_millis(wait.unsigned_abs().into());
        // Waits are whole milliseconds.
        ends.insert((at + wait - now).as_millis() / 2);
    }
    assert!(ends.len() <= 6, "{ends:?}");
}

/// The broker says where a partition ends once, and a member that gets it from another of the process would wait for that for ever.
#[test]
fn who_comes_in_anothers_place_knows_where_the_partition_ends() {
    let lane = Arc::new(lane(None));
    let mut session = Session::default();
    let first = feed(&lane);
    assert!(lane.admit(&first, 0));
    let wanted = lane.wanted(Instant::now());
    assert_eq!(session.next(&wanted.asked).asked.len(), 1);
    session.answered(1);
    session.ends_at(&key(&first), 9);

    lane.remove(&first);
    let second = feed(&lane);
    assert!(lane.admit(&second, 0));
    let wanted = lane.wanted(Instant::now());
    assert_eq!(session.next(&wanted.asked).asked, [], "the broker knows it");
    assert_eq!(second.end(), None);
    lane.tell_ends(&session, &wanted);
    assert_eq!(second.end(), Some(9));
}
