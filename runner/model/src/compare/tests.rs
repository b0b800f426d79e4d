use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::compile::{Compiled, Inputs, compile};

struct World {
    dir: tempfile::TempDir,
    project: Project,
    compiled: Compiled,
    fingerprints: BTreeMap<String, Fingerprint>,
}

impl World {
    fn with(compose: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("mirror.yaml"),
            "production: compose.yaml\nsecrets: { PW: { stub: stand-in-9x } }\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("compose.yaml"), compose).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let project = Project::load(dir.path()).unwrap();
        Self::of(dir, project)
    }

    fn of(dir: tempfile::TempDir, project: Project) -> Self {
        let inputs = Inputs {
            stand_ins: true,
            ..Inputs::default()
        };
        let compiled = compile(&project, &inputs).unwrap_or_else(|p| panic!("{p}"));
        Self {
            dir,
            project,
            compiled,
            fingerprints: BTreeMap::new(),
        }
    }

    fn side(&self) -> Side<'_> {
        assert!(self.dir.path().exists());
        Side {
            mirror: &self.compiled.production,
            beyond: &self.compiled.beyond,
            project: &self.project,
            fingerprints: &self.fingerprints,
        }
    }
}

fn lines(c: &Comparison) -> Vec<String> {
    let text = |s: &Option<Shown>| s.as_ref().map_or("-".to_owned(), |s| s.text.clone());
    c.changes
        .iter()
        .map(|c| {
            format!(
                "{} {}: {} | {}",
                c.object,
                c.field,
                text(&c.left),
                text(&c.right)
            )
        })
        .collect()
}

fn diff(a: &str, b: &str) -> Vec<String> {
    lines(&compare(
        World::with(a, &[]).side(),
        World::with(b, &[]).side(),
    ))
}

fn web(fields: &str) -> String {
    format!("services:\n  web:\n    image: x:1.0\n{fields}")
}

#[test]
fn an_environment_does_not_differ_from_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = World::of(
        tempfile::tempdir().unwrap(),
        Project::load(&root.join("mirror.yaml")).unwrap(),
    );
    assert_eq!(compare(world.side(), world.side()).changes, []);
}

#[test]
fn every_aspect_differs_by_its_field() {
    for (a, b, wanted) in [
        ("", "    read_only: true\n", "read_only: - | true"),
        (
            "    user: \"0\"\n",
            "    user: \"10001\"\n",
            "user: 0 | 10001",
        ),
        (
            "    mem_limit: 1g\n",
            "    mem_limit: 64m\n",
            "limits.memory: 1 GiB | 64 MiB",
        ),
        ("", "    deploy: { replicas: 3 }\n", "replicas: 1 | 3"),
        ("", "    restart: always\n", "restart: - | always"),
        (
            "    environment: { TZ: Europe/Berlin }\n",
            "    environment: { TZ: UTC }\n",
            "time zone: Europe/Berlin | UTC",
        ),
        ("    environment: { A: x }\n", "", "environment.A: x | -"),
        (
            "    environment: { A: \"\" }\n",
            "    environment: { A: x }\n",
            "environment.A: (empty) | x",
        ),
        (
            "    volumes: [\"./src:/app\"]\n",
            "",
            "mounts[/app]: the project's ./src | -",
        ),
        (
            "    tmpfs: [\"/tmp:size=1m\"]\n",
            "",
            "mounts[/tmp]: tmpfs (size=1m) | -",
        ),
        (
            "    command: [a, \"--api-key=s3cr3t9\"]\n",
            "    command: [b]\n",
            "command: a --api-key=*** | b",
        ),
        (
            "    healthcheck: { test: [CMD, ok] }\n",
            "",
            "healthcheck.test: CMD ok | -",
        ),
        (
            "    ports: [\"80:8080\"]\n",
            "",
            "ports[8080/tcp]: published at 80 | -",
        ),
        ("    cap_drop: [ALL]\n", "", "cap_drop: ALL | -"),
        ("    labels: { a: b }\n", "", "labels.a: b | -"),
        (
            "    logging: { driver: local }\n",
            "",
            "logging.driver: local | -",
        ),
        (
            "    environment: { U: \"https://a.vendor.test\" }\n",
            "    environment: { U: \"http://web\" }\n",
            "hosts[a.vendor.test:443]: named in environment.U; no spec describes it | -",
        ),
        (
            "    stop_grace_period: 20s\n",
            "",
            "stop_grace_period: 20s | -",
        ),
    ] {
        let found = diff(&web(a), &web(b));
        assert!(
            found.contains(&format!("service:web {wanted}")),
            "{wanted} in {found:#?}"
        );
    }
}

