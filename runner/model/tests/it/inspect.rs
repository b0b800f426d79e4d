//! Captures of running hosts: back to what they were started from, and every capture of the
//! corpus on its way to a stack.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::Problems;
use prodmirror_model::explain::explain;
use prodmirror_model::fidelity::{Class, Record, Severity};
use prodmirror_model::mirror::Service;
use prodmirror_model::project::Project;
use prodmirror_model::source::SourceFile;
use prodmirror_model::spec::compose::LoadRequest;
use prodmirror_model::spec::{Production, ReadRequest, read};
use prodmirror_model::yaml::parse_one;
use serde_json::Value as Json;

use crate::corpus_files::{files, normal_form, trial};
use crate::pipeline::{docker_compose, same_config};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("inspect::back_to_what_it_was_started_from", ground_truth),
        trial("inspect::corpus", corpus),
        docker_compose(
            "inspect::docker_compose_reads_the_corpus",
            compose_reads_them,
        ),
        Trial::test("inspect::shop", shop),
        Trial::test("inspect::compose_over_inspect", compose_over_inspect),
    ]
}

/// A project of some captures, in a directory of its own.
struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new(captures: &[PathBuf], more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for path in captures {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            std::fs::copy(path, dir.path().join(&name)).unwrap();
            names.push(format!("{name:?}"));
        }
        let case = Self { dir };
        case.write(
            "mirror.yaml",
            &format!("production: [{}]\n{more}", names.join(", ")),
        );
        case
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn project(&self) -> Result<Project, Problems> {
        Project::load(self.dir.path())
    }

    fn read(&self) -> Result<Production, Problems> {
        let project = self.project()?;
        read(&ReadRequest {
            project: &project,
            load: LoadRequest {
                working_dir: project.root.clone(),
                ..LoadRequest::default()
            },
            rendered: &BTreeMap::new(),
        })
    }

    fn compile(&self) -> Result<Compiled, Problems> {
        compile(&self.project()?, &inputs())
    }
}

fn inputs() -> Inputs {
    Inputs {
        agent_image: "prodmirror/agent:test".to_owned(),
        ..Inputs::default()
    }
}

/// What an inspection cannot say of `self-captured-inspect/compose.yaml`, or says in other
/// words: path, and how it comes out.
const UNSAID: &[&str] = &[
    // Files that Compose copied into a container.
    "/configs is lost",
    "/services/api/configs is lost",
    // The value of a secret is asked for by its name, wherever its file was.
    "/secrets/db_password/name differs",
    "/secrets/db_password/file is lost",
    "/secrets/db_password/external is new",
    // Limits under `deploy` and beside it are the same to the engine.
    "/services/db/deploy is lost",
    "/services/db/cpus is new",
    "/services/db/mem_limit is new",
    "/services/db/mem_reservation is new",
    "/services/db/pids_limit is new",
    // The engine does not keep the mode of a reference, the order of capabilities, empty
    // mappings, and how a port was meant to be published.
    "/services/api/networks/backend differs",
    "/services/api-sidecar/volumes_from differs",
    "/services/cache/cap_add differs",
    "/services/db/volumes differs",
    "/services/proxy/ports differs",
    // The file of the project that `supply` gives.
    "/services/proxy/volumes differs",
    // What the image was built for.
    "/services/api/platform is new",
    "/services/api-sidecar/platform is new",
    "/services/cache/platform is new",
    "/services/db/platform is new",
    "/services/migrate/platform is new",
    "/services/proxy/platform is new",
    "/x-log is lost",
];

