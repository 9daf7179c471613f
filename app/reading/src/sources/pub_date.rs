//! Dates of publication, as exact as they are known.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

/// When a book was published: a year, a month of a year, or a day. Catalogues
/// often know no more than the year, and it can be long before ours: the Iliad
/// has −750.
///
/// Written as ISO 8601 writes it: `2015`, `2015-10`, `2015-10-20`, `-0750`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PubDate {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
}

/// A text is no date of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date of publication is written 2015, 2015-10 or 2015-10-20")]
pub struct NotAPubDate;

impl PubDate {
    /// A year, from −9999 to 9999.
    pub fn year(year: i16) -> Result<Self, NotAPubDate> {
        if (-9999..=9999).contains(&year) {
            Ok(Self { year, month: None, day: None })
        } else {
            Err(NotAPubDate)
        }
    }

    /// A month of a year.
    pub fn month(year: i16, month: i8) -> Result<Self, NotAPubDate> {
        Date::new(year, month, 1).map_err(|_| NotAPubDate)?;
        Ok(Self { year, month: Some(month), day: None })
    }

    /// A day that exists.
    pub fn day(year: i16, month: i8, day: i8) -> Result<Self, NotAPubDate> {
        Date::new(year, month, day).map_err(|_| NotAPubDate)?;
        Ok(Self { year, month: Some(month), day: Some(day) })
    }

    /// Makes what can be made of a date as catalogues write it: `20151020`,
    /// `2015.10.20`, `2015년 10월`, `March 9, 2009`, `c1999`. Parts that can't be
    /// (month 0, 30 February) are left out; `None` where not even a year is
    /// left, as in `0000-00-00`.
    ///
    /// ```
    /// use endpaper_reading::sources::PubDate;
    ///
    /// let shown = |text| PubDate::from_catalogue(text).map(|date| date.to_string());
    /// assert_eq!(shown("20151020").as_deref(), Some("2015-10-20"));
    /// assert_eq!(shown("March 9, 2009").as_deref(), Some("2009-03-09"));
    /// assert_eq!(shown("2015-00-00").as_deref(), Some("2015"));
    /// assert_eq!(shown("0000-00-00"), None);
    /// ```
    #[must_use]
    pub fn from_catalogue(text: &str) -> Option<Self> {
        let mut year = None;
        let mut named_month = None;
        // Numbers of one or two digits, and whether they came after the year:
        // in `10/20/2015` nobody knows which is the month.
        let mut small: Vec<(i8, bool)> = Vec::new();
        for token in tokens(text).take(TOKENS_MAX) {
            match token {
                Token::Number(digits) if digits.len() == 8 && year.is_none() => {
                    let (first, rest) = digits.split_at(4);
                    year = first.parse().ok();
                    let (month, day) = rest.split_at(2);
                    small.extend([month, day].map(|part| (part.parse().unwrap_or(0), true)));
                }
                Token::Number(digits) if digits.len() == 4 && year.is_none() => {
                    year = digits.parse().ok();
                }
                Token::Number(digits) if digits.len() <= 2 => {
                    small.push((digits.parse().unwrap_or(0), year.is_some()));
                }
                Token::Word(word) if named_month.is_none() => named_month = month_named(word),
                Token::Number(_) | Token::Word(_) => {}
            }
        }
        let year = year.filter(|year: &i16| *year > 0)?;
        let (month, day) = if let Some(month) = named_month {
            (Some(month), small.first().map(|(number, _)| *number))
        } else {
            let mut after = small.iter().filter(|(_, after)| *after).map(|(number, _)| *number);
            (after.next(), after.next())
        };
        let exact = month.zip(day).and_then(|(month, day)| Self::day(year, month, day).ok());
        exact
            .or_else(|| month.and_then(|month| Self::month(year, month).ok()))
            .or_else(|| Self::year(year).ok())
    }
}

/// No date has more parts.
const TOKENS_MAX: usize = 16;

enum Token<'a> {
    Number(&'a str),
    Word(&'a str),
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(|character: char| character.is_alphanumeric())?;
        rest = &rest[start..];
        let is_number = rest.starts_with(|character: char| character.is_ascii_digit());
        let end = rest
            .find(|character: char| {
                !character.is_alphanumeric() || character.is_ascii_digit() != is_number
            })
            .unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(if is_number { Token::Number(token) } else { Token::Word(token) })
    })
}