#[test]
fn what_means_the_same_does_not_differ() {
    for (a, b) in [
        ("    read_only: false\n", ""),
        ("    restart: \"no\"\n", ""),
        ("    cap_drop: [A, B]\n", "    cap_drop: [B, A]\n"),
        (
            "    mem_limit: 1g\n",
            "    deploy: { resources: { limits: { memory: 1024M } } }\n",
        ),
        (
            "    environment: { TZ: UTC }\n",
            "    environment: { TZ: Etc/UTC }\n",
        ),
        (
            "    environment: [A=1, B=2]\n",
            "    environment: { B: \"2\", A: 1 }\n",
        ),
        ("    deploy: { replicas: 1 }\n", ""),
    ] {
        assert_eq!(diff(&web(a), &web(b)), [""; 0], "{a:?} {b:?}");
    }
}

#[test]
fn services_networks_and_volumes_of_one_side() {
    let a = "services:\n  web: { image: \"x:1\", networks: [n], volumes: [\"vol:/v\"] }\n  old: { image: \"x:1\" }\nnetworks: { n: { internal: true } }\nvolumes: { vol: {} }\n";
    let b = "services:\n  web: { image: \"x:2\", networks: [n] }\n  new: { image: \"x:1\" }\nnetworks: { n: {} }\n";
    let found = diff(a, b);
    for wanted in [
        "service:web image: x:1 | x:2",
        "service:old service: this service | -",
        "service:new service: - | this service",
        "network:n internal: true | -",
        "volume:vol volume: this volume | -",
    ] {
        assert!(found.iter().any(|f| f == wanted), "{wanted} in {found:#?}");
    }
}

#[test]
fn secrets_differ_and_are_not_shown() {
    let secret = ["s3cr3t-one-9x", "s3cr3t-two-9x"];
    let text = |s: &str, host: &str| {
        web(&format!(
            "    environment:\n      API_KEY: {s}\n      DB: postgres://a:{s}@{host}/x\n      D2: \"amqp://a:${{PW}}@mq\"\n    labels: {{ api.token: {s} }}\n    configs: [{{ source: c, target: /c }}]\nconfigs: {{ c: {{ content: \"password: {s}\\nlisten: {host}\\n\" }} }}\n"
        ))
    };
    let (a, b) = (
        World::with(&text(secret[0], "db"), &[]),
        World::with(&text(secret[1], "pg"), &[]),
    );
    let found = compare(a.side(), b.side());
    let json = serde_json::to_string(&found).unwrap();
    assert!(!json.contains("s3cr3t"), "{json}");
    let all = lines(&found);
    let kind = "*** (a secret, in plain text)";
    assert!(
        all.contains(&format!("service:web environment.API_KEY: {kind} | {kind}")),
        "{all:#?}"
    );
    assert!(
        json.contains("they name other hosts: db:5432 and pg:5432"),
        "{json}"
    );
    assert!(
        json.contains("-listen: db") && json.contains("+listen: pg"),
        "{json}"
    );
    assert!(!all.iter().any(|l| l.contains("environment.D2")));
}

#[test]
fn files_are_compared_by_their_path_in_the_container() {
    let a = World::with(
        &web("    volumes: [\"./a.conf:/etc/a.conf:ro\"]\n"),
        &[("a.conf", "x\ny\n")],
    );
    let b = World::with(
        &web(
            "    configs: [{ source: c, target: /etc/a.conf }]\nconfigs: { c: { file: ./b.conf } }\n",
        ),
        &[("b.conf", "x\nz\n")],
    );
    let found = compare(a.side(), b.side());
    let file = found
        .changes
        .iter()
        .find(|c| c.field == "files[/etc/a.conf]")
        .unwrap();
    assert_eq!(file.kind, Kind::Differs);
    assert!(
        file.diff.iter().any(|l| l == "-y") && file.diff.iter().any(|l| l == "+z"),
        "{:?}",
        file.diff
    );
    let place = file.left.as_ref().unwrap().place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line), ("compose.yaml", 4));
}

