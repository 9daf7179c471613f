//! The sync centre: what is saved where, and what a person can do about it.

use std::time::Duration;

use endpaper_api::sync::{MEMOS, SHELF, TABLES};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use stdx::{Clock, UnixMicros};
use sync::engine::{Edit, End, Kind, Status};
use sync::merge::{REVISIONS, Revision, Why};
use sync::model::{Fields, RecordId, RecordKey, Rule, Value};
use sync::operation::{Action, Operation};
use sync::queue::RecordState;
use sync::watch::Watch;
use sync_web::device::{Failed, Shown};

use crate::browser;
use crate::days;
use crate::reader::{self, Draft, Reader};
use crate::records::key;
use crate::screens::memo::{Editor, Writing};
use crate::ui::state::Sign;
use crate::ui::toasts::Toasts;
use crate::words::{self, t};

/// Whether the server can be reached, in words.
fn online(status: &Status) -> &'static str {
    match status.watch {
        Watch::Offline => t("이 기기에 네트워크가 없습니다", "This device has no network"),
        Watch::Settling { .. } | Watch::Asking { .. } => {
            t("서버를 찾는 중입니다", "Looking for the server")
        }
        Watch::Waiting { .. } => t(
            "네트워크는 있지만 우리 서버가 답하지 않습니다",
            "There is a network, but our server does not answer",
        ),
        Watch::Online => t("서버와 이어져 있습니다", "The server is there"),
    }
}

fn source(status: &Status) -> Option<&'static str> {
    if status.watch != Watch::Online {
        return None;
    }
    status.source.is_there().map(|is_there| {
        if is_there {
            t("바깥 책 정보도 답합니다", "The source of books outside answers, too")
        } else {
            t(
                "바깥 책 정보는 지금 답하지 않습니다. 메모는 그것을 기다리지 않습니다",
                "The source of books outside does not answer. Memos don't wait for it",
            )
        }
    })
}

/// What is done again by itself, and when.
fn again(status: &Status) -> Option<(UnixMicros, &'static str, &'static str)> {
    match (status.watch, status.retry) {
        (Watch::Waiting { until }, _) => Some((until, "다시 물어봅니다", "It is asked again")),
        (Watch::Online, Some(until)) if status.to_send > 0 || status.behind => {
            Some((until, "다시 보냅니다", "It did not work, and is tried again"))
        }
        _ => None,
    }
}

/// How long it is until then, second by second.
#[component]
fn Again() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let now = RwSignal::new(Clock::real().now());
    let ticks =
        set_interval_with_handle(move || now.set(Clock::real().now()), Duration::from_secs(1));
    on_cleanup(move || {
        if let Ok(ticks) = ticks {
            ticks.clear();
        }
    });
    let line = move || {
        let (until, korean, english) = again(&reader.status()?)?;
        // Also where the clock has not ticked since.
        let left = until.since(now.get().max(Clock::real().now()));
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(match seconds {
            0 => t(format!("곧 {korean}."), format!("{english} now.")),
            _ => t(format!("{seconds}초 뒤에 {korean}."), format!("{english} in {seconds} s.")),
        })
    };
    // Nobody wants to hear each second read out.
    view! { <p class="again" aria-live="off">{line}</p> }
}

