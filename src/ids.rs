//! Typed names: identities, tenants, client ids, resources and scopes, doors, correlation ids.
//!
//! Pure text rules, no I/O. Easy to get wrong: a scope is a resource plus `/.default` *without* trimming the resource's
//! own trailing slash, even if that doubles it (contract A2), and the inverse strips exactly that suffix.

use std::fmt;
use std::sync::Arc;

/// Why a text is not the name it should be; the wrong value is the caller's to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotA(pub &'static str);

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it goes on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_name!(
    /// The name of an identity in our configuration: 1–64 of `a-z A-Z 0-9 . _ -`. Safe as a metric label.
    IdentityName
);
text_name!(
    /// A GUID in canonical form: 8-4-4-4-12 lower-case hexadecimal digits.
    Guid
);
text_name!(
    /// A tenant: a GUID or a verified domain, lower-case. Never `common`, `organizations` or `consumers` (contract A1).
    Tenant
);
text_name!(
    /// What a token is for, without `/.default`: `https://graph.microsoft.com`, `https://database.windows.net/`, a GUID.
    Resource
);

impl IdentityName {
    /// # Errors
    /// When empty, longer than 64 or with another character.
    pub fn parse(text: &str) -> Result<Self, NotA> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
            return Err(NotA("an identity name has 1 to 64 of the characters a-z A-Z 0-9 . _ -"));
        }
        Ok(Self(text.into()))
    }
}

