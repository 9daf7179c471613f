//! Mail, and where it goes: into a directory, or into the log.
//!
//! Sending by SMTP is not here: an operator points a mail server's pick-up
//! directory at the file outbox, or implements [`Mailer`].

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use base64::Engine as _;
use endpaper_api::Language;
use stdx::{Clock, IdSource, UnixMicros};

use crate::model::{Account, MailId};

/// One mail of plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Lines end in `\n`.
    pub body: String,
}

impl fmt::Debug for Mail {
    /// Without the body: it may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// A mail was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mail was not sent: {0}")]
pub struct MailError(pub String);

/// What [`Mailer::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Hands mail over to whoever delivers it.
pub trait Mailer: fmt::Debug + Send + Sync + 'static {
    /// Hands one mail over; when it returns, the mail survives a crash.
    fn send(&self, mail: Mail) -> Sending<'_>;
}

/// Writes each mail to a file of its own, `TIME-ID.eml` (RFC 5322), readable by
/// the server's user alone: it may carry a token.
#[derive(Clone, Debug)]
pub struct FileOutbox {
    directory: PathBuf,
    from: String,
    clock: Clock,
    ids: IdSource,
}

impl FileOutbox {
    /// Writes into `directory`, which is made where it is not there.
    ///
    /// # Errors
    /// The directory can't be made.
    pub fn new(
        directory: impl Into<PathBuf>,
        from: &str,
        clock: Clock,
        ids: IdSource,
    ) -> std::io::Result<Self> {
        let directory = directory.into();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory)?;
        Ok(Self { directory, from: from.to_owned(), clock, ids })
    }

    /// Where the mails are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Mailer for FileOutbox {
    fn send(&self, mail: Mail) -> Sending<'_> {
        let id: MailId = self.ids.next();
        let now = self.clock.now();
        let text = rfc_5322(&mail, &self.from, id, now);
        let name = format!("{}-{id}.eml", now.as_millis());
        let (path, draft) = (self.directory.join(&name), self.directory.join(format!(".{name}")));
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || write(&draft, &path, &text)).await;
            written
                .map_err(|error| MailError(error.to_string()))?
                .map_err(|error| MailError(error.to_string()))
        })
    }
}

/// Whoever watches the directory sees whole mails only.
fn write(draft: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn rfc_5322(mail: &Mail, from: &str, id: MailId, now: UnixMicros) -> String {
    let date = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    let date =
        jiff::fmt::rfc2822::to_string(&date.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default();
    let subject = encoded_words(&mail.subject);
    let (to, body) = (&mail.to, mail.body.replace('\n', "\r\n"));
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\n\
         Message-ID: <{id}@endpaper>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}"
    )
}

