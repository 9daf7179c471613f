//! The cart of the reader who is here, and ordering what is in it.

use endpaper_api::shop::Order;
use leptos::prelude::*;
use leptos::task::spawn_local;
use stdx::IdSource;
use sync::engine::Trouble;
use uuid::Uuid;

use crate::api::{asked, why};
use crate::cart::{Cart, Unchanged};
use crate::reader::Reader;
use crate::ui::toasts::Toasts;
use crate::words::{self, t};

/// The cart, as this tab saw it last, and how an order stands that was sent.
#[derive(Clone, Copy)]
pub struct Shopping {
    reader: Reader,
    toasts: Toasts,
    cart: RwSignal<Cart>,
    /// Whether it is being sent at this moment.
    is_sending: RwSignal<bool>,
}

/// What came of an order that was sent.
#[derive(Clone, Debug)]
pub enum Sent {
    /// It is there.
    Made(Box<Order>),
    /// The shop says no, and why: the cart can be changed.
    Refused(String),
    /// There is no answer: it is sent again, and stays one order.
    Unanswered(String),
    /// There was nothing to send, or it is being sent.
    Nothing,
}

impl Shopping {
    /// Of a reader. What was sent before the page was closed is sent again: the answer was not
    /// seen.
    #[must_use]
    pub fn open(reader: Reader, toasts: Toasts) -> Self {
        let (cart, is_sending) = (RwSignal::new(Cart::default()), RwSignal::new(false));
        let shopping = Self { reader, toasts, cart, is_sending };
        spawn_local(async move {
            shopping.look().await;
            if shopping.cart.with_untracked(|cart| cart.sent.is_some()) {
                shopping.say(shopping.send().await);
            }
        });
        shopping
    }

    /// The cart.
    #[must_use]
    pub fn cart(self) -> Cart {
        self.cart.get()
    }

    /// Whether it is being sent at this moment.
    #[must_use]
    pub fn is_sending(self) -> bool {
        self.is_sending.get()
    }

    /// Sees what other tabs have put in.
    pub async fn look(self) {
        match self.reader.cart().await {
            Ok(cart) => self.cart.set(cart),
            Err(error) => self.toasts.say(words::store(&error)),
        }
    }

    /// Changes the cart, and says why where it was not changed. Whether it was.
    pub async fn change(self, change: impl FnOnce(&mut Cart) -> Result<(), Unchanged>) -> bool {
        match self.reader.change_cart(change).await {
            Ok((cart, changed)) => {
                self.cart.set(cart);
                if let Err(unchanged) = changed {
                    self.toasts.say(unchanged_because(unchanged));
                }
                changed.is_ok()
            }
            Err(error) => {
                self.toasts.say(words::store(&error));
                false
            }
        }
    }

    /// Sends the cart as an order: its id is on the disk before that, so that it is one order
    /// however often it is sent.
    pub async fn send(self) -> Sent {
        if self.is_sending.get_untracked() {
            return Sent::Nothing;
        }
        self.is_sending.set(true);
        let sent = self.send_once().await;
        self.is_sending.set(false);
        sent
    }

    async fn send_once(self) -> Sent {
        let new = || IdSource::system().next_uuid();
        let (cart, request) = match self.reader.change_cart(|cart| cart.send(new)).await {
            Ok(changed) => changed,
            Err(error) => return Sent::Refused(words::store(&error)),
        };
        self.cart.set(cart);
        let Some((id, request)) = request else { return Sent::Nothing };
        let asked = asked("POST", "/api/v1/shop/orders").json(&request);
        match self.reader.server().ask::<Order>(&asked).await {
            Ok(order) => {
                self.settle(|cart| cart.made(id)).await;
                Sent::Made(Box::new(order))
            }
            Err(Trouble::Rejected(failure) | Trouble::Stopped(failure)) => {
                self.settle(|cart| cart.refused(id)).await;
                Sent::Refused(failure.message)
            }
            Err(trouble) => Sent::Unanswered(why(trouble)),
        }
    }

    /// What can't be kept now is asked again later, and hears the same.
    async fn settle(self, change: impl FnOnce(&mut Cart)) {
        if let Ok((cart, ())) = self.reader.change_cart(change).await {
            self.cart.set(cart);
        }
    }

    /// Says what came of it where no screen does.
    fn say(self, sent: Sent) {
        match sent {
            Sent::Made(_) => {
                self.toasts.say(t("주문이 들어갔습니다.", "Your order is in."));
            }
            Sent::Refused(why) => self.toasts.say(why),
            Sent::Unanswered(_) | Sent::Nothing => {}
        }
    }

    /// The order that is being sent at this moment, for who is not told when that changes;
    /// nothing at all where nobody is here any more.
    #[must_use]
    pub fn is_sending_now(self) -> Option<Option<Uuid>> {
        let is_sending = self.is_sending.try_get_untracked()?;
        let sent = self.cart.try_with_untracked(|cart| cart.sent)?;
        Some(sent.filter(|_| is_sending))
    }

    /// Forgets the coupon that was chosen where it can't be used any more.
    pub async fn use_only(self, usable: &[Uuid]) {
        self.settle(|cart| cart.use_only(usable)).await;
    }

    /// The id under which it was sent, while there is no answer.
    #[must_use]
    pub fn sent(self) -> Option<Uuid> {
        self.cart.with(|cart| cart.sent)
    }
}

fn unchanged_because(unchanged: Unchanged) -> &'static str {
    match unchanged {
        Unchanged::Sent => t(
            "보낸 주문의 답을 기다리는 동안은 장바구니를 바꿀 수 없습니다.",
            "The cart can't be changed while the answer to your order has not come.",
        ),
        Unchanged::Full => t(
            "더 담을 수 없습니다. 한 번에 50종, 한 종에 999권까지입니다.",
            "There is no room for more: 50 books at once, and 999 copies of each.",
        ),
    }
}
