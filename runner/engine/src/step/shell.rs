//! `shell`: a program on the machine of whoever runs the scenario, when that is allowed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::Span;
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::Node;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::exec::{document, environment, shown, words};
use super::fields::{Pairs, args, lossy};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Bytes of each output that are kept.
const KEEP: u64 = 4 << 20;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "shell",
    fields: &["exit_code", "stdout", "stderr", "json", "duration"],
    help: "runs a program on this machine; only with `run --allow-shell`",
    example: "shell: { cmd: \"git rev-parse HEAD\" }",
    usual: Some("exit_code == 0"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    cmd: Node,
    #[serde(default)]
    env: Pairs,
    #[serde(default)]
    workdir: Option<Text>,
    #[serde(default)]
    stdin: Option<Text>,
}

struct ShellAct {
    cmd: Vec<Data>,
    env: Pairs,
    workdir: Option<Text>,
    stdin: Option<Text>,
    span: Span,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    Ok(ShellAct {
        cmd: words(&a.cmd)?,
        env: a.env,
        workdir: a.workdir,
        stdin: a.stdin,
        span: node.span.clone(),
    }
    .into())
}

impl ShellAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        if !context.allow_shell {
            let text = "`shell` runs a program on this machine, and that was not allowed";
            return Err(Problem::at(ProblemKind::Forbidden, &self.span, text)
                .help("run with --allow-shell, or use `exec` or `container`")
                .into());
        }
        let scope = context.scope;
        let cmd = self.cmd.iter().map(|w| w.render_text(scope));
        let cmd = cmd.collect::<Result<Vec<_>, _>>()?;
        context.trail.add("command", cmd.join(" "));
        let mut command = Command::new(&cmd[0]);
        command
            .args(&cmd[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let beside = self.span.file.beside("");
        let workdir = self.workdir.as_ref().map(|t| t.render(scope)).transpose()?;
        command.current_dir(match workdir {
            Some(dir) => beside.join(dir),
            None if beside.as_os_str().is_empty() => ".".into(),
            None => beside,
        });
        for pair in environment(&self.env, scope)? {
            if let Some((name, value)) = pair.split_once('=') {
                command.env(name, value);
            }
        }
        let stdin = self.stdin.as_ref().map(|t| t.render(scope)).transpose()?;
        let begun = Instant::now();
        let lost =
            |e: std::io::Error| StepError::transport(format!("could not run `{}`: {e}", cmd[0]));
        let mut child = command.spawn().map_err(lost)?;
        let (mut input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut input) = input.take() {
                // A program that does not read its stdin is no failure.
                let _ = input.write_all(stdin.unwrap_or_default().as_bytes()).await;
            }
        };
        let ((), stdout, stderr) = tokio::join!(write, kept(out), kept(err));
        let status = child.wait().await.map_err(lost)?;
        let (stdout, stderr) = (lossy(&stdout), lossy(&stderr));
        // A signal is told as shells tell it.
        let code = status.code().map(i64::from).unwrap_or_else(|| {
            use std::os::unix::process::ExitStatusExt;
            128 + i64::from(status.signal().unwrap_or_default())
        });
        context.trail.add("exit code", code.to_string());
        for (title, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !text.is_empty() {
                context.trail.add(title, text);
            }
        }
        let mut document = document(code, &stdout, &stderr);
        document.took(begun.elapsed());
        Ok(document.into())
    }
}

/// The first bytes of an output; the rest is read, so that the program does not block.
async fn kept(from: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return bytes };
    let mut limited = from.take(KEEP);
    // What was read before an error is all that there is.
    let _ = limited.read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    bytes
}

impl Act for ShellAct {
    fn title(&self) -> String {
        format!("shell: {}", shown(&self.cmd))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
