//! Flags in each format, as their own documentation shows them, and what a choice does to them.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::*;
use crate::diag::ProblemKind;
use crate::plan::{FileContent, FilePlan, Plan};

/// The examples of flagd's documentation: a boolean, a text, a number, an object; with rules,
/// disabled, without a default.
const FLAGD: &str = r##"{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "myBoolFlag": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "on" },
    "headerColor": {
      "state": "ENABLED",
      "variants": { "red": "#FF0000", "blue": "#0000FF", "green": "#00FF00" },
      "defaultVariant": "red",
      "targeting": { "if": [ { "$ref": "emailWithFaas" }, "blue" ] }
    },
    "myFloatFlag": { "state": "ENABLED", "variants": { "one": 1.23, "two": 2.340 }, "defaultVariant": "one" },
    "myObjectFlag": { "state": "DISABLED", "variants": { "object1": { "key": "val" }, "object2": { "key": true } }, "defaultVariant": "object1" },
    "coded": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": null, "targeting": {} }
  },
  "$evaluators": { "emailWithFaas": { "in": [ "@faas.com", { "var": ["email"] } ] } }
}"##;

/// As the documentation of LaunchDarkly's SDKs shows a file, with what their data has beside.
const LAUNCHDARKLY: &str = r#"{
  "flags": {
    "flag-key-1": { "key": "flag-key-1", "on": true, "variations": ["a", "b", "c"], "targets": [], "fallthrough": { "variation": 2 }, "offVariation": 0 },
    "off-flag": { "on": false, "variations": [true, false], "fallthrough": { "variation": 0 }, "offVariation": 1, "rules": [{ "variation": 0, "clauses": [] }] },
    "rollout": { "on": true, "variations": [true, false], "fallthrough": { "rollout": { "variations": [{ "variation": 0, "weight": 50000 }] } } }
  },
  "flagValues": { "my-string-flag-key": "value-1", "my-boolean-flag-key": true, "my-integer-flag-key": 3 },
  "segments": {}
}"#;

/// What Unleash gives its clients.
const UNLEASH: &str = r#"{
  "version": 2,
  "features": [
    { "name": "new.payment", "type": "release", "enabled": true, "strategies": [{ "name": "flexibleRollout", "constraints": [], "parameters": { "rollout": "100", "stickiness": "default", "groupId": "x" } }] },
    { "name": "some", "enabled": true, "strategies": [{ "name": "userWithId", "parameters": { "userIds": "7" } }], "variants": [{ "name": "a", "weight": 1000 }] },
    { "name": "off", "enabled": false, "strategies": [] }
  ]
}"#;

/// An export of Unleash: the state of each environment is beside the features.
const EXPORT: &str = r#"{
  "features": [{ "name": "checkout", "type": "release" }],
  "featureStrategies": [{ "featureName": "checkout", "environment": "production", "strategyName": "default", "constraints": [] }],
  "featureEnvironments": [
    { "featureName": "checkout", "environment": "development", "enabled": true },
    { "featureName": "checkout", "environment": "production", "enabled": false }
  ]
}"#;

fn set(name: &str, text: &str) -> FlagSet {
    let file = SourceFile::new(name, text);
    read_file(&file, Path::new("/p/flags.json"), None, None).unwrap_or_else(|p| panic!("{p}"))
}

#[track_caller]
fn wrong(text: &str) -> String {
    let file = SourceFile::new("f.json", text);
    match read_file(&file, Path::new("/f.json"), None, None) {
        Ok(set) => panic!("{set:?}"),
        Err(problems) => problems.to_string(),
    }
}

/// Each flag: its name, its type, what is served, whether rules are told.
fn told(set: &FlagSet) -> Vec<String> {
    let each = set.flags.values();
    each.map(|f| {
        let served = f.served().map_or("-", |v| v.name.as_str());
        let rules = f
            .targeting
            .as_deref()
            .map_or(String::new(), |t| format!(" {t}"));
        format!("{} {} {served}{rules}", f.name, f.kind.word())
    })
    .collect()
}

