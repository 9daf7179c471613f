//! Which instants belong to a day, in the reader's time zone.
//!
//! A day goes from its first instant to the first of the next day. That is 24
//! hours mostly; where clocks are moved it is 23 or 25, some days begin at
//! 01:00, and Samoa had no 30th of December 2011 at all.

use std::time::Duration;

use endpaper_api::FieldProblem;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use stdx::UnixMicros;

use crate::model::Flaws;

/// The years of the calendar: those in which every day of every zone has both
/// ends within the range of instants.
pub const YEARS: std::ops::RangeInclusive<i16> = 1..=9998;

/// The most months that "lately" can reach back: ten years.
pub const MONTHS_BACK_MAX: i64 = 120;

/// From the first instant up to and without the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: UnixMicros,
    /// The first instant after it.
    pub until: UnixMicros,
}

impl Span {
    /// Whether an instant is within.
    #[must_use]
    pub fn contains(self, at: UnixMicros) -> bool {
        self.from <= at && at < self.until
    }
}

/// The instants of a day.
pub fn of_day(day: Date, zone: &TimeZone) -> Result<Span, FieldProblem> {
    let years = FieldProblem::YearOutOfRange { min: *YEARS.start(), max: *YEARS.end() };
    if !YEARS.contains(&day.year()) {
        return Err(years);
    }
    let next = day.tomorrow().map_err(|_| years)?;
    between(day, next, zone)
}

/// The instants of a month of a year.
pub fn of_month(year: i64, month: i64, zone: &TimeZone) -> Result<Span, Flaws> {
    let mut flaws = Flaws::default();
    let years = (i64::from(*YEARS.start()), i64::from(*YEARS.end()));
    let year = i16::try_from(year).ok().filter(|year| YEARS.contains(year));
    if year.is_none() {
        flaws.add("year", FieldProblem::OutOfRange { min: years.0, max: years.1 });
    }
    let month = i8::try_from(month).ok().filter(|month| (1..=12).contains(month));
    if month.is_none() {
        flaws.add("month", FieldProblem::OutOfRange { min: 1, max: 12 });
    }
    let (Some(year), Some(month)) = (year, month) else { return Err(flaws) };
    let first = jiff::civil::date(year, month, 1);
    let next = first.checked_add(1.month()).expect("a month after the year 9998 there is");
    between(first, next, zone).map_err(|problem| {
        flaws.add("year", problem);
        flaws
    })
}

/// The instant `months` months before `now`, at the same time of the day.
pub fn months_before(now: UnixMicros, months: i64, zone: &TimeZone) -> Result<UnixMicros, Flaws> {
    let refused = || {
        let mut flaws = Flaws::default();
        flaws.add("months", FieldProblem::OutOfRange { min: 1, max: MONTHS_BACK_MAX });
        flaws
    };
    if !(1..=MONTHS_BACK_MAX).contains(&months) {
        return Err(refused());
    }
    let then = in_zone(now, zone).checked_sub(months.months()).map_err(|_| refused())?;
    Ok(UnixMicros(then.timestamp().as_microsecond()))
}

/// The day after the latest day that it is anywhere: a day later than this is in
/// the future for everybody.
#[must_use]
pub fn tomorrow(now: UnixMicros) -> Date {
    const FURTHEST_EAST: Duration = Duration::from_hours(14 + 24);
    day_of(now.after(FURTHEST_EAST), &TimeZone::UTC)
}

/// The day that an instant is in.
#[must_use]
pub fn day_of(at: UnixMicros, zone: &TimeZone) -> Date {
    in_zone(at, zone).date()
}

fn in_zone(at: UnixMicros, zone: &TimeZone) -> jiff::Zoned {
    endpaper_api::Instant::from_micros(at.0).timestamp().to_zoned(zone.clone())
}