/// A header's text in ASCII: RFC 2047, words of at most 75 characters.
fn encoded_words(text: &str) -> String {
    const WORD_BYTES_MAX: usize = 45;
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars().filter(|c| !c.is_control()) {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_BYTES_MAX => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let encode = |word: &String| {
        format!("=?UTF-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(word))
    };
    words.iter().map(encode).collect::<Vec<_>>().join("\r\n ")
}

/// Writes each mail, tokens included, to the log: for trying things out.
#[derive(Clone, Copy, Debug)]
pub struct LogOutbox;

impl Mailer for LogOutbox {
    fn send(&self, mail: Mail) -> Sending<'_> {
        tracing::info!(to = mail.to, subject = mail.subject, body = mail.body, "mail");
        Box::pin(async { Ok(()) })
    }
}

/// "This is your log-in id."
pub(crate) fn login_id_mail(account: &Account) -> Mail {
    let Account { name, login_id, email, language, .. } = account;
    let (subject, body) = match language {
        Language::Ko => (
            "Endpaper 아이디 안내",
            format!(
                "{name}님, 안녕하세요.\n\n요청하신 아이디는 다음과 같습니다.\n\n    {login_id}\n\n\
                 요청하지 않으셨다면 이 메일을 무시하셔도 됩니다.\n"
            ),
        ),
        Language::En => (
            "Your Endpaper login id",
            format!(
                "Hello {name},\n\nyou asked for your login id. It is\n\n    {login_id}\n\n\
                 If you did not ask for it, ignore this mail.\n"
            ),
        ),
    };
    Mail { to: email.clone(), subject: subject.to_owned(), body }
}

/// "With this token you set a new password."
pub(crate) fn reset_mail(
    account: &Account,
    token: &str,
    minutes: u64,
    public_url: Option<&str>,
) -> Mail {
    let Account { name, email, language, .. } = account;
    // After the `#`, so that no server on the way logs it.
    let link = public_url
        .map(|url| format!("{}/reset-password#token={token}\n\n    ", url.trim_end_matches('/')))
        .unwrap_or_default();
    let (subject, body) = match language {
        Language::Ko => (
            "Endpaper 비밀번호 재설정",
            format!(
                "{name}님, 안녕하세요.\n\n아래 토큰으로 {minutes}분 안에 새 비밀번호를 정해 주세요. \
                 한 번만 쓸 수 있습니다.\n\n    {link}{token}\n\n\
                 요청하지 않으셨다면 이 메일을 무시하셔도 됩니다. 비밀번호는 그대로입니다.\n"
            ),
        ),
        Language::En => (
            "Reset your Endpaper password",
            format!(
                "Hello {name},\n\nset a new password within {minutes} minutes with this token. \
                 It works once.\n\n    {link}{token}\n\n\
                 If you did not ask for it, ignore this mail. Your password stays as it is.\n"
            ),
        ),
    };
    Mail { to: email.clone(), subject: subject.to_owned(), body }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;
    use stdx::{Random, Seed};

    use super::*;

    fn outbox(directory: &Path) -> FileOutbox {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_772_000_000));
        let ids = IdSource::new(clock.clone(), Random::new(Seed(1)));
        FileOutbox::new(directory.join("mail"), "Endpaper <no-reply@localhost>", clock, ids)
            .unwrap()
    }

    #[tokio::test]
    async fn one_file_a_mail_whole_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(directory.path());
        let mail = Mail {
            to: "haeri@example.com".to_owned(),
            subject: "비밀번호".to_owned(),
            body: "한 줄\n두 줄\n".to_owned(),
        };
        outbox.send(mail.clone()).await.unwrap();
        outbox.send(mail).await.unwrap();
        let mut files: Vec<_> = std::fs::read_dir(outbox.directory())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), 2);
        expect![[r"
            From: Endpaper <no-reply@localhost>
            To: haeri@example.com
            Subject: =?UTF-8?B?67mE67CA67KI7Zi4?=
            Date: Wed, 25 Feb 2026 06:13:20 +0000
            Message-ID: <019c936e-3800-77cb-9034-c9a64c0d694a@endpaper>
            MIME-Version: 1.0
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: 8bit

            한 줄
            두 줄
        "]]
        .assert_eq(&std::fs::read_to_string(&files[0]).unwrap().replace("\r\n", "\n"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&files[0]), mode(outbox.directory())), (0o600, 0o700));
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(directory.path());
        std::fs::remove_dir(outbox.directory()).unwrap();
        let mail = Mail { to: String::new(), subject: String::new(), body: String::new() };
        assert!(outbox.send(mail).await.is_err());
    }

    #[test]
    fn a_mail_is_not_printed_with_its_body() {
        let mail = Mail { to: "a@b.c".into(), subject: "s".into(), body: "epp_secret".into() };
        assert!(!format!("{mail:?}").contains("epp_secret"));
    }

    proptest! {
        #[test]
        fn a_subject_is_short_ascii_words(subject in ".{0,100}") {
            let header = encoded_words(&subject);
            for line in header.split("\r\n ") {
                prop_assert!(header.is_ascii() && !line.contains(['\r', '\n']));
                prop_assert!(!line.starts_with("=?") || line.len() <= 75 || subject.is_ascii());
            }
        }
    }
}
