//! Paths of a side's files as its user wrote them: from the project's directory.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// Where the files of a side are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// The project's directory.
    pub project: PathBuf,
    /// The directory above it below which paths are told from the project's: that of the
    /// repository. Empty = there is none.
    pub top: PathBuf,
}

impl Home {
    /// A path from the project's directory: `./conf`, `../data`. Paths that stand elsewhere stay
    /// as they are.
    pub(super) fn place(&self, path: &str) -> String {
        let path = Path::new(path);
        if self.project.as_os_str().is_empty() || !path.is_absolute() {
            return path.display().to_string();
        }
        if let Ok(inside) = path.strip_prefix(&self.project) {
            return match inside.as_os_str().is_empty() {
                true => ".".to_owned(),
                false => format!("./{}", inside.display()),
            };
        }
        let beside = !self.top.as_os_str().is_empty()
            && path.starts_with(&self.top)
            && self.project.starts_with(&self.top);
        if !beside {
            return path.display().to_string();
        }
        let common = |(a, b): &(std::path::Component<'_>, std::path::Component<'_>)| a == b;
        let both = self.project.components().zip(path.components());
        let shared = both.take_while(common).count();
        let up = self.project.components().count() - shared;
        let rest: PathBuf = path.components().skip(shared).collect();
        format!("{}{}", "../".repeat(up), rest.display())
    }

    /// A bind, or what makes a volume, with its path as it was written.
    pub(super) fn told(&self, value: &Json) -> Json {
        let mut value = value.clone();
        let is_bind = value["type"] == "bind";
        for at in ["/source", "/driver_opts/device"] {
            let of_bind = at == "/source";
            if let Some(Json::String(path)) = value.pointer_mut(at)
                && (is_bind || !of_bind)
            {
                *path = self.place(path);
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_told_from_the_project() {
        let home = Home {
            project: "/home/me/shop/deploy/prod".into(),
            top: "/home/me/shop".into(),
        };
        for (path, told) in [
            ("/home/me/shop/deploy/prod/conf/a", "./conf/a"),
            ("/home/me/shop/deploy/prod", "."),
            ("/home/me/shop/deploy/data", "../data"),
            ("/home/me/shop", "../../"),
            ("/home/me/other", "/home/me/other"),
            ("/etc/localtime", "/etc/localtime"),
            ("data", "data"),
        ] {
            assert_eq!(home.place(path), told, "{path}");
        }
        assert_eq!(Home::default().place("/a/b"), "/a/b");
    }

    #[test]
    fn only_paths_of_the_machine_are_changed() {
        let home = Home {
            project: "/p".into(),
            top: PathBuf::new(),
        };
        let bind = home.told(&json!({ "type": "bind", "source": "/p/x", "target": "/p/y" }));
        assert_eq!(
            bind,
            json!({ "type": "bind", "source": "./x", "target": "/p/y" })
        );
        let volume = home.told(&json!({ "type": "volume", "source": "/p/x" }));
        assert_eq!(volume["source"], "/p/x");
        let made = home.told(&json!({ "driver_opts": { "type": "none", "device": "/p/d" } }));
        assert_eq!(made["driver_opts"]["device"], "./d");
    }
}
