//! Places and devices from spreadsheets: all of a sheet or nothing.

use anyhow::{Context, bail};
use std::path::Path;

use ninewatch_core::site::{Device, Place, Registry};

use super::sheet::Sheet;
use crate::lang::Lang;
use crate::registry_file::{self, Secret};

/// Adds the sheet's places and changes those that are there.
pub(super) fn places(dir: &Path, file: &Path, lang: Lang) -> anyhow::Result<()> {
    let sheet = Sheet::read(file, &["id", "name", "kind", "grid"], &["address"])?;
    let places = sheet.each(|row| {
        let (id, name, grid, address) = (row.text("id"), row.text("name"), row.text("grid"), row.text("address"));
        Ok(Place { id, name, kind: row.word("kind")?, grid, address })
    })?;
    let total = places.len();
    let added = registry_file::update(dir, |registry| {
        let before = registry.places.len();
        for place in places {
            match registry.places.iter_mut().find(|known| known.id == place.id) {
                Some(known) => *known = place,
                None => registry.places.push(place),
            }
        }
        Ok(registry.places.len() - before)
    })?;
    report(added, total, lang);
    Ok(())
}

/// Adds the sheet's devices and changes those that are there; writes the new ones' secrets.
pub(super) fn devices(dir: &Path, file: &Path, secrets: Option<&Path>, lang: Lang) -> anyhow::Result<()> {
    let sheet = Sheet::read(file, &["id", "type", "place"], &["spot", "person", "known_as"])?;
    let mut total = 0;
    let mut written = None;
    let added = registry_file::update(dir, |registry| {
        let devices = sheet.each(|row| {
            let place = row.text("place");
            if registry.place(&place).is_none() {
                return Err(row.fault(
                    "place",
                    format!("there is no place `{place}`"),
                    "add it with `ninewatch place add`",
                ));
            }
            let person = if row.text("person").is_empty() { None } else { Some(row.word("person")?) };
            let (id, sensor_type, spot) = (row.text("id"), row.text("type"), row.text("spot"));
            let known_as = row.text("known_as");
            Ok(Device { id, sensor_type, place, spot, known_as, person, secret: String::new() })
        })?;
        total = devices.len();
        let new = take_in(registry, devices)?;
        if !new.is_empty() {
            let path =
                secrets.context("there are new devices; say with `--secrets FILE` where to write their secrets")?;
            write_secrets(path, &new)?;
            written = Some(path);
        }
        Ok(new.len())
    });
    if let (Err(_), Some(path)) = (&added, written) {
        // These secrets open nothing.
        std::fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    report(added?, total, lang);
    Ok(())
}

/// Puts devices into the registry; those that are there keep their secret. Gives (id, secret) of
/// the new ones.
fn take_in(registry: &mut Registry, devices: Vec<Device>) -> anyhow::Result<Vec<(String, Secret)>> {
    let mut new = Vec::new();
    for mut device in devices {
        if let Some(known) = registry.devices.iter_mut().find(|known| known.id == device.id) {
            device.secret = std::mem::take(&mut known.secret);
            *known = device;
        } else {
            let secret = Secret::generate()?;
            device.secret = secret.stored()?;
            new.push((device.id.clone(), secret));
            registry.devices.push(device);
        }
    }
    Ok(new)
}

fn write_secrets(path: &Path, new: &[(String, Secret)]) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} is there already and may hold other secrets; name another file", path.display());
    }
    let mut text = String::from("id,secret\n");
    for (id, secret) in new {
        text.push_str(&format!("{id},{}\n", secret.shown()));
    }
    crate::private::write(path, text.as_bytes())
}

fn report(added: usize, total: usize, lang: Lang) {
    let changed = total - added;
    match lang {
        Lang::Zh => eprintln!("新增 {added}，更新 {changed}"),
        Lang::En => eprintln!("{added} added, {changed} updated"),
    }
}
