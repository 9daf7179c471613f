use endpaper_api::Day;
use endpaper_api::reading::PurchaseType;
use proptest::prelude::*;

use super::*;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn fields(flaws: &Flaws) -> Vec<&'static str> {
    flaws.as_slice().iter().map(|flaw| flaw.field).collect()
}

fn shelved(request: &ShelveBook, total: Option<u32>) -> Reading {
    let mut flaws = Flaws::default();
    let reading = shelve(request, total, &mut flaws);
    assert_eq!(flaws, Flaws::default());
    reading
}

fn refused(request: &ShelveBook, total: Option<u32>) -> Vec<&'static str> {
    let mut flaws = Flaws::default();
    shelve(request, total, &mut flaws);
    fields(&flaws)
}

fn closing(page: i64) -> CloseBook {
    CloseBook { last_read_page: page, reading_finished_date: None, rating: None, review: None }
}

fn to_read() -> Reading {
    shelved(&ShelveBook::default(), Some(100))
}

#[test]
fn the_table_of_progress() {
    let at = |progress| category_of(progress, Some(100), false);
    assert_eq!(at(0), Category::ToRead);
    assert_eq!(at(1), Category::Reading);
    assert_eq!(at(69), Category::Reading);
    assert_eq!(at(70), Category::AlmostFinished);
    assert_eq!(at(99), Category::AlmostFinished);
    assert_eq!(at(100), Category::Finished);
    // 69.9 % is not 70 %.
    assert_eq!(category_of(699, Some(1_000), false), Category::Reading);
    // A book of one page is never almost finished.
    assert_eq!(category_of(1, Some(1), false), Category::Finished);
    assert_eq!(category_of(50_000, None, false), Category::Reading);
}

#[test]
fn what_a_reader_says_when_shelving() {
    assert_eq!(to_read().category, Category::ToRead);
    assert!(!to_read().by_hand);

    let reading = ShelveBook { category: Some(Category::Reading), ..ShelveBook::default() };
    assert!(!shelved(&reading, Some(100)).by_hand, "progress takes over");

    let finished = ShelveBook {
        category: Some(Category::Finished),
        rating: Some(4),
        reading_finished_date: Some(day("2024-05-01")),
        ..ShelveBook::default()
    };
    let known = shelved(&finished, Some(100));
    assert_eq!((known.progress, known.by_hand), (100, false));
    let unknown = shelved(&finished, None);
    assert_eq!((unknown.progress, unknown.by_hand), (0, true));

    let half = ShelveBook { reading_progress: Some(50), ..finished.clone() };
    assert!(shelved(&half, Some(100)).by_hand, "the reader overrules progress");

    let unsaid = ShelveBook { category: None, ..finished };
    assert_eq!(shelved(&unsaid, Some(100)).category, Category::Finished);
}

#[test]
fn a_category_has_its_own_fields_and_those_before_it() {
    let everything = ShelveBook {
        category: Some(Category::ToRead),
        expectation: Some(text("much")),
        reading_start_date: Some(day("2024-05-01")),
        reading_progress: Some(10),
        purchase_type: Some(PurchaseType::Gift),
        reading_finished_date: Some(day("2024-05-09")),
        rating: Some(5),
        review: Some(text("more")),
        ..ShelveBook::default()
    };
    let of_reading = ["readingStartDate", "readingProgress", "purchaseType"];
    let of_finished = ["readingFinishedDate", "rating", "review"];
    assert_eq!(refused(&everything, Some(100)), [of_reading, of_finished].concat());
    let reading = ShelveBook { category: Some(Category::Reading), ..everything.clone() };
    assert_eq!(refused(&reading, Some(100)), of_finished);
    let finished = ShelveBook { category: Some(Category::Finished), ..everything };
    assert_eq!(refused(&finished, Some(100)), [""; 0]);
}

#[test]
fn values_that_can_not_be() {
    let wrong = ShelveBook {
        category: Some(Category::Finished),
        reading_start_date: Some(day("2024-05-02")),
        reading_finished_date: Some(day("2024-05-01")),
        reading_progress: Some(101),
        rating: Some(6),
        expectation: Some(text(&"글".repeat(501))),
        ..ShelveBook::default()
    };
    let expected = ["readingProgress", "expectation", "rating", "readingFinishedDate"];
    assert_eq!(refused(&wrong, Some(100)), expected);
    let negative = ShelveBook { reading_progress: Some(-1), ..ShelveBook::default() };
    assert_eq!(refused(&negative, None), ["readingProgress"]);
}

