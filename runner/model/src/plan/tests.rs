use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::diag::ProblemKind;
use crate::mirror::Mirror;
use crate::source::{SourceFile, Span};
use crate::yaml::{Node, parse_one};

const EVERYTHING: &str = include_str!("../../tests/fixtures/compose/everything.json");

fn mirror(text: &str) -> Mirror {
    let node = parse_one(&SourceFile::new("c.yaml", text)).unwrap();
    Mirror::from_compose(&node).unwrap()
}

fn old_small_host() -> HostFacts {
    HostFacts {
        cpus: 2,
        nofile_limit: Some(1024),
        log_driver: "journald".into(),
        ..HostFacts::default()
    }
}

#[test]
fn limits_that_the_host_cannot_give_are_clamped_and_said() {
    let mirror = mirror(
        "name: t\nservices:\n  a:\n    image: i\n    cpus: 8\n    mem_limit: '1024'\n    \
         cpuset: 0-7\n    ulimits: {nofile: {soft: 10, hard: 65536}, nproc: 7}\n    \
         restart: always\n    healthcheck: {start_period: 1s, start_interval: 1s}\n\
         networks: {default: {name: t_default}}\n",
    );
    let options = PlanOptions {
        host: old_small_host(),
        ..PlanOptions::default()
    };
    let plan = plan(&mirror, &options).unwrap();
    let body = &plan.containers[0].body;
    let host = &body["HostConfig"];
    assert_eq!(host["CpuQuota"], 800_000);
    assert_eq!(host["CpuPeriod"], 100_000);
    assert_eq!(host.get("NanoCpus"), None);
    assert_eq!(host["Memory"], 6 * 1024 * 1024);
    assert_eq!(host["CpusetCpus"], "0-1");
    assert_eq!(
        host["Ulimits"],
        json!([
            {"Name": "nofile", "Soft": 10, "Hard": 1024},
            {"Name": "nproc", "Soft": 7, "Hard": 7},
        ])
    );
    assert_eq!(host.get("RestartPolicy"), None);
    assert_eq!(host["LogConfig"]["Type"], "json-file");
    assert_eq!(body["Healthcheck"].get("StartInterval"), None);
    let rules: Vec<_> = plan.records_of("a").map(|r| r.rule.as_str()).collect();
    assert_eq!(
        rules,
        [
            "logging",
            "restart",
            "processors",
            "memory",
            "cpuset",
            "nofile",
            "start_interval"
        ]
    );
    assert!(
        plan.records_of("a")
            .all(|r| r.place.is_some() || r.rule == "logging")
    );
}

#[test]
fn labels_by_which_programs_find_what_is_theirs_are_never_the_specs() {
    let brought =
        "{app: x, com.docker.compose.project: other, dev.prodmirror.pre-stop: '[[\"rm\"]]'}";
    let mirror = mirror(&format!(
        "name: t\nservices:\n  a:\n    image: i\n    labels: {brought}\n    volumes:\n      \
         - {{type: volume, source: v, target: /v}}\n      \
         - {{type: volume, target: /w, volume: {{labels: {brought}}}}}\n\
         networks: {{default: {{name: t_default, labels: {brought}}}}}\n\
         volumes: {{v: {{name: t_v, labels: {brought}}}}}\n",
    ));
    let plan = plan(&mirror, &PlanOptions::default()).unwrap();
    assert_eq!(plan.containers[0].body["Labels"], json!({"app": "x"}));
    let body = plan.containers[0].body.to_string();
    assert!(
        !body.contains("pre-stop") && !body.contains("com.docker.compose"),
        "{body}"
    );
    for labels in [&plan.networks[0].labels, &plan.volumes[0].labels] {
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["app"]);
    }
    let dropped: Vec<_> = plan
        .fidelity
        .records
        .iter()
        .filter(|r| r.field.starts_with("labels."))
        .map(|r| (r.object.as_str(), r.field.as_str()))
        .collect();
    let names = [
        "labels.com.docker.compose.project",
        "labels.dev.prodmirror.pre-stop",
    ];
    let expected: Vec<_> = ["service:a", "network:default", "volume:v"]
        .into_iter()
        .flat_map(|object| names.map(|name| (object, name)))
        .collect();
    assert_eq!(dropped, expected);
}

#[test]
fn a_new_engine_keeps_what_an_old_one_lacks() {
    let mirror = mirror(
        "name: t\nservices: {a: {image: i, healthcheck: {start_period: 1s, start_interval: 1s}}}\n",
    );
    let mut options = PlanOptions::default();
    options.host.api = (1, 44);
    let body = &plan(&mirror, &options).unwrap().containers[0].body;
    assert_eq!(body["Healthcheck"]["StartInterval"], 1_000_000_000);
}

