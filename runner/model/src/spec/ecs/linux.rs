//! `linuxParameters`, and what else a container's confinement consists of.

use super::compose::Part;
use super::limits;
use super::notes::Notes;
use super::object::Object;
use crate::fidelity::Severity;
use crate::yaml::{Mapping, Node};

/// Writes what stands in `linuxParameters`.
pub(super) fn translate(
    container: &mut Object<'_>,
    service: &mut Part,
    fargate: bool,
    notes: &mut Notes,
) {
    let Some(mut linux) = container.object("linuxParameters", notes) else {
        return;
    };
    if let Some(mut capabilities) = linux.object("capabilities", notes) {
        service.texts("cap_add", capabilities.texts("add", notes));
        service.texts("cap_drop", capabilities.texts("drop", notes));
        capabilities.finish(notes);
    }
    service.flag("init", linux.flag("initProcessEnabled", notes));
    if let Some(size) = linux
        .count("sharedMemorySize", notes)
        .filter(|n| n.value > 0)
    {
        let bytes = size.value.saturating_mul(1024 * 1024);
        service.set("shm_size", Node::int(bytes, size.span));
    }
    devices(&mut linux, service, notes);
    tmpfs(&mut linux, service, notes);
    limits::swap(&mut linux, service, fargate, notes);
    linux.finish(notes);
}

fn devices(linux: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    let mut devices = Vec::new();
    for mut device in linux.objects("devices", notes) {
        let source = device.word("hostPath", notes);
        let target = device.word("containerPath", notes);
        let permissions = device.texts("permissions", notes);
        let span = device.span.clone();
        device.finish(notes);
        let Some(source) = source else {
            notes.invalid(&span, "a device has a `hostPath`");
            continue;
        };
        let letters: String = permissions
            .iter()
            .filter_map(|p| match p.as_str() {
                "read" => Some('r'),
                "write" => Some('w'),
                "mknod" => Some('m'),
                _ => {
                    notes.invalid(&p.span, "a permission is read, write or mknod");
                    None
                }
            })
            .collect();
        let letters = if letters.is_empty() {
            "rwm".to_owned()
        } else {
            letters
        };
        let target = target.map_or_else(|| source.value.clone(), |t| t.value);
        devices.push(Node::str(
            format!("{}:{target}:{letters}", source.as_str()),
            span,
        ));
    }
    service.list("devices", devices);
}

fn tmpfs(linux: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    let mut mounts = Vec::new();
    for mut tmpfs in linux.objects("tmpfs", notes) {
        let target = tmpfs.word("containerPath", notes);
        let size = tmpfs.count("size", notes);
        let options = tmpfs.texts("mountOptions", notes);
        let span = tmpfs.span.clone();
        tmpfs.finish(notes);
        let Some(target) = target else {
            notes.invalid(&span, "a tmpfs has a `containerPath`");
            continue;
        };
        let size = size
            .filter(|n| n.value > 0)
            .map(|n| format!("size={}m", n.value));
        let options: Vec<String> = size
            .into_iter()
            .chain(options.into_iter().map(|o| o.value))
            .collect();
        let text = if options.is_empty() {
            target.value
        } else {
            format!("{}:{}", target.as_str(), options.join(","))
        };
        mounts.push(Node::str(text, span));
    }
    service.list("tmpfs", mounts);
}

/// Kernel parameters: those of the network, and the others.
pub(super) fn sysctls(container: &mut Object<'_>, notes: &mut Notes) -> (Mapping, Mapping) {
    let (mut net, mut other) = (Mapping::default(), Mapping::default());
    for mut control in container.objects("systemControls", notes) {
        let name = control.word("namespace", notes);
        let value = control.text("value", notes);
        let span = control.span.clone();
        control.finish(notes);
        let (Some(name), Some(value)) = (name, value) else {
            notes.invalid(&span, "a system control has a `namespace` and a `value`");
            continue;
        };
        let part = if name.starts_with("net.") {
            &mut net
        } else {
            &mut other
        };
        part.insert(name.value, Node::str(value.value, value.span));
    }
    (net, other)
}

/// Graphics processors and other accelerators.
pub(super) fn resources(container: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    for mut resource in container.objects("resourceRequirements", notes) {
        let kind = resource.word("type", notes);
        let value = resource.word("value", notes);
        let span = resource.span.clone();
        resource.finish(notes);
        let count = value.as_ref().and_then(|v| v.parse::<i64>().ok());
        match (kind.as_ref().map(|k| k.as_str()), count) {
            (Some("GPU"), Some(count)) => {
                let mut gpus = Part::default();
                gpus.set("count", Node::int(count, span.clone()));
                gpus.list("capabilities", vec![Node::str("gpu", span.clone())]);
                service.list("gpus", vec![gpus.node(&span)]);
            }
            (Some("GPU"), None) => {
                notes.invalid(&span, "a GPU requirement has a number as its value")
            }
            _ => {
                let node = Node::str(kind.map_or_else(String::new, |k| k.value), span);
                let reason = "no engine has these accelerators";
                notes.dropped(Severity::High, "resourceRequirements", &node, reason);
            }
        }
    }
}
