//! The raw shape of the configuration file.
//!
//! The doc comments here are the single source of the JSON Schema and of `docs/configuration.md`: write them for the
//! operator. Not where values are judged (`check` does that). Easy to get wrong: keys are part of the product. Add, do
//! not rename; and every field is optional here, because what is missing is reported together with everything else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const HTTP: [&str; 1] = ["127.0.0.1:4780"];
pub(super) const DOORS: [&str; 4] = ["imds", "app-service", "oauth", "plain"];
pub(super) const ADMIN: &str = "127.0.0.1:9464";
pub(super) const WAIT: &str = "10s";
pub(super) const DRAIN: &str = "0s";
pub(super) const UNIX_MODE: &str = "0660";
pub(super) const LEVEL: &str = "info";
pub(super) const SINK_MODE: &str = "0600";
pub(super) const STATE_DIR: &str = "/var/lib/unsecret";
pub(super) const LIMIT: &str = "10s";
pub(super) const TCTI: &str = "device:/dev/tpmrm0";

/// The configuration of `unsecret run`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where applications and operators reach the broker.
    #[serde(default)]
    pub(super) listen: Listen,
    /// What the broker writes to stderr.
    #[serde(default)]
    pub(super) log: Log,
    /// PKCS#11 modules, for keys in tokens and HSMs.
    #[serde(default)]
    pub(super) pkcs11: Pkcs11,
    /// The TPM, for keys in it.
    #[serde(default)]
    pub(super) tpm: Tpm,
    /// Directory for what must outlive a restart: which PINs a token has refused. Made if it is not there; in a
    /// container it belongs on a volume. Without it `$STATE_DIRECTORY`, which systemd sets. A change needs a restart.
    #[schemars(extend("default" = STATE_DIR, "examples" = ["/var/lib/unsecret"]))]
    pub(super) state_dir: Option<String>,
    /// One for each application registration whose tokens are handed out.
    #[serde(default)]
    pub(super) identity: Vec<Identity>,
}

/// Where applications and operators reach the broker.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// Addresses of the HTTP doors. Loopback only; `169.254.169.254:80` is taken as well where the machine has that
    /// address; anything else needs `unsafe_any_address`.
    #[schemars(extend("default" = HTTP, "examples" = [["127.0.0.1:4780"]]))]
    pub(super) http: Option<Vec<String>>,
    /// Path of a Unix socket with the same doors. Over it a caller is known by its uid and gid.
    #[schemars(extend("examples" = ["/run/unsecret/unsecret.sock"]))]
    pub(super) unix: Option<String>,
    /// Permission bits of the Unix socket, in octal.
    #[schemars(extend("default" = UNIX_MODE, "examples" = ["0660"]))]
    pub(super) unix_mode: Option<String>,
    /// Group that owns the Unix socket: a name or a number.
    #[schemars(extend("examples" = ["www-data"]))]
    pub(super) unix_group: Option<String>,
    /// The doors that are open: `imds`, `app-service`, `app-service-2017`, `oauth`, `cloud-shell`, `plain`, `token-proxy`.
    #[schemars(extend("default" = DOORS, "examples" = [["app-service", "oauth", "cloud-shell"]]))]
    pub(super) doors: Option<Vec<String>>,
    /// Address of the same doors over TLS, for clients that take only an https authority. Loopback, as `http`.
    #[schemars(extend("examples" = ["127.0.0.1:4743"]))]
    pub(super) https: Option<String>,
    /// PEM file with the certificate of `https`, leaf first. Without it a local CA makes one (`unsecret trust`). Read
    /// again when it changes.
    #[schemars(extend("examples" = ["/etc/unsecret/https.pem"]))]
    pub(super) https_certificate: Option<String>,
    /// PEM file with the key of `https_certificate`.
    #[schemars(extend("examples" = ["/etc/unsecret/https.key"]))]
    pub(super) https_key: Option<String>,
    /// Login hosts that clients are made to find here, by a hosts entry of their own: what is asked of a configured
    /// identity is answered, everything else is passed on to the real host. Needs `https`.
    #[schemars(extend("default" = [], "examples" = [["login.microsoftonline.com"]]))]
    pub(super) takeover: Option<Vec<String>>,
    /// Where the hosts of `takeover` really are: addresses, with a port unless it is 443. Without it the name servers of
    /// this machine are asked, past the hosts file.
    #[schemars(extend("examples" = [["203.0.113.10"]]))]
    pub(super) takeover_addresses: Option<Vec<String>>,
    /// More names that the `Host` header of a request may carry, beside loopback literals, `localhost` and
    /// `169.254.169.254`.
    #[schemars(extend("default" = [], "examples" = [["unsecret.internal"]]))]
    pub(super) hosts: Option<Vec<String>>,
    /// Address of `/metrics` and the probes; any address is allowed. `off` serves none.
    #[schemars(extend("default" = ADMIN, "examples" = ["0.0.0.0:9464"]))]
    pub(super) admin: Option<String>,
    /// How long a request without a held token waits for one, at most a minute.
    #[schemars(extend("default" = WAIT, "examples" = ["10s"]))]
    pub(super) wait: Option<String>,
    /// How long the doors go on answering after SIGTERM, at most an hour.
    #[schemars(extend("default" = DRAIN, "examples" = ["5s"]))]
    pub(super) drain: Option<String>,
    /// Lets `http` take any address: everyone who reaches it may ask for tokens.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) unsafe_any_address: Option<bool>,
}

