//! What becomes of manifests, field by field.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{FORMAT, objects};
use crate::diag::Problems;
use crate::fidelity::{Class, Severity};
use crate::project::{Named, SecretSource};
use crate::secret::Secret;
use crate::source::{SourceFile, Span};
use crate::spec::{Source, Sources, Translation};
use crate::stack::extension::{OWN_ADDRESS, ProbeAction};
use crate::stack::secret_ref::token;
use crate::yaml::{Mapping, Spanned, parse_one};

const SHOP: &str = include_str!("../../../tests/fixtures/kubernetes/shop.yaml");

pub fn read(text: &str, supply: &str, given: &[&str]) -> Result<Translation, Problems> {
    let file = SourceFile::new("shop.yaml", text);
    let supply = parse_one(&SourceFile::new("mirror.yaml", supply)).unwrap();
    let supply = supply.as_map().cloned().unwrap_or_else(Mapping::default);
    let spanned = |text: &str| Spanned::new(text.to_owned(), Span::generated());
    let secrets: Vec<_> = given
        .iter()
        .map(|name| Named {
            name: spanned(name),
            value: Spanned::new(
                SecretSource::Stub(Secret::new("given-value")),
                Span::generated(),
            ),
        })
        .collect();
    (FORMAT.read)(&Sources {
        files: vec![Source {
            path: "/p/shop.yaml".into(),
            file,
        }],
        project: "shop",
        root: Path::new("/p"),
        supply: &supply,
        secrets: &secrets,
    })
}

fn shop() -> (Json, Translation) {
    let translation = read(SHOP, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    (translation.document.to_json(), translation)
}

fn errors(text: &str) -> String {
    match read(text, "{}", &[]) {
        Ok(t) => panic!("it is read: {:?}", t.document.to_json()),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_container_becomes_a_service() {
    let (document, t) = shop();
    let www = &document["services"]["www"];
    assert_eq!(www["image"], "shop/web:1");
    assert_eq!(
        www["entrypoint"],
        json!(["/web", "--level=info", "--cost=$(LEVEL)", "$(UNKNOWN)"])
    );
    let password = token("WEB_PASSWORD");
    assert_eq!(
        www["command"],
        json!([format!(
            "http://u:{password}@db:$(DB_SERVICE_PORT)/$(LATER)"
        )])
    );
    let env = &www["environment"];
    assert_eq!(env["LEVEL"], "info");
    assert_eq!(env["P_LEVEL"], "info");
    assert_eq!(env["P_site.conf"], "listen 8080;\n");
    assert!(env.get("P_bad key").is_none() && env.get("NONE").is_none());
    assert_eq!(env["password"], password);
    assert_eq!(env["token"], token("WEB_TOKEN"));
    assert_eq!(env["APP"], "web");
    assert_eq!(env["IP"], OWN_ADDRESS);
    assert_eq!(env["CPUS"], "2");
    assert_eq!(env["MEM"], "128");
    assert_eq!(env["WWW_SERVICE_HOST"], "www");
    assert_eq!(env["WWW_PORT"], "tcp://www:80");
    assert_eq!(env["WWW_PORT_8080_TCP_ADDR"], "www");
    assert_eq!(env["WWW_SERVICE_PORT_PLAIN"], "8080");
    assert!(env.get("DB_SERVICE_HOST").is_none(), "headless");
    let values = &t.beyond.values;
    assert_eq!(values["WEB_PASSWORD"].expose(), "sesame");
    assert_eq!(values["WEB_TOKEN"].expose(), "t0ken-1");
    assert_eq!(t.beyond.extension.own_address, ["www"]);
}

#[test]
fn limits_rights_and_life_are_mapped() {
    let (document, t) = shop();
    let www = &document["services"]["www"];
    for (key, value) in [
        ("cpu_period", json!(100_000)),
        ("cpu_quota", json!(150_000)),
        ("cpu_shares", json!(102)),
        ("mem_limit", json!(134_217_728)),
        ("memswap_limit", json!(134_217_728)),
        ("user", json!("1000:2000")),
        ("group_add", json!(["7", "3000"])),
        ("read_only", json!(true)),
        ("cap_drop", json!(["ALL"])),
        ("cap_add", json!(["NET_BIND_SERVICE"])),
        ("security_opt", json!(["no-new-privileges:true"])),
        ("sysctls", json!({"net.core.somaxconn": "9"})),
        ("working_dir", json!("/srv")),
        ("stop_grace_period", json!("30s")),
        ("restart", json!("always")),
        ("deploy", json!({"replicas": 2})),
        ("extra_hosts", json!(["legacy=10.0.0.9", "old=10.0.0.9"])),
        ("dns_search", json!(["corp"])),
        ("dns_opt", json!(["ndots:2"])),
        ("pre_stop", json!([{"command": ["drain"]}])),
    ] {
        assert_eq!(www[key], value, "{key}");
    }
    assert!(www.get("post_start").is_none());
    assert!(t.beyond.extension.patient.contains(&"www".to_owned()));
}

#[test]
fn a_limit_of_nothing_is_no_limit() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i, resources: {limits: {cpu: '0', memory: '0'}, requests: {cpu: 100m}}}]}\n";
    let t = read(text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let pod = &t.document.to_json()["services"]["p"];
    assert_eq!(pod["cpu_shares"], 102);
    for key in ["cpu_quota", "cpu_period", "mem_limit", "memswap_limit"] {
        assert!(pod.get(key).is_none(), "{key}: {pod}");
    }
}

