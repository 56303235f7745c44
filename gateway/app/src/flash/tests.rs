//! Everything against files: cards that fail, disks that do not exist, an image of nine megabytes.

mod bad_cards;
mod disks;
mod identity;
mod whole;

use std::path::{Path, PathBuf};

use super::identity::{Identity, Wanted};
use crate::lang::Lang;

/// A site file for many gateways, with all that one has, in a folder.
fn site(dir: &Path) -> PathBuf {
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write(
        "site.toml",
        "[gateway]\nid = \"{id}\"\ndata_dir = \"data\"\n\n[sensor_port]\nlisten = \"0.0.0.0:1883\"\n\n\
         [sensor_port.tls]\nlisten = \"0.0.0.0:8883\"\ncert = \"keys/port.pem\"\nkey = \"keys/port.key\"\n\n\
         [console]\nlisten = \"0.0.0.0:8080\"\n\n[[upstream]]\nname = \"city\"\nurl = \"mqtts://city.example:8883\"\n\
         username = \"{id}\"\npassword_file = \"secrets/{id}.password\"\n\n[files]\nrules = \"our rules\"\n",
    );
    std::fs::create_dir_all(dir.join("secrets")).unwrap();
    write("secrets/kaili-07.password", "correct horse\n");
    std::fs::create_dir_all(dir.join("our rules")).unwrap();
    write(
        "registry.toml",
        "[[place]]\nid = \"shop\"\nname = \"酸汤鱼馆\"\nkind = \"restaurant\"\ngrid = \"kaili-1\"\n\n\
         [[device]]\nid = \"gas-1\"\ntype = \"ninewatch-gas\"\nplace = \"shop\"\n",
    );
    dir.join("site.toml")
}

/// The gateway of [`site`].
fn made(dir: &Path) -> anyhow::Result<Identity> {
    let (site, registry) = (site(dir), dir.join("registry.toml"));
    Identity::make(&Wanted { registry: Some(&registry), device_secrets: true, ..wanted(&site) })
}

/// With the id `kaili-07` and little else.
fn wanted(site: &Path) -> Wanted<'_> {
    Wanted {
        site,
        id: Some("kaili-07"),
        registry: None,
        device_secrets: false,
        port_certificate: true,
        wifi: None,
        ssh_keys: None,
        lang: Lang::En,
    }
}