/// What the broker writes to stderr.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `warn,unsecret=debug`. No level prints a secret.
    #[schemars(extend("default" = LEVEL, "examples" = ["unsecret=debug"]))]
    pub(super) level: Option<String>,
    /// One JSON object a line instead of text.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) json: Option<bool>,
}

/// PKCS#11 modules, for keys in tokens and HSMs. A change needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pkcs11 {
    /// The only modules that a key may name: absolute paths. Without it any absolute path will do.
    #[schemars(extend("examples" = [["/usr/lib/softhsm/libsofthsm2.so"]]))]
    pub(super) modules: Option<Vec<String>>,
    /// Variables for the modules' own process, which otherwise has those of the broker. As a variable, pairs of
    /// `NAME=value` with commas between them.
    #[schemars(extend("examples" = [{"SOFTHSM2_CONF": "/etc/unsecret/softhsm2.conf"}]))]
    pub(super) environment: Option<BTreeMap<String, String>>,
    /// How long one call into a module or a TPM may take before it counts as hung, at most 5 minutes. Logins and
    /// openings may take three times as long.
    #[schemars(extend("default" = LIMIT, "examples" = ["20s"]))]
    pub(super) limit: Option<String>,
}

/// The TPM, for keys in it. A change needs a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tpm {
    /// How to reach the TPM, in the form of the TSS: a driver, a colon and what belongs to it.
    #[schemars(extend("default" = TCTI, "examples" = ["device:/dev/tpmrm0"]))]
    pub(super) tcti: Option<String>,
}

