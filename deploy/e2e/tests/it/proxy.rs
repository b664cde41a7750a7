//! Something between a client and a server on loopback: it passes bytes on, and may change some of them on their way back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Bytes that a server says, and what its clients hear instead: of the same length.
pub(crate) type Instead = (&'static [u8], &'static [u8]);

/// Listens for clients of a server; ends with the process of the test.
pub(crate) fn start(server: &str, instead: Instead) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(upstream) = TcpStream::connect(&server) else {
                continue;
            };
            let (up, down) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || pass(up, upstream, None));
            thread::spawn(move || pass(down, client, Some(instead)));
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, instead: Option<Instead>) {
    let mut bytes = [0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let said = &mut bytes[..count];
        if let Some((old, new)) = instead {
            for at in 0..said.len().saturating_sub(old.len() - 1) {
                if said[at..].starts_with(old) {
                    said[at..at + new.len()].copy_from_slice(new);
                }
            }
        }
        if to.write_all(said).is_err() {
            break;
        }
    }
    // The other direction learns of it too.
    drop(to.shutdown(Shutdown::Both));
}
