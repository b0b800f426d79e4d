//! Kustomizations are built by the program that is installed, with nothing but the project.

use std::process::{Command, Stdio};

use super::project::Project;
use super::rig::has_engine;

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: registry.shop.example/shop/web:base
          envFrom: [{ configMapRef: { name: settings } }]
";

const BASE: &str = "resources: [web.yaml]
configMapGenerator:
  - { name: settings, literals: [LEVEL=debug, COLOR=red] }
";

const LIVE: &str = r#"resources: [../base]
namePrefix: live-
images: [{ name: registry.shop.example/shop/web, newTag: "2.4.0" }]
configMapGenerator:
  - { name: settings, behavior: merge, literals: [LEVEL=info] }
patches:
  - target: { kind: Deployment, name: web }
    patch: '[{"op": "replace", "path": "/spec/replicas", "value": 2}]'
"#;

/// Whether something that builds kustomizations is installed. Said once for each test that is left out.
fn has_kustomize() -> bool {
    let installed = ["kustomize", "kubectl"].iter().any(|program| {
        let mut command = Command::new(program);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    });
    if !installed {
        println!("skipped: neither kustomize nor kubectl is installed");
    }
    installed
}

fn project(live: &str) -> Project {
    Project::with(&[
        ("mirror.yaml", "project: t\nproduction: [live]\n"),
        ("base/web.yaml", WEB),
        ("base/kustomization.yaml", BASE),
        ("live/kustomization.yaml", live),
    ])
}

#[test]
fn an_overlay_is_built_and_read() {
    if !has_kustomize() {
        return;
    }
    let project = project(LIVE);
    let said = project.run(&["render"]);
    said.is(0, &[]);
    for line in [
        "  live-web:\n",
        "      LEVEL: info\n",
        "      COLOR: red\n",
        "      replicas: 2\n",
        "    image: registry.shop.example/shop/web:2.4.0\n",
    ] {
        assert!(said.out.contains(line), "{line:?} in {}", said.out);
    }
    let said = project.run(&["explain", "live-web.environment.LEVEL"]);
    said.is(0, &[]);
    assert!(said.out.contains("info"), "{}", said.out);
}

/// What is rendered is what the lock holds: a base is no file of the source that is named.
#[test]
fn a_changed_base_is_drift() {
    if !has_kustomize() {
        return;
    }
    if !has_engine() {
        return;
    }
    let images = "images: [{ name: registry.shop.example/shop/web, newName: registry.shop.example/debian, newTag: bookworm }]";
    let project = project(&format!("resources: [../base]\n{images}\n"));
    project.run(&["lock", "--offline"]).is(0, &[]);
    project.run(&["lock", "--check", "--offline"]).is(0, &[]);
    let base = BASE.replace("COLOR=red", "COLOR=blue");
    project.write("base/kustomization.yaml", base.as_bytes());
    let said = project.run(&["lock", "--check", "--offline"]);
    assert_ne!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        format!("{}{}", said.out, said.err).contains("rendered:live"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn one_that_cannot_be_built_says_why() {
    if !has_kustomize() {
        return;
    }
    let said = project("resources: [../elsewhere]\n").run(&["check"]);
    said.is(
        2,
        &["makes no manifests of `live`", "elsewhere", "mirror.yaml:2"],
    );
}
