//! The agent: a static Linux program that travels inside the tool, and the image made of it.

mod ca;
mod image;
mod trust;

use std::io::Read;

use flate2::read::GzDecoder;
use prodmirror_model::diag::{Problem, ProblemKind};

pub use ca::RunCa;
pub use image::archive;
pub use prodmirror_agent::wire::PROGRAM_PATH;
pub use trust::{CA_PATH, trust};

/// Repository of the agent's image. It is loaded, never pulled.
const REPOSITORY: &str = "prodmirror/agent";

/// Digits of the program's hash in the image's tag.
const HASH_DIGITS: usize = 12;

/// One architecture's program.
struct Program {
    /// In the engine's words: `amd64`, `arm64`.
    arch: &'static str,
    /// SHA-256, hexadecimal.
    hash: &'static str,
    /// Bytes.
    length: usize,
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/agent_programs.rs"));

/// Name of the agent's image for an architecture (`amd64`, `arm64`): it changes with
/// every byte of the program.
///
/// # Errors
/// [`ProblemKind::Unsupported`] when this tool was built without that program.
pub fn image_tag(arch: &str) -> Result<String, Problem> {
    let program = find(arch)?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        "{REPOSITORY}:{version}-{}",
        &program.hash[..HASH_DIGITS]
    ))
}

/// The program itself, for an architecture.
///
/// # Errors
/// [`ProblemKind::Unsupported`] when this tool was built without it.
pub fn program(arch: &str) -> Result<Vec<u8>, Problem> {
    let program = find(arch)?;
    let mut bytes = Vec::with_capacity(program.length);
    GzDecoder::new(program.gzip)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let what = format!("the built-in agent for {arch} is damaged: {error}");
            Problem::new(ProblemKind::Unsupported, what).help("install prodmirror anew")
        })?;
    Ok(bytes)
}

fn find(arch: &str) -> Result<&'static Program, Problem> {
    PROGRAMS
        .iter()
        .find(|program| program.arch == arch)
        .ok_or_else(|| {
            let known: Vec<_> = PROGRAMS.iter().map(|program| program.arch).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let what =
                format!("this build of prodmirror has no agent for linux/{arch} (it has: {known})");
            let variable = format!("PRODMIRROR_AGENT_LINUX_{}", arch.to_uppercase());
            Problem::new(ProblemKind::Unsupported, what).help(format!(
                "build it on such a machine, or with {variable} set to the path of a static \
             prodmirror-agent, and without PRODMIRROR_AGENT=skip"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_architecture_is_named() {
        let problem = image_tag("riscv64").unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unsupported);
        assert!(problem.message.contains("linux/riscv64"), "{problem}");
    }

    #[test]
    fn each_program_is_whole() {
        for program in PROGRAMS {
            let bytes = super::program(program.arch).unwrap();
            assert_eq!(bytes.len(), program.length);
            assert_eq!(&bytes[..4], b"\x7fELF");
            let tag = image_tag(program.arch).unwrap();
            assert!(tag.ends_with(&program.hash[..12]), "{tag}");
        }
    }
}
