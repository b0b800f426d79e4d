//! Containers that share the network of a pod are guarded as all others are.

use super::PROBE;
use crate::engine::{Beside, IMAGE};
use crate::host::{Host, addresses};
use crate::project::Project;

#[test]
fn the_containers_of_a_pod_reach_nothing() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let host = Host::listen();
    let name = beside.name();
    let container = |name: &str| {
        format!("        - {{ name: {name}, image: '{IMAGE}', command: [sleep, infinity] }}\n")
    };
    let manifest = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  selector: {{ matchLabels: {{ app: web }} }}\n  template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n{}{}",
        container("app"),
        container("side")
    );
    let mut command = vec!["python3".to_owned(), "-c".to_owned(), PROBE.to_owned()];
    command.extend([host.port.to_string(), "172.17.0.1".to_owned()]);
    command.extend(addresses().iter().map(ToString::to_string));
    let command = serde_json::to_string(&command).unwrap();
    let step = |service: &str| {
        format!(
            "  - exec: {{ service: {service}, cmd: {command} }}\n    expect: 'stdout == \"[]\\n\"'\n"
        )
    };
    let scenario = format!("scenario: a\nsteps:\n{}{}", step("web"), step("web-side"));
    let project = Project::with(&[
        (
            "mirror.yaml",
            &format!("project: {name}\nproduction: [web.yaml]\n"),
        ),
        ("web.yaml", &manifest),
        ("scenarios/a.yaml", &scenario),
    ]);
    let said = project.run_with(&["run", "--offline"], &beside.env());
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    host.is_silent();
}
