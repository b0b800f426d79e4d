//! Every kind of bad input: the exit code, the place, and what to do. Nothing is started.

use super::project::Project;

const SCENARIO: &str = "scenarios/a.yaml";
const GOOD: &str =
    "scenario: a\nsteps:\n  - http: { url: \"http://web/\" }\n    expect: status == 200\n";

fn check(files: &[(&str, &str)], texts: &[&str]) {
    Project::with(files).run(&["check"]).is(2, texts);
}

#[test]
fn a_good_project_is_good() {
    let scenario =
        "scenario: a\nsteps:\n  - http: { url: \"http://web/\" }\n    expect: status == 200\n";
    Project::with(&[(SCENARIO, scenario)])
        .run(&["check"])
        .is(0, &["1 scenario in 1 file"]);
}

#[test]
fn no_project() {
    let dir = Project::with(&[]);
    std::fs::remove_file(dir.path().join("mirror.yaml")).unwrap();
    dir.run(&["check"])
        .is(2, &["no mirror.yaml in", "prodmirror init"]);
    dir.run(&["-f", "other.yaml", "check"])
        .is(2, &["other.yaml", "no such file"]);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check(
        &[("mirror.yaml", "production: [compose.yaml]\nsecret: {}\n")],
        &[
            "no key `secret`",
            "mirror.yaml:2:1",
            "did you mean `secrets`?",
        ],
    );
    check(
        &[("compose.yaml", "services:\n  web:\n    imagee: x\n")],
        &["imagee", "compose.yaml:3:5", "did you mean `image`?"],
    );
    check(
        &[(
            SCENARIO,
            "scenario: a\nsteps:\n  - htpp: { url: \"http://web/\" }\n    expect: status == 200\n",
        )],
        &["scenarios/a.yaml:3:5", "did you mean `http`?"],
    );
}

#[test]
fn wrong_types() {
    check(
        &[("compose.yaml", "services:\n  web:\n    image: [a]\n")],
        &["compose.yaml:3:12", "image"],
    );
    check(
        &[(SCENARIO, "scenario: a\nsteps: 3\n")],
        &["scenarios/a.yaml:2:8"],
    );
}

#[test]
fn cycles() {
    let services = |links: &[(&str, &str)], key: &str| {
        let one =
            |(from, to): &(&str, &str)| format!("  {from}:\n    image: x:1\n    {key}: {to}\n");
        format!("services:\n{}", links.iter().map(one).collect::<String>())
    };
    check(
        &[(
            "compose.yaml",
            &services(&[("a", "[b]"), ("b", "[c]"), ("c", "[a]")], "depends_on"),
        )],
        &[
            "a -> b -> c -> a",
            "compose.yaml:10:18",
            "remove one of these `depends_on`",
        ],
    );
    check(
        &[(
            "compose.yaml",
            &services(
                &[("a", "{ service: b }"), ("b", "{ service: a }")],
                "extends",
            ),
        )],
        &[
            "a -> b -> a",
            "compose.yaml:4:14",
            "remove one of these `extends`",
        ],
    );
    check(
        &[
            (
                "compose.yaml",
                "include: [b.yaml]\nservices: { a: { image: \"x:1\" } }\n",
            ),
            ("b.yaml", "include: [compose.yaml]\n"),
        ],
        &[
            "compose.yaml -> b.yaml -> compose.yaml",
            "b.yaml:1:11",
            "remove one of these `include`",
        ],
    );
}

#[test]
fn keys_of_one_kind_of_several() {
    check(
        &[(
            "mirror.yaml",
            "production: [compose.yaml]\ndata: { v: { emty: true } }\n",
        )],
        &[
            "unknown key `emty`",
            "mirror.yaml:2:14",
            "did you mean `empty`?",
        ],
    );
}

#[test]
fn missing_files() {
    check(
        &[("mirror.yaml", "production: [compose.yaml, prod.yaml]\n")],
        &["prod.yaml", "mirror.yaml:1:28"],
    );
    check(
        &[(
            "compose.yaml",
            "services:\n  web:\n    image: x:1\n    env_file: [web.env]\n",
        )],
        &["web.env", "compose.yaml:4"],
    );
}

#[test]
fn files_of_configs_and_secrets() {
    let compose = "services:\n  web:\n    image: x:1\n    configs: [c]\n    secrets: [s]\nconfigs: { c: { file: ./c.txt } }\nsecrets: { s: { file: ./s.txt } }\n";
    let project = Project::with(&[("compose.yaml", compose)]);
    let said = project.run(&["check"]);
    said.is(
        2,
        &[
            "config `c` has no content: there is no file",
            "compose.yaml:6:23",
            "c: { file: PATH }",
            "secret `s` has no value: its file is not here",
            "s: { stub: VALUE }",
            // One mistake is one problem.
            "2 errors",
        ],
    );
}

