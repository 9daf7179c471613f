//! The API's document as one HTML page, without scripts.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// Renders an OpenAPI document.
pub(super) fn render(document: &Value) -> String {
    let info = &document["info"];
    let (title, version) = (escaped(&info["title"]), escaped(&info["version"]));
    let mut page = Page(String::with_capacity(256 * 1024));
    page.add(&format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} API {version}</title><style>{STYLE}</style></head><body>\
         <header><h1>{title} API <small>{version}</small></h1>"
    ));
    page.paragraphs(&info["description"]);
    page.add("<p><a href=\"/api/v1/openapi.json\">OpenAPI 3.1 document</a></p></header><main>");
    for tag in tags(document) {
        page.tag(document, &tag);
    }
    page.add("<h2 id=\"types\">Types</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        page.schema(name, schema);
    }
    page.add("</main></body></html>\n");
    page.0
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{margin:0 auto;max-width:60rem;padding:1rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
details{border:1px solid #8886;border-radius:.4rem;margin:.4rem 0;padding:.4rem .8rem}\
summary{cursor:pointer}summary b{display:inline-block;min-width:4.5rem}\
summary span{opacity:.75}\
table{border-collapse:collapse;margin:.5rem 0;width:100%}\
th,td{border-bottom:1px solid #8884;padding:.25rem .5rem;text-align:left;vertical-align:top}\
h2{margin-top:2rem}h3{margin:1.2rem 0 .2rem}h4{margin:.8rem 0 .2rem}";

/// The tags in the order of the document, then those that only operations name.
fn tags(document: &Value) -> Vec<String> {
    let declared = array(&document["tags"]).iter().filter_map(|tag| tag["name"].as_str());
    let used = operations(document).filter_map(|(_, _, operation)| operation["tags"][0].as_str());
    let mut tags: Vec<String> = Vec::new();
    for tag in declared.chain(used) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    object(&document["paths"]).flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| Some((path, method, item.get(method)?)))
    })
}

struct Page(String);

impl Page {
    fn add(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn put(&mut self, parts: std::fmt::Arguments<'_>) {
        self.0.write_fmt(parts).expect("a string takes all");
    }

    fn paragraphs(&mut self, text: &Value) {
        for paragraph in text.as_str().unwrap_or_default().split("\n\n") {
            if !paragraph.trim().is_empty() {
                self.put(format_args!("<p>{}</p>", prose(paragraph)));
            }
        }
    }

    fn tag(&mut self, document: &Value, tag: &str) {
        let about = array(&document["tags"]).iter().find(|known| known["name"] == tag);
        self.put(format_args!("<h2>{}</h2>", escape(tag)));
        if let Some(about) = about {
            self.paragraphs(&about["description"]);
        }
        for (path, method, operation) in operations(document) {
            if operation["tags"][0] == tag {
                self.operation(path, method, operation);
            }
        }
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let lock = if array(&operation["security"]).is_empty() {
            ""
        } else {
            " <small>(with a token)</small>"
        };
        self.put(format_args!(
            "<details><summary><b>{}</b> <code>{}</code>{lock} <span>{}</span></summary>",
            method.to_uppercase(),
            escape(path),
            escaped(&operation["summary"]),
        ));
        self.paragraphs(&operation["description"]);
        let parameters = array(&operation["parameters"]);
        if !parameters.is_empty() {
            self.add("<h4>Parameters</h4><table><tr><th>name<th>in<th>type<th>what it is</tr>");
            for parameter in parameters {
                let required = if parameter["required"] == true { ", required" } else { "" };
                self.put(format_args!(
                    "<tr><td><code>{}</code><td>{}<td>{}{required}<td>{}</tr>",
                    escaped(&parameter["name"]),
                    escaped(&parameter["in"]),
                    type_of(&parameter["schema"]),
                    prose(parameter["description"].as_str().unwrap_or_default()),
                ));
            }
            self.add("</table>");
        }
        let body = object(&operation["requestBody"]["content"]).next();
        if let Some((media_type, content)) = body {
            self.put(format_args!(
                "<h4>Request</h4><p>{}: <code>{}</code></p>",
                type_of(&content["schema"]),
                escape(media_type)
            ));
        }
        self.add("<h4>Answers</h4><table><tr><th>status<th>when<th>body</tr>");
        for (status, response) in object(&operation["responses"]) {
            let body = object(&response["content"]).next();
            self.put(format_args!(
                "<tr><td><code>{}</code><td>{}<td>{}</tr>",
                escape(status),
                prose(response["description"].as_str().unwrap_or_default()),
                body.map_or_else(String::new, |(_, content)| type_of(&content["schema"])),
            ));
        }
        self.add("</table></details>");
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        let name = escape(name);
        self.put(format_args!("<h3 id=\"{name}\"><code>{name}</code></h3>"));
        self.paragraphs(&schema["description"]);
        let required: Vec<&str> =
            array(&schema["required"]).iter().filter_map(Value::as_str).collect();
        let mut fields = object(&schema["properties"]).peekable();
        if fields.peek().is_none() {
            self.put(format_args!("<p>{}</p>", type_of(schema)));
            return;
        }
        self.add("<table><tr><th>field<th>type<th>what it is</tr>");
        for (field, of) in fields {
            let mark = if required.contains(&field) { ", required" } else { "" };
            self.put(format_args!(
                "<tr><td><code>{}</code><td>{}{mark}<td>{}</tr>",
                escape(field),
                type_of(of),
                prose(of["description"].as_str().unwrap_or_default()),
            ));
        }
        self.add("</table>");
    }
}

/// A schema in a few words, with links to the types that have a name.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or(reference));
        return format!("<a href=\"#{name}\"><code>{name}</code></a>");
    }
    for (combination, between) in [("allOf", " and "), ("oneOf", " or "), ("anyOf", " or ")] {
        let parts = array(&schema[combination]);
        if !parts.is_empty() {
            return parts.iter().map(type_of).collect::<Vec<_>>().join(between);
        }
    }
    let words = array(&schema["enum"]);
    if !words.is_empty() {
        let words = words.iter().map(|word| format!("<code>{}</code>", escaped(word)));
        return words.collect::<Vec<_>>().join(" | ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec!["anything"],
    };
    let kinds = kinds.into_iter().map(|kind| match kind {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object" => inline_object(schema),
        other => escape(other),
    });
    let mut text = kinds.collect::<Vec<_>>().join(" or ");
    if let Some(format) = schema["format"].as_str() {
        write!(text, " ({})", escape(format)).expect("a string takes all");
    }
    for (bound, sign) in [
        ("minimum", "≥"),
        ("maximum", "≤"),
        ("minLength", "characters ≥"),
        ("maxLength", "characters ≤"),
        ("maxItems", "items ≤"),
    ] {
        if !schema[bound].is_null() {
            write!(text, ", {sign} {}", escaped(&schema[bound])).expect("a string takes all");
        }
    }
    text
}

