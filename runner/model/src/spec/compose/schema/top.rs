//! The keys of a file, and of what stands beside the services.

use super::kind::{BOOLEAN, INTEGER, NULL, STRING};
use super::service::SERVICE;
use super::{
    Fields, Form, Map, Shape, TEXT, bare, boolean, closed, fields, key, list_of, list_or_map, map,
    options, scalars, text, text_or_list, texts,
};

/// A Compose file.
pub(in crate::spec::compose) static FILE: Fields = closed(
    "a Compose file",
    &[
        key("version", text(), Form::LeftOut),
        key("name", text(), Form::Text),
        key("include", list_of(&INCLUDE), Form::LeftOut),
        key("services", named(&SERVICE_SHAPE, true), Form::Named),
        key("networks", named(&NETWORK, false), Form::Named),
        key("volumes", named(&VOLUME, true), Form::Named),
        key("secrets", named(&SECRET, true), Form::Named),
        key("configs", named(&CONFIG, true), Form::Named),
        key("models", named(&MODEL, false), Form::LeftOut),
    ],
);

const fn named(value: &'static Shape, strict: bool) -> Shape {
    map(0, Map::Names { value, strict })
}

static SERVICE_SHAPE: Shape = fields(&SERVICE);

static INCLUDE: Shape = map(STRING, Map::Fields(&INCLUDE_FIELDS));
static INCLUDE_FIELDS: Fields = bare(
    "an include",
    &[
        key("path", text_or_list(), Form::Texts),
        key("env_file", text_or_list(), Form::Texts),
        key("project_directory", text(), Form::Text),
    ],
);

/// `external` of networks and volumes; the mapping is its old form.
const fn external() -> Shape {
    map(BOOLEAN | STRING, Map::Fields(&EXTERNAL))
}
static EXTERNAL: Fields = closed("`external`", &[key("name", text(), Form::Text)]);

/// `external` of configs and secrets.
const fn external_object() -> Shape {
    map(BOOLEAN | STRING, Map::Fields(&EXTERNAL_OBJECT))
}
static EXTERNAL_OBJECT: Fields = closed("`external`", &[key("name", text(), Form::Text)]).open();

static NETWORK: Shape = map(NULL, Map::Fields(&NETWORK_FIELDS));
static NETWORK_FIELDS: Fields = closed(
    "a network",
    &[
        key("name", text(), Form::Text),
        key("driver", text(), Form::Text),
        key("driver_opts", options(), Form::Mapping),
        key("ipam", fields(&IPAM), Form::FieldsAlways),
        key("external", external(), Form::Bool),
        key("internal", boolean(), Form::Bool),
        key("attachable", boolean(), Form::Bool),
        key("labels", list_or_map(), Form::Mapping),
        key("enable_ipv4", boolean(), Form::BoolOrFalse),
        key("enable_ipv6", boolean(), Form::BoolOrFalse),
    ],
);

static IPAM: Fields = closed(
    "`ipam`",
    &[
        key("driver", text(), Form::Text),
        key("config", list_of(&POOL), Form::List),
        key("options", map(0, Map::Of(&TEXT)), Form::LeftOut),
    ],
);
static POOL: Shape = fields(&POOL_FIELDS);
static POOL_FIELDS: Fields = closed(
    "an address pool",
    &[
        key("subnet", text(), Form::Text),
        key("gateway", text(), Form::Text),
        key("ip_range", text(), Form::Text),
        key("aux_addresses", map(0, Map::Of(&TEXT)), Form::Mapping),
    ],
);

static VOLUME: Shape = map(NULL, Map::Fields(&VOLUME_FIELDS));
static VOLUME_FIELDS: Fields = closed(
    "a volume",
    &[
        key("name", text(), Form::Text),
        key("driver", text(), Form::Text),
        key("driver_opts", options(), Form::Mapping),
        key("external", external(), Form::Bool),
        key("labels", list_or_map(), Form::Mapping),
    ],
);

static SECRET: Shape = fields(&SECRET_FIELDS);
static SECRET_FIELDS: Fields = closed(
    "a secret",
    &[
        key("name", text(), Form::Text),
        key("file", text(), Form::Text),
        key("environment", text(), Form::Text),
        key("external", external_object(), Form::Bool),
        key("labels", list_or_map(), Form::Mapping),
        key("driver", text(), Form::Text),
        key("driver_opts", options(), Form::TextMapping),
        key("template_driver", text(), Form::Text),
    ],
);

static CONFIG: Shape = fields(&CONFIG_FIELDS);
static CONFIG_FIELDS: Fields = closed(
    "a config",
    &[
        key("name", text(), Form::Text),
        key("file", text(), Form::Text),
        key("environment", text(), Form::Text),
        key("content", text(), Form::Text),
        key("external", external_object(), Form::Bool),
        key("labels", list_or_map(), Form::Mapping),
        key("template_driver", text(), Form::Text),
    ],
);

static MODEL: Shape = fields(&MODEL_FIELDS);
static MODEL_FIELDS: Fields = closed(
    "a model",
    &[
        key("name", text(), Form::Text),
        key("model", text(), Form::Text),
        key("context_size", scalars(INTEGER), Form::Int),
        key("runtime_flags", texts(), Form::Texts),
    ],
)
.requires(&["model"]);
