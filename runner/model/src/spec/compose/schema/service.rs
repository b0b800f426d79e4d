//! The keys of a service.

use super::deploy::DEPLOY;
use super::kind::{BOOLEAN, INTEGER, NULL, NUMBER, STRING};
use super::{
    Fields, Form, GPU, List, Map, OPTION, Rule, Shape, TEXT, TEXT_OR_NUMBER, bare, boolean, closed,
    command, either, fields, grants, hosts, key, key_as, list, list_of, list_or_map, map, number,
    options, ruled, scalars, text, text_or_list, texts, ulimits, unique_texts, whole,
};

/// A service, in the order of the normal form.
pub(super) static SERVICE: Fields = closed(
    "a service",
    &[
        key("profiles", unique_texts(), Form::Texts),
        key("annotations", list_or_map(), Form::Mapping),
        key("attach", boolean(), Form::BoolOrFalse),
        key("build", map(STRING, Map::Fields(&BUILD)), Form::Fields),
        key("develop", map(NULL, Map::Fields(&DEVELOP)), Form::Fields),
        key("blkio_config", fields(&BLKIO), Form::Fields),
        key("cap_add", unique_texts(), Form::Texts),
        key("cap_drop", unique_texts(), Form::Texts),
        key("cgroup_parent", text(), Form::Text),
        key(
            "cgroup",
            ruled(STRING, Rule::OneOf(&["host", "private"])),
            Form::Text,
        ),
        key(
            "cpu_count",
            ruled(STRING | INTEGER, Rule::Between(0, i64::MAX)),
            Form::Int,
        ),
        key(
            "cpu_percent",
            ruled(STRING | INTEGER, Rule::Between(0, 100)),
            Form::Single,
        ),
        key("cpu_period", number(), Form::Int),
        key("cpu_quota", number(), Form::Int),
        key("cpu_rt_period", number(), Form::Int),
        key("cpu_rt_runtime", number(), Form::Int),
        key("cpus", number(), Form::Single),
        key("cpuset", text(), Form::Text),
        key("cpu_shares", number(), Form::Int),
        key("command", command(), Form::Command),
        key("configs", grants(), Form::List),
        key(
            "container_name",
            ruled(
                STRING,
                Rule::Fits(container_name, "at least two letters or digits"),
            ),
            Form::Text,
        ),
        key("credential_spec", fields(&CREDENTIAL_SPEC), Form::Fields),
        key(
            "depends_on",
            either(
                0,
                &TEXT,
                true,
                Map::Names {
                    value: &DEPENDENCY,
                    strict: true,
                },
            ),
            Form::Named,
        ),
        key("deploy", map(NULL, Map::Fields(&DEPLOY)), Form::Fields),
        key("device_cgroup_rules", unique_texts(), Form::Texts),
        key("devices", list_of(&DEVICE), Form::List),
        key("dns", text_or_list(), Form::Texts),
        key("dns_opt", unique_texts(), Form::Texts),
        key("dns_search", text_or_list(), Form::Texts),
        key("domainname", text(), Form::Text),
        key("entrypoint", command(), Form::Command),
        key("provider", fields(&PROVIDER), Form::Fields),
        key("environment", list_or_map(), Form::Environment),
        key("env_file", list(STRING, &ENV_FILE, false), Form::List),
        key("expose", list(0, &TEXT_OR_NUMBER, true), Form::Texts),
        key("extends", map(STRING, Map::Fields(&EXTENDS)), Form::Fields),
        key("external_links", unique_texts(), Form::Texts),
        key("extra_hosts", hosts(), Form::Hosts),
        key("group_add", list(0, &TEXT_OR_NUMBER, true), Form::Texts),
        key("gpus", gpus(), Form::List),
        key("hostname", text(), Form::Text),
        key("healthcheck", fields(&HEALTHCHECK), Form::Fields),
        key("image", text(), Form::Text),
        key("init", boolean(), Form::BoolOrFalse),
        key("ipc", text(), Form::Text),
        key("isolation", text(), Form::Text),
        key("labels", list_or_map(), Form::Mapping),
        key("label_file", list(STRING, &TEXT, false), Form::Texts),
        key("links", unique_texts(), Form::Texts),
        key("logging", fields(&LOGGING), Form::Fields),
        key("mem_limit", number(), Form::Size),
        key("mem_reservation", whole(), Form::Size),
        key("memswap_limit", number(), Form::Size),
        key("mem_swappiness", whole(), Form::Size),
        key("mac_address", text(), Form::Text),
        key(
            "models",
            either(
                0,
                &TEXT,
                true,
                Map::Names {
                    value: &MODEL,
                    strict: false,
                },
            ),
            Form::Named,
        ),
        key("network_mode", text(), Form::Text),
        key(
            "networks",
            either(
                0,
                &TEXT,
                true,
                Map::Names {
                    value: &NETWORK,
                    strict: true,
                },
            ),
            Form::Named,
        ),
        key("oom_kill_disable", boolean(), Form::Bool),
        key(
            "oom_score_adj",
            ruled(STRING | INTEGER, Rule::Between(-1000, 1000)),
            Form::Int,
        ),
        key("pid", scalars(STRING | NULL), Form::Text),
        key("pids_limit", number(), Form::Int),
        key("platform", text(), Form::Text),
        key("ports", list(0, &PORT, true), Form::List),
        key("privileged", boolean(), Form::Bool),
        key(
            "pull_policy",
            ruled(STRING, Rule::Fits(pull_policy, PULL_POLICIES)),
            Form::Text,
        ),
        key("pull_refresh_after", text(), Form::LeftOut),
        key("read_only", boolean(), Form::Bool),
        key("restart", text(), Form::Text),
        key("runtime", text(), Form::Text),
        key("scale", whole(), Form::IntOrZero),
        key("secrets", grants(), Form::List),
        key("security_opt", unique_texts(), Form::Texts),
        key("shm_size", number(), Form::Size),
        key("stdin_open", boolean(), Form::Bool),
        key("stop_grace_period", text(), Form::DurationOrZero),
        key("stop_signal", text(), Form::Text),
        key("storage_opt", map(0, Map::Free), Form::TextMapping),
        key("sysctls", list_or_map(), Form::Mapping),
        key("tmpfs", text_or_list(), Form::Texts),
        key("tty", boolean(), Form::Bool),
        key("ulimits", ulimits(), Form::Ulimits),
        key("use_api_socket", scalars(BOOLEAN), Form::Bool),
        key("user", text(), Form::Text),
        key("userns_mode", text(), Form::Text),
        key("uts", text(), Form::Text),
        key("volumes", list(0, &VOLUME, true), Form::List),
        key("volumes_from", unique_texts(), Form::Texts),
        key("working_dir", text(), Form::Text),
        key("post_start", list_of(&HOOK), Form::List),
        key("pre_stop", list_of(&HOOK), Form::List),
    ],
);

