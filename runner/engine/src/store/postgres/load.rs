//! Dumps: into a server, and out of one.

use prodmirror_model::diag::{Problem, ProblemKind};

use super::{Server, failed, ident};
use crate::store::dump::{Dump, DumpKind, FILES};

/// Nothing of a load has to survive a crash: what it makes is sealed after a clean stop.
const QUICK: &str =
    "PGOPTIONS=-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0";

/// The first version whose log is called WAL in its functions.
const SWITCHES: u64 = 100_000;

/// Loads a dump.
///
/// # Errors
/// It is of a newer server, is not whole, or the server refuses a part of it.
pub async fn load(server: &Server<'_>, dump: &Dump) -> Result<(), Problem> {
    let path = format!("{FILES}/{}", dump.name);
    let version = server.version().await?;
    let major = version / 10_000;
    if let Some(theirs) = dump.server_major.filter(|v| *v > major) {
        return Err(newer(dump, theirs, major));
    }
    match dump.kind {
        DumpKind::PlainSql => {
            roles(server, &dump.roles).await?;
            let file = match dump.gzip {
                true => format!("gzip -dc '{path}' | "),
                false => String::new(),
            };
            let from = if dump.gzip { "-".to_owned() } else { path };
            // A dump of a whole cluster makes the role that the image has made already.
            let stop = if dump.cluster { 0 } else { 1 };
            let script =
                format!("{file}psql -X -q -o /dev/null -v ON_ERROR_STOP={stop} -f '{from}'");
            let done = server
                .run_with(&["sh", "-c", &script], None, &[QUICK.to_owned()])
                .await?;
            let errors = errors(&done.stderr, dump.cluster);
            if done.exit_code != 0 || !errors.is_empty() {
                let mut problem = failed(&format!("load {}", dump.shown), &done);
                if let Some(first) = errors.first() {
                    problem.message = format!("could not load {}: {first}", dump.shown);
                }
                return Err(problem);
            }
        }
        DumpKind::PostgresArchive | DumpKind::PostgresDirectory => {
            archive(server, dump, &path, major).await?;
        }
        _ => {
            let message = format!("{} is no dump of PostgreSQL", dump.shown);
            return Err(Problem::new(ProblemKind::InvalidValue, message));
        }
    }
    settle(server).await
}

/// What a server of production has: statistics, and rows that nobody has to look at again.
async fn settle(server: &Server<'_>) -> Result<(), Problem> {
    server
        .execute(
            "analyse the tables",
            "VACUUM (FREEZE, ANALYZE);",
            &[QUICK.to_owned()],
        )
        .await?;
    shorten_log(server).await
}

/// Lets go of the log that the load filled: a gigabyte that every clone would write into anew.
async fn shorten_log(server: &Server<'_>) -> Result<(), Problem> {
    let own = "SELECT to_json(count(*)) FROM pg_file_settings WHERE name IN ('max_wal_size', 'min_wal_size') \
               AND sourcefile LIKE '%postgresql.auto.conf';";
    let set = server.json("look at the server's settings", own).await?;
    if set.as_u64() != Some(0) || server.version().await? < SWITCHES {
        // Its own settings stay.
        return server
            .execute("write the tables out", "CHECKPOINT;", &[])
            .await;
    }
    // Files of the log that are kept for later only go once they were used: so it is led through
    // all of them.
    let sql = "ALTER SYSTEM SET min_wal_size = '32MB';\nALTER SYSTEM SET max_wal_size = '48MB';\n\
               SELECT pg_reload_conf() \\g /dev/null\nCHECKPOINT;\n\
               DO $$ BEGIN FOR i IN 1..(SELECT count(*) FROM pg_ls_waldir()) LOOP\n\
                 PERFORM pg_logical_emit_message(false, 'prodmirror', 'x'); PERFORM pg_switch_wal();\n\
               END LOOP; END $$;\nCHECKPOINT;\nCHECKPOINT;\n\
               ALTER SYSTEM RESET min_wal_size;\nALTER SYSTEM RESET max_wal_size;\nSELECT pg_reload_conf() \\g /dev/null\n";
    server.execute("write the tables out", sql, &[]).await
}

