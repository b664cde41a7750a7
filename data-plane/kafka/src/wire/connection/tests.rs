//! Against a broker of a few lines.

use super::*;
use bytes::BufMut as _;
use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest};
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        idle: Duration::from_secs(600),
        max_frame: 1 << 20,
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
        versions: Versions::from([(ApiKey::FindCoordinator as i16, 0..=3)]),
        lifetime,
    };
    let (connection, task) = Connection::new(opened, limits);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(task);
    (connection, tasks)
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

/// The reader of a socket is woken late while a large answer comes in, and never too late.
#[tokio::test]
async fn large_and_small_answers_come_whole_over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound"))
        .await
        .expect("connected");
    let (mut broker, _) = listener.accept().await.expect("accepted");
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

#[tokio::test(start_paused = true)]
async fn it_is_given_up_before_its_log_in_ends() {
    let (connection, _tasks, _broker) = connected(limits(), Some(Duration::from_secs(100)));
    assert!(connection.is_open());
    tokio::time::advance(Duration::from_secs(84)).await;
    assert!(connection.is_open());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!connection.is_open());
    connection
        .send(frame(1), SOON)
        .expect("what is on its way may still end");
}
