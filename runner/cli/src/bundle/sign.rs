//! Signatures of bundles: Ed25519 over the manifest, which has the digests of all other entries.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_model::bundle::{MANIFEST, SIGNATURE};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;
use prodmirror_model::source::io_reason;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};

/// The largest key file and signature that is read, in bytes.
pub const LARGEST: u64 = 64 << 10;
/// What stands before the 32 bytes of an Ed25519 key in its public form (RFC 8410).
const BEFORE_KEY: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads the public keys of a PEM file: any of them will do.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn read_all(path: &Path, shown: &str) -> Result<Vec<Self>, Problem> {
        let text = read(path, shown)?;
        let wrong = |why: &str| {
            let text = format!("{shown} {why}");
            Problem::new(ProblemKind::InvalidValue, text)
                .help("`openssl pkey -in KEY.pem -pubout -out PUBLIC.pem` writes the public key")
        };
        if PrivatePkcs8KeyDer::from_pem_slice(&text).is_ok() {
            return Err(wrong("holds a private key, and the public one is wanted"));
        }
        let mut keys = Vec::new();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(&text) {
            let der = der.map_err(|e| wrong(&format!("is no PEM file: {e}")))?;
            let key = Self::of_der(&der);
            keys.push(key.ok_or_else(|| wrong("holds a public key that is none of Ed25519"))?);
        }
        if keys.is_empty() {
            return Err(wrong("holds no public key in PEM form"));
        }
        Ok(keys)
    }

    fn of_der(der: &[u8]) -> Option<Self> {
        let key = der.strip_prefix(&BEFORE_KEY)?;
        Some(Self(key.try_into().ok()?))
    }

    fn der(&self) -> Vec<u8> {
        [BEFORE_KEY.as_slice(), &self.0].concat()
    }

    /// The SHA-256 of its public form, by which people tell keys apart.
    pub fn fingerprint(&self) -> String {
        Digest::of(&self.der()).to_string()
    }
}

