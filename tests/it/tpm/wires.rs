//! What goes over the wires to a TPM.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Stands before a TPM and takes down every byte.
struct Tap {
    tcti: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn of(tpm: &Swtpm) -> Self {
        let port: u16 = tpm.tcti().rsplit_once('=').unwrap().1.parse().unwrap();
        let heard = Arc::default();
        loop {
            let command = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let own = command.local_addr().unwrap().port();
            let Some(Ok(control)) = own.checked_add(1).map(|next| std::net::TcpListener::bind(("127.0.0.1", next)))
            else {
                continue;
            };
            control.set_nonblocking(true).unwrap();
            tokio::spawn(pass(command, port, Arc::clone(&heard)));
            tokio::spawn(pass(TcpListener::from_std(control).unwrap(), port + 1, Arc::clone(&heard)));
            return Self { tcti: format!("swtpm:host=127.0.0.1,port={own}"), heard };
        }
    }

    fn heard(&self, text: &[u8]) -> bool {
        self.heard.lock().unwrap().windows(text.len()).any(|bytes| bytes == text)
    }
}

async fn pass(listener: TcpListener, to: u16, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((near, _)) = listener.accept().await {
        let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        tokio::spawn(copy(from_near, to_far, Arc::clone(&heard)));
        tokio::spawn(copy(from_far, to_near, Arc::clone(&heard)));
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Arc<Mutex<Vec<u8>>>) {
    let mut bytes = vec![0; 8_192];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        heard.lock().unwrap().extend(&bytes[..read]);
        if to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn a_value_is_never_sent_neither_of_a_new_key_nor_for_a_signature() {
    const VALUE: &str = "canary-of-the-wires";
    let Some(stand) = Stand::new().await else { return };
    let tap = Tap::of(&stand.tpm).await;
    let clock = Arc::new(SystemClock::new());
    let signers = signers(&tap.tcti, stand.folder.path(), clock);
    for uri in [within(stand.path("billing.tss"), Some(stand.value(VALUE))), at(HANDLE, Some(stand.value(VALUE)))] {
        signers.device(&uri).unwrap().create(2048).await.unwrap();
        let signer = signers.open(&uri, None).unwrap();
        assert_signs(&*signer).await;
        let signature = signer.sign(Algorithm::Rs256, MESSAGE).await.unwrap();
        assert!(tap.heard(&signature), "the tap hears nothing");
    }
    assert!(!tap.heard(VALUE.as_bytes()));
}
