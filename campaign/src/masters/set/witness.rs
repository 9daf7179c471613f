//! The witness that several workers share.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use lab::{LabError, Proxy};
use multi_master::WitnessServer;
use tokio::runtime::Runtime;

/// A witness, and what is between it and the workers.
pub(super) struct Witness {
    pub(super) network: Proxy,
    /// It serves until this is dropped.
    _runtime: Runtime,
}

impl Witness {
    pub(super) fn start(folder: &Path) -> Result<Self, LabError> {
        let failed = |source: std::io::Error| LabError::Disk { path: folder.to_owned(), source };
        let server = WitnessServer::hold(folder, None)
            .map_err(|why| failed(std::io::Error::other(why.to_string())))?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(failed)?;
        {
            let _entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            runtime.spawn(Arc::new(server).serve(listener));
        }
        Ok(Self { network: Proxy::to(address)?, _runtime: runtime })
    }

    pub(super) fn url(&self) -> String {
        format!("witness://{}/campaign", self.network.address())
    }
}
