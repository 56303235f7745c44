//! `ninewatch doctor`: one page that says what is wrong with this gateway, and how to mend it.

use rustix::fs::Access as Modes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{Alert, AlertId, Scene, Status};
use ninewatch_core::time::TimeMs;

use super::check::{self, CheckArgs};
use crate::backup;
use crate::brokers;
use crate::clock::Clock;
use crate::config::{Config, MqttServer};
use crate::console::walk_tests_overdue;
use crate::health::{ClockHealth, DiskHealth, Part};
use crate::intake::wired::WiredInput;
use crate::journal::{self, Journal};
use crate::lang::{self, Lang};
use crate::mqtt_client::Access;
use crate::pins::{self, Pin};
use crate::registry_file;

/// How long another machine has to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A Raspberry Pi slows down from 80 °C on.
const HOT_C: f64 = 80.0;

/// What the doctor looked at, and what came of it.
struct Finding {
    of: String,
    /// What is wrong and how to mend it, or what is well.
    says: Result<String, Wrong>,
}

struct Wrong {
    what: String,
    mend: String,
}

impl Finding {
    fn well(of: impl Into<String>, says: impl Into<String>) -> Self {
        Self { of: of.into(), says: Ok(says.into()) }
    }

    fn wrong(of: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { of: of.into(), says: Err(Wrong { what: what.into(), mend: mend.into() }) }
    }
}

/// Looks at everything, and prints what it found.
///
/// # Errors
/// Where something is wrong: how much.
pub(crate) fn run(args: &CheckArgs, lang: Lang) -> anyhow::Result<()> {
    let findings = examine(&args.site, lang);
    let mut out = std::io::stdout();
    let colon = lang.pick("：", ": ");
    for Finding { of, says } in &findings {
        match says {
            Ok(says) => writeln!(out, "{}  {of}{colon}{says}", lang.pick("正常", "ok   "))?,
            Err(Wrong { what, mend }) => {
                writeln!(out, "{}  {of}{colon}{what}", lang.pick("异常", "WRONG"))?;
                if !mend.is_empty() {
                    writeln!(out, "      → {mend}")?;
                }
            }
        }
    }
    let wrong = findings.iter().filter(|finding| finding.says.is_err()).count();
    match lang {
        _ if wrong == 0 => Ok(()),
        Lang::Zh => anyhow::bail!("{wrong} 处异常"),
        Lang::En => anyhow::bail!("found wrong: {wrong}"),
    }
}

/// What it finds: whether that is well, and the lines that say it.
pub(crate) fn told(site: &Path, lang: Lang) -> Vec<(bool, Vec<String>)> {
    let lines = |Finding { of, says }: Finding| match says {
        Ok(says) => (true, vec![of, says]),
        Err(Wrong { what, mend }) => (false, vec![of, what, mend]),
    };
    examine(site, lang).into_iter().map(lines).collect()
}

fn examine(site: &Path, lang: Lang) -> Vec<Finding> {
    let config = match Config::load(site) {
        Ok(config) => config,
        Err(error) => return vec![Finding::wrong(site.display().to_string(), format!("{error:#}"), "")],
    };
    let data_dir = config.gateway.data_dir.clone();
    let mut findings = files(site, &config, lang);
    let open = open_alerts(&data_dir);
    let recorded_ms = open.as_ref().map_or(0, |(_, recorded_ms)| *recorded_ms);
    findings.push(of_part(&DiskHealth::new(data_dir.clone()), lang.pick("磁盘", "disk"), lang));
    let clock = ClockHealth::new(recorded_ms, config.gateway.utc_offset);
    findings.push(of_part(&clock, lang.pick("时间", "clock"), lang));
    let runs = Journal::is_in_use(&data_dir.join("journal"));
    findings.push(running(&config, &runs, lang));
    findings.extend(doors(&config, runs.unwrap_or(false), lang));
    let servers = config.upstreams.iter().map(|server| ("upstream", server));
    // What is wrong with their file, the files' check tells.
    let added = brokers::load(&data_dir, &config.brokers).unwrap_or_default();
    let servers = servers.chain(config.brokers.iter().chain(&added).map(|server| ("broker", server)));
    findings.extend(servers.map(|(kind, server)| reaches(kind, server, lang)));
    findings.extend(machine(Path::new("/sys"), lang));
    findings.extend(hardware(&config, lang));
    findings.extend(backups(&config, Clock::System.now_ms(), lang));
    findings.extend(walk_tests(&data_dir, Clock::System.now_ms(), lang));
    match open {
        Ok((open, _)) => findings.extend(open.iter().map(|alert| of_alert(alert, lang))),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => findings.push(Finding::wrong(
            lang.pick("预警记录", "alert log"),
            error.to_string(),
            lang.pick("请用 sudo 运行", "run this with sudo"),
        )),
    }
    findings
}

