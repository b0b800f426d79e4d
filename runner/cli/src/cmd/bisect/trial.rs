//! One run of the scenario on the stack of a combination.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prodmirror_model::bundle::{Likeness, Signature};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::hybrid::Built;
use prodmirror_model::isolate::Verdict;
use prodmirror_model::source::io_reason;
use prodmirror_model::summary::Case;
use serde_json::{Map, Value as Json, json};

use super::bundles::OfBundle;
use super::pins;
use super::sides::Sides;
use crate::args::{BisectArgs, GivenStack};
use crate::cmd::Session;
use crate::cmd::run as running;
use crate::exit::Exit;
use crate::report::replay;
use crate::runs::Runs;

/// More than any stack has.
const ANY: u32 = 1_000_000;

/// Runs combinations.
pub struct Bench<'s> {
    pub session: &'s Session,
    pub args: &'s BisectArgs,
    pub sides: &'s Sides,
    /// The scenario's paths, whole.
    pub scenarios: Vec<PathBuf>,
    /// The bundle that the scenario is of.
    pub of_bundle: Option<&'s OfBundle>,
    /// Where the runs leave what they leave.
    pub dir: PathBuf,
}

/// What came of a run.
pub struct Trial {
    pub exit: Exit,
    pub cases: Vec<Case>,
    pub took: Duration,
    pub dir: PathBuf,
}

/// The verdict of a run, with why.
pub struct Judged {
    pub verdict: Verdict,
    pub why: String,
}

impl Bench<'_> {
    /// Runs the scenario on the stack that has these differences from B.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub async fn trial(
        &self,
        number: u32,
        atoms: &[usize],
        only: Option<String>,
    ) -> Result<Trial, Problem> {
        let began = Instant::now();
        let dir = self.dir.join(format!("run-{number}"));
        let inner = self.inner(&dir, atoms)?;
        let mut arguments = running::arguments(&self.given(atoms));
        arguments.allow_shell = self.args.allow_shell;
        arguments.only = only.map(|name| vec![name]);
        let exit = Box::pin(running::run(&inner, &arguments)).await;
        let last = Runs::of(&dir).last().map(|d| d.join("events.jsonl"));
        let cases = last
            .and_then(|events| replay::read(&events).ok())
            .map(|r| r.summary.cases);
        Ok(Trial {
            exit,
            cases: cases.unwrap_or_default(),
            took: began.elapsed(),
            dir,
        })
    }

    /// The differences of the stacks among these.
    fn of_stacks(&self, atoms: &[usize]) -> Vec<usize> {
        let count = self.sides.hybrid.differences().len();
        atoms.iter().copied().filter(|a| *a < count).collect()
    }

    /// The text of the stack of a combination.
    pub fn stack(&self, atoms: &[usize]) -> String {
        serde_json::to_string_pretty(&self.built(atoms).document).unwrap_or_default()
    }

    /// A combination, with the images that the locks say.
    fn built(&self, atoms: &[usize]) -> Built {
        let mut built = self.sides.hybrid.build(&self.of_stacks(atoms));
        pins::put(&mut built.document, &self.sides.pins);
        built
    }

    /// A session in a project of its own, whose stack is the combination.
    fn inner(&self, dir: &Path, atoms: &[usize]) -> Result<Session, Problem> {
        let built = self.built(atoms);
        let text = serde_json::to_string_pretty(&built.document).unwrap_or_default();
        let secret = |name: &String| (name.clone(), json!({ "env": name }));
        let secrets: Map<String, Json> = built.values.keys().map(secret).collect();
        let project = built.document["x-prodmirror"]["project"].clone();
        // What runs is the stack that is given. Nothing is claimed of production, so no gate is
        // asked.
        let open = json!({ "blocker": ANY, "high": ANY, "medium": ANY, "low": ANY });
        let mut file = json!({
            "project": project,
            "production": ["stack.yaml"],
            "fidelity": { "allow": open },
        });
        if !secrets.is_empty() {
            file["secrets"] = secrets.into();
        }
        // Plain Compose would read these from files; nothing here does.
        let files = built.document["x-prodmirror"]["secret_files"].as_object();
        let files = files
            .into_iter()
            .flat_map(|f| f.values())
            .filter_map(Json::as_str);
        let files: Vec<String> = files.map(|name| format!("{name}_FILE")).collect();
        if !files.is_empty() {
            file["env"] = json!({ "pass": files });
        }
        let file = serde_json::to_string_pretty(&file).unwrap_or_default();
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(dir.join("mirror.yaml"), file))
            .and_then(|()| std::fs::write(dir.join("stack.yaml"), &text))
            .map_err(|e| {
                let text = format!("cannot write to {}: {}", dir.display(), io_reason(&e));
                Problem::new(ProblemKind::MissingFile, text)
            })?;
        let mut inner = Session {
            global: self.session.global.clone(),
            context: self.session.context.clone(),
        };
        let values = built
            .values
            .iter()
            .map(|(n, v)| (n.clone(), v.expose().to_owned()));
        inner.context.env.extend(values);
        inner
            .context
            .env
            .extend(files.into_iter().map(|name| (name, "/unused".to_owned())));
        inner.context.cwd = dir.to_owned();
        inner.global.project = Some(dir.join("mirror.yaml"));
        inner.global.image.clear();
        inner.global.flags = self.sides.flags_of(&built.document);
        inner.global.quiet = Some(dir.join("output.txt"));
        inner.global.stack = Some(GivenStack {
            text,
            name: "stack.yaml".to_owned(),
            variables: built.values.keys().cloned().collect(),
            untrusted: None,
        });
        Ok(inner)
    }

    /// The seed of each run: the one that was given, else that of the failure.
    fn seed(&self) -> u64 {
        let of_bundle = self.of_bundle.map(|b| b.seed);
        self.args.seed.or(of_bundle).unwrap_or(1)
    }

    fn given(&self, atoms: &[usize]) -> Vec<String> {
        let mut given: Vec<String> = self
            .scenarios
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        given.extend([
            "--seed".to_owned(),
            self.seed().to_string(),
            "--bundle".to_owned(),
            "never".to_owned(),
        ]);
        let vars = self.of_bundle.iter().flat_map(|b| &b.vars);
        given.extend(vars.map(|(name, value)| format!("--var={name}={value}")));
        given.extend(self.args.filter.iter().map(|t| format!("--filter={t}")));
        let count = self.sides.hybrid.differences().len();
        for (i, flag) in self.sides.flags.iter().enumerate() {
            let value = if atoms.contains(&(count + i)) {
                &flag.b
            } else {
                &flag.a
            };
            given.extend(value.iter().map(|v| format!("--flag={}={v}", flag.name)));
        }
        given
    }
}

