//! Logging in to a token, at most once with a wrong PIN.
//!
//! The PIN is read here, each time, and wiped at the end. Easy to get wrong: only the token's own word counts as a verdict
//! on a PIN: a code for it, or a count that has grown. A login that hung or died, or failed with a code of the vendor's own,
//! is left on record as interrupted; one that failed for another reason is not held against the PIN.

use super::codes::{self, REFUSED};
use super::line::Trouble;
use super::messages::{Again, Answer, Request, Token};
use super::module::Turn;
use crate::signer::{Attempt, Pin, Pkcs11Uri, SignError, Standing};

/// Logs in, unless that has been done in this session or is not to be.
pub(super) async fn log_in(turn: &mut Turn<'_>, key: &Pkcs11Uri, token: &Token) -> Result<(), SignError> {
    let wanted = key.pin.is_some() || (token.login_required && token.key_pad);
    if !wanted || turn.is_logged_in(token.slot) {
        return Ok(());
    }
    let permit = Permit::ask(turn, key, token).await?;
    let request = Request::Login { slot: token.slot, pin: permit.pin.clone() };
    match turn.try_ask(&request).await {
        Err(Trouble::Failed(failure)) if failure.code == "CKR_USER_ALREADY_LOGGED_IN" => permit.unjudged().await,
        outcome => {
            permit.judge(turn, outcome, token).await?;
        }
    }
    turn.logged_in(token.slot);
    Ok(())
}

/// Leave to give a PIN to the token once.
pub(super) struct Permit {
    /// `None` where it is typed in at the token's key pad.
    pin: Option<Pin>,
    attempt: Option<Attempt>,
}

impl Permit {
    pub(super) async fn ask(turn: &mut Turn<'_>, key: &Pkcs11Uri, token: &Token) -> Result<Self, SignError> {
        let standing = standing(token);
        let Some(source) = key.pin.clone() else {
            return at_key_pad(turn, token, standing);
        };
        let (attempts, force, own) = (turn.module.attempts.clone(), turn.module.force, own_for_ever(token));
        // Files and their locks may be slow, and the runtime serves others.
        let asking = tokio::task::spawn_blocking(move || {
            let pin = source.read()?;
            let attempt = attempts.begin(&own, &pin, standing, force)?;
            Ok((pin, attempt))
        });
        let asked: Result<(Pin, Attempt), SignError> = asking.await.unwrap_or_else(stopped);
        asked.map(|(pin, attempt)| Self { pin: Some(pin), attempt: Some(attempt) })
    }

    /// The PIN once more, in a form that goes with a signature.
    pub(super) fn again(&self) -> Again {
        self.pin.clone().map_or(Again::KeyPad, Again::Pin)
    }

    /// Puts on record what became of it.
    pub(super) async fn judge(
        self,
        turn: &mut Turn<'_>,
        outcome: Result<Answer, Trouble>,
        token: &Token,
    ) -> Result<Answer, SignError> {
        let label = || token.label.clone();
        match outcome {
            Ok(answer) => {
                self.record(Attempt::accepted).await;
                Ok(answer)
            }
            Err(Trouble::Failed(failure)) if failure.function == "C_Login" => {
                let code = failure.code.as_str();
                if REFUSED.contains(&code) {
                    if self.pin.is_none() {
                        turn.mistyped().insert(own_for_ever(token));
                    }
                    self.record(Attempt::refused).await;
                    return Err(SignError::PinRefused { token: label() });
                }
                if code == "CKR_PIN_LOCKED" {
                    self.unjudged().await;
                    return Err(SignError::PinLocked { token: label() });
                }
                if self.pin.is_some() && has_counted(turn, token).await {
                    self.record(Attempt::refused).await;
                    return Err(SignError::PinRefused { token: label() });
                }
                // A code that nobody knows may well mean a wrong PIN: the attempt stays on record without a verdict.
                if !codes::is_unknown(code) {
                    self.unjudged().await;
                }
                Err(codes::error(Trouble::Failed(failure), &token.label, &turn.module.path))
            }
            Err(trouble @ Trouble::Failed(_)) => {
                // Before the PIN was looked at, or after it was found good.
                self.unjudged().await;
                Err(codes::error(trouble, &token.label, &turn.module.path))
            }
            // No word of the token: the record stays as it is, and says so.
            Err(trouble) => Err(codes::error(trouble, &token.label, &turn.module.path)),
        }
    }

    pub(super) async fn unjudged(self) {
        self.record(Attempt::unjudged).await;
    }

    async fn record(self, verdict: fn(Attempt)) {
        if let Some(attempt) = self.attempt {
            // A failure to write leaves the attempt as interrupted, which errs on the safe side.
            let _ = tokio::task::spawn_blocking(move || verdict(attempt)).await;
        }
    }
}

/// A PIN that a person types in is nobody's to remember; so after a wrong one nothing asks for it again by itself.
fn at_key_pad(turn: &mut Turn<'_>, token: &Token, standing: Standing) -> Result<Permit, SignError> {
    let label = token.label.clone();
    match standing {
        Standing::Locked => Err(SignError::PinLocked { token: label }),
        Standing::FinalTry => Err(SignError::PinFinalTry { token: label }),
        Standing::Clear | Standing::CountLow if turn.mistyped().contains(&own_for_ever(token)) => {
            Err(SignError::PinRefused { token: label })
        }
        Standing::Clear | Standing::CountLow => Ok(Permit { pin: None, attempt: None }),
    }
}

/// Whether the token counts one more failed attempt than it did before, whatever its module said of the login.
async fn has_counted(turn: &mut Turn<'_>, before: &Token) -> bool {
    let Ok(Answer::Tokens(tokens, _)) = turn.try_ask(&Request::Tokens).await else { return false };
    tokens.iter().any(|now| now.slot == before.slot && standing(now) > standing(before))
}

pub(super) fn standing(token: &Token) -> Standing {
    match token {
        Token { locked: true, .. } => Standing::Locked,
        Token { final_try: true, .. } => Standing::FinalTry,
        Token { count_low: true, .. } => Standing::CountLow,
        _ => Standing::Clear,
    }
}

/// Serial and label: some modules give all their tokens one serial.
fn own_for_ever(token: &Token) -> String {
    format!("{} (serial {})", token.label.trim(), token.serial.trim())
}

fn stopped<T>(join: tokio::task::JoinError) -> Result<T, SignError> {
    Err(SignError::Backend { kind: "PKCS#11", source: Box::new(join) })
}
