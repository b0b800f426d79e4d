//! Where bundles come from: a file, or an address.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::io_reason;

use crate::cmd::Session;

/// How long nothing may come.
const IDLE: Duration = Duration::from_secs(30);
/// The most that is fetched, in bytes: images and data included.
const MOST: u64 = 64 << 30;

/// A bundle on this disk.
pub enum Fetched {
    /// It was here.
    Here(PathBuf),
    /// It was fetched, and goes with this value.
    Temporary(tempfile::NamedTempFile),
}

impl Fetched {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Here(path) => path,
            Self::Temporary(file) => file.path(),
        }
    }
}

/// What messages and reports call it: an address without what may be a secret.
pub fn shown(from: &str) -> String {
    match is_address(from) {
        true => without_password(from),
        false => from.to_owned(),
    }
}

fn is_address(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

/// Gets the bundle that the command line names.
///
/// # Errors
/// It is not there, or does not come.
pub async fn fetch(session: &Session, from: &str) -> Result<Fetched, Problem> {
    if !is_address(from) {
        return Ok(Fetched::Here(session.context.cwd.join(from)));
    }
    let failed = |why: String| {
        let text = format!("cannot fetch {}: {why}", without_password(from));
        Problem::new(ProblemKind::MissingFile, text)
            .help("fetch it in another way and name the file")
    };
    // The HTTP client takes the process's provider, and panics without one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .read_timeout(IDLE)
        .connect_timeout(IDLE)
        .build();
    let client = client.map_err(|e| failed(e.to_string()))?;
    let answer = client.get(from).send().await;
    let mut answer = answer.map_err(|e| failed(reason(&e)))?;
    if !answer.status().is_success() {
        return Err(failed(format!("the answer is {}", answer.status())));
    }
    let too_large = || failed(format!("it is larger than {MOST} bytes"));
    // Told before any of it is fetched, when the server says so.
    if answer.content_length().is_some_and(|size| size > MOST) {
        return Err(too_large());
    }
    let cannot = |e: &std::io::Error| failed(format!("cannot write it down: {}", io_reason(e)));
    let mut file = tempfile::NamedTempFile::new().map_err(|e| cannot(&e))?;
    let mut size = 0;
    while let Some(piece) = answer.chunk().await.map_err(|e| failed(reason(&e)))? {
        size += piece.len() as u64;
        if size > MOST {
            return Err(too_large());
        }
        file.write_all(&piece).map_err(|e| cannot(&e))?;
    }
    file.flush().map_err(|e| cannot(&e))?;
    Ok(Fetched::Temporary(file))
}

fn reason(e: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = e;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// An address without what may be a secret: user and password, and the query.
fn without_password(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or(address);
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}/{path}")
        }
        None => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_may_be_secret_is_not_shown() {
        let shown = super::without_password("https://me:s3cret@ci.example/a/b.bundle?token=abc");
        assert_eq!(shown, "https://ci.example/a/b.bundle");
        assert_eq!(super::shown("a?b#c@d.bundle"), "a?b#c@d.bundle");
    }
}
