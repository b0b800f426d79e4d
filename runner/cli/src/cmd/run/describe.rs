//! What the parts of a container's body are called.

use serde_json::Value;

/// The parts of a container's body that are told apart, by name: variables one by one, and the
/// fields of `HostConfig`.
pub fn facts_of_body(body: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (field, value) in body.as_object().into_iter().flatten() {
        match (field.as_str(), value) {
            ("HostConfig", Value::Object(host)) => {
                all.extend(host.iter().map(|(f, v)| (fact_of(f), v.to_string())));
            }
            ("Env", Value::Array(list)) => {
                let texts = list.iter().filter_map(Value::as_str);
                all.extend(texts.map(|text| {
                    let name = text.split('=').next().unwrap_or_default();
                    (format!("env {name}"), text.to_owned())
                }));
            }
            _ => all.push((fact_of(field), value.to_string())),
        }
    }
    all
}

/// What a field of the engine's, or of a plan, is called.
pub fn fact_of(field: &str) -> String {
    match field {
        "Cmd" => "command".into(),
        "Healthcheck" => "health check".into(),
        "NetworkingConfig" => "networks".into(),
        "Binds" | "Mounts" => "volumes".into(),
        "care" => "probes".into(),
        "ExposedPorts" | "PortBindings" => "ports".into(),
        _ => in_words(field),
    }
}

/// `StopTimeout` and `stop_grace` as words.
fn in_words(field: &str) -> String {
    let mut words = String::new();
    let mut before_is_lower = false;
    for c in field.chars() {
        if c == '_' {
            words.push(' ');
        } else {
            if c.is_uppercase() && before_is_lower {
                words.push(' ');
            }
            words.extend(c.to_lowercase());
        }
        before_is_lower = c.is_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_called_by_words() {
        let of = [
            ("Cmd", "command"),
            ("ExposedPorts", "ports"),
            ("CapAdd", "cap add"),
            ("NanoCPUs", "nano cpus"),
            ("depends_on", "depends on"),
        ];
        for (field, words) in of {
            assert_eq!(fact_of(field), words);
        }
    }
}