fn files(site: &Path, config: &Config, lang: Lang) -> Vec<Finding> {
    let of = lang.pick("配置", "files");
    let checked = match check::check(site, config.clone(), lang) {
        Err(error) => return vec![Finding::wrong(of, format!("{error:#}"), "")],
        Ok(checked) => checked,
    };
    let well = checked.faults.is_empty().then(|| Finding::well(of, checked.summary));
    let faults = checked.faults.iter().map(|fault| Finding::wrong(of, fault.to_string(), ""));
    let holes = checked.holes.into_iter().map(|hole| Finding::wrong(lang.pick("值班", "duty"), hole, ""));
    let mend = lang.pick("正式使用前请删去 simulated", "remove `simulated` before anybody relies on it");
    let simulated = checked.simulated.into_iter().map(|what| Finding::wrong(lang.pick("接线", "wiring"), what, mend));
    well.into_iter().chain(faults).chain(holes).chain(simulated).collect()
}

fn of_part(part: &dyn Part, of: &str, lang: Lang) -> Finding {
    match part.ails().first() {
        Some((ailment, text)) => Finding::wrong(of, lang.of(text), lang.of(&ailment.mend())),
        None => Finding::well(of, lang.pick("无异常", "as it should be")),
    }
}

fn running(config: &Config, runs: &std::io::Result<bool>, lang: Lang) -> Finding {
    let (of, data_dir) = (lang.pick("网关", "gateway"), config.gateway.data_dir.display());
    match runs {
        Ok(true) => Finding::well(of, lang.pick("正在运行", "running")),
        Ok(false) => Finding::wrong(
            of,
            lang.pick("没有运行", "not running"),
            lang.pick(
                "systemctl enable --now ninewatch；原因见 journalctl -u ninewatch",
                "systemctl enable --now ninewatch; why it ended: journalctl -u ninewatch",
            ),
        ),
        Err(error) => {
            Finding::wrong(of, format!("{data_dir}: {error}"), lang.pick("请用 sudo 运行", "run this with sudo"))
        }
    }
}

/// Whether its own ports answer, where it runs.
fn doors(config: &Config, runs: bool, lang: Lang) -> Vec<Finding> {
    if !runs {
        return Vec::new();
    }
    let port = config.sensor_port.as_ref();
    let all = [
        (lang.pick("控制台", "console"), config.console.as_ref().map(|console| console.listen)),
        (lang.pick("设备端口", "sensor port"), port.and_then(|port| port.listen)),
        (lang.pick("设备端口 TLS", "sensor port, TLS"), port.and_then(|port| Some(port.tls.as_ref()?.listen))),
    ];
    let listening = all.into_iter().filter_map(|(of, address)| Some((of, address?)));
    let look = |(of, address): (&str, SocketAddr)| match TcpStream::connect_timeout(&from_here(address), PATIENCE) {
        Ok(_) => Finding::well(of, address.to_string()),
        Err(error) => Finding::wrong(
            of,
            format!("{address}: {error}"),
            lang.pick("重启网关：systemctl restart ninewatch", "restart it: systemctl restart ninewatch"),
        ),
    };
    listening.map(look).collect()
}

