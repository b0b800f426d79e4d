use prodmirror_engine::step::compile_all;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for name in files {
            place.write(name, "x");
        }
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is gathered of a scenario, of a project in the directory `root`.
    fn gathered(&self, root: &str, scenario: &str) -> (Gathered, Arc<SourceFile>) {
        let file = SourceFile::read(&self.path(scenario), scenario).unwrap();
        let (programs, problems) = compile_all(std::slice::from_ref(&file));
        let errors: Vec<_> = problems.iter().filter(|p| p.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        (Gathered::of(&self.path(root), &programs[0], &[]), file)
    }
}

fn places(gathered: &Gathered) -> Vec<&str> {
    gathered.files.keys().map(String::as_str).collect()
}

#[test]
fn files_that_steps_name_and_only_they() {
    let place = Place::new(&[
        "scenarios/bodies/a.json",
        "scenarios/bodies/b.json",
        "scenarios/bodies/deep/c.json",
        "scenarios/other.yaml",
        "scenarios/__snapshots__/a/page.json",
        "compose.yaml",
    ]);
    place.write("scenarios/rows.csv", "sku,qty\na,1\n");
    let text = "scenario: a\nload: { rows: rows.csv }\nvars: { sku: a }\nsteps:\n  - use: parts/log-in.yaml\n  \
                - exec: { service: app, cmd: [cat, \"bodies/{{ sku }}.json\"] }\n";
    place.write("scenarios/a.yaml", text);
    let fragment = "fragment: log in\nsteps:\n  - exec: { service: app, cmd: [cat, body.txt] }\n";
    place.write("scenarios/parts/log-in.yaml", fragment);
    place.write("scenarios/parts/body.txt", "x");
    let (gathered, file) = place.gathered("", "scenarios/a.yaml");
    assert_eq!(
        places(&gathered),
        [
            "scenarios/__snapshots__/a/page.json",
            "scenarios/a.yaml",
            "scenarios/bodies/a.json",
            "scenarios/bodies/b.json",
            "scenarios/bodies/deep/c.json",
            "scenarios/parts/body.txt",
            "scenarios/parts/log-in.yaml",
            "scenarios/rows.csv",
        ]
    );
    assert_eq!(gathered.root, "");
    assert_eq!(gathered.place(&file), "scenarios/a.yaml");
}

#[test]
fn files_beside_the_project_keep_their_places() {
    let place = Place::new(&["deploy/mirror/mirror.yaml", "shared/body.json"]);
    let text = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [cat, ../shared/body.json] }\n";
    place.write("scenarios/a.yaml", text);
    let (gathered, file) = place.gathered("deploy/mirror", "scenarios/a.yaml");
    assert_eq!(places(&gathered), ["scenarios/a.yaml", "shared/body.json"]);
    assert_eq!(gathered.root, "deploy/mirror");
    assert_eq!(gathered.place(&file), "scenarios/a.yaml");
    assert_eq!(
        from_root("deploy/mirror", "scenarios/a.yaml"),
        "../../scenarios/a.yaml"
    );
    assert_eq!(from_root("deploy", "deploy/a.yaml"), "a.yaml");
    assert_eq!(from_root("deploy", "deploy-2/a.yaml"), "../deploy-2/a.yaml");
}

#[test]
fn files_of_the_stack_get_places_and_are_named_by_them() {
    let place = Place::new(&[
        "p/scenarios/a.yaml",
        "p/conf/a.conf",
        "p/static/one.html",
        "p/static/deep/two.html",
        "elsewhere/b.conf",
    ]);
    let text = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [cat] }\n";
    place.write("p/scenarios/a.yaml", text);
    let (mut gathered, _) = place.gathered("p", "p/scenarios/a.yaml");
    let of = |name: &str| place.path(name).to_string_lossy().into_owned();
    let mut stack = json!({
        "configs": {
            "a": { "file": of("p/conf/a.conf") },
            "b": { "file": of("elsewhere/b.conf") },
            "c": { "content": "x" },
        },
        "secrets": { "s": { "file": "${S_FILE}" } },
        "services": { "app": { "volumes": [
            { "type": "bind", "source": of("p/static"), "target": "/static" },
            { "type": "volume", "source": "data", "target": "/data" },
        ] } },
    });
    gathered.stack(&mut stack);
    assert_eq!(stack["configs"]["a"]["file"], "./conf/a.conf");
    assert_eq!(stack["configs"]["b"]["file"], "./given/1/b.conf");
    assert_eq!(stack["secrets"]["s"]["file"], "${S_FILE}");
    assert_eq!(stack["services"]["app"]["volumes"][0]["source"], "./static");
    assert_eq!(stack["services"]["app"]["volumes"][1]["source"], "data");
    assert_eq!(
        places(&gathered),
        [
            "conf/a.conf",
            "given/1/b.conf",
            "scenarios/a.yaml",
            "static/deep/two.html",
            "static/one.html"
        ]
    );
    assert_eq!(
        gathered.files["given/1/b.conf"],
        place.path("elsewhere/b.conf")
    );
}

#[cfg(unix)]
#[test]
fn links_are_read_as_files_and_directories_behind_them_are_not_followed() {
    let place = Place::new(&["outside/secret.txt", "outside/file.json", "s/bodies/a.json"]);
    let text = "scenario: a\nvars: { sku: a }\nsteps:\n  - exec: { service: app, cmd: [cat, \"bodies/{{ sku }}.json\"] }\n";
    place.write("s/a.yaml", text);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(place.path(to), place.path(name)).unwrap();
    };
    link("outside/file.json", "s/bodies/b.json");
    link("outside", "s/bodies/deep");
    link("s/bodies", "s/bodies/loop");
    link("outside/gone", "s/bodies/gone.json");
    let (gathered, _) = place.gathered("", "s/a.yaml");
    assert_eq!(
        places(&gathered),
        ["s/a.yaml", "s/bodies/a.json", "s/bodies/b.json"]
    );
}
