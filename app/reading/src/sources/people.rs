//! Who made a book: `이름 (지은이), 이름 (옮긴이)` taken apart.

use crate::text::line;

/// What somebody did for a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Wrote it (지은이, 글, 원작).
    Author,
    /// Translated it (옮긴이).
    Translator,
    /// Drew or photographed for it (그림, 사진).
    Illustrator,
    /// Put it together (엮은이, 편집).
    Editor,
    /// Something else, such as 감수 or 해설.
    Other,
}

/// Somebody who made a book, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// The name, on one line.
    pub name: String,
    /// What they did.
    pub role: Role,
}

/// The roles as they are written in brackets, and after a name without brackets
/// by older entries (`김영한 지음`). Where several are written, as in `글.그림`,
/// the first counts.
const ROLES: [(&str, Role); 31] = [
    ("지은이", Role::Author),
    ("지음", Role::Author),
    ("저자", Role::Author),
    ("저", Role::Author),
    ("글", Role::Author),
    ("원작", Role::Author),
    ("원저", Role::Author),
    ("시", Role::Author),
    ("만화", Role::Author),
    ("옮긴이", Role::Translator),
    ("옮김", Role::Translator),
    ("역자", Role::Translator),
    ("역", Role::Translator),
    ("번역", Role::Translator),
    ("그림", Role::Illustrator),
    ("그린이", Role::Illustrator),
    ("삽화", Role::Illustrator),
    ("일러스트", Role::Illustrator),
    ("사진", Role::Illustrator),
    ("엮은이", Role::Editor),
    ("엮음", Role::Editor),
    ("편집", Role::Editor),
    ("편저", Role::Editor),
    ("편", Role::Editor),
    ("기획", Role::Other),
    ("감수", Role::Other),
    ("해설", Role::Other),
    ("추천", Role::Other),
    ("낭독", Role::Other),
    ("각색", Role::Other),
    ("구성", Role::Other),
];

fn role_of(label: &str) -> Option<Role> {
    let first = label.split(['.', ',', '·', '/', '+', '&', ' ']).find(|part| !part.is_empty())?;
    ROLES.iter().find(|(name, _)| *name == first).map(|(_, role)| *role)
}

/// Takes a list of people apart. A role in brackets counts for all the names
/// before it that have none: `가, 나 (지은이), 다 (옮긴이)`. Names for which no
/// role is given at all are authors. Brackets that hold no role belong to the
/// name: `J.K. 롤링 (Rowling)`.
pub(super) fn people(text: &str) -> Vec<Contributor> {
    let mut people: Vec<Contributor> = Vec::new();
    // Names that wait for the role that follows them.
    let mut waiting = 0;
    for part in split_outside_brackets(text) {
        let (name, role) = name_and_role(&part);
        let has_name = !name.is_empty();
        if has_name {
            people.push(Contributor { name, role: Role::Author });
            waiting += 1;
        }
        if let Some(role) = role {
            let first = people.len() - waiting;
            for person in &mut people[first..] {
                person.role = role;
            }
            waiting = 0;
        }
    }
    people
}

/// The names to show as a book's author: those who wrote it; where nobody did,
/// those who put it together, then anybody.
pub(super) fn author_line(people: &[Contributor]) -> String {
    let of = |role: Option<Role>| -> Vec<&str> {
        let wanted = |person: &&Contributor| role.is_none_or(|role| person.role == role);
        people.iter().filter(wanted).map(|person| person.name.as_str()).collect()
    };
    let names = [Some(Role::Author), Some(Role::Editor), None].map(of);
    names.into_iter().find(|names| !names.is_empty()).unwrap_or_default().join(", ")
}

fn name_and_role(part: &str) -> (String, Option<Role>) {
    let part = line(part);
    if let Some(open) = part.rfind('(')
        && let Some(label) = part[open + 1..].strip_suffix(')')
        && let Some(role) = role_of(label.trim())
    {
        return (part[..open].trim().to_owned(), Some(role));
    }
    // `김영한 지음`: only words that are nobody's name stand without brackets.
    if let Some((name, label)) = part.rsplit_once(' ')
        && matches!(label, "지음" | "옮김" | "엮음" | "그림")
    {
        return (name.trim().to_owned(), role_of(label));
    }
    (part, None)
}

fn split_outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0u32;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    // A bracket that is never closed must not make one name of all that
    // follows.
    if depth > 0 { text.split(',').map(str::to_owned).collect() } else { parts }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &Expect) {
        let people = people(text);
        let list: Vec<String> =
            people.iter().map(|person| format!("{} {:?}", person.name, person.role)).collect();
        expected.assert_eq(&format!("{} [{}]", author_line(&people), list.join(", ")));
    }

    #[test]
    fn people_and_roles() {
        check(
            "한가람 (지은이), 이누리 (옮긴이)",
            &expect!["한가람 [한가람 Author, 이누리 Translator]"],
        );
        check(
            "한가람, 두나래 (지은이), 세아라 (그림), 네모 (감수)",
            &expect![
                "한가람, 두나래 [한가람 Author, 두나래 Author, 세아라 Illustrator, 네모 Other]"
            ],
        );
        check("한가람 (글.그림)", &expect!["한가람 [한가람 Author]"]);
        check(
            "한가람 (글, 그림), 두나래 (옮긴이)",
            &expect!["한가람 [한가람 Author, 두나래 Translator]"],
        );
        check(
            "H.G. 웰스 (H.G. Wells) (지은이)",
            &expect!["H.G. 웰스 (H.G. Wells) [H.G. 웰스 (H.G. Wells) Author]"],
        );
        check("편집부 (엮은이)", &expect!["편집부 [편집부 Editor]"]);
        check("이누리 (옮긴이)", &expect!["이누리 [이누리 Translator]"]);
        check("한가람 지음, 이누리 옮김", &expect!["한가람 [한가람 Author, 이누리 Translator]"]);
        check("한가람 외 (지은이)", &expect!["한가람 외 [한가람 외 Author]"]);
        check("한가람", &expect!["한가람 [한가람 Author]"]);
        check(
            "Jane Austen, Somebody (Else",
            &expect!["Jane Austen, Somebody (Else [Jane Austen Author, Somebody (Else Author]"],
        );
        check("", &expect![" []"]);
        check(" , (지은이), ", &expect![" []"]);
        check("한가람 (지은이),", &expect!["한가람 [한가람 Author]"]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart(text in any::<String>()) {
            let people = people(&text);
            prop_assert!(people.iter().all(|person| !person.name.is_empty()));
            prop_assert_eq!(author_line(&people).is_empty(), people.is_empty());
        }

        #[test]
        fn names_with_roles_come_back(names in prop::collection::vec("[가-힣]{2,4}", 1..6)) {
            let roles = [("지은이", Role::Author), ("옮긴이", Role::Translator), ("그림", Role::Illustrator)];
            let expected: Vec<Contributor> = names
                .iter()
                .zip(roles.iter().cycle())
                .map(|(name, (_, role))| Contributor { name: name.clone(), role: *role })
                .collect();
            let text: Vec<String> = names
                .iter()
                .zip(roles.iter().cycle())
                .map(|(name, (label, _))| format!("{name} ({label})"))
                .collect();
            prop_assert_eq!(people(&text.join(", ")), expected);
        }
    }
}
