//! `--demo`: some books, money, and a coupon.

use endpaper_api::shop::{EntryKind, NewCoupon, NewProduct};
use endpaper_api::{Instant, Text};
use stdx::ids::Id as _;
use uuid::Uuid;

use super::{CouponService, ShopError, StockService, WalletService};
use crate::model::Won;
use crate::rules;
use crate::store::wallet::{self, Account};

const BOOKS: [(&str, &str, &str, i64); 4] = [
    ("채식주의자", "한강", "9788936434595", 15_000),
    ("무진기행", "김승옥", "9788954682152", 12_000),
    ("Pachinko", "Min Jin Lee", "9781455563920", 18_000),
    ("데미안", "헤르만 헤세", "9788937460449", 9_000),
];
const MONEY: i64 = 100_000;

impl StockService {
    /// Adds what is missing of the demo's books.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_demo(&self) -> Result<(), ShopError> {
        for (number, (title, author, isbn, price)) in (1..).zip(BOOKS) {
            self.add_product(&NewProduct {
                id: Some(text(&demo_id(number).to_string())),
                title: text(title),
                author: Some(text(author)),
                isbn: Some(text(isbn)),
                price,
                copies: 100,
            })
            .await?;
        }
        Ok(())
    }
}

impl CouponService {
    /// Adds the demo's coupon, where it is missing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn add_demo(&self) -> Result<(), ShopError> {
        // Until 2036: the same each time, so that it is the same coupon.
        let coupon = NewCoupon {
            id: Some(text(&demo_id(0).to_string())),
            name: text("첫 주문 · First order"),
            discount: 3_000,
            quantity: 1_000,
            ends: Instant::from_micros(2_082_758_400_000_000),
        };
        self.add_coupon(&coupon).await.map(drop)
    }
}

impl WalletService {
    /// Gives the demo's reader some money, once.
    ///
    /// # Errors
    /// [`ShopError::ReaderNotFound`] where there is no such reader (yet),
    /// [`ShopError::ReadersAway`]; those of the store.
    pub async fn add_demo(&self, login_id: &str) -> Result<(), ShopError> {
        let reader = self.find(login_id).await?;
        let amount = Won::new(MONEY).unwrap_or_default();
        let (id, kind) = (rules::derived(reader.uuid(), "demo"), EntryKind::Charge);
        let to = Account::Reader(reader);
        let charge = wallet::Transfer { id, kind, from: Account::PaidIn, to, amount, order: None };
        self.move_money(charge).await
    }
}

fn text(text: &str) -> Text {
    Text::new(text).expect("no control characters")
}

fn demo_id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_0000 + number)
}
