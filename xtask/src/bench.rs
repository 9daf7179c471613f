//! `cargo xtask bench`: the workspace under `bench/`, in release.

use crate::serve::{Profile, build};
use crate::shell::{self, Result, cargo, target_dir};
use crate::web;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which one
    name: Name,
    /// Some minutes, for a first look
    #[arg(long)]
    quick: bool,
    /// Further arguments of the bench, such as `--only mariadb`
    #[arg(last = true, value_name = "ARGUMENTS")]
    further: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    /// Durable writes through two masters, beside their rivals; reads, a master
    /// that comes back, one that dies; and the whole path of `POST /memos`
    Masters,
    /// Orders of four durable steps, beside Restate, DBOS and bare statements
    Saga,
    /// Locks on Redis, beside bare scripts and rslock
    Lock,
    /// Memos that were written offline are sent, beside PouchDB and rouchdb
    Sync,
    /// The reader's app in a browser: what is loaded, how soon it can be used, also with
    /// 10,000 memos, and what Lighthouse says
    Web,
}

impl Name {
    /// Whether it measures the server too.
    const fn needs_server(self) -> bool {
        matches!(self, Self::Masters | Self::Saga | Self::Sync | Self::Web)
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Saga => "saga",
            Self::Lock => "lock",
            Self::Sync => "sync",
            Self::Web => "web",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if matches!(arguments.name, Name::Web) {
        web::build()?;
    }
    let mut command =
        cargo(["run", "--release", "--quiet", "--manifest-path", "bench/Cargo.toml", "--bin"]);
    command.arg(arguments.name.binary()).arg("--");
    if arguments.name.needs_server() {
        command.arg("--server").arg(build(Profile::Release)?);
    }
    if arguments.quick {
        command.arg("--quick");
    }
    command.args(&arguments.further).env("CARGO_TARGET_DIR", target_dir());
    shell::run(command)
}
