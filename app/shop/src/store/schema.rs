//! The tables.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

use crate::model::{AUTHOR_CHARS_MAX, COUPON_NAME_CHARS_MAX, TITLE_CHARS_MAX};

/// The most characters of an event: 50 lines with titles, each character escaped to six.
pub const EVENT_CHARS_MAX: u32 = 50 * (6 * TITLE_CHARS_MAX + 200) + 1_000;

const fn text(chars_max: u32) -> Kind {
    Kind::Text { chars_max }
}

/// All migrations of this crate, in order, with those of its events and sagas.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "shop-1",
        steps: &[
            Step::CreateTable(PRODUCTS),
            Step::CreateTable(MOVES),
            Step::CreateTable(ACCOUNTS),
            Step::CreateTable(ENTRIES),
            Step::CreateTable(COUPONS),
            Step::CreateTable(PIECES),
            Step::CreateTable(EVENTS),
            Step::CreateTable(ORDERS),
            Step::CreateTable(SALES),
        ],
    },
    outbox::MIGRATIONS[0],
    saga::MIGRATIONS[0],
    saga::ledger::MIGRATIONS[0],
];

const _: () = assert!(
    outbox::MIGRATIONS.len() == 1
        && saga::MIGRATIONS.len() == 1
        && saga::ledger::MIGRATIONS.len() == 1,
    "take the others over at the end"
);

/// What is sold. `on_hand` is the sum of the product's moves that were not undone.
const PRODUCTS: Table = Table {
    name: "shop_products",
    key: &["product_id"],
    columns: &[
        Column::new("product_id", Kind::Id),
        Column::new("title", text(TITLE_CHARS_MAX)),
        Column::nullable("author", text(AUTHOR_CHARS_MAX)),
        Column::nullable("isbn", text(13)),
        Column::new("price", Kind::Int),
        Column::new("on_hand", Kind::Int),
        Column::new("created_at", Kind::Time),
    ],
    indexes: &[Index {
        name: "shop_products_title",
        columns: &["title", "product_id"],
        unique: false,
    }],
};

/// Copies that came and went: of which receipt, or for which order.
const MOVES: Table = Table {
    name: "shop_moves",
    key: &["source_id", "product_id"],
    columns: &[
        Column::new("source_id", Kind::Id),
        Column::new("product_id", Kind::Id),
        // Less than 0 where they went.
        Column::new("copies", Kind::Int),
        Column::new("undone", Kind::Bool),
        Column::new("at", Kind::Time),
    ],
    indexes: &[Index { name: "shop_moves_product", columns: &["product_id"], unique: false }],
};

/// Readers' wallets. `balance` is the sum of the account's entries.
const ACCOUNTS: Table = Table {
    name: "shop_accounts",
    key: &["account_id"],
    columns: &[Column::new("account_id", Kind::Id), Column::new("balance", Kind::Int)],
    indexes: &[],
};

/// Two for each transfer, which together are nothing: double-entry. The shop's own accounts
/// have entries and no row with a balance, which each order would wait for.
const ENTRIES: Table = Table {
    name: "shop_entries",
    key: &["transfer_id", "side"],
    columns: &[
        Column::new("transfer_id", Kind::Id),
        // 0 where it is taken from, 1 where it goes: two transfers of one id meet here.
        Column::new("side", Kind::Int),
        Column::new("account_id", Kind::Id),
        Column::new("kind", text(16)),
        Column::new("amount", Kind::Int),
        Column::nullable("balance", Kind::Int),
        Column::nullable("order_id", Kind::Id),
        Column::new("at", Kind::Time),
    ],
    indexes: &[Index {
        name: "shop_entries_account",
        columns: &["account_id", "at"],
        unique: false,
    }],
};

/// Coupons; `issued` counts their pieces.
const COUPONS: Table = Table {
    name: "shop_coupons",
    key: &["coupon_id"],
    columns: &[
        Column::new("coupon_id", Kind::Id),
        Column::new("name", text(COUPON_NAME_CHARS_MAX)),
        Column::new("discount", Kind::Int),
        Column::new("quantity", Kind::Int),
        Column::new("issued", Kind::Int),
        Column::new("ends_at", Kind::Time),
        Column::new("created_at", Kind::Time),
    ],
    indexes: &[Index { name: "shop_coupons_ends", columns: &["ends_at"], unique: false }],
};

/// Readers' pieces: one of each coupon.
const PIECES: Table = Table {
    name: "shop_pieces",
    key: &["coupon_id", "reader_id"],
    columns: &[
        Column::new("coupon_id", Kind::Id),
        Column::new("reader_id", Kind::Id),
        Column::new("issued_at", Kind::Time),
        Column::nullable("order_id", Kind::Id),
    ],
    indexes: &[Index { name: "shop_pieces_reader", columns: &["reader_id"], unique: false }],
};

/// What happened to orders: rows are added, and never changed.
const EVENTS: Table = Table {
    name: "shop_order_events",
    key: &["order_id", "seq"],
    columns: &[
        Column::new("order_id", Kind::Id),
        // From 0: two writers of one order meet here.
        Column::new("seq", Kind::Int),
        Column::new("event", text(EVENT_CHARS_MAX)),
        Column::new("at", Kind::Time),
    ],
    indexes: &[],
};

/// The list of orders, made of their events.
const ORDERS: Table = Table {
    name: "shop_orders",
    key: &["order_id"],
    columns: &[
        Column::new("order_id", Kind::Id),
        Column::new("reader_id", Kind::Id),
        Column::new("state", text(16)),
        Column::nullable("title", text(TITLE_CHARS_MAX)),
        Column::new("products", Kind::Int),
        Column::new("copies", Kind::Int),
        Column::new("paid", Kind::Int),
        Column::new("placed_at", Kind::Time),
    ],
    indexes: &[Index {
        name: "shop_orders_reader",
        columns: &["reader_id", "placed_at", "order_id"],
        unique: false,
    }],
};

/// What was sold, made of the events of orders: a row for each product of an order.
const SALES: Table = Table {
    name: "shop_sales",
    key: &["order_id", "product_id"],
    columns: &[
        Column::new("order_id", Kind::Id),
        Column::new("product_id", Kind::Id),
        Column::new("title", text(TITLE_CHARS_MAX)),
        Column::new("day", text(10)),
        Column::new("copies", Kind::Int),
    ],
    indexes: &[Index {
        name: "shop_sales_day",
        columns: &["day", "product_id", "copies"],
        unique: false,
    }],
};