/// Where this machine itself reaches what listens at `address`.
fn from_here(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        address => address,
    }
}

fn reaches(kind: &str, server: &MqttServer, lang: Lang) -> Finding {
    let of = format!("{kind} {}", server.name);
    if let Err(error) = Access::read(server) {
        return Finding::wrong(of, format!("{error:#}"), "");
    }
    let Some((host, port, _)) = server.address() else { return Finding::wrong(of, server.url.clone(), "") };
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            let mend =
                lang.pick("请检查外网和 DNS，或改写地址", "check the network and its DNS, or the address in site.toml");
            return Finding::wrong(of, format!("{host}: {error}"), mend);
        }
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Finding::well(of, format!("{host}:{port} ({})", address.ip())),
            Err(error) => last = Some(error),
        }
    }
    let what = last.map_or_else(|| format!("{host}:{port}"), |error| format!("{host}:{port}: {error}"));
    Finding::wrong(
        of,
        what,
        lang.pick("请检查网络、防火墙和对方是否在运行", "check the network, the firewall, and whether it runs"),
    )
}

/// Power and heat, as the kernel tells them below `sys`.
fn machine(sys: &Path, lang: Lang) -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(sys.join(path)).ok();
    let mut findings = Vec::new();
    let celsius = read("class/thermal/thermal_zone0/temp").and_then(|text| text.trim().parse::<f64>().ok());
    if let Some(celsius) = celsius.map(|milli| milli / 1000.0) {
        let (of, says) = (lang.pick("温度", "heat"), format!("{celsius:.0} °C"));
        findings.push(if celsius < HOT_C {
            Finding::well(of, says)
        } else {
            Finding::wrong(of, says, lang.pick("请改善通风或加装散热片", "give it air, or a heat sink"))
        });
    }
    // A Raspberry Pi's firmware: bit 0 is now, bit 16 since the start.
    let throttled = read("devices/platform/soc/soc:firmware/get_throttled");
    if let Some(bits) = throttled.and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()) {
        let of = lang.pick("供电", "power");
        findings.push(if bits & 0x1_0001 == 0 {
            Finding::well(of, lang.pick("电压足够", "the voltage is enough"))
        } else {
            Finding::wrong(
                of,
                lang.pick("电压曾经不足，SD 卡可能因此损坏", "the voltage was too low, which can cost the SD card"),
                lang.pick("请更换电源和电源线（5 V，3 A 以上）", "use another supply and cable (5 V, 3 A or more)"),
            )
        });
    }
    findings
}

/// What the site's wiring hangs on: the chip of its pins, buses and ports.
fn hardware(config: &Config, lang: Lang) -> Vec<Finding> {
    let pins: Vec<Pin> = config.pins().into_iter().map(|(_, pin)| pin).collect();
    let chips = pins::hardware(pins.iter()).into_iter().map(|found| match found {
        Ok(by) => Finding::well("GPIO", by),
        Err(error) => Finding::wrong("GPIO", format!("{error:#}"), ""),
    });
    let ports: BTreeSet<PathBuf> = config.wired.iter().filter_map(WiredInput::port).collect();
    let ports = ports.into_iter().map(|path| {
        let of = path.display().to_string();
        match rustix::fs::access(&path, Modes::READ_OK | Modes::WRITE_OK) {
            Ok(()) => Finding::well(of, lang.pick("可以使用", "is to be had")),
            Err(error) => Finding::wrong(
                of,
                error.to_string(),
                lang.pick(
                    "请启用 I²C 或串口，并把网关用户加入 i2c、dialout 组",
                    "switch I²C or the serial port on, and put the gateway's user into the groups i2c and dialout",
                ),
            ),
        }
    });
    chips.chain(ports).collect()
}

