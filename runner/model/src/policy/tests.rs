use std::path::Path;

use super::*;
use crate::fidelity::{Class, Severity};
use crate::project::Project;
use crate::source::SourceFile;
use crate::yaml::parse_one;

pub(super) struct World {
    _dir: tempfile::TempDir,
    pub(super) project: Project,
}

/// A project whose `mirror.yaml` has these lines beside `production`.
pub(super) fn project(lines: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("compose.yaml", "services: {}\n");
    write("here.conf", "listen 80\n");
    write("mirror.yaml", &format!("production: compose.yaml\n{lines}"));
    let project = Project::load(dir.path()).unwrap();
    World { _dir: dir, project }
}

impl World {
    fn mirror(&self, compose: &str) -> Mirror {
        let root = self.project.root.to_string_lossy();
        let text = compose.replace("@ROOT@", &root);
        let node = parse_one(&SourceFile::new("compose.yaml", text)).unwrap();
        Mirror::from_compose(&node).unwrap()
    }

    pub(super) fn apply(&self, compose: &str) -> Applied {
        apply(Request {
            mirror: self.mirror(compose),
            project: &self.project,
            images: &self.project.images,
            agent_image: "prodmirror/agent:test",
            environment: &BTreeMap::from([("SET".to_owned(), "x".to_owned())]),
            beyond: &Beyond::default(),
        })
    }
}

fn web(field: &str) -> String {
    format!(
        "name: shop\nservices:\n  web:\n    image: nginx:1\n    networks: {{ default: null }}\n    {field}\nnetworks:\n  default: {{ name: shop_default, internal: true }}\n"
    )
}

/// One rule's case: the value of a service, network or volume that it finds, the value that a
/// permit names, and a text that the mirror has afterwards (or must not have).
struct Way {
    rule: &'static str,
    spec: String,
    permit: &'static str,
    gone: &'static str,
    now: &'static str,
}

fn way(
    rule: &'static str,
    field: &str,
    permit: &'static str,
    gone: &'static str,
    now: &'static str,
) -> Way {
    Way {
        rule,
        spec: web(field),
        permit,
        gone,
        now,
    }
}

fn object(
    rule: &'static str,
    objects: &str,
    permit: &'static str,
    gone: &'static str,
    now: &'static str,
) -> Way {
    Way {
        rule,
        spec: format!("name: shop\nservices: {{ web: {{ image: nginx:1 }} }}\n{objects}\n"),
        permit,
        gone,
        now,
    }
}

