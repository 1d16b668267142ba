//! From a setting's text to its value. Pure; every refusal says what is wrong and how to mend it, and never repeats
//! the text (it may be a secret: the caller quotes it when it may).

// Every parser has the same shape, also those that take anything.
#![allow(clippy::unnecessary_wraps)]

use std::{path::PathBuf, str::FromStr, time::Duration};

/// Why a text was refused: the end of a sentence that begins with the value, and the mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// `is not a duration`
    pub what: String,
    /// `write a number and a unit, such as 30s or 5m`
    pub mend: String,
}

impl Bad {
    /// A refusal.
    pub fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

/// A value or why not.
pub(super) type Parsed<T> = Result<T, Bad>;

/// `HOST:PORT` to listen on; the host is an IP address or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without brackets.
    pub host: String,
    /// 0 picks one.
    pub port: u16,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Which web pages may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`
    Any,
    /// Exactly these.
    Only(Vec<String>),
}

pub(super) fn address(text: &str) -> Parsed<Address> {
    let bad = || Bad::new("is not an address", "write ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err(bad());
    }
    let host = bare.unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(bad());
    }
    Ok(Address { host: host.into(), port })
}

/// An address, or nothing for off.
pub(super) fn address_or_off(text: &str) -> Parsed<Option<Address>> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// Any text; empty counts as not set.
pub(super) fn text(text: &str) -> Parsed<Option<String>> {
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Text that is passed on as it is.
pub(super) fn plain(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Bad::new("is neither true nor false", "write true or false")),
    }
}

/// A whole number in the range.
pub(super) fn whole<const MIN: u32, const MAX: u32>(text: &str) -> Parsed<u32> {
    let found = text.parse().ok().filter(|n| (MIN..=MAX).contains(n));
    found.ok_or_else(|| {
        Bad::new("is not a number that is allowed here", format!("write a whole number from {MIN} to {MAX}"))
    })
}

/// A share, 0 to 1.
pub(super) fn share(text: &str) -> Parsed<f64> {
    let found = f64::from_str(text).ok().filter(|share| (0.0..=1.0).contains(share));
    found.ok_or_else(|| Bad::new("is not a share", "write a number from 0 to 1, such as 0.1"))
}

/// As [`duration`], in whole seconds up to MAX; a number alone is seconds.
pub(super) fn window<const MAX: u32>(text: &str) -> Parsed<Duration> {
    let bad = || Bad::new("is not a time that is allowed here", format!("write seconds up to {MAX}, or 15m, 12h, 30d"));
    let found = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => duration::<0, { u64::MAX }>(text).map_err(|_| bad())?,
    };
    let whole = found.subsec_nanos() == 0 && found.as_secs() <= MAX.into();
    if whole { Ok(found) } else { Err(bad()) }
}

/// `250ms`, `30s`, `5m`, `12h`, `30d`, from MIN to MAX milliseconds.
pub(super) fn duration<const MIN: u64, const MAX: u64>(text: &str) -> Parsed<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(Bad::new("is not a duration", "write a number and a unit, such as 250ms, 30s, 5m, 12h or 30d"));
        }
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let millis = millis.ok_or_else(|| Bad::new("is not a duration", "write a number and a unit, such as 30s"))?;
    if !(MIN..=MAX).contains(&millis) {
        let range = (spell(Duration::from_millis(MIN)), spell(Duration::from_millis(MAX)));
        return Err(Bad::new("is out of range", format!("write a duration from {} to {}", range.0, range.1)));
    }
    Ok(Duration::from_millis(millis))
}

fn spell(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".into(),
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// Bytes: `65536`, `64KiB`, `1MiB`, from MIN to MAX.
pub(super) fn bytes<const MIN: usize, const MAX: usize>(text: &str) -> Parsed<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(Bad::new("is not a size", "write bytes, such as 65536, 64KiB or 1MiB")),
    };
    let size = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| (MIN..=MAX).contains(size))
        .ok_or_else(|| Bad::new("is not a size that is allowed here", format!("write bytes from {MIN} to {MAX}")))
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(Bad::new("is not a log format", "write pretty or json")),
    }
}

/// `http://` or `https://`, with a host; nothing counts as not set.
pub(super) fn http_url(text: &str) -> Parsed<Option<reqwest::Url>> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some).ok_or_else(|| Bad::new("is not a URL", "write http://HOST or https://HOST, with a port if needed"))
}

/// Paths, separated by commas.
pub(super) fn paths(text: &str) -> Parsed<Vec<PathBuf>> {
    Ok(items(text).map(PathBuf::from).collect())
}

/// A path; nothing counts as not set.
pub(super) fn path(text: &str) -> Parsed<Option<PathBuf>> {
    Ok(Some(PathBuf::from(text)).filter(|_| !text.is_empty()))
}

/// A folder that must be named.
pub(super) fn folder(text: &str) -> Parsed<PathBuf> {
    path(text)?.ok_or_else(|| Bad::new("is empty", "name a folder, or leave the setting out"))
}

