//! The keys under `deploy`.

use super::kind::{NUMBER, STRING};
use super::{
    DEVICE_REQUEST, Fields, Form, Rule, Shape, closed, fields, key, list_of, list_or_map, number,
    ruled, scalars, text, texts, whole,
};

pub(super) static DEPLOY: Fields = closed(
    "`deploy`",
    &[
        key("mode", text(), Form::Text),
        key("replicas", whole(), Form::IntOrZero),
        key("labels", list_or_map(), Form::Mapping),
        key("update_config", fields(&UPDATE), Form::Fields),
        key("rollback_config", fields(&UPDATE), Form::Fields),
        key("resources", fields(&RESOURCES), Form::FieldsAlways),
        key("restart_policy", fields(&RESTART_POLICY), Form::Fields),
        key("placement", fields(&PLACEMENT), Form::FieldsAlways),
        key("endpoint_mode", text(), Form::Text),
    ],
);

static UPDATE: Fields = closed(
    "an update's settings",
    &[
        key("parallelism", whole(), Form::UnsignedOrZero),
        key("delay", text(), Form::Duration),
        key("failure_action", text(), Form::Text),
        key("monitor", text(), Form::Duration),
        key("max_failure_ratio", number(), Form::Single),
        key(
            "order",
            ruled(STRING, Rule::OneOf(&["start-first", "stop-first"])),
            Form::Text,
        ),
    ],
);

static RESOURCES: Fields = closed(
    "`resources`",
    &[
        key("limits", fields(&LIMITS), Form::Fields),
        key("reservations", fields(&RESERVATIONS), Form::Fields),
    ],
);

static LIMITS: Fields = closed(
    "`limits`",
    &[
        key("cpus", number(), Form::Single),
        key("memory", text(), Form::Size),
        key("pids", whole(), Form::Int),
    ],
);

static RESERVATIONS: Fields = closed(
    "`reservations`",
    &[
        key("cpus", number(), Form::Single),
        key("memory", text(), Form::Size),
        key("devices", list_of(&DEVICE_REQUEST), Form::List),
        key("generic_resources", list_of(&GENERIC), Form::List),
    ],
);

static GENERIC: Shape = fields(&GENERIC_FIELDS);
static GENERIC_FIELDS: Fields = closed(
    "a generic resource",
    &[key(
        "discrete_resource_spec",
        fields(&DISCRETE),
        Form::Fields,
    )],
);
static DISCRETE: Fields = closed(
    "a discrete resource",
    &[
        key("kind", text(), Form::Text),
        key("value", scalars(NUMBER | STRING), Form::IntOrZero),
    ],
);

static RESTART_POLICY: Fields = closed(
    "`restart_policy`",
    &[
        key("condition", text(), Form::Text),
        key("delay", text(), Form::DurationOrZero),
        key("max_attempts", whole(), Form::UnsignedOrZero),
        key("window", text(), Form::DurationOrZero),
    ],
);

static PLACEMENT: Fields = closed(
    "`placement`",
    &[
        key("constraints", texts(), Form::Texts),
        key("preferences", list_of(&PREFERENCE), Form::List),
        key("max_replicas_per_node", whole(), Form::Unsigned),
    ],
);

static PREFERENCE: Shape = fields(&PREFERENCE_FIELDS);
static PREFERENCE_FIELDS: Fields = closed(
    "a placement preference",
    &[key("spread", text(), Form::Text)],
);
