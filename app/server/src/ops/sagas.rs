//! Sagas on the operator's page: those of orders, and one drawn as its steps over time.

use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use endpaper_http::ErrorCode;
use maud::{Markup, html};
use saga::SagaId;
use serde::Deserialize;
use stdx::UnixMicros;

use super::page::{secret, shell};
use super::sessions::Session;
use super::words::Words;
use super::{Asked, html as answer, refused, to_ops};
use crate::operator::Operator;
use crate::operator::sagas::{AskSagas, SagaLine, StepLine};
use crate::time::{instant, micros};

/// Sagas that are shown at once.
const SHOWN: u32 = 50;

pub(super) async fn list(State(operator): State<Operator>, headers: HeaderMap) -> Response {
    let Asked { session: Some(_), words } = Asked::of(&operator, &headers) else {
        return to_ops();
    };
    let of = |state: Option<&str>| AskSagas { state: state.map(str::to_owned), limit: Some(SHOWN) };
    // What waits for somebody comes first.
    let found = match operator.list_sagas(of(Some("STUCK"))).await {
        Ok(mut stuck) => operator.list_sagas(of(None)).await.map(|latest| {
            stuck.extend(latest.into_iter().filter(|saga| saga.state != "STUCK"));
            stuck
        }),
        Err(why) => Err(why),
    };
    let body = html! {
        (heading(words))
        main {
            h2 { (words.sagas()) }
            @match &found {
                Err(why) => p.quiet { (why) },
                Ok(sagas) if sagas.is_empty() => p.quiet { (words.no_sagas()) },
                Ok(sagas) => div.scroll { table {
                    tbody {
                        @for saga in sagas {
                            tr {
                                td { a href={ "/ops/sagas/" (saga.id) } { (saga.id) } }
                                td { (state(&saga.state)) }
                                td { (saga.kind) }
                                td { (instant(UnixMicros(saga.started_us))) }
                                td.why { (saga.cause.as_deref().unwrap_or_default()) }
                            }
                        }
                    }
                } },
            }
        }
    };
    answer(shell(words, false, &body)).into_response()
}

pub(super) async fn show(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Path(id): Path<SagaId>,
) -> Response {
    let Asked { session: Some(session), words } = Asked::of(&operator, &headers) else {
        return to_ops();
    };
    let notice = operator.sessions.take_notice(&session);
    let body = match operator.show_saga(id).await {
        Ok(saga) => {
            let now = operator.clock.now().0;
            drawn(words, &session, &saga, now, notice.as_deref())
        }
        Err(why) => {
            let body = html! { (heading(words)) main { p { (why) } } };
            return refused(ErrorCode::NotFound, shell(words, false, &body));
        }
    };
    answer(shell(words, false, &body)).into_response()
}

/// What is decided about a saga that is stuck: a step is left out, or all is tried again.
#[derive(Deserialize)]
pub(super) struct Decision {
    secret: String,
    #[serde(default)]
    step: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn decide(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Path(id): Path<SagaId>,
    Form(Decision { secret, step, reason }): Form<Decision>,
) -> Response {
    let Some((session, words)) = Asked::of(&operator, &headers).with(&secret) else {
        return to_ops();
    };
    let decided = if step.is_empty() {
        operator.retry_saga(id).await
    } else {
        operator.skip_step(id, &step, &reason).await
    };
    let said = decided.map_or_else(|why| why, |()| words.decided().to_owned());
    operator.sessions.put_notice(&session, said);
    axum::response::Redirect::to(&format!("/ops/sagas/{id}")).into_response()
}

fn heading(words: Words) -> Markup {
    html! {
        header {
            h1 { a href="/ops" { "Endpaper" } " " small { (words.title()) } }
            nav { a href="/ops/sagas" { (words.sagas()) } }
        }
    }
}

fn state(state: &str) -> Markup {
    let class = match state {
        "STUCK" | "GAVE_UP" | "REFUSED" => "bad",
        "COMPLETED" | "DONE" => "good",
        "COMPENSATED" | "UNDONE" | "SKIPPED" => "info",
        _ => "warn",
    };
    html! { span.badge.(class) { (state) } }
}

/// How wide a drawing is; a browser stretches it.
const WIDTH: i64 = 1_000;
/// What takes no time can be seen all the same.
const NARROWEST: i64 = 4;

fn drawn(
    words: Words,
    session: &Session,
    saga: &SagaLine,
    now_us: i64,
    notice: Option<&str>,
) -> Markup {
    let end = saga.finished_us.unwrap_or(now_us).max(saga.started_us + 1);
    let whole = end - saga.started_us;
    let at = |us: i64| (us - saga.started_us).clamp(0, whole) * (WIDTH - NARROWEST) / whole;
    let is_stuck = saga.state == "STUCK";
    html! {
        (heading(words))
        @if let Some(notice) = notice { p.notice role="status" { (notice) } }
        main {
            h2 { (saga.kind) " " (state(&saga.state)) }
            p.quiet { (saga.id) }
            p {
                (instant(UnixMicros(saga.started_us))) " · "
                (micros(u64::try_from(whole).unwrap_or_default()))
            }
            @if let Some(cause) = &saga.cause { p { (words.why()) ": " (cause) } }
            div.scroll { table.steps {
                tbody {
                    @for step in &saga.steps {
                        tr {
                            th scope="row" { (step.name) }
                            td { (state(&step.state)) }
                            td.drawing { (bar(step, now_us, &at)) }
                            td { (tries(words, step)) }
                        }
                        @if let Some(error) = &step.error {
                            tr { td {} td.quiet.why colspan="3" { (error) } }
                        }
                    }
                }
            } }
            @if is_stuck {
                form.decide method="post" action={ "/ops/sagas/" (saga.id) } {
                    (secret(session))
                    button.main { (words.retry()) }
                }
                form.decide method="post" action={ "/ops/sagas/" (saga.id) } {
                    (secret(session))
                    label for="step" { (words.leave_out()) }
                    select #step name="step" {
                        @for step in saga.steps.iter().filter(|step| step.error.is_some()) {
                            option value=(step.name) { (step.name) }
                        }
                    }
                    label for="reason" { (words.why()) }
                    input #reason name="reason" required;
                    button { (words.leave_out()) }
                }
            }
        }
    }
}

/// A bar from when a step was begun to its end, and a mark where it was undone.
fn bar(step: &StepLine, now_us: i64, at: &impl Fn(i64) -> i64) -> Markup {
    let Some(began) = step.began_us else { return html! {} };
    let (from, to) = (at(began), at(step.ended_us.unwrap_or(now_us)));
    let class = match step.state.as_str() {
        "REFUSED" | "GAVE_UP" => "bad",
        _ if step.undone_us.is_some() => "undone",
        _ => "done",
    };
    html! {
        svg viewBox={ "0 0 " (WIDTH) " 12" } preserveAspectRatio="none" aria-hidden="true" {
            rect.(class) x=(from) y="1" width=((to - from).max(NARROWEST)) height="10" {}
            @if let Some(undone) = step.undone_us {
                rect.mark x=(at(undone)) y="0" width=(NARROWEST) height="12" {}
            }
        }
    }
}

fn tries(words: Words, step: &StepLine) -> Markup {
    let took = step.began_us.zip(step.ended_us).map(|(began, ended)| ended - began);
    html! {
        @if let Some(took) = took { (micros(u64::try_from(took).unwrap_or_default())) }
        @let tries = step.attempts.max(step.undo_attempts);
        @if tries > 1 { " · " (words.tries(tries)) }
    }
}
