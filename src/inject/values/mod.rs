//! What the operator says once for all pods: the chart's values, as far as they are about injection.
//!
//! The webhook reads them from its ConfigMap, `unsecret inject --values` from the chart's own values file: one shape for
//! both. What is left out has the chart's default. Not a reader of YAML (`manifest` is), and not the chart's other keys,
//! which are passed over. Easy to get wrong: a key here and none in `charts/unsecret/values.yaml`, or another default; a
//! test in `tests/deploy/inject/` compares them both ways.

mod problems;
mod read;

pub use problems::{ValuesProblem, ValuesProblems};
pub(super) use read::merge;

use serde_json::{Map, Value, json};

use super::words::{Intercept, Native, Platform, PullPolicy, Resources, RunAs};
use crate::authority::Cloud;
use crate::ids::{Doors, Tenant};

/// What holds for every pod that does not say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub(super) image: Image,
    pub(super) sidecar: Sidecar,
    pub(super) defaults: Defaults,
    pub(super) platform: Platform,
}

impl Values {
    /// Reads the keys `image`, `sidecar`, `defaults` and `platform`.
    ///
    /// # Errors
    /// With every problem at once: a key that is not known inside these four, a value that does not do.
    pub fn read(given: &Value) -> Result<Self, ValuesProblems> {
        read::read(given)
    }

    /// The four keys with the values that hold where nothing else is said.
    #[must_use]
    pub fn defaults() -> Value {
        json!({
            "image": {
                "registry": "registry.example", "repository": "unsecret", "tag": "", "digest": "",
                "pullPolicy": "IfNotPresent",
            },
            "sidecar": {
                "nativeSidecar": "auto",
                "image": {},
                "ports": {"token": 4780, "metrics": 9464},
                "runAs": "dedicated",
                "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                "securityContext": {},
                "extraEnv": [],
            },
            "defaults": {
                "tenantId": "",
                "cloud": "public",
                "authorityHost": "",
                "audience": Cloud::Public.federation_audience(),
                "tokenExpirationSeconds": 3600,
                "allowedResources": [],
                "doors": ["app-service", "imds"],
                "intercept": "env",
                "httpsProxy": "",
                "noProxy": "",
                "extraCaConfigMap": "",
            },
            "platform": "",
        })
    }
}

/// The broker's image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    /// `registry/repository:tag@digest`.
    pub(super) reference: String,
    pub(super) pull_policy: PullPolicy,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sidecar {
    pub(super) native: Native,
    /// Of the doors, on loopback.
    pub(super) token_port: u16,
    /// Of the probes and metrics, on the pod's address.
    pub(super) metrics_port: u16,
    pub(super) run_as: RunAs,
    pub(super) resources: Map<String, Value>,
    /// Laid over what the broker has by itself.
    pub(super) security_context: Map<String, Value>,
    /// Whole entries of a container's `env`.
    pub(super) extra_env: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Defaults {
    pub(super) tenant: Option<Tenant>,
    pub(super) cloud: Cloud,
    pub(super) authority_host: Option<String>,
    pub(super) audience: String,
    pub(super) expiration: u32,
    /// `None` where each pod has to say it.
    pub(super) resources: Option<Resources>,
    pub(super) doors: Doors,
    pub(super) intercept: Intercept,
    pub(super) https_proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
    pub(super) extra_ca_config_map: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(given: &Value) -> Vec<String> {
        let problems = Values::read(given).unwrap_err();
        problems.items().iter().map(|problem| problem.path.clone()).collect()
    }

    #[test]
    fn nothing_said_is_the_charts_defaults() {
        let values = Values::read(&json!({})).unwrap();
        assert_eq!(values, Values::read(&Values::defaults()).unwrap());
        assert_eq!(values, Values::read(&Value::Null).unwrap(), "an empty file");
        let reference = format!("registry.example/unsecret:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(values.image.reference, reference);
        assert_eq!(values.defaults.resources, None, "no list is no permission");
    }

    #[test]
    fn a_part_is_laid_over_the_defaults_as_helm_does_it() {
        let given = json!({
            "injector": {"anything": "of the chart's own"},
            "sidecar": {
                "image": {"tag": "2", "digest": "sha256:00"},
                "resources": {"limits": {"memory": "128Mi"}},
                "runAs": 1000,
            },
            "defaults": {"allowedResources": ["*"], "cloud": null},
        });
        let values = Values::read(&given).unwrap();
        assert_eq!(values.image.reference, "registry.example/unsecret:2@sha256:00");
        assert_eq!(values.sidecar.resources["limits"]["memory"], "128Mi");
        assert_eq!(values.sidecar.resources["requests"]["memory"], "16Mi");
        assert_eq!(values.sidecar.run_as, RunAs::Uid(1_000));
        assert_eq!(values.defaults.resources, Some(Resources::Any));
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_path() {
        let given = json!({
            "image": {"registri": "x"},
            "sidecar": {"ports": {"token": 0}, "resources": {"limits": {"memory": "64MB"}}, "image": {"pull": "x"}},
            "defaults": {"tenantId": "common", "doors": ["appservice"], "cloud": "azure", "noProxy": 3},
            "platform": "azure",
        });
        let expected = [
            "image.registri",
            "sidecar.image.pull",
            "sidecar.ports.token",
            "sidecar.resources.limits.memory",
            "defaults.tenantId",
            "defaults.cloud",
            "defaults.doors[0]",
            "defaults.noProxy",
            "platform",
        ];
        assert_eq!(paths(&given), expected);
        let report = Values::read(&given).unwrap_err().report();
        assert!(report.contains("remedy: did you mean `image.registry`"), "{report}");
        assert!(report.contains("9 problems"), "{report}");
    }

    #[test]
    fn what_only_another_setting_makes_wrong_is_told_too() {
        assert_eq!(paths(&json!({"sidecar": {"ports": {"token": 9464}}})), ["sidecar.ports"]);
        let two = json!({"defaults": {"authorityHost": "https://login.example", "cloud": "china"}});
        assert_eq!(paths(&two), ["defaults.authorityHost"]);
        assert_eq!(paths(&json!({"defaults": []})), ["defaults"]);
        assert_eq!(paths(&json!([])), [""]);
    }
}
