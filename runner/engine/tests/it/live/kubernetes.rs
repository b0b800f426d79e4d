//! Manifests on a real engine: what the containers have is what the manifests say.

use std::collections::BTreeMap;
use std::time::Duration;

use prodmirror_engine::live::{ExecRequest, LiveError, LiveStack};
use prodmirror_model::compile::{Inputs, compile};
use prodmirror_model::event::What;
use prodmirror_model::plan::Plan;
use prodmirror_model::project::Project;
use prodmirror_model::secret::Secret;
use prodmirror_model::stack::Variable;
use serde_json::{Value, json};

use super::rig::{Rig, on_engine};

const IMAGE: &str = "registry.shop.example/shop/runtime:1";

const MANIFESTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: app }
data: { LEVEL: debug, site.conf: "listen 8080;\n" }
binaryData: { logo.png: iVD+/w== }
---
apiVersion: v1
kind: Secret
metadata: { name: app }
stringData: { token: correct-horse }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      shareProcessNamespace: true
      terminationGracePeriodSeconds: 7
      securityContext: { fsGroup: 3000, sysctls: [{ name: net.ipv4.ip_local_port_range, value: "20000 30000" }] }
      initContainers:
        - name: prepare
          image: IMAGE
          command: [sh, -c, "echo prepared > /shared/index.html"]
          volumeMounts: [{ name: shared, mountPath: /shared }]
        - name: proxy
          image: IMAGE
          restartPolicy: Always
          command: [sh, -c, "sleep 1; echo started > /shared/proxy; exec sleep 1000"]
          startupProbe: { exec: { command: [test, -s, /shared/proxy] }, periodSeconds: 1, failureThreshold: 60 }
          volumeMounts: [{ name: shared, mountPath: /shared }]
      containers:
        - name: app
          image: IMAGE
          command: [sh, -c]
          args: ["test -s /shared/proxy || exit 9; cd /shared; exec python3 -m $(MODULE) 8080"]
          env:
            - { name: MODULE, value: http.server }
            - { name: LEVEL, valueFrom: { configMapKeyRef: { name: app, key: LEVEL } } }
            - { name: TOKEN, valueFrom: { secretKeyRef: { name: app, key: token } } }
            - { name: URL, value: "http://u:$(TOKEN)@$$(LEVEL)/" }
            - { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /index.html, port: http }, periodSeconds: 1 }
          resources: { requests: { cpu: 100m }, limits: { cpu: 1500m, memory: 96Mi } }
          securityContext:
            runAsUser: 10001
            runAsGroup: 10002
            runAsNonRoot: true
            readOnlyRootFilesystem: true
            allowPrivilegeEscalation: false
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: shared, mountPath: /shared }
            - { name: site, mountPath: /etc/apt }
            - { name: site, mountPath: /etc/one.conf, subPath: site.conf }
            - { name: token, mountPath: /run/token }
        - name: side
          image: IMAGE
          command: [sleep, "1000"]
          volumeMounts: [{ name: shared, mountPath: /shared }]
      volumes:
        - { name: shared, emptyDir: {} }
        - { name: site, configMap: { name: app } }
        - { name: token, secret: { secretName: app, defaultMode: 0400 } }
---
apiVersion: v1
kind: Service
metadata: { name: site }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: http }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  serviceName: db
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      containers:
        - name: db
          image: IMAGE
          command: [sleep, "1000"]
          livenessProbe: { exec: { command: ["true"] } }
          volumeMounts: [{ name: data, mountPath: /etc/apt }]
  volumeClaimTemplates: [{ metadata: { name: data }, spec: {} }]
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db }, ports: [{ port: 1 }] }
"#;

