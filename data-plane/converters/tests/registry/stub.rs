//! A server that answers as it is told, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An answer: its status and body; none closes the connection without a word.
pub(crate) type Answer = Option<(u16, &'static str)>;

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

pub(crate) struct Stub {
    address: SocketAddr,
    is_tls: bool,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Gives these answers one after the other, and the last one from then on.
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        Self::start_with(answers, None)
    }

    pub(crate) fn start_with(answers: Vec<Answer>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, is_tls) = (Arc::clone(&asked), tls.is_some());
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                let mut connection: Box<dyn Connection> = match &tls {
                    None => Box::new(stream),
                    Some(config) => {
                        let server = ServerConnection::new(Arc::clone(config)).unwrap();
                        Box::new(StreamOwned::new(server, stream))
                    }
                };
                let Some(request) = request(&mut connection) else {
                    return;
                };
                seen.lock().unwrap().push(request);
                let answer = answers.get(number).or(answers.last()).copied().flatten();
                if let Some((status, body)) = answer {
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                    connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
                    connection.flush().unwrap();
                }
            }
        });
        Self {
            address,
            is_tls,
            asked,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        if self.is_tls {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// What it was asked: request lines, headers and bodies.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        // A connection without a request ends the thread.
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One request; none when the other side has none.
fn request(connection: &mut dyn Connection) -> Option<String> {
    let mut reader = BufReader::new(connection);
    let (mut out, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        out.push_str(line);
        out.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    out.push_str(&String::from_utf8_lossy(&body));
    Some(out)
}
