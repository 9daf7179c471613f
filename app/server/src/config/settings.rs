//! The settings as the program uses them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use endpaper_shop::apart::Role;
use monitor::{Shape, TargetConfig};
use multi_master::config::Limits;
use multi_master::{MasterConfig, MasterName, Policy};

use super::layers::Resolved;
use super::takes::{self, OFF, Setting};
use crate::token::Token;

/// Everything that can be set, checked and typed.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) store: multi_master::Config,
    pub(crate) witness: WitnessSettings,
    /// How often the masters are compared; `None`: never.
    pub(crate) verify_every: Option<Duration>,
    pub(crate) server: ServerLimits,
    pub(crate) operator: Operator,
    pub(crate) alerts: AlertsSettings,
    pub(crate) accounts: AccountsSettings,
    pub(crate) shop: ShopSettings,
    pub(crate) mail: MailSettings,
    pub(crate) books: BooksSettings,
    pub(crate) log: LogSettings,
}

/// `endpaper witness`.
#[derive(Clone)]
pub(crate) struct WitnessSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) token: Option<String>,
}

impl std::fmt::Debug for WitnessSettings {
    /// Never prints the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        let mut shown = f.debug_struct("WitnessSettings");
        shown.field("listen", &self.listen).field("token", &token).finish()
    }
}

/// Bounds of the HTTP server.
#[derive(Clone, Debug)]
pub(crate) struct ServerLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_client_max: usize,
    pub(crate) body_bytes_max: usize,
    pub(crate) header: Duration,
    pub(crate) write: Duration,
    pub(crate) request: Duration,
    pub(crate) stop: Duration,
    pub(crate) trusted_proxies: Vec<IpAddr>,
}

/// Where the operator's listener is.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// `None`: nowhere.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether somebody chose it. A default that is taken is gone without.
    pub(crate) chosen: bool,
    /// The token, where it is configured.
    pub(crate) token: Option<Token>,
}

/// Alerts: who is told besides the log, and when.
#[derive(Clone, Debug)]
pub(crate) struct AlertsSettings {
    pub(crate) targets: Vec<TargetConfig>,
    pub(crate) master_away: Duration,
    pub(crate) quiet: Duration,
    pub(crate) repeat: Duration,
    pub(crate) request: Duration,
}

/// Lifetimes of tokens, and where the web client is.
#[derive(Clone, Debug)]
pub(crate) struct AccountsSettings {
    pub(crate) access_token: Duration,
    pub(crate) refresh_token: Duration,
    pub(crate) reset_token: Duration,
    pub(crate) public_url: Option<String>,
}

/// The shop.
#[derive(Clone)]
pub(crate) struct ShopSettings {
    /// Nothing where this process has all of it.
    pub(crate) role: Option<Role>,
    /// Nothing where nobody says.
    pub(crate) orders: Option<OrdersAs>,
    pub(crate) lock: LockAt,
    pub(crate) stock_url: Option<String>,
    pub(crate) wallet_url: Option<String>,
    pub(crate) coupon_url: Option<String>,
    pub(crate) order_url: Option<String>,
    pub(crate) service_token: Option<String>,
    /// An IANA name, where it is one.
    pub(crate) time_zone: String,
    pub(crate) data_platform: Option<String>,
    pub(crate) notification: Option<String>,
    pub(crate) nats: Option<String>,
    pub(crate) nats_subject: String,
    pub(crate) ranking: Workers,
    pub(crate) outside: Workers,
    pub(crate) webhook_key: Option<String>,
    pub(crate) webhook_private: bool,
}

/// How many tell somebody of orders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workers {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) queue: usize,
}

impl std::fmt::Debug for ShopSettings {
    /// Never prints where webhooks go, nor what is signed or known with.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShopSettings")
            .field("role", &self.role)
            .field("orders", &self.orders)
            .field("time_zone", &self.time_zone)
            .field("webhook_private", &self.webhook_private)
            .finish_non_exhaustive()
    }
}

/// Where it is kept that an order of a reader is being made.
#[derive(Clone)]
pub(crate) enum LockAt {
    Process,
    Masters,
    /// At a URL, where one is given.
    Redis(Option<String>),
}

/// How an order is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrdersAs {
    Transaction,
    Saga,
    Choreography,
}

/// Mail.
#[derive(Clone, Debug)]
pub(crate) struct MailSettings {
    pub(crate) outbox: MailOutbox,
    pub(crate) from: String,
}