#[test]
fn confinement_that_production_lacks_is_told() {
    let profile = "seccompProfile: {type: RuntimeDefault}";
    for (pod, container, told) in [
        ("", "", true),
        (profile, "", false),
        ("", profile, false),
        ("", "privileged: true", false),
        ("runAsUser: 1", "runAsUser: 1", true),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{securityContext: {{{pod}}}, containers: [{{name: c, image: i, securityContext: {{{container}}}}}]}}\n"
        );
        let t = read(&text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
        let field = "securityContext.seccompProfile";
        let record = t.records.iter().find(|r| r.field == field);
        assert_eq!(record.is_some(), told, "{pod} {container}");
        if let Some(record) = record {
            assert_eq!(
                (record.object.as_str(), record.class, record.severity),
                ("service:p", Class::Substituted, Severity::Info)
            );
        }
    }
}

#[test]
fn the_least_number_of_pods_runs_where_only_an_autoscaler_says_one() {
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}\nspec: {minReplicas: 3, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n";
    let web = listening("Deployment", "web", 2, &[&[1]]);
    let other = listening("Deployment", "other", 2, &[&[1]]).replace("replicas: 2, ", "");
    for (web, replicas) in [(web.replace("replicas: 2, ", ""), 3), (web, 2)] {
        let t = read(&(web + &other + scaler), "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
        let services = &t.document.to_json()["services"];
        assert_eq!(services["web"]["deploy"], json!({"replicas": replicas}));
        assert!(services["other"].get("deploy").is_none());
    }
}

#[test]
fn probes_are_health_checks_or_questions_of_the_tool() {
    let (document, t) = shop();
    let health = &document["services"]["www"]["healthcheck"];
    assert_eq!(
        *health,
        json!({"test": ["CMD", "ready", "--now"], "interval": "10s", "timeout": "3s",
               "retries": 3, "start_period": "120s"})
    );
    let probes = &t.beyond.extension.probes["www"];
    let startup = probes.startup.as_ref().unwrap();
    let tcp = ProbeAction::Tcp {
        port: 8080,
        host: String::new(),
    };
    assert_eq!((&startup.action, startup.failures), (&tcp, Some(30)));
    let http = ProbeAction::Http {
        port: 8080,
        path: "/live".into(),
        tls: true,
        host: String::new(),
        headers: vec!["X-A: b".into()],
    };
    assert_eq!(probes.ready.len(), 1);
    assert_eq!(
        (&probes.ready[0].action, probes.ready[0].failures),
        (&http, None)
    );
    // The image's own check is none of Kubernetes'.
    let metrics = &document["services"]["db-0-metrics"]["healthcheck"];
    assert_eq!(*metrics, json!({"disable": true}));
}

#[test]
fn a_startup_probe_is_given_up_after_its_delay_and_its_failures() {
    let probe = |further: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, image: i, startupProbe: {{tcpSocket: {{port: 1}}, {further}}}}}]}}\n"
        );
        let t = read(&text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
        t.beyond.extension.probes["p"].startup.clone().unwrap()
    };
    let slow = probe("initialDelaySeconds: 60, periodSeconds: 2, failureThreshold: 3");
    assert_eq!(slow.given_up_after(), Some(66));
    assert_eq!(probe("").given_up_after(), Some(30));
}