/// Whether backups are made where they are wanted.
fn backups(config: &Config, now: TimeMs, lang: Lang) -> Option<Finding> {
    if !config.backup.usb {
        return None;
    }
    let (of, mend) = (lang.pick("备份", "backup"), Ailment::BackupOverdue.mend());
    let (data_dir, utc_offset) = (&config.gateway.data_dir, config.gateway.utc_offset);
    if let Some(text) = backup::overdue(data_dir, utc_offset, now) {
        return Some(Finding::wrong(of, lang.of(&text), lang.of(&mend)));
    }
    // What cannot be read is overdue already.
    let state = backup::state(data_dir).ok().flatten().unwrap_or_default();
    if let Some(why) = state.failed {
        let what = format!("{}{why}", lang.pick("最近一次失败：", "the last try failed: "));
        return Some(Finding::wrong(of, what, lang.of(&mend)));
    }
    let last = state.done_at_ms.map(|done| utc_offset.rfc3339(done));
    Some(Finding::well(of, last.unwrap_or_else(|| lang.pick("尚无", "none yet").to_owned())))
}

/// The places that are to be walked again, of those that have been.
fn walk_tests(data_dir: &Path, now: TimeMs, lang: Lang) -> Vec<Finding> {
    let of = lang.pick("走查", "walk-test");
    let overdue = match walk_tests_overdue(data_dir, now) {
        Ok(overdue) => overdue,
        Err(error) => return vec![Finding::wrong(of, format!("{error:#}"), "")],
    };
    // What is wrong with the registry is told among the files.
    let registry = registry_file::load(data_dir).unwrap_or_default();
    let places = registry.places.iter().filter_map(|place| Some((place, overdue.get(&place.id)?)));
    let told = places.map(|(place, due)| {
        let days = (now - due) / 86_400_000;
        let what = match lang {
            Lang::Zh => format!("{} 的设备走查已过期 {days} 天", place.name),
            Lang::En => format!("that of {} is {days} days overdue", place.name),
        };
        let mend = lang.pick("请在控制台“走查”页再走一次", "walk there again: the page Walk-test of the console");
        Finding::wrong(of, what, mend)
    });
    told.collect()
}

/// The open alerts about the gateway itself or about silent devices; and the time of the last change.
fn open_alerts(data_dir: &Path) -> std::io::Result<(Vec<Alert>, i64)> {
    let mut alerts: BTreeMap<AlertId, Alert> = BTreeMap::new();
    let mut recorded_ms = 0;
    // Damage is told by the gateway's own start.
    for change in journal::read_alerts(&data_dir.join("journal"), 1)?.filter_map(Result::ok) {
        recorded_ms = change.at_ms.max(recorded_ms);
        let alert = change.alert;
        if alert.status == Status::Closed || alert.recovered_at_ms.is_some() || !is_operational(&alert) {
            alerts.remove(&alert.id);
        } else {
            alerts.insert(alert.id.clone(), alert);
        }
    }
    Ok((alerts.into_values().collect(), recorded_ms))
}

fn is_operational(alert: &Alert) -> bool {
    alert.scene == Scene::Operations || alert.rules.iter().any(|rule| rule.starts_with("silent"))
}

