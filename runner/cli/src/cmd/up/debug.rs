//! Debuggers in services: what runs otherwise than in production, which is always said.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_engine::docker::Engine;
use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::fidelity::{Class, Record, Severity};
use prodmirror_model::plan::{ContainerPlan, Plan};
use serde_json::{Value as Json, json};

use crate::args::DebugArgs;

/// The name of the rule in fidelity records.
const RULE: &str = "debugger";

/// What the command line changes in services.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The command of a service, in words; some of them stand for its own.
    commands: BTreeMap<String, Vec<String>>,
    /// Variables of a service.
    variables: BTreeMap<String, Vec<(String, String)>>,
}

impl Changes {
    /// Reads the options.
    ///
    /// # Errors
    /// All that are not of their form.
    pub fn read(args: &DebugArgs) -> Result<Self, Problems> {
        let mut changes = Self::default();
        let mut problems = Problems::default();
        for text in &args.debug_command {
            match command(text) {
                Ok((service, words)) => {
                    if changes.commands.insert(service.clone(), words).is_some() {
                        let what = format!("`--debug-command` names `{service}` twice");
                        problems
                            .push(Problem::new(ProblemKind::Conflict, what).help("leave one out"));
                    }
                }
                Err(p) => problems.push(p),
            }
        }
        for text in &args.debug_env {
            let parts = text.split_once('=');
            let parts = parts.and_then(|(service, rest)| Some((service, rest.split_once('=')?)));
            match parts {
                Some((service, (name, value))) if !service.is_empty() && !name.is_empty() => {
                    let all = changes.variables.entry(service.to_owned()).or_default();
                    all.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    // The value may be secret: only what stands before it is shown.
                    let shown = text.split('=').next().unwrap_or_default();
                    let what = format!("`--debug-env {shown}…` is not SERVICE=NAME=VALUE");
                    let help = "for example --debug-env orders=NODE_OPTIONS=--inspect";
                    problems.push(Problem::new(ProblemKind::InvalidValue, what).help(help));
                }
            }
        }
        match problems.0.is_empty() {
            true => Ok(changes),
            false => Err(problems),
        }
    }

    /// Refuses services that a plan does not have, and those that are the tool's own.
    ///
    /// # Errors
    /// All of them.
    pub fn check(&self, plan: &Plan) -> Result<(), Problems> {
        let own = plan.containers.iter().filter(|c| !c.is_agent());
        let known: BTreeSet<&str> = own.map(|c| c.service.as_str()).collect();
        let options = self.commands.keys().map(|s| ("--debug-command", s));
        let options = options.chain(self.variables.keys().map(|s| ("--debug-env", s)));
        let problems: Vec<Problem> = options
            .filter(|(_, s)| !known.contains(s.as_str()))
            .map(|(option, service)| {
                let what = format!("`{option} {service}=…`: there is no service `{service}`");
                let problem = Problem::new(ProblemKind::UnknownReference, what);
                match nearest(service, known.iter().copied()) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => {
                        let all: Vec<&str> = known.iter().copied().collect();
                        problem.help(format!("the services are {}", all.join(", ")))
                    }
                }
            })
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Problems(problems)),
        }
    }

    /// Puts the changes into a plan, and a record of each; the images must be there. What was
    /// changed is given for people, a line each.
    ///
    /// # Errors
    /// A command that asks for the service's own, which has none; the engine's.
    pub async fn apply(&self, engine: &Engine, plan: &mut Plan) -> Result<Vec<String>, Problem> {
        let mut said = Vec::new();
        let mut records = Vec::new();
        for c in &mut plan.containers {
            let first = c.replica == 1;
            if let Some(words) = self.commands.get(&c.service) {
                let own = own_command(engine, c).await?;
                let new = filled(words, &own, &c.service)?;
                if first {
                    let (own, new) = (line(&own), line(&new));
                    said.push(format!("{} runs `{new}` instead of `{own}`", c.service));
                    for field in ["Cmd", "Entrypoint"] {
                        records.push(record(c, field, &own, &new));
                    }
                }
                c.body["Entrypoint"] = json!(new[..1]);
                c.body["Cmd"] = json!(new[1..]);
            }
            let variables = self.variables.get(&c.service).into_iter().flatten();
            let mut names = Vec::new();
            for (name, value) in variables {
                set(c, name, value);
                names.push(name.as_str());
            }
            if first && !names.is_empty() {
                let names = names.join(", ");
                said.push(format!(
                    "{} has {names} otherwise than production",
                    c.service
                ));
                records.push(record(
                    c,
                    "Env",
                    "",
                    &format!("{names} of the command line"),
                ));
            }
        }
        plan.fidelity.records.append(&mut records);
        Ok(said)
    }
}

