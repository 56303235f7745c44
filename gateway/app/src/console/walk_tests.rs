//! Walk-tests: an installer goes from device to device, presses its test button, and sees what becomes of it; in the end
//! there is a certificate that the gateway signs.

mod certificate;
mod due;
mod kept;
mod measure;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use ninewatch_core::alert::{LONGEST_TURN, TurnError, TurnStep, WalkTurn};
use ninewatch_core::site::PlaceKind;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::alerts::{given_or_drawn, line};
use super::body::Sent;
use super::gate::Who;
use super::grid_codes::{self, At};
use super::problem::Problem;
use super::rights::{self, OfPeople};
pub(crate) use certificate::KEY;
use certificate::Signed;
pub(crate) use certificate::{Certificate, Told};
pub(crate) use due::WalkTestsDue;
use kept::{Site, Spot, WalkTest, WalkTests};
pub(crate) use kept::{WALK_TESTS, is_walked};
use measure::{DutyRoom, Ready, UpstreamTried};

/// What requests about walk-tests share.
pub(super) struct Walking {
    tests: WalkTests,
    ready: Arc<Ready>,
}

impl Walking {
    pub(super) fn new(data_dir: &std::path::Path) -> Self {
        Self { tests: WalkTests::new(data_dir), ready: Arc::default() }
    }
}

/// A day of walking; more would not fit on a certificate that somebody reads.
const MOST_DEVICES: usize = 300;
const LONGEST_REASON: usize = 200;
/// It is asked for again each quarter.
const AGAIN_AFTER_MS: TimeMs = 90 * 86_400_000;

/// `GET /walk-tests`, newest first.
#[derive(Debug, Serialize)]
pub(super) struct List {
    walk_tests: Vec<Row>,
}

/// One at a glance.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    begun_at_ms: TimeMs,
    by: String,
    places: Vec<Site>,
    devices: usize,
    passed: usize,
    failed: usize,
    finished: bool,
    /// When it is to be done again.
    due_at_ms: TimeMs,
}

/// A walk-test as it stands.
#[derive(Debug, Serialize)]
pub(super) struct View {
    #[serde(flatten)]
    test: WalkTest,
    upstreams: Vec<UpstreamTried>,
    duty_room: Option<DutyRoom>,
    /// What keeps it from being finished: `device:ID`, `upstream:NAME`, `duty_room`.
    lacks: Vec<String>,
    /// How long a turn lasts by itself.
    longest_turn_ms: TimeMs,
    due_at_ms: TimeMs,
    /// Whether the certificate is as this gateway has signed it.
    valid: Option<bool>,
    now_ms: TimeMs,
}

/// `POST /walk-tests`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    places: Vec<String>,
}

/// `POST /walk-tests/{id}/devices/{device}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    step: StepName,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepName {
    Begin,
    End,
    /// It does not pass, or cannot be tried, for a reason.
    Fail,
}

/// `POST /walk-tests/{id}/finish`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    /// Why it is handed over without: `upstream:NAME`, `duty_room`.
    #[serde(default)]
    reasons: BTreeMap<String, String>,
}

/// What the gateway signs.
#[derive(Debug, Serialize)]
struct Document<'a> {
    kind: &'static str,
    gateway: &'a str,
    software: &'static str,
    id: &'a str,
    begun_at_ms: TimeMs,
    begun_by: &'a str,
    finished_at_ms: TimeMs,
    finished_by: &'a str,
    due_at_ms: TimeMs,
    /// Every device passed, every upstream has receipted, and the duty room has accepted.
    passed: bool,
    places: &'a [Site],
    devices: &'a [Spot],
    upstreams: &'a [UpstreamTried],
    duty_room: Option<&'a DutyRoom>,
    reasons: &'a BTreeMap<String, String>,
}

/// Answers `GET /walk-tests`.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
) -> Result<(Option<Extension<OfPeople>>, Json<List>), Problem> {
    let (at, now) = (shared.clone(), shared.state.clock.now_ms());
    let all = shared.ask(move || at.walking.tests.all(now)).await??;
    let row = |test: WalkTest| Row {
        devices: test.devices.len(),
        passed: test.devices.iter().filter(|spot| spot.passed == Some(true)).count(),
        failed: test.devices.iter().filter(|spot| spot.passed == Some(false)).count(),
        finished: test.certificate.is_some(),
        due_at_ms: due(&test),
        id: test.id,
        begun_at_ms: test.begun_at_ms,
        by: test.by,
        places: test.places,
    };
    let site = shared.site();
    let is_home = |place: &Site| site.registry.place(&place.id).is_none_or(|place| place.kind == PlaceKind::Home);
    let shows_homes = all.iter().flat_map(|test| &test.places).any(is_home);
    Ok((rights::of_people(shows_homes), Json(List { walk_tests: all.into_iter().map(row).collect() })))
}

