//! Dumps of databases: what they are, before a server is started for them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::hashing::Hashing;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;
use prodmirror_model::source::io_reason;
use sha2::{Digest as _, Sha256};

/// Where files are mounted in the container of a server.
pub const FILES: &str = "/prodmirror";
/// How much of the end of a dump is looked at.
const TAIL: usize = 8 * 1024;
/// The longest line that is looked at: rows are longer, and say nothing here.
const LONGEST_LINE: u64 = 4096;

/// Formats of dumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpKind {
    /// SQL of `pg_dump` or `pg_dumpall`.
    PlainSql,
    /// `pg_dump -Fc` or `-Ft`.
    PostgresArchive,
    /// `pg_dump -Fd`.
    PostgresDirectory,
    /// SQL of `mysqldump` or `mariadb-dump`.
    MySql,
    /// An RDB file of Redis.
    RedisRdb,
    /// An append-only file of Redis, or the directory of its parts.
    RedisAof,
    /// Definitions of RabbitMQ, as JSON.
    RabbitDefinitions,
}

/// A dump.
#[derive(Debug, Clone)]
pub struct Dump {
    /// Where it is.
    pub path: PathBuf,
    /// As people know it.
    pub shown: String,
    /// Its name in [`FILES`].
    pub name: String,
    /// What it is.
    pub kind: DumpKind,
    /// SHA-256 of it.
    pub digest: String,
    /// Bytes.
    pub bytes: u64,
    /// Whether it is compressed with gzip.
    pub gzip: bool,
    /// Whether it is a tar archive of `pg_dump`, which is read from its begin to its end.
    pub is_tar: bool,
    /// Whether it is of a whole cluster.
    pub cluster: bool,
    /// Major version of the server that it is of, where it says so.
    pub server_major: Option<u64>,
    /// Roles that it names, where it can be read without the server's tools.
    pub roles: Vec<String>,
}

/// Reads a dump as far as is needed to know what it is and that it is whole.
///
/// # Errors
/// It cannot be read, is none that is known, or is not whole.
pub fn recognise(path: &Path, shown: &str) -> Result<Dump, Problem> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(shown, &e))?;
    if meta.is_dir() {
        return directory(path, shown);
    }
    let mut head = vec![0; 512];
    let read = File::open(path)
        .and_then(|mut f| read_up_to(&mut f, &mut head))
        .map_err(|e| unreadable(shown, &e))?;
    head.truncate(read);
    if head.is_empty() {
        return Err(broken(shown, "it is empty"));
    }
    let gzip = head.starts_with(&[0x1f, 0x8b]);
    let mut dump = Dump {
        path: path.to_owned(),
        shown: shown.to_owned(),
        name: "dump".to_owned(),
        kind: DumpKind::PlainSql,
        digest: String::new(),
        bytes: meta.len(),
        gzip,
        is_tar: false,
        cluster: false,
        server_major: None,
        roles: Vec::new(),
    };
    let file = File::open(path).map_err(|e| unreadable(shown, &e))?;
    let mut hashing = Hashing::of(file);
    let text = if gzip {
        let seen = lines(flate2::read::MultiGzDecoder::new(&mut hashing));
        seen.map_err(|e| broken(shown, &format!("it cannot be unpacked: {e}")))?
    } else if head.starts_with(b"PGDMP") || tar_of_dump(&head) {
        dump.kind = DumpKind::PostgresArchive;
        dump.is_tar = tar_of_dump(&head);
        Seen::default()
    } else if head.starts_with(b"REDIS0") {
        dump.kind = DumpKind::RedisRdb;
        Seen::default()
    } else if head.starts_with(b"*") && head.windows(2).any(|w| w == b"\r\n") {
        dump.kind = DumpKind::RedisAof;
        Seen::default()
    } else {
        lines(&mut hashing).map_err(|e| unreadable(shown, &e))?
    };
    let digest = hashing.finish().map_err(|e| unreadable(shown, &e))?;
    dump.digest = digest.to_string();
    match dump.kind {
        DumpKind::PlainSql => sql(dump, text),
        DumpKind::RedisRdb => rdb(dump),
        _ => Ok(dump),
    }
}

/// `pg_dump -Ft` begins with its table of contents.
fn tar_of_dump(head: &[u8]) -> bool {
    head.starts_with(b"toc.dat\0")
}

