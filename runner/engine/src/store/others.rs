//! Data of services other than PostgreSQL: MySQL and MariaDB, Redis, RabbitMQ.

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::snapshot::{Database, Table};

use super::dump::{Dump, DumpKind, FILES};
use crate::live::{ExecOutput, ExecRequest, LiveStack};

/// How long a server may take until it can be asked.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Tells the client of MySQL or MariaDB who and where, then becomes the command.
const MYSQL: &str = r#"
client=mariadb; command -v mariadb >/dev/null 2>&1 || client=mysql
for file in "${MARIADB_ROOT_PASSWORD_FILE:-}" "${MYSQL_ROOT_PASSWORD_FILE:-}"; do
  if [ -n "$file" ] && [ -r "$file" ]; then MYSQL_PWD=$(cat "$file"); fi
done
MYSQL_PWD="${MYSQL_PWD:-${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}}"
export MYSQL_PWD
database="${1:-${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}}"
[ $# -eq 0 ] || shift
"#;
/// The same for Redis: its password is where images keep it.
const REDIS: &str = r#"
for file in "${REDIS_PASSWORD_FILE:-}"; do
  if [ -n "$file" ] && [ -r "$file" ]; then REDISCLI_AUTH=$(cat "$file"); fi
done
REDISCLI_AUTH="${REDISCLI_AUTH:-${REDIS_PASSWORD:-}}"
[ -z "$REDISCLI_AUTH" ] || export REDISCLI_AUTH
"#;

/// Whether the image of a service has a program.
pub async fn has(stack: &LiveStack, service: &str, program: &str) -> bool {
    let script = format!("command -v {program}");
    let found = sh(stack, service, &script, &[]).await;
    found.is_ok_and(|done| done.exit_code == 0)
}

async fn sh(
    stack: &LiveStack,
    service: &str,
    script: &str,
    args: &[&str],
) -> Result<ExecOutput, Problem> {
    let mut command = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        "sh".to_owned(),
    ];
    command.extend(args.iter().map(|a| (*a).to_owned()));
    let request = ExecRequest {
        service: service.to_owned(),
        command,
        ..ExecRequest::default()
    };
    stack.exec(request).await
}