fn of_alert(alert: &Alert, lang: Lang) -> Finding {
    let mend = Ailment::ALL.into_iter().find(|ailment| alert.rules.iter().any(|rule| rule == ailment.rule()));
    let what =
        format!("{}（{}）：{}", lang.of(&alert.title), lang::severity(alert.severity, lang), lang.of(&alert.reason));
    let silent = lang.pick("请检查设备的电源、网络和凭证", "check the device's power, network and credential");
    let mend = mend.map_or_else(|| silent.to_owned(), |ailment| lang.of(&ailment.mend()).to_owned());
    let who = alert.devices.first().cloned().unwrap_or_else(|| alert.place.clone());
    Finding::wrong(who, what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn says(findings: &[Finding]) -> Vec<(bool, String)> {
        let shown = |finding: &Finding| match &finding.says {
            Ok(says) => (true, format!("{}: {says}", finding.of)),
            Err(Wrong { what, mend }) => (false, format!("{}: {what} → {mend}", finding.of)),
        };
        findings.iter().map(shown).collect()
    }

    #[test]
    fn low_voltage_and_heat_are_told_with_their_mend() {
        let sys = tempfile::tempdir().unwrap();
        assert!(machine(sys.path(), Lang::En).is_empty(), "a machine that does not tell is not guessed at");
        for (file, holds) in [
            ("class/thermal/thermal_zone0/temp", "83456\n"),
            ("devices/platform/soc/soc:firmware/get_throttled", "50000\n"),
        ] {
            let file = sys.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, holds).unwrap();
        }
        let said = says(&machine(sys.path(), Lang::En));
        assert_eq!(said[0], (false, "heat: 83 °C → give it air, or a heat sink".to_owned()));
        assert!(!said[1].0 && said[1].1.starts_with("power: the voltage was too low"), "{said:?}");
    }

    #[test]
    fn a_place_that_is_to_be_walked_again_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("walk-tests")).unwrap();
        let walked = |id: &str, begun_at_ms: i64, place: &str| {
            let place = serde_json::json!({"id": place, "name": place, "grid": "g", "address": ""});
            let signed = serde_json::json!({"document": "{}", "sha256": "", "signature": "", "public_key": ""});
            let test = serde_json::json!({
                "id": id, "begun_at_ms": begun_at_ms, "by": "li", "places": [place], "devices": [], "certificate": signed,
            });
            fs::write(dir.path().join(format!("walk-tests/{id}.json")), test.to_string()).unwrap();
        };
        let day = 86_400_000;
        registry_file::update(dir.path(), |registry| {
            registry.places = ["school", "hotel"].map(place).to_vec();
            Ok(())
        })
        .unwrap();
        walked("a1", 0, "school");
        walked("a2", 0, "hotel");
        walked("a3", 30 * day, "hotel");
        walked("a4", 0, "removed since");
        let said = says(&walk_tests(dir.path(), 100 * day, Lang::En));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(!said[0].0 && said[0].1.starts_with("walk-test: that of school is 10 days overdue → walk"), "{said:?}");
    }

    fn place(id: &str) -> ninewatch_core::site::Place {
        ninewatch_core::site::Place {
            id: id.into(),
            name: id.into(),
            kind: ninewatch_core::site::PlaceKind::School,
            grid: "g".into(),
            address: String::new(),
        }
    }

    #[test]
    fn a_site_file_that_cannot_be_read_is_the_only_thing_told() {
        let said = says(&examine(Path::new("/nowhere/site.toml"), Lang::En));
        assert!(said.len() == 1 && !said[0].0 && said[0].1.contains("/nowhere/site.toml"), "{said:?}");
    }

    #[test]
    fn a_gateway_that_does_not_run_and_an_upstream_that_is_not_there_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("site.toml");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(
            &site,
            format!(
                "[gateway]\nid = \"g1\"\ndata_dir = \"data\"\n[sensor_port]\nlisten = \"127.0.0.1:1883\"\n\
                 [[upstream]]\nname = \"city\"\nurl = \"mqtt://{free}\"\n"
            ),
        )
        .unwrap();
        fs::create_dir_all(dir.path().join("data/journal")).unwrap();
        let said = says(&examine(&site, Lang::En));
        let wrong: Vec<&str> = said.iter().filter(|(well, _)| !well).map(|(_, says)| says.as_str()).collect();
        assert!(wrong.iter().any(|says| says.starts_with("gateway: not running → systemctl")), "{said:?}");
        assert!(wrong.iter().any(|says| says.starts_with(&format!("upstream city: {free}: "))), "{said:?}");
        assert!(!said.iter().any(|(_, says)| says.starts_with("sensor port")), "nobody listens while it does not run");
    }
}
