//! Keys by name: what is taken, what is refused with which words, and that what is written reads back.

use proptest::prelude::*;

use super::*;
use crate::signer::Pin;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

fn known() -> Vec<PathBuf> {
    ["/usr/lib/softhsm/libsofthsm2.so", "/opt/a/pkcs11/opensc-pkcs11.so", "/opt/b/pkcs11/opensc-pkcs11.so.2"]
        .map(PathBuf::from)
        .to_vec()
}

fn parse(text: &str) -> Result<KeyUri, KeyUriError> {
    let known = known();
    KeyUri::parse(text, Surroundings { modules: &known, credentials: Some(Path::new("/run/credentials/u")) })
}

fn pkcs11(text: &str) -> Pkcs11Uri {
    match parse(text) {
        Ok(KeyUri::Pkcs11(uri)) => uri,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    let wrong = parse(text).expect_err(text);
    format!("{}; {}", wrong.what, wrong.remedy)
}

#[test]
fn every_attribute_of_rfc_7512_is_read() {
    let text = "pkcs11:token=My%20token%2F1;serial=0123;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;\
                library-manufacturer=SoftHSM;library-description=Implementation;library-version=2.6;\
                slot-manufacturer=S;slot-description=Slot%20%231;object=billing;id=%01%ab%ff;type=private\
                ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin%201&x-vendor=1&x-vendor=2";
    let expected = Pkcs11Uri {
        token: Some("My token/1".to_owned()),
        serial: Some("0123".to_owned()),
        manufacturer: Some("SoftHSM project".to_owned()),
        model: Some("SoftHSM v2".to_owned()),
        library_manufacturer: Some("SoftHSM".to_owned()),
        library_description: Some("Implementation".to_owned()),
        library_version: Some((2, 6)),
        slot_manufacturer: Some("S".to_owned()),
        slot_description: Some("Slot #1".to_owned()),
        object: Some("billing".to_owned()),
        id: Some(vec![1, 0xab, 0xff]),
        module: MODULE.into(),
        pin: Some(PinSource::File("/etc/pin 1".into())),
    };
    assert_eq!(pkcs11(text), expected);
    assert_eq!(pkcs11(&expected.to_string()), expected);
}

#[test]
fn the_scheme_may_be_in_capitals_and_a_module_alone_is_enough() {
    assert_eq!(pkcs11("PKCS11:?module-name=softhsm2"), Pkcs11Uri { module: MODULE.into(), ..Pkcs11Uri::default() });
    assert_eq!(parse("TPM:handle=0X8101ABCD").unwrap().to_string(), "tpm:handle=0x8101abcd");
}

#[test]
fn a_pin_comes_from_a_file_or_a_credential() {
    let source = |source: &str| pkcs11(&format!("pkcs11:?module-name=softhsm2&pin-source={source}")).pin;
    let file = |path: &str| Some(PinSource::File(path.into()));
    assert_eq!(source("file:/etc/pin"), file("/etc/pin"));
    assert_eq!(source("file:///etc/pin"), file("/etc/pin"));
    let credential = PinSource::Credential { name: "pin".to_owned(), path: "/run/credentials/u/pin".into() };
    assert_eq!(source("credential:pin"), Some(credential));
    let named = pkcs11("pkcs11:?module-name=softhsm2&pin-source=credential:pin").to_string();
    assert!(named.ends_with("&pin-source=credential:pin"), "{named}");
    let outside = KeyUri::parse("pkcs11:?module-path=/m.so&pin-source=credential:pin", Surroundings::default());
    let outside = outside.unwrap_err();
    assert!(outside.what.contains("CREDENTIALS_DIRECTORY is not set"), "{outside}");
    assert!(outside.remedy.contains("LoadCredential=pin:"), "{}", outside.remedy);
}

/// Attributes before `?`, and what is said of them.
const WRONG_PATHS: [(&str, &str); 15] = [
    ("slot-id=1", "has a `slot-id`, and modules number their slots anew"),
    ("type=public", "has \"public\" as `type`"),
    ("x-vendor=1", "has an attribute `x-vendor` that is not known there"),
    ("tokn=a", "write `token`"),
    ("Token=a", "write `token`"),
    ("token=a;token=b", "has `token` twice"),
    ("token=a;", "something else than `name=value`"),
    ("token=a;b", "(`%3B`)"),
    ("token=a%2", "write `%25` for the sign itself"),
    ("token=a%zz", "without two hexadecimal digits"),
    ("object=a b", "has ' ' in `object`, which must be percent-encoded; write `%20` in its place"),
    ("object=ü", "write `%C3%BC` in its place"),
    ("token=%ff", "has bytes in `token` that are no UTF-8"),
    ("serial=12345678901234567", "has 17 bytes in `serial`, where no module has more than 16"),
    ("library-version=1.300", "has \"1.300\" as `library-version`"),
];

#[test]
fn each_wrong_attribute_is_named_with_the_way_out() {
    for (attributes, piece) in WRONG_PATHS {
        let said = refusal(&format!("pkcs11:{attributes}?module-path=/m.so"));
        assert!(said.contains(piece), "{attributes}: {said}");
    }
}

#[test]
fn a_module_is_named_by_an_absolute_path_or_a_known_name() {
    for (query, piece) in [
        ("", "names no module"),
        ("module-path=softhsm2.so", "has \"softhsm2.so\" as `module-path`, which is no absolute path"),
        ("module-path=/a%00b", "no absolute path"),
        ("module-name=luna", "none goes by that name; write `module-path=/…`; by name there are /usr/lib/softhsm/"),
        ("module-name=opensc-pkcs11", "several go by that name"),
        ("module-path=/usr/lib/softhsm/libsofthsm2.so&module-name=luna", "delete one of them"),
        ("modul-path=/m.so&module-path=/m.so", "write `module-path`"),
    ] {
        let said = refusal(&format!("pkcs11:token=a?{query}"));
        assert!(said.contains(piece), "{query}: {said}");
    }
    for name in ["softhsm2", "libsofthsm2", "libsofthsm2.so"] {
        assert_eq!(pkcs11(&format!("pkcs11:?module-name={name}")).module, Path::new(MODULE));
    }
    assert_eq!(
        pkcs11("pkcs11:?module-name=softhsm2&module-path=/x/libsofthsm2.so").module.to_str(),
        Some("/x/libsofthsm2.so")
    );
}

#[test]
fn a_key_in_a_tpm_has_a_persistent_handle_or_a_file() {
    let key = parse("tpm:file=/etc/a%20b.tss?auth-source=file:/etc/auth").unwrap();
    let expected =
        TpmUri { place: TpmPlace::File("/etc/a b.tss".into()), auth: Some(PinSource::File("/etc/auth".into())) };
    assert_eq!(key, KeyUri::Tpm(expected));
    for (rest, piece) in [
        ("", "says neither `handle` nor `file`"),
        ("hndle=0x81000000", "write `handle`"),
        ("handle=0x81010042;file=/x", "has both"),
        ("handle=81010042", "has \"81010042\" as `handle`"),
        ("handle=0x80000000", "no persistent one (0x81000000 to 0x81ffffff)"),
        ("handle=0x+1010042", "no persistent one"),
        ("file=billing.tss", "no absolute path"),
        (
            "handle=0x81010042?pin-source=file:/x",
            "`pin-source` that is not known there; delete it; there are auth-source",
        ),
    ] {
        let said = refusal(&format!("tpm:{rest}"));
        assert!(said.contains(piece), "{rest}: {said}");
    }
}

#[test]
fn a_pin_that_stands_in_the_text_is_never_repeated() {
    for text in [
        "/pkcs11:token=a?pin-value=canary&module-path=/m.so",
        "pkcs11:token=a?pin-value=canary&module-path=/m.so",
        "pkcs11:token=a;pin-value=canary?module-path=/m.so",
        "pkcs11:?pin-value=a;canary",
        "pkcs11:?pin-value%20=canary",
        "pkcs11:?pin-value=x&canary=y",
        "pkcs11:?module-path=/m.so&pin-source=canary",
        "pkcs11:?module-path=/m.so&pin-source=|/bin/echo%20canary",
        "pkcs11:?module-path=/m.so&pin-source=file:canary",
        "pkcs11:?module-path=/m.so&pin-source=file://canary/x",
        "pkcs11:?module-path=/m.so&pin=canary",
        "pkcs11:?module-path=/m.so&canary%20",
        "tpm:handle=0x81010042?auth-source=canary",
        "tpm:handle=0x81010042?auth-value=canary",
        "file:/x?password-source=canary",
        "canary",
    ] {
        let wrong = parse(text).expect_err(text);
        let said = format!("{wrong} {wrong:?}");
        assert!(!said.contains("canary"), "{text}: {said}");
    }
    let typed = PinSource::Given(Pin::new(zeroize::Zeroizing::new(b"canary".to_vec())));
    let key = parse("pkcs11:?module-path=/m.so").unwrap().with_pin(Some(typed));
    assert!(!format!("{key} {key:?}").contains("canary"));
}

#[test]
fn a_token_fits_whatever_pads_its_fields() {
    let place = Whereabouts {
        token: "prod                            ",
        serial: "7\0\0",
        library_version: (2, 6),
        ..Whereabouts::default()
    };
    let fits = |attributes: &str| pkcs11(&format!("pkcs11:{attributes}?module-path=/m.so")).fits(place);
    assert!(fits("") && fits("token=prod;serial=7;library-version=2.6") && fits("model="));
    for other in ["token=pro", "serial=8", "library-version=2", "model=a", "slot-description=a"] {
        assert!(!fits(other), "{other}");
    }
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,5}")
}

