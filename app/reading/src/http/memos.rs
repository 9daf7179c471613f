//! Memos, the calendar, the flow of a day, tags.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use endpaper_api::reading::{
    ChangeMemo, FlowSort, Memo, Tag as TagView, TagCategory, TodayFlow, WriteMemo,
};
use endpaper_api::{Day, Failure, FieldProblem, Success, Text};
use endpaper_http::{
    Answer, Caller, IdempotencyKey, IfMatch, JsonBody, PathId, Problem, QueryParams,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use utoipa::{IntoParams, OpenApi};

use super::{reader, view};
use crate::model::{Content, Flaws, MemoChange, MemoDraft, MemoId, Page, Tag, Tags, UserBookId};
use crate::service::ReadingService;
use crate::service::memos::{Keyed, Precondition, Written};

pub(super) fn routes() -> Router<ReadingService> {
    Router::new()
        .route("/api/v1/memos", post(write))
        .route("/api/v1/memos/{id}", put(change).delete(delete))
        .route("/api/v1/memos/books/{userBookId}", get(of_book))
        .route("/api/v1/memos/dates", get(dates))
        .route("/api/v1/today-flow", get(today_flow))
        .route("/api/v1/tags", get(tags))
}

#[derive(OpenApi)]
#[openapi(
    paths(write, change, delete, of_book, dates, today_flow, tags),
    components(schemas(Day, FlowSort, TagCategory))
)]
pub(super) struct Document;

