//! Images and a project of one test; all of them go with it.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::docker::{self, docker, output};
use crate::project::{Project, Said};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a test works with.
pub struct Bench {
    /// The project: one service `web` of the image that is under test here.
    pub project: Project,
    /// A name that nothing else has.
    pub name: String,
    /// Reference of the image, without tag.
    pub repository: String,
    agent: String,
    references: std::cell::RefCell<Vec<String>>,
    env: Vec<(String, String)>,
}

impl Bench {
    /// A project whose service runs `HOST/NAME:1`.
    pub fn new(host: &str, agent: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lock-test-{}-{number}", std::process::id());
        let repository = format!("{host}/{name}");
        let compose =
            format!("services:\n  web:\n    image: {repository}:1\n    command: [hold]\n");
        let mirror = format!("project: {name}\nproduction: [compose.yaml]\n");
        let scenario = "scenario: it runs\nsteps:\n  - exec: { service: web, cmd: [/prodmirror-agent, version] }\n    expect: exit_code == 0\n";
        let project = Project::with(&[
            ("mirror.yaml", &mirror),
            ("compose.yaml", &compose),
            ("scenarios/a.yaml", scenario),
        ]);
        Self {
            project,
            name,
            repository,
            agent: agent.to_owned(),
            references: Vec::new().into(),
            env: Vec::new(),
        }
    }

    /// Lets the program see the engine of the test's own environment, and a login.
    pub fn login(&mut self, registry: &str, (user, password): (&str, &str)) {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let config = format!(r#"{{"auths":{{"{registry}":{{"auth":"{auth}"}}}}}}"#);
        self.project.write(".docker/config.json", config.as_bytes());
    }

    /// Makes an image that says which release it is; gives its id.
    pub fn build(&self, reference: &str, release: &str) -> String {
        let text = format!(
            "FROM {}\nLABEL release=\"{} {release}\"\n",
            self.agent, self.name
        );
        let id = docker::build(reference, &text);
        self.references.borrow_mut().push(reference.to_owned());
        self.references.borrow_mut().push(id.clone());
        id
    }

    /// Builds a release and pushes it under a tag; gives its id and its digest.
    pub fn push(&self, tag: &str, release: &str) -> (String, String) {
        self.push_to(&self.repository, tag, release)
    }

    /// As [`push`](Self::push), to another repository.
    pub fn push_to(&self, repository: &str, tag: &str, release: &str) -> (String, String) {
        let reference = format!("{repository}:{tag}");
        let id = self.build(&reference, release);
        let mut command = Command::new("docker");
        command.env("HOME", self.project.path());
        output(command.args(["push", &reference]));
        let format = "{{range .RepoDigests}}{{println .}}{{end}}";
        let digests = docker(&["image", "inspect", "-f", format, &reference]);
        let of_it = |l: &str| l.strip_prefix(&format!("{repository}@")).map(str::to_owned);
        let digest = digests.lines().find_map(of_it).unwrap();
        self.references
            .borrow_mut()
            .push(format!("{repository}@{digest}"));
        (id, digest)
    }

    /// Takes images from the engine.
    pub fn forget(&self) {
        for reference in self.references.borrow().iter() {
            let _ = Command::new("docker")
                .args(["rmi", "-f", reference])
                .output();
        }
    }

    /// Runs the program.
    pub fn run(&self, args: &[&str]) -> Said {
        let engine = std::env::vars()
            .filter(|(name, _)| name.starts_with("DOCKER_") && name != "DOCKER_CONFIG");
        let env: Vec<(String, String)> = engine.chain(self.env.clone()).collect();
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.project.run_with(args, &env)
    }

    /// Sets a variable of the program's environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The id of the image that `web` runs after `up -d`.
    pub fn image_of_web(&self, args: &[&str]) -> String {
        let up = self.run(&[&["up", "-d"], args].concat());
        up.is(0, &[]);
        let stack = format!("label=dev.prodmirror.project={}-mirror", self.name);
        let ids = docker(&[
            "ps",
            "-q",
            "--filter",
            &stack,
            "--filter",
            "label=dev.prodmirror.service=web",
        ]);
        let images: Vec<String> = ids
            .lines()
            .map(|id| docker(&["inspect", "-f", "{{.Image}} {{join .Config.Cmd \" \"}}", id]))
            .filter(|found| found.ends_with(" hold"))
            .collect();
        self.run(&["down"]).is(0, &[]);
        assert_eq!(images.len(), 1, "{ids} {images:?}");
        images[0].split(' ').next().unwrap().to_owned()
    }

    /// The text of the lock.
    pub fn lock(&self) -> String {
        read(&self.project.path().join("mirror.lock"))
    }

    /// The events of the last run.
    pub fn events(&self) -> String {
        let runs = self.project.path().join(".prodmirror/runs");
        let mut runs: Vec<_> = std::fs::read_dir(runs)
            .unwrap()
            .filter_map(|e| Some(e.ok()?.path().join("events.jsonl")))
            .filter(|p| p.exists())
            .collect();
        // Two runs may begin in one second, so their names do not tell which is the last.
        runs.sort_by_key(|p| std::fs::metadata(p).and_then(|m| m.modified()).unwrap());
        read(runs.last().unwrap())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
        self.forget();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
