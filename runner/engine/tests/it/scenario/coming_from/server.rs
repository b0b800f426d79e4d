//! A server that gives the responses of a page's tables.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::table::{Answer, Row, Side};

/// Names of the servers with certificates.
const SECURE: [&str; 2] = ["gateway", "elsewhere"];

/// Where it listens; it ends with the test.
pub struct Server {
    pub plain: SocketAddr,
    pub secure: Vec<(String, SocketAddr)>,
}

struct Pages {
    rows: Vec<Row>,
    asked: Mutex<HashMap<String, u32>>,
}

impl Server {
    pub async fn start(rows: &[Row]) -> Self {
        let pages = Arc::new(Pages {
            rows: rows.to_vec(),
            asked: Mutex::default(),
        });
        let mut secure = Vec::new();
        for name in SECURE {
            let acceptor = acceptor(name);
            secure.push((name.to_owned(), listen(pages.clone(), Some(acceptor)).await));
        }
        Self {
            plain: listen(pages, None).await,
            secure,
        }
    }
}

/// One certificate is good for a hundred years, the other for a month.
fn acceptor(name: &str) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = match name {
        "gateway" => date_time_ymd(2124, 1, 1),
        _ => date_time_ymd(2024, 2, 1),
    };
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    )
    .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn listen(pages: Arc<Pages>, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (pages, tls) = (pages.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(pages, stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(pages, stream).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn serve(pages: Arc<Pages>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(move |r| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(r).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn of(status: u16) -> hyper::http::response::Builder {
    Response::builder().status(status)
}

impl Pages {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/ok" => {
                return of(200)
                    .header("content-type", "application/json")
                    .body(Full::from("{\"ok\": true}"))
                    .unwrap();
            }
            "/again" => {
                return of(302)
                    .header("location", "/ok")
                    .body(Full::default())
                    .unwrap();
            }
            _ => {}
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let found = match parts.as_slice() {
            [n, side, _tool] => n
                .parse()
                .ok()
                .and_then(|n: usize| self.rows.get(n))
                .map(|r| {
                    r.answer(if *side == "holds" {
                        Side::Holds
                    } else {
                        Side::Fails
                    })
                }),
            _ => None,
        };
        let Some(answer) = found.cloned() else {
            return of(404).body(Full::default()).unwrap();
        };
        tokio::time::sleep(answer.after).await;
        if answer.echo {
            return echo(request).await;
        }
        self.written(&path, &answer)
    }

    fn written(&self, path: &str, answer: &Answer) -> Response<Full<Bytes>> {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry(path.to_owned()).or_insert(0);
        *times += 1;
        let status = match answer.first {
            Some((n, status)) if *times <= n => status,
            _ => answer.status.unwrap_or(200),
        };
        let mut response = of(status);
        let has = |name: &str| {
            answer
                .headers
                .iter()
                .any(|(k, _)| k.eq_ignore_ascii_case(name))
        };
        if !answer.body.is_empty() && !has("content-type") {
            response = response.header("content-type", answer.kind());
        }
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        response.body(Full::from(answer.body.clone())).unwrap()
    }
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let headers: serde_json::Map<String, serde_json::Value> = request
        .headers()
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_str().unwrap_or("?").into()))
        .collect();
    let method = request.method().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let json = json!({"method": method, "query": query, "headers": headers, "body": text});
    of(200)
        .header("content-type", "application/json")
        .body(Full::from(json.to_string()))
        .unwrap()
}
