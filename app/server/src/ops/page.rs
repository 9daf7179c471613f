//! The page's templates. `maud` escapes whatever is put into them.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use monitor::{OpenEpisode, Severity};
use multi_master::{Failover, FailoverOf, InDoubt, MasterState, Queue, QueueItem};
use stdx::UnixMicros;

use super::sessions::Session;
use super::words::Words;
use crate::operator::status::{AwayLine, LatencyLine, MasterLine, Status};
use crate::operator::{Operator, REASON_CHARS_MAX};
use crate::time::{instant, micros};
use crate::verification::{By, RunResult, Verified};

/// Where no script runs, the page is loaded again so often.
const REFRESH: &str = "5";

pub(super) fn shell(words: Words, live: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(words.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Endpaper · " (words.title()) }
                link rel="stylesheet" href="/ops/style.css";
                @if live {
                    script src="/ops/live.js" defer {}
                    noscript { meta http-equiv="refresh" content=(REFRESH); }
                }
            }
            body { (body) }
        }
    }
}

pub(super) fn log_in(words: Words, wrong: Option<&str>) -> Markup {
    shell(
        words,
        false,
        &html! {
            main.narrow {
                h1 { "Endpaper " small { (words.title()) } }
                form method="post" action="/ops/login" {
                    label for="token" { (words.token()) }
                    // A browser may keep it: it is a password.
                    input #token type="password" name="token" required autofocus
                        autocomplete="current-password";
                    @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
                    button.main { (words.log_in()) }
                }
                p.quiet { (words.where_token()) }
                p { (language(words)) }
            }
        },
    )
}

fn language(words: Words) -> Markup {
    html! {
        a href={ "/ops/language?to=" (words.other()) } hreflang=(words.other())
            lang=(words.other()) { (words.other_language()) }
    }
}

pub(super) fn secret(session: &Session) -> Markup {
    html! { input type="hidden" name="secret" value=(session.secret()); }
}

pub(super) fn whole(
    operator: &Operator,
    words: Words,
    session: &Session,
    notice: Option<&str>,
) -> Markup {
    shell(
        words,
        true,
        &html! {
            header {
                h1 { "Endpaper " small { (words.title()) } }
                nav {
                    a href="/ops/sagas" { (words.sagas()) }
                    (language(words))
                    form method="post" action="/ops/logout" {
                        (secret(session))
                        button { (words.log_out()) }
                    }
                }
            }
            p #stale role="alert" hidden { (words.no_answer()) }
            @if let Some(notice) = notice { p.notice role="status" { (notice) } }
            main #now { (now(operator, words, session)) }
        },
    )
}

/// What changes. Each section has an id: the script replaces those that did.
pub(super) fn now(operator: &Operator, words: Words, session: &Session) -> Markup {
    let at = operator.clock.now();
    let status = operator.status();
    let (queue, alerts) = (operator.store.queue(), operator.monitor.open());
    let page = Page { words, session, at };
    html! {
        (page.headline(&status, &alerts))
        (page.masters(&status))
        (page.queue(&queue))
        (page.alerts(&alerts))
        (page.verified(&status.verified, status.conflicts_kept))
        (page.failovers(&status.failovers))
        section #faults {
            h2 { (words.faults()) }
            @let faults = operator.faults.last();
            @if faults.is_empty() { p.quiet { (words.no_faults()) } }
            ol.log {
                @for fault in &faults {
                    li {
                        time datetime=(instant(fault.at)) { (instant(fault.at)) }
                        (severity(fault.severity))
                        span { (fault.text) }
                    }
                }
            }
        }
    }
}

struct Page<'a> {
    words: Words,
    session: &'a Session,
    at: UnixMicros,
}

/// How bad it is, in words too: colours alone say nothing to some.
fn severity(severity: &str) -> Markup {
    let class = match severity {
        "CRITICAL" => "bad",
        "WARNING" => "warn",
        _ => "info",
    };
    html! { span.badge.(class) { (severity) } }
}

const fn class_of(state: MasterState) -> &'static str {
    match state {
        MasterState::Live => "good",
        MasterState::Suspect | MasterState::Behind | MasterState::Joining => "warn",
        MasterState::Down => "bad",
    }
}

