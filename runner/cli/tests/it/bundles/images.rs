//! The very images: here, in the bundle, or said to be missing.

use std::process::Command;

use super::manifest;
use crate::docker::{build, docker};
use crate::engine::Beside;
use crate::project::Project;

/// An image of a few megabytes that nobody else has; it goes with this.
struct Own {
    tag: String,
}

impl Own {
    fn new(beside: &Beside) -> Self {
        let own = Self {
            tag: format!("{}.test/own:1", beside.name()),
        };
        own.build("one");
        own
    }

    fn build(&self, mark: &str) {
        let listed = docker(&[
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "prodmirror/agent",
        ]);
        let agent = listed.lines().next().expect("the agent's image").to_owned();
        build(
            &self.tag,
            &format!("FROM {agent}\nLABEL mark={}-{mark}\n", self.tag),
        );
    }

    fn remove(&self) {
        docker(&["rmi", "-f", &self.tag]);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rmi", "-f", &self.tag])
            .output();
    }
}

fn project(own: &Own) -> Project {
    let compose = format!(
        "services:\n  app:\n    image: {}\n    command: [hold]\n",
        own.tag
    );
    let scenario = "scenario: it knows\nsteps:\n  - exec: { service: app, cmd: [/prodmirror-agent, no-such-word] }\n    expect: exit_code == 0\n";
    Project::with(&[("compose.yaml", &compose), ("scenarios/a.yaml", scenario)])
}

#[test]
fn images_that_are_gone_are_taken_from_the_bundle_or_named() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    // An agent's image is there after any run.
    let own = Own::new(&beside);
    let with = project(&own);
    with.plays(&["run", "--with-images"], &[])
        .is(1, &["prodmirror repro"]);
    let without = project(&own);
    without.plays(&["run"], &[]).is(1, &["prodmirror repro"]);
    let m = manifest(&without.bundle());
    let id = m["images"]["app"]["id"].as_str().unwrap().to_owned();

    // Another image under the same name is not the one.
    own.build("two");
    docker(&["rmi", "-f", &id]);
    let elsewhere = Project::empty();
    let bundle = without.bundle();
    let said = elsewhere.plays(&["repro", &bundle, "--offline"], &[]);
    let was = format!("is not here: it was {}", &id[..19]);
    said.is(
        2,
        &[
            &own.tag,
            "of `app`",
            &was,
            "what is called so here is another one",
            "--with-images",
        ],
    );
    let said = elsewhere.plays(&["repro", &bundle, "--offline", "--other-images"], &[]);
    said.is(
        0,
        &[
            "is another image here than the one on which it failed",
            "reproduced",
        ],
    );
    assert_eq!(elsewhere.reproduced(), 1);

    own.remove();
    let elsewhere = Project::empty();
    let said = elsewhere.plays(&["repro", &bundle, "--offline", "--other-images"], &[]);
    said.is(2, &[&own.tag, &was]);
    assert_eq!(elsewhere.reproduced(), 0);
    let said = elsewhere.plays(&["repro", &with.bundle(), "--offline"], &[]);
    said.is(0, &["taking the images from the bundle", "reproduced"]);
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &id]), id);
    assert_eq!(elsewhere.reproduced(), 1);
    docker(&["rmi", "-f", &id]);
}