fn ways() -> Vec<Way> {
    vec![
        way("host-network", "network_mode: host", "host", "network_mode", "default"),
        way("foreign-network", "network_mode: container:prod", "container:prod", "container:", "none"),
        way("host-pid", "pid: host", "host", "pid", ""),
        way("host-ipc", "ipc: host", "host", "ipc", ""),
        way("host-uts", "uts: host", "host", "uts", ""),
        way("host-cgroup", "cgroup: host", "host", "\"cgroup\":\"host\"", "\"cgroup\":\"private\""),
        way("host-users", "userns_mode: host", "host", "userns_mode", ""),
        way("foreign-namespace", "pid: container:prod", "container:prod", "pid", ""),
        way("privileged", "privileged: true", "true", "privileged", ""),
        way("privileged-hook", "post_start: [{ command: [x], privileged: true }]", "true", "privileged", "post_start"),
        way("capability", "cap_add: [CAP_net_admin, CHOWN]", "NET_ADMIN", "net_admin", "CHOWN"),
        way("device", "devices: [{ source: /dev/kvm, target: /dev/kvm, permissions: rwm }]", "/dev/kvm", "kvm", ""),
        way("device-rule", "device_cgroup_rules: ['c 1:3 rwm']", "c 1:3 rwm", "device_cgroup_rules", ""),
        way("gpus", "gpus: [{ driver: nvidia, count: -1 }]", "nvidia", "gpus", ""),
        way("security-option", "security_opt: ['seccomp:unconfined', 'no-new-privileges:true']", "seccomp:unconfined", "unconfined", "no-new-privileges"),
        way("sysctl", "sysctls: { kernel.panic: '1', net.core.somaxconn: '9' }", "kernel.panic", "panic", "somaxconn"),
        way("runtime", "runtime: nvidia", "nvidia", "runtime", ""),
        way("isolation", "isolation: hyperv", "hyperv", "isolation", ""),
        way("cgroup-parent", "cgroup_parent: system.slice", "system.slice", "cgroup_parent", ""),
        way("credential-spec", "credential_spec: { file: gmsa.json }", "", "credential_spec", ""),
        way("api-socket", "use_api_socket: true", "true", "use_api_socket", ""),
        way("annotation", "annotations: { run.oci.handler: krun }", "run.oci.handler", "annotations", ""),
        way("provider", "provider: { type: compose-bridge }", "compose-bridge", "provider", ""),
        way("model", "models: { llm: null }", "llm", "models", ""),
        way("storage-option", "storage_opt: { size: 1G }", "size", "storage_opt", ""),
        way("logging-driver", "logging: { driver: awslogs, options: { awslogs-group: prod } }", "awslogs", "awslogs", "json-file"),
        way("socket", "volumes: [{ type: bind, source: /var/run/docker.sock, target: /s, read_only: true }]", "/var/run/docker.sock", "docker.sock", ""),
        way("host-file", "volumes: [{ type: bind, source: /etc/localtime, target: /t, read_only: true }]", "/etc/localtime", "localtime", ""),
        way("bind", "volumes: [{ type: bind, source: /srv/data, target: /d, read_only: true }]", "/srv/data", "srv", ""),
        way("special-mount", "volumes: [{ type: npipe, source: pipe0, target: /p }]", "pipe0", "npipe", ""),
        way("volumes-from", "volumes_from: ['container:prod', other]", "container:prod", "container:", "other"),
        way("service-volume-driver", "volume_driver: rexray", "rexray", "volume_driver", ""),
        way("extra-host", "extra_hosts: ['api.prod=10.1.2.3', 'me=127.0.0.1']", "api.prod=10.1.2.3", "10.1.2.3", "me=127.0.0.1"),
        way("extra-host", "extra_hosts: ['h=host-gateway']", "h=host-gateway", "host-gateway", ""),
        way("name-server", "dns: [8.8.8.8]", "8.8.8.8", "dns", ""),
        way("external-link", "external_links: ['prod-db:db']", "prod-db:db", "prod-db", ""),
        way("published-port", "ports: [{ target: 80, published: '8080', mode: ingress, protocol: tcp }]", "0.0.0.0:8080", "", "127.0.0.1"),
        way("published-port", "ports: [{ target: 80, published: '8080', host_ip: '::', protocol: tcp }]", ":::8080", "'::'", "127.0.0.1"),
        Way {
            spec: "name: shop\nservices: { web: { image: a, networks: { n: { driver_opts: { x: y } } } } }\nnetworks: { n: { internal: true } }\n".into(),
            ..way("endpoint-option", "", "x", "driver_opts", "")
        },
        object("external-network", "networks: { n: { external: true, name: corp, internal: true } }", "corp", "external", "shop-mirror_n"),
        object("network-driver", "networks: { n: { driver: macvlan, driver_opts: { parent: eth0 }, internal: true } }", "macvlan", "macvlan", ""),
        object("network-option", "networks: { n: { driver_opts: { com.docker.network.bridge.name: br0 }, internal: true } }", "com.docker.network.bridge.name", "br0", ""),
        object("ipam-driver", "networks: { n: { ipam: { driver: infoblox }, internal: true } }", "infoblox", "infoblox", ""),
        object("network-name", "networks: { n: { name: corp, internal: true } }", "corp", "corp", "shop-mirror_n"),
        object("open-network", "networks: { n: { } }", "false", "", "internal"),
        object("external-volume", "volumes: { n: { external: true, name: proddata } }", "proddata", "proddata", "shop-mirror_n"),
        object("volume-driver", "volumes: { n: { driver: rexray/ebs, driver_opts: { size: '5' } } }", "rexray/ebs", "rexray", ""),
        object("volume-option", "volumes: { n: { driver_opts: { type: nfs, device: ':/x', o: addr=10.0.0.1 } } }", ":/x", "nfs", ""),
        object("volume-name", "volumes: { n: { name: proddata } }", "proddata", "proddata", "shop-mirror_n"),
        object("config-store", "configs: { n: { content: x, template_driver: golang } }", "golang", "golang", ""),
        object("config-path", "configs: { n: { file: /etc/passwd } }", "/etc/passwd", "passwd", ""),
        object("secret-store", "secrets: { n: { environment: SET, driver: vault } }", "vault", "vault", ""),
        object("secret-path", "secrets: { n: { file: /etc/shadow } }", "/etc/shadow", "shadow", ""),
    ]
}

fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|r| r.name == name).unwrap()
}

#[test]
fn every_rule_has_a_case() {
    let cases: Vec<_> = ways().iter().map(|w| w.rule).collect();
    for r in RULES {
        assert!(cases.contains(&r.name), "{} has no case", r.name);
        assert!(
            RULES.iter().filter(|o| o.name == r.name).count() == 1,
            "{}",
            r.name
        );
    }
}

#[test]
fn every_way_out_is_closed_and_reported() {
    let world = project("");
    for w in ways() {
        let applied = world.apply(&w.spec);
        let text = applied.mirror.to_compose().to_string();
        assert!(
            w.gone.is_empty() || !text.contains(w.gone),
            "{}: {text}",
            w.rule
        );
        assert!(text.contains(w.now), "{}: {text}", w.rule);
        let r = rule(w.rule);
        let records: Vec<_> = applied
            .fidelity
            .records
            .iter()
            .filter(|x| x.rule == w.rule)
            .collect();
        let refused = applied
            .problems
            .0
            .iter()
            .any(|p| p.kind == ProblemKind::Forbidden);
        assert_eq!(
            refused,
            r.does == Does::Refuse,
            "{}: {}",
            w.rule,
            applied.problems
        );
        assert!(
            !records.is_empty(),
            "{}: {:?}",
            w.rule,
            applied.fidelity.records
        );
        assert_eq!(records[0].severity, r.severity, "{}", w.rule);
        assert_ne!(records[0].class, Class::Mirrored, "{}", w.rule);
        assert!(
            records[0].raise.contains("allow:\n"),
            "{}: {}",
            w.rule,
            records[0].raise
        );
        for p in applied.problems.0.iter().filter(|p| p.is_error()) {
            assert!(p.span.is_some() && p.help.is_some(), "{}: {p}", w.rule);
        }
    }
}

#[test]
fn what_is_allowed_by_name_stays() {
    for w in ways() {
        let section = rule(w.rule).look.section();
        let name = if section == "services" { "web" } else { "n" };
        let plain = world_apply_allow(&w, section, name, None);
        let root = Path::new("/");
        assert!(root.is_absolute());
        let text = plain.mirror.to_compose().to_string().to_lowercase();
        assert!(
            !plain.problems.has_errors(),
            "{}: {}",
            w.rule,
            plain.problems
        );
        assert!(
            plain
                .problems
                .0
                .iter()
                .all(|p| !p.message.contains("needs no")),
            "{}",
            w.rule
        );
        assert!(
            w.gone.is_empty() || w.gone.starts_with('\'') || text.contains(&w.gone.to_lowercase()),
            "{}: {text}",
            w.rule
        );
        let named = world_apply_allow(&w, section, name, Some(w.permit));
        assert!(
            !named.problems.has_errors(),
            "{}={}: {}",
            w.rule,
            w.permit,
            named.problems
        );
        let other = world_apply_allow(&w, section, name, Some("something else"));
        assert!(
            other
                .problems
                .0
                .iter()
                .any(|p| p.message.contains("needs no")),
            "{}",
            w.rule
        );
    }
}

