//! Task definitions of ECS: what becomes of each field, and of every file of the corpus.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, Stack, compile};
use prodmirror_model::diag::Problems;
use prodmirror_model::fidelity::{Class, Severity};
use prodmirror_model::project::Project;
use prodmirror_model::source::SourceFile;
use prodmirror_model::spec::{Source, Sources, ecs};
use prodmirror_model::yaml::Mapping;
use serde_json::{Value as Json, json};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("ecs::every_field_of_a_fargate_task", fargate),
        Trial::test("ecs::every_field_of_a_bridge_task", bridge),
        Trial::test("ecs::what_is_missing_is_asked_for", missing),
        Trial::test("ecs::templates_are_not_guessed_at", templates),
        Trial::test("ecs::refused", refused),
        Trial::test("ecs::any_value_is_read_or_refused", any_value),
    ]
}

const MIRROR: &str = r#"
project: shop
production: [web.json, api.json, services.json]
secrets:
  web/db/password: { stub: "stand-in-db" }
  API_KEY: { stub: "stand-in-key" }
supply:
  ecs:
    env_files:
      "arn:aws:s3:::bucket/one.env": { content: "A=1\nMODE=file\n" }
      two.env: { content: "A=2\nB=\"2\"\nDB_PASSWORD=file\n" }
    names:
      web: [web.example]
"#;

struct Case {
    _dir: tempfile::TempDir,
    compiled: Result<Compiled, Problems>,
}

fn case(files: &[(&str, &str)]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    let inputs = Inputs {
        agent_image: "prodmirror/agent:test".to_owned(),
        ..Inputs::default()
    };
    Case {
        compiled: compile(&project, &inputs),
        _dir: dir,
    }
}

fn fixture(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecs");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn shop() -> Case {
    let (web, api, services) = (
        fixture("web.json"),
        fixture("api.json"),
        fixture("services.json"),
    );
    case(&[
        ("web.json", &web),
        ("api.json", &api),
        ("services.json", &services),
        ("mirror.yaml", MIRROR),
    ])
}

impl Case {
    fn compiled(&self) -> Result<&Compiled, Failed> {
        self.compiled.as_ref().map_err(|p| p.to_string().into())
    }

    fn stack(&self) -> Result<&Stack, Failed> {
        let compiled = self.compiled()?;
        compiled
            .stack
            .as_ref()
            .ok_or_else(|| compiled.problems.to_string().into())
    }

    /// What refuses it.
    fn problems(&self) -> String {
        match &self.compiled {
            Ok(compiled) => compiled.problems.to_string(),
            Err(problems) => problems.to_string(),
        }
    }

    fn record(&self, object: &str, field: &str) -> (Class, Severity) {
        let compiled = self.compiled().unwrap();
        let records = &compiled.fidelity.records;
        let found = records
            .iter()
            .find(|r| r.object == object && r.field == field);
        let found =
            found.unwrap_or_else(|| panic!("no record of {object} {field} in {records:#?}"));
        assert!(found.place.is_some(), "{object} {field} has no place");
        (found.class, found.severity)
    }
}

fn same(what: &Json, key: &str, expected: Json) {
    assert_eq!(what[key], expected, "{key}");
}

