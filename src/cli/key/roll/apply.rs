//! Adds the next certificate to the application, with a token and a proof by the current pair (contract A15).
//!
//! Easy to get wrong: of several current pairs Entra may not know the newest, so each is tried in turn for the proof.

use std::sync::Arc;

use url::Url;

use crate::app::Parts;
use crate::assertion::{Leaf, proof};
use crate::authority::Cloud;
use crate::broker::Mint as _;
use crate::cli::key::error::{KeyError, Stop};
use crate::cli::key::machine::Machine;
use crate::cli::terminal::patiently;
use crate::clock::{Clock, SystemClock};
use crate::config::{CertificateSettings, Config, Identity};
use crate::graph::{Graph, GraphError, NewKey, PROOF_AUDIENCE};
use crate::ids::{Guid, Resource};
use crate::mint::{Exchange, Timing};
use crate::observe::{Fanout, Observer};
use crate::problem::Problem;
use crate::secret::Secret;

/// Whether, and where, the application is told.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// Add the certificate to the application through Microsoft Graph
    #[arg(long = "apply", requires = "object_id")]
    pub(super) wanted: bool,
    /// The object id of the application, which is not its client id
    #[arg(long, value_name = "GUID", requires = "wanted", value_parser = Guid::parse)]
    object_id: Option<Guid>,
    /// Another Graph than that of the identity's cloud, such as the emulator's authority
    #[arg(long, value_name = "URL", requires = "wanted")]
    graph: Option<Url>,
}

pub(super) async fn apply(
    args: &Apply,
    config: &Config,
    current: &[CertificateSettings],
    machine: &Machine,
    certificate: &[u8],
) -> Result<(), Stop> {
    let (Some(identity), Some(application)) = (config.identities.first(), &args.object_id) else {
        return Err(KeyError::NothingToRoll.into());
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let signers = Arc::new(machine.signers()?);
    let parts = Parts::of(identity, &clock, &signers);
    let resource = identity.authority.host().host_str().and_then(Cloud::of_host).unwrap_or(Cloud::Public).graph();
    let graph = Graph::new(Arc::clone(&parts.outbound), origin(args, identity)?);
    let access_token = patiently("a token for Graph", token(identity, parts, resource, &clock)).await?;
    let mut refused = None;
    for pair in current {
        let leaf = Leaf::open(&pair.certificate, pair.key.password_file())?;
        let signer = signers.open(&pair.key, Some(&leaf.public_key))?;
        let proof = proof(&leaf, &*signer, application, PROOF_AUDIENCE, clock.now().epoch()).await?;
        let key = NewKey { application, access_token: &access_token, certificate, proof: &proof };
        match patiently("Graph", graph.add_key(key)).await {
            Err(problem) if problem.code() == "graph-proof-refused" => refused = Some(problem),
            outcome => return outcome.map_err(because),
        }
    }
    Err(refused.map_or(Stop::from(KeyError::NothingToRoll), because))
}

fn because(problem: GraphError) -> Stop {
    Stop::Because(Box::new(problem))
}

/// Of the cloud whose login host the identity uses; whoever has another login host has another Graph.
fn origin(args: &Apply, identity: &Identity) -> Result<Url, Stop> {
    let host = identity.authority.host();
    let known = || host.host_str().and_then(Cloud::of_host).and_then(|cloud| Url::parse(cloud.graph()).ok());
    args.graph.clone().or_else(known).ok_or_else(|| KeyError::NoGraph(host.to_string()).into())
}

/// The application's own token for Graph, obtained as the broker would.
async fn token(identity: &Identity, parts: Parts, resource: &str, clock: &Arc<dyn Clock>) -> Result<Secret, Stop> {
    let observer: Arc<dyn Observer> = Arc::new(Fanout(Vec::new()));
    let opened = parts.open(identity, &observer).await?;
    let exchange = Exchange::new(
        identity.entry.name.clone(),
        identity.authority.clone(),
        identity.entry.client_id.clone(),
        opened.source,
        parts.entra,
        Timing::new(Arc::clone(clock)),
        observer,
    );
    let resource = Resource::parse(resource).map_err(|_| KeyError::NoGraph(resource.to_owned()))?;
    let minted = exchange.mint(resource.into()).await;
    minted.map(|fresh| fresh.access_token).map_err(|failed| Stop::Shared(failed.problem))
}
