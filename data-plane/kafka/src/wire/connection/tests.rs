//! Against a broker of a few lines.

use super::*;
use crate::wire::dial::Session;
use crate::wire::oauth::Sources;
use crate::wire::sasl::Login;
use bytes::BufMut as _;
use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest, SaslAuthenticateResponse, SaslHandshakeResponse};
use kafka_protocol::protocol::Encodable as _;
use std::collections::BTreeMap;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        idle: Duration::from_secs(600),
        max_frame: 1 << 20,
        gather: None,
    }
}

/// A connection, its task, and the broker's end of it.
fn connected(limits: Limits, lifetime: Option<Duration>) -> (Connection, tokio::task::JoinSet<()>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1000);
    let (connection, tasks) = over(Box::new(ours), limits, lifetime);
    (connection, tasks, theirs)
}

fn over(stream: Box<dyn Stream>, limits: Limits, lifetime: Option<Duration>) -> (Connection, tokio::task::JoinSet<()>) {
    let opened = Opened {
        stream,
        address: "broker:1".to_owned(),
        versions: Versions::from([
            (ApiKey::FindCoordinator as i16, 0..=3),
            (ApiKey::SaslHandshake as i16, 0..=1),
            (ApiKey::SaslAuthenticate as i16, 0..=1),
        ]),
        session: lifetime.map(session),
    };
    let (connection, task) = Connection::new(opened, limits);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(task);
    (connection, tasks)
}

/// Our end of a connection, and the broker's.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound"));
    let (ours, theirs) = tokio::join!(ours, listener.accept());
    (ours.expect("connected"), theirs.expect("accepted").0)
}

/// A log-in with a name and a password that is good for so long from now on.
fn session(lifetime: Duration) -> Session {
    let settings = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "me"),
        ("sasl.password", "p"),
    ];
    let settings: BTreeMap<_, _> = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let login = Login::read(&settings, &Sources::default())
        .expect("settings")
        .expect("a log-in");
    let client = StrBytes::from_static_str("me");
    Session::new(&Arc::new(login), &client, lifetime, Duration::from_secs(10))
}

fn frame(size: usize) -> Frame {
    let client = StrBytes::from_static_str("me");
    let mut frame = Frame::new::<FindCoordinatorRequest>(0, &client).expect("a frame");
    frame.splice(Bytes::from(vec![7; size]));
    frame
}

/// The next request's correlation id and length.
async fn heard(broker: &mut (impl AsyncRead + Unpin)) -> (i32, usize) {
    let length = broker.read_u32().await.expect("a length") as usize;
    let mut request = vec![0; length];
    broker.read_exact(&mut request).await.expect("a request");
    (
        i32::from_be_bytes([request[4], request[5], request[6], request[7]]),
        length,
    )
}

fn answer(correlation: i32, words: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    answer.put_u32(4 + words.len() as u32);
    answer.put_i32(correlation);
    answer.put_slice(words);
    answer
}

