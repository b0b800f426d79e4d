//! A web server with pages for every case, and servers that behave badly.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Default)]
struct State {
    counts: Mutex<HashMap<String, u32>>,
    connections: Mutex<u32>,
}

/// Starts the server; it ends with the test.
pub async fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(State::default());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            *state.connections.lock().unwrap() += 1;
            let state = state.clone();
            tokio::spawn(async move {
                let pages = service_fn(move |r| page(state.clone(), r));
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), pages)
                    .await;
            });
        }
    });
    address
}

/// The same server with TLS; HTTP/2 where it is agreed on.
pub async fn secure_site(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let state = Arc::new(State::default());
    listens(move |stream| {
        let (state, config) = (state.clone(), config.clone());
        async move {
            *state.connections.lock().unwrap() += 1;
            let acceptor = tokio_rustls::TlsAcceptor::from(config);
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let pages = service_fn(move |r| page(state.clone(), r));
            if http2 {
                let executor = hyper_util::rt::TokioExecutor::new();
                let _ = hyper::server::conn::http2::Builder::new(executor)
                    .serve_connection(TokioIo::new(stream), pages)
                    .await;
            } else {
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), pages)
                    .await;
            }
        }
    })
    .await
}

async fn page(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let of = |status: u16| Response::builder().status(status);
    let json = |status: u16, v: serde_json::Value| {
        of(status)
            .header("content-type", "application/json")
            .body(Full::from(v.to_string()))
            .unwrap()
    };
    Ok(match parts.as_slice() {
        ["status", n] => json(n.parse().unwrap(), json!({"status": n})),
        ["echo"] => {
            let method = request.method().to_string();
            let version = format!("{:?}", request.version());
            let headers: serde_json::Map<String, serde_json::Value> = request
                .headers()
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_str().unwrap_or("?").into()))
                .collect();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body).into_owned();
            json(
                200,
                json!({"method": method, "query": query, "headers": headers, "body": text, "version": version}),
            )
        }
        ["redirect"] => {
            let status = query.get("status").map_or(302, |s| s.parse().unwrap());
            of(status)
                .header("location", &query["to"])
                .body(Full::default())
                .unwrap()
        }
        ["login"] => of(204)
            .header("set-cookie", "session=abc; Path=/")
            .header("set-cookie", "other=1; Path=/elsewhere")
            .body(Full::default())
            .unwrap(),
        ["gzip"] => {
            let mut z = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            z.write_all(br#"{"packed":true}"#).unwrap();
            of(200)
                .header("content-encoding", "gzip")
                .body(Full::from(z.finish().unwrap()))
                .unwrap()
        }
        ["encoded", how] => {
            let text = br#"{"packed":true}"#;
            let level = flate2::Compression::default();
            let (name, body) = match *how {
                "zlib" => {
                    let mut z = flate2::write::ZlibEncoder::new(Vec::new(), level);
                    z.write_all(text).unwrap();
                    ("deflate", z.finish().unwrap())
                }
                "raw" => {
                    let mut z = flate2::write::DeflateEncoder::new(Vec::new(), level);
                    z.write_all(text).unwrap();
                    ("deflate", z.finish().unwrap())
                }
                "twice" => {
                    let mut z = flate2::write::ZlibEncoder::new(Vec::new(), level);
                    z.write_all(text).unwrap();
                    let mut g = flate2::write::GzEncoder::new(Vec::new(), level);
                    g.write_all(&z.finish().unwrap()).unwrap();
                    ("deflate, gzip", g.finish().unwrap())
                }
                "bomb" => {
                    let mut z = flate2::write::GzEncoder::new(Vec::new(), level);
                    z.write_all(&vec![b'x'; 17 << 20]).unwrap();
                    ("gzip", z.finish().unwrap())
                }
                "broken" => ("gzip", b"no gzip".to_vec()),
                "br" => ("br", bytes(BROTLI)),
                "brbomb" => ("br", bytes(BROTLI_BOMB)),
                "brbroken" => ("br", b"no brotli".to_vec()),
                "brcut" => ("br", bytes(BROTLI)[..10].to_vec()),
                "zstd" => ("zstd", bytes(ZSTD)),
                "zstdframes" => ("zstd", ZSTD_FRAMES.map(bytes).concat()),
                "zstdbomb" => ("zstd", bytes(&zstd_bomb())),
                "zstdbroken" => ("zstd", b"no zstd, but of some length".to_vec()),
                "zstdcut" => ("zstd", bytes(ZSTD)[..20].to_vec()),
                _ => ("compress", text.to_vec()),
            };
            of(200)
                .header("content-encoding", name)
                .body(Full::from(body))
                .unwrap()
        }
        // Takes what it is sent apart.
        ["graphql"] => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if asked["query"].as_str().unwrap().contains("bad") {
                json(
                    200,
                    json!({"data": null, "errors": [{"message": "no field `bad`"}]}),
                )
            } else {
                json(200, json!({"data": {"asked": asked}}))
            }
        }
        // Says what a packed body was.
        ["unpack"] => {
            let encoding = request.headers().get("content-encoding").cloned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text)
                .unwrap();
            let encoding = encoding.map(|e| e.to_str().unwrap().to_owned());
            json(
                200,
                json!({"encoding": encoding, "body": text, "wire": body.len()}),
            )
        }
        ["slow", ms] => {
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
            json(200, json!({"slow": true}))
        }
        ["big", mib] => of(200)
            .body(Full::from(vec![b'x'; mib.parse::<usize>().unwrap() << 20]))
            .unwrap(),
        ["binary"] => of(200).body(Full::from(vec![0, 159, 146, 150])).unwrap(),
        ["html"] => of(200)
            .header("content-type", "text/html")
            .body(Full::from("<p>Hello</p>"))
            .unwrap(),
        // Fails until it was asked often enough.
        ["ready", name, after] => {
            let n = count(&state, name);
            let status = if n >= after.parse().unwrap() {
                200
            } else {
                503
            };
            json(status, json!({"asked": n}))
        }
        ["count", name] => json(200, json!({"count": count(&state, name)})),
        ["connections"] => json(
            200,
            json!({"connections": *state.connections.lock().unwrap()}),
        ),
        // Sells the last item: looks, thinks, takes. Two at once both see it.
        ["stock", name] => {
            let left = *state
                .counts
                .lock()
                .unwrap()
                .entry((*name).to_owned())
                .or_insert(0);
            json(200, json!({"left": i64::from(left)}))
        }
        ["restock", name] => {
            state.counts.lock().unwrap().insert((*name).to_owned(), 1);
            json(200, json!({}))
        }
        ["buy", name, how] => {
            let left = *state.counts.lock().unwrap().get(*name).unwrap_or(&0);
            if left == 0 {
                return Ok(json(409, json!({"sold": false})));
            }
            if *how == "carelessly" {
                tokio::time::sleep(Duration::from_millis(5)).await;
                state
                    .counts
                    .lock()
                    .unwrap()
                    .insert((*name).to_owned(), left - 1);
            } else {
                let mut counts = state.counts.lock().unwrap();
                match counts.get_mut(*name) {
                    Some(n) if *n > 0 => *n -= 1,
                    _ => return Ok(json(409, json!({"sold": false}))),
                }
            }
            json(201, json!({"sold": true, "id": "o-1"}))
        }
        _ => json(
            200,
            json!({
                "id": 7, "total": 12.5, "code": "200", "name": "Ann",
                "items": [{"sku": "A1", "qty": 1}, {"sku": "B2", "qty": 2}]
            }),
        ),
    })
}