/// Origins as browsers send them, separated by commas; `*` for any.
pub(super) fn origins(text: &str) -> Parsed<Origins> {
    let all: Vec<&str> = items(text).collect();
    if all.contains(&"*") {
        return if all.len() == 1 {
            Ok(Origins::Any)
        } else {
            Err(Bad::new("mixes * with origins", "write * alone, or only origins"))
        };
    }
    all.into_iter().map(origin).collect::<Parsed<_>>().map(Origins::Only)
}

fn origin(text: &str) -> Parsed<String> {
    let bad = || {
        Bad::new(
            format!("has {text:?}, which is not an origin"),
            "write SCHEME://HOST[:PORT] and nothing after it, such as https://chat.example.com",
        )
    };
    let url = reqwest::Url::parse(text).map_err(|_| bad())?;
    // The exact text is compared with what browsers send: lower case, no path, no default port. App shells have
    // schemes of their own (capacitor://localhost), for which `Url` knows no origin.
    let sent = if url.origin().is_tuple() { url.origin().ascii_serialization() } else { text.to_ascii_lowercase() };
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
        return Err(bad());
    }
    Ok(sent)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Shortest HS256 secret, bytes.
const SECRET_MIN: usize = 32;

const MAKE_SECRET: &str = "use at least 32 random bytes, such as the output of `openssl rand -hex 32`";

/// An HS256 secret; nothing counts as not set.
pub(super) fn secret(text: &str) -> Parsed<Option<Vec<u8>>> {
    match text.len() {
        0 => Ok(None),
        n if n < SECRET_MIN => Err(Bad::new(format!("is {n} bytes long, too short for HS256"), MAKE_SECRET)),
        _ => Ok(Some(text.as_bytes().to_vec())),
    }
}

/// What operators show.
pub(super) fn admin_token(text: &str) -> Parsed<Option<String>> {
    const MEND: &str = "use at least 16 random characters, such as the output of `openssl rand -hex 32`";
    match text.len() {
        0 => Ok(None),
        n @ 1..16 => Err(Bad::new(format!("is {n} bytes long, too short to be safe"), MEND)),
        _ if !text.chars().all(|c| c.is_ascii_graphic()) => {
            Err(Bad::new("has a character that a header cannot carry", MEND))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// HS256 secrets, separated by commas. Stricter than other lists: an entry that is empty, or there twice, is a secret
/// that somebody thinks is listed and is not.
pub(super) fn secrets(text: &str) -> Parsed<Vec<Vec<u8>>> {
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    if text.is_empty() {
        return Ok(secrets);
    }
    for (at, entry) in text.split(',').map(|entry| entry.trim().as_bytes()).enumerate() {
        let number = at + 1;
        match entry.len() {
            0 => {
                let mend = "write secrets with one comma between two, and none at either end";
                return Err(Bad::new(format!("has an empty entry, number {number}"), mend));
            }
            n if n < SECRET_MIN => {
                let what = format!("has {n} bytes as its entry {number}, too short for HS256");
                return Err(Bad::new(what, format!("{MAKE_SECRET}; a secret with a comma cannot be listed")));
            }
            _ => {}
        }
        if let Some(first) = secrets.iter().position(|secret| secret == entry) {
            let what = format!("has the same secret twice, as its entries {} and {number}", first + 1);
            return Err(Bad::new(what, "take one of them out; is another one missing?"));
        }
        secrets.push(entry.to_vec());
    }
    Ok(secrets)
}

/// A Postgres URL; nothing counts as not set.
pub(super) fn postgres_url(text: &str) -> Parsed<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with("sqlite:") {
        return Err(Bad::new(
            "is a SQLite URL, and only Postgres is set here",
            "leave DATABASE_URL and REDIS_URL out for the embedded store, whose folder is STARLING_DATA_DIR",
        ));
    }
    match store::postgres::PostgresConfig::check(text) {
        Ok(()) => Ok(Some(text.into())),
        Err(reason) => Err(library(&reason, "write postgres://user:password@host:port/database")),
    }
}

/// What a Redis URL may look like.
pub(crate) const REDIS_FORMS: &str = "write redis://[user:password@]host[:port][/database], \
    redis+sentinel://[user:password@]host[:port],…/master or redis+cluster://[user:password@]host[:port],…";

/// A Redis URL; nothing counts as not set.
pub(super) fn redis_url(text: &str) -> Parsed<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    match bus::redis::RedisConfig::new(text).check() {
        Ok(()) => Ok(Some(text.into())),
        Err(reason) => Err(library(&reason.to_string(), REDIS_FORMS)),
    }
}

/// The stores' own words come as `what: how`; `mend` stands in when they do not.
fn library(reason: &str, mend: &str) -> Bad {
    match reason.rsplit_once(": expected ") {
        Some((what, shape)) => Bad::new(what, format!("write {shape}")),
        None => Bad::new(reason, mend),
    }
}