fn world_apply_allow(w: &Way, section: &str, name: &str, value: Option<&str>) -> Applied {
    let world = project("");
    let root = world.project.root.to_string_lossy().into_owned();
    let permit = match value {
        Some(v) => format!("{}={}", w.rule, v.replace("@ROOT@", &root)),
        None => w.rule.to_owned(),
    };
    let lines = serde_json::json!({"allow": {section: {name: [permit]}}}).to_string();
    std::fs::write(
        &world.project.path,
        format!("{{\"production\": \"compose.yaml\", {}", &lines[1..]),
    )
    .unwrap();
    let world = World {
        project: Project::load(&world.project.path).unwrap(),
        ..world
    };
    world.apply(&w.spec)
}

#[test]
fn the_help_of_a_refusal_is_what_allows_it() {
    for w in ways().iter().filter(|w| rule(w.rule).does == Does::Refuse) {
        let refused = project("").apply(&w.spec);
        let p = refused
            .problems
            .0
            .iter()
            .find(|p| p.kind == ProblemKind::Forbidden)
            .unwrap();
        let help = p.help.as_ref().unwrap();
        let lines = help.split_once("allow:").unwrap().1;
        let allowed = project(&format!("allow:{lines}\n")).apply(&w.spec);
        assert!(
            !allowed.problems.has_errors(),
            "{}: {}",
            w.rule,
            allowed.problems
        );
    }
}

#[test]
fn a_second_time_changes_nothing() {
    let world = project("egress: { 'api.example:443': { stub: { default: { status: 200 } } } }\n");
    let mut all = String::from("name: shop\nservices:\n");
    for (i, w) in ways()
        .iter()
        .enumerate()
        .filter(|(_, w)| rule(w.rule).look.section() == "services")
    {
        let body = w.spec.lines().skip(3).take_while(|l| l.starts_with("    "));
        all.push_str(&format!("  web{i}:\n"));
        body.for_each(|l| all.push_str(&format!("{l}\n")));
        if w.spec.starts_with("name: shop\nservices: {") {
            all.push_str("    image: x\n");
        }
    }
    all.push_str(
        "networks: { default: {}, other: { driver: overlay } }\nvolumes: { d: { name: x } }\n",
    );
    let once = world.apply(&all);
    let changes = recheck(&once.mirror, &once.mirror, &world.project);
    assert_eq!(changes, Problems::default());
    let changes = recheck(&world.mirror(&all), &once.mirror, &world.project).to_string();
    for part in [
        "`privileged`",
        "service `web0`: `network_mode",
        "compose.yaml:6:",
        "allow:",
    ] {
        assert!(changes.contains(part), "{part} is missing in {changes}");
    }
}

#[test]
fn stubs_answer_under_the_name_of_the_host() {
    let world = project(
        concat!(
            "egress:\n",
            "  'api.example:443': { stub: { default: { status: 201 } } }\n",
            "  'api.example:80': { stub: { default: { status: 201 } } }\n",
            "  'telemetry.example:443': { deny: true }\n",
            "  'web:80': { stub: { default: { status: 1 } } }\n",
        )
        .replace("status: 1 ", "status: 200 ")
        .as_str(),
    );
    let a = world.apply(concat!(
        "name: shop\nservices:\n  web:\n    image: nginx:1\n    networks: { front: null, back: null }\n",
        "networks: { front: {}, back: { internal: true }, unused: {} }\n",
    ));
    assert!(
        a.problems
            .to_string()
            .contains("`web` is a name of service `web`"),
        "{}",
        a.problems
    );
    let stub = &a.mirror.services["stub-api-example"];
    let keys: Vec<_> = stub.network.attachments.keys().collect();
    assert_eq!(keys, ["front"], "production keeps `back` closed itself");
    assert_eq!(
        stub.network.attachments["front"].aliases[0].value,
        "api.example"
    );
    let spec = &a.extension.stubs["stub-api-example"];
    assert_eq!(
        (spec.ports.as_slice(), spec.tls.as_slice()),
        ([443, 80].as_slice(), [443].as_slice())
    );
    assert_eq!(a.extension.egress.deny, ["telemetry.example:443"]);
    let config = a.mirror.config_files[&spec.config]
        .content
        .as_ref()
        .unwrap();
    assert!(config.contains("\"status\": 201"), "{}", config.value);
    assert!(
        a.mirror
            .networks
            .values()
            .all(|n| n.internal.as_ref().unwrap().value)
    );
}

