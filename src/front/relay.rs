//! A request whose grant belongs to a user: policy, the broker's relay, and Entra's answer as it came (contract A14).
//!
//! Easy to get wrong: Entra's no to the caller's own grant is an answer, with Entra's status and words; only what is wrong on
//! our side is a refusal of ours.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::{Front, Wiring};
use crate::broker::{MintError, Relayed};
use crate::dialect::{Refusal, RelayRequest};
use crate::ids::Door;
use crate::observe::Event;
use crate::policy::{Peer, RelayGrant};
use crate::problem::chain;

impl Front {
    pub(super) async fn relay(
        &self,
        wiring: &Wiring,
        peer: &Peer,
        asked: RelayRequest<'_>,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        let door = asked.ask.door;
        let decided = wiring.policy.decide_relay(peer, &asked.ask);
        let grant = decided.map_err(|denied| Refusal::of_denied(door, &denied))?;
        let began = self.clock.now().mono;
        let outcome = wiring.broker.relay(&grant, asked.form).await;
        if !outcome.as_ref().is_ok_and(|relayed| relayed.held) {
            self.answers.waited(Some(door), self.since(began));
        }
        self.tell(&grant, peer, door, &outcome);
        let relayed = outcome.map_err(|failed| Refusal::of_mint(door, &failed))?;
        // A status that came over HTTP is one.
        let status = StatusCode::from_u16(relayed.status).unwrap_or(StatusCode::BAD_REQUEST);
        Ok((status, relayed.body))
    }

    fn since(&self, began: Duration) -> Duration {
        self.clock.now().mono.saturating_sub(began)
    }

    fn tell(&self, grant: &RelayGrant<'_>, peer: &Peer, door: Door, ended: &Result<Relayed, MintError>) {
        let (identity, kind) = (grant.identity(), grant.grant().as_str());
        let (outcome, aadsts) = match ended {
            Ok(relayed) if relayed.held => ("held", None),
            Ok(relayed) if relayed.status == 200 => ("success", None),
            Ok(relayed) => ("refused", relayed.aadsts),
            Err(failed) => {
                self.observer.on(&Event::RelayFailed {
                    identity,
                    grant: kind,
                    code: failed.problem.code(),
                    chain: &chain(failed),
                    remedy: failed.problem.remedy().as_deref(),
                    aadsts: failed.numbers.first().copied(),
                    correlation_id: failed.correlation_id.as_deref(),
                    trace_id: failed.trace_id.as_deref(),
                });
                ("failed", failed.numbers.first().copied())
            }
        };
        let given = matches!(outcome, "held" | "success");
        let first = given && self.first_uses.is_first(identity, kind, door, peer);
        let peer = peer.to_string();
        self.observer.on(&Event::Relayed {
            identity,
            grant: kind,
            dialect: door.as_str(),
            peer: &peer,
            outcome,
            aadsts,
            first,
        });
    }
}
