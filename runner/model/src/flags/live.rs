//! Flags of a mirror that stands: where its services have them, and what they are there.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::{Choice, FlagSet, Origin, Variant, read_file};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::plan::{ContainerPlan, FileContent, FilePlan, Plan};
use crate::source::SourceFile;

/// How a container has flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file at this path.
    File(String),
    /// A variable that has the file's content.
    Content(String),
    /// A variable that is a flag.
    Variable(String),
}

/// A container that has flags somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its service.
    pub service: String,
    /// Its replica.
    pub replica: u32,
    /// Where.
    pub place: Place,
}

/// All places of a plan at which services read the flags.
pub fn places(plan: &Plan, set: &FlagSet) -> Vec<Placed> {
    let containers = plan.containers.iter().filter(|c| set.is_for(&c.service));
    containers
        .flat_map(|c| {
            let all = of_container(c, set).into_iter();
            all.map(|place| Placed {
                service: c.service.clone(),
                replica: c.replica,
                place,
            })
        })
        .collect()
}

fn of_container(container: &ContainerPlan, set: &FlagSet) -> Vec<Place> {
    let env = container.body["Env"].as_array().into_iter().flatten();
    let env = env.filter_map(|v| v.as_str()?.split_once('='));
    match &set.origin {
        Origin::Variables => env
            .filter(|(name, _)| set.flags.contains_key(*name))
            .map(|(name, _)| Place::Variable(name.to_owned()))
            .collect(),
        Origin::File { path, .. } => {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            let mut all = Vec::new();
            in_files(&container.files, Path::new(""), set, &path, &mut all);
            let said = env.filter(|(_, value)| set.is_said_by(value));
            all.extend(said.map(|(name, _)| Place::Content(name.to_owned())));
            all
        }
    }
}

fn in_files(files: &[FilePlan], above: &Path, set: &FlagSet, path: &Path, all: &mut Vec<Place>) {
    for file in files {
        // Files of a directory are named below it; an absolute path stands for itself.
        let target: PathBuf = above.join(&file.target);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match &file.content {
            FileContent::HostPath(source) => {
                let real = source.canonicalize().unwrap_or_else(|_| source.clone());
                if real == path {
                    all.push(Place::File(text(&target)));
                } else if let Ok(below) = path.strip_prefix(&real) {
                    all.push(Place::File(text(&target.join(below))));
                }
            }
            FileContent::Text(said) if set.is_said_by(said) => {
                all.push(Place::File(text(&target)));
            }
            FileContent::Secret(said) if set.is_said_by(said.expose()) => {
                all.push(Place::File(text(&target)));
            }
            FileContent::Directory(inside) => in_files(inside, &target, set, path, all),
            _ => {}
        }
    }
}

impl FlagSet {
    /// What is served where a place has this content, as far as production serves another
    /// value.
    ///
    /// # Errors
    /// It is no file of flags.
    pub fn differing_in(&self, text: &str) -> Result<Vec<Choice>, Problems> {
        let Origin::File { environment, .. } = &self.origin else {
            return Ok(Vec::new());
        };
        let name = match text.trim_start().starts_with('{') {
            true => "flags.json",
            false => "flags.yaml",
        };
        let source = SourceFile::new(name, text);
        let there = read_file(
            &source,
            Path::new(""),
            Some(self.format),
            environment.clone(),
        )?;
        let differing = self.flags.values().filter_map(|flag| {
            let now = there.flags.get(&flag.name)?.served()?;
            self.choice(&flag.name, now)
        });
        Ok(differing.collect())
    }

    /// What a variable that is a flag is there, where production's is another.
    pub fn differing_variable(&self, name: &str, value: &str) -> Option<Choice> {
        let flag = self.flags.get(name)?;
        let served = flag.served()?;
        if served.text.as_deref() == Some(value) {
            return None;
        }
        let now = flag.variant(&Json::String(value.to_owned())).ok()?;
        self.choice(name, &now)
    }

    /// A value that differs from production's.
    fn choice(&self, name: &str, now: &Variant) -> Option<Choice> {
        let served = self.flags.get(name)?.served();
        let differs = served.is_none_or(|s| s.value != now.value);
        differs.then(|| Choice {
            flag: name.to_owned(),
            variant: now.clone(),
            differs,
        })
    }

