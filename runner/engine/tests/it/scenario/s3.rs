//! `s3` on a store that speaks S3.

use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use serde_json::json;

use super::services::image;
use super::{fails, passes};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn objects_in_a_store() {
    on_engine(|rig| async move {
        let port = "import socket; socket.create_connection((\"127.0.0.1\", 9000))";
        let ready = json!({"Test": ["CMD", "python3", "-c", port], "Interval": 300_000_000u64, "Retries": 200});
        let store = image("store", "moto:5", &["MINIO_ROOT_USER=shop"])
            .secret_env("MINIO_ROOT_PASSWORD", "store-pass")
            .with(|c| c.body["Healthcheck"] = ready.clone());
        let bare = image("bare", "moto:5", &[]).with(|c| c.body["Healthcheck"] = ready.clone());
        let plan = plan([store, bare]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        objects(&world).await;
        lists(&world).await;
        refusals(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn objects(world: &Arc<dyn World>) {
    passes(world, r#"
  - s3: { service: store, create_bucket: invoices }
    expect: status == 200 && bucket == "invoices"
  - id: put
    s3:
      service: store
      bucket: invoices
      put: { key: "orders/{{ 3 + 4 }} ä+?.json", json: { id: 7, items: [a] }, metadata: { Order: "{{ 7 }}" } }
    expect: size == 22 && exists && key == "orders/7 ä+?.json"
  - s3: { service: store, bucket: invoices, get: "orders/7 ä+?.json" }
    expect:
      - json.items == ["a"] && type == "application/json" && metadata.order == "7"
      - etag == steps.put.etag && sha256 == steps.put.sha256 && size == 22
      - sha256 == "96619e7d32bc66b6aa1dbc60b9b86f472c819f2badb3a8397f6a4bb5f9c40181"
  - s3: { service: store, bucket: invoices, head: "orders/7 ä+?.json" }
    expect: exists && size == 22 && metadata.order == "7" && status == 200
  - s3: { service: store, bucket: invoices, put: { key: raw, base64: AP8K, type: image/png } }
    expect: sha256 == "712450d3c4a79eea9509e75dc1dacdeff58034df538536cfae2da882bd8a0c50" && size == 3
  - s3: { service: store, bucket: invoices, get: raw }
    expect: size == 3 && type == "image/png" && json == null
  - s3: { url: "http://store:9000", access_key: a, secret_key: b, session_token: c, region: eu-west-1, bucket: invoices, put: { key: empty, text: "" } }
  - s3: { service: store, bucket: invoices, get: empty }
    expect: size == 0 && body == "" && sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  - s3: { service: store, bucket: invoices, delete: empty }
    expect: status == 204
  - s3: { service: store, bucket: invoices, head: empty }
    expect: exists == false && status == 404
  - s3: { service: store, bucket: invoices, get: empty }
    expect: exists == false && error.code == "NoSuchKey"
  - s3: { service: store, region: eu-west-1, create_bucket: far }
  - s3: { service: bare, bucket: none, get: x }
    expect: status == 404 && error.code == "NoSuchBucket"
"#).await;
}

async fn lists(world: &Arc<dyn World>) {
    let puts: String = (0..5)
        .map(|n| format!("  - s3: {{ service: store, bucket: many, put: {{ key: \"a/{n} &\", text: \"{}\" }} }}\n", "x".repeat(n)))
        .collect();
    passes(world, &format!(r#"
  - s3: {{ service: store, create_bucket: many }}
{puts}
  - s3: {{ service: store, bucket: many, put: {{ key: b/c, text: x }} }}
  - s3: {{ service: store, bucket: many, list: a/ }}
    expect:
      - count == 5 && keys == ["a/0 &", "a/1 &", "a/2 &", "a/3 &", "a/4 &"]
      - objects[4].size == 4 && size(objects[4].etag) == 32 && objects.all(o, timestamp(o.modified) > timestamp("2024-01-01T00:00:00Z"))
  - s3: {{ service: store, bucket: many, list: {{ delimiter: / }} }}
    expect: prefixes == ["a/", "b/"] && count == 0
  - s3: {{ service: store, bucket: many, list: {{ most: 2 }} }}
    expect: keys == ["a/0 &", "a/1 &"]
  - s3: {{ service: store, bucket: many, list: nothing/ }}
    expect: count == 0 && keys == []
"#)).await;
    // More than a page of a thousand.
    passes(world, r#"
  - exec:
      service: store
      cmd:
        - /opt/moto/bin/python
        - -c
        - |
          import boto3
          s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:9000", aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
          s3.create_bucket(Bucket="pages")
          for n in range(1003): s3.put_object(Bucket="pages", Key=f"k{n:04}", Body=b"")
    timeout: 120s
  - s3: { service: store, bucket: pages, list: k }
    expect: count == 1003 && keys[1002] == "k1002"
  - s3: { service: store, bucket: pages, list: { most: 1001 } }
    expect: count == 1001
"#).await;
}

async fn refusals(world: &Arc<dyn World>) {
    let step = fails(
        world,
        "  - s3: { service: store, bucket: invoices, get: none }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(step.said(), ["status: expected < 400, got 404"]);
    assert!(
        step.evidence.contains("<Code>NoSuchKey</Code>"),
        "{}",
        step.evidence
    );
    // What is shown of a request lets nobody else send it.
    assert!(
        step.evidence
            .contains("GET http://store:9000/invoices/none (0 bytes)"),
        "{}",
        step.evidence
    );
    for secret in ["X-Amz", "store-pass", "Signature"] {
        assert!(!step.evidence.contains(secret), "{}", step.evidence);
    }
    for (arguments, said) in [
        (
            "service: bare, create_bucket: x",
            "a bucket is made by somebody who is known",
        ),
        (
            "service: store, bucket: invoices, delete: \"{{ '' }}\"",
            "cannot be the key of an object here",
        ),
        (
            "service: store, bucket: invoices, get: ../far/x",
            "cannot be the key of an object here",
        ),
        (
            "service: store, port: 1, bucket: invoices, get: x",
            "store:1",
        ),
        (
            "url: \"http://example.com\", bucket: invoices, get: x",
            "example.com",
        ),
        (
            "service: store, path_style: false, bucket: invoices, get: x",
            "invoices.store",
        ),
    ] {
        let step = fails(world, &format!("  - s3: {{ {arguments} }}\n")).await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
}
