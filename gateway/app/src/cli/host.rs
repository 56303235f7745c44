//! `ninewatch host`: what the machine has to know of the site file: its name, and which doors to leave open. The image
//! asks at each boot; whoever installs the package on a system of their own may ask too.

use anyhow::Context;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::flash::host_name;

/// What `host` can be told.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: HostCommand,
}

#[derive(Debug, Subcommand)]
enum HostCommand {
    /// 本机名称，局域网内为 NAME.local · The host's name, by which the local network finds it as NAME.local
    Name,
    /// 防火墙规则：只开放 site.toml 中的端口 · Rules for nft: only the doors of site.toml are open
    ///
    /// sudo sh -c 'ninewatch host firewall | nft -f -'
    Firewall {
        /// 同时开放 SSH · Leave SSH open too
        #[arg(long)]
        ssh: bool,
    },
    /// 局域网公告：systemd-resolved 的 .dnssd 文件 · How the local network finds the console: files for systemd-resolved
    ///
    /// sudo ninewatch host announce --to /etc/systemd/dnssd && sudo systemctl restart systemd-resolved
    Announce {
        /// 写入此文件夹，而不是打印 · Write them into this folder instead of printing them
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Prints what was asked for.
///
/// # Errors
/// Where the site file is not as it should be.
pub(crate) fn run(args: &HostArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.site)?;
    let said = match &args.command {
        HostCommand::Name => format!("{}\n", host_name(&config.gateway.id)),
        HostCommand::Firewall { ssh } => firewall(&doors(&config, *ssh)),
        HostCommand::Announce { to: None } => {
            services(&config).iter().map(|(file, text)| format!("# {file}\n{text}\n")).collect()
        }
        HostCommand::Announce { to: Some(folder) } => {
            announce(&services(&config), folder)?;
            String::new()
        }
    };
    Ok(write!(std::io::stdout(), "{said}")?)
}

/// A TCP port that other machines may reach, and what in the site file says so.
type Door = (u16, &'static str);

fn doors(config: &Config, ssh: bool) -> Vec<Door> {
    let port = config.sensor_port.as_ref();
    let listens: [(Option<SocketAddr>, &str); 3] = [
        (port.and_then(|port| port.listen), "sensor_port.listen"),
        (port.and_then(|port| port.tls.as_ref()).map(|tls| tls.listen), "sensor_port.tls.listen"),
        (config.console.as_ref().map(|console| console.listen), "console.listen"),
    ];
    let open = listens.into_iter().filter_map(|(address, key)| {
        let address = address.filter(|address| !address.ip().is_loopback())?;
        Some((address.port(), key))
    });
    open.chain(ssh.then_some((22, "ssh"))).collect()
}

/// The whole table; loading it replaces the former one in one step, so that no moment is without.
fn firewall(doors: &[Door]) -> String {
    let mut open = String::new();
    for (port, key) in doors {
        let _ = writeln!(open, "    tcp dport {port} accept comment \"{key}\"");
    }
    // The answers to DHCP come from an address that nothing was sent to; mDNS is asked by many at once.
    // Protocols by number: a small system has no list of their names.
    format!(
        "table inet ninewatch\ndelete table inet ninewatch\ntable inet ninewatch {{\n  chain input {{\n    \
         type filter hook input priority filter; policy drop;\n    iif lo accept\n    \
         ct state established,related accept\n    meta l4proto {{ 1, 58 }} accept comment \"ICMP\"\n    \
         udp sport 67 udp dport 68 accept comment \"DHCP\"\n    \
         udp sport 547 udp dport 546 accept comment \"DHCPv6\"\n    \
         udp dport 5353 accept comment \"mDNS\"\n{open}  }}\n  \
         chain forward {{\n    type filter hook forward priority filter; policy drop;\n  }}\n}}\n"
    )
}

/// What other machines may find, by DNS-SD (RFC 6763): a file for each service, as systemd.dnssd(5) has it. A console for
/// this machine alone is announced to nobody.
fn services(config: &Config) -> Vec<(&'static str, String)> {
    let Some(console) = config.console.as_ref().filter(|console| !console.listen.ip().is_loopback()) else {
        return Vec::new();
    };
    let web = if console.https().is_some() { "https" } else { "http" };
    let (id, port, version) = (&config.gateway.id, console.listen.port(), env!("CARGO_PKG_VERSION"));
    // A label of DNS has 63 bytes, as a host's name has.
    let name = host_name(id);
    let service =
        |kind: &str, text: &str| format!("[Service]\nName={name}\nType=_{kind}._tcp\nPort={port}\nTxtText={text}\n");
    vec![
        ("ninewatch-web.dnssd", service(web, "path=/")),
        ("ninewatch.dnssd", service("ninewatch", &format!("id={id} version={version} scheme={web}"))),
    ]
}

/// Writes the files; those of a former start that are no more announced are removed.
fn announce(services: &[(&'static str, String)], folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| format!("{shown} cannot be made; run this as root"))?;
    for file in ["ninewatch-web.dnssd", "ninewatch.dnssd"] {
        let path = folder.join(file);
        match services.iter().find(|(name, _)| *name == file) {
            Some((_, text)) => std::fs::write(&path, text),
            None if path.exists() => std::fs::remove_file(&path),
            None => Ok(()),
        }
        .with_context(|| format!("{} cannot be written; run this as root", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.toml");
        std::fs::write(&file, format!("[gateway]\nid = \"a\"\ndata_dir = \"d\"\n{more}")).unwrap();
        Config::load(&file).unwrap()
    }

    #[test]
    fn only_the_doors_of_the_site_file_are_open() {
        assert_eq!(doors(&config(""), false), []);
        let local = "[sensor_port]\nlisten = \"127.0.0.1:1883\"\n[console]\nlisten = \"[::1]:8080\"\n";
        assert_eq!(doors(&config(local), false), [], "what listens on this machine alone needs no door");
        let open = "[sensor_port]\nlisten = \"0.0.0.0:1883\"\n\
                    [sensor_port.tls]\nlisten = \"0.0.0.0:8883\"\ncert = \"c\"\nkey = \"k\"\n\
                    [console]\nlisten = \"[::]:8080\"\n";
        let doors = doors(&config(open), true);
        assert_eq!(doors.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [1883, 8883, 8080, 22]);
        let rules = firewall(&doors);
        assert!(rules.contains("policy drop") && rules.contains("tcp dport 8883 accept"), "{rules}");
        assert!(!firewall(&[]).contains("tcp dport"), "no door, none open");
    }

    #[test]
    fn a_console_that_others_reach_is_announced_and_no_other() {
        let local = config("[console]\nlisten = \"127.0.0.1:8080\"\n");
        assert_eq!(services(&local), []);
        let open = config("[console]\nlisten = \"0.0.0.0:8443\"\n");
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "[Service]\nName=ninewatch-a\nType=_ninewatch._tcp\nPort=8443\nTxtText=id=a version={version} scheme=https\n"
        );
        assert_eq!(services(&open)[1], ("ninewatch.dnssd", expected));
        assert!(services(&open)[0].1.contains("Type=_https._tcp"));
        let plain = config("[console]\nlisten = \"0.0.0.0:80\"\nplain_http = true\n");
        assert!(services(&plain)[0].1.contains("Type=_http._tcp\nPort=80"));

        let folder = tempfile::tempdir().unwrap();
        let there = || std::fs::read_dir(folder.path()).unwrap().count();
        announce(&services(&open), folder.path()).unwrap();
        assert_eq!(there(), 2);
        announce(&services(&local), folder.path()).unwrap();
        assert_eq!(there(), 0, "what is not announced any more is gone");
    }
}
