//! A project in a directory of its own, and the program run in it.

use std::path::Path;
use std::process::{Command, Output};

/// A directory with files; removed at the end.
pub struct Project(tempfile::TempDir);

/// What the program said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Project {
    /// A project with a production of one service, a scenario, and these files over them.
    pub fn with(files: &[(&str, &str)]) -> Self {
        Self::of(tempfile::tempdir().unwrap(), files)
    }

    fn of(dir: tempfile::TempDir, files: &[(&str, &str)]) -> Self {
        let project = Self(dir);
        project.write("mirror.yaml", b"project: t\nproduction: [compose.yaml]\n");
        project.write("compose.yaml", b"services:\n  web:\n    image: example/web:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
        for (name, text) in files {
            project.write(name, text.as_bytes());
        }
        project
    }

    /// A directory with nothing in it.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// As [`Self::with`], in a directory below this one.
    pub fn within(above: &Path, files: &[(&str, &str)]) -> Self {
        Self::of(tempfile::tempdir_in(above).unwrap(), files)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the program here, in an environment of its own.
    pub fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args, env).output().unwrap();
        Said {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
}

impl Project {
    /// The program as [`Self::run_with`] runs it.
    pub fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prodmirror"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("NO_COLOR", "1")
            .envs(env.iter().copied());
        command
    }
}

impl Said {
    /// Asserts the exit code, and that each text was said on standard error.
    #[track_caller]
    pub fn is(&self, code: i32, texts: &[&str]) {
        let whole = format!("exit {}\n{}\n{}", self.code, self.out, self.err);
        assert_eq!(self.code, code, "{whole}");
        // Drawings break long lines: compared without their white space.
        let flat = |t: &str| {
            t.split(|c: char| c.is_whitespace() || c == '│')
                .collect::<String>()
        };
        for text in texts {
            assert!(
                flat(&self.err).contains(&flat(text)),
                "missing {text:?} in\n{whole}"
            );
        }
    }
}
