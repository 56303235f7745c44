//! The played community: its places, its devices, and what each of them measures on a quiet day.

use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{PersonCategory, Place, PlaceKind};

/// A place of the demo and the devices in it.
pub(super) struct PlayedPlace {
    pub(super) place: Place,
    pub(super) devices: Vec<PlayedDevice>,
}

/// A device of the demo.
pub(super) struct PlayedDevice {
    pub(super) id: String,
    pub(super) class: SensorClass,
    pub(super) spot: &'static str,
    pub(super) person: Option<PersonCategory>,
}

use SensorClass::{Bracelet, Door, Electrical, FaceCamera, Gas, Presence, Smoke, Sos, Water};

/// (id, name, kind, person cared for, devices as (name, class, spot))
type Row = (
    &'static str,
    &'static str,
    PlaceKind,
    Option<PersonCategory>,
    &'static [(&'static str, SensorClass, &'static str)],
);

#[rustfmt::skip]
const ROWS: [Row; 13] = [
    ("school", "希望小学", PlaceKind::School, None, &[
        ("camera", FaceCamera, "校门"), ("door", Door, "校门"), ("smoke", Smoke, "食堂"),
        ("power", Electrical, "配电箱"), ("gas", Gas, "食堂"),
    ]),
    ("clinic", "康宁诊所", PlaceKind::Clinic, None, &[
        ("door", Door, "前门"), ("smoke", Smoke, "候诊室"), ("sos", Sos, "诊室"), ("power", Electrical, "配电箱"),
        ("water", Water, "水泵间"),
    ]),
    ("shop", "苗岭便利店", PlaceKind::Shop, None, &[
        ("door", Door, "卷帘门"), ("presence", Presence, "店堂"), ("smoke", Smoke, "仓库"),
        ("power", Electrical, "配电箱"), ("camera", FaceCamera, "收银台"),
    ]),
    ("restaurant", "酸汤鱼馆", PlaceKind::Restaurant, None, &[
        ("gas", Gas, "后厨"), ("gas-2", Gas, "气瓶间"), ("smoke", Smoke, "大堂"), ("power", Electrical, "配电箱"),
        ("water", Water, "消火栓"),
    ]),
    ("hotel", "清水江旅馆", PlaceKind::Hotel, None, &[
        ("smoke", Smoke, "三楼走廊"), ("smoke-2", Smoke, "二楼走廊"), ("camera", FaceCamera, "前台"),
        ("power", Electrical, "配电箱"), ("water", Water, "消火栓"), ("door", Door, "后门"),
    ]),
    ("ktv", "芦笙歌城", PlaceKind::Entertainment, None, &[
        ("camera", FaceCamera, "入口"), ("smoke", Smoke, "包间"), ("power", Electrical, "配电箱"),
        ("presence", Presence, "舞台"), ("door", Door, "后门"),
    ]),
    ("netbar", "星空网吧", PlaceKind::InternetCafe, None, &[
        ("camera", FaceCamera, "入口"), ("smoke", Smoke, "大厅"), ("power", Electrical, "机房"),
        ("door", Door, "后门"),
    ]),
    ("bath", "温泉浴室", PlaceKind::BeautyBath, None, &[
        ("water", Water, "锅炉房"), ("smoke", Smoke, "走廊"), ("gas", Gas, "锅炉房"), ("power", Electrical, "配电箱"),
        ("door", Door, "前门"),
    ]),
    ("workshop", "银饰作坊", PlaceKind::Workshop, None, &[
        ("smoke", Smoke, "车间"), ("smoke-2", Smoke, "库房"), ("power", Electrical, "车间"), ("gas", Gas, "熔炼间"),
        ("door", Door, "大门"), ("water", Water, "消火栓"),
    ]),
    ("home-yang", "杨奶奶家", PlaceKind::Home, Some(PersonCategory::ElderAlone), &[
        ("bracelet", Bracelet, "随身"), ("presence", Presence, "卧室"), ("sos", Sos, "床头"), ("gas", Gas, "厨房"),
        ("smoke", Smoke, "客厅"), ("door", Door, "大门"),
    ]),
    ("home-wu", "吴爷爷家", PlaceKind::Home, Some(PersonCategory::ElderAlone), &[
        ("bracelet", Bracelet, "随身"), ("presence", Presence, "卧室"), ("sos", Sos, "床头"), ("gas", Gas, "厨房"),
        ("smoke", Smoke, "客厅"),
    ]),
    ("home-long", "龙家", PlaceKind::Home, Some(PersonCategory::Disabled), &[
        ("bracelet", Bracelet, "随身"), ("sos", Sos, "轮椅"), ("smoke", Smoke, "客厅"), ("presence", Presence, "卧室"),
        ("gas", Gas, "厨房"),
    ]),
    ("waterworks", "城北水厂", PlaceKind::KeySite, None, &[
        ("camera", FaceCamera, "大门"), ("door", Door, "泵房"), ("power", Electrical, "泵房"),
        ("water", Water, "出水管"), ("hydrant", Water, "市政消火栓"),
    ]),
];

