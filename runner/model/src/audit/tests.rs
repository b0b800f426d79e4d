use std::path::Path;

use super::*;
use crate::compile::{Inputs, compile};
use crate::fidelity::Severity;

mod cases;

/// A project of one Compose file and further files.
struct World {
    dir: tempfile::TempDir,
    surroundings: Surroundings,
}

impl World {
    fn new(compose: &str) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            surroundings: Surroundings::default(),
        };
        world.write("mirror.yaml", "production: compose.yaml\n");
        world.write("compose.yaml", compose);
        world
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn try_audit(&self) -> Result<Audit, Problems> {
        let project = Project::load(self.root()).unwrap();
        let inputs = Inputs {
            stand_ins: true,
            ..Inputs::default()
        };
        let compiled = compile(&project, &inputs).unwrap_or_else(|p| panic!("{p}"));
        audit(Request {
            mirror: &compiled.production,
            beyond: &compiled.beyond,
            project: &project,
            problems: &compiled.reading,
            surroundings: &self.surroundings,
        })
    }

    fn audit(&self) -> Audit {
        self.try_audit().unwrap()
    }

    fn of(&self, rule: &str) -> Vec<Finding> {
        let all = self.audit().findings;
        all.into_iter().filter(|f| f.rule.id == rule).collect()
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |f: &Finding| format!("{} {} {}: {}", f.span, f.severity, f.object, f.message);
    findings.iter().map(line).collect()
}

#[test]
fn rules_are_consistent() {
    let mut seen = std::collections::BTreeSet::new();
    for rule in RULES {
        assert!(seen.insert(rule.id), "{} is there twice", rule.id);
        for text in [rule.what, rule.why, rule.fix] {
            assert!(
                text.len() > 10 && !text.ends_with('.'),
                "{}: {text}",
                rule.id
            );
        }
    }
}

#[test]
fn every_rule_is_described() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/audit.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let described: Vec<&str> = docs
        .lines()
        .filter_map(|l| l.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    let known: Vec<&str> = RULES.iter().map(|r| r.id).collect();
    assert_eq!(described, known);
    for rule in RULES {
        let (_, section) = docs.split_once(&format!("### `{}`", rule.id)).unwrap();
        let section = section.split("\n### ").next().unwrap();
        assert!(
            section.contains(&format!("**{}**", rule.severity)),
            "{}",
            rule.id
        );
    }
}

