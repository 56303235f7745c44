//! What a code on a device or on its box says, as far as it is known: `docs/setup.md` names the sources of the formats.
//!
//! Keys and install codes that some codes carry are passed over: nothing here shows or keeps them.

use serde::Serialize;

use ninewatch_core::site::{Device, is_id};

/// What a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A device's own label, as this program prints it.
    Device,
    /// A node's label: it is paired at its line.
    Node,
    /// A `LoRaWAN` device's, by the LoRa Alliance's TR005.
    Lorawan,
    /// A Zigbee device's, with its EUI-64.
    Zigbee,
    /// A Matter device's; the gateway does not speak Matter.
    Matter,
    Imei,
    Mac,
    /// An EUI-64 alone, of Zigbee or `LoRaWAN`.
    Eui,
    /// Named a serial number, or in a link that names one.
    Serial,
    /// A way into a wireless network, or another thing that is no device.
    Other,
    /// Unknown; its text may serve as an id.
    Text,
}

/// What is understood of a code.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Means {
    pub(crate) kind: Kind,
    /// An id to suggest.
    id: Option<String>,
    /// What the device's own system calls it, where that is not the id.
    known_as: Option<String>,
    #[serde(rename = "type")]
    sensor_type: Option<String>,
    /// The text, where nothing in it is a secret.
    text: Option<String>,
}

impl Means {
    fn of(kind: Kind, id: Option<String>) -> Self {
        Self { kind, id, known_as: None, sensor_type: None, text: None }
    }
}

/// What a device's label says, for [`meaning`] to read again: no secret.
pub(crate) fn label_of(device: &Device, gateway: &str) -> String {
    format!("{DEVICE}{gateway}:{}:{}", device.id, device.sensor_type)
}

const DEVICE: &str = "NW:D1:";
/// Of a text that is shown.
const LONGEST: usize = 200;

/// What the text of a code says.
pub(crate) fn meaning(text: &str) -> Means {
    let text = text.trim();
    own(text)
        .or_else(|| node(text))
        .or_else(|| lorawan(text))
        .or_else(|| zigbee(text))
        .or_else(|| no_device(text))
        .or_else(|| link(text))
        .or_else(|| bare(text))
        .or_else(|| named(text))
        .unwrap_or_else(|| Means {
            text: Some(text.chars().take(LONGEST).collect()),
            ..Means::of(Kind::Text, as_id(text))
        })
}

fn own(text: &str) -> Option<Means> {
    let mut parts = text.strip_prefix(DEVICE)?.split(':');
    let (_gateway, id, sensor_type) = (parts.next()?, parts.next()?, parts.next()?);
    let means = Means::of(Kind::Device, Some(id.to_owned()));
    (is_id(id) && is_id(sensor_type)).then(|| Means { sensor_type: Some(sensor_type.to_owned()), ..means })
}

/// Its key goes nowhere.
fn node(text: &str) -> Option<Means> {
    let code = ninewatch_wire::code::Code::parse(text).ok()?;
    Some(Means::of(Kind::Node, Some(code.0.id.to_string())))
}

/// `LW:D0:<JoinEUI>:<DevEUI>:<ProfileID>[:O…][:S<serial>][:P…][:C…]`
fn lorawan(text: &str) -> Option<Means> {
    let mut parts = strip(text, "LW:D0:")?.split(':');
    let (join, device, profile) = (parts.next()?, parts.next()?, parts.next()?);
    (is_hex(join, 16) && is_hex(device, 16) && is_hex(profile, 8))
        .then(|| Means::of(Kind::Lorawan, Some(device.to_ascii_lowercase())))
}

/// `Z:<EUI-64>$I:<install code>…`, Aqara's `G$M:…$A:<EUI-64>$I:…`, Bosch's `RB01SG…<EUI-64>DLK…`.
fn zigbee(text: &str) -> Option<Means> {
    let by_field = || {
        let is_of_zigbee = text.starts_with("Z:") || text.contains("$I:") || text.starts_with("G$M:");
        let mut fields = text.split(['$', '%']).filter(|_| is_of_zigbee);
        fields.find_map(|field| strip(field, "Z:").or_else(|| strip(field, "A:"))).filter(|eui| is_hex(eui, 16))
    };
    let by_place = || {
        let is_of_bosch = text.starts_with("RB01SG") || text.starts_with("ZB10SG");
        let (before, _) = text.split_once("DLK").filter(|_| is_of_bosch)?;
        before.get(before.len().checked_sub(16)?..).filter(|eui| is_hex(eui, 16))
    };
    Some(of_zigbee(by_field().or_else(by_place)?))
}