fn fargate() -> Result<(), Failed> {
    let case = shop();
    let production = case.compiled()?.production.to_compose();
    let services = &production["services"];
    let names: Vec<&str> = services
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "web", "app", "proxy", "router", "migrate", "warm", "api", "db"
        ]
    );
    let app = &services["app"];
    same(app, "image", json!("registry.example/web:1.4"));
    same(app, "entrypoint", json!(["/bin/serve"]));
    same(app, "command", json!(["--cost", "$5", "${HOME}"]));
    same(app, "cpu_shares", json!(256));
    same(app, "cpus", json!(0.5));
    same(app, "mem_limit", json!("268435456"));
    same(app, "mem_reservation", json!("134217728"));
    same(app, "platform", json!("linux/amd64"));
    same(app, "network_mode", json!("service:web"));
    same(app, "pid", json!("service:web"));
    same(app, "user", json!("1000:1000"));
    same(app, "working_dir", json!("/srv"));
    same(app, "read_only", json!(true));
    same(app, "init", json!(true));
    same(app, "cap_add", json!(["SYS_PTRACE"]));
    same(app, "cap_drop", json!(["NET_RAW"]));
    same(app, "tmpfs", json!(["/run/app:size=16m,noexec,mode=1777"]));
    same(app, "labels", json!({"note": "", "team": "store"}));
    same(app, "sysctls", json!({"kernel.msgmax": "65536"}));
    same(app, "stop_grace_period", json!("12s"));
    same(
        app,
        "ulimits",
        json!({"core": {"hard": 1}, "nofile": {"soft": 65535, "hard": 65535}}),
    );
    let check = &app["healthcheck"];
    same(
        check,
        "test",
        json!(["CMD-SHELL", "curl -f http://localhost:8080/ || exit 1"]),
    );
    same(check, "interval", json!("30s"));
    same(check, "timeout", json!("5s"));
    same(check, "retries", json!(3));
    same(check, "start_period", json!("10s"));
    let env = &app["environment"];
    same(env, "A", json!("1"));
    same(env, "B", json!("\"2\""));
    same(env, "MODE", json!("prod"));
    same(env, "OPEN", json!("{{region}}"));
    same(env, "FLUENT_HOST", json!("127.0.0.1"));
    same(env, "FLUENT_PORT", json!("24224"));
    assert!(
        !production.to_string().contains("never-seen"),
        "a secret wins over a variable"
    );
    let mounts = &app["volumes"];
    assert_eq!(mounts[0]["source"], "scratch");
    assert_eq!(mounts[1]["read_only"], true);
    let needs = &app["depends_on"];
    assert_eq!(
        needs["migrate"]["condition"],
        "service_completed_successfully"
    );
    assert_eq!(needs["warm"]["condition"], "service_started");
    assert_eq!(needs["proxy"]["condition"], "service_healthy");
    assert_eq!(needs["router"]["condition"], "service_started");
    let holder = &services["web"];
    same(holder, "sysctls", json!({"net.core.somaxconn": "2048"}));
    let aliases = &holder["networks"]["default"]["aliases"];
    for name in ["web.example", "web.shop.internal", "app", "proxy"] {
        assert!(
            aliases.as_array().unwrap().contains(&json!(name)),
            "{name} is not in {aliases}"
        );
    }
    let ports = holder["ports"].as_array().unwrap();
    assert_eq!(
        (&ports[0]["target"], &ports[0]["published"]),
        (&json!(8080), &json!("8080"))
    );
    let proxy = &services["proxy"];
    same(&proxy["healthcheck"], "interval", json!("5s"));
    same(proxy, "mem_limit", json!("1073741824"));
    same(proxy, "cpu_shares", json!(2));
    same(proxy, "restart", json!("always"));
    same(proxy, "stop_grace_period", json!("30s"));
    same(&services["warm"], "healthcheck", json!({"disable": true}));

    use {Class::*, Severity::*};
    assert_eq!(case.record("task:web", "taskRoleArn"), (Dropped, High));
    assert_eq!(
        case.record("task:web", "desiredCount"),
        (Substituted, Medium)
    );
    assert_eq!(case.record("task:web", "loadBalancers"), (Dropped, Medium));
    assert_eq!(
        case.record("task:web", "serviceConnect[web.shop.internal:80]"),
        (Substituted, High)
    );
    assert_eq!(
        case.record("service:app", "environment.OPEN"),
        (Unknown, Medium)
    );
    assert_eq!(case.record("service:app", "memory (task)").0, Substituted);
    assert_eq!(
        case.record("service:router", "firelensConfiguration"),
        (Substituted, Medium)
    );
    assert_eq!(case.record("service:warm", "shiny"), (Dropped, Medium));
    assert_eq!(
        case.record("volume:files", "efsVolumeConfiguration"),
        (Substituted, Medium)
    );
    assert_eq!(
        case.record("service:app", "logging.driver"),
        (Substituted, Low)
    );
    let stack = case.stack()?;
    let text = &stack.text.file.text;
    assert!(text.contains("${WEB_DB_PASSWORD:?"), "{text}");
    assert!(text.contains("${API_KEY:?"), "{text}");
    for secret in ["stand-in-db", "stand-in-key"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    assert_eq!(
        stack.mirror.services["web"]
            .image
            .reference
            .as_ref()
            .unwrap()
            .value,
        "prodmirror/agent:test"
    );
    Ok(())
}

