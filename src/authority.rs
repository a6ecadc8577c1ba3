//! Clouds and the URLs of Entra (contract A1, A8).
//!
//! Text only: nothing here connects. Easy to get wrong: regional hosts are never chosen (contract A9), and the audience
//! of a federated credential differs by cloud.

use std::fmt;

use url::Url;

use crate::ids::{NotA, Tenant};

/// The application id of Microsoft Graph, which also names it as a resource.
const GRAPH_ID: &str = "00000003-0000-0000-c000-000000000000";

/// A sovereign instance of Entra.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Worldwide.
    #[default]
    Public,
    /// United States government.
    UsGov,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 3] = [Self::Public, Self::UsGov, Self::China];

    /// The name as the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::UsGov => "usgov",
            Self::China => "china",
        }
    }

    /// The login host.
    #[must_use]
    pub fn login_host(self) -> &'static str {
        self.login_hosts()[0]
    }

    /// Every name of its login service, its own first, then older ones (contract A8).
    #[must_use]
    pub fn login_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Public => {
                &["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
            }
            Self::UsGov => &["login.microsoftonline.us", "login.usgovcloudapi.net", "login-us.microsoftonline.com"],
            Self::China => &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        }
    }

    /// The cloud whose login host, or one of its older names, this is. `None` for a host of one's own.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.login_hosts().contains(&host))
    }

    /// What stands before the tenant in the issuer of its v1 endpoints; the public cloud and the United States government
    /// share one.
    #[must_use]
    pub fn v1_issuer(self) -> &'static str {
        match self {
            Self::Public | Self::UsGov => "https://sts.windows.net/",
            Self::China => "https://sts.chinacloudapi.cn/",
        }
    }

    /// The audience that a federated identity credential has unless it was given another.
    #[must_use]
    pub fn federation_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGov => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// The origin of Microsoft Graph, which is also the resource to ask a token for.
    #[must_use]
    pub fn graph(self) -> &'static str {
        match self {
            Self::Public => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Whether a resource is Microsoft Graph of this cloud: by its origin, or by the id that it has in every cloud.
    #[must_use]
    pub fn is_graph(self, resource: &str) -> bool {
        let resource = resource.strip_suffix('/').unwrap_or(resource);
        resource.eq_ignore_ascii_case(self.graph()) || resource == GRAPH_ID
    }
}

/// The versions of the token endpoint (contract A1, A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    V1,
    V2,
}

/// Login host plus tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: Url,
    tenant: Tenant,
}

impl Authority {
    /// The authority of a known cloud.
    #[must_use]
    pub fn of_cloud(cloud: Cloud, tenant: Tenant) -> Self {
        #[expect(clippy::expect_used, reason = "three constants, each parsed in a test")]
        let host = Url::parse(&format!("https://{}/", cloud.login_host())).expect("a constant URL");
        Self { host, tenant }
    }

    /// An authority at a host of one's own, for example the emulator: `https://host[:port]`, path `/` or none.
    ///
    /// # Errors
    /// When not https, or with a path, query, fragment or user.
    pub fn at_host(host: &str, tenant: Tenant) -> Result<Self, NotA> {
        const WHAT: NotA =
            NotA("an authority host is an https URL without a path, such as https://login.microsoftonline.com");
        let host = Url::parse(host).map_err(|_| WHAT)?;
        let bare = host.path() == "/" && host.query().is_none() && host.fragment().is_none();
        if host.scheme() != "https" || !bare || !host.username().is_empty() || host.password().is_some() {
            return Err(WHAT);
        }
        Ok(Self { host, tenant })
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// `https://host[:port]/` .
    #[must_use]
    pub fn host(&self) -> &Url {
        &self.host
    }

    /// Whether this host is its own, or another name of the same cloud.
    #[must_use]
    pub fn is_known_as(&self, host: &str) -> bool {
        let own = self.host.host_str().unwrap_or_default();
        own == host || Cloud::of_host(own).is_some_and(|cloud| Cloud::of_host(host) == Some(cloud))
    }

    /// The v2 token endpoint; also the audience of our certificate assertions (contract A6).
    #[must_use]
    pub fn token_url(&self) -> Url {
        let mut url = self.host.clone();
        url.set_path(&format!("{}/oauth2/v2.0/token", self.tenant));
        url
    }

    /// The keys by which the tenant's tokens are checked, which anybody may read.
    #[must_use]
    pub fn keys_url(&self) -> Url {
        let mut url = self.host.clone();
        url.set_path(&format!("{}/discovery/v2.0/keys", self.tenant));
        url
    }

    /// The token endpoint of either version; what is sent there names it as its audience.
    #[must_use]
    pub fn endpoint(&self, version: Endpoint) -> Url {
        let mut url = self.token_url();
        if version == Endpoint::V1 {
            url.set_path(&format!("{}/oauth2/token", self.tenant));
        }
        url
    }

    /// The v2 OIDC metadata, which anybody may read.
    #[must_use]
    pub fn metadata_url(&self) -> Url {
        let mut url = self.host.clone();
        url.set_path(&format!("{}/v2.0/.well-known/openid-configuration", self.tenant));
        url
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_a_token_url() {
        let tenant = Tenant::parse("contoso.onmicrosoft.com").unwrap();
        for cloud in Cloud::ALL {
            let url = Authority::of_cloud(cloud, tenant.clone()).token_url();
            assert_eq!(url.host_str(), Some(cloud.login_host()));
            assert_eq!(url.path(), "/contoso.onmicrosoft.com/oauth2/v2.0/token");
            assert_eq!(Cloud::of_host(cloud.login_host()), Some(cloud));
        }
        assert_eq!(Cloud::of_host("login.usgovcloudapi.net"), Some(Cloud::UsGov));
        assert_eq!(Cloud::of_host("localhost"), None);
    }

    #[test]
    fn graph_is_that_of_the_same_cloud_only() {
        for cloud in Cloud::ALL {
            assert!(cloud.is_graph(cloud.graph()) && cloud.is_graph(&format!("{}/", cloud.graph())), "{cloud:?}");
            assert!(cloud.is_graph(GRAPH_ID));
        }
        for other in ["https://graph.microsoft.us", "https://graph.microsoft.com.evil", "https://graph.microsoft.com//"]
        {
            assert!(!Cloud::Public.is_graph(other), "{other}");
        }
    }

    #[test]
    fn an_authority_host_is_https_and_bare() {
        let tenant = Tenant::parse("contoso.onmicrosoft.com").unwrap();
        assert!(Authority::at_host("https://localhost:8443", tenant.clone()).is_ok());
        for wrong in ["http://localhost", "https://a.b/x", "https://u@a.b", "https://a.b?q", "login"] {
            assert!(Authority::at_host(wrong, tenant.clone()).is_err(), "{wrong}");
        }
    }
}
