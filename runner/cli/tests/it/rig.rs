//! Runs of the built program on the real engine, and a look at what they leave there.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use prodmirror_engine::docker::{Engine, EngineEnv, Found};
use serde_json::Value;

use super::project::{Project, Said};

/// An image with a shell and little else.
pub const SHELL: &str = "registry.shop.example/debian:bookworm";

/// Whether there is an engine to test on. Said once for each test that is left out.
pub fn has_engine() -> bool {
    let has = std::env::var_os("PRODMIRROR_NO_ENGINE").is_none();
    if !has {
        println!("skipped: no engine");
    }
    has
}

/// A project whose service `app` sleeps in a container with a shell.
pub fn sleeper(files: &[(&str, &str)]) -> Project {
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n"
    );
    let project = Project::with(&[("compose.yaml", &compose)]);
    for (name, text) in files {
        project.write(name, text.as_bytes());
    }
    project
}

/// The program while it runs.
pub struct Running<'p> {
    project: &'p Project,
    child: Child,
}

impl Project {
    /// Starts the program here and does not wait for it.
    pub fn start(&self, args: &[&str], env: &[(&str, &str)]) -> Running<'_> {
        let out = |name: &str| File::create(self.path().join(name)).unwrap();
        let mut command = self.command(args, env);
        if let Some(host) = std::env::var_os("DOCKER_HOST")
            && !env.iter().any(|(name, _)| *name == "DOCKER_HOST")
        {
            command.env("DOCKER_HOST", host);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(out("stdout"))
            .stderr(out("stderr"))
            .spawn()
            .unwrap();
        Running {
            project: self,
            child,
        }
    }

    /// The directory of the only run.
    pub fn run_dir(&self) -> PathBuf {
        let runs = self.path().join(".prodmirror/runs");
        let mut dirs: Vec<PathBuf> = std::fs::read_dir(&runs)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs.remove(0)
    }

    /// The only run's identity.
    pub fn run_id(&self) -> String {
        let dir = self.run_dir();
        dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// A file of the only run.
    pub fn of_run(&self, name: &str) -> String {
        std::fs::read_to_string(self.run_dir().join(name)).unwrap()
    }

    /// The events of the only run so far.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.of_run("events.jsonl");
        lines
            .lines()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }
}

impl Running<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until an event of the run is as wanted.
    pub fn until_event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let there = self.project.path().join(".prodmirror/runs").is_dir();
            if there && self.events().iter().any(&wanted) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before {what}: {}", self.said());
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "no {what}: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something is so.
    pub fn until(&mut self, mut wanted: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !wanted() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before: {}", self.said());
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn events(&self) -> Vec<Value> {
        let runs = self.project.path().join(".prodmirror/runs");
        let empty = std::fs::read_dir(&runs).map_or(true, |mut d| d.next().is_none());
        if empty || !self.project.run_dir().join("events.jsonl").exists() {
            return Vec::new();
        }
        self.project.events()
    }

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.project.path().join(name));
        format!(
            "{}{}",
            read("stdout").unwrap_or_default(),
            read("stderr").unwrap_or_default()
        )
    }

    /// Waits for its end.
    pub fn end(mut self, within: Duration) -> Said {
        let status = self.wait(within);
        let read = |name: &str| std::fs::read_to_string(self.project.path().join(name)).unwrap();
        Said {
            code: status.code().unwrap_or(-1),
            out: read("stdout"),
            err: read("stderr"),
        }
    }

    fn wait(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if begun.elapsed() > within {
                let _ = self.child.kill();
                panic!("not ended within {within:?}: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running<'_> {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Everything on the engine that belongs to a run.
pub fn left(run: &str) -> Vec<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let env = EngineEnv {
            host: std::env::var("DOCKER_HOST").ok(),
            ..EngineEnv::default()
        };
        let engine = Engine::connect(&env).await.unwrap();
        let label = format!("dev.prodmirror.run={run}");
        engine.find(&[label]).await.unwrap()
    })
}

/// Asserts that nothing of a run is left after at most so long.
#[track_caller]
pub fn clean_within(run: &str, within: Duration) {
    let begun = Instant::now();
    loop {
        let left = left(run);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < within, "left after {within:?}: {left:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether an event is of this kind and says this text somewhere.
pub fn says<'a>(event: &'a str, text: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |e| e["event"] == event && e.to_string().contains(text)
}