fn bridge() -> Result<(), Failed> {
    let case = shop();
    let production = case.compiled()?.production.to_compose();
    let services = &production["services"];
    let api = &services["api"];
    same(api, "links", json!(["db:store"]));
    same(api, "volumes_from", json!(["db:ro"]));
    same(api, "memswap_limit", json!("419430400"));
    same(api, "mem_swappiness", json!("10"));
    same(api, "shm_size", json!("67108864"));
    same(api, "hostname", json!("api-host"));
    same(api, "tty", json!(true));
    same(api, "stdin_open", json!(true));
    same(api, "security_opt", json!(["no-new-privileges"]));
    same(api, "dns", json!(["10.0.0.2"]));
    same(api, "extra_hosts", json!(["old=10.0.0.1"]));
    let ports = api["ports"].as_array().unwrap();
    assert_eq!(ports[0]["published"], "8088");
    assert!(ports[1].get("published").is_none(), "{ports:?}");
    assert_eq!(api["devices"][0]["source"], "/dev/fuse");
    assert_eq!(api["devices"][0]["permissions"], "r");
    let mounts = api["volumes"].as_array().unwrap();
    assert_eq!(
        (&mounts[0]["type"], &mounts[1]["type"]),
        (&json!("volume"), &json!("bind"))
    );
    assert_eq!(mounts[1]["source"], "/etc/shop");
    let db = &services["db"];
    assert!(db.get("mem_limit").is_none(), "a soft limit only");
    assert!(
        production["services"].get("api-task").is_none(),
        "bridge tasks share nothing"
    );
    assert_eq!(production["volumes"]["docker"]["labels"], json!({"a": "b"}));
    let said = case.problems();
    for part in ["/etc/shop", "/dev/fuse"] {
        assert!(said.contains(part), "{part} is not refused:\n{said}");
    }
    assert_eq!(
        case.record("task:api", "networkMode"),
        (Class::Substituted, Severity::Medium)
    );
    assert_eq!(
        case.record("task:api", "names"),
        (Class::Unknown, Severity::High)
    );
    Ok(())
}

