//! What the shop is about: money, products, coupons, orders, and their bounds.
//!
//! A value that can't be doesn't get into these types: [`Won`] is never below zero, and sums of
//! it are looked at before they are made; [`Copies`] are 1 to 999; a [`Cart`] has 1 to 50 lines,
//! each of another product.

use std::fmt;

use endpaper_api::FieldProblem;
use endpaper_api::shop::{EntryKind, OrderState};
use endpaper_http::FieldError;
use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

stdx::id_type! {
    /// Identifies a reader: the user of the platform, as far as the shop cares.
    pub struct ReaderId;
}

stdx::id_type! {
    /// Identifies a product.
    pub struct ProductId;
}

stdx::id_type! {
    /// Identifies a change of what is on hand that is no order.
    pub struct ReceiptId;
}

stdx::id_type! {
    /// Identifies a transfer of money.
    pub struct TransferId;
}

stdx::id_type! {
    /// Identifies a coupon: all pieces of it.
    pub struct CouponId;
}

stdx::id_type! {
    /// Identifies an order.
    pub struct OrderId;
}

/// The most characters of a title.
pub const TITLE_CHARS_MAX: u32 = 200;
/// The most characters of the authors.
pub const AUTHOR_CHARS_MAX: u32 = 200;
/// The most characters of a coupon's name.
pub const COUPON_NAME_CHARS_MAX: u32 = 100;
/// What one copy costs at most, and what a coupon takes off.
pub const PRICE_MAX: i64 = 10_000_000;
/// Copies that come or go at once at most.
pub const RECEIPT_MAX: i64 = 1_000_000;
/// Copies of one product that can be on hand.
pub const ON_HAND_MAX: i64 = 1_000_000_000;
/// What is charged or given at once at most.
pub const TRANSFER_MAX: i64 = 100_000_000;
/// What a wallet can hold.
pub const BALANCE_MAX: i64 = 1_000_000_000_000;
/// Pieces of one coupon at most.
pub const COUPON_QUANTITY_MAX: i64 = 1_000_000;
/// Lines of one order at most.
pub const LINES_MAX: usize = 50;
/// Copies of one line at most.
pub const COPIES_MAX: i64 = 999;

/// Money, in whole won: 0 to a million million.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Won(i64);

impl Won {
    /// None.
    pub const ZERO: Self = Self(0);

    /// So many; `None` below zero and above what a wallet can hold.
    #[must_use]
    pub const fn new(won: i64) -> Option<Self> {
        if won >= 0 && won <= BALANCE_MAX { Some(Self(won)) } else { None }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Both together; `None` where that is more than a wallet can hold.
    #[must_use]
    pub const fn plus(self, other: Self) -> Option<Self> {
        // Two numbers below 2^40.
        Self::new(self.0 + other.0)
    }

    /// What is left; `None` where it is less than nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Option<Self> {
        Self::new(self.0 - other.0)
    }

    /// So many times; `None` where that is more than a wallet can hold.
    #[must_use]
    pub const fn times(self, copies: Copies) -> Option<Self> {
        match self.0.checked_mul(copies.0) {
            Some(won) => Self::new(won),
            None => None,
        }
    }
}

impl fmt::Display for Won {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many of one product: 1 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Copies(i64);

/// A number is not 1 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("copies are 1 to {COPIES_MAX}")]
pub struct NotCopies;

impl Copies {
    /// So many, where that can be.
    ///
    /// # Errors
    /// [`FieldProblem::OutOfRange`].
    pub fn new(copies: i64) -> Result<Self, FieldProblem> {
        in_range(copies, 1, COPIES_MAX).map(Self)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Copies {
    type Error = NotCopies;
    fn try_from(copies: i64) -> Result<Self, NotCopies> {
        Self::new(copies).map_err(|_| NotCopies)
    }
}

impl From<Copies> for i64 {
    fn from(copies: Copies) -> Self {
        copies.0
    }
}

/// A number that is not outside its range.
pub(crate) fn in_range(number: i64, min: i64, max: i64) -> Result<i64, FieldProblem> {
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(FieldProblem::OutOfRange { min, max })
    }
}

/// A text of some characters that are not all blank.
pub(crate) fn text(text: &str, max: u32) -> Result<String, FieldProblem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FieldProblem::Required);
    }
    if text.chars().count() > max as usize {
        return Err(FieldProblem::TooLong { max });
    }
    Ok(text.to_owned())
}

/// One line of an order that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The product.
    pub product: ProductId,
    /// How many.
    pub copies: Copies,
}

/// What an order is made of: 1 to 50 products, in the order of their ids, each once, so that
/// two carts of the same things are the same cart, and two orders take rows in one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    lines: Vec<Wanted>,
    /// A coupon that the reader has.
    pub coupon: Option<CouponId>,
}

