//! The domains, wired to one store.

use axum::Router;
use multi_master::MultiMaster;

use crate::config::Settings;
use crate::failure::Result;
use crate::http::{document, health};

/// Everything that is served, over one store.
pub(crate) struct App {
    store: MultiMaster,
}

impl App {
    pub(crate) async fn new(_settings: &Settings, store: MultiMaster) -> Result<Self> {
        Ok(Self { store })
    }

    pub(crate) fn router(&self) -> Router {
        health::router(self.store.clone()).merge(document::router(&document::whole()))
    }

    pub(crate) async fn finish(&self) {}
}
