//! Building images on a real engine: what is made, what is kept, what a failure says.

use std::path::Path;
use std::sync::Arc;

use prodmirror_engine::bus::{Collected, NoSink};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::{
    BuildOptions, LABEL, Logins, Policy, Recipes, State, Wanted, build, provide, states,
};
use prodmirror_model::event::What;

use crate::live::rig::engine_env;

/// The images of a test, under names of its own; they are removed with it.
struct Workshop {
    dir: tempfile::TempDir,
    name: String,
    engine: Engine,
}

impl Workshop {
    /// Nothing where tests do without an engine.
    async fn new(test: &str) -> Option<Self> {
        if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
            println!("skipped: no engine");
            return None;
        }
        let engine = Engine::connect(&engine_env()).await.unwrap();
        let name = format!("prodmirror-test/{test}-{}", std::process::id());
        let shop = Self {
            dir: tempfile::tempdir().unwrap(),
            name,
            engine,
        };
        // An image of one file needs neither a registry nor packages.
        shop.write(
            "root/Dockerfile",
            "FROM scratch\nCOPY Dockerfile /root-file\n",
        );
        shop.write(
            "child/Dockerfile",
            "ARG PARENT\nFROM ${PARENT}\nARG TEXT\nLABEL text=${TEXT}\nCOPY note /note\n",
        );
        shop.write("child/note", "one");
        shop.list("hello");
        Some(shop)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn list(&self, text: &str) {
        let name = &self.name;
        self.write(
            "images.yaml",
            &format!(
                "images:\n- {{ name: '{name}-root:1', folder: root }}\n\
                 - {{ name: '{name}-child:1', folder: child, parent: '{name}-root:1', args: {{ TEXT: '{text}' }} }}\n"
            ),
        );
    }

    fn recipes(&self) -> Recipes {
        Recipes::read(self.dir.path()).unwrap()
    }

    async fn build(&self) -> (Vec<String>, Vec<String>) {
        let options = BuildOptions::default();
        let built = build(
            &self.engine,
            &self.recipes(),
            &options,
            (&Logins::default(), &NoSink),
        )
        .await
        .unwrap();
        let short = |all: Vec<String>| -> Vec<String> {
            let mut all: Vec<String> = all
                .iter()
                .map(|n| n.rsplit('-').next().unwrap_or(n).to_owned())
                .collect();
            all.sort();
            all
        };
        (short(built.made), short(built.kept))
    }

    async fn states(&self) -> Vec<State> {
        let all = states(&self.engine, &self.recipes()).await.unwrap();
        all.into_iter().map(|(_, s)| s).collect()
    }

    fn remove(&self) {
        for image in ["child:1", "root:1"] {
            let _ = std::process::Command::new("docker")
                .args(["rmi", &format!("{}-{image}", self.name)])
                .output();
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.remove();
    }
}

#[tokio::test]
async fn what_is_missing_or_changed_is_built_and_the_rest_is_kept() {
    let Some(shop) = Workshop::new("build").await else {
        return;
    };
    assert_eq!(shop.states().await, [State::Missing, State::Missing]);
    assert_eq!(
        shop.build().await,
        (vec!["child:1".into(), "root:1".into()], vec![])
    );
    assert_eq!(shop.states().await, [State::Current, State::Current]);
    assert_eq!(
        shop.build().await,
        (vec![], vec!["child:1".into(), "root:1".into()])
    );

    let child = format!("{}-child:1", shop.name);
    let first = shop.engine.image(&child).await.unwrap().unwrap();
    assert_eq!(first.labels["text"], "hello");
    assert_eq!(first.labels[LABEL].len(), 32);

    shop.list("other");
    assert_eq!(shop.states().await, [State::Current, State::Outdated]);
    assert_eq!(
        shop.build().await,
        (vec!["child:1".into()], vec!["root:1".into()])
    );
    let second = shop.engine.image(&child).await.unwrap().unwrap();
    assert_eq!(second.labels["text"], "other");
    // The image that was replaced is gone, not left without a name.
    assert!(shop.engine.image(&first.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_failed_build_says_how_it_ended_and_spares_what_does_not_need_it() {
    let Some(shop) = Workshop::new("fail").await else {
        return;
    };
    shop.write(
        "child/Dockerfile",
        "ARG PARENT\nFROM ${PARENT}\nCOPY not-there /x\n",
    );
    let sink = Arc::new(Collected::default());
    let options = BuildOptions::default();
    let failed = build(
        &shop.engine,
        &shop.recipes(),
        &options,
        (&Logins::default(), &*sink),
    )
    .await
    .unwrap_err();
    let problem = &failed.0[0];
    assert_eq!(failed.0.len(), 1);
    assert!(problem.message.contains("not-there"), "{}", problem.message);
    assert!(
        problem
            .help
            .as_deref()
            .unwrap_or("")
            .contains("COPY not-there /x"),
        "{problem:?}"
    );
    let states: Vec<(String, String)> = sink
        .all()
        .into_iter()
        .filter_map(|w| match w {
            What::Image { image, state, .. } if state != "building" => Some((image, state)),
            _ => None,
        })
        .collect();
    assert_eq!(
        states,
        [
            (format!("{}-root:1", shop.name), "ready".to_owned()),
            (format!("{}-child:1", shop.name), "failed".to_owned())
        ]
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_a_problem_with_a_way_out() {
    let Some(shop) = Workshop::new("pull").await else {
        return;
    };
    let wanted = |policy| Wanted {
        reference: "registry.prodmirror.example/nowhere/at-all:1".to_owned(),
        platform: None,
        policy,
        locked_for: None,
    };
    for (policy, why) in [
        (Policy::Never, "`never`"),
        (Policy::Missing, "could not be pulled"),
    ] {
        let p = provide(&shop.engine, &wanted(policy), (&Logins::default(), &NoSink))
            .await
            .unwrap_err();
        assert!(p.message.contains(why), "{}", p.message);
        assert!(p.message.contains("nowhere/at-all:1"), "{}", p.message);
        assert!(p.help.is_some());
    }
}
