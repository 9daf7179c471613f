//! The way of a book: `ToRead`, `Reading`, `AlmostFinished`, `Finished`.
//!
//! Progress is the last page read. It decides the category, unless the reader
//! set the category by hand: then it stays until the reader starts or finishes
//! the book, or closes it on its last page. Without a known number of pages
//! progress reaches `Reading` and no further.
//!
//! A category has fields of its own, and those of the categories before it:
//! `ToRead` has the expectation; from `Reading` on there are the day of the
//! start, the progress and how the reader came by the book; `Finished` has the
//! day of the finish, the rating and the review. A field that is *given* has to
//! fit the category that the book then has; what is on record from an earlier
//! time stays, so that reading a book again takes no review away.

use endpaper_api::reading::{
    Category, ChangeShelfBook, CloseBook, FinishReading, ShelveBook, StartReading,
};
use endpaper_api::{FieldProblem, Patch, Text};

use super::facts::{note_text, patched_text};
use crate::model::{EXPECTATION_CHARS_MAX, Flaws, PAGES_MAX, REVIEW_CHARS_MAX, Rating, Reading};

/// From this many percent on a book is almost finished.
pub const ALMOST_FINISHED_PERCENT: u32 = 70;

/// How far the reader is, in whole percent, rounded down; 100 only on the last
/// page. `None` where the number of pages is not known.
#[must_use]
pub fn percent(progress: u32, total_pages: Option<u32>) -> Option<u32> {
    let total = u64::from(total_pages.filter(|total| *total > 0)?);
    let percent = u64::from(progress) * 100 / total;
    Some(u32::try_from(percent.min(100)).expect("at most 100"))
}

/// The category that follows from progress. A book that was `started` is being
/// read, also before its first page is turned.
#[must_use]
pub fn category_of(progress: u32, total_pages: Option<u32>, started: bool) -> Category {
    match percent(progress, total_pages) {
        Some(100..) => Category::Finished,
        Some(ALMOST_FINISHED_PERCENT..) => Category::AlmostFinished,
        _ if progress > 0 || started => Category::Reading,
        _ => Category::ToRead,
    }
}

fn followed(reading: &Reading, total_pages: Option<u32>) -> Category {
    category_of(reading.progress, total_pages, reading.started_on.is_some())
}

/// How a reader stands with a book that is put on the shelf.
///
/// Without a category the one is taken that has the fields that are given.
pub fn shelve(request: &ShelveBook, total_pages: Option<u32>, flaws: &mut Flaws) -> Reading {
    let finish_given = request.reading_finished_date.is_some()
        || request.rating.is_some()
        || request.review.is_some();
    let start_given = request.reading_start_date.is_some() || request.purchase_type.is_some();
    let progress_given =
        request.reading_progress.and_then(|page| note_progress(page, total_pages, flaws));
    let by_progress = category_of(progress_given.unwrap_or(0), total_pages, start_given);
    let category =
        request.category.unwrap_or(if finish_given { Category::Finished } else { by_progress });
    let progress = match (progress_given, category, total_pages) {
        (Some(progress), ..) => progress,
        (None, Category::Finished, Some(total)) => total,
        (None, ..) => 0,
    };
    let mut reading = Reading {
        category,
        by_hand: false,
        expectation: note_text(
            "expectation",
            request.expectation.as_ref(),
            EXPECTATION_CHARS_MAX,
            flaws,
        ),
        started_on: request.reading_start_date.map(endpaper_api::Day::date),
        progress,
        purchase_type: request.purchase_type,
        finished_on: request.reading_finished_date.map(endpaper_api::Day::date),
        rating: request.rating.and_then(|stars| flaws.note("rating", Rating::new(stars))),
        review: note_text("review", request.review.as_ref(), REVIEW_CHARS_MAX, flaws),
    };
    // A reader who says "I'm reading it" before the first page says nothing
    // that progress will not say too; one who says "finished" of a half-read
    // book overrules it.
    let says_no_more = followed(&reading, total_pages) == category
        || (category == Category::Reading && progress == 0);
    reading.by_hand = !says_no_more;
    Given {
        start: request.reading_start_date.is_some(),
        progress: progress_given.is_some_and(|page| page > 0),
        purchase_type: request.purchase_type.is_some(),
        finish: request.reading_finished_date.is_some(),
        rating: request.rating.is_some(),
        review: request.review.is_some(),
    }
    .check(category, flaws);
    check_days(&reading, flaws);
    reading
}

