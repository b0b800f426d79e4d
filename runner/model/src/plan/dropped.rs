//! What a spec says and a mirror on one engine has no use for: said, never passed over.

use super::PlanOptions;
use super::network::{in_memory, is_honoured};
use super::rules::image::is_reserved;
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{Mirror, Network, Service, Texts, Volume};
use crate::source::Span;

/// A fact that is dropped or substituted whatever its value.
struct Fact {
    field: String,
    class: Class,
    severity: Severity,
    declared: String,
    actual: &'static str,
    reason: &'static str,
    span: Span,
}

/// All records about such facts, in the order of the spec.
pub(super) fn records(mirror: &Mirror, options: &PlanOptions) -> Vec<Record> {
    let mut records = Vec::new();
    let mut add = |object: String, facts: Vec<Fact>| {
        records.extend(facts.into_iter().map(|fact| {
            let mut record =
                Record::new(object.clone(), fact.field, fact.class, fact.severity).at(&fact.span);
            record.declared = fact.declared;
            record.actual = fact.actual.into();
            record.reason = fact.reason.into();
            record
        }));
    };
    for (name, service) in &mirror.services {
        let mut facts = orchestrated(service);
        facts.extend(beyond_engine(service));
        facts.extend(reserved(&service.labels));
        facts.extend(newer_engine(service, options));
        add(format!("service:{name}"), facts);
    }
    for (key, network) in &mirror.networks {
        let mut facts = network_facts(network);
        facts.extend(reserved(&network.labels));
        add(format!("network:{key}"), facts);
    }
    for (key, volume) in &mirror.volumes {
        let mut facts = volume_facts(volume);
        facts.extend(reserved(&volume.labels));
        add(format!("volume:{key}"), facts);
    }
    add("spec".into(), unmapped(mirror));
    records
}

fn dropped(field: &str, severity: Severity, span: &Span, reason: &'static str) -> Fact {
    Fact {
        field: field.to_owned(),
        class: Class::Dropped,
        severity,
        declared: String::new(),
        actual: "",
        reason,
        span: span.clone(),
    }
}

/// Labels by which Docker Compose and the sweep find what is theirs.
fn reserved(labels: &Texts) -> Vec<Fact> {
    let brought = labels.iter().filter(|(name, _)| is_reserved(name));
    brought
        .map(|(name, value)| {
            let reason =
                "Docker Compose or prodmirror would take the object for another one of its own";
            dropped(
                &format!("labels.{name}"),
                Severity::Info,
                &value.span,
                reason,
            )
        })
        .collect()
}

/// What only an orchestrator of many hosts can honour.
fn orchestrated(service: &Service) -> Vec<Fact> {
    let Some(deployment) = &service.deployment else {
        return Vec::new();
    };
    let mut facts = Vec::new();
    let mut drop = |field: &str, span: Option<&Span>, reason| {
        facts.extend(span.map(|span| dropped(field, Severity::Info, span, reason)));
    };
    let placed = deployment.placement.as_ref().filter(|p| {
        !p.constraints.is_empty() || !p.preferences.is_empty() || p.max_replicas_per_node.is_some()
    });
    drop(
        "deploy.placement",
        placed.map(|p| &p.span),
        "there is one host",
    );
    let rollout = "nothing is rolled out in a test";
    drop(
        "deploy.update_config",
        deployment.update.as_ref().map(|u| &u.span),
        rollout,
    );
    drop(
        "deploy.rollback_config",
        deployment.rollback.as_ref().map(|r| &r.span),
        rollout,
    );
    drop(
        "deploy.labels",
        deployment.labels.values().next().map(|l| &l.span),
        "they are the orchestrator's, not the container's",
    );
    drop(
        "deploy.endpoint_mode",
        deployment.endpoint_mode.as_ref().map(|m| &m.span),
        "a name gives the addresses of all replicas",
    );
    let reserved = deployment
        .resources
        .as_ref()
        .and_then(|r| r.reservations.as_ref());
    drop(
        "deploy.resources.reservations.cpus",
        reserved.and_then(|r| r.cpus.as_ref()).map(|c| &c.span),
        "an engine reserves no processors",
    );
    let generic = reserved.and_then(|r| r.generic.first());
    drop(
        "deploy.resources.reservations.generic_resources",
        generic.map(|g| &g.span),
        "only a cluster knows them",
    );
    if let Some(mode) = deployment.mode.as_ref().filter(|m| m.as_str() == "global") {
        let mut fact = dropped(
            "deploy.mode",
            Severity::Info,
            &mode.span,
            "there is one host",
        );
        fact.class = Class::Substituted;
        fact.declared = mode.value.clone();
        fact.actual = "one container";
        facts.push(fact);
    }
    facts
}

