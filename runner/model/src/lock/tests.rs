//! Locks are written, read, compared, renewed, and put into plans.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::diag::{ProblemKind, Problems};
use crate::fidelity::{Class, Severity};
use crate::mirror::{Mirror, Service};
use crate::plan::{ContainerPlan, Plan};
use crate::source::SourceFile;

fn digest(n: u8) -> Digest {
    Digest::parse(&format!("sha256:{}", format!("{n:02x}").repeat(32))).unwrap()
}

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

fn manifest(n: u8) -> Pin {
    Pin::Registry {
        digest: digest(n),
        platforms: [(platform("linux/amd64"), Some(digest(n)))].into(),
    }
}

fn index(n: u8) -> Pin {
    Pin::Registry {
        digest: digest(n),
        platforms: [
            (platform("linux/amd64"), Some(digest(n + 1))),
            (platform("linux/arm64"), None),
        ]
        .into(),
    }
}

fn local(n: u8) -> Pin {
    Pin::Local {
        id: digest(n),
        platform: Some(platform("linux/amd64")),
    }
}

fn example() -> Lock {
    let hashes = |names: &[&str]| -> Hashes {
        let of = |(i, name): (usize, &&str)| {
            ((*name).to_owned(), digest(u8::try_from(i).unwrap()).into())
        };
        names.iter().enumerate().map(of).collect()
    };
    Lock {
        tool: "0.1.0".to_owned(),
        images: [
            ("r.example/shop/orders:2.4.0".to_owned(), index(0x10).into()),
            ("r.example:5000/redis:7".to_owned(), manifest(0x20).into()),
            ("shop/worker:dev".to_owned(), local(0x30).into()),
        ]
        .into(),
        facts: Facts {
            project: hashes(&["egress", "production"]),
            sources: hashes(&["production/.env", "production/compose.yaml", "a b.yaml"]),
            configs: hashes(&["config:inline", "config/redis.conf"]),
            env: [
                ("SHA", Passed::Text("no: \"yes\" # $x".to_owned())),
                ("NUMBER", Passed::Text("12".to_owned())),
                ("NOTHING", Passed::Text(String::new())),
                ("API_KEY", Passed::Hash(digest(0x40))),
                ("UNSET", Passed::Unset),
            ]
            .map(|(name, passed)| (name.to_owned(), passed.into()))
            .into(),
            data: [
                (
                    "orders-db".to_owned(),
                    Content {
                        snapshot: Some("orders-2026-11".to_owned()),
                        manifest: Some(digest(0x50)),
                    }
                    .into(),
                ),
                (
                    "broker".to_owned(),
                    Content {
                        snapshot: None,
                        manifest: None,
                    }
                    .into(),
                ),
            ]
            .into(),
        },
    }
}

fn again(text: &str) -> Result<Lock, Problems> {
    read(&SourceFile::new(FILE_NAME, text))
}

#[test]
fn what_is_written_is_read() {
    let lock = example();
    let text = write(&lock);
    let back = again(&text).unwrap();
    assert_eq!(back, lock);
    assert_eq!(write(&back), text, "the same lock is the same text");
    insta::assert_snapshot!(text);
}

