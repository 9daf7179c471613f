//! SQL stands in `store` modules alone, and HTTP statuses in one file.

use super::Finding;
use super::workspace::{SourceFile, Workspace};

/// Crates whose work is SQL, and the bench, which measures it.
const ABOUT_SQL: [&str; 3] = ["crates/multi-master/", "crates/lab/", "bench/"];

/// Where an error becomes an HTTP status.
const STATUSES: &str = "app/http/src/status.rs";

/// Where a success becomes one.
const SUCCESSES: &str = "app/http/src/answer.rs";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let Some(rust) = file.rust.as_ref().filter(|_| !file.is_test()) else { return Vec::new() };
    let mut findings = Vec::new();
    if !may_have_sql(&file.path) {
        for (at, quoted) in
            rust.quoted.iter().filter(|(at, quoted)| is_sql(quoted) && !rust.in_test(*at))
        {
            let start: String = quoted.chars().take(30).collect();
            findings.push(Finding::at_line(
                &file.path,
                rust.line(*at),
                format!("SQL (`{start}…`) belongs into the crate's `store` module"),
            ));
        }
    }
    // A client of others' servers reads statuses, and assigns none.
    let is_client = rust.find("reqwest").next().is_some();
    if file.path.starts_with("app/")
        && ![STATUSES, SUCCESSES].contains(&file.path.as_str())
        && !is_client
    {
        let is_compared = |at: usize| {
            rust.code[..at].trim_end().ends_with("==") || rust.code[..at].trim_end().ends_with("!=")
        };
        for at in rust.find("StatusCode::").filter(|at| !rust.in_test(*at) && !is_compared(*at)) {
            findings.push(Finding::at_line(
                &file.path,
                rust.line(at),
                format!("HTTP statuses are assigned in {STATUSES}: give an error code of the API"),
            ));
        }
    }
    findings
}

fn may_have_sql(path: &str) -> bool {
    ABOUT_SQL.iter().any(|place| path.starts_with(place))
        || path.ends_with("/store.rs")
        || path.contains("/store/")
}

/// Whether a quoted text is an SQL statement, by its first words.
fn is_sql(quoted: &str) -> bool {
    let text = quoted.to_ascii_lowercase();
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut rest = words;
    match (first, second) {
        ("insert" | "replace", "into") | ("delete", "from") => true,
        ("create" | "alter" | "drop", "table" | "index" | "unique") => rest.next().is_some(),
        ("select", _) => rest.any(|word| word == "from"),
        ("update", _) => rest.next() == Some("set"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_told_from_sentences() {
        for sql in [
            "select id from books where isbn = ?",
            "\n  SELECT a,\n b\n FROM x",
            "insert into memos values (?)",
            "update memos set content = ?",
            "delete from memos",
            "create table x (id)",
        ] {
            assert!(is_sql(sql), "{sql}");
        }
        for sentence in
            ["select a book", "update failed", "delete", "create table", "insert coin", ""]
        {
            assert!(!is_sql(sentence), "{sentence}");
        }
    }

    #[test]
    fn sql_outside_a_store_is_found() {
        let source = "fn f() { q(\"delete from x where id = ?\"); }\n#[cfg(test)]\nmod t { const Q: &str = \"delete from x\"; }";
        let found = |path: &str| check_file(&SourceFile::new(path, source)).len();
        assert_eq!(found("app/reading/src/service.rs"), 1);
        assert_eq!(found("app/reading/src/store.rs"), 0);
        assert_eq!(found("app/reading/src/store/books.rs"), 0);
        assert_eq!(found("crates/multi-master/src/sqlite.rs"), 0);
        assert_eq!(found("app/reading/tests/it/main.rs"), 0);
    }

    #[test]
    fn a_status_that_is_chosen_elsewhere_is_found() {
        let found =
            |path: &str| check_file(&SourceFile::new(path, "f(StatusCode::NOT_FOUND)")).len();
        assert_eq!(found("app/reading/src/http.rs"), 1);
        assert_eq!(found(STATUSES), 0);
    }
}
