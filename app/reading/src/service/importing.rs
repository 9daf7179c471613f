//! Which imports run, how far they are, and how many may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stdx::UnixMicros;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::incoming::{ImportFormat, ImportReport};
use super::running::{Run, Running};
use super::{ReadingError, ReadingService};
use crate::model::ReaderId;

/// How many imports run at once, of all readers: each holds its file and what
/// was read of it in memory.
pub const IMPORTS_AT_ONCE: usize = 2;

/// Of how many readers the last import is remembered.
pub const IMPORTS_REMEMBERED_MAX: usize = 1_000;

/// Whether an import runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// It runs.
    Running,
    /// It came to its end.
    Done,
    /// It was broken off. What was written before stays.
    Failed,
}

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    /// Whether it runs.
    pub state: ImportState,
    /// When it began.
    pub started_at: UnixMicros,
    /// What the file was taken for, once it was read.
    pub format: Option<ImportFormat>,
    /// How many books and memos the file has, once it was read.
    pub total: Option<u64>,
    /// How many of them are through.
    pub done: u64,
    /// Books put on the shelf.
    pub books_added: u64,
    /// Memos written.
    pub memos_added: u64,
    /// How many entries were not taken, or not all of them.
    pub problem_count: u64,
}

/// The imports of this process. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Imports {
    running: Running<ReaderId>,
    places: Arc<Semaphore>,
    progress: Arc<Mutex<HashMap<ReaderId, ImportProgress>>>,
}

/// The right to run an import, for as long as it is held. To be taken before
/// the file is in memory.
#[derive(Debug)]
pub struct ImportPlace {
    reader: ReaderId,
    imports: Imports,
    _run: Run<ReaderId>,
    _place: OwnedSemaphorePermit,
}

impl Default for Imports {
    fn default() -> Self {
        Self {
            running: Running::default(),
            places: Arc::new(Semaphore::new(IMPORTS_AT_ONCE)),
            progress: Arc::default(),
        }
    }
}

impl Imports {
    fn progress(&self) -> MutexGuard<'_, HashMap<ReaderId, ImportProgress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadingService {
    /// Takes a place for an import of a reader.
    ///
    /// # Errors
    /// [`ReadingError::ImportInProgress`] when the reader imports already,
    /// [`ReadingError::Busy`] when [`IMPORTS_AT_ONCE`] others do.
    pub fn begin_import(&self, reader: ReaderId) -> Result<ImportPlace, ReadingError> {
        let imports = self.0.imports.clone();
        let run = imports.running.begin(&reader).ok_or(ReadingError::ImportInProgress)?;
        let place = Arc::clone(&imports.places).try_acquire_owned();
        let place = place.map_err(|_| ReadingError::Busy)?;
        let mut progress = imports.progress();
        if progress.len() >= IMPORTS_REMEMBERED_MAX && !progress.contains_key(&reader) {
            let over = progress.iter().filter(|(_, import)| import.state != ImportState::Running);
            let oldest =
                over.min_by_key(|(_, import)| import.started_at).map(|(reader, _)| *reader);
            oldest.and_then(|oldest| progress.remove(&oldest));
        }
        let begun = ImportProgress {
            state: ImportState::Running,
            started_at: self.now(),
            format: None,
            total: None,
            done: 0,
            books_added: 0,
            memos_added: 0,
            problem_count: 0,
        };
        progress.insert(reader, begun);
        drop(progress);
        Ok(ImportPlace { reader, imports, _run: run, _place: place })
    }

    /// How far the reader's import is, or the last one went; `None` where none
    /// is remembered: it ran in another process, or long ago.
    #[must_use]
    pub fn import_progress(&self, reader: ReaderId) -> Option<ImportProgress> {
        self.0.imports.progress().get(&reader).cloned()
    }
}

impl ImportPlace {
    /// Whose import it is.
    pub(super) const fn reader(&self) -> ReaderId {
        self.reader
    }

    /// The file was read: so much is in it.
    pub(super) fn read(&self, report: &ImportReport, total: usize) {
        self.change(|import| {
            import.format = Some(report.format);
            import.total = Some(total as u64);
        });
        self.report(report);
    }

    /// Some of it is through.
    pub(super) fn report(&self, report: &ImportReport) {
        self.change(|import| {
            import.done =
                report.books_added + report.books_there + report.memos_added + report.memos_there;
            import.books_added = report.books_added;
            import.memos_added = report.memos_added;
            import.problem_count = report.problem_count;
        });
    }

    /// It came to its end.
    pub(super) fn done(&self, report: &ImportReport) {
        self.report(report);
        self.change(|import| {
            import.state = ImportState::Done;
            // Memos without a book are through, too.
            import.done = import.total.unwrap_or(import.done);
        });
    }

    fn change(&self, change: impl FnOnce(&mut ImportProgress)) {
        if let Some(import) = self.imports.progress().get_mut(&self.reader) {
            change(import);
        }
    }
}

impl Drop for ImportPlace {
    fn drop(&mut self) {
        self.change(|import| {
            if import.state == ImportState::Running {
                import.state = ImportState::Failed;
            }
        });
    }
}
