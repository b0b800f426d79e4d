//! Every ECS file of the corpus ends read, read with drops, or refused with a reason; what is
//! read ends as a stack that Docker Compose reads as we do.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::fidelity::Class;
use prodmirror_model::mirror::Mirror;
use prodmirror_model::project::Project;
use prodmirror_model::source::SourceFile;
use prodmirror_model::spec::ecs;
use serde_json::{Value as Json, json};

use crate::corpus_files::{root, supplied, trial};
use crate::pipeline::{docker_compose, same_config};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("ecs::corpus", corpus),
        trial("ecs::pairs_of_compose_and_ecs", pairs),
        docker_compose("ecs::docker_compose_reads_the_corpus", compose_reads),
    ]
}

/// What is read at least, of the files that are here; it may not fall.
const READ: usize = 45;

/// All files of the corpus that look like ECS's.
fn files(corpus: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for ending in [".json", ".template", ".yaml", ".yml"] {
        found.extend(crate::corpus_files::files(corpus, ending));
    }
    found.sort();
    found.retain(|path| {
        let name = path.to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        !name.contains(".oracle.") && (ecs::FORMAT.sniff)(&SourceFile::new(name, text))
    });
    found
}

/// Compiles a file as the only source of a project.
fn compiled(path: &Path, mirror: &str) -> (Project, Result<Compiled, Problems>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(path, dir.path().join("task.json")).unwrap();
    let mirror = format!("production: [{{ path: task.json, format: ecs }}]\n{mirror}");
    std::fs::write(dir.path().join("mirror.yaml"), mirror).unwrap();
    let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let inputs = Inputs {
        agent_image: "prodmirror/agent:test".to_owned(),
        ..Inputs::default()
    };
    let compiled = compile(&project, &inputs);
    (project, compiled, dir)
}

/// A file with all that it asks for.
fn complete(path: &Path) -> (Project, Result<Compiled, Problems>, String) {
    let mut mirror = String::new();
    let mut all = Problems::default();
    loop {
        let (project, result, _dir) = compiled(path, &mirror);
        let found = match &result {
            Ok(compiled) => compiled.problems.clone(),
            Err(problems) => problems.clone(),
        };
        all.0.extend(found.0);
        let next = supplied(&all);
        if next == mirror {
            return (project, result, mirror);
        }
        mirror = next;
    }
}

fn corpus(corpus: &Path) -> Result<(), Failed> {
    let all = files(corpus);
    let (mut read, mut dropped, mut refused) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in &all {
        let name = path.strip_prefix(corpus).unwrap().display();
        let (_, result, mirror) = complete(path);
        let asked = mirror
            .lines()
            .map(|l| l.split(':').next().unwrap_or(""))
            .collect::<Vec<_>>();
        let problems = match &result {
            Ok(compiled) => &compiled.problems,
            Err(problems) => problems,
        };
        let errors: Vec<_> = problems.0.iter().filter(|p| p.is_error()).collect();
        for p in &errors {
            if p.span.is_none() || p.help.is_none() && p.kind != ProblemKind::Syntax {
                wrong.push(format!("{name}: no place or no help: {p}"));
            }
        }
        if let Some(first) = errors.first() {
            refused += 1;
            println!(
                "refused {name}: {} ({} in all)",
                first.message,
                errors.len()
            );
            continue;
        }
        let records = &result.as_ref().unwrap().fidelity.records;
        let drops = records.iter().filter(|r| r.class == Class::Dropped).count();
        if drops == 0 {
            read += 1;
        } else {
            dropped += 1;
        }
        println!(
            "read    {name}: {} records, {drops} drops, asks for {asked:?}",
            records.len()
        );
    }
    println!(
        "ECS: {} files: {read} read, {dropped} read with drops, {refused} refused",
        all.len()
    );
    if read + dropped < READ || !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(())
}

