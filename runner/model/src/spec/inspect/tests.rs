use std::path::Path;

use serde_json::{Value as Json, json};

use super::*;
use crate::fidelity::{Class, Severity};
use crate::project::{Named, SecretSource};
use crate::source::Span;
use crate::spec::Source;
use crate::stack::secret_ref::token;
use crate::yaml::{Mapping, Node, Spanned, parse_one};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn read_texts(texts: &[String], root: &Path, supply: &str) -> Result<Translation, Problems> {
    read_with(texts, root, supply, &[])
}

fn read_with(
    texts: &[String],
    root: &Path,
    supply: &str,
    secrets: &[&str],
) -> Result<Translation, Problems> {
    let secrets: Vec<Named<Spanned<SecretSource>>> = secrets
        .iter()
        .map(|name| Named {
            name: Spanned::new((*name).to_owned(), Span::generated()),
            value: Spanned::new(SecretSource::Env("X".to_owned()), Span::generated()),
        })
        .collect();
    let files: Vec<Source> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| Source {
            path: root.join(format!("{i}.json")),
            file: SourceFile::new(format!("{i}.json"), text.clone()),
        })
        .collect();
    let supply = parse_one(&SourceFile::new("mirror.yaml", supply)).unwrap();
    let none = Mapping::default();
    (FORMAT.read)(&Sources {
        files,
        project: "shop",
        root,
        supply: supply.as_map().unwrap_or(&none),
        secrets: &secrets,
    })
}

fn translated(capture: &Json, supply: &str) -> Translation {
    let text = serde_json::to_string_pretty(capture).unwrap();
    read_texts(&[text], Path::new("/nowhere"), supply).unwrap_or_else(|e| panic!("{e}"))
}

/// A container with some of its `Config` and `HostConfig`.
fn container(name: &str, config: &Json, host: &Json) -> Json {
    let mut config = config.clone();
    if config.get("Image").is_none() {
        config["Image"] = json!("shop/web:1");
    }
    json!({
        "Id": ID.replace("0123", &format!("{:04x}", name.len())),
        "Name": format!("/{name}"),
        "Image": "sha256:aaaa",
        "Config": config,
        "HostConfig": host,
        "NetworkSettings": { "Networks": {} },
    })
}

fn image(config: &Json) -> Json {
    json!({ "Id": "sha256:aaaa", "RepoTags": ["shop/web:1"], "RepoDigests": [], "Config": config })
}

fn service(t: &Translation, name: &str) -> Json {
    let node = t.document.at(&["services", name]);
    node.unwrap_or_else(|| panic!("{:?}", t.document)).to_json()
}

fn problems(t: &Translation) -> String {
    let all: Vec<String> = t.warnings.iter().map(ToString::to_string).collect();
    all.join("\n")
}

#[test]
fn what_the_image_says_is_subtracted() {
    let of_image = json!({
        "Env": ["PATH=/bin", "LEVEL=info", "GONE=1"],
        "Labels": { "vendor": "x", "tier": "1" },
        "User": "web", "WorkingDir": "/app", "StopSignal": "SIGINT",
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 1_000_000_000 },
        "ExposedPorts": { "80/tcp": {} }, "Volumes": { "/data": {} },
        "Entrypoint": ["/run"], "Cmd": ["serve"],
    });
    let mut own = of_image.clone();
    own["Env"] = json!(["PATH=/bin", "LEVEL=debug", "A=$B=c"]);
    own["Labels"]["tier"] = json!("2");
    own["Labels"]["com.docker.compose.version"] = json!("2.40");
    own["ExposedPorts"]["53/udp"] = json!({});
    let mut c = container("web", &own, &json!({}));
    c["Mounts"] = json!([{ "Type": "volume", "Name": ID, "Destination": "/data", "RW": true }]);
    let t = translated(&json!([c, image(&of_image)]), "");
    assert_eq!(
        service(&t, "web"),
        json!({
            "image": "shop/web:1",
            "environment": { "LEVEL": "debug", "A": "$B=c", "GONE": null },
            "labels": { "tier": "2" },
            "network_mode": "bridge",
            "expose": ["53/udp"],
        })
    );
    let t = translated(&json!([container("web", &own, &json!({}))]), "");
    let record = t
        .records
        .iter()
        .find(|r| r.field == "image.config")
        .unwrap();
    assert_eq!(record.severity, Severity::Medium);
    assert_eq!(service(&t, "web")["user"], "web");
}

