//! A file of a service, read whole.

use std::io::Read;

use futures_util::StreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};

use super::stack::LiveStack;

/// Bytes of a file at most.
const LARGEST: usize = 256 << 20;
/// What an archive holds beside the file.
const AROUND: usize = 1 << 20;
/// Links that are followed.
const LINKS: usize = 8;

/// A file of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFile {
    /// Where it stands, links followed.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What stands at a path.
enum Found {
    File(Vec<u8>),
    Link(String),
    Other,
}

impl LiveStack {
    /// A file of a service's first container; nothing where there is none.
    ///
    /// # Errors
    /// Unknown service, a path that is no file, a file that is too large.
    pub async fn read_file(
        &self,
        service: &str,
        path: &str,
    ) -> Result<Option<ServiceFile>, Problem> {
        let doing = format!("read {path} of `{service}`");
        let fail = |kind, why: &str| Problem::new(kind, format!("could not {doing}: {why}"));
        let container = self.containers(service)?.into_iter().next();
        let Some(id) = container.filter(|id| !id.is_empty()) else {
            return Err(fail(ProblemKind::Start, "it does not run"));
        };
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let mut archive = Vec::new();
            let mut pieces = std::pin::pin!(self.engine().get_archive(&id, &path));
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(p) if archive.len() + p.len() > LARGEST + AROUND => {
                        let why = format!("it has more than {} MiB", LARGEST >> 20);
                        return Err(fail(ProblemKind::TooLarge, &why));
                    }
                    Ok(p) => archive.extend_from_slice(&p),
                    Err(e) if e.is_missing() => return Ok(None),
                    Err(e) => return Err(e.problem(doing)),
                }
            }
            match first(archive) {
                Ok(Found::File(bytes)) => return Ok(Some(ServiceFile { path, bytes })),
                Ok(Found::Link(to)) => path = beside(&path, &to),
                Ok(Found::Other) => return Err(fail(ProblemKind::WrongType, "it is no file")),
                Err(e) => return Err(fail(ProblemKind::Engine, &e.to_string())),
            }
        }
        Err(fail(ProblemKind::Cycle, "its links lead nowhere"))
    }
}

/// The first entry of an archive.
fn first(archive: Vec<u8>) -> std::io::Result<Found> {
    let mut reader = tar::Archive::new(&archive[..]);
    let Some(entry) = reader.entries()?.next() else {
        return Ok(Found::Other);
    };
    let mut entry = entry?;
    let kind = entry.header().entry_type();
    if kind.is_symlink() {
        let link = entry.link_name_bytes().unwrap_or_default();
        return Ok(Found::Link(String::from_utf8_lossy(&link).into_owned()));
    }
    if !kind.is_file() {
        return Ok(Found::Other);
    }
    let size = usize::try_from(entry.size())
        .unwrap_or(0)
        .min(archive.len());
    let mut bytes = Vec::with_capacity(size);
    entry.read_to_end(&mut bytes)?;
    Ok(Found::File(bytes))
}

/// Where a link at `path` leads.
fn beside(path: &str, to: &str) -> String {
    match path.rsplit_once('/') {
        Some((dir, _)) if !to.starts_with('/') => format!("{dir}/{to}"),
        _ => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_where_they_stand() {
        assert_eq!(beside("/data/app.db", "real.db"), "/data/real.db");
        assert_eq!(beside("/data/app.db", "/x"), "/x");
        assert_eq!(beside("/app.db", "x"), "/x");
    }

    #[test]
    fn what_is_no_archive_is_an_error_or_nothing() {
        assert!(matches!(first(Vec::new()), Ok(Found::Other)));
        assert!(first(b"not an archive".repeat(100)).is_err());
    }
}