fn path() -> impl Strategy<Value = PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    proptest::collection::vec(1u8.., 0..12).prop_map(|bytes| {
        let mut path = b"/".to_vec();
        path.extend(bytes);
        std::ffi::OsString::from_vec(path).into()
    })
}

fn source() -> impl Strategy<Value = Option<PinSource>> {
    proptest::option::of(path().prop_map(PinSource::File))
}

fn key() -> impl Strategy<Value = KeyUri> {
    let names = (text(), text(), text(), text(), text());
    let id = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8));
    let version = proptest::option::of(any::<(u8, u8)>());
    let place = prop_oneof![(0x8100_0000u32..=0x81ff_ffff).prop_map(TpmPlace::Handle), path().prop_map(TpmPlace::File)];
    prop_oneof![
        (names, id, version, path(), source()).prop_map(|(names, id, library_version, module, pin)| {
            let (token, serial, object, slot_description, library_manufacturer) = names;
            let serial = serial.map(|text| text.chars().take(4).collect());
            KeyUri::Pkcs11(Pkcs11Uri {
                token,
                serial,
                library_manufacturer,
                library_version,
                slot_description,
                object,
                id,
                module,
                pin,
                ..Pkcs11Uri::default()
            })
        }),
        (place, source()).prop_map(|(place, auth)| KeyUri::Tpm(TpmUri { place, auth })),
        ("/[^?]{0,8}", proptest::option::of(".{1,8}")).prop_map(|(path, password)| KeyUri::File {
            path: path.into(),
            password_file: password.map(PathBuf::from)
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(key in key()) {
        let written = key.to_string();
        prop_assert_eq!(parse(&written), Ok(key), "{}", written);
    }

    #[test]
    fn no_text_makes_the_reader_panic(scheme in "(pkcs11|tpm|file|)", rest in "[ -~ü]{0,40}") {
        if let Err(wrong) = parse(&format!("{scheme}:{rest}")) {
            prop_assert!(!wrong.what.is_empty() && !wrong.remedy.is_empty());
        }
    }
}
