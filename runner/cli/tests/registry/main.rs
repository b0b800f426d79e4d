//! Locks, and pulling what they pin, from real registries. Where there is no engine or no
//! registry program, every trial is reported as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic fails a trial, and what is missing is said"
)]

mod bench;
mod bundles;
#[path = "../it/docker.rs"]
mod docker;
mod faulty;
mod locked;
mod moved;
#[allow(dead_code, reason = "the other tests use all of it")]
#[path = "../it/project.rs"]
mod project;
mod registries;
mod server;
mod snapshots;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use prodmirror_engine::docker::{Engine, EngineEnv};

/// What the trials share: a registry that is open to all.
pub struct Site {
    /// The registry.
    pub registry: server::Registry,
    /// Reference of an image whose program ends only when it is told to.
    pub agent: String,
}

type Test = fn(&Site);

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Every trial starts containers.
    args.test_threads.get_or_insert(2);
    let tests: Vec<(&str, Test)> = [
        bundles::TESTS,
        locked::TESTS,
        moved::TESTS,
        registries::TESTS,
        snapshots::TESTS,
    ]
    .concat();
    let site = if args.list {
        Err("only listed".to_owned())
    } else {
        site()
    };
    let trials = match site {
        Ok(site) => {
            let site = Arc::new(site);
            let trial = |(name, test): (&str, Test)| {
                let site = site.clone();
                Trial::test(name, move || {
                    test(&site);
                    Ok::<(), Failed>(())
                })
            };
            tests.into_iter().map(trial).collect()
        }
        Err(why) => {
            eprintln!("ignored: {why}");
            let ignored =
                |(name, _): (&str, Test)| Trial::test(name, || Ok(())).with_ignored_flag(true);
            tests.into_iter().map(ignored).collect::<Vec<_>>()
        }
    };
    libtest_mimic::run(&args, trials).exit_code()
}

fn site() -> Result<Site, String> {
    if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
        return Err("PRODMIRROR_NO_ENGINE is set".to_owned());
    }
    for (program, package) in [
        ("docker-registry", "docker-registry"),
        ("htpasswd", "apache2-utils"),
    ] {
        if !is_there(program) {
            install(package);
        }
        if !is_there(program) {
            return Err(format!(
                "{program} is not here (Debian: apt-get install {package})"
            ));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let agent = runtime.block_on(async {
        let vars: BTreeMap<String, String> = std::env::vars().collect();
        let env = EngineEnv::from_vars(|name| vars.get(name).map(String::as_str));
        let engine = Engine::connect(&env).await.map_err(|p| p.to_string())?;
        engine.load_agent().await.map_err(|p| p.to_string())
    })?;
    Ok(Site {
        registry: server::Registry::open(),
        agent,
    })
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--help").output().is_ok()
}

fn install(package: &str) {
    let _ = Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output();
}