/// The screen.
#[component]
pub fn SyncCentre() -> impl IntoView {
    let reader = expect_context::<Reader>();
    browser::set_title(t("동기화 · Endpaper", "Sync · Endpaper"));
    let numbers = move || {
        reader.status().map(|status| {
            let pending =
                status.queued.saturating_sub(status.failed + status.waiting + status.syncing);
            [
                (RecordState::Pending, t("보낼 것", "To send"), pending),
                (RecordState::Syncing, t("보내는 중", "Being sent"), status.syncing),
                (RecordState::Waiting, t("기다리는 것", "Waiting for another"), status.waiting),
                (RecordState::Failed, t("확인이 필요한 것", "Needs attention"), status.failed),
            ]
            .map(|(state, name, number)| {
                view! {
                    <div class="number">
                        <dt><Sign state/>" "{name}</dt>
                        <dd>{number}</dd>
                    </div>
                }
            })
            .collect_view()
        })
    };
    let how = move || {
        reader.status().map(|status| {
            let last = status
                .last_success
                .map_or_else(|| t("아직 없음", "never").to_owned(), days::instant);
            let progress = Some(status.progress).filter(|(_, all)| *all > 0 && status.syncing > 0);
            let stopped = status.stopped.as_ref().map(words::failure);
            view! {
                <p class="online">{online(&status)}"."</p>
                {source(&status).map(|source| view! { <p>{source}"."</p> })}
                {progress.map(|(settled, all)| view! {
                    <p>
                        <progress max=all.to_string() value=settled.to_string()
                            aria-label=t("보낸 만큼", "Sent so far")></progress>
                        " "{t(format!("{all} 가운데 {settled}"), format!("{settled} of {all}"))}
                    </p>
                })}
                {stopped.map(|why| view! { <p class="refusal" role="alert">{why}</p> })}
                <p>{t("마지막으로 서버와 맞춘 때", "Last in step with the server")}": "{last}</p>
            }
        })
    };
    let now = move |_| reader.device().sync_now();
    let failed = reader.failed();
    // Not in the list: each pause is sent, and what is sent needs no attention until it is
    // refused again.
    let editing = RwSignal::new_local(None::<Writing>);
    let editor = move || {
        editing.get().map(|writing| view! { <Editor writing done=move || editing.set(None)/> })
    };
    let attention = move || {
        failed.get().filter(|failed| !failed.is_empty()).map(|failed| {
            view! {
                <section>
                    <h2>{t("확인이 필요한 것", "Needs your attention")}</h2>
                    <ul class="attention">
                        {failed
                            .into_iter()
                            .map(|one| view! { <NeedsAttention one editing/> })
                            .collect_view()}
                    </ul>
                </section>
            }
        })
    };
    let revisions = reader.revisions();
    let kept = move || {
        let all: Vec<Revision> = revisions
            .get()
            .unwrap_or_default()
            .iter()
            .filter_map(|one: &Shown| Revision::of_record(one.id, &one.fields))
            .collect();
        (!all.is_empty()).then(|| view! {
            <section>
                <h2>{t("겹쳐서 따로 보관한 것", "Kept beside what took its place")}</h2>
                <p>{t(
                    "같은 곳을 두 기기에서 고치면 나중 것이 자리를 차지하고, 먼저 것은 여기에 남습니다.",
                    "Where two devices changed the same words, the later ones stand, and the others are here.",
                )}</p>
                <ul class="attention">
                    {all.into_iter().map(|revision| view! { <KeptBeside revision/> }).collect_view()}
                </ul>
            </section>
        })
    };
    view! {
        <h1>{t("동기화", "Sync")}</h1>
        <section class="sync-now">
            <div aria-live="polite">{how}</div>
            <Again/>
            <dl class="numbers">{numbers}</dl>
            <button type="button" class="primary" on:click=now>{t("지금 맞추기", "Sync now")}</button>
        </section>
        {editor}
        <Unfinished editing/>
        {attention}
        {kept}
        <Room/>
        <Log/>
    }
}

/// What a table's records are called.
fn what(key: &RecordKey) -> &'static str {
    match &*key.table {
        table if table == MEMOS.name => t("메모", "Memo"),
        table if table == REVISIONS.name => t("보관한 것", "What was kept"),
        _ => t("책", "Book"),
    }
}

/// The text of some fields, for a person.
fn text_of(fields: &Fields) -> String {
    let texts = fields.iter().filter_map(|(name, value)| match value {
        Value::Text(text) if name != "userBookId" => Some(text.to_string()),
        Value::Int(page) if name == "pageNumber" => {
            Some(t(format!("{page}쪽"), format!("p. {page}")))
        }
        _ => None,
    });
    texts.collect::<Vec<_>>().join(" · ")
}

