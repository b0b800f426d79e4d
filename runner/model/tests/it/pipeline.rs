//! The whole way from a project's files to its stack: the shop, and every spec of the corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::fidelity::Class;
use prodmirror_model::mirror::Mirror;
use prodmirror_model::plan::{FileContent, HostFacts};
use prodmirror_model::policy;
use prodmirror_model::project::Project;
use prodmirror_model::secret::Secret;
use prodmirror_model::source::SourceFile;
use prodmirror_model::spec::Beyond;
use prodmirror_model::spec::compose::{TextRequest, load_text};
use prodmirror_model::stack::{self, RenderRequest, Rendered, secret_ref};
use prodmirror_model::yaml::{self, Node, Value};
use serde_json::{Map, Value as Json};

use crate::corpus_files::{files, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("pipeline::shop", shop),
        Trial::test(
            "pipeline::a_template_adds_a_service",
            a_template_adds_a_service,
        ),
        Trial::test("pipeline::secrets_stay_out", secrets_stay_out),
        Trial::test(
            "pipeline::what_is_not_set_is_named",
            what_is_not_set_is_named,
        ),
        Trial::test(
            "pipeline::templates_cannot_open_a_way",
            templates_cannot_open_a_way,
        ),
        trial("pipeline::corpus", corpus),
        docker_compose(
            "pipeline::docker_compose_reads_the_shop",
            compose_reads_the_shop,
        ),
        docker_compose(
            "pipeline::docker_compose_reads_the_corpus",
            compose_reads_the_corpus,
        ),
        docker_compose(
            "pipeline::docker_compose_reads_any_text",
            compose_reads_any_text,
        ),
    ]
}

/// A trial with a private Docker Compose v2 (`ci/compose-private` prints where one is).
pub fn docker_compose(name: &str, test: fn(&Path) -> Result<(), Failed>) -> Trial {
    match std::env::var_os("PRODMIRROR_COMPOSE").map(PathBuf::from) {
        Some(program) if program.is_file() => Trial::test(name, move || test(&program)),
        _ => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind("set PRODMIRROR_COMPOSE"),
    }
}

fn inputs() -> Inputs {
    Inputs {
        agent_image: "prodmirror/agent:test".to_owned(),
        ..Inputs::default()
    }
}

fn compile_shop() -> (Project, Compiled) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root).unwrap_or_else(|e| panic!("{e}"));
    let compiled = compile(&project, &inputs()).unwrap_or_else(|e| panic!("{e}"));
    (project, compiled)
}

fn shop() -> Result<(), Failed> {
    let (project, compiled) = compile_shop();
    let stack = match compiled.ready() {
        Ok(stack) => stack,
        Err(problems) => return Err(problems.to_string().into()),
    };
    let text = &stack.text.file.text;
    assert_eq!(stack.mirror.name.value, "shop-mirror");
    assert!(text.contains("${DB_PASSWORD:?"), "{text}");
    assert!(!text.contains("stand-in"), "{text}");
    assert!(
        stack
            .mirror
            .services
            .contains_key("stub-api-payments-example")
    );
    let undeclared: Vec<_> = compiled
        .externals
        .iter()
        .filter_map(|e| e.problem())
        .collect();
    assert!(undeclared.is_empty(), "{undeclared:?}");
    let values: BTreeMap<String, Secret> = stack
        .variables
        .keys()
        .map(|name| {
            (
                name.clone(),
                Secret::new(format!("value of {name}: $x '\"")),
            )
        })
        .collect();
    let live = stack
        .with_values(&project, &values)
        .map_err(|e| e.to_string())?;
    let url = live.services["orders"]
        .env
        .iter()
        .find(|v| v.name.value == "DATABASE_URL");
    let url = url.unwrap();
    assert!(url.sensitive);
    assert_eq!(
        url.value.as_ref().unwrap().value,
        "postgresql://shop:value of DB_PASSWORD: $x '\"@db:5432/shop"
    );
    let given = live.secrets["payment_api_key"].given.as_ref().unwrap();
    assert_eq!(given.expose(), "value of payment_api_key: $x '\"");
    assert!(
        !format!("{live:?}").contains("value of"),
        "a secret is printed"
    );
    let plan = stack
        .plan(&project, &values, HostFacts::default())
        .map_err(|e| e.to_string())?;
    let db = plan.containers.iter().find(|c| c.service == "db").unwrap();
    let secret = db
        .files
        .iter()
        .find(|f| f.target == "/run/secrets/db_password")
        .unwrap();
    assert!(
        matches!(&secret.content, FileContent::Secret(s) if s.expose().contains("DB_PASSWORD"))
    );
    let stub = plan
        .containers
        .iter()
        .find(|c| c.service.starts_with("stub-"))
        .unwrap();
    assert!(stub.files.iter().any(|f| f.target == policy::STUB_CONFIG));
    assert!(plan.networks.iter().all(|n| n.internal));
    assert!(
        !serde_json::to_string(&plan).unwrap().contains("value of"),
        "a secret is printed"
    );
    let gate = compiled.fidelity.over(&project.fidelity);
    assert!(gate.is_empty(), "{gate:?}");
    Ok(())
}

