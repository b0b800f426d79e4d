//! What a stack is made of, service by service, to see what a change of production's files or of
//! feature flags changes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use prodmirror_engine::docker::Engine;
use prodmirror_model::lock;
use prodmirror_model::plan::{ContainerPlan, FileContent, FilePlan, Plan, split};
use serde_json::{Value, json};

use super::describe::{fact_of, facts_of_body};
use crate::open::Opened;

/// What a stack is made of. It holds secrets and is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Networks, volumes and what they start from, by what they are called.
    common: BTreeMap<String, String>,
    services: BTreeMap<String, Service>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Service {
    /// All that decides what its containers are, by what it is called.
    facts: BTreeMap<String, String>,
    /// What its network is made of, likewise: that is there before it, and for longer.
    network: BTreeMap<String, String>,
    /// Files and directories of this machine that it is given, by where.
    files: BTreeMap<String, PathBuf>,
}

/// What differs between two shapes, in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differs {
    /// What cannot be changed while a stack runs.
    pub whole: Vec<String>,
    /// Services of which only containers differ: what of them.
    pub services: BTreeMap<String, Vec<String>>,
}

impl Differs {
    /// Whether nothing does.
    pub fn is_nothing(&self) -> bool {
        self.whole.is_empty() && self.services.is_empty()
    }
}

impl Shape {
    /// The plan that shapes are of: the one before certificates are made for it, which are
    /// others each time. Nothing where there is no stack.
    pub fn plan_of(opened: &Opened, engine: &Engine) -> Option<Plan> {
        let stack = opened.stack()?;
        let values = opened.values(stack).ok()?;
        let host = engine.facts().for_plan(None);
        let mut plan = stack.plan(&opened.project, &values, host).ok()?;
        if let Some(lock) = &opened.lock {
            lock.pin(&mut plan, &engine.platform()).ok()?;
        }
        Some(plan)
    }

    /// The shape of a plan.
    pub fn of(plan: &Plan, opened: &Opened) -> Self {
        let mut common = BTreeMap::new();
        for n in &plan.networks {
            common.insert(format!("network {}", n.key), json!(n).to_string());
        }
        for v in &plan.volumes {
            common.insert(format!("volume {}", v.key), json!(v).to_string());
        }
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        for c in &plan.containers {
            of_container(c, services.entry(c.service.clone()).or_default());
        }
        for (service, s) in &mut services {
            // What pins its image decides what runs, too.
            if let Some(needed) = opened.images.get(service) {
                add(&mut s.facts, "image", &format!("{needed:?}"));
            }
        }
        if let Some(lock) = &opened.lock {
            // Images that it pins are in the plan; what volumes start from is not.
            let data = lock::write(&lock::Lock {
                tool: String::new(),
                images: BTreeMap::new(),
                facts: lock::Facts {
                    data: lock.facts.data.clone(),
                    ..lock::Facts::default()
                },
            });
            common.insert("data of mirror.lock".into(), data);
        }
        Self { common, services }
    }

    /// Files that services are given.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.services.values().flat_map(|s| s.files.values())
    }

    /// What is another one in a later shape, or is given one of these files.
    pub fn differs(&self, later: &Self, changed: &BTreeSet<PathBuf>) -> Differs {
        let mut all = Differs {
            whole: words(&self.common, &later.common),
            services: BTreeMap::new(),
        };
        for (name, is) in [(later, "is new"), (self, "is gone")]
            .iter()
            .flat_map(|(shape, is)| shape.services.keys().map(move |n| (n, is)))
        {
            let both = self.services.contains_key(name) && later.services.contains_key(name);
            if !both {
                all.whole.push(format!("service {name} {is}"));
            }
        }
        for (name, now) in &later.services {
            let Some(before) = self.services.get(name) else {
                continue;
            };
            let network = words(&before.network, &now.network);
            all.whole
                .extend(network.into_iter().map(|w| format!("service {name}: {w}")));
            let mut what = changed_of(&before.facts, &now.facts);
            let given = |(target, path): (&String, &PathBuf)| {
                let is_new = changed.iter().any(|c| c.starts_with(path));
                is_new.then(|| format!("file {target}"))
            };
            for file in now.files.iter().filter_map(given) {
                if !what.contains(&file) {
                    what.push(file);
                }
            }
            if !what.is_empty() {
                all.services.insert(name.clone(), what);
            }
        }
        all
    }
}

/// What of two is called differently, with a word of how.
fn words(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let word = |name: &String| match (a.get(name), b.get(name)) {
        (None, Some(_)) => Some("is new"),
        (Some(_), None) => Some("is gone"),
        (Some(a), Some(b)) if a != b => Some("changed"),
        _ => None,
    };
    names
        .into_iter()
        .filter_map(|n| Some(format!("{n} {}", word(n)?)))
        .collect()
}

fn changed_of(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = names.into_iter().filter(|n| a.get(*n) != b.get(*n));
    differs.cloned().collect()
}