#[test]
fn hidden_dependencies_are_named() {
    let world = project("egress: { 'api.example:443': { deny: true } }\n");
    let a = world.apply(&web(concat!(
        "environment: { A_URL: 'https://api.example/v1', FRAUD_URL: 'https://fraud.vendor.example/', ",
        "SMTP_HOST: mail, SMTP_PORT: '2525', DB: 'postgres://u:p@db:5432/x', SELF: 'http://web:80', DOMAIN: shop.example, ON: 'true' }\n",
        "  db: { image: postgres:15, networks: { default: null } }",
    )));
    let undeclared: Vec<_> = a
        .externals
        .iter()
        .filter(|e| e.decision == Decision::Undeclared)
        .map(External::endpoint)
        .collect();
    assert_eq!(undeclared, ["fraud.vendor.example:443", "mail:2525"]);
    let said = a.problems.to_string();
    assert!(said.contains("compose.yaml:6:"), "{said}");
    assert!(
        said.contains("service `web` names `fraud.vendor.example` in environment.FRAUD_URL"),
        "{said}"
    );
    assert!(
        said.contains("\"fraud.vendor.example:443\": { stub: stubs/fraud-vendor-example.yaml }"),
        "{said}"
    );
    assert!(!a.problems.has_errors());
    let high = a
        .fidelity
        .records
        .iter()
        .filter(|r| r.rule == "hidden-dependency");
    assert!(high.clone().count() == 2 && high.into_iter().all(|r| r.severity == Severity::High));
}

