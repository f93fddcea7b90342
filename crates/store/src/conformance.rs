//! What every store must do, as functions over any [`Store`]: a new backend passes all of them
//! unchanged, through [`conformance_tests!`](crate::conformance_tests).
//!
//! Each function gets a [`Fixture`] with an empty database. Nothing here knows a backend.

pub mod acceptance;
pub mod audit;
pub mod deletion;
pub mod durability;
pub mod grants;
pub mod limits;
pub mod queue;
pub mod retention;
pub mod shares;
pub mod visibility;
pub mod work;

use std::sync::Arc;

use async_trait::async_trait;
use payouts_model::export::{FileInfo, Query};
use payouts_model::{
    ErrorCode, ExportId, Failure, FileFormat, Pair, ParticipantId, PrincipalId, ReportName, Role, Scope, TenantId,
    Timestamp, Viewer,
};

use crate::audit::By;
use crate::{AcceptLimits, Accepted, Claim, ClaimTerms, Completion, CreateExport, IdempotencyKey, Store};

/// A database of one's own.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A store on the database, as another process would open it. The first call finds it empty;
    /// what earlier stores wrote is there for later ones.
    async fn open(&self) -> Arc<dyn Store>;
}

/// One test per function of the suite; `$fixture` makes a [`Fixture`] with an empty database, by
/// something that the calling module names.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::conformance_tests!(@each $fixture;
            acceptance: new_exports_are_queued, same_key_replays, key_is_free_again, key_holds_a_day,
                keys_belong_to_one_principal, full_queue_refuses, fifty_with_one_key_make_one,
                limit_is_exact_among_many, one_callers_fault_is_its_own, order_is_kept, callers_may_go_away;
            audit: what_is_done_is_recorded, nothing_is_recorded_that_was_not_done, many_writers_make_one_chain,
                pages_hold_every_record_once, it_is_never_swept;
            deletion: a_late_worker_brings_nothing_back, deleted_at_every_step, deletions_race_with_workers;
            durability: everything_survives_a_new_store, another_process_sees_it_at_once;
            grants: pairs_add_up, grants_run_out, granting_again_changes_until, revoking_takes_exactly_those,
                applying_makes_it_so, names_that_look_like_all_are_not,
                changes_elsewhere_are_at_work_at_once;
            queue: oldest_first_within_a_tenant, fewest_running_first, tenants_take_turns, ended_leases_are_claimed_again,
                lost_leases_are_counted, traces_go_along,
                ten_lost_leases_are_enough, taken_back_at_once, a_clock_that_went_back_holds_nothing_up,
                delays_are_honoured, handed_back_at_once, positions_count_from_one, positions_in_long_queues, eight_claimers_take_each_once;
            shares: principals_take_turns, a_principal_cannot_crowd_out_another, one_of_another_tenant_is_next,
                whoever_is_alone_has_every_slot, running_ones_have_a_cap, small_ones_pass_put_off_ones,
                only_so_many_are_put_off, putting_off_counts_as_nothing, a_long_queue_has_one_head;
            limits: all_queues_have_a_limit, files_have_a_limit, room_is_counted_through_a_files_life;
            retention: files_expire_once, purging_spares_files, keys_are_purged_after_a_day, a_hold_stops_everything,
                what_is_due_is_what_goes, versions_are_in_use_as_promised;
            visibility: scope_decides, admins_see_states, makers_and_admins_delete, deleting_frees_everything,
                lists_page_newest_first, lists_narrow, lists_are_searched, manifests_need_the_whole_scope, counts_add_up,
                the_longest_waits_are_told;
            work: data_version_is_fixed_once, progress_never_goes_back, completing_publishes, old_fences_change_nothing,
                third_fault_fails, failing_is_final, deleting_ends_a_claim;
        );
    };
    (@each $fixture:expr; $($module:ident: $($name:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$module::$name(&$fixture).await;
            })+
        })+
    };
}

/// When the tests begin.
pub const START: Timestamp = Timestamp(1_750_000_000_000_000);
/// The lease that the tests take.
pub const LEASE_MS: i64 = 10_000;
/// The limit of queued Exports that the tests set.
pub const LIMITS: AcceptLimits = AcceptLimits::of_tenant_queue(1_000);
/// Lost leases before WorkerLost.
pub const LOST_MAX: u32 = 10;
/// On which terms the tests claim.
pub const TERMS: ClaimTerms = ClaimTerms::any(LEASE_MS, LOST_MAX);
/// Attempts before Failed.
pub const ATTEMPTS_MAX: u32 = 3;

