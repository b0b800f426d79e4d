//! Limits of open files that the engine does not grant.

use std::collections::BTreeMap;

use prodmirror_engine::docker::FoundKind;
use prodmirror_engine::live::nofile_limit;
use prodmirror_model::fidelity::{Class, Record};
use prodmirror_model::mirror::{Mirror, highest_nofile};
use prodmirror_model::plan::{HostFacts, Plan, PlanOptions, plan};
use prodmirror_model::spec::compose::{TextRequest, load_text};
use serde_json::Value;

use super::rig::{Rig, on_engine};

/// More than any kernel grants unless its `fs.nr_open` was raised a thousandfold.
const TOO_MANY: i64 = 1 << 30;

const SPEC: &str = r#"
name: files
services:
  greedy:
    image: IMAGE
    command: [hold]
    ulimits: { nofile: { soft: 512, hard: TOO_MANY }, nproc: 64 }
  modest:
    image: IMAGE
    command: [hold]
    ulimits: { nofile: 256 }
"#;

fn mirror(image: &str) -> Mirror {
    let text = SPEC
        .replace("IMAGE", image)
        .replace("TOO_MANY", &TOO_MANY.to_string());
    let request = TextRequest {
        name: "compose.yaml".into(),
        text,
        dir: "/nowhere".into(),
        files: BTreeMap::new(),
        shell: BTreeMap::new(),
        profiles: Vec::new(),
        services: Vec::new(),
        project_name: None,
    };
    let loaded = load_text(&request).unwrap_or_else(|e| panic!("{e}"));
    Mirror::from_compose(&loaded.root).unwrap_or_else(|e| panic!("{e}"))
}

fn planned(rig: &Rig, mirror: &Mirror, nofile_limit: Option<u64>) -> Plan {
    let host = HostFacts {
        api: rig.engine.facts().api,
        nofile_limit,
        ..HostFacts::default()
    };
    let options = PlanOptions {
        host,
        ..PlanOptions::default()
    };
    plan(mirror, &options).unwrap_or_else(|e| panic!("{e}"))
}

async fn ulimits(rig: &Rig, run: &str, service: &str) -> Value {
    let objects = rig.left(run).await;
    let name = format!("{service}-1");
    let container = objects
        .iter()
        .find(|o| o.kind == FoundKind::Container && o.name.ends_with(&name))
        .expect("a container");
    let shown = rig.engine.inspect_raw(container).await.unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["HostConfig"]["Ulimits"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_above_the_engines_own_are_lowered_and_reported() {
    on_engine(|rig| async move {
        let image = rig.engine.image_id(&rig.agent).await.unwrap().unwrap();
        let mirror = mirror(&image);
        let wanted = highest_nofile(mirror.services.values());
        assert_eq!(wanted, Some(TOO_MANY));

        let run = rig.run();
        let marks = ("files", run.as_str());
        let known = nofile_limit(&rig.engine, marks, TOO_MANY).await.unwrap();
        let limit = known.expect("no engine grants so many");
        rig.assert_clean(&run).await;
        // What it has itself, it grants.
        let own = i64::try_from(limit).unwrap();
        let granted = nofile_limit(&rig.engine, marks, own).await.unwrap();
        assert_eq!(granted, None);
        rig.assert_clean(&run).await;

        // Without knowing of the limit the stack does not start: the reason for all this.
        let refused = rig.up(planned(&rig, &mirror, None)).await.unwrap_err();
        assert!(refused.to_string().contains("rlimit"), "{refused}");

        let plan = planned(&rig, &mirror, known);
        let records: Vec<Record> = plan.fidelity.records.clone();
        let stack = rig.up(plan).await.unwrap_or_else(|e| panic!("{e}"));
        let greedy = ulimits(&rig, stack.run(), "greedy").await;
        let nofile = greedy.as_array().unwrap();
        let nofile = nofile.iter().find(|l| l["Name"] == "nofile").unwrap();
        assert_eq!(
            (&nofile["Soft"], &nofile["Hard"]),
            (&512.into(), &limit.into())
        );
        let modest = ulimits(&rig, stack.run(), "modest").await;
        assert_eq!(modest[0]["Hard"], 256);

        let told: Vec<&Record> = records
            .iter()
            .filter(|r| r.field == "ulimits.nofile")
            .collect();
        assert_eq!(told.len(), 1, "{records:#?}");
        assert_eq!(told[0].class, Class::Substituted);
        assert!(told[0].object.contains("greedy"), "{told:#?}");
        stack.down(None).await;
    })
    .await;
}
