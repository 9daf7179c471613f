//! Coupons, first come, first served.

use endpaper_api::FieldProblem;
use endpaper_api::shop::NewCoupon;
use endpaper_http::FieldError;
use multi_master::{Db, MultiMaster, Tx};
use stdx::{Clock, IdSource, UnixMicros};

use super::ShopError;
use super::base::Base;
use crate::model::{
    COUPON_NAME_CHARS_MAX, COUPON_QUANTITY_MAX, Coupon, CouponId, PRICE_MAX, Piece, ReaderId, Won,
    in_range, text,
};
use crate::store::coupons;

/// Coupons that are listed at most.
const LIST_MAX: u32 = 100;

/// Coupons. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CouponService(Base);

impl CouponService {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations.
    #[must_use]
    pub const fn new(store: MultiMaster, clock: Clock, ids: IdSource) -> Self {
        Self(Base::new(store, clock, ids))
    }

    pub(super) const fn base(&self) -> &Base {
        &self.0
    }

    /// Coupons that can be had or used, those first that end first, with the reader's pieces.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn coupons(
        &self,
        reader: ReaderId,
    ) -> Result<Vec<(Coupon, Option<Piece>)>, ShopError> {
        let now = self.0.now();
        let listed = self
            .0
            .store
            .read(async move |db: &mut Db| coupons::list(db, reader, now, LIST_MAX).await);
        Ok(listed.await?)
    }

    /// Offers a coupon from now on. Sent twice under one id it is one.
    ///
    /// # Errors
    /// [`ShopError::Invalid`]; [`ShopError::IdTaken`].
    pub async fn add_coupon(&self, request: &NewCoupon) -> Result<Coupon, ShopError> {
        let mut wrong = Vec::new();
        let mut field = |name: &'static str, problem| wrong.push(FieldError::new(name, problem));
        let id = self.0.id_of(request.id.as_ref()).map_err(|problem| field("id", problem));
        let name = text(&request.name, COUPON_NAME_CHARS_MAX);
        let name = name.map_err(|problem| field("name", problem));
        let discount = in_range(request.discount, 1, PRICE_MAX);
        let discount = discount.map_err(|problem| field("discount", problem));
        let quantity = in_range(request.quantity, 1, COUPON_QUANTITY_MAX);
        let quantity = quantity.map_err(|problem| field("quantity", problem));
        let (ends, now) = (UnixMicros(request.ends.as_micros()), self.0.now());
        if ends <= now {
            field("ends", FieldProblem::InThePast);
        }
        let (Ok(id), Ok(name), Some(discount), Ok(quantity), true) =
            (id, name, discount.ok().and_then(Won::new), quantity, wrong.is_empty())
        else {
            return Err(ShopError::Invalid(wrong));
        };
        let coupon = Coupon { id, name, discount, quantity, issued: 0, ends };
        self.0
            .write(async move |tx: &mut Tx| {
                if let Some(found) = coupons::get(tx, coupon.id).await? {
                    let is_same = Coupon { issued: 0, ..found.clone() } == coupon;
                    return if is_same { Ok(found) } else { Err(ShopError::IdTaken) };
                }
                coupons::insert(tx, &coupon, now).await?;
                Ok(coupon.clone())
            })
            .await
    }

    /// Gives a reader a piece of a coupon, as long as there are some; who has one keeps it.
    ///
    /// # Errors
    /// [`ShopError::CouponNotFound`], [`ShopError::CouponSoldOut`],
    /// [`crate::model::Refusal::CouponExpired`].
    pub async fn claim(
        &self,
        reader: ReaderId,
        of: CouponId,
    ) -> Result<(Coupon, Piece), ShopError> {
        let now = self.0.now();
        // Nearly all who come late are told so by a read, which waits for nobody.
        let seen = self.0.store.read(async move |db: &mut Db| {
            let coupon = coupons::get(db, of).await?;
            Ok::<_, ShopError>((coupon, coupons::piece_of(db, of, reader).await?))
        });
        match seen.await? {
            (None, _) => return Err(ShopError::CouponNotFound),
            (Some(coupon), Some(piece)) => return Ok((coupon, piece)),
            (Some(coupon), None) => coupons::may_be_had(&coupon, now)?,
        }
        self.0.write(async move |tx: &mut Tx| coupons::issue(tx, of, reader, now).await).await
    }
}
