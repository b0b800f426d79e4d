//! Differences, rules and combinations of small pairs of stacks, and of drawn ones.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::secret::Secret;
use crate::stack::extension::KEY;

fn side(document: Json, values: &[(&str, &str)]) -> Side {
    let values = values
        .iter()
        .map(|(k, v)| ((*k).to_owned(), Secret::new(*v)))
        .collect();
    Side {
        document,
        values,
        ..Side::default()
    }
}

fn hybrid(a: Side, b: Side) -> Hybrid {
    Hybrid::new(a, b, &|one, other| one == other)
}

/// A developer's stack and production's, small.
fn shop() -> Hybrid {
    let a = json!({
        "name": "local",
        "services": {
            "app": {
                "image": "app:2", "user": "root",
                "environment": { "DATABASE_URL": "${URL:?x}", "LOG": "DEBUG", "PAY": "http://pay:80" },
                "depends_on": { "seed": { "condition": "service_completed_successfully" } },
                "networks": { "default": null },
            },
            "seed": {
                "image": "data:1",
                "depends_on": { "db": { "condition": "service_healthy" } },
                "networks": { "default": null },
            },
            "db": {
                "image": "postgres:17",
                "environment": { "POSTGRES_PASSWORD": "${PW:?x}" },
                "healthcheck": { "test": ["CMD", "ready"] },
                "networks": { "default": null },
            },
            "pay": { "image": "pay:1", "networks": { "default": null } },
        },
        "networks": { "default": { "name": "local_default", "internal": true } },
        KEY: { "version": 1, "project": "local", "sensitive": { "app": ["DATABASE_URL"], "db": ["POSTGRES_PASSWORD"] } },
    });
    let b = json!({
        "name": "prod",
        "services": {
            "app": {
                "image": "app:2", "user": "100", "read_only": true, "tmpfs": ["/tmp:size=1m"],
                "environment": {
                    "DATABASE_URL": "postgresql://shop:${DB_PW:?x}@db:5432/shop", "LOG": "INFO", "PAY": "https://pay.example",
                    "CACHE": "redis://cache:6379", "FLAGS": "/etc/flags.json",
                },
                "configs": [{ "source": "flags", "target": "/etc/flags.json" }],
                "deploy": { "resources": { "limits": { "memory": "100", "cpus": 1 } }, "replicas": 2 },
                "depends_on": { "db": { "condition": "service_healthy" }, "cache": { "condition": "service_started" } },
                "networks": { "front": { "aliases": ["shop"] } },
            },
            "db": {
                "image": "postgres:15", "user": "postgres",
                "environment": { "POSTGRES_PASSWORD_FILE": "/run/secrets/pw" },
                "secrets": [{ "source": "pw", "target": "/run/secrets/pw" }],
                "healthcheck": { "test": ["CMD", "ready"] },
                "volumes": [{ "type": "volume", "source": "data", "target": "/data" }],
                "depends_on": { "fill": { "condition": "service_completed_successfully" } },
                "networks": { "front": null },
            },
            "fill": {
                "image": "data:1", "network_mode": "none",
                "volumes": [{ "type": "volume", "source": "data", "target": "/data" }],
            },
            "cache": { "image": "redis:7", "networks": { "front": null } },
            "stub": { "image": "agent", "networks": { "front": { "aliases": ["pay.example"] } } },
        },
        "networks": { "front": { "name": "prod_front", "internal": true } },
        "volumes": { "data": { "name": "prod_data" } },
        "configs": { "flags": { "name": "prod_flags", "content": "{}" } },
        "secrets": { "pw": { "name": "prod_pw", "environment": "DB_PW" } },
        KEY: {
            "version": 1, "project": "prod",
            "stubs": { "stub": { "host": "pay.example", "ports": [443], "config": "flags" } },
            "sensitive": { "app": ["DATABASE_URL"] },
        },
    });
    hybrid(
        side(
            a,
            &[("URL", "postgresql://shop:a-pw@db/shop"), ("PW", "a-pw")],
        ),
        side(b, &[("DB_PW", "b-pw")]),
    )
}

fn find(h: &Hybrid, label: &str) -> usize {
    let found = h
        .differences()
        .iter()
        .position(|d| d.label().starts_with(label));
    found.unwrap_or_else(|| {
        let all: Vec<String> = h.differences().iter().map(Difference::label).collect();
        panic!("no `{label}` in {all:#?}")
    })
}

/// The order of keys and of lists by service is none of a stack.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let all = keys.into_iter().map(|k| (k.clone(), sorted(&map[k])));
            Json::Object(all.filter(|(_, v)| *v != json!({})).collect())
        }
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            Json::Array(items)
        }
        other => other.clone(),
    }
}

