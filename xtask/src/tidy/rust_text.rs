//! Rust source, taken apart into code, texts in quotes, and tests.

/// One source file. Lines count from 1.
#[derive(Debug)]
pub(super) struct RustText {
    /// The source with comments and the insides of quoted texts replaced by
    /// spaces, byte for byte, so that places stay what they were.
    pub(super) code: String,
    /// The quoted texts, each with the byte where it begins.
    pub(super) quoted: Vec<(usize, String)>,
    /// The byte ranges of items under `#[cfg(test)]`.
    tests: Vec<std::ops::Range<usize>>,
    line_starts: Vec<usize>,
}

impl RustText {
    pub(super) fn read(source: &str) -> Self {
        let (code, quoted) = Lexer::new(source).run();
        let tests = test_items(&code);
        let line_starts = std::iter::once(0)
            .chain(
                source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1),
            )
            .collect();
        Self { code, quoted, tests, line_starts }
    }

    /// The line of a byte.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Whether a byte is inside an item under `#[cfg(test)]`.
    pub(super) fn in_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The places where `words` stand in the code as whole words.
    pub(super) fn find<'a>(&'a self, words: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code
            .match_indices(words)
            .map(|(at, _)| at)
            .filter(move |at| is_whole(&self.code, *at, words))
    }
}

/// Whether the match of `words` at `at` neither begins nor ends inside a
/// longer name.
fn is_whole(code: &str, at: usize, words: &str) -> bool {
    let is_name = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = code.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let begins_as_name = is_name(words.as_bytes().first());
    let ends_as_name = is_name(words.as_bytes().last());
    !(begins_as_name && is_name(before) || ends_as_name && is_name(bytes.get(at + words.len())))
}

/// The ranges of the items that follow `#[cfg(test)]`: up to the end of the
/// block, or to the semicolon of an item that has none.
fn test_items(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut items = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0usize;
        let mut end = code.len();
        for (at, byte) in code.bytes().enumerate().skip(start + attribute.len()) {
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        end = at + 1;
                        break;
                    }
                }
                b';' if depth == 0 => {
                    end = at + 1;
                    break;
                }
                _ => {}
            }
        }
        items.push(start..end);
    }
    items
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    code: String,
    quoted: Vec<(usize, String)>,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str) -> Self {
        Self { source, at: 0, code: String::with_capacity(source.len()), quoted: Vec::new() }
    }

    fn run(mut self) -> (String, Vec<(usize, String)>) {
        while let Some(next) = self.rest().chars().next() {
            if self.rest().starts_with("//") {
                let length = self.rest().find('\n').unwrap_or(self.rest().len());
                self.blank(length);
            } else if self.rest().starts_with("/*") {
                let length = block_comment(self.rest());
                self.blank(length);
            } else if let Some((prefix, hashes)) = raw_quote(self.rest())
                && !self.after_name()
            {
                self.raw(prefix, hashes);
            } else if next == '"' {
                self.plain();
            } else if next == '\'' {
                self.quote_or_lifetime();
            } else {
                self.keep(next.len_utf8());
            }
        }
        (self.code, self.quoted)
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Whether what comes goes on a name: the `r` in `bar"` begins no raw text.
    fn after_name(&self) -> bool {
        self.code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    fn keep(&mut self, length: usize) {
        self.code.push_str(&self.source[self.at..self.at + length]);
        self.at += length;
    }

    fn blank(&mut self, length: usize) {
        for byte in self.source[self.at..self.at + length].bytes() {
            self.code.push(if byte == b'\n' { '\n' } else { ' ' });
        }
        self.at += length;
    }

    /// Keeps the quotes, blanks and collects what is between them.
    fn take(&mut self, opening: usize, inside: usize, closing: usize) {
        self.keep(opening);
        self.quoted.push((self.at, self.rest()[..inside].to_owned()));
        self.blank(inside);
        self.keep(closing);
    }

    fn plain(&mut self) {
        let mut escaped = false;
        let inside = self.rest()[1..]
            .char_indices()
            .find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            })
            .map_or(self.rest().len() - 1, |(length, _)| length);
        let closing = usize::from(self.rest().len() > 1 + inside);
        self.take(1, inside, closing);
    }

    fn raw(&mut self, prefix: usize, hashes: usize) {
        let opening = prefix + hashes + 1;
        let closing = format!("\"{}", "#".repeat(hashes));
        let inside = self.rest()[opening..].find(&closing);
        let (inside, closing) =
            inside.map_or((self.rest().len() - opening, 0), |inside| (inside, closing.len()));
        self.take(opening, inside, closing);
    }

    /// `'a'`, `'\''`, `'"'`: a character; `'a`: a lifetime.
    fn quote_or_lifetime(&mut self) {
        let mut following = self.rest()[1..].chars();
        let length = match (following.next(), following.next()) {
            (Some('\\'), Some(escaped)) => {
                let from = 2 + escaped.len_utf8();
                self.rest()[from..].find('\'').map(|inside| from + inside + 1)
            }
            (Some(c), Some('\'')) => Some(1 + c.len_utf8() + 1),
            _ => None,
        };
        match length {
            Some(length) => self.blank(length),
            None => self.keep(1),
        }
    }
}

fn block_comment(source: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}

/// The prefix (`r`, `br`, `cr`) and the number of hashes of a raw text.
fn raw_quote(source: &str) -> Option<(usize, usize)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        source.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['#', '"']))
    })?;
    let hashes = source[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    source[prefix.len() + hashes..].starts_with('"').then_some((prefix.len(), hashes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(source: &str, expected: &Expect) {
        let text = RustText::read(source);
        assert_eq!(text.code.len(), source.len(), "places stay what they were");
        let quoted: Vec<_> = text
            .quoted
            .iter()
            .map(|(at, quoted)| format!("{}: {quoted}\n", text.line(*at)))
            .collect();
        expected.assert_eq(&format!("{}\n--\n{}", text.code, quoted.concat()));
    }

    #[test]
    fn comments_and_quoted_texts_are_no_code() {
        check(
            "let a = \"select \\\" x\"; // now()\n/* a /* b */ c */ f::<'a>('\"', '\\'', 'ㅎ');\nlet b = r#\"raw \" text\"#; bar(\"\")",
            &expect![[r##"
                let a = "           ";         
                                  f::<'a>(   ,     ,      );
                let b = r#"          "#; bar("")
                --
                1: select \" x
                3: raw " text
                3: 
            "##]],
        );
    }

    #[test]
    fn what_never_ends_ends_with_the_file() {
        for source in ["\"abc", "\"", "/* abc", "r#\"abc", "'", "'\\", "let x = 'a"] {
            RustText::read(source);
        }
    }

    #[test]
    fn items_under_test_are_known() {
        let text = RustText::read(
            "fn a() { now() }\n#[cfg(test)]\nmod tests { fn b() { now() } }\nfn c() { now(); snow(); now_v7() }",
        );
        let found: Vec<_> = text.find("now").map(|at| (text.line(at), text.in_test(at))).collect();
        assert_eq!(found, [(1, false), (3, true), (4, false)]);
    }
}
