//! What is locked is what runs, wherever it must be fetched from.

use crate::bench::Bench;
use crate::docker::docker;
use crate::{Site, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("locked_images_are_pulled_by_digest", pulled_by_digest),
    (
        "an_image_that_only_the_engine_has_is_locked_by_its_id",
        local_only,
    ),
    ("the_image_under_test_is_the_engines_own", under_test),
    ("references_are_rewritten_before_they_are_locked", rewritten),
    ("an_index_is_locked_with_its_manifests", index),
    (
        "an_image_without_the_engines_platform_is_refused",
        other_platform,
    ),
    ("facts_of_files_drift", facts),
    ("two_changes_merge_line_by_line", merged),
];

fn pulled_by_digest(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (id, digest) = bench.push("1", "one");
    bench
        .run(&["lock"])
        .is(0, &["1 image by digest, 0 local only"]);
    assert!(
        bench
            .lock()
            .contains(&format!("    digest: {digest}\n    linux/")),
        "{}",
        bench.lock()
    );
    bench
        .run(&["lock", "--check"])
        .is(0, &["mirror.lock holds"]);

    bench.forget();
    let exact = format!("{}@{digest}", bench.repository);
    bench
        .run(&["run", "--offline"])
        .is(3, &[&exact, "is needed", "is not there"]);
    bench.run(&["run", "--locked"]).is(0, &[&exact, "1 passed"]);
    assert!(
        bench
            .events()
            .contains(&format!(r#""image":"{exact}","state":"pulling""#))
    );
    let tags = docker(&["image", "inspect", "-f", "{{json .RepoTags}}", &exact]);
    assert_eq!(tags, "[]", "no tag was asked for");

    bench.forget();
    assert_eq!(bench.image_of_web(&["--locked"]), id);
    // What is here needs no registry.
    assert_eq!(bench.image_of_web(&["--locked", "--offline"]), id);
}

fn local_only(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let reference = format!("{}:1", bench.repository);
    bench
        .run(&["lock"])
        .is(3, &["cannot be locked", "manifest unknown", "docker login"]);
    let one = bench.build(&reference, "one");
    bench
        .run(&["lock"])
        .is(0, &["is local only", "0 images by digest, 1 local only"]);
    assert!(
        bench.lock().contains(&format!("    local: {one}\n")),
        "{}",
        bench.lock()
    );
    bench
        .run(&["lock", "--check"])
        .is(0, &["is local only: no registry has"]);
    bench.run(&["run", "--locked"]).is(0, &["1 passed"]);

    let two = bench.build(&reference, "two");
    assert_ne!(one, two);
    bench
        .run(&["run", "--locked"])
        .is(4, &["moved from local image", "lock --update web"]);
    assert_eq!(
        bench.image_of_web(&[]),
        one,
        "the locked one, not what the tag means now"
    );
    bench.run(&["lock", "--update", "web"]).is(0, &["moved"]);
    assert_eq!(bench.image_of_web(&["--locked"]), two);

    bench.forget();
    bench
        .run(&["lock", "--check"])
        .is(4, &["is local only, and this engine does not have"]);
    bench
        .run(&["run"])
        .is(3, &["the lock pins the image", &two, "build"]);
}

fn under_test(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let reference = format!("{}:1", bench.repository);
    bench.push("1", "pushed");
    let own = bench.build(&reference, "own");
    let mirror = format!(
        "project: {}\nproduction: [compose.yaml]\nimages: {{ under_test: {{ web: \"{reference}\" }} }}\n",
        bench.name
    );
    bench.project.write("mirror.yaml", mirror.as_bytes());
    bench.run(&["lock"]).is(0, &["1 local only"]);
    assert!(bench.lock().contains(&own), "{}", bench.lock());
    // An image of the command line is for one run only, and no drift.
    let other = format!("{}:other", bench.repository);
    let other_id = bench.build(&other, "other");
    let given = format!("web={other}");
    bench
        .run(&["run", "--locked", "--image", &given])
        .is(0, &["1 passed"]);
    assert_eq!(bench.image_of_web(&["--image", &given]), other_id);
}

fn rewritten(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let hub = format!("{}/hub/{}", site.registry.at, bench.name);
    let (id, digest) = bench.push_to(&hub, "1", "one");
    let compose = format!(
        "services:\n  web:\n    image: registry.prodmirror.example/{}:1\n    command: [hold]\n",
        bench.name
    );
    let mirror = format!(
        "project: {}\nproduction: [compose.yaml]\nimages: {{ rewrite: {{ \"registry.prodmirror.example/\": \"{}/hub/\" }} }}\n",
        bench.name, site.registry.at
    );
    bench.project.write("compose.yaml", compose.as_bytes());
    bench.project.write("mirror.yaml", mirror.as_bytes());
    bench.run(&["lock"]).is(0, &["1 image by digest"]);
    assert!(
        bench
            .lock()
            .contains(&format!("  \"{hub}:1\":\n    digest: {digest}\n")),
        "{}",
        bench.lock()
    );
    bench.forget();
    assert_eq!(bench.image_of_web(&["--locked"]), id);
}

const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An index over manifests that are in the registry, each for a platform.
fn put_index(site: &Site, bench: &Bench, manifests: &[(&str, &str)]) -> String {
    let size = |digest: &str| {
        let reference = format!("{}@{digest}", bench.repository);
        let raw = docker(&["manifest", "inspect", "--insecure", "-v", &reference]);
        let parsed: serde_json::Value = serde_json::from_str(&raw).unwrap();
        parsed["Descriptor"]["size"].as_u64().unwrap()
    };
    let entries = manifests.iter().map(|(digest, arch)| {
        serde_json::json!({
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "digest": digest,
            "size": size(digest),
            "platform": { "os": "linux", "architecture": arch },
        })
    });
    let entries: Vec<_> = entries.collect();
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    site.registry
        .put(&bench.name, "1", (INDEX, &index.to_string()))
}

/// The engine's architecture, and another one.
fn architectures() -> (String, &'static str) {
    let own = docker(&["version", "-f", "{{.Server.Arch}}"]);
    let other = if own == "s390x" { "ppc64le" } else { "s390x" };
    (own, other)
}

fn index(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (own, other) = architectures();
    let (id, one) = bench.push("one", "one");
    let (_, two) = bench.push("two", "two");
    let digest = put_index(site, &bench, &[(&one, &own), (&two, other)]);
    bench.run(&["lock"]).is(0, &["1 image by digest"]);
    let mut lines = [
        format!("    linux/{own}: {one}\n"),
        format!("    linux/{other}: {two}\n"),
    ];
    lines.sort();
    let want = format!("    digest: {digest}\n{}", lines.concat());
    assert!(bench.lock().contains(&want), "{want} in {}", bench.lock());
    bench.forget();
    assert_eq!(
        bench.image_of_web(&["--locked"]),
        id,
        "the engine's own platform"
    );
}

fn other_platform(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (own, other) = architectures();
    let (_, one) = bench.push("one", "one");
    put_index(site, &bench, &[(&one, other)]);
    bench.forget();
    bench.run(&["run"]).is(
        3,
        &[
            "there is none for this platform",
            "no matching manifest",
            &own,
        ],
    );
    bench.run(&["lock"]).is(0, &["1 image by digest"]);
    let said = format!("is locked for linux/{other}, and the engine is linux/{own}");
    bench.run(&["run"]).is(4, &[&said, "mirror.lock:"]);
}

fn facts(site: &Site) {
    let mut bench = Bench::new(&site.registry.at, &site.agent);
    bench.push("1", "one");
    let mirror = format!(
        "project: {}\nproduction: [compose.yaml]\nenv: {{ pass: [RELEASE, DEPLOY_TOKEN] }}\nsecrets: {{ PW: {{ stub: a-stand-in-8Kz1 }} }}\n",
        bench.name
    );
    let compose = format!(
        "services:\n  web:\n    image: {}:1\n    command: [hold]\n    environment: [\"PW=${{PW}}\", \"RELEASE=${{RELEASE}}\", \"DEPLOY_TOKEN=${{DEPLOY_TOKEN}}\"]\n    volumes: [\"./conf:/conf:ro\"]\n",
        bench.repository
    );
    bench.project.write("mirror.yaml", mirror.as_bytes());
    bench.project.write("compose.yaml", compose.as_bytes());
    bench.project.write("conf/a.conf", b"one");
    bench.set("RELEASE", "1.2");
    bench.set("DEPLOY_TOKEN", "token-9Vb3");
    bench.run(&["lock"]).is(0, &[]);
    let lock = bench.lock();
    assert!(lock.contains("  RELEASE:\n    value: \"1.2\"\n"), "{lock}");
    assert!(
        lock.contains("  DEPLOY_TOKEN:\n    digest: sha256:"),
        "{lock}"
    );
    for secret in ["token-9Vb3", "a-stand-in-8Kz1"] {
        assert!(!lock.contains(secret), "{lock}");
    }
    bench.run(&["lock"]).is(0, &["is as it was"]);
    bench.run(&["lock", "--check"]).is(0, &[]);

    bench.project.write("conf/a.conf", b"two");
    bench.set("RELEASE", "1.3");
    let drifted = [
        "the config conf changed",
        "the variable of the shell RELEASE changed",
        "mirror.lock:",
    ];
    bench.run(&["lock", "--check"]).is(4, &drifted);
    bench.run(&["run", "--locked"]).is(4, &drifted);
    bench.run(&["run"]).is(0, &drifted);
    let json = bench.run(&["lock", "--check", "--format", "json"]);
    assert_eq!(json.code, 4);
    let said: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(said["problems"][0]["kind"], "drift", "{said}");
    bench.run(&["lock"]).is(0, &["written"]);
    bench.run(&["run", "--locked"]).is(0, &["1 passed"]);

    // A lock that is broken refuses everything but being written anew.
    bench
        .project
        .write("mirror.lock", b"version: 1\n<<<<<<< ours\n");
    bench.run(&["run"]).is(2, &["an unfinished merge"]);
    bench.run(&["lock"]).is(0, &["written"]);
    bench.project.write("mirror.lock", b"version: 9\n");
    bench.run(&["lock"]).is(2, &["the lock has format 9"]);
}

fn merged(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    bench.push("1", "one");
    bench.project.write("conf/a.conf", b"one");
    bench.project.write("conf/z.conf", b"one");
    let compose = format!(
        "services:\n  web:\n    image: {}:1\n    command: [hold]\n    volumes: [\"./conf/a.conf:/a:ro\", \"./conf/z.conf:/z:ro\", \"./compose.yaml:/m:ro\", \"./scenarios:/s:ro\"]\n",
        bench.repository
    );
    bench.project.write("compose.yaml", compose.as_bytes());
    let locked = |name: &str| {
        bench.run(&["lock"]).is(0, &[]);
        let path = bench.project.path().join(name);
        std::fs::copy(bench.project.path().join("mirror.lock"), &path).unwrap();
        path.display().to_string()
    };
    let base = locked("base");
    bench.project.write("conf/a.conf", b"two");
    let ours = locked("ours");
    bench.project.write("conf/a.conf", b"one");
    bench.project.write("conf/z.conf", b"two");
    let theirs = locked("theirs");
    let merged = std::process::Command::new("git")
        .args(["merge-file", "-p", &ours, &base, &theirs])
        .output()
        .unwrap();
    assert!(
        merged.status.success(),
        "{}",
        String::from_utf8_lossy(&merged.stdout)
    );
    bench.project.write("mirror.lock", &merged.stdout);
    bench.project.write("conf/a.conf", b"two");
    bench.run(&["lock", "--check"]).is(0, &[]);
}
