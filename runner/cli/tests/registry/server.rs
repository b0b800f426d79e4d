//! Registries of a test: Debian's `docker-registry` on a free port, ended with the test.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// User and password of registries that want a login.
pub const LOGIN: (&str, &str) = ("ann", "an-unlikely-password-7Qx2");

/// A running registry.
pub struct Registry {
    child: Child,
    /// Host and port, as references begin.
    pub at: String,
    dir: tempfile::TempDir,
    trusted: Option<PathBuf>,
}

impl Registry {
    /// One that anybody may use, without TLS.
    pub fn open() -> Self {
        Self::start(IpAddr::from([127, 0, 0, 1]), false)
    }

    /// One with a login and a certificate that nobody trusts yet.
    pub fn closed(address: IpAddr) -> Self {
        Self::start(address, true)
    }

    fn start(address: IpAddr, closed: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((address, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let shown = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: {address}:{port}\n",
            shown("data")
        );
        if closed {
            certificate(dir.path(), address);
            let users = Command::new("htpasswd")
                .args(["-Bbn", LOGIN.0, LOGIN.1])
                .output()
                .unwrap();
            std::fs::write(dir.path().join("users"), users.stdout).unwrap();
            config.push_str(&format!(
                "  tls: {{certificate: {}, key: {}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                shown("server.crt"),
                shown("server.key"),
                shown("users")
            ));
        }
        let path = dir.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            at: format!("{address}:{port}"),
            dir,
            trusted: None,
        };
        let begun = Instant::now();
        while TcpStream::connect((address, port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the registry did not start"
            );
            std::thread::yield_now();
        }
        registry
    }

    /// Lets the engine of this host trust its certificate, until the registry is dropped.
    pub fn trust(&mut self) {
        let dir = Path::new("/etc/docker/certs.d").join(&self.at);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(self.dir.path().join("ca.crt"), dir.join("ca.crt")).unwrap();
        self.trusted = Some(dir);
    }

    /// Puts a manifest or an index under a tag; gives its digest. Without TLS.
    pub fn put(&self, repository: &str, tag: &str, (media_type, body): (&str, &str)) -> String {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let request = format!(
            "PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.at,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let digest = answer
            .lines()
            .find_map(|l| l.strip_prefix("Docker-Content-Digest: "));
        digest.unwrap().to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(dir) = &self.trusted {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// An authority, and a certificate of it for an address.
fn certificate(dir: &Path, address: IpAddr) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec![address.to_string()]).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let server = server.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.crt", authority_certificate.pem()),
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}