/// A project directory with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn secrets_stay_out() -> Result<(), Failed> {
    let compose = concat!(
        "name: p\nservices:\n",
        "  a:\n    image: x\n    command: ['--key', '${KEY:?}', '$$HOME']\n",
        "    environment: { KEY: '${KEY}', PLAIN_PASSWORD: hunter-2, URL: 'redis://:${KEY}@r', LOG: '${LEVEL-info}' }\n",
        "  b:\n    image: x\n    environment: { PLAIN_PASSWORD: other-2 }\n",
        "  r: { image: redis }\n",
        "configs: { c: { content: 'key=${KEY}' }, e: { environment: FROM_FILE } }\n",
    );
    let dir = project(&[
        ("compose.yaml", compose),
        (".env", "FROM_FILE=of-the-env-file\nKEY=production-key\n"),
        (
            "mirror.yaml",
            "production: compose.yaml\nsecrets: { KEY: { stub: stand-in-key }, KEYS: { stub: x } }\n",
        ),
    ]);
    let project = Project::load(dir.path()).unwrap();
    let compiled = compile(&project, &inputs()).unwrap_or_else(|e| panic!("{e}"));
    let stack = compiled.ready().map_err(|p| p.to_string())?;
    let text = &stack.text.file.text;
    let printed = format!("{compiled:?}");
    assert!(!printed.contains("hunter-2"), "{printed}");
    for secret in [
        "hunter-2",
        "other-2",
        "stand-in-key",
        "production-key",
        "of-the-env-file",
    ] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    assert!(
        !printed.contains("production-key") && !printed.contains("stand-in-key\""),
        "{printed}"
    );
    let said = compiled.problems.to_string();
    assert!(
        said.contains("warning: production asks for no secret `KEYS`"),
        "{said}"
    );
    let records = compiled
        .fidelity
        .records
        .iter()
        .filter(|r| r.object.starts_with("secret:"));
    assert_eq!(
        records.map(|r| r.object.as_str()).collect::<Vec<_>>(),
        ["secret:KEY"]
    );
    let names: Vec<_> = stack.variables.keys().map(String::as_str).collect();
    assert_eq!(names, ["B_PLAIN_PASSWORD", "KEY", "PLAIN_PASSWORD"]);
    let values = stack
        .variables
        .keys()
        .map(|n| (n.clone(), Secret::new(format!("<{n}$$>"))))
        .collect();
    let live = stack
        .with_values(&project, &values)
        .map_err(|e| e.to_string())?;
    let env = |s: &str, n: &str| {
        let var = live.services[s]
            .env
            .iter()
            .find(|v| v.name.value == n)
            .unwrap();
        (var.value.as_ref().unwrap().value.clone(), var.sensitive)
    };
    assert_eq!(env("a", "KEY"), ("<KEY$$>".into(), true));
    assert_eq!(env("a", "URL"), ("redis://:<KEY$$>@r".into(), true));
    assert_eq!(
        env("b", "PLAIN_PASSWORD"),
        ("<B_PLAIN_PASSWORD$$>".into(), true)
    );
    assert_eq!(env("a", "LOG"), ("info".into(), false));
    let compose = live.to_compose();
    assert_eq!(
        compose["services"]["a"]["command"],
        serde_json::json!(["--key", "<KEY$$>", "$HOME"])
    );
    let missing = stack
        .with_values(&project, &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("KEY is a secret of this stack"),
        "{missing}"
    );
    Ok(())
}

fn what_is_not_set_is_named() -> Result<(), Failed> {
    let spec = "name: p\nservices: { a: { image: 'x:${TAG}', environment: { A: '${NEEDED:?the needed}' } } }\n";
    let dir = project(&[
        ("compose.yaml", spec),
        ("mirror.yaml", "production: compose.yaml\n"),
    ]);
    let project = Project::load(dir.path()).unwrap();
    let said = compile(&project, &inputs()).unwrap_err().to_string();
    for part in ["NEEDED", "the needed", "env.pass", "`secrets`"] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let mut inputs = inputs();
    inputs.shell.insert("NEEDED".into(), "x".into());
    assert!(
        compile(&project, &inputs).is_err(),
        "the shell is seen only if mirror.yaml says so"
    );
    inputs.whole_shell = true;
    let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
    let unset = compiled
        .fidelity
        .records
        .iter()
        .filter(|r| r.rule == "unset-variable");
    assert_eq!(unset.count(), 1);
    Ok(())
}

