//! What runs in a service.

use prodmirror_model::diag::{Problem, ProblemKind};

use super::LiveStack;

/// One process of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on the engine's host.
    pub pid: u64,
    /// Its parent's.
    pub parent: u64,
    /// Its user, as the engine's host calls it.
    pub user: String,
    /// Since when it runs, in seconds.
    pub seconds: u64,
    /// Resident memory, in KiB.
    pub memory_kib: u64,
    /// Its command line.
    pub command: String,
}

/// What `ps` of the engine's host is asked for; the command is last, for it has blanks.
const COLUMNS: &str = "-eo pid,ppid,user,etimes,rss,args";

impl LiveStack {
    /// The processes of a service's replica (0 = the first).
    ///
    /// # Errors
    /// Unknown service, or one that does not run.
    pub async fn processes(&self, service: &str, replica: u32) -> Result<Vec<Process>, Problem> {
        let key = self.key(service, replica)?;
        let id = self.context().board.get(&key).id;
        let doing = format!("list the processes of `{service}`");
        let rows = self.engine().top(&id, COLUMNS).await;
        let rows = rows.map_err(|e| e.problem(&doing))?;
        rows.iter()
            .map(|row| {
                read(row).ok_or_else(|| {
                    let message = format!(
                        "could not {doing}: the engine's host said `{}`",
                        row.join(" ")
                    );
                    Problem::new(ProblemKind::Unsupported, message)
                })
            })
            .collect()
    }
}

fn read(row: &[String]) -> Option<Process> {
    let [pid, parent, user, seconds, rss, command @ ..] = row else {
        return None;
    };
    Some(Process {
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        user: user.clone(),
        seconds: seconds.parse().ok()?,
        memory_kib: rss.parse().ok()?,
        command: command.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_with_the_blanks_of_its_command() {
        let row = ["12", "1", "999", "60", "2048", "postgres: walwriter", "x"].map(str::to_owned);
        let p = read(&row).unwrap();
        assert_eq!(
            (p.pid, p.parent, p.seconds, p.memory_kib),
            (12, 1, 60, 2048)
        );
        assert_eq!(p.command, "postgres: walwriter x");
        assert_eq!(read(&row[..4]), None);
    }
}
