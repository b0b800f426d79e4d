use std::io::Write as _;

use super::archive::read;
use super::*;

struct Image(tar::Builder<Vec<u8>>);

impl Image {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        let mut head = tar::Header::new_gnu();
        head.set_size(bytes.len() as u64);
        head.set_mode(mode);
        head.set_cksum();
        self.0.append_data(&mut head, path, bytes).unwrap();
        self
    }

    fn text(self, path: &str, text: &str) -> Self {
        self.file(path, 0o644, text.as_bytes())
    }

    fn link(mut self, path: &str, to: &str) -> Self {
        let mut head = tar::Header::new_gnu();
        head.set_entry_type(tar::EntryType::Symlink);
        head.set_size(0);
        self.0.append_link(&mut head, path, to).unwrap();
        self
    }

    fn read(self) -> Fingerprint {
        self.read_within(Limits::default())
    }

    fn read_within(self, limits: Limits) -> Fingerprint {
        self.asked_for(&[], limits)
    }

    fn asked_for(self, paths: &[&str], limits: Limits) -> Fingerprint {
        let paths = paths.iter().map(|p| (*p).to_owned()).collect();
        read(self.0.into_inner().unwrap().as_slice(), limits, &paths).unwrap()
    }
}

#[test]
fn a_debian_system() {
    let found = Image::new()
        .text("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
        .text("etc/debian_version", "12.5\n")
        .text("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/false\nbad\n")
        .text("var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: python3.11\nStatus: install ok installed\nVersion: 3.11.2-6\n")
        .text("var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12.4\n")
        .text("etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n")
        .text("etc/default/locale", "LANG=\"de_DE.UTF-8\"\n")
        .link("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
        .read();
    assert_eq!(found.facts["os"], "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(found.facts["debian"], "12.5");
    assert_eq!(found.facts["libc"], "glibc 2.36-9");
    assert_eq!(found.facts["time zone"], "Europe/Berlin");
    assert_eq!(found.facts["locale"], "de_DE.UTF-8");
    assert!(found.facts["ca bundle"].starts_with("2 certificates, sha256 "));
    assert_eq!(found.users["app"], 1000);
    assert_eq!(found.runtimes["python"], "3.11.2-6");
    assert_eq!(
        found.packages["deb"].keys().collect::<Vec<_>>(),
        ["base-files", "libc6", "python3.11"]
    );
}

#[test]
fn paths_that_are_asked_for() {
    let image = || {
        Image::new()
            .text("srv/app/main.py", "")
            .link("var/run", "/run")
            .link("srv/current", "app")
    };
    let ask = [
        "/srv/app",
        "/srv/app/main.py",
        "/srv/app/main.p",
        "/srv/ap",
        "/srv/rates/",
        "/srv/current",
        "/var/run/x",
        "/",
    ];
    let found = image().asked_for(&ask, Limits::default());
    let paths: Vec<(&str, bool)> = found.paths.iter().map(|(p, t)| (p.as_str(), *t)).collect();
    assert_eq!(
        paths,
        [
            ("/", true),
            ("/srv/ap", false),
            ("/srv/app", true),
            ("/srv/app/main.p", false),
            ("/srv/app/main.py", true),
            ("/srv/current", true),
            ("/srv/rates/", false),
        ]
    );
    let few = Limits {
        entries: 1,
        ..Limits::default()
    };
    assert!(image().asked_for(&ask, few).paths.is_empty());
}

#[test]
fn an_alpine_system() {
    let found = Image::new()
        .text(
            "lib/apk/db/installed",
            "P:musl\nV:1.2.4-r2\n\nP:libssl3\nV:3.1.4-r5\n",
        )
        .file("lib/ld-musl-x86_64.so.1", 0o755, b"\x7fELF")
        .read();
    assert_eq!(found.facts["libc"], "musl 1.2.4-r2");
    assert_eq!(found.facts["openssl"], "3.1.4-r5");
}

#[test]
fn packages_of_languages() {
    let found = Image::new()
        .text("usr/lib/python3/dist-packages/Flask_X-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Flask_X\nVersion: 2.0\n\nVersion: 9\n")
        .text("usr/local/include/python3.11/patchlevel.h", "#define PY_VERSION      \t\"3.11.4\"\n#define PY_VERSION_HEX 1\n")
        .text("app/node_modules/a/package.json", "{\"name\":\"a\",\"version\":\"1.0.0\"}")
        .text("app/node_modules/a/node_modules/@s/b/package.json", "{\"name\":\"@s/b\",\"version\":\"2.0.0\"}")
        .text("app/node_modules/a/test/package.json", "{\"name\":\"no\",\"version\":\"1\"}")
        .text("app/node_modules/c/package.json", "{ no json")
        .text("usr/include/node/node_version.h", "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 11\n#define NODE_PATCH_VERSION 1\n")
        .text("app/vendor/composer/installed.json", "{\"packages\":[{\"name\":\"p/q\",\"version\":\"v1\"}]}")
        .text("usr/lib/ruby/gems/3.1.0/specifications/net-http-0.3.gemspec", "")
        .text("opt/java/release", "JAVA_VERSION=\"17.0.9\"\n")
        .file("app/lib/guava-31.1-jre.jar", 0o644, b"PK")
        .file("app/app.jar", 0o644, &jar("Manifest-Version: 1.0\r\nImplementation-Version: 4.2\r\n"))
        .read();
    assert_eq!(found.packages["python"]["flask-x"], "2.0");
    assert_eq!(found.runtimes["python"], "3.11.4");
    assert_eq!(found.packages["npm"].len(), 2);
    assert_eq!(found.packages["npm"]["@s/b"], "2.0.0");
    assert_eq!(found.runtimes["node"], "20.11.1");
    assert_eq!(found.packages["composer"]["p/q"], "v1");
    assert_eq!(found.packages["gem"]["net-http"], "0.3");
    assert_eq!(found.runtimes["java"], "17.0.9");
    assert_eq!(found.packages["java"]["guava"], "31.1-jre");
    assert_eq!(found.packages["java"]["app"], "4.2");
}

/// A zip archive of one deflated manifest.
fn jar(manifest: &str) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(manifest.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let name = b"META-INF/MANIFEST.MF";
    let le = |n: usize, width: usize| n.to_le_bytes()[..width].to_vec();
    let sizes = [
        le(packed.len(), 4),
        le(manifest.len(), 4),
        le(name.len(), 2),
        le(0, 2),
    ]
    .concat();
    let local = [
        b"PK\x03\x04".to_vec(),
        le(20, 2),
        le(0, 2),
        le(8, 2),
        le(0, 8),
        sizes.clone(),
        name.to_vec(),
        packed,
    ]
    .concat();
    let central = [
        b"PK\x01\x02".to_vec(),
        le(20, 2),
        le(20, 2),
        le(0, 2),
        le(8, 2),
        le(0, 8),
        sizes,
        le(0, 2),
        le(0, 2),
        le(0, 2),
        le(0, 4),
        le(0, 4),
        name.to_vec(),
    ]
    .concat();
    let end = [
        b"PK\x05\x06".to_vec(),
        le(0, 4),
        le(1, 2),
        le(1, 2),
        le(central.len(), 4),
        le(local.len(), 4),
        le(0, 2),
    ]
    .concat();
    [local, central, end].concat()
}

fn go_program(modules: &str) -> Vec<u8> {
    let counted = |b: &[u8]| {
        let (mut n, mut out) = (b.len(), Vec::new());
        loop {
            let more = n > 0x7f;
            out.push((n & 0x7f) as u8 | if more { 0x80 } else { 0 });
            n >>= 7;
            if !more {
                break;
            }
        }
        [out, b.to_vec()].concat()
    };
    let marked = [&[0x30; 16], modules.as_bytes(), &[0xf9; 16]].concat();
    let mut out = b"\x7fELF".to_vec();
    out.resize(400 << 10, 0);
    // A mention of the mark that is no build information comes first.
    out.extend(b"\xff Go buildinf:\x08\x00");
    out.resize(out.len() + 32, 0);
    out.extend(b"\xff Go buildinf:\x08\x02");
    out.resize(out.len() + 16, 0);
    out.extend(counted(b"go1.21.5"));
    out.extend(counted(&marked));
    out
}

#[test]
fn programs_of_go() {
    let modules = "path\texample.test/app\nmod\texample.test/app\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.3\th1:x\ndep\tgithub.com/c/d\tv0.1.0\n=>\tgithub.com/e/d\tv0.2.0\th1:y\nbuild\tvcs.revision=0123456789abcdef\n";
    let program = go_program(modules);
    let found = Image::new()
        .file("app", 0o755, &program)
        .file("data", 0o644, &program)
        .read();
    let go = &found.packages["go"];
    assert_eq!(go["go (toolchain)"], "1.21.5");
    assert_eq!(go["github.com/a/b"], "v1.2.3");
    assert_eq!(go["github.com/c/d"], "v0.2.0 (github.com/e/d)");
    assert_eq!(go["app (revision)"], "0123456789ab");
}

/// An ELF file of these sections, large enough to be taken for a program.
fn elf(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let le = |n: usize, width: usize| {
        let mut bytes = n.to_le_bytes().to_vec();
        bytes.resize(width, 0);
        bytes
    };
    let mut names = b"\0".to_vec();
    let (mut body, mut heads) = (vec![0; 400 << 10], vec![0; 64]);
    let mut add = |name: &str, bytes: &[u8], names: &mut Vec<u8>| {
        let head = [
            le(names.len(), 4),
            le(0, 20),
            le(64 + body.len(), 8),
            le(bytes.len(), 8),
            le(0, 24),
        ];
        heads.extend(head.concat());
        names.extend(name.as_bytes());
        names.push(0);
        body.extend(bytes);
    };
    for (name, bytes) in sections {
        add(name, bytes, &mut names);
    }
    let all = [names.as_slice(), b".shstrtab\0"].concat();
    add(".shstrtab", &all, &mut names);
    let count = sections.len() + 2;
    let head = [
        b"\x7fELF\x02\x01".to_vec(),
        le(0, 34),
        le(64 + body.len(), 8),
        le(0, 10),
        le(64, 2),
        le(count, 2),
        le(count - 1, 2),
    ];
    [head.concat(), body, heads].concat()
}

#[test]
fn programs_of_rust() {
    let list =
        r#"{"packages":[{"name":"serde","version":"1.0.0"},{"name":"serde","version":"0.9.0"}]}"#;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(list.as_bytes()).unwrap();
    let program = elf(&[
        (".dep-v0", packed.finish().unwrap()),
        (
            ".comment",
            b"GCC: 12\0rustc version 1.90.0 (abc 2025-09-14)\0".to_vec(),
        ),
    ]);
    let found = Image::new().file("usr/bin/me", 0o755, &program).read();
    let rust = &found.packages["rust"];
    assert_eq!(rust["serde"], "0.9.0, 1.0.0");
    assert_eq!(rust["rustc"], "1.90.0");
}

#[test]
fn limits_hold_and_are_told() {
    let big = vec![b'x'; 1 << 20];
    let limits = Limits {
        file: 1000,
        ..Limits::default()
    };
    let found = Image::new()
        .file("etc/passwd", 0o644, &big)
        .text("etc/timezone", "UTC\n")
        .read_within(limits);
    assert_eq!(found.facts["time zone"], "UTC");
    assert_eq!(found.left_out, ["1 files that are too large"]);
    let limits = Limits {
        entries: 1,
        ..Limits::default()
    };
    let found = Image::new()
        .text("a", "")
        .text("etc/timezone", "UTC\n")
        .read_within(limits);
    assert!(found.facts.is_empty() && found.left_out.len() == 1);
}

#[test]
fn damaged_files_do_no_harm() {
    let mut program = go_program("dep\ta\tb\tc\n");
    program.truncate(program.len() - 20);
    let mut zip = jar("x");
    zip.truncate(zip.len() - 30);
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.resize(400 << 10, 0xff);
    let found = Image::new()
        .file("a", 0o755, &program)
        .file("b", 0o755, &elf)
        .file("c.jar", 0o644, &zip)
        .file("etc/passwd", 0o644, b"\xff\xfe:::\n")
        .file("etc/localtime", 0o644, b"TZif")
        .file("etc/os-release", 0o644, b"")
        .read();
    assert!(found.packages.is_empty(), "{:?}", found.packages);
    let whole = Image::new()
        .text("etc/timezone", "UTC\n")
        .0
        .into_inner()
        .unwrap();
    assert!(read(&whole[..700], Limits::default(), &BTreeSet::new()).is_err());
}
