//! `unsecret check`: what is wrong with a configuration, or what it would run.
//!
//! Reads as `run` does and stops before anything is opened: no port, no signing key, no network. Easy to get wrong:
//! problems go to stderr and the summary to stdout, so that a pipeline sees only one of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Exit, note, say};
use crate::config::{
    AssertionSettings, Config, Environment, Identity, Listen, OutboundSettings, SinkContent, SinkSettings, TokenFormat,
};
use crate::ids::Resource;
use crate::policy::{Allowed, CallerRule};

/// Check a configuration and report every problem at once.
///
/// Reads the file, the variables and the local keys; opens no port, no signing key and no connection: whether these can
/// be had only `run` finds out.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret check --config /etc/unsecret/config.toml
  UNSECRET_LISTEN_HTTP=0.0.0.0:80 unsecret check --config config.toml   is that override taken?
  AZURE_TENANT_ID=… AZURE_CLIENT_ID=… unsecret check   what is missing to run without a file?

Exit status: 0 nothing is wrong, 2 something is.";

pub(super) fn run(args: &Args) -> Exit {
    match Config::load(args.config.as_deref(), &Environment::of_process()) {
        Ok(config) => {
            for warning in &config.warnings {
                note(&format!("warning: {warning}\n"));
            }
            for absence in absences(&config) {
                note(&format!("warning: {absence}\n"));
            }
            say(&summary(&config))
        }
        Err(problems) => {
            note(&problems.report());
            Exit::Usage
        }
    }
}

/// Files that are named and not there now. No problem yet: a platform may write its token later, and the configuration
/// may be meant for another machine. Looks for names only and opens nothing.
fn absences(config: &Config) -> Vec<String> {
    let mut absences = Vec::new();
    if let Some(files) = config.listen.https.as_ref().and_then(|https| https.files.as_ref()) {
        for (what, path) in [("https_certificate", &files.certificate), ("https_key", &files.key)] {
            if !path.exists() {
                absences.push(format!("{what} `{}` is not there now", path.display()));
            }
        }
    }
    for identity in &config.identities {
        let mut look = |what: &str, path: &Path| {
            let name = &identity.entry.name;
            let absence = format!("identity `{name}`: {what} `{}` is not there now", path.display());
            // Several sinks may want the same directory.
            if !path.exists() && !absences.contains(&absence) {
                absences.push(absence);
            }
        };
        match &identity.assertion {
            AssertionSettings::File { path, .. } => look("token file", path),
            AssertionSettings::Github { .. } => {}
            AssertionSettings::Certificates { certificates, .. } => {
                for one in certificates {
                    look("certificate", &one.certificate);
                    one.key.files().for_each(|(what, path)| look(what, path));
                }
            }
        }
        let OutboundSettings { ca_file, proxy_auth_file, .. } = &identity.outbound;
        for (what, path) in [("ca_file", ca_file), ("proxy_auth_file", proxy_auth_file)] {
            if let Some(path) = path {
                look(what, path);
            }
        }
        for folder in identity.sinks.iter().filter_map(|sink| sink.file.parent()) {
            look("directory of a sink", folder);
        }
    }
    absences
}

/// What would run, a line each.
fn summary(config: &Config) -> String {
    let mut out = "the configuration is good\n".to_owned();
    let _ = writeln!(out, "listen     {}", places(&config.listen));
    let _ = writeln!(out, "doors      {}", config.listen.doors);
    let admin = config.listen.admin.map_or_else(|| "off".to_owned(), |address| address.to_string());
    let _ = writeln!(out, "admin      {admin}");
    for identity in &config.identities {
        let entry = &identity.entry;
        let _ = writeln!(out, "identity   {}: application {} at {}", entry.name, entry.client_id, identity.authority);
        let _ = writeln!(out, "  proof    {}", proof(&identity.assertion));
        let _ = writeln!(out, "  scopes   {}", scopes(identity));
        let _ = writeln!(out, "  callers  {}", callers(identity));
        for sink in &identity.sinks {
            let _ = writeln!(out, "  sink     {}", described(sink));
        }
        if let Some(proxy) = &identity.outbound.proxy {
            let _ = writeln!(out, "  proxy    {proxy}");
        }
    }
    out
}

fn places(listen: &Listen) -> String {
    let http = listen.http.iter().map(|address| format!("http://{address}"));
    let https = listen.https.iter().map(|https| match &https.files {
        Some(files) => format!("https://{} (certificate {})", https.address, files.certificate.display()),
        None => format!("https://{} (local CA)", https.address),
    });
    let unix = listen.unix.iter().map(|unix| format!("unix:{unix}"));
    let places: Vec<_> = http.chain(https).chain(unix).collect();
    if places.is_empty() { "what systemd hands over".to_owned() } else { places.join(", ") }
}