/// What was typed when a page was closed, and is no memo yet.
#[component]
fn Unfinished(editing: RwSignal<Option<Writing>, LocalStorage>) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let drafts = RwSignal::new(Vec::<(RecordId, Draft)>::new());
    let read = move || {
        spawn_local(async move {
            drafts.try_set(reader.drafts().await);
        });
    };
    Effect::new(move |_| {
        // Again when an editor was closed.
        if editing.with(Option::is_none) {
            read();
        }
    });
    let one = move |(id, draft): (RecordId, Draft)| {
        let (text, goes_on, saved) = (draft.content.clone(), draft.clone(), draft);
        let go_on = move |_| {
            let draft = goes_on.clone();
            spawn_local(async move {
                editing.try_set(Writing::begun(reader, id, draft).await);
            });
        };
        let export = move |_| {
            let of = key(&MEMOS, id);
            let fields = Fields::from([
                ("userBookId", Value::from(&*saved.book)),
                ("pageNumber", Value::Int(saved.page.trim().parse().unwrap_or(1))),
                ("content", Value::from(&*saved.content)),
                ("memoStartTime", Value::Int(Clock::real().now().0)),
                ("tags", Value::Texts(saved.tags.iter().map(|tag| (&**tag).into()).collect())),
            ]);
            give_file(&of, &reader::backup_of(&of, &fields, RecordState::Pending));
        };
        let discard = move |_| {
            spawn_local(async move {
                reader.drop_draft(id).await;
                read();
            });
        };
        view! {
            <li>
                <p>{text}</p>
                <p class="actions">
                    <button type="button" on:click=go_on>{t("이어 쓰기", "Go on writing")}</button>
                    <button type="button" class="quiet" on:click=export>{t("파일로 받기", "Save a file")}</button>
                    <button type="button" class="quiet" on:click=discard>{t("버리기", "Discard")}</button>
                </p>
            </li>
        }
    };
    let shown = move || {
        let all = drafts.get();
        (editing.with(Option::is_none) && !all.is_empty()).then(|| {
            view! {
                <section>
                    <h2>{t("쓰다 만 것", "Begun, and not finished")}</h2>
                    <ul class="attention">{all.into_iter().map(one).collect_view()}</ul>
                </section>
            }
        })
    };
    view! { {shown} }
}

/// A book or a memo, as a file.
fn give_file(of: &RecordKey, text: &str) {
    browser::give_file(&format!("endpaper-{}.json", of.id), text);
}

#[component]
fn NeedsAttention(one: Failed, editing: RwSignal<Option<Writing>, LocalStorage>) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let of = one.operation.key.clone();
    let text = match &one.operation.action {
        Action::Create { fields } | Action::Update { fields, .. } => text_of(fields),
        Action::Delete => t("지우기", "Deletion").to_owned(),
    };
    let (again, discards, exports) = (of.clone(), of.clone(), of.clone());
    let retry = move |_| {
        let of = again.clone();
        spawn_local(async move { drop(reader.device().try_again(&of).await) });
    };
    let discard = move |_| {
        let of = discards.clone();
        spawn_local(async move { drop(reader.device().discard(&of).await) });
    };
    let export = move |_| {
        let of = exports.clone();
        spawn_local(async move {
            // What is deleted here has nothing that could be kept.
            if let Ok(Some(text)) = reader.one(&of).await {
                give_file(&of, &text);
            }
        });
    };
    let can_export = !matches!(one.operation.action, Action::Delete);
    let edits = edits_of(&one.operation, editing);
    view! {
        <li>
            <p><strong>{what(&of)}</strong>" "{text}</p>
            <p class="refusal">{words::failure(&one.failure)}</p>
            <p class="actions">
                {edits}
                <button type="button" on:click=retry>{t("다시 보내기", "Try again")}</button>
                {can_export.then(|| view! {
                    <button type="button" class="quiet" on:click=export>{t("파일로 받기", "Save a file")}</button>
                })}
                <button type="button" class="quiet" on:click=discard>{t("버리기", "Discard")}</button>
            </p>
        </li>
    }
}

