//! What a browser has in its tabs and in its workers alike.

use std::time::Duration;

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbFactory, Request};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = indexedDB)]
    pub(crate) static INDEXED_DB: IdbFactory;

    pub(crate) fn fetch(request: &Request) -> Promise;

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, millis: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    pub(crate) fn request_lock(
        name: &str,
        options: &JsValue,
        granted: &Function,
    ) -> Result<Promise, JsValue>;
}

/// A promise, and what resolves it.
pub(crate) fn promise() -> (Promise, Function) {
    let mut resolve = None;
    let promise = Promise::new(&mut |resolves, _| resolve = Some(resolves));
    (promise, resolve.expect("a promise calls back at once"))
}

/// Waits; dropped, it waits no more.
pub(crate) async fn sleep(pause: Duration) {
    struct Timer(JsValue);
    impl Drop for Timer {
        fn drop(&mut self) {
            clear_timeout(&self.0);
        }
    }
    // The longest that a browser can wait is 2³¹ ms.
    let millis = pause.as_secs_f64().min(1_000_000.0) * 1_000.0;
    let (promise, resolve) = promise();
    let _timer = Timer(set_timeout(&resolve, millis));
    let _ = JsFuture::from(promise).await;
}

/// What a thing of JavaScript says of itself.
pub(crate) fn text_of(value: &JsValue) -> String {
    let text =
        value.as_string().or_else(|| js_sys::Object::from(value.clone()).to_string().as_string());
    text.unwrap_or_default()
}
