//! A scripted user agent: asks the emulator's authorize endpoint and reads what the redirect says.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use unsecret::emulator::Emulator;
use url::Url;

/// Somebody with a browser who signs in at one emulator.
pub struct Browser {
    client: Client,
}

/// What came of a visit to the authorize endpoint.
#[derive(Debug)]
pub struct Visit {
    pub status: u16,
    /// Where the answer leads; `None` for a page.
    pub target: Option<Url>,
    pub body: String,
}

impl Browser {
    pub fn of(emulator: &Emulator) -> Self {
        let ca = Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([ca]).no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client }
    }

    /// Opens a URL that a client made, and stops at the redirect back to it.
    pub async fn open(&self, url: &str) -> Visit {
        let response = self.client.get(url).send().await.unwrap();
        let place = response.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let target = place.map(|place| Url::parse(&place).unwrap());
        Visit { status, target, body: response.text().await.unwrap() }
    }

    /// Asks with these parameters.
    pub async fn visit(&self, endpoint: &str, parameters: &BTreeMap<&str, String>) -> Visit {
        self.open(Url::parse_with_params(endpoint, parameters).unwrap().as_str()).await
    }
}

impl Visit {
    /// A parameter of the redirect.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.target.as_ref()?.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The code of a success.
    pub fn code(&self) -> String {
        self.parameter("code")
            .unwrap_or_else(|| panic!("no code: {} {:?}", self.status, self.parameter("error_description")))
    }
}
