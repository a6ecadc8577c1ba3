//! oauth2, the OAuth client of any provider.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, Scope, TokenResponse as _, TokenUrl};

use crate::{Asked, Found, Outcome};

pub async fn ask(asked: &Asked) -> Outcome {
    let way = if asked.with == "AuthType::RequestBody" { AuthType::RequestBody } else { AuthType::BasicAuth };
    let client = BasicClient::new(ClientId::new(asked.client_id.clone()))
        .set_client_secret(ClientSecret::new(asked.client_secret.clone()))
        .set_auth_type(way)
        .set_token_uri(TokenUrl::new(asked.token_url.clone())?);
    // As the crate's own documentation has it: a redirect could lead the secret elsewhere.
    let http = oauth2::reqwest::ClientBuilder::new().redirect(oauth2::reqwest::redirect::Policy::none()).build()?;
    let answer =
        client.exchange_client_credentials().add_scope(Scope::new(asked.scope.clone())).request_async(&http).await?;
    let life = answer.expires_in().unwrap_or(Duration::ZERO);
    let end = (SystemTime::now() + life).duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Found { token: answer.access_token().secret().clone(), expires_on: i64::try_from(end).ok() })
}
