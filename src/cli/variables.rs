//! Which variables lead an unmodified client to a door, and which lead it past (contract B1, B12, B13).
//!
//! Pure: what is set now is handed in. Easy to get wrong: a leftover is as strong as a setting. JS, .NET and Java take a
//! workload identity before anything else, a thumbprint turns App Service into Service Fabric, a secret turns Cloud Shell
//! into App Service, and a client secret goes past every door.

use percent_encoding::{AsciiSet, PercentEncode, utf8_percent_encode};
use url::Url;
use zeroize::Zeroizing;

use crate::ids::{Guid, Tenant};
use crate::secret::Secret;

/// Contract B1: each of them changes which source an SDK picks.
const CHOOSING: [&str; 10] = [
    "APPSETTING_WEBSITE_SITE_NAME",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// Contract B12: what `EnvironmentCredential` takes before it looks for a managed identity.
const PROVING: [&str; 6] = [
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_PASSWORD",
    "AZURE_USERNAME",
];

/// Which credentials `DefaultAzureCredential` tries (contract B12).
const CHAIN: &str = "AZURE_TOKEN_CREDENTIALS";

/// How msrestazure knows App Service (contract B14).
const SITE: &str = "APPSETTING_WEBSITE_SITE_NAME";

/// What a path segment takes as it stands (RFC 3986 2.3); our own keys have nothing else.
const SEGMENT: &AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Contract B13: several SDKs send even these to a proxy unless they are listed.
const NEAR: [&str; 4] = ["localhost", "127.0.0.1", "::1", "169.254.169.254"];

/// A door as a client finds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim<'a> {
    /// Every Azure SDK, by two variables.
    AppService { key: &'a Secret },
    /// Clients of before 2019, Azure ML's form of every SDK but Rust and Java, and Terraform (contract B4, B14).
    AppService2017 { key: &'a Secret, client_id: Option<&'a Guid> },
    /// Clients that know `MSI_ENDPOINT` alone; the key, if there is one, stands in it (contract B5).
    CloudShell { key: Option<&'a Secret> },
    /// Python, JavaScript, .NET and Java; Go and Rust ask the fixed address whatever is set (contract B2).
    Imds,
    /// Programs with a token URL, a client id and a secret of their own.
    Oauth { key: &'a Secret, tenant: &'a Tenant, client_id: &'a Guid },
}

/// What has to change. The values may be keys, so it does not print.
#[derive(Default)]
pub(super) struct Change {
    pub(super) set: Vec<(&'static str, Secret)>,
    pub(super) unset: Vec<&'static str>,
}

impl Change {
    /// For a door below `at`; `now` reads the variables as they are.
    pub(super) fn toward(aim: Aim<'_>, at: &Url, now: impl Fn(&str) -> Option<String>) -> Self {
        let mut set = vec![];
        let mut put = |name, value: &str| set.push((name, Secret::new(value)));
        match aim {
            Aim::AppService { key } => {
                put("IDENTITY_ENDPOINT", &below(at, "msi/token"));
                put("IDENTITY_HEADER", key.expose());
            }
            Aim::AppService2017 { key, client_id } => {
                put("MSI_ENDPOINT", &below(at, "msi/token"));
                put("MSI_SECRET", key.expose());
                // Terraform goes to MSI_ENDPOINT and shows this. Alone it leads nobody elsewhere.
                put("IDENTITY_HEADER", key.expose());
                // By its presence msrestazure knows the place; it never looks at the value.
                put(SITE, now(SITE).as_deref().unwrap_or("unsecret"));
                // Without it .NET refuses to ask for the default identity, and JS sends the text `undefined`.
                if let Some(id) = client_id {
                    put("DEFAULT_IDENTITY_CLIENT_ID", id.as_str());
                }
            }
            Aim::CloudShell { key: None } => put("MSI_ENDPOINT", &below(at, "oauth2/token")),
            Aim::CloudShell { key: Some(key) } => {
                let path = Zeroizing::new(format!("cloud-shell/{}/oauth2/token", path_segment(key)));
                put("MSI_ENDPOINT", &Zeroizing::new(below(at, &path)));
            }
            // With the slash at its end: Python and JS trim it, .NET and Java put up with it.
            Aim::Imds => put("AZURE_POD_IDENTITY_AUTHORITY_HOST", &below(at, "")),
            Aim::Oauth { key, tenant, client_id } => {
                put("AZURE_AUTHORITY_HOST", &below(at, ""));
                put("AZURE_TENANT_ID", tenant.as_str());
                put("AZURE_CLIENT_ID", client_id.as_str());
                put("AZURE_CLIENT_SECRET", key.expose());
            }
        }
        // Else Python and JavaScript take our denial for a machine without identity, and go on to a developer's login.
        // All SDKs that read it know `prod`; names of single credentials came later. What the user chose stands.
        if !matches!(aim, Aim::Oauth { .. }) && matches!(now(CHAIN).as_deref(), None | Some("" | "prod")) {
            put(CHAIN, "prod");
        }
        let (upper, lower) = (now("NO_PROXY"), now("no_proxy"));
        // Who reads one spelling first must not lose what only the other one exempts.
        put("NO_PROXY", &exempting(upper.as_ref().or(lower.as_ref())));
        put("no_proxy", &exempting(lower.as_ref().or(upper.as_ref())));
        let is_set = |name: &str| set.iter().any(|(other, _)| *other == name);
        // SDKs that find it there refuse to ask Cloud Shell, which has no identities to choose from.
        let naming = matches!(aim, Aim::CloudShell { .. }).then_some("AZURE_CLIENT_ID");
        let unset = CHOOSING.into_iter().chain(PROVING).chain(naming).filter(|name| !is_set(name)).collect();
        Self { set, unset }
    }
}

/// A key that somebody else made may have a slash in it.
fn path_segment(key: &Secret) -> PercentEncode<'_> {
    utf8_percent_encode(key.expose(), SEGMENT)
}

fn below(at: &Url, path: &str) -> String {
    format!("{}/{path}", at.as_str().trim_end_matches('/'))
}

/// The list with this machine's own addresses appended, each once.
fn exempting(list: Option<&String>) -> String {
    // No host has a control character in it, and what reads our output line by line would take the next line for code.
    let list: String = list.into_iter().flat_map(|list| list.chars()).filter(|c| !c.is_control()).collect();
    let list = list.trim();
    let has = |name: &str| list.split(',').any(|entry| entry.trim() == name);
    if has("*") {
        return list.to_owned();
    }
    let own = Some(list).filter(|list| !list.is_empty());
    own.into_iter().chain(NEAR.into_iter().filter(|name| !has(name))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{self, CloudShell};

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn at() -> Url {
        Url::parse("http://127.0.0.1:4780").unwrap()
    }

    fn shown(change: &Change) -> Vec<(&str, &str)> {
        change.set.iter().map(|(name, value)| (*name, value.expose())).collect()
    }

    #[test]
    fn app_service_sets_its_two_variables_and_takes_every_other_way_out() {
        let key = Secret::new("k");
        let change = Change::toward(Aim::AppService { key: &key }, &at(), nothing);
        let near = "localhost,127.0.0.1,::1,169.254.169.254";
        let expected = [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:4780/msi/token"),
            ("IDENTITY_HEADER", "k"),
            ("AZURE_TOKEN_CREDENTIALS", "prod"),
            ("NO_PROXY", near),
            ("no_proxy", near),
        ];
        assert_eq!(shown(&change), expected);
        let unset = [&CHOOSING[..4], &CHOOSING[6..], &PROVING].concat();
        assert_eq!(change.unset, unset);
    }

    #[test]
    fn the_old_app_service_is_known_by_its_variables_and_leads_terraform_and_ml_too() {
        let (key, id) = (Secret::new("k"), Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap());
        let aim = Aim::AppService2017 { key: &key, client_id: Some(&id) };
        let change = Change::toward(aim, &at(), nothing);
        let expected = [
            ("MSI_ENDPOINT", "http://127.0.0.1:4780/msi/token"),
            ("MSI_SECRET", "k"),
            ("IDENTITY_HEADER", "k"),
            ("APPSETTING_WEBSITE_SITE_NAME", "unsecret"),
            ("DEFAULT_IDENTITY_CLIENT_ID", id.as_str()),
        ];
        assert_eq!(shown(&change)[..5], expected);
        assert!(change.unset.contains(&"IDENTITY_ENDPOINT"), "with it every SDK would take the newer version");
        let kept = Change::toward(aim, &at(), |name| (name == SITE).then(|| "shop".to_owned()));
        assert!(shown(&kept).contains(&(SITE, "shop")));
    }

    #[test]
    fn cloud_shell_is_one_variable_with_the_key_in_its_path() {
        for (key, path) in [(None, "oauth2/token"), (Some("uns_a-b_c"), "cloud-shell/uns_a-b_c/oauth2/token")] {
            let key = key.map(Secret::new);
            let change = Change::toward(Aim::CloudShell { key: key.as_ref() }, &at(), nothing);
            assert_eq!(shown(&change)[0], ("MSI_ENDPOINT", format!("http://127.0.0.1:4780/{path}").as_str()));
            for name in ["MSI_SECRET", "IDENTITY_ENDPOINT", "AZURE_CLIENT_ID", SITE] {
                assert!(change.unset.contains(&name), "{name}");
            }
        }
        let foreign = Secret::new("a/b?c#d e+f%g");
        let change = Change::toward(Aim::CloudShell { key: Some(&foreign) }, &at(), nothing);
        let path = shown(&change)[0].1.strip_prefix("http://127.0.0.1:4780").unwrap().to_owned();
        let mut headers = http::HeaderMap::new();
        headers.insert("metadata", http::HeaderValue::from_static("true"));
        let request = dialect::Request {
            method: &http::Method::GET,
            path: &path,
            query: "resource=r",
            headers: &headers,
            body: b"",
        };
        let ask = CloudShell::Keyed.ask(&request).unwrap();
        assert_eq!(ask.key.as_deref(), Some(foreign.expose()), "read at the door as it was meant");
    }

    #[test]
    fn imds_takes_out_what_outranks_it() {
        let change = Change::toward(Aim::Imds, &Url::parse("http://127.0.0.1:1/").unwrap(), nothing);
        assert_eq!(shown(&change)[0], ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1/"));
        for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "AZURE_CLIENT_SECRET"] {
            assert!(change.unset.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_denial_sends_no_chain_of_credentials_to_a_developers_login() {
        let (key, tenant, id) = (Secret::new("k"), Tenant::parse("a.example").unwrap(), Guid::random());
        let chain = |aim, given: Option<&str>| {
            let change = Change::toward(aim, &at(), |name| given.filter(|_| name == CHAIN).map(str::to_owned));
            assert!(!change.unset.contains(&CHAIN));
            change.set.into_iter().find(|(name, _)| *name == CHAIN).map(|(_, value)| value.expose().to_owned())
        };
        let managed = [
            Aim::AppService { key: &key },
            Aim::AppService2017 { key: &key, client_id: None },
            Aim::CloudShell { key: None },
            Aim::Imds,
        ];
        for aim in managed {
            for given in [None, Some(""), Some("prod")] {
                assert_eq!(chain(aim, given).as_deref(), Some("prod"), "{aim:?}, {given:?}");
            }
            for chosen in ["dev", "ManagedIdentityCredential"] {
                assert_eq!(chain(aim, Some(chosen)), None, "{aim:?}, {chosen}");
            }
        }
        let oauth = Aim::Oauth { key: &key, tenant: &tenant, client_id: &id };
        assert_eq!(chain(oauth, None), None, "there a denial ends every chain");
    }

    #[test]
    fn what_is_set_is_not_unset() {
        let (key, tenant, client_id) = (Secret::new("k"), Tenant::parse("a.example").unwrap(), Guid::random());
        let aim = Aim::Oauth { key: &key, tenant: &tenant, client_id: &client_id };
        let change = Change::toward(aim, &at(), nothing);
        assert!(change.set.iter().all(|(name, _)| !change.unset.contains(name)));
        assert!(change.unset.contains(&"AZURE_FEDERATED_TOKEN_FILE"));
    }

    #[test]
    fn exemptions_are_appended_and_each_stands_once() {
        let list = |text: &str| exempting(Some(&text.to_owned()));
        assert_eq!(list(".corp, 127.0.0.1"), ".corp, 127.0.0.1,localhost,::1,169.254.169.254");
        assert_eq!(list(&list("a")), list("a"));
        assert_eq!(list("*"), "*");
        assert_eq!(list(" \n"), NEAR.join(","));
        assert_eq!(list("a\r\nb"), list("ab"), "a value is one line");
    }

    #[test]
    fn one_spelling_of_no_proxy_learns_from_the_other() {
        let now = |name: &str| (name == "NO_PROXY").then(|| ".corp".to_owned());
        let change = Change::toward(Aim::Imds, &at(), now);
        let lists = shown(&change).into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("no_proxy"));
        assert_eq!(lists.filter(|(_, value)| value.starts_with(".corp,localhost")).count(), 2);
    }
}
