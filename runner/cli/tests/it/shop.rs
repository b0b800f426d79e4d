//! The example shop: `audit` and `diff` name, before anything runs, what makes its flawed
//! releases pass on a laptop and fail in production (`ci/catalogue` runs them).

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::rig::has_engine;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the program in the shop's directory; gives its exit code and what it wrote as JSON.
fn shop(args: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_prodmirror"))
        .args(args)
        .args(["--format", "json"])
        .current_dir(root())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let document = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"));
    (output.status.code().unwrap_or(-1), document)
}

/// The text of a change's side, or nothing.
fn side<'v>(change: &'v Value, side: &str) -> Option<&'v str> {
    change[side]["text"].as_str()
}

/// The change of a field; `a` and `b` are what the sides say of it.
#[track_caller]
fn differs(document: &Value, object: &str, field: &str, a: Option<&str>, b: Option<&str>) {
    let changes = document["changes"].as_array().unwrap();
    let mut of_object = changes.iter().filter(|c| c["object"] == object);
    let change = of_object
        .find(|c| c["field"] == field)
        .unwrap_or_else(|| panic!("no {object} {field} in {document:#}"));
    assert_eq!((side(change, "a"), side(change, "b")), (a, b), "{change:#}");
}

#[test]
fn what_a_laptop_hides_is_named() {
    let (code, found) = shop(&["diff", "mirror.yaml", "local.mirror.yaml"]);
    assert_eq!(code, 1);
    let orders = |field: &str, a, b| differs(&found, "service:orders", field, a, b);
    // It writes beside its code: 2.5.0-fallback.
    orders("read_only", Some("true"), None);
    orders("user", Some("10001:10001"), Some("root"));
    // SQL that the newer server knows: 2.5.0-json.
    let db = ["15", "17"].map(|v| format!("registry.shop.example/postgres:{v}"));
    differs(&found, "service:db", "image", Some(&db[0]), Some(&db[1]));
    // A key that production does not have: 2.5.0-payment.
    let key = Some("*** (a secret, in plain text)");
    orders("environment.PAYMENT_PROVIDER_KEY", None, key);
    // A file that only the laptop mounts: 2.5.0-rates.
    let rates = Some("the project's ./production/local, read-only");
    orders("mounts[/srv/rates]", None, rates);
    // Another time zone: 2.5.0-times.
    orders("time zone", Some("Europe/Berlin"), None);
    // A level of the log: 2.5.0-quiet.
    orders("environment.LOG_LEVEL", Some("INFO"), Some("DEBUG"));
    // A cache: 2.5.0-probes.
    let cache = Some("*** (a secret, from REDIS_PASSWORD)");
    orders("environment.CACHE_URL", cache, None);
    // A limit at which a worker is killed: 2.5.0-labels.
    differs(
        &found,
        "service:worker",
        "limits.memory",
        Some("128 MiB"),
        None,
    );
}

#[test]
fn the_host_that_came_in_with_a_release_is_named() {
    let hidden = |document: &Value| -> Vec<Value> {
        let findings = document["findings"].as_array().unwrap().iter();
        findings
            .filter(|f| f["rule"] == "hidden-dependency")
            .cloned()
            .collect()
    };
    let (code, found) = shop(&["audit"]);
    assert_eq!((code, hidden(&found)), (0, vec![]));
    let (code, found) = shop(&["audit", "-f", "risk.mirror.yaml"]);
    assert_eq!(code, 4, "{found:#}");
    let hidden = hidden(&found);
    assert_eq!(hidden.len(), 1, "{hidden:#?}");
    let message = hidden[0]["message"].as_str().unwrap();
    assert!(
        message.contains("RISK_URL names `scores.risk.example:443`"),
        "{message}"
    );
    let place = (&hidden[0]["file"], &hidden[0]["line"]);
    assert_eq!(
        place,
        (
            &Value::from("production/risk.compose.yaml"),
            &Value::from(5)
        )
    );
    let (code, found) = shop(&["diff", "mirror.yaml", "risk.mirror.yaml"]);
    assert_eq!(code, 1);
    let named = Some("named in environment.RISK_URL; no spec describes it");
    let field = "hosts[scores.risk.example:443]";
    differs(&found, "service:orders", field, None, named);
}

#[test]
fn services_in_two_time_zones_are_named() {
    let (_, found) = shop(&["audit"]);
    let findings = found["findings"].as_array().unwrap();
    let mut zones = findings.iter().filter(|f| f["rule"] == "time-zone");
    let worker = zones.find(|f| f["object"] == "service:worker").unwrap();
    assert_eq!(
        worker["message"],
        "`worker` is told no time zone (so UTC), and `orders` has Europe/Berlin"
    );
    let told = &worker["related"][0];
    assert_eq!(told["file"], "production/orders.env", "{told}");
}

#[test]
fn what_images_have_and_lack_is_named() {
    if !has_engine() {
        return;
    }
    let (code, found) = shop(&[
        "diff",
        "mirror.yaml",
        "local.mirror.yaml",
        "--probe",
        "--offline",
    ]);
    assert_eq!(code, 1);
    let changes = found["changes"].as_array().unwrap().iter();
    let inside: Vec<&Value> = changes.filter(|c| c["object"] == "inside:db").collect();
    let of = |field: &str| inside.iter().find(|c| c["field"] == field);
    let version = |field: &str, of_side: &str| {
        let change = of(field).unwrap_or_else(|| panic!("no {field} in {inside:#?}"));
        side(change, of_side).map(|v| v.split('.').next().unwrap_or(v).to_owned())
    };
    assert_eq!(version("deb[postgresql-15]", "a").as_deref(), Some("15"));
    assert_eq!(version("deb[postgresql-17]", "b").as_deref(), Some("17"));
    assert!(of("os").is_some(), "{inside:#?}");
    // What only the laptop mounts, production's image does not have.
    let mut changes = found["changes"].as_array().unwrap().iter();
    let rates = changes
        .find(|c| c["field"] == "mounts[/srv/rates]")
        .unwrap();
    assert_eq!(
        rates["means"],
        "what reads it finds nothing on the other side: its image has nothing there"
    );
}
