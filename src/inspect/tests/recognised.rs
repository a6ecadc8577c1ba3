//! What is recognised, in which wrapping, and what is only named.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn a_token_is_found_in_any_of_its_wrappings() {
    let bare = token(&json!({"alg": "RS256"}), &access_claims());
    let unsigned = bare.rsplit_once('.').unwrap().0;
    let wide: Vec<u8> = "\u{feff}".encode_utf16().chain(bare.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(describe(&wide, NOW).kind, Kind::AccessToken);
    for text in [
        format!("  \"{bare}\"\r\n"),
        format!("Authorization: Bearer {bare}"),
        format!("curl -H 'authorization: bearer {bare}' https://a.example"),
        json!({"token_type": "Bearer", "expires_in": 3599, "access_token": bare}).to_string(),
        json!({"accessToken": bare, "tenant": "t"}).to_string(),
        json!({"status": {"token": bare}}).to_string(),
        format!("grant_type=x&client_assertion={bare}&scope=y"),
        format!("{unsigned}."),
        unsigned.to_owned(),
    ] {
        assert_eq!(report(&text).kind, Kind::AccessToken, "{}", text.len());
    }
    assert!(says(&report(unsigned), "signature was cut off"));
}

#[test]
fn secrets_are_named_and_nothing_of_them_is_shown() {
    let secret = format!("abc8Q~{}", "canary".repeat(5));
    let key = crate::secret::local_key::LocalKey::generate().unwrap();
    let key = key.secret().expose();
    for (text, kind) in [
        (secret.clone(), Kind::ClientSecret),
        (json!({"secretText": secret}).to_string(), Kind::ClientSecret),
        ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----".to_owned(), Kind::PrivateKey),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary".to_owned(), Kind::PrivateKey),
        (json!({"kty": "RSA", "n": "x", "d": "canary"}).to_string(), Kind::PrivateKey),
        (format!("0.A{}", "canary".repeat(30)), Kind::RefreshToken),
        (key.to_owned(), Kind::LocalKey),
        (key[..40].to_owned(), Kind::LocalKey),
    ] {
        let report = report(&text);
        assert_eq!(report.kind, kind);
        assert!(report.rows.is_empty() && report.is_described() == (kind == Kind::LocalKey));
    }
    assert!(says(&report(key), "it is whole") && says(&report(&key[..40]), "cut short"));
}

#[test]
fn what_is_nothing_says_why() {
    for (text, why) in [
        ("", "it is empty"),
        ("{\"a\":1}", "JSON without a token"),
        ("{\"a\":", "begins as JSON"),
        ("hello", "no JWT"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJ", "it was cut or altered"),
        ("-----BEGIN PUBLIC KEY-----", "public key"),
        ("-----BEGIN CERTIFICATE REQUEST-----", "certificate request"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "damaged"),
    ] {
        let report = report(text);
        assert!(report.kind == Kind::Unrecognised && report.verdict.contains(why), "{text}: {}", report.verdict);
    }
    assert!(describe(&[0x00, 0xff, 0xfe], NOW).verdict.contains("neither text"));
    assert!(describe(&vec![b'a'; LIMIT + 1], NOW).verdict.contains("1 MiB"));
    let five =
        format!("{}.a.b.c.d", token(&json!({"enc": "A256GCM", "alg": "dir"}), &json!({})).split('.').next().unwrap());
    assert_eq!(report(&five).kind, Kind::EncryptedToken);
}

static RSA: LazyLock<rcgen::KeyPair> =
    LazyLock::new(|| rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap());

fn certificate(key: &rcgen::KeyPair, years: (i32, i32)) -> rcgen::Certificate {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "billing");
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
    params.self_signed(key).unwrap()
}

#[test]
fn a_certificate_shows_the_thumbprints_of_portal_and_log() {
    let made = certificate(&RSA, (2026, 2028));
    let pem = made.pem();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.pem");
    std::fs::write(&path, &pem).unwrap();
    let leaf = crate::assertion::Leaf::open(&path, None).unwrap();
    for bytes in [pem.as_bytes(), made.der(), STANDARD.encode(made.der()).as_bytes(), format!("{pem}{pem}").as_bytes()]
    {
        let report = describe(bytes, NOW);
        assert_eq!(report.verdict, "certificate of CN=billing, fit to prove an application to Entra");
        let of = |name: &str| report.rows.iter().find(|row| row.name == name).unwrap().shown.clone();
        assert_eq!((of("x5t#S256"), of("x5t")), (leaf.thumbprint.base64url(), leaf.sha1.clone()));
        assert_eq!(of("SHA-1").len(), 40);
        assert_eq!((of("key").as_str(), of("SHA-256").len()), ("RSA, 2048 bits", 64));
        assert!(
            of("usage").contains("Digital Signature") && of("usage").contains("client authentication"),
            "{}",
            of("usage")
        );
        assert!(says(&report, "expires in "));
    }
    assert!(says(&describe(format!("{pem}{pem}").as_bytes(), NOW), "2 certificates were given"));
}

#[test]
fn a_certificate_with_its_key_is_a_private_key() {
    let both = format!("{}{}", certificate(&RSA, (2026, 2028)).pem(), RSA.serialize_pem());
    assert_eq!(report(&both).kind, Kind::PrivateKey);
    assert_eq!(describe(&RSA.serialize_der(), NOW).kind, Kind::PrivateKey);
    // The opening of every PKCS#12 file: a sequence, version 3, a sequence.
    assert_eq!(describe(&[0x30, 0x82, 0x01, 0x00, 2, 1, 3, 0x30, 0], NOW).kind, Kind::Pkcs12);
}

#[test]
fn entra_takes_no_elliptic_curve_and_no_certificate_out_of_its_time() {
    let curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let report = describe(certificate(&curve, (2026, 2028)).der(), NOW);
    assert_eq!(numbers(&report), [5_002_738]);
    assert!(report.refusals[0].why.contains("elliptic-curve"), "{}", report.refusals[0].why);
    for years in [(2020, 2021), (2040, 2041)] {
        assert_eq!(numbers(&describe(certificate(&RSA, years).der(), NOW)), [700_027]);
    }
}
