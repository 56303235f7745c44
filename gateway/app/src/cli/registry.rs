//! `ninewatch place` and `ninewatch device`: what a site consists of.
//!
//! What other programs may read (lists, exports, secrets) goes to standard output, what is for the
//! person to standard error.

mod import;
mod sheet;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use std::io::Write;
use std::path::{Path, PathBuf};

use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind};

use super::table;
use crate::audit::note_command;
use crate::lang::Lang;
use crate::registry_file::{self, Secret, edit};

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
        /// What its own system calls it, where that is not its id: a name, a MAC address
        #[arg(long, default_value = "", hide_default_value = true)]
        known_as: String,
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
    /// Add and change devices by a CSV file with the columns id,type,place,spot,person,known_as
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
    let (dir, deed) = (args.data.data_dir.clone(), args.command.deed());
    noted(&dir, deed, place_to(args, lang, &mut std::io::stdout().lock()))
}

/// Does what `ninewatch device` was told.
///
/// # Errors
/// What is wrong with it. Then nothing has changed.
pub(crate) fn device(args: DeviceArgs, lang: Lang) -> anyhow::Result<()> {
    let (dir, deed) = (args.data.data_dir.clone(), args.command.deed());
    noted(&dir, deed, device_to(args, lang, &mut std::io::stdout().lock()))
}

/// What the audit log calls a command that changes something, and what it is done to.
type Deed = Option<(&'static str, String)>;

fn noted(data_dir: &Path, deed: Deed, done: anyhow::Result<()>) -> anyhow::Result<()> {
    match deed {
        Some((what, of)) => note_command(data_dir, what, &of, done),
        None => done,
    }
}

impl PlaceCommand {
    fn deed(&self) -> Deed {
        match self {
            Self::Add { id, .. } => Some(("place.add", id.clone())),
            Self::Remove { id } => Some(("place.remove", id.clone())),
            Self::Import { file } => Some(("place.import", file.display().to_string())),
            Self::List | Self::Export => None,
        }
    }
}

impl DeviceCommand {
    fn deed(&self) -> Deed {
        match self {
            Self::Add { id, .. } => Some(("device.add", id.clone())),
            Self::Remove { id } => Some(("device.remove", id.clone())),
            Self::Renew { id } => Some(("device.renew", id.clone())),
            Self::Import { file, .. } => Some(("device.import", file.display().to_string())),
            Self::List | Self::Export => None,
        }
    }
}

fn place_to(args: PlaceArgs, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let dir = &args.data.data_dir;
    match args.command {
        PlaceCommand::Add { id, name, kind, grid, address } => registry_file::update(dir, |registry| {
            Ok(edit::add_place(registry, Place { id, name, kind, grid, address })?)
        }),
        PlaceCommand::List => {
            let header = match lang {
                Lang::Zh => ["编号", "名称", "类别", "网格", "地址"],
                Lang::En => ["ID", "NAME", "KIND", "GRID", "ADDRESS"],
            };
            let places = registry_file::load(dir)?.places;
            table::print(
                out,
                header,
                places.into_iter().map(|place| [place.id, place.name, to_word(&place.kind), place.grid, place.address]),
            )
        }
        PlaceCommand::Remove { id } => registry_file::update(dir, |registry| Ok(edit::remove_place(registry, &id)?)),
        PlaceCommand::Import { file } => import::places(dir, &file, lang),
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
        DeviceCommand::Add { id, sensor_type, place, spot, known_as, person } => {
            let secret = Secret::generate()?;
            let device = Device { id, sensor_type, place, spot, known_as, person, secret: String::new() };
            registry_file::update(dir, |registry| edit::add_device(registry, device, Some(&secret)))?;
            tell(out, &secret, lang)
        }
        DeviceCommand::List => {
            let header = match lang {
                Lang::Zh => ["编号", "类型", "场所", "位置", "照护对象", "又名"],
                Lang::En => ["ID", "TYPE", "PLACE", "SPOT", "PERSON", "KNOWN AS"],
            };
            table::print(out, header, registry_file::load(dir)?.devices.into_iter().map(cells))
        }
        DeviceCommand::Remove { id } => registry_file::update(dir, |registry| Ok(edit::remove_device(registry, &id)?)),
        DeviceCommand::Renew { id } => {
            let secret = Secret::generate()?;
            registry_file::update(dir, |registry| edit::renew_device(registry, &id, &secret))?;
            tell(out, &secret, lang)
        }
        DeviceCommand::Import { file, secrets } => import::devices(dir, &file, secrets.as_deref(), lang),
        DeviceCommand::Export => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["id", "type", "place", "spot", "person", "known_as"])?;
            for device in registry_file::load(dir)?.devices {
                csv.write_record(cells(device))?;
            }
            Ok(csv.flush()?)
        }
    }
}

fn tell(out: &mut impl Write, secret: &Secret, lang: Lang) -> anyhow::Result<()> {
    eprintln!("{}", lang.pick("设备密钥，只显示这一次：", "The device's secret, shown this once:"));
    Ok(writeln!(out, "{}", secret.shown())?)
}

/// What is shown of a device, everywhere.
fn cells(device: Device) -> [String; 6] {
    let person = device.person.map(|person| to_word(&person)).unwrap_or_default();
    [device.id, device.sensor_type, device.place, device.spot, person, device.known_as]
}

/// What a word in a command or a file stands for.
fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<Error>::new(word)).map_err(|error| error.to_string())
}

/// The word that stands for it in commands and files.
fn to_word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