impl Page<'_> {
    fn headline(&self, status: &Status, alerts: &[OpenEpisode]) -> Markup {
        let words = self.words;
        let open = || alerts.iter().filter(|open| open.resolved_at.is_none());
        let critical = |key: &str| {
            open().any(|open| {
                open.alert.severity() == Severity::Critical && open.alert.key().as_str() == key
            })
        };
        let away: Vec<&str> = status
            .masters
            .iter()
            .filter(|master| !master.state.serves())
            .map(|master| master.name.as_str())
            .collect();
        let nobody = away.len() == status.masters.len();
        let (class, text) = if nobody || status.refuses.is_some() || critical("store/writes") {
            ("bad", words.writes_refused().to_owned())
        } else if !away.is_empty() {
            ("warn", format!("{} {}", words.are_away(&away.join(", ")), words.readers_fine()))
        } else if open().next().is_some() || status.in_doubt > 0 {
            ("warn", words.something().to_owned())
        } else {
            ("good", words.all_well().to_owned())
        };
        html! {
            section #headline.(class) role="status" {
                p { (text) }
                @if let Some(why) = &status.refuses { p.quiet { (why) } }
            }
        }
    }

    fn masters(&self, status: &Status) -> Markup {
        let words = self.words;
        html! {
            section #masters {
                h2 { (words.masters()) " " small { (words.epoch()) " " (status.epoch) } }
                div.cards { @for master in &status.masters { (self.master(master)) } }
                p.quiet { (words.last_minute()) "." }
            }
        }
    }

    fn master(&self, master: &MasterLine) -> Markup {
        let words = self.words;
        html! {
            article.card.(class_of(master.state)) {
                h3 {
                    (master.name) " "
                    span.badge.(class_of(master.state)) { (master.state) }
                    " " small { (words.state(master.state)) }
                }
                dl {
                    @if let Some(away) = &master.away { (self.away(away)) }
                    @if let Some(reason) = &master.reason {
                        dt { (words.why()) } dd { (reason) }
                    }
                    dt { (words.statements()) } dd { (self.latency(master.statements)) }
                    dt { (words.commits()) } dd { (self.latency(master.commits)) }
                    @if master.pool_waits > 0 {
                        dt { (words.pool_waits()) }
                        dd { (master.pool_waits) " · " (micros(master.pool_waited_us)) }
                    }
                }
            }
        }
    }

    fn away(&self, away: &AwayLine) -> Markup {
        let words = self.words;
        html! {
            dt { (words.away_for()) } dd { (words.duration(self.at.since(away.since))) }
            dt { (words.owed()) }
            dd {
                @match (away.to_be_filled, away.write_sets) {
                    (true, _) => (words.to_be_filled()),
                    (false, Some(count)) => (words.count(count, away.or_more)),
                    (false, None) => (words.not_known()),
                }
            }
            @if let Some(lag) = away.lag_ms {
                dt { (words.lag()) }
                dd { (words.duration(std::time::Duration::from_millis(lag))) }
            }
            (self.tries(away.attempts, away.next_try))
        }
    }

    fn tries(&self, attempts: u32, next: Option<UnixMicros>) -> Markup {
        let words = self.words;
        html! {
            dt { (words.failures()) } dd { (attempts) }
            dt { (words.next_try()) }
            dd {
                @match next {
                    Some(next) => (words.within(next.since(self.at))),
                    None => (words.now_trying()),
                }
            }
        }
    }

    fn latency(&self, line: LatencyLine) -> Markup {
        html! {
            @match (line.p50_us, line.p99_us) {
                (Some(half), Some(most)) => {
                    (micros(half)) " · " (micros(most)) " " small { "(" (line.count) ")" }
                }
                _ => span.quiet { (self.words.nothing_measured()) },
            }
        }
    }

    fn queue(&self, queue: &Queue) -> Markup {
        let words = self.words;
        html! {
            section #queue {
                h2 { (words.queue()) }
                @if queue.is_empty() { p.quiet { (words.queue_empty()) } }
                ul.items {
                    @for owed in &queue.masters {
                        li {
                            b { (owed.master) } " " span.badge.(class_of(owed.state)) { (owed.state) }
                            (self.item(
                                &QueueItem::Master(owed.master.clone()),
                                (owed.since, owed.attempts, owed.next_try),
                                owed.last_error.as_deref(),
                                !owed.to_be_filled,
                            ))
                        }
                    }
                    @for doubt in queue.in_doubt.iter().take(SHOWN_MAX) { (self.doubt(doubt)) }
                }
                @if queue.in_doubt.len() > SHOWN_MAX {
                    p { (queue.in_doubt.len() - SHOWN_MAX) " " (words.and_more()) }
                }
                @if queue.fell_out > 0 { p.wrong { (queue.fell_out) " " (words.fell_out()) } }
            }
        }
    }

    fn doubt(&self, doubt: &InDoubt) -> Markup {
        let item = QueueItem::Transaction(doubt.txid);
        let tries = (doubt.since, doubt.attempts, Some(doubt.next_try));
        html! {
            li {
                b { (self.words.in_doubt()) } " " code { (doubt.txid) }
                (self.item(&item, tries, doubt.last_error.as_deref(), true))
            }
        }
    }

    fn item(
        &self,
        item: &QueueItem,
        (since, attempts, next): (UnixMicros, u32, Option<UnixMicros>),
        error: Option<&str>,
        may_drop: bool,
    ) -> Markup {
        let words = self.words;
        let drop = format!("/ops/drop?item={item}");
        let waits = match item {
            QueueItem::Master(_) => words.away_for(),
            QueueItem::Transaction(_) => words.in_doubt_for(),
        };
        html! {
            dl {
                dt { (waits) } dd { (words.duration(self.at.since(since))) }
                (self.tries(attempts, next))
                @if let Some(error) = error { dt { (words.last_error()) } dd { (error) } }
            }
            // While it is being tried there is nothing to press.
            @if next.is_some() { div.buttons {
                form method="post" action="/ops/retry" {
                    (secret(self.session))
                    input type="hidden" name="item" value=(item);
                    button #{ "retry-" (item) } { (words.retry()) }
                }
                @if may_drop { a.button #{ "drop-" (item) } href=(drop) { (words.drop()) } }
            } }
        }
    }

    fn alerts(&self, alerts: &[OpenEpisode]) -> Markup {
        let words = self.words;
        html! {
            section #alerts {
                h2 { (words.alerts()) }
                @if alerts.is_empty() { p.quiet { (words.no_alerts()) } }
                ul.items {
                    @for open in alerts {
                        li {
                            (severity(open.alert.severity().as_str())) " "
                            b { (open.alert.summary()) } " " code { (open.alert.key()) }
                            p.quiet {
                                (words.since(&instant(open.since)))
                                @if open.resolved_at.is_some() { " · " (words.resolving()) }
                            }
                            dl {
                                @for (name, value) in open.alert.details() {
                                    dt { (name) } dd { (value) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn verified(&self, verified: &Verified, conflicts_kept: u64) -> Markup {
        let words = self.words;
        html! {
            section #verify {
                h2 { (words.verify()) }
                @if let Some(running) = &verified.running {
                    p { (words.comparing()) " " (words.rows_so_far(running.rows)) }
                }
                @match &verified.last {
                    None => p.quiet { (words.never_compared()) },
                    Some(last) => {
                        p {
                            (self.result(&last.result)) " "
                            small {
                                (instant(last.at)) ", "
                                (micros(last.took_ms.saturating_mul(1_000))) ", "
                                (match last.by {
                                    By::Operator => words.by_operator(),
                                    By::Schedule => words.by_schedule(),
                                    By::Refusal => words.by_refusal(),
                                })
                            }
                        }
                    }
                }
                @if conflicts_kept > 0 {
                    p {
                        (severity("WARNING")) " " (words.conflicts_kept(conflicts_kept)) " "
                        code { "endpaper masters conflicts ls" }
                    }
                }
                @if let Some(next) = verified.next {
                    p.quiet { (words.next_comparison()) ": " (instant(next)) }
                }
                @if verified.running.is_none() {
                    form method="post" action="/ops/verify" {
                        (secret(self.session))
                        button #compare { (words.compare_now()) }
                    }
                }
            }
        }
    }

    fn result(&self, result: &RunResult) -> Markup {
        let words = self.words;
        html! {
            @match result {
                RunResult::Failed(why) => { (severity("WARNING")) " " (why) }
                RunResult::Done { structure: 1.., .. } => {
                    (severity("CRITICAL")) " " (words.structure_wrong())
                }
                RunResult::Done { rows, different, repaired, .. } => {
                    @if different > repaired { (severity("WARNING")) " " }
                    (words.compared(*rows, *different, *repaired))
                    @if different > repaired {
                        " " (words.repair_hint()) ": "
                        code { "endpaper masters verify --repair" }
                    }
                }
            }
        }
    }

    fn failovers(&self, failovers: &[Failover]) -> Markup {
        let words = self.words;
        html! {
            @if !failovers.is_empty() {
                section #failovers {
                    h2 { (words.failovers()) }
                    ul.items {
                        @for one in failovers {
                            li {
                                (one.from) (PreEscaped(" → "))
                                @match &one.to { Some(to) => (to), None => (words.nobody()) }
                                ", "
                                (match one.what {
                                    FailoverOf::Read => words.of_reads(),
                                    FailoverOf::Writes => words.of_writes(),
                                })
                                ": " (one.count) " " (words.times())
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Transactions in doubt that are shown; the command shows all.
const SHOWN_MAX: usize = 20;

pub(super) fn ask_drop(
    words: Words,
    session: &Session,
    item: &QueueItem,
    refused: Option<&str>,
) -> Markup {
    let what = match item {
        QueueItem::Master(_) => words.drop_master(),
        QueueItem::Transaction(_) => words.drop_transaction(),
    };
    shell(
        words,
        false,
        &html! {
            main.narrow {
                h1 { code { (item) } }
                p { (what) }
                form method="post" action="/ops/drop" {
                    (secret(session))
                    input type="hidden" name="item" value=(item);
                    label for="reason" { (words.reason()) }
                    input #reason name="reason" required maxlength=(REASON_CHARS_MAX) autofocus;
                    @if let Some(refused) = refused { p.wrong role="alert" { (refused) } }
                    button.danger { (words.do_drop()) }
                }
                p { a href="/ops" { (words.back()) } }
            }
        },
    )
}
