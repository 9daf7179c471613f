//! Many at the same time.

use std::sync::Arc;

use endpaper_api::shop::Transfer;
use endpaper_shop::ShopError;
use endpaper_shop::model::Refusal;
use futures_util::future::join_all;

use crate::world::{World, coupon, in_all_forms, reader, text, wanted};

/// A hundred thousand requests for a thousand coupons, most of readers who ask again.
async fn a_thousand_coupons_are_a_thousand(world: World) {
    const REQUESTS: u128 = 100_000;
    const READERS: u128 = 5_000;
    const TASKS: u128 = 64;
    let world = Arc::new(world);
    world.offers(1, 1_000, 1_000).await;
    let tasks = (0..TASKS).map(|task| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut got = Vec::new();
            for number in (task..REQUESTS).step_by(TASKS as usize) {
                // Each reader asks twenty times, here and there.
                let who = number * 7_919 % READERS;
                match world.coupons.claim(reader(who), coupon(1)).await {
                    Ok(_) => got.push(who),
                    Err(ShopError::CouponSoldOut) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            got
        })
    });
    let mut got: Vec<u128> = Vec::new();
    for task in join_all(tasks).await {
        got.extend(task.unwrap());
    }
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), 1_000);
    let listed = world.coupons.coupons(reader(got[0])).await.unwrap();
    assert_eq!((listed[0].0.issued, listed[0].1.is_some()), (1_000, true));
    world.check_sums().await;
    Arc::into_inner(world).unwrap().close().await;
}

/// The last copies of a book, and more buyers than copies.
async fn no_copy_is_sold_twice(world: World) {
    let world = Arc::new(world);
    world.sells(1, 1_000, 20).await;
    for number in 1..=40 {
        world.charge(number, 1_000).await;
    }
    let buyers = (1..=40).map(|number| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.place(number, "k", &wanted(&[(1, 1)], None)).await })
    });
    let (mut made, mut refused) = (0, 0);
    for bought in join_all(buyers).await {
        match bought.unwrap() {
            Ok(_) => made += 1,
            Err(ShopError::Refused(Refusal::OutOfStock { on_hand: 0, .. })) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((made, refused, world.on_hand(1).await), (20, 20, 0));
    world.check_sums().await;
    Arc::into_inner(world).unwrap().close().await;
}

/// One request, sent many times at once: one order, and who comes while it is made is told to
/// come back.
async fn a_double_click_is_one_order(world: World) {
    let world = Arc::new(world);
    world.sells(1, 1_000, 20).await;
    world.charge(1, 10_000).await;
    let clicks = (0..16).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.orders.place(reader(1), Some("click"), &wanted(&[(1, 1)], None)).await
        })
    });
    let mut made = Vec::new();
    for click in join_all(clicks).await {
        match click.unwrap() {
            Ok(order) => made.push(order),
            Err(error) => assert_eq!(error, ShopError::InProgress),
        }
    }
    assert!(made.windows(2).all(|two| two[0] == two[1]) && !made.is_empty());
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (19, 9_000));
    world.check_sums().await;
    Arc::into_inner(world).unwrap().close().await;
}

/// Everybody gives to everybody, both ways at once.
async fn money_only_moves(world: World) {
    let world = Arc::new(world);
    for number in 0..6 {
        world.charge(number, 1_000).await;
    }
    let givers = (0..6_u128).flat_map(|from| (0..6_u128).map(move |to| (from, to)));
    let givers = givers.filter(|(from, to)| from != to).map(|(from, to)| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for amount in [300, 450, 700] {
                let to = text(format!("reader-{to}"));
                let transfer = Transfer { id: None, to, amount };
                match world.wallet.transfer(reader(from), &transfer).await {
                    Ok(_) | Err(ShopError::Refused(Refusal::BalanceTooLow { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for giver in join_all(givers).await {
        giver.unwrap();
    }
    let audit = world.shop.audit().await.unwrap();
    assert!(audit.is_well() && audit.in_wallets == 6_000, "{audit:?}");
    Arc::into_inner(world).unwrap().close().await;
}

in_all_forms! {
    a_thousand_coupons_are_a_thousand,
    no_copy_is_sold_twice,
    a_double_click_is_one_order,
    money_only_moves,
}