/// What the engine cannot do.
fn beyond_engine(service: &Service) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(provider) = &service.provider {
        let reason = "the program that provides the service is not run";
        facts.push(dropped("provider", Severity::High, &provider.span, reason));
    }
    if !service.models.is_empty() {
        let reason = "language models are not run";
        let span = &service.name.span;
        facts.push(dropped("models", Severity::High, span, reason));
    }
    if let Some(socket) = &service.security.engine_socket {
        let reason = "the engine's socket is not given to services";
        facts.push(dropped(
            "use_api_socket",
            Severity::High,
            &socket.span,
            reason,
        ));
    }
    if let Some(spec) = &service.security.credential_spec {
        let reason = "there are no managed accounts on Linux";
        facts.push(dropped(
            "credential_spec",
            Severity::High,
            &spec.span,
            reason,
        ));
    }
    for link in &service.network.external_links {
        let reason = "containers beyond the spec are not part of the stack";
        facts.push(dropped(
            "external_links",
            Severity::High,
            &link.span,
            reason,
        ));
    }
    facts
}

/// What only newer engines know.
fn newer_engine(service: &Service, options: &PlanOptions) -> Vec<Fact> {
    let host = &options.host;
    let mut facts = Vec::new();
    if let Some(annotation) = service.annotations.values().next()
        && !host.api_at_least(1, 43)
    {
        let reason = "the engine is older than Docker 24";
        facts.push(dropped(
            "annotations",
            Severity::Low,
            &annotation.span,
            reason,
        ));
    }
    for (key, attachment) in &service.network.attachments {
        if let Some(priority) = &attachment.gateway_priority
            && !host.api_at_least(1, 48)
        {
            let field = format!("networks.{key}.gw_priority");
            let reason = "the engine is older than Docker 28";
            facts.push(dropped(&field, Severity::Low, &priority.span, reason));
        }
        if let Some(name) = &attachment.interface_name
            && !host.api_at_least(1, 49)
        {
            let field = format!("networks.{key}.interface_name");
            let reason = "the engine is older than Docker 28.1";
            facts.push(dropped(&field, Severity::Low, &name.span, reason));
        }
        if let Some(mac) = &attachment.mac_address
            && !host.api_at_least(1, 44)
            && service.network.by_priority().first() != Some(&key.as_str())
        {
            let field = format!("networks.{key}.mac_address");
            let reason = "engines before Docker 25 know that of the first network only";
            facts.push(dropped(&field, Severity::Low, &mac.span, reason));
        }
    }
    facts
}

fn network_facts(network: &Network) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut substitute = |field: &str, severity, declared: String, span: &Span, reason| {
        let mut fact = dropped(field, severity, span, reason);
        fact.class = Class::Substituted;
        fact.declared = declared;
        fact.actual = "an internal bridge of the stack's own";
        facts.push(fact);
    };
    if let Some(external) = network.external.as_ref().filter(|e| e.value) {
        let name = network.name.as_ref().map_or("", |n| n.as_str()).to_owned();
        let reason = "what others have attached to it is not part of the stack";
        substitute("external", Severity::Medium, name, &external.span, reason);
    }
    if let Some(driver) = network.driver.as_ref().filter(|d| d.as_str() != "bridge") {
        let reason = "there is one host";
        substitute(
            "driver",
            Severity::Low,
            driver.value.clone(),
            &driver.span,
            reason,
        );
    }
    let pools = network.ipam.as_ref().map_or(&[][..], |ipam| &ipam.pools);
    for pool in pools {
        let subnet = pool.subnet.as_ref().map_or("", |s| s.as_str()).to_owned();
        let reason = "fixed subnets exist once on an engine";
        substitute("ipam", Severity::Low, subnet, &pool.span, reason);
    }
    if let Some(ipv6) = network.enable_ipv6.as_ref().filter(|v| v.value) {
        let reason = "networks of a stack have IPv4 only";
        facts.push(dropped("enable_ipv6", Severity::Medium, &ipv6.span, reason));
    }
    for (key, value) in &network.driver_opts {
        if !is_honoured(key) {
            let field = format!("driver_opts.{key}");
            let reason = "options that reach beyond the stack are not taken over";
            facts.push(dropped(&field, Severity::Low, &value.span, reason));
        }
    }
    facts
}

fn volume_facts(volume: &Volume) -> Vec<Fact> {
    let mut facts = Vec::new();
    let driver = volume.driver.as_ref();
    if let Some(driver) = driver.filter(|d| !matches!(d.as_str(), "" | "local")) {
        let reason = "production's storage is not opened";
        let mut fact = dropped("driver", Severity::Medium, &driver.span, reason);
        fact.class = Class::Substituted;
        fact.declared = driver.value.clone();
        fact.actual = "a fresh volume of the engine's own";
        facts.push(fact);
    }
    if let Some((_, option)) = volume.driver_opts.first().filter(|_| !in_memory(volume)) {
        let reason = "production's storage is not opened";
        facts.push(dropped(
            "driver_opts",
            Severity::Medium,
            &option.span,
            reason,
        ));
    }
    facts
}

/// What the model has no place for.
fn unmapped(mirror: &Mirror) -> Vec<Fact> {
    let left = mirror.unmapped.iter().filter(|u| !u.is_extension());
    left.map(|u| {
        let reason = "this version does not know the field";
        let mut fact = dropped(&u.path.join("."), Severity::Medium, &u.span, reason);
        fact.class = Class::Unknown;
        fact
    })
    .collect()
}
