//! A gRPC server in this process, by tonic: the same service as `images/grpc`, with messages
//! that are known by their descriptors only, and with server reflection.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Response, Status, Streaming};

/// Where the files of the service are.
pub fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images/grpc/proto")
}

/// What kind of server it is.
#[derive(Default, Clone)]
pub struct Kind {
    /// `v1`, `v1alpha`, or no reflection.
    pub reflection: Option<&'static str>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// A server that runs, and what it counts.
pub struct Served {
    pub address: SocketAddr,
    pub connections: Arc<AtomicU32>,
    /// Files that it was asked for by name.
    pub asked: Arc<AtomicU32>,
}

struct Shop {
    pool: DescriptorPool,
    reflection: DescriptorPool,
    kind: Kind,
    asked: Arc<AtomicU32>,
}

/// The protocol of reflection as its authors wrote it, apart from what is tested.
const REFLECTION: &str = r#"
syntax = "proto3";
package grpc.reflection.NAME;
message ServerReflectionRequest {
  string host = 1;
  oneof message_request {
    string file_by_filename = 3;
    string file_containing_symbol = 4;
    string list_services = 7;
  }
}
message ServerReflectionResponse {
  string valid_host = 1;
  ServerReflectionRequest original_request = 2;
  oneof message_response {
    FileDescriptorResponse file_descriptor_response = 4;
    ListServiceResponse list_services_response = 6;
    ErrorResponse error_response = 7;
  }
}
message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
message ListServiceResponse { repeated ServiceResponse service = 1; }
message ServiceResponse { string name = 1; }
message ErrorResponse { int32 error_code = 1; string error_message = 2; }
"#;

/// Starts the server; it ends with the test.
pub async fn serve(kind: Kind) -> Served {
    let mut compiler = protox::Compiler::new([proto()]).unwrap();
    compiler.include_imports(true);
    compiler.open_file("shop/orders.proto").unwrap();
    let name = kind.reflection.unwrap_or("v1");
    let file = protox::file::File::from_source("r.proto", &REFLECTION.replace("NAME", name));
    let mut reflection = DescriptorPool::new();
    reflection
        .add_file_descriptor_proto(file.unwrap().file_descriptor_proto().clone())
        .unwrap();
    let served = Served {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        connections: Arc::default(),
        asked: Arc::default(),
    };
    let shop = Arc::new(Shop {
        pool: compiler.descriptor_pool(),
        reflection,
        asked: served.asked.clone(),
        kind,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = served.connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(speak(shop.clone(), stream));
        }
    });
    Served { address, ..served }
}

async fn speak(shop: Arc<Shop>, stream: tokio::net::TcpStream) {
    let tls = shop.kind.tls.clone();
    let service = service_fn(move |request| answered(shop.clone(), request));
    let builder = http2::Builder::new(TokioExecutor::new());
    match tls {
        None => drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        ),
        Some(config) => {
            let acceptor = tokio_rustls::TlsAcceptor::from(config);
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        }
    }
}

type Answer = Result<hyper::Response<tonic::body::Body>, std::convert::Infallible>;

fn answered(shop: Arc<Shop>, request: hyper::Request<Incoming>) -> BoxFuture<'static, Answer> {
    async move { Ok(shop.answer(request).await) }.boxed()
}

type Calls = Request<Streaming<DynamicMessage>>;
type Answered = BoxFuture<'static, Result<Response<Sent>, Status>>;
type Sent = BoxStream<'static, Result<DynamicMessage, Status>>;

impl Shop {
    async fn answer(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
    ) -> hyper::Response<tonic::body::Body> {
        let path = request.uri().path().to_owned();
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
        let own = format!(
            "grpc.reflection.{}.ServerReflection",
            self.kind.reflection.unwrap_or("none")
        );
        let (input, output) = if service == own {
            let of = |name: &str| {
                let name = format!("{}.{name}", own.rsplit_once('.').unwrap().0);
                self.reflection.get_message_by_name(&name).unwrap()
            };
            (
                of("ServerReflectionRequest"),
                of("ServerReflectionResponse"),
            )
        } else {
            let found = self.pool.get_service_by_name(service);
            let Some(method) = found.and_then(|s| s.methods().find(|m| m.name() == method)) else {
                return Status::unimplemented(format!("no {path}")).into_http();
            };
            (method.input(), method.output())
        };
        let method = method.to_owned();
        let codec = Dynamic(input);
        let handler = Handler(Box::new(move |request| {
            let (shop, method, output) = (self.clone(), method.clone(), output.clone());
            async move { shop.call(&method, output, request).await }.boxed()
        }));
        tonic::server::Grpc::new(codec)
            .streaming(handler, request)
            .await
    }

