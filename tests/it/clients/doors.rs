//! How an application of old reaches each door: what stands in its environment and in its own configuration.

use serde_json::{Map, Value, json};

use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// Where a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    AppService,
    /// IMDS at the address that `AZURE_POD_IDENTITY_AUTHORITY_HOST` names.
    Imds,
    /// The OAuth door over plain HTTP.
    OauthHttp,
}

impl Door {
    /// As the page names it.
    pub fn title(self) -> &'static str {
        match self {
            Self::AppService => "`app-service`",
            Self::Imds => "`imds`, at another address",
            Self::OauthHttp => "`oauth`, http",
        }
    }

    /// What the broker's own count of requests calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::AppService => "app-service",
            Self::Imds => "imds",
            Self::OauthHttp => "oauth",
        }
    }

    /// What the application's own configuration has to name, besides its environment.
    pub fn configured(self) -> Option<&'static str> {
        match self {
            Self::AppService | Self::Imds => None,
            Self::OauthHttp => Some("the token URL, the local key as secret"),
        }
    }

    pub fn plan(self) -> Plan {
        Plan::default()
    }

    /// The variables that the application is started with.
    pub fn environment(self, world: &World) -> Vec<(String, String)> {
        let key = world.key.secret().expose();
        let base = format!("http://{}", world.http());
        let variables = match self {
            Self::AppService => {
                vec![("IDENTITY_ENDPOINT", format!("{base}/msi/token")), ("IDENTITY_HEADER", key.to_owned())]
            }
            Self::Imds => vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", base)],
            Self::OauthHttp => Vec::new(),
        };
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What the application has in its own configuration, whether it uses it or not.
    pub fn configuration(self, world: &World) -> Map<String, Value> {
        let host = format!("http://{}", world.http());
        let all = json!({
            "scope": format!("{GRAPH}/.default"),
            "resource": GRAPH,
            "tenant": TENANT,
            "client_id": CLIENT,
            "client_secret": world.key.secret().expose(),
            "authority_host": host,
            "authority": format!("{host}/{TENANT}"),
            "token_url": format!("{host}/{TENANT}/oauth2/v2.0/token"),
        });
        let Value::Object(all) = all else { unreachable!() };
        all
    }
}