/// Thirteen places of every kind, 67 devices of every class, in two grids.
pub(super) fn community() -> Vec<PlayedPlace> {
    ROWS.iter()
        .enumerate()
        .map(|(index, (id, name, kind, person, devices))| PlayedPlace {
            place: Place {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                kind: *kind,
                grid: format!("kaili-{}", 1 + index / 7),
                address: format!("凯里市文化北路 {} 号", 10 + 2 * index),
            },
            devices: devices
                .iter()
                .map(|(device, class, spot)| PlayedDevice {
                    id: format!("{id}-{device}"),
                    class: *class,
                    spot,
                    person: *person,
                })
                .collect(),
        })
        .collect()
}

/// The sensor type of a native device.
pub(super) fn sensor_type(class: SensorClass) -> String {
    format!("ninewatch-{}", class.name().replace('_', "-"))
}

/// A field of a device on a quiet day: unit, middle and how far it wanders.
pub(super) struct Quiet {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field carries.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Unit, middle, spread.
    Number(&'static str, f64, f64),
    Switch(bool),
}

const fn number(name: &'static str, unit: &'static str, middle: f64, spread: f64) -> Quiet {
    Quiet { name, kind: Kind::Number(unit, middle, spread) }
}

const fn switch(name: &'static str, on: bool) -> Quiet {
    Quiet { name, kind: Kind::Switch(on) }
}

/// What a device of this class reports each time on a quiet day.
pub(super) fn quiet(class: SensorClass) -> Vec<Quiet> {
    let battery = number("battery_percent", "%EL", 84.0, 2.0);
    match class {
        FaceCamera => vec![switch("online", true)],
        Bracelet => vec![
            number("heart_rate_bpm", "beat/min", 72.0, 8.0),
            number("spo2_percent", "%", 97.4, 0.9),
            number("body_temperature_c", "Cel", 36.5, 0.2),
            switch("worn", true),
            battery,
        ],
        Smoke => vec![
            switch("smoke_alarm", false),
            number("obscuration_percent_m", "%/m", 0.3, 0.1),
            number("temperature_c", "Cel", 21.0, 0.5),
            battery,
        ],
        Gas => {
            vec![number("co_ppm", "ppm", 2.0, 1.0), number("lel_percent", "%", 0.6, 0.3), switch("gas_alarm", false)]
        }
        Electrical => vec![
            number("residual_current_ma", "mA", 18.0, 6.0),
            number("cable_temperature_c", "Cel", 36.0, 2.0),
            number("current_a", "A", 11.0, 3.0),
            number("voltage_v", "V", 228.0, 3.0),
        ],
        Door => vec![switch("open", false), battery],
        Presence => vec![switch("presence", false), number("light_lux", "lx", 12.0, 6.0), battery],
        Sos => vec![switch("sos", false), battery],
        Water => vec![number("pressure_mpa", "MPa", 0.31, 0.01), switch("leak", false)],
    }
}
