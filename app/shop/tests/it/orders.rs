//! Orders, one after the other.

use endpaper_api::shop::{EntryKind, NewProduct, OrderState, PlaceOrder, Transfer};
use endpaper_shop::ShopError;
use endpaper_shop::model::{OrderId, Refusal, TransferId, Won};
use endpaper_shop::rules;
use serde_json::{Value, json};
use stdx::ids::Id as _;

use crate::world::{World, coupon, in_all_forms, product, reader, text, wanted};

async fn an_order_takes_everything_and_gives_everything_back(world: World) {
    world.sells(1, 12_000, 10).await;
    world.sells(2, 5_000, 3).await;
    world.offers(1, 3_000, 1).await;
    world.charge(1, 50_000).await;
    world.coupons.claim(reader(1), coupon(1)).await.unwrap();

    let request = wanted(&[(2, 1), (1, 2)], Some(1));
    let order = world.place(1, "first", &request).await.unwrap();
    assert_eq!((order.state, order.paid.get()), (OrderState::Completed, 26_000));
    assert_eq!(order.discount.get(), 3_000);
    assert_eq!((world.on_hand(1).await, world.on_hand(2).await), (8, 2));
    assert_eq!(world.balance(1).await, 24_000);
    let used =
        |coupons: &[(_, Option<endpaper_shop::model::Piece>)]| coupons[0].1.unwrap().used_for;
    assert_eq!(used(&world.coupons.coupons(reader(1)).await.unwrap()), Some(order.id));
    world.check_sums().await;

    let cancelled = world.orders.cancel(reader(1), order.id).await.unwrap();
    assert_eq!(cancelled.state, OrderState::Cancelled);
    assert_eq!((world.on_hand(1).await, world.on_hand(2).await), (10, 3));
    assert_eq!(world.balance(1).await, 50_000);
    assert_eq!(used(&world.coupons.coupons(reader(1)).await.unwrap()), None);
    assert_eq!(world.orders.cancel(reader(1), order.id).await.unwrap(), cancelled, "once");
    assert_eq!(world.balance(1).await, 50_000);
    world.check_sums().await;
    let (_, entries) = world.wallet.wallet(reader(1)).await.unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds.len(), 3);
    for kind in [EntryKind::Charge, EntryKind::Payment, EntryKind::Refund] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    world.close().await;
}

async fn an_order_says_how_far_what_it_needs_is(world: World) {
    world.sells(1, 12_000, 10).await;
    world.offers(1, 3_000, 1).await;
    world.charge(1, 20_000).await;
    world.coupons.claim(reader(1), coupon(1)).await.unwrap();
    let steps = async |id: &str| {
        let got = world.ask(1, "GET", &format!("/orders/{id}"), None).await;
        let steps = got.data()["steps"].as_array().unwrap().clone();
        let told = |step: &Value| {
            format!("{} {}", step["need"].as_str().unwrap(), step["state"].as_str().unwrap())
        };
        steps.iter().map(told).collect::<Vec<_>>()
    };
    let with_coupon = wanted(&[(1, 1)], Some(1));
    let order = world.place(1, "a", &with_coupon).await.unwrap().id.to_string();
    assert_eq!(steps(&order).await, ["STOCK TAKEN", "COUPON TAKEN", "PAYMENT TAKEN"]);
    world.orders.cancel(reader(1), order.parse().unwrap()).await.unwrap();
    let back = ["STOCK GIVEN_BACK", "COUPON GIVEN_BACK", "PAYMENT GIVEN_BACK"];
    assert_eq!(steps(&order).await, back);
    world.place(1, "b", &wanted(&[(1, 2)], None)).await.unwrap_err();
    let listed = world.orders.orders(reader(1), None, 10).await.unwrap();
    let rejected = listed.iter().find(|order| order.state == OrderState::Rejected).unwrap();
    assert_eq!(steps(&rejected.id.to_string()).await, ["STOCK GIVEN_BACK", "PAYMENT REFUSED"]);
    world.close().await;
}

