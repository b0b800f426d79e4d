//! What is known of the differences before anything is tried: which only make sense together,
//! which need others, and which are likelier the cause.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Hybrid;
use super::difference::{Difference, What};
use super::parts::Key;
use super::side::Taken;
use super::text::{expanded, texts};
use crate::isolate::{Atom, Atoms};

/// The differences for the search.
pub(super) fn atoms(hybrid: &Hybrid) -> Atoms {
    let rules = Rules {
        hybrid,
        all: &hybrid.differences,
    };
    let atom = |d: &Difference| Atom {
        label: d.label(),
        weight: weight(d),
    };
    Atoms {
        atoms: rules.all.iter().map(atom).collect(),
        groups: rules.groups(),
        requires: rules.requires(),
    }
}

/// How likely a difference is the cause.
fn weight(d: &Difference) -> f64 {
    match &d.what {
        What::Service(_) => 4.0,
        What::Networks => 1.5,
        What::Volume(_) => 2.0,
        What::Data(_) => 8.0,
        What::Config(_) => 5.0,
        What::Secret(_) => 4.0,
        What::Part { key, .. } => match key {
            Key::Image => 8.0,
            Key::Env(_) | Key::Mount(_) | Key::Config(_) | Key::Secret(_) => 4.0,
            Key::Labels => 0.1,
            Key::Deploy(path) if path.first().is_some_and(|p| p == "resources") => 5.0,
            Key::Deploy(_) | Key::Order => 0.5,
            Key::Tmpfs(_) => 2.0,
            Key::Extra(_) => 1.0,
            Key::Field(name) => match name.as_str() {
                "user" | "read_only" | "command" | "entrypoint" => 4.0,
                "cap_drop" | "cap_add" | "security_opt" | "sysctls" | "ulimits" => 2.0,
                "logging" | "restart" | "stop_signal" | "stop_grace_period" | "ports"
                | "expose" | "init" => 0.2,
                _ => 1.0,
            },
        },
    }
}

/// Fields that say together what a process may do.
const RIGHTS: [&str; 6] = [
    "user",
    "read_only",
    "cap_drop",
    "cap_add",
    "security_opt",
    "privileged",
];

struct Rules<'h> {
    hybrid: &'h Hybrid,
    all: &'h [Difference],
}

