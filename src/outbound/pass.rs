//! A request of somebody else's, sent on as it is, and the whole answer.
//!
//! Which headers belong to the connection and not to the request is `passing`'s affair. Easy to get wrong: the path and the
//! query must arrive byte for byte, and a URL quietly writes some bytes anew.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use url::Url;

use super::{Answer, Outbound, OutboundError, Request};

/// What is sent on: to port 443 of a host, over TLS.
pub struct Passed<'a> {
    pub host: &'a str,
    pub method: &'a Method,
    /// Its path and query; host and scheme are not looked at.
    pub target: &'a Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Outbound {
    /// Sends it on and reads what comes back; a redirect is an answer like any other. No header is added but the mark of
    /// [`Past`](super::Past) and, where there is no `Accept`, one that says the same (RFC 9110 12.5.1: any type will do).
    pub async fn pass(&self, passed: Passed<'_>) -> Result<Answer, OutboundError> {
        let Passed { host, method, target, headers, body } = passed;
        // A CONNECT has neither, and what follows a yes to it would be no HTTP.
        let path = target.path_and_query().filter(|_| *method != Method::CONNECT);
        let path = path.map(http::uri::PathAndQuery::as_str).unwrap_or_default();
        let unchanged = |url: &Url| url.as_str().strip_prefix(&*format!("https://{host}")) == Some(path);
        let url = Url::parse(&format!("https://{host}{path}")).ok().filter(unchanged);
        let url = url.ok_or_else(|| OutboundError::Target { peer: host.to_owned() })?;
        let mut request = reqwest::Request::new(method.clone(), url);
        *request.headers_mut() = headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        self.send(Request(request)).await
    }
}
