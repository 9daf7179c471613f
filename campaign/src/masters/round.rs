//! One fault under load, and what the judges say of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use stdx::Random;

use super::faults::Fault;
use super::load::{self, Load};
use super::report::{Refusal, Report};
use super::set::{Masters, Set};
use super::wire::{Reply, Request};

/// Acknowledged operations before and after a fault.
const BEFORE: u64 = 60;
const AFTER: u64 = 60;
const AFTER_MAX: Duration = Duration::from_mins(1);
/// How long a fault lasts.
const HOLD_MAX_MS: u64 = 4_000;
/// Of the log of the workers, where something is wrong.
const LOG_SHOWN: usize = 8_000;

/// Makes what a round needs. A fault may show late: a connection that it broke
/// is found out when it is used.
fn open<M: Masters>(set: &mut Set<M>, number: u64) -> Result<(), String> {
    let until = Instant::now() + AFTER_MAX;
    loop {
        set.wait_until_whole()?;
        match set.call(0)?.ask(&Request::Open(load::keys(number).collect())) {
            Ok(Reply::Done) => return Ok(()),
            other if Instant::now() > until => {
                return Err(format!("round {number} can't be opened: {other:?}"));
            }
            _ => {}
        }
    }
}

/// One fault under load; `false` where what follows would mean nothing.
pub(super) fn round<M: Masters>(
    set: &mut Set<M>,
    number: u64,
    fault: Fault<M::Own>,
    random: &Random,
    report: &mut Report,
) -> Result<bool, String> {
    open(set, number)?;
    let mut load = Load::start(&set.addresses, number, random.next_u64());
    load.wait_for(BEFORE, AFTER_MAX);
    let held = Duration::from_millis(50 + random.below(HOLD_MAX_MS));
    let suffered = set.suffer(fault, random, &|| std::thread::sleep(held));
    let whole = set.wait_until_whole();
    let went_on = load.wait_for(AFTER, AFTER_MAX);
    load.stop();
    let mut refusals = Vec::new();
    if let Err(why) = suffered {
        refusals.push(("the fault", why));
    }
    if !went_on {
        refusals.push(("going on", "nothing was acknowledged after the fault".to_owned()));
    }
    let refused_reads = load.seen.refused_reads.load(Ordering::SeqCst);
    if refused_reads > 0 && fault.spares_reads() && !set.conditions().shared {
        let why = format!("{refused_reads} were refused although a master served");
        refusals.push(("reads", why));
    }
    let line = report.lines.entry((set.kind(), fault.kind())).or_default();
    line.rounds += 1;
    line.acknowledged += load.seen.acknowledged.load(Ordering::SeqCst);
    line.refused += load.seen.refused.load(Ordering::SeqCst);
    line.unknown += load.seen.unknown.load(Ordering::SeqCst);
    line.reads_stood = line.reads_stood.max(load.seen.reads.longest());
    line.writes_stood = line.writes_stood.max(load.seen.writes.longest());
    let mut took_ms = 0;
    match whole {
        Ok(took) => {
            line.caught_up = line.caught_up.max(took);
            took_ms = took.as_millis();
        }
        Err(why) => refusals.push(("going on", why)),
    }
    match set.call(0) {
        Err(why) => refusals.push(("going on", why)),
        Ok(mut call) => {
            match load.judge(&mut call) {
                Ok(verdict) => {
                    line.lost += verdict.lost;
                    refusals.extend(verdict.refusals);
                }
                Err(why) => refusals.push(("going on", why)),
            }
            match call.ask_until_served(&Request::Verify) {
                Ok(Reply::Findings(found)) => {
                    line.different += found.different;
                    refusals.extend(found.structure.into_iter().map(|why| ("structure", why)));
                    for one in found.rows_told.iter().take(5) {
                        let why = format!("{} {}: {:?}", one.table, one.key, one.masters);
                        refusals.push(("rows", why));
                    }
                }
                other => {
                    refusals.push(("rows", format!("the masters can't be compared: {other:?}")));
                }
            }
        }
    }
    let well = refusals.is_empty();
    let place = format!("{}, round {number}, {fault:?}, {} ms", set.kind(), held.as_millis());
    if !report.quiet {
        let how = if well { "well" } else { "NOT WELL" };
        eprintln!("campaign: {place}: {how}, whole after {took_ms} ms");
        if !well {
            let log = set.log();
            let from = log.len().saturating_sub(LOG_SHOWN);
            let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("{}", &log[from..]);
            for (judge, why) in &refusals {
                eprintln!("campaign: {place}: {judge}: {why}");
            }
        }
    }
    let refusals = refusals.into_iter();
    report.refusals.extend(refusals.map(|(judge, why)| Refusal {
        judge,
        place: place.clone(),
        why,
    }));
    Ok(well)
}
