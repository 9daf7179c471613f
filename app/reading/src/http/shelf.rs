//! The shelf.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use endpaper_api::reading::{
    Category, ChangeShelfBook, CloseBook, FinishReading, RecentBook, Shelf, ShelfBook, ShelfSort,
    ShelveBook, Shelved, StartReading,
};
use endpaper_api::{Failure, Success};
use endpaper_http::{Answer, Caller, JsonBody, PathId, Problem, QueryParams};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::{reader, view};
use crate::model::UserBookId;
use crate::service::ReadingService;

pub(super) fn routes() -> Router<ReadingService> {
    Router::new()
        .route("/api/v1/user/books", post(shelve).get(list))
        .route("/api/v1/user/books/{id}", put(change).delete(remove))
        .route("/api/v1/user/books/{id}/category", put(set_category))
        .route("/api/v1/user/books/{id}/start-reading", post(start_reading))
        .route("/api/v1/user/books/{id}/finish-reading", post(finish_reading))
        .route("/api/v1/memos/books/{userBookId}/close", post(close))
        .route("/api/v1/memos/books/recent", get(recent))
}

#[derive(OpenApi)]
#[openapi(
    paths(
        shelve,
        list,
        change,
        remove,
        set_category,
        start_reading,
        finish_reading,
        close,
        recent
    ),
    components(schemas(Category, ShelfSort))
)]
pub(super) struct Document;

