//! Kubernetes manifests of the corpus: each is read, and what can run becomes a stack that
//! Docker Compose accepts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::fidelity::Class;
use prodmirror_model::project::{Project, ProjectSource};
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::spec::kubernetes::FORMAT;
use prodmirror_model::yaml::Spanned;
use serde_json::Value as Json;

use crate::corpus_files::{files, supplied, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("kubernetes::corpus", corpus),
        trial("kubernetes::pairs", pairs),
    ]
}

/// Files that are read by themselves, and directories that are read as a whole.
fn specs(corpus: &Path) -> Vec<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut by_dir: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for ending in [".yaml", ".yml", ".json"] {
        for path in files(corpus, ending) {
            let Ok(file) = SourceFile::read(&path, "x") else {
                continue;
            };
            if (FORMAT.sniff)(&file) {
                let dir = path.parent().unwrap().to_owned();
                by_dir.entry(dir).or_default().push(path.clone());
                all.push(vec![path]);
            }
        }
    }
    all.extend(by_dir.into_values().filter(|files| files.len() > 1));
    all.sort();
    all
}

/// A project of these files, whose root is the corpus; `supply` is more of its `mirror.yaml`.
fn project(corpus: &Path, files: &[PathBuf], supply: &str) -> Project {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("compose.yaml"), "").unwrap();
    let text = format!("project: corpus\nproduction: compose.yaml\n{supply}");
    std::fs::write(dir.path().join("mirror.yaml"), text).unwrap();
    let mut project = Project::load(dir.path()).unwrap_or_else(|p| panic!("{supply}{p}"));
    project.root = corpus.to_owned();
    project.production = vec![ProjectSource {
        written: Spanned::new("x".to_owned(), Span::generated()),
        path: files[0].clone(),
        format: Some(Spanned::new("kubernetes".to_owned(), Span::generated())),
        files: files.to_vec(),
    }];
    project
}

fn compiled(project: &Project) -> Result<Compiled, Problems> {
    compile(
        project,
        &Inputs {
            agent_image: "prodmirror/agent:test".to_owned(),
            ..Inputs::default()
        },
    )
}

/// A spec with all that it asks for, and what that is.
fn complete(corpus: &Path, files: &[PathBuf]) -> (Result<Compiled, Problems>, String) {
    let mut supply = String::new();
    let mut asked = Problems::default();
    loop {
        let result = compiled(&project(corpus, files, &supply));
        match &result {
            Ok(compiled) => asked.0.extend(compiled.problems.0.clone()),
            Err(problems) => asked.0.extend(problems.0.clone()),
        }
        let next = supplied(&asked);
        if next == supply {
            return (result, supply);
        }
        supply = next;
    }
}

fn short(problems: &Problems) -> String {
    let errors = problems.0.iter().filter(|p| p.is_error());
    let mut kinds: Vec<String> = errors.clone().map(|p| format!("{:?}", p.kind)).collect();
    kinds.dedup();
    let first = errors.map(|p| p.message.clone()).next().unwrap_or_default();
    let first: String = first.chars().take(100).collect();
    format!("{}: {first}", kinds.join(", "))
}

/// Whether these files run nothing by themselves.
fn runs_nothing(problems: &Problems) -> bool {
    let mut errors = problems.0.iter().filter(|p| p.is_error());
    errors.any(|p| p.kind == ProblemKind::NothingRuns)
}

/// How many specs end as a stack at least, of the files that are here; it may not fall.
const READ: usize = 139;