/// One application registration whose tokens are handed out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// Name in logs and metrics: letters, digits, `.`, `_` and `-`. Without a file it is `default`.
    #[schemars(extend("examples" = ["billing"], "x-required" = true))]
    pub(super) name: Option<String>,
    /// The directory: a GUID or a verified domain. Without a file, `AZURE_TENANT_ID`.
    #[schemars(extend("examples" = ["11111111-aaaa-4bbb-8ccc-222222222222"], "x-required" = true))]
    pub(super) tenant: Option<String>,
    /// Other spellings of the same tenant that callers use in their token URL.
    #[schemars(extend("default" = [], "examples" = [["contoso.onmicrosoft.com"]]))]
    pub(super) tenant_aliases: Option<Vec<String>>,
    /// The application (client) id, a GUID. Without a file, `AZURE_CLIENT_ID`.
    #[schemars(extend("examples" = ["33333333-dddd-4eee-8fff-444444444444"], "x-required" = true))]
    pub(super) client_id: Option<String>,
    /// The object id by which callers may choose this identity.
    #[schemars(extend("examples" = ["55555555-eeee-4fff-8aaa-666666666666"]))]
    pub(super) object_id: Option<String>,
    /// The Azure resource id by which callers may choose this identity.
    #[schemars(extend("examples" = ["/subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/billing"]))]
    pub(super) resource_id: Option<String>,
    /// Which Entra. Not together with `authority_host`.
    #[schemars(extend("default" = "public", "examples" = ["usgov"]))]
    pub(super) cloud: Option<Cloud>,
    /// Another login host, such as the emulator's. Without a file, `AZURE_AUTHORITY_HOST`.
    #[schemars(extend("examples" = ["https://login.microsoftonline.com"]))]
    pub(super) authority_host: Option<String>,
    /// PEM file of roots to trust on the way to Entra beside the system's. Read again when it changes.
    #[schemars(extend("examples" = ["/etc/unsecret/inspection-root.pem"]))]
    pub(super) ca_file: Option<String>,
    /// HTTP proxy on the way to Entra, or `direct`. Without it `HTTPS_PROXY` and `NO_PROXY` are honoured.
    #[schemars(extend("examples" = ["http://proxy.internal:3128"]))]
    pub(super) proxy: Option<String>,
    /// File with `user:password` for the proxy. Read again when it changes.
    #[schemars(extend("examples" = ["/etc/unsecret/proxy.auth"]))]
    pub(super) proxy_auth_file: Option<String>,
    /// What may be asked for: scopes that end in `/.default`, or `["*"]` for any.
    #[schemars(extend("examples" = [["https://graph.microsoft.com/.default"]], "x-required" = true))]
    pub(super) scopes: Option<Vec<String>>,
    /// Which issuer and endpoints the discovery documents name: this machine (`local`), or Entra but for the token
    /// endpoint (`entra`), which is what clients need that check an `id_token`.
    #[schemars(extend("default" = "local", "examples" = ["entra"]))]
    pub(super) discovery: Option<Discovery>,
    /// Scopes for which sign-ins, refresh tokens and on-behalf-of are passed on with this identity's proof, or `["*"]`
    /// for any. None without it.
    #[schemars(extend("default" = [], "examples" = [["https://graph.microsoft.com/User.Read"]]))]
    pub(super) relay_scopes: Option<Vec<String>>,
    /// Tokens to hold from the start on, before anybody asks. Each must be among `scopes`.
    #[schemars(extend("default" = [], "examples" = [["https://graph.microsoft.com/.default"]]))]
    pub(super) prefetch: Option<Vec<String>>,
    /// Whether `/readyz` waits for this identity.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(super) required: Option<bool>,
    /// What proves to Entra who we are: exactly one of `file`, `github` and `certificates`.
    #[serde(default)]
    #[schemars(extend("x-required" = true, "examples" = [{"file": "/var/run/secrets/unsecret/token"}]))]
    pub(super) assertion: Assertion,
    /// Serves everybody who reaches a loopback door, doors without keys included. On purpose; otherwise at least one
    /// caller rule is needed. A key that is shown must be right all the same where the identity has one.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) any_local_caller: Option<bool>,
    /// Who may use this identity: any number of rules, one key each.
    #[serde(default)]
    pub(super) caller: Vec<Caller>,
    /// Files to keep fresh for clients that only read files: any number.
    #[serde(default)]
    pub(super) sink: Vec<Sink>,
}

/// What discovery documents name.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Discovery {
    Local,
    Entra,
}

/// Which Entra.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cloud {
    Public,
    UsGov,
    China,
}

/// What proves to Entra who we are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assertion {
    /// A token file that the platform writes and rotates. Read again for every exchange. Without a file,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    #[schemars(extend("examples" = ["/var/run/secrets/unsecret/token"]))]
    pub(super) file: Option<String>,
    /// The audience that the token in `file` must carry. The default is the cloud's.
    #[schemars(extend("default" = "api://AzureADTokenExchange", "examples" = ["api://AzureADTokenExchangeUSGov"]))]
    pub(super) audience: Option<String>,
    /// GitHub Actions' token endpoint, asked for every exchange. The job needs `permissions: id-token: write`.
    #[schemars(extend("examples" = [{}]))]
    pub(super) github: Option<Github>,
    /// Certificates registered with the application, the newest first.
    #[serde(default)]
    pub(super) certificates: Option<Vec<Certificate>>,
    /// How certificate assertions are signed. Without it PS256, and RS256 where the key cannot do PSS with a salt of
    /// 32 bytes.
    #[schemars(extend("examples" = ["RS256"]))]
    pub(super) algorithm: Option<Algorithm>,
    /// How often to sign a test message, so that a dead token or TPM is known before a token is due; from 10 seconds to
    /// a day. Without it never.
    #[schemars(extend("examples" = ["5m"]))]
    pub(super) test_every: Option<String>,
}

