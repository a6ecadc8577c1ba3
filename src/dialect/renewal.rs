//! The parameters of managed-identity endpoints by which a client says that a held token will not do (contract B8).
//!
//! Known at each of them alike; only Service Fabric's clients send any today. `xms_cc` is not among them: nobody at these
//! doors is given a token that a challenge can revoke, so it asks nothing. Easy to get wrong: a client that names the
//! token it was refused may have an older one than is held, so this is a question and not an order.

use super::Rejected;
use super::fields::Field;
use crate::claims::Claims;
use crate::policy::Renew;
use crate::secret::Fingerprint;

/// Out of the fields `claims`, `token_sha256_to_refresh` and `bypass_cache`. A challenge is read so that policy can say why
/// it is not answered here.
pub(super) fn of(claims: Field<'_>, refused: Field<'_>, bypass: Field<'_>) -> Result<Option<Renew>, Rejected> {
    let claims = claims.map(|text| Claims::read(&text)).transpose().map_err(Rejected::Claims)?;
    if let Some(challenge) = claims.and_then(|claims| claims.challenge) {
        return Ok(Some(Renew::Claims(challenge)));
    }
    if let Some(digits) = refused {
        // Says more than `bypass_cache` beside it: which token will not do.
        let refused = Fingerprint::from_hex(&digits).ok_or(Rejected::TokenHash)?;
        return Ok(Some(Renew::Refused(refused)));
    }
    Ok(bypass.filter(|value| value.eq_ignore_ascii_case("true")).map(|_| Renew::Bypass))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NotA;

    const CHALLENGE: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;

    fn read(claims: &str, refused: &str, bypass: &str) -> Result<Option<Renew>, Rejected> {
        let field = |text: &str| (!text.is_empty()).then(|| text.to_owned().into());
        of(field(claims), field(refused), field(bypass))
    }

    #[test]
    fn each_parameter_says_why_a_held_token_will_not_do() {
        let print = Fingerprint::of(b"refused");
        assert_eq!(read("", "", ""), Ok(None));
        assert_eq!(read("", &print.hex(), ""), Ok(Some(Renew::Refused(print))));
        assert_eq!(read("", &print.hex(), "true"), Ok(Some(Renew::Refused(print))));
        assert_eq!(read("", "", "true"), Ok(Some(Renew::Bypass)));
        assert_eq!(read("", "", "True"), Ok(Some(Renew::Bypass)));
        assert_eq!(read("", "", "false"), Ok(None));
        assert!(matches!(read(CHALLENGE, "", "true"), Ok(Some(Renew::Claims(_)))));
    }

    #[test]
    fn a_capability_asks_nothing_here() {
        assert_eq!(read(r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#, "", ""), Ok(None));
    }

    #[test]
    fn what_is_no_hash_or_no_claims_is_refused() {
        for wrong in ["1", &Fingerprint::of(b"").hex()[1..], &"x".repeat(64)] {
            assert_eq!(read("", wrong, "true"), Err(Rejected::TokenHash), "{wrong}");
        }
        assert!(matches!(read("cp1", "", ""), Err(Rejected::Claims(NotA(_)))));
    }
}