fn ground_truth(corpus: &Path) -> Result<(), Failed> {
    let captures = own_capture(corpus);
    let supply = "supply: { files: { proxy: { /etc/nginx/conf.d/default.conf: { file: conf/default.conf } } } }\n";
    let case = Case::new(&captures, supply);
    case.write("conf/default.conf", "server {}\n");
    let production = case.read().map_err(|e| e.to_string())?;
    let oracle = corpus.join("self-captured-inspect/compose.oracle.json");
    let expected = normal_form(&oracle).to_json();
    let mut found = Vec::new();
    let actual = production.loaded.root.to_json();
    differences("", &expected, &actual, &mut |path, how| {
        found.push(format!("{path} {how}"));
    });
    let unexpected: Vec<&String> = found
        .iter()
        .filter(|f| !UNSAID.contains(&f.as_str()))
        .collect();
    let gone: Vec<&&str> = UNSAID
        .iter()
        .filter(|u| !found.iter().any(|f| f == **u))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?} of {actual:#}");
    assert!(gone.is_empty(), "these are the same by now: {gone:?}");
    let service = |name: &str, key: &str| actual["services"][name][key].clone();
    assert_eq!(service("db", "cpus"), 1.5);
    assert_eq!(service("db", "mem_limit"), "536870912");
    let volumes = service("proxy", "volumes");
    assert_eq!(volumes[2]["volume"]["nocopy"], true, "{volumes}");
    let said: Vec<&str> = production
        .records
        .iter()
        .map(|r| r.field.as_str())
        .collect();
    for field in ["State.Status", "ports[80/tcp].published", "ipam.subnet"] {
        assert!(said.contains(&field), "{field}: {said:?}");
    }
    Ok(())
}

fn own_capture(corpus: &Path) -> Vec<PathBuf> {
    let dir = corpus.join("self-captured-inspect");
    ["containers", "networks", "volumes", "images"]
        .map(|name| dir.join(format!("{name}.json")))
        .to_vec()
}

fn differences(path: &str, a: &Json, b: &Json, say: &mut impl FnMut(&str, &str)) {
    match (a, b) {
        (Json::Object(x), Json::Object(y)) => {
            for (key, left) in x {
                let path = format!("{path}/{key}");
                match y.get(key) {
                    Some(right) => differences(&path, left, right, say),
                    None => say(&path, "is lost"),
                }
            }
            for key in y.keys().filter(|k| !x.contains_key(*k)) {
                say(&format!("{path}/{key}"), "is new");
            }
        }
        _ if a == b => {}
        _ => say(path, "differs"),
    }
}

/// What becomes of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is read as it is.
    Read,
    /// It is read once the blocks that are printed have been pasted into `mirror.yaml`.
    Pasted,
    /// It is no capture.
    Refused,
}

/// The captures of the corpus, each with what must become of it.
fn captures(corpus: &Path) -> Vec<(Vec<PathBuf>, Fate)> {
    let mut all = vec![(own_capture(corpus), Fate::Pasted)];
    let dirs = [
        "docker-java+docker-java",
        "influxdata+telegraf",
        "nexdrew+rekcod",
    ];
    for dir in dirs {
        let found = files(&corpus.join(dir), ".json");
        let inspects = found
            .into_iter()
            .filter(|p| p.to_string_lossy().contains("inspect"));
        all.extend(inspects.map(|p| {
            let name = p.file_name().unwrap().to_string_lossy().into_owned();
            let fate = match name.as_str() {
                "inspect-empty.json" | "inspect-invalid.json" => Fate::Refused,
                // Without an image's name, or with rights that have to be allowed.
                "inspect-one-two.json" => Fate::Pasted,
                _ if dir.starts_with("influxdata") => Fate::Pasted,
                _ => Fate::Read,
            };
            (vec![p], fate)
        }));
    }
    all
}

/// A capture as far as it comes by pasting what is printed into `mirror.yaml`.
fn paste(capture: &[PathBuf]) -> (Fate, Case, Result<Compiled, Problems>) {
    const ROUNDS: usize = 6;
    let mut mirror = serde_json::Map::new();
    let mut fate = Fate::Read;
    let mut round = 0;
    loop {
        round += 1;
        let mut text = String::new();
        for (key, value) in &mirror {
            let _ = writeln!(text, "{key}: {value}");
        }
        let case = Case::new(capture, &text);
        files_of(&Json::Object(mirror.clone()), &case);
        let compiled = case.compile();
        let problems = match &compiled {
            Ok(c) => c.problems.clone(),
            Err(p) => p.clone(),
        };
        if !problems.has_errors() {
            return (fate, case, compiled);
        }
        fate = Fate::Pasted;
        let before = mirror.clone();
        let errors = problems.0.iter().filter(|p| p.is_error());
        for help in errors.filter_map(|p| p.help.as_ref()) {
            if let Some((_, block)) = help.split_once(":\n") {
                let text = block
                    .replace("VALUE", "stand-in-1")
                    .replace("REFERENCE", "shop/x:1");
                let node = parse_one(&SourceFile::new("help", text)).unwrap();
                merge(&mut mirror, &node.to_json());
            }
        }
        if mirror == before || round > ROUNDS {
            return (Fate::Refused, case, compiled);
        }
    }
}

