//! What a setting of an injected pod may be, whether an annotation or the chart's values say it.
//!
//! Text only. Easy to get wrong: both readers must go through these, or an annotation means another thing than the value
//! it stands in for; and every refusal says what is right, because it is read by who wrote the pod.

use std::fmt;

use url::Url;

use crate::authority::{Authority, Cloud};
use crate::ids::{DEFAULT_SUFFIX, Door, Doors, Guid, NotA, Resource, Tenant};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $rule:literal, { $($(#[$each:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub(super) fn parse(text: &str) -> Result<Self, NotA> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(NotA($rule)) }
            }
        }
    };
}

words!(
    /// What becomes of a container that would go past the broker.
    Leftover, "write deny, strip or warn", { Deny = "deny", Strip = "strip", Warn = "warn" }
);
words!(
    /// How clients find the broker.
    Intercept, "write env or loopback-address", {
        Env = "env",
        LoopbackAddress = "loopback-address",
        /// Where the platform's own metadata server has that address. Not in the rule: who needs it has read the page.
        ForceLoopbackAddress = "force-loopback-address",
    }
);
words!(
    /// Whether the broker is a native sidecar.
    Native, "write auto, true or false", { Auto = "auto", Yes = "true", No = "false" }
);
words!(
    /// How much the broker writes.
    LogLevel, "write error, warn, info, debug or trace", {
        Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace",
    }
);
words!(
    /// When nodes pull the image.
    PullPolicy, "write Always, IfNotPresent or Never", { Always = "Always", IfNotPresent = "IfNotPresent", Never = "Never" }
);
words!(
    /// Where the cluster runs, as far as it matters here.
    Platform, "write aks, eks, gke, openshift, onprem, or leave it empty", {
        Unknown = "", Aks = "aks", Eks = "eks", Gke = "gke", OpenShift = "openshift", OnPrem = "onprem",
    }
);

/// Whose process the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunAs {
    /// One that nothing else in the pod has.
    Dedicated,
    /// That of every other container of the pod.
    Same,
    /// Whatever the cluster gives.
    Unset,
    Uid(u32),
}

impl RunAs {
    pub(super) fn parse(text: &str) -> Result<Self, NotA> {
        let uid = |text: &str| text.parse().ok().filter(|uid| (1..=i32::MAX.cast_unsigned()).contains(uid));
        match text {
            "dedicated" => Ok(Self::Dedicated),
            "same" => Ok(Self::Same),
            "unset" => Ok(Self::Unset),
            _ => uid(text).map(Self::Uid).ok_or(NotA("write dedicated, same, unset, or a user id that is not 0")),
        }
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dedicated => f.write_str("dedicated"),
            Self::Same => f.write_str("same"),
            Self::Unset => f.write_str("unset"),
            Self::Uid(uid) => write!(f, "{uid}"),
        }
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, NotA> {
    text.parse().map_err(|_| NotA("write true or false"))
}

/// The kubelet makes no token that lasts less than ten minutes, and we ask for none that lasts more than a day.
pub(super) fn expiration(text: &str) -> Result<u32, NotA> {
    let seconds = text.parse().ok().filter(|seconds| (600..=86_400).contains(seconds));
    seconds.ok_or(NotA("write a number of seconds from 600 to 86400"))
}

pub(super) fn cloud(text: &str) -> Result<Cloud, NotA> {
    let named = Cloud::ALL.into_iter().find(|cloud| cloud.as_str() == text);
    named.ok_or(NotA("write public, usgov or china"))
}

/// As the broker's configuration takes it.
pub(super) fn authority_host(text: &str) -> Result<String, NotA> {
    Authority::at_host(text, Tenant::parse("tenant.example")?).map(|_| text.to_owned())
}

/// No broker keeps a password for a proxy in a variable that everybody may read who may read pods.
pub(super) fn proxy(text: &str) -> Result<String, NotA> {
    const RULE: NotA = NotA("write a URL such as http://proxy.internal:3128, without a user or password");
    let url = Url::parse(text).map_err(|_| RULE)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    fits.then(|| text.to_owned()).ok_or(RULE)
}

pub(super) fn some_text(text: &str) -> Result<String, NotA> {
    let fits = !text.is_empty() && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or(NotA("write one line of text"))
}

pub(super) fn port(text: &str) -> Result<u16, NotA> {
    text.parse().ok().filter(|port| *port != 0).ok_or(NotA("write a port from 1 to 65535"))
}

/// One that an injected broker can have. The hook for a token proxy needs TLS, and so a CA that every client trusts.
pub(super) fn door(text: &str) -> Result<Door, NotA> {
    const RULE: NotA =
        NotA("the doors of an injected broker are app-service, imds, oauth, cloud-shell, plain and app-service-2017");
    Door::parse(text).ok().filter(|door| *door != Door::TokenProxy).ok_or(RULE)
}

pub(super) fn doors(text: &str) -> Result<Doors, NotA> {
    listed(text).into_iter().map(door).collect()
}

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resources {
    Any,
    Only(Vec<Resource>),
}

impl Resources {
    /// # Errors
    /// When one is neither a URI nor a GUID, or `*` is not alone.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, NotA> {
        let texts: Vec<_> = texts.collect();
        if texts == ["*"] {
            return Ok(Self::Any);
        }
        texts.into_iter().map(resource).collect::<Result<_, _>>().map(Self::Only)
    }

