//! Documents as each kind of client compares them, and who gets none.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::entra::Entra;
use crate::outbound::{Outbound, Settings};

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const OTHER: &str = "99999999-aaaa-4bbb-8ccc-222222222222";
const HERE: &str = "https://localhost:4743";

fn published(tenants: &[&str], naming: Naming, authority: impl Fn(Tenant) -> Authority) -> Published {
    let tenants: Vec<_> = tenants.iter().map(|tenant| Tenant::parse(tenant).unwrap()).collect();
    let authority = authority(tenants[0].clone());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::standing(1_800_000_000));
    let entra = Entra::new(Arc::new(Outbound::new(Settings::default())), Arc::clone(&clock));
    Published { tenants, keys: TenantKeys::new(entra, authority.clone(), clock), authority, naming }
}

fn of_cloud(naming: Naming, cloud: Cloud) -> Authorities {
    let tenants = ["contoso.onmicrosoft.com", TENANT];
    Authorities::new(vec![published(&tenants, naming, |tenant| Authority::of_cloud(cloud, tenant))])
}

async fn ask(authorities: &Authorities, asked: Document<'_>, naming: Option<Naming>) -> Result<Value, Refusal> {
    let body = answer(authorities, &asked, HERE, naming).await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

async fn metadata_of(authorities: &Authorities, tenant: &str, version: Version, naming: Option<Naming>) -> Value {
    ask(authorities, Document::Metadata { tenant, version }, naming).await.unwrap()
}

fn instance_of(host: &str, tenant: &str) -> Document<'static> {
    Document::Instance { host: host.to_owned(), tenant: tenant.to_owned() }
}

#[tokio::test]
async fn a_local_document_names_this_machine_as_the_client_called_it() {
    let authorities = of_cloud(Naming::Local, Cloud::Public);
    for tenant in [TENANT, "Contoso.OnMicrosoft.com"] {
        let base = format!("{HERE}/{tenant}");
        for (version, v) in [(Version::V1, ""), (Version::V2, "/v2.0")] {
            let document = metadata_of(&authorities, tenant, version, None).await;
            // An OIDC client adds the well-known path to the issuer and expects the URL that it asked.
            assert_eq!(document["issuer"], format!("{base}{v}"));
            assert_eq!(document["authorization_endpoint"], format!("{base}/oauth2{v}/authorize"));
            assert_eq!(document["token_endpoint"], format!("{base}/oauth2{v}/token"));
            assert_eq!(document["jwks_uri"], format!("{base}/discovery{v}/keys"));
            assert!(!document.to_string().contains("login.microsoftonline.com"), "{document}");
        }
    }
}

#[tokio::test]
async fn a_document_of_entra_sends_only_the_token_request_here() {
    for (cloud, host, v1_issuer) in [
        (Cloud::Public, "https://login.microsoftonline.com", "https://sts.windows.net"),
        (Cloud::UsGov, "https://login.microsoftonline.us", "https://sts.windows.net"),
        (Cloud::China, "https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn"),
    ] {
        let authorities = of_cloud(Naming::Entra, cloud);
        let document = metadata_of(&authorities, "contoso.onmicrosoft.com", Version::V2, None).await;
        assert_eq!(document["issuer"], format!("{host}/{TENANT}/v2.0"), "what `iss` says, which has the GUID");
        assert_eq!(document["token_endpoint"], format!("{HERE}/contoso.onmicrosoft.com/oauth2/v2.0/token"));
        for (name, rest) in [
            ("authorization_endpoint", "oauth2/v2.0/authorize"),
            ("end_session_endpoint", "oauth2/v2.0/logout"),
            ("device_authorization_endpoint", "oauth2/v2.0/devicecode"),
            ("jwks_uri", "discovery/v2.0/keys"),
        ] {
            assert_eq!(document[name], format!("{host}/{TENANT}/{rest}"));
        }
        let document = metadata_of(&authorities, TENANT, Version::V1, None).await;
        assert_eq!(document["issuer"], format!("{v1_issuer}/{TENANT}/"));
        assert_eq!(document["token_endpoint"], format!("{HERE}/{TENANT}/oauth2/token"));
    }
}

