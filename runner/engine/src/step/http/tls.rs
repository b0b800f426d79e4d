//! TLS with the stack's own certificate authority.

use std::fmt;
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::yaml::Spanned;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use serde::Deserialize;
use tokio_rustls::client::TlsStream;

use crate::step::files;
use crate::step::world::Connection;

/// A certificate with its chain, and its key, as PEM.
type CertAndKey = (Arc<[u8]>, Arc<[u8]>);

/// What a connection trusts beside the stack's own authority, and who it is itself. The
/// bytes are PEM.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(in crate::step) struct Trust {
    /// Authorities.
    pub ca: Option<Arc<[u8]>>,
    /// A certificate with its chain, and the key to it.
    pub client: Option<CertAndKey>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key is never shown.
        f.debug_struct("Trust")
            .field("ca", &self.ca.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}

/// `client_cert: { cert, key }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::step) struct ClientCert {
    cert: Spanned<String>,
    key: Spanned<String>,
}

impl Trust {
    /// Reads the files that a step names. `Ok(None)`: it names none, or there is nothing
    /// beside the scenario.
    pub fn read(
        ca: Option<&Spanned<String>>,
        client: Option<&ClientCert>,
    ) -> Result<Option<Arc<Self>>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut file = |name: &Spanned<String>| -> Option<Arc<[u8]>> {
            files::read_now(name, &name.span)
                .unwrap_or_else(|p| {
                    problems.push(p);
                    None
                })
                .map(Arc::from)
        };
        let trust = Self {
            ca: ca.and_then(&mut file),
            client: client.and_then(|c| file(&c.cert).zip(file(&c.key))),
        };
        if problems.is_empty() {
            problems.extend(trust.problems(ca, client));
        }
        match problems.is_empty() {
            false => Err(problems),
            true => Ok((trust != Self::default()).then(|| Arc::new(trust))),
        }
    }

    /// What is wrong with the files.
    fn problems(
        &self,
        ca: Option<&Spanned<String>>,
        client: Option<&ClientCert>,
    ) -> Option<Problem> {
        let bad = |at: &Spanned<String>, what: String| {
            Problem::at(
                ProblemKind::InvalidValue,
                &at.span,
                format!("{}: {what}", at.value),
            )
        };
        if let (Some(at), Some(pem)) = (ca, &self.ca)
            && let Err(what) = certificates(pem)
        {
            return Some(bad(at, what));
        }
        let (Some(at), Some((cert, key))) = (client, &self.client) else {
            return None;
        };
        let chain = match certificates(cert) {
            Ok(chain) => chain,
            Err(what) => return Some(bad(&at.cert, what)),
        };
        let key = match private_key(key) {
            Ok(key) => key,
            Err(what) => return Some(bad(&at.key, what)),
        };
        let built = builder().and_then(|b| {
            b.with_root_certificates(RootCertStore::empty())
                .with_client_auth_cert(chain, key)
                .map_err(key_words)
        });
        built.err().map(|what| bad(&at.key, what))
    }
}

fn key_words(e: rustls::Error) -> String {
    match e {
        rustls::Error::InconsistentKeys(_) => {
            "the key does not belong to the certificate".to_owned()
        }
        e => format!("the key cannot be used: {e}"),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("not valid PEM: {e}"))?;
    if all.is_empty() {
        return Err("no certificate in it; it must be PEM (`-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(all)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let encrypted = pem.windows(9).any(|w| w == b"ENCRYPTED");
        if encrypted {
            "the key is encrypted; take the password off it (`openssl pkey`)".to_owned()
        } else {
            "no key in it; it must be PEM (`-----BEGIN PRIVATE KEY-----`)".to_owned()
        }
    })
}

/// Application protocols, as TLS names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::step) enum Alpn {
    /// HTTP/2 where the server has it.
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())
}

/// The authorities that are trusted.
fn store(roots: &[Vec<u8>], trust: Option<&Trust>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let more = match trust.and_then(|t| t.ca.as_deref()) {
        Some(pem) => certificates(pem)?,
        None => Vec::new(),
    };
    let own = roots.iter().map(|der| CertificateDer::from(der.clone()));
    for certificate in own.chain(more) {
        store.add(certificate).map_err(|e| e.to_string())?;
    }
    Ok(store)
}

