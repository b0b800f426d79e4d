//! What becomes of Ingresses.

use serde_json::{Value as Json, json};

use super::super::tests::{before, listening, read};
use crate::fidelity::{Class, Severity};
use crate::spec::{FrontMode, Translation};

/// A rule of an Ingress.
fn rule(host: &str, path: &str, service: &str, port: &str) -> String {
    format!(
        "{{host: {host}, http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {{name: {service}, port: {{{port}}}}}}}}}]}}}}"
    )
}

fn ingress(name: &str, rules: &[String]) -> String {
    let rules = rules.join(", ");
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec: {{rules: [{rules}]}}\n"
    )
}

/// The names of the service of a workload of one container, and what the record of an Ingress
/// says.
fn led(ingresses: &str) -> (Translation, Vec<(Class, Severity, String)>) {
    let web = listening("Deployment", "web", 1, &[&[8080]]);
    let api = listening("Deployment", "api", 1, &[&[8080]]);
    let text = [web, api, before("web", "web", ""), before("api", "api", "")];
    let t = read(&(text.concat() + ingresses), "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let records = t.records.iter().filter(|r| r.field == "rules");
    let records = records.map(|r| (r.class, r.severity, r.actual.clone()));
    let records = records.collect();
    (t, records)
}

/// The routes of the gateway.
fn routes(t: &Translation) -> Vec<Json> {
    let routes = &t.beyond.fronts["ingress"].forwards;
    let read = |r: &String| serde_json::from_str(r).unwrap();
    routes.iter().map(read).collect()
}

fn is_called(document: &Json, service: &str, host: &str) -> bool {
    let names = &document["services"][service]["networks"]["default"]["aliases"];
    names.as_array().unwrap().contains(&json!(host))
}

#[test]
fn a_host_that_leads_to_one_service_is_its_name() {
    let rules = [
        rule("shop.example", "/", "web", "number: 80"),
        rule("api.example", "/", "api", "number: 80"),
        rule("shop.example", "/x", "web", "number: 80"),
    ];
    let (t, records) = led(&ingress("all", &rules));
    let document = t.document.to_json();
    assert!(is_called(&document, "web", "shop.example"));
    assert!(is_called(&document, "api", "api.example"));
    assert!(!is_called(&document, "api", "shop.example"));
    let actual = "shop.example, api.example".to_owned();
    assert_eq!(records, [(Class::Substituted, Severity::Medium, actual)]);
}

#[test]
fn a_host_that_leads_to_several_services_is_the_gateways() {
    let web = || rule("shop.example", "/", "web", "number: 80");
    let api = || rule("shop.example", "/api", "api", "number: 80");
    for text in [
        ingress("a", &[web()]) + &ingress("b", &[api()]),
        ingress("a", &[web(), api()]),
    ] {
        let (t, records) = led(&text);
        let document = t.document.to_json();
        assert!(!is_called(&document, "web", "shop.example"), "{document}");
        assert!(
            is_called(&document, "ingress", "shop.example"),
            "{document}"
        );
        let front = &t.beyond.fronts["ingress"];
        assert_eq!(front.does, FrontMode::Gateway);
        let to = |path: &str, service: &str| json!({"host": "shop.example", "kind": "prefix", "path": path, "to": format!("{service}.default.svc.cluster.local:80")});
        assert_eq!(routes(&t), [to("/api", "api"), to("/", "web")]);
        assert!(!records.is_empty());
        for record in records {
            let actual = "ingress, shop.example".to_owned();
            assert_eq!(record, (Class::Substituted, Severity::Medium, actual));
        }
    }
}

#[test]
fn rules_for_any_host_and_rewritten_paths_need_a_gateway() {
    let any = ingress("any", &[rule("shop.example", "/", "web", "number: 80")])
        .replace("host: shop.example, ", "");
    let star = ingress(
        "star",
        &[rule("'*.shop.example'", "/", "api", "number: 80")],
    );
    let rewritten = ingress(
        "old",
        &[rule("old.example", "/api(/|$)(.*)", "api", "number: 80")],
    )
    .replace(
        "metadata: {name: old}",
        "metadata: {name: old, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}",
    );
    let default = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: all}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}\n";
    let named = ingress("named", &[rule("web.example", "/", "web", "number: 80")]);
    let text = [any, star, rewritten, default.to_owned(), named].concat();
    let (t, records) = led(&text);
    let document = t.document.to_json();
    assert!(is_called(&document, "web", "web.example"), "{document}");
    assert!(is_called(&document, "ingress", "old.example"), "{document}");
    assert!(
        !is_called(&document, "ingress", "web.example"),
        "{document}"
    );
    let to = |service: &str| format!("{service}.default.svc.cluster.local:80");
    assert_eq!(
        routes(&t),
        [
            json!({"host": "old.example", "kind": "regex", "path": "/api(/|$)(.*)", "to": to("api"), "rewrite": "/$2"}),
            json!({"kind": "prefix", "path": "/", "to": to("web")}),
            json!({"host": "web.example", "kind": "prefix", "path": "/", "to": to("web")}),
            json!({"host": "*.shop.example", "kind": "prefix", "path": "/", "to": to("api")}),
            json!({"kind": "default", "to": to("web")}),
        ]
    );
    assert!(
        records.iter().all(|r| r.0 == Class::Substituted),
        "{records:?}"
    );
}

#[test]
fn a_host_that_leads_nowhere_is_dropped() {
    for (service, port) in [
        ("gone", "number: 80"),
        ("web", "number: 81"),
        ("web", "name: x"),
    ] {
        let rules = [
            rule("shop.example", "/", service, port),
            rule("api.example", "/", "api", "number: 80"),
        ];
        let (t, records) = led(&ingress("a", &rules));
        let document = t.document.to_json();
        assert!(!is_called(&document, "web", "shop.example"), "{document}");
        assert!(is_called(&document, "api", "api.example"), "{document}");
        assert!(document["services"].get("ingress").is_none(), "{document}");
        let actual = "api.example".to_owned();
        assert_eq!(records, [(Class::Dropped, Severity::High, actual)]);
    }
}

#[test]
fn a_host_of_a_service_that_stands_apart_leads_to_its_front() {
    let web = listening("Deployment", "web", 1, &[&[80, 8080]]);
    let rules = [rule("shop.example", "/", "web", "number: 80")];
    let text = web + &before("web", "web", "") + &ingress("a", &rules);
    let t = read(&text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let document = t.document.to_json();
    assert!(is_called(&document, "web-front", "shop.example"));
    assert!(document["services"]["web-pods"].get("networks").is_none());
    let forwards = &t.beyond.fronts["web-front"].forwards;
    assert_eq!(*forwards, ["80=web-pods:8080/tcp"]);
    assert_eq!(t.beyond.fronts.len(), 1);
}
