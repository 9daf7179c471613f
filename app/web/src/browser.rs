//! What a browser has, in few words.

use std::time::Duration;

use leptos::prelude::{ArcRwSignal, Set as _};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{Document, HtmlElement, Storage, Window};

/// The window. Screens are shown in one; a service worker shows none.
pub(crate) fn window() -> Window {
    web_sys::window().expect("screens are shown in a window")
}

pub(crate) fn document() -> Document {
    window().document().expect("a window has a document")
}

fn storage() -> Option<Storage> {
    // A browser may forbid it.
    window().local_storage().ok().flatten()
}

/// Small choices that are of this browser and nobody's account.
pub(crate) fn remembered(name: &str) -> Option<String> {
    storage()?.get_item(name).ok().flatten()
}

pub(crate) fn remember(name: &str, value: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(name, value);
    }
}

/// The person's languages, the first one first.
pub(crate) fn languages() -> String {
    let all: Vec<String> =
        window().navigator().languages().iter().filter_map(|tag| tag.as_string()).collect();
    all.join(",")
}

pub(crate) fn set_page_language(tag: &str) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("lang", tag);
    }
}

/// What `static/index.html` said while the app was on its way.
pub(crate) fn remove_first_words() {
    if let Ok(Some(words)) = document().query_selector(".first-words") {
        words.remove();
    }
}

pub(crate) fn set_title(title: &str) {
    document().set_title(title);
}

/// For as long nothing is done.
pub(crate) async fn pause(pause: Duration) {
    let millis = i32::try_from(pause.as_millis()).unwrap_or(i32::MAX);
    let promise = js_sys::Promise::new(&mut |done, _| {
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&done, millis);
    });
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
}

pub(crate) fn reload() {
    let _ = window().location().reload();
}

/// Whether the device has a network at all, as far as the browser knows.
pub(crate) fn has_network() -> bool {
    window().navigator().on_line()
}

/// Whether a person looks at this page.
pub(crate) fn is_seen() -> bool {
    !document().hidden()
}

/// Calls back at each event of this name, for as long as the page is there.
pub(crate) fn on_window(name: &str, heard: impl Fn() + 'static) {
    let heard = Closure::<dyn Fn()>::new(heard);
    let _ = window().add_event_listener_with_callback(name, heard.as_ref().unchecked_ref());
    heard.forget();
}

/// As [`on_window`], of the document.
pub(crate) fn on_document(name: &str, heard: impl Fn() + 'static) {
    let heard = Closure::<dyn Fn()>::new(heard);
    let _ = document().add_event_listener_with_callback(name, heard.as_ref().unchecked_ref());
    heard.forget();
}