#[test]
fn files_of_the_project_are_copied_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join("app.conf"), "x").unwrap();
    std::fs::write(dir.path().join("key"), "s3cret").unwrap();
    let text = format!(
        "name: t\nservices:\n  a:\n    image: i\n    volumes:\n    \
         - {{type: bind, source: {root}/app.conf, target: /app.conf, read_only: true, bind: {{create_host_path: true}}}}\n    \
         - {{type: bind, source: {root}/new, target: /new, bind: {{create_host_path: true}}}}\n    \
         - {{type: bind, source: /elsewhere, target: /else, bind: {{create_host_path: true}}}}\n    \
         - {{type: volume, source: data, target: /data}}\n    \
         secrets: [{{source: key, mode: '0400', uid: '7'}}, {{source: given}}]\n    \
         configs: [{{source: text, target: /etc/text}}]\n\
         volumes: {{data: {{name: t_data}}}}\nsecrets: {{key: {{file: {root}/key}}, given: {{environment: GIVEN}}}}\n\
         configs: {{text: {{content: hello}}}}\n"
    );
    let mirror = mirror(&text);
    let options = PlanOptions {
        project_dir: dir.path().to_owned(),
        values: [("GIVEN".to_owned(), Secret::new("v"))].into(),
        ..PlanOptions::default()
    };
    let plan = plan(&mirror, &options).unwrap();
    let container = &plan.containers[0];
    let host = &container.body["HostConfig"];
    assert_eq!(
        host["Binds"],
        json!(["/elsewhere:/else:rw", "data:/data:rw"])
    );
    assert_eq!(host["Mounts"][0]["Target"], "/new");
    assert_eq!(plan.volumes.len(), 2);
    let files: Vec<_> = container
        .files
        .iter()
        .map(|f| (f.target.as_str(), f.mode, f.uid, f.read_only))
        .collect();
    assert_eq!(files[0].0, "/run/secrets/key");
    assert_eq!((files[0].1, files[0].2), (Some(0o400), 7));
    assert_eq!(files[1], ("/run/secrets/given", None, 0, true));
    assert_eq!(files[2], ("/etc/text", None, 0, true));
    assert_eq!(files[3].0, "/app.conf");
    assert!(matches!(
        container.files[3].content,
        FileContent::HostPath(_)
    ));
    let secrets: Vec<_> = plan.secrets().map(Secret::expose).collect();
    assert_eq!(secrets, ["s3cret", "v"]);
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cret"));
}

#[test]
fn missing_files_and_values_are_told_together() {
    let mirror = mirror(
        "name: t\nservices:\n  a:\n    image: i\n    volumes: [{type: bind, source: /p/none, target: /x, bind: {}}]\n    \
         secrets: [{source: env}, {source: file}, {source: ext}, {source: undeclared}]\n\
         secrets: {env: {environment: E}, file: {file: /p/nope}, ext: {external: true}}\n",
    );
    let options = PlanOptions {
        project_dir: "/p".into(),
        ..PlanOptions::default()
    };
    let problems = plan(&mirror, &options).unwrap_err();
    let kinds: Vec<_> = problems.0.iter().map(|p| p.kind).collect();
    assert_eq!(
        kinds,
        [
            ProblemKind::Missing,
            ProblemKind::MissingFile,
            ProblemKind::Missing,
            ProblemKind::UnknownReference,
            ProblemKind::MissingFile,
        ]
    );
    assert!(problems.0.iter().all(|p| p.span.is_some()));
}

#[test]
fn secret_variables_leave_the_body() {
    let mut mirror =
        mirror("name: t\nservices: {a: {image: i, environment: {A: '1', KEY: hush}}}\n");
    mirror.services["a"].env[1].sensitive = true;
    let plan = plan(&mirror, &PlanOptions::default()).unwrap();
    let container = &plan.containers[0];
    assert_eq!(container.body["Env"], json!(["A=1", "KEY=***"]));
    assert_eq!(container.secret_env["KEY"].expose(), "hush");
}

