//! The configuration file: flat TOML, one key per setting.

use std::{collections::HashMap, fs, path::PathBuf};

use toml::Value;

use super::{
    Bad, CONFIG_ENV, Kind, Secrecy, Sources, suggest,
    table::{Setting, TABLE, setting},
};
use crate::failure::Failure;

/// What a file says, each value as the text that the environment would have.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) values: HashMap<&'static str, String>,
}

/// Reads the file that the sources name, if they name one.
pub(super) fn read(sources: &Sources) -> Result<Option<File>, Failure> {
    let variable = sources.environment.get(CONFIG_ENV).filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = sources.config_flag.clone().or(variable) else { return Ok(None) };
    let shown = path.display();
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::configuration(CONFIG_ENV, format_args!("cannot read {shown}: {error}"), "name a TOML file")
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let what = format!("{shown}, line {line}: {}", error.message());
        Failure::configuration(CONFIG_ENV, what, "write `key = value` lines as in docs/configuration.md")
    })?;
    let mut values = HashMap::new();
    for (key, value) in table {
        let Some(setting) = setting(&key) else {
            let mend = match suggest::nearest(&key, TABLE.iter().map(|setting| setting.key)) {
                Some(near) => format!("did you mean {near}?"),
                None => "remove it; `starling config` lists the keys".into(),
            };
            return Err(Failure::configuration(&key, format_args!("unknown key in {shown}"), mend));
        };
        let text = as_text(setting, &value).ok_or_else(|| {
            let kind = value.type_str();
            // Not a secret's value, nor anything else's: its type is what is wrong.
            let bad = Bad::new(format!("is of the wrong type ({kind})"), format!("write {}", wanted(setting)));
            Failure::value(setting.env, &format!("{key} in {shown}"), &bad)
        })?;
        values.insert(setting.key, text);
    }
    Ok(Some(File { path, values }))
}

fn as_text(setting: &Setting, value: &Value) -> Option<String> {
    match (setting.kind, value) {
        (_, Value::String(text)) => Some(text.clone()),
        (Kind::Switch, Value::Boolean(on)) => Some(on.to_string()),
        (Kind::Number | Kind::Size, Value::Integer(number)) => Some(number.to_string()),
        (Kind::Number, Value::Float(number)) => Some(number.to_string()),
        (Kind::List, Value::Array(items)) => {
            let items: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

fn wanted(setting: &Setting) -> &'static str {
    match setting.kind {
        Kind::Text if setting.secrecy == Secrecy::Hidden => "a string",
        Kind::Text => "a string, in quotes",
        Kind::Switch => "true or false",
        Kind::Number => "a number",
        Kind::Duration => "a string such as \"30s\" or \"5m\"",
        Kind::Size => "a number of bytes, or a string such as \"64KiB\"",
        Kind::List => "an array of strings",
    }
}