/// The engine shows what came of the image's and the asked-for program and arguments.
#[test]
fn programs_and_arguments_come_out_as_they_ran() {
    let (run, serve) = (json!(["/run"]), json!(["serve"]));
    let none = Json::Null;
    let empty = json!([]);
    for (image_says, shown, wanted) in [
        ((&run, &serve), (&run, &serve), (None, None)),
        (
            (&run, &serve),
            (&none, &serve),
            (Some(&empty), Some(&serve)),
        ),
        ((&run, &serve), (&run, &none), (Some(&run), None)),
        ((&none, &serve), (&none, &run), (None, Some(&run))),
        ((&none, &serve), (&run, &serve), (Some(&run), Some(&serve))),
        ((&run, &none), (&serve, &none), (Some(&serve), None)),
        ((&run, &none), (&run, &serve), (None, Some(&serve))),
    ] {
        let config = |(program, arguments): (&Json, &Json)| json!({ "Entrypoint": program, "Cmd": arguments });
        let c = container("web", &config(shown), &json!({}));
        let t = translated(&json!([c, image(&config(image_says))]), "");
        let s = service(&t, "web");
        let found = (s.get("entrypoint"), s.get("command"));
        assert_eq!(found, wanted, "{image_says:?} {shown:?}");
    }
    // Without the image, what is not shown was not there.
    let c = container("web", &json!({ "Cmd": ["x"] }), &json!({}));
    let s = service(&translated(&c, ""), "web");
    assert_eq!(
        (&s["entrypoint"], &s["command"]),
        (&json!([]), &json!(["x"]))
    );
    // The oldest captures have what was started only.
    let mut c = container("web", &json!({}), &json!({}));
    c["Path"] = json!("cat");
    c["Args"] = json!(["-n"]);
    assert_eq!(
        service(&translated(&c, ""), "web")["entrypoint"],
        json!(["cat", "-n"])
    );
}

#[test]
fn images_are_named_by_digest_where_the_registry_is_known() {
    let digest = format!("sha256:{ID}");
    let inspected = |tags: Json| {
        json!({ "Id": "sha256:aaaa", "RepoTags": tags, "Config": {}, "Os": "linux", "Architecture": "arm64",
            "RepoDigests": [format!("other/web@{digest}x"), format!("docker.io/shop/web@{digest}")] })
    };
    let named = |reference: &str, tags: Json| {
        let c = container("web", &json!({ "Image": reference }), &json!({}));
        let t = translated(&json!([c, inspected(tags)]), "");
        let moved = t.records.iter().any(|r| r.field == "image.tag");
        let s = service(&t, "web");
        assert_eq!(s["platform"], "linux/arm64");
        (s["image"].as_str().unwrap().to_owned(), moved)
    };
    let full = format!("shop/web:1@{digest}");
    assert_eq!(
        named("shop/web:1", json!(["shop/web:1"])),
        (full.clone(), false)
    );
    assert_eq!(
        named("shop/web:1", json!(["shop/web:2"])),
        (full.clone(), true)
    );
    assert_eq!(named("sha256:aaaa", json!(["shop/web:1"])), (full, false));
    let plain = "else.example:5000/x";
    assert_eq!(
        named(plain, json!([format!("{plain}:latest")])),
        (plain.to_owned(), false)
    );
    let c = container("web", &json!({ "Image": "0123456789ab" }), &json!({}));
    let t = translated(&c, "");
    assert_eq!(service(&t, "web")["image"], "missing.invalid/web");
    assert!(t.records.iter().any(|r| r.severity == Severity::Blocker));
}

