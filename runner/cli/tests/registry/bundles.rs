//! Bundles on another machine: their images are had from where they were, or said to be missing.

use std::path::PathBuf;

use crate::bench::Bench;
use crate::docker::docker;
use crate::project::{Project, Said};
use crate::server::Registry;
use crate::{Site, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("the_image_of_a_bundle_is_pulled_by_digest", pulled),
    (
        "a_bundle_whose_registry_is_gone_says_where_its_image_was",
        gone,
    ),
];

const FAILS: &str = "scenario: it runs\nsteps:\n  - exec: { service: web, cmd: [/prodmirror-agent, no-such-word] }\n    expect: exit_code == 0\n";

/// The bundle of a failing run.
fn bundle(bench: &Bench, args: &[&str]) -> String {
    bench.project.write("scenarios/a.yaml", FAILS.as_bytes());
    bench
        .run(&[&["run"], args].concat())
        .is(1, &["prodmirror repro"]);
    let runs = bench.project.path().join(".prodmirror/runs");
    let files = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let all: Vec<PathBuf> = files(runs)
        .flat_map(files)
        .filter(|p| p.extension().is_some_and(|e| e == "bundle"))
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let kept = bench
        .project
        .path()
        .join(format!("kept{}.bundle", args.len()));
    std::fs::rename(&all[0], &kept).unwrap();
    kept.display().to_string()
}

/// Runs it where nothing else is.
fn repro(bundle: &str, args: &[&str]) -> Said {
    let env: Vec<(String, String)> = std::env::vars()
        .filter(|(name, _)| name.starts_with("DOCKER_") && name != "DOCKER_CONFIG")
        .collect();
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    Project::empty().run_with(&[&["repro", bundle], args].concat(), &env)
}

fn pulled(site: &Site) {
    let bench = Bench::new(&site.registry.at, &site.agent);
    let (id, digest) = bench.push("1", "one");
    let bundle = bundle(&bench, &[]);
    // What the tag means by now is another release.
    bench.push("1", "two");
    bench.forget();
    let exact = format!("{}@{digest}", bench.repository);
    repro(&bundle, &["--offline"]).is(
        2,
        &[
            &format!("the image {}:1 of `web` is not here", bench.repository),
            &id[..19],
            &format!("at its registry as {exact}"),
        ],
    );
    repro(&bundle, &[]).is(0, &[&format!("pulling {exact}"), "reproduced: steps[0]"]);
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &exact]), id);
    // It is here now.
    let said = repro(&bundle, &["--offline"]);
    said.is(0, &["reproduced: steps[0]"]);
    assert!(!said.err.contains("pulling"), "{}", said.err);
}

fn gone(site: &Site) {
    let registry = Registry::open();
    let bench = Bench::new(&registry.at, &site.agent);
    let (id, digest) = bench.push("1", "one");
    let without = bundle(&bench, &[]);
    let with = bundle(&bench, &["--with-images"]);
    bench.forget();
    drop(registry);
    let said = repro(&without, &[]);
    said.is(
        2,
        &[
            &format!(
                "the image {}:1 of `web` is not here: it was {}",
                bench.repository,
                &id[..19]
            ),
            &format!("at its registry as {}@{digest}", bench.repository),
            "refused",
            "docker login",
            "--with-images",
        ],
    );
    repro(&with, &[]).is(
        0,
        &["taking the images from the bundle", "reproduced: steps[0]"],
    );
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &id]), id);
    bench.forget();
    assert!(
        docker(&[
            "images",
            "-q",
            "--filter",
            &format!("reference={}", bench.repository)
        ])
        .is_empty()
    );
}
