//! Sign up, log in, recover.

use endpaper_api::accounts::{
    FindLoginIdRequest, ResetPasswordRequest, SignupRequest, VerifyAccountRequest,
};
use endpaper_api::{Secret, Text};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::account::{self, Account};
use crate::api::Refused;
use crate::browser;
use crate::words::{self, t};

/// What this is. `static/index.html` says it, too, for as long as the app is on its way.
const WORDS: [&str; 2] = [
    "책을 읽으며 떠오른 것을 적습니다. 지하에서도, 하늘에서도. 적는 순간 이 기기에 남고, 네트워크가 돌아오면 저절로 서버에 닿습니다.",
    "Write down what a book makes you think: underground, in the air, anywhere. It is on this device as you write it, and reaches the server by itself when there is a network.",
];

/// What the person wants at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    LogIn,
    SignUp,
    Recover,
}

/// What is before everything else where nobody is logged in.
#[component]
pub fn Door(
    /// Called with who has come in.
    enters: impl Fn(Account) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    browser::set_title("Endpaper");
    let reset_token = browser::take_reset_token("/");
    let wants = RwSignal::new(if reset_token.is_some() { Wants::Recover } else { Wants::LogIn });
    let form = move || match wants.get() {
        Wants::LogIn => view! { <LogIn enters/> }.into_any(),
        Wants::SignUp => view! { <SignUp enters/> }.into_any(),
        Wants::Recover => view! { <Recover token=reset_token.clone()/> }.into_any(),
    };
    let tab = move |of: Wants, text: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (wants.get() == of).to_string()
                on:click=move |_| wants.set(of)>{text}</button>
        }
    };
    let other = match words::language() {
        endpaper_api::Language::Ko => endpaper_api::Language::En,
        endpaper_api::Language::En => endpaper_api::Language::Ko,
    };
    view! {
        <main class="door" id="main">
            <div class="door-words">
                <h1 class="mark">"Endpaper"</h1>
                <p>{t(WORDS[0], WORDS[1])}</p>
            </div>
            <div class="door-form">
                <div class="tabs" role="group" aria-label=t("무엇을 할까요", "What would you like to do")>
                    {tab(Wants::LogIn, t("로그인", "Log in"))}
                    {tab(Wants::SignUp, t("가입", "Sign up"))}
                    {tab(Wants::Recover, t("찾기", "Recover"))}
                </div>
                {form}
                <p class="language">
                    <button type="button" class="quiet" lang=other.tag()
                        on:click=move |_| words::change(other)>
                        {t("English", "한국어")}
                    </button>
                </p>
            </div>
        </main>
    }
}

/// A field with its label, and what is wrong with it.
#[component]
fn Field(
    /// Of which form.
    of: &'static str,
    name: &'static str,
    label: &'static str,
    value: RwSignal<String>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(default = "")] hint: &'static str,
    refused: RwSignal<Option<Refused>>,
) -> impl IntoView {
    let wrong = move || refused.with(|refused| refused.as_ref()?.of(name));
    let hint_id = format!("{of}-{name}-hint");
    view! {
        <label class="field">
            <span>{label}</span>
            <input name=name type=kind autocomplete=autocomplete required=true
                aria-describedby=hint_id.clone()
                aria-invalid=move || wrong().is_some().then_some("true")
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))/>
            <small id=hint_id>{move || wrong().unwrap_or_else(|| hint.to_owned())}</small>
        </label>
    }
}

/// Why nothing came of it: what is not said beside a field.
#[component]
fn Refusal(refused: RwSignal<Option<Refused>>) -> impl IntoView {
    let text = move || refused.with(|refused| refused.as_ref().map(Refused::summary));
    let is_in = move || refused.with(|refused| matches!(refused, Some(Refused::Another)));
    view! {
        <p class="refusal" role="alert">{text}</p>
        <Show when=is_in>
            <button type="button" on:click=|_| browser::go_home()>
                {t("다시 열기", "Load again")}
            </button>
        </Show>
    }
}

fn text(value: RwSignal<String>) -> Result<Text, Refused> {
    Text::new(value.get_untracked().trim()).map_err(Refused::Wrong)
}