/// `SERVICE=COMMAND`.
fn command(text: &str) -> Result<(String, Vec<String>), Problem> {
    let option = text.split('=').next().unwrap_or_default();
    let invalid = |why: &str| {
        let what = format!("`--debug-command {option}=…` {why}");
        Problem::new(ProblemKind::InvalidValue, what)
            .help("for example --debug-command 'orders=python3 -m debugpy --listen 5678 {args}'")
    };
    let Some((service, line)) = text.split_once('=') else {
        return Err(invalid("is not SERVICE=COMMAND"));
    };
    let words = shlex::split(line).ok_or_else(|| invalid("has a quote that is not closed"))?;
    match words.first() {
        Some(_) if !service.is_empty() => Ok((service.to_owned(), words)),
        _ => Err(invalid("is not SERVICE=COMMAND")),
    }
}

/// What a service runs in production: its entrypoint and command, or its image's.
async fn own_command(engine: &Engine, c: &ContainerPlan) -> Result<Vec<String>, Problem> {
    let words = |key: &str| -> Option<Vec<String>> {
        let list = c.body.get(key)?.as_array()?;
        let texts = list.iter().filter_map(Json::as_str);
        Some(texts.map(str::to_owned).collect())
    };
    let config = engine.image_config(&c.image).await;
    let config = config.map_err(|e| e.problem(format!("look at the image {}", c.image)))?;
    let (mut all, rest) = match (words("Entrypoint"), words("Cmd")) {
        // Who sets the entrypoint does not get the image's command.
        (Some(entrypoint), command) => (entrypoint, command.unwrap_or_default()),
        (None, Some(command)) => (config.entrypoint, command),
        (None, None) => (config.entrypoint, config.command),
    };
    all.extend(rest);
    // An entrypoint that is cleared is written as an empty word.
    all.retain(|w| !w.is_empty());
    Ok(all)
}

/// The words with the service's own in their places.
fn filled(words: &[String], own: &[String], service: &str) -> Result<Vec<String>, Problem> {
    let mut out = Vec::new();
    for word in words {
        let part = match word.as_str() {
            "{command}" => own,
            "{program}" => own.get(..1).unwrap_or_default(),
            "{args}" => own.get(1..).unwrap_or_default(),
            other => {
                out.push(other.to_owned());
                continue;
            }
        };
        if own.is_empty() {
            let what = format!(
                "`--debug-command {service}=…` asks for {word}, and neither production's spec nor the image of {service} names a command"
            );
            return Err(Problem::new(ProblemKind::Missing, what).help("write the whole command"));
        }
        out.extend(part.iter().cloned());
    }
    if out.is_empty() {
        let what = format!("`--debug-command {service}=…` leaves nothing to run");
        return Err(Problem::new(ProblemKind::InvalidValue, what)
            .help("{args} is empty here: the service's own command is one word"));
    }
    Ok(out)
}

/// Words as a shell would be given them.
fn line(words: &[String]) -> String {
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    quoted.unwrap_or_else(|_| words.join(" "))
}