#[tokio::test(start_paused = true)]
async fn many_requests_are_on_their_way_and_answers_come_in_order_in_any_pieces() {
    let (connection, _tasks, mut broker) = connected(limits(), None);
    let replies: Vec<Reply> = (0..50_usize)
        .map(|n| connection.send(frame(n * 100), SOON).expect("sent"))
        .collect();
    let mut answers = Vec::new();
    for n in 0..50_usize {
        let (correlation, length) = heard(&mut broker).await;
        assert_eq!(length, 8 + 2 + 2 + n * 100);
        answers.extend(answer(correlation, format!("answer {n}").repeat(n).as_bytes()));
    }
    let writing = async {
        for piece in answers.chunks(777) {
            broker.write_all(piece).await.expect("written");
        }
    };
    let reading = async {
        for (n, reply) in replies.into_iter().enumerate() {
            assert_eq!(
                reply.await.expect("an answer")[4..],
                *format!("answer {n}").repeat(n).as_bytes()
            );
        }
    };
    tokio::join!(writing, reading);
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn answers_to_many_are_read_together_and_to_few_at_once() {
    let gather = Some(Duration::from_millis(10));
    let (connection, _tasks, mut broker) = connected(Limits { gather, ..limits() }, None);
    let replies: Vec<Reply> = (0..50)
        .map(|_| connection.send(frame(1), SOON).expect("sent"))
        .collect();
    let writing = async {
        for _ in 0..50 {
            let (correlation, _) = heard(&mut broker).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            broker.write_all(&answer(correlation, b"")).await.expect("written");
        }
    };
    let reading = async {
        let mut moments = std::collections::BTreeMap::<Instant, usize>::new();
        for reply in replies {
            reply.await.expect("an answer");
            *moments.entry(Instant::now()).or_default() += 1;
        }
        moments
    };
    let ((), moments) = tokio::join!(writing, reading);
    let together: Vec<usize> = moments.into_values().collect();
    assert!(together.len() <= 50 / 10 + 2, "{together:?}");
    let reply = connection.send(frame(1), SOON).expect("sent");
    let asked = Instant::now();
    let (correlation, _) = heard(&mut broker).await;
    broker.write_all(&answer(correlation, b"")).await.expect("written");
    reply.await.expect("an answer");
    assert_eq!(asked.elapsed(), Duration::ZERO, "one alone is not kept waiting");
}

/// The reader of a socket is woken when many answers are there, or after a while when they do not come.
#[tokio::test]
async fn answers_to_many_do_not_wait_for_each_other_for_long() {
    let (gather, (ours, mut broker)) = (Some(Duration::from_millis(10)), sockets().await);
    let (connection, _tasks) = over(Box::new(ours), Limits { gather, ..limits() }, None);
    let replies: Vec<Reply> = (0..50)
        .map(|_| connection.send(frame(1), SOON).expect("sent"))
        .collect();
    let mut replies = replies.into_iter();
    for answered in [1, 3, 20, 2, 20, 4] {
        let replies: Vec<Reply> = replies.by_ref().take(answered).collect();
        for _ in 0..answered {
            let (correlation, _) = heard(&mut broker).await;
            broker.write_all(&answer(correlation, &[7; 40])).await.expect("written");
        }
        for reply in replies {
            let answer = tokio::time::timeout(SOON / 2, reply).await.expect("in time");
            assert_eq!(answer.expect("an answer")[4..], [7; 40]);
        }
    }
}

/// The reader of a socket is woken late while a large answer comes in, and never too late.
#[tokio::test]
async fn large_and_small_answers_come_whole_over_a_socket() {
    let (ours, mut broker) = sockets().await;
    let (connection, _tasks) = over(Box::new(ours), limits(), None);
    let sizes = [1_000_000, 3, 300_000, 256 << 10, (64 << 10) + 1, 0, 900_000, 70_000, 1];
    let replies = sizes.map(|_| connection.send(frame(1), SOON).expect("sent"));
    let writing = async {
        for size in sizes {
            let (correlation, _) = heard(&mut broker).await;
            for piece in answer(correlation, &vec![7; size]).chunks(10_001) {
                broker.write_all(piece).await.expect("written");
                tokio::task::yield_now().await;
            }
        }
    };
    let reading = async {
        for (reply, size) in replies.into_iter().zip(sizes) {
            assert_eq!(reply.await.expect("an answer")[4..], vec![7; size]);
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_the_connection_breaks() {
    for cut in 0..3 {
        let (connection, mut tasks, mut broker) = connected(limits(), None);
        let first = connection.send(frame(10), SOON).expect("sent");
        let second = connection.send(frame(10), SOON).expect("sent");
        let (correlation, _) = heard(&mut broker).await;
        let whole = answer(correlation, b"yes");
        match cut {
            // Closed, cut in the middle of an answer, and an answer to another request.
            0 => drop(broker),
            1 => {
                broker.write_all(&whole[..9]).await.expect("written");
                drop(broker);
            }
            _ => broker
                .write_all(&answer(correlation + 1, b"yes"))
                .await
                .expect("written"),
        }
        for reply in [first, second] {
            let error = reply.await.expect_err("broken");
            assert!(error.is_retriable(), "{error}");
        }
        tasks.join_next().await.expect("a task").expect("ended");
        assert!(!connection.is_open());
        let error = connection.send(frame(1), SOON).expect_err("closed");
        assert!(error.is_retriable(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_ends_the_connection_for_all() {
    let (connection, _tasks, _broker) = connected(limits(), None);
    let began = Instant::now();
    let first = connection.send(frame(10), Duration::from_secs(30)).expect("sent");
    let second = connection.send(frame(10), Duration::from_secs(60)).expect("sent");
    assert_eq!(first.await.expect_err("late").code, "TIMED_OUT");
    assert_eq!(began.elapsed().as_secs(), 30);
    second.await.expect_err("the connection is gone");
}

#[tokio::test(start_paused = true)]
async fn who_is_held_up_waits_as_much_longer() {
    let (connection, _tasks, mut broker) = connected(limits(), None);
    let began = Instant::now();
    let first = connection.send(frame(10), Duration::from_secs(30)).expect("sent");
    let second = connection.send(frame(10), Duration::from_secs(30)).expect("sent");
    let (correlation, _) = heard(&mut broker).await;
    heard(&mut broker).await;
    broker.write_all(&answer(correlation, b"")).await.expect("written");
    first.await.expect("an answer");
    connection.held_up(Duration::from_secs(40));
    assert_eq!(second.await.expect_err("late").code, "TIMED_OUT");
    assert_eq!(began.elapsed().as_secs(), 70);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_refused() {
    for length in [-1, 3, (1 << 20) + 1] {
        let (connection, _tasks, mut broker) = connected(limits(), None);
        let reply = connection.send(frame(10), SOON).expect("sent");
        broker.write_i32(length).await.expect("written");
        let error = reply.await.expect_err("refused");
        assert!(error.to_string().contains(&length.to_string()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_asks_and_when_nobody_is_left_to_ask() {
    let (connection, mut tasks, _broker) = connected(limits(), None);
    let began = Instant::now();
    tasks.join_next().await.expect("a task").expect("ended");
    assert_eq!(began.elapsed(), limits().idle);
    assert!(!connection.is_open());

    let (connection, mut tasks, mut broker) = connected(limits(), None);
    let reply = connection.send(frame(10), SOON).expect("sent");
    drop(connection);
    let (correlation, _) = heard(&mut broker).await;
    broker.write_all(&answer(correlation, b"still")).await.expect("written");
    assert_eq!(reply.await.expect("an answer")[4..], *b"still");
    tasks.join_next().await.expect("a task").expect("ended");
}

/// The next request's API and correlation id.
async fn asked(broker: &mut DuplexStream) -> (i16, i32) {
    let length = broker.read_u32().await.expect("a length") as usize;
    let mut request = vec![0; length];
    broker.read_exact(&mut request).await.expect("a request");
    let mut request = request.as_slice();
    let (api, _) = (request.get_i16(), request.get_i16());
    (api, request.get_i32())
}

async fn answer_handshake(broker: &mut DuplexStream, correlation: i32) {
    let mut words = BytesMut::new();
    SaslHandshakeResponse::default().encode(&mut words, 1).expect("encodes");
    broker.write_all(&answer(correlation, &words)).await.expect("written");
}

/// Answers what comes behind a handshake: how long the log-in is good, or that it is refused.
async fn answer_words(broker: &mut DuplexStream, lifetime: Option<Duration>) {
    let (api, correlation) = asked(broker).await;
    assert_eq!(api, ApiKey::SaslAuthenticate as i16);
    let said = match lifetime {
        Some(lifetime) => SaslAuthenticateResponse::default().with_session_lifetime_ms(lifetime.as_millis() as i64),
        None => SaslAuthenticateResponse::default().with_error_code(58),
    };
    let mut words = BytesMut::new();
    said.encode(&mut words, 1).expect("encodes");
    broker.write_all(&answer(correlation, &words)).await.expect("written");
}

async fn take_log_in(broker: &mut DuplexStream, lifetime: Option<Duration>) {
    let (api, correlation) = asked(broker).await;
    assert_eq!(api, ApiKey::SaslHandshake as i16);
    answer_handshake(broker, correlation).await;
    answer_words(broker, lifetime).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_in_is_renewed_between_requests_and_nothing_is_lost() {
    let lifetime = Duration::from_secs(100);
    let (connection, _tasks, mut broker) = connected(limits(), Some(lifetime));
    let find = ApiKey::FindCoordinator as i16;
    for round in 0..3 {
        tokio::time::advance(Duration::from_secs(84)).await;
        let early = connection.send(frame(10), SOON).expect("sent");
        let (api, correlation) = asked(&mut broker).await;
        assert_eq!(api, find, "round {round}: too early for a log-in");
        broker.write_all(&answer(correlation, b"yes")).await.expect("written");
        early.await.expect("an answer");

        let slow = connection.send(frame(10), SOON).expect("sent");
        let (_, correlation) = asked(&mut broker).await;
        tokio::time::advance(Duration::from_secs(12)).await;
        let behind = [(); 3].map(|()| connection.send(frame(10), SOON).expect("sent"));
        // The broker answers in order, and what was on its way takes longer than a log-in may.
        let (api, handshake) = asked(&mut broker).await;
        assert_eq!(
            api,
            ApiKey::SaslHandshake as i16,
            "round {round}: before what came after"
        );
        tokio::time::sleep(Duration::from_secs(40)).await;
        broker.write_all(&answer(correlation, b"slow")).await.expect("written");
        assert_eq!(slow.await.expect("an answer")[4..], *b"slow");
        answer_handshake(&mut broker, handshake).await;
        answer_words(&mut broker, Some(lifetime)).await;
        for number in 0..3_u8 {
            let (api, correlation) = asked(&mut broker).await;
            assert_eq!(api, find);
            broker
                .write_all(&answer(correlation, &[number]))
                .await
                .expect("written");
        }
        for (number, reply) in (0..).zip(behind) {
            assert_eq!(reply.await.expect("an answer")[4..], [number]);
        }
    }
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_used_logs_in_late_and_one_that_is_refused_ends() {
    let (connection, mut tasks, mut broker) = connected(limits(), Some(Duration::from_secs(100)));
    tokio::time::advance(Duration::from_secs(500)).await;
    let reply = connection.send(frame(10), SOON).expect("sent");
    take_log_in(&mut broker, Some(Duration::from_secs(10))).await;
    let (_, correlation) = asked(&mut broker).await;
    broker.write_all(&answer(correlation, b"yes")).await.expect("written");
    reply.await.expect("an answer");

    tokio::time::advance(Duration::from_secs(10)).await;
    let first = connection.send(frame(10), SOON).expect("sent");
    let second = connection.send(frame(10), SOON).expect("sent");
    take_log_in(&mut broker, None).await;
    for reply in [first, second] {
        let error = reply.await.expect_err("refused");
        let text = error.to_string();
        assert!(
            error.is_retriable() && text.contains("PLAIN") && text.contains("broker:1"),
            "{text}"
        );
    }
    tasks.join_next().await.expect("a task").expect("ended");
    assert!(!connection.is_open());
    assert_eq!(
        broker.read(&mut [0; 1]).await.expect("closed"),
        0,
        "nothing else was sent"
    );
}
