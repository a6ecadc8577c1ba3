//! An `AdmissionReview` (admission.k8s.io/v1) as a kube-apiserver asks it, and our answer to it.
//!
//! Pure: bytes in, bytes out. It looks nothing up and does not decide. Easy to get wrong: an answer without the request's
//! uid, or of another version, counts as a webhook that failed, and then `failurePolicy` decides about the pod; and a pod
//! that is being made has no namespace of its own yet, only the review has.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::weight;
use crate::inject::{Outcome, Verdict};
use crate::patch::Operation;
use crate::problem::{Blame, Problem, chain};

/// The one version that we answer; Kubernetes has it since 1.16.
const VERSION: &str = "admission.k8s.io/v1";

/// What a kubelet runs a pod as that names no service account. The API server writes it before webhooks are asked; a
/// review of a pod without one comes from a test or from a cluster without that plugin.
const USUAL_ACCOUNT: &str = "default";

/// A warning longer than this may be cut, or dropped with all others, by the API server.
const WARNING_LIMIT: usize = 256;

/// It cuts all of them together at 4 KiB.
const MOST_WARNINGS: usize = 50;

/// Of the words of a refusal, in bytes: a pod may give thousands of reasons.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// A pod of fifty containers with a hundred variables each has less, and so many take some 30 MB of memory.
const MOST_VALUES: usize = 50_000;

/// Why there is no answer to a review: the API server hears an HTTP status instead.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("read an AdmissionReview: it is no JSON")]
    NotJson { source: serde_json::Error },
    #[error("read an AdmissionReview: it is {got}, and `{VERSION}` is answered")]
    Version { got: String },
    #[error("read an AdmissionReview: it has no {0}")]
    Lacks(&'static str),
    #[error("read an AdmissionReview: it has {got} values, and at most {MOST_VALUES} are read")]
    TooMany { got: usize },
}

impl Problem for ReviewError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "review-not-json",
            Self::Version { .. } => "review-version",
            Self::Lacks(_) => "review-incomplete",
            Self::TooMany { .. } => "review-too-many-values",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NotJson { .. } | Self::Lacks(_) => "let only the kube-apiserver ask here",
            Self::Version { .. } => "set `admissionReviewVersions: [v1]` in the webhook's configuration",
            Self::TooMany { .. } => "make the pod smaller: long lists of variables can stand in a ConfigMap",
        }))
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A pod that is to be made.
    NewPod,
    /// Anything else: the webhook's configuration asks for more than it should.
    Other,
}

/// One question of a kube-apiserver.
pub struct Review {
    uid: String,
    namespace: String,
    asked: Asked,
    pod: Value,
}

impl Review {
    /// # Errors
    /// When it cannot be answered at all.
    pub fn read(body: &[u8]) -> Result<Self, ReviewError> {
        let no_json = |source| ReviewError::NotJson { source };
        let got = weight::values(body).map_err(no_json)?;
        if got > MOST_VALUES {
            return Err(ReviewError::TooMany { got });
        }
        let mut review: Value = serde_json::from_slice(body).map_err(no_json)?;
        if review["apiVersion"] != VERSION || review["kind"] != "AdmissionReview" {
            return Err(ReviewError::Version { got: described(&review) });
        }
        let mut request = review["request"].take();
        let uid = text(&request["uid"]).ok_or(ReviewError::Lacks("request.uid"))?.to_owned();
        let namespace = text(&request["namespace"]).unwrap_or_default().to_owned();
        let kind = &request["kind"];
        let is_pod = kind["group"] == "" && kind["version"] == "v1" && kind["kind"] == "Pod";
        // `pods/ephemeralcontainers` and the like come as pods, too.
        let whole = text(&request["subResource"]).is_none();
        let is_new = is_pod && whole && request["operation"] == "CREATE";
        let pod = request["object"].take();
        if is_new && !pod.is_object() {
            return Err(ReviewError::Lacks("request.object"));
        }
        Ok(Self { uid, namespace, asked: if is_new { Asked::NewPod } else { Asked::Other }, pod })
    }

    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// By which the API server finds this review in its own audit log.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[must_use]
    pub fn pod(&self) -> &Value {
        &self.pod
    }