/// A whole stack as it has to come back: without what nobody mounts, under the first's names.
fn whole(h: &Hybrid, side: &Taken) -> Json {
    let text = side.document.to_string();
    let text = text.replace(
        &format!("\"{}_", side.name()),
        &format!("\"{}_", h.a.name()),
    );
    let mut document: Json = serde_json::from_str(&text).unwrap();
    document["name"] = h.a.name().into();
    for field in ["project", "production"] {
        match h.a.extension(field) {
            Some(value) => document[KEY][field] = value.clone(),
            None => drop(document[KEY].as_object_mut().unwrap().remove(field)),
        }
    }
    sorted(&document)
}

#[test]
fn nothing_is_the_first_and_all_is_the_second() {
    let h = shop();
    let all: Vec<usize> = (0..h.differences().len()).collect();
    assert_eq!(sorted(&h.build(&[]).document), whole(&h, &h.a));
    assert_eq!(sorted(&h.build(&all).document), whole(&h, &h.b));
}

#[test]
fn credentials_are_one_and_no_difference_is_made_of_them() {
    let h = shop();
    let all: Vec<usize> = (0..h.differences().len()).collect();
    let values = h.build(&all).values;
    assert_eq!(values["B_DB_PW"].expose(), "a-pw");
    assert_eq!(values.len(), 1, "only what it asks for");
    assert!(
        h.differences()
            .iter()
            .all(|d| !d.label().contains("pw@") && !d.label().contains("a-pw"))
    );
}

#[test]
fn labels_and_clauses_say_what_differs() {
    let h = shop();
    let at = |label: &str| &h.differences()[find(&h, label)];
    assert_eq!(
        at("db: image").label(),
        "db: image postgres:17 → postgres:15"
    );
    assert_eq!(at("app: env LOG").label(), "app: env LOG DEBUG → INFO");
    assert_eq!(at("service cache").label(), "service cache: only in B");
    let because = |label: &str| at(label).because("local", "production");
    assert_eq!(
        because("db: image"),
        "`db` runs postgres:15 in production and postgres:17 in local"
    );
    assert_eq!(
        because("app: env LOG"),
        "`app` has LOG=INFO in production and LOG=DEBUG in local"
    );
    assert_eq!(
        because("app: user"),
        "`app` runs as 100 in production and as root in local"
    );
    assert_eq!(
        because("app: deploy.resources.limits.memory"),
        "`app` has limits.memory 100 in production, and none in local"
    );
    assert_eq!(
        because("service pay"),
        "`pay` does not run in production, and does in local"
    );
    assert_eq!(
        because("app: env DATABASE_URL"),
        "`app` has another variable DATABASE_URL in production than in local: ***, not ***"
    );
}

#[test]
fn what_only_makes_sense_together_is_known() {
    let h = shop();
    let atoms = h.atoms();
    let needs = |a: &str, b: &str| atoms.requires.contains(&(find(&h, a), find(&h, b)));
    // A value that names a host or a path needs what brings it.
    assert!(needs("app: env CACHE", "service cache"));
    assert!(needs("app: env PAY", "service stub"));
    assert!(needs("app: env FLAGS", "app: config /etc/flags.json"));
    // What is named cannot go.
    assert!(needs("service pay", "app: env PAY"));
    // A variable and the file of it.
    assert!(needs(
        "db: env POSTGRES_PASSWORD ",
        "db: env POSTGRES_PASSWORD_FILE"
    ));
    assert!(needs(
        "db: env POSTGRES_PASSWORD_FILE",
        "db: env POSTGRES_PASSWORD "
    ));
    assert!(needs(
        "db: env POSTGRES_PASSWORD_FILE",
        "db: secret /run/secrets/pw"
    ));
    assert!(needs("app: read_only", "app: tmpfs /tmp"));
    assert!(!needs("app: env LOG", "service cache"));
    // The data, who fills it, and who runs on it.
    let mut data: Vec<usize> = [
        "db: image",
        "db: user",
        "db: mount /data",
        "service fill",
        "service seed",
    ]
    .iter()
    .map(|l| find(&h, l))
    .collect();
    data.sort_unstable();
    let groups = atoms.groups.iter().map(|g| {
        let mut g = g.clone();
        g.sort_unstable();
        g
    });
    assert!(groups.into_iter().any(|g| g == data), "{:?}", atoms.groups);
}