fn labelled(name: &str, service: &str, number: u32, host: &Json) -> Json {
    let labels = json!({
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": number.to_string(),
        "com.docker.compose.config-hash": "h",
        "com.docker.compose.depends_on": "db:service_healthy:false,cache:service_started:true,gone:service_started:false",
    });
    let mut c = container(name, &json!({ "Labels": labels }), host);
    c["Id"] = json!(format!("{number:02}{service:f<62}"));
    c
}

#[test]
fn containers_of_a_service_are_replicas() {
    let mut second = labelled("shop-web-2", "web", 2, &json!({ "Memory": 7 }));
    second["Config"]["Env"] = json!(["A=secret"]);
    let capture = json!([
        second,
        labelled("shop-web-1", "web", 1, &json!({ "Memory": 8 })),
        labelled("shop-db-1", "db", 1, &json!({})),
        labelled("mine", "cache", 1, &json!({})),
    ]);
    let t = translated(&capture, "");
    let web = service(&t, "web");
    assert_eq!((&web["scale"], &web["mem_limit"]), (&json!(2), &json!(8)));
    assert_eq!(
        web["depends_on"],
        json!({
            "db": { "condition": "service_healthy" },
            "cache": { "condition": "service_started", "restart": true },
        })
    );
    assert_eq!(service(&t, "cache")["container_name"], "mine");
    assert!(web.get("container_name").is_none());
    let said: Vec<&str> = t.records.iter().map(|r| r.field.as_str()).collect();
    for field in [
        "replicas[2].mem_limit",
        "replicas[2].environment",
        "depends_on.gone",
    ] {
        assert!(said.contains(&field), "{field}: {said:?}");
    }
    assert!(!format!("{:?}", t.records).contains("secret"));
    assert_eq!(t.document.get("name").unwrap().as_str(), Some("shop"));
}

#[test]
fn networks_names_and_links() {
    let mut web = labelled(
        "shop-web-1",
        "web",
        1,
        &json!({ "NetworkMode": "shop_front", "PortBindings": {
            "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }, { "HostIp": "", "HostPort": "8080" }] } }),
    );
    let id = web["Id"].as_str().unwrap()[..12].to_owned();
    web["NetworkSettings"] = json!({
        "Ports": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "32768" }, { "HostIp": "0.0.0.0", "HostPort": "8080" }] },
        "Networks": {
            "shop_back": { "Aliases": ["shop-web-1", "web", id, "api.internal"], "IPAMConfig": { "IPv4Address": "10.9.0.7" },
                "Links": ["shop-db-1:database", "shop-db-1:db-1", "shop-db-1:shop-db-1"], "IPAddress": "10.9.0.7" },
            "shop_front": { "Aliases": null, "IPAddress": "172.20.0.2", "Novelty": 1 },
        },
    });
    let db = labelled("shop-db-1", "db", 1, &json!({ "NetworkMode": "none" }));
    let networks = json!([
        { "Name": "shop_back", "Id": "n1", "Driver": "bridge", "Internal": true, "Options": {}, "Labels": { "com.docker.compose.network": "back", "a": "b" },
          "IPAM": { "Driver": "default", "Config": [{ "Subnet": "10.9.0.0/24" }] } },
        { "Name": "shop_front", "Id": "n2", "Driver": "overlay", "EnableIPv6": true, "IPAM": { "Driver": "default", "Config": [{ "Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1" }] } },
    ]);
    let t = translated(&json!([web, db, networks]), "");
    let web = service(&t, "web");
    assert_eq!(
        web["networks"],
        json!({ "back": { "aliases": ["api.internal"], "ipv4_address": "10.9.0.7" }, "front": { "priority": 1 } })
    );
    assert_eq!(web["links"], json!(["db:database"]));
    assert_eq!(
        web["ports"][0],
        json!({ "target": 80, "host_ip": "127.0.0.1", "protocol": "tcp" })
    );
    assert_eq!(web["ports"][1]["published"], "8080");
    assert_eq!(service(&t, "db")["network_mode"], "none");
    assert_eq!(
        t.document.get("networks").unwrap().to_json(),
        json!({
            "back": { "internal": true, "ipam": { "config": [{ "subnet": "10.9.0.0/24" }] }, "labels": { "a": "b" } },
            "front": { "driver": "overlay", "enable_ipv6": true },
        })
    );
    let said: Vec<&str> = t.records.iter().map(|r| r.field.as_str()).collect();
    for field in [
        "networks.front.Novelty",
        "ports[80/tcp].published",
        "ipam.subnet",
    ] {
        assert!(said.contains(&field), "{field}: {said:?}");
    }
}