fn choice(set: &FlagSet, name: &str, value: Json) -> Choice {
    let flag = &set.flags[name];
    let variant = flag.variant(&value).unwrap();
    let differs = flag.served().is_none_or(|s| *s != variant);
    Choice {
        flag: name.to_owned(),
        variant,
        differs,
    }
}

#[test]
fn flagd_files_are_read() {
    let set = set("flags.json", FLAGD);
    assert_eq!(set.format, Format::Flagd);
    assert_eq!(
        told(&set),
        [
            "myBoolFlag boolean on",
            "headerColor text red `targeting`",
            "myFloatFlag number one",
            "myObjectFlag object -",
            "coded boolean -",
        ]
    );
    assert!(
        set.flags["myObjectFlag"]
            .served_in_words()
            .contains("disabled")
    );
    assert_eq!(set.flags["headerColor"].span.line, 5);
    let yaml = "flags:\n  a: # a note\n    state: ENABLED\n    variants: { on: true, off: false }\n    defaultVariant: off\n";
    assert_eq!(told(&self::set("flags.yaml", yaml)), ["a boolean off"]);
    let list = r#"{ "flags": [{ "key": "a", "state": "ENABLED", "variants": { "x": 1 }, "defaultVariant": "x" }] }"#;
    assert_eq!(told(&self::set("flags.json", list)), ["a number x"]);
}

