//! Aladin and Open Library against a server that replays answers of their
//! shape, and does what servers should not do.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use balance::BreakerConfig;
use endpaper_api::Secret;
use endpaper_reading::isbn::BookKey;
use endpaper_reading::sources::{
    AladinConfig, AladinSource, BookSource, BookSources, FoundBook, LookUp, OpenLibraryConfig,
    OpenLibrarySource, SearchField, SearchRequest, SourceEnvironment, SourceError, SourceLimits,
    SourceName, SourceState, Unavailable,
};
use expect_test::{Expect, expect};
use stdx::{Clock, Random, Seed, UnixMicros};

use crate::replay::{Replay, Reply, fixture};

const KEY: &str = "ttb-for-tests-0001";

/// Noon in Seoul on 1 March 2026.
const NOON: UnixMicros = UnixMicros::from_secs(1_772_334_000);

fn environment(clock: &Clock) -> SourceEnvironment {
    SourceEnvironment { clock: clock.clone(), random: Random::new(Seed(1)) }
}

fn aladin_with(clock: &Clock, base_url: &str, limits: SourceLimits) -> AladinSource {
    let key = Secret::new(KEY).unwrap();
    let config =
        AladinConfig { base_url: format!("{base_url}/ttb/api"), limits, ..AladinConfig::new(key) };
    AladinSource::new(config, environment(clock)).unwrap()
}

/// So long that no test meets it on a busy machine, but for those that mean to.
fn patient() -> SourceLimits {
    SourceLimits { time: Duration::from_mins(1), ..SourceLimits::default() }
}

fn aladin(clock: &Clock, replay: &Replay) -> AladinSource {
    aladin_with(clock, &replay.base_url, patient())
}

fn open_library(clock: &Clock, replay: &Replay) -> OpenLibrarySource {
    let config = OpenLibraryConfig {
        base_url: replay.base_url.clone(),
        contact: Some("library@example.org".to_owned()),
        limits: patient(),
        ..OpenLibraryConfig::default()
    };
    OpenLibrarySource::new(config, environment(clock)).unwrap()
}

fn request(start: u32, max_results: u32) -> SearchRequest {
    SearchRequest::new("메밀꽃", SearchField::Title, start, max_results).unwrap()
}

fn key(text: &str) -> BookKey {
    text.parse().unwrap()
}

fn clock() -> Clock {
    Clock::starting_at(NOON)
}

fn shown(book: &FoundBook) -> String {
    let people: Vec<String> =
        book.people.iter().map(|person| format!("{}:{:?}", person.name, person.role)).collect();
    let date = book.pub_date.map(|date| date.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{} | {} | {} | {} [{}] | {} | {} | {} | {:?} | {} | {:?}\n",
        book.key,
        book.title,
        text(&book.subtitle),
        book.author,
        people.join(" "),
        text(&book.publisher),
        date,
        text(&book.cover_url),
        book.total_pages,
        text(&book.genre),
        text(&book.description),
    )
}

fn check(books: &[FoundBook], expected: &Expect) {
    expected.assert_eq(&books.iter().map(shown).collect::<String>());
}

fn check_asked(replay: &Replay, expected: &Expect) {
    let asked: Vec<String> =
        replay.asked().iter().map(|asked| format!("{} {}\n", asked.method, asked.path)).collect();
    expected.assert_eq(&asked.concat());
}

