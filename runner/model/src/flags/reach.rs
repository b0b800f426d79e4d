//! Which services of production read the flags.

use std::path::Path;

use super::{Flag, FlagSet, Origin};
use crate::mirror::{Mirror, MountKind, Service};

/// Says of each flag which services read it. Those whose flags are variables know already.
pub(super) fn find(set: &mut FlagSet, production: &Mirror, root: &Path) {
    let Origin::File { path, .. } = &set.origin else {
        return;
    };
    let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_owned());
    let file = real(path);
    let services = production.services.values();
    let readers: Vec<String> = services
        .filter(|s| set.is_for(&s.name.value))
        .filter(|s| {
            let is_it = |written: &str| real(&root.join(written)) == file;
            let holds = |written: &str| file.starts_with(real(&root.join(written)));
            reads(
                s,
                production,
                (&is_it, &holds, &|text: &str| set.is_said_by(text)),
            )
        })
        .map(|s| s.name.value.clone())
        .collect();
    let each = |flag: &mut Flag| flag.services.clone_from(&readers);
    set.flags.values_mut().for_each(each);
}

type Test<'t> = &'t dyn Fn(&str) -> bool;

fn reads(service: &Service, production: &Mirror, (is_it, holds, says): (Test, Test, Test)) -> bool {
    let config = service.config_files.iter().any(|usage| {
        let object = usage
            .source
            .as_ref()
            .and_then(|s| production.config_files.get(&s.value));
        object.is_some_and(|o| {
            o.file.as_ref().is_some_and(|f| is_it(&f.value))
                || o.content.as_ref().is_some_and(|c| says(&c.value))
                || o.given.as_ref().is_some_and(|g| says(g.expose()))
        })
    });
    let bind =
        service.mounts.list.iter().any(|m| {
            *m.kind == MountKind::Bind && m.source.as_ref().is_some_and(|s| holds(&s.value))
        });
    let variable = service.env.iter().any(|v| {
        let value = v.value.as_ref().filter(|_| !v.sensitive);
        value.is_some_and(|v| says(&v.value))
    });
    config || bind || variable
}
