//! The one list of what can be set.

use super::takes::Takes;

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name, with the table before the dot where it is in one.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) takes: Takes,
    /// What holds where nobody says anything, written as the environment would;
    /// `None` where it follows from other keys or is nothing.
    pub(super) default: Option<&'static str>,
    /// Never shown.
    pub(super) secret: bool,
    /// The flag of `endpaper serve`, or of `endpaper witness`.
    pub(super) flag: Option<&'static str>,
    /// What it is for, for people.
    pub(super) about: &'static str,
}

impl Key {
    /// The environment variable: `ENDPAPER_STORE_POLICY` of `store.policy`.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Whether its value may not be repeated in an error: URLs have passwords.
    pub(super) fn is_sensitive(&self) -> bool {
        self.secret || matches!(self.takes, Takes::Masters | Takes::Witness)
    }
}

/// How our environment variables begin.
pub(super) const VARIABLES: &str = "ENDPAPER_";

/// The environment's way to name the file.
pub(super) const CONFIG_VARIABLE: &str = "ENDPAPER_CONFIG";

const fn key(name: &'static str, takes: Takes, default: &'static str, about: &'static str) -> Key {
    Key { name, takes, default: Some(default), secret: false, flag: None, about }
}

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

const fn millis(min: u64, max: u64) -> Takes {
    Takes::Number { min, max }
}

