//! Places and devices: what is registered, and how it is.

use axum::Json;
use axum::extract::{Extension, State};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ninewatch_core::alert::{Alert, Severity, Text};
use ninewatch_core::detect::{DeviceStatus, FieldValue};
use ninewatch_core::pipeline::{Settings, Site};
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind};
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::gate::Who;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use crate::index::AlertQuery;

/// The settings in force, made ready once and not for every question.
#[derive(Default)]
pub(super) struct Sites(Mutex<Option<(Arc<Settings>, Arc<Site>)>>);

impl Sites {
    fn of(&self, settings: Arc<Settings>) -> Arc<Site> {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*ready {
            Some((of, site)) if Arc::ptr_eq(of, &settings) => site.clone(),
            _ => {
                // What was set aside has been told when the engine took the settings.
                let site = Arc::new(Site::compile(&settings).0);
                *ready = Some((settings, site.clone()));
                site
            }
        }
    }
}

impl Shared {
    pub(super) fn site(&self) -> Arc<Site> {
        let settings = self.state.settings.borrow().clone();
        self.sites.of(settings)
    }
}

/// `GET /devices`
#[derive(Debug, Serialize)]
pub(super) struct Devices {
    devices: Vec<DeviceView>,
}

/// A device and how it is.
#[derive(Debug, Serialize)]
struct DeviceView {
    id: String,
    /// `null` where its type is not in use.
    class: Option<SensorClass>,
    #[serde(rename = "type")]
    sensor_type: String,
    place: String,
    spot: String,
    /// What its own system calls it.
    known_as: String,
    person: Option<PersonCategory>,
    battery_percent: Option<f64>,
    seen_ms: Option<TimeMs>,
    silent: bool,
    skew_ms: Option<i64>,
    values: Vec<ValueView>,
}

/// The newest value of a field.
#[derive(Debug, Serialize)]
struct ValueView {
    #[serde(flatten)]
    value: FieldValue,
    /// As people call the field.
    label: Option<Text>,
}

/// `GET /places`
#[derive(Debug, Serialize)]
pub(super) struct Places {
    places: Vec<PlaceView>,
}

/// A place at a glance.
#[derive(Debug, Serialize)]
struct PlaceView {
    id: String,
    name: String,
    kind: PlaceKind,
    grid: String,
    address: String,
    devices: usize,
    silent_devices: usize,
    open_alerts: usize,
    worst_severity: Option<Severity>,
}

/// Answers `GET /devices`.
pub(super) async fn devices(
    State(shared): State<Arc<Shared>>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Json<Devices>), Problem> {
    let site = shared.site();
    let mut statuses = statuses(&shared).await?;
    let seen = site.registry.devices.iter().filter(|device| who.rights.sees_place(&site, &device.place));
    let mut shows_people = false;
    let view = |device: &Device| {
        let view = DeviceView::new(&site, device, statuses.remove(&device.id));
        let is_of_a_person = rights::is_of_a_person(&site, device);
        shows_people |= is_of_a_person && who.rights.sees_people();
        if is_of_a_person && !who.rights.sees_people() { view.without_the_person() } else { view }
    };
    let devices = seen.map(view).collect();
    Ok((rights::of_people(shows_people), Json(Devices { devices })))
}

/// Answers `GET /places`.
pub(super) async fn places(
    State(shared): State<Arc<Shared>>,
    who: Who,
) -> Result<(Option<Extension<OfPeople>>, Json<Places>), Problem> {
    let site = shared.site();
    let statuses = statuses(&shared).await?;
    let index = shared.state.index.clone();
    let all = AlertQuery { open_only: true, limit: usize::MAX, ..AlertQuery::default() };
    let open = shared.ask(move || index.alerts(&all)).await?;
    let seen = site.registry.places.iter().filter(|place| who.rights.sees_grid(&place.grid));
    let view = |place: &Place| {
        let view = PlaceView::new(&site, place, &statuses, &open);
        if who.rights.sees_alerts() { view } else { view.without_alerts() }
    };
    let places: Vec<PlaceView> = seen.map(view).collect();
    let shows_homes = places.iter().any(|place| place.kind == PlaceKind::Home);
    Ok((rights::of_people(shows_homes), Json(Places { places })))
}

async fn statuses(shared: &Shared) -> Result<HashMap<String, DeviceStatus>, Problem> {
    let statuses = shared.state.engine.devices().await?;
    Ok(statuses.into_iter().map(|status| (status.device.clone(), status)).collect())
}

impl DeviceView {
    /// A device that the engine does not know yet has no status.
    fn new(site: &Site, device: &Device, status: Option<DeviceStatus>) -> Self {
        let sensor_type = site.sensor_types.get(&device.sensor_type);
        let label = |name: &str| Some(sensor_type?.fields.iter().find(|field| &*field.name == name)?.label.clone());
        let value = |value: FieldValue| ValueView { label: label(&value.field), value };
        Self {
            id: device.id.clone(),
            class: sensor_type.map(|sensor_type| sensor_type.class),
            sensor_type: device.sensor_type.clone(),
            place: device.place.clone(),
            spot: device.spot.clone(),
            known_as: device.known_as.clone(),
            person: device.person,
            battery_percent: status.as_ref().and_then(|status| status.battery_percent),
            seen_ms: status.as_ref().and_then(|status| status.seen_ms),
            silent: status.as_ref().is_some_and(|status| status.silent),
            skew_ms: status.as_ref().and_then(|status| status.skew_ms),
            values: status.map(|status| status.values.into_iter().map(value).collect()).unwrap_or_default(),
        }
    }

    /// Whether it reports, and nothing of what it reports.
    fn without_the_person(self) -> Self {
        Self { person: None, values: Vec::new(), ..self }
    }
}

impl PlaceView {
    fn new(site: &Site, place: &Place, statuses: &HashMap<String, DeviceStatus>, open: &[Alert]) -> Self {
        let devices = || site.registry.devices.iter().filter(|device| device.place == place.id);
        let silent = |device: &&Device| statuses.get(&device.id).is_some_and(|status| status.silent);
        let open = || open.iter().filter(|alert| alert.place == place.id);
        Self {
            id: place.id.clone(),
            name: place.name.clone(),
            kind: place.kind,
            grid: place.grid.clone(),
            address: place.address.clone(),
            devices: devices().count(),
            silent_devices: devices().filter(silent).count(),
            open_alerts: open().count(),
            worst_severity: open().map(|alert| alert.severity).max(),
        }
    }

    /// As somebody sees it who has no business with what happens there.
    fn without_alerts(self) -> Self {
        Self { open_alerts: 0, worst_severity: None, ..self }
    }
}
