//! The root file system under all images: a registry's where one answers, else made here.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use super::login::Logins;
use super::manifest::Rootfs;
use super::recipe::LABEL;
use crate::docker::{Engine, NewImage};

/// How long a registry may take to say anything.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(30);

/// The program that makes a root file system from Debian's packages.
const MAKER: &str = "mmdebstrap";

/// What is left out: nobody reads manuals in a container.
const LEFT_OUT: [&str; 3] = ["doc", "man", "locale"];

/// An image of a root file system.
pub(super) struct Order<'a> {
    pub engine: &'a Engine,
    pub logins: &'a Logins,
    pub name: &'a str,
    pub spec: &'a Rootfs,
    pub recipe: &'a str,
}

impl Order<'_> {
    /// Makes it.
    pub async fn make(&self, tell: &(dyn Fn(&str) + Sync)) -> Result<(), Problem> {
        match self.pull(tell).await {
            Ok(()) => self.label().await,
            Err(why) => {
                tell(&format!(
                    "{why}; making it from Debian's packages ({})",
                    self.spec.suite
                ));
                self.debootstrap(&why).await
            }
        }
    }

    async fn pull(&self, tell: &(dyn Fn(&str) + Sync)) -> Result<(), String> {
        tell(&format!("asking the registry for {}", self.spec.registry));
        let login = self.logins.find(&self.spec.registry).await;
        let pull = self
            .engine
            .pull_image(&self.spec.registry, None, login.as_ref(), |p| {
                tell(&p.status);
            });
        match tokio::time::timeout(REGISTRY_PATIENCE, pull).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(format!("no registry has it: {e}")),
            Err(_) => Err("the registry does not answer".to_owned()),
        }
    }

    /// Gives the registry's image our name and label.
    async fn label(&self) -> Result<(), Problem> {
        let dockerfile = super::context::ContextFile {
            path: "Dockerfile".to_owned(),
            execute: 0,
            content: format!("FROM {}\n", self.spec.registry).into_bytes(),
        };
        let context = super::context::archive(&[dockerfile])
            .map_err(|e| Problem::new(ProblemKind::Start, format!("cannot make a context: {e}")))?;
        let new = NewImage {
            name: self.name.to_owned(),
            context,
            labels: [(LABEL.to_owned(), self.recipe.to_owned())].into(),
            ..NewImage::default()
        };
        self.engine
            .build_image(new, |_| {})
            .await
            .map_err(|e| e.problem(format!("make the image {}", self.name)))
    }

    async fn debootstrap(&self, why: &str) -> Result<(), Problem> {
        let dir = tempfile::tempdir().map_err(|e| {
            Problem::new(ProblemKind::Start, format!("no temporary directory: {e}"))
        })?;
        let tar = dir.path().join("root.tar");
        self.run_maker(&tar, why).await?;
        let failed = |e: std::io::Error| {
            Problem::new(
                ProblemKind::Start,
                format!("cannot read {}: {e}", tar.display()),
            )
        };
        let file = tokio::fs::File::open(&tar).await.map_err(failed)?;
        let changes = vec![
            format!("LABEL {LABEL}={}", self.recipe),
            "CMD [\"bash\"]".to_owned(),
        ];
        self.engine
            .import_root(
                self.name,
                changes,
                ReaderStream::with_capacity(file, 1 << 18),
            )
            .await
            .map_err(|e| e.problem(format!("import the image {}", self.name)))
    }

    async fn run_maker(&self, tar: &Path, why: &str) -> Result<(), Problem> {
        let mut command = Command::new(MAKER);
        command
            .args([
                "--quiet",
                "--variant=minbase",
                "--aptopt=Acquire::Languages \"none\"",
            ])
            .args(LEFT_OUT.map(|d| format!("--dpkgopt=path-exclude=/usr/share/{d}/*")))
            .arg(&self.spec.suite)
            .arg(tar)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.map_err(|e| {
            Problem::new(
                ProblemKind::Start,
                format!(
                    "cannot make {}: {why}, and {MAKER} cannot be run: {e}",
                    self.name
                ),
            )
            .help(format!(
                "install it (`apt-get install {MAKER}`), or give the engine a registry"
            ))
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Problem::new(
            ProblemKind::Start,
            format!(
                "{MAKER} could not make {}: {}",
                self.name,
                super::build::tail(&said)
            ),
        )
        .help("it needs root and a Debian mirror that answers"))
    }
}
