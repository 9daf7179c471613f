//! What follows from what, without a store.

use endpaper_api::FieldProblem;
use endpaper_api::shop::{OrderNeed, OrderState, OrderStep, StepState};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use stdx::UnixMicros;
use stdx::ids::Id;
use uuid::Uuid;

use crate::model::{Order, OrderEvent, OrderId, ProductId, Refusal, Taken, Won};

/// What the events of an order make of it.
///
/// # Errors
/// Where they can't be those of one order: what is wrong with them.
pub fn replay(
    id: OrderId,
    events: impl IntoIterator<Item = (OrderEvent, UnixMicros)>,
) -> Result<Order, String> {
    append(id, None, events)
}

/// What further events make of an order.
///
/// # Errors
/// Where they can't come after what is there: what is wrong with them.
pub fn append(
    id: OrderId,
    mut order: Option<Order>,
    events: impl IntoIterator<Item = (OrderEvent, UnixMicros)>,
) -> Result<Order, String> {
    for (event, at) in events {
        order = Some(match (order, event) {
            (None, OrderEvent::Placed { reader, cart }) => Order {
                id,
                reader,
                cart,
                state: OrderState::Placed,
                lines: Vec::new(),
                discount: Won::ZERO,
                paid: Won::ZERO,
                why: None,
                history: vec![(OrderState::Placed, at)],
            },
            (Some(mut order), event) if may_follow(order.state, event.state()) => {
                order.state = event.state();
                order.history.push((order.state, at));
                match event {
                    OrderEvent::Completed { lines, discount, paid } => {
                        (order.lines, order.discount, order.paid) = (lines, discount, paid);
                    }
                    OrderEvent::Rejected { why } => order.why = Some(why),
                    OrderEvent::Placed { .. } | OrderEvent::Cancelled => {}
                }
                order
            }
            (order, event) => {
                let state = order.map_or("nothing", |order| order.state.name());
                return Err(format!("order {id}: {} comes after {state}", event.state().name()));
            }
        });
    }
    order.ok_or_else(|| format!("order {id} has no events"))
}

const fn may_follow(state: OrderState, next: OrderState) -> bool {
    matches!(
        (state, next),
        (OrderState::Placed, OrderState::Completed | OrderState::Rejected)
            | (OrderState::Completed, OrderState::Cancelled)
    )
}

/// What an order needs, and how far each is where the order is over: of one that is being made
/// or given back its parts know more.
#[must_use]
pub fn steps(order: &Order) -> Vec<OrderStep> {
    let refused = order.why.as_ref().and_then(|why| match why {
        Refusal::ProductNotFound { .. } | Refusal::OutOfStock { .. } => Some(OrderNeed::Stock),
        Refusal::CouponNotFound | Refusal::CouponUsed | Refusal::CouponExpired => {
            Some(OrderNeed::Coupon)
        }
        Refusal::TooMuch | Refusal::BalanceTooLow { .. } => Some(OrderNeed::Payment),
        Refusal::Failed => None,
    });
    let step = |need| OrderStep {
        need,
        state: match order.state {
            OrderState::Placed => StepState::Waiting,
            OrderState::Completed => StepState::Taken,
            OrderState::Rejected if refused == Some(need) => StepState::Refused,
            OrderState::Rejected | OrderState::Cancelled => StepState::GivenBack,
        },
    };
    let coupon = order.cart.coupon.map(|_| step(OrderNeed::Coupon));
    [step(OrderNeed::Stock)].into_iter().chain(coupon).chain([step(OrderNeed::Payment)]).collect()
}

/// What copies cost together; `None` where that is more than a wallet can hold.
#[must_use]
pub fn total(lines: &[Taken]) -> Option<Won> {
    lines.iter().try_fold(Won::ZERO, |sum, line| sum.plus(line.price.times(line.copies)?))
}

/// What counts as sold: one row for each product of a completed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// What was sold.
    pub product: ProductId,
    /// What that was called.
    pub title: String,
    /// How many copies.
    pub copies: i64,
}

/// What of an order counts as sold, and on which day of the shop.
#[must_use]
pub fn sales(order: &Order, zone: &TimeZone) -> Option<(Date, Vec<Sale>)> {
    if order.state != OrderState::Completed {
        return None;
    }
    let sale = |line: &Taken| Sale {
        product: line.product,
        title: line.title.clone(),
        copies: line.copies.get(),
    };
    let (_, at) = order.history.last().expect("an order was placed");
    Some((day(*at, zone), order.lines.iter().map(sale).collect()))
}

/// The day of an instant.
#[must_use]
pub fn day(at: UnixMicros, zone: &TimeZone) -> Date {
    let instant = endpaper_api::Instant::from_micros(at.0).timestamp();
    zone.to_datetime(instant).date()
}

