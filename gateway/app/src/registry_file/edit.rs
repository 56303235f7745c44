//! What may be done to a site's places and devices, for the commands and for the console alike.

use ninewatch_core::site::{Device, Place, Registry, is_id};
use thiserror::Error;

use super::Secret;

/// A grid's name stands in lists and topics.
const LONGEST_GRID: usize = 64;
/// Of what people write about a place or a device.
const LONGEST: usize = 200;

/// Why a change cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotEdited {
    #[error("there is a place `{0}` already; `ninewatch place import` changes it")]
    PlaceIsThere(String),
    #[error("there is a device `{0}` already; `ninewatch device import` changes it, `renew` gives it a new secret")]
    DeviceIsThere(String),
    #[error("there is no place `{0}`; `ninewatch place list` shows them")]
    NoPlace(String),
    #[error("there is no device `{0}`; `ninewatch device list` shows them")]
    NoDevice(String),
    #[error("place `{0}` has devices: {devices}; remove them or give them another place first", devices = .1.join(", "))]
    HasDevices(String, Vec<String>),
    /// What is wrong in one field: its name, the problem, the mend.
    #[error("`{0}`: {1}; {2}")]
    Field(&'static str, String, &'static str),
}

/// Adds a place.
///
/// # Errors
/// Where one is called so, or a field is not right.
pub(crate) fn add_place(registry: &mut Registry, place: Place) -> Result<(), NotEdited> {
    check_place(&place)?;
    if registry.place(&place.id).is_some() {
        return Err(NotEdited::PlaceIsThere(place.id));
    }
    registry.places.push(place);
    Ok(())
}

/// Puts a place in the place of the one with its id.
///
/// # Errors
/// Where there is none, or a field is not right.
pub(crate) fn change_place(registry: &mut Registry, place: Place) -> Result<(), NotEdited> {
    check_place(&place)?;
    match registry.places.iter_mut().find(|known| known.id == place.id) {
        Some(known) => *known = place,
        None => return Err(NotEdited::NoPlace(place.id)),
    }
    Ok(())
}

/// Removes a place that has no devices.
///
/// # Errors
/// Where there is none, or it has devices.
pub(crate) fn remove_place(registry: &mut Registry, id: &str) -> Result<(), NotEdited> {
    let there: Vec<String> =
        registry.devices.iter().filter(|device| device.place == id).map(|device| device.id.clone()).collect();
    if !there.is_empty() {
        return Err(NotEdited::HasDevices(id.to_owned(), there));
    }
    let before = registry.places.len();
    registry.places.retain(|place| place.id != id);
    if registry.places.len() < before { Ok(()) } else { Err(NotEdited::NoPlace(id.to_owned())) }
}

/// Adds a device; it is let in by `secret`, or by nothing but a broker.
///
/// # Errors
/// Where one is called so, or a field is not right; that the system has no randomness.
pub(crate) fn add_device(registry: &mut Registry, mut device: Device, secret: Option<&Secret>) -> anyhow::Result<()> {
    check_device(registry, &device)?;
    if registry.device(&device.id).is_some() {
        return Err(NotEdited::DeviceIsThere(device.id).into());
    }
    device.secret = secret.map(Secret::stored).transpose()?.unwrap_or_default();
    registry.devices.push(device);
    Ok(())
}

/// Puts a device in the place of the one with its id, which keeps its secret.
///
/// # Errors
/// Where there is none, or a field is not right.
pub(crate) fn change_device(registry: &mut Registry, mut device: Device) -> Result<(), NotEdited> {
    check_device(registry, &device)?;
    let known = registry.devices.iter_mut().find(|known| known.id == device.id);
    let known = known.ok_or_else(|| NotEdited::NoDevice(device.id.clone()))?;
    device.secret = std::mem::take(&mut known.secret);
    *known = device;
    Ok(())
}

/// Removes a device; it is cut off at once.
///
/// # Errors
/// Where there is none.
pub(crate) fn remove_device(registry: &mut Registry, id: &str) -> Result<(), NotEdited> {
    let before = registry.devices.len();
    registry.devices.retain(|device| device.id != id);
    if registry.devices.len() < before { Ok(()) } else { Err(NotEdited::NoDevice(id.to_owned())) }
}

/// Gives a device a new secret; the former one ends at once.
///
/// # Errors
/// Where there is none; that the system has no randomness.
pub(crate) fn renew_device(registry: &mut Registry, id: &str, secret: &Secret) -> anyhow::Result<()> {
    let device = registry.devices.iter_mut().find(|device| device.id == id);
    device.ok_or_else(|| NotEdited::NoDevice(id.to_owned()))?.secret = secret.stored()?;
    Ok(())
}

fn check_place(place: &Place) -> Result<(), NotEdited> {
    check_id(&place.id)?;
    check_text("name", &place.name, 1..=LONGEST)?;
    check_text("grid", &place.grid, 1..=LONGEST_GRID)?;
    check_text("address", &place.address, 0..=LONGEST)
}

