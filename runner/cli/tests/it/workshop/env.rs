//! `env`: a process of this machine reaches the mirror as production's service does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Local, Mirror, POSTGRES, PYTHON, free};
use crate::rig::has_engine;

const PASSWORD: &str = "pg-stand-in-81Kx";
const TOKEN: &str = "token-stand-in-55Qp";

fn shop() -> Mirror {
    let compose = format!(
        "services:\n  app:\n    image: {PYTHON}\n    init: true\n    command: [sleep, infinity]\n    expose: [\"8080\"]\n    environment:\n      DATABASE_URL: postgresql://shop:${{DB_PASSWORD}}@db:5432/shop\n      DB_HOST: db\n      DB_PORT: \"5432\"\n      DB_NAME: shop\n      QUEUE: db\n      TOKEN_FILE: /run/secrets/token\n      SETTINGS: /etc/app/settings.ini\n      GREETING: it's \"fine\" $$HOME\n      ASSETS: http://shop:8000/x\n    secrets: [token]\n    configs: [{{ source: settings, target: /etc/app/settings.ini }}]\n    volumes: [\"uploads:/srv/uploads\"]\n  shop:\n    image: {PYTHON}\n    init: true\n    command: [python3, -m, http.server, \"8000\", -d, /etc]\n  db:\n    image: {POSTGRES}\n    user: postgres\n    environment: {{ POSTGRES_USER: shop, POSTGRES_DB: shop, POSTGRES_PASSWORD: \"${{DB_PASSWORD}}\" }}\n    healthcheck: {{ test: [CMD-SHELL, pg_isready -q -h 127.0.0.1 -U shop -d shop], interval: 1s, retries: 60 }}\nsecrets:\n  token: {{ environment: TOKEN }}\nconfigs:\n  settings: {{ file: ./settings.ini }}\nvolumes:\n  uploads: {{}}\n"
    );
    let secrets =
        format!("secrets: {{ DB_PASSWORD: {{ stub: {PASSWORD} }}, TOKEN: {{ stub: {TOKEN} }} }}\n");
    Mirror::of(
        &compose,
        &secrets,
        &[("settings.ini", "[db]\nat = db:5432\nname = db\n")],
    )
}

#[test]
fn a_local_process_reaches_the_database_as_production_does() {
    if !has_engine() {
        return;
    }
    let mirror = shop();
    let local = Local::start(free(), "here");
    let replace = format!("app={}", local.at);
    mirror
        .run(&["up", "-d", "--offline", "--replace", &replace])
        .is(0, &[]);
    // A program with nothing but the environment: it is on the host's network and not in the mirror.
    let psql = [
        "env",
        "app",
        "--",
        "docker",
        "run",
        "--rm",
        "--network",
        "host",
        "-e",
        "DATABASE_URL",
        "-e",
        "GREETING",
        POSTGRES,
        "sh",
        "-c",
        "psql \"$DATABASE_URL\" -Atc \"select current_user || '@' || current_database()\"; printf '%s\\n' \"$GREETING\"; exit 7",
    ];
    let said = mirror.run(&psql);
    assert_eq!(said.code, 7, "{}{}", said.out, said.err);
    assert_eq!(said.out, "shop@shop\nit's \"fine\" $HOME\n", "{}", said.err);
    let bytes = mirror.run(&[
        "env",
        "app",
        "--",
        "sh",
        "-c",
        "curl -sS \"${ASSETS%/x}/hostname\"",
    ]);
    assert_eq!(bytes.code, 0, "{}", bytes.err);
    assert!(!bytes.out.is_empty());

    let said = mirror.run(&["--format", "json", "env", "app", "--show-secrets"]);
    let whole: Value = serde_json::from_str(&said.out).unwrap();
    let env = &whole["env"];
    let at = env["DB_HOST"].as_str().unwrap();
    assert!(at.starts_with("127.77."), "{env}");
    assert_eq!(
        env["DATABASE_URL"],
        format!("postgresql://shop:{PASSWORD}@{at}:5432/shop")
    );
    for (name, value) in [("DB_PORT", "5432"), ("DB_NAME", "shop"), ("QUEUE", "db")] {
        assert_eq!(env[name], value, "{name}");
    }
    assert!(env.get("PATH").is_none());
    let file = |name: &str| std::fs::read_to_string(env[name].as_str().unwrap()).unwrap();
    assert_eq!(file("TOKEN_FILE"), TOKEN);
    assert_eq!(
        file("SETTINGS"),
        format!("[db]\nat = {at}:5432\nname = db\n")
    );
    assert_eq!(mode(env["TOKEN_FILE"].as_str().unwrap()), 0o600);
    let notes = whole["notes"].to_string();
    for note in ["QUEUE: `db` was left", "/srv/uploads is not here"] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn secrets_are_printed_only_when_they_are_asked_for() {
    if !has_engine() {
        return;
    }
    let mirror = shop();
    mirror.run(&["up", "-d", "--offline"]).is(0, &[]);
    let said = mirror.run(&["env", "app"]);
    said.is(0, &[]);
    let file = said.out.trim();
    assert_eq!(mode(file), 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(PASSWORD), "{text}");
    for args in [
        &["env", "app"][..],
        &["env", "app", "--print"],
        &["env", "app", "--print", "--form", "shell"],
        &["--format", "json", "env", "app", "--print"],
    ] {
        let said = mirror.run(args);
        assert_eq!(said.code, 0, "{}", said.err);
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains(PASSWORD) && !all.contains(TOKEN), "{all}");
    }
    let shown = mirror.run(&["env", "app", "--show-secrets", "--form", "shell"]);
    let script = format!("{}printf %s \"$GREETING\"", shown.out);
    let read = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout), "it's \"fine\" $HOME");
    assert!(shown.out.contains(PASSWORD));
    mirror.run(&["env", "ap"]).is(2, &["did you mean `app`?"]);
    mirror
        .run(&["env", "app", "--", "no-such-program"])
        .is(2, &["`no-such-program` cannot be run"]);
}

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
