//! Readers of files that tell versions: one line for each kind.

mod java;
mod packages;
mod system;

use prodmirror_model::compare::Fingerprint;

use super::archive::{File, Head};
use super::elf;

/// A reader of one kind of file.
pub struct Reader {
    /// Whether it wants a file, by its path and size.
    pub wants: fn(Head<'_>) -> bool,
    /// Larger files are not read.
    pub limit: u64,
    /// Whether it wants programs only.
    pub elf: bool,
    /// Reads it.
    pub read: fn(&File<'_>, &mut Fingerprint),
}

const TEXT: u64 = 8 << 20;
const PROGRAM: u64 = 192 << 20;

macro_rules! readers {
    ($($wants:expr, $limit:expr, $elf:literal, $read:path;)*) => {
        &[$(Reader { wants: $wants, limit: $limit, elf: $elf, read: $read }),*]
    };
}

/// All readers.
pub static READERS: &[Reader] = readers! {
    |h| matches!(h.path, "etc/os-release" | "usr/lib/os-release"), TEXT, false, system::os_release;
    |h| h.path == "etc/debian_version", TEXT, false, system::debian_version;
    |h| h.path == "etc/passwd", TEXT, false, system::passwd;
    |h| h.path == "etc/timezone", TEXT, false, system::timezone;
    |h| h.path == "etc/localtime", TEXT, false, system::localtime;
    |h| matches!(h.path, "etc/default/locale" | "etc/locale.conf"), TEXT, false, system::locale;
    |h| system::CA_BUNDLES.contains(&h.path), TEXT, false, system::ca_bundle;
    |h| h.path == "var/lib/dpkg/status" || dpkg_part(h), 64 << 20, false, packages::dpkg;
    |h| matches!(h.path, "lib/apk/db/installed" | "usr/lib/apk/db/installed"), 64 << 20, false, packages::apk;
    |h| python_metadata(h), TEXT, false, packages::python;
    |h| packages::is_npm(h.path), TEXT, false, packages::npm;
    |h| h.path.ends_with("vendor/composer/installed.json"), 32 << 20, false, packages::composer;
    |h| h.path.ends_with("/patchlevel.h"), TEXT, false, system::python_version;
    |h| h.path.ends_with("/node_version.h"), TEXT, false, system::node_version;
    |h| h.path.ends_with("/php_version.h"), TEXT, false, system::php_version;
    |h| h.name() == "release", 64 << 10, false, java::release;
    |h| h.name().ends_with(".jar"), PROGRAM, false, java::jar;
    |h| system::is_libc(h.name()), PROGRAM, true, system::libc;
    |h| h.name().starts_with("libcrypto.so"), PROGRAM, true, system::openssl;
    |h| is_program(h), PROGRAM, true, programs;
};

/// Distroless images keep one file for each package.
fn dpkg_part(h: Head<'_>) -> bool {
    h.path.starts_with("var/lib/dpkg/status.d/") && !h.path.ends_with(".md5sums")
}

fn python_metadata(h: Head<'_>) -> bool {
    h.path.ends_with(".dist-info/METADATA")
        || h.path.ends_with(".egg-info/PKG-INFO")
        || (h.path.ends_with(".egg-info") && h.path.contains("-packages/"))
}

/// Programs of Go and Rust are larger than what systems are made of.
fn is_program(h: Head<'_>) -> bool {
    h.executable && h.size >= 300 << 10 && !h.name().contains(".so")
}

fn programs(file: &File<'_>, found: &mut Fingerprint) {
    elf::go(file.path, file.bytes, found);
    elf::rust(file.bytes, found);
    elf::rust_compiler(file.bytes, found);
}

/// What the path of a file alone tells.
pub fn name(path: &str, found: &mut Fingerprint) {
    packages::gem(path, found);
    system::by_name(path, found);
}

/// What a symbolic link tells.
pub fn link(path: &str, target: &str, found: &mut Fingerprint) {
    system::link(path, target, found);
}

/// What only the whole tells.
pub fn finish(found: &mut Fingerprint) {
    packages::finish(found);
}
