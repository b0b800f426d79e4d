use serde_json::Value as Json;

use super::*;
use crate::diag::ProblemKind;
use crate::source::SourceFile;
use crate::yaml::{ViaKind, parse_one};

const EVERYTHING: &str = include_str!("../../tests/fixtures/compose/everything.json");

fn read(text: &str) -> Result<Mirror, Problems> {
    Mirror::from_compose(&parse_one(&SourceFile::new("c.yaml", text)).unwrap())
}

#[test]
fn every_key_goes_both_ways() {
    let mirror = read(EVERYTHING).unwrap();
    assert_eq!(mirror.unmapped, []);
    let wanted: Json = serde_json::from_str(EVERYTHING).unwrap();
    assert_eq!(mirror.to_compose(), wanted);
    let again = Node::from_json(&mirror.to_compose(), &Span::generated());
    assert_eq!(Mirror::from_compose(&again).unwrap().to_compose(), wanted);
}

#[test]
fn every_value_keeps_its_place() {
    let mirror = read(
        "name: t\nservices:\n  web:\n    image: web:1\n    environment: {A: '1'}\n    \
         depends_on: {db: {required: true}}\n    networks: {front: null}\n  db: {}\n",
    )
    .unwrap();
    let web = &mirror.services["web"];
    let place = |span: &Span| span.to_string();
    assert_eq!(place(&web.name.span), "c.yaml:3:3");
    assert_eq!(
        place(&web.image.reference.as_ref().unwrap().span),
        "c.yaml:4:12"
    );
    assert_eq!(place(&web.env[0].name.span), "c.yaml:5:19");
    assert_eq!(
        place(&web.env[0].value.as_ref().unwrap().span),
        "c.yaml:5:22"
    );
    assert_eq!(place(&web.depends_on[0].service.span), "c.yaml:6:18");
    let front = &web.network.attachments["front"];
    assert_eq!(place(&front.declared.span), "c.yaml:7:16");
    assert_eq!(mirror.inputs.len(), 1);
    assert_eq!(mirror.inputs[0].sha256.len(), 64);
}

#[test]
fn how_a_value_came_is_kept() {
    let mut node = parse_one(&SourceFile::new(
        "c.yaml",
        "name: t\nservices: {a: {image: i}}",
    ))
    .unwrap();
    let image = node.as_map_mut().unwrap().get_mut("services").unwrap();
    let image = image.as_map_mut().unwrap().get_mut("a").unwrap();
    let image = image.as_map_mut().unwrap().get_mut("image").unwrap();
    let file = SourceFile::new("base.yaml", "image: i");
    image.add_via(ViaKind::Extends, Span::in_line(&file, 1, 1, 5));
    let mirror = Mirror::from_compose(&node).unwrap();
    let via = mirror.services["a"]
        .image
        .reference
        .as_ref()
        .unwrap()
        .via
        .clone();
    assert_eq!(via.unwrap().what, ViaKind::Extends);
    assert_eq!(mirror.inputs.len(), 2);
}

#[test]
fn wrong_values_are_all_told_with_their_places() {
    let problems = read(
        "name: t\nservices:\n  a:\n    ports: [{target: 99999}, 7]\n    tty: maybe\n    \
         mem_limit: lots\n    healthcheck: {interval: soon}\n    volumes: [{type: floppy}]\n    \
         configs: [{mode: '9'}]\n    depends_on: [b]\n",
    )
    .unwrap_err();
    let told: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "c.yaml:9:22: services.a.configs.0.mode: permission bits are octal, such as 0440",
            "c.yaml:7:29: services.a.healthcheck.interval: \"soon\" is not a duration such as 1m30s",
            "c.yaml:10:17: services.a.depends_on: expected a mapping, found a list",
            "c.yaml:5:10: services.a.tty: expected true or false, found a string",
            "c.yaml:4:22: services.a.ports.0.target: 99999 is not between 0 and 65535",
            "c.yaml:4:30: services.a.ports.1: expected a mapping, found an integer",
            "c.yaml:8:22: services.a.volumes.0.type: \"floppy\" is no kind of mount (volume, bind, \
             tmpfs, image, npipe, cluster)",
            "c.yaml:6:16: services.a.mem_limit: \"lots\" is not a number of bytes",
        ]
    );
    assert!(
        problems
            .0
            .iter()
            .any(|p| p.kind == ProblemKind::InvalidValue)
    );
}

#[test]
fn what_the_model_does_not_know_is_kept_aside() {
    let mirror = read(
        "name: t\nx-a: 1\nfoo: 2\nservices:\n  a: {x-b: 3, nonsense: 4, healthcheck: {x-c: 5}}\n",
    )
    .unwrap();
    let left: Vec<_> = mirror
        .unmapped
        .iter()
        .map(|u| (u.path.join("."), u.span.to_string(), u.is_extension()))
        .collect();
    assert_eq!(
        left,
        [
            (
                "services.a.healthcheck.x-c".into(),
                "c.yaml:5:42".into(),
                true
            ),
            ("services.a.nonsense".into(), "c.yaml:5:15".into(), false),
            ("foo".to_owned(), "c.yaml:3:1".to_owned(), false),
        ]
    );
    assert_eq!(mirror.extensions.len(), 1);
    assert_eq!(mirror.services["a"].extensions.len(), 1);
}

#[test]
fn a_secret_value_is_not_shown() {
    let mut var = EnvVar {
        name: Sourced::generated("A".into()),
        value: Some(Sourced::generated("hidden".into())),
        sensitive: true,
    };
    assert_eq!(format!("{var:?}"), "A=***");
    var.value = None;
    assert_eq!(format!("{var:?}"), "-A");
}
