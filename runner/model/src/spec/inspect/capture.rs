//! The files of a capture, sorted by what they show.

use crate::diag::{Problem, ProblemKind, Problems};
use crate::spec::Source;
use crate::yaml::{Node, Value, json};

use super::field::{list, text, texts};

/// What a capture shows.
#[derive(Debug, Default)]
pub(super) struct Capture {
    /// Containers.
    pub containers: Vec<Node>,
    /// Images.
    pub images: Vec<Node>,
    /// Networks.
    pub networks: Vec<Node>,
    /// Volumes.
    pub volumes: Vec<Node>,
    /// What is worth knowing.
    pub warnings: Vec<Problem>,
}

/// What an object is the inspection of.
enum Kind {
    Container,
    Image,
    Network,
    Volume,
    /// A line of a list, which holds much less than an inspection.
    Listed,
    Other,
}

impl Capture {
    /// Reads files in their order; a later inspection of the same object wins.
    pub fn read(files: &[Source]) -> Result<Self, Problems> {
        let mut capture = Self::default();
        let mut problems = Problems::default();
        for source in files {
            match json::parse_all(&source.file) {
                Ok(values) => values
                    .into_iter()
                    .for_each(|v| capture.take(v, &mut problems)),
                Err(p) => problems.push(p.help(
                    "a capture is what `docker inspect` prints: a JSON array, an object, or one object a line",
                )),
            }
        }
        if capture.containers.is_empty() && !problems.has_errors() {
            let names: Vec<&str> = files.iter().map(|f| f.file.name.as_str()).collect();
            problems.push(
                Problem::new(
                    ProblemKind::Missing,
                    format!("no container is in the capture ({})", names.join(", ")),
                )
                .help("capture them with `docker inspect $(docker ps -aq) > containers.json`"),
            );
        }
        if problems.has_errors() {
            return Err(problems);
        }
        Ok(capture)
    }

    fn take(&mut self, node: Node, problems: &mut Problems) {
        if let Value::Seq(items) = node.value {
            items.into_iter().for_each(|n| self.take(n, problems));
            return;
        }
        let (to, identity): (&mut Vec<Node>, &str) = match kind(&node) {
            Kind::Container => (&mut self.containers, "Id"),
            Kind::Image => (&mut self.images, "Id"),
            Kind::Network => (&mut self.networks, "Id"),
            Kind::Volume => (&mut self.volumes, "Name"),
            Kind::Listed => {
                let what = "this is a line of a list, not an inspection: it says too little";
                problems.push(
                    Problem::at(ProblemKind::Missing, &node.span, what)
                        .help("capture with `docker inspect $(docker ps -aq)`"),
                );
                return;
            }
            Kind::Other => {
                self.other(node, problems);
                return;
            }
        };
        let id = text(&node, identity).map(str::to_owned);
        match to
            .iter_mut()
            .find(|n| id.is_some() && text(n, identity) == id.as_deref())
        {
            Some(known) => *known = node,
            None => to.push(node),
        }
    }

    /// What the API wraps a list in; anything else is said.
    fn other(&mut self, node: Node, problems: &mut Problems) {
        let wrapped = ["Volumes", "Networks", "Containers", "Images"];
        let lists: Vec<&str> = wrapped
            .into_iter()
            .filter(|k| node.get(k).is_some_and(|n| n.as_seq().is_some()))
            .collect();
        if lists.is_empty() {
            let what = "this is the inspection of no container, image, network or volume";
            let problem = Problem::at(ProblemKind::Unsupported, &node.span, what);
            self.warnings.push(
                problem
                    .warning()
                    .help("remove it from the capture: it is left out"),
            );
            return;
        }
        for key in lists {
            list(&node, key)
                .to_vec()
                .into_iter()
                .for_each(|n| self.take(n, problems));
        }
    }

    /// The image that a container runs: by its identity, else by its reference.
    pub fn image(&self, container: &Node) -> Option<&Node> {
        let id = text(container, "Image").map(bare_id);
        let reference = text(super::field::object(container, "Config"), "Image");
        let by_id = |n: &&Node| id.is_some() && text(n, "Id").map(bare_id) == id;
        let by_tag = |n: &&Node| reference.is_some_and(|r| texts(n, "RepoTags").contains(&r));
        match self.images.iter().find(by_id) {
            Some(image) => Some(image),
            None if id.is_none() => self.images.iter().find(by_tag),
            None => None,
        }
    }

    /// A network by its name.
    pub fn network(&self, name: &str) -> Option<&Node> {
        self.networks.iter().find(|n| text(n, "Name") == Some(name))
    }

    /// A volume by its name.
    pub fn volume(&self, name: &str) -> Option<&Node> {
        self.volumes.iter().find(|n| text(n, "Name") == Some(name))
    }
}

/// An identity without the name of its hash.
pub(super) fn bare_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

fn kind(node: &Node) -> Kind {
    let has = |keys: &[&str]| keys.iter().any(|k| node.get(k).is_some());
    if has(&["HostConfig", "NetworkSettings"]) && has(&["Config", "State", "Path"]) {
        Kind::Container
    } else if has(&["RepoTags", "RepoDigests", "RootFS", "ContainerConfig"]) && has(&["Config"]) {
        Kind::Image
    } else if has(&["IPAM", "ConfigOnly"]) {
        Kind::Network
    } else if has(&["Mountpoint"]) {
        Kind::Volume
    } else if has(&["Names", "RepoTags", "CreatedSince"]) {
        Kind::Listed
    } else {
        Kind::Other
    }
}