#[test]
fn services_are_names_and_ports() {
    let (document, t) = shop();
    let names = &document["services"]["www"]["networks"]["default"]["aliases"];
    assert_eq!(
        *names,
        json!([
            "www",
            "www.shop",
            "www.shop.svc",
            "www.shop.svc.cluster.local"
        ])
    );
    let front = &t.beyond.fronts["www-front"];
    assert_eq!(front.forwards, ["80=8080/tcp"]);
    assert_eq!(
        front.at.line,
        SHOP.lines().position(|l| l.contains("port: 80,")).unwrap() as u32 + 1
    );
    assert_eq!(
        document["services"]["www-front"]["network_mode"],
        "service:www"
    );
    let db = &document["services"]["db-1-pod"]["networks"]["default"]["aliases"];
    for name in ["db", "db-1.db", "db-1.db.shop.svc.cluster.local"] {
        assert!(
            db.as_array().unwrap().contains(&json!(name)),
            "{name}: {db}"
        );
    }
    // A headless Service maps no ports.
    assert!(!t.beyond.fronts.keys().any(|f| f.starts_with("db")));
    let mail = t
        .records
        .iter()
        .find(|r| r.object == "kubernetes-service:mail")
        .unwrap();
    assert_eq!(mail.severity, Severity::High);
    assert_eq!(mail.declared, "smtp.vendor.example");
}

#[test]
fn containers_of_a_pod_share_a_holder() {
    let (document, t) = shop();
    let services = document["services"].as_object().unwrap();
    for index in 0..2 {
        let name = format!("db-{index}");
        let holder = format!("{name}-pod");
        assert!(t.beyond.holders.contains_key(&holder));
        assert_eq!(services[&holder]["hostname"], json!(name));
        assert_eq!(services[&holder]["ipc"], "shareable");
        for member in ["", "-metrics", "-prepare", "-proxy", "-check"] {
            let service = &services[&format!("{name}{member}")];
            let shared = json!(format!("service:{holder}"));
            assert_eq!(service["network_mode"], shared);
            assert_eq!(service["ipc"], shared);
            assert_eq!(service["pid"], shared);
            assert_eq!(service["stop_grace_period"], "5s");
        }
        let depends = |s: &str| services[&format!("{name}{s}")]["depends_on"].clone();
        let completed = json!({"condition": "service_completed_successfully"});
        let started = json!({"condition": "service_started"});
        let prepare = format!("{name}-prepare");
        assert_eq!(depends("-proxy"), json!({prepare.clone(): completed}));
        assert_eq!(
            depends(""),
            json!({prepare: completed, format!("{name}-proxy"): started, format!("{name}-check"): completed})
        );
        assert_eq!(depends(""), depends("-metrics"));
        assert_eq!(services[&name]["environment"], json!({"NAME": name}));
    }
    let proxy = t.beyond.extension.probes["db-0-proxy"]
        .startup
        .as_ref()
        .unwrap();
    let grpc = ProbeAction::Grpc {
        port: 9,
        service: "x".into(),
    };
    assert_eq!(proxy.action, grpc);
}

#[test]
fn volumes_are_the_pods_own() {
    let (document, t) = shop();
    let mounts = &document["services"]["db-1"]["volumes"];
    assert_eq!(mounts[0]["source"], "data-db-1-db-1");
    assert_eq!(mounts[0]["volume"], json!({"nocopy": true}));
    assert_eq!(mounts[1]["source"], "db-1-run");
    let metrics = &document["services"]["db-1-metrics"]["volumes"][0];
    assert_eq!(
        (&metrics["source"], &metrics["read_only"]),
        (&json!("db-1-run"), &json!(true))
    );
    let roots = &t.beyond.extension.volume_roots;
    assert_eq!((roots["db-1-run"].mode, roots["db-1-run"].gid), (0o777, 0));
    assert!(!roots.contains_key("data-db-1"));
}

/// A workload of one container with these mounts (`NAME:PATH`) and further fields of its pod.
fn mounting(kind: &str, name: &str, mounts: &[&str], further: &str, spec: &str) -> String {
    let api = match kind {
        "Job" => "batch/v1",
        _ => "apps/v1",
    };
    let mounts: Vec<String> = mounts
        .iter()
        .map(|m| {
            let (name, path) = m.split_once(':').unwrap();
            format!("{{name: {name}, mountPath: {path}}}")
        })
        .collect();
    format!(
        "---\napiVersion: {api}\nkind: {kind}\nmetadata: {{{name}}}\nspec: {{{spec}template: {{spec: {{{further}containers: [{{name: c, image: i, volumeMounts: [{}]}}]}}}}}}\n",
        mounts.join(", ")
    )
}