fn proof(assertion: &AssertionSettings) -> String {
    match assertion {
        AssertionSettings::File { path, audience } => format!("token file {} for {audience}", path.display()),
        AssertionSettings::Github { audience, .. } => format!("GitHub Actions, for {audience}"),
        AssertionSettings::Certificates { certificates, algorithm, .. } => {
            let each = certificates.iter().map(|one| format!("{} with key {}", one.certificate.display(), one.key));
            let algorithm = algorithm.map_or_else(String::new, |algorithm| format!(" ({algorithm:?})"));
            format!("certificate {}{algorithm}", each.collect::<Vec<_>>().join(", then "))
        }
    }
}

fn scopes(identity: &Identity) -> String {
    let allowed = match &identity.entry.allowed {
        Allowed::Any => "any".to_owned(),
        Allowed::Listed(listed) => listed.iter().map(Resource::scope).collect::<Vec<_>>().join(", "),
    };
    match identity.prefetch.len() {
        0 => allowed,
        held => format!("{allowed}; {held} held from the start"),
    }
}

/// Who may use an identity, by kind.
pub(super) fn callers(identity: &Identity) -> String {
    let rules = &identity.entry.callers;
    let count = |kind: fn(&CallerRule) -> bool| rules.iter().filter(|rule| kind(rule)).count();
    let kinds = [
        ("local key", count(|rule| matches!(rule, CallerRule::Key(_)))),
        ("uid", count(|rule| matches!(rule, CallerRule::Uid(_)))),
        ("gid", count(|rule| matches!(rule, CallerRule::Gid(_)))),
    ];
    let mut parts: Vec<_> = kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {kind}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if identity.entry.any_local_caller {
        parts.push("any local caller".to_owned());
    }
    if parts.is_empty() {
        parts.push("none: only its sinks are served".to_owned());
    }
    parts.join(", ")
}

/// `/run/unsecret/pg.pass: https://…/.default as pgpass (mode 0600, owner postgres), then runs systemctl`.
fn described(sink: &SinkSettings) -> String {
    let what = match &sink.content {
        SinkContent::Assertion => "an assertion".to_owned(),
        SinkContent::Token { resource, format } => {
            let format = match format {
                TokenFormat::Raw => "",
                TokenFormat::Json => " as json",
                TokenFormat::Header => " as header",
                TokenFormat::Pgpass(_) => " as pgpass",
            };
            format!("{}{format}", resource.scope())
        }
    };
    let mut out = format!("{}: {what} (mode {:04o}", sink.file.display(), sink.mode);
    for (key, name) in [("owner", &sink.owner), ("group", &sink.group)] {
        if let Some(name) = name {
            let _ = write!(out, ", {key} {name}");
        }
    }
    out.push(')');
    // The first word alone: the others may hold what is not for everybody's eyes.
    if let Some(program) = sink.reload.first() {
        let _ = write!(out, ", then runs {program}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_would_run() {
        let text = r#"
[listen]
unix = "/run/unsecret/unsecret.sock"
admin = "off"
[[identity]]
name = "billing"
tenant = "contoso.onmicrosoft.com"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
prefetch = ["https://graph.microsoft.com/.default"]
assertion = { certificates = [{ certificate = "/c.pem", key = "file:/c.key" }] }
caller = [{ uid = 1 }, { uid = 2 }, { gid = 3 }]
[[identity.sink]]
file = "/run/unsecret/billing.token"
assertion = true
reload = ["systemctl", "reload", "billing"]
[[identity.sink]]
file = "/run/unsecret/pg.pass"
scope = "https://graph.microsoft.com/.default"
format = "pgpass"
pgpass = "db:5432:*:billing"
owner = "postgres"
"#;
        let config = Config::from_text(text, "c.toml", &Environment::default()).unwrap();
        let expected = "\
the configuration is good
listen     http://127.0.0.1:4780, unix:/run/unsecret/unsecret.sock (mode 0660)
doors      imds, app-service, oauth, plain
admin      off
identity   billing: application 33333333-dddd-4eee-8fff-444444444444 at https://login.microsoftonline.com/contoso.onmicrosoft.com
  proof    certificate /c.pem with key file:/c.key
  scopes   https://graph.microsoft.com/.default; 1 held from the start
  callers  2 uids, 1 gid
  sink     /run/unsecret/billing.token: an assertion (mode 0600), then runs systemctl
  sink     /run/unsecret/pg.pass: https://graph.microsoft.com/.default as pgpass (mode 0600, owner postgres)
";
        assert_eq!(summary(&config), expected);
    }
}