/// Answers `POST /walk-tests`.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    who: Who,
    Sent(Wanted { places }): Sent<Wanted>,
) -> Result<Json<View>, Problem> {
    let site = shared.site();
    let mut named = Vec::new();
    for id in &places {
        let place = site.registry.place(id).ok_or_else(|| {
            Problem::not_found("no_place", format!("there is no place `{id}`"), "GET /api/v1/places lists them")
        })?;
        if !named.iter().any(|one: &Site| one.id == *id) {
            let (id, name) = (id.clone(), place.name.clone());
            named.push(Site { id, name, grid: place.grid.clone(), address: place.address.clone() });
        }
    }
    let of_the_places = site.registry.devices.iter().filter(|device| places.contains(&device.place));
    let devices: Vec<Spot> = of_the_places
        .map(|device| Spot {
            device: device.id.clone(),
            place: device.place.clone(),
            spot: device.spot.clone(),
            class: site.sensor_types.get(&device.sensor_type).map(|known| known.class),
            sensor_type: device.sensor_type.clone(),
            tested_by: None,
            turn_at_ms: None,
            ended_at_ms: None,
            passed: None,
            reason: None,
            measured: kept::Measured::default(),
        })
        .collect();
    if devices.is_empty() || devices.len() > MOST_DEVICES {
        let detail = format!("there are {} devices at these places", devices.len());
        return Err(Problem::bad(detail, format!("name places that have 1 to {MOST_DEVICES} devices together")));
    }
    let test = WalkTest {
        id: given_or_drawn(None, "it")?,
        begun_at_ms: shared.state.clock.now_ms(),
        by: who.account().to_owned(),
        places: named,
        devices,
        certificate: None,
    };
    let (at, kept) = (shared.clone(), test.clone());
    shared.ask(move || at.walking.tests.add(&kept)).await??;
    tracing::info!(account = who.account(), id = %test.id, devices = test.devices.len(), "a walk-test begins");
    Ok(Json(view(&shared, test).await?))
}

/// Answers `GET /walk-tests/{id}`.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<(Option<Extension<OfPeople>>, Json<View>), Problem> {
    let at = shared.clone();
    let test = shared.ask(move || at.walking.tests.one(&id)).await??;
    let site = shared.site();
    let is_of_a_person =
        |spot: &Spot| site.registry.device(&spot.device).is_none_or(|device| rights::is_of_a_person(&site, device));
    let shown = rights::of_people(test.devices.iter().any(is_of_a_person));
    Ok((shown, Json(view(&shared, test).await?)))
}

