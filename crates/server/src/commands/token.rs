//! `starling token`: a token as another system would sign it, for trying things out.

use std::process::ExitCode;

use chat::{ExternalClaims, mint_external};
use time::OffsetDateTime;

use crate::{
    Failure,
    cli::{Token, TokenRole},
    commands::say,
    config::{Config, Mode},
    embedded,
};

pub(super) fn run(config: &Config, token: Token) -> Result<ExitCode, Failure> {
    let settings = &config.settings;
    let secret = match (&settings.jwt_secret, &config.mode) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Mode::Embedded) => embedded::read_secret(&settings.data_dir)?,
        (None, Mode::Cluster { .. }) => None,
    };
    let secret = secret.ok_or_else(|| {
        let mend = "set it to the secret of the server; an embedded server has made its own when it ran once";
        Failure::configuration("STARLING_JWT_SECRET", "is not set", mend)
    })?;
    let claims = ExternalClaims {
        sub: token.sub,
        exp: OffsetDateTime::now_utc().unix_timestamp() as u64 + token.ttl.as_secs(),
        org: token.org,
        preferred_username: token.username,
        name: token.name,
        picture: None,
        role: token.role.map(|role| match role {
            TokenRole::Admin => "admin".into(),
            TokenRole::Member => "member".into(),
        }),
        iss: settings.jwt_issuer.clone(),
        aud: settings.jwt_audience.clone(),
    };
    say(mint_external(&secret, &claims).map_err(Failure::failed)?);
    Ok(ExitCode::SUCCESS)
}
