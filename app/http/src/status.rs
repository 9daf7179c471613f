//! The one file that assigns HTTP statuses (RFC 9110, section 15).

use std::time::Duration;

use endpaper_api::ErrorCode;
use http::StatusCode;

/// The status of an error.
#[must_use]
pub const fn of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::ValidationFailed
        | ErrorCode::MalformedJson
        | ErrorCode::UnknownField
        | ErrorCode::ResetTokenInvalid
        | ErrorCode::SyncProtocolUnsupported
        | ErrorCode::ImportUnreadable => StatusCode::BAD_REQUEST,

        ErrorCode::Unauthorized
        | ErrorCode::TokenExpired
        | ErrorCode::BadCredentials
        | ErrorCode::RefreshTokenInvalid
        | ErrorCode::RefreshTokenReused => StatusCode::UNAUTHORIZED,

        ErrorCode::Forbidden | ErrorCode::AccountSuspended | ErrorCode::SyncWrongAccount => {
            StatusCode::FORBIDDEN
        }

        ErrorCode::NotFound
        | ErrorCode::UserNotFound
        | ErrorCode::DeviceNotFound
        | ErrorCode::BookNotFound
        | ErrorCode::UserBookNotFound
        | ErrorCode::MemoNotFound
        | ErrorCode::ProductNotFound
        | ErrorCode::CouponNotFound
        | ErrorCode::OrderNotFound => StatusCode::NOT_FOUND,

        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,

        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,

        ErrorCode::IdempotencyKeyInUse
        | ErrorCode::LoginIdTaken
        | ErrorCode::EmailTaken
        | ErrorCode::BookAlreadyOnShelf
        | ErrorCode::IdTaken
        | ErrorCode::SyncTooManyDevices
        | ErrorCode::ImportInProgress
        | ErrorCode::OutOfStock
        | ErrorCode::BalanceTooLow
        | ErrorCode::CouponSoldOut
        | ErrorCode::CouponExpired
        | ErrorCode::CouponUsed
        | ErrorCode::OrderNotCancellable
        | ErrorCode::OrderFailed
        | ErrorCode::OrderInProgress => StatusCode::CONFLICT,

        ErrorCode::SyncCursorExpired => StatusCode::GONE,

        ErrorCode::VersionConflict => StatusCode::PRECONDITION_FAILED,

        ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,

        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,

        ErrorCode::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,

        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,

        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,

        // A 503 says that nothing was saved.
        ErrorCode::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::StoreUnavailable
        | ErrorCode::ServerBusy
        | ErrorCode::SyncServerOlder
        | ErrorCode::SourceUnavailable
        | ErrorCode::SourceQuotaExceeded => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// `Retry-After` where nobody knows better; every 429, 503 and 504 carries one.
#[must_use]
pub const fn retry_after(code: ErrorCode) -> Option<Duration> {
    match code {
        ErrorCode::IdempotencyKeyInUse | ErrorCode::OutcomeUnknown | ErrorCode::OrderInProgress => {
            Some(Duration::from_secs(1))
        }
        ErrorCode::StoreUnavailable | ErrorCode::ServerBusy => Some(Duration::from_secs(5)),
        ErrorCode::ImportInProgress => Some(Duration::from_secs(10)),
        ErrorCode::SyncServerOlder => Some(Duration::from_mins(5)),
        ErrorCode::RateLimited | ErrorCode::SourceUnavailable => Some(Duration::from_secs(30)),
        ErrorCode::SourceQuotaExceeded => Some(Duration::from_hours(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated_later_says_when() {
        for code in ErrorCode::ALL {
            let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]
                .contains(&of(*code));
            assert!(!busy || retry_after(*code).is_some(), "{code} needs Retry-After");
            assert!(
                !busy || code.is_retryable(),
                "{code}: {} is for what may be repeated",
                of(*code)
            );
        }
    }
}
