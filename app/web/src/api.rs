//! Requests that are no synchronization: accounts, and searching for books.

use endpaper_api::reading::{BookPage, QueryType};
use endpaper_api::{Envelope, ErrorBody, FieldProblem};
use serde::de::DeserializeOwned;
use sync::engine::Trouble;
use sync_web::StoreError;
use sync_web::http::Asked;

use crate::words::{self, language, t};

/// Why a request came to nothing.
#[derive(Clone, Debug)]
pub enum Refused {
    /// Nobody answered, or not our server.
    Away,
    /// What came of it can't be kept on this device.
    NotKept(StoreError),
    /// What was typed can't be sent.
    Wrong(FieldProblem),
    /// Another account is in this browser.
    Another,
    /// The server says why.
    Said(Box<ErrorBody>),
}

impl Refused {
    /// In words, for the person.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Away => t(
                "서버에 닿지 않습니다. 적은 것은 그대로 있으니 잠시 뒤 다시 해 보세요.",
                "The server can't be reached. What you typed stays here: try again in a moment.",
            )
            .to_owned(),
            Self::NotKept(error) => words::store(error),
            Self::Wrong(problem) => problem.message(language()),
            Self::Another => t(
                "다른 탭에서 이미 누군가 로그인했습니다. 다시 열면 그 서재가 보입니다.",
                "Somebody is logged in here already, in another tab: load the page again to see their shelf.",
            )
            .to_owned(),
            Self::Said(error) => {
                let fields = error.fields.iter().map(|field| field.message.as_str());
                let texts: Vec<&str> = fields.collect();
                if texts.is_empty() { error.message.clone() } else { texts.join(" ") }
            }
        }
    }

    /// The same without what [`Refused::of`] says of each field.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Said(error) => error.message.clone(),
            other => other.text(),
        }
    }

    /// What is wrong with a field, where it is said.
    #[must_use]
    pub fn of(&self, field: &str) -> Option<String> {
        let Self::Said(error) = self else { return None };
        error.fields.iter().find(|one| one.field == field).map(|one| one.message.clone())
    }
}

/// What the server says to a request, in the language of the page.
///
/// # Errors
/// [`Refused`].
pub async fn ask<A: DeserializeOwned>(asked: Asked) -> Result<A, Refused> {
    let asked = asked.header("accept-language", language().tag());
    let (_, _, text) = asked.text().await.map_err(|_| Refused::Away)?;
    let envelope = serde_json::from_str::<Envelope<A>>(&text).map_err(|_| Refused::Away)?;
    envelope.into_result().map_err(|error| Refused::Said(Box::new(error)))
}

/// A request that is answered in the language of the page.
#[must_use]
pub fn asked(method: &'static str, url: impl Into<String>) -> Asked {
    Asked::new(method, url).header("accept-language", language().tag())
}

/// Why the server gave no answer to somebody who is logged in.
#[must_use]
pub fn why(trouble: Trouble) -> String {
    match trouble {
        Trouble::LogIn => t("다시 로그인해 주세요.", "Log in again, please.").to_owned(),
        Trouble::Rejected(failure) | Trouble::Stopped(failure) => failure.message,
        Trouble::Unreachable | Trouble::Later(_) | Trouble::Expired => Refused::Away.text(),
    }
}

/// Books of the catalogue and of what the server asks outside.
///
/// # Errors
/// [`Refused`].
pub async fn search(query: &str, kind: QueryType) -> Result<BookPage, Refused> {
    let kind = match kind {
        QueryType::Title => "TITLE",
        QueryType::Author => "AUTHOR",
        QueryType::Publisher => "PUBLISHER",
    };
    let query = js_sys::encode_uri_component(query);
    let url = format!("/api/v1/books/search?query={query}&queryType={kind}&maxResults=20");
    ask(Asked::new("GET", url)).await
}
