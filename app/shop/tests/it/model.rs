//! Whatever readers and administrators do, one after the other, the shop does what a model of
//! it does that has no store.

use std::collections::BTreeMap;

use endpaper_api::shop::{Charge, OrderState, RankingSpan, StockChange, Transfer};
use endpaper_shop::ShopError;
use endpaper_shop::model::{OrderId, Refusal};
use proptest::prelude::*;

use crate::world::{How, World, coupon, product, reader, text, wanted};

const READERS: u128 = 3;
const PRODUCTS: u128 = 3;
const COUPONS: u128 = 2;

#[derive(Clone, Debug)]
enum Act {
    Place { who: u128, key: u8, lines: BTreeMap<u128, i64>, coupon: Option<u128> },
    Cancel { who: u128, key: u8 },
    Transfer { from: u128, to: u128, amount: i64, id: u8 },
    Charge { who: u128, amount: i64, id: u8 },
    Claim { who: u128, coupon: u128 },
    Receive { product: u128, copies: i64, id: u8 },
    Rebuild,
}

fn act() -> impl Strategy<Value = Act> {
    let lines = prop::collection::btree_map(0..PRODUCTS, 1..5_i64, 1..=3);
    let copies = (-4..9_i64).prop_filter("not 0", |copies| *copies != 0);
    prop_oneof![
        6 => (0..READERS, 0..5_u8, lines, prop::option::of(0..COUPONS))
            .prop_map(|(who, key, lines, coupon)| Act::Place { who, key, lines, coupon }),
        2 => (0..READERS, 0..5_u8).prop_map(|(who, key)| Act::Cancel { who, key }),
        2 => (0..READERS, 0..READERS, 1..9_000_i64, 0..5_u8)
            .prop_map(|(from, to, amount, id)| Act::Transfer { from, to, amount, id }),
        2 => (0..READERS, 1..30_000_i64, 0..9_u8)
            .prop_map(|(who, amount, id)| Act::Charge { who, amount, id }),
        2 => (0..READERS, 0..COUPONS).prop_map(|(who, coupon)| Act::Claim { who, coupon }),
        1 => (0..PRODUCTS, copies, 0..9_u8)
            .prop_map(|(product, copies, id)| Act::Receive { product, copies, id }),
        1 => Just(Act::Rebuild),
    ]
}

/// What an order was asked for with, and what came of it.
struct Made {
    id: Option<OrderId>,
    lines: BTreeMap<u128, i64>,
    coupon: Option<u128>,
    answer: Result<i64, Refusal>,
    cancelled: bool,
}

/// A shop without a store.
#[derive(Default)]
struct Model {
    on_hand: BTreeMap<u128, i64>,
    wallets: BTreeMap<u128, i64>,
    left: BTreeMap<u128, i64>,
    /// Which order of a reader used it, by its key.
    pieces: BTreeMap<(u128, u128), Option<u8>>,
    orders: BTreeMap<(u128, u8), Made>,
    transfers: BTreeMap<u8, (Option<u128>, u128, i64)>,
    receipts: BTreeMap<(u8, u128), i64>,
}

fn price(product: u128) -> i64 {
    1_000 * (1 + i64::try_from(product).unwrap())
}

const DISCOUNT: i64 = 2_500;

impl Model {
    fn make(
        &mut self,
        who: u128,
        key: u8,
        lines: &BTreeMap<u128, i64>,
        of: Option<u128>,
    ) -> Result<i64, Refusal> {
        for (number, copies) in lines {
            let on_hand = self.on_hand[number];
            if on_hand < *copies {
                return Err(Refusal::OutOfStock { product: product(*number), on_hand });
            }
        }
        let total: i64 = lines.iter().map(|(number, copies)| price(*number) * copies).sum();
        let discount = match of.map(|of| self.pieces.get(&(who, of))) {
            None => 0,
            Some(None) => return Err(Refusal::CouponNotFound),
            Some(Some(Some(_))) => return Err(Refusal::CouponUsed),
            Some(Some(None)) => DISCOUNT.min(total),
        };
        let paid = total - discount;
        let balance = self.wallets.get(&who).copied().unwrap_or_default();
        if balance < paid {
            let won = |won| endpaper_shop::model::Won::new(won).unwrap();
            return Err(Refusal::BalanceTooLow { balance: won(balance), needed: won(paid) });
        }
        for (number, copies) in lines {
            *self.on_hand.get_mut(number).unwrap() -= copies;
        }
        if let Some(of) = of {
            self.pieces.insert((who, of), Some(key));
        }
        *self.wallets.entry(who).or_default() -= paid;
        Ok(paid)
    }
}

