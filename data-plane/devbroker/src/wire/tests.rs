//! Requests made after the shapes: the codec must read each to its last byte, and none with a false claim may reach it.

use super::*;
use crate::{Config, DevBroker, versions};
use bytes::Buf as _;
use kafka_protocol::messages::RequestKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Writes a request with two elements in each array; the array of number `hostile` claims as many as can be said.
struct Writer {
    out: Vec<u8>,
    version: i16,
    compact: bool,
    arrays: usize,
    hostile: Option<usize>,
}

impl Writer {
    fn fields(&mut self, fields: Fields) {
        for (first, last, kind) in fields {
            if (*first..=*last).contains(&self.version) {
                self.field(*kind);
            }
        }
        if self.compact {
            self.out.push(0);
        }
    }

    fn field(&mut self, kind: Kind) {
        match kind {
            Fixed(bytes) => self.out.extend(vec![0; bytes]),
            Text if self.compact => self.out.extend([2, b'a']),
            Text => self.out.extend([0, 1, b'a']),
            Bytes if self.compact => self.out.extend([2, b'a']),
            Bytes => self.out.extend([0, 0, 0, 1, b'a']),
            Ints | Texts | Structs(_) => {
                let number = self.arrays;
                self.arrays += 1;
                match (self.hostile == Some(number), self.compact) {
                    (true, true) => self.out.extend([0x80, 0x80, 0x80, 0x80, 8]),
                    (true, false) => self.out.extend([0x7f, 0xff, 0xff, 0xff]),
                    (false, true) => self.out.push(3),
                    (false, false) => self.out.extend([0, 0, 0, 2]),
                }
                for _ in 0..2 {
                    match kind {
                        Ints => self.out.extend([0; 4]),
                        Texts => self.field(Text),
                        Structs(fields) => self.fields(fields),
                        Fixed(_) | Text | Bytes => unreachable!("not an array"),
                    }
                }
            }
        }
    }
}

/// The body, and how many arrays it has.
fn body(api: ApiKey, version: i16, hostile: Option<usize>) -> (Vec<u8>, usize) {
    let (_, compact, fields) = REQUESTS.iter().find(|(known, ..)| *known == api).expect("a shape");
    let mut writer = Writer {
        out: Vec::new(),
        version,
        compact: version >= *compact,
        arrays: 0,
        hostile,
    };
    writer.fields(fields);
    (writer.out, writer.arrays)
}

fn all_versions() -> impl Iterator<Item = (ApiKey, i16)> {
    versions::SERVED
        .iter()
        .flat_map(|(api, min, max)| (*min..=*max).map(|version| (*api, version)))
        .filter(|(api, version)| versions::is_served(*api, *version))
}

#[test]
fn every_shape_is_the_codecs() {
    for (api, version) in all_versions() {
        let (body, _) = body(api, version, None);
        assert_eq!(check_request(api, version, &body), Ok(()), "{api:?} {version}");
        let mut rest = bytes::Bytes::from(body.clone());
        RequestKind::decode(api, &mut rest, version).unwrap_or_else(|error| panic!("{api:?} {version}: {error}"));
        assert_eq!(rest.remaining(), 0, "{api:?} {version}: the codec reads another shape");
        for end in 0..body.len() {
            assert!(
                check_request(api, version, &body[..end]).is_err(),
                "{api:?} {version} cut at {end}"
            );
        }
    }
}

#[test]
fn many_empty_elements_are_refused() {
    let mut frame = (i32::try_from(MAX_ELEMENTS).unwrap() + 1).to_be_bytes().to_vec();
    frame.resize(frame.len() + 2 * (MAX_ELEMENTS + 1), 0);
    assert_eq!(check_request(ApiKey::DeleteGroups, 0, &frame), Err(Bad::Elements));
}

#[tokio::test]
async fn a_claim_that_the_frame_does_not_keep_closes_its_connection_only() {
    let broker = DevBroker::start(Config::default()).await.unwrap();
    let mut refused = 0;
    for (api, version) in all_versions() {
        let (_, arrays) = body(api, version, None);
        for hostile in 0..arrays {
            let (body, _) = body(api, version, Some(hostile));
            assert!(
                matches!(check_request(api, version, &body), Err(Bad::Claim { .. })),
                "{api:?} {version}, array {hostile}"
            );
            let mut frame = [(api as i16).to_be_bytes(), version.to_be_bytes()].concat();
            frame.extend([0, 0, 0, 1, 0xff, 0xff]);
            if api.request_header_version(version) >= 2 {
                frame.push(0);
            }
            frame.extend(body);
            let mut stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
            stream.write_u32(u32::try_from(frame.len()).unwrap()).await.unwrap();
            stream.write_all(&frame).await.unwrap();
            let mut answer = Vec::new();
            // A reset counts as closed too.
            tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer))
                .await
                .expect("closed in time")
                .ok();
            assert_eq!(answer, [0_u8; 0], "{api:?} {version}, array {hostile}");
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused} only");
    let mut stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
    stream
        .write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff])
        .await
        .unwrap();
    assert!(stream.read_u32().await.unwrap() > 0, "the broker lives");
    broker.shutdown().await;
}