/// Zigbee2MQTT and its like call a device so until somebody gives it a name.
fn of_zigbee(eui: &str) -> Means {
    Means::of(Kind::Zigbee, Some(format!("0x{}", eui.to_ascii_lowercase())))
}

fn no_device(text: &str) -> Option<Means> {
    if text.starts_with("MT:") {
        return Some(Means::of(Kind::Matter, None));
    }
    // They hold passwords and people.
    let others = ["WIFI:", "BEGIN:VCARD", "MECARD:", "otpauth:", "mqtt://", "mqtts://"];
    others.iter().any(|start| strip(text, start).is_some()).then(|| Means::of(Kind::Other, None))
}

const SERIAL_KEYS: [&str; 9] = ["sn", "serial", "serialno", "serialnumber", "imei", "mac", "id", "did", "deviceid"];

/// A link that names the device: `https://…?sn=…`.
fn link(text: &str) -> Option<Means> {
    let rest = strip(text, "https://").or_else(|| strip(text, "http://"))?;
    let (_, query) = rest.split_once('?')?;
    let pairs: Vec<(&str, &str)> =
        query.split(['&', '#']).filter_map(|pair| pair.split_once('=')).filter(|(_, value)| is_id(value)).collect();
    let of = |key: &str| pairs.iter().find(|(name, _)| tidy(name) == key).map(|(_, value)| *value);
    let value = SERIAL_KEYS.iter().find_map(|key| of(key))?;
    Some(bare(value).unwrap_or_else(|| Means::of(Kind::Serial, Some(value.to_owned()))))
}

/// A number alone.
fn bare(text: &str) -> Option<Means> {
    let hex: String = text.chars().filter(|sign| !matches!(sign, ':' | '-')).collect();
    let is_written = |group: char| text.split(group).all(|pair| is_hex(pair, 2));
    if is_imei(text) {
        return Some(Means::of(Kind::Imei, Some(text.to_owned())));
    }
    if let Some(eui) = strip(text, "0x").filter(|eui| is_hex(eui, 16)) {
        return Some(of_zigbee(eui));
    }
    if is_hex(&hex, 12) && (hex == text || is_written(':') || is_written('-')) {
        let known_as = (hex != text && text.contains(':')).then(|| text.to_owned());
        return Some(Means { known_as, ..Means::of(Kind::Mac, Some(hex.to_ascii_lowercase())) });
    }
    (is_hex(&hex, 16) && (hex == text || is_written(':') || is_written('-')))
        .then(|| Means::of(Kind::Eui, Some(hex.to_ascii_lowercase())))
}

/// `SN: …`, `IMEI:…;…`, each on a line of its own or behind a semicolon.
fn named(text: &str) -> Option<Means> {
    let joined = text.replace(": ", ":");
    let pairs: Vec<(String, &str)> = joined
        .split(['\n', ';', ',', ' '])
        .filter_map(|pair| pair.split_once([':', '=']))
        .map(|(key, value)| (tidy(key), value.trim()))
        .collect();
    let value = SERIAL_KEYS.iter().find_map(|key| pairs.iter().find(|(name, value)| name == key && is_id(value)))?.1;
    Some(bare(value).unwrap_or_else(|| Means::of(Kind::Serial, Some(value.to_owned()))))
}

