//! What a test has a browser do: see `app/server/tests/it/web/store.rs`.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

/// Fails with what is different.
///
/// # Errors
/// A text.
#[wasm_bindgen]
pub async fn check_store(seed: u32, cases: u32) -> Result<(), JsValue> {
    sync_web::check::store(seed, cases).await.map_err(Into::into)
}
