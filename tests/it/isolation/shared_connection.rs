//! Two applications behind one proxy that sends both over the same connection to the broker: a real nginx.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::{Door, Key, Named, Pair, Rules, Who};
use crate::support::http::Place;
use crate::support::parts::{Level, missing};
use crate::support::world::until;

/// The doors whose callers show a key; on the others nothing tells two applications behind one proxy apart.
const KEYED: [Door; 5] = [Door::AppService, Door::OauthV2, Door::OauthV2Basic, Door::OauthV1, Door::Plain];

/// nginx with one worker that keeps one connection to the broker.
struct Nginx {
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// `None` after a loud word when it is not installed.
    async fn before(broker: SocketAddr) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("unsecret").tempdir().unwrap();
        let at = folder.path().display();
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ }}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             upstream broker {{ server {broker}; keepalive 1; }}\n\
             server {{ listen unix:{at}/nginx.sock;\n\
             location / {{ proxy_pass http://broker; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host localhost; }} }} }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        // Debian keeps it where only root looks.
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from).into_iter().find(|path| path.exists());
        let Some(program) = program else {
            missing(Level::Core, "the Debian package nginx-light");
            return None;
        };
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path());
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, folder };
        until("nginx listens", async || tokio::net::UnixStream::connect(nginx.socket()).await.ok()).await;
        Some(nginx)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("nginx.sock")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stands between nginx and the broker, and counts connections.
async fn counted(broker: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(broker).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn two_identities_over_one_connection_of_a_proxy_never_cross() {
    let pair = Pair::of(Rules::CLOSED).await;
    let (between, connections) = counted(pair.world.http()).await;
    let Some(nginx) = Nginx::before(between).await else { return };
    let place = || Place::from(nginx.socket().as_path());
    for _ in 0..10 {
        for door in KEYED {
            for who in [Who::A, Who::B] {
                let answer = pair.call(place(), door, Named::Client(who), Key::Of(who)).passed_on().send().await;
                let claims = pair.world.claims(&answer.token());
                assert_eq!(claims["appid"], who.client_id(), "{door:?} {who:?}");
            }
            // What one proved is no proof for the other.
            for (named, key) in [(Who::A, Key::Of(Who::B)), (Who::B, Key::Of(Who::A)), (Who::B, Key::None)] {
                let answer = pair.call(place(), door, Named::Client(named), key).passed_on().send().await;
                assert!(answer.status.is_client_error(), "{door:?} {named:?} {key:?}: {}", answer.body);
            }
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "all of it came over one connection");
}