    /// The pod's name, or the beginning of the name that it will get.
    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = &self.pod["metadata"];
        text(&metadata["name"]).or_else(|| text(&metadata["generateName"])).unwrap_or_default()
    }

    /// The name of the pod's service account.
    #[must_use]
    pub fn service_account(&self) -> &str {
        text(&self.pod["spec"]["serviceAccountName"]).unwrap_or(USUAL_ACCOUNT)
    }

    /// The answer that an outcome makes.
    #[must_use]
    pub fn answer(&self, outcome: &Outcome) -> Told {
        match &outcome.verdict {
            Verdict::Injected(operations) => {
                Told { result: "injected", reason: "none", body: self.allowed(operations, &outcome.warnings) }
            }
            Verdict::Unchanged(reason) => {
                Told { result: "unchanged", reason: reason.as_str(), body: self.allowed(&[], &outcome.warnings) }
            }
            Verdict::Denied(denial) => self.denied(denial, &outcome.warnings),
        }
    }

    /// What was asked about is none of ours: it passes as it is.
    #[must_use]
    pub fn skipped(&self) -> Told {
        Told { result: "skipped", reason: "no-new-pod", body: self.allowed(&[], &[]) }
    }

    /// A no, with what to do about it. 403, as the API server's own admission says no.
    #[must_use]
    pub fn denied(&self, problem: &dyn Problem, warnings: &[String]) -> Told {
        let remedy = problem.remedy().map_or_else(String::new, |remedy| format!("; remedy: {remedy}"));
        let message = format!("{} [{}]{remedy}", chain(problem), problem.code());
        let mut response = json!({
            "uid": self.uid,
            "allowed": false,
            "status": {"code": 403, "reason": "Forbidden", "message": shortened(&message, MESSAGE_LIMIT)},
        });
        warn(&mut response, warnings);
        Told { result: "denied", reason: problem.code(), body: enveloped(&response) }
    }

    fn allowed(&self, operations: &[Operation], warnings: &[String]) -> Vec<u8> {
        let mut response = json!({"uid": self.uid, "allowed": true});
        // A patch of no operations is one more thing for the API server to apply.
        if !operations.is_empty() {
            let patch = json!(operations).to_string();
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(patch).into();
        }
        warn(&mut response, warnings);
        enveloped(&response)
    }
}

/// An answer, and what may be counted of it: both labels are from short fixed lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `injected`, `unchanged`, `skipped` or `denied`.
    pub result: &'static str,
    /// Why; `none` where a pod was injected.
    pub reason: &'static str,
    /// The AdmissionReview to send back.
    pub body: Vec<u8>,
}

fn enveloped(response: &Value) -> Vec<u8> {
    json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}).to_string().into_bytes()
}

fn warn(response: &mut Value, warnings: &[String]) {
    if !warnings.is_empty() {
        let first = warnings.iter().take(MOST_WARNINGS);
        response["warnings"] = first.map(|warning| shortened(warning, WARNING_LIMIT)).collect();
    }
}