fn container_name(name: &str) -> bool {
    let known = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
    let pairs = name.as_bytes().windows(2);
    pairs
        .into_iter()
        .any(|w| w[0].is_ascii_alphanumeric() && known(&w[1]))
}

const PULL_POLICIES: &str =
    "always, never, build, missing, if_not_present, refresh, daily, weekly or every_<duration>";

fn pull_policy(text: &str) -> bool {
    let names = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    let every = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest.as_bytes().get(digits);
        digits > 0 && unit.is_some_and(|u| b"wdhms".contains(u))
    };
    names.iter().any(|name| text.contains(name)) || text.split("every_").skip(1).any(every)
}

const fn gpus() -> Shape {
    Shape {
        scalars: STRING,
        list: Some(List {
            item: &GPU,
            unique: false,
        }),
        map: None,
        rule: Rule::OneOf(&["all"]),
    }
}

static BUILD: Fields = closed(
    "a build",
    &[
        key("context", text(), Form::Text),
        key("dockerfile", text(), Form::Text),
        key("dockerfile_inline", text(), Form::Text),
        key("entitlements", texts(), Form::Texts),
        key("args", list_or_map(), Form::Environment),
        key("provenance", scalars(STRING | BOOLEAN), Form::Text),
        key("sbom", scalars(STRING | BOOLEAN), Form::Text),
        key("ssh", list_or_map(), Form::Ssh),
        key("labels", list_or_map(), Form::Mapping),
        key("cache_from", texts(), Form::Texts),
        key("cache_to", texts(), Form::Texts),
        key("no_cache", boolean(), Form::Bool),
        key("additional_contexts", list_or_map(), Form::Mapping),
        key("pull", boolean(), Form::Bool),
        key("extra_hosts", hosts(), Form::Hosts),
        key("isolation", text(), Form::Text),
        key("network", text(), Form::Text),
        key("target", text(), Form::Text),
        key("secrets", grants(), Form::List),
        key("shm_size", whole(), Form::Size),
        key("tags", texts(), Form::Texts),
        key("ulimits", ulimits(), Form::Ulimits),
        key("platforms", texts(), Form::Texts),
        key("privileged", boolean(), Form::Bool),
    ],
);

