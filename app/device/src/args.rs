//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use sync::model::RecordId;

/// Read and write memos on this machine, with and without a network.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of this device; by default `endpaper` in the folder for the data of
    /// programs (`$XDG_DATA_HOME`, or `~/.local/share`)
    #[arg(long, value_name = "DIR", env = "ENDPAPER_DEVICE_DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// For programs: each thing is one line of JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    #[expect(missing_docs, reason = "it is what it is")]
    pub command: Command,
}

/// For tests: the arguments alone.
#[derive(Debug, Parser)]
pub struct Alone {
    #[command(flatten)]
    #[expect(missing_docs, reason = "they are what they are")]
    pub args: Args,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in, and bring the whole account here
    Login(Login),
    /// Log out; what was not sent stays in the folder
    Logout {
        /// Also where edits were not sent yet
        #[arg(long)]
        yes: bool,
    },
    /// Memos
    #[command(subcommand)]
    Note(Note),
    /// The books of the shelf
    #[command(subcommand)]
    Shelf(Shelf),
    /// What lost its place to an edit on another device, and is kept
    #[command(subcommand)]
    Kept(Kept),
    /// How everything stands, and what needs attention
    Status,
    /// Send and receive everything, now
    Sync,
    /// Send and receive as things happen, until Ctrl-C
    Watch,
    /// Try once more what the server refused
    Retry {
        /// The id of the note or book, or the end of it; everything without
        id: Option<String>,
    },
    /// Discard what the server refused
    Discard {
        /// The id of the note or book, or the end of it
        id: String,
    },
    /// What became of the last 1,000 edits
    Log,
    /// Write everything that is here as JSON, with what was not sent
    Export {
        /// The file, which must not be there yet; standard output without
        file: Option<PathBuf>,
    },
}

/// Whom to log in, and where.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The server, such as `https://books.example.com`; the last one without
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The log-in id; the last one without
    #[arg(long, value_name = "LOGIN_ID")]
    pub user: Option<String>,
    /// What this device is called in the account's list
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Read the password from a file, `-` for standard input; asked for without
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Memos.
#[derive(Debug, Subcommand)]
pub enum Note {
    /// Write a memo
    Add {
        /// The book: the end of its id, its ISBN, or a part of its title
        #[arg(long)]
        book: String,
        /// The page
        #[arg(long)]
        page: u32,
        /// Tags, by their codes
        #[arg(long, value_delimiter = ',', value_name = "CODE")]
        tags: Vec<String>,
        /// When it was written (RFC 3339); now without
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// The memo; `-` reads it from standard input
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Change a memo; what is not given stays
    Edit {
        /// Its id, or the end of it
        id: String,
        /// The page
        #[arg(long)]
        page: Option<u32>,
        /// Tags, by their codes; an empty one for none
        #[arg(long, value_delimiter = ',', value_name = "CODE")]
        tags: Option<Vec<String>>,
        /// The memo; `-` reads it from standard input. Where nothing is given, the editor
        /// of `$VISUAL` or `$EDITOR` is opened with it
        #[arg(long, allow_hyphen_values = true)]
        text: Option<String>,
        /// The book, of a memo that was refused or waits for its book: as of `add`
        #[arg(long)]
        book: Option<String>,
    },
    /// Delete a memo
    Rm {
        /// Its id, or the end of it
        id: String,
    },
    /// List memos, in the order in which they were written
    Ls {
        /// Of one book: the end of its id, its ISBN, or a part of its title
        #[arg(long)]
        book: Option<String>,
    },
    /// Show a whole memo
    Show {
        /// Its id, or the end of it
        id: String,
    },
}

/// The books of the shelf.
#[derive(Debug, Subcommand)]
pub enum Shelf {
    /// List the books
    Ls,
    /// Put a book on the shelf
    Add {
        /// The title
        #[arg(long)]
        title: String,
        /// The ISBN, with or without hyphens
        #[arg(long)]
        isbn: Option<String>,
        /// Who wrote it
        #[arg(long)]
        author: Option<String>,
        /// How many pages it has
        #[arg(long)]
        pages: Option<u32>,
        /// The whole id that it had on the shelf before: its memos come back with it
        #[arg(long)]
        id: Option<RecordId>,
    },
    /// Say how far a book was read
    Read {
        /// The end of its id, its ISBN, or a part of its title
        book: String,
        /// The last page that was read
        #[arg(long)]
        page: u32,
    },
    /// Take a book from the shelf
    Rm {
        /// The end of its id, its ISBN, or a part of its title
        book: String,
    },
}

/// What lost its place.
#[derive(Debug, Subcommand)]
pub enum Kept {
    /// List it
    Ls,
    /// Show the whole of one
    Show {
        /// Its id, or the end of it
        id: String,
    },
    /// Put one back in its place; what is there instead is shown once more
    Restore {
        /// Its id, or the end of it
        id: String,
    },
    /// Throw one away
    Rm {
        /// Its id, or the end of it
        id: String,
    },
}
