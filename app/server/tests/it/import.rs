//! `endpaper import`: what is taken, what is reported, what happens the second
//! time.

use std::fs;
use std::path::Path;

use lab::{Finished, Scratch};
use serde_json::{Value, json};

use crate::common::{Reader, Server, run};

const EXPORT: &str = "\
Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Average Rating,Publisher,Binding,Number of Pages,Year Published,Original Publication Year,Date Read,Date Added,Bookshelves,Bookshelves with positions,Exclusive Shelf,My Review,Spoiler,Private Notes,Read Count,Owned Copies
13079982,Fahrenheit 451,Ray Bradbury,\"Bradbury, Ray\",,=\"0140449132\",=\"9780140449136\",5,3.97,Penguin,Paperback,720,2002,1866,2023/01/31,2022/12/01,,,read,\"A review<br/>of two lines,
and one more.\",,,1,0
22,,Nobody,\"Nobody\",,=\"\",=\"\",0,3.1,,Paperback,100,2000,2000,,2022/12/02,to-read,to-read (#1),to-read,,,,0,0
23,소년이 온다,한강,\"한강\",,=\"8936434128\",=\"9788936434120\",0,4.5,창비,Paperback,216,2014,2014,,2022/12/03,to-read,to-read (#2),to-read,,,,0,0
";

fn import(kind: &str, data: &Path, file: &Path, more: &[&str]) -> Finished {
    let (data, file) = (data.display().to_string(), file.display().to_string());
    let mut arguments = vec!["import", kind, "--data", &data, &file];
    arguments.extend(more);
    run(&arguments)
}

#[tokio::test]
async fn a_goodreads_export_is_taken_and_a_bad_row_is_told_by_its_line() {
    let scratch = Scratch::new("import").unwrap();
    let (data, file) = (scratch.path().join("data"), scratch.path().join("export.csv"));
    fs::write(&file, EXPORT).unwrap();
    let server = Server::start(&data, &[]);
    Reader::sign_up(&server, "reader").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));

    let first = import("goodreads", &data, &file, &["--user", "reader", "--json"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let summary: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(
        (&summary["booksAdded"], &summary["problemCount"]),
        (&json!(2), &json!(1)),
        "{summary}"
    );
    assert_eq!(summary["problems"][0]["line"], 4, "the review before it has two lines: {summary}");

    let again = import("goodreads", &data, &file, &["--user", "reader"]);
    assert!(again.stdout.contains("books: 0 added, 2 there"), "{}", again.stdout);
    assert!(again.stdout.contains("line 4:"), "{}", again.stdout);

    let server = Server::start(&data, &[]);
    let reader = Reader::log_in(&server, "reader").await;
    let shelf = reader.get(&server, "/api/v1/user/books?sortBy=TITLE").await;
    let titles: Vec<_> =
        shelf["books"].as_array().unwrap().iter().map(|book| &book["title"]).collect();
    assert_eq!(titles.len(), 2, "{shelf}");
    let read = shelf["books"].as_array().unwrap().iter().find(|book| book["rating"] == 5).unwrap();
    assert_eq!((&read["category"], &read["isbn"]), (&json!("Finished"), &json!("9780140449136")));
    assert!(read["review"].as_str().unwrap().contains("of two lines,\nand one more."), "{read}");
}

#[tokio::test]
async fn what_cannot_be_imported_is_said_in_one_line_and_changes_nothing() {
    let scratch = Scratch::new("import").unwrap();
    let (data, file) = (scratch.path().join("data"), scratch.path().join("file.csv"));
    let failed = |finished: Finished, said: &str| {
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
        assert_eq!(finished.stdout, "");
    };
    failed(import("catalogue", &data, &file, &[]), "can't read");
    failed(import("catalogue", &data, scratch.path(), &[]), "is a directory");
    assert!(!data.exists(), "no store is made for a file that is not there");

    fs::write(&file, EXPORT).unwrap();
    let to_nobody = || import("goodreads", &data, &file, &["--user", "nobody"]);
    failed(to_nobody(), "there is no store");
    assert!(!data.exists(), "no store is made where nobody can have an account");
    assert_eq!(Server::start(&data, &[]).program.stop().unwrap().code, Some(0));
    failed(to_nobody(), "no account with the login id `nobody`");
    fs::write(&file, "a,b\n1,2\n").unwrap();
    failed(import("catalogue", &data, &file, &[]), "column");
    fs::write(&file, "").unwrap();
    failed(import("catalogue", &data, &file, &[]), "the file is empty");
}

#[tokio::test]
async fn a_catalogue_that_was_cut_in_half_is_taken_up_to_the_cut() {
    let scratch = Scratch::new("import").unwrap();
    let (data, file) = (scratch.path().join("data"), scratch.path().join("books.csv"));
    let heading = "goodreads_book_id,isbn,authors,title\n";
    let whole = format!(
        "{heading}1,439023483,Suzanne Collins,The Hunger Games\n2,61120081,Harper Lee,\"To Kill a Mockingbird\"\n"
    );
    fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    let cut = import("catalogue", &data, &file, &[]);
    assert_eq!(cut.code, Some(0), "{}", cut.stderr);
    assert!(
        cut.stdout.contains("2 rows: 1 added, 0 updated, 0 unchanged, 1 skipped"),
        "{}",
        cut.stdout
    );
    assert!(cut.stdout.contains("line 3: a quote is opened and not closed"), "{}", cut.stdout);

    fs::write(&file, &whole).unwrap();
    let again = import("catalogue", &data, &file, &["--json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(1), &json!(1)), "{again}");
}

#[tokio::test]
async fn an_import_beside_a_server_is_refused() {
    let scratch = Scratch::new("import").unwrap();
    let (data, file) = (scratch.path().join("data"), scratch.path().join("export.csv"));
    fs::write(&file, EXPORT).unwrap();
    let _server = Server::start(&data, &[]);
    let refused = import("goodreads", &data, &file, &["--user", "reader"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("in use by another process"), "{}", refused.stderr);
}