#[test]
fn what_is_wrong_has_its_line() {
    for (text, parts) in [
        (
            "{\n\"flags\": {\n\"a\": { \"state\": \"ON\", \"variants\": { \"x\": true } } } }",
            &["f.json:3:17", "ENABLED or DISABLED"][..],
        ),
        (
            "{\n\"flags\": { \"a\": { \"state\": \"ENABLED\", \"variants\": { \"on\": true },\n\"defaultVariant\": \"no\" } } }",
            &["f.json:3:19", "no variant `no`"],
        ),
        (
            r#"{ "flags": { "a": { "state": "ENABLED", "variants": { "x": true, "y": "no" } } } }"#,
            &["of one type (boolean)"],
        ),
        (
            r#"{ "flags": { "a": { "state": "ENABLED" }, "b": { "variants": {} } } }"#,
            &["`variants`", "`state` is missing"],
        ),
        (
            r#"{ "flags": { "a": { "on": true, "variations": [1], "fallthrough": { "variation": 4 } } } }"#,
            &["no variation 4"],
        ),
        (
            r#"{ "flags": { "a": { "on": true, "variations": [1] } } }"#,
            &["neither `variation` nor `rollout`"],
        ),
        (
            r#"{ "flags": { "a": { "on": false, "variations": [1] } }, "flagValues": { "a": 1 } }"#,
            &["in `flags` and in `flagValues`"],
        ),
        (
            r#"{ "features": [{ "enabled": true }, { "name": "a" }] }"#,
            &["`name` is missing", "`enabled` is missing"],
        ),
        (
            r#"{ "features": [{ "name": "a", "environments": [{ "name": "x" }, { "name": "y" }] }] }"#,
            &["which environment is production's? There are: x, y"],
        ),
        ("{}", &["in no format of flags that is known"]),
        (r#"{ "flags": {} }"#, &["in no format"]),
        ("[1", &["f.json:1"]),
    ] {
        let said = wrong(text);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }
}

#[test]
fn a_flagd_file_gets_another_default_and_nothing_else() {
    let set = set("flags.json", FLAGD);
    let choices = [
        choice(&set, "myBoolFlag", json!("off")),
        choice(&set, "headerColor", json!("blue")),
        choice(&set, "myObjectFlag", json!("object2")),
        choice(&set, "coded", json!(true)),
    ];
    let after = set.rendered(&choices.iter().collect::<Vec<_>>()).unwrap();
    let mut before: Json = serde_json::from_str(FLAGD).unwrap();
    before["flags"]["myBoolFlag"]["defaultVariant"] = "off".into();
    before["flags"]["headerColor"]["defaultVariant"] = "blue".into();
    before["flags"]["myObjectFlag"]["defaultVariant"] = "object2".into();
    before["flags"]["myObjectFlag"]["state"] = "ENABLED".into();
    before["flags"]["coded"]["defaultVariant"] = "on".into();
    assert_eq!(after, before);
    // Numbers keep their digits.
    assert!(after.to_string().contains("2.340"), "{after}");
}

#[test]
fn launchdarkly_data_is_read_and_set() {
    let set = set("flags.json", LAUNCHDARKLY);
    assert_eq!(set.format, Format::LaunchDarkly);
    assert_eq!(
        told(&set),
        [
            "flag-key-1 text c",
            "off-flag boolean off 1 in `rules`",
            "rollout boolean -",
            "my-string-flag-key text value-1",
            "my-boolean-flag-key boolean on",
            "my-integer-flag-key number 3",
        ]
    );
    assert_eq!(
        set.flags["rollout"].served_in_words(),
        "a percentage rollout"
    );
    let choices = [
        choice(&set, "flag-key-1", json!("a")),
        choice(&set, "off-flag", json!("on")),
        choice(&set, "my-string-flag-key", json!("value-2")),
        choice(&set, "my-boolean-flag-key", json!(false)),
        choice(&set, "my-integer-flag-key", json!(4)),
    ];
    let after = set.rendered(&choices.iter().collect::<Vec<_>>()).unwrap();
    let mut before: Json = serde_json::from_str(LAUNCHDARKLY).unwrap();
    before["flags"]["flag-key-1"]["fallthrough"]["variation"] = 0.into();
    before["flags"]["off-flag"]["on"] = true.into();
    before["flagValues"] = json!({ "my-string-flag-key": "value-2", "my-boolean-flag-key": false, "my-integer-flag-key": 4 });
    assert_eq!(after, before);
    let values = set.flags["my-integer-flag-key"].variant(&json!({}));
    assert!(values.unwrap_err().contains("has no variant"));
}

#[test]
fn unleash_features_are_read_and_set() {
    let set = set("features.json", UNLEASH);
    assert_eq!(set.format, Format::Unleash);
    assert_eq!(
        told(&set),
        [
            "new.payment boolean on",
            "some boolean - 1 in `strategies`, 1 in `variants`",
            "off boolean off",
        ]
    );
    let choices = [
        choice(&set, "new.payment", json!("off")),
        choice(&set, "some", json!(true)),
        choice(&set, "off", json!("enabled")),
    ];
    let after = set.rendered(&choices.iter().collect::<Vec<_>>()).unwrap();
    let mut before: Json = serde_json::from_str(UNLEASH).unwrap();
    before["features"][0]["enabled"] = false.into();
    let all = json!({ "name": "default", "parameters": {}, "constraints": [] });
    if let Some(s) = before["features"][1]["strategies"].as_array_mut() {
        s.push(all);
    }
    before["features"][2]["enabled"] = true.into();
    assert_eq!(after, before);
    let set = self::set("export.json", EXPORT);
    assert_eq!(told(&set), ["checkout boolean off"]);
    let on = choice(&set, "checkout", json!("on"));
    let after = set.rendered(&[&on]).unwrap();
    let mut before: Json = serde_json::from_str(EXPORT).unwrap();
    before["featureEnvironments"][1]["enabled"] = true.into();
    assert_eq!(after, before);
    let listed = r#"{ "features": [{ "name": "a", "environments": [{ "name": "production", "enabled": true }, { "name": "development", "enabled": false }] }] }"#;
    let set = self::set("features.json", listed);
    assert_eq!(told(&set), ["a boolean on"]);
    let after = set.rendered(&[&choice(&set, "a", json!(false))]).unwrap();
    assert_eq!(after["features"][0]["environments"][0]["enabled"], false);
    assert_eq!(after["features"][0].get("enabled"), None);
}

#[test]
fn a_changed_flag_is_one_whose_state_is_another() {
    let now = set("flags.json", FLAGD);
    assert!(now.changed_from(&now).is_empty());
    let before = FLAGD
        .replacen(
            "\"defaultVariant\": \"on\"",
            "\"defaultVariant\": \"off\"",
            1,
        )
        .replace("\"coded\"", "\"older\"");
    let before = set("flags.json", &before);
    assert_eq!(now.changed_from(&before), ["myBoolFlag", "coded"]);
}

#[test]
fn a_plan_gets_the_file_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flags.json");
    std::fs::write(&path, FLAGD).unwrap();
    let file = SourceFile::read(&path, "flags.json").unwrap();
    let set = read_file(&file, &path, None, None).unwrap();
    let put = |target: &str, content| FilePlan {
        target: target.into(),
        content,
        mode: None,
        uid: 0,
        gid: 0,
        read_only: true,
    };
    let minified = serde_json::from_str::<Json>(FLAGD).unwrap().to_string();
    let container = |service: &str, files: Vec<FilePlan>, env: Json| crate::plan::ContainerPlan {
        service: service.into(),
        replica: 1,
        image: "a".into(),
        platform: None,
        pull_policy: None,
        body: json!({ "Env": env }),
        secret_env: std::collections::BTreeMap::new(),
        network: crate::plan::NetworkOf::Own,
        files,
        depends_on: Vec::new(),
        stop_grace: None,
        hooks: crate::plan::Hooks::default(),
        ports: Vec::new(),
        one_shot: false,
        care: crate::plan::Care::default(),
        end: None,
        replaced: Vec::new(),
    };
    let plan = Plan {
        containers: vec![
            container(
                "a",
                vec![put("/f.json", FileContent::HostPath(path.clone()))],
                json!(["A=1"]),
            ),
            container(
                "b",
                vec![put("/etc/conf", FileContent::HostPath(dir.path().into()))],
                json!([]),
            ),
            container(
                "c",
                vec![put("/c.json", FileContent::Text(minified.clone()))],
                json!([format!("FLAGS={minified}")]),
            ),
            container(
                "d",
                vec![put("/other", FileContent::Text("x".into()))],
                json!(["FLAGS={}"]),
            ),
        ],
        ..Plan::default()
    };
    let choices = [choice(&set, "myBoolFlag", json!("off"))];
    let new = apply(&plan, &set, &choices).unwrap();
    let text = |c: usize, f: usize| match &new.containers[c].files[f].content {
        FileContent::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let wanted = set.rendered(&[&choices[0]]).unwrap();
    for (c, f) in [(0, 0), (1, 1), (2, 0)] {
        assert_eq!(serde_json::from_str::<Json>(&text(c, f)).unwrap(), wanted);
    }
    assert_eq!(new.containers[1].files[1].target, "/etc/conf/flags.json");
    assert_eq!(new.containers[2].body["Env"][0], format!("FLAGS={wanted}"));
    assert_eq!(text(3, 0), "x");
    assert_eq!(new.containers[3].body, plan.containers[3].body);
    // Nothing that differs from production: production's own plan.
    let same = [choice(&set, "myBoolFlag", json!("on"))];
    let same = apply(&plan, &set, &same).unwrap();
    assert!(matches!(
        same.containers[0].files[0].content,
        FileContent::HostPath(_)
    ));
    let nobody = Plan::default();
    let refused = apply(&nobody, &set, &choices).unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Unsupported);
    let made = records(&set, [(&choices[..], Some("a case"))].into_iter());
    assert_eq!(made[0].object, "flag:myBoolFlag");
    assert_eq!(made[0].declared, "on");
    assert_eq!(made[0].actual, "off, only in the stacks of: a case");
}

