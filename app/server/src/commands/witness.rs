//! `endpaper witness`.

use std::sync::Arc;

use multi_master::WitnessServer;
use tokio::net::TcpListener;

use super::serve::{stop_signal, stopped};
use super::{Talk, print, with_settings};
use crate::cli::Witness;
use crate::config::Settings;
use crate::failure::{Failure, Result};

pub(crate) fn run(arguments: &Witness) -> Result {
    with_settings(&arguments.flags(), Talk::Server, witness)
}

async fn witness(settings: Settings) -> Result {
    // Before anything else, so that a signal during the start is not lost.
    let stop = stop_signal()?;
    let address = settings.witness.listen;
    if settings.witness.token.is_none() && !address.ip().is_loopback() {
        return Err(Failure::new(format!(
            "on {address} others could say who serves: set `witness.token` \
             (ENDPAPER_WITNESS_TOKEN), here and as witness://TOKEN@HOST:PORT in `store.witness` of \
             each server"
        )));
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(format!("can't listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let folder = settings.data.join("witness");
    let server = WitnessServer::hold(&folder, settings.witness.token)?;
    tracing::info!(folder = %folder.display(), "the witness is ready");
    print(&format!("listening on witness://{address}"));
    tokio::select! {
        () = Arc::new(server).serve(listener) => {}
        () = stopped(stop) => {}
    }
    tracing::info!("stopped");
    Ok(())
}
