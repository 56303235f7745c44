//! `brokers.toml` in the data folder: the brokers that were added from the set-up page. Those of `site.toml` are a person's.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use ninewatch_core::fault::Fault;

use crate::config::{Faults, MqttServer};
use crate::private;

/// In the data folder.
pub(crate) const FILE: &str = "brokers.toml";
/// Their passwords, each in a file of its own.
pub(crate) const PASSWORDS: &str = "broker-passwords";
const HEADER: &str = "# Written by the console's set-up page; other comments are lost at the next change.\n\n";

/// The file's text, as it stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokersFile {
    #[serde(default, rename = "broker")]
    brokers: Vec<MqttServer>,
}

/// Where the file is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// What the file says; a file that is not there yet says nothing. Paths are as from the data folder. `fixed` are those of
/// `site.toml`, whose names nobody else may have.
///
/// # Errors
/// Where it cannot be read, or every fault in it.
pub(crate) fn load(data_dir: &Path, fixed: &[MqttServer]) -> anyhow::Result<Vec<MqttServer>> {
    let mut brokers = read(data_dir)?;
    check(data_dir, &brokers, fixed)?;
    for server in &mut brokers {
        for path in [&mut server.password_file, &mut server.ca, &mut server.cert, &mut server.key] {
            path.iter_mut().for_each(|path| *path = data_dir.join(&*path));
        }
    }
    Ok(brokers)
}

/// Adds a broker, with its password, if it has one.
///
/// # Errors
/// What is wrong with it; then nothing has changed.
pub(crate) fn add(
    data_dir: &Path,
    fixed: &[MqttServer],
    mut server: MqttServer,
    password: Option<&str>,
) -> anyhow::Result<()> {
    change(data_dir, fixed, |brokers| {
        if let Some(password) = password {
            private::make_data_dir(&data_dir.join(PASSWORDS))?;
            let file = Path::new(PASSWORDS).join(&server.name);
            private::give_to_owner(data_dir, &data_dir.join(PASSWORDS))?;
            private::write(&data_dir.join(&file), password.as_bytes())?;
            private::give_to_owner(data_dir, &data_dir.join(&file))?;
            server.password_file = Some(file);
        }
        brokers.push(server);
        Ok(())
    })
}

/// Takes a broker out; says whether it was there. Its password is for [`forget_password`].
///
/// # Errors
/// Where the file cannot be read or written.
pub(crate) fn remove(data_dir: &Path, fixed: &[MqttServer], name: &str) -> anyhow::Result<bool> {
    change(data_dir, fixed, |brokers| {
        let before = brokers.len();
        brokers.retain(|server| server.name != name);
        Ok(brokers.len() < before)
    })
}

/// Deletes the password of a broker that was taken out.
///
/// # Errors
/// Where it stays.
pub(crate) fn forget_password(data_dir: &Path, name: &str) -> std::io::Result<()> {
    match std::fs::remove_file(data_dir.join(PASSWORDS).join(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn change<T>(
    data_dir: &Path,
    fixed: &[MqttServer],
    change: impl FnOnce(&mut Vec<MqttServer>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let _lock = private::lock(data_dir, "brokers.lock")?;
    let mut brokers = read(data_dir)?;
    let result = change(&mut brokers)?;
    check(data_dir, &brokers, fixed)?;
    let text = format!("{HEADER}{}", toml::to_string(&BrokersFile { brokers })?);
    private::replace(data_dir, FILE, text.as_bytes())?;
    Ok(result)
}

fn read(data_dir: &Path) -> anyhow::Result<Vec<MqttServer>> {
    let path = path(data_dir);
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(source) => toml::from_str::<BrokersFile>(&source)
            .map(|file| file.brokers)
            .map_err(|error| Faults(vec![Fault::from_toml(&name, &source, &error)]).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{name} cannot be read")),
    }
}

fn check(data_dir: &Path, brokers: &[MqttServer], fixed: &[MqttServer]) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (index, server) in brokers.iter().enumerate() {
        let others = brokers.iter().take(index).chain(fixed);
        for (key, problem, mend) in server.problems(others, false) {
            faults.push(Fault {
                file: path(data_dir).display().to_string(),
                line: None,
                key: format!("broker.{index}.{key}"),
                problem,
                mend: mend.to_owned(),
                former_goes_on: false,
            });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn server(name: &str) -> MqttServer {
        MqttServer {
            name: name.into(),
            url: "mqtt://127.0.0.1:1883".into(),
            username: Some("ninewatch".into()),
            password_file: None,
            ca: None,
            cert: None,
            key: None,
            subscribe: vec!["zigbee2mqtt/#".into()],
        }
    }

    #[test]
    fn a_broker_is_kept_with_its_password_in_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &[], server("home"), Some("geheim")).unwrap();
        let kept = load(dir.path(), &[]).unwrap();
        let file = kept[0].password_file.clone().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "geheim");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!std::fs::read_to_string(path(dir.path())).unwrap().contains("geheim"));
        assert!(remove(dir.path(), &[], "home").unwrap());
        assert!(!remove(dir.path(), &[], "home").unwrap());
        forget_password(dir.path(), "home").unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &[], server("home"), None).unwrap();
        for (wrong, says) in [
            (server("home"), "not a name of its own"),
            (server("../x"), "not a name of its own"),
            (server("city"), "not a name of its own"),
            (MqttServer { url: "http://x".into(), ..server("b") }, "not an MQTT address"),
            (MqttServer { subscribe: Vec::new(), ..server("b") }, "`subscribe` is not right"),
            (MqttServer { subscribe: vec!["a/#/b".into()], ..server("b") }, "is no topic filter"),
        ] {
            let error = add(dir.path(), &[server("city")], wrong, None).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(load(dir.path(), &[]).unwrap().len(), 1);
        std::fs::write(path(dir.path()), "[[broker]]\nnme = 1\n").unwrap();
        assert!(load(dir.path(), &[]).unwrap_err().to_string().contains("brokers.toml:2"));
    }
}
