//! Data of MariaDB, Redis and RabbitMQ; and disks without room.

use std::process::Command;

use super::Store;
use crate::project::Project;

/// A production of one service with a volume at a path.
fn service(name: &str, body: &str, path: &str) -> Project {
    let compose = format!(
        "services:\n  {name}:\n{body}    volumes: [\"data:{path}\"]\nvolumes:\n  data: {{}}\n"
    );
    Project::with(&[
        ("compose.yaml", &compose),
        (
            "mirror.yaml",
            &format!("project: other-{name}\nproduction: [compose.yaml]\n"),
        ),
    ])
}

fn rows(store: &Store, project: &Project, snapshot: &str) -> serde_json::Value {
    let said = store.run(
        project,
        &["snapshot", "inspect", snapshot, "--format", "json"],
    );
    let manifest: serde_json::Value =
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    manifest["databases"][0].clone()
}

#[test]
fn redis_is_filled_from_scripts_and_both_of_its_files() {
    let Some(store) = Store::new() else { return };
    let body = "    image: registry.shop.example/redis:7.0\n    healthcheck: { test: [CMD, redis-cli, ping], interval: 1s, retries: 30 }\n";
    let project = service("cache", body, "/data");
    project.write("fill.sh", b"set -e\nfor n in 1 2 3; do redis-cli set key:$n value-$n; done\nredis-cli -n 2 set other 1\nredis-cli save\n");
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "script",
                "--script",
                "fill.sh",
                "--service",
                "cache",
            ],
        )
        .is(0, &["db0 3 rows"]);
    project.write(
        "mirror.yaml",
        b"project: other-cache\nproduction: [compose.yaml]\ndata: { data: { snapshot: script } }\n",
    );
    store.run(&project, &["up", "-d"]).is(0, &[]);
    let got = store.run(
        &project,
        &["exec", "-T", "cache", "redis-cli", "get", "key:2"],
    );
    store
        .run(&project, &["cp", "cache:/data/dump.rdb", "dump.rdb"])
        .is(0, &[]);
    store.run(&project, &["down"]).is(0, &[]);
    assert_eq!(got.out.trim(), "value-2");
    let commands = [
        &["SELECT", "0"][..],
        &["SET", "a", "1"],
        &["RPUSH", "list", "x", "y"],
        &["SET", "b", "2"],
    ];
    let mut aof = Vec::new();
    for words in commands {
        aof.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            aof.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
        }
    }
    project.write("appendonly.aof", &aof);
    for (name, file, keys) in [("rdb", "dump.rdb", 3), ("aof", "appendonly.aof", 3)] {
        store
            .run(
                &project,
                &[
                    "snapshot",
                    "create",
                    name,
                    "--dump",
                    file,
                    "--service",
                    "cache",
                ],
            )
            .is(0, &[]);
        let of = rows(&store, &project, name);
        assert_eq!(
            (&of["engine"], &of["tables"][0]["rows"]),
            (&"redis".into(), &keys.into()),
            "{of}"
        );
    }
    let whole = std::fs::read(project.path().join("dump.rdb")).unwrap();
    project.write("cut.rdb", &whole[..whole.len() - 10]);
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    project.write("damaged.rdb", &damaged);
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "x",
                "--dump",
                "cut.rdb",
                "--service",
                "cache",
            ],
        )
        .is(2, &["is no whole dump"]);
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "x",
                "--dump",
                "damaged.rdb",
                "--service",
                "cache",
            ],
        )
        .is(3, &["could not load damaged.rdb"]);
    store
        .run(&project, &["snapshot", "rm", "script", "rdb", "aof"])
        .is(0, &[]);
    store.assert_gone();
}