fn count(state: &State, name: &str) -> u32 {
    let mut counts = state.counts.lock().unwrap();
    let n = counts.entry(name.to_owned()).or_insert(0);
    *n += 1;
    *n
}

/// A server that answers every connection with these bytes and closes it.
pub async fn answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1024];
            if !bytes.is_empty() {
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(bytes).await;
            }
        }
    });
    address
}

/// A server that does the same with every connection.
pub async fn listens<F>(with: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(with(stream));
        }
    });
    address
}

/// A server that sends a body without an end.
pub async fn endless() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let chunk = [b'x'; 65536];
                while stream.write_all(&chunk).await.is_ok() {}
            });
        }
    });
    address
}

/// A port on which nobody listens.
pub async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// `{"packed":true}`, as the tools of Brotli and Zstandard pack it.
const BROTLI: &str = "CweAeyJwYWNrZWQiOnRydWV9Aw==";
const ZSTD: &str = "KLUv/SQPeQAAeyJwYWNrZWQiOnRydWV92TN4Hw==";
/// The same in two frames.
const ZSTD_FRAMES: [&str; 2] = [
    "KLUv/QRYUQAAeyJwYWNrZWQiOj/Tvx0=",
    "KLUv/QRYKQAAdHJ1ZX3lOrwP",
];
/// 17 MiB of one letter.
const BROTLI_BOMB: &str = "y///P/gl8OKxQCD3/o///3/wSwDEYRGA7v1f/f8/fgmAOCwA0L1/AA==";

fn zstd_bomb() -> String {
    format!(
        "KLUv/YBoAAAQAUwAAAh4AQD8/zkQAg{}IAEHgCABB4AwAQeA==",
        "IAEHgCABB4AgAQeA".repeat(44)
    )
}

fn bytes(base64: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap()
}
