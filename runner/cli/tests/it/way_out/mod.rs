//! No way out: each way that a production spec can take, on the real engine, against a listener
//! or a file of this host that must not be reached. docs/reference/no-way-out.md names the test
//! of each rule.

mod allowed;
mod pods;
mod refused;
mod steps;
mod substituted;

/// Tries every way to reach a host from inside of a container.
const PROBE: &str = include_str!("probe.py");

/// Rules that no Compose file can make find anything: captured containers have such fields.
const ELSEWHERE: &[&str] = &["service-volume-driver"];

#[test]
fn every_rule_is_shown_and_the_reference_says_where() {
    let refused = refused::SERVICES.iter().chain(refused::OBJECTS);
    let refused = refused.map(|r| r.rule).chain(["model"]);
    let shown: Vec<&str> = refused
        .chain(substituted::RULES.iter().copied())
        .chain(ELSEWHERE.iter().copied())
        .collect();
    let docs = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/no-way-out.md"
    );
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, table) = docs.split_once("## Shown on a real engine").unwrap();
    for rule in prodmirror_model::policy::RULES {
        assert!(
            shown.contains(&rule.name),
            "no test takes the way of `{}`",
            rule.name
        );
        assert!(
            table.contains(&format!("`{}`", rule.name)),
            "no test is named for `{}`",
            rule.name
        );
    }
    for module in [
        include_str!("refused.rs"),
        include_str!("substituted.rs"),
        include_str!("steps.rs"),
        include_str!("allowed.rs"),
        include_str!("pods.rs"),
    ] {
        for test in module.split("#[test]\nfn ").skip(1) {
            let name = test.split('(').next().unwrap();
            assert!(
                table.contains(&format!("`{name}`")),
                "{name} is not in the reference"
            );
        }
    }
}