/// A project whose service reads `flags.json` by a config, or variables.
fn project(section: &str, flags: &str) -> (tempfile::TempDir, Project, crate::compile::Compiled) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "mirror.yaml",
        &format!("project: t\nproduction: [c.yaml]\n{section}\n"),
    );
    write("flags.json", flags);
    write(
        "c.yaml",
        "services:\n  web:\n    image: a/b:1\n    environment: { FEATURE_X: 'true', FEATURE_PLAN: blue, API_KEY: abc }\n    configs: [{ source: flags, target: /f.json }]\n  job:\n    image: a/b:1\n    environment: { FEATURE_X: 'true' }\nconfigs: { flags: { file: ./flags.json } }\n",
    );
    let project = Project::load(dir.path()).unwrap_or_else(|p| panic!("{p}"));
    let inputs = crate::compile::Inputs {
        agent_image: "prodmirror/agent:1".into(),
        ..crate::compile::Inputs::default()
    };
    let compiled = crate::compile::compile(&project, &inputs).unwrap_or_else(|p| panic!("{p}"));
    (dir, project, compiled)
}

fn titles(choices: &Choices) -> Vec<String> {
    choices.everywhere().iter().map(|c| title(c)).collect()
}

#[test]
fn a_matrix_runs_both_sides_of_each_flag() {
    let (_dir, p, compiled) = project(
        "flags: { file: flags.json, matrix: [myBoolFlag, coded] }",
        FLAGD,
    );
    assert!(!compiled.problems.has_errors(), "{}", compiled.problems);
    let set = compiled.flags.as_ref().unwrap();
    assert_eq!(set.flags["coded"].services, ["web"]);
    let none = |_: &Span| Ok(Vec::new());
    let (choices, problems) = Choices::new(&p, Some(set), none, &[]);
    assert!(problems.0.is_empty(), "{problems}");
    assert_eq!(
        titles(&choices),
        [
            "flag myBoolFlag=on, coded=on",
            "flag myBoolFlag=on, coded=off",
            "flag myBoolFlag=off, coded=on",
            "flag myBoolFlag=off, coded=off",
        ]
    );
    // What one run sets is not varied.
    let fixed = [("coded".to_owned(), json!(true))];
    let (choices, _) = Choices::new(&p, Some(set), none, &fixed);
    assert_eq!(
        titles(&choices),
        [
            "flag myBoolFlag=on, coded=on",
            "flag myBoolFlag=off, coded=on"
        ]
    );
    let first = &choices.everywhere()[0];
    assert_eq!(key_of(first), [("coded".to_owned(), "on".to_owned())]);
    assert_eq!(choices.values(first)["headerColor"], "#FF0000");
    assert_eq!(choices.values(first)["coded"], true);
    let fixed = [("codet".to_owned(), json!(true))];
    let (_, problems) = Choices::new(&p, Some(set), none, &fixed);
    assert!(
        problems.to_string().contains("did you mean `coded`?"),
        "{problems}"
    );
}

