use std::collections::BTreeMap;

use super::super::tests::{World, project};
use super::super::{Applied, recheck};
use super::*;

const COMPOSE: &str = concat!(
    "name: shop\nservices:\n",
    "  web:\n    image: nginx:1\n    networks: { web: null, back: null }\n",
    "    extra_hosts: ['api.example=10.1.2.3', 'other.example=10.9.9.9']\n",
    "networks: { web: {}, back: { internal: true } }\n",
);

fn allowed() -> World {
    project(concat!(
        "egress:\n",
        "  'api.example:443': { allow: true, because: it is a test account }\n",
        "  'api.example:80': { allow: true }\n",
        "  'b.example:25': { allow: true }\n",
    ))
}

fn leads(applied: &Applied, service: &str) -> BTreeMap<u64, String> {
    let content = applied.mirror.config_files[service]
        .content
        .as_ref()
        .unwrap();
    let config: serde_json::Value = serde_json::from_str(content).unwrap();
    let ports = config["ports"].as_array().unwrap().iter();
    ports
        .map(|p| {
            (
                p["port"].as_u64().unwrap(),
                p["to"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

fn networks(applied: &Applied, service: &str) -> Vec<String> {
    let service = &applied.mirror.services[service];
    service.network.attachments.keys().cloned().collect()
}

#[test]
fn relays_lead_to_what_is_allowed_and_to_nothing_else() {
    let a = allowed().apply(COMPOSE);
    assert!(!a.problems.has_errors(), "{}", a.problems);
    let relay = &a.mirror.services["egress-api-example"];
    assert_eq!(networks(&a, "egress-api-example"), ["web", WAY_OUT]);
    assert_eq!(
        relay.network.attachments["web"].aliases[0].value,
        "api.example"
    );
    assert!(relay.network.attachments[WAY_OUT].aliases.is_empty());
    assert_eq!(relay.network.by_priority(), ["web", WAY_OUT]);
    assert_eq!(networks(&a, WAY_OUT), [WAY_OUT]);
    assert_eq!(
        leads(&a, "egress-api-example"),
        BTreeMap::from([
            (443, format!("{WAY_OUT}:10001")),
            (80, format!("{WAY_OUT}:10002"))
        ])
    );
    assert_eq!(
        leads(&a, "egress-b-example"),
        BTreeMap::from([(25, format!("{WAY_OUT}:10003"))])
    );
    assert_eq!(
        leads(&a, WAY_OUT).into_values().collect::<Vec<_>>(),
        ["api.example:443", "api.example:80", "b.example:25"]
    );
    let open: Vec<_> = a
        .mirror
        .networks
        .iter()
        .filter(|(_, n)| !n.internal.as_ref().unwrap().value)
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(open, [WAY_OUT]);
    assert_eq!(
        a.extension.egress.allow,
        ["api.example:443", "api.example:80", "b.example:25"]
    );
    // The address that production gives to the name holds where the name is looked up.
    let known = a.mirror.services[WAY_OUT].network.extra_hosts.iter();
    let known: Vec<String> = known.map(|e| e.value.to_string()).collect();
    assert_eq!(known, ["api.example=10.1.2.3"]);
    assert!(a.mirror.services["web"].network.extra_hosts.is_empty());
}

#[test]
fn without_an_allowed_destination_there_is_no_way_out() {
    let a = project("egress: { 'api.example:443': { deny: true } }\n").apply(COMPOSE);
    assert!(!a.mirror.networks.contains_key(WAY_OUT));
    assert!(!a.mirror.services.contains_key(WAY_OUT));
}

#[test]
fn what_cannot_be_allowed_is_refused() {
    let cases = [
        (
            "'10.0.0.5:5432': { allow: true }",
            COMPOSE.to_owned(),
            "`10.0.0.5` is an address",
        ),
        (
            "'web:80': { allow: true }",
            COMPOSE.to_owned(),
            "`web` is a name of service `web`",
        ),
        (
            "'a.example:80': { allow: true }, 'a.example:81': { stub: { default: { status: 200 } } }",
            COMPOSE.to_owned(),
            "`a.example` has a stub for another port",
        ),
        (
            "'api.example:80': { allow: true }",
            COMPOSE.replace("other.example", "api.example"),
            "both 10.1.2.3 and 10.9.9.9",
        ),
        (
            "'a.example:80': { allow: true }",
            COMPOSE.replace("web: {}", "web: {}, prodmirror-egress: {}"),
            "is what the mirror calls its way",
        ),
    ];
    for (egress, compose, said) in cases {
        let a = project(&format!("egress: {{ {egress} }}\n")).apply(&compose);
        assert!(a.problems.has_errors(), "{egress}");
        let text = a.problems.to_string();
        assert!(text.contains(said), "{egress}: {text}");
        let open = a
            .mirror
            .networks
            .values()
            .any(|n| !n.internal.as_ref().unwrap().value);
        assert!(!open, "{egress}");
    }
}

#[test]
fn a_template_puts_nothing_else_into_the_way_out() {
    let world = allowed();
    let a = world.apply(COMPOSE);
    let changed = |change: &dyn Fn(&mut Mirror)| {
        let mut mirror = a.mirror.clone();
        change(&mut mirror);
        recheck(&mirror, &a.mirror, &world.project).to_string()
    };
    assert_eq!(changed(&|_| ()), "");
    let out = a.mirror.services[WAY_OUT].network.attachments[WAY_OUT].clone();
    let changes: [&dyn Fn(&mut Mirror); 6] = [
        &|m| {
            drop(
                m.services["web"]
                    .network
                    .attachments
                    .insert(WAY_OUT.into(), out.clone()),
            )
        },
        &|m| m.services[WAY_OUT].image.reference = Some(Sourced::generated("evil:1".into())),
        &|m| {
            let config = m.config_files.get_mut(WAY_OUT).unwrap();
            let text = config
                .content
                .as_ref()
                .unwrap()
                .replace("b.example:25", "b.example:26");
            config.content = Some(Sourced::generated(text));
        },
        &|m| {
            let mode = NamespaceMode::Service(WAY_OUT.into());
            m.services["web"].network.mode = Some(Sourced::generated(mode));
        },
        &|m| {
            let entry = HostEntry::parse("b.example=10.0.0.1").unwrap();
            m.services[WAY_OUT]
                .network
                .extra_hosts
                .push(Sourced::generated(entry));
        },
        &|m| m.networks["web"].internal = Some(Sourced::generated(false)),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let said = changed(change);
        let expected = if i == 5 {
            "stands in the rendered stack"
        } else {
            "the network that leads to"
        };
        assert!(said.contains(expected), "change {i}: {said}");
    }
}

#[test]
fn each_host_has_a_relay_of_its_own() {
    let world = project(concat!(
        "egress:\n",
        "  'a-b.example:1': { allow: true }\n",
        "  'a.b.example:1': { allow: true }\n",
        "  's-t.example:1': { stub: { default: { status: 200 } } }\n",
        "  's.t.example:1': { stub: { default: { status: 200 } } }\n",
    ));
    let spec = COMPOSE.replace(
        "services:\n",
        "services:\n  egress-a-b-example: { image: own:1 }\n",
    );
    let a = world.apply(&spec);
    assert!(!a.problems.has_errors(), "{}", a.problems);
    let image = |name: &str| {
        a.mirror.services[name]
            .image
            .reference
            .clone()
            .unwrap()
            .value
    };
    assert_eq!(image("egress-a-b-example"), "own:1");
    for name in [
        "egress-a-b-example-2",
        "egress-a-b-example-3",
        "stub-s-t-example",
        "stub-s-t-example-2",
    ] {
        assert!(image(name).starts_with("prodmirror/agent"), "{name}");
    }
}
