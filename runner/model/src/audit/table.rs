//! Every rule of the audit.

use super::rules::{
    credentials, development, files, hidden, image, loopback, names, placeholder, ports, reading,
    runtime, time,
};
use super::{Found, Look};
use crate::fidelity::Severity;

/// A rule: what it finds, why that fails, and what to do.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, as `mirror.yaml` and reports call it.
    pub id: &'static str,
    /// How bad its findings are, unless one says otherwise.
    pub severity: Severity,
    /// What it finds, in a line.
    pub what: &'static str,
    /// Why that fails in production.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Finds it.
    pub find: fn(&Look<'_>, &mut Found),
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! rules {
    ($($id:literal $severity:ident $find:path: $what:literal; $why:literal; $fix:literal;)*) => {
        &[$(Rule {
            id: $id,
            severity: Severity::$severity,
            what: $what,
            why: $why,
            fix: $fix,
            find: $find,
        }),*]
    };
}

/// The rules, in the order in which they are run.
pub static RULES: &[Rule] = rules! {
    "required-variable" Blocker reading::required:
        "a variable that production's files require has no value";
        "the deployment is refused, or its files cannot be read at all";
        "set it in a file of `env_files`, declare it under `secrets`, or pass it by `env.pass`";
    "unset-variable" High reading::unset:
        "a variable that production's files use is not set anywhere";
        "the empty string takes its place, and nobody notices until the value is needed";
        "set it, or write a default (`${NAME:-…}`) or `${NAME:?why}`";
    "blank-value" Low reading::blank:
        "a variable, secret or config has an empty value";
        "programs take an empty value for a given one, and fail at its first use";
        "give it a value, or leave it out";
    "deprecated-field" Low reading::deprecated:
        "a field that has no effect any more, or soon has none";
        "what it asks for is not what happens";
        "remove it, or write its successor";
    "placeholder" High placeholder::find:
        "a value that was meant to be replaced";
        "production starts with a value that means nothing to anybody";
        "give it its value";
    "default-credential" High credentials::default:
        "a password that everybody guesses, or a switch that lets everybody in";
        "whoever reaches the service has it";
        "set a password of its own, from a secret";
    "plaintext-secret" High credentials::plaintext:
        "a secret that stands in the repository";
        "everybody who reads the repository, an image layer or `inspect` has it, and it cannot be changed without a release";
        "keep it in a secret (`secrets:`), or in a variable that only the deployment sets";
    "loopback-address" High loopback::call:
        "a value that calls localhost";
        "in production it is this very container: what answered on the developer's machine is not there";
        "name the service that answers";
    "loopback-listen" Medium loopback::listen:
        "a service that listens on loopback only";
        "no other container can reach it";
        "listen on 0.0.0.0, or on `::`";
    "development-default" High development::find:
        "a switch that belongs on a developer's machine";
        "it shows internals to strangers, turns caches off, or reloads what does not change";
        "set production's value";
    "floating-tag" High image::floating:
        "an image whose tag moves";
        "two starts of the same spec run different programs";
        "name a whole version, or a digest";
    "platform-mismatch" High image::platform:
        "an image for another platform than the hosts have";
        "it does not start, or is emulated many times slower";
        "build it for the platform of the hosts";
    "missing-user" High image::user:
        "an image does not know the user that it is to run as";
        "it does not start: there is no such user";
        "write the user's number, or make the user in the image";
    "missing-file" High files::missing:
        "a file that the spec names and that is not there";
        "it is missing in production too; the engine puts an empty directory in its place";
        "add it to the repository, or take it from an image, a config or a secret";
    "untracked-file" High files::untracked:
        "a file that only exists on this machine";
        "the repository does not keep it, so production does not get it";
        "add it to the repository, or take it from an image, a config or a secret";
    "laptop-path" High files::laptop:
        "a path of somebody's own machine";
        "production's hosts do not have it; the engine puts an empty directory in its place";
        "use a path of the project, a volume, a config or a secret";
    "host-path" Info files::host:
        "a path of the host";
        "every host that may run the service must have it, with the same content";
        "make sure that it is made with the host, or use a volume";
    "port-mismatch" High ports::called:
        "a value names a port that the service does not listen on";
        "connections are refused";
        "name the port that it listens on";
    "published-port" Medium ports::published:
        "a published port that nothing in the container listens on";
        "connections from outside are refused";
        "publish the port that it listens on";
    "hidden-dependency" High hidden::find:
        "a host that a value names and no spec describes";
        "it must be there, reachable and of the right version, and no test knows it";
        "describe it in the spec, or declare it under `egress` in mirror.yaml";
    "no-memory-limit" Medium runtime::memory:
        "a service without a memory limit";
        "one leak takes the memory of everything on the host";
        "set `deploy.resources.limits.memory`";
    "no-cpu-limit" Low runtime::cpu:
        "a service without a limit of processor time";
        "under load it takes the time of everything on the host";
        "set `deploy.resources.limits.cpus`";
    "no-health-check" Low runtime::health:
        "a service without a health check";
        "what depends on it starts too early, and nothing replaces it when it hangs";
        "add a `healthcheck`, unless its image brings one";
    "undeclared-writes" Info runtime::writes:
        "a read-only or non-root service that names no path to write to";
        "its first write fails: a log, an upload, a cache, a pid file";
        "mount a volume or tmpfs at each path that it writes to";
    "unusual-name" Low names::find:
        "a name that is not valid in DNS";
        "Kubernetes refuses it, and some libraries refuse URLs with it";
        "use lower-case letters, digits and `-`";
    "time-zone" Low time::zones:
        "services that are not told the same time zone";
        "the same moment is another day in the one than in the other: reports, due dates and logs disagree";
        "set the same TZ for all services, best UTC";
    "locale" Low time::locales:
        "services that are not told the same locale";
        "text is sorted, compared and encoded differently";
        "set the same LANG for all services, best C.UTF-8";
};