#[test]
fn combinations_hang_together() {
    let h = shop();
    let build = |labels: &[&str]| {
        let chosen: Vec<usize> = labels.iter().map(|l| find(&h, l)).collect();
        h.build(&chosen).document
    };
    // Without the seed, the application waits for what the seed waited for.
    let d = build(&["service seed"]);
    assert_eq!(
        d["services"]["app"]["depends_on"],
        json!({ "db": { "condition": "service_healthy" } })
    );
    // A service of the second side is in the first side's networks, under its names.
    let d = build(&["service stub"]);
    assert_eq!(
        d["services"]["stub"]["networks"],
        json!({ "default": { "aliases": ["pay.example"] } })
    );
    assert_eq!(d[KEY]["stubs"]["stub"]["host"], "pay.example");
    // The other way round.
    let d = build(&["networks"]);
    assert_eq!(d["services"]["pay"]["networks"], json!({ "front": {} }));
    assert_eq!(
        d["networks"],
        json!({ "front": { "name": "local_front", "internal": true } })
    );
    // A volume comes with its mount.
    let d = build(&["db: mount"]);
    assert_eq!(d["volumes"], json!({ "data": { "name": "local_data" } }));
    assert_eq!(d["services"]["db"]["image"], "postgres:17");
}

#[test]
fn the_same_content_elsewhere_is_no_difference() {
    let one = |path: &str| {
        let mount = json!({ "type": "bind", "source": path, "target": "/x" });
        let document = json!({
            "name": "n",
            "services": { "s": { "image": "i", "volumes": [mount], "configs": [{ "source": "c", "target": "/c" }] } },
            "configs": { "c": { "file": path } },
        });
        side(document, &[])
    };
    let same = Hybrid::new(one("/a"), one("/b"), &|_, _| true);
    assert!(same.differences().is_empty(), "{:?}", same.differences());
    let other = hybrid(one("/a"), one("/b"));
    assert_eq!(other.differences().len(), 2);
}

#[test]
fn documents_that_are_none_do_no_harm() {
    for odd in [
        json!(null),
        json!([]),
        json!({ "services": [] }),
        json!({ "services": { "s": 1 }, KEY: 7 }),
    ] {
        let h = hybrid(
            side(odd.clone(), &[]),
            side(json!({ "services": { "t": { "image": 5 } } }), &[]),
        );
        let all: Vec<usize> = (0..h.differences().len()).collect();
        h.build(&all);
        h.build(&[]);
        h.atoms();
        let back = hybrid(
            side(json!({ "services": { "s": { "networks": [] } } }), &[]),
            side(odd, &[]),
        );
        back.build(&[0]);
    }
}

/// One service, drawn.
fn service() -> impl Strategy<Value = Json> {
    let value = prop::sample::select(vec!["1", "2", "http://b:80", "/m"]);
    let env = prop::collection::btree_map("[A-C]", value, 0..3);
    let mounts = prop::collection::btree_set("[mn]", 0..2);
    let waits = prop::collection::btree_set("[a-d]", 0..2);
    let nets = prop::collection::btree_set("[xy]", 1..3);
    let limits = prop::collection::btree_map("cpus|memory|pids", 1..3_u8, 0..3);
    ("i:[12]", env, mounts, waits, nets, limits).prop_map(
        |(image, env, mounts, waits, nets, limits)| {
            let mut s = Map::new();
            s.insert("image".into(), image.into());
            if !env.is_empty() {
                s.insert("environment".into(), json!(env));
            }
            if !limits.is_empty() {
                s.insert(
                    "deploy".into(),
                    json!({ "resources": { "limits": limits } }),
                );
            }
            let mount =
                |m: &String| json!({ "type": "volume", "source": m, "target": format!("/{m}") });
            if !mounts.is_empty() {
                s.insert("volumes".into(), mounts.iter().map(mount).collect());
            }
            let how = |on: &String| (on.clone(), json!({ "condition": "service_started" }));
            if !waits.is_empty() {
                s.insert(
                    "depends_on".into(),
                    Json::Object(waits.iter().map(how).collect()),
                );
            }
            s.insert(
                "networks".into(),
                Json::Object(nets.into_iter().map(|n| (n, json!({}))).collect()),
            );
            s.into()
        },
    )
}

