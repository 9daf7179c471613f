//! Messages for readers, in their language.

use endpaper_api::Language;
use endpaper_api::shop::OrderState;

use crate::model::{Order, Won};

/// A message: a subject, and a text of some lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) text: String,
}

/// What a reader is told of an order that was completed or cancelled.
pub(super) fn message(order: &Order, state: OrderState, name: &str, language: Language) -> Message {
    let is_cancelled = state == OrderState::Cancelled;
    let title = order.lines.first().map_or("", |line| line.title.as_str());
    let others = order.lines.len().saturating_sub(1);
    let copies: i64 = order.lines.iter().map(|line| line.copies.get()).sum();
    let (paid, id) = (won(order.paid), order.id);
    match language {
        Language::Ko => {
            let what =
                if others > 0 { format!("{title} 외 {others}종") } else { title.to_owned() };
            let (subject, money) = if is_cancelled {
                ("주문이 취소되었습니다", format!("{paid}원을 지갑에 돌려드렸습니다."))
            } else {
                ("주문이 완료되었습니다", format!("결제 금액 {paid}원"))
            };
            Message {
                subject: subject.to_owned(),
                text: format!(
                    "{name}님, {subject}.\n{what}, 모두 {copies}권\n{money}\n주문 번호 {id}"
                ),
            }
        }
        Language::En => {
            let what = match others {
                0 => title.to_owned(),
                1 => format!("{title} and 1 other title"),
                others => format!("{title} and {others} other titles"),
            };
            let copies = if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") };
            let (subject, money) = if is_cancelled {
                ("Your order is cancelled", format!("{paid} won are back in your wallet."))
            } else {
                ("Your order is complete", format!("Paid: {paid} won"))
            };
            Message {
                subject: subject.to_owned(),
                text: format!("{name}: {subject}.\n{what}, {copies}\n{money}\nOrder {id}"),
            }
        }
    }
}

/// With a comma after each three digits.
fn won(won: Won) -> String {
    let digits = won.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use stdx::UnixMicros;
    use stdx::ids::Id as _;
    use uuid::Uuid;

    use super::*;
    use crate::model::{Cart, Copies, OrderEvent, OrderId, ProductId, ReaderId, Taken, Wanted};
    use crate::rules;

    fn order(lines: &[(&str, i64)]) -> Order {
        let product = |at: usize| ProductId::from_uuid(Uuid::from_u128(1 + at as u128));
        let copies = |copies| Copies::new(copies).unwrap();
        let taken = lines.iter().enumerate().map(|(at, (title, many))| Taken {
            product: product(at),
            title: (*title).to_owned(),
            copies: copies(*many),
            price: Won::new(1_000).unwrap(),
        });
        let wanted = lines
            .iter()
            .enumerate()
            .map(|(at, (_, many))| Wanted { product: product(at), copies: copies(*many) });
        let cart = Cart::new(wanted.collect(), None).unwrap();
        let reader = ReaderId::from_uuid(Uuid::from_u128(9));
        let paid = Won::new(1_234_000).unwrap();
        let completed = OrderEvent::Completed { lines: taken.collect(), discount: Won::ZERO, paid };
        let events = [OrderEvent::Placed { reader, cart }, completed];
        let id = OrderId::from_uuid(Uuid::from_u128(7));
        rules::replay(id, events.into_iter().map(|event| (event, UnixMicros(0)))).unwrap()
    }

    #[test]
    fn readers_are_told_in_their_language() {
        let two = order(&[("무진기행", 2), ("데미안", 1)]);
        let completed = message(&two, OrderState::Completed, "민지", Language::Ko);
        assert_eq!(
            completed.text,
            "민지님, 주문이 완료되었습니다.\n무진기행 외 1종, 모두 3권\n결제 금액 1,234,000원\n\
             주문 번호 00000000-0000-0000-0000-000000000007"
        );
        let one = order(&[("Pachinko", 1)]);
        let cancelled = message(&one, OrderState::Cancelled, "Minji", Language::En);
        assert_eq!(cancelled.subject, "Your order is cancelled");
        assert_eq!(
            cancelled.text,
            "Minji: Your order is cancelled.\nPachinko, 1 copy\n1,234,000 won are back in your \
             wallet.\nOrder 00000000-0000-0000-0000-000000000007"
        );
    }

    #[test]
    fn money_is_read_in_threes() {
        let text = |number| won(Won::new(number).unwrap());
        let all = [0, 5, 999, 1_000, 26_000, 999_999, 1_000_000].map(text);
        assert_eq!(all, ["0", "5", "999", "1,000", "26,000", "999,999", "1,000,000"]);
    }
}