fn planned(rig: &Rig, manifests: &str) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("mirror.yaml", "project: kube\nproduction: [app.yaml]\n");
    write("app.yaml", &manifests.replace("IMAGE", IMAGE));
    let project = Project::load(dir.path()).unwrap_or_else(|p| panic!("{p}"));
    let inputs = Inputs {
        agent_image: rig.agent.clone(),
        ..Inputs::default()
    };
    let compiled = compile(&project, &inputs).unwrap_or_else(|p| panic!("{p}"));
    let stack = compiled.ready().unwrap_or_else(|p| panic!("{p}"));
    let values: BTreeMap<String, Secret> = stack
        .variables
        .iter()
        .map(|(name, v)| match v {
            Variable::Text(secret) => (name.clone(), secret.clone()),
            other => panic!("{name}: {other:?}"),
        })
        .collect();
    let host = rig.engine.facts().for_plan(None);
    let plan = stack.plan(&project, &values, host);
    plan.unwrap_or_else(|p| panic!("{p}"))
}

async fn sh(stack: &LiveStack, service: &str, script: &str) -> String {
    let done = stack
        .exec(ExecRequest {
            service: service.into(),
            command: ["sh", "-c", script].map(Into::into).into(),
            ..ExecRequest::default()
        })
        .await
        .unwrap();
    let both = [&done.stdout[..], &done.stderr[..]].concat();
    String::from_utf8_lossy(&both).trim().to_owned()
}

