//! A run that stops in the middle of a scenario, so that a test can look at it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::engine::Beside;
use super::project::{Project, Said};

/// The last step of a scenario that is held, in a service that has Python.
pub fn step(service: &str) -> String {
    format!(
        "  - name: held here\n    timeout: 120s\n    exec:\n      service: {service}\n      cmd: [python3, -c, \"import os, time\\nwhile not os.path.exists('/tmp/go'): time.sleep(0.1)\"]\n"
    )
}

/// A run under way.
pub struct Held {
    child: Option<Child>,
    started: Instant,
}

impl Held {
    /// Starts a run and waits until it stands at the held step. Panics with what it said when
    /// it ends before.
    pub fn start(project: &Project, args: &[&str], env: &[(&str, &str)]) -> Self {
        let child = project
            .command(args, env)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(project.path().join("out")).unwrap())
            .stderr(std::fs::File::create(project.path().join("err")).unwrap())
            .spawn()
            .unwrap();
        let mut held = Self {
            child: Some(child),
            started: Instant::now(),
        };
        while !held.is_at_step(project) {
            let ended = held.child.as_mut().unwrap().try_wait().unwrap();
            let said = || std::fs::read_to_string(project.path().join("err")).unwrap_or_default();
            assert!(ended.is_none(), "it ended before: {ended:?}\n{}", said());
            assert!(
                held.started.elapsed() < Duration::from_secs(180),
                "{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        held
    }

    fn is_at_step(&self, project: &Project) -> bool {
        let events = run_dir(project).map(|d| d.join("events.jsonl"));
        let text = events
            .and_then(|e| std::fs::read_to_string(e).ok())
            .unwrap_or_default();
        let mut lines = text.lines();
        lines.any(|l| l.contains("step_started") && l.contains("held here"))
    }

    /// Lets it go on, from a container of the held service, and waits for its end.
    pub fn go_on(mut self, beside: &Beside, container: &str, project: &Project) -> Said {
        beside.exec(container, &["touch", "/tmp/go"]);
        let status = self.child.take().unwrap().wait().unwrap();
        let read = |name: &str| {
            let bytes = std::fs::read(project.path().join(name)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Said {
            code: status.code().unwrap_or(-1),
            out: read("out"),
            err: read("err"),
        }
    }
}

impl Drop for Held {
    /// A test that failed interrupts the run, which then cleans up.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            let _ = child.wait();
        }
    }
}

/// The directory of a project's only run.
pub fn run_dir(project: &Project) -> Option<PathBuf> {
    let runs = std::fs::read_dir(project.path().join(".prodmirror/runs")).ok()?;
    runs.flatten().map(|r| r.path()).find(|p| p.is_dir())
}
