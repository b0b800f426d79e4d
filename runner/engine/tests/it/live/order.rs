use std::time::{Duration, Instant};

use prodmirror_engine::live::{ExecRequest, Failed, LiveError, Phase, UpOptions};
use prodmirror_model::event::{ServiceState, What};
use prodmirror_model::plan::{Condition, Hook, NetworkOf};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::plan::{echo, network, plan, service};
use super::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn services_start_in_order_and_are_reached() {
    on_engine(|rig| async move {
        let migrate = service("migrate", &["probe", "tcp", "db:7000"])
            .needs("db", Condition::Healthy)
            .with(|c| c.one_shot = true);
        let web = echo("web").needs("migrate", Condition::CompletedSuccessfully);
        let stack = rig
            .up(plan([
                web.healthy_when_listening(),
                migrate,
                echo("db").healthy_when_listening(),
            ]))
            .await
            .unwrap_or_else(|e| panic!("{e} {:?}", e.log()));
        let states: Vec<(String, ServiceState)> = rig
            .sink
            .all()
            .into_iter()
            .filter_map(|w| match w {
                What::Service { service, state, .. } => Some((service, state)),
                _ => None,
            })
            .filter(|(_, s)| *s != ServiceState::Created)
            .collect();
        let expected = [
            ("db", ServiceState::Started),
            ("db", ServiceState::Healthy),
            ("migrate", ServiceState::Started),
            ("migrate", ServiceState::Completed),
            ("web", ServiceState::Started),
            ("web", ServiceState::Healthy),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, s)| ((*n).to_owned(), *s))
            .collect();
        assert_eq!(states, expected);

        let mut connection = stack.reach().connect("web", 7000).await.unwrap();
        connection.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        let refused = stack.reach().connect("wab", 7000).await.err().unwrap();
        assert_eq!(refused.help.as_deref(), Some("did you mean `web`?"));
        let run = stack.run().to_owned();
        let report = stack.down(None).await;
        assert_eq!(report.left, Vec::<String>::new());
        rig.assert_clean(&run).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_fails_the_start_and_says_why() {
    on_engine(|rig| async move {
        let options = UpOptions::new(rig.run(), "1");
        let run = options.run.clone();
        let broken = service("broken", &["probe", "tcp", "127.0.0.1:1"]);
        let begun = Instant::now();
        let web = echo("web").healthy_when_listening().needs("broken", Condition::Started);
        let failed = rig.up_with(plan([broken, web]), options).await.unwrap_err();
        let LiveError::Service(failure) = &failed else { panic!("{failed:?}") };
        assert_eq!(failure.service, "broken");
        assert_eq!(failure.what, Failed::Died { code: 1, oom: false, restarts: 0 });
        assert!(failure.log.iter().any(|l| l.contains("\"ok\":false")), "{:?}", failure.log);
        assert!(begun.elapsed() < Duration::from_secs(20));
        rig.assert_clean(&run).await;
        let died = |w: &What| matches!(w, What::Service { service, state: ServiceState::Died, .. } if service == "broken");
        assert!(rig.sink.all().iter().any(died));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_an_image_that_is_not_there() {
    on_engine(|rig| async move {
        let bad = service("bad", &[]).with(|c| c.body["Entrypoint"] = json!(["/no/such"]));
        let failed = rig.up(plan([bad])).await.unwrap_err();
        assert!(failed.to_string().contains("/no/such"), "{failed}");
        let gone = service("gone", &[]).with(|c| c.image = "nowhere.example/x:1".into());
        let failed = rig.up(plan([gone])).await.unwrap_err();
        let LiveError::Refused(problem) = &failed else {
            panic!("{failed:?}")
        };
        assert!(problem.message.contains("nowhere.example/x:1"), "{problem}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_gets_ready_is_named_with_its_last_check() {
    on_engine(|rig| async move {
        let stuck = service("stuck", &["hold"]).checked(&["probe", "tcp", "127.0.0.1:1"], 100);
        let mut options = UpOptions::new(rig.run(), "1");
        options.timeout = Duration::from_secs(4);
        let plan = plan([stuck, echo("web").needs("stuck", Condition::Healthy)]);
        let failed = rig.up_with(plan, options).await.unwrap_err();
        let LiveError::Service(failure) = &failed else {
            panic!("{failed:?}")
        };
        assert_eq!(failure.service, "stuck");
        let Failed::NotReady { waiting_for, .. } = &failure.what else {
            panic!("{failed}")
        };
        assert!(
            waiting_for.contains("health check") && waiting_for.contains("refused"),
            "{failed}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_service_fails_the_start_at_once() {
    on_engine(|rig| async move {
        let sick = service("sick", &["hold"])
            .checked(&["probe", "tcp", "127.0.0.1:1"], 1)
            .with(|c| c.body["Healthcheck"]["Interval"] = json!(500_000_000u64));
        let failed = rig.up(plan([sick])).await.unwrap_err();
        let LiveError::Service(failure) = &failed else {
            panic!("{failed:?}")
        };
        assert!(matches!(failure.what, Failed::Unhealthy { .. }), "{failed}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_for_its_memory_limit_says_so() {
    on_engine(|rig| async move {
        let greedy = service("greedy", &[])
            .with(|c| {
                c.image = "registry.shop.example/debian:bookworm".into();
                let script =
                    "echo filling; x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo full";
                c.body["Cmd"] = json!(["sh", "-c", script]);
            })
            .host("Memory", json!(16 << 20))
            .host("MemorySwap", json!(16 << 20));
        let web = echo("web").needs("greedy", Condition::CompletedSuccessfully);
        let failed = rig.up(plan([greedy, web])).await.unwrap_err();
        let LiveError::Service(failure) = &failed else {
            panic!("{failed:?}")
        };
        assert!(
            matches!(failure.what, Failed::Died { oom: true, .. }),
            "{failed}"
        );
        assert!(failed.to_string().contains("out of memory"), "{failed}");
        assert_eq!(failure.log, ["filling"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_required_may_fail() {
    on_engine(|rig| async move {
        let metrics = service("metrics", &["probe", "tcp", "127.0.0.1:1"]);
        let web = echo("web").can_do_without("metrics", Condition::Healthy);
        let stack = rig
            .up(plan([metrics, web]))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        assert!(matches!(
            stack.status("web", 1).unwrap().phase,
            Phase::Running
        ));
        stack.down(None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_start_leaves_nothing() {
    on_engine(|rig| async move {
        for after_ms in [0, 30, 120, 300, 600, 1200] {
            let options = UpOptions::new(rig.run(), "1");
            let (run, cancel) = (options.run.clone(), options.cancel.clone());
            let plan = plan([
                echo("a"),
                echo("b"),
                service("stuck", &["hold"]).checked(&["probe", "tcp", "127.0.0.1:1"], 100),
            ]);
            let cancelling = async {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                cancel.cancel();
            };
            let (started, ()) = tokio::join!(rig.up_with(plan, options), cancelling);
            assert!(matches!(started, Err(LiveError::Cancelled)), "{started:?}");
            rig.assert_clean(&run).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_start_leaves_nothing() {
    on_engine(|rig| async move {
        let options = UpOptions::new(rig.run(), "1");
        let run = options.run.clone();
        let starting = rig.up_with(plan([echo("a"), echo("b")]), options);
        let _ = tokio::time::timeout(Duration::from_millis(250), starting).await;
        let clean = async {
            while !rig.left(&run).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), clean)
            .await
            .unwrap();
        // Nothing is made afterwards either.
        tokio::time::sleep(Duration::from_millis(500)).await;
        rig.assert_clean(&run).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_beside_each_other_do_not_meet() {
    on_engine(|rig| async move {
        let starts = (0..3).map(|_| rig.up(plan([echo("web"), echo("db")])));
        let stacks = futures_util::future::join_all(starts).await;
        let stacks: Vec<_> = stacks
            .into_iter()
            .map(|s| s.unwrap_or_else(|e| panic!("{e}")))
            .collect();
        let mut addresses = Vec::new();
        for stack in &stacks {
            addresses.push(stack.reach().address("web", 7000).await.unwrap());
        }
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 3);
        futures_util::future::join_all(stacks.iter().map(|s| s.down(None))).await;
        for stack in &stacks {
            rig.assert_clean(stack.run()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_network_and_names() {
    on_engine(|rig| async move {
        let stack = rig
            .up(plan([echo("web"), echo("db")]))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let before = stack.reach().address("web", 7000).await.unwrap();
        stack.restart("web").await.unwrap();
        let again = |s: &prodmirror_engine::live::Status| s.phase.is_up();
        tokio::time::timeout(Duration::from_secs(10), stack.wait("web", 1, again))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stack.reach().address("web", 7000).await.unwrap(), before);
        let asked = stack
            .exec(ExecRequest {
                service: "db".into(),
                command: ["/prodmirror-agent", "probe", "tcp", "web:7000", "hi"]
                    .map(Into::into)
                    .into(),
                ..ExecRequest::default()
            })
            .await
            .unwrap();
        assert_eq!(asked.exit_code, 0, "{}", asked.summary());
        stack.down(None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_restarted_by_its_policy_and_a_crash_loop_fails() {
    on_engine(|rig| async move {
        let looping = service("looping", &["probe", "tcp", "127.0.0.1:1"])
            .host("RestartPolicy", json!({"Name": "always"}));
        let failed = rig
            .up(plan([
                looping,
                echo("web").needs("looping", Condition::CompletedSuccessfully),
            ]))
            .await
            .unwrap_err();
        let LiveError::Service(failure) = &failed else {
            panic!("{failed:?}")
        };
        let Failed::Died {
            code: 1, restarts, ..
        } = failure.what
        else {
            panic!("{failed}")
        };
        assert!(restarts >= 5, "{failed}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_namespaces_replicas_and_hooks() {
    on_engine(|rig| async move {
        let mut p = plan([
            echo("web").with(|c| {
                c.body["NetworkingConfig"]["EndpointsConfig"]["back"] =
                    json!({"Aliases": ["inner"]});
            }),
            echo("web").with(|c| c.replica = 2),
            service("side", &["probe", "listen", "tcp:7001"])
                .with(|c| {
                    c.network = NetworkOf::Service("web".into());
                    c.body["HostConfig"]["NetworkMode"] = json!("service:web");
                    c.body["NetworkingConfig"] = json!(null);
                    let command = ["/prodmirror-agent", "probe", "tcp", "127.0.0.1:7000", "x"];
                    c.hooks.post_start.push(Hook {
                        command: command.map(Into::into).into(),
                        user: None,
                        privileged: false,
                        working_dir: None,
                        environment: vec![],
                    });
                })
                .needs("web", Condition::Started),
            service("alone", &["hold"]).with(|c| {
                c.network = NetworkOf::None;
                c.body["NetworkingConfig"] = json!(null);
            }),
        ]);
        p.networks.push(network("back"));
        let stack = rig.up(p).await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(stack.services()["web"], 2);
        let a = stack.reach().address("web", 7000).await.unwrap();
        let b = stack.reach().address("web", 7000).await.unwrap();
        assert_ne!(a, b);
        assert!(stack.reach().connect("inner", 7000).await.is_ok());
        assert!(stack.reach().connect("side", 7001).await.is_ok());
        let alone = stack.reach().connect("alone", 1).await.err().unwrap();
        assert!(alone.message.contains("no network"), "{alone}");
        stack.down(None).await;
    })
    .await;
}
