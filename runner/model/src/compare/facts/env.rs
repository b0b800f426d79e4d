//! Environment variables.

use crate::compare::fact::{Case, Value};
use crate::mirror::EnvVar;
use crate::policy::externals::{hosts_in, is_host_key};
use crate::stack::secret_ref::{holds_secret, names};

/// Each variable; secrets only as what they are.
pub(super) fn facts(case: &mut Case<'_>) {
    for var in &case.service.env {
        // The time zone is an aspect of its own.
        if matches!(var.name.as_str(), "TZ" | "PGTZ") {
            continue;
        }
        let field = format!("environment.{}", var.name.value);
        match &var.value {
            None => case.put(
                field,
                "(taken out of the image's environment)",
                &var.name.span,
            ),
            Some(value) if value.is_empty() => case.put(field, "(empty)", &value.span),
            Some(value) if var.sensitive || holds_secret(value) => {
                case.add(field, secret(var, value), &value.span);
            }
            Some(value) => case.put(field, value.value.clone(), &value.span),
        }
    }
}

fn secret(var: &EnvVar, value: &str) -> Value {
    let mut declared: Vec<&str> = names(value).collect();
    declared.dedup();
    let kind = if declared.is_empty() {
        "*** (a secret, in plain text)".to_owned()
    } else {
        format!("*** (a secret, from {})", declared.join(", "))
    };
    let hosts = hosts_in(value, is_host_key(&var.name) && value.contains("://"));
    Value::Secret {
        text: value.to_owned(),
        kind,
        hosts: hosts
            .into_iter()
            .map(|(host, port)| port.map_or(host.clone(), |p| format!("{host}:{p}")))
            .collect(),
    }
}
