//! The configuration for people: `starling config`, and docs/configuration.md.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{CONFIG_ENV, Config, Fallback, Kind, Secrecy, Setting, TABLE};

/// What stands for a value that must not be shown. Too short to be a secret: pasted back, it is refused.
const HIDDEN: &str = "<hidden>";

/// The effective configuration as TOML, each value with its origin as a comment.
pub fn toml(config: &Config) -> String {
    let mut text = format!("# {} mode\n", config.mode.name());
    let mut group = "";
    for setting in TABLE {
        let Some(found) = config.found(setting.key) else { continue };
        if group != setting.group {
            group = setting.group;
            let _ = write!(text, "\n# {group}\n");
        }
        let origin = &found.origin;
        let _ = match shown(setting, &found.text) {
            None => writeln!(text, "# {} is not set", setting.key),
            Some(value) => writeln!(text, "{} = {}  # {origin}", setting.key, literal(setting.kind, &value)),
        };
    }
    text
}

/// The same for programs.
pub fn json(config: &Config) -> Value {
    let settings: Vec<_> = TABLE
        .iter()
        .filter_map(|setting| {
            let found = config.found(setting.key)?;
            Some(json!({
                "key": setting.key,
                "env": setting.env,
                "value": shown(setting, &found.text),
                "source": found.origin.to_string(),
            }))
        })
        .collect();
    json!({ "mode": config.mode.name(), "settings": settings })
}

/// None when it is not set.
fn shown(setting: &Setting, text: &str) -> Option<String> {
    match setting.secrecy {
        _ if text.is_empty() && matches!(setting.fallback, Fallback::Unset) => None,
        Secrecy::Open => Some(text.into()),
        Secrecy::Hidden => Some(HIDDEN.into()),
        Secrecy::Url => Some(without_password(text)),
    }
}

/// A URL without its password and without parameters, which may hold one too.
pub(crate) fn without_password(text: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(text) else { return HIDDEN.into() };
    if url.password().is_some() && url.set_password(Some("hidden")).is_err() {
        return HIDDEN.into();
    }
    if url.query().is_some() {
        url.set_query(Some("hidden"));
    }
    url.into()
}

fn literal(kind: Kind, text: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match kind {
        Kind::Switch | Kind::Number => text.into(),
        Kind::Text | Kind::Duration | Kind::Size => quoted(text),
        Kind::List => {
            let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// docs/configuration.md.
pub fn markdown() -> String {
    let mut text = format!(
        "# Configuration\n\n\
         <!-- Generated from crates/server/src/config/table.rs: `UPDATE_GENERATED=1 cargo test -p server` writes it again. -->\n\n\
         Every setting has a key for a file, an environment variable and (unless it is a secret) a flag: `log_format`\n\
         in the file is `STARLING_LOG_FORMAT` in the environment and `--log-format` on the command line. A flag wins\n\
         over the environment, the environment over the file, the file over the default. The file is TOML with one\n\
         `key = value` a line; `{CONFIG_ENV}` or `--config` names it.\n\n\
         `starling config` prints what is in effect and where each value came from; `starling check` tries it. What\n\
         cannot work ends the process with exit code 2 and one line on stderr that names the setting and the mend; so\n\
         do unknown keys and unknown `STARLING_` variables.\n\n\
         Without `DATABASE_URL` and `REDIS_URL` the server is embedded: SQLite in its data folder, one process. With\n\
         both it is a node of a cluster. Some defaults differ: *embedded* / *cluster*.\n\n\
         Durations are a number and a unit (`250ms`, `30s`, `5m`, `12h`, `30d`), sizes are bytes (`65536`, `64KiB`,\n\
         `1MiB`), lists have commas in the environment and are arrays in the file.\n"
    );
    let mut group = "";
    for setting in TABLE {
        if group != setting.group {
            group = setting.group;
            let _ = write!(text, "\n## {group}\n\n| variable | key | default | |\n|---|---|---|---|\n");
        }
        let fallback = fallback_text(setting);
        let _ = writeln!(text, "| `{}` | `{}` | {fallback} | {} |", setting.env, setting.key, setting.doc.trim());
    }
    text
}

/// The default in a few words.
pub(crate) fn fallback_text(setting: &Setting) -> String {
    let one = |text: &str| match text {
        "" => "none".to_owned(),
        text => format!("`{text}`"),
    };
    match setting.fallback {
        Fallback::Unset => "none".into(),
        Fallback::Same(text) => one(text),
        Fallback::ByMode { embedded, cluster } => format!("{} / {}", one(embedded), one(cluster)),
        Fallback::Computed(text, _) => text.into(),
    }
}