/// Put a book on the shelf
///
/// The same book twice, also at once from two devices, is one book: the answer
/// is 409 with its id in `details.existingId`. A book that comes back after it
/// was taken off gets its old id and its memos.
#[utoipa::path(
    post,
    path = "/api/v1/user/books",
    tag = "shelf",
    security(("bearer" = [])),
    request_body = ShelveBook,
    responses(
        (status = 201, description = "It is on the shelf", body = Success<Shelved>),
        (status = 409, description = "It was there already", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn shelve(
    State(service): State<ReadingService>,
    caller: Caller,
    JsonBody(request): JsonBody<ShelveBook>,
) -> Result<Answer<Shelved>, Problem> {
    let book = service.shelve(reader(&caller), request).await?;
    Ok(Answer::created(view::shelved(&book)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    /// One category of the shelf; all of it without.
    category: Option<Category>,
    /// What it is sorted by; `TITLE` without. Korean titles first for readers
    /// of Korean, Latin ones for readers of English.
    sort_by: Option<ShelfSort>,
}

/// The shelf
#[utoipa::path(
    get,
    path = "/api/v1/user/books",
    tag = "shelf",
    security(("bearer" = [])),
    params(ListQuery),
    responses(
        (status = 200, description = "The books, sorted", body = Success<Shelf>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn list(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Answer<Shelf>, Problem> {
    let sort = query.sort_by.unwrap_or_default();
    let books = service.shelf(reader(&caller), query.category, sort, caller.language).await?;
    let books: Vec<ShelfBook> = books.iter().map(view::shelf_book).collect();
    Ok(Answer::ok(Shelf { total_count: books.len() as u64, books }))
}

/// Change a book on the shelf
///
/// What is given is set, `null` takes a value away, the rest stays.
#[utoipa::path(
    put,
    path = "/api/v1/user/books/{id}",
    tag = "shelf",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "`userBookId`")),
    request_body = ChangeShelfBook,
    responses(
        (status = 200, description = "As it is now", body = Success<ShelfBook>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn change(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    JsonBody(request): JsonBody<ChangeShelfBook>,
) -> Result<Answer<ShelfBook>, Problem> {
    let book = service.change_shelf_book(reader(&caller), book, request).await?;
    Ok(Answer::ok(view::shelf_book(&book)))
}

/// Take a book off the shelf
///
/// A repeat finds it done and answers the same. The memos of the book are kept:
/// they come back with it when it is put on the shelf again.
#[utoipa::path(
    delete,
    path = "/api/v1/user/books/{id}",
    tag = "shelf",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "`userBookId`")),
    responses(
        (status = 200, description = "It is not on the shelf", body = Success<serde_json::Value>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn remove(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
) -> Result<Answer<()>, Problem> {
    service.remove(reader(&caller), book).await?;
    Ok(Answer::ok(()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CategoryQuery {
    /// The category.
    category: Category,
}

/// Set the category by hand
///
/// Progress changes it no more until the book is started or finished.
#[utoipa::path(
    put,
    path = "/api/v1/user/books/{id}/category",
    tag = "shelf",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "`userBookId`"), CategoryQuery),
    responses(
        (status = 200, description = "As it is now", body = Success<ShelfBook>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn set_category(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    QueryParams(query): QueryParams<CategoryQuery>,
) -> Result<Answer<ShelfBook>, Problem> {
    let book = service.set_category(reader(&caller), book, query.category).await?;
    Ok(Answer::ok(view::shelf_book(&book)))
}

/// Begin a book
///
/// From here on progress decides the category. Beginning a finished book again
/// keeps its rating and review, and forgets the day of its finish.
#[utoipa::path(
    post,
    path = "/api/v1/user/books/{id}/start-reading",
    tag = "shelf",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "`userBookId`")),
    request_body = StartReading,
    responses(
        (status = 200, description = "As it is now", body = Success<ShelfBook>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn start_reading(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    JsonBody(request): JsonBody<StartReading>,
) -> Result<Answer<ShelfBook>, Problem> {
    let book = service.start_reading(reader(&caller), book, request).await?;
    Ok(Answer::ok(view::shelf_book(&book)))
}

/// Finish a book
#[utoipa::path(
    post,
    path = "/api/v1/user/books/{id}/finish-reading",
    tag = "shelf",
    security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "`userBookId`")),
    request_body = FinishReading,
    responses(
        (status = 200, description = "As it is now", body = Success<ShelfBook>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn finish_reading(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    JsonBody(request): JsonBody<FinishReading>,
) -> Result<Answer<ShelfBook>, Problem> {
    let book = service.finish_reading(reader(&caller), book, request).await?;
    Ok(Answer::ok(view::shelf_book(&book)))
}

/// Close a book after a sitting
///
/// The category follows from the last page read, unless it was set by hand:
/// 0 `ToRead`, from 1 page `Reading`, from 70 % `AlmostFinished`. On the last
/// page the day of the finish and the rating are asked for, and the book is
/// `Finished`.
#[utoipa::path(
    post,
    path = "/api/v1/memos/books/{userBookId}/close",
    tag = "shelf",
    security(("bearer" = [])),
    params(("userBookId" = uuid::Uuid, Path)),
    request_body = CloseBook,
    responses(
        (status = 200, description = "As it is now", body = Success<ShelfBook>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn close(
    State(service): State<ReadingService>,
    caller: Caller,
    PathId(book): PathId<UserBookId>,
    JsonBody(request): JsonBody<CloseBook>,
) -> Result<Answer<ShelfBook>, Problem> {
    let book = service.close_book(reader(&caller), book, request).await?;
    Ok(Answer::ok(view::shelf_book(&book)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RecentQuery {
    /// How many months back, 1 to 120; 1 without.
    months: Option<i64>,
}

/// Books with memos lately, latest first
#[utoipa::path(
    get,
    path = "/api/v1/memos/books/recent",
    tag = "shelf",
    security(("bearer" = [])),
    params(RecentQuery),
    responses(
        (status = 200, description = "The books", body = Success<Vec<RecentBook>>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn recent(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<RecentQuery>,
) -> Result<Answer<Vec<RecentBook>>, Problem> {
    let months = query.months.unwrap_or(1);
    let books = service.recent_books(reader(&caller), months, &caller.time_zone).await?;
    Ok(Answer::ok(books.iter().map(view::recent).collect()))
}
