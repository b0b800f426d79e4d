//! `s3`: objects in an S3 store, such as MinIO.

mod answer;
mod args;

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Document, Scope, Text};
use prodmirror_model::yaml::Node;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use self::args::{Endpoint, Operation, S3Act};
use super::credentials::Environment;
use super::http::{Plain, exchange};
use super::target::{Target, TargetKind};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Objects that are listed at most.
const MOST: usize = 10_000;
/// How long a signature is good for. Containers whose clock is not ours still take it.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "s3",
    fields: &[
        "status", "bucket", "key", "keys", "prefixes", "objects", "count", "exists", "size",
        "etag", "type", "metadata", "body", "json", "sha256", "error", "duration",
    ],
    help: "puts, gets, lists and deletes objects of an S3 store",
    example: "s3: { service: minio, bucket: invoices, get: \"orders/{{ order_id }}.json\" }",
    usual: Some("status < 400"),
    compile,
};

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(args::act(node)?.into())
}

/// A store, and who asks.
struct Store {
    bucket: Bucket,
    credentials: Option<Credentials>,
    verify: bool,
}

impl S3Act {
    /// The store with all values in; credentials are those of the step, or of the service's
    /// environment.
    async fn store(&self, context: &Context<'_>, bucket: String) -> Result<Store, StepError> {
        let scope = context.scope;
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let (endpoint, host) = self.endpoint(scope)?;
        let env = Environment::of(context.world, &host);
        let key = match text(&self.access_key)? {
            Some(k) => Some(k),
            None => {
                env.first(&["AWS_ACCESS_KEY_ID", "MINIO_ROOT_USER", "MINIO_ACCESS_KEY"])
                    .await?
            }
        };
        let secret = match text(&self.secret_key)? {
            Some(s) => Some(s),
            None => {
                env.first(&[
                    "AWS_SECRET_ACCESS_KEY",
                    "MINIO_ROOT_PASSWORD",
                    "MINIO_SECRET_KEY",
                ])
                .await?
            }
        };
        let token = match text(&self.session_token)? {
            Some(t) => Some(t),
            // A token belongs to the key beside it.
            None if self.access_key.is_none() => env.first(&["AWS_SESSION_TOKEN"]).await?,
            None => None,
        };
        let region = match text(&self.region)? {
            Some(r) => r,
            None => env
                .first(&["AWS_REGION", "AWS_DEFAULT_REGION", "MINIO_REGION"])
                .await?
                .unwrap_or_else(|| "us-east-1".into()),
        };
        let credentials = match (key, secret, token) {
            (Some(k), Some(s), Some(t)) => Some(Credentials::new_with_token(k, s, t)),
            (Some(k), Some(s), None) => Some(Credentials::new(k, s)),
            _ => None,
        };
        let style = match self.path_style {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(endpoint, style, bucket.clone(), region).map_err(|e| {
            let text = format!("`{bucket}` cannot be a bucket of {host}: {e}");
            Problem::new(ProblemKind::InvalidValue, text)
        })?;
        Ok(Store {
            bucket,
            credentials,
            verify: self.verify,
        })
    }

    fn endpoint(&self, scope: &Scope) -> Result<(Url, String), StepError> {
        let (text, span) = match &self.endpoint {
            Endpoint::Service(name, port) => (format!("http://{}:{port}/", name.value), &name.span),
            Endpoint::Url(url) => (url.render(scope)?, url.span()),
        };
        let bad = |why: &str| {
            let text = format!("`{text}` is not the URL of a store: {why}");
            StepError::from(Problem::at(ProblemKind::InvalidValue, span, text))
        };
        let url = Url::parse(&text).map_err(|e| bad(&e.to_string()))?;
        let host = url.host_str().map(str::to_owned);
        let host = host
            .filter(|h| !h.is_empty())
            .ok_or_else(|| bad("it names no host"))?;
        Ok((url, host))
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let scope = context.scope;
        let bucket = match &self.operation {
            Operation::CreateBucket(name) => name.render(scope)?,
            _ => self
                .bucket
                .as_ref()
                .map_or(Ok(String::new()), |b| b.render(scope))?,
        };
        let store = self.store(context, bucket).await?;
        let begun = Instant::now();
        let mut document = match &self.operation {
            Operation::List(list) => self.list(&store, list, context).await?,
            Operation::CreateBucket(_) => {
                let Some(credentials) = &store.credentials else {
                    return Err(no_credentials());
                };
                let action = store.bucket.create_bucket(credentials);
                let body = Bytes::from(action.body());
                let url = action.sign(SIGNED_FOR);
                let whole = ask(&store, context, Method::PUT, url, HeaderMap::new(), body).await?;
                answer::of_change(&whole)
            }
            Operation::Put(put) => {
                let (key, body, headers) = put.render(scope)?;
                checked(&key)?;
                let mut action = store.bucket.put_object(store.credentials.as_ref(), &key);
                for (name, value) in &headers {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    action.headers_mut().insert(name.as_str().to_owned(), value);
                }
                let url = action.sign(SIGNED_FOR);
                let whole = ask(&store, context, Method::PUT, url, headers, body.clone()).await?;
                answer::of_put(&whole, &body).with("key", key)
            }
            Operation::Get(key) | Operation::Head(key) | Operation::Delete(key) => {
                let key = key.render(scope)?;
                checked(&key)?;
                let by = store.credentials.as_ref();
                let (method, url) = match &self.operation {
                    Operation::Get(_) => (
                        Method::GET,
                        store.bucket.get_object(by, &key).sign(SIGNED_FOR),
                    ),
                    Operation::Head(_) => (
                        Method::HEAD,
                        store.bucket.head_object(by, &key).sign(SIGNED_FOR),
                    ),
                    _ => (
                        Method::DELETE,
                        store.bucket.delete_object(by, &key).sign(SIGNED_FOR),
                    ),
                };
                let headers = HeaderMap::new();
                let whole = ask(&store, context, method, url, headers, Bytes::new()).await?;
                match &self.operation {
                    Operation::Get(_) => answer::of_get(whole),
                    Operation::Head(_) => answer::of_head(&whole),
                    _ => answer::of_change(&whole),
                }
                .with("key", key)
            }
        };
        document.set("bucket", store.bucket.name());
        document.took(begun.elapsed());
        Ok(document.into())
    }

    /// All pages of a list, up to a bound.
    async fn list(
        &self,
        store: &Store,
        list: &args::List,
        context: &mut Context<'_>,
    ) -> Result<Document, StepError> {
        let scope = context.scope;
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let (prefix, delimiter) = (text(&list.prefix)?, text(&list.delimiter)?);
        let most = list.most.unwrap_or(MOST);
        let mut all = answer::Listed::default();
        let mut token: Option<String> = None;
        loop {
            let mut action = store.bucket.list_objects_v2(store.credentials.as_ref());
            if let Some(p) = &prefix {
                action.with_prefix(p.as_str());
            }
            if let Some(d) = &delimiter {
                action.with_delimiter(d.as_str());
            }
            if let Some(t) = &token {
                action.with_continuation_token(t.as_str());
            }
            // One more than is wanted tells that there are more.
            action.with_max_keys((most + 1 - all.objects.len()).min(1000));
            let url = action.sign(SIGNED_FOR);
            let headers = HeaderMap::new();
            let whole = ask(store, context, Method::GET, url, headers, Bytes::new()).await?;
            if whole.status >= 400 {
                return Ok(answer::of_change(&whole));
            }
            let page = ListObjectsV2::parse_response(&String::from_utf8_lossy(&whole.body));
            let page = page.map_err(|e| {
                StepError::transport(format!("what lists the bucket does not speak S3: {e}"))
            })?;
            token = page.next_continuation_token.clone();
            let got = page.contents.len() + page.common_prefixes.len();
            all.add(page);
            if all.objects.len() > most {
                if list.most.is_none() {
                    let text = format!("the bucket has more than {MOST} such objects");
                    let p = Problem::new(ProblemKind::TooLarge, text);
                    return Err(p
                        .help("give a `prefix`, or how many are wanted: `most: 100`")
                        .into());
                }
                all.objects.truncate(most);
                break;
            }
            if token.is_none() || got == 0 || all.objects.len() == most && list.most.is_some() {
                break;
            }
        }
        Ok(all.document())
    }
}

fn no_credentials() -> StepError {
    Problem::new(ProblemKind::Missing, "a bucket is made by somebody who is known")
        .help("give `access_key` and `secret_key`; the service's environment has neither AWS_ACCESS_KEY_ID nor MINIO_ROOT_USER")
        .into()
}

/// Keys for which a URL would lead elsewhere: to the bucket itself, or out of it.
fn checked(key: &str) -> Result<(), StepError> {
    if !key.is_empty() && !key.split('/').any(|part| part == "." || part == "..") {
        return Ok(());
    }
    let text = format!(
        "`{key}` cannot be the key of an object here: it is empty, or has `.` or `..` in it"
    );
    Err(Problem::new(ProblemKind::InvalidValue, text).into())
}

/// One request. What is shown of it has no signature in it.
async fn ask(
    store: &Store,
    context: &mut Context<'_>,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Plain, StepError> {
    let mut shown = url.clone();
    let query: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(k, _)| !k.starts_with("X-Amz-"))
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    shown.set_query(None);
    if !query.is_empty() {
        shown.query_pairs_mut().extend_pairs(query);
    }
    context.trail.add(
        "request",
        format!("{method} {shown} ({} bytes)", body.len()),
    );
    let head = method == Method::HEAD;
    let whole = exchange(context, method, url, headers, body, store.verify).await?;
    let body = match head || !answer::is_text(&whole) {
        true => String::new(),
        false => format!("\n{}", String::from_utf8_lossy(&whole.body)),
    };
    context
        .trail
        .add("response", format!("{}{body}", whole.status));
    Ok(whole)
}

