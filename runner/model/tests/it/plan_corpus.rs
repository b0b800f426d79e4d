//! Plans of all stacks of the corpus: what the mirror would run differs from what Docker
//! Compose would create by the deviation table only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::compile::{Inputs, compile};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::mirror::Mirror;
use prodmirror_model::plan::body::{BodyRequest, Naming, compose_body};
use prodmirror_model::plan::deviations::{DEVIATIONS, markdown};
use prodmirror_model::plan::{
    AgreeRequest, ContainerPlan, HostFacts, NetworkOf, PlanOptions, agree, plan, split,
};
use prodmirror_model::project::Project;
use prodmirror_model::secret::Secret;
use prodmirror_model::stack::secret_ref;
use prodmirror_model::yaml::{Node, Value as Yaml};
use serde_json::{Value, json};

use crate::corpus_files::{files, normal_form, trial};

/// Stacks of the corpus that can be planned; it may not fall.
const FLOOR: usize = 166;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("plan_corpus::plans_differ_by_the_table_only", plans),
        Trial::test("plan_corpus::the_shop_differs_by_the_table_only", shop),
        Trial::test("plan_corpus::the_table_is_written_down", table),
    ]
}

fn plans(corpus: &Path) -> Result<(), Failed> {
    let oracles = files(corpus, ".oracle.json");
    let (mut planned, mut containers, mut wrong) = (0, 0, Vec::new());
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rules = BTreeSet::new();
    for path in &oracles {
        let shown = path.strip_prefix(corpus).unwrap().display().to_string();
        let mut node = normal_form(path);
        place(&mut node, corpus);
        let mirror = Mirror::from_compose(&node).unwrap();
        let options = options(corpus, &mirror);
        let plan = match plan(&mirror, &options) {
            Ok(plan) => plan,
            Err(problems) => {
                for problem in &problems.0 {
                    let reason = reason(problem);
                    refused.entry(reason).or_default().push(shown.clone());
                }
                continue;
            }
        };
        planned += 1;
        for container in &plan.containers {
            containers += 1;
            let found = compare(&mirror, container, &options);
            rules.extend(found.deviations);
            for d in found.differences {
                wrong.push(format!("{shown} {}: {d:?}", container.service));
            }
        }
    }
    println!(
        "plans made for {planned}/{} stacks, {containers} containers, by the rules {rules:?}",
        oracles.len()
    );
    for (reason, stacks) in &refused {
        println!("  refused {}: {reason} ({})", stacks.len(), stacks[0]);
    }
    if planned < FLOOR || !wrong.is_empty() {
        return Err(format!("{planned} planned\n{}", wrong.join("\n")).into());
    }
    Ok(())
}

/// The stack of the shop, after policy and template, against the shop's production.
fn shop() -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root).map_err(|p| p.to_string())?;
    let inputs = Inputs {
        agent_image: "prodmirror/agent:test".into(),
        ..Inputs::default()
    };
    let compiled = compile(&project, &inputs).map_err(|p| p.to_string())?;
    let stack = compiled.ready().map_err(ToString::to_string)?;
    // Where production has a reference to a secret, the stack gets the same.
    let values: BTreeMap<String, Secret> = stack
        .variables
        .keys()
        .map(|name| (name.clone(), Secret::new(secret_ref::token(name))))
        .collect();
    let mirror = stack
        .with_values(&project, &values)
        .map_err(|p| p.to_string())?;
    let options = PlanOptions {
        values,
        ..PlanOptions::for_stack(&mirror, project.root.clone(), HostFacts::default())
    };
    let plan = plan(&mirror, &options).map_err(|p| p.to_string())?;
    let mut wrong = Vec::new();
    let mut rules = BTreeSet::new();
    let production = &compiled.production;
    for container in &plan.containers {
        if !production.services.contains_key(&container.service) {
            assert!(stack.extension.stubs.contains_key(&container.service));
            continue;
        }
        let mut container = container.clone();
        reveal(&mut container);
        let found = compare(production, &container, &options);
        rules.extend(found.deviations);
        for d in found.differences {
            wrong.push(format!("{}: {d:?}", container.service));
        }
    }
    println!("the shop differs by the rules {rules:?}");
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// Puts secret values back into the body, as is done when the container is made.
fn reveal(container: &mut ContainerPlan) {
    for entry in container.body["Env"].as_array_mut().into_iter().flatten() {
        let name = entry
            .as_str()
            .and_then(|e| e.split('=').next())
            .unwrap()
            .to_owned();
        if let Some(secret) = container.secret_env.get(&name) {
            *entry = json!(format!("{name}={}", secret.expose()));
        }
    }
}

