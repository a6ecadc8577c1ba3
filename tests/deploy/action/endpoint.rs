//! An HTTP server that plays what GitHub's own would not be asked to: failures in a row, a body that takes its time, files.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// One answer.
#[derive(Clone)]
pub(super) enum Reply {
    Body(u16, Vec<u8>),
    /// The head at once; the body when somebody asks the next time.
    Slow(Vec<u8>),
}

impl Reply {
    /// A token as GitHub gives it.
    pub(super) fn token(token: &str) -> Self {
        Self::Body(200, format!(r#"{{"value":"{token}"}}"#).into_bytes())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Body(status, b"{}".to_vec())
    }
}

/// Answers in order; the last answer stands for all that follow.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    pub(super) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        // Ends with the test process: it holds nothing but its socket.
        thread::spawn(move || {
            let mut waiting: Vec<mpsc::Sender<()>> = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let nth = counted.fetch_add(1, Ordering::SeqCst);
                // Whoever waits for a slow body has it now.
                for slow in waiting.drain(..) {
                    let _ = slow.send(());
                }
                let (go_on, go) = mpsc::channel();
                waiting.push(go_on);
                let reply = replies[nth.min(replies.len() - 1)].clone();
                thread::spawn(move || answer(stream, reply, &go));
            }
        });
        Self { address, asked }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A client that has left is no failure of this side.
fn answer(mut stream: TcpStream, reply: Reply, go: &mpsc::Receiver<()>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body, is_slow) = match reply {
        Reply::Body(status, body) => (status, body, false),
        Reply::Slow(body) => (200, body, true),
    };
    let kind = "content-type: application/json\r\nconnection: close\r\n";
    let head = format!("HTTP/1.1 {status} Scripted\r\n{kind}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    if is_slow {
        let _ = go.recv();
    }
    let _ = stream.write_all(&body);
}
