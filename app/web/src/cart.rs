//! What is about to be ordered, and is kept until the shop has answered.

use endpaper_api::Text;
use endpaper_api::shop::{OrderLine, PlaceOrder, Product};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Copies of one product that can be ordered at once.
pub const COPIES_MAX: i64 = 999;
/// Products that can be ordered at once.
pub const LINES_MAX: usize = 50;

/// What a reader has put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// What, as it was called and cost when it was put there.
    pub lines: Vec<Line>,
    /// The coupon that is to be used.
    pub coupon: Option<Uuid>,
    /// The order as which it was sent, for as long as there is no answer: it is sent again
    /// under the same id, and is one order.
    pub sent: Option<Uuid>,
}

/// Copies of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub product: Uuid,
    /// What it is called.
    pub title: String,
    /// What one copy costs, in won.
    pub price: i64,
    /// How many.
    pub copies: i64,
}

/// Why a cart was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// It was sent, and there is no answer yet.
    Sent,
    /// There is no room for another product, or copy.
    Full,
}

impl Cart {
    /// Puts a copy in.
    ///
    /// # Errors
    /// [`Unchanged`].
    pub fn add(&mut self, product: &Product) -> Result<(), Unchanged> {
        self.must_be_open()?;
        if let Some(line) = self.lines.iter_mut().find(|line| line.product == product.id) {
            if line.copies >= COPIES_MAX {
                return Err(Unchanged::Full);
            }
            line.copies += 1;
            (line.title, line.price) = (product.title.clone(), product.price);
            return Ok(());
        }
        if self.lines.len() >= LINES_MAX {
            return Err(Unchanged::Full);
        }
        let (title, price) = (product.title.clone(), product.price);
        self.lines.push(Line { product: product.id, title, price, copies: 1 });
        Ok(())
    }

    /// Changes how many copies there are of a product: brought to between 1 and 999.
    ///
    /// # Errors
    /// [`Unchanged::Sent`].
    pub fn set(&mut self, product: Uuid, copies: i64) -> Result<(), Unchanged> {
        self.must_be_open()?;
        if let Some(line) = self.lines.iter_mut().find(|line| line.product == product) {
            line.copies = copies.clamp(1, COPIES_MAX);
        }
        Ok(())
    }

    /// Takes a product out.
    ///
    /// # Errors
    /// [`Unchanged::Sent`].
    pub fn remove(&mut self, product: Uuid) -> Result<(), Unchanged> {
        self.must_be_open()?;
        self.lines.retain(|line| line.product != product);
        Ok(())
    }

    /// Chooses a coupon, or none.
    ///
    /// # Errors
    /// [`Unchanged::Sent`].
    pub fn choose(&mut self, coupon: Option<Uuid>) -> Result<(), Unchanged> {
        self.must_be_open()?;
        self.coupon = coupon;
        Ok(())
    }

    /// Forgets a coupon that is not among these, unless it was sent.
    pub fn use_only(&mut self, usable: &[Uuid]) {
        if self.sent.is_none() {
            self.coupon = self.coupon.filter(|coupon| usable.contains(coupon));
        }
    }

    const fn must_be_open(&self) -> Result<(), Unchanged> {
        if self.sent.is_some() { Err(Unchanged::Sent) } else { Ok(()) }
    }

    /// What it costs without a coupon, in won; `None` where that is more than can be.
    #[must_use]
    pub fn total(&self) -> Option<i64> {
        self.lines
            .iter()
            .try_fold(0_i64, |sum, line| sum.checked_add(line.price.checked_mul(line.copies)?))
    }

    /// How many copies are in it.
    #[must_use]
    pub fn copies(&self) -> i64 {
        self.lines.iter().map(|line| line.copies).sum()
    }

