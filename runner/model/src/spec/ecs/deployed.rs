//! Services of ECS: how many tasks run, and by which names others reach them.

use super::notes::{Fact, Notes};
use super::object::Object;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::source::Span;
use crate::yaml::{Node, Spanned};

/// A service as far as the mirror needs it.
#[derive(Debug)]
pub(super) struct Deployed {
    /// Its name.
    pub name: Spanned<String>,
    /// The family of the tasks that it runs.
    pub family: Spanned<String>,
    /// How many it runs; absent = one.
    pub desired: Option<Spanned<i64>>,
    /// Where they run: `FARGATE`, `EC2`…
    pub launch_type: Option<String>,
    /// Names of Service Connect.
    pub aliases: Vec<Alias>,
    /// Whether it has names that the file does not say (Cloud Map).
    pub unnamed: Option<Span>,
}

/// A name of Service Connect.
#[derive(Debug)]
pub(super) struct Alias {
    /// The name that clients ask for.
    pub name: Spanned<String>,
    /// The port that they connect to.
    pub port: Option<Spanned<i64>>,
    /// The name of the port mapping behind it.
    pub port_name: Option<String>,
}

/// What only says how a service is rolled out, observed or was made.
const ROLLOUT: [&str; 40] = [
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "clientToken",
    "cluster",
    "clusterArn",
    "createdAt",
    "createdBy",
    "currentServiceDeployment",
    "currentServiceRevisions",
    "deploymentConfiguration",
    "deploymentController",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "events",
    "failures",
    "healthCheckGracePeriodSeconds",
    "pendingCount",
    "placementConstraints",
    "placementStrategy",
    "platformFamily",
    "platformVersion",
    "propagateTags",
    "resourceManagementType",
    "role",
    "roleArn",
    "runningCount",
    "serviceArn",
    "status",
    "tags",
    "taskSets",
    "id",
    "updatedAt",
    "rolloutState",
    "rolloutStateReason",
    "failedTasks",
    "external",
    "startedBy",
    "stabilityStatus",
    "stabilityStatusAt",
    "scale",
];

/// Reads a service.
pub(super) fn read(node: &Node, notes: &mut Notes) -> Option<Deployed> {
    let mut service = Object::of(node, "", notes)?;
    let name = service.word("serviceName", notes);
    let family = service.word("taskDefinition", notes);
    let (Some(name), Some(family)) = (name, family) else {
        notes.refuse(Problem::at(
            ProblemKind::Missing,
            &node.span,
            "a service has a `serviceName` and a `taskDefinition`",
        ));
        return None;
    };
    notes.object = format!("task:{}", family_of(&family));
    let mut deployed = Deployed {
        family: Spanned::new(family_of(&family).to_owned(), family.span.clone()),
        desired: service.count("desiredCount", notes),
        launch_type: service.word("launchType", notes).map(|t| t.value),
        aliases: Vec::new(),
        unnamed: None,
        name,
    };
    daemon(&mut service, &mut deployed, notes);
    let connect = match service.node("serviceConnectConfiguration") {
        Some(connect) => Some(connect),
        None => primary(&mut service, notes).and_then(|d| d.get("serviceConnectConfiguration")),
    };
    if let Some(connect) = connect {
        self::connect(connect, &mut deployed, notes);
    }
    if let Some(first) = service.list("serviceRegistries", notes).first() {
        deployed.unnamed = Some(first.span.clone());
    }
    let reason = "nothing stands before the mirror's tasks: no balancer, no rules, no TLS";
    service.drop("loadBalancers", Severity::Medium, reason, notes);
    let reason = "the mirror is one network without security groups";
    service.drop("networkConfiguration", Severity::Medium, reason, notes);
    let reason = "a volume of EBS is out of reach";
    service.drop("volumeConfigurations", Severity::Medium, reason, notes);
    let reason = "no lattice stands before the mirror's tasks";
    service.drop("vpcLatticeConfigurations", Severity::Medium, reason, notes);
    for key in ROLLOUT {
        service.node(key);
    }
    service.node("deployments");
    service.finish(notes);
    Some(deployed)
}

fn daemon(service: &mut Object<'_>, deployed: &mut Deployed, notes: &mut Notes) {
    let strategy = service.word("schedulingStrategy", notes);
    if let Some(s) = strategy.filter(|s| s.value == "DAEMON") {
        let fact = Fact {
            field: "schedulingStrategy",
            declared: s.value.clone(),
            actual: "one task",
            reason: "the mirror is one container instance",
            span: &s.span,
        };
        notes.substituted(Severity::Info, fact);
        deployed.desired = None;
    }
}

/// The deployment that is in force.
fn primary<'n>(service: &mut Object<'n>, notes: &mut Notes) -> Option<&'n Node> {
    let deployments = service.list("deployments", notes);
    let is_primary = |d: &&Node| d.get("status").and_then(Node::as_str) == Some("PRIMARY");
    deployments.iter().find(is_primary).or(deployments.first())
}

/// `shop:3` and `arn:…:task-definition/shop:3` are of the family `shop`.
fn family_of(text: &str) -> &str {
    let name = text
        .rsplit_once("task-definition/")
        .map_or(text, |(_, n)| n);
    name.split_once(':').map_or(name, |(family, _)| family)
}

fn connect(node: &Node, deployed: &mut Deployed, notes: &mut Notes) {
    let Some(mut connect) = Object::of(node, "serviceConnectConfiguration", notes) else {
        return;
    };
    let enabled = connect.flag("enabled", notes);
    let namespace = connect.word("namespace", notes);
    let services = connect.objects("services", notes);
    for key in ["logConfiguration", "accessLogConfiguration"] {
        connect.node(key);
    }
    connect.finish(notes);
    if enabled.is_some_and(|e| !e.value) {
        return;
    }
    for mut service in services {
        let port_name = service.word("portName", notes);
        let discovery = service.word("discoveryName", notes);
        let reason = "the mirror's tasks speak to each other without a proxy of Service Connect";
        for key in ["timeout", "tls", "ingressPortOverride"] {
            service.drop(key, Severity::Medium, reason, notes);
        }
        let discovery = discovery.or_else(|| port_name.clone());
        let full = discovery.map(|d| match namespace.as_ref().filter(|n| !n.contains(':')) {
            Some(ns) => Spanned::new(format!("{}.{}", d.value, ns.value), d.span),
            None => d,
        });
        let mut clients = service.objects("clientAliases", notes);
        service.finish(notes);
        let port_name = port_name.map(|p| p.value);
        if clients.is_empty() {
            deployed.aliases.extend(full.map(|name| Alias {
                name,
                port: None,
                port_name: port_name.clone(),
            }));
            continue;
        }
        for mut client in clients.drain(..) {
            let name = client.word("dnsName", notes).or_else(|| full.clone());
            let port = client.count("port", notes);
            client.node("testTrafficRules");
            client.finish(notes);
            deployed.aliases.extend(name.map(|name| Alias {
                name,
                port,
                port_name: port_name.clone(),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::family_of;

    #[test]
    fn families_of_references() {
        assert_eq!(family_of("shop"), "shop");
        assert_eq!(family_of("shop:12"), "shop");
        assert_eq!(
            family_of("arn:aws:ecs:eu-west-1:1:task-definition/shop:12"),
            "shop"
        );
    }
}