/// What the browser says of itself, for the name of this device.
pub(crate) fn device_name() -> String {
    let agent = window().navigator().user_agent().unwrap_or_default();
    let browser =
        [("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let system = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ];
    let of = |known: &[(&str, &'static str)]| {
        known.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    let parts: Vec<&str> = [of(&browser), of(&system)].into_iter().flatten().collect();
    parts.join(", ")
}

/// Room in the browser's store: used, and given, in bytes.
pub(crate) async fn room() -> Option<(f64, f64)> {
    let estimate = window().navigator().storage().estimate().ok()?;
    let estimate = wasm_bindgen_futures::JsFuture::from(estimate).await.ok()?;
    let number = |name: &str| js_sys::Reflect::get(&estimate, &name.into()).ok()?.as_f64();
    Some((number("usage")?, number("quota")?))
}

/// Whether the browser throws nothing away that the person has not asked to.
pub(crate) async fn is_persistent() -> bool {
    let asked = window().navigator().storage().persisted();
    yes(asked).await
}

/// Asks the browser for that.
pub(crate) async fn ask_to_persist() -> bool {
    let asked = window().navigator().storage().persist();
    yes(asked).await
}

async fn yes(asked: Result<js_sys::Promise, JsValue>) -> bool {
    let Ok(asked) = asked else { return false };
    wasm_bindgen_futures::JsFuture::from(asked).await.is_ok_and(|yes| yes.is_truthy())
}

/// Gives the person a file.
pub(crate) fn give_file(name: &str, content: &str) -> Option<()> {
    let parts = js_sys::Array::of1(&content.into());
    let blob = web_sys::Blob::new_with_str_sequence(&parts).ok()?;
    let url = web_sys::Url::create_object_url_with_blob(&blob).ok()?;
    let link: web_sys::HtmlAnchorElement = document().create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    let _ = web_sys::Url::revoke_object_url(&url);
    Some(())
}

/// The file that the person chose, as text.
pub(crate) async fn chosen_file(event: &web_sys::Event) -> Option<String> {
    let input: web_sys::HtmlInputElement = event.target()?.dyn_into().ok()?;
    let file = input.files()?.get(0)?;
    let text = wasm_bindgen_futures::JsFuture::from(file.text()).await.ok()?;
    // The same file can be chosen again.
    input.set_value("");
    text.as_string()
}

/// Puts the cursor into the element of this id.
pub(crate) fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id)
        && let Ok(element) = element.dyn_into::<HtmlElement>()
    {
        let _ = element.focus();
    }
}

/// Opens a part that is folded.
pub(crate) fn unfold(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        let _ = element.set_attribute("open", "");
    }
}

/// Asks the browser to wake the service worker when there is a network (WICG, *Background
/// Synchronization*). None where it can't.
pub(crate) async fn register_sync(tag: &str) -> Option<()> {
    use js_sys::{Function, Promise, Reflect};
    let ready = window().navigator().service_worker().ready().ok()?;
    let registration = wasm_bindgen_futures::JsFuture::from(ready).await.ok()?;
    let sync = Reflect::get(&registration, &"sync".into()).ok().filter(JsValue::is_object)?;
    let register: Function = Reflect::get(&sync, &"register".into()).ok()?.dyn_into().ok()?;
    let asked: Promise = register.call1(&sync, &tag.into()).ok()?.dyn_into().ok()?;
    wasm_bindgen_futures::JsFuture::from(asked).await.ok().map(drop)
}

/// Whether the browser trusts the address: without that it keeps nothing for it.
pub(crate) fn is_secure() -> bool {
    window().is_secure_context()
}

thread_local! {
    static NEWER: ArcRwSignal<bool> = heard_of("endpaper-newer");
    static INSTALLABLE: ArcRwSignal<bool> = heard_of("endpaper-installable");
}

/// Becomes true when the window hears of it.
fn heard_of(event: &str) -> ArcRwSignal<bool> {
    let is_heard = ArcRwSignal::new(false);
    on_window(event, {
        let is_heard = is_heard.clone();
        move || is_heard.set(true)
    });
    is_heard
}

/// Begins to hear what `static/boot.js` tells, which may be before anybody asks for it.
pub(crate) fn listen() {
    NEWER.with(|_| ());
    INSTALLABLE.with(|installable| installable.set(install_prompt().is_some()));
    // The link of a mail, opened where the page of such links is open.
    on_window("hashchange", || {
        if window().location().pathname().is_ok_and(|path| path == RESET) {
            reload();
        }
    });
}

/// Whether a newer version of the app waits to be loaded.
pub(crate) fn newer_version() -> ArcRwSignal<bool> {
    NEWER.with(Clone::clone)
}

/// Whether the browser can install the app, and has not yet.
pub(crate) fn is_installable() -> ArcRwSignal<bool> {
    INSTALLABLE.with(Clone::clone)
}

/// What the browser gives for that (*Manifest Incubations*): it can be used once.
fn install_prompt() -> Option<JsValue> {
    let prompt = js_sys::Reflect::get(&window(), &"endpaperInstall".into()).ok()?;
    prompt.is_object().then_some(prompt)
}

/// The browser asks the person whether to install the app.
pub(crate) fn install() {
    let Some(event) = install_prompt() else { return };
    let _ = js_sys::Reflect::delete_property(&window(), &"endpaperInstall".into());
    INSTALLABLE.with(|installable| installable.set(false));
    let prompt = js_sys::Reflect::get(&event, &"prompt".into());
    if let Some(prompt) = prompt.ok().and_then(|it| it.dyn_into::<js_sys::Function>().ok()) {
        // What they answer is theirs: where it is no, the browser asks again another day.
        let _ = prompt.call0(&event);
    }
}

/// Loads the newer version: in every tab.
pub(crate) fn take_newer_version() {
    let event = web_sys::Event::new("endpaper-take-newer");
    if let Ok(event) = event {
        let _ = window().dispatch_event(&event);
    }
}

/// Opens the first screen anew.
pub(crate) fn go_home() {
    let _ = window().location().set_href("/");
}

/// Where a mail for setting the password anew leads.
pub(crate) const RESET: &str = "/reset-password";

/// What such a mail has after the `#`. It stands in the address no longer; the page's path is
/// `then` from now on.
pub(crate) fn take_reset_token(then: &str) -> Option<String> {
    let location = window().location();
    if location.pathname().ok()? != RESET {
        return None;
    }
    let hash = location.hash().ok()?;
    let token =
        web_sys::UrlSearchParams::new_with_str(hash.trim_start_matches('#')).ok()?.get("token");
    let history = window().history().ok()?;
    let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(then));
    token
}
