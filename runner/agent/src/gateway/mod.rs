//! Mode `gateway`: takes HTTP requests on port 80 and hands each to the service that its host
//! and path lead to, as an ingress controller does.

mod route;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use prodmirror_agent::wire::{Event, GATEWAY_PORT, GatewayRoute};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use self::route::Routes;
use crate::hold;
use crate::output::{Failure, emit, warn};
use crate::tunnel;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// Takes requests until the program is stopped. Each argument is a route in JSON.
pub async fn run(args: &[String]) -> Result<u8, Failure> {
    let read = |text: &String| {
        let route = serde_json::from_str::<GatewayRoute>(text).map_err(|e| e.to_string());
        route.map_err(|why| Failure::usage(format!("gateway: `{text}`: {why}")))
    };
    let routes = args.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let routes = Routes::new(routes).map_err(|why| Failure::usage(format!("gateway: {why}")))?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, GATEWAY_PORT));
    let listener = TcpListener::bind(any).await;
    let what = format!("port {GATEWAY_PORT} cannot be listened on");
    let listener = listener.map_err(|error| Failure::new(what, error))?;
    emit(&Event::ready("gateway"));
    let local = LocalSet::new();
    local.spawn_local(accept(listener, Rc::new(routes)));
    let ((), ended) = tokio::join!(local, hold::reap());
    ended
}

async fn accept(listener: TcpListener, routes: Rc<Routes>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => drop(spawn_local(connection(stream, from, Rc::clone(&routes)))),
            Err(error) => {
                warn("a connection could not be taken", error);
                // Out of descriptors, most likely: some have to be given back first.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, routes: Rc<Routes>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let routes = Rc::clone(&routes);
        async move { Ok::<_, Infallible>(answer(&routes, from, request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A client that goes away is no concern of anybody.
    let _ = serving.await;
}

fn told(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Either::Right(Full::from(format!("{text}\n"))));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

async fn answer(routes: &Routes, from: SocketAddr, mut request: Request<Incoming>) -> Answer {
    let host = host_of(&request);
    let Some((to, path)) = routes.find(&host, request.uri().path()) else {
        return told(StatusCode::NOT_FOUND, "default backend - 404");
    };
    let query = request.uri().query();
    let path = query.map_or(path.clone(), |q| format!("{path}?{q}"));
    match path.parse::<Uri>() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return told(StatusCode::BAD_REQUEST, "the path is none"),
    }
    mark(&mut request, from, &host);
    let to = to.to_owned();
    match passed_on(&to, request).await {
        Ok(answer) => answer,
        Err(why) => {
            warn(&format!("{to} gave no answer"), why);
            told(StatusCode::BAD_GATEWAY, "502 Bad Gateway")
        }
    }
}

/// The host that was called, without its port.
fn host_of(request: &Request<Incoming>) -> String {
    let named = request.headers().get(HOST).and_then(|h| h.to_str().ok());
    let host = request.uri().host().or(named).unwrap_or_default();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_port = port.bytes().all(|b| b.is_ascii_digit());
    if is_port { name } else { host }.to_ascii_lowercase()
}

/// Says who asks, as proxies do.
fn mark(request: &mut Request<Incoming>, from: SocketAddr, host: &str) {
    let headers = request.headers_mut();
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    // What a client says of itself is not believed.
    set(FORWARDED_FOR, from.ip().to_string());
    set(REAL_IP, from.ip().to_string());
    set(FORWARDED_PROTO, "http".to_owned());
    set(FORWARDED_HOST, host.to_owned());
}

/// Hands a request to a service and gives its answer. Where both agree to speak another
/// protocol from then on (web sockets), passes that on until one of them ends.
async fn passed_on(to: &str, mut request: Request<Incoming>) -> Result<Answer, String> {
    let text = |e: hyper::Error| e.to_string();
    let stream = tunnel::connect(to).await.map_err(|e| e.to_string())?;
    let client = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = client.map_err(text)?;
    spawn_local(async move {
        let _ = connection.with_upgrades().await;
    });
    let asked = request.headers().contains_key(UPGRADE);
    if !asked {
        // One request for each connection: nothing is kept open.
        request.headers_mut().remove(CONNECTION);
    }
    let ours = asked.then(|| hyper::upgrade::on(&mut request));
    let mut answer = sender.send_request(request).await.map_err(text)?;
    if let Some(ours) = ours.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
        let theirs = hyper::upgrade::on(&mut answer);
        spawn_local(async move {
            if let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) {
                let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
                let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
            }
        });
    }
    Ok(answer.map(Either::Left))
}
