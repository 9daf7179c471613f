//! Days and times in the reader's time zone, which is the browser's.

use jiff::civil::Date;
use js_sys::Date as JsDate;
use stdx::{Clock, UnixMicros};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::words::{language, t};

fn js(at: UnixMicros) -> JsDate {
    #[expect(clippy::cast_precision_loss, reason = "a date of JavaScript is in milliseconds")]
    JsDate::new(&JsValue::from_f64(at.as_millis() as f64))
}

/// The day of an instant here.
#[must_use]
pub fn day_of(at: UnixMicros) -> Date {
    let at = js(at);
    let narrow = |number: u32| i8::try_from(number).unwrap_or(1);
    let year = i16::try_from(at.get_full_year()).unwrap_or(1970);
    Date::new(year, narrow(at.get_month() + 1), narrow(at.get_date())).unwrap_or_default()
}

/// Today, here.
#[must_use]
pub fn today() -> Date {
    day_of(Clock::real().now())
}

/// The first instant of a day here.
#[must_use]
pub fn begin(day: Date) -> UnixMicros {
    let (year, month) = (day.year().unsigned_abs().into(), i32::from(day.month()) - 1);
    let begins = JsDate::new_with_year_month_day(year, month, day.day().into());
    #[expect(clippy::cast_possible_truncation, reason = "a date of JavaScript is whole")]
    UnixMicros::from_millis(begins.get_time() as i64)
}

/// The time of the day: `14:05`.
#[must_use]
pub fn time(at: UnixMicros) -> String {
    let at = js(at);
    format!("{:02}:{:02}", at.get_hours(), at.get_minutes())
}

/// A day, as people write it.
#[must_use]
pub fn long(day: Date) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let month = usize::try_from(day.month() - 1).unwrap_or(0);
    t(
        format!("{}년 {}월 {}일", day.year(), day.month(), day.day()),
        format!("{} {}, {}", MONTHS[month], day.day(), day.year()),
    )
}

/// A month, as people write it.
#[must_use]
pub fn month(day: Date) -> String {
    let whole = long(day);
    match language() {
        endpaper_api::Language::Ko => format!("{}년 {}월", day.year(), day.month()),
        endpaper_api::Language::En => {
            format!("{} {}", whole.split(' ').next().unwrap_or_default(), day.year())
        }
    }
}

/// An instant: the time where it is of today, else with its day.
#[must_use]
pub fn instant(at: UnixMicros) -> String {
    let day = day_of(at);
    if day == today() { time(at) } else { format!("{} {}", long(day), time(at)) }
}

/// The name of the time zone, as the server wants to hear it.
#[must_use]
pub fn zone() -> Option<String> {
    let format = js_sys::Intl::DateTimeFormat::default().resolved_options();
    js_sys::Reflect::get(&format, &"timeZone".into()).ok()?.as_string()
}

/// Whether the browser knows a time zone of this name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    let construct = || {
        let intl = js_sys::Reflect::get(&js_sys::global(), &"Intl".into()).ok()?;
        let format = js_sys::Reflect::get(&intl, &"DateTimeFormat".into()).ok()?;
        let options = js_sys::Object::new();
        js_sys::Reflect::set(&options, &"timeZone".into(), &name.into()).ok()?;
        let arguments = js_sys::Array::of2(&"en".into(), &options);
        let format: &js_sys::Function = format.unchecked_ref();
        js_sys::Reflect::construct(format, &arguments).ok()
    };
    construct().is_some()
}