    /// The order that it is sent as from now on, under a new id where it was not sent before.
    /// Nothing of an empty one.
    pub fn send(&mut self, new: impl FnOnce() -> Uuid) -> Option<(Uuid, PlaceOrder)> {
        if self.lines.is_empty() {
            return None;
        }
        let id = *self.sent.get_or_insert_with(new);
        let text = |id: Uuid| Text::new(&id.to_string()).ok();
        let line =
            |line: &Line| Some(OrderLine { product_id: text(line.product)?, copies: line.copies });
        let lines = self.lines.iter().filter_map(line).collect();
        let coupon_id = self.coupon.and_then(text);
        Some((id, PlaceOrder { id: text(id), lines, coupon_id }))
    }

    /// The order is made, or being made: the cart is empty.
    pub fn made(&mut self, order: Uuid) {
        if self.sent == Some(order) {
            *self = Self::default();
        }
    }

    /// The order was refused: the cart can be changed, and will be another order.
    pub fn refused(&mut self, order: Uuid) {
        if self.sent == Some(order) {
            self.sent = None;
        }
    }
}

/// Money that is given to another reader, kept until there is an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gift {
    /// Under which id it is sent, however often.
    pub id: Uuid,
    /// To whom.
    pub to: String,
    /// How much, in won.
    pub amount: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(number: u128, price: i64) -> Product {
        let id = Uuid::from_u128(number);
        Product { id, title: format!("책 {number}"), author: None, isbn: None, price, on_hand: 9 }
    }

    #[test]
    fn what_is_sent_is_one_order_until_there_is_an_answer() {
        let mut cart = Cart::default();
        assert_eq!(cart.send(|| Uuid::from_u128(9)), None);
        cart.add(&product(1, 12_000)).unwrap();
        cart.add(&product(1, 12_000)).unwrap();
        cart.add(&product(2, 500)).unwrap();
        assert_eq!((cart.copies(), cart.total()), (3, Some(24_500)));
        let (id, first) = cart.send(|| Uuid::from_u128(9)).unwrap();
        let kept: Cart = serde_json::from_str(&serde_json::to_string(&cart).unwrap()).unwrap();
        cart = kept;
        assert_eq!(cart.send(|| Uuid::from_u128(10)), Some((id, first)));
        assert_eq!(cart.add(&product(3, 1)), Err(Unchanged::Sent));
        assert_eq!(cart.remove(Uuid::from_u128(1)), Err(Unchanged::Sent));
        assert_eq!(cart.set(Uuid::from_u128(1), 5), Err(Unchanged::Sent));
        assert_eq!(cart.choose(None), Err(Unchanged::Sent));
        cart.coupon = Some(Uuid::from_u128(5));
        cart.use_only(&[]);
        assert_eq!(cart.coupon, Some(Uuid::from_u128(5)), "it was sent with it");
        // The answer of another order changes nothing.
        cart.made(Uuid::from_u128(7));
        cart.refused(Uuid::from_u128(7));
        assert_eq!(cart.sent, Some(id));
        cart.refused(id);
        cart.use_only(&[]);
        assert_eq!((cart.copies(), cart.coupon), (3, None));
        cart.remove(Uuid::from_u128(1)).unwrap();
        let (other, _) = cart.send(|| Uuid::from_u128(11)).unwrap();
        assert_ne!(other, id);
        cart.made(other);
        assert_eq!(cart, Cart::default());
    }

    #[test]
    fn it_has_bounds() {
        let mut cart = Cart::default();
        for number in 0..50 {
            cart.add(&product(number, i64::MAX / 600)).unwrap();
        }
        assert_eq!(cart.add(&product(50, 1)), Err(Unchanged::Full));
        cart.set(Uuid::from_u128(0), 5_000).unwrap();
        assert_eq!(cart.add(&product(0, 1)), Err(Unchanged::Full));
        assert_eq!(cart.lines[0].copies, 999);
        assert_eq!(cart.total(), None);
        cart.set(Uuid::from_u128(0), -3).unwrap();
        assert_eq!(cart.lines[0].copies, 1);
    }
}
