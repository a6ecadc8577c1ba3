//! `--subject CN=billing,O=Contoso` and `--san DNS:host.example`, as people type them.
//!
//! Not all of RFC 4514: the attributes that company CAs ask for, each once, in the order given.

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue, SanType};

use super::error::KeyError;

/// The attributes, as people write them.
const ATTRIBUTES: [(&str, DnType); 6] = [
    ("CN", DnType::CommonName),
    ("O", DnType::OrganizationName),
    ("OU", DnType::OrganizationalUnitName),
    ("C", DnType::CountryName),
    ("L", DnType::LocalityName),
    ("ST", DnType::StateOrProvinceName),
];

/// A distinguished name; commas and backslashes in a value stand behind a backslash.
pub(super) fn parse(text: &str) -> Result<DistinguishedName, KeyError> {
    let wrong = |why: String| KeyError::Subject { text: text.to_owned(), why };
    let mut name = DistinguishedName::new();
    for part in parts(text) {
        let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("`{part}` has no `=`")))?;
        let (key, value) = (key.trim(), value.trim());
        let known = ATTRIBUTES.iter().find(|(short, _)| short.eq_ignore_ascii_case(key));
        let (short, kind) = known.ok_or_else(|| wrong(format!("`{key}` is none of CN, O, OU, C, L, ST")))?;
        if value.is_empty() || name.get(kind).is_some() {
            let how = if value.is_empty() { "is empty" } else { "stands there twice" };
            return Err(wrong(format!("{short} {how}")));
        }
        // X.520 wants a country of two letters in a PrintableString.
        let value = match kind {
            DnType::CountryName => match PrintableString::try_from(value) {
                Ok(country) if value.len() == 2 => DnValue::PrintableString(country),
                _ => return Err(wrong("C has two letters, such as DE".to_owned())),
            },
            _ => DnValue::Utf8String(value.to_owned()),
        };
        name.push(kind.clone(), value);
    }
    Ok(name)
}

/// Cut at commas that no backslash protects, the backslashes taken away.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(letters.next()),
            (_, Some(part)) => part.push(letter),
            (_, None) => {}
        }
    }
    parts
}

/// A subject alternative name; without a prefix an address or a DNS name.
pub(super) fn alternative(text: &str) -> Result<SanType, KeyError> {
    let wrong = |why| KeyError::Name { text: text.to_owned(), why };
    let ascii = |value: &str| Ia5String::try_from(value).map_err(|_| wrong("it must be ASCII"));
    let address = |value: &str| value.parse().map(SanType::IpAddress);
    let (prefix, value) = match text.split_once(':') {
        Some((prefix, value)) if prefix.chars().all(|letter| letter.is_ascii_alphabetic()) => (prefix, value),
        _ => ("", text),
    };
    if value.is_empty() {
        return Err(wrong("it is empty"));
    }
    match prefix.to_ascii_uppercase().as_str() {
        "" => address(value).or_else(|_| ascii(value).map(SanType::DnsName)),
        "DNS" => ascii(value).map(SanType::DnsName),
        "IP" => address(value).map_err(|_| wrong("it is no IP address")),
        "EMAIL" => ascii(value).map(SanType::Rfc822Name),
        "URI" => ascii(value).map(SanType::URI),
        _ => Err(wrong("only DNS, IP, EMAIL and URI may stand before the colon")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_with_its_escapes() {
        let name = parse(r"CN=Bill\, Ing, o=Contoso,C=DE").unwrap();
        assert_eq!(name.get(&DnType::CommonName), Some(&DnValue::Utf8String("Bill, Ing".to_owned())));
        assert_eq!(name.get(&DnType::OrganizationName), Some(&DnValue::Utf8String("Contoso".to_owned())));
        assert!(matches!(name.get(&DnType::CountryName), Some(DnValue::PrintableString(_))));
    }

    #[test]
    fn a_wrong_subject_says_what_is_wrong() {
        let why = |text| match parse(text) {
            Err(KeyError::Subject { why, .. }) => why,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(why("billing"), "`billing` has no `=`");
        assert_eq!(why(""), "`` has no `=`");
        assert_eq!(why("CN=a,X=b"), "`X` is none of CN, O, OU, C, L, ST");
        assert_eq!(why("CN=a,CN=b"), "CN stands there twice");
        assert_eq!(why("CN="), "CN is empty");
        assert_eq!(why("CN=a,C=Germany"), "C has two letters, such as DE");
    }

    #[test]
    fn an_alternative_name_is_what_its_prefix_says() {
        assert!(matches!(alternative("host.example"), Ok(SanType::DnsName(_))));
        assert!(matches!(alternative("2001:db8::1"), Ok(SanType::IpAddress(_))));
        assert!(matches!(alternative("ip:192.0.2.1"), Ok(SanType::IpAddress(_))));
        assert!(matches!(alternative("URI:spiffe://host.example/billing"), Ok(SanType::URI(_))));
        assert!(alternative("IP:host").is_err() && alternative("FAX:1").is_err() && alternative("DNS:").is_err());
    }
}
