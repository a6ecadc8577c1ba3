//! .NET and PowerShell, for which no registry is at hand here: what they put on the wire, byte for byte as the contract has it
//! from their sources (B2, B3, B5, B11, B14). Read and replayed, not run; the doors of 2017 are in `doors_replayed`.

use std::fmt::Write as _;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::page;
use crate::support::world::{CLIENT, GRAPH, TENANT, World};

/// A request as one client writes it. `{host}`, `{key}`, `{client}`, `{tenant}` and, for the form's length, `{length}` are filled.
struct Trace {
    client: &'static str,
    with: &'static str,
    door: &'static str,
    set: &'static str,
    head: &'static str,
    form: &'static str,
    /// A text that the answer has to have: this client stops without it.
    needs: &'static str,
}

const TRACES: [Trace; 7] = [
    Trace {
        client: "Azure.Identity (.NET)",
        with: "ManagedIdentityCredential",
        door: "`app-service`",
        set: "`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`",
        head: "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com HTTP/1.1\r\n\
            Host: {host}\r\nX-IDENTITY-HEADER: {key}\r\nx-ms-client-request-id: 0f3f0f6e-6a67-4ad8-a4c5-44e1b8cd3a3e\r\n\r\n",
        form: "",
        needs: "\"expires_on\":\"",
    },
    Trace {
        client: "Microsoft.Azure.Services.AppAuthentication (.NET)",
        with: "AzureServiceTokenProvider",
        door: "`app-service`",
        set: "`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`",
        head: "GET /msi/token?resource=https://graph.microsoft.com&api-version=2019-08-01 HTTP/1.1\r\n\
            Host: {host}\r\nX-IDENTITY-HEADER: {key}\r\n\r\n",
        form: "",
        needs: "\"token_type\":\"Bearer\"",
    },
    Trace {
        client: "Azure.Identity (.NET)",
        with: "ManagedIdentityCredential",
        door: "`imds`, at another address",
        set: "`AZURE_POD_IDENTITY_AUTHORITY_HOST`; not in a chain, whose probe insists on 169.254.169.254",
        head: "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com HTTP/1.1\r\n\
            Host: {host}\r\nMetadata: true\r\nx-client-SKU: MSAL.NetCore\r\nx-client-Ver: 4.76.0.0\r\n\r\n",
        form: "",
        needs: "\"expires_on\":\"",
    },
    Trace {
        client: "MSAL.NET",
        with: "ConfidentialClientApplication",
        door: "`oauth`, https",
        set: "the authority, the local key as secret, `SSL_CERT_FILE`; `WithInstanceDiscovery(false)`, or ten seconds' wait",
        head: "POST /{tenant}/oauth2/v2.0/token HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\
            x-client-SKU: MSAL.NetCore\r\nx-client-Ver: 4.76.0.0\r\nx-client-OS: Linux\r\nx-ms-lib-capability: retry-after, h429\r\n\
            Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n",
        form: "client_id={client}&client_info=1&client_secret={key}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
            &grant_type=client_credentials",
        needs: "\"token_type\":\"Bearer\"",
    },
    Trace {
        client: "Az.Accounts (PowerShell)",
        with: "Connect-AzAccount -Identity",
        door: "`cloud-shell`",
        set: "`MSI_ENDPOINT`",
        head: "POST /cloud-shell/{key}/oauth2/token HTTP/1.1\r\nHost: {host}\r\nMetadata: true\r\n\
            ContentType: application/x-www-form-urlencoded\r\nContent-Type: application/x-www-form-urlencoded\r\n\
            Content-Length: {length}\r\n\r\n",
        form: "resource=https%3A%2F%2Fgraph.microsoft.com",
        needs: "\"expires_on\":\"",
    },
    Trace {
        client: "PowerShell 7",
        with: "Invoke-RestMethod",
        door: "`app-service`",
        set: "`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`",
        // It calls itself a browser, and is none.
        head: "GET /msi/token?resource=https://graph.microsoft.com&api-version=2019-08-01 HTTP/1.1\r\nHost: {host}\r\n\
            X-IDENTITY-HEADER: {key}\r\nUser-Agent: Mozilla/5.0 (Linux; Ubuntu 24.04; en-US) PowerShell/7.4.6\r\n\
            Accept-Encoding: gzip, deflate, br\r\n\r\n",
        form: "",
        needs: "\"access_token\":\"",
    },
    Trace {
        client: "Windows PowerShell 5.1",
        with: "Invoke-WebRequest",
        door: "`imds`, at another address",
        set: "the address in the script",
        head: "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com HTTP/1.1\r\n\
            Metadata: true\r\nUser-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.17763.1\r\n\
            Host: {host}\r\nConnection: Keep-Alive\r\n\r\n",
        form: "",
        needs: "\"access_token\":\"",
    },
];

/// What the probe of Azure.Identity sends: the selector spelled its own way, and no `Metadata`.
const PROBE: &str = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com HTTP/1.1\r\n\
    Host: {host}\r\n\r\n";

#[tokio::test]
async fn dotnet_and_powershell_are_served_what_they_ask_byte_for_byte() {
    let listen = "doors = [\"imds\", \"app-service\", \"oauth\", \"cloud-shell\"]\n".to_owned();
    let world = World::of(crate::support::world::Plan { listen, ..Default::default() }).await;
    let mut rows =
        "| client | through | door | verdict | what has to be set |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for trace in TRACES {
        let Trace { client, with, door, set, head, form, needs } = trace;
        let (status, body) = said(&world, head, form).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{client}: {body}");
        assert!(body.contains(needs), "{client} stops without {needs}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let claims = world.claims(answer["access_token"].as_str().unwrap());
        assert_eq!((&claims["aud"], &claims["appid"]), (&GRAPH.into(), &CLIENT.into()), "{client}");
        let _ = writeln!(rows, "| {client} | `{with}` | {door} | *read and replayed, not run* | {set} |");
    }
    page::hold("docs/clients.md", "dotnet", &rows);
}

#[tokio::test]
async fn the_probe_of_dotnet_is_answered_at_once_with_400() {
    let world = World::new().await;
    let (status, body) = said(&world, PROBE, "").await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(!body.contains("Identity not found"), "it takes that for a machine without an identity: {body}");
}

/// Writes a request as it stands and reads one answer: its first line and its body.
async fn said(world: &World, head: &str, form: &str) -> (String, String) {
    let (host, key) = (world.http().to_string(), world.key.secret().expose());
    let filled = |text: &str| {
        let text = text.replace("{host}", &host).replace("{key}", key);
        text.replace("{client}", CLIENT).replace("{tenant}", TENANT)
    };
    let form = filled(form);
    let request = filled(head).replace("{length}", &form.len().to_string()) + &form;
    let mut stream = TcpStream::connect(world.http()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) {
                return (head.lines().next().unwrap().to_owned(), body.to_owned());
            }
        }
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "the connection ended: {text}");
    }
}