fn between(first: Date, next: Date, zone: &TimeZone) -> Result<Span, FieldProblem> {
    let begin = |day: Date| {
        // A midnight that clocks jump over is read as the first instant after
        // the jump, and one that comes twice as the earlier.
        let first = day.to_zoned(zone.clone()).map_err(|_| FieldProblem::NotADay)?;
        Ok(UnixMicros(first.timestamp().as_microsecond()))
    };
    Ok(Span { from: begin(first)?, until: begin(next)? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const ZONES: [&str; 9] = [
        "Asia/Seoul",
        "UTC",
        "America/New_York",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "America/Havana",
        "Pacific/Apia",
        "Africa/Cairo",
        "Asia/Kathmandu",
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn hours(span: Span) -> u64 {
        span.until.since(span.from).as_secs() / 3_600
    }

    #[test]
    fn days_where_clocks_move() {
        let day = |y, m, d, name| of_day(date(y, m, d), &zone(name)).unwrap();
        assert_eq!(hours(day(2024, 5, 1, "Asia/Seoul")), 24);
        assert_eq!(hours(day(2024, 3, 10, "America/New_York")), 23);
        assert_eq!(hours(day(2024, 11, 3, "America/New_York")), 25);
        // Midnight itself was jumped over, and came twice.
        assert_eq!(hours(day(2018, 11, 4, "America/Sao_Paulo")), 23);
        assert_eq!(hours(day(2018, 2, 17, "America/Sao_Paulo")), 25);
        assert_eq!(hours(day(2011, 12, 30, "Pacific/Apia")), 0, "there was no such day");
        assert_eq!(hours(day(2011, 12, 29, "Pacific/Apia")), 24);
    }

    #[test]
    fn months_and_their_bounds() {
        let seoul = zone("Asia/Seoul");
        assert_eq!(hours(of_month(2024, 2, &seoul).unwrap()), 29 * 24);
        assert!(of_month(9998, 12, &seoul).is_ok() && of_month(1, 1, &seoul).is_ok());
        let flaws = of_month(0, 13, &seoul).unwrap_err().into_vec();
        assert_eq!(flaws.iter().map(|flaw| flaw.field).collect::<Vec<_>>(), ["year", "month"]);
        assert!(of_month(i64::MAX, i64::MIN, &seoul).is_err());
        assert!(of_day(Date::MAX, &seoul).is_err());
    }

    #[test]
    fn a_month_before_the_end_of_march_is_the_end_of_february() {
        let seoul = zone("Asia/Seoul");
        let march = of_day(date(2024, 3, 31), &seoul).unwrap().from;
        let before = months_before(march, 1, &seoul).unwrap();
        assert_eq!(day_of(before, &seoul), date(2024, 2, 29));
        assert!(months_before(march, 0, &seoul).is_err());
        assert!(months_before(march, 121, &seoul).is_err());
        assert!(months_before(UnixMicros(i64::MIN), 1, &seoul).is_err());
    }

    proptest! {
        #[test]
        fn an_instant_is_in_its_day_and_in_no_other(
            secs in -2_000_000_000i64..4_000_000_000, name in proptest::sample::select(&ZONES[..]),
        ) {
            let (at, zone) = (UnixMicros::from_secs(secs), zone(name));
            let day = day_of(at, &zone);
            prop_assert!(of_day(day, &zone).unwrap().contains(at));
            prop_assert!(!of_day(day.tomorrow().unwrap(), &zone).unwrap().contains(at));
            prop_assert!(!of_day(day.yesterday().unwrap(), &zone).unwrap().contains(at));
            prop_assert!(of_month(day.year().into(), day.month().into(), &zone).unwrap().contains(at));
        }

        #[test]
        fn days_follow_each_other_without_a_gap(
            days in 0i32..30_000, name in proptest::sample::select(&ZONES[..]),
        ) {
            let (day, zone) = (date(1960, 1, 1) + days.days(), zone(name));
            let (this, next) = (of_day(day, &zone).unwrap(), of_day(day.tomorrow().unwrap(), &zone).unwrap());
            prop_assert_eq!(this.until, next.from);
            prop_assert!(this.until.since(this.from) <= Duration::from_hours(25));
        }

        #[test]
        fn any_instant_has_a_day(at: i64, name in proptest::sample::select(&ZONES[..])) {
            let _ = day_of(UnixMicros(at), &zone(name));
        }
    }
}