async fn run(how: How, acts: Vec<Act>) {
    let world = World::new(how).await;
    let mut model = Model::default();
    for number in 0..PRODUCTS {
        world.sells(number, price(number), 10).await;
        model.on_hand.insert(number, 10);
    }
    for number in 0..COUPONS {
        world.offers(number, DISCOUNT, 2).await;
        model.left.insert(number, 2);
    }
    for act in acts {
        one(&world, &mut model, act.clone()).await;
        world.check_sums().await;
        for (number, on_hand) in &model.on_hand {
            assert_eq!(world.on_hand(*number).await, *on_hand, "{act:?}");
        }
        for number in 0..READERS {
            let balance = model.wallets.get(&number).copied().unwrap_or_default();
            assert_eq!(world.balance(number).await, balance, "{act:?}");
        }
    }
    world.told().await;
    let mut sold: BTreeMap<_, i64> = BTreeMap::new();
    for made in model.orders.values().filter(|made| made.answer.is_ok() && !made.cancelled) {
        for (number, copies) in &made.lines {
            *sold.entry(product(*number)).or_default() += copies;
        }
    }
    let (_, _, ranking) = world.orders.ranking(RankingSpan::Day, None).await.unwrap();
    let ranking: BTreeMap<_, i64> =
        ranking.into_iter().map(|(product, _, copies)| (product, copies)).collect();
    assert_eq!(ranking, sold);
    world.close().await;
}

