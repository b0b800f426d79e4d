//! Trust between services and the stubs that answer them under TLS.
//!
//! A run has a certificate authority of its own. Stubs get certificates of it, services its
//! certificate and the environment variables by which libraries find it. Since nothing else
//! can be reached, it is the only authority that they need.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_agent::wire::StubConfig;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::fidelity::{Class, Record, Severity};
use prodmirror_model::plan::{ContainerPlan, FileContent, FilePlan, Plan};
use prodmirror_model::secret::Secret;
use prodmirror_model::stack::StubSpec;

use super::RunCa;

/// Where services find the authority's certificate.
pub const CA_PATH: &str = "/run/prodmirror/ca.pem";

/// Variables by which OpenSSL, Python's requests, Node.js, curl and the AWS tools find it.
const VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
];

/// Gives stubs their certificates and services the authority. Returns the authority's
/// certificate (DER) for steps; none when no stub speaks TLS.
///
/// # Errors
/// A stub whose configuration cannot be understood, or a certificate that cannot be made.
pub fn trust(
    plan: &mut Plan,
    stubs: &BTreeMap<String, StubSpec>,
    ca: &RunCa,
) -> Result<Option<Vec<u8>>, Problem> {
    let speaking: Vec<_> = stubs.iter().filter(|(_, s)| !s.tls.is_empty()).collect();
    if speaking.is_empty() {
        return Ok(None);
    }
    for (service, spec) in &speaking {
        // Processes beside the tool reach it by an address of the loopback network.
        let mut names = vec![spec.host.clone()];
        let loopbacks = plan.loopbacks_of(service);
        names.extend(loopbacks.iter().map(ToString::to_string));
        for c in plan
            .containers
            .iter_mut()
            .filter(|c| c.service == **service)
        {
            certify(c, spec, &names, ca)?;
        }
    }
    for c in plan.containers.iter_mut().filter(|c| !c.is_agent()) {
        introduce(c, ca);
    }
    let mut record = Record::new(
        "stack",
        "trusted authorities",
        Class::Substituted,
        Severity::Low,
    );
    record.declared = "those of each image".into();
    record.actual = format!("the run's own, by {}", VARIABLES.join(", "));
    record.reason = "stubs answer under external names with certificates of the run".into();
    record.rule = "trust".into();
    plan.fidelity.records.push(record);
    der(ca.pem()).map(Some)
}

/// Puts certificates into a stub's configuration file.
fn certify(
    container: &mut ContainerPlan,
    spec: &StubSpec,
    names: &[String],
    ca: &RunCa,
) -> Result<(), Problem> {
    let unfit = |why: String| {
        let what = format!(
            "the configuration of the stub for {} is not usable: {why}",
            spec.host
        );
        Problem::new(ProblemKind::InvalidValue, what)
    };
    for file in &mut container.files {
        let FileContent::Text(text) = &file.content else {
            continue;
        };
        let mut config: StubConfig =
            serde_json::from_str(text).map_err(|e| unfit(e.to_string()))?;
        for listen in config
            .listen
            .iter_mut()
            .filter(|l| spec.tls.contains(&l.port))
        {
            listen.tls = Some(ca.issue(names)?);
        }
        let text = serde_json::to_string(&config).map_err(|e| unfit(e.to_string()))?;
        file.content = FileContent::Secret(Secret::new(text));
    }
    Ok(())
}

/// Lets a service trust the authority, unless its spec already says whom it trusts.
fn introduce(container: &mut ContainerPlan, ca: &RunCa) {
    let Some(body) = container.body.as_object_mut() else {
        return;
    };
    let env = body
        .entry("Env")
        .or_insert_with(|| serde_json::Value::Array(Vec::new()));
    if env.is_null() {
        *env = serde_json::Value::Array(Vec::new());
    }
    let Some(env) = env.as_array_mut() else {
        return;
    };
    let mut used = false;
    for name in VARIABLES {
        let said = env
            .iter()
            .filter_map(|v| v.as_str())
            .any(|v| v.split_once('=').map_or(v, |(n, _)| n) == name);
        if !said {
            env.push(format!("{name}={CA_PATH}").into());
            used = true;
        }
    }
    if used {
        container.files.push(FilePlan {
            target: CA_PATH.into(),
            content: FileContent::Text(ca.pem().to_owned()),
            mode: Some(0o444),
            uid: 0,
            gid: 0,
            read_only: true,
        });
    }
}

fn der(pem: &str) -> Result<Vec<u8>, Problem> {
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    STANDARD.decode(body).map_err(|e| {
        Problem::new(
            ProblemKind::Start,
            format!("the run's certificate is damaged: {e}"),
        )
    })
}