    pub(super) fn parse(text: &str) -> Result<Self, NotA> {
        Self::of(listed(text).into_iter())
    }

    /// As the broker's configuration takes them.
    pub(super) fn scopes(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Only(some) => some.iter().map(Resource::scope).collect::<Vec<_>>().join(","),
        }
    }
}

/// A resource, or its scope: people copy either.
fn resource(text: &str) -> Result<Resource, NotA> {
    const RULE: NotA = NotA("a resource is a URI such as https://vault.azure.net, or a GUID; `*` alone is any");
    let text = text.strip_suffix(DEFAULT_SUFFIX).unwrap_or(text);
    let is_uri = text.contains("://") && Url::parse(text).is_ok() && !text.contains(',');
    if !is_uri && Guid::parse(text).is_err() {
        return Err(RULE);
    }
    Resource::parse(text)
}

/// The entries of a list with commas. An empty text is one empty entry, which nothing takes.
pub(super) fn listed(text: &str) -> Vec<&str> {
    text.trim().trim_end_matches(',').split(',').map(str::trim).collect()
}

/// Each is looked for among all containers.
const MOST_NAMES: usize = 100;

/// Names of containers.
pub(super) fn names(text: &str) -> Result<Vec<String>, NotA> {
    const RULE: NotA = NotA("write at most 100 names of containers with commas between");
    let is_wrong = |name: &&str| name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let names = listed(text);
    if names.len() > MOST_NAMES || names.iter().any(is_wrong) {
        Err(RULE)
    } else {
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

/// Of a ConfigMap: a DNS subdomain (RFC 1123), as the API server wants it.
pub(super) fn object_name(text: &str) -> Result<String, NotA> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label =
        |label: &str| label.starts_with(fits) && label.ends_with(fits) && label.chars().all(|c| fits(c) || c == '-');
    let name = (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_owned());
    name.ok_or(NotA("write the name of a ConfigMap in the pod's namespace"))
}

/// An amount of cpu or memory: a number and a suffix, as the API server takes it.
pub(super) fn quantity(text: &str) -> Result<String, NotA> {
    const SUFFIXES: [&str; 15] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let digits = number.replacen('.', "", 1);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = is_number && SUFFIXES.contains(&&text[number.len()..]);
    fits.then(|| text.to_owned()).ok_or(NotA("write an amount such as 5m of cpu or 64Mi of memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_of_the_api_server() {
        for right in ["5m", "0.1", "64Mi", "1", "128M", ".5"] {
            assert!(quantity(right).is_ok(), "{right}");
        }
        for wrong in ["", "Mi", "64MB", "64 Mi", "-1", "1.2.3", "64mi"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_resource_may_be_written_as_its_scope() {
        let read = |text| Resources::parse(text).map(|resources| resources.scopes());
        let two = "https://vault.azure.net/.default,https://database.windows.net//.default";
        assert_eq!(read("https://vault.azure.net, https://database.windows.net/").as_deref(), Ok(two));
        assert_eq!(read(two).as_deref(), Ok(two));
        assert_eq!(read("*").as_deref(), Ok("*"));
        for wrong in ["", "vault", "*,https://vault.azure.net", "https://a b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn root_is_no_user_for_the_broker() {
        assert_eq!(RunAs::parse("1000"), Ok(RunAs::Uid(1_000)));
        for wrong in ["0", "-1", "root", "2147483648", ""] {
            assert!(RunAs::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_door_that_needs_tls_is_none_of_an_injected_broker() {
        assert!(doors("app-service, imds").is_ok());
        assert!(doors("token-proxy").is_err() && doors("").is_err());
    }
}
