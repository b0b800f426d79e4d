//! What is refused: nothing starts, the exit code is 2, and the rule is named.

use crate::project::{Project, Said};

/// A rule, where the spec takes its way out, and what is said about it.
pub struct Refused {
    pub rule: &'static str,
    spec: &'static str,
    said: &'static [&'static str],
}

const fn web(rule: &'static str, spec: &'static str, said: &'static [&'static str]) -> Refused {
    Refused { rule, spec, said }
}

/// Fragments of a service, at its own indentation.
pub const SERVICES: &[Refused] = &[
    web(
        "foreign-network",
        "network_mode: container:prod-db",
        &["container:prod-db", "that the spec does not describe"],
    ),
    web(
        "foreign-namespace",
        "pid: container:prod-db",
        &["pid", "container:prod-db"],
    ),
    web(
        "foreign-namespace",
        "ipc: container:prod-db",
        &["ipc", "container:prod-db"],
    ),
    web(
        "privileged",
        "privileged: true",
        &["all rights and devices"],
    ),
    web(
        "privileged-hook",
        "post_start: [{ command: [id], privileged: true }]",
        &["post_start"],
    ),
    web(
        "device",
        "devices: [/dev/kvm]",
        &["/dev/kvm", "a device of the engine's host"],
    ),
    web("device", "devices: ['/dev/mem:/dev/disk:r']", &["/dev/mem"]),
    web(
        "device-rule",
        "device_cgroup_rules: ['c 1:3 rwm']",
        &["c 1:3 rwm"],
    ),
    web("gpus", "gpus: all", &["gpus"]),
    web(
        "credential-spec",
        "credential_spec: { file: gmsa.json }",
        &["credential_spec"],
    ),
    web(
        "api-socket",
        "use_api_socket: true",
        &["use_api_socket", "has its host"],
    ),
    web(
        "provider",
        "provider: { type: awesomecloud }",
        &["provider"],
    ),
    web(
        "socket",
        "volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']",
        &["docker.sock"],
    ),
    web(
        "socket",
        "volumes: [{ type: bind, source: /run, target: /host-run }]",
        &["/run"],
    ),
    web(
        "bind",
        "volumes: ['/etc:/host-etc:ro']",
        &["/etc", "outside of the project"],
    ),
    web(
        "bind",
        "volumes: ['/var/lib/docker:/d']",
        &["/var/lib/docker"],
    ),
    web("bind", "volumes: ['/proc:/host-proc']", &["/proc"]),
    web(
        "bind",
        "volumes: ['..:/above']",
        &["outside of the project"],
    ),
    web(
        "bind",
        "volumes: ['./out:/d']",
        &["out", "outside of the project"],
    ),
    web(
        "special-mount",
        "volumes: [{ type: npipe, source: docker_engine, target: /p }]",
        &["docker_engine"],
    ),
    web(
        "volumes-from",
        "volumes_from: ['container:prod-db']",
        &["container:prod-db"],
    ),
];

/// Objects beside the service, which uses them.
pub const OBJECTS: &[Refused] = &[
    web(
        "config-path",
        "configs: { c: { file: ../secret.env } }",
        &["../secret.env", "outside of the project"],
    ),
    web(
        "config-path",
        "configs: { c: { file: out/secret.env } }",
        &["out/secret.env", "outside of the project"],
    ),
    web(
        "config-path",
        "configs: { c: { file: /etc/passwd } }",
        &["/etc/passwd"],
    ),
    web(
        "secret-path",
        "secrets: { c: { file: ../secret.env } }",
        &["../secret.env", "outside of the project"],
    ),
    web(
        "secret-path",
        "secrets: { c: { file: out/secret.env } }",
        &["out/secret.env", "outside of the project"],
    ),
];

/// A project in a directory below its own, beside whose root there is a file of others, to
/// which a link in the project leads.
fn project(compose: &str) -> (tempfile::TempDir, Project) {
    let above = tempfile::tempdir().unwrap();
    std::fs::write(above.path().join("secret.env"), "OF_OTHERS=1\n").unwrap();
    let project = Project::within(above.path(), &[("compose.yaml", compose)]);
    std::os::unix::fs::symlink(above.path(), project.path().join("out")).unwrap();
    project.write(
        "scenarios/a.yaml",
        b"scenario: a\nsteps:\n  - exec: { service: web, cmd: [id] }\n",
    );
    (above, project)
}

