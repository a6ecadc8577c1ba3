//! The tenants and applications while the emulator runs: what settings said, changed since by API or admin path.
//!
//! Not the checks. Easy to get wrong: a secret or certificate may go or come while a request is being judged, so each
//! look takes the lock once and holds it for no longer.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::EmulatorError;
use super::settings::{ApplicationSettings, CertificateSource, SecretSettings, Settings, TenantSettings};
use crate::ids::Guid;
use crate::secret::{Fingerprint, Secret};

/// Every tenant with its applications and the resources they may ask for.
pub(super) struct Directory {
    tenants: Vec<TenantSettings>,
    applications: Vec<Application>,
    resources: Vec<String>,
}

impl Directory {
    pub(super) fn new(settings: &Settings) -> Result<Self, EmulatorError> {
        let applications = settings.applications.iter().map(Application::new).collect::<Result<_, _>>()?;
        let resources = settings.resources.iter().flat_map(|resource| resource.ids.iter().cloned()).collect();
        Ok(Self { tenants: settings.tenants.clone(), applications, resources })
    }

    /// By id or domain, in any letter case: JS lower-cases the whole authority (contract B11).
    pub(super) fn tenant(&self, text: &str) -> Option<&TenantSettings> {
        let text = text.to_ascii_lowercase();
        self.tenants.iter().find(|tenant| tenant.id.as_str() == text || tenant.domains.contains(&text))
    }

    pub(super) fn application(&self, tenant: &TenantSettings, client_id: &str) -> Option<&Application> {
        let client_id = Guid::parse(client_id).ok()?;
        self.applications.iter().find(|app| app.settings.tenant == tenant.id && app.settings.client_id == client_id)
    }

    pub(super) fn application_of(&self, tenant: &Guid, client_id: &Guid) -> Option<&Application> {
        let fits = |app: &&Application| app.settings.tenant == *tenant && app.settings.client_id == *client_id;
        self.applications.iter().find(fits)
    }

    /// Applications with this client id, in whichever tenant.
    pub(super) fn everywhere<'a>(&'a self, client_id: &'a Guid) -> impl Iterator<Item = &'a Application> {
        self.applications.iter().filter(move |app| app.settings.client_id == *client_id)
    }

    /// By the object id of the application, in the tenant with this id.
    pub(super) fn by_object(&self, tenant: &str, object_id: &Guid) -> Option<&Application> {
        let in_tenant = |app: &&Application| app.settings.tenant.as_str() == tenant;
        self.applications.iter().filter(in_tenant).find(|app| app.object_id == *object_id)
    }

    /// A declared resource, or an application as an API.
    pub(super) fn has_resource(&self, id: &str) -> bool {
        let client_id = id.strip_prefix("api://").unwrap_or(id);
        self.resources.iter().any(|resource| resource == id)
            || self.applications.iter().any(|app| app.settings.client_id.as_str() == client_id)
    }
}

/// A registered application.
pub(super) struct Application {
    pub(super) settings: ApplicationSettings,
    /// Of the service principal: the claims `oid` and `sub`.
    pub(super) principal: Guid,
    /// Of the application itself, by which Graph names it.
    pub(super) object_id: Guid,
    secrets: Mutex<Vec<SecretSettings>>,
    certificates: Mutex<Vec<Certificate>>,
}

/// How a presented secret compares with the application's.
pub(super) enum SecretMatch {
    Valid,
    Expired,
    None,
}

impl Application {
    fn new(settings: &ApplicationSettings) -> Result<Self, EmulatorError> {
        let certificates = settings.certificates.iter().map(load).collect::<Result<_, _>>()?;
        Ok(Self {
            principal: settings.object_id.clone().unwrap_or_else(|| derived_guid(settings.client_id.as_str())),
            object_id: settings
                .application_object_id
                .clone()
                .unwrap_or_else(|| derived_guid(&format!("application {}", settings.client_id))),
            secrets: Mutex::new(settings.secrets.clone()),
            certificates: Mutex::new(certificates),
            settings: settings.clone(),
        })
    }

    pub(super) fn compare_secret(&self, presented: &Secret, now: u64) -> SecretMatch {
        let presented = presented.fingerprint();
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let matching: Vec<_> = secrets.iter().filter(|secret| secret.value.fingerprint() == presented).collect();
        if matching.is_empty() {
            SecretMatch::None
        } else if matching.iter().all(|secret| secret.expires.is_some_and(|at| at <= now)) {
            SecretMatch::Expired
        } else {
            SecretMatch::Valid
        }
    }

    pub(super) fn remove_secrets(&self) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn add_certificate(&self, pem: &str) -> Result<(), EmulatorError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| EmulatorError::NotACertificate)?;
        self.add_der(&der)
    }

    pub(super) fn add_der(&self, der: &CertificateDer<'_>) -> Result<(), EmulatorError> {
        let certificate = Certificate::of(der)?;
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner).push(certificate);
        Ok(())
    }

    pub(super) fn certificate(&self, fits: impl Fn(&Certificate) -> bool) -> Option<Certificate> {
        let certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.iter().find(|certificate| fits(certificate)).cloned()
    }
}

/// What Entra keeps of an uploaded certificate.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) sha1: Vec<u8>,
    pub(super) sha256: Vec<u8>,
    /// DER `SubjectPublicKeyInfo`.
    pub(super) public_key: Vec<u8>,
    /// Seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    /// The first certificate of a PEM text.
    fn parse(pem: &str) -> Result<Self, EmulatorError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| EmulatorError::NotACertificate)?;
        Self::of(&der)
    }

    fn of(der: &CertificateDer<'_>) -> Result<Self, EmulatorError> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|_| EmulatorError::NotACertificate)?;
        Ok(Self {
            sha1: digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec(),
            sha256: digest::digest(&digest::SHA256, der).as_ref().to_vec(),
            public_key: parsed.public_key().raw.to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

fn load(source: &CertificateSource) -> Result<Certificate, EmulatorError> {
    match source {
        CertificateSource::Pem(pem) => Certificate::parse(pem),
        CertificateSource::File(path) => {
            let pem = std::fs::read_to_string(path)
                .map_err(|source| EmulatorError::ReadCertificate { path: path.clone(), source })?;
            Certificate::parse(&pem)
        }
    }
}

/// The same GUID for the same text in every run, so that an `oid` can be written into a test.
pub(super) fn derived_guid(text: &str) -> Guid {
    let hex = Fingerprint::of(text.as_bytes()).hex();
    let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]);
    Guid::parse(&text).unwrap_or_else(|_| Guid::random())
}
