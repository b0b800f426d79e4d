//! What policies make of the connections between pods.

use super::super::tests::{before, listening, read};
use crate::fidelity::{Class, Record, Severity};
use crate::spec::Translation;
use crate::stack::extension::Link;

/// Pods `web`, `api` and `db`, of which `api` is called by another port than it listens on.
fn three() -> String {
    let pod = |name: &str, port: u16| listening("Deployment", name, 1, &[&[port]]);
    pod("web", 8080) + &pod("api", 8080) + &before("api", "api", "") + &pod("db", 5432)
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn translated(policies: &str) -> Translation {
    read(&(three() + policies), "{}", &[]).unwrap_or_else(|p| panic!("{p}"))
}

/// The restrictions of a service: to whom, at which ports, by what.
fn of<'t>(t: &'t Translation, service: &str) -> Vec<(String, Vec<&'t str>, &'t str)> {
    let links = t.beyond.extension.links.get(service);
    let to = |l: &Link| match l.outside {
        true => "outside".to_owned(),
        false => l.to.join(" "),
    };
    let all = links.into_iter().flatten();
    all.map(|l| {
        (
            to(l),
            l.ports.iter().map(String::as_str).collect(),
            l.by.as_str(),
        )
    })
    .collect()
}

fn records<'t>(t: &'t Translation, object: &str) -> Vec<&'t Record> {
    let all = t.records.iter();
    all.filter(|r| r.object == object).collect()
}

#[test]
fn without_policies_nothing_is_restricted() {
    assert!(translated("").beyond.extension.links.is_empty());
}

#[test]
fn what_comes_in_is_let_through_for_whom_it_says_at_the_ports_it_says() {
    let t = translated(&policy(
        "db",
        "{podSelector: {matchLabels: {a: db}}, ingress: [{from: [{podSelector: {matchLabels: {a: api}}}], ports: [{port: 5432}]}]}",
    ));
    let by = "networkpolicy:db";
    assert_eq!(of(&t, "web"), [("db".to_owned(), vec![], by)]);
    assert_eq!(of(&t, "api"), [("db".to_owned(), vec!["5432/tcp"], by)]);
    let records = records(&t, by);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(
        (records[0].class, records[0].severity),
        (Class::Substituted, Severity::Low)
    );
}

#[test]
fn a_port_of_a_service_leads_where_the_policy_allows_it() {
    let t = translated(&policy(
        "api",
        "{podSelector: {matchLabels: {a: api}}, ingress: [{ports: [{port: 8080}]}]}",
    ));
    // 80 is the Service's port, which leads to 8080.
    let ports = vec!["80/tcp", "8080/tcp"];
    assert_eq!(
        of(&t, "web"),
        [("api".to_owned(), ports.clone(), "networkpolicy:api")]
    );
    assert_eq!(
        of(&t, "db"),
        [("api".to_owned(), ports, "networkpolicy:api")]
    );
}

#[test]
fn both_sides_have_to_allow_it() {
    let t = translated(
        &(policy("none", "{podSelector: {}}")
            + &policy(
                "db",
                "{podSelector: {matchLabels: {a: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5000, endPort: 6000}]}]}",
            )
            + &policy(
                "out",
                "{podSelector: {matchLabels: {a: api}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {a: db}}}], ports: [{port: 5432}, {port: 53, protocol: UDP}]}]}",
            )),
    );
    let api = of(&t, "api");
    let (db, out) = ("networkpolicy:db, networkpolicy:none", "networkpolicy:out");
    let both = format!("{out}, {db}");
    let to_db = api.iter().find(|(to, ..)| to == "db").expect("db");
    assert_eq!(*to_db, ("db".to_owned(), vec!["5432/tcp"], both.as_str()));
    let outside = api
        .iter()
        .find(|(to, ..)| to == "outside")
        .expect("outside");
    assert_eq!(*outside, ("outside".to_owned(), vec![], out));
    let web = of(&t, "web");
    let to_db = web.iter().find(|(to, ..)| to == "db").expect("db");
    assert_eq!(to_db.1, ["5000-6000/tcp"]);
    let nowhere = web.iter().find(|(to, ..)| to == "web api").expect("api");
    assert!(nowhere.1.is_empty(), "{web:?}");
    // It may open connections to the database, but cannot ask where that is.
    let dns = records(&t, "deployment:api");
    let dns: Vec<_> = dns.iter().filter(|r| r.field == "dns").collect();
    assert_eq!(dns.len(), 1);
    assert_eq!(dns[0].severity, Severity::High);
}

#[test]
fn what_is_outside_is_let_through_by_blocks_of_public_addresses() {
    let dns = "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 53, protocol: UDP}]}";
    for (rule, wanted) in [
        (
            "{to: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 443}]}",
            Some(vec!["443/tcp"]),
        ),
        (
            "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}",
            None,
        ),
        ("{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}", Some(vec![])),
        ("{ports: [{port: 443}]}", Some(vec!["443/tcp"])),
    ] {
        let t = translated(&policy(
            "out",
            &format!(
                "{{podSelector: {{matchLabels: {{a: api}}}}, policyTypes: [Egress], egress: [{dns}, {rule}]}}"
            ),
        ));
        let api = of(&t, "api");
        let outside = api.iter().find(|(to, ..)| to == "outside");
        assert_eq!(outside.map(|(_, ports, _)| ports.clone()), wanted, "{rule}");
        assert!(!t.records.iter().any(|r| r.field == "dns"), "{rule}");
        assert!(!t.beyond.extension.links.contains_key("web"), "{rule}");
    }
}

#[test]
fn policies_of_another_namespace_or_kind_bind_nobody() {
    let elsewhere = policy("none", "{podSelector: {}}")
        .replace("{name: none}", "{name: none, namespace: other}");
    let t = translated(&elsewhere);
    assert!(t.beyond.extension.links.is_empty());
    let found = records(&t, "networkpolicy:other/none");
    assert_eq!(
        (found[0].field.as_str(), found[0].severity),
        ("podSelector", Severity::Info)
    );
    let cilium =
        policy("none", "{endpointSelector: {}}").replace("networking.k8s.io/v1", "cilium.io/v2");
    let t = translated(&cilium);
    assert!(t.beyond.extension.links.is_empty());
    assert!(
        t.records
            .iter()
            .any(|r| r.class == Class::Dropped && r.declared.contains("cilium.io"))
    );
}

#[test]
fn labels_of_a_namespace_that_no_file_has_are_asked_for() {
    let text = policy(
        "db",
        "{podSelector: {matchLabels: {a: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: store}}}]}]}",
    );
    let t = translated(&text);
    assert_eq!(of(&t, "web").len(), 1);
    let found = records(&t, "networkpolicy:db");
    assert!(
        found
            .iter()
            .any(|r| r.field == "ingress[0].from[0].namespaceSelector"),
        "{found:?}"
    );
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {team: store}}\n";
    let t = translated(&(text + namespace));
    assert!(
        t.beyond.extension.links.is_empty(),
        "{:?}",
        t.beyond.extension.links
    );
}

#[test]
fn a_policy_of_a_wrong_form_is_refused_where_it_stands() {
    let text = three() + &policy("db", "{podSelector: {}, ingress: 5}");
    let problems = read(&text, "{}", &[]).err().map(|p| p.to_string());
    let problems = problems.unwrap_or_default();
    assert!(problems.contains("the NetworkPolicy `db`"), "{problems}");
}