async fn archive(server: &Server<'_>, dump: &Dump, path: &str, major: u64) -> Result<(), Problem> {
    let doing = format!("read {}", dump.shown);
    let listed = server.run(&["pg_restore", "-l", path], None).await?;
    if listed.exit_code != 0 {
        let said = listed.summary();
        if said.contains("unsupported version") {
            let message = format!(
                "{} was made by a newer pg_dump than PostgreSQL {major} of `{}` reads: {said}",
                dump.shown, server.service
            );
            return Err(Problem::new(ProblemKind::InvalidValue, message).help(
                "make it with the pg_dump of production's own server, or with `-Fp` (plain)",
            ));
        }
        return Err(failed(&doing, &listed));
    }
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let theirs = text
        .lines()
        .find_map(|l| l.split("Dumped from database version:").nth(1))
        .and_then(|v| v.trim().split('.').next()?.parse::<u64>().ok());
    if let Some(theirs) = theirs.filter(|v| *v > major) {
        return Err(newer(dump, theirs, major));
    }
    let schema = server
        .run(&["pg_restore", "-s", "-f", "-", path], None)
        .await?;
    if schema.exit_code != 0 {
        return Err(failed(&doing, &schema));
    }
    let text = String::from_utf8_lossy(&schema.stdout);
    roles(server, &crate::store::dump::roles_in(&text)).await?;
    let database = server
        .json(
            "ask for the database",
            "SELECT to_json(current_database());",
        )
        .await?;
    let database = database.as_str().unwrap_or_default().to_owned();
    let mut restore = vec!["pg_restore", "-e", "-d", &database];
    if !dump.is_tar {
        restore.extend(["-j", "2"]);
    }
    restore.push(path);
    let done = server.run_with(&restore, None, &[QUICK.to_owned()]).await?;
    match done.exit_code {
        0 => Ok(()),
        _ => Err(failed(&format!("load {}", dump.shown), &done)),
    }
}

fn newer(dump: &Dump, theirs: u64, ours: u64) -> Problem {
    let message = format!(
        "{} is of PostgreSQL {theirs}, and production runs {ours}",
        dump.shown
    );
    Problem::new(ProblemKind::InvalidValue, message).help(
        "a newer server's dump does not load into an older one: take it from production's own server, or name the image that production runs",
    )
}

/// Roles that own things or are granted something, and that the image did not make.
async fn roles(server: &Server<'_>, roles: &[String]) -> Result<(), Problem> {
    let mut sql = String::new();
    for role in roles {
        let name = super::literal(role);
        let make = super::literal(&format!("CREATE ROLE {} NOLOGIN", ident(role)));
        sql.push_str(&format!(
            "SELECT {make} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) \\gexec\n"
        ));
    }
    if sql.is_empty() {
        return Ok(());
    }
    server
        .execute("make the roles of the dump", &sql, &[])
        .await
}

/// What went wrong in a load that goes on after errors.
fn errors(stderr: &[u8], cluster: bool) -> Vec<String> {
    if !cluster {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .filter(|l| l.contains("ERROR:") || l.contains("FATAL:"))
        .filter(|l| !l.contains("already exists"))
        .map(str::to_owned)
        .collect()
}

/// Runs a script of SQL, as production's migrations would.
///
/// # Errors
/// A statement fails.
pub async fn script(server: &Server<'_>, shown: &str, name: &str) -> Result<(), Problem> {
    let path = format!("{FILES}/{name}");
    let command = [
        "psql",
        "-X",
        "-q",
        "-o",
        "/dev/null",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        &path,
    ];
    let done = server.run_with(&command, None, &[QUICK.to_owned()]).await?;
    if done.exit_code != 0 {
        return Err(failed(&format!("run {shown}"), &done));
    }
    settle(server).await
}

/// Writes the database into a directory of the server's container, to be loaded elsewhere.
///
/// # Errors
/// The server's.
pub async fn dump(server: &Server<'_>, dir: &str) -> Result<(), Problem> {
    let command = ["pg_dump", "-Fd", "-Z", "0", "-j", "2", "-f", dir];
    let done = server.run(&command, None).await?;
    match done.exit_code {
        0 => Ok(()),
        _ => Err(failed("write the changed rows", &done)),
    }
}
