//! Loopback ports of a mirror that `up -d` left running: a small process of their own, which
//! ends with the mirror.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use prodmirror_engine::live::standing;
use prodmirror_engine::reach::{Forward, Forwards};

use super::Session;
use crate::args::ForwardArgs;
use crate::exit::Exit;

/// How often it looks whether the mirror is still there.
const LOOK: Duration = Duration::from_secs(2);
/// How long `up` waits for the ports to be open.
const OPEN: Duration = Duration::from_secs(10);

/// Where a mirror's forwarded ports are written down, for `ports`.
fn list(run: &str) -> PathBuf {
    std::env::temp_dir().join(format!("prodmirror-ports-{run}.json"))
}

/// The forwarded ports of a mirror.
pub fn read(run: &str) -> Vec<Forward> {
    let text = std::fs::read(list(run)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Starts the process and waits until its ports are open.
pub async fn start(session: &Session, run: &str, project: &str) -> Vec<Forward> {
    let Some(program) = &session.context.exe else {
        return Vec::new();
    };
    let mut command = tokio::process::Command::new(program);
    command
        .args(["forward", "--run", run, "--of", project])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: `setsid` is async-signal-safe and touches nothing of this process. The ports
    // must outlive the terminal from which the mirror was started.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into));
    }
    let Ok(mut child) = command.spawn() else {
        return Vec::new();
    };
    if let Some(out) = child.stdout.take() {
        use tokio::io::AsyncBufReadExt as _;
        let mut lines = tokio::io::BufReader::new(out).lines();
        let _ = tokio::time::timeout(OPEN, lines.next_line()).await;
    }
    read(run)
}

/// Forwards until the mirror is gone.
pub async fn run(session: &Session, args: &ForwardArgs) -> Exit {
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let stacks = standing(&engine, Some(&args.of)).await.unwrap_or_default();
    let Some(stack) = stacks.into_iter().find(|s| s.run == args.run) else {
        return Exit::Invalid;
    };
    let Ok(reach) = stack.reach().await else {
        return Exit::Engine;
    };
    let forwards = Forwards::open(&reach, &stack.ports()).await;
    let text = serde_json::to_vec(forwards.list()).unwrap_or_default();
    let path = list(&args.run);
    let written = std::fs::write(&path, text);
    // Whoever started this waits for the line; then its output has no reader any more.
    let _ = writeln!(
        std::io::stdout(),
        "{}",
        if written.is_ok() { "open" } else { "failed" }
    );
    let stop = crate::signals::stop();
    let mut away = 0;
    loop {
        tokio::select! {
            () = stop.stopping() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        match stack.is_there().await {
            Ok(true) => away = 0,
            Ok(false) => break,
            // The engine may be restarting; it is not asked for ever.
            Err(_) if away < 150 => away += 1,
            Err(_) => break,
        }
    }
    let _ = std::fs::remove_file(path);
    Exit::Ok
}
