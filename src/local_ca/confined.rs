//! A CA for a handful of names that signs one leaf and is gone.
//!
//! Clients that trust it trust it for these names and for loopback, whatever is signed with its key: the constraints are
//! critical, so that who does not know them refuses the certificate (RFC 5280, section 4.2.1.10). And nothing more will
//! be signed: the key is never written and leaves no copy in memory. Easy to get wrong: rcgen's own `KeyPair` keeps its key as
//! bytes that are not wiped, so the CA signs with a key that stays inside the crypto library.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rcgen::{
    CidrSubnet, GeneralSubtree, Issuer, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
    SigningKey,
};

use super::{Leaf, LocalCaError, authority_params};
use crate::clock::Now;

impl Leaf {
    /// A server certificate for these DNS names and IP addresses under a CA of its own, which may sign for nothing else,
    /// is called `authority`, and ends with it.
    pub fn confined(authority: &str, names: &[String], now: Now, life: Duration) -> Result<Self, LocalCaError> {
        let key = OnceKey::generate()?;
        let mut params = authority_params(authority, now, life);
        let permitted_subtrees = permitted(names);
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        let root = params.self_signed(&key).map_err(LocalCaError::Make)?;
        super::sign(&Issuer::new(params, key), root.der(), &root.pem(), names, now, life)
    }
}

/// These names and all of loopback.
fn permitted(names: &[String]) -> Vec<GeneralSubtree> {
    let address = |address: IpAddr| {
        let all = if address.is_ipv4() { 32 } else { 128 };
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, all))
    };
    let loopback =
        [GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)), address(Ipv6Addr::LOCALHOST.into())];
    let configured = names.iter().filter_map(|name| match name.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => None,
        Ok(ip) => Some(address(ip)),
        Err(_) => Some(GeneralSubtree::DnsName(name.clone())),
    });
    configured.chain(loopback).collect()
}

/// A P-256 key that nobody can ask for its bytes; the library wipes it when it is dropped.
struct OnceKey(EcdsaKeyPair);

impl OnceKey {
    fn generate() -> Result<Self, LocalCaError> {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        made.map(Self).map_err(|_| LocalCaError::Make(rcgen::Error::KeyGenerationUnavailable))
    }
}

impl PublicKeyData for OnceKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for OnceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use x509_parser::extensions::{GeneralName, ParsedExtension};

    use super::*;

    const NOW: Now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1_800_000_000) };

    #[test]
    fn the_constraints_are_critical_and_name_what_was_said_and_loopback() {
        let names = ["localhost", "127.0.0.1", "::1", "unsecret.internal", "10.1.2.3"].map(str::to_owned);
        let leaf = Leaf::confined("test", &names, NOW, Duration::from_secs(86_400)).unwrap();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(leaf.chain_pem().as_bytes()).collect::<Result<_, _>>().unwrap();
        let (_, root) = x509_parser::parse_x509_certificate(&chain[1]).unwrap();
        let constraints = root.extensions().iter().find(|one| one.oid.to_id_string() == "2.5.29.30").unwrap();
        assert!(constraints.critical);
        // What OpenSSL prints of it is compared in tests/it/https; this is the order and the masks.
        let ParsedExtension::NameConstraints(parsed) = constraints.parsed_extension() else { panic!() };
        assert!(parsed.excluded_subtrees.is_none());
        let permitted: Vec<_> = parsed.permitted_subtrees.iter().flatten().map(|one| one.base.clone()).collect();
        let mut v6 = vec![0; 15];
        v6.push(1);
        v6.extend([255; 16]);
        let expected = [
            GeneralName::DNSName("localhost"),
            GeneralName::DNSName("unsecret.internal"),
            GeneralName::IPAddress(&[10, 1, 2, 3, 255, 255, 255, 255]),
            GeneralName::IPAddress(&[127, 0, 0, 0, 255, 0, 0, 0]),
            GeneralName::IPAddress(&v6),
        ];
        assert_eq!(permitted, expected);
    }
}
