//! The layers between an application and what it wants, in the order in which a request meets them.
//!
//! An answer from one layer is also news about those before it: who is refused by a policy has been recognised. Easy to
//! get wrong: only what an answer proves may be called passed. Throttling may strike first of all, so it proves little.

use serde::{Deserialize, Serialize};

/// Where a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// This machine: configuration, sockets, callers, the application itself.
    Local,
    /// What proves who we are: the token file, the CI's endpoint, the key.
    Platform,
    /// The way out: DNS, proxy, TLS.
    Network,
    /// Entra reads the request: tenant, application, grant, scope.
    Request,
    /// Entra checks the assertion, the certificate or the secret.
    ClientAuthentication,
    /// An administrator's policy decides.
    TenantPolicy,
    /// Entra looks for the resource and for the permission to ask for it.
    Consent,
    /// The resource judges the token: a 401.
    Token,
    /// The resource judges what the caller may do: a 403.
    Authorisation,
    /// Somebody counts requests, or is down for a moment: a 429, a 5xx.
    Throttling,
}

impl Layer {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Local,
        Self::Platform,
        Self::Network,
        Self::Request,
        Self::ClientAuthentication,
        Self::TenantPolicy,
        Self::Consent,
        Self::Token,
        Self::Authorisation,
        Self::Throttling,
    ];

    /// What it is called in front of people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Local => "this machine: application, configuration, sockets",
            Self::Platform => "platform: token file, CI endpoint or key that proves who we are",
            Self::Network => "network: DNS, proxy and TLS on the way",
            Self::Request => "request: tenant, application, grant and scope",
            Self::ClientAuthentication => "client authentication: what proves the application against its registration",
            Self::TenantPolicy => "tenant policy: conditional access and the like",
            Self::Consent => "consent: the resource is known and may be asked for",
            Self::Token => "token: the resource takes it (else 401)",
            Self::Authorisation => "authorisation: the resource lets its bearer do this (else 403)",
            Self::Throttling => "throttling: nobody asks too often, nothing is down (else 429, 5xx)",
        }
    }

    /// How a failure on this layer shows itself.
    #[must_use]
    pub fn clue(self) -> &'static str {
        match self {
            Self::Local => {
                "a code of unsecret such as `caller-not-allowed`, an SDK's \"no credential\", a 4xx from localhost"
            }
            Self::Platform => {
                "a code such as `token-file-missing` or `github-refused`, a missing endpoint, an unreadable key"
            }
            Self::Network => "time-outs, refused connections, 407, a certificate that is not trusted, a proxy's page",
            Self::Request => "AADSTS90002, 700016, 7000229, 70011 and the like in Entra's answer",
            Self::ClientAuthentication => {
                "`invalid_client` with AADSTS70021, 700211 to 700213, 700024, 700027 and the like"
            }
            Self::TenantPolicy => "AADSTS53003, 530032 and the like; the sign-in logs name the policy",
            Self::Consent => "`invalid_resource` with AADSTS500011, 650057 and the like",
            Self::Token => "the application has a token, and the resource answers 401 with a header WWW-Authenticate",
            Self::Authorisation => {
                "the resource answers 403: `AuthorizationFailed`, `Authorization_RequestDenied` and the like"
            }
            Self::Throttling => "429 or 503, often with a header Retry-After; AADSTS50196, 90055",
        }
    }

    /// The name in data files and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Platform => "platform",
            Self::Network => "network",
            Self::Request => "request",
            Self::ClientAuthentication => "client-authentication",
            Self::TenantPolicy => "tenant-policy",
            Self::Consent => "consent",
            Self::Token => "token",
            Self::Authorisation => "authorisation",
            Self::Throttling => "throttling",
        }
    }

    /// The layers that are known to be in order when it failed here.
    #[must_use]
    pub fn passed(self) -> &'static [Self] {
        match self {
            // Entra looks the resource up before it has judged anything else, or after: nobody promises an order.
            Self::Consent => Self::up_to(Self::Request),
            // Somebody answered, no more.
            Self::Throttling => Self::up_to(Self::Network),
            other => &ALL[..other as usize],
        }
    }

    /// All layers from the first to this one.
    pub(super) fn up_to(last: Self) -> &'static [Self] {
        &ALL[..=last as usize]
    }
}

static ALL: [Layer; 10] = Layer::ALL;

/// What is known of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// In order.
    Passed,
    /// Here it failed.
    Here,
    /// Here it probably failed: the number is not known, its family is.
    Probably,
    /// The answer does not tell.
    Untold,
    /// The request never came here.
    NotReached,
}

/// Every layer with its mark, for a failure at `here` which proves that those in `passed` are in order. What is only
/// probably the place tells nothing of those behind it; nor does what fails on the way back, with a layer passed behind it.
pub(super) fn walk(here: Layer, passed: &[Layer], sure: bool) -> [(Layer, Mark); 10] {
    let on_the_way_back = passed.iter().any(|layer| *layer > here);
    Layer::ALL.map(|layer| {
        let mark = match layer {
            _ if layer == here => [Mark::Probably, Mark::Here][usize::from(sure)],
            _ if passed.contains(&layer) => Mark::Passed,
            _ if layer < here || !sure || on_the_way_back => Mark::Untold,
            _ => Mark::NotReached,
        };
        (layer, mark)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_after_the_layer_that_failed() {
        for layer in Layer::ALL {
            assert!(layer.passed().iter().all(|passed| *passed < layer), "{layer:?}");
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.as_str());
        }
    }

    #[test]
    fn a_403_proves_that_a_token_was_minted_and_taken() {
        assert!(Layer::Authorisation.passed().contains(&Layer::Token));
        assert_eq!(Layer::Authorisation.passed().len(), 8);
    }

    #[test]
    fn what_fails_on_the_way_back_does_not_say_that_nobody_went_out() {
        let walk = walk(Layer::Local, Layer::up_to(Layer::Platform), true);
        assert_eq!((walk[0].1, walk[1].1), (Mark::Here, Mark::Passed));
        assert!(walk[2..].iter().all(|(_, mark)| *mark == Mark::Untold));
    }

    #[test]
    fn throttling_says_little() {
        let walk = walk(Layer::Throttling, Layer::Throttling.passed(), true);
        assert_eq!(walk[2], (Layer::Network, Mark::Passed));
        assert!(walk[3..9].iter().all(|(_, mark)| *mark == Mark::Untold));
        assert_eq!(walk[9].1, Mark::Here);
    }
}
