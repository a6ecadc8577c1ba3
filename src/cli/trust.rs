//! `unsecret trust`: what the clients of the https listener are to trust, as files, and the variable that leads each runtime
//! to them (contract B13).
//!
//! Needs no running broker: where there is no certificate yet it is made as `run` would. Easy to get wrong: most of these
//! variables replace what the machine trusts, so they name the file that has both.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::env::{Format, hand_over};
use super::terminal::Paint;
use super::variables::Change;
use super::{Exit, complain, note};
use crate::app::provision;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Environment};
use crate::https::{
    COMBINED, HttpsError, Provision, ROOTS, TRUST_STORE, TRUST_STORE_PASSWORD, machine_roots, root, trusted,
};
use crate::secret::Secret;

/// Write what clients of the https listener are to trust, and print variables.
///
/// For the certificate that the broker makes for itself (listen.https): its root, which may sign for the configured names and
/// for nothing else, and the next one as soon as there is one. For a company's certificate it says which root is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to write; without it `https` below the configuration's `state_dir`, where the broker keeps them fresh
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Who is to read the variables
    #[arg(long, value_name = "FORMAT", default_value = "sh")]
    format: Format,
}

const AFTER_HELP: &str = "\
Examples:
  eval \"$(unsecret trust --config /etc/unsecret/config.toml)\"
  unsecret trust --config config.toml --dir /srv/app/trust   where the application can read them
  unsecret trust --config config.toml --format dotenv > trust.env
  unsecret trust --config config.toml --format github         appends to $GITHUB_ENV

It writes three files:
  roots.pem       the broker's roots alone, for who adds them to others (Node)
  combined.pem    those and this machine's, for who replaces (Python, Go, .NET on Linux, Rust, curl)
  truststore.p12  the same for Java; its password is changeit and protects nothing

A new certificate's root joins the files 95 days before the certificate is used. The broker sees to
the files in its own folder; for another --dir run this again now and then, a month apart at most.
Applications read them at their start.

Exit status: 0 done, 1 failed, 2 the configuration is wrong.";

/// Which variables name which file, and who reads them.
const COMBINED_FOR: [(&str, &str); 3] = [
    ("REQUESTS_CA_BUNDLE", "Python: requests, and so msal and azure-identity"),
    ("SSL_CERT_FILE", "Python: aiohttp, httpx; Go; .NET on Linux; Rust; OpenSSL"),
    ("CURL_CA_BUNDLE", "curl"),
];
const ROOTS_FOR: (&str, &str) = ("NODE_EXTRA_CA_CERTS", "Node");
const JAVA: (&str, &str) = ("JAVA_TOOL_OPTIONS", "Java");

pub(super) fn run(args: &Args) -> Exit {
    let config = match Config::load_places(args.config.as_deref(), &Environment::of_process()) {
        Ok(config) => config,
        Err(problems) => {
            note(&problems.report());
            return Exit::Usage;
        }
    };
    if config.listen.https.is_none() {
        note("warning: the configuration has no `listen.https`: nobody shows this certificate yet\n");
    }
    let done = match provision(&config) {
        Provision::Files { certificate, .. } => name_root(&certificate),
        Provision::Local { folder, names } => spread(args, &folder, &names),
    };
    done.unwrap_or_else(|problem| {
        complain(&problem);
        Exit::Failed
    })
}

fn spread(args: &Args, folder: &Path, names: &[String]) -> Result<Exit, HttpsError> {
    let bundle = trusted(folder, names, SystemClock::new().now())?;
    let directory = args.dir.as_deref().unwrap_or(folder);
    bundle.write(directory)?;
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let change = change(&directory, std::env::var(JAVA.0).ok().as_deref());
    let paint = Paint::stderr();
    let count = bundle.count();
    let mut text =
        format!("{count} local root{} written to {}\n", if count == 1 { "" } else { "s" }, directory.display());
    for (variable, who) in COMBINED_FOR.into_iter().chain([ROOTS_FOR, JAVA]) {
        let _ = writeln!(text, "  {}  {who}", paint.strong(&format!("{variable:<19}")));
    }
    if let Some(closed) = closed(&directory) {
        let _ = writeln!(
            text,
            "{} other users cannot look into {}; write what they need elsewhere with --dir",
            paint.doubtful("warning:"),
            closed.display()
        );
    }
    note(&text);
    Ok(hand_over(args.format, &change, None))
}