impl Rules<'_> {
    fn indices(&self, is: impl Fn(&Difference) -> bool) -> Vec<usize> {
        let found = self.all.iter().enumerate().filter(|(_, d)| is(d));
        found.map(|(i, _)| i).collect()
    }

    fn groups(&self) -> Vec<Vec<usize>> {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for service in a.services.keys() {
            groups.push(self.indices(|d| match &d.what {
                What::Part { service: s, key } if s == service => match key {
                    Key::Field(name) => RIGHTS.contains(&name.as_str()),
                    Key::Tmpfs(_) => true,
                    _ => false,
                },
                _ => false,
            }));
        }
        let volumes = [a, b].into_iter().filter_map(|s| s.section("volumes"));
        let volumes: BTreeSet<&String> = volumes.flat_map(|v| v.keys()).collect();
        groups.extend(volumes.into_iter().filter_map(|v| self.of_volume(v)));
        groups.retain(|g| g.len() > 1);
        groups
    }

    /// All that concerns a volume which differs.
    fn of_volume(&self, volume: &str) -> Option<Vec<usize>> {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let on_both = [a, b].iter().all(|s| s.object("volumes", volume).is_some());
        let itself =
            self.indices(|d| matches!(&d.what, What::Volume(v) | What::Data(v) if v == volume));
        if on_both && itself.is_empty() {
            return None;
        }
        let users: BTreeSet<&String> = [a, b]
            .into_iter()
            .flat_map(|s| mounting(s, volume))
            .collect();
        let mounts =
            |value: Option<&Json>| value.is_some_and(|v| v["source"].as_str() == Some(volume));
        let is_part = |d: &Difference| match &d.what {
            What::Part { service, key } if users.contains(service) => match key {
                Key::Image => true,
                Key::Field(name) => name == "user",
                Key::Mount(_) => mounts(d.a.as_ref()) || mounts(d.b.as_ref()),
                _ => false,
            },
            What::Service(name) => {
                let side = if d.is_added() { b } else { a };
                users.contains(name) || (is_awaited(side, name) && leads_to(side, name, &users))
            }
            _ => false,
        };
        let mut group = itself;
        group.extend(self.indices(is_part));
        Some(group)
    }

    fn requires(&self) -> Vec<(usize, usize)> {
        let mut pairs = BTreeSet::new();
        for (i, one) in self.all.iter().enumerate() {
            for (j, other) in self.all.iter().enumerate().filter(|(j, _)| *j != i) {
                if self.needs(one, other) {
                    pairs.insert((i, j));
                }
            }
        }
        pairs.into_iter().collect()
    }

    /// Whether it is not sensible to take `one` without `other`.
    fn needs(&self, one: &Difference, other: &Difference) -> bool {
        // What the second side says names what only that side has.
        let brings = other.is_added() && self.names(one, other, Of::B);
        // What the first side says names what is taken away.
        let frees = one.is_removed() && self.names(other, one, Of::A);
        brings
            || frees
            || is_other_form(one, other)
            || is_footing(one, other)
            || self.is_health(one, other)
    }

    /// Whether the value of `one` names what `other` is, on a side.
    fn names(&self, one: &Difference, other: &Difference, of: Of) -> bool {
        let (side, value) = match of {
            Of::A => (&self.hybrid.a, one.a.as_ref()),
            Of::B => (&self.hybrid.b, one.b.as_ref()),
        };
        let Some(value) = value else { return false };
        match &other.what {
            What::Service(name) => {
                let hosts = side.hosts(name);
                let said = said(one, value, side);
                hosts.iter().any(|h| said.iter().any(|t| names_host(t, h)))
            }
            What::Part {
                service,
                key: Key::Mount(path) | Key::Config(path) | Key::Secret(path),
            } => {
                let same = matches!(&one.what, What::Part { service: s, key } if s == service && !is_place(key));
                same && said(one, value, side).iter().any(|t| names_path(t, path))
            }
            _ => false,
        }
    }

    /// Who waits until a service is healthy needs its check.
    fn is_health(&self, one: &Difference, other: &Difference) -> bool {
        let check = |d: &Difference| match &d.what {
            What::Part {
                service,
                key: Key::Field(name),
            } if name == "healthcheck" => Some(service.clone()),
            _ => None,
        };
        let waits = |d: &Difference, side: &Taken, on: &str| {
            let name = match &d.what {
                What::Service(name)
                | What::Part {
                    service: name,
                    key: Key::Order,
                } => name,
                _ => return false,
            };
            side.waits(name)
                .get(on)
                .is_some_and(|how| how["condition"] == "service_healthy")
        };
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let brings = other.is_added() && check(other).is_some_and(|s| waits(one, b, &s));
        let frees = one.is_removed() && check(one).is_some_and(|s| waits(other, a, &s));
        brings || frees
    }
}

#[derive(Clone, Copy)]
enum Of {
    A,
    B,
}

/// Whether a part is a thing at a path: such do not need each other.
fn is_place(key: &Key) -> bool {
    matches!(
        key,
        Key::Mount(_) | Key::Config(_) | Key::Secret(_) | Key::Tmpfs(_) | Key::Order
    )
}

/// The texts of a value, with the names of its variables where those say whom it names.
fn said(d: &Difference, value: &Json, side: &Taken) -> Vec<String> {
    let mut all = Vec::new();
    let fields = [
        "environment",
        "command",
        "entrypoint",
        "healthcheck",
        "links",
    ];
    match &d.what {
        What::Service(_) => {
            for field in fields {
                texts(&expanded(&value[field], &side.values), &mut all);
            }
        }
        What::Part {
            key: Key::Env(_) | Key::Field(_),
            ..
        }
        | What::Config(_) => {
            texts(&expanded(value, &side.values), &mut all);
        }
        _ => {}
    }
    all
}

