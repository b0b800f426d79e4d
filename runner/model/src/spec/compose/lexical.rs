//! Paths as text, by POSIX rules: nothing here looks at a disk.

/// Whether a path starts at the root.
pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// Whether a path is absolute on Windows (`C:\x`, `\\host\share`), so that it is left alone.
pub(super) fn is_windows_absolute(path: &str) -> bool {
    let separator = |b: Option<&u8>| matches!(b, Some(b'/' | b'\\'));
    let bytes = path.as_bytes();
    match bytes {
        [_, b':', ..] => separator(bytes.get(2)),
        [first, second, ..] => separator(Some(first)) && separator(Some(second)),
        _ => false,
    }
}

/// The shortest path that means the same: no `.`, no `..` after a name, no doubled or
/// trailing slashes. The empty path is `.`.
pub(super) fn clean(path: &str) -> String {
    let rooted = is_absolute(path);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            name => parts.push(name),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

/// `path` seen from `base`: itself when it is absolute.
pub(super) fn absolute(base: &str, path: &str) -> String {
    if is_absolute(path) {
        clean(path)
    } else {
        join(base, path)
    }
}

/// Both, one after the other, cleaned; even when the second is absolute.
pub(super) fn join(base: &str, path: &str) -> String {
    match (base.is_empty(), path.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(path),
        (false, true) => clean(base),
        (false, false) => clean(&format!("{base}/{path}")),
    }
}

/// All but the last name.
pub(super) fn directory(path: &str) -> String {
    match path.rfind('/') {
        Some(at) => clean(&path[..=at]),
        None => ".".into(),
    }
}

/// The last name.
pub(super) fn last_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().unwrap_or("")
}

/// `~` and what follows it, seen from the home directory.
pub(super) fn expand_home(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => join(home, rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_like_gos() {
        for (path, want) in [
            ("", "."),
            ("a/./b/../c/", "a/c"),
            ("../../x", "../../x"),
            ("/../x", "/x"),
            ("//a//b", "/a/b"),
            ("./data", "data"),
            ("a/..", "."),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
        assert_eq!(join("/a", "../b"), "/b");
        assert_eq!(join("/a", "/b"), "/a/b");
        assert_eq!(absolute("/a", "/b/."), "/b");
        assert_eq!(directory("/a/b.yaml"), "/a");
        assert_eq!(directory("b.yaml"), ".");
        assert_eq!(last_name("/a/b/"), "b");
        assert_eq!(expand_home("~/x", Some("/home/u")), "/home/u/x");
        assert_eq!(expand_home("~/x", None), "~/x");
        assert!(is_windows_absolute(r"C:\x") && is_windows_absolute(r"\\h\s"));
        assert!(!is_windows_absolute("C:x") && !is_windows_absolute("./x"));
    }
}
