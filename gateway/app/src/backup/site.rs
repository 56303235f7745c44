//! The site file in a backup, and the files that it names: they come along, and it names them where they then are.

use anyhow::Context;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The folder in the backup, and later in the data folder.
pub(super) const FOLDER: &str = "site";
pub(crate) const FILE: &str = "site.toml";

/// Keys whose value is a file, wherever they stand.
const FILES: [&str; 8] =
    ["cert", "key", "client_ca", "ca", "password_file", "url_file", "secret_file", "passphrase_file"];
/// Keys of `[files]` whose value is a folder.
const FOLDERS: [&str; 3] = ["sensors", "rules", "models"];

/// A site file with all that it names.
pub(crate) struct Site {
    /// The text, with what it names as it is called beside it, wherever it is put.
    pub(crate) text: String,
    /// What it names, file or folder: the name there, and where it is.
    pub(crate) named: BTreeMap<String, PathBuf>,
}

/// Reads a site file that is known to have no fault.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Site> {
    let source = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let base = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    let text = rewrite(&source, |key, value| {
        let path = base.join(value);
        match key.rsplit('.').next()? {
            // A library is of a machine, and does not come along.
            "onnxruntime" => Some(path.display().to_string()),
            // The restored one has a place of its own.
            "data_dir" => None,
            _ => Some(name(&mut named, path)),
        }
    })?;
    Ok(Site { text, named })
}

/// The same for a card: its text is given, files are relative to `base`, and the library and the data folder are
/// where they are on the new box.
///
/// # Errors
/// Where it is not TOML.
pub(crate) fn for_card(source: &str, base: &Path, data_dir: &str) -> anyhow::Result<Site> {
    let mut named = BTreeMap::new();
    let text = rewrite(source, |key, value| match key.rsplit('.').next()? {
        "onnxruntime" => None,
        "data_dir" => Some(data_dir.to_owned()),
        _ => Some(name(&mut named, base.join(value))),
    })?;
    Ok(Site { text, named })
}

/// A name of its own for what lies at `path`.
fn name(named: &mut BTreeMap<String, PathBuf>, path: PathBuf) -> String {
    let plain = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut name = plain.clone();
    let mut number = 1;
    while name == FILE || name.is_empty() || named.get(&name).is_some_and(|other| *other != path) {
        number += 1;
        name = format!("{number}-{plain}");
    }
    named.insert(name.clone(), path);
    name
}

/// The text of a restored site file, for the data folder where it is now. It names everything from the root, so that it
/// may be put anywhere.
///
/// # Errors
/// Where it is not TOML.
pub(super) fn settled(text: &str, data_dir: &Path) -> anyhow::Result<String> {
    rewrite(text, |key, value| {
        let path = if key == "gateway.data_dir" { data_dir.to_owned() } else { data_dir.join(FOLDER).join(value) };
        Some(path.display().to_string())
    })
}

/// Gives other values to the paths in a site file, as `change` says by key and value. All else stays, comments too.
fn rewrite(source: &str, mut change: impl FnMut(&str, &str) -> Option<String>) -> anyhow::Result<String> {
    let table = DeTable::parse(source).context("the site file is not TOML")?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        find(key.get_ref(), value.get_ref(), value.span(), &mut found);
    }
    // From the back, so that places further on in the text are not moved before they are changed.
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (key, span, value) in found {
        if let Some(new) = change(&key, &value) {
            changes.push((span, toml::Value::String(new).to_string()));
        }
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = source.to_owned();
    for (span, new) in changes {
        text.replace_range(span, &new);
    }
    Ok(text)
}

/// Finds the paths in a value, by key.
fn find(key: &str, value: &DeValue<'_>, span: Range<usize>, found: &mut Vec<(String, Range<usize>, String)>) {
    match value {
        DeValue::String(text) if is_path(key) => found.push((key.to_owned(), span, text.to_string())),
        DeValue::Table(table) => {
            for (name, value) in table {
                find(&format!("{key}.{}", name.get_ref()), value.get_ref(), value.span(), found);
            }
        }
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                find(&format!("{key}.{index}"), value.get_ref(), value.span(), found);
            }
        }
        _ => {}
    }
}

fn is_path(key: &str) -> bool {
    let Some((table, last)) = key.rsplit_once('.') else { return false };
    match table {
        "gateway" => last == "data_dir",
        "files" => FOLDERS.contains(&last) || last == "onnxruntime",
        // Its key is one, and no file that holds one.
        "update" => last == "ca",
        _ => FILES.contains(&last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_file_names_is_found_and_named_anew() {
        let dir = tempfile::tempdir().unwrap();
        let source = "# ours\n[gateway]\nid = \"g\" # 'key'\ndata_dir = \"data\"\n\n[sensor_port]\n\
                      tls = { listen = \"127.0.0.1:0\", cert = \"a/server.pem\", key = '/etc/server.key' }\n\n\
                      [[upstream]]\nname = \"city\"\nca = \"b/server.pem\"\npassword_file = \"word\"\n\n\
                      [[upstream]]\nname = \"sensors\"\nca = \"./b/server.pem\"\n\n\
                      [update]\nrepository = \"https://a\"\nkey = \"ed25519:a/b=\"\n\n\
                      [files]\nsensors = \"sensors\"\nonnxruntime = \"lib.so\"\n";
        let path = dir.path().join("site.toml");
        std::fs::write(&path, source).unwrap();
        let site = read(&path).unwrap();
        let base = dir.path();
        let named: Vec<(&str, &Path)> = site.named.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
        assert_eq!(
            named,
            [
                ("2-server.pem", base.join("b/server.pem").as_path()),
                ("sensors", &base.join("sensors")),
                ("server.key", Path::new("/etc/server.key")),
                ("server.pem", &base.join("a/server.pem")),
                ("word", &base.join("word")),
            ]
        );
        let settled = settled(&site.text, Path::new("/new/data")).unwrap();
        let lib = base.join("lib.so").display().to_string();
        assert_eq!(
            settled,
            source
                .replace("\"data\"", "\"/new/data\"")
                .replace("a/server.pem", "/new/data/site/server.pem")
                .replace("'/etc/server.key'", "\"/new/data/site/server.key\"")
                .replace("\"b/server.pem", "\"/new/data/site/2-server.pem")
                .replace("./b/server.pem", "/new/data/site/2-server.pem")
                .replace("\"word\"", "\"/new/data/site/word\"")
                .replace("= \"sensors\"\nonnx", "= \"/new/data/site/sensors\"\nonnx")
                .replace("lib.so", &lib)
        );
    }
}