#[test]
fn secrets_and_configs_get_their_content() {
    let world = project(concat!(
        "secrets: { tls-key: { stub: abc }, API_KEY: { env: X } }\n",
        "supply: { configs: { c: { content: hello } } }\n",
    ));
    let a = world.apply(concat!(
        "name: shop\nservices: { web: { image: a } }\n",
        "secrets: { tls-key: { external: true, name: v7 }, k: { environment: API_KEY }, none: { external: true }, gone: { file: '@ROOT@/none' } }\n",
        "configs: { c: { external: true }, d: { external: true } }\n",
    ));
    let said = a.problems.to_string();
    assert_eq!(
        a.mirror.secrets["tls-key"]
            .environment
            .as_ref()
            .unwrap()
            .value,
        "TLS_KEY"
    );
    assert_eq!(
        a.mirror.secrets["k"].environment.as_ref().unwrap().value,
        "API_KEY"
    );
    assert_eq!(
        a.mirror.config_files["c"].content.as_ref().unwrap().value,
        "hello"
    );
    for part in [
        "secret `none` has no value",
        "secret `gone` has no value: its file is not here",
        "config `d` has no content",
        "secrets:\n  none: { stub: VALUE }",
        "supply:\n  configs:\n    d: { file: PATH }",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn images_under_test_and_rewritten() {
    let world = project(
        "images: { under_test: { web: 'web:dev', wbe: x }, rewrite: { 'docker.io/': 'hub.example/', 'r.example/a/': 'm.example/' } }\n",
    );
    let a = world.apply("name: shop\nservices: { web: { image: 'web:1', build: { context: . } }, db: { image: 'postgres:15' }, x: { image: 'r.example/a/x:1' }, y: { image: 'r.example/b:1' }, z: { build: { context: . } } }\n");
    let image = |s: &str| {
        a.mirror.services[s]
            .image
            .reference
            .as_ref()
            .map(|r| r.value.clone())
    };
    assert_eq!(image("web").as_deref(), Some("web:dev"));
    assert_eq!(
        image("db").as_deref(),
        Some("hub.example/library/postgres:15")
    );
    assert_eq!(image("x").as_deref(), Some("m.example/x:1"));
    assert_eq!(image("y").as_deref(), Some("r.example/b:1"));
    let said = a.problems.to_string();
    assert!(
        said.contains("no service `wbe`\n  help: did you mean `web`?"),
        "{said}"
    );
    assert!(
        said.contains("service `z` has no image: production builds it"),
        "{said}"
    );
    assert!(a.mirror.services.values().all(|s| s.image.build.is_none()));
}

#[test]
fn permits_are_checked() {
    let world = project("allow: { services: { wbe: [privileged], web: [priviledged, socket] } }\n");
    let said = world.apply(&web("tty: true")).problems.to_string();
    for part in [
        "no service `wbe`\n  help: did you mean `web`?",
        "no rule `priviledged` for services\n  help: did you mean `privileged`?",
        "warning: `socket` of `web` needs no",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    let a = project("").apply(&web("teleport: { to: production }"));
    assert!(
        a.problems
            .to_string()
            .contains("`services.web.teleport` is not known here"),
        "{}",
        a.problems
    );
    assert!(a.problems.has_errors());
}

#[test]
fn a_missing_path_becomes_an_empty_volume() {
    let a = project("").apply(&web("volumes: [{ type: bind, source: '@ROOT@/var/data', target: /d, bind: { create_host_path: true } }]"));
    let m = &a.mirror.services["web"].mounts.list[0];
    assert_eq!(m.source.as_ref().unwrap().value, "missing-var-data");
    assert!(a.mirror.volumes.contains_key("missing-var-data"));
    assert!(
        a.fidelity
            .records
            .iter()
            .any(|r| r.severity == Severity::High && r.actual == "an empty volume")
    );
}

#[test]
fn files_of_the_project_are_copied() {
    let bind = |rest: &str| {
        let mount = format!("type: bind, source: '@ROOT@/here.conf', target: /c{rest}");
        web(&format!("volumes: [{{ {mount} }}]"))
    };
    let world = project("");
    let writable = world.apply(&bind(""));
    assert_eq!(writable.extension.writable_copies["web"], ["/c"]);
    let of = |a: &Applied| -> Vec<String> {
        let binds = a
            .fidelity
            .records
            .iter()
            .filter(|r| r.rule == "project-bind");
        binds.map(|r| r.actual.clone()).collect()
    };
    assert_eq!(of(&writable), ["a copy"]);
    let read_only = world.apply(&bind(", read_only: true"));
    assert!(read_only.extension.writable_copies.is_empty());
    assert!(of(&read_only).is_empty());
}

#[test]
fn databases_without_data_are_reported() {
    let spec = "name: shop\nservices: { db: { image: 'postgres:15', volumes: [{ type: volume, source: d, target: /var/lib/x }] } }\nvolumes: { d: {}, e: {} }\n";
    let of = |a: &Applied| -> Vec<(String, Severity)> {
        a.fidelity
            .records
            .iter()
            .filter(|r| r.rule == "empty-data")
            .map(|r| (r.object.clone(), r.severity))
            .collect()
    };
    let a = project("").apply(spec);
    assert_eq!(
        of(&a),
        [
            ("volume:d".into(), Severity::High),
            ("volume:e".into(), Severity::Medium)
        ]
    );
    let a = project("data: { d: { snapshot: s }, e: { empty: true }, f: { snapshot: x } }\n")
        .apply(spec);
    assert_eq!(of(&a), []);
    assert!(
        a.problems.to_string().contains("no volume `f`"),
        "{}",
        a.problems
    );
    assert_eq!(a.extension.data.len(), 2);
}

/// `docs/reference/no-way-out.md` lists the rules as they are. To write it anew after a change:
/// `PRODMIRROR_WRITE_DOCS=1 cargo test -p prodmirror-model the_reference_lists_the_rules`.
#[test]
fn the_reference_lists_the_rules() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/no-way-out.md"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- rules -->\n", "<!-- end of rules -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    let mut table =
        String::from("| rule | of | what happens | severity | why |\n|---|---|---|---|---|\n");
    for r in RULES {
        let does = match r.does {
            Does::Refuse => "refused",
            Does::Substitute => "substituted",
        };
        let kind = r.look.section();
        table.push_str(&format!(
            "| `{}` | {kind} | {does} | {} | {} |\n",
            r.name, r.severity, r.why
        ));
    }
    let wanted = format!("{head}{begin}{table}{end}{tail}");
    if std::env::var_os("PRODMIRROR_WRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
}