fn change(directory: &Path, java: Option<&str>) -> Change {
    let file = |name: &str| directory.join(name).display().to_string();
    let combined = file(COMBINED);
    let mut set: Vec<_> = COMBINED_FOR.iter().map(|(name, _)| (*name, Secret::new(combined.as_str()))).collect();
    set.push((ROOTS_FOR.0, Secret::new(file(ROOTS))));
    set.push((JAVA.0, Secret::new(java_options(&file(TRUST_STORE), java))));
    Change { set, unset: Vec::new() }
}

/// What was there goes first: of two settings of one property Java takes the last.
fn java_options(store: &str, before: Option<&str>) -> String {
    const PROPERTY: &str = "-Djavax.net.ssl.trustStore";
    // Quoted as the JVM takes it: options are parted by white space.
    let store = if store.contains(char::is_whitespace) { format!("\"{store}\"") } else { store.to_owned() };
    let ours = format!("{PROPERTY}={store} {PROPERTY}Type=PKCS12 {PROPERTY}Password={TRUST_STORE_PASSWORD}");
    match before.map(str::trim) {
        // Set by an earlier run of this verb.
        Some(before) if before.contains(&ours) => before.to_owned(),
        Some(before) if !before.is_empty() => format!("{before} {ours}"),
        _ => ours,
    }
}

/// The folder on the way there that strangers cannot pass.
fn closed(directory: &Path) -> Option<PathBuf> {
    let passable = |folder: &Path| std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    directory.ancestors().find(|folder| !passable(folder)).map(Path::to_owned)
}

/// A company's certificate: its clients know the root already, or its administrators do.
fn name_root(certificate: &Path) -> Result<Exit, HttpsError> {
    let root = root(certificate, &machine_roots())?;
    let place = if root.in_chain { "the last certificate of" } else { "the root of whom issued the last of" };
    let mut text = format!("clients need the root `{}`, {place} `{}`\n", root.name, certificate.display());
    text += if root.on_machine {
        "this machine trusts it: for applications that ask the machine nothing has to be set\n"
    } else {
        "this machine does not have it: install it (update-ca-certificates), or name its PEM file in\n\
         NODE_EXTRA_CA_CERTS, and with the machine's roots in SSL_CERT_FILE and REQUESTS_CA_BUNDLE\n"
    };
    note(&text);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_is_led_to_the_file_that_it_takes() {
        let change = change(Path::new("/t"), None);
        let set: Vec<_> = change.set.iter().map(|(name, value)| (*name, value.expose())).collect();
        let java = "-Djavax.net.ssl.trustStore=/t/truststore.p12 -Djavax.net.ssl.trustStoreType=PKCS12 \
                    -Djavax.net.ssl.trustStorePassword=changeit";
        let expected = [
            ("REQUESTS_CA_BUNDLE", "/t/combined.pem"),
            ("SSL_CERT_FILE", "/t/combined.pem"),
            ("CURL_CA_BUNDLE", "/t/combined.pem"),
            ("NODE_EXTRA_CA_CERTS", "/t/roots.pem"),
            ("JAVA_TOOL_OPTIONS", java),
        ];
        assert_eq!(set, expected);
    }

    #[test]
    fn what_java_was_told_before_stays_and_nothing_is_told_twice() {
        let once = java_options("/t/a.p12", Some("-Xmx1g"));
        assert!(once.starts_with("-Xmx1g -Djavax.net.ssl.trustStore=/t/a.p12 "), "{once}");
        assert_eq!(java_options("/t/a.p12", Some(&once)), once);
        assert!(java_options("/t t/a.p12", None).starts_with("-Djavax.net.ssl.trustStore=\"/t t/a.p12\" "));
    }

    #[test]
    fn a_folder_that_others_cannot_pass_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        assert_eq!(closed(&dir.path().join("a")).as_deref(), Some(dir.path()));
    }
}