/// Puts the corpus' own place for the one in its files.
fn place(node: &mut Node, corpus: &Path) {
    match &mut node.value {
        Yaml::Str(text) => *text = text.replace("@CORPUS@", corpus.to_str().unwrap()),
        Yaml::Seq(items) => items.iter_mut().for_each(|n| place(n, corpus)),
        Yaml::Map(map) => map.iter_mut().for_each(|(_, n)| place(n, corpus)),
        _ => {}
    }
}

fn options(corpus: &Path, mirror: &Mirror) -> PlanOptions {
    let files = mirror.secrets.values().chain(mirror.config_files.values());
    let names = files.filter_map(|f| f.environment.as_ref());
    PlanOptions {
        project_dir: PathBuf::from(corpus),
        host: HostFacts {
            cpus: 2,
            nofile_limit: Some(65_536),
            ..HostFacts::default()
        },
        values: names
            .map(|n| (n.value.clone(), Secret::new("s3cret")))
            .collect(),
        ..PlanOptions::default()
    }
}

/// A problem without what is particular to one stack.
fn reason(problem: &Problem) -> String {
    match problem.kind {
        ProblemKind::MissingFile => "a file that the corpus does not hold".into(),
        _ => problem.message.clone(),
    }
}

/// Compares a planned container, as the engine would show it, with what Compose would send.
fn compare(
    mirror: &Mirror,
    container: &ContainerPlan,
    options: &PlanOptions,
) -> prodmirror_model::plan::Agreement {
    let request = BodyRequest {
        mirror,
        service: &mirror.services[&container.service],
        replica: container.replica,
        project: &mirror.name.value,
        project_dir: &options.project_dir,
        naming: Naming::Keys,
    };
    let body = compose_body(&request).unwrap().body;
    let own = container.network == NetworkOf::Own;
    let (service, sandbox) = if own {
        let parts = split(&container.body);
        let mut service = inspected(&parts.service);
        service["HostConfig"]["NetworkMode"] = json!("container:sandbox");
        for file in &container.files {
            let mount =
                json!({"Type": "volume", "Target": file.target, "ReadOnly": file.read_only});
            let mounts = &mut service["HostConfig"]["Mounts"];
            match mounts.as_array_mut() {
                Some(list) => list.push(mount),
                None => *mounts = json!([mount]),
            }
        }
        let mut sandbox = inspected(&parts.sandbox);
        sandbox["HostConfig"]["Dns"] = json!(["127.83.77.53"]);
        (service, sandbox)
    } else {
        (
            inspected(&container.body),
            match container.network {
                NetworkOf::None => json!({"NetworkSettings": {"Networks": {"none": {}}}}),
                _ => json!({}),
            },
        )
    };
    let copied: Vec<String> = container.files.iter().map(|f| f.target.clone()).collect();
    agree(&AgreeRequest {
        body: &body,
        service: &service,
        sandbox: Some(&sandbox),
        image: Some(&json!({"Config": {}})),
        networks: &BTreeMap::new(),
        copied: &copied,
    })
}

/// A body as `docker inspect` would show it.
fn inspected(body: &Value) -> Value {
    let mut config = body.clone();
    let fields = config.as_object_mut().unwrap();
    let host = fields.remove("HostConfig").unwrap_or(json!({}));
    let networks = fields.remove("NetworkingConfig").unwrap_or(json!({}));
    json!({
        "Config": config,
        "HostConfig": host,
        "NetworkSettings": {"Networks": networks["EndpointsConfig"]},
    })
}

/// The page of the documentation is the table of the code. `UPDATE=1` writes it anew.
fn table() -> Result<(), Failed> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/deviations.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, markdown()).unwrap();
    }
    let names: BTreeSet<_> = DEVIATIONS.iter().map(|rule| rule.name).collect();
    assert!(DEVIATIONS.len() <= 15 && names.len() == DEVIATIONS.len());
    if std::fs::read_to_string(&page).unwrap_or_default() == markdown() {
        Ok(())
    } else {
        Err("docs/reference/deviations.md is not the table of the code; run with UPDATE=1".into())
    }
}
