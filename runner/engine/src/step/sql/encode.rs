//! Parameters take the type of the column or of the place where they stand.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use bytes::{BufMut, BytesMut};
use serde_json::Value as Json;
use tokio_postgres::types::{IsNull, Kind, ToSql, Type};

use super::{numeric, time};

/// A parameter.
#[derive(Debug)]
pub(super) struct Param<'a>(pub &'a Json);

/// A parameter that does not fit.
#[derive(Debug)]
pub(super) struct BadParam(String);

impl fmt::Display for BadParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadParam {}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.is_null() {
            return Ok(IsNull::Yes);
        }
        match encode(self.0, ty, out) {
            Some(()) => Ok(IsNull::No),
            None => Err(Box::new(BadParam(format!(
                "the parameter {} is not of the type {}",
                prodmirror_model::check::show(self.0),
                ty.name()
            )))),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

fn encode(value: &Json, ty: &Type, out: &mut BytesMut) -> Option<()> {
    match ty.kind() {
        Kind::Array(item) => array(value, item, out),
        Kind::Domain(inner) => encode(value, inner, out),
        Kind::Enum(_) => {
            out.put_slice(value.as_str()?.as_bytes());
            Some(())
        }
        _ => simple(value, ty, out),
    }
}

fn simple(value: &Json, ty: &Type, out: &mut BytesMut) -> Option<()> {
    match *ty {
        Type::BOOL => out.put_u8(u8::from(boolean(value)?)),
        Type::INT2 => out.put_i16(i16::try_from(integer(value)?).ok()?),
        Type::INT4 => out.put_i32(i32::try_from(integer(value)?).ok()?),
        Type::INT8 => out.put_i64(integer(value)?),
        Type::OID => out.put_u32(u32::try_from(integer(value)?).ok()?),
        Type::FLOAT4 => out.put_f32(scalar(value)?.parse().ok()?),
        Type::FLOAT8 => out.put_f64(scalar(value)?.parse().ok()?),
        Type::NUMERIC => out.put_slice(&numeric::encode(scalar(value)?.trim())?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::XML | Type::UNKNOWN => {
            out.put_slice(text(value).as_bytes());
        }
        Type::JSON => out.put_slice(json(value).as_bytes()),
        Type::JSONB => {
            out.put_u8(1);
            out.put_slice(json(value).as_bytes());
        }
        Type::UUID => out.put_slice(
            uuid::Uuid::parse_str(value.as_str()?.trim())
                .ok()?
                .as_bytes(),
        ),
        Type::DATE => out.put_i32(time::to_date(value.as_str()?.trim())?),
        Type::TIME => out.put_i64(time::to_time(value.as_str()?.trim())?),
        Type::TIMESTAMP => out.put_i64(time::to_timestamp(value.as_str()?.trim())?),
        Type::TIMESTAMPTZ => out.put_i64(time::to_timestamptz(value.as_str()?.trim())?),
        Type::INTERVAL => {
            let (micros, days, months) = time::to_interval(value.as_str()?.trim())?;
            out.put_i64(micros);
            out.put_i32(days);
            out.put_i32(months);
        }
        Type::BYTEA => out.put_slice(&bytes(value.as_str()?)?),
        Type::INET | Type::CIDR => inet(value.as_str()?, *ty == Type::CIDR, out)?,
        // Types of extensions (citext, ltree…) have text as their binary form, or refuse it.
        _ => out.put_slice(value.as_str()?.as_bytes()),
    }
    Some(())
}

fn array(value: &Json, item: &Type, out: &mut BytesMut) -> Option<()> {
    let items = value.as_array()?;
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(i32::from(items.iter().any(Json::is_null)));
    out.put_u32(item.oid());
    if items.is_empty() {
        return Some(());
    }
    out.put_i32(i32::try_from(items.len()).ok()?);
    out.put_i32(1);
    for i in items {
        if i.is_null() {
            out.put_i32(-1);
            continue;
        }
        let mut raw = BytesMut::new();
        encode(i, item, &mut raw)?;
        out.put_i32(i32::try_from(raw.len()).ok()?);
        out.put_slice(&raw);
    }
    Some(())
}

fn integer(value: &Json) -> Option<i64> {
    match value {
        Json::Number(n) => n.as_i64().or_else(|| whole(n.as_f64()?)),
        Json::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// A float that is a whole number.
fn whole(f: f64) -> Option<i64> {
    (f.fract() == 0.0 && f.abs() < 9e15).then_some(f as i64)
}

fn boolean(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(b) => Some(*b),
        Json::String(s) => match s.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Number(n) => Some(n.to_string()),
        Json::String(s) => Some(s.clone()),
        _ => None,
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// A text that is a JSON object or list is taken as such; any other value as it is.
fn json(value: &Json) -> String {
    match value {
        Json::String(s)
            if s.trim_start().starts_with(['{', '['])
                && serde_json::from_str::<serde::de::IgnoredAny>(s).is_ok() =>
        {
            s.clone()
        }
        other => other.to_string(),
    }
}

fn bytes(s: &str) -> Option<Vec<u8>> {
    let Some(digits) = s.strip_prefix("\\x") else {
        return Some(s.as_bytes().to_vec());
    };
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok())
        .collect()
}

fn inet(s: &str, cidr: bool, out: &mut BytesMut) -> Option<()> {
    let (address, bits) = match s.trim().split_once('/') {
        Some((a, b)) => (a.parse::<IpAddr>().ok()?, Some(b.parse::<u8>().ok()?)),
        None => (s.trim().parse::<IpAddr>().ok()?, None),
    };
    let (family, raw): (u8, Vec<u8>) = match address {
        IpAddr::V4(a) => (2, a.octets().to_vec()),
        IpAddr::V6(a) => (3, a.octets().to_vec()),
    };
    out.put_u8(family);
    out.put_u8(bits.unwrap_or(u8::try_from(raw.len() * 8).ok()?));
    out.put_u8(u8::from(cidr));
    out.put_u8(u8::try_from(raw.len()).ok()?);
    out.put_slice(&raw);
    Some(())
}
