//! The routes and their document say the same.

use serde_json::Value;

use crate::world::World;

/// Methods and paths of the document, the prefix left out.
fn operations() -> Vec<(String, String, bool)> {
    let document = serde_json::to_value(endpaper_reading::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        for (method, operation) in item.as_object().unwrap() {
            let locked = operation["security"] != Value::Null;
            all.push((method.to_uppercase(), path.to_owned(), locked));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn every_operation_of_the_document_is_routed_and_locked_ones_ask_who_calls() {
    let world = World::new().await;
    for (method, path, locked) in operations() {
        let path = path.replace("{isbn}", "9780441172719");
        let path = path.replace("{id}", "0190163d-8694-739b-aea5-966c26f8ad91");
        let path = path.replace("{userBookId}", "0190163d-8694-739b-aea5-966c26f8ad91");
        let got = world.ask(&method, &path).of_nobody().send().await;
        assert_ne!(got.status, 405, "{method} {path}");
        if method == "HEAD" {
            assert!(got.status == 200 || got.status == 503, "{method} {path}: {}", got.status);
            continue;
        }
        let code = got.json()["error"]["code"].clone();
        assert_ne!(code, "NOT_FOUND", "{method} {path}");
        assert_eq!(code == "UNAUTHORIZED", locked, "{method} {path}: {code}");
    }
}

#[test]
fn what_monitors_ask_is_documented() {
    let head = ("HEAD".to_owned(), "/health/books".to_owned(), false);
    assert!(operations().contains(&head));
}

#[test]
fn what_the_document_refers_to_is_in_it() {
    let document = serde_json::to_value(endpaper_reading::openapi()).unwrap();
    let text = document.to_string();
    let mut references = 0;
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "no schema {name}");
        references += 1;
    }
    assert!(references > 30);
}