#[test]
fn versions_inside_of_images() {
    let (mut a, mut b) = (
        World::with(&web(""), &[]),
        World::with(&web("").replace("x:1.0", "x:2.0"), &[]),
    );
    let mut one = Fingerprint::default();
    one.package("python", "flask", "2.0");
    one.package("python", "same", "1");
    one.fact("libc", "glibc 2.36");
    let mut two = Fingerprint::default();
    two.package("python", "flask", "3.0");
    two.package("python", "flask", "2.9");
    two.package("python", "same", "1");
    two.fact("libc", "musl 1.2");
    a.fingerprints.insert("x:1.0".into(), one);
    b.fingerprints.insert("x:2.0".into(), two);
    assert_eq!(
        lines(&compare(a.side(), b.side())),
        [
            "service:web image: x:1.0 | x:2.0",
            "inside:web libc: glibc 2.36 | musl 1.2",
            "inside:web python[flask]: 2.0 | 2.9, 3.0"
        ]
    );
}

#[test]
fn files_that_the_other_sides_image_lacks() {
    let given = "    volumes: [\"./rates:/srv/rates\", \"./etc:/etc/app\", \"./deep:/data/deep\"]\n    configs: [{ source: c, target: /etc/c.conf }]\nconfigs: { c: { content: x } }\n";
    let a = World::with(&web("    tmpfs: [/data]\n"), &[]);
    let b = World::with(&web(given), &[]);
    let asked: Vec<(String, Kind)> = provided(a.side(), b.side())
        .into_iter()
        .map(|p| (format!("{} {} {}", p.service, p.path, p.image), p.by))
        .collect();
    let by = |p: &str| (format!("web {p} x:1.0"), Kind::RightOnly);
    // Below /data is what the other side mounts there, whatever the image has.
    assert_eq!(asked, [by("/etc/app"), by("/etc/c.conf"), by("/srv/rates")]);
    let mut print = Fingerprint::default();
    print.paths.insert("/srv/rates".to_owned(), false);
    print.paths.insert("/etc/app".to_owned(), true);
    let mut looked = World::with(&web("    tmpfs: [/data]\n"), &[]);
    looked.fingerprints.insert("x:1.0".to_owned(), print);
    for (one, other) in [(&looked, &b), (&b, &looked)] {
        let found = compare(one.side(), other.side());
        let means = |field: &str| {
            let change = found.changes.iter().find(|c| c.field == field).unwrap();
            change.means.clone()
        };
        assert!(means("mounts[/srv/rates]").contains("its image has nothing there"));
        assert!(means("mounts[/etc/app]").contains("what its image has there"));
        assert!(means("files[/etc/c.conf]").contains("another configuration"));
    }
}

#[test]
fn the_shop_in_production_and_on_a_laptop() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = |file: &str| {
        World::of(
            tempfile::tempdir().unwrap(),
            Project::load(&root.join(file)).unwrap(),
        )
    };
    let found = lines(&compare(
        world("mirror.yaml").side(),
        world("local.mirror.yaml").side(),
    ));
    for wanted in [
        "service:orders read_only: true | -",
        "service:orders user: 10001:10001 | root",
        "service:orders limits.memory: 384 MiB | -",
        "service:orders environment.PAYMENT_PROVIDER_KEY: - | *** (a secret, in plain text)",
        "service:orders mounts[/srv/rates]: - | the project's ./production/local, read-only",
        "service:orders time zone: Europe/Berlin | -",
        "service:db image: registry.shop.example/postgres:15 | registry.shop.example/postgres:17",
        "service:redis service: this service | -",
        "service:payments service: - | this service",
    ] {
        assert!(found.iter().any(|f| f == wanted), "{wanted} in {found:#?}");
    }
}