    /// What somebody asks for, as a choice; none when it is what production serves.
    ///
    /// # Errors
    /// There is no such flag, nobody reads it, or it has no such value.
    pub fn asked(&self, name: &str, value: &Json) -> Result<Option<Choice>, Problem> {
        let flag = self.named(name)?;
        if flag.services.is_empty() {
            let what = format!("no service of production is given the flag `{name}`");
            return Err(Problem::new(ProblemKind::Unsupported, what));
        }
        let variant = flag.variant(value);
        let variant = variant.map_err(|why| Problem::new(ProblemKind::InvalidValue, why))?;
        Ok(self.choice(name, &variant))
    }

    /// A flag of production.
    ///
    /// # Errors
    /// There is none of the name.
    pub fn named(&self, name: &str) -> Result<&super::Flag, Problem> {
        self.flags.get(name).ok_or_else(|| {
            let what = format!("production has no flag `{name}` in {}", self.held_by());
            let problem = Problem::new(ProblemKind::UnknownReference, what);
            match nearest(name, self.flags.keys().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`prodmirror flag ls` lists them"),
            }
        })
    }

    /// What a place holds when these values are served: as a file, and as one line.
    pub fn content(&self, choices: &[Choice]) -> Option<(String, String)> {
        let Origin::File { file, .. } = &self.origin else {
            return None;
        };
        if choices.is_empty() {
            // Production's own, as it is written.
            return Some((file.text.to_string(), file.text.to_string()));
        }
        let all: Vec<&Choice> = choices.iter().collect();
        let document = self.rendered(&all)?;
        Some((super::apply::pretty(&document), document.to_string()))
    }

    /// The value of a variable that is a flag: as it is chosen, else production's.
    pub fn value_of(&self, name: &str, choices: &[Choice]) -> Option<String> {
        let chosen = choices.iter().find(|c| c.flag == name);
        match chosen {
            Some(choice) => Some(super::apply::text_of(choice)),
            None => self.flags.get(name)?.served()?.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Format;

    const FLAGS: &str = r#"{ "flags": {
        "a": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" },
        "b": { "state": "ENABLED", "variants": { "x": 1, "y": 2 }, "defaultVariant": "x" } } }"#;

    fn set() -> FlagSet {
        let source = SourceFile::new("flags.json", FLAGS);
        let path = Path::new("/p/flags.json");
        let mut set = read_file(&source, path, Some(Format::Flagd), None).unwrap();
        for flag in set.flags.values_mut() {
            flag.services = vec!["app".into()];
        }
        set
    }

    #[test]
    fn what_is_written_is_read_back() {
        let set = set();
        let asked = |name: &str, value: &str| set.asked(name, &Json::from(value)).unwrap();
        assert!(asked("a", "off").is_none());
        let choices = vec![asked("a", "on").unwrap(), asked("b", "y").unwrap()];
        let (text, line) = set.content(&choices).unwrap();
        assert!(!line.contains('\n'));
        for said in [text, line] {
            assert_eq!(set.differing_in(&said).unwrap(), choices);
        }
        let (own, _) = set.content(&[]).unwrap();
        assert_eq!(own, FLAGS);
        assert!(set.differing_in(FLAGS).unwrap().is_empty());
        assert!(set.differing_in("no flags").is_err());
        assert!(set.asked("c", &Json::from("on")).is_err());
        assert!(set.asked("a", &Json::from("maybe")).is_err());
    }

    #[test]
    fn files_are_found_wherever_they_are_mounted() {
        let file = |target: &str, content: FileContent| FilePlan {
            target: target.into(),
            content,
            mode: None,
            uid: 0,
            gid: 0,
            read_only: true,
        };
        let container = ContainerPlan {
            service: "app".into(),
            replica: 1,
            body: serde_json::json!({"Env": [format!("FLAGS={FLAGS}"), "OTHER=1"]}),
            files: vec![
                file("/etc/flags", FileContent::HostPath("/p/flags.json".into())),
                file("/all", FileContent::HostPath("/p".into())),
                file("/text", FileContent::Text(FLAGS.into())),
                file("/other", FileContent::Text("{}".into())),
                file(
                    "/dir",
                    FileContent::Directory(vec![file("f.json", FileContent::Text(FLAGS.into()))]),
                ),
            ],
            ..ContainerPlan::default()
        };
        let plan = Plan {
            containers: vec![container],
            ..Plan::default()
        };
        let found: Vec<Place> = places(&plan, &set()).into_iter().map(|p| p.place).collect();
        let file = |path: &str| Place::File(path.into());
        let wanted = [
            file("/etc/flags"),
            file("/all/flags.json"),
            file("/text"),
            file("/dir/f.json"),
            Place::Content("FLAGS".into()),
        ];
        assert_eq!(found, wanted);
    }
}
