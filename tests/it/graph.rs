//! A new certificate for an application through Graph, with a proof by the old key and no permission.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use unsecret::assertion::{Leaf, proof};
use unsecret::clock::Clock as _;
use unsecret::graph::{Graph, GraphError, NewKey, PROOF_AUDIENCE};
use unsecret::ids::Guid;
use unsecret::local_ca::ClientCertificate;
use unsecret::outbound::{Outbound, Settings};
use unsecret::problem::Problem as _;
use unsecret::secret::Secret;
use unsecret::signer::FileSigner;

use crate::support::world::{GRAPH, World, client};

const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// An identity that signs with `billing`, and the files of `newer`, which Entra does not know.
struct Rolling {
    world: World,
    object_id: Guid,
    newer: Vec<u8>,
}

impl Rolling {
    async fn new() -> Self {
        let mut world = World::new().await;
        let newer = ClientCertificate::create("newer", world.clock.now(), LIFE).unwrap();
        std::fs::write(world.path("newer.pem"), &newer.certificate_pem).unwrap();
        std::fs::write(world.path("newer.key"), newer.key_pem.expose()).unwrap();
        sign_with(&mut world, "billing").await;
        Self {
            object_id: world.emulator.application_object_id(&client()).unwrap(),
            newer: CertificateDer::from_pem_slice(newer.certificate_pem.as_bytes()).unwrap().to_vec(),
            world,
        }
    }

    /// Adds `newer` with a proof by the key of `holder`, for the application object `object_id`.
    async fn add(&self, holder: &str, object_id: &Guid) -> Result<(), GraphError> {
        let file = |end| self.world.path(&format!("{holder}.{end}"));
        let leaf = Leaf::open(&file("pem"), None).unwrap();
        let signer = FileSigner::open(&file("key"), None).unwrap();
        let now = self.world.clock.now().epoch();
        let proof = proof(&leaf, &signer, object_id, PROOF_AUDIENCE, now).await.unwrap();
        let outbound = Outbound::new(Settings { ca_file: Some(self.world.path("ca.pem")), ..Settings::default() });
        let origin = self.world.emulator.authority_host().parse().unwrap();
        let token = Secret::new(self.world.imds(GRAPH).send().await.token());
        let key = NewKey { application: object_id, access_token: &token, certificate: &self.newer, proof: &proof };
        Graph::new(Arc::new(outbound), origin).add_key(key).await
    }
}

async fn sign_with(world: &mut World, name: &str) {
    let pair = format!(r#"{{ certificate = "{{folder}}/{name}.pem", key = "file:{{folder}}/{name}.key" }}"#);
    world.plan.assertion = Some(format!("{{ certificates = [{pair}] }}"));
    world.reload().await.unwrap();
}

#[tokio::test]
async fn a_certificate_added_with_a_proof_by_the_old_key_is_known_to_entra() {
    let mut rolling = Rolling::new().await;
    rolling.add("billing", &rolling.object_id).await.unwrap();
    sign_with(&mut rolling.world, "newer").await;
    rolling.world.imds(GRAPH).send().await.token();
}

#[tokio::test]
async fn what_graph_refuses_is_told_apart_and_keeps_its_words() {
    let rolling = Rolling::new().await;
    let refused = rolling.add("newer", &rolling.object_id).await.unwrap_err();
    assert_eq!(refused.code(), "graph-proof-refused");
    let unknown = rolling.add("billing", &client()).await.unwrap_err();
    assert_eq!(unknown.code(), "graph-object-unknown");
    assert!(unknown.to_string().contains("Request_ResourceNotFound"), "{unknown}");
    assert!(unknown.remedy().unwrap().contains("--query id"));
}
