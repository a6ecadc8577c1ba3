//! Which headers belong to one connection and not to the message (RFC 9110 7.6.1).
//!
//! Easy to get wrong: a sender names more of them in `Connection`; and of a body whose length came in chunks the next hop
//! still has to hear the length, since Entra's front door answers a POST without one with 411.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Those that count as named in `Connection` whether they are or not.
const OF_A_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What goes on to the real host, with the length of the body that is there in whole.
pub(super) fn of_request(headers: &HeaderMap, length: usize) -> HeaderMap {
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let mut out = end_to_end(headers);
    // Met already: the body has been asked for, and is here.
    out.remove(EXPECT);
    if has_body {
        out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    out
}

/// What goes back to the client. A length stays: that of an answer to HEAD is of a body that is not there.
pub(super) fn of_answer(headers: &HeaderMap) -> HeaderMap {
    end_to_end(headers)
}

/// Everything else, each name's values in their order.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    // A message is not itself without these two, whatever its sender says of them.
    let needed = |name: &HeaderName| *name == HOST || *name == CONTENT_LENGTH;
    let stays = |name: &HeaderName| {
        needed(name)
            || !OF_A_CONNECTION.contains(name) && !named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
    };
    let kept = headers.iter().filter(|(name, _)| stays(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn cookies_stay_several_and_in_order() {
        let headers = map(&[("set-cookie", "a=1"), ("location", "/x"), ("set-cookie", "b=2"), ("connection", "close")]);
        let passed = of_answer(&headers);
        assert_eq!(passed.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(passed["location"], "/x");
        assert!(!passed.contains_key("connection"));
    }

    #[test]
    fn a_body_in_chunks_goes_on_with_its_length() {
        let passed = of_request(&map(&[("transfer-encoding", "chunked"), ("expect", "100-continue")]), 12);
        assert_eq!(passed, map(&[("content-length", "12")]));
        assert_eq!(of_request(&map(&[("content-length", "0")]), 0), map(&[("content-length", "0")]));
        assert_eq!(of_request(&map(&[("accept", "*/*")]), 0), map(&[("accept", "*/*")]));
    }

    #[test]
    fn a_sender_cannot_have_the_host_taken_away() {
        let headers = map(&[("host", "login.microsoftonline.com"), ("connection", "Host, X-Own"), ("x-own", "1")]);
        assert_eq!(of_request(&headers, 0), map(&[("host", "login.microsoftonline.com")]));
    }

    const NAMES: [&str; 14] = [
        "accept",
        "authorization",
        "connection",
        "cookie",
        "forwarded",
        "keep-alive",
        "origin",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-own",
    ];

    proptest! {
        #[test]
        fn exactly_what_belongs_to_the_connection_is_left_out(
            picked in proptest::collection::vec((0..NAMES.len(), "[a-z]{1,3}"), 0..12),
            named in proptest::sample::subsequence(vec!["Accept", "Cookie", "x-OWN", "close"], 0..4),
        ) {
            let mut headers: HeaderMap = HeaderMap::new();
            for (name, value) in &picked {
                headers.append(NAMES[*name], value.parse().unwrap());
            }
            for name in &named {
                headers.append(CONNECTION, format!("{name} ,").parse().unwrap());
            }
            let gone = |name: &str| {
                OF_A_CONNECTION.iter().any(|one| one.as_str() == name)
                    || headers.get_all(CONNECTION).iter().any(|value| {
                        value.to_str().unwrap().split(',').any(|one| one.trim().eq_ignore_ascii_case(name))
                    })
            };
            let passed = of_answer(&headers);
            for name in NAMES {
                let before: Vec<_> = headers.get_all(name).iter().collect();
                let after: Vec<_> = passed.get_all(name).iter().collect();
                prop_assert_eq!(after, if gone(name) { Vec::new() } else { before }, "{}", name);
            }
        }
    }
}
