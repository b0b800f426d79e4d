//! `flag`: the feature flags of a mirror that stands.

use std::collections::BTreeMap;

use prodmirror_engine::live::{Member, Standing};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::flags::{Choice, FlagSet, Place, Placed, places};
use serde_json::json;

use super::files;
use crate::args::{FlagArgs, FlagVerb, Format};
use crate::cmd::Session;
use crate::cmd::engine::host_arch;
use crate::cmd::standing::table;
use crate::exit::Exit;
use crate::flags::fixed;
use crate::open::Opened;

/// Lists or changes them.
pub async fn run(session: &Session, args: &FlagArgs) -> Exit {
    match done(session, args).await {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

async fn done(session: &Session, args: &FlagArgs) -> Result<(), Exit> {
    let opened = session.open(host_arch())?;
    let Some(set) = opened.flags.set.clone() else {
        session.tell(&opened.problems, &opened.redactor);
        let what = "mirror.yaml names no flags";
        return Err(session.fail(
            Problem::new(ProblemKind::UnknownReference, what)
                .help("say where production's are: `flags: { file: production/flags.json }`"),
        ));
    };
    let (stack, _) = session.standing_of(args.of.as_deref()).await?;
    let planned = crate::cmd::planned::bare_plan(session, &opened, stack.engine()).await;
    let (plan, _) = planned.map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    })?;
    let flags = Flags {
        session,
        opened: &opened,
        stack: &stack,
        places: places(&plan, &set),
        set,
    };
    let changed = match &args.verb {
        FlagVerb::Ls => flags.list().await,
        FlagVerb::Set { flags: given } => flags.set(given).await,
        FlagVerb::Unset { flags: given } => flags.unset(given).await,
    };
    changed.map_err(|p| session.fail(p))
}

/// The flags of one mirror.
struct Flags<'a> {
    session: &'a Session,
    opened: &'a Opened,
    stack: &'a Standing,
    set: FlagSet,
    places: Vec<Placed>,
}