/// What a service mounts, in order.
fn mounted(document: &Json, service: &str) -> Vec<String> {
    let volumes = document["services"][service]["volumes"].as_array();
    let volumes = volumes.unwrap_or_else(|| panic!("{service}: {document}"));
    let source = |v: &Json| v["source"].as_str().unwrap().to_owned();
    volumes.iter().map(source).collect()
}

#[test]
fn claims_of_namespaces_are_volumes_of_their_own() {
    let template = "volumeClaimTemplates: [{metadata: {name: data}, spec: {}}], ";
    let set = |ns: &str| {
        let name = format!("name: db, namespace: {ns}");
        mounting("StatefulSet", &name, &["data:/d"], "", template)
    };
    let volumes = "volumes: [{name: v, persistentVolumeClaim: {claimName: data-db-0}}], ";
    let backup = mounting("Job", "name: backup, namespace: a", &["v:/d"], volumes, "");
    let t = read(&format!("{}{}{backup}", set("a"), set("b")), "{}", &[]);
    let document = t.unwrap_or_else(|p| panic!("{p}")).document.to_json();
    assert_eq!(mounted(&document, "db-a"), ["a-data-db-0"]);
    assert_eq!(mounted(&document, "db-b"), ["b-data-db-0"]);
    assert_eq!(mounted(&document, "backup"), ["a-data-db-0"]);
    assert_eq!(document["volumes"].as_object().unwrap().len(), 2);
}

#[test]
fn volumes_of_different_kinds_are_never_one() {
    let volumes = "volumes: [{name: cache, emptyDir: {}}, {name: v, persistentVolumeClaim: {claimName: web-cache}}], ";
    let web = mounting(
        "Deployment",
        "name: web",
        &["cache:/c", "v:/v"],
        volumes,
        "",
    );
    let t = read(&web, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let document = t.document.to_json();
    // The claim keeps its name: it is the one that others know.
    assert_eq!(mounted(&document, "web"), ["web-cache-2", "web-cache"]);
    let roots = &t.beyond.extension.volume_roots;
    assert_eq!(roots.keys().collect::<Vec<_>>(), ["web-cache-2"]);
    assert_eq!(document["volumes"].as_object().unwrap().len(), 2);
}

#[test]
fn config_maps_and_secrets_are_files() {
    let (document, t) = shop();
    let www = &document["services"]["www"];
    let targets = |key: &str| -> Vec<(String, u64, String)> {
        let list = www[key].as_array().unwrap().iter();
        list.map(|f| {
            let text = |k: &str| f[k].as_str().unwrap_or_default().to_owned();
            (text("target"), f["mode"].as_u64().unwrap(), text("gid"))
        })
        .collect()
    };
    let file = |t: &str, m, g: &str| (t.to_owned(), m, g.to_owned());
    assert_eq!(
        targets("configs"),
        [
            file("/etc/site/site.conf", 0o644, "3000"),
            file("/etc/site/img/logo.png", 0o640, "3000"),
            file("/etc/one.conf", 0o644, "3000"),
        ]
    );
    assert_eq!(
        targets("secrets"),
        [file("/run/key/key.bin", 0o440, "3000")]
    );
    let directories = &t.beyond.extension.directories["www"];
    assert_eq!(*directories, ["/etc/site", "/run/key"]);
    assert_eq!(t.beyond.extension.base64, ["web.logo", "web-key.key.bin"]);
    assert_eq!(document["configs"]["web.logo"]["content"], "/wD+");
    assert_eq!(
        document["secrets"]["web-key.key.bin"]["environment"],
        "WEB_KEY_KEY_BIN"
    );
}

#[test]
fn nothing_is_dropped_silently() {
    let (_, t) = shop();
    let find = |object: &str, field: &str| {
        let found = t
            .records
            .iter()
            .find(|r| r.object == object && r.field == field);
        found.unwrap_or_else(|| panic!("{object} {field}: {:?}", t.records))
    };
    assert_eq!(
        find("service:www", "pod.nodeSelector").severity,
        Severity::Info
    );
    let typo = find("service:www", "pod.typo");
    assert_eq!(
        (typo.class, typo.severity),
        (Class::Unknown, Severity::Medium)
    );
    assert!(typo.place.is_some());
    assert_eq!(
        find("service:www", "resources.limits.ephemeral-storage").declared,
        "1Gi"
    );
    assert_eq!(
        find("service:www", "lifecycle.postStart").severity,
        Severity::Medium
    );
    assert_eq!(find("widget:w", "").severity, Severity::Medium);
    assert_eq!(find("service:nightly", "schedule").declared, "0 3 * * *");
}

#[test]
fn kinds_of_other_groups_are_not_kubernetes_own() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{image: j}]}}}\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: web}\nspec: {path: ./x}\n";
    let t = read(text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let document = t.document.to_json();
    let names = &document["services"]["web"]["networks"]["default"]["aliases"];
    assert_eq!(names[0], "web", "{document}");
    for (object, declared) in [
        (
            "service.serving.knative.dev:web",
            "Service (serving.knative.dev)",
        ),
        (
            "kustomization.kustomize.toolkit.fluxcd.io:web",
            "Kustomization (kustomize.toolkit.fluxcd.io)",
        ),
    ] {
        let record = t.records.iter().find(|r| r.declared == declared);
        let record = record.unwrap_or_else(|| panic!("{declared}: {:?}", t.records));
        assert_eq!(
            (record.object.as_str(), record.class, record.severity),
            (object, Class::Dropped, Severity::Medium)
        );
    }
}