#[test]
fn scenarios_that_are_not_there() {
    let project = Project::with(&[]);
    let looked = project.path().join("scenarios/b.yaml");
    project.run(&["check", "scenarios/b.yaml"]).is(
        2,
        &[
            "cannot read scenarios/b.yaml: no such file",
            &looked.display().to_string(),
        ],
    );
    project.run(&["run"]).is(
        2,
        &["no scenario was found", "scenarios/ beside mirror.yaml"],
    );
    let project = Project::with(&[(SCENARIO, GOOD)]);
    project
        .run(&["run", "--filter", "checkout"])
        .is(2, &["no scenario was selected", "--dry-run"]);
}

#[test]
fn a_production_of_nothing() {
    check(
        &[("compose.yaml", "")],
        &["nothing stands in compose.yaml", "`services:`"],
    );
    check(
        &[("compose.yaml", "services: {}\n")],
        &[
            "production has no service",
            "compose.yaml:1",
            "`production`",
        ],
    );
    check(
        &[("mirror.yaml", "")],
        &[
            "the key `production` is missing",
            "production: [compose.yaml]",
        ],
    );
    check(
        &[(SCENARIO, "")],
        &["holds no scenario", "start with `scenario:`"],
    );
}

#[test]
fn text_that_is_no_yaml() {
    check(
        &[("compose.yaml", "services:\n\tweb:\n\t\timage: x\n")],
        &[
            "compose.yaml:2:1",
            "there is a tab at the start of this line",
        ],
    );
    check(
        &[(
            "compose.yaml",
            "services:\n  web:\n    command: [a, b\n    image: x:1\n",
        )],
        &[
            "invalid YAML",
            "compose.yaml:4",
            "a flow sequence begins here",
        ],
    );
}

#[test]
fn unset_required_variables() {
    check(
        &[(
            "compose.yaml",
            "services:\n  web:\n    image: \"x:${TAG:?say which release}\"\n",
        )],
        &["TAG", "say which release", "compose.yaml:3"],
    );
}

#[test]
fn unknown_services_in_steps() {
    check(
        &[(
            SCENARIO,
            "scenario: a\nsteps:\n  - http: { url: \"http://wbe/\" }\n    expect: status == 200\n",
        )],
        &["`wbe`", "did you mean `web`?", "scenarios/a.yaml:3"],
    );
}

#[test]
fn empty_expectations() {
    check(
        &[(
            SCENARIO,
            "scenario: a\nsteps:\n  - http: { url: \"http://web/\" }\n    expect: []\n",
        )],
        &["scenarios/a.yaml:4"],
    );
}

#[test]
fn a_key_twice() {
    check(
        &[(
            "compose.yaml",
            "services:\n  web:\n    image: a:1\n    image: b:1\n",
        )],
        &["the key `image` stands here twice", "compose.yaml:4:5"],
    );
}

#[test]
fn invalid_utf8_in_any_file() {
    for name in ["mirror.yaml", "x.env", SCENARIO] {
        let project = Project::with(&[(
            "mirror.yaml",
            "production: [compose.yaml]\nenv_files: [x.env]\n",
        )]);
        project.write("x.env", b"A=1\n");
        project.write(name, b"# \n\xff\xfe\n");
        let place = format!("{name}:2");
        project.run(&["check"]).is(2, &[&place, "UTF-8"]);
    }
}

#[test]
fn invalid_utf8() {
    let project = Project::with(&[]);
    project.write("compose.yaml", b"services:\n  web:\n    image: \xff\xfe\n");
    project.run(&["check"]).is(2, &["compose.yaml", "UTF-8"]);
}

#[test]
fn enormous_and_deeply_nested_yaml() {
    let deep = format!(
        "x-a: {}{}\nservices: {{}}\n",
        "[".repeat(4000),
        "]".repeat(4000)
    );
    Project::with(&[("compose.yaml", &deep)])
        .run(&["check"])
        .is(2, &["compose.yaml"]);
    let mut bomb = String::from("x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("x-{i}: &a{i} [{items}]\n"));
    }
    bomb.push_str("services:\n  web: { image: a:1 }\n");
    Project::with(&[("compose.yaml", &bomb)])
        .run(&["check"])
        .is(2, &["compose.yaml", "alias"]);
    let wide = format!(
        "services:\n  web:\n    image: a:1\n# {}\n",
        "x".repeat(33 * 1024 * 1024)
    );
    Project::with(&[("compose.yaml", &wide)])
        .run(&["check"])
        .is(2, &["at most 33554432 are read", "mirror.yaml:2:14"]);
}

