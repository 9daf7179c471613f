//! The rivals, each in the fastest form that keeps what it promises.
//!
//! | rival | a write |
//! |---|---|
//! | one master | one prepared statement that commits by itself |
//! | one after the other | that on one server, then on the other |
//! | XA on both | one packet to each at the same time (`xa start`, the row, `xa end`, `xa prepare`), then `xa commit` to each at the same time |
//! | Galera, one writer | one prepared statement that commits by itself |
//! | semi-synchronous | the same |
//!
//! Callers write rows of their own, so that no rival ever waits for a lock.

use std::fmt::Write as _;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Statement};

use super::Work;
use super::sets::connect;
use crate::rows::MemoRow;

const INSERT: &str = "insert into memos (id, reader_id, page, content, started_at) \
                      values (?, ?, ?, ?, ?)";
const UPDATE: &str = "update memos set page = ?, content = ? where id = ?";

/// As our own masters make it, without version and digest.
pub(crate) const TABLE: &str = "create table memos (
    id binary(16) not null, reader_id binary(16) not null, page bigint not null,
    content varchar(5000) not null, started_at bigint not null, primary key (id)
) engine = InnoDB character set utf8mb4 collate utf8mb4_nopad_bin";

/// How a rival commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By itself, on each server in turn.
    InTurn,
    /// In two phases on all.
    Xa,
}

/// One caller, with its connection to each server.
pub(crate) struct Caller {
    way: Way,
    xid: String,
    servers: Vec<Prepared>,
    packet: String,
}

struct Prepared {
    connection: Conn,
    insert: Statement,
    update: Statement,
}

impl Caller {
    pub(crate) async fn connect(number: usize, way: Way, urls: &[String]) -> Self {
        let mut servers = Vec::new();
        for url in urls {
            let mut connection = connect(url).await;
            let insert = connection.prep(INSERT).await.expect("it can be prepared");
            let update = connection.prep(UPDATE).await.expect("it can be prepared");
            servers.push(Prepared { connection, insert, update });
        }
        Self { way, xid: format!("'caller {number}'"), servers, packet: String::new() }
    }

    /// Writes one row, durably.
    pub(crate) async fn write(&mut self, work: Work, row: &MemoRow) {
        match self.way {
            Way::InTurn => {
                for server in &mut self.servers {
                    server.write(work, row).await;
                }
            }
            Way::Xa => self.write_xa(work, row).await,
        }
    }

    /// Writes many rows at once, to have something to update.
    pub(crate) async fn fill(&mut self, rows: &[MemoRow]) {
        for rows in rows.chunks(500) {
            for server in &mut self.servers {
                let fill = server.insert.clone();
                let connection = &mut server.connection;
                connection.query_drop("start transaction").await.expect("it begins");
                connection.exec_batch(fill, rows.iter().map(insert_params)).await.expect("filled");
                connection.query_drop("commit").await.expect("it commits");
            }
        }
    }

    async fn write_xa(&mut self, work: Work, row: &MemoRow) {
        let (xid, packet) = (&self.xid, &mut self.packet);
        packet.clear();
        let (id, content) = (hex(&row.id), text(&row.content));
        let written = match work {
            Work::Insert => write!(
                packet,
                "xa start {xid}; insert into memos (id, reader_id, page, content, started_at) \
                 values ({id}, {}, {}, {content}, {}); xa end {xid}; xa prepare {xid}",
                hex(&row.reader),
                row.page,
                row.at
            ),
            Work::Update => write!(
                packet,
                "xa start {xid}; update memos set page = {}, content = {content} where id = {id}; \
                 xa end {xid}; xa prepare {xid}",
                row.page
            ),
        };
        written.expect("a string takes all");
        let [one, other] = &mut self.servers[..] else { unreachable!("two servers") };
        tokio::join!(one.send(packet), other.send(packet));
        let commit = format!("xa commit {xid}");
        tokio::join!(one.send(&commit), other.send(&commit));
    }
}

impl Prepared {
    async fn write(&mut self, work: Work, row: &MemoRow) {
        let done = match work {
            Work::Insert => self.connection.exec_drop(&self.insert, insert_params(row)).await,
            Work::Update => {
                let params = (row.page, &row.content, &row.id[..]);
                self.connection.exec_drop(&self.update, params).await
            }
        };
        done.expect("every write is saved");
    }

    async fn send(&mut self, packet: &str) {
        self.connection.query_drop(packet).await.expect("every write is saved");
    }
}

fn insert_params(row: &MemoRow) -> (&[u8], &[u8], i64, &str, i64) {
    (&row.id, &row.reader, row.page, &row.content, row.at)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all");
        hex
    })
}

/// The bench's own rows have nothing to escape.
fn text(content: &str) -> String {
    assert!(!content.contains(['\'', '\\']), "{content}");
    format!("'{content}'")
}
