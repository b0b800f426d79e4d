//! Standard input, a line at a time and only when one is asked for: what runs in between (a
//! shell in a service) reads it, too.

use std::io::BufRead as _;
use std::os::fd::AsFd as _;
use std::sync::mpsc as blocking;

use tokio::sync::mpsc;

/// A line is not longer.
const LONGEST: u64 = 1 << 20;

/// What standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody types.
    Terminal,
    /// A pipe, a socket or a file.
    Commands,
    /// Nothing that lines could come from.
    Nothing,
}

impl Kind {
    /// Looks at standard input.
    pub fn of_stdin(terminal: bool) -> Self {
        if terminal {
            return Self::Terminal;
        }
        let stdin = std::io::stdin();
        match rustix::fs::fstat(stdin.as_fd()) {
            Ok(stat) => match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
                rustix::fs::FileType::Fifo
                | rustix::fs::FileType::Socket
                | rustix::fs::FileType::RegularFile => Self::Commands,
                _ => Self::Nothing,
            },
            Err(_) => Self::Nothing,
        }
    }
}

/// Reads lines of standard input.
#[derive(Debug)]
pub struct Input {
    terminal: bool,
    asked: blocking::Sender<()>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    /// A line was asked for and has not come: whoever asked has gone.
    waiting: bool,
}

impl Input {
    /// Begins; nothing is read yet.
    pub fn start(terminal: bool) -> Self {
        let (asked, requests) = blocking::channel::<()>();
        let (sender, lines) = mpsc::unbounded_channel();
        // A thread that nobody waits for: it may stand in a read when the process ends.
        std::thread::spawn(move || {
            while requests.recv().is_ok() {
                if sender.send(read()).is_err() {
                    return;
                }
            }
        });
        Self {
            terminal,
            asked,
            lines,
            waiting: false,
        }
    }

    /// Whether somebody types.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The next line; nothing when there is no other.
    pub async fn line(&mut self) -> Option<String> {
        if !self.waiting {
            self.asked.send(()).ok()?;
            self.waiting = true;
        }
        let line = self.lines.recv().await;
        self.waiting = false;
        line.flatten()
    }
}

fn read() -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let mut stdin = std::io::stdin().lock().take(LONGEST);
    match stdin.read_until(b'\n', &mut bytes) {
        Ok(n) if n > 0 => Some(
            String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned(),
        ),
        _ => None,
    }
}