/// What can be set, in the order in which it is shown.
pub(super) const KEYS: &[Key] = &[
    Key {
        flag: Some("--listen"),
        ..key(
            "listen",
            Takes::Address,
            "127.0.0.1:8080",
            "Where readers' clients connect; port 0 takes a free one.",
        )
    },
    Key {
        flag: Some("--data"),
        ..key(
            "data",
            Takes::Path,
            "data",
            "The data directory: the embedded masters, which have the signing keys too, the witness, and mail. Made when missing, for its user alone.",
        )
    },
    Key {
        default: None,
        ..key(
            "masters",
            Takes::Masters,
            "",
            "The databases; the first is the primary. Default: two SQLite files, a.db and b.db, in the data directory.",
        )
    },
    key(
        "store.policy",
        Takes::OneOf(&["available", "all"]),
        "available",
        "What a write needs: the masters that live (available), or every one (all).",
    ),
    Key {
        default: None,
        ..key(
            "store.witness",
            Takes::Witness,
            "",
            "What says which masters serve: a file for one server; witness://[TOKEN@]HOST:PORT[/SET] (see `endpaper witness`) or redis://[USER:PASSWORD@]HOST:PORT[/DB][?set=SET] for several. Default: witness.json in the data directory.",
        )
    },
    Key {
        flag: Some("--listen"),
        ..key(
            "witness.listen",
            Takes::Address,
            "127.0.0.1:9100",
            "Where `endpaper witness` listens; port 0 takes a free one.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "witness.token",
            Takes::Text,
            "",
            "What `endpaper witness` wants to hear from each server; needed where it listens beyond this machine.",
        )
    },
    key("store.connect_ms", millis(10, 60_000), "2000", "Time limit for connecting to a master."),
    key(
        "store.statement_ms",
        millis(10, 600_000),
        "5000",
        "Time limit for one statement; a lock is waited for at most as long. With MariaDB at least 2000.",
    ),
    key(
        "store.commit_ms",
        millis(10, 600_000),
        "5000",
        "Time limit for one commit. With MariaDB at least 2000.",
    ),
    key(
        "store.probe_ms",
        millis(50, 600_000),
        "1000",
        "How often masters that are away are tried, at first; it grows to 30 s.",
    ),
    key(
        "store.log_rows_max",
        Takes::Number { min: 1_000, max: 1_000_000_000 },
        "1000000",
        "The most write-sets that are kept for a master that is away; where there are more, it is filled anew when it comes back. Those of the last ten minutes are kept in any case.",
    ),
    key(
        "store.log_bytes_max",
        Takes::Number { min: 1 << 20, max: 1 << 50 },
        "4294967296",
        "The most bytes of them.",
    ),
    key(
        "store.write_connections",
        Takes::Number { min: 1, max: 1_000 },
        "32",
        "Connections to each MariaDB master for writes.",
    ),
    key(
        "store.read_connections",
        Takes::Number { min: 1, max: 1_000 },
        "8",
        "Connections to each master for reads.",
    ),
    key(
        "store.waiting_writes_max",
        Takes::Number { min: 1, max: 1_000_000 },
        "10000",
        "Writes that may wait; more are refused with 503.",
    ),
    key(
        "store.verify_every_ms",
        Takes::NumberOrOff { min: 1_000, max: 30 * DAY_MS },
        "86400000",
        "How often the masters are compared row by row, give or take a tenth; what is not the same is an alert, and nothing is repaired.",
    ),
    key(
        "server.connections_max",
        Takes::Number { min: 1, max: 1_000_000 },
        "10000",
        "Connections at one time; further ones wait to be accepted. Fewer where the system's limit of open files leaves fewer.",
    ),
    key(
        "server.connections_per_client_max",
        Takes::Number { min: 1, max: 1_000_000 },
        "256",
        "Connections of one client (an IPv4 address, an IPv6 /64) at one time, and never more than half of all; further ones are closed. Trusted proxies have no such limit.",
    ),
    key(
        "server.body_bytes_max",
        Takes::Number { min: 1_024, max: 1 << 30 },
        "33554432",
        "The largest request body; more is 413.",
    ),
    key(
        "server.header_ms_max",
        millis(100, 600_000),
        "15000",
        "How long a client may take to send the head of a request, and how long an idle connection is kept.",
    ),
    key(
        "server.write_ms_max",
        millis(100, 600_000),
        "30000",
        "How long a client may read nothing of its answer before its connection is closed.",
    ),
    key(
        "server.request_ms_max",
        millis(100, 600_000),
        "30000",
        "How long one request may take once its body is there, and how long nothing may come of its body.",
    ),
    key(
        "server.stop_ms_max",
        millis(0, 600_000),
        "15000",
        "How long requests in flight may take to finish after SIGTERM.",
    ),
    key(
        "server.trusted_proxies",
        Takes::IpAddresses,
        "",
        "Proxies whose X-Forwarded-For is believed.",
    ),
    key(
        "operator.listen",
        Takes::AddressOrOff,
        "127.0.0.1:9090",
        "Where the operator's page /ops is, and /metrics and /status, which ask for no token; port 0 takes a free one, which the log names. Keep it off the internet.",
    ),
    Key {
        default: None,
        secret: true,
        ..key(
            "operator.token",
            Takes::Text,
            "",
            "What opens /ops and lets commands change a server that runs; at least 16 characters. Default: one that is made at the first start, in operator-token of the data directory.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "alerts.webhook",
            Takes::WebAddress,
            "",
            "Where alerts are posted as JSON; the log has them in any case.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "alerts.slack_webhook",
            Takes::WebAddress,
            "",
            "An incoming webhook of Slack, or of what takes the same form, that gets them too.",
        )
    },
    key(
        "alerts.master_away_ms",
        millis(0, 60 * 60 * 1_000),
        "5000",
        "How long a master is away until that is an alert.",
    ),
    key(
        "alerts.quiet_ms",
        millis(0, DAY_MS),
        "60000",
        "How long something has to be well again until it is told to be over.",
    ),
    key(
        "alerts.repeat_ms",
        millis(1_000, 30 * DAY_MS),
        "14400000",
        "How often a CRITICAL alert that goes on is told again.",
    ),
    key("alerts.request_ms", millis(100, 60_000), "5000", "How long a webhook may take to answer."),
    key(
        "accounts.access_token_ms",
        millis(1_000, DAY_MS),
        "900000",
        "How long an access token holds.",
    ),
    key(
        "accounts.refresh_token_ms",
        millis(60_000, 400 * DAY_MS),
        "2592000000",
        "How long a session lasts after its last refresh.",
    ),
    key(
        "accounts.reset_token_ms",
        millis(60_000, DAY_MS),
        "1800000",
        "How long a token to reset a password holds.",
    ),
    Key {
        default: None,
        ..key(
            "accounts.public_url",
            Takes::WebAddress,
            "",
            "Where the web client is, for links in mail.",
        )
    },
    Key {
        flag: Some("--role"),
        ..key(
            "shop.role",
            Takes::OneOf(&["all", "order", "stock", "wallet", "coupon"]),
            "all",
            "Which part of the shop this process has. `order` has accounts and shelves too, and asks the others.",
        )
    },
    Key {
        default: None,
        ..key(
            "shop.orders",
            Takes::OneOf(&["transaction", "saga", "choreography"]),
            "",
            "How an order is made: in one transaction, as a saga, whose steps `endpaper saga` shows, or from part to part. It is for the process that makes orders, and for those that are new: what was begun otherwise goes on as it began. Without a role `transaction`, else `saga`.",
        )
    },
    key(
        "shop.lock",
        Takes::OneOf(&["process", "masters", "redis"]),
        "process",
        "Where it is kept that an order of a reader is being made, so that a double click is one: several servers share it in the masters or in Redis. Without it an order is made all the same.",
    ),
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.lock_redis",
            Takes::Text,
            "",
            "The Redis server of `shop.lock`, as redis://[USER:PASSWORD@]HOST:PORT.",
        )
    },
    Key {
        default: None,
        ..key("shop.stock_url", Takes::WebAddress, "", "Where other processes find the stock.")
    },
    Key {
        default: None,
        ..key("shop.wallet_url", Takes::WebAddress, "", "Where other processes find wallets.")
    },
    Key {
        default: None,
        ..key("shop.coupon_url", Takes::WebAddress, "", "Where other processes find coupons.")
    },
    Key {
        default: None,
        ..key(
            "shop.order_url",
            Takes::WebAddress,
            "",
            "Where other processes find orders and readers.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.service_token",
            Takes::Text,
            "",
            "What the processes of a shop know each other by, the same for all: 16 characters at least.",
        )
    },
    key(
        "shop.time_zone",
        Takes::Text,
        "UTC",
        "The time zone that the shop's days are in: an IANA name such as Asia/Seoul.",
    ),
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.data_platform",
            Takes::WebAddress,
            "",
            "Where orders that are completed or cancelled are posted as JSON, signed.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.notification",
            Takes::WebAddress,
            "",
            "A message gateway that gets a message for the reader of each, signed.",
        )
    },
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.nats",
            Takes::Text,
            "",
            "A NATS server whose JetStream gets the same orders, as nats://[USER:PASSWORD@]HOST:PORT; several with commas between.",
        )
    },
    key(
        "shop.nats_subject",
        Takes::Text,
        "endpaper.orders",
        "The subject of a stream there that takes them.",
    ),
    key(
        "shop.ranking_workers_min",
        Takes::Number { min: 1, max: 1_000 },
        "3",
        "Workers that tell the ranking of orders while there is little to do; each takes one order at a time, and one connection to the store.",
    ),
    key(
        "shop.ranking_workers_max",
        Takes::Number { min: 1, max: 1_000 },
        "10",
        "And while there is much.",
    ),
    key(
        "shop.ranking_queue",
        Takes::Number { min: 1, max: 10_000 },
        "50",
        "Orders that they take from the store at most before they are told: at least as many as there are workers. The others wait in the store.",
    ),
    key(
        "shop.outside_workers_min",
        Takes::Number { min: 1, max: 1_000 },
        "2",
        "Workers that tell each of those outside of orders while there is little to do; each takes one order at a time, and one connection to the store.",
    ),
    key(
        "shop.outside_workers_max",
        Takes::Number { min: 1, max: 1_000 },
        "8",
        "And while there is much.",
    ),
    key(
        "shop.outside_queue",
        Takes::Number { min: 1, max: 10_000 },
        "30",
        "Orders that they take from the store at most before they are told: at least as many as there are workers. The others wait in the store.",
    ),
    Key {
        default: None,
        secret: true,
        ..key(
            "shop.webhook_key",
            Takes::Text,
            "",
            "What webhooks of the shop are signed with: 16 bytes at least.",
        )
    },
    key(
        "shop.webhook_private",
        Takes::Truth,
        "false",
        "Whether webhooks of the shop may go to addresses that are not public, such as this machine.",
    ),
    key(
        "mail.outbox",
        Takes::OneOf(&["file", "log"]),
        "file",
        "Where mail goes: a file each in `mail/` of the data directory, or the log.",
    ),
    key("mail.from", Takes::Text, "no-reply@localhost", "The sender of mail."),
    Key {
        default: None,
        secret: true,
        ..key(
            "books.aladin_key",
            Takes::Text,
            "",
            "The TTB key of the Aladin book shop; without one it is not asked.",
        )
    },
    key(
        "books.aladin_url",
        Takes::WebAddress,
        "https://www.aladin.co.kr/ttb/api",
        "Where Aladin's TTB interface answers.",
    ),
    key(
        "books.open_library",
        Takes::Truth,
        "true",
        "Whether Open Library is asked for books that the catalogue lacks.",
    ),
    key(
        "books.open_library_url",
        Takes::WebAddress,
        "https://openlibrary.org",
        "Where Open Library answers.",
    ),
    Key {
        default: None,
        ..key(
            "books.contact",
            Takes::Text,
            "",
            "A mail address of yours that Open Library is told; it asks for one.",
        )
    },
    key(
        "books.source_ms",
        millis(100, 60_000),
        "3000",
        "How long an external source may take to answer.",
    ),
    Key {
        flag: Some("--log-format"),
        ..key(
            "log.format",
            Takes::OneOf(&["text", "json"]),
            "text",
            "How log lines are written to standard error.",
        )
    },
    Key {
        flag: Some("--log-level"),
        ..key(
            "log.level",
            Takes::OneOf(&["error", "warn", "info", "debug", "trace"]),
            "info",
            "The least important line that is written.",
        )
    },
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