#[tokio::test]
async fn behind_the_token_proxy_nothing_is_ours() {
    for naming in [Naming::Local, Naming::Entra] {
        let authorities = of_cloud(naming, Cloud::Public);
        for version in [Version::V1, Version::V2] {
            let document = metadata_of(&authorities, TENANT, version, Some(Naming::Microsoft)).await;
            assert!(!document.to_string().contains("localhost"), "{document}");
            let token = document["token_endpoint"].as_str().unwrap();
            assert!(token.starts_with(&format!("https://login.microsoftonline.com/{TENANT}/oauth2/")), "{token}");
        }
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_named_with_its_port() {
    let own = |tenant| Authority::at_host("https://entra.test:8443", tenant).unwrap();
    let authorities = Authorities::new(vec![published(&[TENANT], Naming::Entra, own)]);
    let document = metadata_of(&authorities, TENANT, Version::V2, None).await;
    assert_eq!(document["issuer"], format!("https://entra.test:8443/{TENANT}/v2.0"));
    let asked = instance_of("entra.test", TENANT);
    let document = ask(&authorities, asked, Some(Naming::Microsoft)).await.unwrap();
    assert_eq!(document["metadata"][0]["aliases"], json!(["entra.test:8443"]));
}

#[tokio::test]
async fn an_unknown_tenant_is_refused_in_entras_words_without_naming_the_known_ones() {
    let authorities = of_cloud(Naming::Local, Cloud::Public);
    for tenant in [OTHER, "common", "organizations", "eyJhbGciOiJub25lIn0.e30."] {
        for asked in [
            Document::Metadata { tenant, version: Version::V2 },
            Document::Keys { tenant },
            instance_of("localhost", tenant),
        ] {
            let refusal = ask(&authorities, asked, None).await.unwrap_err();
            assert_eq!((refusal.status, refusal.code), (StatusCode::BAD_REQUEST, "unknown-tenant"));
            let body = crate::dialect::refuse_elsewhere(&refusal, ManualClock::standing(1_800_000_000).now());
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["error"], &body["error_codes"]), (&"invalid_tenant".into(), &json!([90_002])));
            let text = body["error_description"].as_str().unwrap();
            assert!(!text.contains(TENANT) && !text.contains("eyJ"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_instance_is_this_machine_by_its_name_with_or_without_its_port() {
    let authorities = of_cloud(Naming::Local, Cloud::Public);
    let document = ask(&authorities, instance_of("LOCALHOST", TENANT), None).await.unwrap();
    let discovery = format!("{HERE}/{TENANT}/v2.0/.well-known/openid-configuration");
    assert_eq!(document["tenant_discovery_endpoint"], discovery);
    let alone = json!([{
        "preferred_network": "localhost:4743", "preferred_cache": "localhost:4743", "aliases": ["localhost:4743"],
    }]);
    assert_eq!(document["metadata"], alone);
    for host in ["login.microsoftonline.com", "localhost.evil.example", "127.0.0.1"] {
        let refusal = ask(&authorities, instance_of(host, TENANT), None).await.unwrap_err();
        assert_eq!((refusal.status, refusal.code), (StatusCode::BAD_REQUEST, "unknown-authority"), "{host}");
    }
}

#[tokio::test]
async fn the_instances_of_microsoft_are_all_its_clouds_and_know_the_tenants_that_are_none() {
    let authorities = of_cloud(Naming::Local, Cloud::Public);
    // Python asks about `common` to learn the aliases, whatever its own tenant is.
    for (host, tenant) in [("login.microsoftonline.com", "common"), ("login.windows.net", TENANT)] {
        let document = ask(&authorities, instance_of(host, tenant), Some(Naming::Microsoft)).await.unwrap();
        let discovery = format!("https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration");
        assert_eq!(document["tenant_discovery_endpoint"], discovery);
        let networks = document["metadata"].as_array().unwrap();
        assert_eq!(networks.len(), 3);
        assert_eq!(networks[0]["preferred_network"], "login.microsoftonline.com");
        assert!(networks[0]["aliases"].as_array().unwrap().contains(&"sts.windows.net".into()));
    }
    for (host, tenant) in [("login.microsoftonline.us", TENANT), ("evil.example", TENANT), ("login.windows.net", OTHER)]
    {
        assert!(ask(&authorities, instance_of(host, tenant), Some(Naming::Microsoft)).await.is_err(), "{host}");
    }
}

#[test]
fn where_the_client_is_shows_in_its_connection_and_its_host_header() {
    let address = ([127, 0, 0, 1], 50_000).into();
    let mut headers = HeaderMap::new();
    let unix = Peer::Unix { uid: 0, gid: 0, pid: None };
    assert_eq!(here(&unix, &headers), "http://localhost");
    headers.insert(header::HOST, HeaderValue::from_static("LocalHost:4743"));
    assert_eq!(here(&Peer::Tls(address), &headers), "https://LocalHost:4743");
    assert_eq!(here(&Peer::Tcp(address), &headers), "http://LocalHost:4743");
}