#[test]
fn mariadb_is_filled_from_its_dump() {
    let Some(store) = Store::new() else { return };
    let body = "    image: registry.shop.example/mariadb:10.11\n    environment: { MARIADB_ROOT_PASSWORD: stand-in, MARIADB_DATABASE: shop }\n    \
        healthcheck: { test: [CMD-SHELL, \"mariadb-admin -uroot -p$$MARIADB_ROOT_PASSWORD ping\"], interval: 1s, retries: 60 }\n";
    let project = service("maria", body, "/var/lib/mysql");
    let dump = "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n\
        CREATE TABLE orders (id int PRIMARY KEY, note text) ENGINE=InnoDB;\nINSERT INTO orders VALUES (1,'ä'),(2,NULL),(3,'c');\n-- Dump completed on 2026-11-01\n";
    project.write("shop.sql", dump.as_bytes());
    project.write("cut.sql", &dump.as_bytes()[..120]);
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "shop",
                "--dump",
                "shop.sql",
                "--service",
                "maria",
            ],
        )
        .is(0, &["orders 3 rows"]);
    let of = rows(&store, &project, "shop");
    assert_eq!(
        (&of["engine"], &of["tables"][0]["name"]),
        (&"mariadb".into(), &"shop.orders".into())
    );
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "x",
                "--dump",
                "cut.sql",
                "--service",
                "maria",
            ],
        )
        .is(2, &["Dump completed"]);
    project.write(
        "bad.sql",
        dump.replace("CREATE TABLE", "CREATE TABEL").as_bytes(),
    );
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "x",
                "--dump",
                "bad.sql",
                "--service",
                "maria",
            ],
        )
        .is(3, &["could not load bad.sql", "syntax"]);
    store.run(&project, &["snapshot", "rm", "shop"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn rabbitmq_gets_its_definitions() {
    let Some(store) = Store::new() else { return };
    let body = "    image: registry.shop.example/rabbitmq:3.10\n    hostname: rabbitmq\n    environment: { RABBITMQ_DEFAULT_USER: shop, RABBITMQ_DEFAULT_PASS: stand-in }\n    \
        healthcheck: { test: [CMD, amqp-ready], interval: 1s, retries: 60 }\n";
    let project = service("broker", body, "/var/lib/rabbitmq");
    project.write(
        "definitions.json",
        br#"{"rabbit_version":"3.10.8","vhosts":[{"name":"/"}],"queues":[{"name":"shipping","vhost":"/","durable":true,"auto_delete":false,"arguments":{}}],
            "exchanges":[{"name":"shop","vhost":"/","type":"topic","durable":true,"auto_delete":false,"internal":false,"arguments":{}}],"bindings":[]}"#,
    );
    project.write("bad.json", b"{\"rabbit_version\": \"3.10\", \"queues\": [");
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "broker",
                "--dump",
                "definitions.json",
                "--service",
                "broker",
            ],
        )
        .is(0, &["broker sha256:"]);
    store
        .run(
            &project,
            &[
                "snapshot",
                "create",
                "x",
                "--dump",
                "bad.json",
                "--service",
                "broker",
            ],
        )
        .is(2, &["is no whole dump"]);
    project.write(
        "mirror.yaml",
        b"project: other-broker\nproduction: [compose.yaml]\ndata: { data: { snapshot: broker } }\n",
    );
    project.write(
        "scenarios/a.yaml",
        b"scenario: the queue is there\nsteps:\n  - amqp: { service: broker, queue: shipping }\n    expect: [ exists == true, depth == 0 ]\n",
    );
    store.run(&project, &["run"]).is(0, &["1 passed"]);
    store
        .run(&project, &["snapshot", "rm", "broker"])
        .is(0, &[]);
    store.assert_gone();
}

#[test]
fn a_disk_without_room_is_told_before_and_in_the_middle() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    let noise = |mib: usize| -> Vec<u8> {
        let mut state = 7_u64;
        (0..mib << 20)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect()
    };
    project.write("much/a", &noise(90));
    // Fits by the size of its files, and not with all its directories.
    project.write("tight/a", &noise(40));
    for n in 0..120_000 {
        std::fs::create_dir(
            project
                .path()
                .join(format!("tight/directory-of-a-long-name-{n}")),
        )
        .unwrap();
    }
    for (dir, why) in [("much", "it needs "), ("tight", "could not seal the data")] {
        // In memory, with an end; it is gone when nobody has it mounted.
        let made = Command::new("docker")
            .args(["volume", "create", "--label", "dev.prodmirror.role=store"])
            .args([
                "-o",
                "type=tmpfs",
                "-o",
                "device=tmpfs",
                "-o",
                "o=size=64m",
                &store.name,
            ])
            .output();
        assert!(made.unwrap().status.success());
        let said = store.run(&project, &["snapshot", "create", "a", "--directory", dir]);
        said.is(3, &[why, "the disk of the store is full"]);
        store
            .run(&project, &["snapshot", "ls"])
            .is(0, &["no snapshot"]);
        let _ = Command::new("docker")
            .args(["volume", "rm", &store.name])
            .output();
        store.assert_gone();
    }
}