fn add(to: &mut BTreeMap<String, String>, name: &str, text: &str) {
    let all = to.entry(name.to_owned()).or_default();
    all.push_str(text);
    all.push('\n');
}

fn of_container(c: &ContainerPlan, to: &mut Service) {
    // How many there are, and which.
    add(&mut to.network, "replicas", &c.replica.to_string());
    add(&mut to.network, "network", &json!(c.network).to_string());
    add(
        &mut to.network,
        "allowed connections",
        &json!(c.care.links).to_string(),
    );
    let parts = split(&c.body);
    for (name, text) in facts_of_body(&parts.sandbox) {
        // That ports are published is written on the service; nothing is opened for it.
        let part = if name == "ports" {
            &mut to.facts
        } else {
            &mut to.network
        };
        add(part, &name, &text);
    }
    for (name, text) in facts_of_body(&parts.service) {
        add(&mut to.facts, &name, &text);
    }
    for (name, value) in &c.secret_env {
        add(&mut to.facts, &format!("env {name}"), value.expose());
    }
    of_files(&c.files, to);
    let mut rest = match json!(c) {
        Value::Object(rest) => rest,
        _ => return,
    };
    for known in [
        "service",
        "replica",
        "body",
        "secret_env",
        "network",
        "files",
    ] {
        rest.remove(known);
    }
    for (name, value) in rest {
        add(&mut to.facts, &fact_of(&name), &value.to_string());
    }
}

fn of_files(files: &[FilePlan], to: &mut Service) {
    for file in files {
        let name = format!("file {}", file.target);
        add(&mut to.facts, &name, &json!(file).to_string());
        if let FileContent::HostPath(path) = &file.content {
            to.files.insert(file.target.clone(), path.clone());
        }
        for secret in file.content.secrets() {
            add(&mut to.facts, &name, secret.expose());
        }
    }
}

#[cfg(test)]
mod tests {
    use prodmirror_model::secret::Secret;

    use super::*;

    fn service(change: impl FnOnce(&mut ContainerPlan)) -> Service {
        let mut plan = ContainerPlan {
            service: "orders".into(),
            replica: 1,
            image: "shop/orders:1".into(),
            body: json!({
                "Image": "shop/orders:1",
                "Env": ["A=1", "B=2"],
                "Cmd": ["serve"],
                "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"Memory": 1, "ExtraHosts": ["a:10.0.0.1"]},
                "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["orders"]}}},
            }),
            secret_env: [("KEY".to_owned(), Secret::new("one"))].into(),
            files: vec![FilePlan {
                target: "/etc/o.conf".into(),
                content: FileContent::HostPath("/p/o.conf".into()),
                mode: None,
                uid: 0,
                gid: 0,
                read_only: true,
            }],
            ..ContainerPlan::default()
        };
        change(&mut plan);
        let mut service = Service::default();
        of_container(&plan, &mut service);
        service
    }

    fn differs(changed: &[&str], change: impl FnOnce(&mut ContainerPlan)) -> Differs {
        let shape = |s| Shape {
            common: BTreeMap::new(),
            services: [("orders".to_owned(), s)].into(),
        };
        let changed = changed.iter().map(PathBuf::from).collect();
        shape(service(|_| {})).differs(&shape(service(change)), &changed)
    }

    #[test]
    fn what_differs_is_called_by_its_name() {
        assert!(differs(&["/p/other"], |_| {}).is_nothing());
        let d = differs(&[], |c| {
            c.image = "shop/orders:2".into();
            c.body["Image"] = json!("shop/orders:2");
            c.body["Env"] = json!(["A=2", "C=3"]);
            c.body["HostConfig"]["Memory"] = json!(2);
            c.secret_env.insert("KEY".into(), Secret::new("two"));
        });
        let all = ["env A", "env B", "env C", "env KEY", "image", "memory"];
        assert_eq!(d.services["orders"], all);
        assert!(d.whole.is_empty(), "{d:?}");
        let d = differs(&["/p/o.conf"], |_| {});
        assert_eq!(d.services["orders"], ["file /etc/o.conf"]);
    }

    #[test]
    fn what_is_in_no_container_is_the_whole_stack() {
        let d = differs(&[], |c| {
            c.body["HostConfig"]["ExtraHosts"] = json!([]);
        });
        assert_eq!(d.whole, ["service orders: extra hosts changed"]);
        let d = differs(&[], |c| {
            c.body["NetworkingConfig"]["EndpointsConfig"]["back"] = json!({});
        });
        assert_eq!(d.whole, ["service orders: networks changed"]);
        let d = differs(&[], |c| c.replica = 2);
        assert_eq!(d.whole, ["service orders: replicas changed"]);
        // A port that is published opens nothing.
        let d = differs(&[], |c| c.body["ExposedPorts"] = json!({}));
        assert!(d.whole.is_empty(), "{d:?}");
    }
}
