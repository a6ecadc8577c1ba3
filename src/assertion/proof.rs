//! The proof that goes with a new certificate to Graph's `addKey` (contract A15).
//!
//! Not a client assertion: Entra's token endpoint would refuse it, and Graph an assertion. Easy to get wrong: its issuer is
//! the application's object id, and RS256 with `x5t` is what is documented, while the docs leave PS256 open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::certificate::{header, part};
use super::{AssertionError, Leaf};
use crate::ids::Guid;
use crate::secret::Secret;
use crate::signer::{Algorithm, SignError, Signer};

/// From `nbf` to `exp`: ten minutes, of which one is for a Graph whose clock is behind.
const LIFE: u64 = 600;
const SKEW: u64 = 60;

/// The claims, all times in seconds since 1970.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    nbf: u64,
    exp: u64,
}

/// Signed with the key of a certificate that the application holds; `application` is its object id. A key that cannot do
/// RS256 signs with PS256.
pub async fn proof(
    leaf: &Leaf,
    signer: &dyn Signer,
    application: &Guid,
    audience: &str,
    now: u64,
) -> Result<Secret, AssertionError> {
    let nbf = now.saturating_sub(SKEW);
    let claims = Claims { aud: audience, iss: application.as_str(), nbf, exp: nbf.saturating_add(LIFE) };
    let made = match sign(leaf, signer, &claims, Algorithm::Rs256).await {
        Err(SignError::Unsupported { .. }) => sign(leaf, signer, &claims, Algorithm::Ps256).await,
        other => other,
    };
    made.map_err(|source| AssertionError::Sign { source })
}

async fn sign(
    leaf: &Leaf,
    signer: &dyn Signer,
    claims: &Claims<'_>,
    algorithm: Algorithm,
) -> Result<Secret, SignError> {
    let message = format!("{}.{}", part(&header(algorithm, leaf)), part(claims));
    let signature = signer.sign(algorithm, message.as_bytes()).await?;
    Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}