#[test]
fn every_rule_finds_its_case_and_nothing_else() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let cases: Vec<_> = cases::CASES.iter().filter(|c| c.rule == rule.id).collect();
        assert!(!cases.is_empty(), "no case of {}", rule.id);
        for case in cases {
            let bad = lines(&(case.prepare)(World::new(case.bad)).of(rule.id));
            let pairs = bad.iter().zip(case.found);
            let fit = pairs
                .filter(|(line, wanted)| line.starts_with(**wanted))
                .count();
            if bad.len() != case.found.len() || fit != bad.len() {
                wrong.push(format!("{}: {bad:#?}\nwanted {:#?}", rule.id, case.found));
            }
            let good = lines(&(case.prepare)(World::new(case.good)).of(rule.id));
            if !good.is_empty() {
                wrong.push(format!("{}: the good case: {good:#?}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fingerprints_do_not_know_lines() {
    let text =
        "services:\n  web:\n    image: nginx\n    environment: { A: changeme, B: changeme }\n";
    let prints = |text: &str| -> Vec<String> {
        let all = World::new(text).audit().findings;
        all.into_iter().map(|f| f.fingerprint).collect()
    };
    let before = prints(text);
    assert_eq!(before, prints(&format!("# one more line\n\n{text}")));
    let unique: std::collections::BTreeSet<_> = before.iter().collect();
    assert_eq!(unique.len(), before.len());
}

#[test]
fn what_was_there_before_is_not_new() {
    let old = "services:\n  web:\n    image: nginx\n";
    let new = "services:\n  db:\n    image: postgres:latest\n  web:\n    image: nginx\n    environment: { KEY: changeme }\n";
    let mut audit = World::new(new).audit();
    audit.since(&World::new(old).audit());
    let tags: Vec<_> = audit
        .findings
        .iter()
        .filter(|f| f.rule.id == "floating-tag")
        .collect();
    assert_eq!(tags.len(), 1);
    assert_eq!(tags[0].object, "service:db");
    assert!(audit.findings.iter().any(|f| f.rule.id == "placeholder"));
}

#[test]
fn rules_are_switched_off_with_a_reason() {
    let world = World::new("services:\n  web:\n    image: nginx\n  db:\n    image: postgres\n");
    world.write(
        "mirror.yaml",
        "production: compose.yaml\naudit:\n  off:\n    - { rule: floating-tag, on: web, because: it is the change }\n    - { rule: placeholder, because: none }\n",
    );
    let audit = world.audit();
    let reasons: Vec<_> = audit
        .findings
        .iter()
        .filter(|f| f.rule.id == "floating-tag")
        .map(|f| (f.object.as_str(), f.suppressed.as_deref()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("service:web", Some("it is the change")),
            ("service:db", None)
        ]
    );
    assert_eq!(audit.at_least(Severity::High), 1);
    assert!(
        audit.warnings.to_string().contains("mirror.yaml:5:15"),
        "{}",
        audit.warnings
    );
    world.write(
        "mirror.yaml",
        "production: compose.yaml\naudit: { off: [{ rule: floating-tags, because: x }] }\n",
    );
    let problems = world.try_audit().unwrap_err().to_string();
    assert!(
        problems.contains("did you mean `floating-tag`?"),
        "{problems}"
    );
}

#[test]
fn no_secret_is_in_a_finding() {
    let secret = "s3cr3t-0f-production";
    let world = World::new(&format!(
        "services:\n  web:\n    image: nginx\n    command: [\"--api-key={secret}\", \"redis://:{secret}@cache/0\"]\n    environment:\n      API_TOKEN: {secret}\n      DATABASE_URL: postgres://app:{secret}@localhost:5432/x\n      OTHER_URL: https://u:{secret}@api.vendor.test/v1?key={secret}\n"
    ));
    let audit = world.audit();
    let json = serde_json::to_string(&audit.findings).unwrap();
    assert!(json.contains("plaintext-secret") && json.contains("loopback-address"));
    assert!(!json.contains(secret), "{json}");
    for f in &audit.findings {
        let texts = f.related.iter().map(|(_, t)| t.as_str());
        assert!(
            texts
                .chain([f.fix.as_str(), f.why.as_str()])
                .all(|t| !t.contains(secret))
        );
    }
}

#[test]
fn manifests_of_secrets_are_found_where_the_repository_keeps_them() {
    let mut world = World::new("");
    world.write("mirror.yaml", "production: shop.yaml\n");
    let key = |key: &str| {
        format!("{{name: {key}, valueFrom: {{secretKeyRef: {{name: shop-db, key: {key}}}}}}}")
    };
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, image: nginx:1.25, env: [{}, {}]}}]}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: shop-db}}\n",
        key("USER"),
        key("PASSWORD")
    );
    let found = |world: &World, values: &str| -> Vec<String> {
        world.write("shop.yaml", &format!("{pod}{values}\n"));
        let findings = world.audit().findings;
        let all = findings.iter().filter(|f| f.rule.id == "plaintext-secret");
        all.map(|f| format!("{} {} {}", f.severity, f.object, f.span.line))
            .collect()
    };
    let secret = ["high secret:shop-db 8"];
    let plain = "stringData: {USER: w9, PASSWORD: w9-xK2}";
    assert_eq!(found(&world, plain), secret);
    assert_eq!(
        found(&world, "data: {USER: dzk=, PASSWORD: dzkteEsy}"),
        secret
    );
    assert!(found(&world, "stringData: {USER: changeme, PASSWORD: ''}").is_empty());
    let kept = ["mirror.yaml".to_owned()];
    world.surroundings.tracked = Some(kept.into_iter().collect());
    assert!(found(&world, plain).is_empty());
}

