//! Registries that want a login, that nobody trusts, that fail, and that are away.

use std::net::{IpAddr, Ipv4Addr};

use crate::bench::Bench;
use crate::docker::docker;
use crate::faulty::Faulty;
use crate::server::{LOGIN, Registry};
use crate::{Site, Test};

pub const TESTS: &[(&str, Test)] = &[
    ("a_registry_that_fails_is_asked_again", failing),
    ("a_registry_that_wants_a_login_gets_it", login),
    ("a_registry_is_trusted_by_its_authority", trusted),
    (
        "a_registry_that_is_away_holds_nothing_up_that_is_here",
        away,
    ),
];

fn failing(site: &Site) {
    let proxy = Faulty::before(&site.registry.at);
    let bench = Bench::new(&proxy.at, &site.agent);
    let direct = format!("{}/{}", site.registry.at, bench.name);
    let (id, digest) = bench.push_to(&direct, "1", "one");

    proxy.fail_with(&[429, 429, 503]);
    bench.run(&["lock"]).is(
        0,
        &[
            "takes no more requests",
            "attempt 2 of 4",
            "attempt 3 of 4",
            "its registry fails",
            "attempt 4 of 4",
        ],
    );
    assert!(bench.lock().contains(&digest));
    assert!(proxy.counts().0 >= 3, "{:?}", proxy.counts());

    bench.forget();
    proxy.fail_with(&[429, 429, 503]);
    bench.run(&["run"]).is(
        0,
        &[
            "waiting",
            "takes no more requests",
            "attempt 2 of 6",
            "its registry fails",
            "attempt 4 of 6",
            "1 passed",
        ],
    );
    assert_eq!(proxy.counts().1, 0, "every fault was met");
    assert_eq!(bench.image_of_web(&["--locked"]), id);

    // It ends: a lookup makes four attempts, and says what to do.
    proxy.fail_with(&[429; 4]);
    let closed = bench.run(&["lock", "--update"]);
    closed.is(
        3,
        &[
            "cannot be locked",
            "takes no more requests",
            "images.rewrite",
        ],
    );
    assert_eq!(proxy.counts().1, 0, "not one attempt more, not one less");
    let _ = docker(&["rmi", "-f", &format!("{}@{digest}", bench.repository)]);
}

fn login(site: &Site) {
    let registry = Registry::closed(IpAddr::from([127, 0, 0, 1]));
    let mut bench = Bench::new(&registry.at, &site.agent);
    bench.login(&registry.at, LOGIN);
    let (id, digest) = bench.push("1", "one");
    bench.forget();
    let none = bench.project.path().join(".docker");
    std::fs::rename(&none, bench.project.path().join("kept")).unwrap();
    let help = format!("docker login {}", registry.at);
    bench
        .run(&["lock"])
        .is(3, &["refuses this login (unauthorized)", &help]);
    bench
        .run(&["run"])
        .is(3, &["could not be pulled", "unauthorized", &help]);
    bench.login(&registry.at, (LOGIN.0, "wrong"));
    bench.run(&["lock"]).is(3, &["unauthorized", &help]);

    bench.login(&registry.at, LOGIN);
    let said = bench.run(&["lock"]);
    said.is(0, &["1 image by digest"]);
    assert!(bench.lock().contains(&digest));
    assert_eq!(bench.image_of_web(&["--locked"]), id);
    for text in [&said.err, &said.out, &bench.lock()] {
        assert!(!text.contains(LOGIN.1));
    }
}

fn trusted(site: &Site) {
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let subnet = docker(&["network", "inspect", "bridge", "-f", format]);
    let network = subnet
        .split('/')
        .next()
        .and_then(|n| n.parse::<Ipv4Addr>().ok());
    let Some(network) = network else {
        eprintln!("not seen: the engine's bridge has no address of this kind ({subnet})");
        return;
    };
    // The bridge has the first address of its network.
    let address = IpAddr::V4(Ipv4Addr::from_bits(network.to_bits() + 1));
    let local = std::path::Path::new("/etc/docker").is_dir()
        && std::net::TcpListener::bind((address, 0)).is_ok();
    if !local {
        eprintln!("not seen: the engine is not on this host");
        return;
    }
    let mut registry = Registry::closed(address);
    let mut bench = Bench::new(&registry.at, &site.agent);
    bench.login(&registry.at, LOGIN);
    let certs = format!("/etc/docker/certs.d/{}/ca.crt", registry.at);
    bench.run(&["lock"]).is(
        3,
        &["does not trust its registry's certificate", "x509", &certs],
    );
    bench.run(&["run"]).is(
        3,
        &["does not trust its registry's certificate", "x509", &certs],
    );
    registry.trust();
    let (id, digest) = bench.push("1", "one");
    bench.run(&["lock"]).is(0, &["1 image by digest"]);
    assert!(bench.lock().contains(&digest));
    bench.forget();
    assert_eq!(bench.image_of_web(&["--locked"]), id);
}

fn away(site: &Site) {
    let registry = Registry::open();
    let bench = Bench::new(&registry.at, &site.agent);
    let (id, digest) = bench.push("1", "one");
    bench.run(&["lock"]).is(0, &[]);
    drop(registry);
    // The bytes are pinned and here: that nobody can say whether the tag moved, is said.
    bench.run(&["run", "--locked"]).is(
        0,
        &[
            "nobody could say whether",
            "could not be reached",
            "1 passed",
        ],
    );
    bench
        .run(&["lock", "--check"])
        .is(4, &["nobody could say whether"]);
    bench.run(&["lock", "--check", "--offline"]).is(0, &[]);
    assert_eq!(bench.image_of_web(&["--locked", "--offline"]), id);
    // What the engine pulled or pushed, it knows the digest of.
    bench
        .run(&["lock", "--update", "--offline"])
        .is(0, &["1 image by digest"]);
    assert!(bench.lock().contains(&digest));
}
