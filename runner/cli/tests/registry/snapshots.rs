//! Snapshots that go through registries.

use std::net::{IpAddr, Ipv4Addr};

use crate::bench::Bench;
use crate::docker::docker;
use crate::project::Said;
use crate::server::{LOGIN, Registry};
use crate::{Site, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("a_snapshot_goes_through_a_registry_by_digest", through),
    ("a_snapshot_needs_the_login_and_the_authority", closed),
];

/// Runs the program on a store.
fn run(bench: &Bench, store: &str, args: &[&str]) -> Said {
    bench.project.run_with(
        args,
        &[("PRODMIRROR_STORE", store), ("PATH", "/usr/bin:/bin")],
    )
}

fn gone(store: &str) {
    let stem = store.trim_end_matches("-store");
    let left = docker(&["volume", "ls", "-q", "--filter", &format!("name={stem}")]);
    assert_eq!(left.trim(), "");
}

fn through(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (here, there) = (
        format!("{}-a-store", bench.name),
        format!("{}-b-store", bench.name),
    );
    bench.project.write("tree/a", b"text");
    let noise: Vec<u8> = (0..40_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    bench.project.write("tree/noise", &noise);
    run(
        &bench,
        &here,
        &["snapshot", "create", "a", "--directory", "tree"],
    )
    .is(0, &[]);
    let tag = format!("{}:1", bench.repository);
    let pushed = run(&bench, &here, &["snapshot", "push", "a", &tag]);
    pushed.is(0, &["0 of 2 parts were there"]);
    let digest = pushed
        .err
        .split_whitespace()
        .find(|w| w.starts_with("sha256:"))
        .unwrap();
    let digest = digest.trim_end_matches(':');
    // What is there is not sent again.
    run(&bench, &here, &["snapshot", "push", "a", &tag])
        .is(0, &["2 of 2 parts were there", digest]);
    run(&bench, &there, &["snapshot", "pull", &tag]).is(0, &["a sha256:"]);
    let by_digest = format!("{}@{digest}", bench.repository);
    run(&bench, &there, &["snapshot", "pull", &by_digest]).is(0, &["is here already"]);
    run(
        &bench,
        &there,
        &["snapshot", "pull", &by_digest, "--name", "b"],
    )
    .is(0, &["b sha256:"]);
    run(&bench, &there, &["snapshot", "verify", "b"]).is(0, &[]);
    let shown = |store: &str| {
        run(
            &bench,
            store,
            &["snapshot", "inspect", "a", "--format", "json"],
        )
        .out
    };
    assert_eq!(shown(&here), shown(&there));
    for (reference, code, why) in [
        (format!("{}:2", bench.repository), 3, "refused"),
        (
            format!("{}@sha256:{}", bench.repository, "0".repeat(64)),
            3,
            "refused",
        ),
        ("127.0.0.1:1/nobody:1".to_owned(), 3, "cannot be asked"),
        ("Not A Name".to_owned(), 2, "names no repository"),
    ] {
        run(&bench, &there, &["snapshot", "pull", &reference]).is(code, &[why]);
    }
    run(&bench, &there, &["snapshot", "rm", "a", "b"]).is(0, &[]);
    run(&bench, &here, &["snapshot", "rm", "a"]).is(0, &[]);
    gone(&here);
    gone(&there);
}

fn closed(site: &Site) {
    let mut registry = Registry::closed(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)));
    let mut bench = Bench::new(&registry.at, &site.agent);
    let store = format!("{}-store", bench.name);
    bench.project.write("tree/a", b"text");
    run(
        &bench,
        &store,
        &["snapshot", "create", "a", "--directory", "tree"],
    )
    .is(0, &[]);
    let tag = format!("{}:1", bench.repository);
    let push = ["snapshot", "push", "a", tag.as_str()];
    run(&bench, &store, &push).is(3, &["cannot be asked"]);
    registry.trust();
    run(&bench, &store, &push).is(3, &["docker login"]);
    bench.login(&registry.at, LOGIN);
    let pushed = run(&bench, &store, &push);
    pushed.is(0, &["a is in the registry"]);
    assert!(!pushed.err.contains(LOGIN.1), "{}", pushed.err);
    run(&bench, &store, &["snapshot", "pull", &tag, "--name", "b"]).is(0, &[]);
    run(&bench, &store, &["snapshot", "rm", "a", "b"]).is(0, &[]);
    gone(&store);
}
