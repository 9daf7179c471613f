//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Flags;

/// Serves Endpaper, a reading platform: readers' shelves and memos, over two
/// databases that hold the same, so that one of them may fail.
#[derive(Debug, Parser)]
#[command(name = "endpaper", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API until SIGTERM
    Serve(Serve),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring books in
    #[command(subcommand)]
    Import(ImportCommand),
    /// Readers' accounts; a server of the same store has to be stopped first
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// The databases
    #[command(subcommand)]
    Masters(MastersCommand),
    /// Orders that are made as sagas, of a server that runs
    #[command(subcommand)]
    Saga(SagaCommand),
    /// The shop, of a server that runs
    #[command(subcommand)]
    Shop(ShopCommand),
    /// Write the store into one file, while a server serves it
    Backup(MakeBackup),
    /// Make a store of a backup, where there is none yet
    Restore(Restore),
    /// Read and write memos on this machine, with and without a network
    Device(endpaper_device::args::Args),
    /// Serve as the witness of sets of masters that several servers use: a third
    /// place that says which masters serve
    Witness(Witness),
}

/// What every command that touches a store takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Store {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// How log lines are written: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// The least important log line: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Store {
    pub(crate) fn flags(&self) -> Flags {
        let values = [
            ("data", &self.data),
            ("log.format", &self.log_format),
            ("log.level", &self.log_level),
        ];
        Flags {
            config: self.config.clone(),
            values: values
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.clone()?)))
                .collect(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: Store,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Which part of the shop this process has: all, order, stock, wallet or coupon
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Add a demo account and a small catalogue
    #[arg(long)]
    pub(crate) demo: bool,
}

impl Serve {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.store.flags();
        flags.values.extend(self.listen.clone().map(|listen| ("listen", listen)));
        flags.values.extend(self.role.clone().map(|role| ("shop.role", role)));
        flags
    }
}

