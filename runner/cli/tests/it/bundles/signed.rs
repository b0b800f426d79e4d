//! Signatures: who left a bundle, and that it is as they left it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{entries, manifest, write};
use crate::project::Project;
use crate::rig::{has_engine, sleeper};

const FAILS: &str = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"false\"] }\n    expect: exit_code == 0\n";

/// The entries of a bundle.
type Entries = BTreeMap<String, Vec<u8>>;

/// A pair of keys, as files of a project.
fn keys(project: &Project, name: &str) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    project.write(&format!("{name}.pem"), pair.serialize_pem().as_bytes());
    let public = pair.public_key_pem();
    project.write(&format!("{name}.public.pem"), public.as_bytes());
}

/// Writes the entries as they are, in the order that readers want.
fn put(to: &Path, all: &Entries) {
    let first = ["bundle.json", "bundle.sig"];
    let rest = all.keys().map(String::as_str);
    let names = first.into_iter().chain(rest.filter(|n| !first.contains(n)));
    let file = std::fs::File::create(to).unwrap();
    let packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut tar = tar::Builder::new(packed);
    for name in names.filter(|n| all.contains_key(*n)) {
        let bytes = &all[name];
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn only_a_bundle_of_a_trusted_key_is_run() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    keys(&project, "own");
    project
        .plays(&["run", "--sign", "own.pem"], &[])
        .is(1, &["signed with the key sha256:", "prodmirror repro"]);
    let bundle = project.bundle();
    let whole = entries(&bundle);
    let signature: Value = serde_json::from_slice(&whole["bundle.sig"]).unwrap();
    assert_eq!(signature["algorithm"], "ed25519");
    let private = std::fs::read_to_string(project.path().join("own.pem")).unwrap();
    let private = private.lines().nth(1).unwrap();
    for (name, bytes) in &whole {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(private), "the private key is in {name}");
    }

    let elsewhere = Project::empty();
    keys(&elsewhere, "other");
    for name in ["own.pem", "own.public.pem"] {
        let key = std::fs::read(project.path().join(name)).unwrap();
        elsewhere.write(name, &key);
    }
    let verified = |bundle: &str, key: &str| {
        let said = elsewhere.plays(&["repro", bundle, "--verify", key], &[]);
        (said, elsewhere.reproduced())
    };
    let (said, _) = verified(&bundle, "other.public.pem");
    said.is(
        2,
        &[
            "is signed by another key (sha256:",
            "other.public.pem holds",
        ],
    );
    let (said, _) = verified(&bundle, "own.pem");
    said.is(2, &["own.pem holds a private key"]);
    let (said, _) = verified(&bundle, "gone.pem");
    said.is(2, &["cannot read the key gone.pem"]);
    let copy = elsewhere.path().join("x.bundle");
    let changed = |change: &dyn Fn(&mut Entries)| {
        let mut all = whole.clone();
        change(&mut all);
        put(&copy, &all);
        verified("x.bundle", "own.public.pem").0
    };
    // An entry, the manifest, the signature: none of them may be another one.
    let entry = changed(&|all| all.get_mut("project/scenarios/a.yaml").unwrap()[0] = b'S');
    entry.is(2, &["`project/scenarios/a.yaml` is not what"]);
    let other = changed(&|all| {
        let mut m: Value = serde_json::from_slice(&all["bundle.json"]).unwrap();
        m["run"]["seed"] = json!(1);
        all.insert("bundle.json".into(), m.to_string().into_bytes());
    });
    other.is(2, &["its bundle.sig is not one of its bundle.json"]);
    let unsigned = changed(&|all| drop(all.remove("bundle.sig")));
    unsigned.is(2, &["x.bundle is not signed", "--sign KEY.pem"]);
    let broken = changed(&|all| drop(all.insert("bundle.sig".into(), b"{}".to_vec())));
    broken.is(2, &["its bundle.sig cannot be read"]);
    // Somebody who changes it and makes all digests fit has no key to sign it with.
    let mut all = whole.clone();
    all.remove("bundle.sig");
    all.insert("project/more".into(), b"x".to_vec());
    write(&copy, all);
    let mut all = entries(&copy.to_string_lossy());
    let fits = all.clone();
    put(&copy, &fits);
    let (said, _) = verified("x.bundle", "own.public.pem");
    said.is(2, &["x.bundle is not signed"]);
    all.insert("bundle.sig".into(), whole["bundle.sig"].clone());
    put(&copy, &all);
    let (said, runs) = verified("x.bundle", "own.public.pem");
    said.is(2, &["its bundle.sig is not one of its bundle.json"]);
    assert_eq!(runs, 0);
    // A signature that does not hold is refused whether somebody asks for it or not.
    elsewhere
        .plays(&["repro", "x.bundle"], &[])
        .is(2, &["its bundle.sig is not one of its bundle.json"]);
    assert_eq!(elsewhere.reproduced(), 0);

    let (said, _) = verified(&bundle, "own.public.pem");
    said.is(0, &["signed with the key sha256:", "reproduced: steps[0]"]);
    assert!(!said.err.contains("whoever has that"), "{}", said.err);
    elsewhere.plays(&["repro", &bundle, "--dry-run"], &[]).is(
        0,
        &[
            "signed with the key sha256:",
            "whoever has that: `prodmirror repro --verify` tells",
        ],
    );
    assert_eq!(elsewhere.reproduced(), 1);
}

#[test]
fn a_key_that_signs_nothing_ends_the_run_before_it_begins() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    project.write("curve.pem", pair.serialize_pem().as_bytes());
    let named = |path: &str| project.plays(&["run"], &[("PRODMIRROR_SIGN_KEY", path)]);
    named("curve.pem").is(
        2,
        &["curve.pem holds a private key that is none of Ed25519"],
    );
    named("gone.pem").is(2, &["cannot read the key gone.pem"]);
    assert!(!project.path().join(".prodmirror").exists());
    // By the variable as by the option; an empty one is none.
    keys(&project, "own");
    named("").is(1, &["prodmirror repro"]);
    assert!(!entries(&project.bundle()).contains_key("bundle.sig"));
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    named("own.pem").is(1, &["prodmirror repro"]);
    assert!(entries(&project.bundle()).contains_key("bundle.sig"));
    assert!(manifest(&project.bundle())["files"]["bundle.sig"].is_null());
}