/// The id of an order's payment follows from the order's: nobody can take it before.
async fn the_id_of_a_payment_can_not_be_taken_before(world: World) {
    world.sells(1, 12_000, 10).await;
    world.charge(1, 50_000).await;
    let id: OrderId = "0190163d-8694-739b-aea5-966c26f8ad90".parse().unwrap();
    for what in ["payment", "refund"] {
        let derived: TransferId = rules::derived(id.uuid(), what);
        let gift = Transfer { id: Some(text(derived)), to: text("reader-2"), amount: 1 };
        let given = world.wallet.transfer(reader(1), &gift).await;
        assert!(matches!(given, Err(ShopError::Invalid(_))), "{given:?}");
    }
    let order = PlaceOrder { id: Some(text(id)), ..wanted(&[(1, 1)], None) };
    world.place(1, "a", &order).await.unwrap();
    world.orders.cancel(reader(1), id).await.unwrap();
    world.check_sums().await;
    world.close().await;
}

/// Of as many products as there may be, of titles as long as they may be.
async fn the_largest_order_is_made(world: World) {
    let longest: String = "책".repeat(200);
    for number in 1..=50 {
        let new = NewProduct {
            id: Some(text(product(number))),
            title: text(&longest),
            author: None,
            isbn: None,
            price: 1_000,
            copies: 999,
        };
        world.stock.add_product(&new).await.unwrap();
    }
    world.charge(1, 100_000_000).await;
    let lines: Vec<_> = (1..=50).map(|number| (number, 999)).collect();
    let order = world.place(1, "a", &wanted(&lines, None)).await.unwrap();
    assert_eq!((order.state, order.lines.len()), (OrderState::Completed, 50));
    let cancelled = world.orders.cancel(reader(1), order.id).await.unwrap();
    assert_eq!(cancelled.state, OrderState::Cancelled);
    assert_eq!((world.on_hand(50).await, world.balance(1).await), (999, 100_000_000));
    world.close().await;
}

async fn the_same_again_gets_the_answer_of_the_first_time(world: World) {
    world.sells(1, 12_000, 10).await;
    world.charge(1, 20_000).await;
    let request = wanted(&[(1, 1)], None);
    let first = world.place(1, "a", &request).await.unwrap();
    assert_eq!(world.place(1, "a", &request).await.unwrap(), first);
    assert_eq!(world.place(1, "a", &wanted(&[(1, 2)], None)).await, Err(ShopError::KeyReused));
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (9, 8_000), "once");

    // Also where that was no, whatever came meanwhile.
    let needed = Won::new(12_000).unwrap();
    let refused = Err(ShopError::Refused(Refusal::BalanceTooLow {
        balance: Won::new(8_000).unwrap(),
        needed,
    }));
    assert_eq!(world.place(1, "b", &request).await, refused);
    world.charge(1, 50_000).await;
    assert_eq!(world.place(1, "b", &request).await, refused);
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (9, 58_000));
    assert!(world.place(1, "c", &request).await.is_ok());
    let listed = world.orders.orders(reader(1), None, 10).await.unwrap();
    let mut states: Vec<_> = listed.iter().map(|order| order.state.name()).collect();
    states.sort_unstable();
    assert_eq!(states, ["COMPLETED", "COMPLETED", "REJECTED"]);

    // Of another reader it is another order; and an id of theirs is theirs.
    world.charge(2, 20_000).await;
    let other = world.place(2, "a", &request).await.unwrap();
    assert_ne!(other.id, first.id);
    world.charge(1, 20_000).await;
    let mut named = request.clone();
    named.id = Some(text("0190163d-8694-739b-aea5-966c26f8ad90"));
    world.place(1, "x", &named).await.unwrap();
    assert_eq!(world.place(2, "x", &named).await, Err(ShopError::IdTaken));
    assert_eq!(world.orders.order(reader(2), first.id).await, Err(ShopError::OrderNotFound));
    assert_eq!(world.orders.cancel(reader(2), first.id).await, Err(ShopError::OrderNotFound));
    world.check_sums().await;
    world.close().await;
}