/// `X` and `X_FILE` of a service say the same: never both, never none.
fn is_other_form(one: &Difference, other: &Difference) -> bool {
    let (Some((s, a)), Some((t, b))) = (variable(one), variable(other)) else {
        return false;
    };
    let forms = a.strip_suffix("_FILE") == Some(b) || b.strip_suffix("_FILE") == Some(a);
    s == t && forms && one.is_added() != other.is_added()
}

fn variable(d: &Difference) -> Option<(&str, &str)> {
    match &d.what {
        What::Part {
            service,
            key: Key::Env(name),
        } => Some((service, name)),
        _ => None,
    }
}

/// A root that cannot be written needs the places that can.
fn is_footing(one: &Difference, other: &Difference) -> bool {
    let (
        What::Part {
            service: s,
            key: Key::Field(field),
        },
        What::Part { service: t, key },
    ) = (&one.what, &other.what)
    else {
        return false;
    };
    let place = matches!(key, Key::Tmpfs(_) | Key::Mount(_));
    s == t && field == "read_only" && one.b == Some(Json::Bool(true)) && place && other.is_added()
}

/// The services that mount a volume.
fn mounting<'s>(side: &'s Taken, volume: &'s str) -> impl Iterator<Item = &'s String> {
    let mounts = move |key: &Key, value: &Json| {
        matches!(key, Key::Mount(_)) && value["source"].as_str() == Some(volume)
    };
    let all = side.services.iter();
    all.filter(move |(_, parts)| parts.iter().any(|(k, p)| mounts(k, &p.value)))
        .map(|(name, _)| name)
}

const COMPLETED: &str = "service_completed_successfully";

/// Whether others wait until a service has ended.
fn is_awaited(side: &Taken, name: &str) -> bool {
    let waits = |other: &String| {
        side.waits(other)
            .get(name)
            .is_some_and(|how| how["condition"] == COMPLETED)
    };
    side.services.keys().any(waits)
}

/// Whether a service waits for one of these, by way of others that end.
fn leads_to(side: &Taken, name: &str, goals: &BTreeSet<&String>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        for (on, how) in side.waits(&name) {
            if goals.contains(&on) {
                return true;
            }
            if how["condition"] == COMPLETED && seen.insert(on.clone()) {
                open.push(on);
            }
        }
    }
    false
}

/// Whether a text names a host: in a URL, before a port, or by itself.
fn names_host(text: &str, host: &str) -> bool {
    if host.is_empty() {
        return false;
    }
    if text == host {
        return true;
    }
    text.match_indices(host).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + host.len()..]);
        let in_url = before.ends_with("//") || before.ends_with('@');
        let ends =
            after.is_empty() || after.starts_with(['/', ':', ',', '?', '#', ' ', '"', '\'', ';']);
        let digits = |t: &str| {
            t.strip_prefix(':')
                .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()))
        };
        let starts = before.is_empty() || before.ends_with(['=', ',', ' ', '"', '\'']);
        (in_url && ends) || (starts && digits(after))
    })
}

/// Whether a text names a path, or one below it.
fn names_path(text: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    !path.is_empty()
        && text.match_indices(path).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + path.len()..]);
            let begins = !before
                .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
            begins
                && !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_texts() {
        for (text, host, is) in [
            ("postgresql://shop:pw@db:5432/shop", "db", true),
            ("http://payments:8080", "payments", true),
            ("amqp://u:p@rabbitmq/%2F", "rabbitmq", true),
            ("a:1,kafka:9092", "kafka", true),
            ("redis", "redis", true),
            ("/var/lib/postgresql/data", "data", false),
            ("http://payments-2:80", "payments", false),
            ("http://x.payments", "payments", false),
            ("payments of today", "payments", false),
            ("x", "", false),
        ] {
            assert_eq!(names_host(text, host), is, "{text} {host}");
        }
    }

    #[test]
    fn paths_in_texts() {
        for (text, path, is) in [
            ("/run/secrets/pw", "/run/secrets/pw", true),
            ("cat /etc/app/conf.d/x", "/etc/app", true),
            ("/run/secrets/pw2", "/run/secrets/pw", false),
            ("/x/run/secrets/pw", "/run/secrets/pw", false),
            ("anything", "/", false),
        ] {
            assert_eq!(names_path(text, path), is, "{text} {path}");
        }
    }
}