#[test]
fn a_network_is_shared_with_its_last_owner() {
    let mirror = mirror(
        "name: t\nservices:\n  a: {image: i, network_mode: 'service:b'}\n  b: {image: i, network_mode: 'service:c'}\n  \
         c: {image: i}\n  n: {image: i, network_mode: none}\n  br: {image: i, network_mode: bridge}\n  \
         job: {image: i, deploy: {mode: replicated-job, replicas: 2}}\n  \
         after: {image: i, depends_on: {n: {condition: service_completed_successfully, required: true}}}\n\
         networks: {default: {name: t_default}}\n",
    );
    let plan = plan(&mirror, &PlanOptions::default()).unwrap();
    let of = |name: &str| plan.containers.iter().find(|c| c.service == name).unwrap();
    assert_eq!(of("a").network, NetworkOf::Service("c".into()));
    assert_eq!(of("b").network, NetworkOf::Service("c".into()));
    assert_eq!(of("c").network, NetworkOf::Own);
    assert_eq!(of("n").network, NetworkOf::None);
    assert_eq!(of("br").network, NetworkOf::Own);
    assert!(of("n").one_shot && of("job").one_shot && !of("c").one_shot);
    let keys: Vec<_> = plan
        .networks
        .iter()
        .map(|n| (n.key.as_str(), n.addresses))
        .collect();
    assert_eq!(keys, [("default", 8), ("default-bridge", 5)]);
    assert!(plan.networks.iter().all(|n| n.internal));
    let host = mirror_with_host_network();
    let problems = super::plan(&host, &PlanOptions::default()).unwrap_err();
    assert_eq!(problems.0[0].kind, ProblemKind::Forbidden);
    let allowed = PlanOptions::for_stack(&host, "/p".into(), HostFacts::default());
    let plan = super::plan(&host, &allowed).unwrap();
    assert_eq!(
        plan.containers[0].network,
        NetworkOf::Foreign("host".into())
    );
}

#[test]
fn only_networks_that_the_policy_left_open_lead_out() {
    let mirror = mirror(
        "name: t\nservices: {a: {image: i, networks: {in: null, out: null}}}\n\
         networks: {in: {internal: true}, out: {}}\n",
    );
    let open = |options: &PlanOptions| -> Vec<bool> {
        let plan = plan(&mirror, options).unwrap();
        plan.networks.iter().map(|n| n.internal).collect()
    };
    assert_eq!(open(&PlanOptions::default()), [true, true]);
    let options = PlanOptions::for_stack(&mirror, "/p".into(), HostFacts::default());
    assert_eq!(open(&options), [true, false]);
}

fn mirror_with_host_network() -> Mirror {
    mirror("name: t\nservices: {a: {image: i, network_mode: host}}\n")
}

/// Any JSON value, not deep.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-10_i64..100).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        "(service:)?(web|db|none|host|front|/src|0-9|1s|-1|80/tcp)".prop_map(Json::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[a-z_-]{0,8}", inner, 0..3)
                .prop_map(|m| Json::Object(m.into_iter().collect())),
        ]
    })
}

/// The `n`th part of a tree, deepest first.
fn nth<'a>(tree: &'a mut Json, n: &mut usize) -> Option<&'a mut Json> {
    if *n == 0 {
        return Some(tree);
    }
    *n -= 1;
    match tree {
        Json::Array(items) => items.iter_mut().find_map(|item| nth(item, n)),
        Json::Object(map) => map.values_mut().find_map(|item| nth(item, n)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in a spec: it is read and planned, or refused; what is read is written
    /// and read again as the same.
    #[test]
    fn anything_is_planned_or_refused(changes in prop::collection::vec((0_usize..420, any_json()), 1..4)) {
        let mut spec: Json = serde_json::from_str(EVERYTHING).unwrap();
        for (mut at, value) in changes {
            if let Some(part) = nth(&mut spec, &mut at) {
                *part = value;
            }
        }
        let node = Node::from_json(&spec, &Span::generated());
        if let Ok(mirror) = Mirror::from_compose(&node) {
            let again = Node::from_json(&mirror.to_compose(), &Span::generated());
            let again = Mirror::from_compose(&again).unwrap();
            prop_assert_eq!(again.to_compose(), mirror.to_compose());
            let mut options = PlanOptions { host: old_small_host(), ..PlanOptions::default() };
            options.values.insert("S".into(), Secret::new("s"));
            options.host.api = (1, 50);
            if let Ok(plan) = plan(&mirror, &options) {
                for container in &plan.containers {
                    let parts = split(&container.body);
                    let service = parts.service.as_object().unwrap();
                    prop_assert!(NETWORK_FIELDS.iter().all(|key| !service.contains_key(*key)));
                    facts::Facts::of_body(&container.body);
                }
            }
        }
    }
}
