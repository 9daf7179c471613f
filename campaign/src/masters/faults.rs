//! What goes wrong.

use stdx::Random;

/// One thing that goes wrong, with the master to which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of a server.
    Kill(usize),
    KillBoth,
    /// SIGSTOP of a server, and SIGCONT.
    Freeze(usize),
    /// Every connection to a server is reset.
    Reset(usize),
    /// Connections are reset and new ones refused.
    Refuse(usize),
    /// Nothing passes either way, and arrives when it is over.
    Cut(usize),
    /// What is sent to the server is gone.
    LoseRequests(usize),
    /// What the server answers is gone.
    LoseAnswers(usize),
    Delay(usize),
    Drip(usize),
    /// The next commit is done, and its answer lost: with a reset, or silently.
    LoseCommit(usize, bool),
    LoseBothCommits,
    KillWorker,
    FreezeWorker,
    KillWorkerAndMaster(usize),
    /// A file is deleted under the worker's feet.
    DeleteFile(usize),
    /// Another program holds a file.
    LockFile(usize),
    /// The worker is killed, and the end of a file's log is not on disk.
    TearLog(usize),
    /// The worker is killed, and a file is gone.
    LoseFileAndWorker(usize),
}

impl Fault {
    /// The next one, for this kind of masters.
    pub(crate) fn next(random: &Random, sqlite: bool, all: bool) -> Self {
        let master = usize::from(random.one_in(2));
        if sqlite {
            return match random.below(6) {
                0 => Self::KillWorker,
                1 => Self::FreezeWorker,
                2 => Self::DeleteFile(master),
                3 => Self::LockFile(master),
                // Under `all` the primary decides, and a disk that forgets what
                // it has flushed would decide wrong.
                4 => Self::TearLog(if all { 1 } else { master }),
                _ => Self::LoseFileAndWorker(master),
            };
        }
        match random.below(15) {
            0 => Self::Kill(master),
            1 => Self::KillBoth,
            2 => Self::Freeze(master),
            3 => Self::Reset(master),
            4 => Self::Refuse(master),
            5 => Self::Cut(master),
            6 => Self::LoseRequests(master),
            7 => Self::LoseAnswers(master),
            8 => Self::Delay(master),
            9 => Self::Drip(master),
            10 => Self::LoseCommit(master, random.one_in(2)),
            11 => Self::LoseBothCommits,
            12 => Self::KillWorker,
            13 => Self::FreezeWorker,
            _ => Self::KillWorkerAndMaster(master),
        }
    }

    /// What it is called, whichever master it hits.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "a server is killed",
            Self::KillBoth => "both servers are killed",
            Self::Freeze(_) => "a server is frozen",
            Self::Reset(_) => "connections are reset",
            Self::Refuse(_) => "connections are refused",
            Self::Cut(_) => "nothing passes for a while",
            Self::LoseRequests(_) => "requests are lost",
            Self::LoseAnswers(_) => "answers are lost",
            Self::Delay(_) => "the network is slow",
            Self::Drip(_) => "the network drips",
            Self::LoseCommit(_, false) => "a commit's answer is lost",
            Self::LoseCommit(_, true) => "a commit's answer never comes",
            Self::LoseBothCommits => "the answers of both commits are lost",
            Self::KillWorker => "the worker is killed",
            Self::FreezeWorker => "the worker is frozen",
            Self::KillWorkerAndMaster(_) => "the worker and a server are killed",
            Self::DeleteFile(_) => "a file is deleted in use",
            Self::LockFile(_) => "a file is locked by another program",
            Self::TearLog(_) => "the worker is killed, a log is torn",
            Self::LoseFileAndWorker(_) => "the worker is killed, a file is gone",
        }
    }
}
