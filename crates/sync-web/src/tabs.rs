//! Tabs of one account: what they tell each other (HTML, *BroadcastChannel*), and which of
//! them leads (W3C, *Web Locks API*).

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use js_sys::Function;
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, BroadcastChannel, MessageEvent};

use crate::device::Message;
use crate::idb::{failed, object};
use crate::js::{self, promise};
use crate::store::StoreError;

/// What another tab or worker says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It asks who leads to send everything now.
    Asked,
    Said(Box<Message>),
    /// Something that this program does not know: somebody is there all the same.
    Unknown,
}

/// What is heard of other tabs and workers, and said to them.
pub(crate) struct Channel {
    channel: BroadcastChannel,
    _hears: Closure<dyn FnMut(MessageEvent)>,
}

impl Channel {
    /// `hears` is called with what others say.
    pub(crate) fn open(name: &str, hears: impl Fn(Heard) + 'static) -> Result<Self, StoreError> {
        let channel = BroadcastChannel::new(name).map_err(failed)?;
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let text = event.data().as_string().unwrap_or_default();
            hears(match serde_json::from_str(&text) {
                Ok(None) => Heard::Asked,
                Ok(Some(message)) => Heard::Said(Box::new(message)),
                // A newer program may say more: it replaces this one soon.
                Err(_) => Heard::Unknown,
            });
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok(Self { channel, _hears: on_message })
    }

    pub(crate) fn post(&self, message: &Message) {
        self.say(&serde_json::to_string(message).expect("messages are JSON"));
    }

    /// Asks who leads to send everything now.
    pub(crate) fn ask(&self) {
        self.say("null");
    }

    fn say(&self, text: &str) {
        // Only a channel that is closed refuses.
        let _ = self.channel.post_message(&text.into());
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.close();
    }
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Waits until it is free.
    Waits,
    /// Takes it where it is free now.
    IfFree,
    /// Takes it away from who has it.
    Steals,
}

/// A lock that is held: by one tab or worker at most. It is free again when this is dropped,
/// and when the tab ends, however that happens.
pub(crate) struct Lock {
    release: Function,
    /// Where it was waited for, and may still be.
    waits: Option<AbortController>,
    /// Ends when somebody took it away.
    lost: LocalBoxFuture<'static, ()>,
}

impl Lock {
    /// None where it is not free, and is not waited for.
    pub(crate) async fn get(name: &str, asks: Asks) -> Result<Option<Self>, StoreError> {
        let waits = (asks == Asks::Waits).then(AbortController::new).transpose().map_err(failed)?;
        let options = match asks {
            Asks::Waits => {
                object(&[("signal", waits.as_ref().map(AbortController::signal).into())])
            }
            Asks::IfFree => object(&[("ifAvailable", true.into())]),
            Asks::Steals => object(&[("steal", true.into())]),
        };
        let (answered, answer) = promise();
        // The browser keeps the lock until this is resolved.
        let (held, release) = promise();
        let granted = Closure::once_into_js(move |lock: JsValue| -> JsValue {
            let is_granted = !lock.is_null();
            let _ = answer.call1(&JsValue::NULL, &is_granted.into());
            if is_granted { held.into() } else { JsValue::UNDEFINED }
        });
        let request = js::request_lock(name, &options, granted.unchecked_ref()).map_err(failed)?;
        let mut lock =
            Self { release, waits, lost: JsFuture::from(request).map(drop).boxed_local() };
        let is_granted = tokio::select! {
            biased;
            answered = JsFuture::from(answered) => answered.is_ok_and(|granted| granted.is_truthy()),
            // The browser allows none.
            () = &mut lock.lost => false,
        };
        Ok(is_granted.then_some(lock))
    }

    /// Ends when somebody took it away.
    pub(crate) async fn lost(&mut self) {
        (&mut self.lost).await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that is not given yet is not given any more: who is frozen could not give it back.
        if let Some(waits) = &self.waits {
            waits.abort();
        }
        let _ = self.release.call0(&JsValue::NULL);
    }
}
