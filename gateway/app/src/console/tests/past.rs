//! Who may ask what a device measured, and for what; `tests/tests/readings.rs` has the measured.

use axum::http::StatusCode;
use serde_json::json;

use super::desk::Desk;
use super::sample;
use crate::audit::{self, Wanted};
use crate::console::Role;

#[tokio::test]
async fn what_is_measured_of_people_is_for_those_who_answer_alerts_and_looks_at_it_are_noted() {
    let desk = Desk::open(sample::registry());
    let path = |device: &str, query: &str| format!("/api/v1/devices/{device}/readings?{query}");
    let hour = "from_ms=1795467300000&to_ms=1795470900000";
    let li = desk.program_of("li", Role::Duty, &[]);
    let fitter = desk.program_of("fitter", Role::Installer, &[]);
    let member = desk.program_of("zhao", Role::GridMember, &["kaili-1"]);
    // Nothing was recorded: that is unknown, and says so.
    let nothing = li.get(&path("restaurant-gas", hour)).await.json();
    assert_eq!((&nothing["series"], &nothing["known_from_ms"]), (&json!([]), &json!(1_795_470_900_000_i64)));
    assert_eq!(fitter.get(&path("restaurant-gas", hour)).await.status, StatusCode::OK);
    for device in ["home-wu-bracelet", "home-long-gas", "netbar-camera"] {
        assert_eq!(li.get(&path(device, hour)).await.status, StatusCode::OK, "{device}");
        assert_eq!(fitter.get(&path(device, hour)).await.code(), "wrong_role", "{device}");
    }
    assert_eq!(member.get(&path("workshop-smoke", hour)).await.code(), "no_device", "another grid's is not there");
    assert_eq!(li.get(&path("nothing", hour)).await.code(), "no_device");
    for query in [
        "",
        "from_ms=2&to_ms=1",
        "from_ms=0&to_ms=604800001",
        "from_ms=-9223372036854775808&to_ms=9223372036854775807",
        &format!("{hour}&field=nothing"),
    ] {
        assert_eq!(li.get(&path("restaurant-gas", query)).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
    // At the ends of time, too, it is an answer.
    let end = "from_ms=9223372036854775806&to_ms=9223372036854775807";
    assert_eq!(li.get(&path("restaurant-gas", end)).await.status, StatusCode::OK);
    let waits = audit::Deed::of_the_gateway("gateway.start", "past".into());
    desk.audit.note(waits, audit::Importance::Action).await;
    let wanted = Wanted { what: Some("readings".into()), who: Some("li".into()), limit: 100, ..Wanted::default() };
    let (looks, _) = audit::read(desk.data_dir(), &wanted).unwrap();
    let of: Vec<_> = looks.iter().map(|look| look.of.as_str()).collect();
    assert_eq!(of, ["home-wu-bracelet", "home-long-gas", "netbar-camera"], "and looks at a kitchen are not");
}