/// Limits of which only the tenant's queue has one.
pub const fn limit(tenant_queue_max: u64) -> AcceptLimits {
    AcceptLimits::of_tenant_queue(tenant_queue_max)
}

/// An instant `ms` after the start.
pub fn after(ms: i64) -> Timestamp {
    START.plus_ms(ms)
}

/// Somebody who grants.
pub fn by() -> By {
    By::operator("op", START)
}

/// An id made of a number.
pub fn id(n: u128) -> ExportId {
    ExportId(uuid::Uuid::from_u128(n))
}

/// A scope of these pairs; `*` is all.
pub fn scope(pairs: &[(&str, &str)]) -> Scope {
    let all = |text: &str| (text != "*").then(|| text.to_owned());
    pairs
        .iter()
        .map(|&(participant, program)| Pair {
            participant: all(participant).map(|p| ParticipantId::new(&p)),
            program: all(program),
        })
        .collect()
}

/// A viewer with this scope.
pub fn viewer(tenant: &str, principal: &str, role: Role, scope: Scope) -> Viewer {
    Viewer { tenant: TenantId::new(tenant), principal: PrincipalId::new(principal), role, scope }
}

/// Somebody of tenant `t` who sees everything.
pub fn everything() -> Viewer {
    viewer("t", "p", Role::Viewer, Scope::everything())
}

/// A request of tenant `t`, principal `p`, for payments of everything, `n` milliseconds after the
/// start.
pub fn request(n: u32) -> CreateExport {
    CreateExport {
        id: id(u128::from(n) + 1),
        report: ReportName::Payments,
        tenant: TenantId::new("t"),
        principal: PrincipalId::new("p"),
        query: Query {
            text: "paymentId=1".to_owned(),
            filter: "paymentID eq '1'".to_owned(),
            columns: vec!["participantID".to_owned(), "paymentID".to_owned()],
            format: FileFormat::DEFAULT,
            time_zone: "Europe/Berlin".to_owned(),
            now: START,
        },
        scope: Scope::everything(),
        warnings: Vec::new(),
        idempotency: None,
        created_at: after(i64::from(n)),
        trace: None,
    }
}

/// The same of another tenant.
pub fn request_of(tenant: &str, n: u32) -> CreateExport {
    CreateExport { tenant: TenantId::new(tenant), ..request(n) }
}

/// A key with the digest of what it was sent with.
pub fn key(key: &str, digest: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: key.to_owned(), request_digest: digest.to_owned() })
}

/// Accepts; anything but a new Export is a failure.
pub async fn accept(store: &dyn Store, create: CreateExport) -> payouts_model::Export {
    match store.accept(create, LIMITS).await.expect("accept") {
        Accepted::New { export, .. } => export,
        other => panic!("not a new export: {other:?}"),
    }
}

/// Claims, if there is something.
pub async fn try_claim(store: &dyn Store, now: Timestamp) -> Option<Claim> {
    store.claim("node", &TERMS, now).await.expect("claim")
}

/// Claims; nothing to claim is a failure.
pub async fn claim(store: &dyn Store, now: Timestamp) -> Claim {
    try_claim(store, now).await.expect("something to claim")
}

/// What a finished attempt of this claim leaves.
pub fn completion(claim: &Claim, rows: u64) -> Completion {
    Completion {
        file: FileInfo {
            fence: claim.fence,
            format: FileFormat::DEFAULT,
            download_name: "payments.zip".to_owned(),
            size_bytes: 100 + rows,
            sha256: "ab".repeat(32),
            rows,
        },
        manifest: format!("{{\"rowCount\":{rows}}}").as_str().into(),
        file_expires_at: after(1_000_000),
        reproducible_until: Some(after(500_000)),
        warnings: Vec::new(),
    }
}

/// A failure.
pub fn failure(code: ErrorCode) -> Failure {
    Failure { code, message: "because".to_owned(), retryable: true }
}

/// The Export as its maker sees it.
pub async fn see(store: &dyn Store, id: ExportId) -> payouts_model::Export {
    store.find(&everything(), ReportName::Payments, id).await.expect("find").expect("visible").export
}
