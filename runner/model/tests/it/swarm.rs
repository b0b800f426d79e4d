//! Stack files as `docker stack deploy` reads them.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::Problems;
use prodmirror_model::fidelity::{Class, Severity};
use prodmirror_model::project::Project;
use serde_json::json;

use crate::corpus_files::trial;
use crate::pipeline::{docker_compose, same_config};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("swarm::what_swarm_honours", honoured),
        Trial::test("swarm::what_swarm_refuses", refused),
        trial("swarm::corpus", |corpus| stacks(corpus).map(|_| ())),
        docker_compose("swarm::docker_compose_reads_the_corpus", compose_reads),
    ]
}

const STACK: &str = r#"
version: "3.8"
services:
  web:
    image: x:${TAG:-1}
    build: .
    container_name: fixed
    depends_on: [db]
    privileged: true
    restart: always
    hostname: "{{.Service.Name}}-{{.Task.Slot}}"
    env_file: web.env
    environment:
      NODE: "{{.Node.Hostname}}"
      ODD: "{{.Service.Labels.x}}"
    configs: [{ source: conf, target: /conf }]
    secrets: [key]
    networks: [front]
    deploy:
      replicas: 3
      resources: { limits: { cpus: "0.5", memory: 64M }, reservations: { cpus: "0.25" } }
  db:
    image: db:1
    secrets: [{ source: key, target: db-key, mode: 0400, uid: "70" }]
    deploy: { mode: global, endpoint_mode: dnsrr }
networks: { front: { driver: overlay, driver_opts: { encrypted: "" } } }
configs: { conf: { file: conf.txt } }
secrets: { key: { external: true } }
"#;

fn case(stack: &str, mirror: &str) -> (Result<Compiled, Problems>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("stack.yaml", stack),
        ("mirror.yaml", mirror),
        ("web.env", "QUOTED=\"q\" # no comment\n"),
        ("conf.txt", "text\n"),
        (".env", "TAG=never\n"),
    ];
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    (compile(&project, &Inputs::default()), dir)
}

fn honoured() -> Result<(), Failed> {
    let mirror = "project: shop\nproduction: [{ path: stack.yaml, format: swarm }]\nsecrets: { key: { stub: s3cret } }\n";
    let (compiled, _dir) = case(STACK, mirror);
    let compiled = compiled.map_err(|p| p.to_string())?;
    compiled.ready().map_err(|p| p.to_string())?;
    let production = compiled.production.to_compose();
    let web = &production["services"]["web"];
    assert_eq!(web["image"], "x:1", "a stack reads no .env");
    for ignored in [
        "build",
        "container_name",
        "depends_on",
        "privileged",
        "restart",
    ] {
        assert!(web.get(ignored).is_none(), "{ignored}: {web}");
        let found = compiled
            .fidelity
            .records
            .iter()
            .find(|r| r.object == "service:web" && r.field == ignored);
        assert_eq!(
            found.map(|r| (r.class, r.severity)),
            Some((Class::Dropped, Severity::Info)),
            "{ignored}"
        );
    }
    assert_eq!(web["hostname"], "shop_web-1");
    assert_eq!(web["environment"]["NODE"], "mirror");
    assert_eq!(web["environment"]["ODD"], "{{.Service.Labels.x}}");
    assert_eq!(web["environment"]["QUOTED"], "\"q\" # no comment");
    assert_eq!(web["deploy"]["replicas"], 3);
    assert_eq!(web["deploy"]["restart_policy"]["condition"], "any");
    assert!(web["deploy"]["resources"].get("reservations").is_none());
    assert_eq!(
        web["networks"]["front"]["aliases"],
        json!(["tasks.web", "shop_web"])
    );
    assert_eq!(web["secrets"][0]["mode"], "0444");
    let db = &production["services"]["db"];
    assert_eq!(
        db["networks"]["default"]["aliases"],
        json!(["tasks.db", "shop_db"])
    );
    assert_eq!(
        (&db["secrets"][0]["mode"], &db["secrets"][0]["uid"]),
        (&json!("0400"), &json!("70"))
    );
    let record = |object: &str, field: &str| {
        let records = &compiled.fidelity.records;
        let found = records
            .iter()
            .find(|r| r.object == object && r.field == field);
        found.map(|r| (r.class, r.severity))
    };
    assert_eq!(
        record("service:web", "environment.ODD"),
        Some((Class::Unknown, Severity::High))
    );
    assert_eq!(
        record("service:web", "hostname"),
        Some((Class::Substituted, Severity::Medium))
    );
    assert_eq!(
        record("service:web", "deploy.endpoint_mode"),
        Some((Class::Substituted, Severity::Low))
    );
    assert_eq!(
        record("service:db", "deploy.mode"),
        Some((Class::Substituted, Severity::Info))
    );
    assert!(record("network:front", "driver").is_some());
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let swarm = "production: [{ path: stack.yaml, format: swarm }]\n";
    for (stack, word) in [
        (
            "services: { a: { image: x, mem_limit: 1g } }",
            "deploy.resources",
        ),
        (
            "services: { a: { image: x, extends: b } }",
            "has no key `extends`",
        ),
        (
            "services: { a: { image: x, imagee: y } }",
            "did you mean `image`",
        ),
        (
            "include: [x]\nservices: { a: { image: x } }",
            "has no key `include`",
        ),
        (
            "services: { a: { image: x, secrets: [s] } }\nsecrets: { s: { external: true } }",
            "secrets:\n  s: { stub: VALUE }",
        ),
    ] {
        let (result, _dir) = case(stack, swarm);
        let said = match &result {
            Ok(compiled) => compiled.problems.to_string(),
            Err(problems) => problems.to_string(),
        };
        assert!(said.contains(word), "{stack}\n{said}");
    }
    Ok(())
}