#[tokio::test]
async fn aladin_searches_and_its_oddities_are_read() {
    let replay = Replay::always(|| fixture("aladin/search.js")).await;
    let page = aladin(&clock(), &replay).search(&request(1, 10)).await.unwrap();
    assert_eq!((page.source, page.total), (SourceName::Aladin, 64));
    check(
        &page.books,
        &expect![[r#"
        9791100000014 | 메밀꽃 필 무렵 - 이효석 단편선 | - | 이효석 [이효석:Author 한가람:Editor] | 봉평 & 장터 | 2015-10-20 | https://image.aladin.co.kr/product/1/1/cover/1100000011_1.jpg | None | 소설/시/희곡 | "<메밀꽃 필 무렵>이 실린 단편선.\n달빛 아래 봉평 장터를 걷는 사람들."
        9791100000021 | 메밀꽃 '필 무렵' 그림책 | - | 이효석, 두나래 [이효석:Author 두나래:Author 세아라:Illustrator] | - | 2021 | - | None | 국내도서 | "-"
        K842734999 | it's 메밀꽃 굿즈 세트 | - |  [] | 봉평 & 장터 |  | - | None | - | "한정판\t세트"
    "#]],
    );
    check_asked(
        &replay,
        &expect![[r"
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=10 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=1
    "]],
    );
    assert!(replay.asked()[0].raw.contains(&format!("ttbkey={KEY}")));
    assert!(replay.asked()[0].user_agent.starts_with("Endpaper/"));
}

#[tokio::test]
async fn aladin_counts_pages_and_we_count_results() {
    // An Aladin that has 900 books, each named by its number.
    let replay = Replay::start(|question, _| {
        let size = question.number("MaxResults");
        let first = (question.number("start") - 1) * size + 1;
        let items: Vec<String> = (first..first + size)
            .map(|number| format!(r#"{{"title":"{number}","itemId":{number}}}"#))
            .collect();
        Reply::Ok(format!(r#"{{"totalResults":900,"item":[{}]}}"#, items.join(",")).into_bytes())
    })
    .await;
    let source = aladin(&clock(), &replay);
    // The last can't be had as one page of at most 50.
    for (start, max_results) in [(1, 10), (11, 10), (46, 10), (26, 50)] {
        let page = source.search(&request(start, max_results)).await.unwrap();
        let titles: Vec<u32> = page.books.iter().map(|book| book.title.parse().unwrap()).collect();
        assert_eq!(titles, (start..start + max_results).collect::<Vec<_>>());
        assert_eq!(page.total, 200, "it gives no more than 200");
    }
    let by_author = SearchRequest::new("이효석", SearchField::Author, 21, 10).unwrap();
    source.search(&by_author).await.unwrap();
    let by_publisher = SearchRequest::new("봉평 & 장터", SearchField::Publisher, 51, 50).unwrap();
    source.search(&by_publisher).await.unwrap();
    check_asked(
        &replay,
        &expect![[r"
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=10 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=1
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=10 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=2
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=11 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=5
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=50 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=1
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=50 Output=JS Query=메밀꽃 QueryType=Title SearchTarget=Book Version=20131101 start=2
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=10 Output=JS Query=이효석 QueryType=Author SearchTarget=Book Version=20131101 start=3
        GET /ttb/api/ItemSearch.aspx Cover=Big MaxResults=50 Output=JS Query=봉평 & 장터 QueryType=Publisher SearchTarget=Book Version=20131101 start=2
    "]],
    );

    let past = source.search(&request(201, 10)).await.unwrap();
    assert_eq!((past.total, past.books.len()), (200, 0));
    assert_eq!(replay.asked_count(), 7, "nothing is asked for what can't be had");
}

#[tokio::test]
async fn aladin_looks_up_books_with_and_without_isbn() {
    let replay = Replay::start(|_, number| match number {
        1 => fixture("aladin/look_up_own_id.js"),
        0 | 2 => fixture("aladin/look_up.js"),
        _ => fixture("aladin/no_such_item.js"),
    })
    .await;
    let source = aladin(&clock(), &replay);
    let with = source.look_up(&key("9791100000014")).await.unwrap().unwrap();
    let without = source.look_up(&key("K642734155")).await.unwrap().unwrap();
    check(
        &[with, without],
        &expect![[r#"
        9791100000014 | 메밀꽃 필 무렵 | 이효석 단편선 | 이효석 [이효석:Author 한가람:Editor] | 봉평 & 장터 | 2015-10-20 | https://image.aladin.co.kr/product/1/1/cover/1100000011_1.jpg | Some(240) | 소설/시/희곡 | "<메밀꽃 필 무렵>이 실린 단편선."
        K642734155 | 장터 지도 | - |  [] | 봉평 | 2019-03-01 | https://image.aladin.co.kr/product/1/5/cover/k642734155_1.jpg | None | - | "-"
    "#]],
    );
    let another = source.look_up(&key("9791100000038")).await.unwrap();
    assert_eq!(another, None, "another book than the one that was asked for");
    assert_eq!(source.look_up(&key("aladin:77")).await, Ok(None));
    assert_eq!(source.look_up(&key("goodreads:5")).await, Ok(None));
    check_asked(
        &replay,
        &expect![[r"
        GET /ttb/api/ItemLookUp.aspx Cover=Big ItemId=9791100000014 ItemIdType=ISBN13 Output=JS Version=20131101
        GET /ttb/api/ItemLookUp.aspx Cover=Big ItemId=K642734155 ItemIdType=ISBN Output=JS Version=20131101
        GET /ttb/api/ItemLookUp.aspx Cover=Big ItemId=9791100000038 ItemIdType=ISBN13 Output=JS Version=20131101
        GET /ttb/api/ItemLookUp.aspx Cover=Big ItemId=77 ItemIdType=ItemId Output=JS Version=20131101
    "]],
    );
}

#[tokio::test]
async fn an_empty_sub_info_has_no_pages() {
    for sub_info in ["{}", "[]", "null", "\"\"", r#"{"itemPage":0}"#, r#"{"itemPage":""}"#] {
        let body = format!(
            r#"{{"totalResults":1,"item":[{{"title":"a","isbn13":"9791100000014","subInfo":{sub_info}}}]}};"#
        );
        let replay = Replay::always(move || Reply::Ok(body.clone().into_bytes())).await;
        let source = aladin(&clock(), &replay);
        let book = source.look_up(&key("9791100000014")).await.unwrap().unwrap();
        assert_eq!(book.total_pages, None, "{sub_info}");
    }
}

#[tokio::test]
async fn a_used_up_quota_is_not_asked_about_until_the_day_turns_in_korea() {
    let replay = Replay::start(|_, number| match number {
        0 => fixture("aladin/quota.js"),
        _ => fixture("aladin/look_up.js"),
    })
    .await;
    let clock = clock();
    let source = aladin(&clock, &replay);
    let midnight = NOON.after(Duration::from_hours(12));
    let exceeded = Err(SourceError::QuotaExceeded { until: midnight });
    let wanted = key("9791100000014");
    assert_eq!(source.look_up(&wanted).await, exceeded);
    assert_eq!(source.look_up(&wanted).await, exceeded);
    assert!(source.search(&request(1, 10)).await.is_err());
    assert_eq!(source.check().await, SourceState::QuotaExceeded { until: midnight });
    clock.advance(Duration::from_hours(12) - Duration::from_micros(1));
    assert_eq!(source.look_up(&wanted).await, exceeded);
    assert_eq!(replay.asked_count(), 1);
    clock.advance(Duration::from_micros(1));
    assert!(source.look_up(&wanted).await.unwrap().is_some());
    assert_eq!(source.state(), SourceState::Ready);
}

#[tokio::test]
async fn a_bad_key_is_said_and_never_shown() {
    for file in ["aladin/bad_key.js", "aladin/forbidden.js"] {
        let replay = Replay::start(move |_, number| match number {
            0 => fixture(file),
            _ => fixture("aladin/look_up.js"),
        })
        .await;
        let clock = clock();
        let source = aladin(&clock, &replay);
        let error = source.look_up(&key("9791100000014")).await.unwrap_err();
        assert!(matches!(error, SourceError::BadKey { .. }), "{error:?}");
        assert!(source.look_up(&key("9791100000014")).await.is_err());
        assert_eq!(replay.asked_count(), 1, "not asked again");
        assert!(!format!("{error:?} {error} {source:?}").contains(KEY));
        clock.set(error.retry_at().unwrap());
        assert!(source.look_up(&key("9791100000014")).await.is_ok(), "and tried again later");
    }
}

#[tokio::test]
async fn failures_open_the_breaker_and_a_trial_closes_it() {
    let replay = Replay::start(|_, number| match number {
        0..6 => Reply::Status(500),
        _ => fixture("aladin/look_up.js"),
    })
    .await;
    let clock = clock();
    let source = aladin(&clock, &replay);
    let wanted = key("9791100000014");
    for _ in 0..5 {
        assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Status(500).into()));
    }
    let resting = source.look_up(&wanted).await.unwrap_err();
    assert!(matches!(resting, SourceError::Unavailable(Unavailable::Resting { .. })));
    assert_eq!(replay.asked_count(), 5, "it costs nothing now");
    assert_eq!(source.check().await, SourceState::Resting { until: resting.retry_at().unwrap() });

    clock.set(resting.retry_at().unwrap());
    assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Status(500).into()), "a trial");
    let resting = source.look_up(&wanted).await.unwrap_err();
    clock.set(resting.retry_at().unwrap());
    assert!(source.look_up(&wanted).await.unwrap().is_some());
    assert_eq!(source.state(), SourceState::Ready);
    assert_eq!(replay.asked_count(), 7);
}

#[tokio::test]
async fn a_refused_question_says_nothing_about_the_next() {
    let replay = Replay::start(|_, number| match number {
        0..10 => Reply::Status(400),
        10..20 => fixture("aladin/refused.js"),
        _ => fixture("aladin/look_up.js"),
    })
    .await;
    let source = aladin(&clock(), &replay);
    for number in 0..20 {
        let error = source.look_up(&key("9791100000014")).await.unwrap_err();
        let why = if number < 10 {
            Unavailable::Status(400)
        } else {
            Unavailable::Refused("2 부적절한 검색어입니다.".to_owned())
        };
        assert_eq!(error, why.into());
    }
    assert!(source.look_up(&key("9791100000014")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let replay = Replay::start(|_, number| match number {
        0 => Reply::ComeBack(429, 120),
        1 => Reply::ComeBack(503, 1_000_000),
        _ => fixture("open_library/books.json"),
    })
    .await;
    let clock = clock();
    let source = open_library(&clock, &replay);
    let wanted = key("9780140449136");
    for (status, wait) in [(429, Duration::from_mins(2)), (503, Duration::from_hours(1))] {
        assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Status(status).into()));
        let until = clock.now().after(wait);
        assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Resting { until }.into()));
        clock.set(until);
    }
    assert!(source.look_up(&wanted).await.unwrap().is_some());
    assert_eq!(replay.asked_count(), 3);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let replay = Replay::always(|| Reply::Never).await;
    let limits = SourceLimits { time: Duration::from_millis(50), ..SourceLimits::default() };
    let source = aladin_with(&clock(), &replay.base_url, limits);
    let given_up = Err(Unavailable::TimeLimit.into());
    assert_eq!(source.look_up(&key("9791100000014")).await, given_up);
    assert_eq!(source.state(), SourceState::Trying);
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read_to_it() {
    let replay = Replay::always(|| Reply::Endless).await;
    let limits = SourceLimits { body_bytes_max: 100_000, ..patient() };
    let source = aladin_with(&clock(), &replay.base_url, limits);
    let too_long = Err(Unavailable::TooLong { bytes_max: 100_000 }.into());
    assert_eq!(source.look_up(&key("9791100000014")).await, too_long);

    let long = Replay::always(|| Reply::Ok(vec![b' '; 100_001])).await;
    let limits = SourceLimits { body_bytes_max: 100_000, ..patient() };
    let source = aladin_with(&clock(), &long.base_url, limits);
    assert_eq!(source.look_up(&key("9791100000014")).await, too_long, "it said so in advance");
}

#[tokio::test]
async fn other_ways_to_fail() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let source = aladin_with(&clock(), &nobody, patient());
    let wanted = key("9791100000014");
    assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Connect.into()));

    let broken = Replay::always(|| Reply::BreakOff).await;
    let source = aladin(&clock(), &broken);
    assert_eq!(source.look_up(&wanted).await, Err(Unavailable::BrokeOff.into()));

    for body in ["", "<html>점검 중입니다</html>", "[]", "{}", "{\"item\":"] {
        let garbled = Replay::always(move || Reply::Ok(body.as_bytes().to_vec())).await;
        let error = aladin(&clock(), &garbled).look_up(&wanted).await.unwrap_err();
        let is_garbled = matches!(error, SourceError::Unavailable(Unavailable::Garbled(_)));
        assert!(is_garbled, "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_nowhere_else() {
    // Open Library sends from one of its pages to another.
    let inside = Replay::start(|question, _| match question.path.as_str() {
        "/api/books" => Reply::Redirect("/elsewhere".to_owned()),
        _ => fixture("open_library/books.json"),
    })
    .await;
    let source = open_library(&clock(), &inside);
    assert!(source.look_up(&key("9780140449136")).await.unwrap().is_some());

    let circle = Replay::always(|| Reply::Redirect("/again".to_owned())).await;
    let source = aladin(&clock(), &circle);
    let wanted = key("9791100000014");
    assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Redirect.into()));
    assert_eq!(circle.asked_count(), 4, "the question, and three times on");

    let other = Replay::always(|| fixture("aladin/look_up.js")).await;
    let there = other.base_url.clone();
    let away = Replay::always(move || Reply::Redirect(format!("{there}/ttb/api"))).await;
    let source = aladin(&clock(), &away);
    assert_eq!(source.look_up(&wanted).await, Err(Unavailable::Redirect.into()));
    assert_eq!(other.asked_count(), 0, "the other server heard nothing");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_trial_to_another() {
    let replay = Replay::start(|_, number| match number {
        0 => Reply::Status(500),
        1 => Reply::Never,
        _ => fixture("aladin/look_up.js"),
    })
    .await;
    let clock = clock();
    let config = AladinConfig {
        base_url: replay.base_url.clone(),
        limits: patient(),
        breaker: BreakerConfig { consecutive_failures_max: 1, ..BreakerConfig::default() },
        ..AladinConfig::new(Secret::new(KEY).unwrap())
    };
    let source = AladinSource::new(config, environment(&clock)).unwrap();
    let wanted = key("9791100000014");
    assert!(source.look_up(&wanted).await.is_err());
    let resting = source.look_up(&wanted).await.unwrap_err();
    clock.set(resting.retry_at().unwrap());

    let mut trial = source.look_up(&wanted);
    // Polled until the question is out, so that the trial is under way.
    while replay.asked_count() < 2 {
        let poll = poll_fn(|context| Poll::Ready(trial.as_mut().poll(context)));
        assert!(poll.await.is_pending(), "it is never answered");
        tokio::task::yield_now().await;
    }
    assert!(source.look_up(&wanted).await.is_err(), "one trial at a time");
    drop(trial);
    assert!(source.look_up(&wanted).await.unwrap().is_some());
}

#[tokio::test]
async fn open_library_searches_and_looks_up() {
    let replay = Replay::start(|question, _| match question.path.as_str() {
        "/search.json" => fixture("open_library/search.json"),
        _ => fixture("open_library/books.json"),
    })
    .await;
    let source = open_library(&clock(), &replay);
    let by_title = SearchRequest::new("odyssey", SearchField::Title, 11, 4).unwrap();
    let page = source.search(&by_title).await.unwrap();
    assert_eq!((page.source, page.total), (SourceName::OpenLibrary, 31));
    check(
        &page.books,
        &expect![[r#"
        9780140449136 | The Odyssey | A new translation | Homer, Somebody Else [Homer:Author Somebody Else:Author] | Penguin | -0750 | https://covers.openlibrary.org/b/id/8739161-L.jpg | Some(541) | Epic poetry | "-"
        OL100M | A Pamphlet without a Number | - |  [] | - |  | - | None | - | "-"
    "#]],
    );
    let book = source.look_up(&key("0-14-044913-2")).await.unwrap().unwrap();
    check(
        &[book],
        &expect![[r#"
        9780140449136 | The Odyssey | A new translation | Homer [Homer:Author] | Penguin | 2003-01-30 | https://covers.openlibrary.org/b/id/8739161-L.jpg | Some(541) | Epic poetry | "-"
    "#]],
    );
    assert_eq!(source.look_up(&key("OL100M")).await, Ok(None), "it said nothing about that one");
    assert_eq!(source.look_up(&key("K642734155")).await, Ok(None));
    assert_eq!(source.look_up(&key("OL45804W")).await, Ok(None), "a work is no edition");
    check_asked(
        &replay,
        &expect![[r"
        GET /search.json fields=title,subtitle,author_name,publisher,first_publish_year,isbn,cover_i,cover_edition_key,number_of_pages_median,subject limit=4 offset=10 title=odyssey
        GET /api/books bibkeys=ISBN:9780140449136 format=json jscmd=data
        GET /api/books bibkeys=OLID:OL100M format=json jscmd=data
    "]],
    );
    assert!(replay.asked()[0].user_agent.ends_with("(library@example.org)"));
}

#[tokio::test]
async fn open_library_says_that_a_query_is_too_short() {
    let replay = Replay::always(|| Reply::Status(422)).await;
    let source = open_library(&clock(), &replay);
    for _ in 0..20 {
        let page = source.search(&request(1, 10)).await.unwrap();
        assert_eq!((page.total, page.books.len()), (0, 0));
    }
}

fn both(clock: &Clock, aladin_replay: &Replay, library_replay: &Replay) -> BookSources {
    BookSources::new(vec![
        Arc::new(aladin(clock, aladin_replay)),
        Arc::new(open_library(clock, library_replay)),
    ])
}

#[tokio::test]
async fn the_next_source_is_asked_when_one_fails_or_knows_nothing() {
    let clock = clock();
    let works = Replay::start(|question, _| match question.path.as_str() {
        "/search.json" => fixture("open_library/search.json"),
        _ => fixture("open_library/books.json"),
    })
    .await;
    let down = Replay::always(|| Reply::Status(500)).await;
    let nothing = Replay::always(|| fixture("aladin/no_such_item.js")).await;
    let knows = Replay::always(|| fixture("aladin/look_up.js")).await;
    let odyssey = key("9780140449136");

    let sources = both(&clock, &down, &works);
    let search = sources.search(&request(1, 10)).await;
    assert_eq!(search.page.unwrap().source, SourceName::OpenLibrary);
    assert_eq!(search.troubles.len(), 1);
    assert!(matches!(sources.look_up(&odyssey).await, LookUp::Found(_)));
    let LookUp::Unavailable(troubles) = sources.look_up(&key("9791100000014")).await else {
        panic!("a source that is down might have known it");
    };
    assert_eq!(troubles[0].source, SourceName::Aladin);

    let sources = both(&clock, &nothing, &works);
    let search = sources.search(&request(1, 10)).await;
    assert_eq!(search.page.unwrap().source, SourceName::OpenLibrary);
    assert_eq!(search.troubles, []);
    assert_eq!(sources.look_up(&key("9791100000014")).await, LookUp::NotFound);

    let before = works.asked_count();
    let sources = both(&clock, &knows, &works);
    let search = sources.search(&request(1, 10)).await;
    assert_eq!(search.page.unwrap().source, SourceName::Aladin);
    assert!(matches!(sources.look_up(&key("9791100000014")).await, LookUp::Found(_)));
    assert_eq!(works.asked_count(), before, "the second was not asked");

    let sources = both(&clock, &down, &down);
    let search = sources.search(&request(1, 10)).await;
    assert_eq!((search.page, search.troubles.len()), (None, 2));

    let none = BookSources::default();
    assert!(none.is_empty());
    assert_eq!(none.look_up(&odyssey).await, LookUp::NotFound);
    assert_eq!(none.search(&request(1, 10)).await.page, None);
}

#[tokio::test]
async fn how_a_source_is_can_be_asked() {
    let clock = clock();
    let replay = Replay::start(|_, number| match number {
        0 => Reply::Status(404),
        1 => Reply::Status(503),
        _ => Reply::Status(405),
    })
    .await;
    let sources = BookSources::new(vec![Arc::new(aladin(&clock, &replay))]);
    let is = |state| vec![(SourceName::Aladin, state)];
    assert_eq!(sources.states(), is(SourceState::Ready), "nothing bad is known");
    assert_eq!(sources.check().await, is(SourceState::Ready), "it is there, whatever it says");
    assert_eq!(sources.check().await, is(SourceState::Ready));
    check_asked(
        &replay,
        &expect![[r"
        HEAD / 
    "]],
    );
    clock.advance(Duration::from_secs(30));
    assert_eq!(sources.check().await, is(SourceState::Trying));
    assert_eq!(sources.check().await, is(SourceState::Trying), "asked once in half a minute");
    assert_eq!(replay.asked_count(), 2);
    clock.advance(Duration::from_secs(30));
    assert_eq!(sources.check().await, is(SourceState::Ready));
    clock.set(UnixMicros::from_secs(1_000_000_000));
    assert_eq!(sources.check().await, is(SourceState::Ready));
    assert_eq!(replay.asked_count(), 4, "a clock that was set back stops nothing");
}

#[test]
fn what_can_be_no_source() {
    let clock = clock();
    for base_url in
        ["", "aladin", "ftp://x/", "file:///etc/passwd", "https://", "http://x/?a=b", "http://x/#a"]
    {
        let config =
            OpenLibraryConfig { base_url: base_url.to_owned(), ..OpenLibraryConfig::default() };
        assert!(OpenLibrarySource::new(config, environment(&clock)).is_err(), "{base_url:?}");
    }
    for key in ["", "a b", "a\tb"] {
        let config = AladinConfig::new(Secret::new(key).unwrap());
        assert!(AladinSource::new(config, environment(&clock)).is_err(), "{key:?}");
    }
    let config =
        OpenLibraryConfig { contact: Some("도서관".to_owned()), ..OpenLibraryConfig::default() };
    assert!(OpenLibrarySource::new(config, environment(&clock)).is_err());
}

#[test]
fn what_can_be_no_search() {
    for (query, start, max) in
        [("", 1, 1), (" \u{0} ", 1, 1), ("x", 0, 1), ("x", 1, 0), ("x", 1, 51), ("x", 100_001, 1)]
    {
        assert!(
            SearchRequest::new(query, SearchField::Title, start, max).is_err(),
            "{query:?} {start} {max}"
        );
    }
    assert!(SearchRequest::new(&"가".repeat(101), SearchField::Title, 1, 1).is_err());
    let nfd = SearchRequest::new("\u{1112}\u{1161}\u{11ab}강", SearchField::Title, 1, 50).unwrap();
    assert_eq!(nfd.query(), "한강");
}