#[test]
fn jobs_run_to_their_end() {
    let (document, _) = shop();
    let nightly = &document["services"]["nightly"];
    assert_eq!(nightly["profiles"], json!(["jobs"]));
    assert_eq!(nightly["deploy"], json!({"mode": "replicated-job"}));
    assert_eq!(nightly["restart"], "on-failure:2");
}

#[test]
fn the_block_to_paste_has_the_keys_that_are_mounted() {
    let pod = "apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    image: i
    volumeMounts:
    - {name: v, mountPath: /etc/b, subPath: b.conf}
    - {name: v, mountPath: /etc/a, subPath: a.conf}
    - {name: w, mountPath: /w}
    - {name: x, mountPath: /etc/k, subPath: k.pem}
  volumes:
  - {name: v, configMap: {name: m}}
  - {name: w, configMap: {name: other, items: [{key: one, path: a}, {key: two, path: b}]}}
  - {name: x, secret: {secretName: s}}
";
    let said = errors(pod);
    for block in [
        "config_maps:\n      m:\n        a.conf: TEXT\n        b.conf: TEXT",
        "config_maps:\n      other:\n        one: TEXT\n        two: TEXT",
        "secrets:\n      s: [k.pem]\nsecrets:\n  s.k.pem: { stub: VALUE }",
    ] {
        assert!(said.contains(block), "{block} in {said}");
    }
    let supply = "kubernetes: {config_maps: {m: {a.conf: x, b.conf: y}, other: {one: x, two: y}}, secrets: {s: [k.pem]}}";
    read(pod, supply, &["s.k.pem"]).unwrap_or_else(|p| panic!("{p}"));
}

#[test]
fn what_is_missing_is_named_all_at_once_with_what_to_write() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: i\n    env:\n    - {name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}\n    envFrom:\n    - configMapRef: {name: m}\n    - secretRef: {name: t}\n";
    let said = errors(pod);
    assert!(
        said.contains("shop.yaml:9:58: nothing says what `k` of the secret `s` holds"),
        "{said}"
    );
    assert!(said.contains("secrets:\n  s.k: { stub: VALUE }"), "{said}");
    assert!(
        said.contains("config_maps:\n      m:\n        KEY: TEXT"),
        "{said}"
    );
    assert!(said.contains("secrets:\n      t: [KEY]"), "{said}");
    let supply = "kubernetes: {config_maps: {m: {LEVEL: debug}}, secrets: {t: [x]}}";
    let t = read(pod, supply, &["s.k", "x"]).unwrap_or_else(|p| panic!("{p}"));
    let env = t.document.to_json()["services"]["p"]["environment"].clone();
    assert_eq!(
        env,
        json!({"LEVEL": "debug", "x": token("x"), "A": token("S_K")})
    );
    assert!(t.beyond.asked.contains("s.k"));
}