#[derive(Debug, Args)]
pub(crate) struct Witness {
    #[command(flatten)]
    store: Store,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Witness {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.store.flags();
        flags.values.extend(self.listen.clone().map(|listen| ("witness.listen", listen)));
        flags
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting and where it comes from; passwords are hidden
    Show {
        #[command(flatten)]
        store: Store,
        /// Where `serve` would listen
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Import books from a CSV file into the catalogue; can be run again
    Catalogue {
        #[command(flatten)]
        store: Store,
        /// The CSV file, with a heading line
        file: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Import a reader's Goodreads export onto the reader's shelf
    Goodreads {
        #[command(flatten)]
        store: Store,
        /// The CSV file that Goodreads exports
        file: PathBuf,
        /// Whose shelf
        #[arg(long, value_name = "LOGIN_ID")]
        user: String,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// List all accounts, by log-in id
    Ls {
        #[command(flatten)]
        store: Store,
        /// For programs: an object a line
        #[arg(long)]
        json: bool,
    },
    /// Close an account: nobody can log in, and its sessions end
    Suspend(OneAccount),
    /// Open an account again
    Resume(OneAccount),
    /// Change what an account may do
    Role {
        #[command(flatten)]
        account: OneAccount,
        /// The role from now on
        #[arg(value_parser = ["user", "admin"])]
        role: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OneAccount {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Whose account
    pub(crate) login_id: String,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MastersCommand {
    /// Decide that a master goes on although it misses writes, because those that
    /// have them are lost for good; the servers have to be stopped
    Lead {
        #[command(flatten)]
        store: Store,
        /// The master
        name: String,
        /// Yes: what only the lost masters have is not there
        #[arg(long, required = true)]
        accept_loss: bool,
    },
    /// Have every reader's device compare what it was told with what the store has, and
    /// bring back what is missing: where files were put back by hand, or where `lead` could
    /// not say so; the servers have to be stopped
    Recall {
        #[command(flatten)]
        store: Store,
    },
    /// Show how each master stands; of a running server, where one runs
    Status {
        #[command(flatten)]
        store: Store,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// What is owed to masters that are away, and transactions in doubt, of a
    /// server that runs
    #[command(subcommand)]
    Queue(QueueCommand),
    /// What lost against something else and is kept: transactions of which nobody
    /// was told that they were saved, and rows that a comparison repaired
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
    /// Compare the masters row by row, while they serve; exit code 1 where they
    /// are not the same
    Verify {
        #[command(flatten)]
        store: Store,
        /// Make rows that differ the same: the newer one wins, and the other is
        /// kept
        #[arg(long)]
        repair: bool,
        /// Take no rest between two parts
        #[arg(long)]
        fast: bool,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Empty a master and fill it from another, while they serve; shows how far
    /// it is until the master is LIVE
    Copy(CopyMaster),
    /// Move the store to other masters, of the same or of the other kind; a
    /// server of the store has to be stopped first
    Move(MoveStore),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShopCommand {
    /// Sum up money, copies and coupons; exit code 1 where a sum is not right
    Audit {
        #[command(flatten)]
        store: Store,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Make the list of orders, and what was sold, again of the events of orders, while the
    /// server serves
    Rebuild {
        #[command(flatten)]
        store: Store,
    },
    /// Show what waits to be told, and what was put aside because it could not be
    Events {
        #[command(flatten)]
        store: Store,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Have something told again that was put aside
    Replay {
        #[command(flatten)]
        store: Store,
        /// Its id, as `events` shows it
        id: outbox::DeliveryId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SagaCommand {
    /// List sagas, the latest first
    Ls {
        #[command(flatten)]
        store: Store,
        /// Those in this state alone: RUNNING, COMPLETED, COMPENSATING, COMPENSATED or STUCK
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20,
              value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Show one saga, with its steps over time
    Show {
        #[command(flatten)]
        store: Store,
        /// Its id; of an order it is the order's
        id: saga::SagaId,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Have a saga that is stuck go on trying
    Retry {
        #[command(flatten)]
        store: Store,
        /// Its id
        id: saga::SagaId,
    },
    /// Leave a step out that a saga is stuck at, because somebody has seen to it by hand
    Skip {
        #[command(flatten)]
        store: Store,
        /// Its id
        id: saga::SagaId,
        /// The name of the step
        step: String,
        /// Why; it is kept with the step
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CopyMaster {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The master that is emptied and filled
    #[arg(long, value_name = "NAME")]
    pub(crate) to: String,
    /// The master that it is filled from; where nothing is said, the first that
    /// serves
    #[arg(long, value_name = "NAME")]
    pub(crate) from: Option<String>,
    /// Also where the master serves: it is taken out first
    #[arg(long)]
    pub(crate) yes: bool,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MoveStore {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The configuration with the new masters, all of which are empty
    #[arg(long, value_name = "FILE")]
    pub(crate) into: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MakeBackup {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The file, which must not be there yet; it holds secrets, and is made for
    /// its owner alone
    pub(crate) file: PathBuf,
    /// Make nothing: read the file and say whether it is whole
    #[arg(long)]
    pub(crate) verify: bool,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The backup
    pub(crate) file: PathBuf,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsCommand {
    /// Show the newest thousand, with what they did to each row
    Ls {
        #[command(flatten)]
        store: Store,
        /// For programs: whole values
        #[arg(long)]
        json: bool,
    },
    /// Keep one no longer; every master has to serve
    Drop {
        #[command(flatten)]
        store: Store,
        /// Its id, as `ls` shows it
        id: multi_master::TxId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Show what is in it; empty: every master has every write
    Ls {
        #[command(flatten)]
        store: Store,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Try an item now, and not after its pause
    Retry {
        #[command(flatten)]
        store: Store,
        /// A master's name or a transaction's id; all of them where none is given
        item: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Take an item out for good: a transaction is looked up no more, a master is
    /// filled anew when it is back
    Drop {
        #[command(flatten)]
        store: Store,
        /// A master's name or a transaction's id
        item: String,
        /// Why; it is logged, and of a transaction kept in mm_conflicts
        #[arg(long)]
        reason: String,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}
