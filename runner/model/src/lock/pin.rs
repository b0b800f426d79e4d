//! Putting the pins into a plan.

use serde_json::Value as Json;

use super::{Lock, Pin, Platform};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::Sourced;
use crate::plan::{ContainerPlan, Plan};

impl Lock {
    /// Makes every container of a plan run the image that is locked for its reference, whatever
    /// the reference stands for at present. References that are not in the lock stay. `engine`
    /// is the platform that is run where the spec names none.
    ///
    /// # Errors
    /// [`ProblemKind::Drift`] for images that are locked for other platforms than the one
    /// that is needed.
    pub fn pin(&self, plan: &mut Plan, engine: &Platform) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let mut records = Vec::new();
        for container in &mut plan.containers {
            for source in image_mounts(&mut container.body) {
                if let Some((name, pin)) = self.images.get_key_value(source.as_str()) {
                    *source = pin.reference(name);
                }
            }
            let Some((name, pin)) = self.images.get_key_value(&container.image) else {
                continue;
            };
            match platform(name, pin, container, engine) {
                Ok(record) if container.replica == 1 => records.extend(record),
                Ok(_) => {}
                Err(p) if problems.0.contains(&p) => {}
                Err(p) => problems.push(p),
            }
            container.image = pin.reference(name);
            if let Some(image) = container.body.get_mut("Image") {
                *image = Json::from(container.image.as_str());
            }
        }
        plan.fidelity.records.append(&mut records);
        if problems.0.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// The sources of mounts that are images.
fn image_mounts(body: &mut Json) -> Vec<&mut String> {
    let mounts = body.pointer_mut("/HostConfig/Mounts");
    let mounts = mounts.and_then(Json::as_array_mut).into_iter().flatten();
    mounts
        .filter(|m| m.get("Type").and_then(Json::as_str) == Some("image"))
        .filter_map(|m| match m.get_mut("Source") {
            Some(Json::String(source)) => Some(source),
            _ => None,
        })
        .collect()
}

/// Whether the locked image has the platform that a container needs. An image of one platform
/// runs elsewhere by emulation, if at all: that is a difference from production.
fn platform(
    name: &str,
    pin: &Sourced<Pin>,
    container: &ContainerPlan,
    engine: &Platform,
) -> Result<Option<Record>, Problem> {
    let named = container.platform.as_deref().and_then(Platform::parse);
    let wanted = named.as_ref().unwrap_or(engine);
    let have = pin.platforms();
    if have.is_empty() || have.iter().any(|p| p.serves(wanted)) {
        return Ok(None);
    }
    let have: Vec<String> = have.iter().map(ToString::to_string).collect();
    let have = have.join(", ");
    if named.is_some() || pin.is_index() {
        let asks = match named {
            Some(_) => format!("service `{}` asks for {wanted}", container.service),
            None => format!("the engine is {wanted}"),
        };
        return Err(Problem::at(
            ProblemKind::Drift,
            &pin.span,
            format!("the image {name} is locked for {have}, and {asks}"),
        )
        .help(format!(
            "build and push it for {wanted} too, then run `prodmirror lock --update {}`",
            container.service
        )));
    }
    let mut record = Record::new(
        format!("service:{}", container.service),
        "platform",
        Class::Substituted,
        Severity::High,
    );
    record.declared = have;
    record.actual = format!("emulated on {wanted}");
    record.reason = "the image is not built for the engine's platform".to_owned();
    record.raise = "use an engine of the image's platform, or build the image for both".to_owned();
    record.rule = "platform".to_owned();
    Ok(Some(record))
}
