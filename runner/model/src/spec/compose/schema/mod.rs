//! The Compose format as a table: for each key what may stand there, and what form it has in
//! the normal form. A new key is one line in `service`, `deploy` or `top`.

mod check;
mod deploy;
mod service;
mod top;

pub(super) use check::check;
pub(super) use top::FILE;

/// Kinds of scalars, to be combined.
pub(super) mod kind {
    pub const STRING: u8 = 1;
    pub const INTEGER: u8 = 2;
    pub const NUMBER: u8 = 4;
    pub const BOOLEAN: u8 = 8;
    pub const NULL: u8 = 16;
}

/// What may stand at a place.
pub(super) struct Shape {
    /// Scalars that may, of [`kind`].
    pub scalars: u8,
    /// Lists that may.
    pub list: Option<List>,
    /// Mappings that may.
    pub map: Option<Map>,
    /// What else must hold.
    pub rule: Rule,
}

/// A list.
pub(super) struct List {
    /// What its items are.
    pub item: &'static Shape,
    /// Whether none may stand in it twice.
    pub unique: bool,
}

/// A mapping.
pub(super) enum Map {
    /// Of any keys to anything.
    Free,
    /// Of any keys to values of one shape.
    Of(&'static Shape),
    /// Of names that users choose (letters, digits, `.`, `_`, `-`) to values of one shape.
    Names {
        /// The values' shape.
        value: &'static Shape,
        /// Whether other keys are refused; else they are not looked at.
        strict: bool,
    },
    /// Of known keys.
    Fields(&'static Fields),
}

/// Known keys of a mapping, in the order of the normal form.
pub(super) struct Fields {
    /// What it is called in messages.
    pub of: &'static str,
    /// The keys.
    pub keys: &'static [Key],
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// Whether `x-` keys may stand here.
    pub extensions: bool,
    /// Whether unknown keys are refused.
    pub closed: bool,
}

/// One known key.
pub(super) struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its name in the normal form, where that differs.
    pub output: Option<&'static str>,
    /// What may stand under it.
    pub shape: Shape,
    /// Its form in the normal form.
    pub form: Form,
}

/// What must hold beyond the kind of value.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Nothing.
    Any,
    /// A text is one of these.
    OneOf(&'static [&'static str]),
    /// A number is in this range.
    Between(i64, i64),
    /// A text fits; the second part says what fits.
    Fits(fn(&str) -> bool, &'static str),
}

/// The form that a value has in the normal form. What is empty (an empty text, zero, false,
/// an empty list or mapping) is left out, except where it says otherwise.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// A text.
    Text,
    /// A boolean.
    Bool,
    /// A boolean, also false.
    BoolOrFalse,
    /// A whole number.
    Int,
    /// A whole number, also zero.
    IntOrZero,
    /// A whole number from zero on.
    Unsigned,
    /// A whole number from zero on, also zero.
    UnsignedOrZero,
    /// A whole number from zero on that cannot be written as a text.
    Strict,
    /// A number in single precision.
    Single,
    /// A size in bytes, as a text.
    Size,
    /// A duration, as a text.
    Duration,
    /// A duration, also an empty one.
    DurationOrZero,
    /// Permissions, as an octal text.
    FileMode,
    /// A list of texts; a text alone is a list of one.
    Texts,
    /// A command line as a list of words; null when there is none. Always there.
    Command,
    /// A health check's command.
    Test,
    /// A mapping of names to texts or null.
    Environment,
    /// A mapping of names to texts.
    Mapping,
    /// A mapping of names to texts, of which none is a number with a point or a boolean.
    TextMapping,
    /// A mapping of names to lists of texts.
    MultiMapping,
    /// A list of `host=address`.
    Hosts,
    /// A mapping of names to a number or a pair of numbers.
    Ulimits,
    /// A list of keys for builds.
    Ssh,
    /// A number, where `all` is -1.
    Count,
    /// A mapping of known keys, also an empty one.
    Fields,
    /// A mapping of known keys, always there.
    FieldsAlways,
    /// A list of mappings of known keys.
    List,
    /// A mapping of names to mappings of known keys, or to null.
    Named,
    /// Not a part of the normal form.
    LeftOut,
}

use kind::{BOOLEAN, INTEGER, NULL, NUMBER, STRING};

const fn scalars(scalars: u8) -> Shape {
    Shape {
        scalars,
        list: None,
        map: None,
        rule: Rule::Any,
    }
}

const fn ruled(scalars: u8, rule: Rule) -> Shape {
    Shape {
        scalars,
        list: None,
        map: None,
        rule,
    }
}

const fn list(scalars: u8, item: &'static Shape, unique: bool) -> Shape {
    Shape {
        scalars,
        list: Some(List { item, unique }),
        map: None,
        rule: Rule::Any,
    }
}

