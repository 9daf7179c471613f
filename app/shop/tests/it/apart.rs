//! Parts of the shop in processes of their own, where the network between them is what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use endpaper_api::shop::OrderState;
use endpaper_shop::ShopError;
use endpaper_shop::apart::{Role, There, asks, trusting};
use endpaper_shop::model::{Copies, Refusal, Wanted, Won};
use endpaper_shop::parts::{Ask, Gave, Here, Part};
use saga::{Fence, SagaId, StepError, StepKey};
use serde_json::json;
use stdx::ids::Id as _;
use tokio::sync::watch;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::world::{How, Served, World, coupon, peer, product, reader, token, until, wanted};

/// Of what other processes answer, every third is lost on its way back.
async fn answers_that_are_lost_take_nothing_twice(how: How) {
    let lost = Arc::new(AtomicU64::new(0));
    let losing = Arc::clone(&lost);
    let world = World::apart(how, move |routes| {
        routes.layer(middleware::from_fn_with_state(Arc::clone(&losing), lose_answers))
    })
    .await;
    world.sells(1, 1_000, 20).await;
    world.offers(1, 300, 5).await;
    for number in 1..=4 {
        world.charge(number, 5_000).await;
        world.coupons.claim(reader(number), coupon(1)).await.unwrap();
    }
    let mut made = 0;
    for number in 1..=4 {
        for round in 0..4 {
            let order = wanted(&[(1, 1)], (round == 0).then_some(1));
            let placed = world.place(number, &round.to_string(), &order).await.unwrap();
            assert_eq!(placed.state, OrderState::Completed);
            made += 1;
            if round == 3 {
                world.orders.cancel(reader(number), placed.id).await.unwrap();
                made -= 1;
            }
        }
        let left = 5_000 - 3 * 1_000 + 300;
        // Where nobody leads, the money may be back a moment later.
        until(async || world.balance(number).await == left).await;
    }
    assert_eq!(world.on_hand(1).await, 20 - made);
    assert!(lost.load(Ordering::Relaxed) > 30, "nothing was lost");
    world.check_sums().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_take_nothing_twice_from_a_saga() {
    answers_that_are_lost_take_nothing_twice(How::Apart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_take_nothing_twice_from_part_to_part() {
    answers_that_are_lost_take_nothing_twice(How::ApartByEvents).await;
}

async fn lose_answers(
    State(lost): State<Arc<AtomicU64>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let asks = path.starts_with("/internal/v1/asks") || path == "/internal/v1/batons";
    let answer = next.run(request).await;
    if asks && lost.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    answer
}

/// From part to part an order waits for who is away: nothing is lost, and nothing is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_for_a_part_that_is_away() {
    let (open, gate) = watch::channel(false);
    let world = World::apart(How::ApartByEvents, move |routes| {
        routes.layer(middleware::from_fn_with_state(gate.clone(), stand_before))
    })
    .await;
    world.sells(1, 1_000, 5).await;
    world.charge(1, 5_000).await;
    let order = wanted(&[(1, 2)], None);
    let state = async || {
        let listed = world.orders.orders(reader(1), None, 1).await.unwrap();
        listed.first().map(|order| order.state)
    };
    let placing = world.place(1, "a", &order);
    let opening = async {
        until(async || state().await == Some(OrderState::Placed)).await;
        assert_eq!((world.on_hand(1).await, world.balance(1).await), (5, 5_000));
        open.send_replace(true);
    };
    let (placed, ()) = tokio::join!(placing, opening);
    assert_eq!(placed.unwrap().state, OrderState::Completed);
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (3, 3_000));
    world.check_sums().await;
    world.close().await;
}

async fn stand_before(
    State(open): State<watch::Receiver<bool>>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() == "/internal/v1/batons" && !*open.borrow() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

/// What another process can't be asked for is not had: everything else is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_part_is_away_is_undone() {
    let mut world = World::apart(How::Apart, |routes| routes).await;
    world.sells(1, 1_000, 5).await;
    world.offers(1, 300, 5).await;
    world.charge(1, 5_000).await;
    world.coupons.claim(reader(1), coupon(1)).await.unwrap();
    world.served.end(Role::Wallet).await;
    let order = wanted(&[(1, 2)], Some(1));
    let placed = world.place(1, "a", &order).await;
    assert_eq!(placed, Err(ShopError::Refused(Refusal::Failed)));
    assert_eq!((world.on_hand(1).await, world.balance(1).await), (5, 5_000));
    let got = world.ask(1, "GET", "/wallet", None).await;
    assert_eq!((got.status, got.code()), (StatusCode::SERVICE_UNAVAILABLE, "STORE_UNAVAILABLE"));
    // The others go on.
    assert_eq!(world.ask(1, "GET", "/coupons", None).await.data()[0]["usedFor"], json!(null));
    assert_eq!(world.ask(1, "GET", "/products", None).await.data()["products"][0]["onHand"], 5);
    world.check_sums().await;
    world.close().await;
}

/// A reader is who the orders' process has found, and nobody else may say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_processes_of_the_shop_are_listened_to() {
    let world = World::new(How::Apart).await;
    world.sells(1, 1_000, 5).await;
    // Through the orders' process.
    assert_eq!(world.ask(1, "GET", "/products", None).await.status, StatusCode::OK);
    assert_eq!(world.ask(1_000_000, "GET", "/wallet", None).await.status, StatusCode::OK);
    let stock = format!("/products/{}/stock", product(1));
    let more = json!({"copies": 1});
    assert_eq!(world.ask(1, "POST", &stock, Some(more.clone())).await.code(), "FORBIDDEN");
    assert_eq!(world.ask(0, "POST", &stock, Some(more)).await.data()["onHand"], 6);
    assert_eq!(world.ask(0, "PATCH", &stock, None).await.code(), "METHOD_NOT_ALLOWED");

    // Past it.
    let here = Here::new(world.stores.stock.clone(), world.clock.clone());
    let routes = trusting(asks(Role::Stock, here), Router::new(), &token());
    let ask = async |authorization: Option<&str>, relayed: Option<&str>| {
        let mut request = axum::http::Request::post("/internal/v1/asks");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(relayed) = relayed {
            request = request.header("endpaper-relayed", relayed);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap().status()
    };
    let wrong = [None, Some("Bearer "), Some("Bearer of-one-shop-4d1"), Some("of-one-shop-4d1b")];
    for authorization in wrong {
        assert_eq!(ask(authorization, None).await, StatusCode::UNAUTHORIZED);
    }
    let known = Some("Bearer of-one-shop-4d1b");
    assert_eq!(ask(known, Some("1")).await, StatusCode::UNAUTHORIZED, "for a reader");
    assert_eq!(ask(known, None).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "it was let in");
    world.close().await;
}

/// A path can't lead out of what is passed on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_leads_nowhere_else() {
    let asked = watch::Sender::new(Vec::<String>::new());
    let notes = asked.clone();
    let world = World::apart(How::Apart, move |routes| {
        routes.layer(middleware::from_fn_with_state(notes.clone(), note))
    })
    .await;
    let internal = r"/products/..\..\..\..\internal\v1\batons";
    for path in ["/products/%2e%2e", "/products/%2E%2E/stock", "/products/.%2e", internal] {
        let got = world.ask(0, "GET", path, None).await;
        assert_eq!(got.code(), "NOT_FOUND", "{path}: {got:?}");
    }
    assert_eq!(*asked.borrow(), [""; 0], "it was passed on");
    world.ask(0, "GET", "/products/..%2f..%2finternal", None).await;
    assert_eq!(*asked.borrow(), ["/api/v1/shop/products/..%2f..%2finternal"]);
    world.close().await;
}