fn corpus(corpus: &Path) -> Result<(), Failed> {
    let program = std::env::var_os("PRODMIRROR_COMPOSE").map(PathBuf::from);
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let specs = specs(corpus);
    for files in &specs {
        let name = files[0].strip_prefix(corpus).unwrap();
        let name = match files.len() {
            1 => name.display().to_string(),
            n => format!("{}/ ({n} files)", name.parent().unwrap().display()),
        };
        let (result, supply) = complete(corpus, files);
        let (what, detail) = match result {
            Ok(c) => {
                let dropped = c.fidelity.records.iter();
                let dropped = dropped.filter(|r| r.class == Class::Dropped).count();
                let Some(stack) = &c.stack else {
                    wrong.push(format!("{name}: no stack: {}", c.problems));
                    continue;
                };
                let text = &stack.text.file.text;
                let names: Vec<&String> = stack.variables.keys().collect();
                if let Some(why) = program.as_ref().and_then(|p| config(p, text, &names)) {
                    wrong.push(format!("{name}: Compose refuses it: {why}"));
                }
                let services = stack.mirror.services.len();
                let mut detail = format!("{services} services");
                if dropped > 0 {
                    let _ = write!(detail, ", {dropped} facts dropped");
                }
                if !supply.is_empty() {
                    detail.push_str("; with what it asks for");
                }
                if c.problems.has_errors() {
                    let _ = write!(detail, "; the policy: {}", short(&c.problems));
                }
                let what = match dropped {
                    _ if runs_nothing(&c.problems) => "nothing",
                    0 => "read",
                    _ => "with drops",
                };
                (what, detail)
            }
            Err(p) => ("refused", short(&p)),
        };
        *counts.entry(what).or_default() += 1;
        let _ = writeln!(table, "{what:10} {name}: {detail}");
    }
    println!("{table}");
    let of = |what: &str| counts.get(what).copied().unwrap_or(0);
    let read = of("read") + of("with drops");
    println!(
        "{} Kubernetes specs: {} read, {} read with drops, {} run nothing by themselves, {} refused; \
         {} by Docker Compose",
        specs.len(),
        of("read"),
        of("with drops"),
        of("nothing"),
        of("refused"),
        match program {
            Some(_) => "all that is read is accepted",
            None => "none was asked",
        }
    );
    if read < READ {
        wrong.push(format!("only {read} end as a stack"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// The same application in two descriptions is the same mirror.
fn pairs(corpus: &Path) -> Result<(), Failed> {
    let services = |dir: &str, ending: &str, format: &str| -> BTreeMap<String, Json> {
        let files = files(&corpus.join(dir), ending);
        let mut project = project(corpus, &files, "");
        project.production[0].format = Some(Spanned::new(format.to_owned(), Span::generated()));
        let compiled = compiled(&project).unwrap_or_else(|p| panic!("{dir}: {p}"));
        let services = compiled.production.to_compose()["services"].clone();
        serde_json::from_value(services).unwrap()
    };
    let voting = "dockersamples+example-voting-app";
    let specs = format!("{voting}/k8s-specifications");
    let kubernetes = services(&specs, ".yaml", "kubernetes");
    let compose = services(voting, "docker-compose.yml", "compose");
    for (name, service) in &compose {
        let Some(other) = kubernetes.get(name) else {
            return Err(format!("no service `{name}`").into());
        };
        if service.get("build").is_none() {
            assert_eq!(service["image"], other["image"], "{name}");
        }
    }
    // The demonstration of Google is there as a release, and as what kustomize makes of its base.
    let shop = "GoogleCloudPlatform+microservices-demo";
    let release = format!("{shop}/release");
    let release = services(&release, "kubernetes-manifests.yaml", "kubernetes");
    let built = format!("{shop}/kustomize");
    let built = services(&built, "rendered.oracle.yaml", "kubernetes");
    assert!(release.keys().eq(built.keys()));
    for (name, service) in &release {
        for key in [
            "environment",
            "mem_limit",
            "cpu_quota",
            "user",
            "cap_drop",
            "networks",
        ] {
            assert_eq!(service.get(key), built[name].get(key), "{name} {key}");
        }
    }
    println!("{} and {} services agree", compose.len(), release.len());
    Ok(())
}

/// Why Docker Compose refuses a stack.
fn config(program: &Path, text: &str, variables: &[&String]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stack.yaml"), text).unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .args(["-f", "stack.yaml", "config", "--quiet"])
        .current_dir(dir.path());
    for name in variables {
        command
            .env(name, "value")
            .env(format!("{name}_FILE"), "/secret");
    }
    let out = command.output().unwrap();
    (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned())
}
