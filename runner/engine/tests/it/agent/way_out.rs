//! One test per way out of a stack that leads over its networks.

use std::net::{IpAddr, Ipv4Addr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prodmirror_agent::wire::{DeniedWhy, Event};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::rig::{Net, Rig, Running, SOON, on_engine, sandbox_body};

/// A rejected attempt has to fail long before anybody's time limit.
const AT_ONCE_MS: f64 = 1000.0;

/// A listener on every address of this host, which counts what it hears.
struct Host {
    port: u16,
    heard: Arc<AtomicUsize>,
}

impl Host {
    async fn listen() -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = tcp.local_addr().unwrap().port();
            if let Ok(udp) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await {
                break (tcp, udp);
            }
        };
        let port = tcp.local_addr().unwrap().port();
        let heard = Arc::<AtomicUsize>::default();
        let (by_tcp, by_udp) = (Arc::clone(&heard), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                by_tcp.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"host").await;
            }
        });
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((_, client)) = udp.recv_from(&mut buffer).await {
                by_udp.fetch_add(1, Ordering::SeqCst);
                let _ = udp.send_to(b"host", client).await;
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

/// The address that this host uses towards others. Nothing is sent.
fn outer_address() -> Option<IpAddr> {
    let socket = StdUdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Tries TCP and UDP to an address; both have to fail at once and be reported.
async fn is_denied(rig: &Rig, from: (&Running, &Running), to: IpAddr, port: u16, rule: DeniedWhy) {
    let (sandbox, service) = from;
    let target = format!("{to}:{port}");
    for kind in ["tcp", "udp"] {
        let probed = rig.probe(service, &[kind, &target, "hello"]).await;
        assert!(!probed.ok, "{kind} {target}: {probed:?}");
        assert!(probed.ms < AT_ONCE_MS, "{kind} {target}: {probed:?}");
        let what = format!("denied {kind} {target} by {rule:?}");
        let wanted = |event: &Event| {
            matches!(event, Event::Denied { proto, dst, port: Some(to_port), why, .. }
                if proto == kind && *dst == to && *to_port == port && *why == rule)
        };
        sandbox.events.wait_for(&what, wanted).await;
    }
}

async fn guarded(rig: &Rig, net: &Net, alias: &str) -> (Running, Running) {
    let sandbox = rig.sandbox(net, alias, json!({})).await;
    let service = rig
        .service(&sandbox, &["probe", "listen", "tcp:7000", "udp:7000"])
        .await;
    (sandbox, service)
}

#[tokio::test]
async fn the_host_is_not_reached_at_any_address() {
    on_engine(async |rig| {
        let (net, host) = (rig.network().await, Host::listen().await);
        let (sandbox, service) = guarded(&rig, &net, "a").await;
        let from = (&sandbox, &service);
        is_denied(
            &rig,
            from,
            net.gateway.into(),
            host.port,
            DeniedWhy::Gateway,
        )
        .await;
        let mut others = vec![IpAddr::from([172, 17, 0, 1])];
        others.extend(outer_address());
        for address in others {
            is_denied(&rig, from, address, host.port, DeniedWhy::Outside).await;
        }
        assert_eq!(host.heard(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_host_is_reached_without_the_guard() {
    // Shows that the test above would notice.
    on_engine(async |rig| {
        if !rig.engine.facts().local {
            return println!("skipped: the engine's host is not this one");
        }
        let (net, host) = (rig.network().await, Host::listen().await);
        let sandbox = rig.sandbox(&net, "a", json!({ "guard": false })).await;
        let service = rig.service(&sandbox, &["hold"]).await;
        let target = format!("{}:{}", net.gateway, host.port);
        assert!(rig.probe(&service, &["tcp", &target, "hello"]).await.ok);
        assert!(rig.probe(&service, &["udp", &target, "hello"]).await.ok);
        assert_eq!(host.heard(), 2);
    })
    .await;
}

#[tokio::test]
async fn broadcasts_and_multicasts_do_not_leave() {
    on_engine(async |rig| {
        let (net, host) = (rig.network().await, Host::listen().await);
        let (sandbox, service) = guarded(&rig, &net, "a").await;
        let cases = [
            (net.broadcast, DeniedWhy::Broadcast),
            (Ipv4Addr::BROADCAST, DeniedWhy::Outside),
            (Ipv4Addr::new(224, 0, 0, 1), DeniedWhy::Outside),
        ];
        for (address, rule) in cases {
            let target = format!("{address}:{}", host.port);
            let probed = rig.probe(&service, &["udp", &target, "hello"]).await;
            assert!(!probed.ok && probed.ms < AT_ONCE_MS, "{target}: {probed:?}");
            let wanted = |event: &Event| {
                matches!(event, Event::Denied { dst, why, .. } if *dst == address && *why == rule)
            };
            sandbox.events.wait_for(&format!("denied {target}"), wanted).await;
        }
        assert_eq!(host.heard(), 0);
    })
    .await;
}

#[tokio::test]
async fn services_reach_each_other_and_the_host_reaches_them() {
    on_engine(async |rig| {
        let net = rig.network().await;
        let (a, b) = tokio::join!(
            guarded(&rig, &net, "a"),
            guarded(&rig, &net, "b.prod.example")
        );
        for kind in ["tcp", "udp"] {
            let probed = rig
                .probe(&a.1, &[kind, "b.prod.example:7000", "hello"])
                .await;
            assert_eq!(
                probed.answer.as_deref(),
                Some("hello"),
                "{kind}: {probed:?}"
            );
        }
        if rig.engine.facts().local {
            let address = rig.address(&b.0, &net).await;
            let mut stream = timeout(SOON, TcpStream::connect((address, 7000)))
                .await
                .unwrap()
                .unwrap();
            stream.write_all(b"host").await.unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"host");
        }
        let denied = |event: &Event| matches!(event, Event::Denied { .. });
        assert!(
            !a.0.events.all().iter().any(denied),
            "{:?}",
            a.0.events.all()
        );
    })
    .await;
}

#[tokio::test]
async fn another_network_is_reached_only_when_it_is_allowed() {
    on_engine(async |rig| {
        let (net, other) = (rig.network().await, rig.network().await);
        let (_peer, service) = guarded(&rig, &other, "peer").await;
        let address = rig.address(&_peer, &other).await;
        drop(service);
        let (sandbox, service) = guarded(&rig, &net, "a").await;
        is_denied(
            &rig,
            (&sandbox, &service),
            address,
            7000,
            DeniedWhy::Outside,
        )
        .await;
        // Allowed, the guard lets it pass; the engine still keeps internal networks apart.
        let open = rig
            .sandbox(&net, "b", json!({ "allow": [address.to_string()] }))
            .await;
        let service = rig.service(&open, &["hold"]).await;
        let _ = rig
            .probe(&service, &["udp", &format!("{address}:7000"), "hello"])
            .await;
        let denied = |event: &Event| matches!(event, Event::Denied { .. });
        assert!(
            !open.events.all().iter().any(denied),
            "{:?}",
            open.events.all()
        );
    })
    .await;
}

#[tokio::test]
async fn the_guard_outlives_crashes_and_restarts_of_the_service() {
    on_engine(async |rig| {
        let (net, host) = (rig.network().await, Host::listen().await);
        let (sandbox, service) = guarded(&rig, &net, "a").await;
        let target = format!("{}:{}", net.gateway, host.port);
        rig.engine
            .kill_container(&service.id, "SIGKILL")
            .await
            .unwrap();
        let crashed = async {
            while rig
                .engine
                .inspect_container(&service.id)
                .await
                .unwrap()
                .running
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, crashed).await.unwrap();
        rig.engine.start_container(&service.id).await.unwrap();
        assert!(!rig.probe(&service, &["tcp", &target, "hello"]).await.ok);
        rig.engine
            .restart_container(&service.id, Some(Duration::ZERO))
            .await
            .unwrap();
        is_denied(
            &rig,
            (&sandbox, &service),
            net.gateway.into(),
            host.port,
            DeniedWhy::Gateway,
        )
        .await;
        assert_eq!(host.heard(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_sandbox_that_cannot_guard_ends() {
    on_engine(async |rig| {
        let net = rig.network().await;
        let mut body = sandbox_body(&net, "a", json!({}));
        body["HostConfig"]["CapAdd"] = json!(["NET_BIND_SERVICE"]);
        let id = rig.create(&["sandbox"], body).await;
        let sandbox = rig.start(id).await;
        let error = sandbox
            .events
            .wait_for("error", |event| matches!(event, Event::Error { .. }))
            .await;
        assert!(
            format!("{error:?}").contains("guard could not be installed"),
            "{error:?}"
        );
        assert!(
            !sandbox
                .events
                .all()
                .iter()
                .any(|event| matches!(event, Event::Ready(_)))
        );
        let ended = async {
            loop {
                let state = rig.engine.inspect_container(&sandbox.id).await.unwrap();
                if !state.running {
                    return state.exit_code;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert_eq!(timeout(SOON, ended).await.unwrap(), 1);
    })
    .await;
}
