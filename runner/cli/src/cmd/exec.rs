//! `exec`: a command in a service of a running mirror.

use std::io::Write as _;

use futures_util::StreamExt as _;
use prodmirror_engine::docker::{ExecIo, ExecSpec, OutputFrom};
use prodmirror_engine::live::{Standing, exit_code};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::Session;
use crate::args::ExecArgs;
use crate::exit::Exit;

/// Runs it; the exit code is the command's own.
pub async fn run(session: &Session, args: &ExecArgs) -> Result<i32, Exit> {
    let (stack, _) = session.standing_of(args.run.as_deref()).await?;
    let tty = !args.no_tty && session.context.stdin_tty && session.context.stdout_tty;
    let spec = ExecSpec {
        command: args.command.clone(),
        env: args.env.clone(),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        tty,
        stdin: true,
        ..ExecSpec::default()
    };
    let io = stack
        .exec(&args.service, args.index, spec)
        .await
        .map_err(|p| session.fail(p))?;
    let raw = if tty { Raw::enter() } else { None };
    let code = attend(&stack, io, tty).await;
    drop(raw);
    code.map_err(|p| session.fail(p))
}

async fn attend(
    stack: &Standing,
    io: ExecIo,
    tty: bool,
) -> Result<i32, prodmirror_model::diag::Problem> {
    let ExecIo {
        id,
        mut output,
        mut input,
    } = io;
    let typing = tokio::spawn(async move {
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(n) = stdin.read(&mut buffer).await {
            if n == 0 || input.write_all(&buffer[..n]).await.is_err() {
                break;
            }
            let _ = input.flush().await;
        }
        let _ = input.shutdown().await;
    });
    let resizing = tty.then(|| {
        let (engine, id) = (stack.engine().clone(), id.clone());
        tokio::spawn(async move {
            let Ok(mut resized) = signal(SignalKind::window_change()) else {
                return;
            };
            loop {
                if let Ok(size) = tcgetwinsize(std::io::stdout()) {
                    let _ = engine.exec_resize(&id, size.ws_col, size.ws_row).await;
                }
                if resized.recv().await.is_none() {
                    return;
                }
            }
        })
    });
    let mut failed = None;
    while let Some(piece) = output.next().await {
        match piece {
            Ok(piece) if piece.from == OutputFrom::Stderr => write(std::io::stderr(), &piece.bytes),
            Ok(piece) => write(std::io::stdout(), &piece.bytes),
            Err(e) => {
                failed = Some(e);
                break;
            }
        }
    }
    typing.abort();
    if let Some(resizing) = resizing {
        resizing.abort();
    }
    let doing = "run the command";
    if let Some(e) = failed {
        return Err(e.problem(doing));
    }
    let code = exit_code(stack.engine(), &id)
        .await
        .map_err(|e| e.problem(doing))?;
    Ok(i32::try_from(code).unwrap_or(1))
}

fn write(mut to: impl std::io::Write, bytes: &[u8]) {
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}

/// The terminal in raw mode; it is put back when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        let _ = std::io::stdout().flush();
    }
}