fn inline_object(schema: &Value) -> String {
    let fields = object(&schema["properties"])
        .map(|(name, of)| format!("<code>{}</code>: {}", escape(name), type_of(of)))
        .collect::<Vec<_>>();
    if fields.is_empty() { "object".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY).iter().map(|(name, value)| (name.as_str(), value))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Text with what is between backticks as code.
fn prose(text: &str) -> String {
    let pieces = text.split('`').enumerate().map(|(at, piece)| match at % 2 {
        0 => escape(piece),
        _ => format!("<code>{}</code>", escape(piece)),
    });
    pieces.collect()
}

fn escaped(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_page_and_nothing_in_it_becomes_markup() {
        let document = serde_json::json!({
            "info": { "title": "Books & <more>", "version": "1", "description": "One.\n\nTwo `a<b`." },
            "paths": { "/memos/{id}": { "put": {
                "tags": ["memos"], "summary": "<script>", "security": [{ "bearer": [] }],
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Memo" } } } },
                "responses": { "200": { "description": "ok" } },
            } } },
            "components": { "schemas": { "Memo": { "required": ["tags"], "properties": {
                "tags": { "type": "array", "items": { "type": "string", "maxLength": 50 } },
                "note": { "type": ["string", "null"] },
                "kind": { "enum": ["A", "B"] },
            } } } },
        });
        let page = render(&document);
        assert!(!page.contains("<script"), "{page}");
        for part in [
            "<h1>Books &amp; &lt;more&gt; API",
            "<p>Two <code>a&lt;b</code>.</p>",
            "<b>PUT</b> <code>/memos/{id}</code> <small>(with a token)</small> <span>&lt;script&gt;</span>",
            "<td><code>id</code><td>path<td>string (uuid), required<td>",
            "<a href=\"#Memo\"><code>Memo</code></a>: <code>application/json</code>",
            "<td><code>tags</code><td>list of string, characters ≤ 50, required<td>",
            "<td>string or null<td>",
            "<code>A</code> | <code>B</code>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