fn month_named(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    let is_named = |month: &str| word == month || word.len() == 3 && month.starts_with(&word);
    let place = MONTHS.iter().position(|month| is_named(month))?;
    i8::try_from(place + 1).ok()
}

impl FromStr for PubDate {
    type Err = NotAPubDate;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, NotAPubDate> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let number = |part: &str, length: usize| -> Result<i16, NotAPubDate> {
            let is_number = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { part.parse().map_err(|_| NotAPubDate) } else { Err(NotAPubDate) }
        };
        let small = |part: &str| number(part, 2)?.try_into().map_err(|_| NotAPubDate);
        let mut parts = digits.split('-');
        let year = sign * number(parts.next().unwrap_or_default(), 4)?;
        if sign < 0 && year == 0 {
            return Err(NotAPubDate);
        }
        let date = match (parts.next(), parts.next(), parts.next()) {
            (None, _, _) => Self::year(year)?,
            (Some(month), None, _) => Self::month(year, small(month)?)?,
            (Some(month), Some(day), None) => Self::day(year, small(month)?, small(day)?)?,
            (Some(_), Some(_), Some(_)) => return Err(NotAPubDate),
        };
        Ok(date)
    }
}

impl fmt::Display for PubDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.year < 0 {
            write!(f, "-")?;
        }
        write!(f, "{:04}", self.year.unsigned_abs())?;
        if let Some(month) = self.month {
            write!(f, "-{month:02}")?;
        }
        if let Some(day) = self.day {
            write!(f, "-{day:02}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_as_catalogues_write_them() {
        for (text, expected) in [
            ("2015-10-20", Some("2015-10-20")),
            ("2015-10", Some("2015-10")),
            ("2015", Some("2015")),
            ("20151020", Some("2015-10-20")),
            ("20151000", Some("2015-10")),
            ("2015.10.20.", Some("2015-10-20")),
            ("2015/1/2", Some("2015-01-02")),
            ("2015년 10월 20일", Some("2015-10-20")),
            ("2015년10월", Some("2015-10")),
            ("2015-00-00", Some("2015")),
            ("2015-13-01", Some("2015")),
            ("2015-02-30", Some("2015-02")),
            ("2015-10-20T00:00:00", Some("2015-10-20")),
            ("2015-10-20 오전 12:00:00", Some("2015-10-20")),
            ("Sat, 27 Nov 2021 04:25:35 GMT", Some("2021-11-27")),
            ("March 9, 2009", Some("2009-03-09")),
            ("9 Mar 2009", Some("2009-03-09")),
            ("Sept 2009", Some("2009")),
            ("2000 June", Some("2000-06")),
            ("c1999", Some("1999")),
            ("[1999?]", Some("1999")),
            ("1st edition, 1999", Some("1999")),
            ("10/20/2015", Some("2015")),
            ("0000-00-00", None),
            ("", None),
            ("곧 나옴", None),
            ("12345", None),
            ("99", None),
        ] {
            let read = PubDate::from_catalogue(text).map(|date| date.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn only_one_spelling_is_read() {
        for bad in [
            "",
            "-",
            "15",
            "2015-1-2",
            "2015-10-20-1",
            "2015-13",
            "2015-02-30",
            "+2015",
            "-0000",
            "2015-",
            "２０１５",
            " 2015",
        ] {
            assert_eq!(bad.parse::<PubDate>(), Err(NotAPubDate), "{bad:?}");
        }
        assert_eq!("-0750".parse::<PubDate>(), PubDate::year(-750));
    }

    #[test]
    fn years_have_four_digits() {
        assert!(PubDate::year(-10_000).is_err());
        assert!(PubDate::year(10_000).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(year in -9999i16..=9999, month in 1i8..=12, day in 1i8..=31) {
            let dates = [PubDate::year(year), PubDate::month(year, month), PubDate::day(year, month, day)];
            for date in dates.into_iter().flatten() {
                prop_assert_eq!(date.to_string().parse::<PubDate>(), Ok(date));
                prop_assert!(date.to_string().len() <= 11);
                if year >= 1 {
                    prop_assert_eq!(PubDate::from_catalogue(&date.to_string()), Some(date));
                }
            }
        }

        #[test]
        fn any_text_is_a_date_or_none(text in any::<String>()) {
            let _ = text.parse::<PubDate>();
            if let Some(date) = PubDate::from_catalogue(&text) {
                prop_assert_eq!(date.to_string().parse::<PubDate>(), Ok(date));
            }
        }
    }
}