/// What changes a thing that was refused: it is sent again then.
fn edits_of(
    refused: &Operation,
    editing: RwSignal<Option<Writing>, LocalStorage>,
) -> Option<AnyView> {
    let reader = expect_context::<Reader>();
    let (id, name) = (refused.key.id, t("고치기", "Edit"));
    match &*refused.key.table {
        _ if matches!(refused.action, Action::Delete) => None,
        table if table == MEMOS.name => {
            let edit = move |_| {
                spawn_local(async move {
                    if let Some(memo) = reader.memo(id).await {
                        editing.try_set(Some(Writing::of(reader, memo).await));
                    }
                });
            };
            Some(view! { <button type="button" on:click=edit>{name}</button> }.into_any())
        }
        table if table == SHELF.name => {
            Some(view! { <A href=format!("/book/{id}")>{name}</A> }.into_any())
        }
        _ => None,
    }
}

#[component]
fn KeptBeside(revision: Revision) -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let why = match revision.why {
        Why::Overlap => {
            t("다른 기기에서 같은 글을 고쳤습니다", "Another device changed the same words")
        }
        Why::Deleted => t("다른 기기에서 지웠습니다", "Another device deleted it"),
    };
    let of = revision.of.clone();
    let there = reader.record(of.clone());
    let is_ours = |name: &str| {
        let table = TABLES.iter().find(|table| *table.name == *of.table);
        table.and_then(|table| table.rule(name)).is_some_and(|rule| rule != Rule::Server)
    };
    let ours: Fields = revision
        .fields
        .iter()
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name, value.clone()))
        .collect();
    let restore = {
        let of = of.clone();
        move |_| {
            let (of, ours) = (of.clone(), ours.clone());
            spawn_local(async move {
                if reader.edit(&of, Edit::Update(ours), Clock::real().now()).await {
                    toasts.say(t("되살렸습니다.", "It is back in its place."));
                }
            });
        }
    };
    let kept = StoredValue::new(revision.fields.clone());
    let export = {
        let of = of.clone();
        move |_| {
            // In its place, where that is there.
            let there = untrack(|| there.get().flatten());
            let mut fields = there.map(|shown| shown.fields).unwrap_or_default();
            kept.with_value(|kept| fields.set_all(kept));
            give_file(&of, &reader::backup_of(&of, &fields, RecordState::Saved));
        }
    };
    let stands = move || {
        there.get().map(|there| match there {
            Some(shown) => kept.with_value(|kept| {
                let all = shown.fields.iter().filter(|(name, _)| kept.get(name).is_some());
                text_of(&all.map(|(name, value)| (name, value.clone())).collect())
            }),
            None => t("지워졌습니다", "It is deleted").to_owned(),
        })
    };
    let has_place = move || there.with(|there| there.is_some_and(Option::is_some));
    let own = key(&REVISIONS, revision.id);
    let remove = move |_| {
        let said = t("보관한 것을 버렸습니다.", "What was kept is thrown away.").to_owned();
        reader.delete(own.clone(), Clock::real().now(), said);
    };
    view! {
        <li>
            <p><strong>{what(&of)}</strong>" "{why}" · "{days::instant(revision.at.wall())}</p>
            <div class="beside">
                <div>
                    <h3>{t("지금 있는 것", "What stands now")}</h3>
                    <p>{stands}</p>
                </div>
                <div>
                    <h3>{t("보관한 것", "What is kept")}</h3>
                    <p>{text_of(&revision.fields)}</p>
                </div>
            </div>
            <p class="actions">
                // What is deleted has no place any more, and this may be a part of it alone.
                <Show when=has_place>
                    <button type="button" on:click=restore.clone()>{t("되살리기", "Put it back")}</button>
                </Show>
                <button type="button" class="quiet" on:click=export>{t("파일로 받기", "Save a file")}</button>
                <button type="button" class="quiet" on:click=remove>{t("버리기", "Throw it away")}</button>
            </p>
        </li>
    }
}

