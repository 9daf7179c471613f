//! What may be a log-in id, a mail address, a name, a password. Pure.

use endpaper_api::{FieldProblem, text};

use crate::model::{Email, LoginId, Password};

pub(crate) fn login_id(text: &str) -> Result<String, FieldProblem> {
    let id = text.trim().to_ascii_lowercase();
    if id.is_empty() {
        return Err(FieldProblem::Required);
    }
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    if !id.chars().all(right) {
        return Err(FieldProblem::NotALoginId);
    }
    at_least(&id, LoginId::CHARS_MIN)?;
    at_most(&id, LoginId::CHARS_MAX)?;
    Ok(id)
}

/// Refuses what can't be a mail address and no more: whether it is somebody's
/// only a mail can tell. Local parts and domains may be of any script
/// (RFC 6531); quoted local parts and address literals are not taken.
pub(crate) fn email(text: &str) -> Result<String, FieldProblem> {
    let email = text::nfc(text.trim())?;
    if email.is_empty() {
        return Err(FieldProblem::Required);
    }
    at_most(&email, Email::CHARS_MAX)?;
    let Some((local, domain)) = email.split_once('@') else {
        return Err(FieldProblem::NotAnEmail);
    };
    if is_local_part(local) && is_domain(domain) {
        Ok(email)
    } else {
        Err(FieldProblem::NotAnEmail)
    }
}

fn is_local_part(local: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !r#"()<>[]:;,@\""#.contains(c);
    let dots = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    (1..=64).contains(&local.len()) && local.chars().all(plain) && dots
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.contains('.') && domain.len() <= 253 && domain.split('.').all(label)
}

/// The form in which mail addresses and names are compared: lower case, NFC.
pub(crate) fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    // Lower case of a text without control characters has none.
    text::nfc(&lower).unwrap_or(lower)
}

/// A text on one line, spaces around dropped.
pub(crate) fn line(text: &str, chars_min: u32, chars_max: u32) -> Result<String, FieldProblem> {
    let line = text::nfc(text.trim())?;
    if line.is_empty() && chars_min > 0 {
        return Err(FieldProblem::Required);
    }
    if line.chars().any(char::is_control) {
        return Err(FieldProblem::ControlCharacter);
    }
    at_least(&line, chars_min)?;
    at_most(&line, chars_max)?;
    Ok(line)
}

pub(crate) fn password(text: &str) -> Result<String, FieldProblem> {
    let password = text::nfc(text)?;
    if password.is_empty() {
        return Err(FieldProblem::Required);
    }
    at_least(&password, Password::CHARS_MIN)?;
    at_most(&password, Password::CHARS_MAX)?;
    Ok(password)
}

fn at_least(text: &str, min: u32) -> Result<(), FieldProblem> {
    if chars(text) < min { Err(FieldProblem::TooShort { min }) } else { Ok(()) }
}

pub(crate) fn at_most(text: &str, max: u32) -> Result<(), FieldProblem> {
    if chars(text) > max { Err(FieldProblem::TooLong { max }) } else { Ok(()) }
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{DeviceName, PersonName};

    #[test]
    fn login_ids() {
        assert_eq!(LoginId::parse(" Hae.Ri_2-x ").unwrap().as_str(), "hae.ri_2-x");
        for (bad, problem) in [
            ("", FieldProblem::Required),
            ("   ", FieldProblem::Required),
            ("abc", FieldProblem::TooShort { min: 4 }),
            ("해리포터", FieldProblem::NotALoginId),
            ("a b c d", FieldProblem::NotALoginId),
            ("haeri@x", FieldProblem::NotALoginId),
            // The Kelvin sign, whose lower case is an ASCII k.
            ("\u{212a}elvin", FieldProblem::NotALoginId),
        ] {
            assert_eq!(LoginId::parse(bad), Err(problem), "{bad:?}");
        }
        assert!(LoginId::parse(&"a".repeat(32)).is_ok());
        assert_eq!(LoginId::parse(&"a".repeat(33)), Err(FieldProblem::TooLong { max: 32 }));
    }

    #[test]
    fn mail_addresses() {
        for good in [
            "haeri@example.com",
            "h.a+books@sub.example.co.kr",
            "해리@예시.한국",
            "A@B.C",
            " padded@example.com ",
            "o'brien@example.com",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "plain",
            "@example.com",
            "a@",
            "a@localhost",
            "a@b..c",
            "a@-b.com",
            "a@b-.com",
            "a b@c.de",
            "a@b@c.de",
            ".a@b.cd",
            "a.@b.cd",
            "a..b@c.de",
            "<a@b.cd>",
            "a@b.cd\nBcc: x@y.z",
            "\"a\"@b.cd",
            "a@[127.0.0.1]",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Email::parse("Haeri@Example.COM").unwrap().folded(), "haeri@example.com");
        assert_eq!(Email::parse("Haeri@Example.COM").unwrap().as_str(), "Haeri@Example.COM");
        let long = format!("{}@{}.com", "a".repeat(64), "b".repeat(63));
        assert!(Email::parse(&long).is_ok());
        let longer = format!("a@{}com", format!("{}.", "b".repeat(62)).repeat(4));
        assert_eq!(Email::parse(&longer), Err(FieldProblem::TooLong { max: 254 }));
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(PersonName::parse(" 한 강 ").unwrap().as_str(), "한 강");
        assert_eq!(PersonName::parse("a\nb"), Err(FieldProblem::ControlCharacter));
        assert_eq!(PersonName::parse(" "), Err(FieldProblem::Required));
        assert!(PersonName::parse(&"가".repeat(50)).is_ok());
        assert_eq!(PersonName::parse(&"가".repeat(51)), Err(FieldProblem::TooLong { max: 50 }));
        assert_eq!(DeviceName::parse("").unwrap(), DeviceName::default());
    }

    #[test]
    fn passwords_are_counted_in_characters_of_nfc() {
        assert_eq!(password("한강한강한강한강").unwrap(), "한강한강한강한강");
        // Eight syllables typed on a Mac are 24 characters, and 8 in NFC.
        let apart = "\u{1112}\u{1161}\u{11ab}".repeat(8);
        assert_eq!(password(&apart).unwrap(), "한".repeat(8));
        assert_eq!(password("short"), Err(FieldProblem::TooShort { min: 8 }));
        assert_eq!(password("  spaces  ").unwrap(), "  spaces  ");
        assert!(password(&"x".repeat(128)).is_ok());
        assert_eq!(password(&"x".repeat(129)), Err(FieldProblem::TooLong { max: 128 }));
    }

    proptest! {
        #[test]
        fn what_is_parsed_parses_to_itself(text in "\\PC{0,40}") {
            if let Ok(id) = LoginId::parse(&text) {
                prop_assert_eq!(LoginId::parse(id.as_str()), Ok(id));
            }
            if let Ok(name) = PersonName::parse(&text) {
                prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
            }
        }

        #[test]
        fn case_and_composition_never_make_two_of_one_address(local in "[a-zà-ö]{1,20}", domain in "[a-z]{1,10}") {
            let address = format!("{local}@{domain}.org");
            let upper = address.to_uppercase();
            prop_assert_eq!(
                Email::parse(&upper).unwrap().folded().to_owned(),
                Email::parse(&address).unwrap().folded().to_owned()
            );
        }

        #[test]
        fn no_address_reaches_a_mail_header_with_a_line_end(text in ".{0,30}@.{0,30}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