/// Refused, and before any engine was asked: the one that is named is not there.
fn refused(compose: &str) -> Said {
    let (_above, project) = project(compose);
    project.run_with(
        &["run", "--offline"],
        &[("DOCKER_HOST", "tcp://127.0.0.1:9")],
    )
}

#[test]
fn nothing_starts_when_a_way_out_is_refused() {
    for way in SERVICES {
        let compose = format!(
            "services:\n  web:\n    image: example/web:1\n    {}\n",
            way.spec
        );
        let said = refused(&compose);
        let permit = ["allow:", way.rule];
        said.is(2, &[way.said, &permit].concat());
    }
    for way in OBJECTS {
        let kind = way.spec.split(':').next().unwrap();
        let compose = format!(
            "services:\n  web:\n    image: example/web:1\n    {kind}: [c]\n{}\n",
            way.spec
        );
        let said = refused(&compose);
        let permit = ["allow:", way.rule];
        said.is(2, &[way.said, &permit].concat());
    }
}

#[test]
fn the_same_without_a_way_out_gets_as_far_as_the_engine() {
    // Shows that the exit code of the test above comes from the refusal.
    refused("services:\n  web:\n    image: example/web:1\n    read_only: true\n")
        .is(5, &["127.0.0.1:9"]);
}

#[test]
fn models_and_unknown_keys_are_refused() {
    let model = "services:\n  web:\n    image: example/web:1\n    models: [llm]\nmodels: { llm: { model: ai/smollm2 } }\n";
    refused(model).is(2, &["models", "allow:", "model=llm"]);
    let unknown = "services:\n  web:\n    image: example/web:1\n    teleport: true\n";
    refused(unknown).is(2, &["teleport"]);
}

#[test]
fn values_come_from_files_of_the_project_only() {
    for field in ["env_file", "label_file"] {
        for file in ["../secret.env", "out/secret.env"] {
            let compose =
                format!("services:\n  web:\n    image: example/web:1\n    {field}: [{file}]\n");
            refused(&compose).is(2, &["leads out of the project directory", "compose.yaml:4"]);
        }
    }
}

#[test]
fn mirror_yaml_reads_nothing_from_outside_of_the_project() {
    for lines in [
        "env_files: [../secret.env]\n",
        "env_files: [out/secret.env]\n",
        "secrets: { KEY: { file: out/secret.env } }\n",
        "egress: { 'a.example:80': { stub: out/secret.env } }\n",
        "template: ../secret.env\n",
    ] {
        let (_above, project) = project(
            "services:\n  web: { image: example/web:1, environment: { KEY: '${KEY:-}' } }\n",
        );
        project.write(
            "mirror.yaml",
            format!("production: [compose.yaml]\n{lines}").as_bytes(),
        );
        project
            .run(&["check"])
            .is(2, &["leads out of the project directory"]);
    }
}

#[test]
fn steps_name_only_what_the_stack_has() {
    let cases = [
        (
            "http: { url: \"http://93.184.216.34/\" }",
            "the stack has no host `93.184.216.34`",
        ),
        (
            "http: { url: \"http://production.example/\" }",
            "the stack has no host `production.example`",
        ),
        (
            "http: { url: \"http://localhost/\" }",
            "the stack has no host `localhost`",
        ),
        (
            "exec: { service: prod-db, cmd: [id] }",
            "the stack has no service `prod-db`",
        ),
        ("redis: { service: prod-db, command: [PING] }", "`prod-db`"),
        ("sql: { service: prod-db, query: select 1 }", "`prod-db`"),
    ];
    for (step, said) in cases {
        let (_above, project) = project("services:\n  web: { image: example/web:1 }\n");
        project.write(
            "scenarios/a.yaml",
            format!("scenario: a\nsteps:\n  - {step}\n").as_bytes(),
        );
        let ran = project.run_with(
            &["run", "--offline"],
            &[("DOCKER_HOST", "tcp://127.0.0.1:9")],
        );
        ran.is(2, &[said]);
    }
}
