//! The names that can be reached in a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use prodmirror_model::diag::{Problem, ProblemKind, nearest};

/// One container behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Service.
    pub service: String,
    /// Replica, from 1.
    pub replica: u32,
    /// Its address in a network of the stack.
    pub address: IpAddr,
}

/// Names that lead to the same containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The names, in lower case: that of the service first, when it is among them.
    pub names: Vec<String>,
    /// The services that answer.
    pub services: Vec<String>,
}

/// Names of services, stubs, aliases and hostnames, in lower case, with who answers.
#[derive(Debug, Default)]
pub struct Names {
    names: BTreeMap<String, Vec<Target>>,
    turn: AtomicUsize,
}

impl Names {
    /// Lets a name lead to a container.
    pub fn add(&mut self, name: &str, target: Target) {
        let targets = self.names.entry(name.to_ascii_lowercase()).or_default();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }

    /// Remembers a service that has no network, so that asking for it is answered rightly.
    pub fn add_unreachable(&mut self, service: &str) {
        self.names.entry(service.to_ascii_lowercase()).or_default();
    }

    /// The next container behind a name.
    ///
    /// # Errors
    /// The name does not belong to the stack.
    pub fn find(&self, host: &str) -> Result<Target, Problem> {
        let key = key(host);
        match self.names.get(&key).map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            Some(many) if !many.is_empty() => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                Ok(many[turn % many.len()].clone())
            }
            Some(_) => Err(Problem::new(
                ProblemKind::Forbidden,
                format!("service `{host}` has no network, so nothing can connect to it"),
            )),
            None => Err(self.refusal(host, &key)),
        }
    }

    /// Whether a name leads to a container.
    pub fn knows(&self, host: &str) -> bool {
        self.names.get(&key(host)).is_some_and(|t| !t.is_empty())
    }

    /// All names, sorted.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Names that lead somewhere, each with those that lead to the same containers.
    pub fn grouped(&self) -> Vec<Named> {
        let mut groups: Vec<(BTreeSet<(&str, u32)>, Named)> = Vec::new();
        for (name, targets) in self.names.iter().filter(|(_, t)| !t.is_empty()) {
            let key: BTreeSet<(&str, u32)> = targets
                .iter()
                .map(|t| (t.service.as_str(), t.replica))
                .collect();
            let at = groups.iter().position(|(k, _)| *k == key);
            let at = at.unwrap_or_else(|| {
                let services: BTreeSet<&str> = key.iter().map(|(s, _)| *s).collect();
                let services = services.into_iter().map(str::to_owned).collect();
                groups.push((
                    key,
                    Named {
                        names: Vec::new(),
                        services,
                    },
                ));
                groups.len() - 1
            });
            let named = &mut groups[at].1;
            match named.services.as_slice() {
                [own] if own.eq_ignore_ascii_case(name) => named.names.insert(0, name.clone()),
                _ => named.names.push(name.clone()),
            }
        }
        groups.into_iter().map(|(_, named)| named).collect()
    }

    fn refusal(&self, host: &str, key: &str) -> Problem {
        let problem = Problem::new(
            ProblemKind::Forbidden,
            format!("`{host}` is not a service of the stack and not a declared external name"),
        );
        match nearest(key, self.all()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!(
                "known names are {}; an external one is declared in `egress` of mirror.yaml",
                self.all().collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

fn key(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        for (replica, last) in [(1, 4), (2, 5)] {
            let address = IpAddr::from([10, 83, 0, last]);
            names.add(
                "orders",
                Target {
                    service: "orders".into(),
                    replica,
                    address,
                },
            );
        }
        let address = IpAddr::from([10, 83, 0, 6]);
        names.add(
            "Pay.Example",
            Target {
                service: "pay".into(),
                replica: 1,
                address,
            },
        );
        names
    }

    #[test]
    fn replicas_take_turns() {
        let names = names();
        let a = names.find("orders").unwrap().replica;
        let b = names.find("orders").unwrap().replica;
        assert_ne!(a, b);
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(names().find("PAY.example.").unwrap().service, "pay");
    }

    #[test]
    fn names_stand_with_those_that_lead_to_the_same() {
        let mut all = names();
        let target = |service: &str, last| Target {
            service: service.into(),
            replica: 1,
            address: IpAddr::from([10, 83, 0, last]),
        };
        all.add("api.internal", target("pay", 6));
        all.add("shared", target("pay", 6));
        all.add("shared", target("web", 7));
        all.add("web", target("web", 7));
        all.add("a-web", target("web", 7));
        all.add_unreachable("alone");
        let grouped = all.grouped();
        let shown: Vec<_> = grouped
            .iter()
            .map(|n| (n.names.join(" "), n.services.join(" ")))
            .collect();
        let wanted = [
            ("web a-web", "web"),
            ("api.internal pay.example", "pay"),
            ("orders", "orders"),
            ("shared", "pay web"),
        ];
        assert_eq!(shown, wanted.map(|(n, s)| (n.to_owned(), s.to_owned())));
    }

    #[test]
    fn other_names_are_refused_with_the_nearest() {
        let p = names().find("order").unwrap_err();
        assert_eq!(p.kind, ProblemKind::Forbidden);
        assert_eq!(p.help.as_deref(), Some("did you mean `orders`?"));
        let p = names().find("93.184.216.34").unwrap_err();
        assert_eq!(p.kind, ProblemKind::Forbidden);
    }
}