#[test]
fn starting_lets_progress_decide_again() {
    let by_hand = set_category(&to_read(), Category::AlmostFinished);
    let request = StartReading {
        reading_start_date: day("2024-05-01"),
        reading_progress: 0,
        purchase_type: Some(PurchaseType::Bought),
    };
    let started = start(&by_hand, &request, Some(100)).unwrap();
    assert_eq!((started.category, started.by_hand), (Category::Reading, false));
    let closed = close(&started, &closing(75), Some(100)).unwrap();
    assert_eq!(closed.category, Category::AlmostFinished);
    let back = close(&closed, &closing(0), Some(100)).unwrap();
    assert_eq!(back.category, Category::Reading, "it was started");

    let all = StartReading { reading_progress: 100, ..request };
    assert_eq!(fields(&start(&to_read(), &all, Some(100)).unwrap_err()), ["readingProgress"]);
}

#[test]
fn the_last_page_asks_for_the_finish() {
    let missing = close(&to_read(), &closing(100), Some(100)).unwrap_err();
    assert_eq!(fields(&missing), ["readingFinishedDate", "rating"]);
    let request = CloseBook {
        reading_finished_date: Some(day("2024-05-09")),
        rating: Some(5),
        review: Some(text("good")),
        ..closing(100)
    };
    let finished = close(&to_read(), &request, Some(100)).unwrap();
    assert_eq!((finished.category, finished.by_hand), (Category::Finished, false));
    assert_eq!(finished.review.as_deref(), Some("good"));
    let stars = CloseBook { rating: Some(9), ..request.clone() };
    assert_eq!(fields(&close(&to_read(), &stars, Some(100)).unwrap_err()), ["rating"]);
    let early = CloseBook { last_read_page: 99, ..request };
    assert_eq!(
        fields(&close(&to_read(), &early, Some(100)).unwrap_err()),
        ["readingFinishedDate", "rating", "review"]
    );
    assert_eq!(fields(&close(&to_read(), &closing(101), Some(100)).unwrap_err()), ["lastReadPage"]);
    // Closed again on the last page: the finish is on record.
    assert_eq!(close(&finished, &closing(100), Some(100)).unwrap(), finished);
}

#[test]
fn finishing_needs_no_number_of_pages() {
    let request =
        FinishReading { reading_finished_date: day("2024-05-09"), rating: 3, review: None };
    let known = finish(&to_read(), &request, Some(100)).unwrap();
    assert_eq!((known.category, known.progress, known.by_hand), (Category::Finished, 100, false));
    let unknown = finish(&to_read(), &request, None).unwrap();
    assert_eq!(
        (unknown.category, unknown.progress, unknown.by_hand),
        (Category::Finished, 0, true)
    );
    let started = Reading { started_on: Some(day("2024-05-10").date()), ..to_read() };
    let early = finish(&started, &request, None).unwrap_err();
    assert_eq!(fields(&early), ["readingFinishedDate"]);
}

fn changed(
    old: &Reading,
    request: &ChangeShelfBook,
    before: Option<u32>,
    after: Option<u32>,
) -> Result<Reading, Flaws> {
    let mut flaws = Flaws::default();
    let new = change(old, request, before, after, &mut flaws);
    flaws.check(new)
}

#[test]
fn a_change_of_progress_changes_the_category() {
    let total = Some(100);
    let pages =
        |page| ChangeShelfBook { reading_progress: Some(page), ..ChangeShelfBook::default() };
    let read = |page| changed(&to_read(), &pages(page), total, total);
    assert_eq!(read(1).unwrap().category, Category::Reading);
    assert_eq!(read(70).unwrap().category, Category::AlmostFinished);
    assert_eq!(fields(&read(100).unwrap_err()), ["readingFinishedDate", "rating"]);
    assert_eq!(fields(&read(101).unwrap_err()), ["readingProgress"]);
    let finish = ChangeShelfBook {
        reading_finished_date: Patch::Value(day("2024-05-09")),
        rating: Patch::Value(4),
        ..pages(100)
    };
    assert_eq!(changed(&to_read(), &finish, total, total).unwrap().category, Category::Finished);
    let early = ChangeShelfBook { rating: Patch::Value(4), ..pages(99) };
    assert_eq!(fields(&changed(&to_read(), &early, total, total).unwrap_err()), ["rating"]);
}