/// Makes the files that pasted blocks name.
fn files_of(value: &Json, case: &Case) {
    match value {
        Json::Object(map) => map.iter().for_each(|(key, v)| match v.as_str() {
            Some(path) if key == "file" => case.write(path, "content\n"),
            _ => files_of(v, case),
        }),
        Json::Array(items) => items.iter().for_each(|v| files_of(v, case)),
        _ => {}
    }
}

fn merge(into: &mut serde_json::Map<String, Json>, from: &Json) {
    for (key, value) in from.as_object().into_iter().flatten() {
        match (into.get_mut(key), value) {
            (Some(Json::Object(old)), Json::Object(_)) => merge(old, value),
            (Some(Json::Array(old)), Json::Array(new)) => {
                let fresh: Vec<Json> = new.iter().filter(|n| !old.contains(n)).cloned().collect();
                old.extend(fresh);
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn corpus(corpus: &Path) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (capture, wanted) in captures(corpus) {
        let name = capture[0].strip_prefix(corpus).unwrap().display();
        let (fate, _, compiled) = paste(&capture);
        let facts = match &compiled {
            Ok(compiled) => facts(compiled),
            Err(problems) => problems.to_string(),
        };
        let line = format!("{fate:?} {name}: {facts}");
        println!("{line}");
        if fate != wanted {
            let problems = compiled.map(|c| c.problems.to_string());
            let problems = problems.unwrap_or_default();
            wrong.push(format!("{line}: {wanted:?} is expected: {problems}"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn facts(compiled: &Compiled) -> String {
    let mut by: BTreeMap<(Class, Severity), u32> = BTreeMap::new();
    for r in &compiled.fidelity.records {
        *by.entry((r.class, r.severity)).or_default() += 1;
    }
    let facts: Vec<String> = by
        .iter()
        .map(|((c, s), n)| format!("{n} {c:?}/{s}"))
        .collect();
    facts.join(", ")
}

/// Docker Compose reads the stacks that captures end as.
fn compose_reads_them(program: &Path) -> Result<(), Failed> {
    let Some(corpus) = crate::corpus_files::root() else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    let mut read = 0;
    for (capture, _) in captures(&corpus) {
        let (fate, _case, compiled) = paste(&capture);
        if fate == Fate::Refused {
            continue;
        }
        let compiled = compiled.map_err(|p| p.to_string())?;
        let stack = compiled.ready().map_err(|p| p.to_string())?;
        let names: Vec<&str> = stack.variables.keys().map(String::as_str).collect();
        match same_config(program, &stack.text.file.text, &names) {
            Ok(()) => read += 1,
            Err(why) => wrong.push(format!("{}: {why}", capture[0].display())),
        }
    }
    println!("Docker Compose reads {read} stacks of captures as we do");
    if wrong.is_empty() && read >= 10 {
        Ok(())
    } else {
        Err(format!("{read} are read; {}", wrong.join("\n")).into())
    }
}

fn shop_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn compile_at(path: &Path) -> Result<(Project, Compiled), Failed> {
    let project = Project::load(path).map_err(|p| p.to_string())?;
    let compiled = compile(&project, &inputs()).map_err(|p| p.to_string())?;
    Ok((project, compiled))
}

/// The shop from its capture is the shop from its Compose file.
fn shop() -> Result<(), Failed> {
    // In other words, or where values come from elsewhere.
    const OTHER_WORDS: [&str; 13] = [
        "configs",
        "cpus",
        "deploy",
        "environment",
        "expose",
        "labels",
        "mem_limit",
        "mem_reservation",
        "pids_limit",
        "platform",
        "scale",
        "secrets",
        "volumes",
    ];
    // What the image says as well, and other ways to write the same.
    const SAME: [&str; 7] = [
        "/gateway/stop_signal is lost",
        "/gateway/ulimits/nofile differs",
        "/gateway/user is lost",
        "/orders/networks/data differs",
        "/db/stop_signal is lost",
        "/db/user is lost",
        "/redis/command differs",
    ];
    let (_, captured) = compile_at(&shop_root().join("inspect.mirror.yaml"))?;
    let (_, written) = compile_at(&shop_root().join("mirror.yaml"))?;
    let stack = captured.ready().map_err(|p| p.to_string())?;
    let mut found = Vec::new();
    let (a, b) = (written.document.0.to_json(), captured.document.0.to_json());
    differences("", &a["services"], &b["services"], &mut |path, how| {
        let key = path.split('/').nth(2).unwrap_or("");
        let line = format!("{path} {how}");
        if !OTHER_WORDS.contains(&key) && !SAME.contains(&line.as_str()) {
            found.push(line);
        }
    });
    assert!(found.is_empty(), "{found:#?}");
    for (name, service) in &written.production.services {
        let other = &captured.production.services[name];
        let variables = |s: &Service| -> Vec<String> {
            let mut names: Vec<String> = s.env.iter().map(|v| v.name.value.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(variables(service), variables(other), "{name}");
        assert_eq!(service.replicas(), other.replicas(), "{name}");
    }
    let text = &stack.text.file.text;
    assert!(!text.contains("stand-in"), "{text}");
    let mounts = &captured.production.services["gateway"].mounts.list;
    let sources: Vec<&str> = mounts
        .iter()
        .filter_map(|m| Some(m.source.as_ref()?.as_str()))
        .collect();
    assert!(
        sources[0].ends_with("/production/config/gateway.conf"),
        "{sources:?}"
    );
    Ok(())
}

/// A Compose file lies over a capture, and `mirror.yaml` over both; the chain shows it.
fn compose_over_inspect() -> Result<(), Failed> {
    const MIRROR: &str = "\
production: [containers.json, images.json, over.yaml]
secrets:
  ADMIN_TOKEN: { stub: another-token-77 }
  db_password: { stub: x1x1x1x1 }
  redis_password: { stub: x1x1x1x1 }
  broker_password: { stub: x1x1x1x1 }
  payment_api_key: { stub: x1x1x1x1 }
images: { under_test: { orders: 'shop/orders:dev' } }
supply:
  files:
    gateway: { /etc/nginx/conf.d/default.conf: { content: 'server {}' } }
    orders: { /etc/shop/flags.json: { content: '{}' } }
    redis: { /etc/redis/redis.conf: { content: 'port 6379' } }
";
    const OVER: &str = "\
services:
  orders:
    image: shop/orders:2.5
    environment: { LOG_LEVEL: DEBUG, MORE: '1' }
  mail: { image: 'shop/mail:1', networks: [app] }
";
    let dir = shop_root().join("production/inspect");
    let captures = ["containers", "images"].map(|n| dir.join(format!("{n}.json")));
    let case = Case::new(&captures, "");
    case.write("over.yaml", OVER);
    case.write("mirror.yaml", MIRROR);
    let (project, compiled) = compile_at(case.dir.path())?;
    compiled.ready().map_err(|p| p.to_string())?;
    let explained = |path: &str| explain(&project, &compiled, path).map_err(|p| p.to_string());
    let image = explained("orders.image")?;
    assert_eq!(image.value, "shop/orders:2.5");
    assert_eq!(image.stack, Some(Json::from("shop/orders:dev")));
    let chain: Vec<String> = image
        .history
        .iter()
        .map(|s| format!("{}:{}", s.span.file.name, s.what))
        .collect();
    assert_eq!(
        chain,
        [
            "mirror.yaml:mirror.yaml: the image under test",
            "containers.json:a later file took the place of this",
        ]
    );
    let level = explained("orders.env.LOG_LEVEL")?;
    let (value, file) = (level.value, level.span.file.name.as_str());
    assert_eq!((value, file), (Json::from("DEBUG"), "over.yaml"));
    let size = explained("orders.env.DATABASE_POOL_SIZE")?;
    let (value, file) = (size.value, size.span.file.name.as_str());
    assert_eq!((value, file), (Json::from("8"), "containers.json"));
    // The capture's live value is not used where mirror.yaml gives one.
    let token = explained("orders.env.ADMIN_TOKEN")?;
    assert_eq!(token.value, "***");
    let replaced = |r: &Record| r.reason.contains("secrets of production");
    assert!(token.records.iter().any(replaced));
    assert_eq!(explained("orders.env.DATABASE_URL")?.value, "***");
    assert!(compiled.production.services.contains_key("mail"));
    assert!(compiled.production.networks.contains_key("app"));
    Ok(())
}
