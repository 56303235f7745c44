//! Brokers beside the gateway: which there are, adding one, and what is at an address.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

use ninewatch_core::site::is_id;

use super::Shared;
use super::body::Sent;
use super::gate::Who;
use super::problem::Problem;
use super::rights::Made;
use crate::brokers::{self, Found, Listed, Zigbee};
use crate::config::{Faults, MqttServer};
use crate::mqtt_client::Access;

/// A change is followed at once, or the gateway is busy and will.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(3);

/// `GET /brokers`
#[derive(Debug, Serialize)]
pub(super) struct List {
    brokers: Vec<BrokerView>,
}

#[derive(Debug, Serialize)]
pub(super) struct BrokerView {
    name: String,
    url: String,
    username: Option<String>,
    subscribe: Vec<String>,
    /// It stands in `site.toml`, which is not changed from here.
    fixed: bool,
    connected: bool,
    /// What went wrong last.
    trouble: Option<String>,
}

/// A broker to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BrokerSent {
    name: String,
    url: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    subscribe: Vec<String>,
}

/// Where to look: at an address, or at a broker that is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

/// `POST /brokers/look`
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    #[serde(flatten)]
    found: Found,
    devices: Vec<Suggestion>,
}

/// A device behind the broker, as it could be taken in.
#[derive(Debug, Serialize)]
struct Suggestion {
    address: String,
    name: String,
    maker: String,
    model: String,
    about: String,
    /// `null` where no sensor type fits.
    #[serde(rename = "type")]
    sensor_type: Option<String>,
    id: String,
    known_as: String,
    /// The id under which it is registered, where it is.
    registered: Option<String>,
}

/// Answers `GET /brokers`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, _who: Who) -> Json<List> {
    Json(List { brokers: shared.state.brokers.list().into_iter().map(view).collect() })
}

fn view(Listed { server, is_fixed, status }: Listed) -> BrokerView {
    let state = status.link.watch().borrow().clone();
    let connected = state.since.is_some();
    let trouble = if connected { status.not_let_read() } else { state.last_error };
    let MqttServer { name, url, username, subscribe, .. } = server;
    BrokerView { name, url, username, subscribe, fixed: is_fixed, connected, trouble }
}

/// Answers `POST /brokers`: it is read from at once.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    _who: Who,
    Sent(sent): Sent<BrokerSent>,
) -> Result<(StatusCode, Extension<Made>, Json<BrokerView>), Problem> {
    let BrokerSent { name, url, username, password, subscribe } = sent;
    let username = username.filter(|username| !username.is_empty());
    // MQTT has no password without a user name.
    let password = password.filter(|_| username.is_some());
    let server = server(name.clone(), url, username, subscribe);
    let brokers = shared.state.brokers.clone();
    if let Some((field, problem, mend)) = brokers.problems(&server).into_iter().next() {
        return Err(Problem::field(field, &problem, mend));
    }
    let adding = brokers.clone();
    let added = shared.ask(move || adding.add(server, password.as_deref())).await?;
    added.map_err(|error| failed(&error))?;
    brokers.followed(FOLLOWED_WITHIN).await;
    let view = brokers.list().into_iter().find(|one| one.server.name == name).map(view);
    view.map(|view| (StatusCode::CREATED, Extension(Made(name)), Json(view))).ok_or_else(|| {
        Problem::unavailable("broker_not_begun", "it is kept, and not connected to yet", "the health says why")
    })
}

