//! The example shop: `audit` and `diff` name, before anything runs, what makes its flawed
//! releases pass on a laptop and fail in production (`ci/catalogue` runs them).

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

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
    // A key that production does not have: 2.5.0-payment.
    let key = Some("*** (a secret, in plain text)");
    orders("environment.PAYMENT_PROVIDER_KEY", None, key);
}