/// At most so many bytes, never half a character.
fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit - "…".len()).rev().find(|&end| text.is_char_boundary(end));
    format!("{}…", &text[..end.unwrap_or_default()])
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// For an error's text: short, and never the object.
fn described(review: &Value) -> String {
    let part = |key: &str| text(&review[key]).map(|text| text.chars().take(64).collect::<String>());
    match (part("kind"), part("apiVersion")) {
        (Some(kind), Some(version)) => format!("{kind:?} of {version:?}"),
        _ => "without kind or apiVersion".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::{Denial, Reason};
    use crate::patch::Pointer;

    fn asking(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "namespace": "shop",
                "operation": "CREATE",
                "object": {"metadata": {"generateName": "api-"}, "spec": {"serviceAccountName": "api"}},
            },
        });
        change(&mut review);
        review.to_string().into_bytes()
    }

    fn read(change: impl FnOnce(&mut Value)) -> Review {
        Review::read(&asking(change)).unwrap()
    }

    fn response(told: &Told) -> Value {
        let answer: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
        answer["response"].clone()
    }

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome { verdict, warnings: vec![] }
    }

    #[test]
    fn a_review_says_whose_pod_it_is_about() {
        let review = read(|_| {});
        assert_eq!((review.namespace(), review.name(), review.service_account()), ("shop", "api-", "api"));
        assert_eq!(review.asked(), Asked::NewPod);
        let nameless = read(|review| review["request"]["object"]["spec"] = json!({}));
        assert_eq!(nameless.service_account(), "default");
    }

    #[test]
    fn what_is_no_review_of_version_one_is_refused_by_its_code() {
        let code = |body: &[u8]| Review::read(body).err().map(|error| error.code());
        assert_eq!(code(b"\xff{"), Some("review-not-json"));
        assert_eq!(code(b"[]"), Some("review-version"));
        let older = asking(|review| review["apiVersion"] = "admission.k8s.io/v1beta1".into());
        assert_eq!(code(&older), Some("review-version"));
        assert_eq!(code(&asking(|review| review["request"]["uid"] = "".into())), Some("review-incomplete"));
        assert_eq!(code(&asking(|review| review["request"]["object"] = Value::Null)), Some("review-incomplete"));
    }

    #[test]
    fn only_a_whole_new_pod_is_one() {
        let changes: [fn(&mut Value); 3] = [
            |review| review["request"]["operation"] = "UPDATE".into(),
            |review| review["request"]["kind"]["kind"] = "Service".into(),
            |review| review["request"]["subResource"] = "ephemeralcontainers".into(),
        ];
        for change in changes {
            let review = read(change);
            assert_eq!(review.asked(), Asked::Other);
            let response = response(&review.skipped());
            assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
        }
    }

    #[test]
    fn an_injected_pod_is_allowed_with_its_patch() {
        let add = Operation::Add { path: Pointer::root().below("spec").below("volumes"), value: json!([]) };
        let told = read(|_| {}).answer(&outcome(Verdict::Injected(vec![add])));
        let response = response(&told);
        assert_eq!((told.result, &response["allowed"]), ("injected", &json!(true)));
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch, json!([{"op": "add", "path": "/spec/volumes", "value": []}]));
    }

    #[test]
    fn an_unchanged_pod_is_allowed_without_a_patch() {
        let told = read(|_| {}).answer(&outcome(Verdict::Unchanged(Reason::OptedOut)));
        assert_eq!((told.result, told.reason), ("unchanged", "opted-out"));
        let response = response(&told);
        assert_eq!(response["allowed"], true);
        assert!(response.get("patch").is_none() && response.get("patchType").is_none());
    }

    #[test]
    fn a_denied_pod_is_told_why_and_what_to_do() {
        let told = read(|_| {}).answer(&outcome(Verdict::Denied(Denial::HostNetwork)));
        assert_eq!((told.result, told.reason), ("denied", "inject-host-network"));
        let response = response(&told);
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(403)));
        let message = response["status"]["message"].as_str().unwrap();
        let remedy = Denial::HostNetwork.remedy().unwrap();
        assert!(message.contains("hostNetwork") && message.contains(&*remedy), "{message}");
    }

    #[test]
    fn a_long_warning_is_cut_between_characters() {
        let warnings = vec!["ä".repeat(200), "short".to_owned()];
        let told = read(|_| {}).answer(&Outcome { verdict: Verdict::Unchanged(Reason::NotAsked), warnings });
        let warnings = response(&told)["warnings"].clone();
        let first = warnings[0].as_str().unwrap();
        assert!(first.len() <= 256 && first.ends_with("ä…"), "{first}");
        assert_eq!(warnings[1], "short");
    }
}