    async fn call(
        self: Arc<Self>,
        method: &str,
        output: MessageDescriptor,
        request: Calls,
    ) -> Result<Response<Sent>, Status> {
        let make = move |value: Json| DynamicMessage::deserialize(output.clone(), value).unwrap();
        let meta = request.metadata().clone();
        let mut requests = request.into_inner();
        let ok = |sent: Sent| Ok(Response::new(sent));
        let one = |m: DynamicMessage| stream::iter([Ok(m)]).boxed();
        match method {
            "ServerReflectionInfo" => {
                let shop = self.clone();
                let answers = requests.map(move |asked| {
                    Ok(make(shop.reflect(&serde_json::to_value(asked?).unwrap())))
                });
                ok(answers.boxed())
            }
            "Create" => {
                let asked = whole(&mut requests).await?;
                let units = asked["priceEach"]["units"].as_str().unwrap_or("0");
                let total = units.parse::<i64>().unwrap() * asked["qty"].as_i64().unwrap_or(0);
                let order = json!({
                    "id": "9007199254740993", "sku": asked["sku"], "qty": asked["qty"],
                    "state": "STATE_NEW", "createdAt": "2024-02-29T10:00:00Z",
                    "total": {"currency": asked["priceEach"]["currency"], "units": total.to_string()},
                    "labels": asked["labels"],
                });
                let mut response = Response::new(one(make(order)));
                if let Some(value) = meta.get("x-request") {
                    response.metadata_mut().insert("x-request", value.clone());
                }
                Ok(response)
            }
            "Get" => {
                let asked = whole(&mut requests).await?;
                match asked["id"].as_str().unwrap_or("0") {
                    "0" => std::future::pending().await,
                    // Nobody describes this detail.
                    id => Err(Status::with_details(
                        tonic::Code::NotFound,
                        format!("there is no order {id} (für Ann)"),
                        Bytes::from_static(b"\x1a\x0c\x0a\x06x/a.Ab\x12\x02\x01\xff"),
                    )),
                }
            }
            "List" => {
                let asked = whole(&mut requests).await?;
                let count = asked["count"].as_i64().unwrap_or(0);
                let orders = stream::iter(0..count)
                    .map(move |n| Ok(make(json!({"id": n.to_string(), "sku": format!("S{n}")}))));
                if count == 3 {
                    let lost = Err(Status::data_loss("the rest is lost"));
                    return ok(orders.chain(stream::iter([lost])).boxed());
                }
                ok(orders.boxed())
            }
            "Import" => {
                let mut skus = Vec::new();
                while let Some(asked) = requests.message().await? {
                    skus.push(serde_json::to_value(asked).unwrap()["sku"].clone());
                }
                ok(one(make(json!({"count": skus.len(), "skus": skus}))))
            }
            "Chat" => {
                let answers = requests.map(move |note| {
                    let note = serde_json::to_value(note?).unwrap();
                    let text = note["text"].as_str().unwrap_or_default().to_uppercase();
                    let number = note["number"].as_i64().unwrap_or(0) + 1;
                    Ok(make(json!({"text": text, "number": number})))
                });
                ok(answers.boxed())
            }
            "Watch" => {
                let ticks = stream::iter(0..).then(move |n| {
                    let note = make(json!({"text": "tick", "number": n}));
                    async move {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        Ok(note)
                    }
                });
                ok(ticks.boxed())
            }
            "Echo" => {
                let asked = requests.message().await?.unwrap();
                ok(one(asked))
            }
            other => Err(Status::unimplemented(other)),
        }
    }

    /// One answer of reflection: only the file that was asked for, never what it imports.
    fn reflect(&self, asked: &Json) -> Json {
        let file = |file: Option<prost_reflect::FileDescriptor>| match file {
            Some(file) => {
                use base64::Engine;
                let bytes = file.file_descriptor_proto().encode_to_vec();
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                json!({"fileDescriptorResponse": {"fileDescriptorProto": [text]}})
            }
            None => json!({"errorResponse": {"errorCode": 5, "errorMessage": "not found"}}),
        };
        if let Some(symbol) = asked["fileContainingSymbol"].as_str() {
            let service = self.pool.get_service_by_name(symbol);
            let message = || self.pool.get_message_by_name(symbol);
            let found = service.map(|s| s.parent_file());
            return file(found.or_else(|| message().map(|m| m.parent_file())));
        }
        if let Some(name) = asked["fileByFilename"].as_str() {
            self.asked.fetch_add(1, Ordering::Relaxed);
            // Those of Google are for the client to know.
            let known = !name.starts_with("google/");
            return file(self.pool.get_file_by_name(name).filter(|_| known));
        }
        let names: Vec<Json> = self
            .pool
            .services()
            .map(|s| json!({"name": s.full_name()}))
            .collect();
        json!({"listServicesResponse": {"service": names}})
    }
}

async fn whole(requests: &mut Streaming<DynamicMessage>) -> Result<Json, Status> {
    let message = requests.message().await?;
    let message = message.ok_or_else(|| Status::invalid_argument("no message"))?;
    Ok(serde_json::to_value(message).unwrap())
}

struct Handler(Box<dyn Fn(Calls) -> Answered + Send + Sync>);

impl tower_service::Service<Calls> for Handler {
    type Response = Response<Sent>;
    type Error = Status;
    type Future = Answered;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Calls) -> Answered {
        (self.0)(request)
    }
}

/// Messages by their descriptor.
#[derive(Clone)]
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Dynamic;
    type Decoder = Dynamic;

    fn encoder(&mut self) -> Dynamic {
        self.clone()
    }

    fn decoder(&mut self) -> Dynamic {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to).map_err(|e| Status::internal(e.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let read = DynamicMessage::decode(self.0.clone(), from);
        read.map(Some)
            .map_err(|e| Status::invalid_argument(e.to_string()))
    }
}