/// A key as people vary it: `S/N`, `Serial_No`.
fn tidy(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// As much of a text as may be an id.
fn as_id(text: &str) -> Option<String> {
    let tidied: String = text
        .chars()
        .map(|sign| if sign.is_ascii_alphanumeric() || "._-".contains(sign) { sign } else { '-' })
        .collect();
    let id: String = tidied.trim_matches('-').chars().take(64).collect();
    is_id(&id).then_some(id)
}

fn strip<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// 15 digits of which the last is Luhn's check (3GPP TS 23.003, annex B).
fn is_imei(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().map(|sign| sign.to_digit(10)).collect();
    let of = |place: usize, digit: u32| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit };
    digits.is_some_and(|digits| {
        digits.len() == 15 && digits.iter().enumerate().map(|(place, digit)| of(place, *digit)).sum::<u32>() % 10 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> (Kind, Option<String>, Option<String>) {
        let Means { kind, id, known_as, .. } = meaning(text);
        (kind, id, known_as)
    }

    fn id(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn our_own_label_is_read_again_and_has_no_secret() {
        let device = Device {
            id: "gas-7".into(),
            sensor_type: "ninewatch-gas".into(),
            place: "kitchen".into(),
            spot: "后厨".into(),
            known_as: String::new(),
            person: None,
            secret: "sha256:00:00".into(),
        };
        let text = label_of(&device, "kaili-01");
        assert!(!text.contains("sha256"), "{text}");
        let means = meaning(&text);
        assert_eq!((means.kind, means.id, means.sensor_type), (Kind::Device, id("gas-7"), id("ninewatch-gas")));
        assert_eq!(meaning("NW:D1:kaili-01:a b:x").kind, Kind::Text);
    }

    #[test]
    fn a_nodes_label_gives_its_id_and_never_its_key() {
        let identity = ninewatch_wire::identity::Identity {
            id: ninewatch_wire::frame::NodeId(0x1234_5678),
            key: ninewatch_wire::frame::Key([7; 16]),
        };
        let code = ninewatch_wire::code::Code(identity).to_string();
        let means = meaning(&code);
        assert_eq!((means.kind, &means.text), (Kind::Node, &None));
        assert!(!serde_json::to_string(&means).unwrap().contains(&code[9..]));
    }

    #[test]
    fn codes_of_the_trade_give_the_name_by_which_their_system_calls_the_device() {
        let lora = "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:OAABBCCDDEEFF:SYYWWNNNNNN:PFOOBAR:CAF2C";
        assert_eq!(says(lora), (Kind::Lorawan, id("aabbccddeeff0011"), None));
        let eui = (Kind::Zigbee, id("0xf4ce36d88ab8b6fd"), None);
        for zigbee in [
            "Z:F4CE36D88AB8B6FD$I:00112233445566778899AABBCCDDEEFF528F%M:FFFE$D:AABBCCDD",
            "G$M:69775$S:680S00003915$D:0000000017B2335C%Z$A:F4CE36D88AB8B6FD$I:00112233445566778899AABBCCDDEEFF528F",
            "RB01SG0D83101823480040000000000000000000F4CE36D88AB8B6FDDLK00112233445566778899AABBCCDDEEFF528F",
            "0xF4CE36D88AB8B6FD",
        ] {
            assert_eq!(says(zigbee), eui, "{zigbee}");
            assert_eq!(meaning(zigbee).text, None, "an install code is shown to nobody: {zigbee}");
        }
        assert_eq!(says("MT:Y.K9042C00KA0648G00"), (Kind::Matter, None, None));
        assert_eq!(says("WIFI:S:net;T:WPA;P:geheim;;"), (Kind::Other, None, None));
        assert_eq!(says("mqtts://gas-7:secret@host:8883"), (Kind::Other, None, None));
    }

    #[test]
    fn numbers_are_known_by_their_form() {
        assert_eq!(says("490154203237518"), (Kind::Imei, id("490154203237518"), None));
        assert_eq!(meaning("490154203237519").kind, Kind::Text, "the check digit is wrong");
        assert_eq!(says("AA:BB:CC:0d:ee:ff"), (Kind::Mac, id("aabbcc0deeff"), id("AA:BB:CC:0d:ee:ff")));
        assert_eq!(says("AABBCC0DEEFF"), (Kind::Mac, id("aabbcc0deeff"), None));
        assert_eq!(says("F4CE36D88AB8B6FD"), (Kind::Eui, id("f4ce36d88ab8b6fd"), None));
        assert_eq!(says("SN: G7-0012"), (Kind::Serial, id("G7-0012"), None));
        assert_eq!(says("IMEI:490154203237518;SN:77"), (Kind::Serial, id("77"), None));
        assert_eq!(says("https://a.example/d?model=G7&sn=0012AB"), (Kind::Serial, id("0012AB"), None));
        assert_eq!(says("https://a.example/d?IMEI=490154203237518"), (Kind::Imei, id("490154203237518"), None));
    }

    #[test]
    fn what_is_unknown_is_shown_and_may_be_an_id() {
        let means = meaning("烟感 3号 / A-7");
        assert_eq!((means.kind, means.text), (Kind::Text, id("烟感 3号 / A-7")));
        assert_eq!(says("房间 "), (Kind::Text, None, None));
        assert_eq!(says("").0, Kind::Text);
        assert!(meaning(&"长".repeat(5000)).text.unwrap().chars().count() <= LONGEST);
    }
}
