//! What an order needs of others: copies of the stock, a coupon, money; and giving them back.
//!
//! An [`Ask`] does the same whoever is asked, and however: in the transaction of the order
//! ([`run`]), or under the key of a saga's step, once, by a [`Part`] with a store of its own.

use std::pin::Pin;

use endpaper_api::shop::EntryKind;
use multi_master::{MultiMaster, Tx};
use saga::ledger::Ledger;
use saga::{Fence, StepError, StepKey};
use serde::{Deserialize, Serialize};
use stdx::ids::Id as _;
use stdx::{Clock, UnixMicros};

use crate::apart::Role;
use crate::model::{CouponId, OrderId, ReaderId, Refusal, Taken, Wanted, Won};
use crate::rules;
use crate::service::ShopError;
use crate::store::wallet::{self, Account};
use crate::store::{coupons, stock};

/// What is asked for, for one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ask {
    /// Take copies: all of them, or none.
    Take {
        /// For which order.
        order: OrderId,
        /// What.
        lines: Vec<Wanted>,
    },
    /// Give back what was taken.
    GiveBack {
        /// For which order.
        order: OrderId,
        /// What.
        lines: Vec<Taken>,
    },
    /// Use a reader's coupon.
    Redeem {
        /// For which order.
        order: OrderId,
        /// Whose.
        reader: ReaderId,
        /// Which.
        coupon: CouponId,
    },
    /// Let the reader use it again.
    Return {
        /// For which order it was used.
        order: OrderId,
        /// Whose.
        reader: ReaderId,
        /// Which.
        coupon: CouponId,
    },
    /// Take money.
    Pay {
        /// For which order.
        order: OrderId,
        /// Whose.
        reader: ReaderId,
        /// How much.
        amount: Won,
    },
    /// Give it back.
    Refund {
        /// Of which order.
        order: OrderId,
        /// To whom.
        reader: ReaderId,
        /// How much.
        amount: Won,
    },
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Gave {
    /// Copies, as they are called and cost now.
    Taken(Vec<Taken>),
    /// What a coupon takes off.
    Off(Won),
    /// It is done.
    Done,
}

impl Ask {
    /// Who has what it is about.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Take { .. } | Self::GiveBack { .. } => Role::Stock,
            Self::Redeem { .. } | Self::Return { .. } => Role::Coupon,
            Self::Pay { .. } | Self::Refund { .. } => Role::Wallet,
        }
    }

    /// What undoes it, once it has given that.
    #[must_use]
    pub fn inverse(self, gave: Gave) -> Option<Self> {
        match (self, gave) {
            (Self::Take { order, .. }, Gave::Taken(lines)) => Some(Self::GiveBack { order, lines }),
            (Self::Redeem { order, reader, coupon }, _) => {
                Some(Self::Return { order, reader, coupon })
            }
            (Self::Pay { order, reader, amount }, _) => {
                Some(Self::Refund { order, reader, amount })
            }
            // What gives something back is not undone.
            _ => None,
        }
    }
}

/// Does what is asked for, as a part of a write.
///
/// # Errors
/// [`ShopError::Refused`] where it can't be; those of the store.
pub async fn run(tx: &mut Tx, ask: &Ask, now: UnixMicros) -> Result<Gave, ShopError> {
    match ask {
        Ask::Take { order, lines } => {
            return Ok(Gave::Taken(stock::take(tx, *order, lines, now).await?));
        }
        Ask::Redeem { order, reader, coupon } => {
            return Ok(Gave::Off(coupons::redeem(tx, *order, *coupon, *reader, now).await?));
        }
        Ask::GiveBack { order, lines } => stock::give_back(tx, *order, lines).await?,
        Ask::Return { order, reader, coupon } => {
            coupons::give_back(tx, *order, *coupon, *reader).await?;
        }
        Ask::Pay { order, reader, amount } => {
            let of = Moved { order: *order, amount: *amount, kind: EntryKind::Payment };
            of.between(tx, Account::Reader(*reader), Account::Sales, "payment", now).await?;
        }
        Ask::Refund { order, reader, amount } => {
            let of = Moved { order: *order, amount: *amount, kind: EntryKind::Refund };
            of.between(tx, Account::Sales, Account::Reader(*reader), "refund", now).await?;
        }
    }
    Ok(Gave::Done)
}

/// Money of an order.
struct Moved {
    order: OrderId,
    amount: Won,
    kind: EntryKind,
}

impl Moved {
    async fn between(
        self,
        tx: &mut Tx,
        from: Account,
        to: Account,
        what: &str,
        now: UnixMicros,
    ) -> Result<(), ShopError> {
        if self.amount == Won::ZERO {
            return Ok(());
        }
        let transfer = wallet::Transfer {
            id: rules::derived(self.order.uuid(), what),
            kind: self.kind,
            from,
            to,
            amount: self.amount,
            order: Some(self.order),
        };
        wallet::transfer(tx, &transfer, now).await
    }
}

/// What a [`Part`] answers, some time.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send + 'a>>;

/// Who has a part of what orders need, and does what a saga asks for once, however often it
/// asks.
pub trait Part: Send + Sync + 'static {
    /// Does it, under the key of the step.
    fn run<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, Gave>;

    /// Undoes it, also where it never came.
    fn undo<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, ()>;
}

/// A part that is in this process.
#[derive(Clone, Debug)]
pub struct Here {
    ledger: Ledger,
    clock: Clock,
}

impl Here {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations.
    #[must_use]
    pub const fn new(store: MultiMaster, clock: Clock) -> Self {
        Self { ledger: Ledger::new(store), clock }
    }
}

impl Part for Here {
    fn run<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, Gave> {
        let now = self.clock.now();
        Box::pin(self.ledger.forward(key, fence, async move |tx: &mut Tx| {
            run(tx, &ask, now).await.map_err(step_error)
        }))
    }

    fn undo<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, ()> {
        let now = self.clock.now();
        Box::pin(self.ledger.undo(key, fence, async move |tx: &mut Tx, gave: Gave| {
            match ask.clone().inverse(gave) {
                Some(inverse) => run(tx, &inverse, now).await.map(drop).map_err(step_error),
                None => Ok(()),
            }
        }))
    }
}

/// How a step of a saga says what the shop says.
pub(crate) fn step_error(error: ShopError) -> StepError {
    match error {
        ShopError::Refused(why) => {
            // For people, and then for programs.
            let json = serde_json::to_string(&why).expect("a refusal is JSON");
            StepError::refused("REFUSED", format!("{why} {json}"))
        }
        ShopError::Db(error) => StepError::Db(error),
        other => StepError::Failed(other.to_string()),
    }
}

/// What a saga was turned back by: what was refused, or [`Refusal::Failed`] where somebody
/// could not be asked.
pub(crate) fn refusal(cause: Option<&saga::machine::Cause>) -> Refusal {
    let refused = cause.filter(|cause| cause.code.as_deref() == Some("REFUSED"));
    let json = refused.and_then(|cause| cause.message.find('{').map(|at| &cause.message[at..]));
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or(Refusal::Failed)
}
