//! Snapshots of data, made, cloned, checked and removed by the built program.

mod create;
mod files;
mod masks;
mod moved;
mod others;
mod postgres;

use std::process::Command;

use super::project::{Project, Said};

/// A store of a test's own; what is left of it goes at the end.
pub struct Store {
    pub name: String,
}

impl Store {
    /// One that there is not yet; nothing where there is no engine.
    pub fn new() -> Option<Self> {
        if !super::rig::has_engine() {
            return None;
        }
        let unique = tempfile::Builder::new().prefix("x").tempdir().unwrap();
        let unique = unique
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        Some(Self {
            name: format!("test-{unique}-store"),
        })
    }

    pub fn run(&self, project: &Project, args: &[&str]) -> Said {
        let mut env = vec![("PRODMIRROR_STORE", self.name.as_str())];
        let host = std::env::var("DOCKER_HOST").ok();
        if let Some(host) = &host {
            env.push(("DOCKER_HOST", host));
        }
        project.run_with(args, &env)
    }

    /// What the engine still has of it.
    pub fn left(&self) -> Vec<String> {
        let stem = self.name.trim_end_matches("-store");
        let filter = format!("name={stem}");
        let list = |args: &[&str]| {
            let out = Command::new("docker").args(args).output().unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut left = list(&["volume", "ls", "-q", "--filter", &filter]);
        left.extend(list(&[
            "ps",
            "-a",
            "--format",
            "{{.Names}}",
            "--filter",
            &filter,
        ]));
        left
    }

    /// Asserts that the engine has nothing of it.
    #[track_caller]
    pub fn assert_gone(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for name in self.left() {
            let _ = Command::new("docker").args(["rm", "-f", &name]).output();
            let _ = Command::new("docker")
                .args(["volume", "rm", &name])
                .output();
        }
    }
}

/// A production of a PostgreSQL, with these files over it.
pub fn database(files: &[(&str, &str)]) -> Project {
    let compose = "services:\n  db:\n    image: registry.shop.example/postgres:15\n    user: postgres\n    \
        stop_signal: SIGINT\n    environment:\n      POSTGRES_USER: shop\n      POSTGRES_DB: shop\n      \
        POSTGRES_PASSWORD: stand-in\n    volumes: [\"data:/var/lib/postgresql/data\"]\n    healthcheck:\n      \
        test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, shop]\n      interval: 1s\n      retries: 30\n\
        volumes:\n  data: {}\n";
    let project = Project::with(&[
        ("compose.yaml", compose),
        (
            "mirror.yaml",
            "project: t\nproduction: [compose.yaml]\nfidelity: { allow: { blocker: 9 } }\n",
        ),
    ]);
    for (name, text) in files {
        project.write(name, text.as_bytes());
    }
    project
}