fn missing() -> Result<(), Failed> {
    let task = r#"{"family": "t", "containerDefinitions": [
        {"name": "a", "image": "<IMAGE>", "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/x.env"}],
         "secrets": [{"name": "KEY", "valueFrom": "/one"}, {"name": "OTHER", "valueFrom": "arn:aws:ssm:r:1:parameter/other"}]},
        {"name": "b", "image": "x:1", "secrets": [{"name": "KEY", "valueFrom": "/two"}]}]}"#;
    let said = case(&[("t.json", task), ("mirror.yaml", "production: [t.json]\n")]).problems();
    for part in [
        "t.json:2:",
        "env_files:\n      \"arn:aws:s3:::b/x.env\": { file: PATH }",
        "secrets:\n  one: { stub: VALUE }",
        "secrets:\n  two: { stub: VALUE }",
        "secrets:\n  OTHER: { stub: VALUE }",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let given = "production: [t.json]\nsecrets: { one: {stub: s1}, two: {stub: s2}, OTHER: {stub: s3} }\nsupply: { ecs: { env_files: { x.env: {content: 'A=1'} } } }\n";
    let said = case(&[("t.json", task), ("mirror.yaml", given)]).problems();
    assert!(said.contains("under_test:\n    a: REFERENCE"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let image = format!("{given}images: {{ under_test: {{ a: 'x:2' }} }}\n");
    let whole = case(&[("t.json", task), ("mirror.yaml", &image)]);
    assert!(whole.compiled()?.ready().is_ok(), "{}", whole.problems());
    Ok(())
}

fn templates() -> Result<(), Failed> {
    let task = "{\"family\": $NAME, \"containerDefinitions\": [\n {\"name\": \"a\", \"image\": \"{{repo}}/web:<TAG>\",\n  \"cpu\": {{cpu}} }]}";
    let said = case(&[("t.json", task), ("mirror.yaml", "production: [t.json]\n")]).problems();
    for part in [
        "t.json:1:12: `$NAME`",
        "t.json:3:10: `{{cpu}}`",
        "\"{{cpu}}\": VALUE",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let given = "production: [t.json]\nsupply: { ecs: { placeholders: { $NAME: shop, '{{cpu}}': 64, '{{repo}}': r.example, '<TAG>': '1', '<NO>': x } } }\n";
    let case = case(&[("t.json", task), ("mirror.yaml", given)]);
    let a = &case.compiled()?.production.to_compose()["services"]["a"];
    same(a, "image", json!("r.example/web:1"));
    same(a, "cpu_shares", json!(64));
    assert!(case.problems().contains("`<NO>`"), "{}", case.problems());
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let one = |body: &str| format!("{{\"family\": \"t\", {body}}}");
    let with = |fields: &str| {
        one(&format!(
            "\"containerDefinitions\": [{{\"name\": \"a\", \"image\": \"x:1\", {fields}}}]"
        ))
    };
    for (task, word) in [
        ("[1]".to_owned(), "neither a task definition nor a service"),
        (
            "{\"Resources\": {\"T\": {\"Type\": \"AWS::ECS::TaskDefinition\"}}}".to_owned(),
            "CloudFormation",
        ),
        (one("\"containerDefinitions\": []"), "no containers"),
        (one("\"containerDefinitions\": {}"), "no containers"),
        (one("\"containerDefinitions\": [3]"), "has a `name`"),
        (
            one("\"containerDefinitions\": [{\"image\": \"x\"}]"),
            "has a `name`",
        ),
        (with("\"memory\": \"lots\""), "whole number"),
        (with("\"environment\": {}"), "a list is expected"),
        (with("\"environment\": [3]"), "an object is expected"),
        (
            with("\"environment\": [{\"name\": \"A=B\"}]"),
            "name of a variable",
        ),
        (
            with("\"dependsOn\": [{\"containerName\": \"z\", \"condition\": \"START\"}]"),
            "no container `z`",
        ),
        (
            with("\"dependsOn\": [{\"containerName\": \"a\", \"condition\": \"SOON\"}]"),
            "no condition",
        ),
        (
            with("\"dependsOn\": [{\"containerName\": \"a\", \"condition\": \"HEALTHY\"}]"),
            "never gets healthy",
        ),
        (
            with("\"mountPoints\": [{\"sourceVolume\": \"v\", \"containerPath\": \"/v\"}]"),
            "no volume `v`",
        ),
        (
            with("\"volumesFrom\": [{\"sourceContainer\": \"v\"}]"),
            "no container `v`",
        ),
        (with("\"links\": [\"v\"]"), "no container `v`"),
        (
            with("\"portMappings\": [{\"containerPort\": 70000}]"),
            "from 1 to 65535",
        ),
        (
            with(
                "\"linuxParameters\": {\"devices\": [{\"hostPath\": \"/dev/x\", \"permissions\": [\"all\"]}]}",
            ),
            "read, write or mknod",
        ),
        (with("\"privileged\": true"), "privileged"),
        (
            one(
                "\"networkMode\": \"cloud\", \"containerDefinitions\": [{\"name\": \"a\", \"image\": \"x:1\"}]",
            ),
            "no network mode",
        ),
        (
            one(
                "\"runtimePlatform\": {\"operatingSystemFamily\": \"WINDOWS_SERVER_2022_CORE\"}, \"containerDefinitions\": [{\"name\": \"a\", \"image\": \"x:1\"}]",
            ),
            "only Linux",
        ),
    ] {
        let mirror = "production: [{ path: t.json, format: ecs }]\n";
        let said = case(&[("t.json", &task), ("mirror.yaml", mirror)]).problems();
        assert!(
            said.contains(word) && said.contains("t.json:1:"),
            "{task}\n{said}"
        );
    }
    let twice = r#"{"family": "t", "containerDefinitions": [{"name": "a", "image": "x"}]}"#;
    let mirror = "production: [t.json, u.json]\n";
    let said = case(&[
        ("t.json", twice),
        ("u.json", twice),
        ("mirror.yaml", mirror),
    ])
    .problems();
    assert!(
        said.contains("two task definitions of the family `t`"),
        "{said}"
    );
    Ok(())
}

/// Each value of the fixtures in turn is something else, or the text ends there.
fn any_value() -> Result<(), Failed> {
    let (mut read, mut refused) = (0, 0);
    let mut translate = |text: String| {
        let path = PathBuf::from("/project/t.json");
        let sources = Sources {
            files: vec![Source {
                file: SourceFile::new("t.json", text),
                path,
            }],
            project: "p",
            root: Path::new("/project"),
            supply: &Mapping::default(),
            secrets: &[],
        };
        match (ecs::FORMAT.read)(&sources) {
            Ok(_) => read += 1,
            Err(problems) => {
                assert!(problems.has_errors());
                refused += 1;
            }
        }
    };
    for name in ["web.json", "api.json", "services.json"] {
        let text = fixture(name);
        for (at, _) in text.char_indices().step_by(7) {
            translate(text[..at].to_owned());
        }
        let whole: Json = serde_json::from_str(&text).unwrap();
        let mut pointers = Vec::new();
        places(&whole, String::new(), &mut pointers);
        for pointer in pointers {
            for other in [
                json!(null),
                json!(-3),
                json!("x"),
                json!(""),
                json!([]),
                json!([{}]),
                json!({}),
                json!(1e300),
            ] {
                let mut changed = whole.clone();
                *changed.pointer_mut(&pointer).unwrap() = other;
                translate(changed.to_string());
            }
        }
    }
    println!("any value: {read} read, {refused} refused");
    assert!(read > 100 && refused > 1000, "{read} {refused}");
    Ok(())
}

fn places(value: &Json, at: String, out: &mut Vec<String>) {
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                places(
                    value,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    out,
                );
            }
        }
        Json::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                places(value, format!("{at}/{i}"), out);
            }
        }
        _ => {}
    }
    out.push(at);
}
