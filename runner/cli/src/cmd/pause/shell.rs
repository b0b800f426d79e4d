//! `sh SERVICE`: a shell in a service of the run.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use prodmirror_engine::run::Halt;
use prodmirror_engine::step::world::ExecRequest;
use prodmirror_model::plain::visible;

use super::input::Input;
use crate::cmd::Session;

/// How long lines that were given beforehand may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How much of their output is shown.
const KEEP: usize = 256 * 1024;

/// Opens shells.
#[derive(Debug)]
pub struct Shell {
    exe: Option<PathBuf>,
    project: Option<PathBuf>,
    run: String,
}

impl Shell {
    /// For the services of a run.
    pub fn new(session: &Session, run: &str) -> Self {
        Self {
            exe: session.context.exe.clone(),
            project: session.global.project.clone(),
            run: run.to_owned(),
        }
    }

    /// Opens one and returns when it is left; what is to be said then.
    pub async fn open(
        &self,
        service: &str,
        line: Option<&str>,
        halt: &Halt<'_>,
        input: &mut Input,
    ) -> String {
        if let Some(line) = line {
            return lines(service, line, halt).await;
        }
        if !input.is_terminal() {
            // No terminal: the lines up to `exit` are the shell's.
            let mut text = String::new();
            while let Some(line) = input.line().await {
                if line.trim() == "exit" {
                    break;
                }
                text.push_str(&line);
                text.push('\n');
            }
            return lines(service, &text, halt).await;
        }
        let Some(exe) = &self.exe else {
            return "the path of this program is not known; use `sh SERVICE LINE`\n".into();
        };
        let mut command = tokio::process::Command::new(exe);
        if let Some(project) = &self.project {
            command.arg("-f").arg(project);
        }
        command
            .args(["exec", "--run", &self.run, service])
            .args(["sh", "-c", "exec $(command -v bash || command -v sh)"])
            .stdin(Stdio::inherit())
            .kill_on_drop(true);
        match command.status().await {
            Ok(_) => String::new(),
            Err(e) => format!("a shell could not be opened: {e}\n"),
        }
    }
}

async fn lines(service: &str, text: &str, halt: &Halt<'_>) -> String {
    let request = ExecRequest {
        service: service.to_owned(),
        command: vec!["sh".into(), "-c".into(), text.to_owned()],
        timeout: Some(WITHIN),
        keep: KEEP,
        ..ExecRequest::default()
    };
    match halt.world().exec(request).await {
        Ok(out) => {
            let mut said = String::new();
            for bytes in [&out.stdout, &out.stderr] {
                let text = String::from_utf8_lossy(bytes);
                for line in text.lines() {
                    said.push_str(&visible(line));
                    said.push('\n');
                }
            }
            if out.exit_code != 0 {
                said.push_str(&format!("exit code {}\n", out.exit_code));
            }
            said
        }
        Err(p) => format!("{}\n", visible(&p.to_string())),
    }
}
