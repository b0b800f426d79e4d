use std::time::Duration;

use futures_util::StreamExt;
use prodmirror_engine::docker::ExecSpec;
use prodmirror_engine::live::lease::Hold;
use prodmirror_engine::live::{
    LogRequest, Standing, Teardown, UpOptions, down_project, exit_code, standing,
};
use prodmirror_engine::reach::Forwards;
use prodmirror_model::event::What;
use prodmirror_model::plan::{Hook, PortPlan};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::plan::{echo, plan, service};
use super::rig::{Rig, on_engine};

const DEBIAN: &str = "registry.shop.example/debian:bookworm";

/// The stack of a project, as another process finds it.
async fn found(rig: &Rig, project: &str) -> Standing {
    let mut all = standing(&rig.engine, Some(project)).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn shell(command: &str) -> ExecSpec {
    let command = ["sh", "-c", command].map(Into::into).into();
    ExecSpec {
        command,
        ..ExecSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_works_on_a_stack_that_is_up() {
    on_engine(|rig| async move {
        let project = format!("live-{}", rig.run());
        let mut p = plan([
            echo("web").with(|c| {
                let (target, protocol, published) = (7000, "tcp".to_owned(), Some(1));
                c.ports.push(PortPlan {
                    target,
                    protocol,
                    published,
                });
                c.body["Hostname"] = json!("front-door");
            }),
            service("box", &[]).restarts_with("web").with(|c| {
                c.image = DEBIAN.into();
                c.stop_grace = Some(Duration::from_secs(5));
                let script = "echo started; trap 'echo bye; exit' TERM; \
                                  trap 'echo last words' USR1; \
                                  while :; do sleep 1000 & wait $!; done";
                c.hooks.pre_stop.push(Hook {
                    command: ["sh", "-c", "kill -USR1 1; sleep 0.2"]
                        .map(Into::into)
                        .into(),
                    user: None,
                    privileged: false,
                    working_dir: None,
                    environment: Vec::new(),
                });
                c.body["Cmd"] = json!(["sh", "-c", script]);
            }),
        ]);
        p.project = project.clone();
        let mut options = UpOptions::new(rig.run(), project.clone());
        (options.hold, options.plain_names) = (Hold::Kept, true);
        let again = UpOptions {
            run: rig.run(),
            ..options.clone()
        };
        let stack = rig
            .up_with(p.clone(), options)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let refused = rig.up_with(p, again).await.unwrap_err();
        assert!(refused.to_string().contains("is up already"), "{refused}");

        let there = found(&rig, &project).await;
        let names: Vec<String> = there.members().into_iter().map(|m| m.name).collect();
        assert_eq!(
            names,
            [format!("{project}-box-1"), format!("{project}-web-1")]
        );
        assert!(
            there
                .member("boxx", 1)
                .unwrap_err()
                .help
                .unwrap()
                .contains("`box`")
        );

        // exec, with input and exit code
        let spec = ExecSpec {
            stdin: true,
            ..shell("cat; exit 7")
        };
        let mut io = there.exec("box", 1, spec).await.unwrap();
        io.input.write_all(b"typed").await.unwrap();
        io.input.shutdown().await.unwrap();
        let mut out = Vec::new();
        while let Some(piece) = io.output.next().await {
            out.extend_from_slice(&piece.unwrap().bytes);
        }
        assert_eq!(out, b"typed");
        assert_eq!(exit_code(&rig.engine, &io.id).await.unwrap(), 7);

        // cp, both ways
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        std::fs::write(dir.path().join("tree/a.txt"), "one").unwrap();
        let member = there.member("box", 1).unwrap();
        there
            .copy_in(&dir.path().join("tree"), &member, "/srv")
            .await
            .unwrap();
        there
            .copy_in(&dir.path().join("tree/a.txt"), &member, "/tmp/b.txt")
            .await
            .unwrap();
        there
            .copy_out(&member, "/srv/tree", &dir.path().join("back"))
            .await
            .unwrap();
        there
            .copy_out(&member, "/tmp/b.txt", dir.path())
            .await
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.path().join("back/a.txt")).unwrap(),
            "one"
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("b.txt")).unwrap(),
            "one"
        );
        let missing = there
            .copy_out(&member, "/no/such", dir.path())
            .await
            .unwrap_err();
        assert!(missing.message.contains("/no/such"), "{missing}");

        // ports, on another one when the declared one is not to be had
        let reach = there.reach().await.unwrap();
        assert!(reach.knows("front-door") && !reach.knows("93.184.216.34"));
        let squatter = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = squatter.local_addr().unwrap().port();
        let mut ports = there.ports();
        ports[0].1.published = Some(taken);
        let forwards = Forwards::open(&reach, &ports).await;
        assert!(forwards.list()[0].is_other_port());
        let mut near = TcpStream::connect(forwards.list()[0].address)
            .await
            .unwrap();
        near.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        near.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"ping");

        // restart and logs, followed across it
        let follow = LogRequest {
            services: vec!["box".into()],
            follow: true,
            ..LogRequest::default()
        };
        let mut lines = there.logs(&follow).await.unwrap();
        assert_eq!(lines.recv().await.unwrap().line.text, "started");
        // The other one is restarted, and this one with it.
        there.restart(&["web".into()]).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let next = tokio::time::timeout(Duration::from_secs(15), lines.recv()).await;
            seen.push(next.unwrap().unwrap().line.text);
        }
        assert_eq!(seen, ["bye", "started"]);
        let last = LogRequest {
            tail: Some(1),
            ..LogRequest::default()
        };
        let mut lines = there.logs(&last).await.unwrap();
        let mut texts = Vec::new();
        while let Some(spoken) = lines.recv().await {
            texts.push((spoken.service, spoken.line.text));
        }
        assert!(
            texts.contains(&("box".to_owned(), "started".to_owned())),
            "{texts:?}"
        );

        let how = Teardown {
            graceful: true,
            ..Teardown::default()
        };
        let report = down_project(&rig.engine, &project, &how).await.unwrap();
        assert_eq!(report.left, Vec::<String>::new());
        assert!(
            standing(&rig.engine, Some(&project))
                .await
                .unwrap()
                .is_empty()
        );
        let said: Vec<String> = rig
            .sink
            .all()
            .into_iter()
            .filter_map(|w| match w {
                What::Log { service, line, .. } if service == "box" => Some(line),
                _ => None,
            })
            .collect();
        assert_eq!(said, ["started", "bye", "started", "last words", "bye"]);
        rig.assert_clean(stack.run()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grace_for_all_is_used_in_place_of_each_ones_own() {
    on_engine(|rig| async move {
        let deaf = service("deaf", &[]).with(|c| {
            c.image = DEBIAN.into();
            c.stop_grace = Some(Duration::from_secs(50));
            c.body["Cmd"] = json!(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
        });
        let stack = rig.up(plan([deaf])).await.unwrap_or_else(|e| panic!("{e}"));
        let how = Teardown {
            graceful: true,
            grace: Some(Duration::from_secs(1)),
            ..Teardown::default()
        };
        let report = stack.down(Some(&how)).await;
        assert_eq!(report.left, Vec::<String>::new());
        let took = report.took;
        assert!(took >= Duration::from_secs(1), "killed at once: {took:?}");
        assert!(
            took < Duration::from_secs(40),
            "waited for its own: {took:?}"
        );
        rig.assert_clean(stack.run()).await;
    })
    .await;
}
