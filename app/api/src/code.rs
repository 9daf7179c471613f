//! The closed list of wire codes. A client decides by code and shows the text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Language;

/// One line a code: its name, its wire form, whether the same request may
/// succeed later, and its text in Korean and English. The texts tell the person
/// what to do, and never anything about the machine's inside.
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident $wire:literal $retry:ident $ko:literal $en:literal;)*) => {
        /// Why a request was not done. What is released keeps its name for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$meta])* $name,)*
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// On the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Whether the same request may succeed later without anybody's doing.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => codes!(@$retry),)* }
            }

            /// For people: what happened, and what to do.
            #[must_use]
            pub const fn message(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Ko) => $ko,
                      (Self::$name, Language::En) => $en,)*
                }
            }
        }
    };
    (@later) => { true };
    (@never) => { false };
}

codes! {
    // What any request can meet.

    /// One or more fields are wrong; `fields` says which.
    ValidationFailed "VALIDATION_FAILED" never
        "입력한 내용을 확인해 주세요."
        "Please check what you entered.";
    /// The body is no JSON, or no UTF-8.
    MalformedJson "MALFORMED_JSON" never
        "요청 본문을 JSON으로 읽을 수 없습니다. UTF-8로 된 올바른 JSON을 보내 주세요."
        "The request body can't be read as JSON. Send valid JSON in UTF-8.";
    /// The body has a field that this request doesn't have; `fields` says which.
    UnknownField "UNKNOWN_FIELD" never
        "요청에 알 수 없는 항목이 있습니다. 항목 이름을 확인해 주세요."
        "The request has a field that is not known here. Check its name.";
    /// The body is larger than this request may be.
    BodyTooLarge "BODY_TOO_LARGE" never
        "보낸 내용이 너무 큽니다. 줄여서 다시 보내 주세요."
        "What you sent is too large. Make it smaller and send it again.";
    /// The body has a content type that is not read here.
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" never
        "이 요청에서 읽을 수 없는 형식입니다. Content-Type을 확인해 주세요."
        "This content type is not read here. Check Content-Type.";
    /// There is no valid access token.
    Unauthorized "UNAUTHORIZED" never
        "로그인이 필요합니다. 로그인해 주세요."
        "Please log in first.";
    /// The access token has expired: refresh it, then repeat.
    TokenExpired "TOKEN_EXPIRED" never
        "로그인 유효 시간이 지났습니다. 토큰을 갱신하거나 다시 로그인해 주세요."
        "Your access has expired. Refresh the token or log in again.";
    /// The user may not do this.
    Forbidden "FORBIDDEN" never
        "이 작업을 할 권한이 없습니다."
        "You are not allowed to do this.";
    /// There is no such path.
    NotFound "NOT_FOUND" never
        "찾을 수 없는 주소입니다. 주소를 확인해 주세요."
        "There is nothing at this address. Check the address.";
    /// The path has no such method.
    MethodNotAllowed "METHOD_NOT_ALLOWED" never
        "이 주소에서는 쓸 수 없는 메서드입니다."
        "This address does not take this method.";
    /// The idempotency key was used with another body.
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" never
        "같은 Idempotency-Key로 다른 내용을 보냈습니다. 새 요청에는 새 키를 써 주세요."
        "This Idempotency-Key was used with other content. Use a new key for a new request.";
    /// The first request with this idempotency key still runs.
    IdempotencyKeyInUse "IDEMPOTENCY_KEY_IN_USE" later
        "같은 요청을 처리하고 있습니다. 잠시 뒤 다시 보내 주세요."
        "The same request is still being handled. Send it again in a moment.";
    /// The thing was changed since the version in `If-Match`.
    VersionConflict "VERSION_CONFLICT" never
        "그 사이에 다른 곳에서 수정되었습니다. 새로 불러온 뒤 다시 고쳐 주세요."
        "It was changed elsewhere in the meantime. Load it again, then make your change.";
    /// Too many requests of one kind.
    RateLimited "RATE_LIMITED" later
        "요청이 너무 많습니다. 잠시 뒤 다시 시도해 주세요."
        "Too many requests. Please try again in a while.";
    /// The request didn't arrive in time.
    RequestTimeout "REQUEST_TIMEOUT" later
        "요청을 제때 받지 못했습니다. 연결을 확인하고 다시 보내 주세요."
        "The request did not arrive in time. Check your connection and send it again.";
    /// The store can't be used now; nothing was saved.
    StoreUnavailable "STORE_UNAVAILABLE" later
        "지금은 저장할 수 없습니다. 아무것도 저장되지 않았으니 잠시 뒤 다시 시도해 주세요."
        "This can't be done right now. Nothing was saved; please try again in a moment.";
    /// It may be saved: repeat with the same `Idempotency-Key` or id.
    OutcomeUnknown "OUTCOME_UNKNOWN" later
        "저장되었는지 아직 알 수 없습니다. 같은 요청을 그대로 다시 보내 주세요."
        "It is not known yet whether this was saved. Send exactly the same request again.";
    /// The server is stopping or has no room; nothing was done.
    ServerBusy "SERVER_BUSY" later
        "서버가 바쁩니다. 잠시 뒤 다시 시도해 주세요."
        "The server is busy. Please try again in a moment.";
    /// A mistake of the server.
    Internal "INTERNAL" never
        "서버에 문제가 생겼습니다. 계속되면 운영자에게 요청 번호를 알려 주세요."
        "Something went wrong on the server. If it stays so, tell the operator the request id.";

    // Accounts.

    /// Another account has this log-in id.
    LoginIdTaken "LOGIN_ID_TAKEN" never
        "이미 쓰고 있는 아이디입니다. 다른 아이디를 써 주세요."
        "This login id is taken. Choose another.";
    /// Another account has this mail address.
    EmailTaken "EMAIL_TAKEN" never
        "이미 가입된 이메일입니다. 로그인하거나 계정을 찾아 주세요."
        "There is an account with this mail address. Log in, or recover the account.";
    /// No such log-in id, or another password; it is not said which.
    BadCredentials "BAD_CREDENTIALS" never
        "아이디나 비밀번호가 맞지 않습니다. 다시 확인해 주세요."
        "The login id or the password is wrong. Please check both.";
    /// An operator closed the account.
    AccountSuspended "ACCOUNT_SUSPENDED" never
        "이용이 정지된 계정입니다. 운영자에게 문의해 주세요."
        "This account is suspended. Please ask the operator.";
    /// The refresh token is none of this server's, or has expired.
    RefreshTokenInvalid "REFRESH_TOKEN_INVALID" never
        "로그인이 만료되었습니다. 다시 로그인해 주세요."
        "Your session has ended. Please log in again.";
    /// The refresh token was used before; the whole session was ended.
    RefreshTokenReused "REFRESH_TOKEN_REUSED" never
        "이미 쓴 토큰이 다시 쓰여, 안전을 위해 이 기기에서 로그아웃했습니다. 다시 로그인해 주세요."
        "A used token was used again, so this device was logged out for your safety. Please log in again.";
    /// The reset token is none of this server's, has expired, or was used.
    ResetTokenInvalid "RESET_TOKEN_INVALID" never
        "비밀번호 재설정 링크가 만료되었거나 이미 쓰였습니다. 새로 요청해 주세요."
        "This reset token has expired or was used. Please ask for a new one.";
    /// The user has no such device.
    DeviceNotFound "DEVICE_NOT_FOUND" never
        "기기를 찾을 수 없습니다. 기기 목록을 새로 불러와 주세요."
        "There is no such device. Load the list of devices again.";
    /// There is no such user.
    UserNotFound "USER_NOT_FOUND" never
        "사용자를 찾을 수 없습니다."
        "There is no such user.";

    // Reading.

    /// There is no such book, here or at the external source.
    BookNotFound "BOOK_NOT_FOUND" never
        "책을 찾을 수 없습니다. ISBN을 확인해 주세요."
        "There is no such book. Check the ISBN.";
    /// The user's shelf has no such book.
    UserBookNotFound "USER_BOOK_NOT_FOUND" never
        "서재에서 이 책을 찾을 수 없습니다. 서재를 새로 불러와 주세요."
        "This book is not on your shelf. Load your shelf again.";
    /// The book is on the shelf; `details.existingId` is its id there.
    BookAlreadyOnShelf "BOOK_ALREADY_ON_SHELF" never
        "이미 서재에 있는 책입니다."
        "This book is on your shelf already.";
    /// The user has no such memo.
    MemoNotFound "MEMO_NOT_FOUND" never
        "메모를 찾을 수 없습니다. 이미 지워졌을 수 있으니 새로 불러와 주세요."
        "There is no such memo. It may have been deleted; load your memos again.";
    /// Another thing has the id that the client chose.
    IdTaken "ID_TAKEN" never
        "이미 쓰인 ID입니다. 새 ID로 다시 보내 주세요."
        "This id is taken. Send it again with a new id.";
    /// The import is no file that can be read; `details.reason` says why, in the
    /// caller's language.
    ImportUnreadable "IMPORT_UNREADABLE" never
        "파일을 읽을 수 없습니다. Goodreads의 CSV나 Endpaper에서 내보낸 CSV·JSON을 내려받은 그대로 올려 주세요."
        "The file can't be read. Send the CSV file of Goodreads, or the CSV or JSON file of Endpaper, just as you downloaded it.";
    /// Another import of the user runs.
    ImportInProgress "IMPORT_IN_PROGRESS" later
        "다른 가져오기를 진행하고 있습니다. 끝난 뒤 다시 시도해 주세요."
        "Another import is running. Try again when it has finished.";
    /// The device speaks another version of the sync protocol.
    SyncProtocolUnsupported "SYNC_PROTOCOL_UNSUPPORTED" never
        "이 서버가 모르는 동기화 방식입니다. 앱을 새로 고쳐 주세요. 쓰신 내용은 기기에 그대로 있습니다."
        "This server does not know this way to sync. Update the app; what you wrote is still on the device.";
    /// What was sent is of another account than the one that is logged in.
    SyncWrongAccount "SYNC_WRONG_ACCOUNT" never
        "다른 계정에서 쓴 내용입니다. 그 계정으로 로그인해 주세요. 쓰신 내용은 기기에 그대로 있습니다."
        "This was written in another account. Log in as that one; what you wrote is still on the device.";
    /// Changes after the cursor are no longer remembered: pull everything anew.
    SyncCursorExpired "SYNC_CURSOR_EXPIRED" never
        "오랫동안 동기화하지 않아 처음부터 다시 받아야 합니다. 보내지 않은 내용은 그대로 있습니다."
        "This device was away for long and has to get everything anew. What was not sent is kept.";
    /// The account has as many devices as it can have.
    SyncTooManyDevices "SYNC_TOO_MANY_DEVICES" never
        "동기화하는 기기가 너무 많습니다. 운영자에게 문의해 주세요."
        "Too many devices sync with this account. Please ask the operator.";
    /// The device's program is newer than this server: later, when that is updated.
    SyncServerOlder "SYNC_SERVER_OLDER" later
        "서버가 앱보다 오래되었습니다. 서버를 업데이트하면 저절로 보내집니다."
        "The server is older than the app. What you wrote is sent by itself when the server is updated.";
    /// The external book source doesn't answer.
    SourceUnavailable "SOURCE_UNAVAILABLE" later
        "외부 도서 검색을 지금 쓸 수 없습니다. 잠시 뒤 다시 시도해 주세요."
        "The external book search can't be reached right now. Please try again in a while.";
    /// The external book source has answered as often as it does in a day.
    SourceQuotaExceeded "SOURCE_QUOTA_EXCEEDED" later
        "오늘 쓸 수 있는 외부 도서 검색을 모두 썼습니다. 내일 다시 시도해 주세요."
        "The external book search has been used up for today. Please try again tomorrow.";

    // The shop.

    /// There is no such product.
    ProductNotFound "PRODUCT_NOT_FOUND" never
        "상품을 찾을 수 없습니다. 상품 목록을 새로 불러와 주세요."
        "There is no such product. Load the products again.";
    /// Fewer copies are there than are wanted; `details.productId` and `details.onHand`.
    OutOfStock "OUT_OF_STOCK" never
        "재고가 모자랍니다. 수량을 줄이거나 나중에 다시 주문해 주세요."
        "There are not so many copies. Order fewer, or come back later.";
    /// The wallet has less than is needed; `details.balance` and `details.needed`.
    BalanceTooLow "BALANCE_TOO_LOW" never
        "지갑의 잔액이 모자랍니다. 충전한 뒤 다시 시도해 주세요."
        "The wallet has not so much. Pay in first, then try again.";
    /// There is no such coupon, or the reader does not have it.
    CouponNotFound "COUPON_NOT_FOUND" never
        "쿠폰을 찾을 수 없습니다. 쿠폰 목록을 새로 불러와 주세요."
        "There is no such coupon. Load your coupons again.";
    /// All of them are taken.
    CouponSoldOut "COUPON_SOLD_OUT" never
        "쿠폰이 모두 소진되었습니다."
        "All of these coupons are taken.";
    /// It can be had and used no more.
    CouponExpired "COUPON_EXPIRED" never
        "기한이 지난 쿠폰입니다."
        "This coupon has expired.";
    /// The reader used it for another order.
    CouponUsed "COUPON_USED" never
        "이미 쓴 쿠폰입니다."
        "This coupon was used already.";
    /// The reader has no such order.
    OrderNotFound "ORDER_NOT_FOUND" never
        "주문을 찾을 수 없습니다. 주문 목록을 새로 불러와 주세요."
        "There is no such order. Load your orders again.";
    /// Only what was completed can be cancelled.
    OrderNotCancellable "ORDER_NOT_CANCELLABLE" never
        "취소할 수 없는 주문입니다."
        "This order can't be cancelled.";
    /// What the order needs could not be asked for; nothing was taken.
    OrderFailed "ORDER_FAILED" never
        "주문을 처리하지 못했습니다. 결제되지 않았으니 새로 주문해 주세요."
        "The order could not be made, and nothing was paid. Please order anew.";
    /// Another order of the reader is being made.
    OrderInProgress "ORDER_IN_PROGRESS" later
        "다른 주문을 처리하고 있습니다. 잠시 뒤 다시 시도해 주세요."
        "Another order of yours is being made. Try again in a moment.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is no code of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl FromStr for ErrorCode {
    type Err = UnknownCode;
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    /// A code of a later server is read as [`ErrorCode::Internal`]: an older
    /// client still shows the server's text and knows nothing better to do.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::Internal))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_forms_are_screaming_snake_of_the_names_and_read_back() {
        for code in ErrorCode::ALL {
            let mut expected = String::new();
            for c in format!("{code:?}").chars() {
                if c.is_ascii_uppercase() && !expected.is_empty() {
                    expected.push('_');
                }
                expected.push(c.to_ascii_uppercase());
            }
            assert_eq!(code.as_str(), expected);
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }

    #[test]
    fn every_text_is_in_its_language_and_is_a_sentence() {
        let hangul = |c: char| ('가'..='힣').contains(&c);
        for code in ErrorCode::ALL {
            let (ko, en) = (code.message(Language::Ko), code.message(Language::En));
            assert!(ko.chars().any(hangul) && ko.ends_with('.'), "{code}: {ko}");
            assert!(!en.chars().any(hangul) && en.ends_with('.'), "{code}: {en}");
        }
    }

    #[test]
    fn a_code_of_a_later_server_is_read() {
        assert_eq!(
            serde_json::from_str::<ErrorCode>(r#""FLUX_EMPTY""#).unwrap(),
            ErrorCode::Internal
        );
    }
}