/// Room on this device, and whether the browser keeps what is there.
#[component]
fn Room() -> impl IntoView {
    let (room, is_kept) = (RwSignal::new(None::<(f64, f64)>), RwSignal::new(None::<bool>));
    spawn_local(async move {
        room.try_set(browser::room().await);
        is_kept.try_set(Some(browser::is_persistent().await));
    });
    let ask = move |_| {
        spawn_local(async move {
            is_kept.try_set(Some(browser::ask_to_persist().await));
        });
    };
    let mib = |bytes: f64| match bytes / 1_048_576.0 {
        mib if mib >= 1_024.0 => format!("{:.0} GiB", mib / 1_024.0),
        mib => format!("{mib:.1} MiB"),
    };
    view! {
        <section>
            <h2>{t("이 기기", "This device")}</h2>
            <p>{move || room.get().map(|(used, given)| t(
                format!("쓰고 있는 공간 {}, 브라우저가 준 공간 {}", mib(used), mib(given)),
                format!("{} used of {} that the browser gives", mib(used), mib(given)),
            ))}</p>
            <p>{move || is_kept.get().map(|is_kept| if is_kept {
                view! { <span>{t(
                    "브라우저가 저장한 것을 마음대로 지우지 않습니다.",
                    "The browser does not throw it away by itself.",
                )}</span> }.into_any()
            } else {
                view! { <span>{t(
                    "기기에 공간이 모자라면 브라우저가 지울 수도 있습니다.",
                    "The browser may throw it away where the device runs out of room.",
                )}" "<button type="button" on:click=ask>{t("지키라고 하기", "Ask it not to")}</button></span> }.into_any()
            })}</p>
        </section>
    }
}

/// What became of the last edits.
#[component]
fn Log() -> impl IntoView {
    const SHOWN: usize = 20;
    let reader = expect_context::<Reader>();
    let log = RwSignal::new(Vec::new());
    Effect::new(move |_| {
        // Each time that something is settled.
        let _ = reader.status();
        spawn_local(async move {
            if let Ok(mut all) = reader.device().log().await {
                all.truncate(SHOWN);
                log.try_set(all);
            }
        });
    });
    let line = |one: sync::engine::Logged| {
        let end = match one.end {
            End::Applied if one.kind == Kind::Delete => t("지워짐", "is deleted"),
            End::Refused if one.kind == Kind::Delete => {
                t("지우지 못함: 서버가 받지 않음", "was not deleted: refused")
            }
            End::Applied => t("서버에 저장됨", "is on the server"),
            End::Merged => t("다른 것과 합쳐 서버에 저장됨", "is on the server, merged"),
            End::Kept => t("따로 보관됨", "is kept beside"),
            End::Refused => t("서버가 받지 않음", "was refused"),
            End::Discarded => t("버림", "was discarded"),
        };
        let took = one.settled.since(one.queued).as_secs_f64();
        let took = t(format!("{took:.1}초 걸림"), format!("took {took:.1} s"));
        view! { <li>{days::instant(one.settled)}" · "{what(&one.key)}" "{end}" · "{took}</li> }
    };
    let section = move || {
        let all = log.get();
        (!all.is_empty()).then(|| {
            view! {
                <section>
                    <h2>{t("지난 일", "What was done")}</h2>
                    <ol class="log">{all.into_iter().map(line).collect_view()}</ol>
                </section>
            }
        })
    };
    view! { {section} }
}