/// A stack, drawn: what is mounted, waited for and joined is there.
fn stack(name: &'static str) -> impl Strategy<Value = Side> {
    prop::collection::btree_map("[a-d]", service(), 1..5).prop_map(move |services| {
        let mut d =
            json!({ "name": name, "services": services, KEY: { "version": 1, "project": name } });
        let there: Vec<String> = services.keys().cloned().collect();
        for service in d["services"].as_object_mut().unwrap().values_mut() {
            let Some(waits) = service.get_mut("depends_on").and_then(Json::as_object_mut) else {
                continue;
            };
            waits.retain(|on, _| there.contains(on));
            if waits.is_empty() {
                service.as_object_mut().unwrap().remove("depends_on");
            }
        }
        for (section, field) in [("volumes", "volumes"), ("networks", "networks")] {
            for s in services.values() {
                let named: Vec<String> = match s.get(field) {
                    Some(Json::Array(m)) => m
                        .iter()
                        .map(|m| m["source"].as_str().unwrap().to_owned())
                        .collect(),
                    Some(Json::Object(n)) => n.keys().cloned().collect(),
                    _ => Vec::new(),
                };
                for n in named {
                    d[section][&n] = json!({ "name": format!("{name}_{n}") });
                }
            }
        }
        side(d, &[])
    })
}

proptest! {
    #[test]
    fn both_ends_come_back_and_nothing_dangles(a in stack("one"), b in stack("two"), picks in any::<u64>()) {
        let h = hybrid(a, b);
        let count = h.differences().len();
        let all: Vec<usize> = (0..count).collect();
        prop_assert_eq!(sorted(&h.build(&[]).document), whole(&h, &h.a));
        prop_assert_eq!(sorted(&h.build(&all).document), whole(&h, &h.b));
        let some: Vec<usize> = all.into_iter().filter(|i| picks >> (i % 64) & 1 == 1).collect();
        let d = h.build(&some).document;
        let services = d["services"].as_object().unwrap();
        for (name, s) in services {
            for on in s["depends_on"].as_object().into_iter().flat_map(|m| m.keys()) {
                prop_assert!(services.contains_key(on), "{} waits for {}", name, on);
            }
            for m in s["volumes"].as_array().into_iter().flatten() {
                prop_assert!(d["volumes"].get(m["source"].as_str().unwrap()).is_some());
            }
            for n in s["networks"].as_object().into_iter().flat_map(|n| n.keys()) {
                prop_assert!(d["networks"].get(n).is_some());
            }
        }
        let atoms = h.atoms();
        prop_assert_eq!(atoms.atoms.len(), count);
        prop_assert!(atoms.requires.iter().all(|(i, j)| i != j && *i < count && *j < count));
    }
}

#[test]
fn data_keeps_the_passwords_with_which_it_was_made() {
    let one = |data: Json| {
        side(
            json!({
                "name": "x",
                "services": { "db": { "image": "db:1", "environment": { "PW": "${PW:?x}" } } },
                KEY: { "version": 1, "project": "x", "data": data },
            }),
            &[],
        )
    };
    let with = |data: Json, value: &str| {
        let mut side = one(data);
        side.values.insert("PW".into(), Secret::new(value));
        side
    };
    let password = |hybrid: &Hybrid, chosen: &[usize]| {
        let built = hybrid.build(chosen);
        let all: Vec<String> = built
            .values
            .values()
            .map(|v| v.expose().to_owned())
            .collect();
        all.concat()
    };
    let snapshot = json!({ "data": { "snapshot": "big" } });
    let empty = json!({ "data": { "empty": true } });
    let of_b = hybrid(with(empty.clone(), "a"), with(snapshot.clone(), "b"));
    assert_eq!(password(&of_b, &[]), "b");
    let of_a = hybrid(with(snapshot, "a"), with(empty, "b"));
    assert_eq!(password(&of_a, &[]), "a");
}

#[test]
fn data_that_only_one_side_has_is_called_by_its_snapshot() {
    let one = |mounts: Json, volumes: Json, data: Json| {
        side(
            json!({
                "name": "x",
                "services": { "db": { "image": "db:1", "volumes": mounts } },
                "volumes": volumes,
                KEY: { "version": 1, "project": "x", "data": data },
            }),
            &[],
        )
    };
    let mount = json!([{ "type": "volume", "source": "data", "target": "/data" }]);
    let snapshot = json!({ "data": { "snapshot": "big" } });
    let volumes = json!({ "data": { "name": "x_data" } });
    let a = one(json!([]), json!({}), json!({}));
    let hybrid = hybrid(a, one(mount, volumes, snapshot));
    let [difference] = hybrid.differences() else {
        panic!("{:?}", hybrid.differences())
    };
    assert_eq!(
        difference.because("local", "production"),
        "`db` has the data of snapshot big at /data in production, and of none in local"
    );
    assert_eq!(
        difference.label(),
        "db: mount /data none → volume data with the snapshot big"
    );
}