fn sql(mut dump: Dump, text: Seen) -> Result<Dump, Problem> {
    let first = text.first.trim_start();
    if first.starts_with('{') {
        let known = [
            "\"rabbit_version\"",
            "\"rabbitmq_version\"",
            "\"vhosts\"",
            "\"queues\"",
        ];
        if known.iter().any(|k| text.begin.contains(k)) {
            dump.kind = DumpKind::RabbitDefinitions;
            return match std::fs::read(&dump.path) {
                Ok(bytes) => serde_json::from_slice::<serde_json::Value>(&bytes)
                    .map(|_| dump.clone())
                    .map_err(|e| broken(&dump.shown, &e.to_string())),
                Err(e) => Err(unreadable(&dump.shown, &e)),
            };
        }
    }
    let has = |words: &str| text.begin.contains(words);
    if has("MySQL dump") || has("MariaDB dump") {
        dump.kind = DumpKind::MySql;
        if !text.end.contains("-- Dump completed") {
            return Err(broken(&dump.shown, "it ends without `-- Dump completed`"));
        }
        return Ok(dump);
    }
    dump.cluster = has("PostgreSQL database cluster dump");
    if !has("PostgreSQL database dump") && !dump.cluster {
        let message = format!("{} is no dump that is known", dump.shown);
        return Err(Problem::new(ProblemKind::Unsupported, message).help(
            "pg_dump (plain, custom, tar, directory), mysqldump, mariadb-dump, Redis RDB and AOF, \
             and RabbitMQ definitions are; statements of your own are a `script`",
        ));
    }
    let end = match dump.cluster {
        true => "PostgreSQL database cluster dump complete",
        false => "PostgreSQL database dump complete",
    };
    if !text.end.contains(end) {
        return Err(broken(&dump.shown, &format!("it ends without `-- {end}`")));
    }
    dump.server_major = text
        .begin
        .lines()
        .find_map(|l| l.strip_prefix("-- Dumped from database version "))
        .and_then(|v| v.split('.').next()?.trim().parse().ok());
    dump.roles = text.roles.into_iter().collect();
    Ok(dump)
}

/// From version 5 on an RDB file ends with `0xff` and a checksum.
fn rdb(dump: Dump) -> Result<Dump, Problem> {
    use std::os::unix::fs::FileExt as _;
    let mut end = [0; 9];
    let read = File::open(&dump.path)
        .and_then(|f| f.read_exact_at(&mut end, dump.bytes.saturating_sub(9)));
    match read {
        Ok(()) if end[0] == 0xff => Ok(dump),
        Ok(()) => Err(broken(&dump.shown, "it ends without the mark of its end")),
        Err(e) => Err(broken(&dump.shown, &e.to_string())),
    }
}

fn directory(path: &Path, shown: &str) -> Result<Dump, Problem> {
    let kind = if path.join("toc.dat").is_file() {
        DumpKind::PostgresDirectory
    } else if std::fs::read_dir(path)
        .map_err(|e| unreadable(shown, &e))?
        .filter_map(Result::ok)
        .any(|e| e.file_name().to_string_lossy().ends_with(".manifest"))
    {
        DumpKind::RedisAof
    } else {
        let message = format!("{shown} is a directory, and no dump of one");
        return Err(Problem::new(ProblemKind::Unsupported, message).help(
            "`pg_dump -Fd` writes a `toc.dat`, Redis a `.manifest` into its appendonlydir; \
             any other directory is a `--directory`",
        ));
    };
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut names: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(|e| unreadable(shown, &e))?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    names.sort();
    for name in names {
        let file = name.file_name().unwrap_or_default();
        hasher.update(file.as_encoded_bytes());
        hasher.update([0]);
        let read = File::open(&name).and_then(|mut f| {
            let meta = f.metadata()?;
            bytes += meta.len();
            hasher.update(meta.len().to_be_bytes());
            io::copy(&mut f, &mut Writer(&mut hasher))
        });
        read.map_err(|e| unreadable(&name.display().to_string(), &e))?;
    }
    Ok(Dump {
        path: path.to_owned(),
        shown: shown.to_owned(),
        name: "dump".to_owned(),
        kind,
        digest: Digest::finish(hasher).to_string(),
        bytes,
        gzip: false,
        is_tar: false,
        cluster: false,
        server_major: None,
        roles: Vec::new(),
    })
}

/// What is seen of a text.
#[derive(Debug, Default)]
struct Seen {
    first: String,
    begin: String,
    end: String,
    roles: BTreeSet<String>,
}

fn lines(from: impl Read) -> io::Result<Seen> {
    let mut from = BufReader::with_capacity(1 << 18, from);
    let mut seen = Seen::default();
    let mut line = Vec::new();
    let mut end: Vec<u8> = Vec::new();
    let mut in_rows = false;
    loop {
        line.clear();
        let n = (&mut from)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if n == 0 {
            break;
        }
        let whole = line.ends_with(b"\n");
        if !whole {
            skip_line(&mut from)?;
        }
        end.extend_from_slice(&line);
        if end.len() > 2 * TAIL {
            end.drain(..end.len() - TAIL);
        }
        if in_rows {
            in_rows = line.strip_suffix(b"\n") != Some(b"\\.");
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        if seen.first.trim().is_empty() {
            seen.first.clone_from(&text.clone().into_owned());
        }
        if seen.begin.len() < TAIL {
            seen.begin.push_str(&text);
        }
        in_rows = text.starts_with("COPY ") && text.trim_end().ends_with("FROM stdin;");
        seen.roles.extend(role_in(&text));
    }
    seen.end = String::from_utf8_lossy(&end).into_owned();
    Ok(seen)
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (used, ended) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        from.consume(used);
        if ended {
            return Ok(());
        }
    }
}