fn secret(value: RwSignal<String>) -> Result<Secret, Refused> {
    Secret::new(&value.get_untracked()).map_err(Refused::Wrong)
}

#[component]
fn LogIn(enters: impl Fn(Account) + Copy + Send + Sync + 'static) -> impl IntoView {
    let (id, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let (refused, busy) = (RwSignal::new(None), RwSignal::new(false));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let (id, password) = (id.get_untracked(), password.get_untracked());
            let done = account::login(id.trim(), &password, None).await;
            busy.set(false);
            match done {
                Ok(account) => enters(account),
                Err(why) => refused.set(Some(why)),
            }
        });
    };
    view! {
        <form on:submit=submit>
            <Field of="log-in" name="loginId" label=t("아이디", "Log-in id") value=id
                autocomplete="username" refused/>
            <Field of="log-in" name="password" label=t("비밀번호", "Password") value=password
                kind="password" autocomplete="current-password" refused/>
            <Refusal refused/>
            <button class="primary" disabled=move || busy.get()>{t("로그인", "Log in")}</button>
        </form>
    }
}

#[component]
fn SignUp(enters: impl Fn(Account) + Copy + Send + Sync + 'static) -> impl IntoView {
    let new = || RwSignal::new(String::new());
    let (id, email, name, password) = (new(), new(), new(), new());
    let (refused, busy) = (RwSignal::new(None), RwSignal::new(false));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let request = move || {
            Ok(SignupRequest {
                login_id: text(id)?,
                email: text(email)?,
                name: text(name)?,
                password: secret(password)?,
            })
        };
        let request = match request() {
            Ok(request) => request,
            Err(why) => return refused.set(Some(why)),
        };
        busy.set(true);
        spawn_local(async move {
            let secret = request.password.clone();
            let done = match account::sign_up(&request).await {
                Ok(user) => account::login(&user.login_id, secret.expose(), None).await,
                // It may be theirs, where the answer to the first time was lost.
                Err(why) if why.of("loginId").is_some() => {
                    account::login(&request.login_id, secret.expose(), None).await.map_err(|_| why)
                }
                Err(why) => Err(why),
            };
            busy.set(false);
            match done {
                Ok(account) => enters(account),
                Err(why) => refused.set(Some(why)),
            }
        });
    };
    view! {
        <form on:submit=submit>
            <Field of="sign-up" name="loginId" label=t("아이디", "Log-in id") value=id autocomplete="username"
                hint=t("영문 소문자, 숫자, _ . - 로 4~32자", "4 to 32 of a–z, 0–9, _ . -") refused/>
            <Field of="sign-up" name="email" label=t("이메일", "E-mail") value=email kind="email"
                autocomplete="email"
                hint=t("아이디나 비밀번호를 찾을 때 씁니다", "For finding your way back in") refused/>
            <Field of="sign-up" name="name" label=t("이름", "Name") value=name autocomplete="name" refused/>
            <Field of="sign-up" name="password" label=t("비밀번호", "Password") value=password kind="password"
                autocomplete="new-password" hint=t("8자 이상", "8 characters or more") refused/>
            <Refusal refused/>
            <button class="primary" disabled=move || busy.get()>{t("가입", "Sign up")}</button>
        </form>
    }
}

/// A form that is sent, and what came of it.
#[derive(Clone, Copy)]
struct Ask {
    refused: RwSignal<Option<Refused>>,
    said: RwSignal<Option<String>>,
    busy: RwSignal<bool>,
}

impl Ask {
    fn new() -> Self {
        let (refused, said) = (RwSignal::new(None), RwSignal::new(None));
        Self { refused, said, busy: RwSignal::new(false) }
    }

    /// Sends it, once at a time.
    fn send<T: 'static>(
        self,
        request: Result<T, Refused>,
        send: impl AsyncFnOnce(T) -> Result<String, Refused> + 'static,
    ) {
        if self.busy.get_untracked() {
            return;
        }
        self.said.set(None);
        let request = match request {
            Ok(request) => request,
            Err(why) => return self.refused.set(Some(why)),
        };
        self.busy.set(true);
        spawn_local(async move {
            let done = send(request).await;
            self.busy.set(false);
            let (said, refused) = match done {
                Ok(said) => (Some(said), None),
                Err(why) => (None, Some(why)),
            };
            self.said.set(said);
            self.refused.set(refused);
        });
    }
}