fn a_template_adds_a_service() -> Result<(), Failed> {
    let template = concat!(
        "{% extends \"stack.yaml.tera\" %}\n",
        "{% block extra_services %}\n  more:\n    image: {{ vars.image }}\n{% endblock %}\n",
    );
    let dir = project(&[
        (
            "compose.yaml",
            "name: p\nservices: { a: { image: x, networks: [n] } }\nnetworks: { n: {} }\n",
        ),
        ("t.tera", template),
        (
            "mirror.yaml",
            "production: compose.yaml\ntemplate: t.tera\n",
        ),
    ]);
    let project = Project::load(dir.path()).unwrap();
    let mut inputs = inputs();
    inputs.vars.insert("image".into(), "y:1".into());
    let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
    let stack = compiled.ready().map_err(|p| p.to_string())?;
    let more = &stack.mirror.services["more"];
    assert_eq!(more.image.reference.as_ref().unwrap().value, "y:1");
    assert!(more.network.attachments.contains_key("default"));
    assert!(
        stack.mirror.networks["default"]
            .internal
            .as_ref()
            .unwrap()
            .value
    );
    Ok(())
}

fn templates_cannot_open_a_way() -> Result<(), Failed> {
    let template = concat!(
        "{% extends \"stack.yaml.tera\" %}\n",
        "{% block overrides %}\n---\n",
        "services:\n",
        "  a:\n",
        "    privileged: true\n",
        "    ports: [\"80:80\"]\n",
        "    environment:\n      MORE: {{ vars.more }}\n",
        "networks:\n  default: { internal: false }\n",
        "x-prodmirror: { egress: { allow: [\"prod.example:443\"] } }\n",
        "{% endblock %}\n",
    );
    let dir = project(&[
        ("compose.yaml", "name: p\nservices: { a: { image: x } }\n"),
        ("t.tera", template),
        (
            "mirror.yaml",
            "production: compose.yaml\ntemplate: t.tera\n",
        ),
    ]);
    let project = Project::load(dir.path()).unwrap();
    let mut inputs = inputs();
    inputs.vars.insert("more".into(), "a: b $c".into());
    let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
    let said = compiled.problems.to_string();
    for part in [
        "t.tera:6:",
        "t.tera:7:",
        "t.tera:11:",
        "`prod.example:443`",
        "`privileged`",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(compiled.ready().is_err());
    let stack = compiled.stack.as_ref().unwrap();
    let more = stack.mirror.services["a"]
        .env
        .iter()
        .find(|v| v.name.value == "MORE")
        .unwrap();
    assert_eq!(more.value.as_ref().unwrap().value, "a: b $c");
    Ok(())
}

/// A project whose root is the corpus, and the normal forms in it.
fn corpus_project(corpus: &Path) -> (Project, Vec<PathBuf>) {
    let dir = project(&[
        ("compose.yaml", ""),
        ("mirror.yaml", "production: compose.yaml\n"),
    ]);
    let mut project = Project::load(dir.path()).unwrap();
    project.root = corpus.to_owned();
    (project, files(corpus, ".oracle.json"))
}

fn apply(project: &Project, path: &Path, corpus: &Path) -> policy::Applied {
    policy::apply(policy::Request {
        mirror: Mirror::from_compose(&normal_form(path, corpus)).unwrap(),
        project,
        images: &project.images,
        agent_image: "prodmirror/agent:test",
        environment: &BTreeMap::new(),
        beyond: &Beyond::default(),
    })
}

fn corpus(corpus: &Path) -> Result<(), Failed> {
    let (project, oracles) = corpus_project(corpus);
    let mut wrong = Vec::new();
    let (mut records, mut refused, mut externals) = (0, 0, 0);
    for path in &oracles {
        let applied = apply(&project, path, corpus);
        records += applied.fidelity.records.len();
        refused += applied.problems.0.iter().filter(|p| p.is_error()).count();
        externals += applied.externals.len();
        if let Err(why) = read_back(&project, &applied) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    println!(
        "stacks read back {}/{}; {records} records, {refused} refusals, {externals} hidden hosts",
        oracles.len() - wrong.len(),
        oracles.len()
    );
    if oracles.len() < 170 || !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(())
}

fn render(project: &Project, applied: &policy::Applied) -> Result<Rendered, String> {
    stack::render(&RenderRequest {
        mirror: &applied.mirror,
        extension: &applied.extension,
        project,
        template: None,
        vars: &Map::new(),
    })
    .map_err(|e| e.to_string())
}

fn read_back(project: &Project, applied: &policy::Applied) -> Result<(), String> {
    let rendered = render(project, applied)?;
    let tokens: BTreeMap<String, Secret> = rendered
        .variables
        .keys()
        .map(|n| (n.clone(), Secret::new(secret_ref::token(n))))
        .collect();
    let back = stack::read(&rendered.text, project, &tokens).map_err(|e| e.to_string())?;
    let (wanted, got) = (rendered.mirror.to_compose(), back.to_compose());
    let mut differences = Vec::new();
    compare("", &wanted, &got, &mut differences);
    if !differences.is_empty() {
        return Err(differences.join("\n    "));
    }
    let changes = policy::recheck(&back, &back, project);
    if !changes.0.is_empty() {
        return Err(format!("the policy would change it again: {changes}"));
    }
    let again = applied
        .fidelity
        .records
        .iter()
        .filter(|r| r.class == Class::Mirrored)
        .count();
    assert_eq!(again, 0, "nothing is allowed here");
    Ok(())
}

fn compare(path: &str, a: &Json, b: &Json, out: &mut Vec<String>) {
    match (a, b) {
        (Json::Object(x), Json::Object(y)) => {
            for key in x.keys().chain(y.keys().filter(|k| !x.contains_key(*k))) {
                let (l, r) = (
                    x.get(key).unwrap_or(&Json::Null),
                    y.get(key).unwrap_or(&Json::Null),
                );
                compare(&format!("{path}/{key}"), l, r, out);
            }
        }
        (Json::Array(x), Json::Array(y)) if x.len() == y.len() => {
            for (i, (l, r)) in x.iter().zip(y).enumerate() {
                compare(&format!("{path}/{i}"), l, r, out);
            }
        }
        (Json::Number(x), Json::Number(y)) if x.as_f64() == y.as_f64() => {}
        _ if a == b => {}
        _ => out.push(format!("{path}: {a} became {b}")),
    }
}

/// What `docker compose config --format json` printed, with single `$` and real paths.
fn normal_form(path: &Path, corpus: &Path) -> Node {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("@CORPUS@", &corpus.to_string_lossy());
    let mut node = yaml::parse_one(&SourceFile::new(path.to_string_lossy(), text)).unwrap();
    undouble(&mut node);
    node
}

fn undouble(node: &mut Node) {
    match &mut node.value {
        Value::Str(text) => *text = text.replace("$$", "$"),
        Value::Seq(items) => items.iter_mut().for_each(undouble),
        Value::Map(map) => map.iter_mut().for_each(|(_, n)| undouble(n)),
        _ => {}
    }
}

/// What Docker Compose makes of a stack, with single `$`.
fn config(program: &Path, text: &str, variables: &[&str]) -> Result<Json, String> {
    let dir = project(&[("stack.yaml", text)]);
    let mut command = Command::new(program);
    command
        .env_clear()
        .args(["-f", "stack.yaml", "config", "--format", "json"])
        .current_dir(dir.path());
    for (name, value) in environment(variables) {
        command.env(name, value);
    }
    let out = command.output().map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    let json: Json = serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())?;
    Ok(single(json))
}

fn single(json: Json) -> Json {
    match json {
        Json::String(s) => Json::String(s.replace("$$", "$")),
        Json::Array(a) => a.into_iter().map(single).collect(),
        Json::Object(o) => Json::Object(
            o.into_iter()
                .map(|(k, v)| (k.replace("$$", "$"), single(v)))
                .collect(),
        ),
        other => other,
    }
}

/// References in the place of values, and paths in the place of those of files.
fn environment(variables: &[&str]) -> BTreeMap<String, String> {
    let files = variables
        .iter()
        .map(|n| (format!("{n}_FILE"), "/secret".to_owned()));
    let mut all: BTreeMap<_, _> = files.collect();
    all.extend(
        variables
            .iter()
            .map(|n| ((*n).to_owned(), secret_ref::token(n))),
    );
    all
}

/// What our reader makes of the same text.
fn our_config(text: &str, variables: &[&str]) -> Result<Json, String> {
    let shell = environment(variables);
    let loaded = load_text(&TextRequest {
        name: "stack.yaml".to_owned(),
        text: text.to_owned(),
        dir: "/tmp".into(),
        shell,
        ..TextRequest::default()
    });
    Ok(loaded.map_err(|e| e.to_string())?.root.to_json())
}

pub fn same_config(program: &Path, text: &str, variables: &[&str]) -> Result<(), String> {
    let mut differences = Vec::new();
    let (ours, theirs) = (
        our_config(text, variables)?,
        config(program, text, variables)?,
    );
    compare("", &ours, &theirs, &mut differences);
    match differences.as_slice() {
        [] => Ok(()),
        _ => Err(differences.join("\n    ")),
    }
}

fn compose_reads_the_shop(program: &Path) -> Result<(), Failed> {
    let (_, compiled) = compile_shop();
    let stack = compiled.ready().map_err(|p| p.to_string())?;
    let text = &stack.text.file.text;
    let why = config(program, text, &[]).unwrap_err();
    assert!(why.contains("secret of this stack"), "{why}");
    let names: Vec<&str> = stack.variables.keys().map(String::as_str).collect();
    same_config(program, text, &names)?;
    Ok(())
}

fn compose_reads_the_corpus(program: &Path) -> Result<(), Failed> {
    let Some(corpus) = crate::corpus_files::root() else {
        return Ok(());
    };
    let (project, oracles) = corpus_project(&corpus);
    let mut wrong = Vec::new();
    for path in &oracles {
        let rendered = match render(&project, &apply(&project, path, &corpus)) {
            Ok(rendered) => rendered,
            Err(why) => {
                wrong.push(format!("{}: {why}", path.display()));
                continue;
            }
        };
        let names: Vec<&str> = rendered.variables.keys().map(String::as_str).collect();
        if let Err(why) = same_config(program, rendered.as_str(), &names) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    println!(
        "Docker Compose reads {}/{} stacks as we do",
        oracles.len() - wrong.len(),
        oracles.len()
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// Every character, in values and in keys, through a stack and Docker Compose.
fn compose_reads_any_text(program: &Path) -> Result<(), Failed> {
    let dir = project(&[
        ("compose.yaml", ""),
        ("mirror.yaml", "production: compose.yaml\n"),
    ]);
    let project = Project::load(dir.path()).unwrap();
    let mut mirror = Mirror::default();
    mirror.name.value = "any".to_owned();
    let mut service = prodmirror_model::mirror::Service::default();
    service.image.reference = Some("x".to_owned().into());
    let chars: Vec<char> = ('\u{1}'..='\u{2ff}')
        .chain('\u{2000}'..='\u{2070}')
        .chain([
            '\u{d7ff}', '\u{e000}', '\u{e003}', '\u{fdd0}', '\u{feff}', '\u{fffd}', '\u{fffe}',
            '\u{ffff}',
        ])
        .chain(['\u{10000}', '\u{1f600}', '\u{1ffff}', '\u{10ffff}'])
        .collect();
    let mut wanted = BTreeMap::new();
    for c in &chars {
        for (form, text) in [
            ("A", format!("{c}")),
            ("B", format!("a{c}b{c}{c}")),
            ("C", format!("{c} x\n{c}y\n")),
        ] {
            let name = format!("{form}{:X}", u32::from(*c));
            wanted.insert(name.clone(), text.clone());
            service.labels.insert(name, text.into());
        }
        service
            .labels
            .insert(format!("key{c}key"), c.to_string().into());
        wanted.insert(format!("key{c}key"), c.to_string());
    }
    for (i, text) in [
        "", "${X}", "$X", "$$", "${X:-y}", "$", "${", "a: b", "- a", "yes", "0x1F", "!reset", "<<",
        "{{ x }}", "'\"\\",
    ]
    .iter()
    .enumerate()
    {
        wanted.insert(format!("T{i}"), (*text).to_owned());
        service
            .labels
            .insert(format!("T{i}"), (*text).to_owned().into());
    }
    mirror.services.insert("s".to_owned(), service);
    let applied = policy::apply(policy::Request {
        mirror,
        project: &project,
        images: &project.images,
        agent_image: "x",
        environment: &BTreeMap::new(),
        beyond: &Beyond::default(),
    });
    let rendered = render(&project, &applied)?;
    for config in [
        our_config(rendered.as_str(), &[])?,
        config(program, rendered.as_str(), &[])?,
    ] {
        let labels = config["services"]["s"]["labels"].as_object().unwrap();
        for (name, text) in &wanted {
            assert_eq!(
                labels.get(name).and_then(Json::as_str),
                Some(text.as_str()),
                "{name}"
            );
        }
    }
    Ok(())
}