async fn what_can_not_be_made_takes_nothing(world: World) {
    world.sells(1, 12_000, 1).await;
    world.sells(2, 1_000, 100).await;
    world.offers(1, 500, 10).await;
    world.offers(2, 500, 10).await;
    world.charge(1, 5_000).await;
    world.coupons.claim(reader(1), coupon(1)).await.unwrap();
    let refused = async |key: &str, request| match world.place(1, key, &request).await {
        Err(ShopError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    let on_hand = |number, on_hand| Refusal::OutOfStock { product: product(number), on_hand };
    assert_eq!(refused("a", wanted(&[(2, 1), (1, 2)], None)).await, on_hand(1, 1));
    let unknown = Refusal::ProductNotFound { product: product(9) };
    assert_eq!(refused("b", wanted(&[(2, 1), (9, 1)], None)).await, unknown);
    assert_eq!(refused("c", wanted(&[(2, 1)], Some(2))).await, Refusal::CouponNotFound);
    assert_eq!(refused("d", wanted(&[(2, 1)], Some(9))).await, Refusal::CouponNotFound);
    let too_low = refused("e", wanted(&[(1, 1)], Some(1))).await;
    assert!(matches!(too_low, Refusal::BalanceTooLow { .. }), "{too_low:?}");
    assert!(world.place(1, "f", &wanted(&[(2, 1)], Some(1))).await.is_ok());
    assert_eq!(refused("g", wanted(&[(2, 1)], Some(1))).await, Refusal::CouponUsed);
    world.coupons.claim(reader(1), coupon(2)).await.unwrap();
    world.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(refused("h", wanted(&[(2, 1)], Some(2))).await, Refusal::CouponExpired);
    assert_eq!((world.on_hand(1).await, world.on_hand(2).await), (1, 99));
    assert_eq!(world.balance(1).await, 4_500);
    world.check_sums().await;
    world.close().await;
}

/// A coupon that is worth more than the order makes it cost nothing, and is not paid out.
async fn a_coupon_is_worth_no_more_than_the_order(world: World) {
    world.sells(1, 1_000, 5).await;
    world.offers(1, 3_000, 10).await;
    world.coupons.claim(reader(1), coupon(1)).await.unwrap();
    let order = world.place(1, "a", &wanted(&[(1, 1)], Some(1))).await.unwrap();
    assert_eq!((order.discount.get(), order.paid.get()), (1_000, 0));
    world.orders.cancel(reader(1), order.id).await.unwrap();
    assert_eq!(world.balance(1).await, 0);
    world.check_sums().await;
    world.close().await;
}

/// The largest order there can be, of the longest titles.
async fn the_largest_order_is_made_and_cancelled(world: World) {
    let all: Vec<(u128, i64)> = (1..=50).map(|number| (number, 1)).collect();
    for (number, _) in &all {
        let new = NewProduct {
            id: Some(text(product(*number))),
            title: text("\"책".repeat(100)),
            author: None,
            isbn: None,
            price: 10,
            copies: 1,
        };
        world.stock.add_product(&new).await.unwrap();
    }
    world.charge(1, 500).await;
    let order = world.place(1, "a", &wanted(&all, None)).await.unwrap();
    assert_eq!((order.state, order.paid.get()), (OrderState::Completed, 500));
    world.orders.cancel(reader(1), order.id).await.unwrap();
    assert_eq!((world.balance(1).await, world.on_hand(50).await), (500, 1));
    world.check_sums().await;
    world.close().await;
}

async fn orders_are_listed_page_by_page(world: World) {
    world.sells(1, 100, 100).await;
    world.charge(1, 10_000).await;
    let mut made = Vec::new();
    for number in 0..7 {
        // Two and two at the same time.
        if number % 2 == 0 {
            world.clock.advance(std::time::Duration::from_secs(1));
        }
        made.push(
            world.place(1, &format!("k{number}"), &wanted(&[(1, 1)], None)).await.unwrap().id,
        );
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let got = world.ask(1, "GET", &format!("/orders?limit=3{next}"), None).await;
        let orders = got.data()["orders"].as_array().unwrap().clone();
        seen.extend(orders.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
        match got.data()["next"].as_str() {
            Some(more) => next = format!("&before={more}"),
            None => break,
        }
    }
    let mut all: Vec<String> = made.iter().map(ToString::to_string).collect();
    assert_eq!(seen.len(), 7);
    assert_eq!(seen[0], all[6]);
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all);
    world.close().await;
}

/// What is forgotten is how an order went, and not what it is.
async fn what_is_forgotten_changes_no_answer(world: World) {
    world.sells(1, 1_000, 10).await;
    world.charge(1, 10_000).await;
    let request = wanted(&[(1, 1)], None);
    let kept = world.place(1, "kept", &request).await.unwrap();
    let cancelled = world.place(1, "cancelled", &request).await.unwrap();
    let cancelled = world.orders.cancel(reader(1), cancelled.id).await.unwrap();
    let rejected = world.place(1, "rejected", &wanted(&[(1, 99)], None)).await.unwrap_err();
    for _ in 0..2 {
        world.clock.advance(std::time::Duration::from_hours(31 * 24));
        world.shop.tidy().await.unwrap();
        assert_eq!(world.orders.sagas().list(saga::Listing::default()).await.unwrap(), []);
        assert_eq!(world.place(1, "kept", &request).await.unwrap(), kept);
        assert_eq!(world.place(1, "cancelled", &request).await.unwrap(), cancelled);
        let again = world.place(1, "rejected", &wanted(&[(1, 99)], None)).await.unwrap_err();
        assert_eq!(again, rejected);
        assert_eq!(world.orders.cancel(reader(1), cancelled.id).await.unwrap(), cancelled);
        // Who asks again may begin one that finds the order there, and changes nothing.
        let again = world.orders.sagas().list(saga::Listing::default()).await.unwrap();
        assert!(again.iter().all(|saga| saga.state == saga::SagaState::Compensated));
        assert_eq!((world.balance(1).await, world.on_hand(1).await), (9_000, 9));
    }
    world.check_sums().await;
    world.close().await;
}

/// As a client sees it.
async fn an_order_over_http(world: World) {
    let book =
        json!({"title": "무진기행", "isbn": "978-89-546-8215-2", "price": 12_000, "copies": 2});
    assert_eq!(world.ask(1, "POST", "/products", Some(book.clone())).await.code(), "FORBIDDEN");
    let made = world.ask(0, "POST", "/products", Some(book)).await;
    let id = made.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.data()["isbn"], "9788954682152");
    let charge = json!({"loginId": "reader-1", "amount": 30_000});
    assert_eq!(world.ask(0, "POST", "/charges", Some(charge)).await.data(), &json!(30_000));
    let order = json!({"lines": [{"productId": id, "copies": 1}]});
    let made = world.ask(1, "POST", "/orders", Some(order.clone())).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.data()["state"], "COMPLETED");
    assert_eq!(made.data()["lines"][0]["title"], "무진기행");
    let path = format!("/orders/{}", made.data()["id"].as_str().unwrap());
    assert_eq!(world.ask(1, "GET", &path, None).await.data(), made.data());
    assert_eq!(world.ask(2, "GET", &path, None).await.code(), "ORDER_NOT_FOUND");
    let many = json!({"lines": [{"productId": id, "copies": 9}]});
    let refused = world.ask(1, "POST", "/orders", Some(many)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "OUT_OF_STOCK"));
    assert_eq!(refused.body["error"]["details"]["onHand"], 1);
    let cancelled = world.ask(1, "POST", &format!("{path}/cancel"), None).await;
    assert_eq!(cancelled.data()["state"], "CANCELLED");
    let wallet = world.ask(1, "GET", "/wallet", None).await;
    assert_eq!(wallet.data()["balance"], 30_000);
    assert_eq!(wallet.data()["entries"].as_array().unwrap().len(), 3);
    world.told().await;
    let ranking = world.ask(1, "GET", "/ranking?span=WEEK", None).await;
    assert_eq!(ranking.data()["places"], json!([]));
    assert_eq!(ranking.data()["from"], "2026-04-25");
    world.close().await;
}

in_all_forms! {
    an_order_takes_everything_and_gives_everything_back,
    an_order_says_how_far_what_it_needs_is,
    the_largest_order_is_made,
    the_id_of_a_payment_can_not_be_taken_before,
    the_same_again_gets_the_answer_of_the_first_time,
    what_can_not_be_made_takes_nothing,
    a_coupon_is_worth_no_more_than_the_order,
    the_largest_order_is_made_and_cancelled,
    orders_are_listed_page_by_page,
    what_is_forgotten_changes_no_answer,
    an_order_over_http,
}
