//! Builds the agent, a static Linux program, and puts it into the tool.
//!
//! - `PRODMIRROR_AGENT_LINUX_AMD64`, `PRODMIRROR_AGENT_LINUX_ARM64`: ready programs to take instead.
//! - `PRODMIRROR_AGENT=skip`: none is built; a tool without an agent says so when it needs it.
//!
//! Without these the agent is built for this machine's architecture when it runs Linux.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const SKIP: &str = "PRODMIRROR_AGENT";

/// Architectures in the engine's words and in the compiler's.
const PLATFORMS: [(&str, &str); 2] = [("amd64", "x86_64"), ("arm64", "aarch64")];

/// What cargo tells a build script and must not tell another cargo.
const KEPT: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_TERM_",
];

fn main() {
    let manifest_dir = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(var("OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={SKIP}");
    let mut table = String::from("static PROGRAMS: &[Program] = &[\n");
    for (arch, compiler_arch) in PLATFORMS {
        let ready = format!("PRODMIRROR_AGENT_LINUX_{}", arch.to_uppercase());
        println!("cargo:rerun-if-env-changed={ready}");
        let program = match env::var_os(&ready) {
            Some(path) => {
                println!("cargo:rerun-if-changed={}", path.display());
                Some(PathBuf::from(path))
            }
            None if wanted_here(compiler_arch) => Some(build(&manifest_dir, &out, compiler_arch)),
            None => None,
        };
        if let Some(program) = program {
            embed(arch, &program, &out, &mut table);
        }
    }
    table.push_str("];\n");
    write(&out.join("agent_programs.rs"), table.as_bytes());
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Whether the agent for this architecture can be built on this machine.
fn wanted_here(compiler_arch: &str) -> bool {
    let skipped = env::var_os(SKIP).is_some_and(|value| value == "skip");
    !skipped && env::consts::OS == "linux" && env::consts::ARCH == compiler_arch
}

/// Builds the agent by a cargo of its own; gives the program's path.
fn build(manifest_dir: &Path, out: &Path, compiler_arch: &str) -> PathBuf {
    let workspace = manifest_dir.join("../..");
    for watched in ["runner/agent/src", "runner/agent/Cargo.toml", "Cargo.lock"] {
        println!(
            "cargo:rerun-if-changed={}",
            workspace.join(watched).display()
        );
    }
    // Beside the profiles, so that check, debug and release builds share what is the same in them.
    let target_dir = out.ancestors().nth(4).unwrap_or(out).join("agent-build");
    let profile = if var("PROFILE") == "release" {
        "agent"
    } else {
        "agent-dev"
    };
    let triple = format!("{compiler_arch}-unknown-linux-gnu");
    let mut arguments = vec![
        "build",
        "--package",
        "prodmirror-agent",
        "--bin",
        "prodmirror-agent",
    ];
    arguments.extend(["--profile", profile, "--target", &triple, "--locked"]);
    let run = |offline: bool| {
        let mut command = Command::new(var("CARGO"));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let kept = KEPT.iter().any(|kept| text.starts_with(kept));
            if text.starts_with("CARGO") && !kept || text == "RUSTC_WORKSPACE_WRAPPER" {
                command.env_remove(&name);
            }
        }
        command
            .current_dir(&workspace)
            .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .args(&arguments)
            .arg("--target-dir")
            .arg(&target_dir)
            .args(offline.then_some("--offline"))
            .output()
            .unwrap_or_else(|error| panic!("cargo could not be started for the agent: {error}"))
    };
    // Offline first: it saves looking at the index. On a machine that has not fetched the
    // agent's own dependencies yet, the second attempt does.
    let built = Some(run(true))
        .filter(|built| built.status.success())
        .unwrap_or_else(|| run(false));
    assert!(
        built.status.success(),
        "the agent could not be built:\n{}\n({SKIP}=skip leaves it out)",
        String::from_utf8_lossy(&built.stderr)
    );
    target_dir
        .join(triple)
        .join(profile)
        .join("prodmirror-agent")
}

/// Writes the program, compressed, beside a table that includes it.
fn embed(arch: &str, program: &Path, out: &Path, table: &mut String) {
    let bytes = fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let hash = Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    let level = if var("PROFILE") == "release" {
        Compression::best()
    } else {
        Compression::fast()
    };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let compressed = compressed.unwrap_or_else(|error| panic!("compressing the agent: {error}"));
    let name = format!("agent-linux-{arch}.gz");
    write(&out.join(&name), &compressed);
    let length = bytes.len();
    let _ = writeln!(
        table,
        "    Program {{ arch: {arch:?}, hash: {hash:?}, length: {length}, \
         gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\")) }},"
    );
}
