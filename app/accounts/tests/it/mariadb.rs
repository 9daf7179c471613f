//! Every check once more, over two MariaDB servers; and with one of them gone.

use lab::{MariaDb, Scratch};
use multi_master::{Config, MasterConfig, MasterName, Policy};

use crate::support::{OTHER_MASTERS, World, config};
use crate::{
    devices, hostile, limits, log_in, operator, outages, profile, recovery, refresh, sign_up,
    tokens,
};

/// Each is a test of its own over SQLite files. (`no_secret_is_stored_as_it_is`
/// reads those files, and is not here.)
macro_rules! checks {
    ($($module:ident::$name:ident,)*) => {
        &[$((concat!(stringify!($module), "_", stringify!($name)), $module::$name as fn())),*]
    };
}

const CHECKS: &[(&str, fn())] = checks![
    sign_up::a_person_signs_up,
    sign_up::all_that_is_wrong_is_said_at_once_in_the_readers_language,
    sign_up::a_taken_name_is_refused_in_any_case_and_composition,
    sign_up::duplicate_checks,
    sign_up::of_many_at_once_one_wins,
    sign_up::the_profile_begins_with_what_the_request_says_of_its_reader,
    log_in::a_reader_logs_in_on_a_device,
    log_in::a_password_is_the_same_however_it_is_composed,
    log_in::an_unknown_login_id_is_as_wrong_as_a_wrong_password,
    log_in::a_suspended_account_is_told_so_only_with_its_password,
    log_in::a_hash_of_old_cost_is_renewed_at_the_next_log_in,
    log_in::the_same_device_has_one_session,
    log_in::a_device_too_many_ends_the_session_that_was_not_seen_for_longest,
    log_in::a_device_id_that_is_none_and_a_name_too_long_are_named,
    refresh::tokens_rotate,
    refresh::a_token_that_comes_again_ends_the_family,
    refresh::what_nobody_ever_had_ends_nothing,
    refresh::of_many_at_once_one_is_served_and_the_family_ends,
    refresh::of_many_at_once_with_one_key_all_are_served_the_same,
    refresh::a_lost_answer_is_had_again_with_its_key_until_it_was_used,
    refresh::another_key_or_none_is_no_repetition,
    refresh::a_session_that_nobody_refreshes_ends,
    devices::logging_out_ends_the_session_at_once_and_only_it,
    devices::devices_are_listed_the_last_seen_first,
    devices::a_deleted_device_is_out_at_once,
    devices::another_process_lets_it_in_for_some_seconds_at_most,
    devices::other_peoples_devices_are_not_there,
    devices::all_devices_at_once,
    tokens::a_token_says_who_where_and_until_when_and_no_more,
    tokens::a_token_expires,
    tokens::processes_and_restarts_share_the_keys,
    tokens::another_stores_token_is_none_of_ours,
    tokens::keys_rotate_and_the_old_verify_as_long_as_they_are_needed,
    tokens::many_first_log_ins_at_once_make_one_key,
    recovery::a_forgotten_login_id_comes_by_mail,
    recovery::a_forgotten_password_is_set_anew,
    recovery::the_answer_does_not_tell_who_has_an_account,
    recovery::mail_is_in_the_profiles_language_and_answers_in_the_requests,
    recovery::a_token_holds_for_half_an_hour,
    recovery::a_few_tokens_hold_at_once_and_end_together,
    recovery::one_token_at_once_twice_works_once,
    recovery::what_is_wrong_is_named_and_leaves_the_token,
    limits::guessing_a_password_ends_after_ten_and_locks_nobody_else_out,
    limits::an_unknown_login_id_is_limited_like_any,
    limits::one_address_tries_fifty_login_ids_and_no_more,
    limits::recovery_is_limited_by_target_and_by_address,
    limits::signing_up_looking_up_and_refreshing_are_limited_by_address,
    profile::a_reader_sees_and_changes_the_profile,
    profile::the_profiles_language_speaks_where_the_request_says_nothing,
    hostile::bodies_that_can_not_be_right,
    hostile::no_route_with_a_caller_opens_without_one,
    hostile::what_there_is_not,
    hostile::the_document_is_true,
    operator::the_demo_account_is_made_once_and_can_log_in,
    operator::users_are_found_by_login_id_and_made_admins,
    operator::what_has_expired_is_deleted_and_nothing_else,
    outages::nothing_is_saved_and_the_client_is_told_when_to_come_back,
];

struct Pair {
    servers: [(&'static str, MariaDb); 2],
    scratch: Scratch,
}

impl Pair {
    fn start(name: &str) -> Option<Self> {
        let software = lab::require_mariadb(name)?;
        let scratch = Scratch::new(&name.replace(' ', "-")).expect("a directory");
        let servers = ["a", "b"].map(|name| {
            let directory = scratch.path().join(name);
            (name, MariaDb::start(&software, &directory).expect("a server"))
        });
        Some(Self { servers, scratch })
    }

    /// Masters in new databases.
    fn masters(&self, database: &str) -> Config {
        let masters = self.servers.iter().map(|(name, server)| {
            server.create_database(database).expect("a database");
            MasterConfig { name: MasterName((*name).to_owned()), url: server.url(database) }
        });
        let witness = self.scratch.path().join(format!("{database}-witness.json"));
        Config::new(masters.collect(), Policy::Available, witness)
    }

    /// All rows, with their versions.
    fn rows(&self, database: &str) -> [String; 2] {
        let sql = "select * from users order by id; select * from sessions order by id; \
                   select * from reset_tokens order by token_hash; \
                   select * from signing_keys order by id";
        [0, 1].map(|at| self.servers[at].1.sql(database, sql).expect("rows"))
    }
}

#[test]
fn the_same_over_two_mariadb_servers() {
    let Some(pair) = Pair::start("accounts over two MariaDB servers") else { return };
    let mut written = 0;
    for (place, (name, check)) in CHECKS.iter().enumerate() {
        let database = format!("check_{place}");
        OTHER_MASTERS.set(Some(pair.masters(&database)));
        println!("{name}");
        check();
        assert!(OTHER_MASTERS.take().is_none(), "{name} starts no world");
        let [a, b] = pair.rows(&database);
        assert_eq!(a, b, "the masters differ after {name}");
        written += usize::from(!a.is_empty());
    }
    // Some checks are about what is refused; most leave rows.
    assert!(written > CHECKS.len() / 2, "{written} checks wrote to the servers");
}

/// A reader logs in, refreshes and is known while a database is down.
#[tokio::test(flavor = "multi_thread")]
async fn with_one_of_two_gone_readers_notice_nothing() {
    for gone in [0, 1] {
        let Some(mut pair) = Pair::start("log-in with one server gone") else { return };
        OTHER_MASTERS.set(Some(pair.masters("endpaper")));
        let world = World::start().await;
        world.api.sign_up("haeri").await;
        let before = world.api.log_in("haeri").await;
        pair.servers[gone].1.kill().expect("it ran");
        // What it remembers is of no use any more.
        world.clock.advance(config().believe_sessions_for);
        assert_eq!(world.api.knocks(&before.access).await, "200");
        let after = world.api.log_in("haeri").await;
        assert_eq!(world.api.knocks(&after.access).await, "200");
        assert_eq!(world.api.refresh(&before.refresh).await.line(), "200");
        world.api.sign_up("minsu").await;
        world.store.close().await;
    }
}