async fn done(
    stack: &LiveStack,
    (service, doing): (&str, &str),
    script: &str,
    args: &[&str],
) -> Result<String, Problem> {
    let done = sh(stack, service, script, args).await?;
    if done.exit_code == 0 {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let message = format!("could not {doing}: {}", done.summary());
    Err(Problem::new(ProblemKind::Start, message))
}

/// Loads a dump into a service that runs.
///
/// # Errors
/// The service has no tools for it, or they refuse it.
pub async fn load(
    stack: &LiveStack,
    service: &str,
    database: &str,
    dump: &Dump,
) -> Result<(), Problem> {
    let path = format!("{FILES}/{}", dump.name);
    let doing = format!("load {}", dump.shown);
    let doing = (service, doing.as_str());
    match dump.kind {
        DumpKind::MySql => {
            // While an image prepares its first start, a server may run that has no port.
            let script = format!("{MYSQL}$client -h127.0.0.1 -uroot -e 'select 1'");
            if answers(stack, doing, &script).await.is_err() {
                let script = format!("{MYSQL}$client -uroot -e 'select 1'");
                answers(stack, doing, &script).await?;
            }
            let read = if dump.gzip { "gzip -dc" } else { "cat" };
            let script = format!("{MYSQL}{read} '{path}' | $client -uroot $database");
            done(stack, doing, &script, &[database]).await?;
        }
        DumpKind::RabbitDefinitions => {
            let script = format!("rabbitmqctl import_definitions '{path}' --format json");
            done(stack, doing, &script, &[]).await?;
        }
        DumpKind::RedisRdb => {
            // Checked by the image's own program, then read by its own server.
            let check = format!(
                "command -v redis-check-rdb >/dev/null || exit 0; redis-check-rdb '{path}'"
            );
            done(stack, doing, &check, &[]).await?;
            redis(stack, doing, &path).await?;
        }
        DumpKind::RedisAof => redis_aof(stack, doing, &path).await?,
        DumpKind::PlainSql | DumpKind::PostgresArchive | DumpKind::PostgresDirectory => {}
    }
    Ok(())
}

/// Puts a file in the place of the server's own and lets the server start with it. Without points
/// at which it saves, it ends without writing its own over it.
async fn redis(stack: &LiveStack, doing: (&str, &str), rdb: &str) -> Result<(), Problem> {
    let script = format!(
        "{REDIS}set -e\n\
         dir=$(redis-cli --raw config get dir | tail -n 1)\n\
         file=$(redis-cli --raw config get dbfilename | tail -n 1)\n\
         redis-cli config set save ''\n\
         cp '{rdb}' \"$dir/$file\""
    );
    done(stack, doing, &script, &[]).await?;
    stack.restart(doing.0).await?;
    let script = format!("{REDIS}redis-cli ping | grep -q PONG");
    answers(stack, doing, &script).await
}

/// The commands of an append-only file, sent to the server; of a directory, its parts in their
/// order, the first of which may be an RDB file.
async fn redis_aof(stack: &LiveStack, doing: (&str, &str), path: &str) -> Result<(), Problem> {
    let list = format!(
        "if [ -d '{path}' ]; then awk '{{ print \"{path}/\" $2 }}' '{path}'/*.manifest; else echo '{path}'; fi"
    );
    let parts = done(stack, doing, &list, &[]).await?;
    for part in parts.lines() {
        if part.ends_with(".rdb") {
            redis(stack, doing, part).await?;
            continue;
        }
        let script = format!("{REDIS}redis-cli --pipe < '{part}'");
        done(stack, doing, &script, &[]).await?;
    }
    Ok(())
}

/// Waits until a server answers.
async fn answers(stack: &LiveStack, doing: (&str, &str), script: &str) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        let asked = sh(stack, doing.0, script, &[]).await;
        match asked {
            Ok(done) if done.exit_code == 0 => return Ok(()),
            _ if begun.elapsed() < ANSWERS_WITHIN => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(done) => {
                let message = format!("could not {}: {}", doing.1, done.summary());
                return Err(Problem::new(ProblemKind::Start, message));
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// Runs a program that fills the service, in its container.
///
/// # Errors
/// It fails.
pub async fn program(stack: &LiveStack, service: &str, shown: &str) -> Result<(), Problem> {
    let script = format!("cd {FILES} && if [ -x script ]; then ./script; else sh ./script; fi");
    let doing = format!("run {shown}");
    done(stack, (service, &doing), &script, &[]).await.map(drop)
}

/// What is in a service's data, as far as its own tools say.
///
/// # Errors
/// They refuse.
pub async fn measure(stack: &LiveStack, service: &str) -> Result<Vec<Database>, Problem> {
    let doing = (service, "measure the data");
    if has(stack, service, "redis-cli").await {
        let script = format!("{REDIS}redis-cli --raw info server; redis-cli --raw info keyspace");
        let text = done(stack, doing, &script, &[]).await?;
        return Ok(vec![keyspace(&text)]);
    }
    if has(stack, service, "mariadb").await || has(stack, service, "mysql").await {
        let sql = "SELECT CONCAT('v', CHAR(9), VERSION()); \
             SELECT CONCAT('t', CHAR(9), table_schema, '.', table_name, CHAR(9), data_length + index_length) \
             FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN \
             ('mysql', 'sys', 'performance_schema', 'information_schema')";
        let script = format!("{MYSQL}$client -uroot -N -r -e \"$1\"");
        let text = done(stack, doing, &script, &["", sql]).await?;
        let mut database = tables(&text);
        for table in &mut database.tables {
            let name: Vec<String> = table
                .name
                .split('.')
                .map(|part| format!("`{}`", part.replace('`', "``")))
                .collect();
            let sql = format!("SELECT COUNT(*) FROM {}", name.join("."));
            let count = done(stack, doing, &script, &["", &sql]).await?;
            table.rows = count.trim().parse().unwrap_or_default();
        }
        return Ok(vec![database]);
    }
    Ok(Vec::new())
}

/// `db0:keys=12,expires=0,…`
fn keyspace(text: &str) -> Database {
    let mut database = Database {
        engine: "redis".to_owned(),
        ..Database::default()
    };
    for line in text.lines().map(str::trim) {
        if let Some(version) = line.strip_prefix("redis_version:") {
            version.clone_into(&mut database.version);
        }
        if let Some((name, facts)) = line.split_once(":keys=")
            && name.starts_with("db")
        {
            let keys = facts.split(',').next().and_then(|n| n.parse().ok());
            database.tables.push(Table {
                name: name.to_owned(),
                rows: keys.unwrap_or_default(),
                ..Table::default()
            });
        }
    }
    database
}

fn tables(text: &str) -> Database {
    let mut database = Database {
        engine: "mysql".to_owned(),
        ..Database::default()
    };
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["v", version] => {
                if version.contains("MariaDB") {
                    "mariadb".clone_into(&mut database.engine);
                }
                version.clone_into(&mut database.version);
            }
            ["t", name, bytes] => database.tables.push(Table {
                name: name.to_owned(),
                bytes: bytes.parse().unwrap_or_default(),
                ..Table::default()
            }),
            _ => {}
        }
    }
    database
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_read() {
        let redis = keyspace(
            "redis_version:7.0.15\r\n# Keyspace\r\ndb0:keys=12,expires=1\r\ndb3:keys=4,expires=0\r\n",
        );
        assert_eq!((redis.version.as_str(), redis.tables.len()), ("7.0.15", 2));
        assert_eq!(redis.tables[1].rows, 4);
        let maria = tables("v\t10.11.6-MariaDB\nt\tshop.orders\t16384\n");
        assert_eq!(
            (maria.engine.as_str(), maria.tables[0].bytes),
            ("mariadb", 16384)
        );
    }
}