/// Answers `POST /walk-tests/{id}/devices/{device}`.
pub(super) async fn turn(
    State(shared): State<Arc<Shared>>,
    Path((id, device)): Path<(String, String)>,
    who: Who,
    Sent(Step { step, reason }): Sent<Step>,
) -> Result<Json<View>, Problem> {
    let reason = reason.map(|reason| line("reason", &reason, LONGEST_REASON)).transpose()?;
    match (step, &reason) {
        (StepName::Fail, None) => return Err(Problem::bad("`reason` is missing", "say why it does not pass")),
        (StepName::Begin | StepName::End, Some(_)) => {
            return Err(Problem::bad("`reason` is for fail only", "leave it out"));
        }
        _ => {}
    }
    let (at, asked) = (shared.clone(), id.clone());
    let test = shared.ask(move || at.walking.tests.one(&asked)).await??;
    let spot = test.devices.iter().find(|spot| spot.device == device).ok_or_else(|| {
        let detail = format!("the device `{device}` is not in this walk-test");
        Problem::not_found("no_device", detail, "GET /api/v1/walk-tests/{id} lists them")
    })?;
    if test.certificate.is_some() {
        return Err(Problem::conflict("walk_finished", "this walk-test is finished", "begin another one"));
    }
    if step == StepName::End && !spot.has_its_turn() {
        return Err(Problem::conflict("no_turn", "it is not this device's turn", "begin its turn first"));
    }
    let (now, by) = (shared.state.clock.now_ms(), who.account().to_owned());
    let told = |step| WalkTurn { walk_test: id.clone(), device: device.clone(), by: by.clone(), step };
    let test = match step {
        StepName::Begin => {
            let times = (id.clone(), device.clone());
            shared.walking.ready.listen(shared.state.engine.changes(), shared.state.clock, times);
            shared.state.engine.turn(told(TurnStep::Begin)).await?.map_err(|error| refused(&error))?;
            keep(&shared, &id, &device, move |spot| {
                (spot.tested_by, spot.turn_at_ms, spot.ended_at_ms) = (Some(by), Some(now), None);
                (spot.passed, spot.reason, spot.measured) = (None, None, kept::Measured::default());
            })
            .await?
        }
        StepName::End | StepName::Fail => {
            let statuses = measure::statuses(&shared).await?;
            let (at, whole, its) = (shared.clone(), test.clone(), spot.clone());
            let measured = shared
                .ask(move || {
                    let status = statuses.get(&its.device);
                    measure::measure(&at.state.index, &at.walking.ready, &whole, &its, status)
                })
                .await?;
            if spot.has_its_turn() {
                match shared.state.engine.turn(told(TurnStep::End)).await? {
                    // It was removed meanwhile: there is nothing left to be marked.
                    Ok(()) | Err(TurnError::NoDevice(_)) => {}
                    Err(error) => return Err(refused(&error)),
                }
            }
            let passed = step == StepName::End && spot.is_passed_by(&measured);
            keep(&shared, &id, &device, move |spot| {
                if spot.has_its_turn() {
                    (spot.ended_at_ms, spot.measured) = (Some(now), measured);
                }
                spot.tested_by.get_or_insert(by);
                (spot.passed, spot.reason) = (Some(passed), reason);
            })
            .await?
        }
    };
    Ok(Json(view(&shared, test).await?))
}

/// Answers `POST /walk-tests/{id}/finish`.
pub(super) async fn finish(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    Sent(Finish { reasons }): Sent<Finish>,
) -> Result<Json<View>, Problem> {
    let mut given = BTreeMap::new();
    for (of, reason) in reasons {
        given.insert(of, line("reasons", &reason, LONGEST_REASON)?);
    }
    let by = who.account().to_owned();
    let at = shared.clone();
    let finish = move || {
        let now = at.state.clock.now_ms();
        let gateway = at.state.settings.borrow().gateway.clone();
        let sign = |test: &mut WalkTest| {
            let (upstreams, duty_room) = (measure::upstreams(&at, test), measure::duty_room(&at.state.index, test));
            let lacks = lacks(test, &upstreams, duty_room.as_ref());
            if let Some(alien) = given.keys().find(|of| !lacks.contains(of) || of.starts_with("device:")) {
                let detail = format!("`{alien}` needs no reason here");
                return Err(Problem::bad(detail, "give reasons for what `lacks` says; a device has its own"));
            }
            let open: Vec<_> = lacks.iter().filter(|of| !given.contains_key(*of)).map(String::as_str).collect();
            if !open.is_empty() {
                let detail = format!("it lacks {}", open.iter().take(5).copied().collect::<Vec<_>>().join(", "));
                return Err(Problem::conflict("walk_unfinished", detail, "try them, or say why not"));
            }
            let passed = given.is_empty() && test.devices.iter().all(|spot| spot.passed == Some(true));
            let document = Document {
                kind: "ninewatch-walk-test",
                gateway: &gateway,
                software: env!("CARGO_PKG_VERSION"),
                id: &test.id,
                begun_at_ms: test.begun_at_ms,
                begun_by: &test.by,
                finished_at_ms: now,
                finished_by: &by,
                due_at_ms: due(test),
                passed,
                places: &test.places,
                devices: &test.devices,
                upstreams: &upstreams,
                duty_room: duty_room.as_ref(),
                reasons: &given,
            };
            let signed = serde_json::to_string(&document)
                .map_err(anyhow::Error::from)
                .and_then(|document| Signed::sign(at.walking.tests.data_dir(), document));
            test.certificate = Some(signed.map_err(|error| unsigned(&error))?);
            Ok(())
        };
        at.walking.tests.change(&id, sign)
    };
    let test = shared.ask(finish).await??;
    tracing::info!(account = who.account(), id = %test.id, "a walk-test is finished");
    Ok(Json(view(&shared, test).await?))
}

