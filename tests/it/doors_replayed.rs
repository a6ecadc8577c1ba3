//! What the clients of the old doors put on the wire, byte by byte (contract B3, B4, B5, B14), and what they read in the answer.
//!
//! The programs themselves are in `clients`; .NET, PowerShell and what is no longer in any registry are here alone.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::world::{CLIENT, VAULT, World};

/// A request as one client writes it. `{key}` stands for the local key, `{form}` for a body in chunks.
struct Trace {
    client: &'static str,
    request: &'static str,
    /// The field that it takes the end of the token's life from, and whether it must be a text.
    ends: (&'static str, bool),
}

const fn trace(client: &'static str, ends: (&'static str, bool), request: &'static str) -> Trace {
    Trace { client, request, ends }
}

const ON: (&str, bool) = ("expires_on", true);
const IN: (&str, bool) = ("expires_in", true);

const OLD_APP_SERVICE: [Trace; 8] = [
    trace("azure-identity for Python on Azure ML", ON, "\
GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r
Host: 127.0.0.1:4780\r\nUser-Agent: azsdk-python-identity/1.27.0 Python/3.11.2\r\nAccept-Encoding: gzip, deflate\r
Accept: */*\r\nConnection: keep-alive\r\nsecret: {key}\r\nMetadata: true\r\n\r\n"),
    trace("@azure/identity on Azure ML, system-assigned without DEFAULT_IDENTITY_CLIENT_ID", ON, "\
GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net&clientid=undefined HTTP/1.1\r
Metadata: true\r\nsecret: {key}\r\nx-client-SKU: msal.js.node\r\nHost: 127.0.0.1:4780\r\nConnection: keep-alive\r\n\r\n"),
    trace("azidentity for Go on Azure ML, default identity", ON, "\
GET /msi/token?api-version=2017-09-01&clientid=&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r
Host: 127.0.0.1:4780\r\nUser-Agent: Go-http-client/1.1\r\nSecret: {key}\r\nAccept-Encoding: gzip\r\n\r\n"),
    trace("MSAL.NET on Azure ML", ON, "\
GET /msi/token?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net&clientid={client} HTTP/1.1\r
Host: 127.0.0.1:4780\r\nsecret: {key}\r\nMetadata: true\r\nx-ms-client-request-id: 7b8a\r\n\r\n"),
    trace("go-autorest adal on App Service", ON, "\
GET /msi/token?api-version=2017-09-01&clientid={client}&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r
Host: 127.0.0.1:4780\r\nUser-Agent: Go/go1.21 (amd64-linux) go-autorest/adal/v1.0.0\r\nSecret: {key}\r
Accept-Encoding: gzip\r\n\r\n"),
    trace("msrestazure, which appends a slash", ON, "\
GET /msi/token/?resource=https%3A%2F%2Fvault.azure.net&api-version=2017-09-01 HTTP/1.1\r
Host: 127.0.0.1:4780\r\nUser-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r
Connection: keep-alive\r\nsecret: {key}\r\n\r\n"),
    trace("PowerShell as Microsoft's pages show it", ON, "\
GET /msi/token/?resource=https://vault.azure.net&api-version=2017-09-01 HTTP/1.1\r
Secret: {key}\r\nUser-Agent: Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1.17763.1\r\nHost: 127.0.0.1:4780\r
Connection: Keep-Alive\r\n\r\n"),
    trace("Terraform's go-azure-sdk with MSI_ENDPOINT and MSI_SECRET", IN, "\
GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r
Host: 127.0.0.1:4780\r\nUser-Agent: Go-http-client/1.1\r\nMetadata: true\r\nx-ms-identity: {key}\r
Accept-Encoding: gzip\r\n\r\n"),
];

const CLOUD_SHELL: [Trace; 8] = [
    trace("azure-identity for Python", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nUser-Agent: azsdk-python-identity/1.27.0 Python/3.11.2\r
Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nMetadata: true\r
Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 44\r\n\r\nresource=https%3A%2F%2Fvault.azure.net&x=123"),
    trace("@azure/identity", ON, "\
POST {path} HTTP/1.1\r\nMetadata: true\r\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\r
Host: 127.0.0.1:50342\r\nContent-Length: 38\r\n\r\nresource=https%3A%2F%2Fvault.azure.net"),
    trace("azidentity for Go, in chunks", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r
Content-Type: application/x-www-form-urlencoded\r\nMetadata: true\r\nAccept-Encoding: gzip\r\n\r\n{chunks}"),
    trace("go-autorest adal, in chunks with a selector", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nUser-Agent: Go/go1.21 go-autorest/adal/v1.0.0\r
Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\nMetadata: true\r
Accept-Encoding: gzip\r\n\r\n4a\r\nclient_id=33333333-dddd-4eee-8fff-444444444444&resource=https%3A%2F%2Fvaul\r
b\r\nt.azure.net\r\n0\r\n\r\n"),
    trace("MSAL.NET with its header that means nothing", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nContentType: application/x-www-form-urlencoded\r\nMetadata: true\r
x-ms-client-request-id: 7b8a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 38\r\n\r
resource=https%3A%2F%2Fvault.azure.net"),
    trace("azure-identity for Java", ON, "\
GET {path}?resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\nMetadata: true\r\nHost: localhost:50342\r
User-Agent: Java/17\r\nAccept: text/html, image/gif, image/jpeg, */*; q=0.2\r\nConnection: keep-alive\r\n\r\n"),
    trace("msrestazure", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nUser-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r
Accept: */*\r\nConnection: keep-alive\r\nMetadata: true\r\nContent-Length: 38\r
Content-Type: application/x-www-form-urlencoded\r\n\r\nresource=https%3A%2F%2Fvault.azure.net"),
    trace("curl with the old extension's fields", ON, "\
POST {path} HTTP/1.1\r\nHost: localhost:50342\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nMetadata:true\r
Content-Length: 75\r\nContent-Type: application/x-www-form-urlencoded\r\n\r
resource=https://vault.azure.net&object_id=&msi_res_id=&client_id=&a=123456"),
];

/// The first line, the headers and the body of the answer.
async fn exchanged(world: &World, request: &str) -> (String, String, Value) {
    let mut stream = TcpStream::connect(world.http()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let (head, length) = loop {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended in the answer");
        let text = String::from_utf8_lossy(&answer);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        break (head.to_owned(), length.parse::<usize>().unwrap());
    };
    while answer.len() < head.len() + 4 + length {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended in the body");
    }
    let (status, headers) = head.split_once("\r\n").unwrap();
    let body = serde_json::from_slice(&answer[head.len() + 4..]).unwrap();
    (status.to_owned(), headers.to_owned(), body)
}

async fn assert_serves(world: &World, trace: &Trace, path: &str) {
    let form = "resource=https%3A%2F%2Fvault.azure.net";
    let chunks = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len());
    let request = trace.request.replace("{path}", path).replace("{key}", world.key.secret().expose());
    let request = request.replace("{client}", CLIENT).replace("{chunks}", &chunks);
    let (status, headers, body) = exchanged(world, &request).await;
    let client = trace.client;
    assert_eq!(status, "HTTP/1.1 200 OK", "{client}: {body}");
    assert!(headers.contains("content-type: application/json"), "{client}: {headers}");
    assert_eq!(world.claims(body["access_token"].as_str().unwrap())["aud"], VAULT, "{client}");
    assert_eq!((&body["resource"], &body["token_type"]), (&VAULT.into(), &"Bearer".into()), "{client}");
    let (field, text) = trace.ends;
    let end = &body[field];
    assert!(end.is_string() == text && end.as_str().unwrap().parse::<u64>().is_ok(), "{client}: {end}");
    assert!(!body.to_string().contains("ExceptionMessage"), "msrestazure takes any body with that word for a failure");
}

#[tokio::test]
async fn every_client_of_the_old_app_service_is_served_as_it_asks() {
    let world = World::new().await;
    for trace in &OLD_APP_SERVICE {
        assert_serves(&world, trace, "").await;
    }
    let page = world.metric(r#"unsecret_http_requests_total{code="200",dialect="app-service-2017"}"#).await;
    assert!((page - 8.0).abs() < 0.5, "all of them, Terraform too, are that door's: {page}");
}

#[tokio::test]
async fn every_client_of_cloud_shell_is_served_with_and_without_a_key_in_its_path() {
    let world = World::new().await;
    let keyed = format!("/cloud-shell/{}/oauth2/token", world.key.secret().expose());
    for path in ["/oauth2/token", &keyed] {
        for trace in &CLOUD_SHELL {
            assert_serves(&world, trace, path).await;
        }
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn the_same_requests_find_closed_doors_in_an_ordinary_broker() {
    let plan = crate::support::world::Plan {
        listen: r#"doors = ["imds", "app-service", "oauth", "plain"]"#.to_owned(),
        ..Default::default()
    };
    let world = World::of(plan).await;
    for trace in OLD_APP_SERVICE.iter().chain(&CLOUD_SHELL) {
        let request = trace.request.replace("{path}", "/oauth2/token").replace("{key}", world.key.secret().expose());
        let (status, _, body) = exchanged(&world, &request.replace("{chunks}", "0\r\n\r\n")).await;
        assert_eq!(status, "HTTP/1.1 404 Not Found", "{}: {body}", trace.client);
        let text = body.to_string();
        assert!(text.contains("door-closed") && text.contains("to listen.doors"), "{}: {text}", trace.client);
    }
    assert_eq!(world.exchanges(), 0);
}
