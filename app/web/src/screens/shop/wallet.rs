//! The wallet: what is in it, what came and went, and giving money to somebody.

use endpaper_api::Text;
use endpaper_api::shop::{EntryKind, Transfer, Wallet, WalletEntry};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use stdx::IdSource;
use sync::engine::Trouble;

use super::{Aisles, NotHad, when};
use crate::api::{asked, why};
use crate::cart::Gift;
use crate::reader::Reader;
use crate::ui::toasts::Toasts;
use crate::words::{t, won};

/// The screen.
#[component]
pub fn WalletScreen() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (wallet, failed) = (RwSignal::new(None::<Wallet>), RwSignal::new(None::<String>));
    let ask = move || {
        spawn_local(async move {
            match reader.server().ask::<Wallet>(&asked("GET", "/api/v1/shop/wallet")).await {
                Ok(found) => {
                    failed.try_set(None);
                    wallet.try_set(Some(found));
                }
                Err(trouble) => drop(failed.try_set(Some(why(trouble)))),
            }
        });
    };
    ask();
    let inside = move || {
        wallet.get().map(|wallet| {
            let entries = wallet.entries.iter().map(entry).collect_view();
            view! {
                <p class="balance">{won(wallet.balance)}</p>
                <Give given=ask/>
                <section>
                    <h2>{t("들어오고 나간 돈", "What came and went")}</h2>
                    <ul class="goods">{entries}</ul>
                </section>
            }
        })
    };
    let trouble = move || failed.get().map(|why| view! { <NotHad why again=ask/> });
    view! {
        <Aisles title=t("지갑", "Wallet")/>
        {trouble}{inside}
    }
}

fn entry(entry: &WalletEntry) -> impl IntoView + use<> {
    let kind = match (entry.kind, entry.amount < 0) {
        (EntryKind::Charge, _) => t("충전", "Paid in"),
        (EntryKind::Transfer, true) => t("보냄", "Given"),
        (EntryKind::Transfer, false) => t("받음", "Received"),
        (EntryKind::Payment, _) => t("주문", "An order"),
        (EntryKind::Refund, _) => t("환불", "A refund"),
    };
    let name = match entry.order_id {
        Some(order) => view! { <A href=format!("/shop/orders/{order}")>{kind}</A> }.into_any(),
        None => view! { <strong>{kind}</strong> }.into_any(),
    };
    let left = t(
        format!("{} · 남은 돈 {}", when(entry.at), won(entry.balance)),
        format!("{} · {} left", when(entry.at), won(entry.balance)),
    );
    let sign = if entry.amount > 0 { "+" } else { "" };
    view! {
        <li>
            <div>{name}<span>{left}</span></div>
            <div class="price"><strong>{sign}{won(entry.amount)}</strong></div>
        </li>
    }
}

/// Gives money to another reader. What was sent is kept until there is an answer, and sent
/// again under the same id: it is given once.
#[component]
fn Give(
    /// Called when it was given.
    given: impl Fn() + Copy + 'static,
) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let (to, amount) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let (said, busy) = (RwSignal::new(None::<String>), RwSignal::new(false));
    let send = move |gift: Gift| async move {
        let id = Text::new(&gift.id.to_string()).ok();
        let Ok(whom) = Text::new(&gift.to) else { return };
        let request = Transfer { id, to: whom, amount: gift.amount };
        let asked = asked("POST", "/api/v1/shop/wallet/transfers").json(&request);
        match reader.server().ask::<i64>(&asked).await {
            Ok(_) => {
                reader.drop_gift(&gift).await;
                toasts.say(t(
                    format!("{} 님에게 {}을 보냈습니다.", gift.to, won(gift.amount)),
                    format!("{} was given to {}.", won(gift.amount), gift.to),
                ));
                given();
            }
            Err(Trouble::Rejected(failure) | Trouble::Stopped(failure)) => {
                reader.drop_gift(&gift).await;
                said.try_set(Some(failure.message));
            }
            Err(trouble) => drop(said.try_set(Some(why(trouble)))),
        }
    };
    // Whose answer was not seen is sent again.
    busy.set(true);
    spawn_local(async move {
        if let Some(gift) = reader.gift().await {
            to.try_set(gift.to.clone());
            amount.try_set(gift.amount.to_string());
            send(gift).await;
        }
        busy.try_set(false);
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let Ok(won) = amount.get_untracked().trim().parse() else { return };
        let (whom, id) = (to.get_untracked().trim().to_owned(), IdSource::system().next_uuid());
        busy.set(true);
        said.set(None);
        spawn_local(async move {
            // One that waits for its answer comes first.
            let wanted = Gift { id, to: whom, amount: won };
            if let Some(gift) = reader.keep_gift(wanted.clone()).await {
                if (&gift.to, gift.amount) != (&wanted.to, wanted.amount) {
                    said.try_set(Some(t(
                        format!("{} 님에게 보낸 돈의 답을 먼저 기다립니다.", gift.to),
                        format!("The answer to what was given to {} comes first.", gift.to),
                    )));
                }
                send(gift).await;
            }
            busy.try_set(false);
        });
    };
    let field = |label, kind, value: RwSignal<String>, mode| {
        view! {
            <label class="field">
                <span>{label}</span>
                <input type=kind inputmode=mode required=true min="1" max="100000000" autocomplete="off"
                    prop:value=move || value.get()
                    on:input=move |event| value.set(event_target_value(&event))/>
            </label>
        }
    };
    view! {
        <details class="give">
            <summary>{t("다른 독자에게 보내기", "Give money to another reader")}</summary>
            <form class="fields" on:submit=submit>
                {field(t("누구에게 (아이디)", "To whom (log-in id)"), "text", to, "text")}
                {field(t("얼마 (원)", "How much (won)"), "number", amount, "numeric")}
                <p class="refusal" role="alert">{move || said.get()}</p>
                <button class="primary" disabled=move || busy.get()>{t("보내기", "Give")}</button>
            </form>
        </details>
    }
}
