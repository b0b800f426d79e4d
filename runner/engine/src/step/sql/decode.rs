//! Values of columns as JSON, by their type.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Number, Value as Json};
use tokio_postgres::types::{FromSql, Kind, Type};

use super::{numeric, time};

/// A value of any type.
pub(super) struct Value(pub Json);

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Value(decode(ty, raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Value(Json::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Json {
    match ty.kind() {
        Kind::Array(item) => array(item, raw).unwrap_or_else(|| unknown(raw)),
        Kind::Domain(inner) => decode(inner, raw),
        Kind::Enum(_) => text(raw),
        Kind::Composite(fields) => {
            let names = fields.iter().map(|f| (f.name(), f.type_()));
            composite(names, raw).unwrap_or_else(|| unknown(raw))
        }
        _ => simple(ty, raw).unwrap_or_else(|| unknown(raw)),
    }
}

fn simple(ty: &Type, raw: &[u8]) -> Option<Json> {
    Some(match *ty {
        Type::BOOL => Json::Bool(raw.first() == Some(&1)),
        Type::INT2 => Json::from(i16::from_be_bytes(raw.try_into().ok()?)),
        Type::INT4 => Json::from(i32::from_be_bytes(raw.try_into().ok()?)),
        Type::INT8 => Json::from(i64::from_be_bytes(raw.try_into().ok()?)),
        Type::OID | Type::XID | Type::CID => Json::from(u32::from_be_bytes(raw.try_into().ok()?)),
        Type::FLOAT4 => float(f64::from(f32::from_be_bytes(raw.try_into().ok()?)), || {
            f32::from_be_bytes(raw.try_into().unwrap_or_default()).to_string()
        }),
        Type::FLOAT8 => {
            let f = f64::from_be_bytes(raw.try_into().ok()?);
            float(f, || f.to_string())
        }
        Type::NUMERIC => {
            let digits = numeric::decode(raw)?;
            serde_json::from_str::<Number>(&digits).map_or(Json::String(digits), Json::Number)
        }
        Type::CHAR => Json::from((char::from(*raw.first()?)).to_string()),
        Type::JSON => serde_json::from_slice(raw).ok()?,
        Type::JSONB => serde_json::from_slice(raw.get(1..)?).ok()?,
        Type::UUID => Json::from(uuid::Uuid::from_slice(raw).ok()?.to_string()),
        Type::DATE => Json::from(time::date(i32::from_be_bytes(raw.try_into().ok()?))),
        Type::TIME => Json::from(time::time(i64::from_be_bytes(raw.try_into().ok()?))),
        Type::TIMESTAMP => Json::from(time::timestamp(i64::from_be_bytes(raw.try_into().ok()?))),
        Type::TIMESTAMPTZ => {
            Json::from(time::timestamptz(i64::from_be_bytes(raw.try_into().ok()?)))
        }
        Type::INTERVAL => Json::from(time::interval(
            i64::from_be_bytes(raw.get(..8)?.try_into().ok()?),
            i32::from_be_bytes(raw.get(8..12)?.try_into().ok()?),
            i32::from_be_bytes(raw.get(12..16)?.try_into().ok()?),
        )),
        Type::BYTEA => Json::from(hex(raw)),
        Type::INET | Type::CIDR => Json::from(inet(raw)?),
        Type::VOID => Json::Null,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::XML | Type::UNKNOWN => {
            text(raw)
        }
        _ => return None,
    })
}

/// Shortest digits that give the same float; text where JSON has no such number.
fn float(value: f64, digits: impl Fn() -> String) -> Json {
    if !value.is_finite() {
        return Json::from(value.to_string());
    }
    serde_json::from_str::<Number>(&digits()).map_or(Json::Null, Json::Number)
}

fn text(raw: &[u8]) -> Json {
    Json::from(String::from_utf8_lossy(raw).into_owned())
}

/// A type that is not known: text where it is printable, else the bytes.
fn unknown(raw: &[u8]) -> Json {
    match std::str::from_utf8(raw) {
        Ok(s) if !s.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => Json::from(s),
        _ => Json::from(hex(raw)),
    }
}

fn hex(raw: &[u8]) -> String {
    use std::fmt::Write;
    raw.iter().fold(String::from("\\x"), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn inet(raw: &[u8]) -> Option<String> {
    let [family, bits, _, _, address @ ..] = raw else {
        return None;
    };
    let (text, all) = match family {
        2 => (
            Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).to_string(),
            32,
        ),
        _ => (
            Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).to_string(),
            128,
        ),
    };
    Some(if *bits == all {
        text
    } else {
        format!("{text}/{bits}")
    })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn int(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    /// A value with its length before it; `Some(None)` is null.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(length) = usize::try_from(self.int()?) else {
            return Some(None);
        };
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(head))
    }
}

fn array(item: &Type, raw: &[u8]) -> Option<Json> {
    let mut at = Cursor(raw);
    let dimensions = usize::try_from(at.int()?).ok()?;
    at.int()?;
    at.int()?;
    if dimensions > 6 {
        return None;
    }
    let mut sizes = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        sizes.push(usize::try_from(at.int()?).ok()?);
        at.int()?;
    }
    if sizes.is_empty() {
        return Some(Json::Array(Vec::new()));
    }
    level(item, &sizes, &mut at)
}

fn level(item: &Type, sizes: &[usize], at: &mut Cursor<'_>) -> Option<Json> {
    let [size, inner @ ..] = sizes else {
        return Some(at.value()?.map_or(Json::Null, |raw| decode(item, raw)));
    };
    (0..*size)
        .map(|_| level(item, inner, at))
        .collect::<Option<Vec<_>>>()
        .map(Json::Array)
}

fn composite<'t>(fields: impl Iterator<Item = (&'t str, &'t Type)>, raw: &[u8]) -> Option<Json> {
    let mut at = Cursor(raw);
    at.int()?;
    let mut object = Map::new();
    for (name, ty) in fields {
        at.int()?;
        object.insert(
            name.to_owned(),
            at.value()?.map_or(Json::Null, |raw| decode(ty, raw)),
        );
    }
    Some(Json::Object(object))
}