#[test]
fn a_template_that_renders_invalid_yaml() {
    let template = |block: &str| {
        let project = Project::with(&[
            (
                "mirror.yaml",
                "production: [compose.yaml]\ntemplate: stack.yaml.tera\n",
            ),
            (
                "stack.yaml.tera",
                &format!(
                    "{{% extends \"stack.yaml.tera\" %}}\n{{% block services %}}services:\n{block}{{% endblock %}}\n"
                ),
            ),
        ]);
        project.run(&["check"])
    };
    // What is refused in the rendered text, and the line of the template that opened it.
    template("  web: [\n").is(
        2,
        &[
            "the template renders invalid YAML",
            "stack.yaml (rendered):8:3",
            "a flow sequence begins here, by this line of the template",
            "stack.yaml.tera:3:3",
        ],
    );
    template("  web:\n    imgae: x\n").is(
        2,
        &[
            "unknown key `imgae`",
            "did you mean `image`?",
            "stack.yaml (rendered):6:5",
            "stack.yaml.tera:4:5",
        ],
    );
    template("  web: {{ nothere.x }}\n")
        .is(2, &["`nothere` is not defined", "stack.yaml.tera:3:11"]);
    template("  web: {{ services\n").is(2, &["stack.yaml.tera:3"]);
}

#[test]
fn ways_out_are_refused_by_name() {
    let compose = "services:\n  web:\n    image: a:1\n    privileged: true\n    network_mode: host\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]\n";
    check(
        &[("compose.yaml", compose)],
        &["privileged", "docker.sock", "allow"],
    );
}

#[test]
fn an_engine_that_is_not_there() {
    let scenario =
        "scenario: a\nsteps:\n  - http: { url: \"http://web/\" }\n    expect: status == 200\n";
    let project = Project::with(&[(SCENARIO, scenario)]);
    let said = project.run_with(&["run"], &[("DOCKER_HOST", "tcp://127.0.0.1:9")]);
    said.is(5, &["127.0.0.1:9"]);
    let said = project.run_with(&["run"], &[("DOCKER_HOST", "nonsense")]);
    assert!(
        said.code == 5 || said.code == 2,
        "{} {}",
        said.code,
        said.err
    );
}

#[test]
fn usage() {
    let project = Project::with(&[]);
    project.run(&["rum"]).is(2, &["run"]);
    let help = project.run(&["run", "--help"]).out;
    assert!(
        help.contains("5    the engine could not be reached"),
        "{help}"
    );
    project.run(&["run", "--shard", "3/2"]).is(2, &["3/2"]);
    project
        .run(&["run", "--report", "junitt=x"])
        .is(2, &["did you mean `junit`?"]);
    project
        .run(&["run", "--image", "web"])
        .is(2, &["SERVICE=IMAGE"]);
    project.run(&["run"]).is(2, &["no scenario"]);
}

#[test]
fn json_is_for_programs() {
    let project = Project::with(&[("mirror.yaml", "production: [compose.yaml]\nsecret: {}\n")]);
    let said = project.run(&["check", "--format", "json"]);
    assert_eq!(said.code, 2);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["errors"], 1);
    assert_eq!(json["problems"][0]["line"], 2);
    assert_eq!(json["problems"][0]["file"], "mirror.yaml");
}

#[test]
fn a_file_of_flags_in_no_known_format() {
    let project = Project::with(&[
        (
            "mirror.yaml",
            "production: [compose.yaml]\nflags: { file: flags.json }\n",
        ),
        ("flags.json", "{}"),
    ]);
    project.run(&["check"]).is(
        2,
        &[
            "flags.json is in no format of flags that is known",
            "flags.json:1:1",
        ],
    );
}

#[test]
fn a_secret_that_only_scenarios_use_is_no_mistake() {
    let scenario = "scenario: it\nsteps:\n  - print: \"{{ secrets.TOKEN }}\"\n";
    let project = Project::with(&[
        (
            "mirror.yaml",
            "production: [compose.yaml]\nsecrets: { TOKEN: { stub: a-stand-in-token }, OTHER: { stub: another-stand-in } }\n",
        ),
        ("scenarios/a.yaml", scenario),
    ]);
    let said = project.run(&["check"]);
    said.is(0, &["production asks for no secret `OTHER`"]);
    assert!(!said.err.contains("`TOKEN`"), "{}", said.err);
}
