//! The routes, under `/api/v1/shop`.

mod products;

mod ranking;

mod coupons;

mod orders;

mod wallet;

use axum::Router;
use endpaper_api::ErrorCode;
use endpaper_http::{Caller, Problem};
use stdx::ids::Id as _;
use utoipa::OpenApi as _;

use crate::model::{ReaderId, Refusal};
use crate::service::{Shop, ShopError};

/// The routes of what a process has of the shop. Those marked 🔒 need the extension
/// [`endpaper_http::Authenticator`] around them.
pub fn router(shop: &Shop) -> Router {
    let Shop { stock, wallet, coupons, orders, stage: _ } = shop.clone();
    let stock = stock.map(|stock| products::routes().with_state(stock));
    let wallet = wallet.map(|wallet| wallet::routes().with_state(wallet));
    let coupons = coupons.map(|coupons| coupons::routes().with_state(coupons));
    let orders = orders.map(|orders| orders::routes().merge(ranking::routes()).with_state(orders));
    [stock, wallet, coupons, orders].into_iter().flatten().fold(Router::new(), Router::merge)
}

/// The OpenAPI document of these routes. 🔒 refers to a security scheme `bearer`, which
/// whoever puts the documents together defines.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = products::Document::openapi();
    document.merge(ranking::Document::openapi());
    document.merge(wallet::Document::openapi());
    document.merge(coupons::Document::openapi());
    document.merge(orders::Document::openapi());
    document
}

fn reader(caller: &Caller) -> ReaderId {
    ReaderId::from_uuid(caller.user.uuid())
}

impl From<Refusal> for Problem {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::ProductNotFound { product } => {
                Self::new(ErrorCode::ProductNotFound).detail("productId", product)
            }
            Refusal::OutOfStock { product, on_hand } => Self::new(ErrorCode::OutOfStock)
                .detail("productId", product)
                .detail("onHand", on_hand),
            Refusal::TooMuch => {
                let (min, max) = (0, crate::model::BALANCE_MAX);
                Self::field("amount", endpaper_api::FieldProblem::OutOfRange { min, max })
            }
            Refusal::CouponNotFound => ErrorCode::CouponNotFound.into(),
            Refusal::CouponUsed => ErrorCode::CouponUsed.into(),
            Refusal::CouponExpired => ErrorCode::CouponExpired.into(),
            Refusal::BalanceTooLow { balance, needed } => Self::new(ErrorCode::BalanceTooLow)
                .detail("balance", balance)
                .detail("needed", needed),
            Refusal::Failed => ErrorCode::OrderFailed.into(),
        }
    }
}

impl From<ShopError> for Problem {
    fn from(error: ShopError) -> Self {
        let code = match error {
            ShopError::Invalid(fields) => return Self::fields(fields),
            ShopError::Refused(why) => return why.into(),
            ShopError::Db(error) => return error.into(),
            ShopError::Event(error) => return Self::internal(&error),
            ShopError::InDoubt(txid) => {
                return multi_master::WriteError::<Self>::InDoubt(txid).into();
            }
            ShopError::ReaderNotFound => ErrorCode::UserNotFound,
            ShopError::CouponNotFound => ErrorCode::CouponNotFound,
            ShopError::CouponSoldOut => ErrorCode::CouponSoldOut,
            ShopError::OrderNotFound => ErrorCode::OrderNotFound,
            ShopError::NotCancellable => ErrorCode::OrderNotCancellable,
            ShopError::InProgress => ErrorCode::OrderInProgress,
            ShopError::KeyReused => ErrorCode::IdempotencyKeyReused,
            ShopError::IdTaken => ErrorCode::IdTaken,
            ShopError::ReadersAway => ErrorCode::StoreUnavailable,
        };
        code.into()
    }
}
