//! The question of a readiness check, asked as an orchestrator asks it: of the address of the
//! service itself, without verifying certificates.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prodmirror_agent::wire::Ask;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tunnel;

/// How much of an answer is shown.
const SHOWN: usize = 512;
/// How much of an answer is read.
const MOST: usize = 64 * 1024;
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: [u8; 2] = [8, 1];

/// Asks a question; gives what was answered, or why that is no success.
pub async fn run(question: &Ask) -> io::Result<String> {
    match question {
        Ask::Tcp { port, host } => {
            connect(host, *port).await?;
            Ok(String::new())
        }
        Ask::Http {
            port,
            path,
            tls,
            host,
            headers,
        } => {
            let stream = connect(host, *port).await?;
            let peer = stream.peer_addr()?;
            let authority = format!("{}:{port}", peer.ip());
            let request = http_request(path, &authority, headers)?;
            let response = if *tls {
                let name = ServerName::IpAddress(peer.ip().into());
                exchange(connector()?.connect(name, stream).await?, request).await?
            } else {
                exchange(stream, request).await?
            };
            judge(response).await
        }
        Ask::Grpc { port, service } => grpc(connect("", *port).await?, service).await,
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    match host {
        "" => {
            let stream = TcpStream::connect((own_address(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        host => tunnel::connect(&format!("{host}:{port}")).await,
    }
}

/// The address of this network namespace: what others reach it by.
pub fn own_address() -> IpAddr {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let found = hosts.lines().rev().find_map(|line| {
        let word = line.split_whitespace().next()?;
        let address: Ipv4Addr = word.parse().ok()?;
        (!address.is_loopback()).then_some(address)
    });
    IpAddr::V4(found.unwrap_or(Ipv4Addr::LOCALHOST))
}

fn http_request(
    path: &str,
    authority: &str,
    headers: &[String],
) -> io::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(path)
        .header("host", authority)
        .header("user-agent", "kube-probe/1.33")
        .header("accept", "*/*")
        .header("connection", "close")
        .body(Empty::new())
        .map_err(io::Error::other)?;
    for header in headers {
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        let name: hyper::header::HeaderName = name.trim().parse().map_err(io::Error::other)?;
        let value = value.trim().parse().map_err(io::Error::other)?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> io::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http1::handshake(io).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

async fn judge(response: Response<Incoming>) -> io::Result<String> {
    let status = response.status().as_u16();
    if (200..400).contains(&status) {
        return Ok(status.to_string());
    }
    let body = http_body_util::Limited::new(response.into_body(), MOST);
    let body = body.collect().await.map(|b| b.to_bytes());
    let text = body.unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned();
    Err(io::Error::other(format!(
        "status {status}: {}",
        text.trim()
    )))
}

async fn grpc(stream: TcpStream, service: &str) -> io::Result<String> {
    let authority = stream.peer_addr()?.to_string();
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::post(format!("http://{authority}{HEALTH_CHECK}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.33")
        .body(Full::new(Bytes::from(question(service)?)))
        .map_err(io::Error::other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let early = grpc_status(response.headers());
    let body = http_body_util::Limited::new(response.into_body(), MOST);
    let body = body.collect().await.map_err(io::Error::other)?;
    let status = body.trailers().and_then(grpc_status).or(early);
    match status.as_deref() {
        None | Some("0") => {}
        Some(code) => return Err(io::Error::other(format!("gRPC status {code}"))),
    }
    let bytes = body.to_bytes();
    // One message: a flag, four bytes of length, and the status as field 1.
    match bytes.get(5..7) {
        Some(status) if status == SERVING => Ok("SERVING".to_owned()),
        other => Err(io::Error::other(format!("it is not SERVING ({other:?})"))),
    }
}

fn grpc_status(headers: &hyper::HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?.to_str().ok()?;
    Some(status.to_owned())
}

/// A `HealthCheckRequest` as one message of gRPC.
fn question(service: &str) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if !service.is_empty() {
        let length = u8::try_from(service.len()).ok().filter(|l| *l < 128);
        let length = length.ok_or_else(|| io::Error::other("the service's name is too long"))?;
        message.extend([0x0a, length]);
        message.extend(service.as_bytes());
    }
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = vec![0];
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    Ok(framed)
}

fn connector() -> io::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes every certificate, as the kubelet does: it asks a process that it has started itself.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_health_check_is_one_message() {
        assert_eq!(question("").unwrap(), [0, 0, 0, 0, 0]);
        assert_eq!(
            question("ab").unwrap(),
            [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']
        );
        assert!(question(&"x".repeat(200)).is_err());
    }

    async fn answering(answer: &'static str) -> (Ask, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let question = Ask::Http {
            port,
            path: "/ready?x=1".into(),
            tls: false,
            host: "127.0.0.1".into(),
            headers: vec!["Host: shop.example".into(), "X-Probe: yes".into()],
        };
        (question, served)
    }

    #[tokio::test]
    async fn statuses_from_200_to_399_are_successes() {
        for (answer, good) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            (
                "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", false),
        ] {
            let (question, served) = answering(answer).await;
            let got = run(&question).await;
            assert_eq!(got.is_ok(), good, "{answer}: {got:?}");
            let asked = served.await.unwrap();
            assert!(asked.starts_with("GET /ready?x=1 HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("host: shop.example\r\n"), "{asked}");
            assert!(asked.contains("x-probe: yes\r\n"), "{asked}");
        }
    }
}
