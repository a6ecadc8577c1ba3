//! How an application of old reaches each door: what stands in its environment and in its own configuration.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// Where a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    AppService,
    /// App Service as it was, and Azure ML.
    AppService2017,
    /// IMDS at the address that `AZURE_POD_IDENTITY_AUTHORITY_HOST` names.
    Imds,
    CloudShell,
    /// The OAuth door over plain HTTP.
    OauthHttp,
    /// The local authority over TLS, named in the application's own configuration.
    OauthHttps,
    /// The same, named by `AZURE_AUTHORITY_HOST` and the three variables of a client secret.
    Environment,
    /// The broker as the proxy of AKS identity bindings; the local key stands where the platform's token was.
    TokenProxy,
    /// No door: the assertion in a file, with which the client goes to Entra itself.
    Sink,
}

impl Door {
    /// As the page names it.
    pub fn title(self) -> &'static str {
        match self {
            Self::AppService => "`app-service`",
            Self::AppService2017 => "`app-service-2017`",
            Self::Imds => "`imds`, at another address",
            Self::CloudShell => "`cloud-shell`",
            Self::OauthHttp => "`oauth`, http",
            Self::OauthHttps => "`oauth`, https",
            Self::Environment => "`oauth`, https, by variables",
            Self::TokenProxy => "`token-proxy`",
            Self::Sink => "none: an assertion sink",
        }
    }

    /// What the broker's own count of requests calls it.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::AppService => Some("app-service"),
            Self::AppService2017 => Some("app-service-2017"),
            Self::Imds => Some("imds"),
            Self::CloudShell => Some("cloud-shell"),
            Self::OauthHttp | Self::OauthHttps | Self::Environment => Some("oauth"),
            Self::TokenProxy => Some("token-proxy"),
            Self::Sink => None,
        }
    }

    /// What the application's own configuration has to name, besides its environment.
    pub fn configured(self) -> Option<&'static str> {
        match self {
            Self::OauthHttp => Some("the token URL, the local key as secret"),
            Self::OauthHttps => Some("the authority, the local key as secret"),
            _ => None,
        }
    }

    /// Only the emulator's host name needs the client's option; Entra's own is known to the client.
    pub fn needs_option_for_the_emulator(self) -> bool {
        self == Self::Sink
    }

    pub fn plan(self) -> Plan {
        let open = |door: &str| Plan { listen: format!("doors = [\"{door}\"]\n"), ..Plan::default() };
        match self {
            Self::AppService | Self::Imds | Self::OauthHttp => Plan::default(),
            Self::AppService2017 => open("app-service-2017"),
            Self::CloudShell => open("cloud-shell"),
            Self::OauthHttps | Self::Environment => Plan { https: true, ..Plan::default() },
            Self::TokenProxy => Plan { https: true, ..open("token-proxy") },
            Self::Sink => {
                let more = "[[identity.sink]]\nfile = \"{folder}/assertion\"\nassertion = true\n".to_owned();
                Plan { more, ..Plan::default() }
            }
        }
    }

    /// The variables that the application is started with.
    pub fn environment(self, world: &World) -> Vec<(String, String)> {
        let key = world.key.secret().expose();
        let base = format!("http://{}", world.http());
        let variables = match self {
            Self::AppService => {
                vec![("IDENTITY_ENDPOINT", format!("{base}/msi/token")), ("IDENTITY_HEADER", key.to_owned())]
            }
            Self::AppService2017 => vec![("MSI_ENDPOINT", format!("{base}/msi/token")), ("MSI_SECRET", key.to_owned())],
            Self::Imds => vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", base)],
            Self::CloudShell => vec![("MSI_ENDPOINT", format!("{base}/cloud-shell/{key}/oauth2/token"))],
            Self::OauthHttp | Self::OauthHttps => Vec::new(),
            Self::Environment => vec![
                ("AZURE_TENANT_ID", TENANT.to_owned()),
                ("AZURE_CLIENT_ID", CLIENT.to_owned()),
                ("AZURE_CLIENT_SECRET", key.to_owned()),
                ("AZURE_AUTHORITY_HOST", format!("https://localhost:{}", world.https().port())),
            ],
            Self::TokenProxy => vec![
                ("AZURE_TENANT_ID", TENANT.to_owned()),
                ("AZURE_CLIENT_ID", CLIENT.to_owned()),
                ("AZURE_FEDERATED_TOKEN_FILE", world.path("caller.key").display().to_string()),
                ("AZURE_KUBERNETES_TOKEN_PROXY", format!("https://localhost:{}/token-proxy", world.https().port())),
                ("AZURE_KUBERNETES_CA_FILE", world.roots().display().to_string()),
            ],
            Self::Sink => vec![
                ("AZURE_TENANT_ID", TENANT.to_owned()),
                ("AZURE_CLIENT_ID", CLIENT.to_owned()),
                ("AZURE_FEDERATED_TOKEN_FILE", world.path("assertion").display().to_string()),
                ("AZURE_AUTHORITY_HOST", world.emulator.authority_host().clone()),
            ],
        };
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Waits until what the variables name is there.
    pub async fn opened(self, world: &World) {
        let file = world.path("assertion");
        for _ in 0..2_000 {
            if self != Self::Sink || file.exists() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("waited in vain for {}", file.display())
    }

    /// What the runtime must trust, if it goes anywhere over TLS.
    pub fn roots(self, world: &World) -> Option<PathBuf> {
        match self {
            Self::OauthHttps | Self::Environment => Some(world.roots()),
            Self::Sink => Some(world.path("ca.pem")),
            _ => None,
        }
    }

    /// Whether the page says so: Entra's own certificate is trusted already.
    pub fn shows_trust(self) -> bool {
        self != Self::Sink
    }

    /// What the application has in its own configuration, whether it uses it or not.
    pub fn configuration(self, world: &World) -> Map<String, Value> {
        let host = match self {
            Self::OauthHttps => format!("https://localhost:{}", world.https().port()),
            _ => format!("http://{}", world.http()),
        };
        let all = json!({
            "scope": format!("{GRAPH}/.default"),
            "resource": GRAPH,
            "tenant": TENANT,
            "client_id": CLIENT,
            "client_secret": world.key.secret().expose(),
            "authority_host": host,
            "authority": format!("{host}/{TENANT}"),
            "token_url": format!("{host}/{TENANT}/oauth2/v2.0/token"),
            "option": self.needs_option_for_the_emulator(),
        });
        let Value::Object(all) = all else { unreachable!() };
        all
    }
}