/// GitHub Actions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Github {
    /// The audience to ask GitHub for. The default is the cloud's.
    #[schemars(extend("default" = "api://AzureADTokenExchange", "examples" = ["api://AzureADTokenExchangeChina"]))]
    pub(super) audience: Option<String>,
}

/// One certificate and its key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// PEM file with the leaf first, or a PKCS#12 file.
    #[schemars(extend("examples" = ["/etc/unsecret/billing.pem"], "x-required" = true))]
    pub(super) certificate: Option<String>,
    /// Where its private key is, in one of the forms below: `file:`, `pkcs11:` or `tpm:`.
    #[schemars(extend("examples" = ["file:/etc/unsecret/billing.key"], "x-required" = true))]
    pub(super) key: Option<String>,
}

/// How certificate assertions are signed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Algorithm {
    Ps256,
    Rs256,
}

/// One rule about who may use the identity: exactly one of its keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Caller {
    /// File that holds the caller's local key, as `unsecret caller add` makes it.
    #[schemars(extend("examples" = ["/etc/unsecret/billing.caller"]))]
    pub(super) key_file: Option<String>,
    /// Name of the variable that holds the caller's key, such as a pod's UID.
    #[schemars(extend("examples" = ["POD_UID"]))]
    pub(super) key_env: Option<String>,
    /// SHA-256 of the caller's key, in hexadecimal, as `unsecret caller hash` prints it.
    #[schemars(extend("examples" = ["b9cf6f2d55d565062a92c16fe43ab47c12bb6164a6ba117ba1be87fd00dbe755"]))]
    pub(super) key_sha256: Option<String>,
    /// User id of the process at the other end of the Unix socket.
    #[schemars(extend("examples" = [1000], "maximum" = u32::MAX - 1))]
    pub(super) uid: Option<u32>,
    /// Primary group id of the process at the other end of the Unix socket.
    #[schemars(extend("examples" = [1000], "maximum" = u32::MAX - 1))]
    pub(super) gid: Option<u32>,
}

/// One file to keep fresh: an access token for `scope`, or, with `assertion = true`, what proves who we are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sink {
    /// The file, which is replaced whole. Its directory must exist, and is best one where only the broker may write.
    #[schemars(extend("examples" = ["/run/unsecret/billing.token"], "x-required" = true))]
    pub(super) file: Option<String>,
    /// What the access token is for; must be among `scopes`. Held from the start on, as with `prefetch`.
    #[schemars(extend("examples" = ["https://graph.microsoft.com/.default"]))]
    pub(super) scope: Option<String>,
    /// Writes an assertion in place of an access token, for clients that exchange it themselves
    /// (`AZURE_FEDERATED_TOKEN_FILE`). Not limited by `scopes`: whoever reads it may ask Entra for any token of the
    /// application.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) assertion: Option<bool>,
    /// How the access token is written: alone, as a JSON object, as a password file of PostgreSQL, or as an HTTP header.
    #[schemars(extend("default" = "raw", "examples" = ["json"]))]
    pub(super) format: Option<SinkFormat>,
    /// The four fields before the password, for `format = "pgpass"`: host, port, database and user. `:` and `\` in a field
    /// need a `\` before them.
    #[schemars(extend("examples" = ["db.example:5432:*:billing"]))]
    pub(super) pgpass: Option<String>,
    /// Permission bits of the file, in octal. None for others.
    #[schemars(extend("default" = SINK_MODE, "examples" = ["0640"]))]
    pub(super) mode: Option<String>,
    /// User that owns the file: a name or a number. Only root may give a file away.
    #[schemars(extend("examples" = ["billing"]))]
    pub(super) owner: Option<String>,
    /// Group of the file: a name or a number.
    #[schemars(extend("examples" = ["billing"]))]
    pub(super) group: Option<String>,
    /// A command to run after each write, word by word: no shell, no variables but `PATH`, 30 s. As a variable, its words
    /// are separated by blanks.
    #[schemars(extend("default" = [], "examples" = [["systemctl", "reload", "pgbouncer"]]))]
    pub(super) reload: Option<Vec<String>>,
}

/// How an access token is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SinkFormat {
    Raw,
    Json,
    Pgpass,
    Header,
}
