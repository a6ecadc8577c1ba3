//! Builds the reqwest client, and builds it anew when the CA or the password file changed.
//!
//! At the first request and not at start: parsing the platform's roots takes some 5 ms. Easy to get wrong: reqwest looks
//! for a proxy in the environment, follows redirects and repeats requests unless told not to.

use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, Proxy, redirect, retry};

use super::watched::Watched;
use super::{OutboundError, Settings, origin};
use crate::secret::Fingerprint;

/// The client of the moment.
pub(super) struct Clients {
    settings: Settings,
    roots: Option<Watched<Vec<Certificate>>>,
    password: Option<Watched<HeaderValue>>,
    built: Mutex<Option<(Mark, Client)>>,
}

/// What a client was built of: the contents of both files.
type Mark = (Option<Fingerprint>, Option<Fingerprint>);

impl Clients {
    pub(super) fn new(settings: Settings) -> Self {
        let roots = settings.ca_file.clone().map(Watched::roots);
        let password = settings.proxy_auth_file.clone().map(Watched::password);
        Self { settings, roots, password, built: Mutex::default() }
    }

    /// Blocks: reads the files, and parses some hundred certificates when it builds.
    pub(super) fn current(&self) -> Result<Client, OutboundError> {
        let (roots, ca) = self.roots.as_ref().map(Watched::current).transpose()?.unzip();
        let (password, auth) = self.password.as_ref().map(Watched::current).transpose()?.unzip();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((mark, client)) = built.as_ref()
            && *mark == (ca, auth)
        {
            return Ok(client.clone());
        }
        let client = self.build(roots.unwrap_or_default(), password)?;
        *built = Some(((ca, auth), client.clone()));
        Ok(client)
    }

    fn build(&self, roots: Vec<Certificate>, password: Option<HeaderValue>) -> Result<Client, OutboundError> {
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(self.settings.connect_timeout)
            .timeout(self.settings.deadline);
        builder =
            if self.settings.ca_file_alone { builder.tls_certs_only(roots) } else { builder.tls_certs_merge(roots) };
        if let Some(url) = &self.settings.proxy {
            let invalid = |_| OutboundError::Address { url: origin(url) };
            let proxy = Proxy::all(url.clone()).map_err(invalid)?;
            builder = builder.proxy(password.into_iter().fold(proxy, Proxy::custom_http_auth));
        }
        builder = self.settings.past.lead(builder);
        // The roots of `ca_file` were tried before, so what is left to fail is the platform's store.
        builder.build().map_err(|source| OutboundError::Roots { source: io::Error::other(source) })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients(…)")
    }
}