async fn one(world: &World, model: &mut Model, act: Act) {
    match act {
        Act::Place { who, key, lines, coupon } => {
            let list: Vec<(u128, i64)> = lines.clone().into_iter().collect();
            let got = world.place(who, &format!("k{key}"), &wanted(&list, coupon)).await;
            if let Some(made) = model.orders.get(&(who, key)) {
                if made.lines != lines || made.coupon != coupon {
                    assert_eq!(got, Err(ShopError::KeyReused));
                    return;
                }
                match &made.answer {
                    Ok(_) => assert_eq!(Some(got.unwrap().id), made.id),
                    Err(why) => assert_eq!(got, Err(why.clone().into())),
                }
                return;
            }
            let answer = model.make(who, key, &lines, coupon);
            match (&got, &answer) {
                (Ok(order), Ok(paid)) => assert_eq!(order.paid.get(), *paid),
                (Err(ShopError::Refused(why)), Err(expected)) => assert_eq!(why, expected),
                other => panic!("{other:?}"),
            }
            let id = got.ok().map(|order| order.id);
            let made = Made { id, lines, coupon, answer, cancelled: false };
            model.orders.insert((who, key), made);
        }
        Act::Cancel { who, key } => {
            let Some(made) = model.orders.get_mut(&(who, key)) else { return };
            let (Some(id), Ok(paid)) = (made.id, &made.answer) else { return };
            let cancelled = world.orders.cancel(reader(who), id).await.unwrap();
            assert_eq!(cancelled.state, OrderState::Cancelled);
            if std::mem::replace(&mut made.cancelled, true) {
                return;
            }
            for (number, copies) in &made.lines {
                *model.on_hand.get_mut(number).unwrap() += copies;
            }
            *model.wallets.entry(who).or_default() += paid;
            if let Some(of) = made.coupon {
                model.pieces.insert((who, of), None);
            }
        }
        Act::Transfer { from, to, amount, id } => {
            let transfer = Transfer {
                id: Some(text(uuid::Uuid::from_u128(0x4000 + u128::from(id)))),
                to: text(format!("reader-{to}")),
                amount,
            };
            let got = world.wallet.transfer(reader(from), &transfer).await;
            if from == to {
                assert!(matches!(got, Err(ShopError::Invalid(_))));
                return;
            }
            moved(model, &got, id, (Some(from), to, amount));
        }
        Act::Charge { who, amount, id } => {
            let charge = Charge {
                id: Some(text(uuid::Uuid::from_u128(0x4000 + u128::from(id)))),
                login_id: text(format!("reader-{who}")),
                amount,
            };
            let got = world.wallet.charge(&charge).await;
            moved(model, &got, id, (None, who, amount));
        }
        Act::Claim { who, coupon: of } => {
            let got = world.coupons.claim(reader(who), coupon(of)).await;
            if model.pieces.contains_key(&(who, of)) {
                assert!(got.is_ok());
            } else if model.left[&of] == 0 {
                assert_eq!(got, Err(ShopError::CouponSoldOut));
            } else {
                assert!(got.is_ok());
                *model.left.get_mut(&of).unwrap() -= 1;
                model.pieces.insert((who, of), None);
            }
        }
        Act::Receive { product: number, copies, id } => {
            let change = StockChange {
                id: Some(text(uuid::Uuid::from_u128(0x5000 + u128::from(id)))),
                copies,
            };
            let got = world.stock.change_stock(product(number), &change).await;
            let on_hand = model.on_hand.get_mut(&number).unwrap();
            match model.receipts.get(&(id, number)) {
                Some(before) if *before == copies => assert_eq!(got.unwrap().on_hand, *on_hand),
                Some(_) => assert_eq!(got, Err(ShopError::IdTaken)),
                None if *on_hand + copies < 0 => {
                    assert!(matches!(got, Err(ShopError::Refused(Refusal::OutOfStock { .. }))));
                }
                None => {
                    *on_hand += copies;
                    model.receipts.insert((id, number), copies);
                    assert_eq!(got.unwrap().on_hand, *on_hand);
                }
            }
        }
        Act::Rebuild => {
            world.orders.rebuild().await.unwrap();
        }
    }
}

/// A transfer of an id: the first time it moves money, and then never again.
fn moved(
    model: &mut Model,
    got: &Result<endpaper_shop::model::Won, ShopError>,
    id: u8,
    transfer: (Option<u128>, u128, i64),
) {
    let (from, to, amount) = transfer;
    match model.transfers.get(&id) {
        Some(before) if *before == transfer => assert!(got.is_ok()),
        Some(_) => assert_eq!(*got, Err(ShopError::IdTaken)),
        None => {
            let has = from.map(|from| model.wallets.get(&from).copied().unwrap_or_default());
            if has.is_some_and(|has| has < amount) {
                let low = matches!(got, Err(ShopError::Refused(Refusal::BalanceTooLow { .. })));
                assert!(low, "{got:?}");
                return;
            }
            assert!(got.is_ok(), "{got:?}");
            if let Some(from) = from {
                *model.wallets.entry(from).or_default() -= amount;
            }
            *model.wallets.entry(to).or_default() += amount;
            model.transfers.insert(id, transfer);
        }
    }
}

fn block_on(run: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(run);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_shop_does_what_its_model_does_at_once(acts in prop::collection::vec(act(), 1..40)) {
        block_on(run(How::AtOnce, acts));
    }

    #[test]
    fn the_shop_does_what_its_model_does_as_saga(acts in prop::collection::vec(act(), 1..40)) {
        block_on(run(How::AsSaga, acts));
    }

    #[test]
    fn the_shop_does_what_its_model_does_by_events(acts in prop::collection::vec(act(), 1..40)) {
        block_on(run(How::ByEvents, acts));
    }
}