const fn map(scalars: u8, map: Map) -> Shape {
    Shape {
        scalars,
        list: None,
        map: Some(map),
        rule: Rule::Any,
    }
}

const fn either(scalars: u8, item: &'static Shape, unique: bool, map: Map) -> Shape {
    Shape {
        scalars,
        list: Some(List { item, unique }),
        map: Some(map),
        rule: Rule::Any,
    }
}

const fn fields(of: &'static Fields) -> Shape {
    map(0, Map::Fields(of))
}

const fn list_of(item: &'static Shape) -> Shape {
    list(0, item, false)
}

const fn key(name: &'static str, shape: Shape, form: Form) -> Key {
    Key {
        name,
        output: None,
        shape,
        form,
    }
}

const fn key_as(name: &'static str, output: &'static str, shape: Shape, form: Form) -> Key {
    Key {
        name,
        output: Some(output),
        shape,
        form,
    }
}

/// A mapping of known keys, with `x-` keys, that refuses others.
const fn closed(of: &'static str, keys: &'static [Key]) -> Fields {
    Fields {
        of,
        keys,
        required: &[],
        extensions: true,
        closed: true,
    }
}

/// As [`closed`], without `x-` keys.
const fn bare(of: &'static str, keys: &'static [Key]) -> Fields {
    Fields {
        of,
        keys,
        required: &[],
        extensions: false,
        closed: true,
    }
}

impl Fields {
    const fn requires(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }

    const fn open(mut self) -> Self {
        self.closed = false;
        self
    }
}

static TEXT: Shape = scalars(STRING);
static TEXT_OR_NUMBER: Shape = scalars(STRING | NUMBER);
static LABEL: Shape = scalars(STRING | NUMBER | BOOLEAN | NULL);
static OPTION: Shape = scalars(STRING | NUMBER | BOOLEAN);
static HOST: Shape = list(STRING, &TEXT, false);

const fn text() -> Shape {
    scalars(STRING)
}

const fn boolean() -> Shape {
    scalars(BOOLEAN | STRING)
}

const fn whole() -> Shape {
    scalars(INTEGER | STRING)
}

const fn number() -> Shape {
    scalars(NUMBER | STRING)
}

const fn texts() -> Shape {
    list(0, &TEXT, false)
}

const fn unique_texts() -> Shape {
    list(0, &TEXT, true)
}

const fn text_or_list() -> Shape {
    list(STRING, &TEXT, true)
}

const fn command() -> Shape {
    list(STRING | NULL, &TEXT, false)
}

const fn list_or_map() -> Shape {
    either(0, &TEXT, true, Map::Of(&LABEL))
}

const fn options() -> Shape {
    map(0, Map::Of(&TEXT_OR_NUMBER))
}

const fn hosts() -> Shape {
    either(0, &TEXT, true, Map::Of(&HOST))
}

static GRANT: Shape = map(STRING, Map::Fields(&GRANT_FIELDS));
static GRANT_FIELDS: Fields = closed(
    "a mounted config or secret",
    &[
        key("source", text(), Form::Text),
        key("target", text(), Form::Text),
        key("uid", text(), Form::Text),
        key("gid", text(), Form::Text),
        key("mode", number(), Form::FileMode),
    ],
);

/// Configs and secrets of a service.
const fn grants() -> Shape {
    list(0, &GRANT, false)
}

static ULIMIT: Shape = map(INTEGER | STRING, Map::Fields(&ULIMIT_FIELDS));
static ULIMIT_FIELDS: Fields = closed(
    "a ulimit",
    &[
        key("soft", whole(), Form::Int),
        key("hard", whole(), Form::Int),
    ],
)
.requires(&["soft", "hard"]);

const fn ulimits() -> Shape {
    map(0, Map::Of(&ULIMIT))
}

static DEVICE_REQUEST: Shape = map(0, Map::Fields(&DEVICE_REQUEST_FIELDS));
static DEVICE_REQUEST_FIELDS: Fields =
    closed("a device request", DEVICE_REQUEST_KEYS).requires(&["capabilities"]);
static GPU: Shape = map(0, Map::Fields(&GPU_FIELDS));
static GPU_FIELDS: Fields = closed("a GPU request", DEVICE_REQUEST_KEYS).open();
const DEVICE_REQUEST_KEYS: &[Key] = &[
    key("capabilities", unique_texts(), Form::Texts),
    key("driver", text(), Form::Text),
    key("count", whole(), Form::Count),
    key("device_ids", unique_texts(), Form::Texts),
    key("options", list_or_map(), Form::Mapping),
];

/// Whether a text can name a service, a network or the like.
pub(super) fn is_name(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty() && text.bytes().all(known)
}