impl Flags<'_> {
    /// What differs from production in the mirror, as one of its services has it.
    async fn now(&self) -> Result<Vec<Choice>, Problem> {
        let mut differing: Vec<Choice> = Vec::new();
        for placed in &self.places {
            let Some(member) = self.member(placed) else {
                continue;
            };
            let text = match &placed.place {
                Place::File(path) => {
                    let hand = self.stack.hand(&member, path).await?;
                    let text = hand.read().await;
                    hand.close().await;
                    String::from_utf8_lossy(&text?).into_owned()
                }
                Place::Content(name) => {
                    let all = self.stack.variables(&member).await?;
                    all.get(name).cloned().unwrap_or_default()
                }
                Place::Variable(name) => {
                    let all = self.stack.variables(&member).await?;
                    let value = all.get(name).map(String::as_str).unwrap_or_default();
                    let known = differing.iter().any(|c| c.flag == *name);
                    let choice = self.set.differing_variable(name, value);
                    differing.extend(choice.filter(|_| !known));
                    continue;
                }
            };
            // All places are written together, so one speaks for all.
            return self.set.differing_in(&text).map_err(|found| {
                first(found).unwrap_or_else(|| {
                    let what = format!("`{}` has no flags that can be read", placed.service);
                    Problem::new(ProblemKind::Syntax, what)
                })
            });
        }
        Ok(differing)
    }

    /// The container that a place is in; none for a service whose place a process here took, and
    /// for one that does not run.
    fn member(&self, placed: &Placed) -> Option<Member> {
        let member = self.stack.member(&placed.service, placed.replica).ok()?;
        (!member.is_replaced).then_some(member)
    }

    async fn list(&self) -> Result<(), Problem> {
        let now = self.now().await?;
        let here = |flag: &prodmirror_model::flags::Flag| {
            let chosen = now.iter().find(|c| c.flag == flag.name);
            chosen.map_or_else(|| flag.served_in_words(), |c| c.variant.name.clone())
        };
        let flags = self.set.flags.values();
        if self.session.global.format == Format::Json {
            let each = flags.map(|f| {
                json!({
                    "flag": f.name, "serves": here(f), "production": f.served_in_words(),
                    "services": f.services,
                    "variants": f.variants.iter().map(|v| &v.name).collect::<Vec<_>>(),
                })
            });
            let all: Vec<_> = each.collect();
            self.session.print(&format!("{}\n", json!(all)));
            return Ok(());
        }
        let mut rows = vec![["FLAG", "SERVES", "PRODUCTION", "SERVICES"].map(str::to_owned)];
        rows.extend(flags.map(|f| {
            [
                f.name.clone(),
                here(f),
                f.served_in_words(),
                f.services.join(" "),
            ]
        }));
        let text = table(&rows);
        self.session.print(&self.opened.redactor.redact(&text));
        Ok(())
    }

    async fn set(&self, given: &[String]) -> Result<(), Problem> {
        let mut asked = Vec::new();
        for text in given {
            let (name, value) = fixed(text).map_err(|p| Problem {
                message: format!("`flag set {text}` is not NAME=VALUE"),
                ..p
            })?;
            let choice = self.set.asked(&name, &value)?;
            asked.push((name, choice));
        }
        self.change(asked).await
    }

    async fn unset(&self, given: &[String]) -> Result<(), Problem> {
        let asked = given.iter().map(|name| {
            self.set.named(name)?;
            Ok((name.clone(), None))
        });
        self.change(asked.collect::<Result<_, Problem>>()?).await
    }

    /// Serves what is asked for, and of all other flags what is served now.
    async fn change(&self, asked: Vec<(String, Option<Choice>)>) -> Result<(), Problem> {
        let mut choices = self.now().await?;
        for (name, choice) in asked {
            choices.retain(|c| c.flag != name);
            choices.extend(choice);
        }
        let content = self.set.content(&choices);
        let mut variables: BTreeMap<(String, u32), BTreeMap<String, String>> = BTreeMap::new();
        for placed in &self.places {
            match (&placed.place, &content) {
                (Place::File(path), Some((text, _))) => self.write(placed, path, text).await?,
                (Place::Content(name), Some((_, line))) => {
                    let of = variables.entry((placed.service.clone(), placed.replica));
                    of.or_default().insert(name.clone(), line.clone());
                }
                (Place::Variable(name), _) => {
                    if let Some(value) = self.set.value_of(name, &choices) {
                        let of = variables.entry((placed.service.clone(), placed.replica));
                        of.or_default().insert(name.clone(), value);
                    }
                }
                _ => {}
            }
        }
        for ((service, replica), wanted) in variables {
            self.renew(&service, replica, wanted).await?;
        }
        Ok(())
    }

    /// Writes the file of a service while it runs.
    async fn write(&self, placed: &Placed, path: &str, text: &str) -> Result<(), Problem> {
        let service = &placed.service;
        let replaced = self.stack.member(service, placed.replica);
        if replaced.is_ok_and(|m| m.is_replaced) {
            return self.write_here(service, path, text);
        }
        let Some(member) = self.member(placed) else {
            return Ok(());
        };
        let hand = self.stack.hand(&member, path).await?;
        let written = hand.write(text.as_bytes()).await;
        hand.close().await;
        written?;
        self.session.note(&format!(
            "{service}-{}: {path} is written; if it is read at the start only: `prodmirror restart {service}`\n",
            placed.replica
        ));
        Ok(())
    }

    /// Writes the file of a service whose place a process here took.
    fn write_here(&self, service: &str, path: &str, text: &str) -> Result<(), Problem> {
        let file = files::exported_at(&self.opened.project.root, service, path);
        if !file.is_file() {
            return Ok(());
        }
        files::rewrite(&file, text.as_bytes()).map_err(|e| {
            let what = format!("{} cannot be written: {e}", file.display());
            Problem::new(ProblemKind::PathEscape, what)
        })?;
        self.session
            .note(&format!("{service}: {} is written\n", file.display()));
        Ok(())
    }

    /// Makes a service again whose variables are others now.
    async fn renew(
        &self,
        service: &str,
        replica: u32,
        mut wanted: BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let Ok(member) = self.stack.member(service, replica) else {
            return Ok(());
        };
        if member.is_replaced {
            let names: Vec<String> = wanted.iter().map(|(n, v)| format!("{n}={v}")).collect();
            self.session.note(&format!(
                "{service}: its process here needs {}\n",
                self.opened.redactor.redact(&names.join(" "))
            ));
            return Ok(());
        }
        let now = self.stack.variables(&member).await?;
        wanted.retain(|name, value| now.get(name) != Some(value));
        if wanted.is_empty() {
            return Ok(());
        }
        self.stack.renew(&member, &wanted).await?;
        let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
        self.session.note(&format!(
            "{service}-{replica}: made again, with another value of {}\n",
            names.join(", ")
        ));
        Ok(())
    }
}

fn first(found: Problems) -> Option<Problem> {
    found.0.into_iter().next()
}