/// Roles that the statements of a dump name.
pub fn roles_in(text: &str) -> Vec<String> {
    let all: BTreeSet<String> = text.lines().flat_map(role_in).collect();
    all.into_iter().collect()
}

fn role_in(line: &str) -> Option<String> {
    let line = line.trim_end();
    let after = if line.starts_with("ALTER ") {
        line.split(" OWNER TO ").nth(1)
    } else if line.starts_with("GRANT ") || line.starts_with("ALTER DEFAULT PRIVILEGES") {
        line.rsplit_once(" TO ").map(|(_, role)| role)
    } else if line.starts_with("REVOKE ") {
        line.rsplit_once(" FROM ").map(|(_, role)| role)
    } else if line.starts_with("CREATE SCHEMA ") {
        line.split(" AUTHORIZATION ").nth(1)
    } else {
        None
    }?;
    let name = after
        .trim_end_matches(';')
        .trim_end_matches(" WITH GRANT OPTION");
    let name = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None if name.contains(' ') => return None,
        None => name.to_owned(),
    };
    let none = ["PUBLIC", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", ""];
    (!none.contains(&name.as_str())).then_some(name)
}

struct Writer<'h>(&'h mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < into.len() {
        match from.read(&mut into[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

fn unreadable(shown: &str, e: &io::Error) -> Problem {
    let message = format!("cannot read {shown}: {}", io_reason(e));
    Problem::new(ProblemKind::MissingFile, message)
}

fn broken(shown: &str, why: &str) -> Problem {
    Problem::new(
        ProblemKind::InvalidValue,
        format!("{shown} is no whole dump: {why}"),
    )
    .help("it may be truncated or corrupt: copy it again and compare its checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> Result<Dump, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        recognise(&path, name).map_err(|p| p.message)
    }

    const PLAIN: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.14 (Debian)\n\
        ALTER TABLE public.a OWNER TO shop;\nGRANT SELECT ON TABLE public.a TO \"re\"\"porter\";\n\
        GRANT ALL ON SCHEMA public TO PUBLIC;\nCOPY public.a (x) FROM stdin;\n\
        ALTER TABLE x OWNER TO nobody;\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

    #[test]
    fn plain_dumps_say_whose_they_are() {
        let dump = of("a.sql", PLAIN.as_bytes()).unwrap();
        assert_eq!(
            (dump.kind, dump.server_major),
            (DumpKind::PlainSql, Some(15))
        );
        assert_eq!(dump.roles, ["re\"porter", "shop"]);
        assert_eq!(dump.digest, Digest::of(PLAIN.as_bytes()).to_string());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, PLAIN.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let dump = of("a.sql.gz", &packed).unwrap();
        assert!(dump.gzip && dump.server_major == Some(15));
        assert!(
            of("cut.gz", &packed[..packed.len() - 20])
                .unwrap_err()
                .contains("unpacked")
        );
    }

    #[test]
    fn parts_of_dumps_are_refused() {
        let cut = of("a.sql", &PLAIN.as_bytes()[..300]).unwrap_err();
        assert!(
            cut.contains("ends without `-- PostgreSQL database dump complete`"),
            "{cut}"
        );
        assert!(
            of("a", b"-- MySQL dump 10.13\nINSERT")
                .unwrap_err()
                .contains("Dump completed")
        );
        assert!(
            of("a", b"REDIS0011xxxxxxxxxxxx")
                .unwrap_err()
                .contains("mark of its end")
        );
        assert!(of("a", b"").unwrap_err().contains("empty"));
        assert!(
            of("a", b"hello\n")
                .unwrap_err()
                .contains("no dump that is known")
        );
    }

    #[test]
    fn other_formats_are_known_by_their_begin() {
        let kind = |bytes: &[u8]| of("x", bytes).unwrap().kind;
        assert_eq!(kind(b"PGDMP\x01"), DumpKind::PostgresArchive);
        assert_eq!(
            kind(b"-- MariaDB dump 10\n-- Dump completed\n"),
            DumpKind::MySql
        );
        assert_eq!(kind(b"REDIS0011\xff12345678"), DumpKind::RedisRdb);
        assert_eq!(
            kind(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"),
            DumpKind::RedisAof
        );
        assert_eq!(
            kind(b"{\"rabbit_version\": \"3.10\"}"),
            DumpKind::RabbitDefinitions
        );
    }
}