static DEVELOP: Fields = closed("`develop`", &[key("watch", list_of(&WATCH), Form::List)]);
static WATCH: Shape = fields(&WATCH_FIELDS);
static WATCH_FIELDS: Fields = closed(
    "a watch rule",
    &[
        key("path", text(), Form::Text),
        key(
            "action",
            ruled(
                STRING,
                Rule::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
            ),
            Form::Text,
        ),
        key("target", text(), Form::Text),
        key("exec", fields(&HOOK_FIELDS), Form::FieldsAlways),
        key("include", text_or_list(), Form::Texts),
        key("ignore", text_or_list(), Form::Texts),
        key("initial_sync", scalars(BOOLEAN), Form::Bool),
    ],
)
.requires(&["path", "action"]);

static HOOK: Shape = fields(&HOOK_FIELDS);
static HOOK_FIELDS: Fields = closed(
    "a hook",
    &[
        key("command", command(), Form::Command),
        key("user", text(), Form::Text),
        key("privileged", boolean(), Form::Bool),
        key("working_dir", text(), Form::Text),
        key("environment", list_or_map(), Form::Environment),
    ],
)
.requires(&["command"]);

static BLKIO: Fields = bare(
    "`blkio_config`",
    &[
        key("weight", whole(), Form::Strict),
        key("weight_device", list_of(&WEIGHT), Form::List),
        key("device_read_bps", list_of(&THROTTLE), Form::List),
        key("device_read_iops", list_of(&THROTTLE), Form::List),
        key("device_write_bps", list_of(&THROTTLE), Form::List),
        key("device_write_iops", list_of(&THROTTLE), Form::List),
    ],
);
static WEIGHT: Shape = fields(&WEIGHT_FIELDS);
static WEIGHT_FIELDS: Fields = bare(
    "a device's weight",
    &[
        key_as("path", "Path", text(), Form::Text),
        key_as("weight", "Weight", whole(), Form::Strict),
    ],
);
static THROTTLE: Shape = fields(&THROTTLE_FIELDS);
static THROTTLE_FIELDS: Fields = bare(
    "a device's limit",
    &[
        key_as("path", "Path", text(), Form::Text),
        key_as("rate", "Rate", whole(), Form::Size),
    ],
);

static CREDENTIAL_SPEC: Fields = closed(
    "`credential_spec`",
    &[
        key("config", text(), Form::Text),
        key("file", text(), Form::Text),
        key("registry", text(), Form::Text),
    ],
);

static DEPENDENCY: Shape = fields(&DEPENDENCY_FIELDS);
static DEPENDENCY_FIELDS: Fields = closed(
    "a dependency",
    &[
        key(
            "condition",
            ruled(
                STRING,
                Rule::OneOf(&[
                    "service_started",
                    "service_healthy",
                    "service_completed_successfully",
                ]),
            ),
            Form::Text,
        ),
        key("restart", boolean(), Form::Bool),
        key("required", scalars(BOOLEAN), Form::BoolOrFalse),
    ],
)
.requires(&["condition"]);

static DEVICE: Shape = map(STRING, Map::Fields(&DEVICE_FIELDS));
static DEVICE_FIELDS: Fields = closed(
    "a device",
    &[
        key("source", text(), Form::Text),
        key("target", text(), Form::Text),
        key("permissions", text(), Form::Text),
    ],
)
.requires(&["source"]);

static PROVIDER: Fields = closed(
    "a provider",
    &[
        key("type", text(), Form::Text),
        key(
            "options",
            map(0, Map::Of(&PROVIDER_OPTION)),
            Form::MultiMapping,
        ),
    ],
)
.requires(&["type"]);
static PROVIDER_OPTION: Shape = list(STRING | NUMBER | BOOLEAN, &OPTION, false);

static ENV_FILE: Shape = map(STRING, Map::Fields(&ENV_FILE_FIELDS));
static ENV_FILE_FIELDS: Fields = bare(
    "an env file",
    &[
        key("path", text(), Form::Text),
        key("required", boolean(), Form::BoolOrFalse),
        key("format", text(), Form::Text),
    ],
)
.requires(&["path"]);