/// A private key.
#[derive(Debug)]
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// Reads a private key as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn read(path: &Path, shown: &str) -> Result<Self, Problem> {
        let text = read(path, shown)?;
        let wrong = |why: &str| {
            let text = format!("{shown} {why}: bundles cannot be signed with it");
            Problem::new(ProblemKind::InvalidValue, text)
                .help("`openssl genpkey -algorithm ed25519 -out KEY.pem` makes one")
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| {
            let is = |label: &str| {
                let begin = format!("-----BEGIN {label}-----");
                text.windows(begin.len()).any(|w| w == begin.as_bytes())
            };
            if is("ENCRYPTED PRIVATE KEY") {
                wrong("holds a private key with a passphrase, which cannot be asked for")
            } else if is("PUBLIC KEY") {
                wrong("holds a public key")
            } else {
                wrong("holds no private key in PEM form (PKCS#8)")
            }
        })?;
        // OpenSSL writes the private half alone, from which the other one is made.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self)
            .map_err(|_| wrong("holds a private key that is none of Ed25519"))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// The entry that signs a manifest. The same key and manifest give the same bytes.
    pub fn sign(&self, manifest: &[u8]) -> Vec<u8> {
        let entry = Entry {
            algorithm: "ed25519".to_owned(),
            key: STANDARD.encode(self.public().der()),
            signature: STANDARD.encode(self.0.sign(manifest)),
        };
        let mut text = serde_json::to_vec_pretty(&entry).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// What stands in [`SIGNATURE`].
#[derive(Serialize, Deserialize)]
struct Entry {
    algorithm: String,
    /// The public key that it holds by, in its public form, as base64.
    key: String,
    /// The 64 bytes of the signature, as base64.
    signature: String,
}

/// The key that signed a manifest: that the signature is of this key and of these bytes is seen
/// to; whose key it is, is another question.
///
/// # Errors
/// Why it is no signature of it, as the end of a sentence.
pub fn signed_by(manifest: &[u8], signature: &[u8]) -> Result<PublicKey, String> {
    let entry: Entry = serde_json::from_slice(signature)
        .map_err(|e| format!("its {SIGNATURE} cannot be read: {e}"))?;
    if entry.algorithm != "ed25519" {
        return Err(format!("its {SIGNATURE} is of another kind than ed25519"));
    }
    let key = STANDARD.decode(&entry.key).ok();
    let Some(key) = key.and_then(|der| PublicKey::of_der(&der)) else {
        return Err(format!("its {SIGNATURE} names no key"));
    };
    let signature = STANDARD.decode(&entry.signature).unwrap_or_default();
    let holds = UnparsedPublicKey::new(&ED25519, key.0).verify(manifest, &signature);
    match holds {
        Ok(()) => Ok(key),
        Err(_) => Err(format!(
            "its {SIGNATURE} is not one of its {MANIFEST}: one of them was changed"
        )),
    }
}

/// A key file.
fn read(path: &Path, shown: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(e) => {
            let text = format!("cannot read the key {shown}: {}", io_reason(&e));
            Err(Problem::new(ProblemKind::MissingFile, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn signer() -> Signer {
        Signer::read(file(PRIVATE).path(), "key.pem").unwrap()
    }

    #[test]
    fn a_signature_is_the_one_of_rfc_8032_and_tells_its_key() {
        let signer = signer();
        // The first test of section 7.1: of no bytes at all.
        let entry: Entry = serde_json::from_slice(&signer.sign(b"")).unwrap();
        let hex: String = STANDARD
            .decode(&entry.signature)
            .unwrap()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        let keys = PublicKey::read_all(file(PUBLIC).path(), "public.pem").unwrap();
        assert_eq!(keys, [signer.public()]);
        assert_eq!(signed_by(b"", &signer.sign(b"")).unwrap(), keys[0]);
        let two = file(&format!("{PUBLIC}{PUBLIC}"));
        assert_eq!(PublicKey::read_all(two.path(), "x").unwrap().len(), 2);
    }

    #[test]
    fn no_bit_of_either_may_change() {
        let signer = signer();
        let manifest = b"{\"format\": \"x\"}".as_slice();
        let entry = signer.sign(manifest);
        assert_eq!(signer.sign(manifest), entry);
        assert!(signed_by(manifest, &entry).is_ok());
        for at in 0..manifest.len() {
            for bit in 0..8 {
                let mut other = manifest.to_vec();
                other[at] ^= 1 << bit;
                assert!(signed_by(&other, &entry).is_err(), "byte {at}, bit {bit}");
            }
        }
        let parsed: Entry = serde_json::from_slice(&entry).unwrap();
        let (key, signature) = (
            STANDARD.decode(&parsed.key).unwrap(),
            STANDARD.decode(&parsed.signature).unwrap(),
        );
        let with = |key: &[u8], signature: &[u8]| {
            let text = serde_json::json!({
                "algorithm": "ed25519",
                "key": STANDARD.encode(key),
                "signature": STANDARD.encode(signature),
            });
            signed_by(manifest, text.to_string().as_bytes())
        };
        assert!(with(&key, &signature).is_ok());
        for at in 0..key.len() {
            let mut other = key.clone();
            other[at] ^= 1;
            assert!(with(&other, &signature).is_err(), "key, byte {at}");
        }
        for at in 0..signature.len() {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(with(&key, &other).is_err(), "signature, byte {at}");
        }
        for broken in [
            "",
            "{}",
            "null",
            "{\"algorithm\": \"none\", \"key\": \"\", \"signature\": \"\"}",
        ] {
            assert!(signed_by(manifest, broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(with(b"", b"").is_err());
    }

    #[test]
    fn other_files_are_no_keys_and_nothing_of_them_is_shown() {
        let rsa = "-----BEGIN PRIVATE KEY-----\nMIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEA\n-----END PRIVATE KEY-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBK\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (text, why) in [
            (PUBLIC, "holds a public key"),
            (rsa, "none of Ed25519"),
            (encrypted, "with a passphrase"),
            ("no key", "no private key in PEM form"),
            ("", "no private key in PEM form"),
        ] {
            let p = Signer::read(file(text).path(), "key.pem").unwrap_err();
            assert!(p.to_string().contains(why), "{p}");
            assert!(p.to_string().starts_with("key.pem holds"), "{p}");
        }
        let curve = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        for (text, why) in [
            (PRIVATE, "holds a private key"),
            (curve, "none of Ed25519"),
            ("no key", "no public key in PEM form"),
        ] {
            let p = PublicKey::read_all(file(text).path(), "public.pem").unwrap_err();
            assert!(p.to_string().contains(why), "{p}");
            assert!(!p.to_string().contains("MC4C"), "{p}");
        }
        let gone = Path::new("/no/such/file");
        assert!(
            Signer::read(gone, "x")
                .unwrap_err()
                .to_string()
                .starts_with("cannot read the key x")
        );
    }
}