#[test]
fn a_finished_book_whose_pages_are_counted_anew_stays_finished() {
    let request =
        FinishReading { reading_finished_date: day("2024-05-09"), rating: 3, review: None };
    let finished = finish(&to_read(), &request, Some(100)).unwrap();
    let nothing = ChangeShelfBook::default();
    for total in [Some(90), Some(320), None] {
        let recounted = changed(&finished, &nothing, Some(100), total).unwrap();
        assert_eq!(recounted.category, Category::Finished);
        assert_eq!(recounted.by_hand, total.is_none());
    }
    // And the pages of a book that is being read can't be fewer than are read.
    let reading = close(&to_read(), &closing(50), Some(100)).unwrap();
    let fewer = changed(&reading, &nothing, Some(100), Some(49)).unwrap_err();
    assert_eq!(fields(&fewer), ["totalPages"]);
    assert_eq!(
        changed(&reading, &nothing, Some(100), Some(60)).unwrap().category,
        Category::AlmostFinished
    );
}

proptest! {
    #[test]
    fn the_category_never_falls_while_pages_are_read(
        total in proptest::option::of(1u32..3_000), progress in 0u32..3_000, started: bool,
    ) {
        let (this, next) = (category_of(progress, total, started), category_of(progress + 1, total, started));
        prop_assert!(this <= next);
        prop_assert_eq!(this == Category::ToRead, progress == 0 && !started);
        if let Some(total) = total {
            prop_assert_eq!(this == Category::Finished, progress >= total);
            if (1..total).contains(&progress) {
                let at_least_70 = f64::from(progress) / f64::from(total) >= 0.7;
                prop_assert_eq!(this == Category::AlmostFinished, at_least_70);
            }
        } else {
            prop_assert!(this <= Category::Reading);
        }
    }

    #[test]
    fn what_was_set_by_hand_stays_up_to_the_last_page(
        hand in proptest::sample::select(&Category::ALL[..]), total in 2u32..2_000,
        pages in proptest::collection::vec(0u32..2_000, 1..10),
    ) {
        let mut reading = set_category(&shelved(&ShelveBook::default(), Some(total)), hand);
        for page in pages {
            reading = close(&reading, &closing((page % total).into()), Some(total)).unwrap();
            prop_assert_eq!(reading.category, hand);
            prop_assert_eq!(reading.progress, page % total);
        }
    }

    #[test]
    fn closing_always_leaves_what_progress_says(
        total in proptest::option::of(2u32..2_000), pages in proptest::collection::vec(0u32..2_000, 1..10),
    ) {
        let mut reading = shelved(&ShelveBook::default(), total);
        for page in pages {
            let page = total.map_or(page, |total| page % total);
            reading = close(&reading, &closing(page.into()), total).unwrap();
            prop_assert_eq!(reading.category, category_of(page, total, false));
            prop_assert!(!reading.by_hand);
        }
    }

    #[test]
    fn a_change_that_mentions_nothing_changes_nothing(
        hand in proptest::option::of(proptest::sample::select(&Category::ALL[..])),
        total in proptest::option::of(1u32..500), page in 0u32..500,
    ) {
        let request = ShelveBook {
            category: hand,
            reading_progress: (hand != Some(Category::ToRead))
                .then(|| total.map_or(page, |total| page % total).into()),
            ..ShelveBook::default()
        };
        let reading = shelved(&request, total);
        prop_assert_eq!(changed(&reading, &ChangeShelfBook::default(), total, total).unwrap(), reading);
    }

    #[test]
    fn no_number_is_too_strange(page: i64, rating: Option<i64>, total in proptest::option::of(1u32..100_000)) {
        let request = CloseBook { rating, ..closing(page) };
        if let Ok(closed) = close(&to_read(), &request, total) {
            prop_assert!(closed.progress <= total.unwrap_or(PAGES_MAX));
        }
    }
}
