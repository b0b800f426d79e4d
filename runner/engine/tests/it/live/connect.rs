use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::bus::NoSink;
use prodmirror_engine::docker::{Engine, EngineEnv, ExecSpec};
use prodmirror_engine::live::{UpOptions, standing, up};
use prodmirror_model::diag::ProblemKind;
use tokio::net::{UnixListener, UnixStream};

use super::plan::{echo, plan};
use super::rig::on_engine;

const SOCKET: &str = "/var/run/docker.sock";

/// A door to the engine that can be shut: then every connection through it is cut.
async fn door(at: &Path) -> tokio::task::JoinHandle<()> {
    let listener = UnixListener::bind(at).unwrap();
    tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            open.spawn(async move {
                let mut far = UnixStream::connect(SOCKET).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_lost_while_a_stack_starts_is_said_so() {
    on_engine(|rig| async move {
        if !Path::new(SOCKET).exists()
            || rig.engine.endpoint().to_string() != format!("unix://{SOCKET}")
        {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for after_ms in [100, 400] {
            let socket = dir.path().join(format!("{after_ms}.sock"));
            let door = door(&socket).await;
            let host = Some(format!("unix://{}", socket.display()));
            let engine = Engine::connect(&EngineEnv {
                host,
                ..EngineEnv::default()
            })
            .await
            .unwrap();
            let mut plan = plan([echo("a"), echo("b"), echo("c")]);
            let image = rig.engine.image_id(&rig.agent).await.unwrap().unwrap();
            plan.containers
                .iter_mut()
                .for_each(|c| c.image = image.clone());
            let options = UpOptions::new(rig.run(), "1");
            let shut = async {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                door.abort();
                let _ = std::fs::remove_file(&socket);
                Instant::now()
            };
            let starting = up(&engine, Arc::new(plan), options, Arc::new(NoSink));
            let (started, shut) = tokio::join!(starting, shut);
            let problem = started.unwrap_err().problem();
            assert_eq!(problem.kind, ProblemKind::Engine, "{problem}");
            assert!(
                shut.elapsed() < Duration::from_secs(20),
                "{:?}",
                shut.elapsed()
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_ssh() {
    on_engine(|_| async move {
        // In place of `ssh`, what it would run on the other side.
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join("ssh");
        let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift 2; exec \"$@\"\n";
        std::fs::write(&ssh, script).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!(
            "{}:{}",
            dir.path().display(),
            std::env::var("PATH").unwrap()
        );
        let done = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "live::connect::as_ssh_client",
                "--nocapture",
            ])
            .env("PATH", path)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the body of a process that the test above starts by this name"]
async fn as_ssh_client() {
    let host = Some("ssh://somebody@somewhere:2222".to_owned());
    let env = EngineEnv {
        host,
        ..EngineEnv::default()
    };
    let engine = Engine::connect(&env).await.unwrap();
    assert_eq!(
        engine.endpoint().to_string(),
        "ssh://somebody@somewhere:2222"
    );
    assert!(!engine.facts().local);
    let run = format!("live-ssh-{}", std::process::id());
    let image = engine.load_agent().await.unwrap();
    let image = engine.image_id(&image).await.unwrap().unwrap();
    let mut plan = plan([echo("web").healthy_when_listening()]);
    plan.containers[0].image = image;
    let stack = up(
        &engine,
        Arc::new(plan),
        UpOptions::new(run.clone(), "1"),
        Arc::new(NoSink),
    );
    let stack = stack.await.unwrap();
    // Upgraded connections go the same way.
    let found = standing(&engine, Some("live-test")).await.unwrap();
    let found = found.into_iter().find(|s| s.run == run).unwrap();
    let command = ["/prodmirror-agent", "version"].map(Into::into).into();
    let spec = ExecSpec {
        command,
        ..ExecSpec::default()
    };
    assert!(found.exec("web", 1, spec).await.is_ok());
    let report = stack.down(None).await;
    assert_eq!(report.left, Vec::<String>::new());
}
