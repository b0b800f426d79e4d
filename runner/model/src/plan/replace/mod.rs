//! A service whose place a process beside the tool takes: its container becomes the agent, which
//! holds its names and addresses and hands on what connects to them.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use check::Check;
pub use check::port_asked;

use super::{Care, Condition, ContainerPlan, Hooks, NetworkOf, Plan, split};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::fidelity::{Class, Record, Severity};

/// Name of the rule in fidelity records.
const RULE: &str = "replace";
/// How much log of the stand-in the engine keeps.
const LOG: &str = "1m";

/// A port of a service, and the process that takes its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The port in the stack.
    pub port: u16,
    /// `host:port` of the process, as the tool sees it.
    pub to: String,
}

/// A service that is replaced.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The service.
    pub service: String,
    /// All ports that are carried.
    pub ports: Vec<Carried>,
    /// The health check of its image, which holds where the spec has none.
    pub image_check: Vec<String>,
}

/// What plays the part of replaced services.
#[derive(Debug, Clone, Copy)]
pub struct Player<'a> {
    /// The agent's image.
    pub image: &'a str,
    /// The path of its program there.
    pub program: &'a str,
}

/// Puts the agent in the place of services. Networks, names and who waits for whom stay; those
/// who would only wait for the start of one wait until its process answers.
///
/// # Errors
/// Services that there are none of, or that cannot be played by a process elsewhere.
pub fn replace(
    plan: &mut Plan,
    replacements: &[Replacement],
    player: Player<'_>,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for replacement in replacements {
        problems.0.extend(refusal(plan, &replacement.service));
    }
    if !problems.0.is_empty() {
        return Err(problems);
    }
    for replacement in replacements {
        let name = replacement.service.as_str();
        let mut record = None;
        let ours = plan.containers.iter_mut().filter(|c| c.service == name);
        for container in ours {
            record = Some(told(container, replacement));
            *container = played(container, replacement, player);
        }
        plan.fidelity.records.extend(record);
        for dependency in plan.containers.iter_mut().flat_map(|c| &mut c.depends_on) {
            if dependency.service == name && dependency.condition == Condition::Started {
                dependency.condition = Condition::Healthy;
            }
        }
    }
    Ok(())
}

/// Why a service cannot be replaced.
pub fn refusal(plan: &Plan, name: &str) -> Option<Problem> {
    let unfit = |why: String| {
        let what = format!("`--replace`: the service `{name}` cannot be replaced: {why}");
        Problem::new(ProblemKind::Unsupported, what)
    };
    let mut of = plan.containers.iter().filter(|c| c.service == name);
    let Some(first) = of.next() else {
        let services: BTreeSet<&str> = plan
            .containers
            .iter()
            .filter(|c| !c.is_agent())
            .map(|c| c.service.as_str())
            .collect();
        let what = format!("`--replace`: production has no service `{name}`");
        let help = match nearest(name, services.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "services: {}",
                services.into_iter().collect::<Vec<_>>().join(", ")
            ),
        };
        return Some(Problem::new(ProblemKind::UnknownReference, what).help(help));
    };
    if first.is_agent() {
        return Some(unfit("it is none of production's".to_owned()));
    }
    if first.one_shot {
        let why = "it is meant to run to its end, and others go by how it ends".to_owned();
        return Some(unfit(why));
    }
    match &first.network {
        NetworkOf::Own | NetworkOf::Service(_) => {}
        NetworkOf::None => return Some(unfit("it has no network".to_owned())),
        NetworkOf::Foreign(mode) => {
            return Some(unfit(format!("its network is `{mode}`")));
        }
    }
    let sharer = plan.containers.iter().find(|c| shares_container(c, name));
    sharer.map(|c| {
        unfit(format!(
            "`{}` shares its processes or volumes, which a process of this machine does not have",
            c.service
        ))
    })
}

/// Whether a container needs that of a service, and not only its network.
fn shares_container(container: &ContainerPlan, service: &str) -> bool {
    let host = &container.body["HostConfig"];
    let namespace = |key: &str| {
        let mode = host[key].as_str().unwrap_or_default();
        mode.strip_prefix("service:") == Some(service)
    };
    let from = host["VolumesFrom"].as_array();
    let mut from = from.into_iter().flatten().filter_map(Json::as_str);
    namespace("PidMode")
        || namespace("IpcMode")
        || from.any(|v| v.split(':').next() == Some(service))
}

