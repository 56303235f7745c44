//! `nodes.toml` in the data folder: the nodes that are paired, with their keys and what is fitted to them.
//!
//! `ninewatch node` writes it, an installer may edit it, the gateway follows its changes. It is replaced as a whole.

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ninewatch_core::fault::{Fault, SourceFile};
use ninewatch_core::site::is_id;
use ninewatch_core::time::Span;
use ninewatch_wire::frame::{Key, NodeId};
use ninewatch_wire::table::{Channel, Fitted, MAX_CHANNELS, MAX_TABLE, Table};

use crate::config::Faults;
use crate::private::{hex, lock, replace, unhex};

/// In the data folder.
pub(crate) const FILE: &str = "nodes.toml";
const HEADER: &str = "# Written by `ninewatch node`, and yours to edit: docs/lines.md. It holds the nodes' keys.\n\n";

/// The nodes that are paired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeList {
    /// In the order of the file.
    #[serde(default, rename = "node", skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<NodeEntry>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeEntry {
    /// As it is printed on the node.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: NodeId,
    /// What seals its frames.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub(crate) key: Key,
    /// As people call it; unique.
    pub(crate) name: String,
    /// Which line it hangs on; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<String>,
    /// What is fitted, by channel.
    #[serde(default, rename = "channel", skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<ChannelEntry>,
}

/// A channel of a node, and the device that it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelEntry {
    /// The registered device.
    pub(crate) device: String,
    /// The field of its sensor type; none for an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Of a sensor that measures humidity besides: the field of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) humidity_field: Option<String>,
    /// Whether it goes before what is measured; contacts, supervised lines and buttons do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) urgent: Option<bool>,
    /// How often it is measured, or told although it has not changed.
    #[serde(default = "each_minute")]
    pub(crate) every: Span,
    /// What is there.
    pub(crate) fitted: Fitted,
}

fn each_minute() -> Span {
    Span::from_secs(60)
}

fn write_id<S: Serializer>(id: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_id(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is not a node's id: eight hex digits")))
}

/// A node's id, as messages and the file have it.
pub(crate) fn parse_id(text: &str) -> Option<NodeId> {
    let is_id = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| u32::from_str_radix(text, 16).ok()).flatten().map(NodeId)
}

fn write_key<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(&key.0))
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
    // Without what stands there: messages must not show a key.
    let bad = || de::Error::custom("this is not a node's key: 32 hex digits");
    let bytes = unhex(&String::deserialize(deserializer)?).ok_or_else(bad)?;
    Ok(Key(bytes.try_into().map_err(|_| bad())?))
}

impl ChannelEntry {
    /// What the node is told of it.
    fn channel(&self) -> Channel {
        let is_urgent = matches!(self.fitted, Fitted::Contact { .. } | Fitted::Line { .. } | Fitted::Button { .. });
        Channel {
            fitted: self.fitted,
            urgent: self.urgent.unwrap_or(is_urgent),
            every_s: u16::try_from(self.every.ms() / 1_000).unwrap_or(u16::MAX),
        }
    }

    fn problem(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let (is_output, has_humidity) =
            (matches!(self.fitted, Fitted::Output { .. }), matches!(self.fitted, Fitted::Sht3x { .. }));
        if self.humidity_field.is_some() && !has_humidity {
            return Some(("humidity_field", "is for an `sht3x`", "remove it"));
        }
        let measures = self.field.is_some() || self.humidity_field.is_some();
        match (is_output, measures) {
            (true, true) => return Some(("field", "an output measures nothing", "remove it")),
            (false, false) => {
                return Some(("device", "nothing says which field it gives", "add field = \"…\" of the sensor type"));
            }
            _ => {}
        }
        let every_ok = (1_000..=3_600_000).contains(&self.every.ms());
        (!every_ok).then_some(("every", "is too short or too long", "give 1s to 1h"))
    }
}

impl NodeEntry {
    /// What is fitted, as the node is told.
    pub(crate) fn table(&self) -> Table {
        Table { channels: self.channels.iter().take(MAX_CHANNELS).map(ChannelEntry::channel).collect() }
    }

    /// Whether it hangs on this line, of those that there are.
    pub(super) fn is_on(&self, line: &str, is_only_line: bool) -> bool {
        self.line.as_deref().map_or(is_only_line, |own| own == line)
    }
}

impl NodeList {
    /// What is wrong in it, as (key, problem, mend). `lines` are those of site.toml, where that is known.
    pub(crate) fn problems(&self, lines: Option<&[String]>) -> Vec<(String, String, String)> {
        let mut problems = Vec::new();
        let mut fields = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let mut add = |key: &str, problem: String, mend: &str| {
                problems.push((format!("node.{index}.{key}"), problem, mend.to_owned()));
            };
            let before = || self.nodes.iter().take(index);
            if before().any(|other| other.id == node.id) {
                add("id", format!("node {} is there twice", node.id), "remove one");
            }
            if !is_id(&node.name) || before().any(|other| other.name == node.name) {
                let mend = "use 1 to 64 of A-Z a-z 0-9 . _ -, each once";
                add("name", format!("`{}` is not a name of its own", node.name), mend);
            }
            match (&node.line, lines) {
                (Some(line), Some(lines)) if !lines.contains(line) => {
                    add("line", format!("there is no line `{line}`"), "add it to site.toml as [[line]]");
                }
                (None, Some(lines)) if lines.len() != 1 => {
                    let problem = format!("there are {} lines", lines.len());
                    add("name", problem, "say which one: line = \"…\", of a [[line]] in site.toml");
                }
                _ => {}
            }
            if node.channels.len() > MAX_CHANNELS {
                add("channel", format!("has more than {MAX_CHANNELS} channels"), "pair another node");
            } else if node.table().encode(&mut [0; MAX_TABLE]).is_none() {
                add("channel", format!("takes more than {MAX_TABLE} bytes"), "fit less to this node");
            }
            for (place, channel) in node.channels.iter().enumerate() {
                if let Some((key, problem, mend)) = channel.problem() {
                    add(&format!("channel.{place}.{key}"), problem.to_owned(), mend);
                }
                for field in [&channel.field, &channel.humidity_field].into_iter().flatten() {
                    if fields.insert((&channel.device, field), ()).is_some() {
                        let problem = format!("two channels give `{field}` of device `{}`", channel.device);
                        add(&format!("channel.{place}.device"), problem, "give each a device or field of its own");
                    }
                }
            }
        }
        problems
    }

    /// The node that people call so, by its name or id.
    pub(crate) fn find(&self, called: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.name == called || Some(node.id) == parse_id(called))
    }
}