/// Write a memo
///
/// With `Idempotency-Key` a repeat gets the first answer for at least 24
/// hours, the same key with another body is 422, and a repeat while the first
/// request runs is 409. With `id` the same memo sent twice is one memo.
#[utoipa::path(
    post,
    path = "/api/v1/memos",
    tag = "memos",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters of visible ASCII")),
    request_body = WriteMemo,
    responses(
        (status = 201, description = "The memo; its version is in `ETag` too", body = Success<Memo>),
        (status = 409, description = "The first request with this key runs, or the id is taken", body = Failure),
        (status = 422, description = "This key came with another body", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn write(
    State(service): State<ReadingService>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<WriteMemo>,
) -> Result<Answer<Memo>, Problem> {
    let body = serde_json::to_vec(&request).map_err(|error| Problem::internal(&error))?;
    let keyed = key.map(|key| Keyed {
        key,
        body_digest: Sha256::digest(&body).into(),
        answer: Arc::new(|memo| {
            serde_json::to_string(&view::memo(memo)).expect("texts and numbers are JSON")
        }),
    });
    let (memo_id, draft) = draft(&request)?;
    let memo: Memo = match service.write_memo(reader(&caller), memo_id, draft, keyed).await? {
        Written::Memo(memo) => view::memo(&memo),
        Written::Answered(answer) => {
            serde_json::from_str(&answer).map_err(|error| Problem::internal(&error))?
        }
    };
    let version = memo.version.clone();
    Ok(Answer::created(memo).etag(version))
}

fn draft(request: &WriteMemo) -> Result<(Option<MemoId>, MemoDraft), Problem> {
    let mut flaws = Flaws::default();
    let memo_id = request.id.as_ref().and_then(|text| flaws.note("id", new_id(text)));
    let book = request.user_book_id.parse().map_err(|_| FieldProblem::NotAnId);
    let book: Option<UserBookId> = flaws.note("userBookId", book);
    let page = flaws.note("pageNumber", Page::new(request.page_number));
    let content = flaws.note("content", Content::new(request.content.clone().into_string()));
    let codes = request.tags.iter().map(Text::as_str);
    let tags = Tags::new(codes, request.tag_category);
    let tags = flaws.note("tags", tags.map_err(|flaw| flaw.problem));
    match (book, page, content, tags, flaws.as_slice()) {
        (Some(user_book_id), Some(page), Some(content), Some(tags), []) => {
            let started_at = UnixMicros(request.memo_start_time.as_micros());
            Ok((memo_id, MemoDraft { user_book_id, page, content, tags, started_at }))
        }
        _ => Err(flaws.into()),
    }
}

/// An id that a client made: of version 7, as all ids here.
fn new_id(text: &str) -> Result<MemoId, FieldProblem> {
    let id: MemoId = text.parse().map_err(|_| FieldProblem::NotAnId)?;
    if id.uuid().get_version_num() == 7 { Ok(id) } else { Err(FieldProblem::NotAnId) }
}

/// Change a memo
///
/// What is given is set, what is not stays. With `If-Match` only where the memo
/// still has that version.
#[utoipa::path(
    put,
    path = "/api/v1/memos/{id}",
    tag = "memos",
    security(("bearer" = [])),
    params(
        ("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that was seen"),
    ),
    request_body = ChangeMemo,
    responses(
        (status = 200, description = "The memo; its version is in `ETag` too", body = Success<Memo>),
        (status = 412, description = "It was changed in the meantime", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn change(
    State(service): State<ReadingService>,
    caller: Caller,
    if_match: IfMatch,
    PathId(memo_id): PathId<MemoId>,
    JsonBody(request): JsonBody<ChangeMemo>,
) -> Result<Answer<Memo>, Problem> {
    let change = memo_change(request)?;
    let allows: Precondition = Arc::new(move |version| if_match.allows(view::version(version)));
    let memo = service.change_memo(reader(&caller), memo_id, change, allows).await?;
    Ok(Answer::ok(view::memo(&memo)).etag(view::version(memo.version)))
}

fn memo_change(request: ChangeMemo) -> Result<MemoChange, Problem> {
    let mut flaws = Flaws::default();
    let page = request.page_number.and_then(|page| flaws.note("pageNumber", Page::new(page)));
    let content =
        request.content.and_then(|text| flaws.note("content", Content::new(text.into_string())));
    let tags = request.tags.and_then(|codes| {
        let tags = Tags::new(codes.iter().map(Text::as_str), None);
        flaws.note("tags", tags.map_err(|flaw| flaw.problem))
    });
    let change = MemoChange {
        page,
        content,
        tags: tags.map(|tags| tags.as_slice().to_vec()),
        tag_category: request.tag_category.into_option(),
    };
    Ok(flaws.check(change)?)
}

/// Delete a memo
///
/// A repeat finds it done and answers the same. With `If-Match` only where the
/// memo still has that version.
#[utoipa::path(
    delete,
    path = "/api/v1/memos/{id}",
    tag = "memos",
    security(("bearer" = [])),
    params(
        ("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that was seen"),
    ),
    responses(
        (status = 412, description = "It was changed in the meantime", body = Failure),
        (status = 200, description = "There is no such memo now", body = Success<serde_json::Value>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn delete(
    State(service): State<ReadingService>,
    caller: Caller,
    if_match: IfMatch,
    PathId(memo_id): PathId<MemoId>,
) -> Result<Answer<()>, Problem> {
    let allows: Precondition = Arc::new(move |version| if_match.allows(view::version(version)));
    service.delete_memo(reader(&caller), memo_id, allows).await?;
    Ok(Answer::ok(()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DayQuery {
    /// One day, in the reader's time zone; all days without.
    date: Option<Day>,
}

/// The memos of a book, in the order of their time
#[utoipa::path(
    get,
    path = "/api/v1/memos/books/{userBookId}",
    tag = "memos",
    security(("bearer" = [])),
    params(("userBookId" = uuid::Uuid, Path), DayQuery),
    responses(
        (status = 200, description = "The memos", body = Success<Vec<Memo>>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn of_book(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    QueryParams(query): QueryParams<DayQuery>,
) -> Result<Answer<Vec<Memo>>, Problem> {
    let day = query.date.map(Day::date);
    let memos = service.memos_of_book(reader(&caller), book, day, &caller.time_zone).await?;
    Ok(Answer::ok(memos.iter().map(view::memo).collect()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MonthQuery {
    /// The year, 1 to 9998.
    year: i64,
    /// The month, 1 to 12.
    month: i64,
}

/// The days of a month with memos, for the calendar
#[utoipa::path(
    get,
    path = "/api/v1/memos/dates",
    tag = "memos",
    security(("bearer" = [])),
    params(MonthQuery),
    responses(
        (status = 200, description = "The days, in order", body = Success<Vec<Day>>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn dates(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<MonthQuery>,
) -> Result<Answer<Vec<Day>>, Problem> {
    let zone = &caller.time_zone;
    let days = service.days_with_memos(reader(&caller), query.year, query.month, zone).await?;
    Ok(Answer::ok(days.into_iter().map(Day::from).collect()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct FlowQuery {
    /// The day, in the reader's time zone; today without.
    date: Option<Day>,
    /// How the memos are grouped; `SESSION` without.
    sort_by: Option<FlowSort>,
    /// With `TAG`: the tags of this category alone.
    tag_category: Option<TagCategory>,
}

/// The memos of a day, grouped
///
/// By sitting (memos with at most half an hour between them), by book, or by
/// tag.
#[utoipa::path(
    get,
    path = "/api/v1/today-flow",
    tag = "memos",
    security(("bearer" = [])),
    params(FlowQuery),
    responses(
        (status = 200, description = "The day", body = Success<TodayFlow>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn today_flow(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<FlowQuery>,
) -> Result<Answer<TodayFlow>, Problem> {
    let (day, sort) = (query.date.map(Day::date), query.sort_by.unwrap_or_default());
    let zone = &caller.time_zone;
    let flow = service.flow(reader(&caller), day, sort, query.tag_category, zone).await?;
    Ok(Answer::ok(view::flow(&flow)))
}

/// The tag catalogue, in the order in which tags are shown
#[utoipa::path(
    get,
    path = "/api/v1/tags",
    tag = "memos",
    responses((status = 200, description = "The tags", body = Success<Vec<TagView>>)),
)]
async fn tags() -> Answer<Vec<TagView>> {
    Answer::ok(Tag::ALL.iter().copied().map(view::tag).collect())
}