impl Cart {
    /// A cart, if it can be.
    ///
    /// # Errors
    /// Where it has no line, too many, or a product twice.
    pub fn new(mut lines: Vec<Wanted>, coupon: Option<CouponId>) -> Result<Self, FieldError> {
        if lines.is_empty() {
            return Err(FieldError::new("lines", FieldProblem::Required));
        }
        if lines.len() > LINES_MAX {
            let max = u32::try_from(LINES_MAX).expect("50");
            return Err(FieldError::new("lines", FieldProblem::TooMany { max }));
        }
        lines.sort_unstable_by_key(|line| line.product);
        if lines.windows(2).any(|two| two[0].product == two[1].product) {
            return Err(FieldError::new("lines", FieldProblem::Repeated));
        }
        Ok(Self { lines, coupon })
    }

    /// What is wanted, by product.
    #[must_use]
    pub fn lines(&self) -> &[Wanted] {
        &self.lines
    }
}

/// A product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its title.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// 13 digits.
    pub isbn: Option<String>,
    /// Of one copy.
    pub price: Won,
    /// Copies that can be ordered.
    pub on_hand: i64,
}

/// Copies that were taken for an order, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Of which product.
    pub product: ProductId,
    /// What that was called.
    pub title: String,
    /// How many.
    pub copies: Copies,
    /// What one cost.
    pub price: Won,
}

/// A coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// Its id.
    pub id: CouponId,
    /// What it is called.
    pub name: String,
    /// What it takes off an order.
    pub discount: Won,
    /// How many there are in all.
    pub quantity: i64,
    /// How many were given out.
    pub issued: i64,
    /// Until when it can be had and used.
    pub ends: UnixMicros,
}

/// A reader's piece of a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The order that it was used for.
    pub used_for: Option<OrderId>,
}

/// Money that came to a wallet, or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of which transfer: the other side has the other half.
    pub transfer: TransferId,
    /// Why.
    pub kind: EntryKind,
    /// Less than 0 where it went.
    pub amount: i64,
    /// What was there after it.
    pub balance: i64,
    /// Of which order.
    pub order: Option<OrderId>,
    /// When.
    pub at: UnixMicros,
}

/// Why an order can't be made: nobody's fault, and nothing is taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Refusal {
    /// There is no such product.
    #[error("there is no product {product}")]
    ProductNotFound {
        /// Which.
        product: ProductId,
    },
    /// Fewer copies are there.
    #[error("of product {product} there are {on_hand} copies")]
    OutOfStock {
        /// Of what.
        product: ProductId,
        /// How many there are.
        on_hand: i64,
    },
    /// It costs more than a wallet can hold.
    #[error("it costs more than a wallet can hold")]
    TooMuch,
    /// The reader does not have this coupon.
    #[error("the reader does not have this coupon")]
    CouponNotFound,
    /// It was used for another order.
    #[error("the coupon was used for another order")]
    CouponUsed,
    /// It can be used no more.
    #[error("the coupon has expired")]
    CouponExpired,
    /// The wallet has less.
    #[error("the wallet has {balance} won, and {needed} are needed")]
    BalanceTooLow {
        /// What it has.
        balance: Won,
        /// What is needed.
        needed: Won,
    },
    /// Somebody who has a part of what is needed could not be asked, again and again.
    #[error("what the order needs could not be asked for")]
    Failed,
}

/// Something that happened to an order. What was written once is read for ever: a field that
/// comes later has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderEvent {
    /// A reader wants it.
    Placed {
        /// Who.
        reader: ReaderId,
        /// What.
        cart: Cart,
    },
    /// Everything was taken, and paid.
    Completed {
        /// What was taken.
        lines: Vec<Taken>,
        /// What the coupon took off.
        discount: Won,
        /// What was paid.
        paid: Won,
    },
    /// It could not be made.
    Rejected {
        /// Why.
        why: Refusal,
    },
    /// It was undone, and the money given back.
    Cancelled,
}

impl OrderEvent {
    /// How the order stands from then on.
    #[must_use]
    pub const fn state(&self) -> OrderState {
        match self {
            Self::Placed { .. } => OrderState::Placed,
            Self::Completed { .. } => OrderState::Completed,
            Self::Rejected { .. } => OrderState::Rejected,
            Self::Cancelled => OrderState::Cancelled,
        }
    }
}

/// An order, as its events make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Whose.
    pub reader: ReaderId,
    /// What was wanted.
    pub cart: Cart,
    /// How it stands.
    pub state: OrderState,
    /// What was taken for it, also where that was given back; empty before.
    pub lines: Vec<Taken>,
    /// What the coupon took off.
    pub discount: Won,
    /// What was paid.
    pub paid: Won,
    /// Why it could not be made.
    pub why: Option<Refusal>,
    /// How it stood from when on; never empty.
    pub history: Vec<(OrderState, UnixMicros)>,
}

impl Order {
    /// When it was placed.
    #[must_use]
    pub fn placed_at(&self) -> UnixMicros {
        self.history[0].1
    }
}
