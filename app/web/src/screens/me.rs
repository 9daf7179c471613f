//! The reader: language, devices, what leaves with them, and logging out.

use endpaper_api::Text;
use endpaper_api::accounts::{Device as Session, Profile, ProfileRequest};
use endpaper_api::reading::ImportSummary;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;

use crate::account;
use crate::api::{asked, why};
use crate::browser;
use crate::days;
use crate::reader::{Backup, Reader, Restored, why as why_not};
use crate::ui::toasts::Toasts;
use crate::words::{self, count, t};

/// The screen.
#[component]
pub fn Me() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let account = reader.account();
    browser::set_title(t("나 · Endpaper", "You · Endpaper"));
    let language = |language: endpaper_api::Language, name: &'static str| {
        view! {
            <button type="button" lang=language.tag()
                aria-pressed=(words::language() == language).to_string()
                on:click=move |_| words::change(language)>{name}</button>
        }
    };
    let is_out = move || reader.status().is_some_and(|status| status.logged_out);
    view! {
        <h1>{account.name.clone()}</h1>
        <p>{account.login_id.clone()}</p>
        <Show when=is_out><LogInAgain/></Show>
        <section>
            <h2>{t("언어", "Language")}</h2>
            <div class="tabs" role="group" aria-label=t("언어", "Language")>
                {language(endpaper_api::Language::Ko, "한국어")}
                {language(endpaper_api::Language::En, "English")}
            </div>
        </section>
        <Install/>
        <EditProfile/>
        <Devices/>
        <Export/>
        <Import/>
        <LogOut/>
    }
}

/// Where the browser can, the app becomes one of the device's.
#[component]
fn Install() -> impl IntoView {
    let is_installable = browser::is_installable();
    view! {
        <Show when=move || is_installable.get()>
            <section>
                <h2>{t("앱으로 설치", "Install it as an app")}</h2>
                <p>{t(
                    "기기의 다른 앱처럼 열고, 네트워크 없이도 씁니다.",
                    "It opens like the device's other apps, also without a network.",
                )}</p>
                <button type="button" on:click=|_| browser::install()>{t("설치", "Install")}</button>
            </section>
        </Show>
    }
}

/// The session has ended: what waits is sent when they have logged in again.
#[component]
fn LogInAgain() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let password = RwSignal::new(String::new());
    let (refused, busy) = (RwSignal::new(None::<String>), RwSignal::new(false));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let login_id = reader.account().login_id;
        spawn_local(async move {
            let again = Some(reader.account().id);
            match account::login(&login_id, &password.get_untracked(), again).await {
                Ok(_) => drop(reader.device().logged_in().await),
                Err(why) => refused.set(Some(why.text())),
            }
            busy.set(false);
        });
    };
    view! {
        <form class="fields" on:submit=submit>
            <input class="unseen" type="text" autocomplete="username" tabindex="-1" readonly=true
                aria-hidden="true" value=reader.account().login_id/>
            <label class="field">
                <span>{t("비밀번호", "Password")}</span>
                <input type="password" autocomplete="current-password" required=true
                    prop:value=move || password.get()
                    on:input=move |event| password.set(event_target_value(&event))/>
            </label>
            <p class="refusal" role="alert">{move || refused.get()}</p>
            <button class="primary" disabled=move || busy.get()>{t("다시 로그인", "Log in again")}</button>
            <A href="/reset-password">{t("비밀번호를 잊었어요", "I forgot my password")}</A>
        </form>
    }
}

