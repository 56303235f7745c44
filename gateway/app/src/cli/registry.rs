//! `ninewatch place` and `ninewatch device`: what a site consists of.
//!
//! What other programs may read (lists, exports, secrets) goes to standard output, what is for the
//! person to standard error.

mod sheet;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use std::io::Write;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr;

use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind, Registry};

use crate::lang::Lang;
use crate::registry_file::{self, Secret};
use sheet::Sheet;

/// What `place` can be told.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: PlaceCommand,
}

/// What `device` can be told.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Debug, Args)]
struct DataDir {
    /// The gateway's data folder
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ninewatch", global = true)]
    data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum PlaceCommand {
    /// Add a place
    Add {
        /// Unique; 1 to 64 of A-Z a-z 0-9 . _ -
        id: String,
        /// As people call it
        #[arg(long)]
        name: String,
        /// school, clinic, shop, restaurant, hotel, entertainment, internet_cafe, beauty_bath,
        /// workshop, home or key_site
        #[arg(long, value_parser = from_word::<PlaceKind>)]
        kind: PlaceKind,
        /// The grid it belongs to
        #[arg(long)]
        grid: String,
        /// For whoever is sent there
        #[arg(long, default_value = "", hide_default_value = true)]
        address: String,
    },
    /// Show all places
    List,
    /// Remove a place that has no devices
    Remove {
        /// Its id
        id: String,
    },
    /// Add and change places by a CSV file with the columns id,name,kind,grid,address
    Import {
        /// The CSV file
        file: PathBuf,
    },
    /// Print all places as the CSV that `import` takes
    Export,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// Add a device and print its secret, this once
    Add {
        /// Unique, its MQTT user name; 1 to 64 of A-Z a-z 0-9 . _ -
        id: String,
        /// Its sensor type
        #[arg(long = "type", value_name = "TYPE")]
        sensor_type: String,
        /// The id of the place where it is
        #[arg(long)]
        place: String,
        /// Where in the place, as people say it
        #[arg(long, default_value = "", hide_default_value = true)]
        spot: String,
        /// Whom it cares for: elder, elder_alone, disabled, child, patient or other
        #[arg(long, value_name = "CATEGORY", value_parser = from_word::<PersonCategory>)]
        person: Option<PersonCategory>,
    },
    /// Show all devices
    List,
    /// Remove a device; it is cut off at once
    Remove {
        /// Its id
        id: String,
    },
    /// Give a device a new secret and print it, this once; the former one ends at once
    Renew {
        /// Its id
        id: String,
    },
    /// Add and change devices by a CSV file with the columns id,type,place,spot,person
    Import {
        /// The CSV file
        file: PathBuf,
        /// Where to write the new devices' secrets, as the CSV id,secret
        #[arg(long, value_name = "FILE")]
        secrets: Option<PathBuf>,
    },
    /// Print all devices as the CSV that `import` takes; never a secret
    Export,
}

/// Does what `ninewatch place` was told.
///
/// # Errors
/// What is wrong with it. Then nothing has changed.
pub(crate) fn place(args: PlaceArgs, lang: Lang) -> anyhow::Result<()> {
    place_to(args, lang, &mut std::io::stdout().lock())
}

/// Does what `ninewatch device` was told.
///
/// # Errors
/// What is wrong with it. Then nothing has changed.
pub(crate) fn device(args: DeviceArgs, lang: Lang) -> anyhow::Result<()> {
    device_to(args, lang, &mut std::io::stdout().lock())
}

fn place_to(args: PlaceArgs, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let dir = &args.data.data_dir;
    match args.command {
        PlaceCommand::Add { id, name, kind, grid, address } => registry_file::update(dir, |registry| {
            if registry.place(&id).is_some() {
                bail!("there is a place `{id}` already; `ninewatch place import` changes it");
            }
            registry.places.push(Place { id, name, kind, grid, address });
            Ok(())
        }),
        PlaceCommand::List => {
            let header = match lang {
                Lang::Zh => ["编号", "名称", "类别", "网格", "地址"],
                Lang::En => ["ID", "NAME", "KIND", "GRID", "ADDRESS"],
            };
            let places = registry_file::load(dir)?.places;
            table(
                out,
                header,
                places.into_iter().map(|place| [place.id, place.name, to_word(&place.kind), place.grid, place.address]),
            )
        }
        PlaceCommand::Remove { id } => registry_file::update(dir, |registry| {
            let there: Vec<&str> =
                registry.devices.iter().filter(|device| device.place == id).map(|device| device.id.as_str()).collect();
            if !there.is_empty() {
                bail!("place `{id}` has devices: {}; remove them or give them another place first", there.join(", "));
            }
            remove(&mut registry.places, |place| place.id == id)
                .with_context(|| format!("there is no place `{id}`; `ninewatch place list` shows them"))
        }),
        PlaceCommand::Import { file } => import_places(dir, &file, lang),
        PlaceCommand::Export => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["id", "name", "kind", "grid", "address"])?;
            for place in registry_file::load(dir)?.places {
                csv.write_record([place.id, place.name, to_word(&place.kind), place.grid, place.address])?;
            }
            Ok(csv.flush()?)
        }
    }
}

