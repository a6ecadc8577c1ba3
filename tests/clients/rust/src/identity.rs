//! azure_identity: nothing but the environment decides, as in most applications.

use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::ClientOptions;
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential, WorkloadIdentityCredential,
};

use crate::{Asked, Found, Outcome};

pub async fn ask(asked: &Asked) -> Outcome {
    let credential: Arc<dyn TokenCredential> = match asked.with.as_str() {
        "ManagedIdentityCredential" => ManagedIdentityCredential::new(None)?,
        "WorkloadIdentityCredential" => WorkloadIdentityCredential::new(None)?,
        _ => secret(asked)?,
    };
    let token = credential.get_token(&[&asked.scope], None).await?;
    Ok(Found { token: token.token.secret().to_owned(), expires_on: Some(token.expires_on.unix_timestamp()) })
}

fn secret(asked: &Asked) -> azure_core::Result<Arc<ClientSecretCredential>> {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host.clone_from(&asked.authority_host);
    let client_options =
        ClientOptions { cloud: Some(Arc::new(CloudConfiguration::from(cloud))), ..ClientOptions::default() };
    let options = ClientSecretCredentialOptions { client_options };
    let secret = Secret::new(asked.client_secret.clone());
    ClientSecretCredential::new(&asked.tenant, asked.client_id.clone(), secret, Some(options))
}
