//! Places and devices as they are set up: added, changed and removed by whoever fits them.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind, Registry};

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::grid_codes::Squares;
use super::problem::Problem;
use super::rights::Made;
use crate::registry_file::edit::{self, NotEdited};
use crate::registry_file::{self, Secret};

/// The gateway follows its files once a second. Longer nobody waits to be told of what is written already.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(3);

/// A place as somebody writes it; its id stands in the path where it is there already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceSent {
    #[serde(default)]
    id: String,
    name: String,
    kind: PlaceKind,
    grid: String,
    #[serde(default)]
    address: String,
}

impl PlaceSent {
    fn place(self, id: Option<String>) -> Place {
        let tidy = |text: String| text.trim().to_owned();
        let id = id.unwrap_or(self.id);
        Place { id, name: tidy(self.name), kind: self.kind, grid: tidy(self.grid), address: tidy(self.address) }
    }
}

/// A device as somebody writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceSent {
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    sensor_type: String,
    place: String,
    #[serde(default)]
    spot: String,
    #[serde(default)]
    known_as: String,
    /// Left out of a change it stays: who fits devices does not see it.
    #[serde(default, deserialize_with = "said")]
    person: Option<Option<PersonCategory>>,
    /// Whether it is let in at the sensor port, by a secret; what a broker brings needs none.
    #[serde(default = "yes")]
    secret: bool,
}

fn yes() -> bool {
    true
}

/// Tells what was said to be nothing from what was not said.
fn said<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<PersonCategory>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl DeviceSent {
    fn device(self, id: Option<String>) -> Device {
        let tidy = |text: String| text.trim().to_owned();
        Device {
            id: id.unwrap_or(self.id),
            sensor_type: self.sensor_type,
            place: self.place,
            spot: tidy(self.spot),
            known_as: tidy(self.known_as),
            person: self.person.flatten(),
            secret: String::new(),
        }
    }
}

/// A device as it stands in the registry, without its secret.
#[derive(Debug, Serialize)]
struct DeviceRecord {
    id: String,
    #[serde(rename = "type")]
    sensor_type: String,
    place: String,
    spot: String,
    known_as: String,
}

impl From<Device> for DeviceRecord {
    fn from(device: Device) -> Self {
        let Device { id, sensor_type, place, spot, known_as, .. } = device;
        Self { id, sensor_type, place, spot, known_as }
    }
}

/// What lets a device in, told this once.
#[derive(Debug, Serialize)]
pub(super) struct Credential {
    username: String,
    secret: String,
    /// `mqtts://host:8883`; `null` where the gateway has no sensor port that others reach.
    server: Option<String>,
    /// All of it, for a phone or a device to scan.
    code: Option<Squares>,
}

/// `POST /devices`
#[derive(Debug, Serialize)]
pub(super) struct Added {
    device: DeviceRecord,
    credential: Option<Credential>,
}

/// Answers `POST /places`.
pub(super) async fn add_place(
    State(shared): State<Arc<Shared>>,
    _who: Who,
    Sent(place): Sent<PlaceSent>,
) -> Result<(StatusCode, Extension<Made>, Json<Place>), Problem> {
    let place = place.place(None);
    let added = place.clone();
    shared.change(move |registry| Ok(edit::add_place(registry, added)?)).await?;
    Ok((StatusCode::CREATED, Extension(Made(place.id.clone())), Json(place)))
}

/// Answers `PUT /places/{id}`.
pub(super) async fn change_place(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
    Sent(place): Sent<PlaceSent>,
) -> Result<Json<Place>, Problem> {
    let place = place.place(Some(id));
    let changed = place.clone();
    shared.change(move |registry| Ok(edit::change_place(registry, changed)?)).await?;
    Ok(Json(place))
}