fn device_to(args: DeviceArgs, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let dir = &args.data.data_dir;
    match args.command {
        DeviceCommand::Add { id, sensor_type, place, spot, person } => {
            let secret = Secret::generate()?;
            let stored = secret.stored()?;
            registry_file::update(dir, |registry| {
                if registry.device(&id).is_some() {
                    bail!(
                        "there is a device `{id}` already; `ninewatch device import` changes it, `renew` gives it a new secret"
                    );
                }
                registry.devices.push(Device { id, sensor_type, place, spot, person, secret: stored });
                Ok(())
            })?;
            tell(out, &secret, lang)
        }
        DeviceCommand::List => {
            let header = match lang {
                Lang::Zh => ["编号", "类型", "场所", "位置", "照护对象"],
                Lang::En => ["ID", "TYPE", "PLACE", "SPOT", "PERSON"],
            };
            table(out, header, registry_file::load(dir)?.devices.into_iter().map(cells))
        }
        DeviceCommand::Remove { id } => registry_file::update(dir, |registry| {
            remove(&mut registry.devices, |device| device.id == id).with_context(|| no_device(&id))
        }),
        DeviceCommand::Renew { id } => {
            let secret = Secret::generate()?;
            let stored = secret.stored()?;
            registry_file::update(dir, |registry| {
                let device = registry.devices.iter_mut().find(|device| device.id == id);
                device.with_context(|| no_device(&id))?.secret = stored;
                Ok(())
            })?;
            tell(out, &secret, lang)
        }
        DeviceCommand::Import { file, secrets } => import_devices(dir, &file, secrets.as_deref(), lang),
        DeviceCommand::Export => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["id", "type", "place", "spot", "person"])?;
            for device in registry_file::load(dir)?.devices {
                csv.write_record(cells(device))?;
            }
            Ok(csv.flush()?)
        }
    }
}

fn import_places(dir: &Path, file: &Path, lang: Lang) -> anyhow::Result<()> {
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

fn import_devices(dir: &Path, file: &Path, secrets: Option<&Path>, lang: Lang) -> anyhow::Result<()> {
    let sheet = Sheet::read(file, &["id", "type", "place"], &["spot", "person"])?;
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
            Ok(Device { id, sensor_type, place, spot, person, secret: String::new() })
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
    registry_file::write_private(path, text.as_bytes())
}

fn tell(out: &mut impl Write, secret: &Secret, lang: Lang) -> anyhow::Result<()> {
    eprintln!("{}", lang.pick("设备密钥，只显示这一次：", "The device's secret, shown this once:"));
    Ok(writeln!(out, "{}", secret.shown())?)
}

fn report(added: usize, total: usize, lang: Lang) {
    let changed = total - added;
    match lang {
        Lang::Zh => eprintln!("新增 {added}，更新 {changed}"),
        Lang::En => eprintln!("{added} added, {changed} updated"),
    }
}

fn no_device(id: &str) -> String {
    format!("there is no device `{id}`; `ninewatch device list` shows them")
}

/// What is shown of a device, everywhere.
fn cells(device: Device) -> [String; 5] {
    let person = device.person.map(|person| to_word(&person)).unwrap_or_default();
    [device.id, device.sensor_type, device.place, device.spot, person]
}

fn remove<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> Option<()> {
    let index = list.iter().position(is_it)?;
    list.remove(index);
    Some(())
}

/// Prints rows under a header, aligned; a Chinese character is two columns wide.
fn table<const N: usize>(
    out: &mut impl Write,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width + 2 - cell.width()));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What a word in a command or a file stands for.
fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<Error>::new(word)).map_err(|error| error.to_string())
}

/// The word that stands for it in commands and files.
fn to_word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
