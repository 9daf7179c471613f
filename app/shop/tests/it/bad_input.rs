//! What can't be: a clear answer, and nothing half-done.

use serde_json::{Value, json};

use crate::world::{World, coupon, in_all_forms, product, reader, wanted};

async fn what_can_not_be_is_named_by_its_field(world: World) {
    world.sells(1, 12_000, 10).await;
    world.charge(1, 100_000).await;
    let line = |copies: Value| json!({"lines": [{"productId": product(1), "copies": copies}]});
    let lines: Vec<Value> =
        (0..10_000).map(|_| json!({"productId": product(1), "copies": 1})).collect();
    let huge = world.ask(1, "POST", "/orders", Some(json!({"lines": lines}))).await;
    assert_eq!(huge.code(), "BODY_TOO_LARGE");
    let id = product(1);
    let product_of = |price: i64| json!({"title": "x", "price": price});
    let coupon_of = |quantity: i64, ends: &str| json!({"name": "x", "discount": 1, "quantity": quantity, "ends": ends});
    let (late, early) = ("2027-01-01T00:00:00Z", "2020-01-01T00:00:00Z");
    for (of, path, body, field) in [
        (1, "/orders", line(json!(0)), "lines[0].copies"),
        (1, "/orders", line(json!(-1)), "lines[0].copies"),
        (1, "/orders", line(json!(1_000)), "lines[0].copies"),
        (1, "/orders", line(json!(i64::MAX)), "lines[0].copies"),
        (1, "/orders", line(json!(1.5)), "lines[0].copies"),
        (1, "/orders", json!({"lines": []}), "lines"),
        (1, "/orders", json!({"lines": lines[..51]}), "lines"),
        (1, "/orders", json!({"lines": [lines[0], lines[0]]}), "lines"),
        (1, "/orders", json!({"lines": [{"productId": "x", "copies": 1}]}), "lines[0].productId"),
        (1, "/orders", json!({"lines": [lines[0]], "couponId": "x"}), "couponId"),
        (1, "/orders", json!({"lines": [lines[0]], "id": "x"}), "id"),
        (1, "/orders", json!({"lines": [lines[0]], "paid": 1}), "paid"),
        (1, "/wallet/transfers", json!({"to": "reader-2", "amount": 0}), "amount"),
        (1, "/wallet/transfers", json!({"to": "reader-2", "amount": -5}), "amount"),
        (1, "/wallet/transfers", json!({"to": "reader-2", "amount": i64::MAX}), "amount"),
        (1, "/wallet/transfers", json!({"to": "reader-1", "amount": 5}), "to"),
        (0, "/charges", json!({"loginId": "reader-1", "amount": -5}), "amount"),
        (0, "/charges", json!({"loginId": "reader-1", "amount": i64::MIN}), "amount"),
        (0, "/products", product_of(-1), "price"),
        (0, "/products", product_of(i64::MAX), "price"),
        (0, "/products", json!({"title": "  ", "price": 1}), "title"),
        (0, "/products", json!({"title": "x", "price": 1, "isbn": "9788954682153"}), "isbn"),
        (0, "/coupons", coupon_of(0, late), "quantity"),
        (0, "/coupons", coupon_of(1, early), "ends"),
    ] {
        let got = world.ask(of, "POST", path, Some(body.clone())).await;
        assert_eq!(got.status, 400, "{path} {body}: {got:?}");
        assert_eq!(got.body["error"]["fields"][0]["field"], field, "{path}: {got:?}");
    }
    let stock = format!("/products/{id}/stock");
    for copies in [0, i64::MAX, i64::MIN] {
        let got = world.ask(0, "POST", &stock, Some(json!({"copies": copies}))).await;
        assert_eq!(got.body["error"]["fields"][0]["field"], "copies", "{got:?}");
    }
    let gone = world.ask(0, "POST", &stock, Some(json!({"copies": -11}))).await;
    assert_eq!(gone.code(), "OUT_OF_STOCK");
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (10, 100_000));
    assert!(world.orders.orders(reader(1), None, 10).await.unwrap().is_empty());
    world.check_sums().await;
    world.close().await;
}

async fn nobody_does_what_is_for_others(world: World) {
    world.sells(1, 12_000, 10).await;
    world.charge(1, 100_000).await;
    world.offers(1, 500, 1).await;
    for (path, body) in [
        ("/products", json!({"title": "x", "price": 1})),
        ("/charges", json!({"loginId": "reader-1", "amount": 5})),
        (
            "/coupons",
            json!({"name": "x", "discount": 1, "quantity": 1, "ends": "2027-01-01T00:00:00Z"}),
        ),
    ] {
        assert_eq!(world.ask(1, "POST", path, Some(body)).await.code(), "FORBIDDEN", "{path}");
    }
    let stock = format!("/products/{}/stock", product(1));
    let got = world.ask(1, "POST", &stock, Some(json!({"copies": 5}))).await;
    assert_eq!(got.code(), "FORBIDDEN");
    let nobody = json!({"to": "reader-5000", "amount": 5});
    assert_eq!(
        world.ask(1, "POST", "/wallet/transfers", Some(nobody)).await.code(),
        "USER_NOT_FOUND"
    );
    // Another reader's coupon.
    world.coupons.claim(reader(2), coupon(1)).await.unwrap();
    let order = serde_json::to_value(wanted(&[(1, 1)], Some(1))).unwrap();
    assert_eq!(world.ask(1, "POST", "/orders", Some(order)).await.code(), "COUPON_NOT_FOUND");
    let claim = format!("/coupons/{}/claim", coupon(1));
    assert_eq!(world.ask(1, "POST", &claim, None).await.code(), "COUPON_SOLD_OUT");
    let claim = format!("/coupons/{}/claim", coupon(9));
    assert_eq!(world.ask(1, "POST", &claim, None).await.code(), "COUPON_NOT_FOUND");
    world.check_sums().await;
    world.close().await;
}

/// What one wallet, one product and one sum can hold is looked at before it is written.
async fn nothing_overflows(world: World) {
    let dear: Vec<(u128, i64)> = (1..=50).map(|number| (number, 999)).collect();
    for (number, _) in &dear {
        world.sells(*number, 10_000_000, 1_000_000).await;
    }
    // 50 lines of 999 copies for ten million each are less than a wallet can hold.
    let order = serde_json::to_value(wanted(&dear, None)).unwrap();
    let got = world.ask(1, "POST", "/orders", Some(order)).await;
    assert_eq!(got.code(), "BALANCE_TOO_LOW");
    assert_eq!(got.body["error"]["details"]["needed"], 499_500_000_000_i64);
    let stock = format!("/products/{}/stock", product(1));
    for _ in 0..999 {
        world.ask(0, "POST", &stock, Some(json!({"copies": 1_000_000}))).await.data();
    }
    let more = world.ask(0, "POST", &stock, Some(json!({"copies": 1}))).await;
    assert_eq!(more.code(), "OUT_OF_STOCK", "{more:?}");
    world.check_sums().await;
    world.close().await;
}

in_all_forms! {
    what_can_not_be_is_named_by_its_field,
    nobody_does_what_is_for_others,
    nothing_overflows,
}
