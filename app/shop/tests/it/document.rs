//! The OpenAPI document.

/// Each path that is served is in it, under its name.
#[test]
fn every_route_is_documented() {
    let document = serde_json::to_value(endpaper_shop::openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/api/v1/shop/charges",
            "/api/v1/shop/coupons",
            "/api/v1/shop/coupons/{id}/claim",
            "/api/v1/shop/orders",
            "/api/v1/shop/orders/{id}",
            "/api/v1/shop/orders/{id}/cancel",
            "/api/v1/shop/products",
            "/api/v1/shop/products/{id}",
            "/api/v1/shop/products/{id}/stock",
            "/api/v1/shop/ranking",
            "/api/v1/shop/wallet",
            "/api/v1/shop/wallet/transfers",
        ]
    );
}