/// A header of the request, if name and value can be one.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), StepError> {
    let bad = |_| {
        let text = format!("`{name}: {value}` cannot be a header");
        StepError::from(Problem::new(ProblemKind::InvalidValue, text))
    };
    let name_ok = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(()))?;
    let value_ok = HeaderValue::from_str(value).map_err(|_| bad(()))?;
    Ok((name_ok, value_ok))
}

impl Act for S3Act {
    fn title(&self) -> String {
        let bucket = self.bucket.as_ref().map_or("", Text::source);
        let (what, of) = match &self.operation {
            Operation::Put(p) => ("put", p.key.source()),
            Operation::Get(k) => ("get", k.source()),
            Operation::Head(k) => ("head", k.source()),
            Operation::Delete(k) => ("delete", k.source()),
            Operation::List(l) => ("list", l.prefix.as_ref().map_or("", Text::source)),
            Operation::CreateBucket(b) => ("create bucket", b.source()),
        };
        match bucket.is_empty() {
            true => format!("{what} {of}"),
            false => format!("{what} {bucket}/{of}"),
        }
    }

    fn targets(&self, to: &mut Vec<Target>) {
        let (name, port, span) = match &self.endpoint {
            Endpoint::Service(name, port) => (name.value.clone(), Some(*port), &name.span),
            Endpoint::Url(url) => {
                let Some(parsed) = url.plain().and_then(|u| Url::parse(u).ok()) else {
                    return;
                };
                let Some(host) = parsed.host_str().filter(|_| self.path_style) else {
                    return;
                };
                (host.to_owned(), parsed.port_or_known_default(), url.span())
            }
        };
        to.push(Target {
            name,
            port,
            kind: TargetKind::Host,
            span: span.clone(),
        });
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
