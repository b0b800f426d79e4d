//! One HTTP GET, for reading a stub's requests and for tests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tunnel;

const ANSWER: Duration = Duration::from_secs(10);

/// Gets `url`; gives the status, a line's end and the body. Certificates are checked
/// against the PEM file `ca`, without which no https server is trusted.
pub async fn get(url: &str, ca: Option<&str>) -> io::Result<String> {
    let uri: hyper::Uri = url.parse().map_err(io::Error::other)?;
    let host = uri
        .host()
        .ok_or_else(|| io::Error::other("the URL has no host"))?
        .to_owned();
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let exchange = async {
        let stream = tunnel::connect(&format!("{host}:{port}")).await?;
        if !tls {
            return exchange(stream, &uri).await;
        }
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream = connector(ca)?.connect(name, stream).await?;
        exchange(stream, &uri).await
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    timeout(ANSWER, exchange).await.map_err(late)?
}

fn connector(ca: Option<&str>) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        let pem = std::fs::read(file)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots
                .add(certificate.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn exchange<S>(stream: S, uri: &hyper::Uri) -> io::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header("host", host)
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    Ok(format!(
        "{}\n{}",
        status.as_u16(),
        String::from_utf8_lossy(&body)
    ))
}
