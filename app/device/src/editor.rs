//! A text in the person's own editor. What was written there is in a file until it is
//! saved as a memo: whatever goes wrong, it is not lost.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use stdx::IdSource;

use crate::{Failure, Result};

/// A text that was edited.
pub(crate) struct Edited {
    path: PathBuf,
}

/// Opens the editor with a text, and waits for its end.
pub(crate) fn edit(text: &str) -> Result<Edited> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let Some(editor) = editor else {
        let what = "say what to change: --text, --page, --tags or --book; or set EDITOR";
        return Err(Failure::usage(what));
    };
    let name = format!("endpaper-memo-{}.txt", IdSource::system().next_uuid());
    let edited = Edited { path: std::env::temp_dir().join(name) };
    // It is for this person alone.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&edited.path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|error| edited.failed(&error))?;
    // As others do it: the editor may be a command with arguments.
    let ended = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&edited.path)
        .status()
        .map_err(|error| edited.left(&format!("{editor}: {error}")))?;
    if !ended.success() {
        return Err(edited.left(&format!("{editor}: {ended}; nothing was changed")));
    }
    Ok(edited)
}

impl Edited {
    /// What is there now.
    pub(crate) fn text(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.path).map_err(|error| self.failed(&error))?;
        Ok(text.trim_end().to_owned())
    }

    /// It could not be saved.
    pub(crate) fn left(&self, why: &str) -> Failure {
        Failure::new(format!("{why}. What you wrote is in {}", self.path.display()))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("{}: {error}", self.path.display()))
    }

    /// The memo has it.
    pub(crate) fn finish(self) {
        // Where that fails, a copy stays.
        drop(std::fs::remove_file(&self.path));
    }
}
