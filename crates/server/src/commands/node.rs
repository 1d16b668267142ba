//! `starling serve`, `gateway` and `api`: a node from its start to its end.

use std::{future::Future, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    Failure, Node, bind,
    commands::{runtime, say},
    config::{Config, Role},
    limits,
    telemetry::Telemetry,
};

/// Tasks that are still at work when all is done get this.
const LAST: Duration = Duration::from_secs(1);

pub(super) fn run(config: &Config, role: Role) -> Result<ExitCode, Failure> {
    let telemetry = Telemetry::start(&config.settings)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(config, role, &telemetry));
    runtime.shutdown_timeout(LAST);
    telemetry.shutdown();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: &Config, role: Role, telemetry: &Telemetry) -> Result<(), Failure> {
    // Before anybody can be told that we are here: from then on a signal must end the node cleanly.
    let shutdown = shutdown_signal()?;
    let public = bind("STARLING_LISTEN", &config.settings.listen).await?;
    let admin = match &config.settings.admin_listen {
        Some(address) => Some(bind("STARLING_ADMIN_LISTEN", address).await?),
        None => None,
    };
    let gone = |error: std::io::Error| Failure::failed(format_args!("the listener is gone: {error}"));
    let address = public.local_addr().map_err(gone)?;
    let node = Node::start(config, role, address, telemetry).await?;
    // Only now: who cannot start says so in one line and nothing else.
    let version = env!("CARGO_PKG_VERSION");
    let open_files = limits::raise_open_files();
    tracing::info!(version, role = role.name(), mode = config.mode.name(), %address, open_files, "starling");
    say(format_args!("listening on http://{address}"));
    if let Some(admin) = &admin {
        say(format_args!("admin on http://{}", admin.local_addr().map_err(gone)?));
    }
    crate::run(node, public, admin, shutdown).await;
    Ok(())
}

/// Over with the first SIGTERM or SIGINT; the second one ends the process at once.
fn shutdown_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::failed(format_args!("cannot listen to signals: {error}")));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        let name = next(&mut term, &mut int).await.0;
        tracing::info!(signal = name, "ending; a second signal ends at once");
        tokio::spawn(async move {
            let (name, code) = next(&mut term, &mut int).await;
            tracing::warn!(signal = name, "ending at once");
            std::process::exit(code);
        });
    })
}

/// The next signal's name, and the exit code of who dies of it.
async fn next(term: &mut Signal, int: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = term.recv() => ("SIGTERM", 143),
        _ = int.recv() => ("SIGINT", 130),
    }
}
