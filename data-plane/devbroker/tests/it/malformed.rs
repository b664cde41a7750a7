//! Bytes that are no request close their own connection, and only that.

use dray_devbroker::{Config, DevBroker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::DEADLINE;

/// An ApiVersions request, version 0, without a client id.
const API_VERSIONS_0: &[u8] = &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

async fn answer(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).await.unwrap();
    let length = tokio::time::timeout(DEADLINE, stream.read_u32())
        .await
        .unwrap()
        .unwrap();
    let mut body = vec![0; usize::try_from(length).unwrap()];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut body))
        .await
        .unwrap()
        .unwrap();
    body
}

async fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset counts as closed too: the broker may close with bytes of ours unread.
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest))
        .await
        .is_ok()
        && rest.is_empty()
}

#[tokio::test]
async fn bad_frames_close_their_connection_only() {
    let broker = DevBroker::start(Config::default()).await.unwrap();
    let servers = broker.bootstrap_servers();
    let mut good = TcpStream::connect(&servers).await.unwrap();
    let bad: &[&[u8]] = &[
        &[0x7f, 0xff, 0xff, 0xff, 0, 0],                          // longer than the limit
        &[0xff, 0xff, 0xff, 0xff],                                // a negative length
        &[0, 0, 0, 2, 0, 18],                                     // too short for a header
        &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 7, 0xff, 0xff], // no such API
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 7, 0xff, 0xff],      // a version that is not served
        &[0, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0, 0], // a body that ends too early
        &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0x7f, 0xff],      // a string longer than the frame
    ];
    for bytes in bad {
        let mut stream = TcpStream::connect(&servers).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(is_closed(stream).await, "{bytes:?}");
    }
    // A frame of which only a part comes: the broker waits for the rest and sees the end instead.
    let mut cut = TcpStream::connect(&servers).await.unwrap();
    cut.write_all(&API_VERSIONS_0[..8]).await.unwrap();
    cut.shutdown().await.unwrap();
    assert!(is_closed(cut).await);

    let body = answer(&mut good, API_VERSIONS_0).await;
    assert_eq!(body[..6], [0, 0, 0, 7, 0, 0]);
    broker.shutdown().await;
}

#[tokio::test]
async fn api_versions_of_a_newer_client_is_answered_in_version_0() {
    let broker = DevBroker::start(Config::default()).await.unwrap();
    let mut stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
    let mut request = API_VERSIONS_0.to_vec();
    request[7] = 99;
    let body = answer(&mut stream, &request).await;
    assert_eq!(body[..6], [0, 0, 0, 7, 0, 35]);
    broker.shutdown().await;
}
