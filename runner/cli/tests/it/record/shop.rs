//! A recording of the example shop (made by `record --har`; clicked with curl, with a browser's
//! headers): its scenario passes on the fixed release and fails on flawed ones.

use std::process::{Command, Output};

use crate::rig::has_engine;
use crate::scenario_files::root;

const HAR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/record/shop.har");

fn shop(args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prodmirror"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(args).current_dir(root()).output().unwrap();
    let said = [stdout, stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (status.code().unwrap_or(-1), said.concat())
}

#[test]
fn a_recording_of_the_shop_tells_releases_apart() {
    if !has_engine() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recorded.yaml");
    let path = path.to_str().unwrap();
    let name = "a customer orders two mugs and sees the order";
    let (code, said) = shop(&["new", name, "--from-har", HAR, "--out", path]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop(&["run", "--offline", path]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 passed"), "{said}");
    // SQL that the newer server knows and production's does not.
    let flawed = "orders=registry.shop.example/shop/orders:2.5.0-json";
    let (code, said) = shop(&["run", "--offline", path, "--image", flawed]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "status == 200",
        "GET http://gateway/orders/",
        "syntax error",
    ] {
        assert!(said.contains(part), "missing {part:?} in\n{said}");
    }
}