/// Answers `DELETE /brokers/{name}`.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    _who: Who,
) -> Result<StatusCode, Problem> {
    let brokers = shared.state.brokers.clone();
    if brokers.list().iter().any(|one| one.is_fixed && one.server.name == name) {
        let mend = "take it out of site.toml and start the gateway anew";
        return Err(Problem::conflict("broker_is_fixed", format!("`{name}` stands in site.toml"), mend));
    }
    let (removing, gone) = (brokers.clone(), name.clone());
    if !shared.ask(move || removing.remove(&gone)).await?.map_err(|error| failed(&error))? {
        let detail = format!("no broker is called `{name}`");
        return Err(Problem::not_found("no_broker", detail, "GET /api/v1/brokers lists them"));
    }
    brokers.followed(FOLLOWED_WITHIN).await;
    shared.ask(move || brokers.forget_password(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers `POST /brokers/look`.
pub(super) async fn look(
    State(shared): State<Arc<Shared>>,
    _who: Who,
    Sent(at): Sent<Where>,
) -> Result<Json<Looked>, Problem> {
    let (access, has_login) = access(&shared, at)?;
    let found = brokers::look(access, has_login).await.map_err(|error| failed(&error))?;
    let devices = found.devices.iter().map(|device| suggest(&shared, device)).collect();
    Ok(Json(Looked { found, devices }))
}

fn access(shared: &Shared, at: Where) -> Result<(Access, bool), Problem> {
    if let Some(name) = at.name {
        let listed = shared.state.brokers.list().into_iter().find(|one| one.server.name == name);
        let server = listed.map(|one| one.server).ok_or_else(|| {
            let detail = format!("no broker is called `{name}`");
            Problem::not_found("no_broker", detail, "GET /api/v1/brokers lists them")
        })?;
        let access = Access::read(&server).map_err(|error| failed(&error))?;
        return Ok((access, server.username.is_some()));
    }
    let username = at.username.filter(|username| !username.is_empty());
    let has_login = username.is_some();
    let login = username.map(|username| (username, at.password.unwrap_or_default()));
    let server = server("look".into(), at.url.unwrap_or_else(|| "mqtt://127.0.0.1:1883".into()), None, Vec::new());
    if server.address().is_none() {
        let problem = format!("`{}` is not an MQTT address", server.url);
        return Err(Problem::field("url", &problem, "write mqtt://host:1883 or mqtts://host:8883"));
    }
    let access = Access::read(&server).map_err(|error| failed(&error))?;
    Ok((access.with_login(login), has_login))
}

fn server(name: String, url: String, username: Option<String>, subscribe: Vec<String>) -> MqttServer {
    MqttServer { name, url, username, password_file: None, ca: None, cert: None, key: None, subscribe }
}

/// How a device would be registered: under its name where that can be an id.
fn suggest(shared: &Shared, device: &Zigbee) -> Suggestion {
    let site = shared.site();
    let sensor_type = device.types.iter().find(|of| site.sensor_types.get(of).is_some()).map(|of| (*of).to_owned());
    let names = [device.name.as_str(), device.address.as_str()];
    let is_it = |one: &&ninewatch_core::site::Device| {
        let is_bridged = one.sensor_type.starts_with("zigbee2mqtt") || Some(&one.sensor_type) == sensor_type.as_ref();
        is_bridged && (names.contains(&one.known_as.as_str()) || names.contains(&one.id.as_str()))
    };
    let registered = site.registry.devices.iter().find(is_it).map(|one| one.id.clone());
    let is_free = |id: &str| is_id(id) && site.registry.device(id).is_none();
    let id = names.into_iter().find(|name| is_free(name)).unwrap_or(device.address.as_str()).to_owned();
    Suggestion {
        known_as: if id == device.name { String::new() } else { device.name.clone() },
        id,
        sensor_type,
        registered,
        address: device.address.clone(),
        name: device.name.clone(),
        maker: device.maker.clone(),
        model: device.model.clone(),
        about: device.about.clone(),
    }
}

fn failed(error: &anyhow::Error) -> Problem {
    if let Some(Faults(faults)) = error.downcast_ref() {
        let detail = faults.first().map(ToString::to_string).unwrap_or_default();
        return Problem::unusable("broker_unusable", detail, "mend brokers.toml in the data folder");
    }
    Problem::unusable("broker_unusable", format!("{error:#}"), "the message names the file")
}
