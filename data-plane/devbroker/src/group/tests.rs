//! The machine under a clock that the test sets.

use super::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn join(member_id: &str, new_member_id: &str) -> Join {
    Join {
        member_id: text(member_id),
        new_member_id: text(new_member_id),
        requires_member_id: false,
        instance_id: None,
        client_id: text("client"),
        client_host: text("/127.0.0.1"),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: text("consumer"),
        protocols: vec![
            (text("range"), Bytes::from_static(b"r")),
            (text("sticky"), Bytes::from_static(b"s")),
        ],
    }
}

/// A group with the clock next to it.
struct Bench {
    group: Group,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            group: Group::default(),
            now: Instant::now(),
        }
    }

    fn join(&mut self, join: Join) -> oneshot::Receiver<Joined> {
        let (reply, joined) = oneshot::channel();
        self.group.join(join, self.now, reply);
        joined
    }

    fn sync(&mut self, id: &str, generation: i32, shares: &[(&str, &'static str)]) -> oneshot::Receiver<Synced> {
        let (reply, synced) = oneshot::channel();
        let share = |(id, bytes): &(&str, &'static str)| (text(id), Bytes::from_static(bytes.as_bytes()));
        let sync = Sync {
            member_id: text(id),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: shares.iter().map(share).collect(),
        };
        self.group.sync(sync, self.now, reply);
        synced
    }

    fn beat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(&text(id), None, generation, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    /// Members a (leader) and b, stable in generation 2.
    fn two() -> Self {
        let mut bench = Self::new();
        let mut first = bench.join(join("", "a"));
        assert_eq!(first.try_recv().unwrap().generation, 1);
        let mut second = bench.join(join("", "b"));
        assert!(second.try_recv().is_err(), "b must wait for a");
        let mut again = bench.join(join("a", ""));
        assert_eq!(again.try_recv().unwrap().members.len(), 2);
        assert_eq!(second.try_recv().unwrap().leader, text("a"));
        let mut waiting = bench.sync("b", 2, &[]);
        assert!(waiting.try_recv().is_err(), "b must wait for the leader");
        let mut leader = bench.sync("a", 2, &[("a", "A"), ("b", "B")]);
        assert_eq!(leader.try_recv().unwrap().unwrap().2, "A");
        assert_eq!(waiting.try_recv().unwrap().unwrap().2, "B");
        assert_eq!(bench.group.state(), State::Stable);
        bench
    }
}

#[tokio::test]
async fn a_new_member_must_come_back_with_its_id() {
    let mut bench = Bench::new();
    let asked = Join {
        requires_member_id: true,
        ..join("", "a")
    };
    let joined = bench.join(asked.clone()).try_recv().unwrap();
    assert_eq!(
        (joined.error, joined.member_id),
        (Some(ResponseError::MemberIdRequired), text("a"))
    );
    assert_eq!(bench.group.state(), State::Empty);
    let joined = bench
        .join(Join {
            member_id: text("a"),
            ..asked.clone()
        })
        .try_recv()
        .unwrap();
    assert_eq!((joined.error, joined.generation), (None, 1));
    assert_eq!(bench.group.state(), State::CompletingRebalance);
    let unknown = bench.join(join("x", "")).try_recv().unwrap();
    assert_eq!(unknown.error, Some(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn an_id_that_is_not_used_is_forgotten() {
    let mut bench = Bench::new();
    drop(bench.join(Join {
        requires_member_id: true,
        ..join("", "a")
    }));
    bench.pass(Duration::from_secs(11));
    let late = bench.join(join("a", "")).try_recv().unwrap();
    assert_eq!(late.error, Some(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn two_members_share_and_generations_fence() {
    let mut bench = Bench::two();
    assert_eq!(bench.beat("a", 2), Ok(()));
    assert_eq!(bench.beat("a", 1), Err(ResponseError::IllegalGeneration));
    assert_eq!(bench.beat("x", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(
        bench.group.may_commit(&text("a"), None, 1, bench.now),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        bench.group.may_commit(&text(""), None, -1, bench.now),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(bench.group.may_commit(&text("b"), None, 2, bench.now), Ok(()));
    assert_eq!(bench.group.delete(), Err(ResponseError::NonEmptyGroup));
}

#[tokio::test]
async fn leaving_gives_the_rest_to_the_other() {
    let mut bench = Bench::two();
    assert_eq!(bench.group.leave(&text("a"), None, bench.now), Ok(()));
    assert_eq!(bench.beat("b", 2), Err(ResponseError::RebalanceInProgress));
    let joined = bench.join(join("b", "")).try_recv().unwrap();
    assert_eq!(
        (joined.leader, joined.members.len(), joined.generation),
        (text("b"), 1, 3)
    );
    assert_eq!(bench.group.leave(&text("b"), None, bench.now), Ok(()));
    assert_eq!(bench.group.state(), State::Empty);
    assert_eq!(bench.group.delete(), Ok(()));
    assert_eq!(bench.group.state(), State::Dead);
}

#[tokio::test]
async fn a_silent_member_is_removed_at_the_end_of_its_session() {
    let mut bench = Bench::two();
    bench.pass(Duration::from_secs(6));
    assert_eq!(bench.beat("a", 2), Ok(()));
    assert_eq!(bench.group.next_deadline(), Some(bench.now + Duration::from_secs(4)));
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.beat("b", 2), Err(ResponseError::UnknownMemberId));
    assert_eq!(bench.beat("a", 2), Err(ResponseError::RebalanceInProgress));
}

#[tokio::test]
async fn a_rebalance_goes_on_without_those_who_do_not_come() {
    let mut bench = Bench::two();
    let mut third = bench.join(join("", "c"));
    for _ in 0..6 {
        // Both live, but only c joins.
        assert!(third.try_recv().is_err());
        for id in ["a", "b"] {
            assert_eq!(bench.beat(id, 2), Err(ResponseError::RebalanceInProgress));
        }
        bench.pass(Duration::from_secs(10) - Duration::from_millis(1));
    }
    bench.pass(Duration::from_secs(1));
    let joined = third.try_recv().unwrap();
    assert_eq!(
        (joined.leader, joined.members.len(), joined.generation),
        (text("c"), 1, 3)
    );
}

#[tokio::test]
async fn a_leader_that_never_assigns_is_removed() {
    let mut bench = Bench::two();
    let mut second = bench.join(join("b", ""));
    assert_eq!(
        second.try_recv().unwrap().generation,
        2,
        "nothing changed, so the same generation again"
    );
    let mut first = bench.join(join("a", ""));
    assert!(first.try_recv().is_err(), "the leader asked for a new assignment");
    drop(bench.join(join("b", "")));
    assert_eq!(first.try_recv().unwrap().generation, 3);
    let mut waiting = bench.sync("b", 3, &[]);
    bench.pass(Duration::from_secs(11));
    assert_eq!(waiting.try_recv().unwrap(), Err(ResponseError::RebalanceInProgress));
    assert_eq!(bench.beat("a", 3), Err(ResponseError::UnknownMemberId));
}

#[tokio::test]
async fn protocols_must_agree_and_the_best_liked_wins() {
    let mut bench = Bench::new();
    drop(bench.join(join("", "a")));
    let other_type = Join {
        protocol_type: text("connect"),
        ..join("", "b")
    };
    assert_eq!(
        bench.join(other_type).try_recv().unwrap().error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
    let unknown = Join {
        protocols: vec![(text("odd"), Bytes::new())],
        ..join("", "b")
    };
    assert_eq!(
        bench.join(unknown).try_recv().unwrap().error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
    let sticky = Join {
        protocols: vec![(text("sticky"), Bytes::new())],
        ..join("", "b")
    };
    drop(bench.join(sticky));
    let joined = bench.join(join("a", "")).try_recv().unwrap();
    assert_eq!(joined.protocol, Some(text("sticky")));
}

#[tokio::test]
async fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let mut bench = Bench::new();
    let stay = |id: &str| Join {
        instance_id: Some(text("i")),
        ..join("", id)
    };
    assert_eq!(bench.join(stay("a1")).try_recv().unwrap().generation, 1);
    drop(bench.sync("a1", 1, &[("a1", "A")]));
    let joined = bench.join(stay("a2")).try_recv().unwrap();
    assert_eq!((joined.generation, joined.member_id), (1, text("a2")));
    assert_eq!(bench.sync("a2", 1, &[]).try_recv().unwrap().unwrap().2, "A");
    let instance = text("i");
    let beat = bench.group.heartbeat(&text("a1"), Some(&instance), 1, bench.now);
    assert_eq!(beat, Err(ResponseError::FencedInstanceId));
    assert_eq!(bench.group.leave(&text(""), Some(&instance), bench.now), Ok(()));
    assert_eq!(bench.group.state(), State::Empty);
}