#[test]
fn rules_that_stay_are_told() {
    let (_dir, p, compiled) = project("flags: { file: flags.json, matrix: all }", FLAGD);
    let (choices, problems) = Choices::new(&p, compiled.flags.as_ref(), |_| Ok(Vec::new()), &[]);
    assert!(
        problems.to_string().contains("`headerColor` has rules"),
        "{problems}"
    );
    assert!(!problems.has_errors());
    assert_eq!(choices.matrix().count(), 5);
}

#[test]
fn flags_that_nobody_is_given_cannot_be_set() {
    let (_dir, p, compiled) = project(
        "flags: { file: flags.json, services: [job], matrix: [coded] }",
        FLAGD,
    );
    let (_, problems) = Choices::new(&p, compiled.flags.as_ref(), |_| Ok(Vec::new()), &[]);
    assert!(
        problems
            .to_string()
            .contains("no service of production is given flags.json"),
        "{problems}"
    );
}

#[test]
fn variables_are_flags() {
    let section = "flags: { prefix: FEATURE_, matrix: { FEATURE_X: [true, false], FEATURE_PLAN: [blue, green] } }";
    let (_dir, p, compiled) = project(section, FLAGD);
    assert!(!compiled.problems.has_errors(), "{}", compiled.problems);
    let set = compiled.flags.unwrap();
    assert_eq!(
        told(&set),
        ["FEATURE_X boolean on", "FEATURE_PLAN text blue"]
    );
    assert_eq!(set.flags["FEATURE_X"].services, ["web", "job"]);
    let (choices, problems) = Choices::new(&p, Some(&set), |_| Ok(Vec::new()), &[]);
    assert!(problems.0.is_empty(), "{problems}");
    assert_eq!(choices.everywhere().len(), 4);
    let last = choices.everywhere().pop().unwrap();
    let mut mirror = compiled.production.clone();
    apply_to_mirror(&mut mirror, &set, &last);
    let of = |service: &str| {
        let env = &mirror.services[service].env;
        let each = env.iter().map(|v| {
            let value = v.value.as_ref().map(|v| v.value.as_str());
            format!("{}={}", v.name.value, value.unwrap_or("-"))
        });
        each.collect::<Vec<_>>()
    };
    assert_eq!(
        of("web"),
        ["FEATURE_X=false", "FEATURE_PLAN=green", "API_KEY=abc"]
    );
    assert_eq!(of("job"), ["FEATURE_X=false"]);
}