async fn inspect(rig: &Rig, stack: &LiveStack, role: &str, service: &str) -> Value {
    let objects = rig.left(stack.run()).await;
    let object = objects.iter().find(|o| {
        o.label("dev.prodmirror.role") == role && o.label("dev.prodmirror.service") == service
    });
    let shown = rig.engine.inspect_raw(object.unwrap()).await.unwrap();
    serde_json::from_str(&shown).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_have_what_manifests_say() {
    on_engine(|rig| async move {
        let stack = rig.up(planned(&rig, MANIFESTS)).await;
        let stack = stack.unwrap_or_else(|e| panic!("{e}: {:?}", e.log()));
        let app = inspect(&rig, &stack, "service", "site").await;
        let (config, host) = (&app["Config"], &app["HostConfig"]);
        let env: Vec<&str> = config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(config["Image"], IMAGE);
        assert_eq!(config["Entrypoint"], json!(["sh", "-c"]));
        let run = "test -s /shared/proxy || exit 9; cd /shared; exec python3 -m http.server 8080";
        assert_eq!(config["Cmd"], json!([run]));
        assert!(env.contains(&"LEVEL=debug"), "{env:?}");
        assert!(env.contains(&"TOKEN=correct-horse"), "{env:?}");
        assert!(env.contains(&"URL=http://u:correct-horse@$(LEVEL)/"), "{env:?}");
        assert_eq!(config["User"], "10001:10002");
        assert_eq!(config["StopTimeout"], 7);
        assert_eq!(config["Healthcheck"]["Test"], json!(["NONE"]));
        assert_eq!(host["GroupAdd"], json!(["3000"]));
        assert_eq!(host["CpuPeriod"], 100_000);
        assert_eq!(host["CpuQuota"], 150_000);
        assert_eq!(host["CpuShares"], 102);
        assert_eq!(host["Memory"], 96 << 20);
        assert_eq!(host["MemorySwap"], 96 << 20);
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));

        // The address, which nobody knew before.
        let own = sh(&stack, "site", "echo $POD_IP").await;
        assert_eq!(sh(&stack, "site", "hostname -i").await, own);
        // The network, the processes and the empty directory are the pod's.
        let get = |url: &str| format!("python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\", timeout=5).read().decode())'");
        assert_eq!(sh(&stack, "site-side", &get("http://127.0.0.1:8080/index.html")).await, "prepared");
        let seen = sh(&stack, "site-side", "cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '").await;
        assert!(seen.contains("http.server 8080"), "{seen}");
        assert_eq!(sh(&stack, "site-side", "stat -c %a:%g /shared").await, "2777:3000");
        assert_eq!(sh(&stack, "site", "touch /shared/x && stat -c %u:%g /shared/x").await, "10001:3000");
        let range = sh(&stack, "site", "cat /proc/sys/net/ipv4/ip_local_port_range").await;
        assert_eq!(range.split_whitespace().collect::<Vec<_>>(), ["20000", "30000"]);

        // A ConfigMap hides what the image has there, and cannot be written.
        assert_eq!(sh(&stack, "site", "ls /etc/apt").await, "LEVEL\nlogo.png\nsite.conf");
        assert_eq!(sh(&stack, "site", "cat /etc/apt/site.conf /etc/one.conf").await, "listen 8080;\nlisten 8080;");
        assert_eq!(sh(&stack, "site", "readlink /etc/apt/site.conf; stat -Lc %a:%g /etc/apt/site.conf").await, "..data/site.conf\n644:3000");
        assert_eq!(sh(&stack, "site", "od -An -tx1 /etc/apt/logo.png").await, "89 50 fe ff");
        let refused = sh(&stack, "site", "touch /etc/apt/new").await;
        assert!(refused.contains("Read-only file system"), "{refused}");
        assert_eq!(sh(&stack, "site", "stat -Lc %a:%g /run/token/token; cat /run/token/token; stat -fLc %T /run/token/token").await, "440:3000\ncorrect-horsetmpfs");

        // Names, and ports that the pod does not have itself.
        let names = "getent hosts site site.default site.default.svc site.default.svc.cluster.local | wc -l";
        assert_eq!(sh(&stack, "db", names).await, "4");
        for name in ["site", "site.default.svc.cluster.local"] {
            assert_eq!(sh(&stack, "db", &get(&format!("http://{name}/index.html"))).await, "prepared");
        }
        assert_eq!(sh(&stack, "site-side", "getent hosts db-0.db.default.svc.cluster.local | wc -l").await, "1");
        assert_eq!(sh(&stack, "db", "hostname; ls -A /etc/apt").await, "db-0");
        let db = inspect(&rig, &stack, "service", "db").await;
        let claim = db["Mounts"][0]["Name"].as_str().unwrap().to_owned();
        assert!(claim.ends_with("data-db-0"), "{claim}");

        // What is secret is shown by the environment alone.
        for object in rig.left(stack.run()).await {
            let shown = rig.engine.inspect_raw(&object).await.unwrap();
            let own = object.label("dev.prodmirror.service") == "site" && object.label("dev.prodmirror.role") == "service";
            assert!(own || !shown.contains("correct-horse"), "{shown}");
        }
        let run = stack.run().to_owned();
        stack.down(None).await;
        rig.assert_clean(&run).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_production_would_not_start_does_not_start() {
    on_engine(|rig| async move {
        let pod = |container: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - {{name: c, image: IMAGE, command: [sleep, '1000'], {container}}}\n");
        for (container, expected) in [
            ("securityContext: {runAsNonRoot: true}", "runs as a user of which production knows only the name"),
            ("securityContext: {runAsNonRoot: true, runAsUser: 0}", "runs as root"),
            ("startupProbe: {tcpSocket: {port: 81}, periodSeconds: 1, failureThreshold: 2}", "its startup probe has not passed in time"),
        ] {
            let begun = std::time::Instant::now();
            match rig.up(planned(&rig, &pod(container))).await {
                Err(LiveError::Service(f)) => assert!(f.to_string().contains(expected), "{container}: {f}"),
                Err(e) => panic!("{container}: {e}"),
                Ok(_) => panic!("{container}: it started"),
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_crash_until_what_it_needs_is_there() {
    on_engine(|rig| async move {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: c\n    image: IMAGE\n    command: [sh, -c, 'read a b < /proc/uptime; n=$(cat /data/n 2>/dev/null || echo 0); echo $((n+1)) > /data/n; test $n -ge 7 || exit 1; exec sleep 1000']\n    readinessProbe: {exec: {command: [sh, -c, 'test $(cat /data/n) -ge 8']}}\n    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, emptyDir: {}}]\n";
        let stack = rig.up(planned(&rig, text)).await;
        let stack = stack.unwrap_or_else(|e| panic!("{e}: {:?}", e.log()));
        assert_eq!(sh(&stack, "web", "cat /data/n").await, "8");
        stack.down(None).await;
    })
    .await;
}

const POLICIES: &str = "
kind: Deployment
metadata: { name: NAME }
spec:
  replicas: 2
  selector: { matchLabels: { app: NAME } }
  template:
    metadata: { labels: { app: NAME } }
    spec:
      containers: [{ name: c, image: IMAGE, command: [python3, -m, http.server, '8080'], readinessProbe: { tcpSocket: { port: 8080 } } }]
---
apiVersion: v1
kind: Service
metadata: { name: NAME }
spec: { selector: { app: NAME }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: NAME }
spec: { podSelector: { matchLabels: { app: NAME } }, policyTypes: [Ingress], ingress: [{ from: [{ podSelector: { matchLabels: { app: FROM } } }], ports: [{ port: 8080 }] }] }
";

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_policies_deny_are_refused_and_told() {
    on_engine(|rig| async move {
        // Who may be reached by whom: db by api, api by web, web by nobody.
        let all = [("db", "api"), ("api", "web"), ("web", "nobody")];
        let text: Vec<String> = all
            .iter()
            .map(|(name, from)| format!("apiVersion: apps/v1{}", POLICIES.replace("NAME", name).replace("FROM", from)))
            .collect();
        let stack = rig.up(planned(&rig, &text.join("---\n"))).await.unwrap_or_else(|e| panic!("{e}"));
        let connect = |host: &str, port: u16| {
            format!("python3 -c \"import socket; s = socket.create_connection(('{host}', {port}), timeout=20); print('connected')\" 2>&1 | tail -n 1")
        };
        for from in ["db", "api", "web"] {
            // By its own name a pod finds itself too, which no policy denies.
            for (to, who) in all.into_iter().filter(|(to, _)| *to != from) {
                for port in [80, 8080] {
                    let begun = std::time::Instant::now();
                    let got = sh(&stack, from, &connect(to, port)).await;
                    let wanted = if from == who { "connected" } else { "ConnectionRefusedError: [Errno 111] Connection refused" };
                    assert_eq!(got, wanted, "{from} to {to}:{port}");
                    assert!(begun.elapsed() < Duration::from_secs(15), "{from} to {to}:{port}");
                }
            }
            // What is its own is no way between pods.
            assert_eq!(sh(&stack, from, &connect("127.0.0.1", 8080)).await, "connected");
            assert_eq!(sh(&stack, from, &connect("127.0.0.1", 80)).await, "connected");
        }
        // A port that is not in the rule, to one who may be reached.
        let got = sh(&stack, "web", &connect("api", 8081)).await;
        assert!(got.contains("refused"), "{got}");
        for (service, target, by) in [
            ("web", "db:8080", "networkpolicy:db"),
            ("web", "db:80", "networkpolicy:db"),
            ("db", "api:8080", "networkpolicy:api"),
            ("web", "api:8081", "networkpolicy:api"),
        ] {
            let is_told = |e: &What| matches!(e, What::Egress { service: s, target: t, by: b, .. } if s == service && t == target && b == by);
            let told = async {
                while !rig.sink.all().iter().any(is_told) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let told = tokio::time::timeout(Duration::from_secs(20), told).await;
            assert!(told.is_ok(), "{service} to {target} by {by}: {:?}", rig.sink.all());
        }
        let is_wrong = |e: &What| matches!(e, What::Egress { service, target, .. } if service == "api" && target.starts_with("db:"));
        assert!(!rig.sink.all().iter().any(is_wrong));
        // Steps come from outside, and are not held to it.
        let way = stack.reach().connect("db", 8080).await;
        assert!(way.is_ok(), "{:?}", way.err());
        let run = stack.run().to_owned();
        stack.down(None).await;
        rig.assert_clean(&run).await;
    })
    .await;
}

/// Answers with its name, the path and who asks; agrees to speak `echo` from then on.
const SERVER: &str = "
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        if self.headers.get('Upgrade') == 'echo':
            self.send_response(101); self.send_header('Connection', 'Upgrade'); self.send_header('Upgrade', 'echo'); self.end_headers()
            self.wfile.write(b'echo ' + self.rfile.readline()); self.close_connection = True
            return
        size = int(self.headers.get('Content-Length') or 0)
        got = '%s %s %s %s %d' % (sys.argv[1], self.path, self.headers['Host'], self.headers['X-Forwarded-For'] != '1.2.3.4', len(self.rfile.read(size)))
        self.send_response(200); self.send_header('Content-Length', str(len(got))); self.end_headers(); self.wfile.write(got.encode())
    do_POST = do_GET
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('', 8080), H).serve_forever()
";

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_an_ingress_reach_the_service_of_their_path() {
    on_engine(|rig| async move {
        let workload = |name: &str| {
            let pod = json!({ "containers": [{ "name": "c", "image": "IMAGE", "command": ["python3", "-c", SERVER, name], "readinessProbe": { "tcpSocket": { "port": 8080 } } }] });
            let labels = json!({ "app": name });
            [
                json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": pod } } }),
                json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": { "selector": labels, "ports": [{ "port": 8000, "targetPort": 8080 }] } }),
            ]
        };
        let path = |path: &str, service: &str| json!({ "path": path, "pathType": "Prefix", "backend": { "service": { "name": service, "port": { "number": 8000 } } } });
        let ingress = |name: &str, host: &str, paths: Value, annotations: Value| json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": name, "annotations": annotations }, "spec": { "rules": [{ "host": host, "http": { "paths": paths } }] } });
        let objects: Vec<Value> = [workload("web"), workload("api")].concat().into_iter().chain([
            ingress("shop", "shop.example", json!([path("/", "web"), path("/api", "api")]), json!({})),
            ingress("old", "old.example", json!([path("/v1(/|$)(.*)", "api")]), json!({ "nginx.ingress.kubernetes.io/rewrite-target": "/new/$2" })),
            ingress("star", "*.shop.example", json!([path("/", "web")]), json!({})),
        ]).collect();
        let text: Vec<String> = objects.iter().map(Value::to_string).collect();
        let stack = rig.up(planned(&rig, &text.join("\n---\n"))).await.unwrap_or_else(|e| panic!("{e}"));
        let get = |url: &str, host: &str| {
            let host = if host.is_empty() { String::new() } else { format!("'Host': '{host}', ") };
            format!("python3 -c \"\nimport urllib.request as r, urllib.error as e\nq = r.Request('{url}', headers={{{host}'X-Forwarded-For': '1.2.3.4'}}, data=b'x' * 300000 if '{url}'.endswith('post') else None)\ntry: print(r.urlopen(q, timeout=10).read().decode())\nexcept e.HTTPError as x: print(x.code)\"")
        };
        for (url, host, wanted) in [
            ("http://shop.example/", "", "web / shop.example True 0"),
            ("http://shop.example/apis", "", "web /apis shop.example True 0"),
            ("http://shop.example/api", "", "api /api shop.example True 0"),
            ("http://shop.example/api/orders?a=b%20c", "", "api /api/orders?a=b%20c shop.example True 0"),
            ("http://shop.example/api/post", "", "api /api/post shop.example True 300000"),
            ("http://old.example/v1/orders?x=1", "", "api /new/orders?x=1 old.example True 0"),
            ("http://old.example/v2", "", "404"),
            ("http://ingress/x", "eu.shop.example", "web /x eu.shop.example True 0"),
            ("http://ingress/x", "other.example", "404"),
        ] {
            assert_eq!(sh(&stack, "web", &get(url, host)).await, wanted, "{url} {host}");
        }
        let upgrade = "python3 -c \"\nimport socket\ns = socket.create_connection(('shop.example', 80), timeout=10); f = s.makefile('rwb')\nf.write(b'GET /api/ws HTTP/1.1\\r\\nHost: shop.example\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n'); f.flush()\nstatus = f.readline().split()[1].decode()\nwhile f.readline().strip(): pass\nf.write(b'hello\\n'); f.flush(); print(status, f.readline().decode().strip())\"";
        assert_eq!(sh(&stack, "web", upgrade).await, "101 echo hello");
        let run = stack.run().to_owned();
        stack.down(None).await;
        rig.assert_clean(&run).await;
    })
    .await;
}