impl Trial {
    /// How the case failed, or the first that did.
    pub fn failure(&self) -> Option<(&Case, Signature)> {
        let signed = self.cases.iter().map(|c| (c, Signature::of(c)));
        let mut failed = signed.filter(|(_, s)| s.is_failure() && s.outcome.is_some());
        failed.next()
    }

    /// What it is to the failure of B.
    pub fn judge(&self, failure: &Signature) -> Judged {
        let all: Vec<Likeness> = self
            .cases
            .iter()
            .map(|c| failure.like(&Signature::of(c)))
            .collect();
        let has = |l: &Likeness| all.contains(l);
        let (verdict, why) = if has(&Likeness::Same) {
            (Verdict::Same, String::new())
        } else if let Some(Likeness::Other(why)) =
            all.iter().find(|l| matches!(l, Likeness::Other(_)))
        {
            (Verdict::Other, why.clone())
        } else if let Some(Likeness::NotJudged(why)) =
            all.iter().find(|l| matches!(l, Likeness::NotJudged(_)))
        {
            (Verdict::Unresolved, why.clone())
        } else if has(&Likeness::Passed) {
            (Verdict::Pass, String::new())
        } else {
            (Verdict::Unresolved, self.first_error())
        };
        Judged { verdict, why }
    }

    /// What a run that had no case at all said.
    fn first_error(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("output.txt")).unwrap_or_default();
        let line = text.lines().map(str::trim).find(|l| !l.is_empty());
        let what = line.unwrap_or("it was not run");
        format!("the stack was refused: {what}")
    }
}