#[test]
fn namespaces_of_other_containers_are_found() {
    let other = container("db", &json!({}), &json!({}));
    let id = other["Id"].as_str().unwrap().to_owned();
    let host = json!({ "NetworkMode": format!("container:{id}"), "PidMode": "container:db", "IpcMode": "private", "VolumesFrom": [format!("{id}:ro")] });
    let t = translated(&json!([other, container("side", &json!({}), &host)]), "");
    let side = service(&t, "side");
    assert_eq!(side["network_mode"], "service:db");
    assert_eq!(
        (&side["pid"], side.get("ipc")),
        (&json!("service:db"), None)
    );
    assert_eq!(side["volumes_from"], json!(["db:ro"]));
    let lost = container(
        "side",
        &json!({}),
        &json!({ "NetworkMode": "container:ffff" }),
    );
    let t = translated(&lost, "");
    assert!(t.warnings[0].is_error());
    assert!(
        problems(&t).contains("container ffff, which is not in the capture"),
        "{}",
        problems(&t)
    );
}

#[test]
fn mounts_of_all_kinds() {
    let host = json!({
        "Binds": ["shop_data:/data:rw,nocopy", "/var/run/docker.sock:/var/run/docker.sock", format!("{ID}:/anon:rw")],
        "Mounts": [{ "Type": "tmpfs", "Target": "/t", "TmpfsOptions": { "SizeBytes": 64, "Mode": 448 } },
                   { "Type": "volume", "Source": "far", "Target": "/far", "ReadOnly": true }],
        "Tmpfs": { "/run": "size=1m" },
    });
    let mut c = labelled("shop-web-1", "web", 1, &host);
    c["Mounts"] = json!([
        { "Type": "volume", "Name": "shop_data", "Destination": "/data", "RW": true },
        { "Type": "volume", "Name": ID, "Destination": "/anon", "RW": true },
        { "Type": "volume", "Name": ID, "Destination": "/declared", "RW": false },
    ]);
    let volumes = json!([{ "Name": "far", "Driver": "nfs", "Mountpoint": "/x", "Options": { "device": ":/e" }, "Labels": null }]);
    let t = translated(&json!([c, volumes]), "");
    let web = service(&t, "web");
    let short: Vec<String> = web["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| format!("{} {} {}", v["type"], v["source"], v["target"]).replace('"', ""))
        .collect();
    assert_eq!(
        short,
        [
            "volume data /data",
            "bind /var/run/docker.sock /var/run/docker.sock",
            "volume null /anon",
            "tmpfs null /t",
            "volume far /far",
            "volume null /declared",
        ]
    );
    assert_eq!(web["tmpfs"], json!(["/run:size=1m"]));
    assert_eq!(web["volumes"][0]["volume"], json!({ "nocopy": true }));
    assert_eq!(
        t.document.get("volumes").unwrap().to_json(),
        json!({ "data": {}, "far": { "name": "far", "driver": "nfs", "driver_opts": { "device": ":/e" } } })
    );
}

#[test]
fn content_of_files_is_asked_for_all_at_once() {
    let host = json!({ "Binds": ["/srv/a.conf:/etc/a.conf:ro", "/srv/state:/state", "/etc/localtime:/etc/localtime:ro",
        "/srv/pw:/run/secrets/pw:ro"] });
    let mut c = container(
        "web",
        &json!({ "Env": ["PW_FILE=/run/secrets/other", "T=/run/secrets/tree/x"] }),
        &host,
    );
    c["Config"]["Labels"] = json!({ "com.docker.compose.project.working_dir": "/srv" });
    let t = translated(&c, "");
    let text = problems(&t);
    assert!(
        text.ends_with(
            "supply:\n  files:\n    web:\n      /etc/a.conf: { file: a.conf }\n      /state: { empty: true }"
        ),
        "{text}"
    );
    let blockers = t.records.iter().filter(|r| r.severity == Severity::Blocker);
    assert_eq!(blockers.count(), 2);
    let web = service(&t, "web");
    let names: Vec<&Json> = web["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["source"])
        .collect();
    assert_eq!(names, ["pw", "other"]);
    assert_eq!(web["volumes"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_supplied_takes_the_place_of_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("conf/d")).unwrap();
    std::fs::write(dir.path().join("conf/a.conf"), "x").unwrap();
    let host = json!({ "Binds": ["/srv/a.conf:/etc/a.conf:ro", "/srv/b:/b", "/opt/conf/d:/d:ro", "/srv/t:/t", "/srv/h:/h"] });
    let text = container("web", &json!({}), &host).to_string();
    let read = |supply: &str| read_texts(std::slice::from_ref(&text), dir.path(), supply);
    let t = read(
        "files: { web: { /etc/a.conf: { file: conf/a.conf }, /b: { empty: true }, /t: { content: 'a $b' }, /h: { host: true }, /extra: { secret: pw } } }\npaths: { /opt: . }",
    )
    .unwrap();
    assert_eq!(problems(&t), "");
    let web = service(&t, "web");
    let root = dir.path().display();
    assert_eq!(
        web["volumes"],
        json!([
            { "type": "bind", "source": format!("{root}/conf/a.conf"), "target": "/etc/a.conf", "read_only": true },
            { "type": "volume", "source": "supplied-srv-b", "target": "/b", "volume": { "nocopy": true } },
            { "type": "bind", "source": format!("{root}/conf/d"), "target": "/d", "read_only": true },
            { "type": "bind", "source": "/srv/h", "target": "/h" },
        ])
    );
    assert_eq!(
        web["secrets"],
        json!([{ "source": "pw", "target": "/extra" }])
    );
    assert_eq!(
        t.document
            .at(&["configs", "web-t", "content"])
            .unwrap()
            .as_str(),
        Some("a $b")
    );
    let given = t.records.iter().filter(|r| r.class == Class::Substituted);
    assert_eq!(given.count(), 5);
    for (supply, wanted) in [
        (
            "files: { wbe: { /a: { empty: true } } }",
            "did you mean `web`?",
        ),
        (
            "files: { web: { /a: { file: ../x } } }",
            "leads out of the project",
        ),
        ("files: { web: { /a: { file: none } } }", "no such file"),
        (
            "files: { web: { /a/../b: { empty: true } } }",
            "no path in a container",
        ),
        ("files: { web: { /a: { empty: false } } }", "write one of"),
        (
            "files: { web: { /a: { file: conf/a.conf, content: x } } }",
            "exactly one key",
        ),
        ("files: 7", "is a mapping"),
        ("paths: { /opt: ../.. }", "leads out of the project"),
    ] {
        let said = problems(&read(supply).unwrap());
        assert!(said.contains(wanted), "{supply}: {said}");
    }
}

#[test]
fn secrets_of_the_environment_are_taken_from_mirror_yaml() {
    let env = json!([
        "ADMIN_TOKEN=live",
        "URL=amqp://a:<secret PW>@q/<secret PW>?<secret no",
        "X=1"
    ]);
    let text = container(
        "web",
        &json!({ "Env": env, "Cmd": ["--key", "<secret KEY>"] }),
        &json!({}),
    );
    let read = |secrets: &[&str]| {
        let texts = [text.to_string()];
        read_with(&texts, Path::new("/x"), "", secrets).unwrap_or_else(|e| panic!("{e}"))
    };
    let t = read(&["ADMIN_TOKEN", "PW", "KEY"]);
    assert_eq!(problems(&t), "");
    let web = service(&t, "web");
    let (pw, key, admin) = (token("PW"), token("KEY"), token("ADMIN_TOKEN"));
    let url = format!("amqp://a:{pw}@q/{pw}?<secret no");
    assert_eq!(
        web["environment"],
        json!({ "ADMIN_TOKEN": admin, "URL": url, "X": "1" })
    );
    assert_eq!(web["command"], json!(["--key", key]));
    let asked: Vec<&String> = t.beyond.asked.iter().collect();
    assert_eq!(asked, ["ADMIN_TOKEN", "KEY", "PW"]);
    let said = problems(&read(&["PW"]));
    assert!(said.contains("secrets:\n  KEY: { stub: VALUE }"), "{said}");
    assert!(read(&["PW"]).warnings[0].is_error());
}

#[test]
fn all_else_that_the_host_was_asked_for() {
    let host = json!({
        "Memory": 1024, "MemorySwap": 2048, "NanoCpus": 1_250_000_000_i64, "PidsLimit": -1, "ShmSize": 67_108_864,
        "Ulimits": [{ "Name": "core", "Soft": 0, "Hard": 0 }, { "Name": "nofile", "Soft": 1, "Hard": 2 }],
        "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
        "LogConfig": { "Type": "gelf", "Config": { "gelf-address": "udp://x" } },
        "CapAdd": ["CAP_NET_ADMIN"], "SecurityOpt": ["no-new-privileges", "label=disable"], "PidMode": "host",
        "Sysctls": { "net.core.somaxconn": "1024" }, "Init": true, "ReadonlyRootfs": true, "MaskedPaths": [],
        "Devices": [{ "PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm" }],
        "BlkioWeightDevice": [{ "Path": "/dev/sda", "Weight": 9 }],
        "DeviceRequests": [{ "Count": -1, "Capabilities": [["gpu"]] }],
        "KernelMemory": 5, "Wonder": { "x": 1 }, "Nothing": 0,
    });
    let mut c = container(
        "web",
        &json!({ "StopTimeout": 90, "Healthcheck": { "Test": ["CMD", "x"], "Interval": 1_500_000_000 } }),
        &host,
    );
    c["State"] = json!({ "Status": "exited", "ExitCode": 137, "OOMKilled": true });
    c["RestartCount"] = json!(4);
    let t = translated(&c, "");
    assert_eq!(
        service(&t, "web"),
        json!({
            "image": "shop/web:1", "network_mode": "bridge",
            "stop_grace_period": "90s", "healthcheck": { "test": ["CMD", "x"], "interval": "1500ms" },
            "mem_limit": 1024, "cpus": "1.25", "ulimits": { "core": 0, "nofile": { "soft": 1, "hard": 2 } },
            "blkio_config": { "weight_device": [{ "path": "/dev/sda", "weight": 9 }] },
            "devices": [{ "source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rwm" }],
            "gpus": [{ "count": "all", "capabilities": ["gpu"] }],
            "cap_add": ["NET_ADMIN"], "sysctls": { "net.core.somaxconn": "1024" }, "read_only": true, "init": true,
            "security_opt": ["no-new-privileges", "systempaths=unconfined"], "pid": "host", "restart": "on-failure:3",
            "logging": { "driver": "gelf", "options": { "gelf-address": "udp://x" } },
        })
    );
    let said: Vec<&str> = t.records.iter().map(|r| r.field.as_str()).collect();
    for field in [
        "HostConfig.KernelMemory",
        "HostConfig.Wonder",
        "State.Status",
        "State.OOMKilled",
        "RestartCount",
    ] {
        assert!(said.contains(&field), "{field}: {said:?}");
    }
    assert!(!said.contains(&"HostConfig.Nothing"));
}

#[test]
fn captures_come_in_many_shapes() {
    let (a, b) = (
        container("a", &json!({}), &json!({})),
        container("bb", &json!({}), &json!({})),
    );
    let names = |texts: &[String]| -> Vec<String> {
        let t = read_texts(texts, Path::new("/x"), "").unwrap_or_else(|e| panic!("{e}"));
        let services = t.document.get("services").and_then(Node::as_map).unwrap();
        services.keys().map(str::to_owned).collect()
    };
    for texts in [
        vec![json!([a, b]).to_string()],
        vec![format!("{a}\n{b}\n")],
        vec![a.to_string(), b.to_string()],
        vec![
            json!([a, [b]]).to_string(),
            json!({ "Volumes": [], "Warnings": null }).to_string(),
        ],
        vec![json!([a, b, a]).to_string()],
    ] {
        assert_eq!(names(&texts), ["a", "bb"]);
        assert!(
            sniff(&SourceFile::new("x", texts[0].clone())),
            "{}",
            texts[0]
        );
    }
    let mut run = container("run", &json!({}), &json!({}));
    run["Config"]["Labels"] = json!({ "com.docker.compose.oneoff": "True" });
    assert_eq!(names(&[json!([a, run]).to_string()]), ["a"]);
    for (text, wanted) in [
        ("[]", "no container is in the capture"),
        (
            r#"[{ "Id": "x", "Names": ["/web"], "Image": "x" }]"#,
            "a line of a list",
        ),
        ("[", "invalid JSON"),
    ] {
        let said = read_texts(&[text.to_owned()], Path::new("/x"), "")
            .unwrap_err()
            .to_string();
        assert!(said.contains(wanted), "{said}");
    }
    for text in [
        "services: {}",
        r#"{"services": {"web": {"image": "x"}}}"#,
        r#"{"apiVersion": "v1", "x": "\"HostConfig\""}"#,
    ] {
        assert!(!sniff(&SourceFile::new("x", text)), "{text}");
    }
}

/// Any value in the place of any other: read or refused, never a panic.
#[test]
fn values_of_any_type_do_no_harm() {
    let host = json!({
        "Binds": ["/a:/b:ro"], "Mounts": [{ "Type": "bind", "Target": "/x" }], "Links": ["/db:/web/x"], "Tmpfs": { "/t": "" },
        "PortBindings": { "80/tcp": [{ "HostPort": "1" }] }, "Ulimits": [{ "Name": "a" }], "LogConfig": { "Type": "x", "Config": {} },
        "RestartPolicy": { "Name": "always" }, "NanoCpus": 1, "Memory": 1, "MemorySwap": 1, "VolumesFrom": ["x"], "Devices": [{}],
        "DeviceRequests": [{ "Capabilities": [[]] }], "BlkioWeightDevice": [{}], "SecurityOpt": ["x"], "NetworkMode": "n", "PidMode": "x",
    });
    let config = json!({ "Env": ["A=b"], "Cmd": ["x"], "Entrypoint": ["y"], "Labels": { "a": "b" }, "Healthcheck": { "Test": ["NONE"], "Interval": 1 },
        "Hostname": "h", "ExposedPorts": { "1/tcp": {} }, "StopTimeout": 1, "User": "u" });
    let mut c = container("web", &config, &host);
    c["State"] = json!({ "Status": "exited", "ExitCode": 1, "Health": { "Status": "x" } });
    c["Mounts"] = json!([{ "Type": "volume", "Name": "v", "Destination": "/v", "Mode": "z" }]);
    c["NetworkSettings"]["Networks"] = json!({ "n": { "Aliases": ["x"], "IPAMConfig": { "IPv4Address": "x" }, "Links": ["a:b"] } });
    let whole = json!([c, image(&config), { "Name": "n", "IPAM": { "Config": [{ "Subnet": "x" }] }, "Labels": {} }, { "Name": "v", "Mountpoint": "", "Options": {} }]);
    let values = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("€:/:"),
        json!([null, 1, [], {}]),
        json!({ "": null }),
        json!(true),
    ];
    let mut paths = Vec::new();
    places(&whole, String::new(), &mut paths);
    assert!(paths.len() > 80, "{}", paths.len());
    for path in paths {
        for value in &values {
            let mut changed = whole.clone();
            *changed.pointer_mut(&path).unwrap() = value.clone();
            let _ = read_texts(&[changed.to_string()], Path::new("/x"), "");
        }
    }
}

fn places(value: &Json, path: String, out: &mut Vec<String>) {
    match value {
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                places(item, format!("{path}/{i}"), out);
            }
        }
        Json::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(item, format!("{path}/{key}"), out);
            }
        }
        _ => {}
    }
    out.push(path);
}