static EXTENDS: Fields = bare(
    "`extends`",
    &[
        key("file", text(), Form::Text),
        key("service", text(), Form::Text),
    ],
)
.requires(&["service"]);

static HEALTHCHECK: Fields = closed(
    "a health check",
    &[
        key("test", list(STRING, &TEXT, false), Form::Test),
        key("timeout", text(), Form::DurationOrZero),
        key("interval", text(), Form::DurationOrZero),
        key("retries", number(), Form::UnsignedOrZero),
        key("start_period", text(), Form::DurationOrZero),
        key("start_interval", text(), Form::DurationOrZero),
        key("disable", boolean(), Form::Bool),
    ],
);

static LOGGING: Fields = closed(
    "`logging`",
    &[
        key("driver", text(), Form::Text),
        key("options", map(0, Map::Of(&LOGGING_OPTION)), Form::Mapping),
    ],
);
static LOGGING_OPTION: Shape = scalars(STRING | NUMBER | NULL);

static MODEL: Shape = map(NULL, Map::Fields(&MODEL_FIELDS));
static MODEL_FIELDS: Fields = closed(
    "a model",
    &[
        key("endpoint_var", text(), Form::Text),
        key("model_var", text(), Form::Text),
    ],
);

static NETWORK: Shape = map(NULL, Map::Fields(&NETWORK_FIELDS));
static NETWORK_FIELDS: Fields = closed(
    "a service's network",
    &[
        key("aliases", unique_texts(), Form::Texts),
        key("driver_opts", options(), Form::Mapping),
        key("gw_priority", scalars(NUMBER), Form::Int),
        key("interface_name", text(), Form::Text),
        key("ipv4_address", text(), Form::Text),
        key("ipv6_address", text(), Form::Text),
        key("link_local_ips", unique_texts(), Form::Texts),
        key("mac_address", text(), Form::Text),
        key("priority", scalars(NUMBER), Form::Int),
    ],
);

static PORT: Shape = map(STRING | NUMBER, Map::Fields(&PORT_FIELDS));
static PORT_FIELDS: Fields = closed(
    "a port",
    &[
        key("name", text(), Form::Text),
        key("mode", text(), Form::Text),
        key("host_ip", text(), Form::Text),
        key("target", whole(), Form::Strict),
        key("published", whole(), Form::Text),
        key("protocol", text(), Form::Text),
        key("app_protocol", text(), Form::Text),
    ],
);

static VOLUME: Shape = map(STRING, Map::Fields(&VOLUME_FIELDS));
static VOLUME_FIELDS: Fields = closed(
    "a mount",
    &[
        key(
            "type",
            ruled(
                STRING,
                Rule::OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
            ),
            Form::Text,
        ),
        key("source", text(), Form::Text),
        key("target", text(), Form::Text),
        key("read_only", boolean(), Form::Bool),
        key("consistency", text(), Form::Text),
        key("bind", fields(&BIND), Form::Fields),
        key("volume", fields(&VOLUME_OPTIONS), Form::Fields),
        key("tmpfs", fields(&TMPFS), Form::Fields),
        key("image", fields(&IMAGE), Form::Fields),
    ],
)
.requires(&["type"]);

static BIND: Fields = closed(
    "the options of a bind mount",
    &[
        key(
            "selinux",
            ruled(STRING, Rule::OneOf(&["z", "Z"])),
            Form::Text,
        ),
        key("propagation", text(), Form::Text),
        key("create_host_path", boolean(), Form::Bool),
        key(
            "recursive",
            ruled(
                STRING,
                Rule::OneOf(&["enabled", "disabled", "writable", "readonly"]),
            ),
            Form::Text,
        ),
    ],
);

static VOLUME_OPTIONS: Fields = closed(
    "the options of a mounted volume",
    &[
        key("labels", list_or_map(), Form::Mapping),
        key("nocopy", boolean(), Form::Bool),
        key("subpath", text(), Form::Text),
    ],
);

static TMPFS: Fields = closed(
    "the options of a tmpfs",
    &[
        key(
            "size",
            ruled(STRING | INTEGER, Rule::Between(0, i64::MAX)),
            Form::Size,
        ),
        key("mode", number(), Form::Strict),
    ],
);

static IMAGE: Fields = closed(
    "the options of a mounted image",
    &[key("subpath", text(), Form::Text)],
);