/// Sets a variable; one that was secret is the command line's now.
fn set(c: &mut ContainerPlan, name: &str, value: &str) {
    c.secret_env.remove(name);
    let entry = json!(format!("{name}={value}"));
    let Some(env) = c.body.get_mut("Env").and_then(Json::as_array_mut) else {
        c.body["Env"] = json!([entry]);
        return;
    };
    let is = |e: &Json| e.as_str().and_then(|e| e.split('=').next()) == Some(name);
    env.retain(|e| !is(e));
    env.push(entry);
}

fn record(c: &ContainerPlan, field: &str, declared: &str, actual: &str) -> Record {
    let object = format!("service:{}", c.service);
    let mut r = Record::new(object, field, Class::Substituted, Severity::High);
    r.declared = declared.to_owned();
    r.actual = actual.to_owned();
    r.reason = "the command line asks for a debugger".into();
    r.raise = "start it without --debug-command and --debug-env".into();
    r.rule = RULE.into();
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn read(commands: &[&str], env: &[&str]) -> Result<Changes, Vec<String>> {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        let args = DebugArgs {
            debug: Vec::new(),
            debug_command: own(commands),
            debug_env: own(env),
        };
        let read = Changes::read(&args);
        read.map_err(|p| p.0.iter().map(|p| p.message.clone()).collect())
    }

    #[test]
    fn options_are_read_as_a_shell_reads_them() {
        let changes = read(
            &["a=sh -c 'exec \"$0\" x=1' {command}"],
            &["a=N=x=y", "a=M="],
        );
        let changes = changes.unwrap();
        assert_eq!(
            changes.commands["a"],
            ["sh", "-c", "exec \"$0\" x=1", "{command}"]
        );
        let variables: Vec<_> = changes.variables["a"]
            .iter()
            .map(|(n, v)| format!("{n} {v}"))
            .collect();
        assert_eq!(variables, ["N x=y", "M "]);
    }

    #[test]
    fn what_is_wrong_is_said_without_values() {
        let said = read(
            &["a", "=x", "a='x", "b=x", "b=y"],
            &["a=s3cret", "=N=s3cret"],
        );
        assert_eq!(
            said.unwrap_err(),
            [
                "`--debug-command a=…` is not SERVICE=COMMAND",
                "`--debug-command =…` is not SERVICE=COMMAND",
                "`--debug-command a=…` has a quote that is not closed",
                "`--debug-command` names `b` twice",
                "`--debug-env a…` is not SERVICE=NAME=VALUE",
                "`--debug-env …` is not SERVICE=NAME=VALUE",
            ]
        );
    }

    #[test]
    fn places_are_filled_with_the_services_own_words() {
        let own = words("python3 app.py --port 80");
        let fill = |line: &str| filled(&words(line), &own, "a").unwrap().join(" ");
        assert_eq!(fill("strace {command}"), "strace python3 app.py --port 80");
        assert_eq!(
            fill("{program} -m debugpy {args}"),
            "python3 -m debugpy app.py --port 80"
        );
        assert_eq!(fill("x {args}y"), "x {args}y");
        assert!(filled(&words("x {args}"), &[], "a").is_err());
        assert!(filled(&words("{args}"), &words("one"), "a").is_err());
    }

    #[test]
    fn a_variable_takes_the_place_of_a_secret() {
        let mut c = ContainerPlan {
            body: json!({"Env": ["A=1", "KEY=***"]}),
            secret_env: BTreeMap::from([(
                "KEY".to_owned(),
                prodmirror_model::secret::Secret::new("s"),
            )]),
            ..ContainerPlan::default()
        };
        set(&mut c, "KEY", "mine");
        set(&mut c, "NEW", "x=y");
        assert_eq!(c.body["Env"], json!(["A=1", "KEY=mine", "NEW=x=y"]));
        assert!(c.secret_env.is_empty());
        let mut none = ContainerPlan {
            body: json!({}),
            ..ContainerPlan::default()
        };
        set(&mut none, "A", "1");
        assert_eq!(none.body["Env"], json!(["A=1"]));
    }
}
