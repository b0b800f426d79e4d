//! What the services of the mirror are called.
//!
//! A container is called as in its task definition; where several tasks have a container of
//! one name, the family stands before it. These names are the mirror's own: which names
//! production's peers use is said by Service Connect, Cloud Map, or `supply.ecs.names`.

use std::collections::{BTreeMap, BTreeSet};

use crate::yaml::Node;

/// The names of all containers, before any is given out.
#[derive(Debug, Default)]
pub(super) struct Names {
    containers: BTreeMap<String, usize>,
    taken: BTreeSet<String>,
}

impl Names {
    /// Notes the containers of a task.
    pub fn of_task(&mut self, containers: &[Node]) {
        for container in containers {
            if let Some(name) = container.get("name").and_then(Node::as_str) {
                *self.containers.entry(clean(name)).or_default() += 1;
            }
        }
    }

    /// The name of the service for a container.
    pub fn service(&mut self, family: &str, container: &str) -> String {
        let name = clean(container);
        let alone = self.containers.get(&name).is_none_or(|n| *n <= 1);
        let wanted = if alone {
            name
        } else {
            format!("{}-{name}", clean(family))
        };
        self.take(wanted)
    }

    /// The name of what holds the network of a task: its family's.
    pub fn holder(&mut self, family: &str) -> String {
        let family = clean(family);
        if self.containers.contains_key(&family) || self.taken.contains(&family) {
            self.take(format!("{family}-task"))
        } else {
            self.take(family)
        }
    }

    fn take(&mut self, wanted: String) -> String {
        let numbered = (2..).map(|n| format!("{wanted}-{n}"));
        let mut all = std::iter::once(wanted.clone()).chain(numbered);
        let name = all.find(|n| !self.taken.contains(n)).unwrap_or(wanted);
        self.taken.insert(name.clone());
        name
    }
}

/// A name with the characters that a service, a volume and a host name may have.
pub(super) fn clean(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let clean: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    match clean.trim_matches(['-', '.', '_']) {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_where_they_can_be() {
        let container = |name: &str| {
            let mut map = crate::yaml::Mapping::default();
            map.insert("name", Node::str(name, crate::source::Span::generated()));
            Node::generated(crate::yaml::Value::Map(map))
        };
        let mut names = Names::default();
        names.of_task(&[container("web"), container("envoy")]);
        names.of_task(&[container("api"), container("envoy")]);
        assert_eq!(names.holder("web"), "web-task");
        assert_eq!(names.service("web", "web"), "web");
        assert_eq!(names.service("web", "envoy"), "web-envoy");
        assert_eq!(names.service("b", "envoy"), "b-envoy");
        assert_eq!(names.holder("shop"), "shop");
        assert_eq!(clean("{{x}} y"), "x---y");
        assert_eq!(clean("<>"), "unnamed");
    }
}
