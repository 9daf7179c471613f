//! What is on the disk of a device.
//!
//! ```text
//! DIR/login.json        who is logged in, where, and the tokens (readable for its owner)
//! DIR/login.lock        held by the process that changes that
//! DIR/<account>.db      the memos and the shelf of an account, and what was not sent
//! DIR/<account>.lock    held by the process that speaks with the server
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use endpaper_api::Secret;
use serde::{Deserialize, Serialize};
use sync::model::AccountId;

use crate::{Failure, Result};

/// The folder of a device.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// Who is logged in, or was last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggedIn {
    /// Where the server is.
    pub(crate) server: String,
    pub(crate) login_id: String,
    pub(crate) account: AccountId,
    /// As the account's list of devices has it.
    pub(crate) device: String,
    /// None after a log-out.
    pub(crate) tokens: Option<Held>,
}

/// The tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    pub(crate) access: Secret,
    pub(crate) refresh: Secret,
    /// The key of a refresh whose answer is not here: it is repeated under the same one.
    pub(crate) refreshing: Option<String>,
}

impl Folder {
    pub(crate) fn new(given: Option<&Path>) -> Result<Self> {
        if let Some(given) = given {
            return Ok(Self(given.to_owned()));
        }
        let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let data = of("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| Some(PathBuf::from(of("HOME")?).join(".local/share")));
        let data = data.ok_or_else(|| Failure::usage("there is no home folder: give --dir"))?;
        Ok(Self(data.join("endpaper")))
    }

    fn login_file(&self) -> PathBuf {
        self.0.join("login.json")
    }

    /// The file of an account.
    pub(crate) fn store(&self, account: AccountId) -> PathBuf {
        self.0.join(format!("{account}.db"))
    }

    /// Who is logged in, or was last; none where nobody ever was.
    pub(crate) fn last_login(&self) -> Result<Option<LoggedIn>> {
        let path = self.login_file();
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        serde_json::from_slice(&json).map(Some).map_err(|error| {
            Failure::new(format!(
                "{}: it can't be read ({error}): delete it and log in again; memos are not in it",
                path.display()
            ))
        })
    }

    /// Who is logged in, or was last.
    pub(crate) fn login(&self) -> Result<LoggedIn> {
        self.last_login()?.ok_or_else(|| {
            Failure::new(
                "nobody has logged in here: `endpaper device login --server URL --user ID`",
            )
        })
    }

    /// Changes who is logged in, from what is there now: no other process does meanwhile.
    /// Where `change` returns nothing, it stays as it is.
    pub(crate) fn change_login<T>(
        &self,
        change: impl FnOnce(Option<LoggedIn>) -> (Option<LoggedIn>, T),
    ) -> Result<T> {
        let path = self.login_file();
        let io = |error: std::io::Error| failed(&path, &error);
        fs::create_dir_all(&self.0).map_err(io)?;
        let lock = private(OpenOptions::new().create(true), &self.0.join("login.lock"));
        let lock = lock.map_err(io)?;
        lock.lock().map_err(io)?;
        let (login, done) = change(self.last_login()?);
        if let Some(login) = login {
            self.save_login(&login).map_err(io)?;
        }
        Ok(done)
    }

    /// Puts it in the place of what was there, or leaves that.
    fn save_login(&self, login: &LoggedIn) -> std::io::Result<()> {
        let new = self.0.join("login.json.new");
        let mut file = private(OpenOptions::new().create(true).truncate(true), &new)?;
        file.write_all(&serde_json::to_vec_pretty(login)?)?;
        file.sync_all()?;
        fs::rename(&new, self.login_file())?;
        File::open(&self.0)?.sync_all()
    }

    /// Writes a file that must not be there yet.
    pub(crate) fn write_new(path: &Path, text: &str) -> Result {
        let write = || -> std::io::Result<()> {
            let mut file = private(OpenOptions::new().create_new(true), path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| failed(path, &error))
    }
}

/// For its owner alone.
fn private(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.write(true).open(path)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
