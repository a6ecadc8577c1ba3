//! Who issued a token: Entra in one of its two forms, or one of the platforms of contract C.
//!
//! Recognises, and believes nothing: whoever forges a token writes any issuer. Easy to get wrong: the two forms of Entra's
//! issuer name the same tenant and are different texts, so an API that validates one refuses the other.

use std::sync::LazyLock;

use url::Url;

use crate::authority::Cloud;

/// Entra's issuer of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entra<'a> {
    pub(super) tenant: &'a str,
    /// 1 for `https://sts.windows.net/{tenant}/`, 2 for `https://login.microsoftonline.com/{tenant}/v2.0`.
    pub(super) version: u8,
}

/// The hosts of version 1 issuers: the public cloud and the United States government share one.
const VERSION_1: [&str; 2] = ["https://sts.windows.net/", "https://sts.chinacloudapi.cn/"];

/// Entra's issuer, if it is one.
#[must_use]
pub(super) fn entra(issuer: &str) -> Option<Entra<'_>> {
    let plain = |tenant: &str| !tenant.is_empty() && !tenant.contains('/');
    if let Some(rest) = VERSION_1.iter().find_map(|host| issuer.strip_prefix(host)) {
        let tenant = rest.strip_suffix('/').unwrap_or(rest);
        return plain(tenant).then_some(Entra { tenant, version: 1 });
    }
    let (host, rest) = issuer.strip_prefix("https://")?.split_once('/')?;
    let tenant = rest.strip_suffix("/v2.0").or_else(|| rest.strip_suffix("/v2.0/"))?;
    (Cloud::of_host(host).is_some() && plain(tenant)).then_some(Entra { tenant, version: 2 })
}

/// One line of `platforms.tsv`.
pub(super) struct Platform {
    /// The name of its claims in `claims.tsv`.
    pub(super) key: &'static str,
    pattern: &'static str,
    pub(super) name: &'static str,
    /// Whether one federated credential covers all runs.
    pub(super) stable: bool,
    pub(super) remark: &'static str,
}

static PLATFORMS: LazyLock<Vec<Platform>> = LazyLock::new(|| {
    include_str!("platforms.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(parse_line).collect()
});

fn parse_line(line: &'static str) -> Option<Platform> {
    let mut fields = line.split('\t');
    let (key, pattern, name) = (fields.next()?, fields.next()?, fields.next()?);
    let stable = match fields.next()? {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(Platform { key, pattern, name, stable, remark: fields.next()? })
}

/// The platform that has this issuer.
#[must_use]
pub(super) fn platform(issuer: &str) -> Option<&'static Platform> {
    PLATFORMS.iter().find(|platform| matches(platform.pattern, issuer))
}

/// `*` in a pattern stands for any text that is not empty.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().skip(1).map(|(at, _)| &rest[at..]).chain([""]).any(|tail| {
                // A pattern that ends in `*` needs something for it to stand for.
                !rest.is_empty() && matches(after, tail)
            })
        }),
    }
}

/// Whether Entra could fetch this issuer's documents: public https without query or fragment (contract A7, 70022).
#[must_use]
pub(super) fn is_fetchable(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    };
    url.scheme() == "https" && !loopback && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_entras_issuer_name_the_same_tenant() {
        assert_eq!(entra("https://sts.windows.net/t/"), Some(Entra { tenant: "t", version: 1 }));
        assert_eq!(entra("https://login.microsoftonline.com/t/v2.0"), Some(Entra { tenant: "t", version: 2 }));
        assert_eq!(entra("https://login.microsoftonline.us/t/v2.0"), Some(Entra { tenant: "t", version: 2 }));
        for other in ["", "https://sts.windows.net/", "https://login.evil.example/t/v2.0", "https://gitlab.com"] {
            assert_eq!(entra(other), None, "{other}");
        }
    }

    #[test]
    fn every_platform_of_the_contract_is_known_by_its_issuer() {
        let lines = include_str!("platforms.tsv").lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(PLATFORMS.len(), lines);
        let key = |issuer: &str| platform(issuer).map(|platform| platform.key);
        assert_eq!(key("https://westeurope.oic.prod-aks.azure.com/t/i/"), Some("kubernetes"));
        assert_eq!(key("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"), Some("kubernetes"));
        assert_eq!(key("https://token.actions.githubusercontent.com"), Some("github"));
        assert_eq!(key("https://git.example/_services/token"), Some("github"));
        assert_eq!(key("https://0aa.tokens.sts.global.api.aws"), Some("aws"));
        assert_eq!(key("https://vault.example:8200/v1/identity/oidc"), Some("vault"));
        assert_eq!(key("https://agent.buildkite.com"), Some("buildkite"));
        assert_eq!(key("https://gitlab.com.evil.example"), None);
        assert!(!platform("https://oidc.fly.io/org").unwrap().stable);
    }

    #[test]
    fn an_issuer_that_entra_cannot_reach_is_told() {
        assert!(is_fetchable("https://issuer.example/path/"));
        for no in
            ["http://a.example", "https://localhost", "https://127.0.0.1", "https://a.example?x", "kubernetes/x", ""]
        {
            assert!(!is_fetchable(no), "{no}");
        }
    }
}