/// Where mail goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailOutbox {
    File,
    Log,
}

/// The external sources of books.
#[derive(Clone)]
pub(crate) struct BooksSettings {
    pub(crate) aladin_key: Option<String>,
    pub(crate) aladin_url: String,
    pub(crate) open_library: bool,
    pub(crate) open_library_url: String,
    pub(crate) contact: Option<String>,
    pub(crate) source: Duration,
}

impl std::fmt::Debug for BooksSettings {
    /// Never prints the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BooksSettings")
            .field("aladin_key", &self.aladin_key.as_ref().map(|_| "***"))
            .field("aladin_url", &self.aladin_url)
            .field("open_library", &self.open_library)
            .field("open_library_url", &self.open_library_url)
            .field("contact", &self.contact)
            .field("source", &self.source)
            .finish()
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    pub(crate) format: LogFormat,
    pub(crate) level: tracing::Level,
}

impl Settings {
    /// Types what was read. Nothing can fail here: each value was checked where
    /// it was read.
    pub(crate) fn of(resolved: &Resolved) -> Self {
        let values = Values(resolved);
        let data = PathBuf::from(values.text("data"));
        Self {
            listen: takes::address(values.text("listen")).expect("checked when read"),
            witness: WitnessSettings {
                listen: takes::address(values.text("witness.listen")).expect("checked when read"),
                token: values.text_or_none("witness.token").map(str::to_owned),
            },
            store: store(&values, &data),
            verify_every: values.millis_or_off("store.verify_every_ms"),
            server: ServerLimits {
                connections_max: values.count("server.connections_max"),
                body_bytes_max: values.count("server.body_bytes_max"),
                connections_per_client_max: values.count("server.connections_per_client_max"),
                header: values.millis("server.header_ms_max"),
                write: values.millis("server.write_ms_max"),
                request: values.millis("server.request_ms_max"),
                stop: values.millis("server.stop_ms_max"),
                trusted_proxies: values.ip_addresses("server.trusted_proxies"),
            },
            operator: Operator {
                listen: Some(values.text("operator.listen"))
                    .filter(|text| *text != OFF)
                    .and_then(takes::address),
                chosen: !resolved.is_default("operator.listen"),
                token: values.text_or_none("operator.token").map(Token::new),
            },
            alerts: AlertsSettings {
                targets: [("alerts.webhook", Shape::Json), ("alerts.slack_webhook", Shape::Slack)]
                    .into_iter()
                    .filter_map(|(key, shape)| {
                        let url = values.text_or_none(key)?.to_owned();
                        Some(TargetConfig { name: key.to_owned(), url, shape })
                    })
                    .collect(),
                master_away: values.millis("alerts.master_away_ms"),
                quiet: values.millis("alerts.quiet_ms"),
                repeat: values.millis("alerts.repeat_ms"),
                request: values.millis("alerts.request_ms"),
            },
            accounts: AccountsSettings {
                access_token: values.millis("accounts.access_token_ms"),
                refresh_token: values.millis("accounts.refresh_token_ms"),
                reset_token: values.millis("accounts.reset_token_ms"),
                public_url: values.text_or_none("accounts.public_url").map(str::to_owned),
            },
            shop: ShopSettings {
                role: match values.text("shop.role") {
                    "order" => Some(Role::Order),
                    "stock" => Some(Role::Stock),
                    "wallet" => Some(Role::Wallet),
                    "coupon" => Some(Role::Coupon),
                    _ => None,
                },
                orders: values.text_or_none("shop.orders").map(|how| match how {
                    "saga" => OrdersAs::Saga,
                    "choreography" => OrdersAs::Choreography,
                    _ => OrdersAs::Transaction,
                }),
                lock: match values.text("shop.lock") {
                    "masters" => LockAt::Masters,
                    "redis" => {
                        LockAt::Redis(values.text_or_none("shop.lock_redis").map(str::to_owned))
                    }
                    _ => LockAt::Process,
                },
                stock_url: values.text_or_none("shop.stock_url").map(str::to_owned),
                wallet_url: values.text_or_none("shop.wallet_url").map(str::to_owned),
                coupon_url: values.text_or_none("shop.coupon_url").map(str::to_owned),
                order_url: values.text_or_none("shop.order_url").map(str::to_owned),
                service_token: values.text_or_none("shop.service_token").map(str::to_owned),
                time_zone: values.text("shop.time_zone").to_owned(),
                data_platform: values.text_or_none("shop.data_platform").map(str::to_owned),
                notification: values.text_or_none("shop.notification").map(str::to_owned),
                nats: values.text_or_none("shop.nats").map(str::to_owned),
                nats_subject: values.text("shop.nats_subject").to_owned(),
                ranking: values.workers([
                    "shop.ranking_workers_min",
                    "shop.ranking_workers_max",
                    "shop.ranking_queue",
                ]),
                outside: values.workers([
                    "shop.outside_workers_min",
                    "shop.outside_workers_max",
                    "shop.outside_queue",
                ]),
                webhook_key: values.text_or_none("shop.webhook_key").map(str::to_owned),
                webhook_private: values.truth("shop.webhook_private"),
            },
            mail: MailSettings {
                outbox: match values.text("mail.outbox") {
                    "log" => MailOutbox::Log,
                    _ => MailOutbox::File,
                },
                from: values.text("mail.from").to_owned(),
            },
            books: BooksSettings {
                aladin_key: values
                    .text_or_none("books.aladin_key")
                    .filter(|key| !key.is_empty())
                    .map(str::to_owned),
                aladin_url: values.text("books.aladin_url").to_owned(),
                open_library: values.truth("books.open_library"),
                open_library_url: values.text("books.open_library_url").to_owned(),
                contact: values
                    .text_or_none("books.contact")
                    .filter(|contact| !contact.is_empty())
                    .map(str::to_owned),
                source: values.millis("books.source_ms"),
            },
            log: LogSettings {
                format: match values.text("log.format") {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                },
                level: values
                    .text("log.level")
                    .parse()
                    .expect("the levels of the key are tracing's"),
            },
            data,
        }
    }
}

