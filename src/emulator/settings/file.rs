//! The settings as TOML spells them, and what is checked about them.
//!
//! Not the issuers: these stand in `issuer`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::issuer::RawIssuer;
use super::{
    ApplicationSettings, CertificateSource, FederatedCredential, ResourceSettings, SecretSettings, Settings,
    SettingsProblems, TenantSettings, UserSettings,
};
use crate::ids::Guid;
use crate::secret::Secret;

/// Entra's limits on federated credentials (contract A7).
const MOST_CREDENTIALS: usize = 20;
const LONGEST_FIELD: usize = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    listen: Option<String>,
    admin: Option<String>,
    hosts: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    accept_replayed_assertions: bool,
    #[serde(default)]
    single_use_refresh_tokens: bool,
    sign_in_frequency: Option<String>,
    cae_token_lifetime: Option<String>,
    #[serde(default)]
    tenant: Vec<RawTenant>,
    #[serde(default)]
    application: Vec<RawApplication>,
    #[serde(default)]
    user: Vec<RawUser>,
    #[serde(default)]
    resource: Vec<RawResource>,
    #[serde(default)]
    issuer: Vec<RawIssuer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTenant {
    id: String,
    #[serde(default)]
    domains: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApplication {
    tenant: String,
    client_id: String,
    object_id: Option<String>,
    application_object_id: Option<String>,
    #[serde(default)]
    secrets: Vec<RawSecret>,
    #[serde(default)]
    certificates: Vec<PathBuf>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    single_page_redirect_uris: Vec<String>,
    #[serde(default)]
    consents: Vec<String>,
    #[serde(default)]
    multi_tenant: bool,
    token_lifetime: Option<String>,
    refresh_in: Option<String>,
    #[serde(default)]
    refuse_self_signed: bool,
    longest_certificate_days: Option<u32>,
    #[serde(default)]
    federated_credential: Vec<RawCredential>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    tenant: String,
    name: String,
    object_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSecret {
    Lasting(String),
    Expiring { value: String, expires: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCredential {
    issuer: String,
    subject: String,
    audience: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResource {
    ids: Vec<String>,
}

pub(super) fn read(text: &str) -> Result<Settings, SettingsProblems> {
    let file: RawSettings = toml::from_str(text).map_err(|wrong| SettingsProblems(vec![place(text, &wrong)]))?;
    let mut check = Check { problems: Vec::new() };
    let settings = check.settings(file);
    if check.problems.is_empty() { Ok(settings) } else { Err(SettingsProblems(check.problems)) }
}

/// The line and toml's own words; not its excerpt nor a text of the wrong type, either of which may be a secret.
fn place(text: &str, wrong: &toml::de::Error) -> String {
    let before = wrong.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let words = match wrong.message().rsplit_once(", expected ") {
        Some((_, expected)) if wrong.message().starts_with("invalid type: string") => {
            format!("invalid type: string, expected {expected}")
        }
        _ => wrong.message().to_owned(),
    };
    format!("line {}: {words}", before.matches('\n').count() + 1)
}

pub(super) struct Check {
    problems: Vec<String>,
}

impl Check {
    fn settings(&mut self, file: RawSettings) -> Settings {
        let usual = Settings::default();
        let listen = file.listen.map_or(usual.listen, |text| self.address("listen", &text));
        let admin = file.admin.map(|text| self.address("admin", &text));
        let hosts = file.hosts.unwrap_or(usual.hosts);
        if hosts.is_empty() {
            self.wrong("hosts", "is empty; name at least one, such as \"localhost\"");
        }
        let settings = Settings {
            listen,
            admin,
            hosts,
            ca_file: file.ca_file,
            accept_replayed_assertions: file.accept_replayed_assertions,
            single_use_refresh_tokens: file.single_use_refresh_tokens,
            sign_in_frequency: file.sign_in_frequency.map(|text| self.duration("sign_in_frequency", &text)),
            cae_token_lifetime: file
                .cae_token_lifetime
                .map_or(usual.cae_token_lifetime, |text| self.duration("cae_token_lifetime", &text)),
            tenants: each(file.tenant, "tenant", |path, raw| self.tenant(path, raw)),
            applications: each(file.application, "application", |path, raw| self.application(path, raw)),
            users: each(file.user, "user", |path, raw| self.user(path, raw)),
            resources: file.resource.into_iter().map(|raw| ResourceSettings { ids: raw.ids }).collect(),
            issuers: each(file.issuer, "issuer", |path, raw| self.issuer(path, raw)),
        };
        self.together(&settings);
        settings
    }

    fn tenant(&mut self, path: &str, raw: RawTenant) -> TenantSettings {
        TenantSettings {
            id: self.guid(&format!("{path}.id"), &raw.id),
            domains: raw.domains.into_iter().map(|domain| domain.to_ascii_lowercase()).collect(),
        }
    }

    fn application(&mut self, path: &str, raw: RawApplication) -> ApplicationSettings {
        let tenant = self.guid(&format!("{path}.tenant"), &raw.tenant);
        let client_id = self.guid(&format!("{path}.client_id"), &raw.client_id);
        let mut application = ApplicationSettings::new(tenant, client_id);
        application.object_id = raw.object_id.map(|text| self.guid(&format!("{path}.object_id"), &text));
        application.application_object_id =
            raw.application_object_id.map(|text| self.guid(&format!("{path}.application_object_id"), &text));
        application.secrets = raw.secrets.into_iter().map(|secret| self.secret(path, secret)).collect();
        application.certificates = raw.certificates.into_iter().map(CertificateSource::File).collect();
        application.roles = raw.roles;
        application.redirect_uris = raw.redirect_uris;
        application.single_page_redirect_uris = raw.single_page_redirect_uris;
        application.consents = raw.consents;
        application.multi_tenant = raw.multi_tenant;
        if let Some(text) = raw.token_lifetime {
            application.token_lifetime = self.duration(&format!("{path}.token_lifetime"), &text);
        }
        application.refresh_in = raw.refresh_in.map(|text| self.duration(&format!("{path}.refresh_in"), &text));
        application.refuse_self_signed = raw.refuse_self_signed;
        application.longest_certificate_days = raw.longest_certificate_days;
        application.federated_credentials = self.credentials(path, raw.federated_credential);
        application
    }

    fn user(&mut self, path: &str, raw: RawUser) -> UserSettings {
        UserSettings {
            tenant: self.guid(&format!("{path}.tenant"), &raw.tenant),
            object_id: raw.object_id.map(|text| self.guid(&format!("{path}.object_id"), &text)),
            name: raw.name,
        }
    }

    fn secret(&mut self, path: &str, raw: RawSecret) -> SecretSettings {
        match raw {
            RawSecret::Lasting(value) => SecretSettings { value: Secret::new(value), expires: None },
            RawSecret::Expiring { value, expires } => {
                let at = expires.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok());
                if at.is_none() {
                    self.wrong(
                        &format!("{path}.secrets"),
                        &format!("expires \"{expires}\" is no time such as \"2026-01-02T03:04:05Z\""),
                    );
                }
                SecretSettings { value: Secret::new(value), expires: at }
            }
        }
    }

    fn credentials(&mut self, path: &str, raw: Vec<RawCredential>) -> Vec<FederatedCredential> {
        let path = format!("{path}.federated_credential");
        if raw.len() > MOST_CREDENTIALS {
            self.wrong(&path, &format!("there are {}; Entra takes at most {MOST_CREDENTIALS}", raw.len()));
        }
        let mut seen = HashSet::new();
        for credential in &raw {
            let RawCredential { issuer, subject, audience } = credential;
            if [issuer, subject, audience].into_iter().any(|text| text.is_empty() || text.len() > LONGEST_FIELD) {
                self.wrong(&path, &format!("issuer, subject and audience have 1 to {LONGEST_FIELD} characters"));
            }
            if !seen.insert((issuer.as_str(), subject.as_str())) {
                self.wrong(&path, &format!("issuer {issuer:?} with subject {subject:?} is there twice"));
            }
        }
        drop(seen);
        let take = |raw: RawCredential| FederatedCredential {
            issuer: raw.issuer,
            subject: raw.subject,
            audience: raw.audience,
        };
        raw.into_iter().map(take).collect()
    }

    /// What can only be seen when all parts are there.
    fn together(&mut self, settings: &Settings) {
        let tenants: HashSet<_> = settings.tenants.iter().map(|tenant| &tenant.id).collect();
        let mut clients = HashSet::new();
        for (index, application) in settings.applications.iter().enumerate() {
            let path = format!("application[{index}]");
            if !tenants.contains(&application.tenant) {
                self.wrong(&format!("{path}.tenant"), &format!("{} is no [[tenant]] id", application.tenant));
            }
            if !clients.insert((&application.tenant, &application.client_id)) {
                self.wrong(&format!("{path}.client_id"), &format!("{} is there twice", application.client_id));
            }
        }
        let mut urls = HashSet::new();
        for (index, issuer) in settings.issuers.iter().enumerate() {
            if !urls.insert(&issuer.url) {
                self.wrong(&format!("issuer[{index}].url"), &format!("{:?} is there twice", issuer.url));
            }
        }
    }

    fn guid(&mut self, path: &str, text: &str) -> Guid {
        Guid::parse(text).unwrap_or_else(|wrong| {
            self.wrong(path, &format!("{text:?} is no GUID; {wrong}"));
            Guid::random()
        })
    }

    pub(super) fn address(&mut self, path: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.wrong(path, &format!("{text:?} is no address such as \"127.0.0.1:4790\""));
            Settings::default().listen
        })
    }

    pub(super) fn duration(&mut self, path: &str, text: &str) -> Duration {
        let unit = |suffix, seconds| {
            let number: u64 = text.strip_suffix(suffix)?.parse().ok()?;
            number.checked_mul(seconds)
        };
        let seconds = unit('s', 1).or_else(|| unit('m', 60)).or_else(|| unit('h', 3_600));
        seconds.filter(|&seconds| seconds > 0).map_or_else(
            || {
                self.wrong(path, &format!("{text:?} is no duration such as \"90s\", \"75m\" or \"1h\""));
                Duration::from_secs(1)
            },
            Duration::from_secs,
        )
    }

    pub(super) fn wrong(&mut self, path: &str, what: &str) {
        self.problems.push(format!("{path}: {what}"));
    }
}

fn each<R, T>(list: Vec<R>, name: &str, mut take: impl FnMut(&str, R) -> T) -> Vec<T> {
    list.into_iter().enumerate().map(|(index, raw)| take(&format!("{name}[{index}]"), raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_made_settings_are_right() {
        let settings = Settings::from_toml(super::super::READY_MADE).unwrap();
        assert_eq!(settings.applications[0].federated_credentials.len(), 1);
    }

    #[test]
    fn every_wrong_value_is_named_with_its_path() {
        let text = "listen = \"here\"\n[[tenant]]\nid = \"x\"\n[[application]]\ntenant = \"y\"\nclient_id = \"z\"\n\
                    token_lifetime = \"1d\"\nsecrets = [{ value = \"canary\", expires = \"soon\" }]\n\
                    [[issuer]]\nurl = \"issuer\"\nat = \"there\"\ngithub = { request_token = \"t\", subject = \"s\", owner_url = \"o\" }";
        let problems = Settings::from_toml(text).unwrap_err();
        let paths = [
            "listen",
            "tenant[0].id",
            "application[0].tenant",
            "application[0].client_id",
            "application[0].token_lifetime",
            "application[0].secrets",
            "issuer[0].url",
            "issuer[0].at",
            "issuer[0].github",
        ];
        for path in paths {
            assert!(problems.0.iter().any(|problem| problem.starts_with(&format!("{path}: "))), "{path}: {problems}");
        }
        assert!(!problems.to_string().contains("canary"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_no_secret() {
        let text = "[[tenant]]\nid = \"x\"\nsecrets = [\"canary\"]\n";
        let problems = Settings::from_toml(text).unwrap_err();
        assert!(problems.0[0].starts_with("line 3: unknown field `secrets`"), "{problems}");
        let mistyped = Settings::from_toml(
            &text.replace("id = \"x\"\nsecrets = [\"canary\"]", "id = \"x\"\ndomains = \"canary\""),
        );
        let shown = problems.to_string() + &mistyped.unwrap_err().to_string();
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn secrets_do_not_print() {
        let tenant = Guid::random();
        let text = format!(
            "[[tenant]]\nid = \"{tenant}\"\n[[application]]\ntenant = \"{tenant}\"\nclient_id = \"{tenant}\"\nsecrets = [\"canary\"]"
        );
        assert!(!format!("{:?}", Settings::from_toml(&text).unwrap()).contains("canary"));
    }
}
