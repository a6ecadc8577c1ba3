//! A pod as far as we look at it: its containers, where they stand, what they carry.
//!
//! Borrows the raw JSON and knows only the fields that something here is decided by. Easy to get wrong: in YAML `null` is
//! as good as absent; and of two variables with one name the later one holds.

use serde_json::{Map, Value};

use super::Metadata;
use super::annotations;
use super::denial::Denial;
use crate::patch::Pointer;

/// The broker's container.
pub(super) const BROKER: &str = "unsecret";
/// The step that gives the pod 169.254.169.254.
pub(super) const NET_SETUP: &str = "unsecret-net-setup";

/// What service meshes put first, so that nothing else has the network before their proxy runs. They need no tokens.
const MESH: [&str; 6] =
    ["istio-init", "istio-proxy", "istio-validation", "linkerd-init", "linkerd-network-validator", "linkerd-proxy"];

pub(super) struct Pod<'a> {
    spec: &'a Map<String, Value>,
    metadata: &'a Value,
    pub(super) init: Vec<Container<'a>>,
    pub(super) main: Vec<Container<'a>>,
}

/// One container of either list.
#[derive(Clone, Copy)]
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    /// `initContainers` or `containers`.
    list: &'static str,
    pub(super) index: usize,
    raw: &'a Value,
}

impl<'a> Pod<'a> {
    /// # Errors
    /// When it has no containers to inject into.
    pub(super) fn read(raw: &'a Value) -> Result<Self, Denial> {
        let spec = raw["spec"].as_object().ok_or(Denial::NotAPod("it has no `spec`"))?;
        let init = containers(spec, "initContainers")?;
        let main = containers(spec, "containers")?;
        if main.is_empty() {
            return Err(Denial::NotAPod("it has no `containers`"));
        }
        Ok(Self { spec, metadata: &raw["metadata"], init, main })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Container<'a>> {
        self.init.iter().chain(&self.main)
    }

    /// A member of the spec; `null` if it is not there.
    pub(super) fn field(&self, name: &str) -> &'a Value {
        self.spec.get(name).unwrap_or(&Value::Null)
    }

    pub(super) fn is(&self, field: &str) -> bool {
        self.field(field) == &Value::Bool(true)
    }

    pub(super) fn has_annotations(&self) -> bool {
        self.metadata["annotations"].is_object()
    }

    pub(super) fn service_account(&self) -> &'a str {
        self.field("serviceAccountName").as_str().filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// Whether this is our work. The mark alone is not: it comes along when somebody copies annotations.
    pub(super) fn has_broker(&self, own: &Metadata) -> bool {
        own.annotations.contains_key(annotations::INJECTED) && self.broker().is_some()
    }

    pub(super) fn broker(&self) -> Option<&Container<'a>> {
        self.all().find(|container| container.name == BROKER)
    }

    /// How many of the first init containers are a mesh's. Not those further behind: whoever put other steps before them
    /// wants these to run without the mesh, and so with tokens fetched without it.
    pub(super) fn mesh_at_head(&self) -> usize {
        self.init.iter().take_while(|container| container.is_of_mesh()).count()
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &'a Value> {
        self.field("volumes").as_array().into_iter().flatten()
    }

    pub(super) fn sysctls(&self) -> Option<&'a Vec<Value>> {
        self.field("securityContext").get("sysctls")?.as_array()
    }

    /// The user that all containers run as. `Err` says why there is none, as the kubelet judges it before it lets only
    /// one user read a projected token.
    pub(super) fn common_user(&self) -> Result<u64, &'static str> {
        let usual = self.field("securityContext")["runAsUser"].as_u64();
        let mut users = self.all().map(|container| container.raw["securityContext"]["runAsUser"].as_u64().or(usual));
        let first = users.next().flatten().ok_or("names none")?;
        if users.all(|user| user == Some(first)) { Ok(first) } else { Err("has several") }
    }
}

fn containers<'a>(spec: &'a Map<String, Value>, list: &'static str) -> Result<Vec<Container<'a>>, Denial> {
    const NO_LIST: Denial = Denial::NotAPod("its containers are no list of named containers");
    let all = match spec.get(list) {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(Value::Array(all)) => all,
        Some(_) => return Err(NO_LIST),
    };
    let read = |(index, raw): (usize, &'a Value)| {
        let name = raw["name"].as_str().ok_or(NO_LIST)?;
        Ok(Container { name, list, index, raw })
    };
    all.iter().enumerate().map(read).collect()
}

impl<'a> Container<'a> {
    pub(super) fn is_ours(&self) -> bool {
        [BROKER, NET_SETUP].contains(&self.name)
    }

    pub(super) fn is_of_mesh(&self) -> bool {
        MESH.contains(&self.name)
    }

    /// Whether it has ended before the ordinary containers start.
    pub(super) fn is_a_step(&self) -> bool {
        self.list == "initContainers" && self.raw["restartPolicy"] != "Always"
    }

    /// Where it stands in the pod.
    pub(super) fn place(&self) -> Pointer {
        Pointer::root().below("spec").below(self.list).below(self.index)
    }

    pub(super) fn has_env(&self) -> bool {
        self.raw["env"].is_array()
    }

    /// Its variables with their places in the list.
    pub(super) fn env(&self) -> impl DoubleEndedIterator<Item = (usize, &'a str, &'a Value)> {
        let entries = self.raw["env"].as_array().into_iter().flatten().enumerate();
        let named = entries.map(|(index, entry)| (index, entry["name"].as_str().unwrap_or_default(), entry));
        named.collect::<Vec<_>>().into_iter()
    }

    /// The variable that holds.
    pub(super) fn variable(&self, name: &str) -> Option<(usize, &'a Value)> {
        self.env().rev().find(|(_, other, _)| *other == name).map(|(index, _, entry)| (index, entry))
    }

    /// Names of ConfigMaps and Secrets whose every key becomes a variable, as messages name them.
    pub(super) fn env_from(&self) -> impl Iterator<Item = &'a Value> {
        self.raw["envFrom"].as_array().into_iter().flatten()
    }

    pub(super) fn has_mounts(&self) -> bool {
        self.raw["volumeMounts"].is_array()
    }

    pub(super) fn mounts(&self) -> impl Iterator<Item = &'a Value> {
        self.raw["volumeMounts"].as_array().into_iter().flatten()
    }

    /// TCP ports that it declares.
    pub(super) fn ports(&self) -> impl Iterator<Item = u64> {
        let ports = self.raw["ports"].as_array().into_iter().flatten();
        let tcp = ports.filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"));
        tcp.filter_map(|port| port["containerPort"].as_u64())
    }
}
