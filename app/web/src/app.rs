//! Who is here, and which screen that leads to.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::path;
use sync::queue::RecordState;
use sync::watch::Watch;
use sync_web::StoreError;

use crate::account::{self, Account};
use crate::browser;
use crate::reader::{self, Reader};
use crate::screens::book::BookScreen;
use crate::screens::door::{Door, Reset};
use crate::screens::find::Find;
use crate::screens::me::Me;
use crate::screens::shelf::Shelf;
use crate::screens::shop::cart::CartScreen;
use crate::screens::shop::coupons::Coupons;
use crate::screens::shop::orders::{OrderScreen, Orders};
use crate::screens::shop::products::Products;
use crate::screens::shop::wallet::WalletScreen;
use crate::screens::sync::SyncCentre;
use crate::screens::today::Today;
use crate::shopping::Shopping;
use crate::ui::state::Sign;
use crate::ui::toasts::{ToastList, Toasts};
use crate::words::{self, count, t};

/// Who is here.
#[derive(Clone)]
enum Who {
    /// Not known yet: for as long as it takes to look into the database.
    Unknown,
    Nobody,
    Reader(Reader),
    /// The browser's store can't be used.
    Closed(StoreError),
}

/// All of it.
#[component]
pub fn App() -> impl IntoView {
    let toasts = Toasts::default();
    provide_context(toasts);
    let who = RwSignal::new_local(Who::Unknown);
    let owner = StoredValue::new(Owner::current().expect("a component has one"));
    let enter = move |account: Account| {
        spawn_local(async move {
            who.set(match Reader::open(account, toasts, &owner.get_value()).await {
                Ok(reader) => {
                    if !reader.drafts().await.is_empty() {
                        toasts.say(t(
                            "쓰다 만 메모가 있습니다. 동기화 화면에서 이어 쓸 수 있습니다.",
                            "There is a memo that was begun and not finished: go on with it under Sync.",
                        ));
                    }
                    Who::Reader(reader)
                }
                Err(error) => Who::Closed(error),
            });
        });
    };
    spawn_local(async move {
        match account::last().await {
            Ok(Some(account)) => enter(account),
            Ok(None) => who.set(Who::Nobody),
            Err(error) => who.set(Who::Closed(error)),
        }
        reader::forget_others().await;
    });
    let screen = move || match who.get() {
        Who::Unknown => ().into_any(),
        Who::Nobody => view! { <Door enters=enter/> }.into_any(),
        Who::Reader(reader) => view! { <Inside reader/> }.into_any(),
        Who::Closed(error) => view! { <Closed error/> }.into_any(),
    };
    view! {
        {screen}
        <ToastList toasts/>
    }
}

/// The store can't be used: why, and what to do.
#[component]
fn Closed(error: StoreError) -> impl IntoView {
    let why = if browser::is_secure() {
        words::store(&error)
    } else {
        t(
            "이 주소는 안전한 연결(https)이 아니어서 브라우저가 오프라인 저장을 허락하지 않습니다. https 주소로 열어 주세요.",
            "This address is not a secure one (https), and the browser keeps nothing for it: open the address with https.",
        )
        .to_owned()
    };
    view! {
        <main class="alone">
            <h1>"Endpaper"</h1>
            <p role="alert">{why}</p>
            <button type="button" class="primary" on:click=|_| browser::reload()>
                {t("다시 열기", "Load again")}
            </button>
        </main>
    }
}