/// Answers `GET /walk-tests/{id}/code.svg`: a QR code of where the certificate is shown, with its hash.
pub(super) async fn code(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    at: Result<Query<At>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(At { origin }) = at?;
    let asked = shared.clone();
    let test = shared.ask(move || asked.walking.tests.one(&id)).await??;
    let Some(certificate) = &test.certificate else {
        return Err(Problem::conflict("walk_unfinished", "there is no certificate yet", "finish the walk-test"));
    };
    let picture = grid_codes::code_of_address(&origin, &format!("/#/walk/{}?sha256={}", test.id, certificate.sha256))?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}

/// The places whose last walk-test is so old that they are to be walked again, with since when.
///
/// # Errors
/// Where the walk-tests cannot be read.
pub(crate) fn overdue(data_dir: &std::path::Path, now: TimeMs) -> anyhow::Result<BTreeMap<String, TimeMs>> {
    let mut last = due::all(data_dir)?;
    last.retain(|_, due| *due < now);
    Ok(last)
}

/// It is asked for again each quarter.
fn due(test: &WalkTest) -> TimeMs {
    test.begun_at_ms + AGAIN_AFTER_MS
}

fn lacks(test: &WalkTest, upstreams: &[UpstreamTried], duty_room: Option<&DutyRoom>) -> Vec<String> {
    let devices = test.devices.iter().filter(|spot| spot.is_lacking()).map(|spot| format!("device:{}", spot.device));
    let upstreams = upstreams.iter().filter(|one| !one.receipted).map(|one| format!("upstream:{}", one.name));
    devices.chain(upstreams).chain(duty_room.is_none().then(|| "duty_room".to_owned())).collect()
}

async fn keep(
    shared: &Arc<Shared>,
    id: &str,
    device: &str,
    change: impl FnOnce(&mut Spot) + Send + 'static,
) -> Result<WalkTest, Problem> {
    let (at, id, device) = (shared.clone(), id.to_owned(), device.to_owned());
    let change = move |test: &mut WalkTest| {
        test.devices.iter_mut().find(|spot| spot.device == device).map(change);
        Ok(())
    };
    shared.ask(move || at.walking.tests.change(&id, change)).await?
}

/// With what the gateway sees now of the turns that go on.
async fn view(shared: &Arc<Shared>, mut test: WalkTest) -> Result<View, Problem> {
    let statuses = measure::statuses(shared).await?;
    let at = shared.clone();
    shared
        .ask(move || {
            let live: Vec<_> = test
                .devices
                .iter()
                .map(|spot| {
                    let status = statuses.get(&spot.device);
                    spot.has_its_turn()
                        .then(|| measure::measure(&at.state.index, &at.walking.ready, &test, spot, status))
                })
                .collect();
            for (spot, live) in test.devices.iter_mut().zip(live) {
                spot.measured = live.unwrap_or_else(|| std::mem::take(&mut spot.measured));
            }
            let (upstreams, duty_room) = (measure::upstreams(&at, &test), measure::duty_room(&at.state.index, &test));
            let valid = test.certificate.as_ref().map(|signed| signed.is_valid(at.walking.tests.data_dir()));
            Ok(View {
                lacks: lacks(&test, &upstreams, duty_room.as_ref()),
                upstreams,
                duty_room,
                longest_turn_ms: LONGEST_TURN.ms(),
                due_at_ms: due(&test),
                valid: valid.transpose().map_err(|error| unsigned(&error))?,
                now_ms: at.state.clock.now_ms(),
                test,
            })
        })
        .await?
}

fn unsigned(error: &anyhow::Error) -> Problem {
    Problem::unavailable("not_signed", format!("{error:#}"), "mend the key, or make room on the disk, and try again")
}

fn refused(error: &TurnError) -> Problem {
    let detail = error.to_string();
    match error {
        TurnError::NoDevice(_) => Problem::not_found("no_device", detail, "GET /api/v1/devices lists them"),
        TurnError::OtherTest(_) => Problem::conflict("other_walk", detail, "end its turn there, or wait 5 minutes"),
        TurnError::StillAlarms(_) => Problem::conflict("still_alarms", detail, "wait until the device is quiet"),
    }
}
