//! For each rule a spec in which it finds something and one in which it does not.

use std::collections::BTreeSet;

use super::{ImageFacts, World};

/// One case of a rule.
pub struct Case {
    pub rule: &'static str,
    /// Makes files and surroundings.
    pub prepare: fn(World) -> World,
    pub bad: &'static str,
    /// The beginnings of the findings of `bad`: place, severity, object.
    pub found: &'static [&'static str],
    pub good: &'static str,
}

const fn plain(world: World) -> World {
    world
}

macro_rules! case {
    ($rule:literal, $bad:literal => $found:expr, $good:literal) => {
        case!($rule, plain, $bad => $found, $good)
    };
    ($rule:literal, $prepare:expr, $bad:literal => $found:expr, $good:literal) => {
        Case { rule: $rule, prepare: $prepare, bad: $bad, found: &$found, good: $good }
    };
}

fn tracked(world: World, files: &[&str]) -> World {
    let mut world = world;
    let own = ["compose.yaml", "mirror.yaml"];
    let all = own.iter().chain(files).map(|f| (*f).to_owned());
    world.surroundings.tracked = Some(all.collect());
    world
}

fn image(world: World, facts: ImageFacts) -> World {
    let mut world = world;
    world.surroundings.images.insert("app:1.0".into(), facts);
    world
}