fn compose_reads(program: &Path) -> Result<(), Failed> {
    let Some(corpus) = root() else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in files(&corpus) {
        let (_, result, _) = complete(&path);
        let Some(stack) = result.ok().and_then(|c| c.stack) else {
            continue;
        };
        count += 1;
        let names: Vec<&str> = stack.variables.keys().map(String::as_str).collect();
        if let Err(why) = same_config(program, &stack.text.file.text, &names) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    println!(
        "Docker Compose reads {}/{count} ECS stacks as we do",
        count - wrong.len()
    );
    if count < READ || !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(())
}

/// Files that describe the same containers in both formats give the same mirror, but for what
/// one of the formats cannot say.
fn pairs(corpus: &Path) -> Result<(), Failed> {
    let dir = corpus.join("micahhausler+container-transform/container_transform/tests");
    let mut left_over = Vec::new();
    for (compose, ecs) in [
        ("composev2.yml", "composev2_output.json"),
        ("composev2_extended.yml", "composev2_extended_output.json"),
    ] {
        let ours = compose_mirror(&dir.join(compose));
        let (_, result, _dir) = compiled(&dir.join(ecs), "");
        let theirs = result.map_err(|p| p.to_string())?.production.to_compose();
        for (name, service) in ours["services"].as_object().unwrap() {
            let other = &theirs["services"][name];
            for key in keys(service, other) {
                let (a, b) = (&service[key.as_str()], &other[key.as_str()]);
                if comparable(&key, a) != comparable(&key, b) && !one_sided(&key, a, b) {
                    left_over.push(format!("{compose} {name}.{key}: {a} | {b}"));
                }
                if a != b {
                    println!("{compose} {name}.{key}: {a} in Compose, {b} in ECS");
                }
            }
        }
    }
    if left_over.is_empty() {
        Ok(())
    } else {
        Err(left_over.join("\n").into())
    }
}

fn compose_mirror(path: &Path) -> Json {
    let dir = tempfile::tempdir().unwrap();
    // Compose files of version 2 wrote `service:` before names; no Compose of today reads that.
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("- service:", "- ");
    std::fs::write(dir.path().join("compose.yaml"), text).unwrap();
    std::fs::write(dir.path().join("web.env"), "").unwrap();
    std::fs::write(dir.path().join("mirror.yaml"), "production: compose.yaml\n").unwrap();
    let project = Project::load(dir.path()).unwrap();
    let compiled = compile(&project, &Inputs::default()).unwrap_or_else(|e| panic!("{e}"));
    let production: Mirror = compiled.production;
    production.to_compose()
}

fn keys(a: &Json, b: &Json) -> Vec<String> {
    let keys = |v: &Json| {
        v.as_object()
            .map(|o| o.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut all: Vec<String> = keys(a);
    all.extend(keys(b));
    all.sort();
    all.dedup();
    all
}

/// The part of a value that both formats can say: paths differ by the directory of the test,
/// protocols and modes of ports go without saying in ECS.
fn comparable(key: &str, value: &Json) -> Json {
    match (key, value) {
        ("ports", Json::Array(ports)) => ports
            .iter()
            .map(|p| json!([p["target"], p["published"]]))
            .collect(),
        ("volumes", Json::Array(mounts)) => mounts
            .iter()
            .map(|m| json!([m["type"], m["target"]]))
            .collect(),
        _ => value.clone(),
    }
}

/// Keys that only one of the two formats has a word for, or that the program that made the
/// pairs left out.
fn one_sided(key: &str, a: &Json, b: &Json) -> bool {
    let compose_only = ["build", "pid", "env_file"];
    // Each has its own default in ECS.
    let ecs_only = ["cpu_shares", "healthcheck", "stop_grace_period", "image"];
    // The pairs lose what stands after the first port; a task has names of its own.
    let lossy = ["ports", "volumes_from", "depends_on", "networks"];
    (compose_only.contains(&key) && b.is_null())
        || (ecs_only.contains(&key) && a.is_null())
        || lossy.contains(&key)
        || (a.is_null() && b.is_null())
}