/// A workload that is a hook of Helm where it says one.
fn hooked(kind: &str, name: &str, hook: &str, spec: &str) -> String {
    let api = match kind {
        "Pod" => "v1",
        "Job" | "CronJob" => "batch/v1",
        _ => "apps/v1",
    };
    let pod = "containers: [{name: c, image: i}]";
    let spec = match kind {
        "Pod" => pod.to_owned(),
        "CronJob" => format!(
            "schedule: '* * * * *', jobTemplate: {{spec: {{template: {{spec: {{{pod}}}}}}}}}"
        ),
        _ => format!("{spec}template: {{spec: {{{pod}}}}}"),
    };
    format!(
        "---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, annotations: {{{hook}}}}}\nspec: {{{spec}}}\n"
    )
}

#[test]
fn hooks_take_nothing_with_them_that_is_only_called_alike() {
    let text = [
        hooked("Pod", "shop", "helm.sh/hook: test", ""),
        hooked("Deployment", "shop-web", "", ""),
        hooked("Job", "db", "helm.sh/hook: pre-install", ""),
        hooked("Deployment", "db-api", "", ""),
    ];
    let t = read(&text.concat(), "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let services = &t.document.to_json()["services"];
    assert_eq!(services["shop"]["profiles"], json!(["jobs"]));
    assert!(services["shop-web"].get("profiles").is_none());
    let on_db = json!({"db": {"condition": "service_completed_successfully"}});
    for name in ["shop", "shop-web", "db-api"] {
        assert_eq!(services[name]["depends_on"], on_db, "{name}");
    }
    assert!(services["db"].get("depends_on").is_none());
    let record = t.records.iter().find(|r| r.field == "helm.sh/hook");
    let record = record.unwrap_or_else(|| panic!("{:?}", t.records));
    assert_eq!(
        (
            record.object.as_str(),
            record.declared.as_str(),
            record.class
        ),
        ("service:shop", "test", Class::Dropped)
    );
    assert!(record.place.is_some() && record.raise.contains("profiles: [jobs]"));
}

#[test]
fn hooks_run_in_the_order_of_their_weights() {
    let hook = |name: &str, weight: &str| {
        let hook = format!("helm.sh/hook: pre-install, helm.sh/hook-weight: '{weight}'");
        hooked("Job", name, &hook, "")
    };
    // A Deployment that is a hook never ends, and Helm does not wait for its end.
    let server = hooked(
        "Deployment",
        "server",
        "helm.sh/hook: pre-install, helm.sh/hook-weight: '-9'",
        "",
    );
    let text = [
        hook("b", "5"),
        hook("c", "-3"),
        hook("a", "5"),
        hook("d", "none"),
        server,
    ];
    let t = read(&text.concat(), "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let services = &t.document.to_json()["services"];
    for (name, on, condition) in [
        ("c", "server", "service_started"),
        ("d", "c", "service_completed_successfully"),
        ("a", "d", "service_completed_successfully"),
        ("b", "a", "service_completed_successfully"),
    ] {
        assert_eq!(
            services[name]["depends_on"],
            json!({on: {"condition": condition}}),
            "{name}"
        );
    }
}

#[test]
fn hooks_wait_for_what_runs_and_for_all_of_it() {
    let text = [
        hooked("Job", "seed", "helm.sh/hook: post-install", ""),
        hooked("CronJob", "nightly", "", ""),
        hooked("Job", "later", "", "suspend: true, "),
        hooked("StatefulSet", "db", "", "replicas: 2, "),
    ];
    let t = read(&text.concat(), "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
    let services = &t.document.to_json()["services"];
    let started = json!({"condition": "service_started"});
    assert_eq!(
        services["seed"]["depends_on"],
        json!({"db-0": started, "db-1": started})
    );
}

#[test]
fn templates_and_kustomizations_are_refused_with_their_line() {
    let said = errors(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: {{ .Values.name }}\n    image: x\n",
    );
    assert!(said.contains("shop.yaml:7"), "{said}");
    assert!(said.contains("template that was not rendered"), "{said}");
    let said = errors(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: \"a-{{uid}}\"}\nspec: {containers: [{name: a, image: b}]}\n",
    );
    assert!(
        said.contains("shop.yaml:3:18: `a-{{uid}}` is a template"),
        "{said}"
    );
    let said =
        errors("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n");
    assert!(said.contains("has to be built"), "{said}");
}

#[test]
fn bad_values_are_refused_where_they_stand() {
    let pod =
        |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  {spec}\n");
    for (spec, expected) in [
        (
            "containers: [{name: c, image: i, env: [{name: A, value: 8080}]}]",
            "expected a text, found the integer 8080",
        ),
        (
            "containers: [{name: c, image: i, env: [{name: A, value: yes}]}]",
            "found the boolean true",
        ),
        (
            "containers: [{name: c, image: i, resources: {limits: {memory: 12Q}}}]",
            "`12Q` is no quantity",
        ),
        (
            "containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /x}]}]",
            "has no volume `v`",
        ),
        (
            "containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: ../x}]}]\n  volumes: [{name: v, emptyDir: {}}]",
            "cannot be mounted at",
        ),
        (
            "containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /x, subPath: ../../etc}]}]\n  volumes: [{name: v, emptyDir: {}}]",
            "leads out of the volume",
        ),
        (
            "containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /x}]}]\n  volumes: [{name: v, downwardAPI: {items: [{path: ../../x, fieldRef: {fieldPath: metadata.name}}]}}]",
            "is not a path in a volume",
        ),
        (
            "containers: [{name: c, image: i, readinessProbe: {httpGet: {port: web}}}]",
            "asks the port `web`",
        ),
        ("containers: []", "has no containers"),
    ] {
        let said = errors(&pod(spec));
        assert!(said.contains(expected), "{spec}: {said}");
        assert!(said.starts_with("shop.yaml:"), "{said}");
    }
    let said = errors("apiVersion: v1\nkind: Pod\nmetadata: {name: \"a\\0b\"}\n");
    assert!(said.contains("cannot be the name of a Pod"), "{said}");
}

#[test]
fn a_bad_value_of_a_secret_is_refused_at_its_key() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: i\n    env:\n    - {name: A, valueFrom: {secretKeyRef: {name: s, key: K}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for (section, what) in [
        (
            "stringData: {P: hunter2, K: 5432}",
            "expected a text, found an integer",
        ),
        (
            "data:        {P: aHU=, K: \"hunter2!\"}",
            "this is not base64",
        ),
    ] {
        let problems = read(&format!("{pod}{section}\n"), "{}", &[]).unwrap_err();
        let [problem] = problems.0.as_slice() else {
            panic!("{problems}")
        };
        let said = problem.to_string();
        assert!(said.contains(what) && !said.contains("5432"), "{said}");
        assert_eq!(problem.span.as_ref().map(Span::text), Some("K"), "{said}");
    }
}

#[test]
fn namespaces_keep_their_short_names_apart() {
    let pod = |ns: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: {ns}, labels: {{a: b}}}}\nspec: {{containers: [{{name: web, image: i}}]}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {ns}}}\nspec: {{selector: {{a: b}}, ports: [{{port: 80}}]}}\n"
        )
    };
    let t = read(&format!("{}{}", pod("one"), pod("two")), "{}", &[]).unwrap();
    let document = t.document.to_json();
    let two = &document["services"]["web-two"]["networks"];
    assert_eq!(two["ns-two"]["aliases"][0], "web");
    assert_eq!(two["cluster"]["aliases"][0], "web.two");
    assert!(two.get("ns-one").is_none());
    assert_eq!(document["networks"].as_object().unwrap().len(), 3);
}

