//! The catalogue and the sources behind it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use endpaper_api::reading::{
    Book, BookPage, BooksHealth, BooksStatus, QueryType, SourceReport, SourceState,
};
use endpaper_api::{ErrorCode, Failure, FieldProblem, Success, Text};
use endpaper_http::{Answer, PathText, Problem, QueryParams};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::view;
use crate::rules::keys;
use crate::service::ReadingService;
use crate::service::books::{PAGE_BOOKS_DEFAULT, Page};
use crate::sources::{self, SourceError};

pub(super) fn routes() -> Router<ReadingService> {
    Router::new()
        .route("/api/v1/books/search", get(search))
        .route("/api/v1/books/{isbn}", get(book))
        .route("/api/v1/health/books", get(health).head(health_head))
}

#[derive(OpenApi)]
#[openapi(paths(search, book, health, health_head), components(schemas(QueryType)))]
pub(super) struct Document;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct SearchQuery {
    /// What to look for, at most 100 characters. A part of a word is found, and
    /// initial consonants find the syllables that begin with them.
    query: Text,
    /// What to look in; `TITLE` without.
    query_type: Option<QueryType>,
    /// The number of the first result, from 1; 1 without.
    start: Option<i64>,
    /// The most books of the page, 1 to 50; 10 without.
    max_results: Option<i64>,
}

/// Search the catalogue and the external source
///
/// The catalogue's books come first. A source that is away makes the answer
/// shorter and is named in `sources`.
#[utoipa::path(
    get,
    path = "/api/v1/books/search",
    tag = "books",
    params(SearchQuery),
    responses(
        (status = 200, description = "One page", body = Success<BookPage>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn search(
    State(service): State<ReadingService>,
    QueryParams(query): QueryParams<SearchQuery>,
) -> Result<Answer<BookPage>, Problem> {
    let start = query.start.unwrap_or(1);
    let wanted = query.max_results.unwrap_or(PAGE_BOOKS_DEFAULT.into());
    let query_type = query.query_type.unwrap_or_default();
    let page = service.search(&query.query, query_type, start, wanted).await?;
    Ok(Answer::ok(page_view(&page, start, wanted)))
}

fn page_view(page: &Page, start: i64, wanted: i64) -> BookPage {
    let report = |(name, answer): &(sources::SourceName, Result<(), SourceError>)| SourceReport {
        name: name.as_str().to_owned(),
        state: match answer {
            Ok(()) => SourceState::Up,
            Err(SourceError::QuotaExceeded { .. }) => SourceState::Quota,
            Err(_) => SourceState::Away,
        },
    };
    BookPage {
        total_results: page.total,
        // Within bounds: the search took them.
        start_index: u32::try_from(start).unwrap_or(1),
        items_per_page: u32::try_from(wanted).unwrap_or(PAGE_BOOKS_DEFAULT),
        books: page.books.iter().map(|(key, facts)| view::book(key, facts)).collect(),
        sources: page.sources.iter().map(report).collect(),
    }
}

/// One book
///
/// Of the catalogue, else of the external source.
#[utoipa::path(
    get,
    path = "/api/v1/books/{isbn}",
    tag = "books",
    params(("isbn" = String, Path, description = "ISBN-13 or ISBN-10, or the `isbn` of a search result")),
    responses(
        (status = 200, description = "The book", body = Success<Book>),
        (status = 404, description = "Neither the catalogue nor the source knows it", body = Failure),
        (status = 503, description = "The catalogue does not have it and the source is away", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn book(
    State(service): State<ReadingService>,
    PathText(isbn): PathText,
) -> Result<Answer<Book>, Problem> {
    let key =
        keys::of_input(isbn.trim()).map_err(|_| Problem::field("isbn", FieldProblem::NotAnIsbn))?;
    let (key, facts) = service.book(&key).await?;
    Ok(Answer::ok(view::book(&key, &facts)))
}

/// The external book source
///
/// 503 where sources are configured and none of them answers. Without any, the
/// catalogue is all there is, and that is well.
#[utoipa::path(
    get,
    path = "/api/v1/health/books",
    tag = "books",
    responses(
        (status = 200, description = "A source answers, or none is configured", body = Success<BooksHealth>),
        (status = 503, description = "None answers", body = Failure),
    ),
)]
async fn health(State(service): State<ReadingService>) -> Response {
    health_of(&service).await
}

/// The external book source, without a body
///
/// The statuses of `GET /health/books`, for monitors.
#[utoipa::path(
    head,
    path = "/api/v1/health/books",
    tag = "books",
    responses(
        (status = 200, description = "A source answers, or none is configured"),
        (status = 503, description = "None answers"),
    ),
)]
async fn health_head(State(service): State<ReadingService>) -> StatusCode {
    health_of(&service).await.status()
}

async fn health_of(service: &ReadingService) -> Response {
    let states = service.check_sources().await;
    let reports: Vec<SourceReport> = states
        .iter()
        .map(|(name, state)| SourceReport {
            name: name.as_str().to_owned(),
            state: match state {
                sources::SourceState::Ready => SourceState::Up,
                sources::SourceState::QuotaExceeded { .. } => SourceState::Quota,
                sources::SourceState::Trying
                | sources::SourceState::Resting { .. }
                | sources::SourceState::BadKey { .. } => SourceState::Away,
            },
        })
        .collect();
    let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
    let status = if reports.is_empty() {
        BooksStatus::None
    } else if reports.iter().any(|report| report.state == SourceState::Up) {
        BooksStatus::Up
    } else {
        return Problem::new(ErrorCode::SourceUnavailable)
            .detail("sources", &reports)
            .into_response();
    };
    let source = names.join(", ");
    Answer::ok(BooksHealth { status, source, sources: reports }).into_response()
}