proptest::proptest! {
    #[test]
    fn any_text_comes_back(name in "\\PC{1,30}", value in "(?s).{0,60}") {
        let mut lock = Lock::default();
        lock.images.insert(name.clone(), local(1).into());
        lock.facts.sources.insert(name.clone(), digest(2).into());
        lock.facts.env.insert(name, Passed::Text(value).into());
        proptest::prop_assert_eq!(again(&write(&lock)).unwrap(), lock);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let good = write(&example());
    for (from, to, wants) in [
        (
            "version: 1",
            "version: 2",
            "mirror.lock:3:1: the lock has format 2",
        ),
        ("version: 1", "x: 1", "does not say its format"),
        ("images:", "imags:", "did you mean `images`?"),
        (
            "    digest: sha256:20",
            "    digest: sha256:2",
            "is not a digest",
        ),
        (
            "    linux/arm64: ~",
            "    linux: ~",
            "`linux` is not a platform",
        ),
        ("    digest: ", "    digset: ", "an image has a `digest`"),
        ("    empty: true", "    empty: false", "holds a `snapshot`"),
        (
            "    value: \"12\"",
            "    value: 12",
            "a `value` that is a text",
        ),
        (
            "images:\n",
            "images:\n<<<<<<< ours\n",
            "an unfinished merge",
        ),
        ("images:\n", "images: []\nx:\n", "images is a mapping"),
    ] {
        assert!(good.contains(from), "{from}");
        let said = again(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(said.contains(wants), "{wants}: {said}");
        assert!(said.contains("help: "), "{said}");
    }
    assert!(again("").is_err());
    assert!(again("[]").is_err());
}

fn services(names: &[&str]) -> Needed {
    Needed {
        services: names.iter().map(|n| (*n).to_owned()).collect(),
        ..Needed::default()
    }
}

/// The example's mirror, as the lock says.
fn at_present() -> Now {
    let lock = example();
    let seen = lock.images.iter().map(|(name, pin)| {
        let seen = Seen::Is(pin.value.clone());
        (name.clone(), (services(&["one", "two"]), seen))
    });
    Now {
        images: seen.collect(),
        facts: lock.facts,
        tool: lock.tool,
    }
}

fn said(now: &Now) -> Vec<String> {
    let found = drift(&again(&write(&example())).unwrap(), now);
    let errors = found.0.iter().filter(|p| p.is_error());
    errors
        .map(|p| {
            assert_eq!(p.kind, ProblemKind::Drift);
            assert!(p.help.is_some(), "{p}");
            p.message.clone()
        })
        .collect()
}

#[test]
fn nothing_drifted() {
    let now = at_present();
    assert_eq!(said(&now), Vec::<String>::new());
    let found = drift(&example(), &now);
    assert_eq!(found.0.len(), 1, "{found}");
    assert!(found.0[0].message.contains("is local only"), "{found}");
}

#[test]
fn drift_is_said_in_words() {
    const REDIS: &str = "r.example:5000/redis:7";
    let see = |name: &str, seen: Seen| {
        let mut now = at_present();
        now.images.get_mut(name).unwrap().1 = seen;
        said(&now)
    };
    assert_eq!(
        see(REDIS, Seen::Is(manifest(0x21))),
        [
            "the image r.example:5000/redis:7 of one, two moved from sha256:202020202020 to sha256:212121212121"
        ]
    );
    assert_eq!(
        see(REDIS, Seen::Is(local(0x31))),
        [
            "the image r.example:5000/redis:7 of one, two is local only now: locked sha256:202020202020, here local image sha256:313131313131"
        ]
    );
    assert_eq!(
        see("shop/worker:dev", Seen::Is(local(0x31))),
        [
            "the image shop/worker:dev of one, two moved from local image sha256:303030303030 to local image sha256:313131313131"
        ]
    );
    assert_eq!(
        see("shop/worker:dev", Seen::Missing("gone".into())),
        [
            "the image shop/worker:dev of one, two is local only, and this engine does not have sha256:303030303030"
        ]
    );
    assert_eq!(
        see(REDIS, Seen::Missing("manifest unknown".into())),
        [
            "the image r.example:5000/redis:7 of one, two is gone from its registry: manifest unknown"
        ]
    );
    assert!(see(REDIS, Seen::Unanswered("refused".into())).is_empty());
}

#[test]
fn every_fact_can_drift() {
    let mut now = at_present();
    let facts = &mut now.facts;
    facts.sources.remove("a b.yaml");
    facts.sources.insert("new.yaml".into(), digest(9).into());
    facts.project.insert("egress".into(), digest(9).into());
    facts
        .configs
        .insert("config/redis.conf".into(), digest(9).into());
    facts.env.insert("SHA".into(), Passed::Unset.into());
    let moved = Content {
        snapshot: Some("orders-2026-12".into()),
        manifest: None,
    };
    facts.data.insert("orders-db".into(), moved.into());
    now.images
        .insert("new:1".into(), (services(&["web"]), Seen::Is(manifest(1))));
    now.images.remove("r.example:5000/redis:7");
    assert_eq!(
        said(&now),
        [
            "the image new:1 of web is not in the lock",
            "no service needs the image r.example:5000/redis:7 any more",
            "the section of mirror.yaml egress changed",
            "the source a b.yaml is gone",
            "the source new.yaml is not in the lock",
            "the config config/redis.conf changed",
            "the variable of the shell SHA changed",
            "the data of the volume orders-db changed",
        ]
    );
}

#[test]
fn images_of_the_command_line_are_no_drift() {
    let mut now = at_present();
    now.images.remove("shop/worker:dev");
    let given = Needed {
        given: true,
        ..services(&["worker"])
    };
    now.images
        .insert("shop/worker:other".into(), (given, Seen::Is(local(9))));
    assert_eq!(said(&now), Vec::<String>::new());
}

fn needed_images(names: &[(&str, &str)]) -> BTreeMap<String, Needed> {
    names
        .iter()
        .map(|(name, service)| ((*name).to_owned(), services(&[service])))
        .collect()
}

#[test]
fn a_lock_is_renewed_in_parts() {
    const ORDERS: &str = "r.example/shop/orders:2.4.0";
    let old = example();
    let needed = needed_images(&[
        (ORDERS, "orders"),
        ("r.example:5000/redis:7", "cache"),
        ("new:1", "web"),
    ]);
    let asked = |how: &Renew| -> Vec<String> {
        how.images(Some(&old), &needed)
            .unwrap()
            .into_keys()
            .collect()
    };
    let renew = |how: Renew, seen: &[(&str, Seen)]| {
        let images = seen
            .iter()
            .map(|(name, seen)| ((*name).to_owned(), (needed[*name].clone(), seen.clone())));
        let now = Now {
            images: images.collect(),
            tool: "0.2.0".into(),
            ..Now::default()
        };
        how.lock(Some(&old), &needed, now)
    };

    assert_eq!(asked(&Renew::Missing), ["new:1"]);
    assert_eq!(asked(&Renew::All).len(), 3);
    let only = Renew::Services(vec!["orders".into()]);
    assert_eq!(asked(&only), [ORDERS]);

    let lock = renew(Renew::Missing, &[("new:1", Seen::Is(manifest(1)))]).unwrap();
    assert_eq!(lock.images.len(), 3, "the worker's went, the new one came");
    assert_eq!(lock.images[ORDERS].value, index(0x10));
    assert_eq!(lock.tool, "0.2.0");
    assert_eq!(lock.facts, Facts::default());

    let lock = renew(only, &[(ORDERS, Seen::Is(manifest(1)))]).unwrap();
    let mut want = old.clone();
    want.images.insert(ORDERS.into(), manifest(1).into());
    assert_eq!(lock, want, "nothing else changed");

    // The manifests of an index are known once and for all.
    let mut unread = index(0x10);
    if let Pin::Registry { platforms, .. } = &mut unread {
        platforms.values_mut().for_each(|m| *m = None);
    }
    let only = Renew::Services(vec!["orders".into()]);
    assert_eq!(renew(only, &[(ORDERS, Seen::Is(unread))]).unwrap(), old);

    let failed = renew(
        Renew::Missing,
        &[("new:1", Seen::Unanswered("away".into()))],
    );
    let failed = failed.unwrap_err().to_string();
    assert!(
        failed.contains("new:1 of web cannot be locked: away"),
        "{failed}"
    );
    let wrong = Renew::Services(vec!["ordres".into()]);
    let wrong = wrong.images(Some(&old), &needed).unwrap_err().to_string();
    assert!(wrong.contains("did you mean `orders`?"), "{wrong}");
}

fn container(service: &str, image: &str) -> ContainerPlan {
    ContainerPlan {
        service: service.into(),
        replica: 1,
        image: image.into(),
        body: json!({
            "Image": image,
            "HostConfig": { "Mounts": [
                { "Type": "image", "Source": "r.example:5000/redis:7", "Target": "/r" },
                { "Type": "volume", "Source": "r.example:5000/redis:7", "Target": "/v" },
            ] },
        }),
        ..ContainerPlan::default()
    }
}

#[test]
fn a_plan_runs_what_is_locked() {
    let lock = example();
    let mut plan = Plan {
        containers: vec![
            container("orders", "r.example/shop/orders:2.4.0"),
            container("worker", "shop/worker:dev"),
            container("other", "other:1"),
        ],
        ..Plan::default()
    };
    lock.pin(&mut plan, &platform("linux/amd64")).unwrap();
    let images: Vec<&str> = plan.containers.iter().map(|c| c.image.as_str()).collect();
    let orders = format!("r.example/shop/orders@{}", digest(0x10));
    assert_eq!(images, [orders.as_str(), digest(0x30).as_str(), "other:1"]);
    assert_eq!(plan.containers[0].body["Image"], orders);
    let mounts = &plan.containers[0].body["HostConfig"]["Mounts"];
    assert_eq!(
        mounts[0]["Source"],
        format!("r.example:5000/redis@{}", digest(0x20))
    );
    assert_eq!(mounts[1]["Source"], "r.example:5000/redis:7");
    assert_eq!(lock.name_of(&orders), Some("r.example/shop/orders:2.4.0"));
    assert!(plan.fidelity.records.is_empty());
}

#[test]
fn other_platforms_are_refused_or_said() {
    let lock = again(&write(&example())).unwrap();
    let pin = |image: &str, named: Option<&str>, engine: &str| {
        let mut c = container("orders", image);
        c.platform = named.map(str::to_owned);
        let mut plan = Plan {
            containers: vec![c.clone(), ContainerPlan { replica: 2, ..c }],
            ..Plan::default()
        };
        let pinned = lock.pin(&mut plan, &platform(engine));
        pinned.map(|()| plan.fidelity.records)
    };
    let refused = pin("r.example/shop/orders:2.4.0", None, "linux/s390x").unwrap_err();
    assert_eq!(refused.0.len(), 1, "both replicas have the same trouble");
    let refused = refused.to_string();
    assert!(
        refused.contains("mirror.lock:7:5: the image r.example/shop/orders:2.4.0 is locked for linux/amd64, linux/arm64, and the engine is linux/s390x"),
        "{refused}"
    );
    let refused = pin("r.example:5000/redis:7", Some("linux/arm64"), "linux/amd64");
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("service `orders` asks for linux/arm64"),
        "{refused}"
    );
    assert!(
        pin(
            "r.example/shop/orders:2.4.0",
            Some("linux/arm64/v8"),
            "linux/amd64"
        )
        .is_ok()
    );
    let emulated = pin("r.example:5000/redis:7", None, "linux/arm64").unwrap();
    assert_eq!(emulated.len(), 1);
    assert_eq!(emulated[0].severity, Severity::High);
    assert_eq!(emulated[0].actual, "emulated on linux/arm64");
}

#[test]
fn fidelity_knows_what_is_pinned() {
    let lock = example();
    let exact = format!("a:1@{}", digest(7));
    let images = [
        "r.example:5000/redis:7",
        "shop/worker:dev",
        "redis:6",
        "redis",
        "redis:latest",
        exact.as_str(),
    ];
    let mut mirror = Mirror::default();
    for (i, image) in images.iter().enumerate() {
        let mut s = Service::default();
        s.image.reference = Some((*image).to_owned().into());
        mirror.services.insert(format!("s{i}"), s);
    }
    let own = |_: &str| false;
    let needed = needed(&mirror, own, (&[], &[]));
    let judged = |lock| -> Vec<(Class, Severity)> {
        let all = records(&mirror, &mirror, &needed, lock);
        all.iter().map(|r| (r.class, r.severity)).collect()
    };
    let (mirrored, medium, high) = (
        (Class::Mirrored, Severity::Info),
        (Class::Unknown, Severity::Medium),
        (Class::Unknown, Severity::High),
    );
    assert_eq!(judged(None), [medium, medium, medium, high, high, mirrored]);
    assert_eq!(
        judged(Some(&lock)),
        [mirrored, medium, medium, high, high, mirrored]
    );
    let under_test = super::needed(&mirror, own, (&["s2".into()], &["s3".into()]));
    assert_eq!(records(&mirror, &mirror, &under_test, None).len(), 4);
}