/// An id that follows from others: the same ones always give the same one. (UUID version 8 of
/// RFC 9562, of SHA-256.)
#[must_use]
pub fn derived<I: Id>(of: Uuid, what: &str) -> I {
    let digest = Sha256::new().chain_update(of.as_bytes()).chain_update(what).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    I::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// An ISBN, as its 13 digits.
///
/// # Errors
/// Where its check digit does not hold (ISO 2108).
pub fn isbn(text: &str) -> Result<String, FieldProblem> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let is_isbn = digits.len() == 13
        && (digits.starts_with("978") || digits.starts_with("979"))
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits
            .bytes()
            .zip([1, 3].into_iter().cycle())
            .map(|(byte, weight)| u32::from(byte - b'0') * weight)
            .sum::<u32>()
            .is_multiple_of(10);
    if is_isbn { Ok(digits) } else { Err(FieldProblem::NotAnIsbn) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cart, Copies, ReaderId, Refusal, Wanted};

    fn placed() -> OrderEvent {
        let product = ProductId::from_uuid(Uuid::from_u128(1));
        let wanted = Wanted { product, copies: Copies::try_from(2).unwrap() };
        let cart = Cart::new(vec![wanted], None).unwrap();
        OrderEvent::Placed { reader: ReaderId::from_uuid(Uuid::from_u128(7)), cart }
    }

    fn completed() -> OrderEvent {
        let line = Taken {
            product: ProductId::from_uuid(Uuid::from_u128(1)),
            title: "무진기행".to_owned(),
            copies: Copies::try_from(2).unwrap(),
            price: Won::new(9_000).unwrap(),
        };
        let paid = Won::new(18_000).unwrap();
        OrderEvent::Completed { lines: vec![line], discount: Won::ZERO, paid }
    }

    #[test]
    fn only_events_that_can_follow_each_other_are_an_order() {
        let id = OrderId::from_uuid(Uuid::from_u128(9));
        let of = |events: Vec<OrderEvent>| {
            replay(id, events.into_iter().zip((0..).map(UnixMicros::from_secs)))
        };
        let rejected = OrderEvent::Rejected { why: Refusal::TooMuch };
        let order = of(vec![placed(), completed(), OrderEvent::Cancelled]).unwrap();
        assert_eq!(order.state, OrderState::Cancelled);
        assert_eq!((order.paid.get(), order.history.len()), (18_000, 3));
        for wrong in [
            vec![],
            vec![completed()],
            vec![placed(), placed()],
            vec![placed(), OrderEvent::Cancelled],
            vec![placed(), rejected.clone(), completed()],
            vec![placed(), completed(), rejected],
            vec![placed(), completed(), OrderEvent::Cancelled, OrderEvent::Cancelled],
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_given_back_is_not_sold() {
        let id = OrderId::from_uuid(Uuid::from_u128(9));
        // 2026-03-01T23:30:00+09:00: the first of March in Seoul, and in UTC too; and an hour
        // later the second in Seoul alone.
        let at = UnixMicros::from_secs(1_772_375_400);
        let late = UnixMicros::from_secs(1_772_375_400 + 3_600);
        let seoul =
            TimeZone::get("Asia/Seoul").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(9)));
        let sold = replay(id, [(placed(), at), (completed(), late)]).unwrap();
        let (day, sales) = super::sales(&sold, &seoul).unwrap();
        assert_eq!((day.to_string().as_str(), sales[0].copies), ("2026-03-02", 2));
        assert_eq!(super::sales(&sold, &TimeZone::UTC).unwrap().0.to_string(), "2026-03-01");
        let events = [(placed(), at), (completed(), at), (OrderEvent::Cancelled, at)];
        assert_eq!(super::sales(&replay(id, events).unwrap(), &seoul), None);
    }

    #[test]
    fn a_sum_that_no_wallet_can_hold_is_none() {
        let line = |copies, price| Taken {
            product: ProductId::from_uuid(Uuid::from_u128(1)),
            title: String::new(),
            copies: Copies::try_from(copies).unwrap(),
            price: Won::new(price).unwrap(),
        };
        assert_eq!(total(&[line(2, 9_000), line(1, 500)]), Won::new(18_500));
        assert_eq!(total(&[line(999, 1_000_000_000_000)]), None);
        let most = [line(1, 1_000_000_000_000), line(1, 1)];
        assert_eq!(total(&most), None);
    }

    #[test]
    fn isbns_are_checked() {
        assert_eq!(isbn("978-89-364-3412-0").as_deref(), Ok("9788936434120"));
        for wrong in ["9788936434121", "978893643412", "", "1238936434120", "978893643412०"] {
            assert_eq!(isbn(wrong), Err(FieldProblem::NotAnIsbn), "{wrong}");
        }
    }

    #[test]
    fn what_follows_from_the_same_is_the_same() {
        let of = Uuid::from_u128(3);
        assert_eq!(derived::<OrderId>(of, "a"), derived(of, "a"));
        assert_ne!(derived::<OrderId>(of, "a"), derived(of, "b"));
        assert_eq!(derived::<OrderId>(of, "a").uuid().get_version_num(), 8);
    }
}
