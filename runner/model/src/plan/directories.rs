//! Directories that are made of files: one mount each, which hides what the image has there.

use super::{FileContent, FilePlan};

/// Puts the files below each directory together. The directories themselves may be empty.
pub(super) fn gather(files: Vec<FilePlan>, directories: &[String]) -> Vec<FilePlan> {
    if directories.is_empty() {
        return files;
    }
    let mut made: Vec<FilePlan> = directories
        .iter()
        .map(|target| FilePlan {
            target: target.clone(),
            content: FileContent::Directory(Vec::new()),
            mode: None,
            uid: 0,
            gid: 0,
            read_only: true,
        })
        .collect();
    let mut others = Vec::new();
    for mut file in files {
        let below = |dir: &FilePlan| {
            let rest = file.target.strip_prefix(&dir.target)?;
            rest.strip_prefix('/').map(str::to_owned)
        };
        let nearest = made
            .iter_mut()
            .filter_map(|dir| below(dir).map(|path| (dir, path)))
            .min_by_key(|(_, path)| path.len());
        match nearest {
            Some((dir, path)) => {
                file.target = path;
                dir.gid = file.gid;
                if let FileContent::Directory(inside) = &mut dir.content {
                    inside.push(file);
                }
            }
            None => others.push(file),
        }
    }
    made.extend(others);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(target: &str) -> FilePlan {
        FilePlan {
            target: target.into(),
            content: FileContent::Text(String::new()),
            mode: None,
            uid: 0,
            gid: 0,
            read_only: true,
        }
    }

    #[test]
    fn files_go_to_the_nearest_directory() {
        let files = ["/etc/app/a", "/etc/app/sub/b", "/etc/app.conf"].map(file);
        let dirs = [
            "/etc/app".to_owned(),
            "/etc/app/sub".to_owned(),
            "/none".to_owned(),
        ];
        let made = gather(files.into(), &dirs);
        let shown: Vec<String> = made
            .iter()
            .map(|f| match &f.content {
                FileContent::Directory(inside) => {
                    let names: Vec<&str> = inside.iter().map(|f| f.target.as_str()).collect();
                    format!("{}: {}", f.target, names.join(" "))
                }
                _ => f.target.clone(),
            })
            .collect();
        assert_eq!(
            shown,
            ["/etc/app: a", "/etc/app/sub: b", "/none: ", "/etc/app.conf"]
        );
    }
}