/// What the server knows of the reader beside books: the name, and the time zone of days.
#[component]
fn EditProfile() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (name, zone) = (RwSignal::new(reader.account().name), RwSignal::new(String::new()));
    let said = RwSignal::new(String::new());
    spawn_local(async move {
        let asked = asked("GET", "/api/v1/users/me");
        let Ok(profile) = reader.server().ask::<Profile>(&asked).await else { return };
        // What the person has begun to type stays.
        let begun = reader.account().name;
        if name.try_with_untracked(|name| *name == begun) == Some(true) {
            name.try_set(profile.user.name);
        }
        if zone.try_with_untracked(String::is_empty) == Some(true) {
            zone.try_set(profile.time_zone);
        }
    });
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = |value: RwSignal<String>| Text::new(value.get_untracked().trim()).ok();
        let wanted = zone.get_untracked();
        if !wanted.trim().is_empty() && !days::is_zone(wanted.trim()) {
            said.set(t(
                format!("없는 시간대입니다: {wanted}. Asia/Seoul처럼 적어 주세요."),
                format!("There is no time zone {wanted}. Write one such as Asia/Seoul."),
            ));
            return;
        }
        let request = ProfileRequest {
            name: text(name),
            time_zone: text(zone).filter(|zone| !zone.as_str().is_empty()),
            language: Some(words::language()),
        };
        spawn_local(async move {
            let asked = asked("PUT", "/api/v1/users/me").json(&request);
            let done = reader.server().ask::<Profile>(&asked).await;
            said.try_set(match done {
                Ok(profile) => {
                    let saved = account::rename(reader.account().id, profile.user.name).await;
                    saved.map_or_else(
                        |error| words::store(&error),
                        |()| t("저장했습니다.", "Saved.").to_owned(),
                    )
                }
                Err(trouble) => why(trouble),
            });
        });
    };
    let here = days::zone().filter(|here| !here.is_empty());
    let offer = move || {
        let here = here.clone().filter(|here| *here != zone.get())?;
        let label = t(format!("여기 시간대로: {here}"), format!("Use the one here: {here}"));
        let take = move |_| zone.set(here.clone());
        Some(view! { <button type="button" class="quiet" on:click=take>{label}</button> })
    };
    view! {
        <section>
            <h2>{t("프로필", "Profile")}</h2>
            <form class="fields" on:submit=save>
                <label class="field">
                    <span>{t("이름", "Name")}</span>
                    <input name="name" autocomplete="name" required=true maxlength="50"
                        prop:value=move || name.get()
                        on:input=move |event| name.set(event_target_value(&event))/>
                </label>
                <label class="field">
                    <span>{t("시간대", "Time zone")}</span>
                    <input name="timeZone" autocomplete="off" placeholder="Asia/Seoul"
                        prop:value=move || zone.get()
                        on:input=move |event| zone.set(event_target_value(&event))/>
                </label>
                {offer}
                <p role="status">{move || said.get()}</p>
                <button>{t("저장", "Save")}</button>
            </form>
        </section>
    }
}

/// Where the reader is logged in.
#[component]
fn Devices() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let devices = RwSignal::new(None::<Result<Vec<Session>, String>>);
    let read = move || {
        spawn_local(async move {
            let asked = asked("GET", "/api/v1/users/me/devices");
            let found = reader.server().ask::<Vec<Session>>(&asked).await;
            devices.try_set(Some(found.map_err(why)));
        });
    };
    let is_out = Memo::new(move |_| reader.status().is_some_and(|status| status.logged_out));
    Effect::new(move |_| {
        // One that is only tracked is never computed.
        let _ = is_out.get();
        read();
    });
    let end = move |id: String| {
        spawn_local(async move {
            let asked = asked("DELETE", format!("/api/v1/users/me/devices/{id}"));
            match reader.server().ask::<endpaper_api::Nothing>(&asked).await {
                Ok(_) => read(),
                Err(trouble) => toasts.say(why(trouble)),
            }
        });
    };
    let one = move |device: Session| {
        let id = device.id.to_string();
        let name = if device.name.is_empty() {
            t("이름 없는 기기", "A device without a name").to_owned()
        } else {
            device.name.clone()
        };
        let label = t(format!("{name} 로그아웃"), format!("Log out {name}"));
        view! {
            <li>
                <strong>{name}</strong>" "
                {device.current.then(|| t("(이 기기)", "(this one)"))}
                {(!device.current).then(|| view! {
                    <button type="button" class="quiet" aria-label=label
                        on:click=move |_| end(id.clone())>{t("로그아웃", "Log out")}</button>
                })}
            </li>
        }
    };
    view! {
        <section>
            <h2>{t("로그인한 기기", "Where you are logged in")}</h2>
            {move || devices.get().map(|devices| match devices {
                Ok(devices) => view! { <ul class="devices">{devices.into_iter().map(one).collect_view()}</ul> }.into_any(),
                Err(why) => view! { <p>{why}</p> }.into_any(),
            })}
        </section>
    }
}

/// Everything that is on this device, as a file, also without a network.
#[component]
fn Export() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let export = move |_| {
        spawn_local(async move {
            match reader.everything().await {
                Ok(text) => {
                    let name = format!("endpaper-{}.json", days::today());
                    browser::give_file(&name, &text);
                }
                Err(error) => toasts.say(words::store(&error)),
            }
        });
    };
    view! {
        <section>
            <h2>{t("내보내기", "Export")}</h2>
            <p>{t(
                "이 기기에 있는 책과 메모를 모두, 아직 보내지 못한 것까지 파일 하나에 담습니다.",
                "All books and memos of this device in one file, what is not sent yet included.",
            )}</p>
            <button type="button" on:click=export>{t("파일로 받기", "Save a file")}</button>
        </section>
    }
}

