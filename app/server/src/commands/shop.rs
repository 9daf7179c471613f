//! `endpaper shop`.

use std::fmt::Write as _;

use stdx::{Clock, UnixMicros};

use super::queue::{Server, to_json};
use super::{Talk, print, with_settings};
use crate::cli::ShopCommand;
use crate::failure::{Failure, Result};
use crate::operator::shop::{AskReplay, Audited, Events, Rebuilt};
use crate::time;

type Answer<T> = std::result::Result<T, String>;

pub(crate) fn run(command: &ShopCommand) -> Result {
    match command {
        ShopCommand::Audit { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let server = Server::of(&settings).await?;
                let audited: Answer<Audited> = server.post("/shop/audit", &()).await?;
                let audited = audited.map_err(Failure::new)?;
                print(&if *json { to_json(&audited) } else { said(&audited) });
                if audited.well { Ok(()) } else { Err(Failure::new("the sums are not right")) }
            })
        }
        ShopCommand::Rebuild { store } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let server = Server::of(&settings).await?;
                let rebuilt: Answer<Rebuilt> = server.post("/shop/rebuild", &()).await?;
                let Rebuilt { orders, strays } = rebuilt.map_err(Failure::new)?;
                print(&format!(
                    "the list of orders and what was sold are made again, of {orders} orders"
                ));
                if strays > 0 {
                    print(&format!("{strays} lines of the list were of no order, and are gone"));
                }
                Ok(())
            })
        }
        ShopCommand::Events { store, json } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let server = Server::of(&settings).await?;
                let found: Answer<Events> = server.get("/shop/events").await?;
                let found = found.map_err(Failure::new)?;
                print(&if *json { to_json(&found) } else { told(&found, Clock::real().now()) });
                Ok(())
            })
        }
        ShopCommand::Replay { store, id } => {
            with_settings(&store.flags(), Talk::Command, async |settings| {
                let server = Server::of(&settings).await?;
                let done: Answer<()> = server.post("/shop/replay", &AskReplay { id: *id }).await?;
                done.map_err(Failure::new)?;
                print("it is told again, behind what waits of its order");
                Ok(())
            })
        }
    }
}

fn said(audited: &Audited) -> String {
    let mut text = format!(
        "all entries together: {} won\nin wallets: {} won",
        audited.entries_sum, audited.in_wallets
    );
    for (what, wrong) in
        [("wallet", &audited.wallets), ("product", &audited.products), ("coupon", &audited.coupons)]
    {
        for id in wrong {
            write!(text, "\n{what} {id}: not what came and went").expect("a string takes all");
        }
    }
    text
}

fn told(events: &Events, now: UnixMicros) -> String {
    let mut text = String::new();
    for one in &events.waiting {
        let oldest = one
            .oldest_us
            .filter(|_| one.waiting > 0)
            .map(|at| format!(", the oldest for {}", time::duration(now.since(UnixMicros(at)))));
        let (topic, subscriber, waiting) = (&one.topic, &one.subscriber, one.waiting);
        writeln!(text, "{topic} to {subscriber}: {waiting} wait{}", oldest.unwrap_or_default())
            .expect("a string takes all");
    }
    for one in &events.parked {
        writeln!(
            text,
            "put aside {}: to {}, of {}: {}",
            one.id, one.subscriber, one.key, one.error
        )
        .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::operator::shop::{ParkedEvent, WaitingEvents};

    #[test]
    fn it_reads_well() {
        let audited = Audited {
            well: false,
            entries_sum: 0,
            in_wallets: 67_000,
            wallets: Vec::new(),
            products: vec!["0190163d-8694-739b-aea5-966c26f80003".to_owned()],
            coupons: Vec::new(),
        };
        expect![[r"
            all entries together: 0 won
            in wallets: 67000 won
            product 0190163d-8694-739b-aea5-966c26f80003: not what came and went"]]
        .assert_eq(&said(&audited));
        let events = Events {
            waiting: vec![WaitingEvents {
                topic: "orders".to_owned(),
                subscriber: "sales".to_owned(),
                waiting: 2,
                oldest_us: Some(0),
            }],
            parked: vec![ParkedEvent {
                id: "0190163d-8694-739b-aea5-966c26f80003".parse().unwrap(),
                subscriber: "sales".to_owned(),
                key: "0190163d-8694-739b-aea5-966c26f80004".to_owned(),
                event: "{}".to_owned(),
                error: "the event can't be read".to_owned(),
            }],
        };
        expect![[r"
            orders to sales: 2 wait, the oldest for 1 min
            put aside 0190163d-8694-739b-aea5-966c26f80003: to sales, of 0190163d-8694-739b-aea5-966c26f80004: the event can't be read
        "]]
        .assert_eq(&told(&events, UnixMicros::from_secs(60)));
    }
}