#[test]
fn what_names_no_namespace_is_in_that_of_the_release() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {a: b}}\nspec: {containers: [{name: web, image: i}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n";
    let aliases = |supply: &str| {
        let document = read(text, supply, &[]).unwrap().document.to_json();
        document["services"]["web"]["networks"]["default"]["aliases"].clone()
    };
    let of_shop = aliases("kubernetes: {helm: {namespace: shop}}");
    let expected = [
        "web",
        "web.shop",
        "web.shop.svc",
        "web.shop.svc.cluster.local",
    ];
    assert_eq!(of_shop, serde_json::json!(expected));
    assert_eq!(aliases("{}")[1], "web.default");
}

#[test]
fn a_bad_namespace_of_the_release_is_refused_where_it_stands() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: i}]}\n";
    let refused = read(text, "kubernetes: {helm: {namespace: ../shop}}", &[]).unwrap_err();
    let problem = &refused.0[0];
    assert!(problem.message.contains("../shop"), "{}", problem.message);
    let span = problem.span.as_ref().unwrap();
    assert_eq!(span.file.name, "mirror.yaml");
}

#[test]
fn a_port_that_the_pod_uses_itself_needs_another_address() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {a: b}}\nspec: {containers: [{name: web, image: i, ports: [{containerPort: 80}, {containerPort: 8080}]}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {a: b}, ports: [{port: 80, targetPort: 8080}]}\n";
    let t = read(text, "{}", &[]).unwrap();
    let document = t.document.to_json();
    assert!(document["services"]["web-pods"].get("networks").is_none());
    assert_eq!(
        document["services"]["web-front"]["networks"]["default"]["aliases"][0],
        "web"
    );
    assert_eq!(
        t.beyond.fronts["web-front"].forwards,
        ["80=web-pods:8080/tcp"]
    );
}

