//! What is made of the events of orders.

use std::time::Duration;

use endpaper_api::shop::RankingSpan;
use endpaper_shop::model::OrderId;
use multi_master::{DbError, Tx, id, params};

use crate::world::{World, in_all_forms, product, reader, wanted};

async fn places(world: &World, span: RankingSpan) -> Vec<(u128, i64)> {
    let (_, _, places) = world.orders.ranking(span, None).await.unwrap();
    let number = |of| (1..=9).find(|number| product(*number) == of).unwrap();
    places.into_iter().map(|(product, _, copies)| (number(product), copies)).collect()
}

async fn what_is_sold_most_is_first_and_what_is_given_back_does_not_count(world: World) {
    for number in 1..=3 {
        world.sells(number, 100, 1_000).await;
    }
    world.charge(1, 1_000_000).await;
    let order = async |key: &str, lines: &[(u128, i64)]| {
        world.place(1, key, &wanted(lines, None)).await.unwrap().id
    };
    order("a", &[(1, 5), (2, 7)]).await;
    let given_back = order("b", &[(3, 50)]).await;
    order("c", &[(3, 1)]).await;
    world.orders.cancel(reader(1), given_back).await.unwrap();
    world.told().await;
    assert_eq!(places(&world, RankingSpan::Day).await, [(2, 7), (1, 5), (3, 1)]);
    world.clock.advance(Duration::from_hours(24));
    order("d", &[(3, 5)]).await;
    world.told().await;
    assert_eq!(places(&world, RankingSpan::Day).await, [(3, 5)]);
    assert_eq!(places(&world, RankingSpan::Week).await, [(2, 7), (3, 6), (1, 5)]);
    world.clock.advance(Duration::from_hours(24 * 6));
    assert_eq!(places(&world, RankingSpan::Week).await, [(3, 5)], "the first day is over");
    world.close().await;
}

/// Whatever became of the lists: they are made again of the events, and are the same.
async fn lists_that_are_lost_are_made_again(world: World) {
    for number in 1..=3 {
        world.sells(number, 100, 1_000).await;
    }
    world.charge(1, 1_000_000).await;
    let mut orders: Vec<OrderId> = Vec::new();
    for number in 0..130 {
        let lines = [(1 + number % 3, 1 + (number % 5) as i64)];
        let order = world.place(1, &format!("k{number}"), &wanted(&lines, None)).await.unwrap();
        if number % 4 == 0 {
            world.orders.cancel(reader(1), order.id).await.unwrap();
        }
        orders.push(order.id);
    }
    world.place(1, "no", &wanted(&[(1, 999)], None)).await.unwrap_err();
    world.told().await;
    let listed = world.orders.orders(reader(1), None, 100).await.unwrap();
    let ranked = places(&world, RankingSpan::Day).await;
    assert_eq!(world.orders.rebuild().await.unwrap().orders, 131);
    assert_eq!(
        world.orders.orders(reader(1), None, 100).await.unwrap(),
        listed,
        "it changes nothing"
    );

    // Some lines are gone, some are wrong, and one is of no order.
    let spoilt = orders.clone();
    let spoil = world.stores.orders.write(async move |tx: &mut Tx| {
        for (at, order) in spoilt.iter().enumerate() {
            let wrong = multi_master::fields! {"state" => "PLACED", "copies" => 9_999};
            match at % 3 {
                0 => drop(tx.delete("shop_orders", params![id(*order)]).await?),
                1 => drop(tx.update("shop_orders", params![id(*order)], wrong).await?),
                _ => {}
            }
            let sql = "select product_id from shop_sales where order_id = ?";
            for row in tx.query(sql, params![id(*order)]).await? {
                let key = params![id(*order), row.get::<uuid::Uuid>("product_id")?];
                if at % 2 == 0 {
                    tx.delete("shop_sales", key).await?;
                } else {
                    let more = multi_master::fields! {"copies" => 77, "day" => "2020-01-01"};
                    tx.update("shop_sales", key, more).await?;
                }
            }
        }
        let stray = multi_master::fields! {
            "order_id" => uuid::Uuid::from_u128(5), "reader_id" => id(reader(1)),
            "state" => "COMPLETED", "products" => 1, "copies" => 1, "paid" => 1, "placed_at" => 1,
        };
        tx.insert("shop_orders", stray).await?;
        Ok::<_, DbError>(())
    });
    spoil.await.into_result().unwrap();
    assert_ne!(places(&world, RankingSpan::Day).await, ranked);
    let rebuilt = world.orders.rebuild().await.unwrap();
    assert_eq!((rebuilt.orders, rebuilt.strays), (131, 1));
    assert_eq!(world.orders.orders(reader(1), None, 100).await.unwrap(), listed);
    assert_eq!(places(&world, RankingSpan::Day).await, ranked);
    world.close().await;
}

in_all_forms! {
    what_is_sold_most_is_first_and_what_is_given_back_does_not_count,
    lists_that_are_lost_are_made_again,
}
