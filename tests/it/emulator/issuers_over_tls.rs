//! An issuer that is spoken to over TLS: its certificate is judged as Entra judges it, by CA and by the URL's host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use unsecret::clock::{Clock as _, ManualClock};
use unsecret::emulator::{Emulator, EmulatorError, PlatformToken, Settings};
use unsecret::local_ca::LocalCa;

use super::ask::json_of;
use super::world::{AUDIENCE, DEAD_ISSUER, NOW, SUBJECT, World};

const LIFE: Duration = Duration::from_secs(86_400);
const HOST: &str = "dead.example";

fn ca() -> LocalCa {
    LocalCa::create("a cluster's CA", ManualClock::standing(NOW).now(), LIFE).unwrap()
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Ends TLS with a certificate of `ca` for `name`, and hands what is inside on to `behind`.
async fn terminator(ca: &LocalCa, name: &str, behind: SocketAddr) -> SocketAddr {
    let leaf = ca.leaf(&[name.to_owned()], ManualClock::standing(NOW).now(), LIFE).unwrap();
    let acceptor = TlsAcceptor::from(leaf.server_config().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut outside) = acceptor.accept(stream).await else { continue };
            let mut inside = TcpStream::connect(behind).await.unwrap();
            // Who is asked may hang up as it likes.
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        }
    });
    at
}

/// What an Entra that trusts `trusted` says to a token of an issuer whose certificate is of `shown` for `name`.
async fn said(shown: &LocalCa, name: &str, trusted: &LocalCa) -> Value {
    let platform = World::with(|settings| {
        settings.issuers[2].hosted = true;
        settings.issuers[2].at.set_port(0);
    })
    .await;
    let token = platform.emulator.platform_token(DEAD_ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).unwrap();
    let at = terminator(shown, name, platform.emulator.issuer_address(DEAD_ISSUER).unwrap()).await;
    let roots = file(trusted.certificate_pem());
    let entra = World::with(|settings| {
        settings.issuers[2].at = at;
        settings.issuers[2].ca_file = Some(roots.path().to_owned());
    })
    .await;
    json_of(entra.federated().form("client_assertion", token.expose()).send(&entra).await).await
}

#[tokio::test]
async fn an_issuer_with_a_certificate_of_its_ca_is_read() {
    let ca = ca();
    assert!(said(&ca, HOST, &ca).await["access_token"].is_string());
}

#[tokio::test]
async fn an_issuer_with_a_certificate_for_another_host_or_of_another_ca_is_not_read() {
    let (own, other) = (ca(), ca());
    assert_eq!(said(&own, "other.example", &own).await["error_codes"][0], 50_166);
    assert_eq!(said(&own, HOST, &other).await["error_codes"][0], 50_166);
}

#[tokio::test]
async fn a_ca_file_that_holds_no_certificate_stops_the_start() {
    let empty = file("");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[issuer]]\nurl = \"https://{HOST}\"\nat = \"127.0.0.1:1\"\nca_file = {:?}\n",
        empty.path()
    );
    let settings = Settings::from_toml(&text).unwrap();
    let started = Emulator::start(settings, Arc::new(ManualClock::standing(NOW))).await;
    assert!(matches!(started, Err(EmulatorError::IssuerCa(path)) if path == empty.path()));
    let hosted = text.replace("[[issuer]]", "[[issuer]]\nhosted = true");
    assert!(Settings::from_toml(&hosted).unwrap_err().to_string().contains("issuer[0].ca_file"));
}