/// What somebody who is logged in sees around every screen.
#[component]
fn Inside(reader: Reader) -> impl IntoView {
    provide_context(reader);
    provide_context(Shopping::open(reader, expect_context::<Toasts>()));
    let attention = Memo::new(move |_| reader.status().map_or(0, |status| status.failed));
    let waiting = Memo::new(move |_| {
        reader.status().map_or(0, |status| status.queued.saturating_sub(status.failed))
    });
    let sync_label = move || {
        let (state, count) = match (attention.get(), waiting.get()) {
            (0, 0) => return t("동기화", "Sync").into_any(),
            (0, waiting) => (RecordState::Pending, waiting),
            (attention, _) => (RecordState::Failed, attention),
        };
        view! {
            {t("동기화", "Sync")}" "<Sign state/>
            <span class="unseen">{words::state(state)}" "</span>{count}
        }
        .into_any()
    };
    // The router would scroll there, and leave the focus where it is.
    let skip = |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        browser::focus("main");
    };
    view! {
        <Router>
            <a class="skip" href="#main" on:click=skip>{t("본문으로", "Skip to the content")}</a>
            <header class="top">
                <A href="/" attr:class="mark">"Endpaper"</A>
                <nav aria-label=t("주요 화면", "Main")>
                    <A href="/" exact=true>{t("서재", "Shelf")}</A>
                    <A href="/today">{t("오늘의 흐름", "Today")}</A>
                    <A href="/shop">{t("서점", "Shop")}</A>
                    <A href="/sync">{sync_label}</A>
                    <A href="/me">{t("나", "You")}</A>
                </nav>
            </header>
            <Banner reader/>
            <main id="main" tabindex="-1">
                <Routes fallback=|| view! { <Missing/> }>
                    <Route path=path!("/") view=Shelf/>
                    <Route path=path!("/find") view=Find/>
                    <Route path=path!("/book/:id") view=BookScreen/>
                    <Route path=path!("/today") view=Today/>
                    <Route path=path!("/shop") view=Products/>
                    <Route path=path!("/shop/cart") view=CartScreen/>
                    <Route path=path!("/shop/orders") view=Orders/>
                    <Route path=path!("/shop/orders/:id") view=OrderScreen/>
                    <Route path=path!("/shop/wallet") view=WalletScreen/>
                    <Route path=path!("/shop/coupons") view=Coupons/>
                    <Route path=path!("/sync") view=SyncCentre/>
                    <Route path=path!("/me") view=Me/>
                    <Route path=path!("/reset-password") view=Reset/>
                </Routes>
            </main>
        </Router>
    }
}

/// One quiet line: that there is no network, that there is no room, that a newer version is
/// here.
#[component]
fn Banner(reader: Reader) -> impl IntoView {
    let is_away = Memo::new(move |_| {
        reader
            .status()
            .is_some_and(|status| matches!(status.watch, Watch::Offline | Watch::Waiting { .. }))
    });
    let is_out = Memo::new(move |_| reader.status().is_some_and(|status| status.logged_out));
    let is_newer = browser::newer_version();
    let line = move || {
        if reader.is_replaced() || is_newer.get() {
            let load = |_| browser::take_newer_version();
            return Some(
                view! {
                    <p class="banner" role="status">
                        {t("새 판이 준비되었습니다.", "A new version is ready.")}" "
                        <button type="button" on:click=load>{t("바꾸기", "Load it")}</button>
                    </p>
                }
                .into_any(),
            );
        }
        if is_out.get() {
            return Some(
                view! {
                    <p class="banner" role="status">
                        {t("다시 로그인하면 기다리는 것을 보냅니다.", "Log in again, and what waits is sent.")}" "
                        <A href="/me">{t("로그인", "Log in")}</A>
                    </p>
                }
                .into_any(),
            );
        }
        let text = if reader.is_full() {
            t(
                "이 기기에 남은 공간이 없습니다. 저장된 것은 그대로 있습니다.",
                "There is no room left on this device. What was saved is still there.",
            )
            .to_owned()
        } else if is_away.get() {
            let waits = reader.status().map_or(0, |status| status.queued);
            let waits = match waits {
                0 => String::new(),
                waits => format!(" {}", count(waits, "보낼 것:", "edit waits.", "edits wait.")),
            };
            let away = t(
                "오프라인입니다. 쓰는 대로 이 기기에 저장됩니다.",
                "Offline. What you write is saved on this device.",
            );
            format!("{away}{waits}")
        } else {
            return None;
        };
        Some(view! { <p class="banner" role="status">{text}</p> }.into_any())
    };
    view! { <div class="banner-place">{line}</div> }
}

#[component]
fn Missing() -> impl IntoView {
    view! {
        <section class="empty">
            <h1>{t("여기에는 아무것도 없습니다", "There is nothing here")}</h1>
            <A href="/">{t("서재로", "To the shelf")}</A>
        </section>
    }
}