/// A configuration that trusts the given certificates and nothing else: no public authority
/// can be reached from a stack.
pub(in crate::step) fn config(
    verify: bool,
    alpn: Alpn,
    roots: &[Vec<u8>],
    trust: Option<&Trust>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = builder()?;
    let builder = if verify {
        builder.with_root_certificates(store(roots, trust)?)
    } else {
        let anyone = Anyone(Arc::new(ring::default_provider()));
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anyone))
    };
    let mut config = match trust.and_then(|t| t.client.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(key_words)?,
    };
    let protocols: &[&[u8]] = match alpn {
        Alpn::Any => &[b"h2", b"http/1.1"],
        Alpn::Http1 => &[b"http/1.1"],
        Alpn::Http2 => &[b"h2"],
    };
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Speaks TLS on a connection.
pub(in crate::step) async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    stream: Connection,
) -> Result<TlsStream<Connection>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` cannot be the name of a certificate"))?;
    tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|e| format!("TLS with {host} failed: {}", in_words(&e)))
}

/// Whether HTTP/2 was agreed on.
pub(in crate::step) fn is_http2(stream: &TlsStream<Connection>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Why there is no TLS, and what to do about it.
fn in_words(e: &std::io::Error) -> String {
    let rustls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let Some(e) = rustls else {
        return match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                "the connection was closed in the middle of the handshake".to_owned()
            }
            _ => e.to_string(),
        };
    };
    match e {
        rustls::Error::InvalidCertificate(c) => certificate_words(c, e),
        rustls::Error::AlertReceived(alert) => alert_words(&format!("{alert:?}")),
        rustls::Error::InvalidMessage(_) => {
            format!("what answers there does not speak TLS ({e})")
        }
        rustls::Error::NoApplicationProtocol => {
            "the server has none of the protocols that were offered (ALPN)".to_owned()
        }
        other => other.to_string(),
    }
}

fn certificate_words(c: &CertificateError, e: &rustls::Error) -> String {
    match c {
        CertificateError::UnknownIssuer => {
            "the certificate is from an authority that is not trusted; \
             `ca: file.pem` trusts one beside the mirror's own, `verify: false` takes any"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate is for other names: {}",
            presented.join(", ")
        ),
        CertificateError::NotValidForName => "the certificate is for other names".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate has expired ({e})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate is not valid yet ({e})")
        }
        CertificateError::BadSignature => {
            "the certificate names an authority that is trusted, but another one of the same name \
             signed it"
                .to_owned()
        }
        _ => e.to_string(),
    }
}

/// What the server's refusal means; alerts are known by their names.
fn alert_words(alert: &str) -> String {
    let told = match alert {
        "CertificateRequired" => {
            "the server wants a certificate of its clients: `client_cert: { cert: …, key: … }`"
        }
        "UnknownCA"
        | "BadCertificate"
        | "CertificateUnknown"
        | "UnsupportedCertificate"
        | "CertificateExpired"
        | "CertificateRevoked"
        | "DecryptError" => "the server does not take the client's certificate",
        "HandshakeFailure" => {
            "the server refused the handshake: no common version or cipher, or it wants a \
             certificate of its clients (`client_cert`)"
        }
        "NoApplicationProtocol" => "the server does not speak the HTTP version that was asked for",
        "UnrecognisedName" => "the server has no certificate for this name",
        "ProtocolVersion" => "the server wants another version of TLS",
        other => return format!("the server refused it ({other})"),
    };
    format!("{told} ({alert})")
}

/// The words for an error that came after the handshake, when it is one of TLS: a server
/// that wants a certificate says so only then. Libraries in between keep no more than its
/// text.
pub(in crate::step) fn late_words(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    const ALERT: &str = "received fatal alert: ";
    let mut source = Some(error);
    while let Some(e) = source {
        let text = e.to_string();
        if let Some(at) = text.find(ALERT) {
            let rest = &text[at + ALERT.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
            return Some(alert_words(&rest[..end.unwrap_or(rest.len())]));
        }
        source = e.source();
    }
    None
}

/// The words for an error of a client library, when it is one of TLS.
#[cfg(feature = "nats")]
pub(in crate::step) fn words(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut source = Some(error);
    while let Some(e) = source {
        let io = e.downcast_ref::<std::io::Error>();
        if let Some(io) = io.filter(|io| io.get_ref().is_some_and(|e| e.is::<rustls::Error>())) {
            return Some(in_words(io));
        }
        source = e.source();
    }
    late_words(error)
}

/// Speaks TLS on a connection, for protocols other than HTTP.
pub(in crate::step) async fn open(
    verify: bool,
    roots: &[Vec<u8>],
    host: &str,
    stream: Connection,
) -> Result<Connection, String> {
    let mut config = (*config(verify, Alpn::Http1, roots, None)?).clone();
    config.alpn_protocols.clear();
    Ok(Box::new(connect(Arc::new(config), host, stream).await?))
}

/// Takes any certificate, for steps with `verify: false`.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A configuration for client libraries that connect to an address: the certificate must be
/// that of the host.
#[cfg(feature = "nats")]
pub(in crate::step) fn config_of_host(
    verify: bool,
    roots: &[Vec<u8>],
    trust: Option<&Trust>,
    host: &str,
) -> Result<ClientConfig, String> {
    let mut config = (*config(verify, Alpn::Http1, roots, trust)?).clone();
    config.alpn_protocols.clear();
    if !verify {
        return Ok(config);
    }
    let store = store(roots, trust)?;
    // Where nobody is trusted, no certificate comes as far as its name.
    if store.is_empty() {
        return Ok(config);
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` cannot be the name of a certificate"))?;
    let inner = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(store),
        Arc::new(ring::default_provider()),
    )
    .build()
    .map_err(|e| e.to_string())?;
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(Named { name, inner }));
    Ok(config)
}

/// Looks for a name in certificates, whatever the address was that was connected to.
#[cfg(feature = "nats")]
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    inner: Arc<rustls::client::WebPkiServerVerifier>,
}

#[cfg(feature = "nats")]
impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = &self.name;
        self.inner
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