/// What came of a form, and its button.
#[component]
fn End(ask: Ask, label: &'static str) -> impl IntoView {
    view! {
        <Refusal refused=ask.refused/>
        <p role="status">{move || ask.said.get()}</p>
        <button class="primary" disabled=move || ask.busy.get()>{label}</button>
    }
}

/// Where a mail for setting the password anew leads somebody whose account is here already.
#[component]
pub fn Reset() -> impl IntoView {
    browser::set_title("Endpaper");
    let token = browser::take_reset_token(browser::RESET);
    view! {
        <h1>{t("다시 들어오기", "Find your way back in")}</h1>
        <Recover token/>
    }
}

#[component]
fn Recover(token: Option<String>) -> impl IntoView {
    let new = || RwSignal::new(String::new());
    let (email, name) = (new(), new());
    let (id, email_of_id) = (new(), new());
    let (password, again) = (new(), new());
    let token = RwSignal::new(token.unwrap_or_default());
    let (finds, verifies, resets) = (Ask::new(), Ask::new(), Ask::new());
    let find = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = || Ok(FindLoginIdRequest { email: text(email)?, name: text(name)? });
        finds.send(request(), async |request| {
            account::find_login_id(&request).await.map(|accepted| accepted.message)
        });
    };
    let verify = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request =
            || Ok(VerifyAccountRequest { login_id: text(id)?, email: text(email_of_id)? });
        verifies.send(request(), async |request| {
            account::verify(&request).await.map(|accepted| accepted.message)
        });
    };
    let reset = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = || {
            Ok(ResetPasswordRequest {
                reset_token: secret(token)?,
                new_password: secret(password)?,
                confirm_password: secret(again)?,
            })
        };
        resets.send(request(), async |request| {
            let changed = t(
                "비밀번호를 바꾸었습니다. 로그인해 주세요.",
                "The password is changed: log in with it.",
            );
            account::reset(&request).await.map(|()| changed.to_owned())
        });
    };
    view! {
        <details open=token.get_untracked().is_empty()>
            <summary>{t("아이디를 잊었어요", "I forgot my log-in id")}</summary>
            <form on:submit=find>
                <Field of="find" name="email" label=t("이메일", "E-mail") value=email kind="email"
                    autocomplete="email" refused=finds.refused/>
                <Field of="find" name="name" label=t("이름", "Name") value=name autocomplete="name"
                    refused=finds.refused/>
                <End ask=finds label=t("메일 받기", "Send a mail")/>
            </form>
        </details>
        <details>
            <summary>{t("비밀번호를 잊었어요", "I forgot my password")}</summary>
            <form on:submit=verify>
                <Field of="verify" name="loginId" label=t("아이디", "Log-in id") value=id
                    autocomplete="username" refused=verifies.refused/>
                <Field of="verify" name="email" label=t("이메일", "E-mail") value=email_of_id
                    kind="email" autocomplete="email" refused=verifies.refused/>
                <End ask=verifies label=t("메일 받기", "Send a mail")/>
            </form>
        </details>
        <details open=!token.get_untracked().is_empty()>
            <summary>{t("메일을 받았어요", "I have the mail")}</summary>
            <form on:submit=reset>
                <Field of="reset" name="resetToken" label=t("메일의 암호", "The code in the mail")
                    value=token refused=resets.refused/>
                <Field of="reset" name="newPassword" label=t("새 비밀번호", "New password")
                    value=password kind="password" autocomplete="new-password"
                    refused=resets.refused/>
                <Field of="reset" name="confirmPassword" label=t("한 번 더", "Once more") value=again
                    kind="password" autocomplete="new-password" refused=resets.refused/>
                <End ask=resets label=t("바꾸기", "Change it")/>
            </form>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_the_same_before_the_app_is_there() {
        let page = include_str!("../../static/index.html");
        assert!(WORDS.iter().all(|words| page.contains(words)));
    }
}
