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
    /// Memos that were written offline are sent, beside PouchDB and rouchdb
    Sync,
    /// The reader's app in a browser: what is loaded, how soon it can be used, also with
    /// 10,000 memos, and what Lighthouse says
    Web,
}

impl Name {
    fn binary(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Sync => "sync",
            Self::Web => "web",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if matches!(arguments.name, Name::Web) {
        web::build()?;
    }
    let server = build(Profile::Release)?;
    let mut command =
        cargo(["run", "--release", "--quiet", "--manifest-path", "bench/Cargo.toml", "--bin"]);
    command.arg(arguments.name.binary()).arg("--").arg("--server").arg(server);
    if arguments.quick {
        command.arg("--quick");
    }
    command.args(&arguments.further).env("CARGO_TARGET_DIR", target_dir());
    shell::run(command)
}