async fn note(
    State(asked): State<watch::Sender<Vec<String>>>,
    request: Request,
    next: Next,
) -> Response {
    asked.send_modify(|asked| asked.push(request.uri().path().to_owned()));
    next.run(request).await
}

/// An address that belongs to another part: nothing is done there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_meant_for_another_part_is_not_done() {
    let world = World::new(How::AsSaga).await;
    world.sells(1, 1_000, 5).await;
    let mut served = Served::default();
    let here = Here::new(world.stores.stock.clone(), world.clock.clone());
    let at = served.serve(Role::Stock, asks(Role::Stock, here)).await;
    let key = StepKey { saga: SagaId::from_uuid(Uuid::from_u128(5)), step: "take".to_owned() };
    let order = "0190163d-8694-739b-aea5-966c26f8ad90".parse().unwrap();
    let take = Ask::Take { order, lines: wanted_lines() };
    let wallet = Ask::Pay { order, reader: reader(1), amount: Won::ZERO };
    let stock = There(peer(Role::Stock, &at, &world.clock));
    let strange = There(peer(Role::Wallet, &at, &world.clock));
    let Err(StepError::Failed(why)) = strange.run(&key, Fence(1), wallet).await else {
        panic!("it was done")
    };
    assert!(why.contains("shop.wallet_url"), "{why}");
    assert!(matches!(stock.run(&key, Fence(1), take.clone()).await, Ok(Gave::Taken(_))));
    assert_eq!(world.on_hand(1).await, 3);
    stock.undo(&key, Fence(1), take.clone()).await.unwrap();
    stock.undo(&key, Fence(1), take.clone()).await.unwrap();
    assert_eq!(world.on_hand(1).await, 5, "once");
    let late = stock.run(&key, Fence(1), take).await;
    assert!(matches!(late, Err(StepError::Refused(_))), "it came after it was undone");
    world.close().await;
}

fn wanted_lines() -> Vec<endpaper_shop::model::Wanted> {
    vec![Wanted { product: product(1), copies: Copies::new(2).unwrap() }]
}