/// A workload whose containers are called `a`, `b`… and have these ports.
pub fn listening(kind: &str, name: &str, replicas: u32, ports: &[&[u16]]) -> String {
    let containers: Vec<String> = ports
        .iter()
        .zip('a'..)
        .map(|(ports, letter)| {
            let ports: Vec<String> = ports
                .iter()
                .map(|p| format!("{{containerPort: {p}}}"))
                .collect();
            format!(
                "{{name: {letter}, image: {name}, ports: [{}]}}",
                ports.join(", ")
            )
        })
        .collect();
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{replicas: {replicas}, template: {{metadata: {{labels: {{a: {name}}}}}, spec: {{containers: [{}]}}}}}}\n",
        containers.join(", ")
    )
}

/// A Service before the workload of a name.
pub fn before(name: &str, workload: &str, further: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{a: {workload}}}, {further}ports: [{{port: 80, targetPort: 8080}}]}}\n"
    )
}

#[test]
fn holders_and_fronts_take_no_name_of_another() {
    let (one, two): (&[&[u16]], &[&[u16]]) = (&[&[1]], &[&[80], &[8080]]);
    let text = [
        listening("Deployment", "web", 1, two),
        listening("Deployment", "web-pod", 1, one),
        listening("Deployment", "shop", 1, two),
        before("api", "shop", ""),
        listening("Deployment", "api-front", 1, one),
    ];
    for text in [
        text.concat(),
        text.iter().rev().map(String::as_str).collect(),
    ] {
        let t = read(&text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
        let document = t.document.to_json();
        let services = &document["services"];
        for name in ["web-pod", "api-front"] {
            assert_eq!(services[name]["image"], name, "{document}");
        }
        let holders: Vec<_> = t.beyond.holders.keys().collect();
        assert_eq!(holders, ["shop-pods-pod", "web-pod-2"]);
        assert_eq!(services["web"]["network_mode"], "service:web-pod-2");
        let front = &t.beyond.fronts["api-front-2"];
        assert_eq!(front.forwards, ["80=shop-pods-pod:8080/tcp"]);
        let record = |r: &&crate::fidelity::Record| r.object == "service:api-front-2";
        assert_eq!(t.records.iter().find(record).unwrap().declared, "api-front");
    }
}

#[test]
fn a_front_finds_all_pods_that_it_stands_before() {
    for (kind, ports, owners) in [
        (
            "StatefulSet",
            [[80, 8080].as_slice()].as_slice(),
            ["es-pods-0", "es-pods-1"],
        ),
        (
            "Deployment",
            &[&[80], &[8080]],
            ["es-pods-pod", "es-pods-2-pod"],
        ),
    ] {
        let set = listening(kind, "es", 2, ports);
        let text = set
            + &before("es", "es", "type: NodePort, ")
                .replace("port: 80", "nodePort: 30080, port: 80");
        let t = read(&text, "{}", &[]).unwrap_or_else(|p| panic!("{p}"));
        let document = t.document.to_json();
        let front = &document["services"]["es-front"];
        assert_eq!(
            t.beyond.fronts["es-front"].forwards,
            ["80=es-pods:8080/tcp"]
        );
        assert_eq!(front["networks"]["default"]["aliases"][0], "es");
        assert_eq!(
            front["ports"],
            json!([{"target": 80, "published": "30080", "protocol": "tcp"}])
        );
        for owner in owners {
            let names = &document["services"][owner]["networks"]["default"]["aliases"];
            assert_eq!(*names, json!(["es-pods"]), "{owner}: {document}");
        }
    }
}

#[test]
fn files_are_recognised() {
    let is = |text: &str| objects::sniff(&SourceFile::new("x", text));
    assert!(is("apiVersion: v1\nkind: Pod\n"));
    assert!(is("# a\n---\nkind: Pod\napiVersion: v1\n"));
    assert!(is(
        "{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": []}"
    ));
    assert!(!is("services:\n  a: {image: b}\n"));
    assert!(!is("x-kind: a\napiVersions: b\n\nservices: {}\n"));
    assert!(!is(
        "name: x\nservices:\n  a:\n    labels: {apiVersion: v1, kind: x}\n"
    ));
}
