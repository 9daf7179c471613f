//! Short messages that come and go: of what was done behind the screen, and of what can be
//! taken back.

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use sync::engine::Notice;

use crate::words::{self, t};

/// How long a message stays.
const STAYS: Duration = Duration::from_secs(6);
/// More at once are not shown, but for what can be taken back: the oldest goes.
const SHOWN_MAX: usize = 4;

/// What a person can take back: the words for it, and how.
type Undo = (&'static str, Arc<dyn Fn() + Send + Sync>);

#[derive(Clone)]
struct Toast {
    id: u32,
    text: String,
    undo: Option<Undo>,
}

/// The messages that are shown. A copy is the same ones.
#[derive(Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    last: StoredValue<u32>,
}

impl Default for Toasts {
    fn default() -> Self {
        Self { shown: RwSignal::new(Vec::new()), last: StoredValue::new(0) }
    }
}

impl Toasts {
    /// Says something.
    pub fn say(self, text: impl Into<String>) {
        self.show(text.into(), None, STAYS, || {});
    }

    /// Says something that can be taken back: by `undo`, else `then` is called when it goes.
    pub fn offer(
        self,
        text: String,
        label: &'static str,
        stays: Duration,
        undo: impl Fn() + Send + Sync + 'static,
        then: impl Fn() + 'static,
    ) {
        self.show(text, Some((label, Arc::new(undo))), stays, then);
    }

    fn show(self, text: String, undo: Option<Undo>, stays: Duration, then: impl Fn() + 'static) {
        let id = self.last.get_value() + 1;
        self.last.set_value(id);
        self.shown.update(|shown| {
            // What can be taken back stays for as long as it can.
            let goes = shown.iter().position(|toast| toast.undo.is_none());
            if shown.len() >= SHOWN_MAX
                && let Some(goes) = goes
            {
                shown.remove(goes);
            }
            shown.push(Toast { id, text, undo });
        });
        set_timeout(
            move || {
                self.hide(id);
                then();
            },
            stays,
        );
    }

    fn hide(self, id: u32) {
        self.shown.update(|shown| shown.retain(|toast| toast.id != id));
    }

    /// Says what the engine tells its observers, where a person should know it.
    pub fn notice(self, notice: &Notice) {
        match notice {
            Notice::Refused { failure, .. } => self.say(t(
                format!("서버가 받지 않은 것이 있습니다: {}", words::failure(failure)),
                format!("The server did not take an edit: {}", words::failure(failure)),
            )),
            Notice::Kept { .. } => self.say(t(
                "다른 기기에서 고친 것과 겹쳐, 이 기기의 글을 따로 보관했습니다. 동기화 화면에서 되살릴 수 있습니다.",
                "Another device changed the same words. Yours are kept beside it: see Sync, where you can put them back.",
            )),
            Notice::LogIn => self.say(t(
                "다시 로그인해 주세요. 적은 것은 그대로 있습니다.",
                "Log in again, please. Nothing that you wrote is lost.",
            )),
            Notice::Stopped(failure) => self.say(words::failure(failure)),
            Notice::PutBack(_) => self.say(t(
                "서버가 이전 상태로 되돌아가, 없어진 것을 다시 보냅니다.",
                "The server was put back from a backup: what it lost is sent again.",
            )),
            Notice::Record(_) | Notice::Status => {}
        }
    }
}

/// Shows the messages.
#[component]
pub fn ToastList(
    /// Which.
    toasts: Toasts,
) -> impl IntoView {
    let one = move |toast: Toast| {
        let id = toast.id;
        let undo = toast.undo.map(|(label, undo)| {
            let click = move |_| {
                undo();
                toasts.hide(id);
            };
            view! { <button type="button" on:click=click>{label}</button> }
        });
        view! { <li><span>{toast.text}</span>{undo}</li> }
    };
    view! {
        <div role="status" aria-live="polite">
            <ul class="toasts">
                <For each=move || toasts.shown.get() key=|toast| toast.id children=one/>
            </ul>
        </div>
    }
}