/// The agent in a container's place.
fn played(
    container: &ContainerPlan,
    replacement: &Replacement,
    player: Player<'_>,
) -> ContainerPlan {
    let mut body = split(&container.body).sandbox;
    for carried in &replacement.ports {
        body["ExposedPorts"][format!("{}/tcp", carried.port)] = json!({});
    }
    let check = Check::of(container, replacement);
    let test = [
        "CMD",
        player.program,
        "probe",
        "ask",
        &check.question,
        &check.timeout.as_millis().to_string(),
    ];
    body["Image"] = json!(player.image);
    body["Cmd"] = json!(["hold"]);
    body["Healthcheck"] = json!({
        "Test": test,
        "Interval": nanos(check.interval),
        "Timeout": nanos(check.timeout + check::SLACK),
        "Retries": check.retries,
        // A developer's process may start late. Once it has answered, failures count.
        "StartPeriod": nanos(check::PATIENCE),
    });
    let host = &mut body["HostConfig"];
    host["CapDrop"] = json!(["ALL"]);
    host["CapAdd"] = json!(["NET_BIND_SERVICE"]);
    host["SecurityOpt"] = json!(["no-new-privileges"]);
    host["ReadonlyRootfs"] = json!(true);
    let log = json!({"max-size": LOG, "max-file": "1"});
    host["LogConfig"] = json!({"Type": "json-file", "Config": log});
    ContainerPlan {
        service: container.service.clone(),
        replica: container.replica,
        image: player.image.to_owned(),
        body,
        network: container.network.clone(),
        depends_on: container.depends_on.clone(),
        care: Care {
            links: container.care.links.clone(),
            ..Care::default()
        },
        hooks: Hooks::default(),
        replaced: replacement.ports.clone(),
        ..ContainerPlan::default()
    }
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What the report says of it.
fn told(container: &ContainerPlan, replacement: &Replacement) -> Record {
    let mut record = Record::new(
        format!("service:{}", container.service),
        "container",
        Class::Substituted,
        Severity::Medium,
    );
    let mut to: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for carried in &replacement.ports {
        let ports = to.entry(carried.to.as_str()).or_default();
        ports.push(carried.port.to_string());
    }
    let each = to
        .iter()
        .map(|(to, ports)| format!("port {} at {to}", ports.join(", ")));
    let each = each.collect::<Vec<_>>().join("; ");
    record.declared = format!("a container of {}", container.image);
    record.actual = format!("replaced by a local process: {each}");
    record.reason = "`--replace` asked for it. Its image, user, limits, read-only files and the \
                     guards on what it may connect to are not production's"
        .into();
    record.raise = "start the mirror without `--replace`".into();
    record.rule = RULE.into();
    record
}

#[cfg(test)]
mod tests {
    use super::super::Dependency;
    use super::*;

    fn container(service: &str, body: Json) -> ContainerPlan {
        ContainerPlan {
            service: service.into(),
            replica: 1,
            image: format!("shop/{service}:1"),
            body,
            ..ContainerPlan::default()
        }
    }

    fn orders() -> Replacement {
        let carried = |port| Carried {
            port,
            to: "127.0.0.1:8000".into(),
        };
        Replacement {
            service: "orders".into(),
            ports: vec![carried(8080), carried(9090)],
            image_check: Vec::new(),
        }
    }

    const PLAYER: Player<'_> = Player {
        image: "prodmirror/agent:1",
        program: "/agent",
    };

    fn plan() -> Plan {
        let dependency = |service: &str, condition| Dependency {
            service: service.into(),
            condition,
            required: true,
            restart: false,
        };
        let mut gateway = container("gateway", json!({}));
        gateway.depends_on = vec![
            dependency("orders", Condition::Started),
            dependency("db", Condition::Started),
        ];
        let orders = container(
            "orders",
            json!({
                "Hostname": "o", "Env": ["A=1"], "User": "10", "ExposedPorts": {"8080/tcp": {}},
                "Healthcheck": {"Test": ["CMD", "curl", "-f", "http://localhost:8080/up?x=1"],
                                "Interval": 7_000_000_000_i64},
                "HostConfig": {"Memory": 5, "NetworkMode": "app", "Binds": ["v:/v"],
                               "Sysctls": {"net.a": "1", "kernel.b": "2"}},
                "NetworkingConfig": {"EndpointsConfig": {"app": {"Aliases": ["orders"]}}},
            }),
        );
        let db = container("db", json!({"HostConfig": {"PidMode": "service:side"}}));
        Plan {
            containers: vec![db, orders, gateway],
            ..Plan::default()
        }
    }

    #[test]
    fn the_network_stays_and_all_else_is_the_agents() {
        let mut plan = plan();
        replace(&mut plan, &[orders()], PLAYER).unwrap();
        let orders = &plan.containers[1];
        assert!(orders.is_agent() && !orders.is_stand_in());
        assert_eq!(orders.replaced.len(), 2);
        let body = &orders.body;
        assert_eq!(body["Hostname"], "o");
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"]["app"]["Aliases"][0],
            "orders"
        );
        assert_eq!(body["HostConfig"]["Sysctls"], json!({"net.a": "1"}));
        for gone in ["Env", "User"] {
            assert!(body.get(gone).is_none(), "{gone}");
        }
        for gone in ["Memory", "Binds"] {
            assert!(body["HostConfig"].get(gone).is_none(), "{gone}");
        }
        assert!(body["ExposedPorts"].get("9090/tcp").is_some());
        let check = &body["Healthcheck"];
        assert_eq!(check["Interval"], 7_000_000_000_i64);
        let question = check["Test"][4].as_str().unwrap();
        assert_eq!(
            question,
            r#"{"http":{"port":8080,"path":"/up?x=1","host":"127.0.0.1"}}"#
        );
        let waits = &plan.containers[2].depends_on;
        assert_eq!(waits[0].condition, Condition::Healthy);
        assert_eq!(waits[1].condition, Condition::Started);
        let record = plan.fidelity.records.last().unwrap();
        assert_eq!(
            record.actual,
            "replaced by a local process: port 8080, 9090 at 127.0.0.1:8000"
        );
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let refused = |plan: &Plan, service: &str| {
            let asked = Replacement {
                service: service.into(),
                ..orders()
            };
            let problems = replace(&mut plan.clone(), &[asked], PLAYER).unwrap_err();
            let p = &problems.0[0];
            format!("{} {}", p.message, p.help.clone().unwrap_or_default())
        };
        let mut plan = plan();
        assert!(refused(&plan, "order").contains("did you mean `orders`?"));
        plan.containers.push(container("side", json!({})));
        assert!(refused(&plan, "side").contains("`db` shares its processes"));
        plan.containers[1].one_shot = true;
        assert!(refused(&plan, "orders").contains("run to its end"));
        plan.containers[1].one_shot = false;
        plan.containers[1].network = NetworkOf::Foreign("host".into());
        assert!(refused(&plan, "orders").contains("its network is `host`"));
    }
}
