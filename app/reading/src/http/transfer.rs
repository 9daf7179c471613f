//! A reader's data, out and in.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use endpaper_api::reading::{
    ExportFormat, ExportPart, ImportProblem, ImportProgress, ImportState, ImportSummary,
};
use endpaper_api::{ErrorCode, Failure, Instant, Language, Success};
use endpaper_http::{Answer, Caller, Problem, QueryParams, body};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::reader;
use crate::service::importing;
use crate::service::incoming::ImportReport;
use crate::service::transfer::CsvPart;
use crate::service::{ReadingError, ReadingService};

/// The most bytes of a file that is imported through the API. A Goodreads
/// export of a thousand reviewed books has one or two million.
const IMPORT_BYTES_MAX: usize = 16 << 20;

pub(super) fn routes() -> Router<ReadingService> {
    Router::new()
        .route("/api/v1/import", post(import))
        .route("/api/v1/import/goodreads", post(import_goodreads))
        .route("/api/v1/import/progress", get(progress))
        .route("/api/v1/export", get(export))
}

#[derive(OpenApi)]
#[openapi(
    paths(import, import_goodreads, progress, export),
    components(schemas(ExportFormat, ExportPart))
)]
pub(super) struct Document;

/// Import a Goodreads export
///
/// The file as it was downloaded, at most 16 MiB. Books that are on the shelf
/// already stay as they are, so a file can be imported twice. A row that can't
/// be taken is reported by its line and does not stop the rest. Exports of
/// Endpaper are taken here too. `GET /import/progress` tells how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/import/goodreads",
    tag = "import and export",
    security(("bearer" = [])),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "What was taken, and what was not", body = Success<ImportSummary>),
        (status = 409, description = "Another import of this reader runs", body = Failure),
        (status = 503, description = "Too many imports run; `Retry-After` says when to come back", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn import_goodreads(
    service: State<ReadingService>,
    caller: Caller,
    request: Request,
) -> Result<Answer<ImportSummary>, Problem> {
    import(service, caller, request).await
}

/// Import an export of Endpaper, or of Goodreads
///
/// The file as it was downloaded, JSON or CSV, at most 16 MiB; which one it is,
/// the file says. Into an empty account it gives the same shelf and memos.
#[utoipa::path(
    post,
    path = "/api/v1/import",
    tag = "import and export",
    security(("bearer" = [])),
    request_body(content(
        (String = "text/csv"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = 200, description = "What was taken, and what was not", body = Success<ImportSummary>),
        (status = 409, description = "Another import of this reader runs", body = Failure),
        (status = 503, description = "Too many imports run; `Retry-After` says when to come back", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn import(
    State(service): State<ReadingService>,
    caller: Caller,
    request: Request,
) -> Result<Answer<ImportSummary>, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with("multipart/") {
        // The boundaries would be read as rows.
        return Err(Problem::new(ErrorCode::UnsupportedMediaType));
    }
    // Before the file is read: files of requests that wait would fill the memory.
    let place = service.begin_import(reader(&caller))?;
    let file = body::read(request.into_body(), IMPORT_BYTES_MAX).await?;
    match service.import_at(place, file, &caller.time_zone, |_| {}).await {
        Ok(report) => Ok(Answer::ok(summary(&report, caller.language))),
        Err(ReadingError::ImportUnreadable(why)) => {
            let reason = why.message(caller.language);
            Err(Problem::new(ErrorCode::ImportUnreadable).detail("reason", reason))
        }
        Err(error) => Err(error.into()),
    }
}

/// How far the caller's import is
///
/// An import answers when it is through. This tells, on another connection, how
/// far it is, and afterwards how it ended, also where its answer was lost. It
/// is known to the process in which it runs, until that ends.
#[utoipa::path(
    get,
    path = "/api/v1/import/progress",
    tag = "import and export",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "How far it is; `state` is `NONE` where no import is known", body = Success<ImportProgress>),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn progress(State(service): State<ReadingService>, caller: Caller) -> Answer<ImportProgress> {
    let import = service.import_progress(reader(&caller));
    Answer::ok(match import {
        None => ImportProgress {
            state: ImportState::None,
            started_at: None,
            format: None,
            done: 0,
            total: None,
            books_added: 0,
            memos_added: 0,
            problem_count: 0,
        },
        Some(import) => ImportProgress {
            state: match import.state {
                importing::ImportState::Running => ImportState::Running,
                importing::ImportState::Done => ImportState::Done,
                importing::ImportState::Failed => ImportState::Failed,
            },
            started_at: Some(Instant::from_micros(import.started_at.0)),
            format: import.format.map(|format| format.name().to_owned()),
            done: import.done,
            total: import.total,
            books_added: import.books_added,
            memos_added: import.memos_added,
            problem_count: import.problem_count,
        },
    })
}

fn summary(report: &ImportReport, language: Language) -> ImportSummary {
    let problem = |problem: &crate::service::incoming::ImportProblem| ImportProblem {
        line: problem.line,
        field: problem.problem.field().map(str::to_owned),
        message: problem.problem.message(language),
    };
    ImportSummary {
        format: report.format.name().to_owned(),
        books_added: report.books_added,
        books_there: report.books_there,
        memos_added: report.memos_added,
        memos_there: report.memos_there,
        problem_count: report.problem_count,
        problems: report.problems.iter().map(problem).collect(),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `json` without.
    format: Option<ExportFormat>,
    /// With `csv`: this table alone; both without.
    part: Option<ExportPart>,
}

/// Export all of the reader's data
///
/// JSON comes in the envelope of all answers, CSV as a file. Both can be
/// imported as they are.
#[utoipa::path(
    get,
    path = "/api/v1/export",
    tag = "import and export",
    security(("bearer" = [])),
    params(ExportQuery),
    responses(
        (status = 200, description = "The data", content(
            (Success<serde_json::Value> = "application/json"),
            (String = "text/csv"),
        )),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn export(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<ExportQuery>,
) -> Result<Response, Problem> {
    let reader = reader(&caller);
    let (file, content_type, name) = match query.format.unwrap_or_default() {
        ExportFormat::Json => {
            // Put around by hand: the export is written once, and not read and
            // written again.
            let file = service.export_json(reader).await?;
            let enveloped = [&b"{\"ok\":true,\"data\":"[..], &file, b"}"].concat();
            (enveloped, "application/json", "endpaper.json")
        }
        ExportFormat::Csv => {
            let (part, name) = match query.part {
                None => (CsvPart::Both, "endpaper.csv"),
                Some(ExportPart::Books) => (CsvPart::Books, "endpaper-books.csv"),
                Some(ExportPart::Memos) => (CsvPart::Memos, "endpaper-memos.csv"),
            };
            (service.export_csv(reader, part).await?, "text/csv; charset=utf-8", name)
        }
    };
    let mut response = Body::from(file).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