/// How a reader stands with a book after a change of what is given.
///
/// `total_before` and `total_pages` are the book's pages before and after it.
pub fn change(
    old: &Reading,
    request: &ChangeShelfBook,
    total_before: Option<u32>,
    total_pages: Option<u32>,
    flaws: &mut Flaws,
) -> Reading {
    let mut new = old.clone();
    new.expectation = patched_text(
        "expectation",
        &request.expectation,
        old.expectation.as_deref(),
        EXPECTATION_CHARS_MAX,
        flaws,
    );
    new.review =
        patched_text("review", &request.review, old.review.as_deref(), REVIEW_CHARS_MAX, flaws);
    new.started_on = request.reading_start_date.map(endpaper_api::Day::date).apply(old.started_on);
    new.finished_on =
        request.reading_finished_date.map(endpaper_api::Day::date).apply(old.finished_on);
    new.purchase_type = request.purchase_type.apply(old.purchase_type);
    new.rating = match request.rating {
        Patch::Absent => old.rating,
        Patch::Null => None,
        Patch::Value(stars) => flaws.note("rating", Rating::new(stars)),
    };
    let total_changed = total_pages != total_before;
    match request.reading_progress {
        Some(page) => {
            new.progress = note_progress(page, total_pages, flaws).unwrap_or(old.progress);
        }
        // A finished book stays finished when its pages are counted anew.
        None if total_changed && old.category == Category::Finished => {
            new.progress = total_pages.unwrap_or(old.progress);
        }
        None => {
            if total_pages.is_some_and(|total| total < old.progress) {
                let (min, max) = (old.progress.into(), PAGES_MAX.into());
                flaws.add("totalPages", FieldProblem::OutOfRange { min, max });
                return new;
            }
        }
    }
    match request.category {
        Some(category) if category != old.category => {
            new.category = category;
            new.by_hand = true;
        }
        _ if old.by_hand => {}
        _ if request.reading_progress.is_some() => {
            new.category = followed(&new, total_pages);
        }
        _ if old.category == Category::Finished => {
            new.by_hand = followed(&new, total_pages) != Category::Finished;
        }
        _ if total_changed || new.started_on != old.started_on => {
            new.category = followed(&new, total_pages);
        }
        _ => {}
    }
    if new.category == Category::Finished && old.category != Category::Finished && !new.by_hand {
        check_finish(&new, flaws);
    }
    Given {
        start: request.reading_start_date.value().is_some(),
        progress: request.reading_progress.is_some_and(|page| page > 0),
        purchase_type: request.purchase_type.value().is_some(),
        finish: request.reading_finished_date.value().is_some(),
        rating: request.rating.value().is_some(),
        review: request.review.value().is_some(),
    }
    .check(new.category, flaws);
    check_days(&new, flaws);
    new
}

/// The reader sets the category by hand; everything else stays.
#[must_use]
pub fn set_category(old: &Reading, category: Category) -> Reading {
    Reading { category, by_hand: true, ..old.clone() }
}

/// The reader begins the book, also once more: from here on progress decides.
/// The day of an earlier finish goes, rating and review stay.
pub fn start(
    old: &Reading,
    request: &StartReading,
    total_pages: Option<u32>,
) -> Result<Reading, Flaws> {
    let mut flaws = Flaws::default();
    let progress = note_progress(request.reading_progress, total_pages, &mut flaws);
    if let (Some(progress), Some(total)) = (progress, total_pages)
        && progress >= total
    {
        let max = i64::from(total) - 1;
        flaws.add("readingProgress", FieldProblem::OutOfRange { min: 0, max });
    }
    let mut new = Reading {
        by_hand: false,
        started_on: Some(request.reading_start_date.date()),
        progress: progress.unwrap_or(0),
        purchase_type: request.purchase_type.or(old.purchase_type),
        finished_on: None,
        ..old.clone()
    };
    new.category = followed(&new, total_pages);
    flaws.check(new)
}

/// The reader has finished the book. Where its number of pages is known, all of
/// them are read.
pub fn finish(
    old: &Reading,
    request: &FinishReading,
    total_pages: Option<u32>,
) -> Result<Reading, Flaws> {
    let mut flaws = Flaws::default();
    let new = finished(
        old,
        Some(request.reading_finished_date.date()),
        Some(request.rating),
        request.review.as_ref(),
        total_pages,
        &mut flaws,
    );
    flaws.check(new)
}

