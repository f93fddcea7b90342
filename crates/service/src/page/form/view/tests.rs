//! What the form shows of choices and of mistakes.

use std::collections::HashMap;
use std::sync::Arc;

use payouts_model::access::Pair;
use payouts_model::{Catalog, ParticipantId, PrincipalId, Role, Scope, TenantId, Timestamp};

use super::*;
use crate::config::FormConfig;
use crate::page::form::controls::Controls;

const PAGE: FormConfig = FormConfig { fiscal_year_first_month: 1, time_zone: chrono_tz::UTC };

fn viewer(participants: &[&str]) -> Viewer {
    let pair = |id: &&str| Pair { participant: Some(ParticipantId::new(id)), program: None };
    let scope = if participants.is_empty() { Scope::everything() } else { participants.iter().map(pair).collect() };
    Viewer { tenant: TenantId::new("t"), principal: PrincipalId::new("p"), role: Role::Viewer, scope }
}

fn view(entered: &[(&str, &str)], offered: &Offered, viewer: &Viewer) -> View {
    view_of(entered, &Offer::Known(Arc::new(offered.clone())), viewer)
}

fn view_of(entered: &[(&str, &str)], offer: &Offer, viewer: &Viewer) -> View {
    let report = Catalog::builtin().report(ReportName::Payments).clone();
    let (controls, aliases) = (Controls::of(&report), HashMap::new());
    let now = Timestamp::start_of("2026-11-27".parse().unwrap());
    let setting = Setting { report: &report, controls: &controls, page: &PAGE, program_aliases: &aliases, now };
    let pairs: Vec<(String, String)> = entered.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    let entry = Entry::read(&pairs, &setting);
    let choice = entry.check(&setting);
    View::new(&entry, choice.as_ref().map_err(Vec::as_slice), &setting, offer, viewer)
}

fn many(count: usize) -> Offered {
    let participants = (0..count).map(|n| (format!("00{}", 1_000 + n), format!("Partner {n} & Söhne"))).collect();
    Offered { participants, ..Offered::default() }
}

fn labels(picked: &Picked) -> Vec<&str> {
    picked.items.iter().map(|i| i.label.as_str()).collect()
}

#[test]
fn participants_are_found_by_name_and_by_ids() {
    let offered = many(300);
    let found = |find: &str| view(&[("find", find), ("participant", "1007")], &offered, &viewer(&[])).participants;
    let all = found("");
    assert_eq!((all.items.len(), all.summary.as_str(), all.searched), (51, "Partner 7 & Söhne", true));
    assert_eq!(all.everyone, "All 300 that you may see", "what stands there once nobody is ticked any more");
    assert!(all.items[0].chosen && all.more.starts_with("50 of 299 are shown."), "{}", all.more);
    assert_eq!(labels(&found("partner 29 &")), ["Partner 7 & Söhne", "Partner 29 & Söhne"]);
    assert_eq!(labels(&found("1299")), ["Partner 7 & Söhne", "Partner 299 & Söhne"]);
    let several = found("1001, 001002\n9999");
    assert_eq!(labels(&several), ["Partner 7 & Söhne", "Partner 1 & Söhne", "Partner 2 & Söhne"]);
    assert!(found("nobody").more.starts_with("Nothing found"));
}

#[test]
fn who_is_granted_and_has_no_rows_is_there_too() {
    let offered = Offered { participants: vec![("0012".into(), "Fabrikam".into())], ..Offered::default() };
    let shown = view(&[], &offered, &viewer(&["12", "34"])).participants;
    let items: Vec<(&str, &str)> = shown.items.iter().map(|i| (i.label.as_str(), i.note.as_str())).collect();
    assert_eq!(items, [("Fabrikam", "0012"), ("34", "no rows yet")]);
    assert_eq!((shown.summary.as_str(), shown.searched), ("All 2 that you may see", false));
    assert_eq!(view(&[], &offered, &viewer(&["12"])).participants.summary, "Fabrikam");
}

