//! Looking into images on a real engine: what is found, and that nothing stays.

use std::time::Duration;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::fingerprint::{Options, fingerprint};
use prodmirror_engine::live::label;
use prodmirror_engine::run::Stop;
use tar::{Builder, Header};

use crate::live::rig::engine_env;

/// An image without a shell, made of files alone; removed at the end.
struct Distroless {
    engine: Engine,
    name: String,
    project: String,
}

impl Distroless {
    async fn new(test: &str, files: &[(&str, &[u8])]) -> Option<Self> {
        if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
            println!("skipped: no engine");
            return None;
        }
        let engine = Engine::connect(&engine_env()).await.unwrap();
        let project = format!("probe-{test}-{}", std::process::id());
        let name = format!("prodmirror-test/{project}:1");
        let mut tar = Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut head = Header::new_gnu();
            head.set_size(bytes.len() as u64);
            head.set_mode(0o644);
            head.set_cksum();
            tar.append_data(&mut head, path, *bytes).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        let piece = futures_util::stream::iter([Ok(bytes.into())]);
        let changes = [
            "USER app",
            "ENV TZ=Asia/Tokyo",
            "EXPOSE 8080/tcp",
            "ENV NODE_VERSION=20.1.0",
        ];
        let changes = changes.map(str::to_owned).to_vec();
        engine.import_root(&name, changes, piece).await.unwrap();
        Some(Self {
            engine,
            name,
            project,
        })
    }

    async fn containers(&self) -> usize {
        let labels = [format!("{}={}", label::PROJECT, self.project)];
        self.engine.find_containers(&labels).await.unwrap().len()
    }
}

const FILES: [(&str, &[u8]); 3] = [
    ("etc/passwd", b"app:x:4711:4711::/:/none\n"),
    (
        "var/lib/dpkg/status.d/libc6",
        b"Package: libc6\nVersion: 2.36-9\n",
    ),
    (
        "usr/lib/python3/dist-packages/a-1.2.dist-info/METADATA",
        b"Name: a\nVersion: 1.2\n",
    ),
];

#[tokio::test]
async fn an_image_without_a_shell() {
    let Some(image) = Distroless::new("plain", &FILES).await else {
        return;
    };
    let options = Options::new(&image.project);
    let found = fingerprint(&image.engine, &image.name, &options, &Stop::new()).await;
    let left = image.containers().await;
    image
        .engine
        .remove_nameless_image(&image.name)
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.packages["python"]["a"], "1.2");
    assert_eq!(found.facts["libc"], "glibc 2.36-9");
    assert_eq!(found.facts["user"], "app (4711)");
    assert_eq!(found.facts["time zone"], "Asia/Tokyo");
    assert_eq!(found.runtimes["node"], "20.1.0");
    assert!(found.ports.contains(&8080) && !found.health);
    assert_eq!(
        found.platform,
        format!("linux/{}", image.engine.facts().arch)
    );
    assert_eq!(left, 0, "the container that was made for it stayed");
}

#[tokio::test]
async fn its_container_goes_whatever_ends_it() {
    let Some(image) = Distroless::new("stopped", &FILES).await else {
        return;
    };
    let mut options = Options::new(&image.project);
    let stop = Stop::new();
    stop.signal();
    let stopped = fingerprint(&image.engine, &image.name, &options, &stop).await;
    options.deadline = Duration::ZERO;
    let late = fingerprint(&image.engine, &image.name, &options, &Stop::new()).await;
    let missing = fingerprint(
        &image.engine,
        "prodmirror-test/none:0",
        &options,
        &Stop::new(),
    )
    .await;
    let left = image.containers().await;
    image
        .engine
        .remove_nameless_image(&image.name)
        .await
        .unwrap();
    assert_eq!(left, 0);
    // Either may be faster than a stop that comes at once; that nothing stays is the point.
    for ended in [stopped, late].into_iter().filter_map(Result::err) {
        assert!(ended.message.contains("look into the image"), "{ended}");
    }
    assert!(
        missing
            .unwrap_err()
            .message
            .contains("prodmirror-test/none:0")
    );
}
