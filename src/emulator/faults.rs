//! Faults on demand: what the emulator does wrong when told to.
//!
//! Only the list and who is next; `answer` and `server` act them out. Not refusals: those follow from the rules. Easy to
//! get wrong: a fault without a limit replaces what was set before for the same application, a fault for the next few
//! requests queues up behind, so that a test can write a script.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ids::Guid;

/// What goes wrong with a token request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// 429 with this `Retry-After` in seconds, or without.
    Throttle {
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// This status with a JSON body and perhaps `Retry-After`.
    Status {
        status: u16,
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Entra's body with this number.
    Refuse { number: u32, error: String, status: u16 },
    /// 50076 or 50079 with `claims`: the user has to prove more.
    Interact { number: u32 },
    /// The federated credential has not reached this node: 700213 though all is right.
    Propagation,
    /// A web page with this status.
    Html { status: u16 },
    /// 200 with JSON that breaks off.
    Garbage,
    /// The right answer, half of it at once and then one byte after each pause.
    SlowBody { pause_ms: u64 },
    /// 200 with this many bytes of white space before the answer ends.
    HugeBody { bytes: u64 },
    /// No answer, ever.
    Hang,
    /// The right answer, but only once the fault is cleared or replaced.
    Hold,
    /// The connection is reset instead of an answer.
    Reset,
    /// Connections are closed as soon as they are accepted; set for one application it acts as `Reset`.
    Outage,
    /// Entra's clock differs from ours by so many seconds.
    ClockOffset { seconds: i64 },
}

impl Fault {
    /// The name as the admin path and the journal spell it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle { .. } => "throttle",
            Self::Status { .. } => "status",
            Self::Refuse { .. } => "refuse",
            Self::Interact { .. } => "interact",
            Self::Propagation => "propagation",
            Self::Html { .. } => "html",
            Self::Garbage => "garbage",
            Self::SlowBody { .. } => "slow-body",
            Self::HugeBody { .. } => "huge-body",
            Self::Hang => "hang",
            Self::Hold => "hold",
            Self::Reset => "reset",
            Self::Outage => "outage",
            Self::ClockOffset { .. } => "clock-offset",
        }
    }
}

/// A fault that stands: for whom, and for how many more requests.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// `None`: every application.
    #[serde(serialize_with = "guid")]
    pub application: Option<Guid>,
    /// `None`: until cleared.
    pub requests: Option<u32>,
    pub fault: Fault,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn guid<S: serde::Serializer>(application: &Option<Guid>, serializer: S) -> Result<S::Ok, S::Error> {
    application.as_ref().map(Guid::as_str).serialize(serializer)
}

impl Standing {
    fn applies_to(&self, client_id: Option<&str>) -> bool {
        self.application.as_ref().is_none_or(|application| {
            client_id.is_some_and(|client_id| client_id.eq_ignore_ascii_case(application.as_str()))
        })
    }

    fn is_offset(&self) -> bool {
        matches!(self.fault, Fault::ClockOffset { .. })
    }
}

/// The faults that stand, and a signal for those who wait for a change.
pub(super) struct Faults {
    standing: Mutex<Vec<Standing>>,
    changes: watch::Sender<u64>,
}

impl Faults {
    pub(super) fn none() -> Self {
        Self { standing: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Adds a fault. Without a limit it takes the place of what stood for the same application; a clock offset and the
    /// other faults leave each other alone.
    pub(super) fn set(&self, fault: Standing) {
        self.change(|standing| {
            if fault.requests.is_none() {
                standing.retain(|old| old.application != fault.application || old.is_offset() != fault.is_offset());
            }
            standing.push(fault);
        });
    }

    pub(super) fn clear(&self) {
        self.change(Vec::clear);
    }

    pub(super) fn list(&self) -> Vec<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The fault for this token request, taken off the list when it was its last.
    pub(super) fn next(&self, client_id: Option<&str>) -> Option<Fault> {
        self.take(|standing| !standing.is_offset() && standing.applies_to(client_id))
    }

    /// True when a connection is to be closed at accept.
    pub(super) fn refuses_connections(&self) -> bool {
        self.take(|standing| standing.application.is_none() && standing.fault == Fault::Outage).is_some()
    }

    /// By how many seconds Entra's clock differs for this application.
    pub(super) fn clock_offset(&self, client_id: Option<&str>) -> i64 {
        match self.take(|standing| standing.is_offset() && standing.applies_to(client_id)) {
            Some(Fault::ClockOffset { seconds }) => seconds,
            _ => 0,
        }
    }

    /// The same for everybody's documents; uses no limited fault up.
    pub(super) fn common_offset(&self) -> i64 {
        let common = |standing: &Standing| match standing.fault {
            Fault::ClockOffset { seconds } if standing.application.is_none() => Some(seconds),
            _ => None,
        };
        self.list().iter().find_map(common).unwrap_or_default()
    }

    /// Hears of every [`Faults::set`] and [`Faults::clear`] from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn take(&self, fits: impl Fn(&Standing) -> bool) -> Option<Fault> {
        let mut list = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = list.iter().position(fits)?;
        let fault = list[index].fault.clone();
        if let Some(left) = &mut list[index].requests {
            *left = left.saturating_sub(1);
            if *left == 0 {
                list.remove(index);
            }
        }
        Some(fault)
    }

    fn change(&self, how: impl FnOnce(&mut Vec<Standing>)) {
        how(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(fault: Fault, requests: Option<u32>) -> Standing {
        Standing { application: None, requests, fault }
    }

    #[test]
    fn limited_faults_are_a_script_and_an_unlimited_one_replaces_it() {
        let faults = Faults::none();
        faults.set(standing(Fault::Hang, Some(2)));
        faults.set(standing(Fault::Garbage, Some(1)));
        let next = || faults.next(None).map(|fault| fault.name());
        assert_eq!([next(), next(), next(), next()], [Some("hang"), Some("hang"), Some("garbage"), None]);
        faults.set(standing(Fault::Hang, Some(2)));
        faults.set(standing(Fault::Reset, None));
        assert_eq!([next(), next()], [Some("reset"), Some("reset")]);
    }

    #[test]
    fn a_fault_of_one_application_leaves_others_alone() {
        let faults = Faults::none();
        let application = Guid::random();
        faults.set(Standing { application: Some(application.clone()), requests: None, fault: Fault::Outage });
        assert!(faults.next(Some(Guid::random().as_str())).is_none());
        assert!(!faults.refuses_connections());
        assert!(faults.next(Some(&application.as_str().to_uppercase())).is_some());
    }

    #[test]
    fn a_clock_offset_stands_beside_other_faults() {
        let faults = Faults::none();
        faults.set(standing(Fault::ClockOffset { seconds: -7 }, None));
        faults.set(standing(Fault::Hang, None));
        assert_eq!(faults.clock_offset(None), -7);
        assert_eq!(faults.next(None), Some(Fault::Hang));
        let json = serde_json::to_string(&faults.list()).unwrap();
        assert!(json.contains(r#""kind":"clock-offset","seconds":-7"#), "{json}");
    }
}