/// The stacks of the corpus: read as far as their missing values allow, and by nobody taken
/// for something else.
fn stacks(corpus: &Path) -> Result<Vec<(String, Compiled)>, Failed> {
    let vars = "DOMAIN=example.org\nADMIN_USER=admin\nADMIN_PASSWORD=admin\nHASHED_PASSWORD='h'\nHOST=gitlab.example.org\nGITLAB_HOST=g.example.org\nREGISTRY_HOST=r.example.org\nHOSTNAME=node1\nSLACK_URL=https://hooks.slack.invalid/x\n";
    let mut read = Vec::new();
    let mut wrong = Vec::new();
    for path in [
        "stefanprodan+swarmprom/docker-compose.yml",
        "stefanprodan+swarmprom/docker-compose.traefik.yml",
        "stefanprodan+swarmprom/weave-compose.yml",
        "dockersamples+atsea-sample-shop-app/docker-stack.yml",
        "dockersamples+example-voting-app/docker-stack.yml",
        "sameersbn+docker-gitlab/docker-compose.swarm.yml",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let source = corpus.join(path);
        copy(source.parent().unwrap(), dir.path());
        let name = source.file_name().unwrap().to_string_lossy().into_owned();
        let secrets = [
            "postgres_password",
            "staging_token",
            "revprox_key",
            "revprox_cert",
        ];
        let secrets: String = secrets
            .map(|s| format!("  {s}: {{ stub: stand-in }}\n"))
            .concat();
        let mirror = format!(
            "production: [{{ path: {name}, format: swarm }}]\nenv_files: [vars.env]\nsecrets:\n{secrets}"
        );
        std::fs::write(dir.path().join("mirror.yaml"), mirror).unwrap();
        std::fs::write(dir.path().join("vars.env"), vars).unwrap();
        let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        match compile(
            &project,
            &Inputs {
                agent_image: "agent:test".into(),
                ..Inputs::default()
            },
        ) {
            Ok(compiled) => {
                let refused = compiled.problems.0.iter().filter(|p| p.is_error()).count();
                let records = compiled.fidelity.records.len();
                println!("read {path}: {records} records, {refused} refusals of the policy");
                read.push((path.to_owned(), compiled));
            }
            Err(problems) => wrong.push(format!("{path}: {problems}")),
        }
    }
    if wrong.is_empty() {
        Ok(read)
    } else {
        Err(wrong.join("\n").into())
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn compose_reads(program: &Path) -> Result<(), Failed> {
    let Some(corpus) = crate::corpus_files::root() else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    for (path, compiled) in stacks(&corpus)? {
        let Some(stack) = compiled.stack else {
            wrong.push(format!("{path}: no stack: {}", compiled.problems));
            continue;
        };
        let names: Vec<&str> = stack.variables.keys().map(String::as_str).collect();
        if let Err(why) = same_config(program, &stack.text.file.text, &names) {
            wrong.push(format!("{path}: {why}"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}
