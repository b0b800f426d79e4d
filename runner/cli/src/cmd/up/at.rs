//! The stack of a bundle, kept for people to look into.

use std::path::PathBuf;
use std::sync::Arc;

use prodmirror_engine::step::Program;
use prodmirror_model::bundle::Manifest;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::Plan;

use crate::args::UpArgs;
use crate::bundle::from_root;
use crate::cmd::Session;
use crate::cmd::bundled::{Bundled, Kept, Stopped, Terms, Unpacked, plain_name};
use crate::exit::Exit;
use crate::open::Opened;

/// Where a stack comes from that is no project's of this machine.
#[derive(Debug, Clone)]
pub struct At {
    /// The bundle, as it was named.
    bundle: String,
    /// The directory in which the command was given.
    pub cwd: PathBuf,
    manifest: Arc<Manifest>,
    dir: Arc<Unpacked>,
}

impl At {
    /// Gets a bundle, and makes its stack ready; it is the project of the session that is given.
    pub async fn open(
        session: &Session,
        args: &UpArgs,
        from: &str,
    ) -> Result<(Self, Session), Stopped> {
        let bundle = Bundled::get(session, from).await?;
        session.note(&bundle.about(false));
        let engine = session.engine().await?;
        if let Some(kept) = session.kept_here(&engine).await? {
            let what = format!("the stack of {} is up in this directory", kept.bundle);
            let help = "`prodmirror down` removes it; or give this command in another directory";
            return Err(Problem::new(ProblemKind::Conflict, what).help(help).into());
        }
        let terms = Terms {
            trust: &args.trust,
            offline: args.offline,
            command: "prodmirror up --at",
            mark: "-up",
        };
        let taken = bundle.take(session, &engine, terms).await?;
        let at = Self {
            bundle: bundle.reading.name.clone(),
            cwd: session.context.cwd.clone(),
            manifest: Arc::new(bundle.manifest().clone()),
            dir: Arc::new(taken.dir),
        };
        Ok((at, taken.session))
    }

    /// The scenario that failed: its data and flags are those of the stack.
    pub fn scenario(&self, session: &Session, opened: &mut Opened) -> Result<Arc<Program>, Exit> {
        let m = &self.manifest;
        let flags = m.run.flags.iter().map(|f| crate::flags::fixed(f));
        let flags: Result<Vec<_>, Problem> = flags.collect();
        let flags = flags.map_err(|p| session.fail(p))?;
        if let Err(problems) = opened.set_flags(&flags) {
            session.tell(&problems, &opened.redactor);
            return Err(Exit::Invalid);
        }
        let file = PathBuf::from(from_root(&m.root, &m.case.file));
        let scenarios = opened.scenarios(&[file], &session.context.cwd);
        let wanted = plain_name(&m.case.name);
        let found = scenarios
            .programs
            .into_iter()
            .find(|p| p.case().name == wanted);
        match found {
            Some(program) => Ok(Arc::new(program)),
            None if scenarios.problems.has_errors() => {
                session.tell(&scenarios.problems, &opened.redactor);
                Err(Exit::Invalid)
            }
            None => {
                let what = format!("the bundle has no scenario `{wanted}` in {}", m.case.file);
                Err(session
                    .fail(Problem::new(ProblemKind::Missing, what).help("get the bundle again")))
            }
        }
    }

    /// What other commands have to know of it.
    pub fn kept(&self, plan: &Plan, run: &str) -> Kept {
        let asked = self.manifest.secrets.keys().cloned().collect();
        Kept::of(plan, run, &self.bundle, asked)
    }

    /// Lets the commands of this directory find it.
    pub fn keep(&self, session: &Session, kept: &Kept) {
        if let Err(e) = kept.write(&self.cwd) {
            session.note(&format!(
                "warning: commands in this directory will not find it: {e}\n"
            ));
        }
    }

    /// It is down.
    pub fn forget(&self) {
        Kept::remove(&self.cwd);
    }

    /// Takes what was unpacked from this disk again.
    pub fn remove(&self) {
        self.dir.remove();
    }

    /// How it is used.
    pub fn how(&self, detached: bool) -> String {
        let from_elsewhere = match detached {
            true => "",
            false => " (of another terminal)",
        };
        format!(
            "it is the stack of {bundle}, before any step of `{case}`; `prodmirror repro --hold {bundle}` runs them\n\
             in this directory{from_elsewhere} `prodmirror ports`, `logs`, `exec`, `cp`, `restart` and `down` mean it until it is down\n\
             {shown}/evidence has what was seen where it failed\n",
            bundle = self.bundle,
            case = self.manifest.case.name,
            shown = self.dir.shown,
        )
    }
}
