//! `exec`: a command in a service.

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned, Value as Yaml};
use serde::Deserialize;
use serde_json::Value as Json;

use super::context::reach_error;
use super::evidence::cut;
use super::fields::{Pairs, args, lossy};
use super::target::Target;
use super::world::ExecRequest;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Bytes of an output that expectations see.
const LONGEST: usize = 4 * 1024 * 1024;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "exec",
    fields: &["exit_code", "stdout", "stderr", "json", "duration"],
    help: "runs a command in a container of a service",
    example: "exec: { service: worker, cmd: [worker, drain] }",
    usual: Some("exit_code == 0"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    cmd: Node,
    #[serde(default)]
    env: Pairs,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    workdir: Option<Text>,
    #[serde(default)]
    stdin: Option<Text>,
    #[serde(default)]
    replica: Option<u32>,
}

struct ExecAct {
    service: Spanned<String>,
    cmd: Vec<Data>,
    env: Pairs,
    user: Option<Text>,
    workdir: Option<Text>,
    stdin: Option<Text>,
    replica: u32,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    Ok(ExecAct {
        service: a.service,
        cmd: words(&a.cmd)?,
        env: a.env,
        user: a.user,
        workdir: a.workdir,
        stdin: a.stdin,
        replica: a.replica.unwrap_or(0),
    }
    .into())
}

/// A list of words; a single text is a line for the shell.
pub(super) fn words(node: &Node) -> Result<Vec<Data>, Vec<Problem>> {
    match &node.value {
        Yaml::Seq(items) if !items.is_empty() => items.iter().map(Data::new).collect(),
        Yaml::Str(s) if !s.trim().is_empty() => {
            let plain = |s: &str| Data::Plain(Json::from(s), node.span.clone());
            Ok(vec![plain("sh"), plain("-c"), Data::new(node)?])
        }
        Yaml::Seq(_) | Yaml::Str(_) => Err(vec![
            Problem::at(ProblemKind::InvalidValue, &node.span, "`cmd` is empty")
                .help("write `cmd: [program, argument]`"),
        ]),
        _ => Err(vec![
            Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!(
                    "`cmd` is a list of words or a line for the shell, found {}",
                    node.kind()
                ),
            )
            .help("write `cmd: [program, argument]`"),
        ]),
    }
}

impl ExecAct {
    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let scope = context.scope;
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let command: Vec<String> = self
            .cmd
            .iter()
            .map(|w| w.render_text(scope))
            .collect::<Result<_, _>>()?;
        let env = environment(&self.env, scope)?;
        context.trail.add(
            "command",
            format!("{}: {}", self.service.value, command.join(" ")),
        );
        let request = ExecRequest {
            service: self.service.value.clone(),
            replica: self.replica,
            command,
            env,
            user: text(&self.user)?,
            working_dir: text(&self.workdir)?,
            stdin: text(&self.stdin)?.map(String::into_bytes),
            ..ExecRequest::default()
        };
        let begun = Instant::now();
        let output = context.world.exec(request).await.map_err(reach_error)?;
        let took = begun.elapsed();
        let (stdout, stderr) = (lossy(&output.stdout), lossy(&output.stderr));
        context.trail.add("exit code", output.exit_code.to_string());
        for (title, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !text.is_empty() {
                context.trail.add(title, text);
            }
        }
        let mut document = document(output.exit_code, &stdout, &stderr);
        document.took(took);
        Ok(document.into())
    }
}

/// The result of a program.
pub(super) fn document(exit_code: i64, stdout: &str, stderr: &str) -> Document {
    let json = match stdout.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => serde_json::from_str(stdout).unwrap_or(Json::Null),
        _ => Json::Null,
    };
    Document::default()
        .with("exit_code", exit_code)
        .with("stdout", cut(stdout, LONGEST))
        .with("stderr", cut(stderr, LONGEST))
        .with("json", json)
}

/// The words of a command, for people.
pub(super) fn shown(cmd: &[Data]) -> String {
    let words: Vec<&str> = cmd
        .iter()
        .map(|d| match d {
            Data::Plain(Json::String(s), _) => s.as_str(),
            Data::Text(t) => t.source(),
            _ => "…",
        })
        .collect();
    cut(&words.join(" "), 60).replace('\n', " ")
}

/// `NAME=value` of each pair.
pub(super) fn environment(env: &Pairs, scope: &Scope) -> Result<Vec<String>, StepError> {
    env.0
        .iter()
        .map(|(k, v)| Ok(format!("{}={}", k.render(scope)?, v.render_text(scope)?)))
        .collect()
}

impl Act for ExecAct {
    fn title(&self) -> String {
        format!("{}: {}", self.service.value, shown(&self.cmd))
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(&self.service));
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
