//! Running containers are what Docker Compose would have made of the same spec, but for the
//! deviation table.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_engine::docker::{Found, FoundKind};
use prodmirror_model::mirror::Mirror;
use prodmirror_model::plan::body::{BodyRequest, Naming, compose_body};
use prodmirror_model::plan::{AgreeRequest, HostFacts, PlanOptions, agree, plan, read_back};
use prodmirror_model::secret::Secret;
use prodmirror_model::spec::compose::{TextRequest, load_text};
use serde_json::Value;

use super::rig::{Rig, on_engine};

/// A spec that uses much of what a container can be asked for.
const SPEC: &str = r#"
name: agreed
services:
  web:
    image: IMAGE
    command: [hold]
    user: "1000:1000"
    group_add: ["44"]
    working_dir: /tmp
    hostname: web-host
    domainname: corp.example
    init: true
    tty: true
    stdin_open: true
    stop_signal: SIGINT
    stop_grace_period: 2s
    labels: { com.example.team: store }
    environment: { A: "1", EMPTY: "", KEY: "s3cret" }
    expose: ["7000", "7001/udp"]
    ports: ["18080:80", "9090"]
    networks:
      front: { aliases: [www, web.example], priority: 10 }
      back: { ipv4_address: 10.213.7.9 }
    extra_hosts: ["self=127.0.0.1"]
    dns: [127.0.0.9]
    dns_search: [corp.example]
    dns_opt: ["ndots:1"]
    cap_drop: [ALL]
    cap_add: [net_bind_service]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    sysctls: { net.core.somaxconn: "512", kernel.msgmax: "65536" }
    tmpfs: ["/run:size=1m,mode=1777", /tmp]
    ulimits: { nofile: { soft: 512, hard: 1024 }, nproc: 64 }
    shm_size: 32m
    cpu_shares: 512
    oom_score_adj: 500
    restart: always
    logging: { driver: json-file, options: { max-size: 1m } }
    healthcheck:
      test: [CMD, /prodmirror-agent, version]
      interval: 5s
      timeout: 3s
      retries: 3
      start_period: 10s
      start_interval: 1s
    volumes: ["data:/data", "data:/copy:ro", "/anonymous"]
    configs: [{ source: text, target: /etc/text }]
    secrets: [key]
    deploy:
      resources:
        limits: { cpus: "0.5", memory: 64M, pids: 32 }
        reservations: { memory: 16M }
  side:
    image: IMAGE
    command: [hold]
    network_mode: service:web
    pid: service:web
    volumes_from: [web]
  worker:
    image: IMAGE
    command: [hold]
    links: ["web:site"]
    networks: [front]
    deploy: { replicas: 2 }
  alone:
    image: IMAGE
    command: [hold]
    network_mode: none
    hostname: alone-host
networks:
  front: {}
  back: { ipam: { config: [{ subnet: 10.213.7.0/24 }] } }
volumes: { data: {} }
configs: { text: { content: hello } }
secrets: { key: { environment: KEY } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn running_containers_differ_by_the_table_only() {
    on_engine(|rig| async move {
        let image = rig.engine.image_id(&rig.agent).await.unwrap().unwrap();
        let mut mirror = mirror(&SPEC.replace("IMAGE", &image));
        let web = &mut mirror.services["web"];
        web.env
            .iter_mut()
            .find(|v| v.name.value == "KEY")
            .unwrap()
            .sensitive = true;
        let options = PlanOptions {
            values: BTreeMap::from([("KEY".to_owned(), Secret::new("s3cret"))]),
            host: facts(&rig),
            ..PlanOptions::default()
        };
        let planned = plan(&mirror, &options).unwrap_or_else(|e| panic!("{e}"));
        let stack = rig.up(planned).await.unwrap_or_else(|e| panic!("{e}"));
        let objects = rig.left(stack.run()).await;
        let networks = network_names(&objects, &mirror);
        let mut rules = BTreeSet::new();
        for service in mirror.services.values() {
            for replica in 1..=service.replicas() {
                let of = |role| inspected(&rig, &objects, role, &service.name, replica);
                let own = of("service").await.expect("a container");
                let sandbox = of("sandbox").await;
                let request = BodyRequest {
                    mirror: &mirror,
                    service,
                    replica,
                    project: &mirror.name,
                    project_dir: &options.project_dir,
                    naming: Naming::Keys,
                };
                let body = compose_body(&request).unwrap().body;
                let request = AgreeRequest {
                    body: &body,
                    service: &own,
                    sandbox: sandbox.as_ref(),
                    image: None,
                    networks: &networks,
                    copied: &["/etc/text".to_owned(), "/run/secrets/key".to_owned()],
                };
                let request = match service.name.as_str() {
                    "web" => request,
                    _ => AgreeRequest {
                        copied: &[],
                        ..request
                    },
                };
                let found = agree(&request);
                let differences: Vec<_> = found
                    .differences
                    .iter()
                    .filter(|d| !is_id(&d.actual))
                    .collect();
                assert!(
                    differences.is_empty(),
                    "{}: {differences:#?}",
                    service.name.value
                );
                rules.extend(found.deviations);
                let shown = format!("{:?}", read_back("service:x", &request));
                assert!(!shown.contains("s3cret"), "{shown}");
            }
        }
        let mut expected = BTreeSet::from([
            "labels",
            "mounts",
            "networks",
            "ports",
            "processors",
            "resolver",
            "restart",
            "sandbox",
        ]);
        if !rig.engine.facts().api_at_least(1, 44) {
            expected.insert("start_interval");
        }
        assert_eq!(rules, expected);
    })
    .await;
}

fn mirror(text: &str) -> Mirror {
    let request = TextRequest {
        name: "compose.yaml".into(),
        text: text.to_owned(),
        dir: "/nowhere".into(),
        files: BTreeMap::new(),
        shell: BTreeMap::from([("KEY".to_owned(), "s3cret".to_owned())]),
        profiles: Vec::new(),
        services: Vec::new(),
        project_name: None,
    };
    let loaded = load_text(&request).unwrap_or_else(|e| panic!("{e}"));
    Mirror::from_compose(&loaded.root).unwrap_or_else(|e| panic!("{e}"))
}

pub fn facts(rig: &Rig) -> HostFacts {
    rig.engine.facts().for_plan(None)
}

/// The engine's names of the networks, with the spec's.
fn network_names(objects: &[Found], mirror: &Mirror) -> BTreeMap<String, String> {
    let networks = objects.iter().filter(|o| o.kind == FoundKind::Network);
    networks
        .filter_map(|network| {
            let mut keys = mirror.networks.keys();
            let key = keys.find(|key| network.name.ends_with(&format!("-{key}")))?;
            Some((network.name.clone(), key.clone()))
        })
        .collect()
}

pub async fn inspected(
    rig: &Rig,
    objects: &[Found],
    role: &str,
    service: &str,
    replica: u32,
) -> Option<Value> {
    let object = objects.iter().find(|o| {
        o.label("dev.prodmirror.role") == role
            && o.label("dev.prodmirror.service") == service
            && o.label("dev.prodmirror.replica") == replica.to_string()
    })?;
    let shown = rig.engine.inspect_raw(object).await.unwrap();
    Some(serde_json::from_str(&shown).unwrap())
}

/// Where the body names a service, the container has an id.
fn is_id(actual: &Option<Value>) -> bool {
    let text = match actual {
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        Some(value) => value.as_str(),
        None => None,
    };
    let id = text.map(|t| t.strip_prefix("container:").unwrap_or(t));
    id.is_some_and(|id| id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit()))
}
