//! Tags that move.

use crate::bench::Bench;
use crate::{Site, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("a_moved_tag_is_drift_and_the_locked_image_runs", moved),
    ("a_tag_that_is_gone_is_drift", gone),
    ("without_a_lock_there_is_nothing_to_hold", without),
];

fn moved(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (one, digest) = bench.push("1", "one");
    bench.run(&["lock"]).is(0, &[]);
    let (two, moved_to) = bench.push("1", "two");
    assert_ne!(digest, moved_to);

    let from = &digest[..19];
    let to = &moved_to[..19];
    let words = format!("of web moved from {from} to {to}");
    let update = "`prodmirror lock --update web` takes the new one";
    bench
        .run(&["lock", "--check"])
        .is(4, &[&words, update, "mirror.lock:7:5"]);
    bench.run(&["run", "--locked"]).is(4, &[&words, update]);
    bench.run(&["up", "-d", "--locked"]).is(4, &[&words]);
    // The engine has the tag's new image, and runs the locked one.
    bench.run(&["run"]).is(0, &[&words, "1 passed"]);
    assert_eq!(bench.image_of_web(&[]), one);

    // `lock` alone moves nothing.
    bench.run(&["lock"]).is(0, &["is as it was"]);
    bench
        .run(&["lock", "--update", "web"])
        .is(0, &[&format!("from {from} to {to}")]);
    assert!(bench.lock().contains(&moved_to));
    bench.run(&["lock", "--check"]).is(0, &[]);
    assert_eq!(bench.image_of_web(&["--locked"]), two);
    bench
        .run(&["lock", "--update", "wbe"])
        .is(2, &["did you mean `web`?"]);
}

fn gone(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    bench.push("1", "one");
    let (_, other) = bench.push("2", "two");
    bench.run(&["lock"]).is(0, &[]);
    let lock = bench.lock();
    let compose = format!(
        "services:\n  web:\n    image: {}:3\n    command: [hold]\n",
        bench.repository
    );
    bench.project.write("compose.yaml", compose.as_bytes());
    bench
        .project
        .write("mirror.lock", lock.replace(":1\"", ":3\"").as_bytes());
    bench
        .run(&["run", "--locked"])
        .is(4, &["is gone from its registry", "manifest unknown"]);
    // A spec that names a digest has nothing to ask.
    let compose = format!(
        "services:\n  web:\n    image: {}:3@{other}\n    command: [hold]\n",
        bench.repository
    );
    bench.project.write("compose.yaml", compose.as_bytes());
    bench.run(&["lock"]).is(0, &["gone", "1 image by digest"]);
    bench.run(&["run", "--locked"]).is(0, &["1 passed"]);
}

fn without(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    bench.push("1", "one");
    for args in [
        &["run", "--locked"][..],
        &["up", "--locked"],
        &["lock", "--check"],
    ] {
        bench.run(args).is(
            4,
            &["there is no mirror.lock", "`prodmirror lock` writes it"],
        );
    }
    bench.run(&["run"]).is(0, &["1 passed"]);
    let checked = bench.run(&["check"]);
    checked.is(0, &["1 medium"]);
    bench.run(&["lock"]).is(0, &[]);
    let checked = bench.run(&["check"]);
    assert!(!checked.err.contains("medium"), "{}", checked.err);
}
