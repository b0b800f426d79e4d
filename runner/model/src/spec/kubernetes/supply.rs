//! What `mirror.yaml` says about Kubernetes under `supply.kubernetes`.

use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::yaml::{Mapping, Node};

const KEYS: [&str; 4] = ["replicas", "config_maps", "secrets", "helm"];

/// `supply.kubernetes` of `mirror.yaml`.
#[derive(Debug, Default)]
pub struct Supply<'s> {
    node: Option<&'s Node>,
}

impl<'s> Supply<'s> {
    /// Takes it from the whole of `supply`.
    pub fn of(supply: &'s Mapping, problems: &mut Problems) -> Self {
        let node = supply.get("kubernetes");
        let Some(map) = node.and_then(Node::as_map) else {
            if let Some(node) = node.filter(|n| !n.is_null()) {
                problems.push(Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`supply.kubernetes` is {}, not a mapping", node.kind()),
                ));
            }
            return Self::default();
        };
        for (key, entry) in &map.0 {
            if !KEYS.contains(&key.as_str()) {
                let help = match nearest(key, KEYS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", KEYS.join(", ")),
                };
                problems.push(
                    Problem::at(
                        ProblemKind::UnknownKey,
                        &entry.key,
                        format!("`supply.kubernetes` has no key `{key}`"),
                    )
                    .help(help),
                );
            }
        }
        Self { node }
    }

    fn of_object(&self, section: &str, name: &str) -> Option<&'s Node> {
        self.node?.get(section)?.get(name)
    }

    /// The namespace of helm's release. `helm template` does not write it into the objects: helm
    /// sends those there that name none.
    pub fn release_namespace(&self) -> Option<&'s Node> {
        self.of_object("helm", "namespace")
    }

    /// How many pods of a workload run, where it is not as many as production has.
    pub fn replicas(&self, workload: &str) -> Option<&'s Node> {
        self.of_object("replicas", workload)
    }

    /// The content of a ConfigMap that no file holds: keys with texts.
    pub fn config_map(&self, name: &str) -> Option<&'s Node> {
        self.of_object("config_maps", name)
    }

    /// The keys of a secret that no file holds.
    pub fn secret_keys(&self, name: &str) -> Option<Vec<String>> {
        let keys = self.of_object("secrets", name)?.as_seq()?;
        Some(keys.iter().filter_map(Node::scalar_text).collect())
    }
}