#[test]
fn the_shop_has_nothing_serious() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root.join("mirror.yaml")).unwrap();
    let compiled = compile(&project, &Inputs::default()).unwrap_or_else(|p| panic!("{p}"));
    let audit = audit(Request {
        mirror: &compiled.production,
        beyond: &compiled.beyond,
        project: &project,
        problems: &compiled.reading,
        surroundings: &Surroundings::default(),
    })
    .unwrap();
    let open: Vec<Finding> = audit.open().cloned().collect();
    let found: Vec<String> = open
        .iter()
        .map(|f| format!("{} {} {}", f.severity, f.rule.id, f.object))
        .collect();
    assert_eq!(
        found,
        [
            "medium floating-tag service:db",
            "low time-zone service:db",
            "low time-zone service:migrate",
            "info no-memory-limit service:migrate",
            "info no-cpu-limit service:migrate",
            "low time-zone service:data",
            "info no-memory-limit service:data",
            "info no-cpu-limit service:data",
            "low time-zone service:gateway",
            "low time-zone service:worker",
            "low time-zone service:redis",
            "low time-zone service:rabbitmq",
        ]
    );
    assert_eq!(audit.warnings.0, []);
}

/// What each description of the shop is found to have, above `low`.
#[test]
fn the_shop_in_other_formats_has_nothing_high() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["kubernetes", "ecs", "swarm", "inspect"] {
        let project = Project::load(&root.join(format!("{file}.mirror.yaml"))).unwrap();
        let inputs = Inputs {
            stand_ins: true,
            ..Inputs::default()
        };
        let compiled = compile(&project, &inputs).unwrap_or_else(|p| panic!("{file}: {p}"));
        let audit = audit(Request {
            mirror: &compiled.production,
            beyond: &compiled.beyond,
            project: &project,
            problems: &compiled.reading,
            surroundings: &Surroundings::default(),
        })
        .unwrap();
        let open: Vec<Finding> = audit.open().cloned().collect();
        let high: Vec<Finding> = open
            .iter()
            .filter(|f| f.severity >= Severity::High)
            .cloned()
            .collect();
        assert_eq!(lines(&high), [""; 0], "{file}");
        // Names that Swarm gives are not the spec's; a host name made of one is.
        let given = |f: &&Finding| f.rule.id == "unusual-name" && f.field != "hostname";
        let names: Vec<_> = open.iter().filter(given).collect();
        assert!(names.is_empty(), "{file}: {names:#?}");
        let ours = |f: &Finding| {
            let name = f.object.strip_prefix("service:");
            name.is_some_and(|n| compiled.beyond.is_ours(n))
        };
        assert!(!open.iter().any(ours), "{file}: {:#?}", lines(&open));
    }
}

proptest::proptest! {
    #[test]
    fn no_value_makes_it_panic(value in proptest::prelude::any::<String>(), name in "[A-Z_]{1,12}") {
        let mut mirror = Mirror::default();
        let mut service = crate::mirror::Service::default();
        service.env.push(crate::mirror::EnvVar {
            name: name.into(),
            value: Some(value.clone().into()),
            sensitive: false,
        });
        service.image.reference = Some(value.clone().into());
        service.process.command = crate::mirror::Argv::Set(vec![value.clone().into()]).into();
        mirror.services.insert(value, service);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("compose.yaml"), "services: {}\n").unwrap();
        std::fs::write(dir.path().join("mirror.yaml"), "production: compose.yaml\n").unwrap();
        let project = Project::load(dir.path()).unwrap();
        let problems = Problems::default();
        let surroundings = Surroundings::default();
        let _ = audit(Request { mirror: &mirror,
            beyond: &Beyond::default(), project: &project, problems: &problems, surroundings: &surroundings });
    }
}