/// A file that was saved here comes back, also without a network; one of Goodreads, or of the
/// server's export, is read by the server.
#[component]
fn Import() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let said = RwSignal::new(String::new());
    let read = move |event: web_sys::Event| {
        said.set(t("읽는 중입니다.", "It is being read.").to_owned());
        spawn_local(async move {
            let Some(text) = browser::chosen_file(&event).await else {
                said.try_set(t("파일을 읽지 못했습니다.", "The file can't be read.").to_owned());
                return;
            };
            let done = match serde_json::from_str::<Backup>(&text) {
                Ok(backup) => {
                    reader.restore(backup).await.map(put_back).map_err(|error| why_not(&error))
                }
                Err(_) => import(reader, text).await,
            };
            said.try_set(done.unwrap_or_else(|why| why));
        });
    };
    view! {
        <section>
            <h2>{t("가져오기", "Import")}</h2>
            <p>{t(
                "여기서 받은 파일은 네트워크 없이도 되살립니다. Goodreads에서 받은 파일(CSV)은 서버가 읽습니다. 이미 있는 것은 그대로 둡니다.",
                "A file that was saved here is put back, also without a network. A file of Goodreads (CSV) is read by the server. What is there stays as it is.",
            )}</p>
            <label class="button file">
                {t("파일 고르기", "Choose a file")}
                <input type="file" class="unseen" accept=".json,.csv" on:change=read/>
            </label>
            <p role="status">{move || said.get()}</p>
        </section>
    }
}

fn put_back(restored: Restored) -> String {
    let Restored { made, there, refused } = restored;
    t(
        format!("{made}개를 되살렸고, {there}개는 이미 있으며, {refused}개는 읽을 수 없습니다."),
        format!("{made} put back; there already: {there}; can't be read: {refused}."),
    )
}

fn so_many(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Has the server read it.
async fn import(reader: Reader, text: String) -> Result<String, String> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let kind = if is_json { "application/json" } else { "text/csv" };
    let asked = asked("POST", "/api/v1/import").body(kind, text);
    let summary: ImportSummary = reader.server().ask(&asked).await.map_err(why)?;
    reader.device().sync_now();
    let ImportSummary { books_added, books_there, memos_added, problem_count, .. } = summary;
    Ok(t(
        format!(
            "책 {books_added}권과 메모 {memos_added}개를 가져왔습니다. 책 {books_there}권은 이미 있고, {problem_count}줄은 읽지 못했습니다."
        ),
        format!(
            "{} and {} imported; there already: {}; can't be read: {}.",
            count(so_many(books_added), "", "book", "books"),
            count(so_many(memos_added), "", "memo", "memos"),
            count(so_many(books_there), "", "book", "books"),
            count(so_many(problem_count), "", "line", "lines"),
        ),
    ))
}

/// Leaves this browser: where something is not sent yet, it asks first.
#[component]
fn LogOut() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let (asks, busy) = (RwSignal::new(None::<usize>), RwSignal::new(false));
    // What would be lost is asked about once more where it has become more meanwhile.
    let leave = move |accepted: usize| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            // What was just deleted is not sent either.
            reader.delete_all_now().await;
            match reader.leave(accepted).await {
                Ok(None) => browser::go_home(),
                Ok(unsent) => asks.set(unsent),
                Err(error) => toasts.say(words::store(&error)),
            }
            busy.set(false);
        });
    };
    view! {
        <section>
            <h2>{t("나가기", "Leave")}</h2>
            <p>{t(
                "로그아웃하면 이 브라우저에 있는 책과 메모를 지웁니다. 서버에 있는 것은 그대로입니다.",
                "Logging out deletes the books and memos from this browser. What is on the server stays.",
            )}</p>
            {move || asks.get().map(|waiting| view! {
                <div class="asks" role="alertdialog" aria-label=t("아직 보내지 못했습니다", "Not sent yet")>
                    <p>{t(
                        format!("{waiting}개가 아직 서버에 없거나 답이 없습니다. 지금 나가면 그것은 사라집니다."),
                        format!("{} not on the server yet, or without an answer. If you leave now, that is lost.", count(waiting, "", "thing is", "things are")),
                    )}</p>
                    <button type="button" class="primary" on:click=move |_| asks.set(None)>
                        {t("남아 있기", "Stay")}
                    </button>" "
                    <button type="button" disabled=move || busy.get()
                        on:click=move |_| leave(waiting)>
                        {t("버리고 나가기", "Leave without it")}
                    </button>
                </div>
            })}
            <button type="button" id="log-out" disabled=move || busy.get()
                on:click=move |_| leave(0)>{t("로그아웃", "Log out")}</button>
        </section>
    }
}