impl Guid {
    /// Accepts either letter case but no surrounding braces; stores lower case.
    ///
    /// # Errors
    /// When the text is not 8-4-4-4-12 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, NotA> {
        let groups = [8, 4, 4, 4, 12];
        let mut parts = text.split('-');
        let fits = groups.iter().all(|&length| {
            parts.next().is_some_and(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        if !fits || parts.next().is_some() {
            return Err(NotA("a GUID looks like 11111111-aaaa-4bbb-8ccc-222222222222"));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// A fresh random (version 4) GUID.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }
}

impl Tenant {
    /// # Errors
    /// When neither a GUID nor a domain, or one of the multi-tenant words.
    pub fn parse(text: &str) -> Result<Self, NotA> {
        let lower = text.to_ascii_lowercase();
        if matches!(lower.as_str(), "common" | "organizations" | "consumers" | "adfs") {
            return Err(NotA(
                "a tenant is one directory: a GUID or a verified domain, not `common`, `organizations` or `consumers`",
            ));
        }
        let label = |part: &str| {
            !part.is_empty() && part.len() <= 63 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let domain = lower.contains('.') && lower.len() <= 253 && lower.split('.').all(label);
        if Guid::parse(&lower).is_err() && !domain {
            return Err(NotA("a tenant is a GUID or a verified domain such as contoso.onmicrosoft.com"));
        }
        Ok(Self(lower.into()))
    }
}

/// The suffix that turns a resource into a v2 scope.
pub const DEFAULT_SUFFIX: &str = "/.default";

impl Resource {
    /// Takes the text as it is, including its trailing slash and letter case.
    ///
    /// # Errors
    /// When empty, longer than 1024, or with white space or control characters.
    pub fn parse(text: &str) -> Result<Self, NotA> {
        Self::check(text).map(|()| Self(text.into()))
    }

    /// The check of [`Resource::parse`] without the allocation.
    ///
    /// # Errors
    /// As [`Resource::parse`].
    pub fn check(text: &str) -> Result<(), NotA> {
        // Printable ASCII has neither, and is quickly told: this stands in the way of every answer. To the end, not to the
        // first that is none: so the compiler looks at sixteen at once.
        let plain = text.bytes().fold(true, |plain, byte| plain & byte.is_ascii_graphic());
        let broken = || text.chars().any(|c| c.is_whitespace() || c.is_control());
        if text.is_empty() || text.len() > 1024 || (!plain && broken()) {
            return Err(NotA("a resource is an App ID URI or a GUID, such as https://vault.azure.net"));
        }
        Ok(())
    }

    /// From a v2 scope: strips exactly the suffix `/.default`.
    ///
    /// # Errors
    /// When the scope does not end so, or what is before it is no resource.
    pub fn from_scope(scope: &str) -> Result<Self, NotA> {
        let Some(resource) = scope.strip_suffix(DEFAULT_SUFFIX) else {
            return Err(NotA("a scope is one resource ending in /.default, such as https://vault.azure.net/.default"));
        };
        Self::parse(resource)
    }

    /// The v2 scope: resource + `/.default`, even if that doubles a slash.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}{DEFAULT_SUFFIX}", self.0)
    }
}

/// Equal as far as policy is concerned: one trailing slash of either does not matter.
#[must_use]
pub fn same_resource(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

/// The number of a user or group: `name` itself, or what `listing` (the text of `/etc/passwd` or `/etc/group`) says of
/// it. Names of other name services need their number: looking them up would need foreign code in-process.
#[must_use]
pub fn account_number(name: &str, listing: &str) -> Option<u32> {
    let listed = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    name.parse().ok().or_else(|| listing.lines().find_map(listed))
}

/// A dialect as offered to applications. The names are the same in configuration, flags and metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// Azure IMDS, contract B2.
    Imds,
    /// App Service managed identity 2019-08-01, contract B3.
    AppService,
    /// App Service managed identity 2017-09-01 and Azure ML: the header `secret`, contract B3 and B4.
    AppService2017,
    /// OAuth 2 token endpoints v1 and v2, contract B11.
    Oauth,
    /// Cloud Shell and the old VM extension, contract B5.
    CloudShell,
    /// Two GETs for scripts.
    Plain,
    /// The OAuth endpoints behind `AZURE_KUBERNETES_TOKEN_PROXY`, contract B10.
    TokenProxy,
}

impl Door {
    /// Every door, in the order of their index.
    pub const ALL: [Self; 7] = [
        Self::Imds,
        Self::AppService,
        Self::AppService2017,
        Self::Oauth,
        Self::CloudShell,
        Self::Plain,
        Self::TokenProxy,
    ];

    /// The doors that are open unless the configuration says which.
    pub const USUAL: [Self; 4] = [Self::Imds, Self::AppService, Self::Oauth, Self::Plain];

    /// The name as configuration, flags and labels spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imds => "imds",
            Self::AppService => "app-service",
            Self::AppService2017 => "app-service-2017",
            Self::Oauth => "oauth",
            Self::CloudShell => "cloud-shell",
            Self::Plain => "plain",
            Self::TokenProxy => "token-proxy",
        }
    }

    /// # Errors
    /// When no door has that name.
    pub fn parse(text: &str) -> Result<Self, NotA> {
        let named = Self::ALL.into_iter().find(|door| door.as_str() == text);
        named.ok_or(NotA("a door is imds, app-service, app-service-2017, oauth, cloud-shell, plain or token-proxy"))
    }

    /// Whether its clients know Entra's own token endpoints, and their refusals.
    #[must_use]
    pub fn speaks_oauth(self) -> bool {
        matches!(self, Self::Oauth | Self::TokenProxy)
    }

    /// Whether its clients can present a local key. IMDS knows none.
    #[must_use]
    pub fn carries_key(self) -> bool {
        !matches!(self, Self::Imds)
    }

    /// Whether its clients always present one. Elsewhere a caller whom the socket makes known may leave it out.
    #[must_use]
    pub fn demands_key(self) -> bool {
        self.carries_key() && !matches!(self, Self::CloudShell | Self::Plain)
    }

    /// Whether its clients can answer a claims challenge: those of managed-identity doors have no word for it, so a token
    /// that lives for a day because it can be revoked is none for them (contract A10).
    #[must_use]
    pub fn takes_claims(self) -> bool {
        matches!(self, Self::Oauth | Self::TokenProxy)
    }
}

/// Some of the doors.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Doors([bool; Door::ALL.len()]);

impl Doors {
    /// True when this door is among them.
    #[must_use]
    pub fn has(self, door: Door) -> bool {
        self.0[door as usize]
    }

    /// Those that are among them.
    pub fn iter(self) -> impl Iterator<Item = Door> {
        Door::ALL.into_iter().filter(move |&door| self.has(door))
    }
}

impl FromIterator<Door> for Doors {
    fn from_iter<T: IntoIterator<Item = Door>>(doors: T) -> Self {
        let mut some = Self::default();
        for door in doors {
            some.0[door as usize] = true;
        }
        some
    }
}

impl fmt::Display for Doors {
    /// Their names, with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, door) in self.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{door}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_with_a_trailing_slash_gives_a_doubled_slash() {
        let resource = Resource::parse("https://database.windows.net/").unwrap();
        assert_eq!(resource.scope(), "https://database.windows.net//.default");
        assert_eq!(Resource::from_scope(&resource.scope()).unwrap(), resource);
    }

    #[test]
    fn one_trailing_slash_does_not_matter_to_policy() {
        assert!(same_resource("https://a.b/", "https://a.b"));
        assert!(!same_resource("https://a.b//", "https://a.b"));
    }

    #[test]
    fn tenants_are_guids_or_domains() {
        assert!(Tenant::parse("11111111-AAAA-4bbb-8ccc-222222222222").is_ok());
        assert!(Tenant::parse("contoso.onmicrosoft.com").is_ok());
        for wrong in ["common", "contoso", "", "a..b", "a b.c", "adfs"] {
            assert!(Tenant::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_account_is_its_number_or_the_third_field_of_its_line() {
        let listing = "root:x:0:\nbroken\nwww-data:x:33:app\nodd:x:many:\n";
        assert_eq!(account_number("www-data", listing), Some(33));
        assert_eq!(account_number("4711", listing), Some(4_711));
        for unknown in ["www", "broken", "odd", "", "-1"] {
            assert_eq!(account_number(unknown, listing), None, "{unknown}");
        }
    }
}