fn store(values: &Values<'_>, data: &std::path::Path) -> multi_master::Config {
    let policy = match values.text("store.policy") {
        "all" => Policy::All,
        _ => Policy::Available,
    };
    let mut store = multi_master::Config::embedded(data, policy);
    if let Some((Setting::Masters(masters), _)) = values.0.get("masters") {
        store.masters = masters
            .iter()
            .map(|master| MasterConfig {
                name: MasterName(master.name.clone()),
                url: master.url.clone(),
            })
            .collect();
    }
    if let Some(witness) = values.text_or_none("store.witness") {
        store.witness = witness.parse().expect("it was checked when it was read");
    }
    store.limits = Limits {
        connect: values.millis("store.connect_ms"),
        statement: values.millis("store.statement_ms"),
        commit: values.millis("store.commit_ms"),
        write_connections: values.count("store.write_connections"),
        read_connections: values.count("store.read_connections"),
        waiting_writes: values.count("store.waiting_writes_max"),
        probe: values.millis("store.probe_ms"),
        log_rows_max: values.number("store.log_rows_max"),
        log_bytes_max: values.number("store.log_bytes_max"),
    };
    store
}

/// Values by their types. A key that is of another type than the program
/// thinks is a mistake in the program, which every start would show.
struct Values<'a>(&'a Resolved);

impl<'a> Values<'a> {
    fn text_or_none(&self, name: &str) -> Option<&'a str> {
        match self.0.get(name) {
            Some((Setting::Text(text), _)) => Some(text),
            None => None,
            Some((other, _)) => panic!("`{name}` is a text, and not {other:?}"),
        }
    }

    fn text(&self, name: &str) -> &'a str {
        self.text_or_none(name).unwrap_or_else(|| panic!("`{name}` has a default"))
    }

    fn number(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some((Setting::Number(number), _)) => *number,
            other => panic!("`{name}` is a number, and not {other:?}"),
        }
    }

    fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    fn millis_or_off(&self, name: &str) -> Option<Duration> {
        match self.0.get(name) {
            Some((Setting::Text(text), _)) if text == OFF => None,
            _ => Some(self.millis(name)),
        }
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("bounds of keys fit")
    }

    fn workers(&self, [min, max, queue]: [&str; 3]) -> Workers {
        Workers { min: self.count(min), max: self.count(max), queue: self.count(queue) }
    }

    fn truth(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some((Setting::Truth(truth), _)) => *truth,
            other => panic!("`{name}` is true or false, and not {other:?}"),
        }
    }

    fn ip_addresses(&self, name: &str) -> Vec<IpAddr> {
        match self.0.get(name) {
            Some((Setting::Texts(texts), _)) => {
                texts.iter().map(|text| text.parse().expect("checked when read")).collect()
            }
            other => panic!("`{name}` is a list, and not {other:?}"),
        }
    }
}
