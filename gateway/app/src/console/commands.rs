//! What devices can be told, as their sensor types say.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

use ninewatch_core::alert::Text;
use ninewatch_core::decode::{Accepts, Argument, Command, Parameter, SensorType};
use ninewatch_core::pipeline::{Called, Site};
use ninewatch_core::site::Device;

use super::Shared;
use super::body::Sent;
use super::downlink::Sending;
use super::gate::Who;
use super::problem::Problem;

/// `GET /devices/{id}/commands`
#[derive(Debug, Serialize)]
pub(super) struct Commands {
    commands: Vec<CommandView>,
}

#[derive(Debug, Serialize)]
struct CommandView {
    name: String,
    label: Text,
    parameters: Vec<ParameterView>,
}

/// A number has `min` and `max`, a word has `words`.
#[derive(Debug, Serialize)]
struct ParameterView {
    name: String,
    label: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<String>>,
    default: Option<Value>,
}

impl From<&Command> for CommandView {
    fn from(command: &Command) -> Self {
        let parameters = command.parameters.iter().map(ParameterView::from).collect();
        Self { name: command.name.clone(), label: command.label.clone(), parameters }
    }
}

impl From<&Parameter> for ParameterView {
    fn from(parameter: &Parameter) -> Self {
        let (min, max, words) = match &parameter.accepts {
            Accepts::Number(min, max) => (Some(*min), Some(*max), None),
            Accepts::Words(words) => (None, None, Some(words.clone())),
        };
        let default = parameter.default.as_ref().map(|argument| match argument {
            Argument::Number(number) => Value::from(*number),
            Argument::Word(word) => Value::from(word.as_str()),
        });
        Self { name: parameter.name.clone(), label: parameter.label.clone(), min, max, words, default }
    }
}

/// Answers `GET /devices/{id}/commands`.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(device): Path<String>,
    who: Who,
) -> Result<Json<Commands>, Problem> {
    let site = shared.site();
    let (_, sensor_type) = find(&site, &who, &device)?;
    Ok(Json(Commands { commands: sensor_type.commands.iter().map(CommandView::from).collect() }))
}

/// Answers `POST /devices/{id}/commands/{name}`.
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Path((id, name)): Path<(String, String)>,
    who: Who,
    Sent(given): Sent<BTreeMap<String, Value>>,
) -> Result<Json<Sending>, Problem> {
    let site = shared.site();
    let (device, sensor_type) = find(&site, &who, &id)?;
    let command = sensor_type.command(&name).ok_or_else(|| {
        let mend = format!("GET /api/v1/devices/{id}/commands lists what it can be told");
        Problem::not_found("no_command", format!("device `{id}` has no command `{name}`"), mend)
    })?;
    let arguments = given
        .into_iter()
        .map(|(parameter, value)| match value {
            Value::Number(number) => Ok((parameter, Argument::Number(number.as_f64().unwrap_or(f64::NAN)))),
            Value::String(word) => Ok((parameter, Argument::Word(word))),
            _ => Err(Problem::bad(format!("`{parameter}` has to be a number or a word"), "see its parameters")),
        })
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let heard = shared.state.engine.heard(&id).await?.ok_or_else(|| {
        let mend = "it is told something where it is heard: wait for its next message";
        Problem::conflict("not_heard", format!("device `{id}` has not been heard since the gateway started"), mend)
    })?;
    let captures =
        sensor_type.captures_on(&heard.topic).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let called = if heard.called == Called::KnownAs { &device.known_as } else { &device.id };
    let rendered = command.render(called, &captures, &arguments).map_err(|error| {
        Problem::bad(error.to_string(), format!("GET /api/v1/devices/{id}/commands says what it takes"))
    })?;
    let sent = shared.state.downlinks.send(&heard, &id, rendered.topic, rendered.payload).await;
    sent.map_err(|error| {
        Problem::conflict("not_sent", error.to_string(), "try again when it is connected; nothing is kept")
    })?;
    tracing::info!(account = who.account(), device = id, command = name, "told a device something");
    Ok(Json(Sending::done()))
}

/// Where the device is in the site, and its type.
fn find<'s>(site: &'s Site, who: &Who, id: &str) -> Result<(&'s Device, &'s SensorType), Problem> {
    let device = site.registry.device(id).filter(|device| who.rights.sees_place(site, &device.place));
    let device = device.ok_or_else(|| Problem::no_device(id))?;
    let sensor_type = site.sensor_types.get(&device.sensor_type).ok_or_else(|| {
        let detail = format!("the type `{}` of device `{id}` is not in use", device.sensor_type);
        Problem::conflict("unknown_type", detail, "mend its file; GET /api/v1/health says what is wrong with it")
    })?;
    Ok((device, sensor_type))
}