#[test]
fn scenarios_choose_values_of_flags() {
    let (_dir, p, compiled) = project("flags: { file: flags.json }", FLAGD);
    let (choices, _) = Choices::new(&p, compiled.flags.as_ref(), |_| Ok(Vec::new()), &[]);
    let choices = Arc::new(choices);
    let kinds = [crate::scenario::KindInfo {
        name: "http",
        fields: &["status"],
    }];
    let read = |flags: &str| {
        let text = format!(
            "scenario: a\nmatrix: {{ n: [1, 2] }}\n{flags}\nsteps:\n  - http: {{}}\n    expect: flags.myBoolFlag || n == 1\n"
        );
        let mut files = crate::scenario::Files::with_flags(choices.clone());
        crate::scenario::read_with(&SourceFile::new("s.yaml", text), &kinds, &mut files)
    };
    let names = |flags: &str| {
        let reading = read(flags);
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
        let names = reading.scenarios.iter().map(|s| s.name.value.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names("flags: { myBoolFlag: [on, off] }"),
        [
            "a [n=1] [flag myBoolFlag=on]",
            "a [n=1] [flag myBoolFlag=off]",
            "a [n=2] [flag myBoolFlag=on]",
            "a [n=2] [flag myBoolFlag=off]",
        ]
    );
    assert_eq!(
        names("flags: { myBoolFlag: true }"),
        [
            "a [n=1] [flag myBoolFlag=on]",
            "a [n=2] [flag myBoolFlag=on]"
        ]
    );
    assert_eq!(names(""), ["a [n=1]", "a [n=2]"]);
    for (flags, wanted) in [
        ("flags: { myBoolFlg: true }", "did you mean `myBoolFlag`?"),
        (
            "flags: { headerColor: pink }",
            "no variant `pink`; it has red, blue, green",
        ),
        ("flags: { coded: [] }", "`coded` has no value"),
        ("flags: [coded]", "`flags` is a mapping"),
    ] {
        let problems = read(flags).problems;
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(text.join("\n").contains(wanted), "{wanted}: {text:?}");
    }
}

#[test]
fn the_section_says_where_flags_are() {
    let load = |section: &str| {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("mirror.yaml", &format!("production: [c.yaml]\n{section}\n"));
        write("c.yaml", "services: {}");
        write("flags.json", "{}");
        match Project::load(dir.path()) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    };
    for (section, wanted) in [
        ("flags: {}", "does not say where production's flags are"),
        (
            "flags: { file: flags.json, prefix: F_ }",
            "take one of them out",
        ),
        (
            "flags: { file: flags.json, format: env }",
            "leave `file` out",
        ),
        (
            "flags: { format: flagd, prefix: F_ }",
            "flags of flagd are in a file",
        ),
        (
            "flags: { file: flags.json, matrix: every }",
            "`matrix` is `changed`, `all`",
        ),
        (
            "flags: { prefix: F_, matrix: changed }",
            "is for flags in a file",
        ),
        ("flags: { file: none.json }", "cannot read `none.json`"),
        ("flags: { file: flags.json, format: toml }", "toml"),
    ] {
        let said = load(section);
        assert!(said.contains(wanted), "{wanted:?} is not in:\n{said}");
    }
    assert_eq!(
        load(
            "flags: { file: flags.json, format: launchdarkly, matrix: { a: [1, 2], b: on }, since: main }"
        ),
        ""
    );
}
