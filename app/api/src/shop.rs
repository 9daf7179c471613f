//! Wire types of the shop: products, the wallet, coupons, orders, the ranking.
//!
//! Money is whole won. Requests take numbers of 64 bits and ids as text, so that a value
//! that can't be is answered by an error that names its field.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Day, Instant, Text};

/// A book that is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// Its ISBN, 13 digits.
    pub isbn: Option<String>,
    /// What one copy costs, in won.
    pub price: i64,
    /// Copies that can be ordered.
    pub on_hand: i64,
}

/// Some of the products.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Products {
    /// In the order of their titles.
    pub products: Vec<Product>,
    /// Ask with it for those after these; nothing where these are the last.
    pub next: Option<String>,
}

/// A product that is to be sold from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProduct {
    /// A UUIDv7, where the client makes it. The same product sent twice under one id is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// 1 to 200 characters.
    pub title: Text,
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Text>,
    /// 13 digits whose check digit holds; `-` and spaces may stand between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isbn: Option<Text>,
    /// 0 to 10,000,000 won.
    pub price: i64,
    /// 0 to 1,000,000 copies that are there already.
    #[serde(default)]
    pub copies: i64,
}

/// Copies that came, or that were taken out by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StockChange {
    /// A UUIDv7, where the client makes it. The same change sent twice under one id is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// How many came; less than 0 where they went. Not 0, and at most 1,000,000 either way.
    pub copies: i64,
}

/// A reader's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Wallet {
    /// What is there, in won.
    pub balance: i64,
    /// What came and went, the latest first, at most 100.
    pub entries: Vec<WalletEntry>,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum EntryKind {
    /// It was paid in.
    Charge,
    /// It was given by one reader to another.
    Transfer,
    /// An order was paid.
    Payment,
    /// An order was cancelled.
    Refund,
}

/// Money that came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct WalletEntry {
    /// The id of the transfer: the other side has an entry of the same one.
    pub transfer_id: Uuid,
    /// Why.
    pub kind: EntryKind,
    /// In won; less than 0 where it went.
    pub amount: i64,
    /// What was there after it.
    pub balance: i64,
    /// Of which order.
    pub order_id: Option<Uuid>,
    /// When.
    pub at: Instant,
}

/// Money that a reader paid in, as an administrator books it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Charge {
    /// A UUIDv7, where the client makes it. The same charge sent twice under one id is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// Whose wallet.
    pub login_id: Text,
    /// 1 to 100,000,000 won.
    pub amount: i64,
}

/// Money for another reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transfer {
    /// A UUIDv7, where the client makes it. The same transfer sent twice under one id is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// For whom.
    pub to: Text,
    /// 1 to 100,000,000 won.
    pub amount: i64,
}

/// A coupon that readers can have, first come, first served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Coupon {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it takes off an order, in won.
    pub discount: i64,
    /// How many there are in all.
    pub quantity: i64,
    /// How many are left.
    pub left: i64,
    /// Until when it can be had and used.
    pub ends: Instant,
    /// Whether the reader has it.
    pub mine: bool,
    /// The order that the reader used it for.
    pub used_for: Option<Uuid>,
}

/// A coupon that readers can have from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCoupon {
    /// A UUIDv7, where the client makes it. The same coupon sent twice under one id is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// 1 to 100 characters.
    pub name: Text,
    /// 1 to 10,000,000 won.
    pub discount: i64,
    /// 1 to 1,000,000.
    pub quantity: i64,
    /// Until when it can be had and used.
    pub ends: Instant,
}

/// An order that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceOrder {
    /// The order's id, a UUIDv7, where the client makes it. Sent twice under one id it is one
    /// order, and gets the answer of the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// 1 to 50 different products.
    pub lines: Vec<OrderLine>,
    /// A coupon that the reader has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_id: Option<Text>,
}

/// How many of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderLine {
    /// The product.
    pub product_id: Text,
    /// 1 to 999.
    pub copies: i64,
}

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderState {
    /// It is being made.
    Placed,
    /// Paid, with everything that it needs.
    Completed,
    /// It could not be made; nothing was taken for it.
    Rejected,
    /// It was made, and undone: the money is back.
    Cancelled,
}

impl OrderState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Placed, Self::Completed, Self::Rejected, Self::Cancelled];

    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Completed => "COMPLETED",
            Self::Rejected => "REJECTED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// How it stands.
    pub state: OrderState,
    /// What was ordered.
    pub lines: Vec<OrderedLine>,
    /// What the copies cost together, in won.
    pub total: i64,
    /// What the coupon took off.
    pub discount: i64,
    /// What was paid.
    pub paid: i64,
    /// The coupon that was used.
    pub coupon_id: Option<Uuid>,
    /// When it was placed.
    pub placed_at: Instant,
    /// What happened to it, the first first.
    pub history: Vec<OrderChange>,
    /// What it needs, and how far each is. Where everything is taken at once, they change
    /// together.
    pub steps: Vec<OrderStep>,
}

/// How far something is that an order needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderStep {
    /// What is needed.
    pub need: OrderNeed,
    /// How far it is.
    pub state: StepState,
}

/// What an order needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderNeed {
    /// Copies.
    Stock,
    /// A coupon, where one is used.
    Coupon,
    /// Money.
    Payment,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepState {
    /// It was not asked for yet, or there was no answer yet.
    Waiting,
    /// It is taken.
    Taken,
    /// It can't be had: the order is rejected for it.
    Refused,
    /// It was given back, or never taken.
    GivenBack,
}

/// Copies that were ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderedLine {
    /// Of which product.
    pub product_id: Uuid,
    /// As it was called then; nothing where the order did not come so far.
    pub title: Option<String>,
    /// How many.
    pub copies: i64,
    /// What one cost then, in won.
    pub price: Option<i64>,
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderChange {
    /// How it stands from then on.
    pub state: OrderState,
    /// When.
    pub at: Instant,
}

/// A reader's orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// The latest first.
    pub orders: Vec<OrderSummary>,
    /// Ask with it for those before these; nothing where these are the first.
    pub next: Option<String>,
}

/// An order, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderSummary {
    /// Its id.
    pub id: Uuid,
    /// How it stands.
    pub state: OrderState,
    /// What was ordered first; nothing where the order did not come so far.
    pub title: Option<String>,
    /// Of how many products.
    pub products: i64,
    /// How many copies of all together.
    pub copies: i64,
    /// What was paid, in won.
    pub paid: i64,
    /// When it was placed.
    pub placed_at: Instant,
}

/// Which days a ranking is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum RankingSpan {
    /// One day.
    #[default]
    Day,
    /// The seven days that end with one.
    Week,
}

/// What was sold most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ranking {
    /// The first of its days.
    pub from: Day,
    /// The last.
    pub to: Day,
    /// The most copies first, at most 20.
    pub places: Vec<RankingPlace>,
}

/// A place in a ranking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RankingPlace {
    /// Of which product.
    pub product_id: Uuid,
    /// Its title.
    pub title: String,
    /// How many copies were sold and not given back.
    pub copies: i64,
}
