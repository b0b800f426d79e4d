//! PostgreSQL: loading, masking and measuring databases with the tools of the server's own image.

mod grow;
mod load;
mod mask;
mod measure;
mod names;
mod scan;
mod subset;

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::Value;

use crate::live::{ExecOutput, ExecRequest, LiveStack};

pub use grow::grow;
pub use load::{dump, load, script};
pub use mask::mask;
pub use measure::measure;
pub use scan::{Finding, scan};
pub use subset::subset;

/// Tells the client who and where, as images of PostgreSQL are told, then becomes the command.
/// The first argument is the database; empty = the one that the image makes.
const CLIENT: &str = r#"
export PGUSER="${POSTGRES_USER:-${POSTGRESQL_USERNAME:-postgres}}"
export PGDATABASE="${1:-${POSTGRES_DB:-${POSTGRESQL_DATABASE:-$PGUSER}}}"
for file in "${POSTGRES_PASSWORD_FILE:-}" "${POSTGRESQL_PASSWORD_FILE:-}"; do
  if [ -n "$file" ] && [ -r "$file" ]; then PGPASSWORD=$(cat "$file"); fi
done
PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD:-}}}"
export PGPASSWORD
shift
exec "$@"
"#;
/// How long a server may take until it can be asked.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How much of an output is kept.
const KEEP: usize = 256 << 20;

/// A server in a stack.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// The stack.
    pub stack: &'a LiveStack,
    /// Its service.
    pub service: &'a str,
    /// Database; empty = the one that its image makes.
    pub database: &'a str,
}

impl Server<'_> {
    /// Runs a program of the image with the client's environment.
    async fn run(&self, command: &[&str], stdin: Option<&[u8]>) -> Result<ExecOutput, Problem> {
        self.run_with(command, stdin, &[]).await
    }

    async fn run_with(
        &self,
        command: &[&str],
        stdin: Option<&[u8]>,
        env: &[String],
    ) -> Result<ExecOutput, Problem> {
        let shell = ["sh", "-c", CLIENT, "sh", self.database];
        let command = shell.iter().chain(command).map(|w| (*w).to_owned());
        self.stack
            .exec(ExecRequest {
                service: self.service.to_owned(),
                command: command.collect(),
                env: env.to_vec(),
                stdin: stdin.map(<[u8]>::to_vec),
                keep: KEEP,
                ..ExecRequest::default()
            })
            .await
    }

    /// Runs statements, all in one session and up to the first that fails.
    ///
    /// # Errors
    /// The server's words, with what was being done.
    pub async fn execute(&self, doing: &str, sql: &str, env: &[String]) -> Result<(), Problem> {
        self.psql(doing, sql, env).await.map(drop)
    }

    /// The one value that a query gives, as JSON.
    ///
    /// # Errors
    /// As [`Server::execute`].
    pub async fn json(&self, doing: &str, sql: &str) -> Result<Value, Problem> {
        let out = self.psql(doing, sql, &[]).await?;
        let text = String::from_utf8_lossy(&out);
        serde_json::from_str(text.trim()).map_err(|e| {
            let message = format!("could not {doing}: the server's answer cannot be read: {e}");
            Problem::new(ProblemKind::Start, message)
        })
    }

    async fn psql(&self, doing: &str, sql: &str, env: &[String]) -> Result<Vec<u8>, Problem> {
        let command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"];
        // Statements are input, not arguments: those can be read by everybody on the host.
        let done = self.run_with(&command, Some(sql.as_bytes()), env).await?;
        match done.exit_code {
            0 => Ok(done.stdout),
            _ => Err(failed(doing, &done)),
        }
    }

    /// Waits until the server takes connections over TCP. (While an image prepares a new
    /// cluster, a server may run that listens to its socket only, and that ends again.)
    ///
    /// # Errors
    /// It does not, within a minute.
    pub async fn ready(&self) -> Result<(), Problem> {
        let begun = Instant::now();
        loop {
            let asked = self
                .run(&["pg_isready", "-q", "-h", "127.0.0.1"], None)
                .await?;
            if asked.exit_code == 0 {
                return Ok(());
            }
            if begun.elapsed() > READY_WITHIN {
                // One that listens to nothing but its socket has to do.
                let sql = "SELECT 1;";
                return self.execute("ask the database", sql, &[]).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Version of the server, as a number: 150014.
    async fn version(&self) -> Result<u64, Problem> {
        let sql = "SELECT current_setting('server_version_num')::int;";
        let number = self.json("ask for the server's version", sql).await?;
        Ok(number.as_u64().unwrap_or_default())
    }
}

fn failed(doing: &str, done: &ExecOutput) -> Problem {
    let said = done.summary();
    let lines = said.lines().filter(|l| !l.trim().is_empty());
    let said: Vec<&str> = lines.take(12).collect();
    let message = match said.is_empty() {
        true => format!("could not {doing}: exit code {}", done.exit_code),
        false => format!("could not {doing}: {}", said.join("\n")),
    };
    Problem::new(ProblemKind::Start, message)
}

/// An identifier as SQL has it.
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it.
fn literal(text: &str) -> String {
    match text.contains('\\') {
        true => format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_early() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), " E'\\\\'''");
    }
}
