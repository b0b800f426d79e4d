//! The stack: the mirror as a Compose file that is safe by itself.
//!
//! [`render`] runs the project's Tera template (or the built-in one) over the mirror;
//! [`read`] reads the text back with the reader that reads production. What was rendered is
//! what is run: nothing goes around the text.

pub mod assemble;
pub mod encode;
pub mod extension;
pub mod scan;
pub mod secret_ref;
mod secrets;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

pub use assemble::Assembled;
pub use extension::{DataSpec, Extension, StubSpec};
pub use secrets::Variable;

use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Mirror, MountKind, Service};
use crate::project::{Project, ProjectPath};
use crate::secret::Secret;
use crate::spec::compose::{self, TextRequest};

/// What is rendered.
#[derive(Debug)]
pub struct RenderRequest<'r> {
    /// The mirror after the policy.
    pub mirror: &'r Mirror,
    /// Its extension.
    pub extension: &'r Extension,
    /// The project.
    pub project: &'r Project,
    /// The project's template; absent = the built-in one.
    pub template: Option<&'r ProjectPath>,
    /// Values that the template finds as `vars`.
    pub vars: &'r Map<String, Json>,
}

/// A rendered stack.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The text, and where its lines came from.
    pub text: Assembled,
    /// The variables that it asks for, each with where its value comes from.
    pub variables: BTreeMap<String, Variable>,
    /// What the built-in template makes of it must be read back as this: the mirror with
    /// references in the place of secrets.
    pub mirror: Mirror,
}

impl Rendered {
    /// The text of the stack.
    pub fn as_str(&self) -> &str {
        &self.text.file.text
    }
}

/// Renders a mirror to the text of a stack.
///
/// # Errors
/// Problems of the template, each with its place, and text that is not YAML, with the
/// rendered line and the line of the template.
pub fn render(request: &RenderRequest<'_>) -> Result<Rendered, Problems> {
    let mut mirror = request.mirror.clone();
    let variables = secrets::take_out(&mut mirror, request.project);
    let mut safe = mirror.clone();
    for (name, service) in &mut safe.services {
        protect_binds(service, request.extension.host_binds.get(name));
    }
    for (key, variable) in &request.extension.secret_files {
        if let Some(object) = safe.secrets.get_mut(key) {
            let path = secret_ref::token(&format!("{variable}{}", encode::FILE_SUFFIX));
            object.environment = None;
            object.file = Some(path.into());
        }
    }
    let context = context(&safe, request);
    let text = assemble::assemble(&template::run(request.template, &context)?)?;
    Ok(Rendered {
        text,
        variables,
        mirror,
    })
}

/// Plain Compose mounts a bind as it is: it may neither write it nor make its directory.
fn protect_binds(service: &mut Service, real: Option<&Vec<String>>) {
    for m in &mut service.mounts.list {
        let target = m.target.as_ref().map_or("", |t| t.as_str());
        if m.kind.value != MountKind::Bind || real.is_some_and(|r| r.iter().any(|t| t == target)) {
            continue;
        }
        m.value.read_only = Some(m.with(true));
    }
}

/// What templates see.
fn context(mirror: &Mirror, request: &RenderRequest<'_>) -> Json {
    let mut compose = mirror.to_compose();
    let mut section = |key: &str| match compose.get_mut(key) {
        Some(v) => v.take(),
        None => json!({}),
    };
    let services: Vec<Json> = match section("services") {
        Json::Object(map) => map
            .into_iter()
            .map(|(name, config)| json!({"name": name, "config": concise(config)}))
            .collect(),
        _ => Vec::new(),
    };
    json!({
        "name": mirror.name.value,
        "project": request.extension.project,
        "services": services,
        "networks": networks(section("networks"), &mirror.name),
        "volumes": section("volumes"),
        "configs": section("configs"),
        "secrets": section("secrets"),
        "models": section("models"),
        "extension": serde_json::to_value(request.extension).unwrap_or_default(),
        "vars": request.vars,
    })
}