#[test]
fn before_it_is_known_what_there_is_one_writes() {
    let entered = [("participant", "12"), ("value.paymentStatus", "SENT"), ("currency", "EUR")];
    for (offer, looking) in [(Offer::Looking, true), (Offer::Failed("Why.".into()), false)] {
        let shown = view_of(&entered, &offer, &viewer(&["12", "34"]));
        let items: Vec<(&str, &str, bool)> =
            shown.participants.items.iter().map(|i| (i.label.as_str(), i.note.as_str(), i.chosen)).collect();
        assert_eq!(items, [("12", "", true), ("34", "", false)], "nothing is said of rows that nobody looked for");
        assert!(shown.participants.searched && shown.currencies.is_empty());
        assert!(shown.choices.iter().all(|choice| choice.lines.is_some()));
        assert_eq!(shown.choices[1].lines.as_deref(), Some("SENT"));
        assert_eq!((shown.looking, shown.notice.is_empty(), shown.currency.as_str()), (looking, false, "EUR"));
    }
    let nothing = view_of(&[], &Offer::Looking, &viewer(&[])).participants;
    assert_eq!((nothing.summary.as_str(), nothing.everyone.as_str()), ("All that you may see", "All that you may see"));
}

#[test]
fn too_many_values_are_written_and_few_are_ticked() {
    let program = Catalog::builtin().report(ReportName::Payments).index_of("programName").unwrap();
    let values = [Some("A".to_owned()), Some("B".to_owned()), Some(String::new())].into();
    let offered = Offered { values: HashMap::from([(program, values)]), ..Offered::default() };
    let entered = [("value.programName", "B"), ("value.programName", "C"), ("value.paymentStatus", "SENT")];
    let shown = view(&entered, &offered, &viewer(&[]));
    let (programs, statuses) = (&shown.choices[0], &shown.choices[1]);
    let ticks: Vec<(&str, bool)> = programs.items.iter().map(|i| (i.label.as_str(), i.chosen)).collect();
    assert_eq!(ticks, [("(blank)", false), ("A", false), ("B", true), ("C", true)], "a chosen one is never lost");
    assert_eq!((programs.summary.as_str(), programs.lines.as_deref(), programs.empty), ("B, C", None, None));
    assert_eq!((statuses.summary.as_str(), statuses.lines.as_deref()), ("SENT", Some("SENT")));
}

#[test]
fn which_days_is_said_in_words() {
    let offered = Offered::default();
    let days = |entered: &[(&str, &str)]| view(entered, &offered, &viewer(&[])).days;
    assert_eq!(days(&[]), "2025-11-28 to 2026-11-27, both days included, by last status change, in UTC time.");
    let own = [("period", "between"), ("from", "2026-01-01"), ("date", "paymentDate"), ("timeZone", "Europe/Berlin")];
    assert_eq!(days(&own), "From 2026-01-01 on, by payment date, in Europe/Berlin time.");
    assert_eq!(days(&[("period", "any")]), "Whatever the last status change is, also without one.");
    let shown = view(&[("use", "filter"), ("filter", "paymentDate le 2026-01-31")], &offered, &viewer(&[]));
    assert_eq!((shown.between, shown.from.as_str(), shown.to.as_str()), (true, "", "2026-01-31"));
    assert!(shown.expressible && shown.by_filter);
    let beyond = view(&[("use", "filter"), ("filter", "earned gt totalPayment")], &offered, &viewer(&[]));
    assert!(!beyond.expressible);
    let wrong = view(&[("use", "filter"), ("filter", "earnd gt 1")], &offered, &viewer(&[]));
    assert!(
        wrong.expressible && wrong.error("filter").contains("no field &#39;earnd&#39;"),
        "{}",
        wrong.error("filter")
    );
    assert_eq!((wrong.invalid("filter"), wrong.invalid("period")), (" aria-invalid=\"true\"", ""));
}