/// The file in this data folder.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Reads the list; one that is not there yet is empty.
///
/// # Errors
/// Where it cannot be read, or every fault in it.
pub(crate) fn load(data_dir: &Path, lines: Option<&[String]>) -> anyhow::Result<NodeList> {
    let path = path(data_dir);
    let name = path.display().to_string();
    let source = match std::fs::read_to_string(&path) {
        Ok(text) => SourceFile { name, text },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(NodeList::default()),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be read")),
    };
    let list: NodeList = source.parse().map_err(|fault| Faults(vec![fault]))?;
    let faults: Vec<Fault> =
        list.problems(lines).into_iter().map(|(key, problem, mend)| source.fault(&key, problem, mend)).collect();
    if faults.is_empty() { Ok(list) } else { Err(Faults(faults).into()) }
}

/// Changes the list: what `change` leaves is written, unless it fails or leaves a fault. Two at once wait for each other.
///
/// # Errors
/// Those of `change`, every fault in what it left, or that the folder cannot be written. Then nothing has changed.
pub(crate) fn update<T>(
    data_dir: &Path,
    lines: Option<&[String]>,
    change: impl FnOnce(&mut NodeList) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let _lock = lock(data_dir, "nodes.lock")?;
    // What is wrong in it otherwise does not keep a person from taking a node out.
    let mut list = load(data_dir, None)?;
    let result = change(&mut list)?;
    let source = SourceFile { name: path(data_dir).display().to_string(), text: toml::to_string(&list)? };
    let faults: Vec<Fault> = list
        .problems(lines)
        .into_iter()
        .map(|(key, problem, mend)| Fault { line: None, ..source.fault(&key, problem, mend) })
        .collect();
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    replace(data_dir, FILE, format!("{HEADER}{}", source.text).as_bytes())?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const KITCHEN: &str = r#"
[[node]]
id = "3f7a01bc"
key = "000102030405060708090a0b0c0d0e0f"
name = "kitchen"
[[node.channel]]
device = "smoke-1"
field = "smoke_alarm"
fitted = { contact = { input = 2, active_low = true, settle_ms = 50 } }
[[node.channel]]
device = "climate-1"
field = "temperature_c"
humidity_field = "humidity_percent"
every = "30s"
fitted = { sht3x = { address = 0x44 } }
"#;

    fn faults(text: &str, lines: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), text).unwrap();
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        load(folder.path(), Some(&lines)).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_is_written_is_read_again_and_private() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), KITCHEN).unwrap();
        let before = load(folder.path(), None).unwrap();
        update(folder.path(), None, |_| Ok(())).unwrap();
        assert_eq!(load(folder.path(), None).unwrap(), before);
        let mode = std::fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let table = before.nodes[0].table();
        let told: Vec<(bool, u16)> = table.channels.iter().map(|channel| (channel.urgent, channel.every_s)).collect();
        assert_eq!(told, [(true, 60), (false, 30)], "a contact is urgent by itself");
    }

    #[test]
    fn a_fault_is_named_with_its_line_and_mend_and_shows_no_key() {
        assert_eq!(faults(KITCHEN, &["east"]), "");
        let said = faults(KITCHEN, &["east", "west"]);
        assert!(said.contains("nodes.toml:5") && said.contains("there are 2 lines"), "{said}");
        let said = faults(&KITCHEN.replace("0e0f", "0e0"), &["east"]);
        assert!(said.contains("nodes.toml:4") && said.contains("32 hex digits") && !said.contains("0102"), "{said}");
        let said = faults(&KITCHEN.replace("field = \"smoke_alarm\"\n", ""), &["east"]);
        assert!(said.contains("which field"), "{said}");
        let said = faults(&KITCHEN.replace("settle_ms", "settle"), &["east"]);
        assert!(said.contains("settle"), "{said}");
        let said = faults(&format!("{KITCHEN}{KITCHEN}"), &["east"]);
        for problem in ["there twice", "name of its own", "two channels give `smoke_alarm`"] {
            assert!(said.contains(problem), "{said}");
        }
    }

    #[test]
    fn a_change_that_leaves_a_fault_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), KITCHEN).unwrap();
        let fault = update(folder.path(), Some(&["east".to_owned()]), |list| {
            list.nodes[0].line = Some("attic".into());
            Ok(())
        });
        assert!(fault.unwrap_err().to_string().contains("there is no line `attic`"));
        assert_eq!(std::fs::read_to_string(path(folder.path())).unwrap(), KITCHEN);
    }
}