/// A service without what every reader of Compose adds by itself.
fn concise(mut config: Json) -> Json {
    if let Some(map) = config.as_object_mut() {
        map.retain(|k, v| !(v.is_null() && matches!(k.as_str(), "entrypoint" | "command")));
        if let Some(deploy) = map.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.retain(|k, v| k != "placement" || *v != json!({}));
        }
    }
    config
}

/// The networks, with a closed default one: a service that a template adds without networks
/// gets that. (A network that nobody uses is not made.)
fn networks(mut networks: Json, stack: &str) -> Json {
    let Some(all) = networks.as_object_mut() else {
        return networks;
    };
    for network in all.values_mut().filter_map(Json::as_object_mut) {
        network.retain(|k, v| k != "ipam" || *v != json!({}));
    }
    if !all.contains_key("default") {
        let name = format!("{stack}_default");
        all.insert(
            "default".to_owned(),
            json!({"name": name, "internal": true}),
        );
    }
    networks
}

/// Reads a rendered stack back, with these values for its variables.
///
/// # Errors
/// Everything that is wrong with the text; each place in it has the line of the template
/// that made it beside it.
pub fn read(
    text: &Assembled,
    project: &Project,
    values: &BTreeMap<String, Secret>,
) -> Result<Mirror, Problems> {
    let explained =
        |problems: Problems| Problems(problems.0.into_iter().map(|p| text.explain(p)).collect());
    let request = TextRequest {
        name: text.file.name.clone(),
        text: text.file.text.clone(),
        dir: project.root.clone(),
        files: BTreeMap::<PathBuf, Vec<u8>>::new(),
        shell: shell(values),
        profiles: Vec::new(),
        services: Vec::new(),
        project_name: None,
    };
    let loaded = compose::load_text(&request).map_err(explained)?;
    let mut mirror = Mirror::from_compose(&loaded.root).map_err(explained)?;
    let extension = Extension::of(&mirror).map_err(|p| text.explain(p))?;
    restore(&mut mirror, &extension, values, text)?;
    Ok(mirror)
}

/// The variables of a stack; those for files that only plain Compose reads get a path that is
/// not used.
fn shell(values: &BTreeMap<String, Secret>) -> BTreeMap<String, String> {
    let file = |name: &String| {
        (
            format!("{name}{}", encode::FILE_SUFFIX),
            "/unused".to_owned(),
        )
    };
    let mut shell: BTreeMap<String, String> = values.keys().map(file).collect();
    shell.extend(
        values
            .iter()
            .map(|(k, v)| (k.clone(), v.expose().to_owned())),
    );
    shell
}

/// Undoes what [`render`] did for plain Compose, and marks secrets.
fn restore(
    mirror: &mut Mirror,
    extension: &Extension,
    values: &BTreeMap<String, Secret>,
    text: &Assembled,
) -> Result<(), Problems> {
    for (name, service) in &mut mirror.services {
        crate::policy::normalise(service);
        let writable = extension.writable_copies.get(name);
        for m in &mut service.mounts.list {
            if m.kind.value != MountKind::Bind {
                continue;
            }
            let target = m.target.as_ref().map_or("", |t| t.as_str());
            if writable.is_some_and(|w| w.iter().any(|t| t == target)) {
                m.value.read_only = None;
            }
        }
        let secret = extension.sensitive.get(name);
        for var in &mut service.env {
            var.sensitive = secret.is_some_and(|s| s.contains(&var.name.value))
                || crate::policy::sensitive::is_sensitive(var);
        }
    }
    for (key, variable) in &extension.secret_files {
        if let Some(object) = mirror.secrets.get_mut(key) {
            object.file = None;
            object.environment = Some(object.declared.with(variable.clone()));
        }
    }
    let mut problems = Problems::default();
    let objects = mirror
        .secrets
        .iter_mut()
        .chain(mirror.config_files.iter_mut());
    for (name, object) in objects {
        let Some(variable) = &object.environment else {
            continue;
        };
        match values.get(variable.as_str()) {
            Some(value) => object.given = Some(value.clone()),
            None => problems.push(text.explain(Problem::at(
                ProblemKind::RequiredVariable,
                &variable.span,
                format!(
                    "`{name}` takes its value from {}, which has none",
                    variable.value
                ),
            ))),
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(())
}