/// With what only the registry as a whole can say, so that it is told by the field.
fn check_device(registry: &Registry, device: &Device) -> Result<(), NotEdited> {
    check_id(&device.id)?;
    if device.sensor_type.is_empty() {
        return Err(NotEdited::Field("type", "is empty".to_owned(), "name a sensor type"));
    }
    check_text("spot", &device.spot, 0..=LONGEST)?;
    check_text("known_as", &device.known_as, 0..=LONGEST)?;
    if registry.place(&device.place).is_none() {
        let problem = format!("there is no place `{}`", device.place);
        return Err(NotEdited::Field("place", problem, "add it with `ninewatch place add`"));
    }
    let mine = [&device.id, &device.known_as];
    let is_other = |other: &&Device| other.id != device.id && other.sensor_type == device.sensor_type;
    let is_called =
        |other: &Device| mine.iter().any(|name| !name.is_empty() && [&other.id, &other.known_as].contains(name));
    if let Some(other) = registry.devices.iter().filter(is_other).find(|other| is_called(other)) {
        let problem = format!("`{}` of the same type is called so, too", other.id);
        return Err(NotEdited::Field("known_as", problem, "give one another name"));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), NotEdited> {
    let wrong = || NotEdited::Field("id", format!("`{id}` is not an id"), "use 1 to 64 of A-Z a-z 0-9 . _ -");
    if is_id(id) { Ok(()) } else { Err(wrong()) }
}

fn check_text(field: &'static str, text: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<(), NotEdited> {
    let length = text.trim().chars().count();
    if length < *lengths.start() {
        return Err(NotEdited::Field(field, "is empty".to_owned(), "fill it in"));
    }
    if length > *lengths.end() {
        return Err(NotEdited::Field(field, format!("is {length} characters long"), "write less"));
    }
    match text.chars().find(|sign| sign.is_control()) {
        Some(_) => Err(NotEdited::Field(field, "has a line break or another invisible sign".to_owned(), "remove it")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninewatch_core::site::PlaceKind;

    fn place(id: &str) -> Place {
        Place { id: id.into(), name: "店".into(), kind: PlaceKind::Shop, grid: "g1".into(), address: String::new() }
    }

    fn device(id: &str, known_as: &str) -> Device {
        Device {
            id: id.into(),
            sensor_type: "smoke".into(),
            place: "shop".into(),
            spot: String::new(),
            known_as: known_as.into(),
            person: None,
            secret: String::new(),
        }
    }

    fn shop() -> Registry {
        let mut registry = Registry::default();
        add_place(&mut registry, place("shop")).unwrap();
        registry
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        let mut registry = shop();
        let field = |wrong: NotEdited| match wrong {
            NotEdited::Field(field, ..) => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(add_place(&mut registry, place("a b")).unwrap_err()), "id");
        assert_eq!(field(add_place(&mut registry, Place { name: " ".into(), ..place("b") }).unwrap_err()), "name");
        assert_eq!(field(add_place(&mut registry, Place { grid: "x\ny".into(), ..place("b") }).unwrap_err()), "grid");
        add_device(&mut registry, device("d1", "前厅"), None).unwrap();
        let of = |registry: &mut Registry, device| match add_device(registry, device, None).unwrap_err().downcast() {
            Ok(wrong) => field(wrong),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(of(&mut registry, device("d2", "前厅")), "known_as");
        assert_eq!(of(&mut registry, Device { place: "gone".into(), ..device("d2", "") }), "place");
        assert_eq!(of(&mut registry, Device { sensor_type: String::new(), ..device("d2", "") }), "type");
        assert_eq!(registry.devices.len(), 1);
        assert_eq!(registry.problems(), []);
    }

    #[test]
    fn a_place_with_devices_stays_and_a_changed_device_keeps_its_secret() {
        let mut registry = shop();
        let secret = Secret::generate().unwrap();
        add_device(&mut registry, device("d1", ""), Some(&secret)).unwrap();
        let stored = registry.devices[0].secret.clone();
        assert!(matches!(remove_place(&mut registry, "shop"), Err(NotEdited::HasDevices(..))));
        change_device(&mut registry, Device { spot: "门口".into(), ..device("d1", "") }).unwrap();
        assert_eq!((registry.devices[0].spot.as_str(), &registry.devices[0].secret), ("门口", &stored));
        renew_device(&mut registry, "d1", &Secret::generate().unwrap()).unwrap();
        assert_ne!(registry.devices[0].secret, stored);
        remove_device(&mut registry, "d1").unwrap();
        remove_place(&mut registry, "shop").unwrap();
        assert_eq!(remove_place(&mut registry, "shop"), Err(NotEdited::NoPlace("shop".into())));
        assert_eq!(change_device(&mut shop(), device("x", "")), Err(NotEdited::NoDevice("x".into())));
    }
}