/// Answers `DELETE /places/{id}`.
pub(super) async fn remove_place(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
) -> Result<StatusCode, Problem> {
    shared.change(move |registry| Ok(edit::remove_place(registry, &id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `POST /devices`.
pub(super) async fn add_device(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    _who: Who,
    Sent(sent): Sent<DeviceSent>,
) -> Result<Response, Problem> {
    let secret = sent.secret.then(Secret::generate).transpose().map_err(|error| failed(&error))?;
    let device = sent.device(None);
    known_type(&shared, &device)?;
    let credential = secret.as_ref().map(|secret| credential(&shared, &headers, &device.id, secret));
    let added = device.clone();
    shared.change(move |registry| edit::add_device(registry, added, secret.as_ref())).await?;
    let made = Extension(Made(device.id.clone()));
    let added = Added { device: device.into(), credential };
    Ok((StatusCode::CREATED, made, [(header::CACHE_CONTROL, "no-store")], Json(added)).into_response())
}

/// Answers `PUT /devices/{id}`.
pub(super) async fn change_device(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
    Sent(sent): Sent<DeviceSent>,
) -> Result<Response, Problem> {
    let says_person = sent.person.is_some();
    let device = sent.device(Some(id));
    known_type(&shared, &device)?;
    let mut changed = device.clone();
    let change = move |registry: &mut Registry| {
        if !says_person {
            changed.person = registry.device(&changed.id).and_then(|known| known.person);
        }
        Ok(edit::change_device(registry, changed)?)
    };
    shared.change(change).await?;
    Ok(Json(DeviceRecord::from(device)).into_response())
}

/// Answers `DELETE /devices/{id}`.
pub(super) async fn remove_device(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
) -> Result<StatusCode, Problem> {
    shared.change(move |registry| Ok(edit::remove_device(registry, &id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `POST /devices/{id}/secret`: the former one ends at once.
pub(super) async fn renew_device(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    _who: Who,
) -> Result<Response, Problem> {
    let secret = Secret::generate().map_err(|error| failed(&error))?;
    let credential = credential(&shared, &headers, &id, &secret);
    shared.change(move |registry| edit::renew_device(registry, &id, &secret)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(credential)).into_response())
}

/// `GET /devices/{id}/label`
#[derive(Debug, Serialize)]
pub(super) struct Label {
    /// What the code says: no secret.
    text: String,
    code: Squares,
}

/// Answers `GET /devices/{id}/label`: what to stick on the device.
pub(super) async fn label(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    _who: Who,
) -> Result<Json<Label>, Problem> {
    let site = shared.site();
    let device = site.registry.device(&id).ok_or_else(|| Problem::no_device(&id))?;
    let text = crate::setup::label_of(device, &shared.state.gateway);
    let code = QrCode::encode_text(&text, QrCodeEcc::Medium)
        .map_err(|_| Problem::unusable("no_label", "the id is too long for a code", "give the device a shorter id"))?;
    Ok(Json(Label { text, code: Squares::of(&code) }))
}

/// How a device logs in. The host is the one by which the installer's phone has found the gateway.
fn credential(shared: &Shared, headers: &HeaderMap, id: &str, secret: &Secret) -> Credential {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port);
    let (plain, tls) = shared.state.sensor_port;
    let (scheme, port) = match (tls, plain) {
        (Some(tls), _) => ("mqtts", Some(tls.port())),
        (None, plain) => ("mqtt", plain.map(|plain| plain.port())),
    };
    let at = host.zip(port);
    let server = at.map(|(host, port)| format!("{scheme}://{host}:{port}"));
    let whole = at.map(|(host, port)| format!("{scheme}://{id}:{}@{host}:{port}", secret.shown()));
    let code = whole.and_then(|text| QrCode::encode_text(&text, QrCodeEcc::Medium).ok());
    let code = code.map(|code| Squares::of(&code));
    Credential { username: id.to_owned(), secret: secret.shown(), server, code }
}

/// The host of a `Host` header; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn known_type(shared: &Shared, device: &Device) -> Result<(), Problem> {
    if shared.site().sensor_types.get(&device.sensor_type).is_some() {
        return Ok(());
    }
    let problem = format!("there is no sensor type `{}`", device.sensor_type);
    Err(Problem::field("type", &problem, "GET /api/v1/setup lists them; docs/add-a-sensor.md says how to write one"))
}

impl Shared {
    /// Changes the registry, and waits until the gateway follows.
    async fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> anyhow::Result<()> + Send + 'static,
    ) -> Result<(), Problem> {
        let mut followed = self.state.registry.clone();
        let data_dir = self.state.accounts.data_dir().to_owned();
        let write = move || {
            registry_file::update(&data_dir, |registry| {
                change(registry)?;
                Ok(registry.clone())
            })
        };
        let wanted = self.ask(write).await?.map_err(|error| failed(&error))?;
        // Where somebody changes it again at the same time, this one waits in vain, and not for long.
        let follows = followed.wait_for(|registry| **registry == wanted);
        let _ = tokio::time::timeout(FOLLOWED_WITHIN, follows).await;
        Ok(())
    }
}

/// Why the registry is as it was.
fn failed(error: &anyhow::Error) -> Problem {
    let Some(wrong) = error.downcast_ref::<NotEdited>() else {
        tracing::error!("the registry: {error:#}");
        let mend = "an admin sees in the log what is wrong with registry.toml";
        return Problem::unavailable("registry_unwritable", "the registry cannot be read or written", mend);
    };
    match wrong {
        NotEdited::PlaceIsThere(id) => {
            let detail = format!("there is a place `{id}` already");
            Problem::conflict("place_is_there", detail, "give it another id, or change the one that is there")
        }
        NotEdited::DeviceIsThere(id) => {
            let detail = format!("there is a device `{id}` already");
            Problem::conflict("device_is_there", detail, "give it another id, or change the one that is there")
        }
        NotEdited::NoPlace(id) => {
            Problem::not_found("no_place", format!("no place has the id `{id}`"), "GET /api/v1/places lists them")
        }
        NotEdited::NoDevice(id) => Problem::no_device(id),
        NotEdited::HasDevices(_, devices) => {
            let mend = "remove them or give them another place first";
            Problem::conflict("place_has_devices", devices.join(", "), mend)
        }
        NotEdited::Field(field, problem, mend) => Problem::field(field, problem, *mend),
    }
}