pub const CASES: &[Case] = &[
    case!("required-variable",
        "services:\n  web:\n    image: nginx:1.25\n    environment:\n      A: \"${A:?set it}\"\n      B: \"x${B:?}\"\n"
        => ["compose.yaml:5:10 blocker variable:A", "compose.yaml:6:10 blocker variable:B"],
        "services:\n  web:\n    image: nginx:1.25\n    environment: { A: \"${A:-x}\" }\n"),
    case!("unset-variable",
        "services:\n  web:\n    image: nginx:1.25\n    environment:\n      API_KEY: ${API_KEY}\n"
        => ["compose.yaml:5:16 high variable:API_KEY"],
        "services:\n  web:\n    image: nginx:1.25\n    environment: { API_KEY: \"${API_KEY:-k}\" }\n"),
    case!("unset-variable",
        "services:\n  web:\n    image: nginx:1.25\n    environment: [API_KEY]\n"
        => ["compose.yaml:4:19 medium service:web"],
        "services:\n  web:\n    image: nginx:1.25\n    environment: [API_KEY=k]\n"),
    case!("blank-value", |w| { w.write("empty", "\n"); w.write("full", "x9\n"); w },
        "services:\n  web:\n    image: nginx:1.25\n    secrets: [key]\n    environment: { API_KEY: \"\", OPTS: \"\", DB_HOST: \"\" }\nsecrets:\n  key: { file: ./empty }\n"
        => ["compose.yaml:5:29 high service:web", "compose.yaml:5:52 high service:web", "compose.yaml:5:39 low service:web", "compose.yaml:7:16 high secret:key"],
        "services:\n  web:\n    image: nginx:1.25\n    secrets: [key]\n    environment: { API_KEY: k }\nsecrets:\n  key: { file: ./full }\n"),
    case!("deprecated-field",
        "version: \"3\"\nservices:\n  web:\n    image: nginx:1.25\n    links: [db]\n  db:\n    image: postgres:15.1\n"
        => ["compose.yaml:5:13 low service:web", "compose.yaml:1:10 low spec"],
        "services:\n  web:\n    image: nginx:1.25\n"),
    case!("placeholder", |w| { w.write("app.conf", "# changeme\nkey = changeme\n"); w.write("good.conf", "# changeme\nkey = k\n"); w },
        "services:\n  web:\n    image: nginx:1.25\n    environment: { A: changeme, URL: \"https://api.example.com/\", C: \"<your token>\" }\n    volumes: [\"./app.conf:/etc/app.conf\"]\n"
        => ["compose.yaml:4:23 high", "compose.yaml:4:38 high", "compose.yaml:4:69 high", "app.conf:2:7 high service:web"],
        "services:\n  web:\n    image: nginx:1.25\n    environment: { A: exchange, URL: \"https://api.shop.test/\" }\n    volumes: [\"./good.conf:/etc/app.conf\"]\n"),
    case!("default-credential",
        "services:\n  db:\n    image: postgres:15.1\n    environment: { POSTGRES_PASSWORD: postgres, URL: \"amqp://shop:shop@mq\", POSTGRES_HOST_AUTH_METHOD: trust }\n"
        => ["compose.yaml:4:39 high service:db", "compose.yaml:4:54 high", "compose.yaml:4:104 high"],
        "services:\n  db:\n    image: postgres:15.1\n    environment: { POSTGRES_PASSWORD: w9-xK2, POSTGRES_USER: postgres }\n"),
    case!("plaintext-secret", |w| { w.write(".env", "PW=w9-xK2\n"); w.write("k.pem", "-----BEGIN PRIVATE KEY-----\n"); tracked(w, &["k.pem"]) },
        "services:\n  web:\n    image: nginx:1.25\n    command: [\"--api-key=w9-xK2\", \"redis://:w9-xK2@r/0\"]\n    environment: { DB_PASSWORD: w9-xK2, DB: \"mysql://a:w9-xK2@db/x\", K: AKIAIOSFODNN7EXAMPLE }\n    volumes: [\"./k.pem:/k.pem\"]\n"
        => ["compose.yaml:5:33 high service:web", "compose.yaml:5:45 high", "compose.yaml:5:73 high", "compose.yaml:4:15 high", "compose.yaml:4:35 high", "k.pem:1:1 high"],
        // `.env` is not kept by the repository: it is the deployment's own.
        "services:\n  web:\n    image: nginx:1.25\n    command: [\"--key-file=/run/secrets/k\"]\n    environment: { DB_PASSWORD: \"${PW}\", DB_PASSWORD_FILE: /run/secrets/x, DB: \"mysql://a@db/x\" }\n"),
    case!("loopback-address",
        "services:\n  web:\n    image: app:1.0\n    environment: { REDIS_URL: \"redis://localhost:6379/0\", DB_HOST: 127.0.0.1 }\n  cache:\n    image: redis:7.0\n"
        => ["compose.yaml:4:68 high service:web", "compose.yaml:4:31 high service:web"],
        "services:\n  web:\n    image: app:1.0\n    expose: [\"8080\"]\n    environment: { SELF_URL: \"http://localhost:8080/\", NO_PROXY: \"localhost,127.0.0.1\", ADDR: \"0.0.0.0:80\" }\n  side:\n    image: app:1.0\n    network_mode: service:main\n    environment: { MAIN_URL: \"http://localhost:9090/\" }\n  main:\n    image: app:1.0\n    environment: { SIDE_URL: \"http://127.0.0.1:9191/\" }\n"),
    case!("loopback-listen",
        "services:\n  web:\n    image: app:1.0\n    environment: { LISTEN_ADDR: \"127.0.0.1:8080\" }\n"
        => ["compose.yaml:4:33 medium service:web"],
        "services:\n  web:\n    image: app:1.0\n    environment: { LISTEN_ADDR: \"0.0.0.0:8080\" }\n"),
    case!("development-default",
        "services:\n  web:\n    image: app:1.0\n    command: flask run --port 80\n    environment: { DEBUG: \"1\", NODE_ENV: development, LOG_LEVEL: debug }\n"
        => ["compose.yaml:5:27 high", "compose.yaml:5:42 high", "compose.yaml:4:14 high", "compose.yaml:5:66 low"],
        "services:\n  web:\n    image: app:1.0\n    command: gunicorn app\n    environment: { DEBUG: \"0\", NODE_ENV: production, LOG_LEVEL: info, DEBUG_PORT: \"1\" }\n"),
    case!("floating-tag",
        "services:\n  a: { image: nginx }\n  b: { image: \"reg.test:5000/x:latest\" }\n  c: { image: \"postgres:15\" }\n"
        => ["compose.yaml:2:15 high service:a", "compose.yaml:3:15 high service:b", "compose.yaml:4:15 medium service:c"],
        "services:\n  a: { image: nginx:1.25.3 }\n  b: { image: \"x:latest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }\n  c: { build: ., image: mine }\n"),
    case!("platform-mismatch", |mut w| { w.surroundings.platform = Some("linux/amd64".into()); image(w, ImageFacts { platform: Some("linux/amd64".into()), ..ImageFacts::default() }) },
        "services:\n  a: { image: \"x:1.0\", platform: linux/arm64 }\n"
        => ["compose.yaml:2:34 high service:a"],
        "services:\n  a: { image: \"x:1.0\", platform: linux/amd64 }\n  b: { image: \"app:1.0\" }\n"),
    case!("platform-mismatch", |w| image(w, ImageFacts { platform: Some("linux/arm64".into()), ..ImageFacts::default() }),
        "services:\n  a: { image: \"app:1.0\" }\n  b: { image: \"x:1.0\", platform: linux/amd64 }\n"
        => ["compose.yaml:2:15 medium service:a"],
        "services:\n  a: { image: \"app:1.0\" }\n  b: { image: \"x:1.0\", platform: linux/arm64/v8 }\n"),
    case!("missing-user", |w| image(w, ImageFacts { users: Some(BTreeSet::from(["app".to_owned()])), ..ImageFacts::default() }),
        "services:\n  a: { image: \"app:1.0\", user: shop }\n"
        => ["compose.yaml:2:32 high service:a"],
        "services:\n  a: { image: \"app:1.0\", user: \"app:1000\" }\n  b: { image: \"app:1.0\", user: \"10001\" }\n  c: { image: \"app:1.0\" }\n"),
    case!("missing-file", |w| { w.write("here.conf", "x\n"); w },
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"./gone.conf:/etc/a.conf\", \"../up.conf:/etc/b.conf\", \"./state:/state\", \"./certs:/certs:ro\"]\n    configs: [c]\nconfigs:\n  c: { file: ./gone.yaml }\n"
        => ["compose.yaml:4:15 high service:a", "compose.yaml:4:42 high service:a", "compose.yaml:4:86 high service:a", "compose.yaml:4:68 medium service:a", "compose.yaml:7:14 high config:c"],
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"./here.conf:/etc/a.conf\", \"data:/data\"]\nvolumes: { data: {} }\n"),
    case!("untracked-file", |w| { w.write("mine.conf", "x\n"); w.write("dir/a", "x\n"); w.write("kept.conf", "x\n"); w.write("sub/kept", "x\n"); tracked(w, &["kept.conf", "sub/kept"]) },
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"./mine.conf:/etc/a.conf\", \"./dir:/dir\"]\n"
        => ["compose.yaml:4:15 high service:a", "compose.yaml:4:42 high service:a"],
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"./kept.conf:/etc/a.conf\", \"./sub:/dir\"]\n"),
    case!("laptop-path",
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"/home/eva/a.conf:/etc/a.conf\"]\n"
        => ["compose.yaml:4:15 high service:a"],
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"/srv/a.conf:/etc/a.conf\"]\n"),
    case!("host-path",
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"/srv/a:/a\"]\n"
        => ["compose.yaml:4:15 info service:a"],
        "services:\n  a:\n    image: app:1.0\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]\n"),
    case!("port-mismatch",
        "services:\n  web:\n    image: app:1.0\n    environment: { DATABASE_URL: \"postgres://app@db:5433/x\", API: \"http://api:9000\" }\n  db: { image: \"postgres:15.1\" }\n  api: { image: \"app:1.0\", expose: [\"8080\"] }\n"
        => ["compose.yaml:4:34 high service:web", "compose.yaml:4:67 medium service:web"],
        "services:\n  web:\n    image: app:1.0\n    environment: { DATABASE_URL: \"postgres://app@db/x\", A: \"http://api:9000\", B: \"redis://r:6380\", C: \"http://any:1234\" }\n  db: { image: \"postgres:15.1\" }\n  api: { image: \"app:1.0\", expose: [\"8080\"], environment: { METRICS_PORT: \"9000\" } }\n  r: { image: \"redis:7.0\", command: [redis-server, --port, \"6380\"] }\n  any: { image: \"app:1.0\" }\n"),
    case!("published-port",
        "services:\n  db:\n    image: postgres:15.1\n    ports: [\"5433:5433\"]\n"
        => ["compose.yaml:4:13 medium service:db"],
        "services:\n  db:\n    image: postgres:15.1\n    ports: [\"5433:5432\"]\n  web:\n    image: app:1.0\n    ports: [\"80:8080\"]\n"),
    case!("hidden-dependency", |w| { w.write("mirror.yaml", "production: compose.yaml\negress: { \"known.vendor.test:443\": { deny: true } }\n"); w },
        "services:\n  web:\n    image: app:1.0\n    environment: { FRAUD_URL: \"https://fraud.vendor.test/v2\" }\n"
        => ["compose.yaml:4:31 high service:web"],
        "services:\n  web:\n    image: app:1.0\n    environment: { FRAUD_URL: \"https://known.vendor.test/v2\", DB: \"http://db:80\" }\n  db: { image: \"app:1.0\" }\n"),
    case!("no-memory-limit",
        "services:\n  web: { image: \"app:1.0\", depends_on: { job: { condition: service_completed_successfully } } }\n  job: { image: \"app:1.0\" }\n"
        => ["compose.yaml:2:3 medium service:web", "compose.yaml:3:3 info service:job"],
        "services:\n  web: { image: \"app:1.0\", mem_limit: 1g }\n  b: { image: \"app:1.0\", deploy: { resources: { limits: { memory: 1g } } } }\n"),
    case!("no-cpu-limit",
        "services:\n  web: { image: \"app:1.0\" }\n"
        => ["compose.yaml:2:3 low service:web"],
        "services:\n  web: { image: \"app:1.0\", cpus: 1 }\n  b: { image: \"app:1.0\", deploy: { resources: { limits: { cpus: \"0.5\" } } } }\n"),
    case!("no-health-check", |w| image(w, ImageFacts { health: true, ..ImageFacts::default() }),
        "services:\n  web: { image: \"x:1.0\" }\n  off: { image: \"app:1.0\", healthcheck: { disable: true } }\n"
        => ["compose.yaml:2:3 low service:web", "compose.yaml:3:41 low service:off"],
        "services:\n  web: { image: \"app:1.0\" }\n  b: { image: \"x:1.0\", healthcheck: { test: [CMD, ok] } }\n"),
    case!("undeclared-writes",
        "services:\n  a: { image: \"app:1.0\", read_only: true }\n  b: { image: \"app:1.0\", user: \"1000\" }\n"
        => ["compose.yaml:2:37 info service:a", "compose.yaml:3:32 info service:b"],
        "services:\n  a: { image: \"app:1.0\", read_only: true, tmpfs: [/tmp] }\n  b: { image: \"app:1.0\", user: \"0:0\" }\n"),
    case!("unusual-name",
        "services:\n  my_db: { image: \"app:1.0\" }\n  Web:\n    image: app:1.0\n    environment: { DB_URL: \"postgres://a@my_db/x\" }\n"
        => ["compose.yaml:2:3 medium service:my_db", "compose.yaml:3:3 low service:Web"],
        "services:\n  my-db: { image: \"app:1.0\" }\n"),
    case!("time-zone",
        "services:\n  a: { image: \"app:1.0\", environment: { TZ: Europe/Berlin } }\n  b: { image: \"app:1.0\" }\n  c: { image: \"app:1.0\", environment: { TZ: UTC } }\n  d: { image: \"app:1.0\", volumes: [\"/etc/localtime:/etc/localtime:ro\"] }\n"
        => ["compose.yaml:3:3 low service:b", "compose.yaml:4:45 medium service:c", "compose.yaml:5:36 medium service:d"],
        "services:\n  a: { image: \"app:1.0\", environment: { TZ: UTC } }\n  b: { image: \"app:1.0\", environment: { JAVA_OPTS: \"-Duser.timezone=Etc/UTC\" } }\n  c: { image: \"app:1.0\" }\n"),
    case!("locale",
        "services:\n  a: { image: \"app:1.0\", environment: { LANG: en_US.UTF-8 } }\n  b: { image: \"app:1.0\", environment: { LANG: de_DE.UTF-8 } }\n  c: { image: \"app:1.0\", environment: { LC_ALL: C } }\n"
        => ["compose.yaml:3:47 low service:b", "compose.yaml:4:49 low service:c"],
        "services:\n  a: { image: \"app:1.0\", environment: { LANG: C.UTF-8 } }\n  b: { image: \"app:1.0\", environment: { LANG: C.utf8 } }\n  c: { image: \"app:1.0\" }\n"),
];
