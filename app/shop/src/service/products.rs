//! Products and their copies.

use endpaper_api::shop::{NewProduct, StockChange};
use endpaper_http::FieldError;
use multi_master::{Db, MultiMaster, Tx};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource};

use super::ShopError;
use super::base::Base;
use crate::model::{
    AUTHOR_CHARS_MAX, PRICE_MAX, Product, ProductId, RECEIPT_MAX, ReceiptId, Refusal,
    TITLE_CHARS_MAX, Won, in_range, text,
};
use crate::rules;
use crate::store::stock;

/// Products that are listed at once at most.
const LIST_MAX: u32 = 100;

/// Products and their copies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StockService(Base);

impl StockService {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations.
    #[must_use]
    pub const fn new(store: MultiMaster, clock: Clock, ids: IdSource) -> Self {
        Self(Base::new(store, clock, ids))
    }

    pub(super) const fn base(&self) -> &Base {
        &self.0
    }

    /// Products in the order of their titles, after one of them; at most 100.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn products(
        &self,
        after: Option<ProductId>,
        limit: u32,
    ) -> Result<Vec<Product>, ShopError> {
        let limit = limit.clamp(1, LIST_MAX);
        let listed = self.0.store.read(async move |db: &mut Db| {
            let after = match after {
                Some(after) => stock::get(db, after).await?,
                None => None,
            };
            stock::list(db, after.map(|product| (product.title, product.id)), limit).await
        });
        Ok(listed.await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Refusal::ProductNotFound`].
    pub async fn product(&self, of: ProductId) -> Result<Product, ShopError> {
        let found = self.0.store.read(async move |db: &mut Db| stock::get(db, of).await).await?;
        found.ok_or_else(|| Refusal::ProductNotFound { product: of }.into())
    }

    /// Sells a product from now on. Sent twice under one id it is one.
    ///
    /// # Errors
    /// [`ShopError::Invalid`]; [`ShopError::IdTaken`].
    pub async fn add_product(&self, request: &NewProduct) -> Result<Product, ShopError> {
        let (product, copies) = self.new_product(request)?;
        // The copies that are there come with the product: their receipt has its id.
        let receipt = ReceiptId::from_uuid(product.id.uuid());
        let now = self.0.now();
        self.0
            .write(async move |tx: &mut Tx| {
                if let Some(found) = stock::get(tx, product.id).await? {
                    if (Product { on_hand: 0, ..found.clone() }) != product {
                        return Err(ShopError::IdTaken);
                    }
                } else {
                    stock::insert(tx, &product, now).await?;
                }
                stock::receive(tx, receipt, product.id, copies, now).await
            })
            .await
    }

    fn new_product(&self, request: &NewProduct) -> Result<(Product, i64), ShopError> {
        let mut wrong = Vec::new();
        let mut field = |name: &'static str, problem| wrong.push(FieldError::new(name, problem));
        let id = self.0.id_of(request.id.as_ref()).map_err(|problem| field("id", problem)).ok();
        let title = text(&request.title, TITLE_CHARS_MAX);
        let title = title.map_err(|problem| field("title", problem)).unwrap_or_default();
        let author = request.author.as_ref().map(|author| text(author, AUTHOR_CHARS_MAX));
        let author = author.transpose().map_err(|problem| field("author", problem));
        let isbn = request.isbn.as_ref().map(|isbn| rules::isbn(isbn)).transpose();
        let isbn = isbn.map_err(|problem| field("isbn", problem)).unwrap_or_default();
        let price = in_range(request.price, 0, PRICE_MAX).map_err(|why| field("price", why));
        let copies = in_range(request.copies, 0, RECEIPT_MAX).map_err(|why| field("copies", why));
        match (id, author, price.ok().and_then(Won::new), copies) {
            (Some(id), Ok(author), Some(price), Ok(copies)) if wrong.is_empty() => {
                Ok((Product { id, title, author, isbn, price, on_hand: 0 }, copies))
            }
            _ => Err(ShopError::Invalid(wrong)),
        }
    }

    /// Copies came, or were taken out by hand. Sent twice under one id it is done once.
    ///
    /// # Errors
    /// [`ShopError::Invalid`]; [`Refusal::ProductNotFound`], [`Refusal::OutOfStock`];
    /// [`ShopError::IdTaken`].
    pub async fn change_stock(
        &self,
        of: ProductId,
        request: &StockChange,
    ) -> Result<Product, ShopError> {
        let receipt: ReceiptId =
            self.0.id_of(request.id.as_ref()).map_err(|problem| ShopError::field("id", problem))?;
        let copies = request.copies;
        let problem = in_range(copies, -RECEIPT_MAX, RECEIPT_MAX)
            .err()
            .or_else(|| (copies == 0).then_some(endpaper_api::FieldProblem::Required));
        if let Some(problem) = problem {
            return Err(ShopError::field("copies", problem));
        }
        let now = self.0.now();
        self.0
            .write(async move |tx: &mut Tx| stock::receive(tx, receipt, of, copies, now).await)
            .await
    }
}