/// The reader closes the book after a sitting. On its last page the finish is
/// asked for, unless it is on record.
pub fn close(
    old: &Reading,
    request: &CloseBook,
    total_pages: Option<u32>,
) -> Result<Reading, Flaws> {
    let mut flaws = Flaws::default();
    let progress =
        note_progress_as("lastReadPage", request.last_read_page, total_pages, &mut flaws);
    let Some(progress) = progress else { return Err(flaws) };
    let finish = request.reading_finished_date.map(endpaper_api::Day::date);
    if percent(progress, total_pages) == Some(100) {
        let new = finished(
            old,
            finish.or(old.finished_on),
            request.rating,
            request.review.as_ref(),
            total_pages,
            &mut flaws,
        );
        check_finish(&new, &mut flaws);
        return flaws.check(new);
    }
    let mut new = Reading { progress, ..old.clone() };
    if !old.by_hand {
        new.category = followed(&new, total_pages);
    }
    Given {
        finish: finish.is_some(),
        rating: request.rating.is_some(),
        review: request.review.is_some(),
        ..Given::default()
    }
    .check(new.category, &mut flaws);
    if new.category == Category::Finished {
        // By hand: what is said of the finish is taken.
        new.finished_on = finish.or(old.finished_on);
        new.rating = request
            .rating
            .and_then(|stars| flaws.note("rating", Rating::new(stars)))
            .or(old.rating);
        new.review = note_text("review", request.review.as_ref(), REVIEW_CHARS_MAX, &mut flaws)
            .or_else(|| old.review.clone());
        check_days(&new, &mut flaws);
    }
    flaws.check(new)
}

fn finished(
    old: &Reading,
    finished_on: Option<jiff::civil::Date>,
    rating: Option<i64>,
    review: Option<&Text>,
    total_pages: Option<u32>,
    flaws: &mut Flaws,
) -> Reading {
    let new = Reading {
        category: Category::Finished,
        // Without a number of pages progress can't say so.
        by_hand: total_pages.is_none(),
        progress: total_pages.unwrap_or(old.progress),
        finished_on,
        rating: rating.map_or(old.rating, |stars| flaws.note("rating", Rating::new(stars))),
        review: note_text("review", review, REVIEW_CHARS_MAX, flaws).or_else(|| old.review.clone()),
        ..old.clone()
    };
    check_days(&new, flaws);
    new
}

/// A page up to which the book is read.
fn note_progress(page: i64, total_pages: Option<u32>, flaws: &mut Flaws) -> Option<u32> {
    note_progress_as("readingProgress", page, total_pages, flaws)
}

fn note_progress_as(
    field: &'static str,
    page: i64,
    total_pages: Option<u32>,
    flaws: &mut Flaws,
) -> Option<u32> {
    let max = total_pages.unwrap_or(PAGES_MAX);
    let progress = match u32::try_from(page) {
        Ok(progress) if progress <= max => Ok(progress),
        _ => Err(FieldProblem::OutOfRange { min: 0, max: max.into() }),
    };
    flaws.note(field, progress)
}

/// Which fields a request gives a value to.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each field, and no state")]
struct Given {
    start: bool,
    progress: bool,
    purchase_type: bool,
    finish: bool,
    rating: bool,
    review: bool,
}

impl Given {
    fn check(self, category: Category, flaws: &mut Flaws) {
        let of_reading = [
            ("readingStartDate", self.start),
            ("readingProgress", self.progress),
            ("purchaseType", self.purchase_type),
        ];
        let of_finished = [
            ("readingFinishedDate", self.finish),
            ("rating", self.rating),
            ("review", self.review),
        ];
        for (first, fields) in [(Category::Reading, of_reading), (Category::Finished, of_finished)]
        {
            for (field, given) in fields {
                if !given || flaws.has(field) || category >= first {
                    continue;
                }
                let allowed: Vec<&str> = Category::ALL
                    .into_iter()
                    .filter(|category| *category >= first)
                    .map(Category::name)
                    .collect();
                flaws.add(field, FieldProblem::NotInCategory { allowed: allowed.join(", ") });
            }
        }
    }
}

/// What the last page asks for.
fn check_finish(reading: &Reading, flaws: &mut Flaws) {
    if reading.finished_on.is_none() {
        flaws.add("readingFinishedDate", FieldProblem::Required);
    }
    if reading.rating.is_none() && !flaws.has("rating") {
        flaws.add("rating", FieldProblem::Required);
    }
}

fn check_days(reading: &Reading, flaws: &mut Flaws) {
    if let (Some(started), Some(finished)) = (reading.started_on, reading.finished_on)
        && finished < started
    {
        flaws.add("readingFinishedDate", FieldProblem::BeforeStart);
    }
}

#[cfg(test)]
mod tests;
