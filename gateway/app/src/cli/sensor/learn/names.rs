//! What the keys of makers mean: the common names of fields, by what people call them.

use ninewatch_core::reading::SensorClass;

use SensorClass::{Bracelet, Door, Electrical, FaceCamera, Gas, Presence, Smoke, Sos, Water};

/// A field that makers have words for.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    /// Its common name.
    pub(super) name: &'static str,
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    pub(super) means: Means,
    /// The class that has it, where one class does and others do not.
    pub(super) class: Option<SensorClass>,
    /// As makers call it, in the form of [`compact`], with spaces between.
    keys: &'static str,
}

/// What kind of field it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Means {
    State,
    Word,
    /// A quantity, its unit, and what sensors of it can measure.
    Measure(&'static str, f64, f64),
}

const fn known(
    (name, zh, en): (&'static str, &'static str, &'static str),
    means: Means,
    class: Option<SensorClass>,
    keys: &'static str,
) -> Known {
    Known { name, zh, en, means, class, keys }
}

use Means::{Measure, State, Word};

/// A device's own alarm, before it is known what it is an alarm of.
pub(super) const ALARM: &str = "alarm";

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(("smoke_alarm", "烟雾报警", "Smoke alarm"), State, Some(Smoke), "smoke smokealarm smokedetected smokedetector firealarm fire 烟雾 烟雾报警 烟感 烟感报警 烟雾状态 火警 yanwu yangan yanwubaojing"),
    known(("gas_alarm", "燃气报警", "Gas alarm"), State, Some(Gas), "gas gasalarm gasleak gasdetected gasleakage coalarm carbonmonoxide 燃气报警 燃气 可燃气体 可燃气体报警 煤气 燃气泄漏 ranqi ranqibaojing"),
    known(("heat_alarm", "高温报警", "Heat alarm"), State, Some(Smoke), "heat heatalarm overheat temperaturealarm tempalarm hightemp 高温报警 温感报警 wengan"),
    known(("electrical_alarm", "电气报警", "Electrical alarm"), State, Some(Electrical), "electricalalarm leakagealarm arcalarm overcurrent overload arcfault 漏电报警 电气报警 过流 过载 电弧 故障电弧 loudianbaojing"),
    known(("open", "打开", "Open"), State, Some(Door), "open opened isopen door dooropen window windowopen contact doorsensor magnet reed doorcontact 门磁 门 门状态 开关门 门窗 menci men"),
    known(("presence", "有人", "Presence"), State, Some(Presence), "presence occupancy occupied motion pir human humanpresence motiondetected person_present someone moving 人体 有人 人感 存在 人体感应 有人无人 renti youren"),
    known(("leak", "漏水", "Water leak"), State, Some(Water), "leak waterleak waterleakage leakage water flood flooded wet moisture waterdetected 水浸 漏水 浸水 水浸报警 shuijin loushui"),
    known(("vibration", "振动", "Vibration"), State, None, "vibration vibrate shake shock 振动 震动 zhendong"),
    known(("tamper", "被拆", "Tamper"), State, None, "tamper tampered tamperalarm antitheft dismantle 防拆 拆除 防拆报警 fangchai"),
    known(("fault", "故障", "Fault"), State, None, "fault malfunction failure sensorfault error trouble test_fail 故障 guzhang"),
    known(("sos", "求助", "Call for help"), State, Some(Sos), "sos soskey sosalarm panic emergency helpcall help 求助 紧急求助 一键求助 紧急呼叫 qiuzhu"),
    known(("worn", "佩戴", "Worn"), State, Some(Bracelet), "worn wear wearing wearstatus iswear onwrist 佩戴 佩戴状态 peidai"),
    known(("online", "在线", "Online"), State, None, "online isonline connected availability lwt connection 在线 在线状态 zaixian"),
    known(("battery_low", "电量低", "Battery low"), State, None, "batterylow lowbattery battlow lowbatt lowbat lowpower batlow lowvoltage 低电 低电压 电量低 didian"),
    known((ALARM, "报警", "Alarm"), State, None, "alarm alarmstate alarmstatus alert warning warn alarmflag isalarm 报警 告警 报警状态 警报 baojing"),
    known(("press", "按键", "Press"), Word, Some(Sos), "press action click button key keypress btn 按键 按钮 anjian"),
    known(("match", "比对结果", "Match"), Word, Some(FaceCamera), "match matchresult matchtype listtype persontype recognition 名单 比对结果 识别结果 名单类型"),
    known(("person", "人员标识", "Person"), Word, Some(FaceCamera), "person personid faceid userid subjectid 人员编号 人员id"),

    known(("body_temperature_c", "体温", "Body temperature"), Measure("°C", 20.0, 45.0), Some(Bracelet), "bodytemperature bodytemp skintemperature skintemp wristtemp bt 体温 皮温 tiwen"),
    known(("cable_temperature_c", "线缆温度", "Cable temperature"), Measure("°C", -40.0, 200.0), Some(Electrical), "cabletemperature cabletemp linetemp wiretemp 线温 线缆温度 电缆温度 xianwen"),
    known(("temperature_c", "温度", "Temperature"), Measure("°C", -40.0, 125.0), None, "temperature temp tmp t tc tf tem wd 温度 环境温度 室温 wendu"),
    known(("humidity_percent", "湿度", "Humidity"), Measure("%RH", 0.0, 100.0), None, "humidity hum h rh humi sd relativehumidity 湿度 环境湿度 shidu"),
    known(("co_ppm", "一氧化碳", "CO"), Measure("ppm", 0.0, 2000.0), Some(Gas), "co coconcentration coppm carbonmonoxidelevel 一氧化碳 yiyanghuatan"),
    known(("co2_ppm", "二氧化碳", "CO₂"), Measure("ppm", 0.0, 10000.0), None, "co2 carbondioxide eco2 二氧化碳 eryanghuatan"),
    known(("lel_percent", "可燃气体", "Combustible gas"), Measure("%LEL", 0.0, 100.0), Some(Gas), "lel gas ch4 methane gasconcentration gaslevel combustible gasvalue 甲烷 可燃气体浓度 燃气浓度 气体浓度 nongdu"),
    known(("obscuration_percent_m", "减光率", "Obscuration"), Measure("%/m", 0.0, 100.0), Some(Smoke), "obscuration smokedensity smokelevel smokeconcentration smokevalue 烟雾浓度 减光率 烟浓度"),
    known(("pm25_ug_m3", "PM2.5", "PM2.5"), Measure("ug/m3", 0.0, 1000.0), None, "pm25 pm2dot5 pm2p5"),
    known(("pm10_ug_m3", "PM10", "PM10"), Measure("ug/m3", 0.0, 1000.0), None, "pm10"),
    known(("formaldehyde_mg_m3", "甲醛", "Formaldehyde"), Measure("mg/m3", 0.0, 10.0), None, "formaldehyde hcho ch2o 甲醛 jiaquan"),
    known(("tvoc_ppb", "TVOC", "TVOC"), Measure("ppb", 0.0, 60000.0), None, "tvoc voc"),
    known(("noise_db", "噪声", "Noise"), Measure("dB", 0.0, 140.0), None, "noise sound soundlevel 噪声 噪音 zaosheng"),
    known(("residual_current_ma", "剩余电流", "Residual current"), Measure("mA", 0.0, 1000.0), Some(Electrical), "residualcurrent leakagecurrent leakcurrent residual leakcur ld 剩余电流 漏电流 漏电 loudian"),
    known(("current_a", "电流", "Current"), Measure("A", 0.0, 1000.0), Some(Electrical), "current amps amp ia ib ic i 电流 a相电流 b相电流 c相电流 dianliu"),
    known(("voltage_v", "电压", "Voltage"), Measure("V", 0.0, 500.0), Some(Electrical), "voltage volt volts ua ub uc u 电压 a相电压 b相电压 c相电压 dianya"),
    known(("battery_voltage_v", "电池电压", "Battery voltage"), Measure("V", 0.0, 20.0), None, "batteryvoltage batvoltage vbat vbatt batv battv battvoltage batmv 电池电压"),
    known(("power_w", "功率", "Power"), Measure("W", 0.0, 100_000.0), Some(Electrical), "power activepower apower watts watt p 功率 有功功率 gonglv"),
    known(("energy_kwh", "电能", "Energy"), Measure("kWh", 0.0, 1e9), Some(Electrical), "energy kwh totalenergy energytotal ep 电能 电量度数 用电量 dianneng"),
    known(("frequency_hz", "频率", "Frequency"), Measure("Hz", 0.0, 1000.0), None, "linefrequency gridfrequency freq 频率 pinlv"),
    known(("pressure_mpa", "水压", "Water pressure"), Measure("MPa", 0.0, 10.0), Some(Water), "waterpressure pipepressure pressurempa 水压 管网压力 压力 shuiya yali"),
    known(("pressure_hpa", "气压", "Air pressure"), Measure("hPa", 300.0, 1200.0), None, "pressure press airpressure barometer atmosphericpressure 气压 大气压 qiya"),
    known(("level_m", "水位", "Water level"), Measure("m", 0.0, 100.0), Some(Water), "level waterlevel liquidlevel depth 水位 液位 shuiwei yewei"),
    known(("flow_l_min", "流量", "Flow"), Measure("l/min", 0.0, 100_000.0), Some(Water), "flow flowrate waterflow 流量 流速 liuliang"),
    known(("heart_rate_bpm", "心率", "Heart rate"), Measure("beat/min", 0.0, 250.0), Some(Bracelet), "heartrate hr pulse bpm heart 心率 脉搏 xinlv"),
    known(("spo2_percent", "血氧", "Blood oxygen"), Measure("%", 0.0, 100.0), Some(Bracelet), "spo2 bloodoxygen oxygen sao2 bo 血氧 血氧饱和度 xueyang"),
    known(("steps", "步数", "Steps"), Measure("count", 0.0, 200_000.0), Some(Bracelet), "steps step stepcount pedometer 步数 bushu"),
    known(("battery_percent", "电量", "Battery"), Measure("%EL", 0.0, 100.0), None, "battery batt bat batterylevel batterypercent batterypercentage soc bl 电量 电池 电池电量 剩余电量 dianliang"),
    known(("signal_dbm", "信号", "Signal"), Measure("dBm", -150.0, 0.0), None, "rssi signal signalstrength dbm wifirssi rsrp 信号 信号强度 xinhao"),
    known(("light_lux", "光照", "Light"), Measure("lx", 0.0, 200_000.0), None, "illuminance lux light illumination lightlevel als 光照 照度 光照度 guangzhao"),
    known(("distance_m", "距离", "Distance"), Measure("m", 0.0, 100.0), Some(Presence), "distance dist range targetdistance 距离 目标距离 juli"),
    known(("age_years", "年龄", "Age"), Measure("a", 0.0, 120.0), Some(FaceCamera), "age 年龄"),
    known(("acceleration", "加速度", "Acceleration"), Measure("m/s2", -200.0, 200.0), None, "accelx accely accelz accx accy accz"),
];

/// The key without what differs from maker to maker: case, underscores, spaces.
pub(super) fn compact(key: &str) -> String {
    key.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What may stand behind a key and says no more than its unit, or nothing.
const ENDINGS: [&str; 26] = [
    "celsius",
    "fahrenheit",
    "percent",
    "degc",
    "ppm",
    "pct",
    "kwh",
    "hpa",
    "kpa",
    "mpa",
    "bpm",
    "dbm",
    "lux",
    "ma",
    "mv",
    "state",
    "status",
    "sensor",
    "value",
    "val",
    "raw",
    "avg",
    "c",
    "f",
    "v",
    "a",
];
const BEGINNINGS: [&str; 5] = ["current", "sensor", "cur", "is", "air"];

/// Keys that say nothing by themselves: what they are of stands above them.
pub(super) fn is_empty_word(key: &str) -> bool {
    const WORDS: &str = "value val v vb vs state status data current result reading total now properties params \
        attributes attr payload content body measure measurement object tele stat sensors telemetry";
    WORDS.split_whitespace().any(|word| word == key)
}

/// The known field at the end of `path`, of the wanted sort.
pub(super) fn find(path: &[String], wanted: impl Fn(&Means) -> bool) -> Option<&'static Known> {
    let path: Vec<String> = path.iter().map(|key| compact(key)).collect();
    let mut path = path.as_slice();
    while let Some((last, above)) = path.split_last() {
        let joined = above.last().map(|before| format!("{before}{last}"));
        let hit = [joined.as_deref(), Some(last)].into_iter().flatten().find_map(|key| by_key(key, &wanted));
        if hit.is_some() || !is_empty_word(last) {
            return hit;
        }
        path = above;
    }
    None
}

/// The known field that the last word of a key names: `front_door`, `前门磁`. Less sure than [`find`].
pub(super) fn find_loosely(path: &[String], wanted: impl Fn(&Means) -> bool) -> Option<&'static Known> {
    let last = path.iter().rev().find(|key| !is_empty_word(&compact(key)))?;
    let by_word = || {
        let last = super::field::snake(last);
        let word = last.rsplit('_').find(|word| !is_empty_word(word))?;
        (word.len() > 1).then(|| by_key(word, &wanted))?
    };
    let by_ending = || {
        let ends = |key: &&str| !key.is_ascii() && key.chars().count() > 1 && last.ends_with(*key);
        KNOWN.iter().find(|known| wanted(&known.means) && known.keys.split_whitespace().any(|key| ends(&key)))
    };
    if last.is_ascii() { by_word() } else { by_ending() }
}

fn by_key(key: &str, wanted: &impl Fn(&Means) -> bool) -> Option<&'static Known> {
    let exact = |key: &str| {
        KNOWN.iter().find(|known| wanted(&known.means) && known.keys.split_whitespace().any(|known| known == key))
    };
    let unnumbered = key.trim_end_matches(|sign: char| sign.is_ascii_digit());
    let endings = ENDINGS.iter().filter_map(|ending| unnumbered.strip_suffix(ending));
    let beginnings = BEGINNINGS.iter().filter_map(|beginning| unnumbered.strip_prefix(beginning));
    // A single letter that is left of a longer key is chance.
    let rest = endings.chain(beginnings).filter(|rest| rest.chars().count() > 1 || !rest.is_ascii());
    exact(key).or_else(|| exact(unnumbered)).or_else(|| rest.into_iter().find_map(exact))
}

/// The field that a device's own alarm is, for a class.
pub(super) fn alarm_of(class: SensorClass) -> &'static str {
    match class {
        Smoke => "smoke_alarm",
        Gas => "gas_alarm",
        Electrical => "electrical_alarm",
        Water => "leak",
        Sos | Bracelet => "sos",
        Door => "vibration",
        Presence => "presence",
        FaceCamera => ALARM,
    }
}

/// Whether a text is a key of a known field as it is.
pub(super) fn is_key(text: &str) -> bool {
    let key = compact(text);
    KNOWN.iter().any(|known| known.keys.split_whitespace().any(|known| known == key))
}

/// A common name's own row.
pub(super) fn common(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// A class as people call it.
pub(super) fn class_words(class: SensorClass) -> (&'static str, &'static str) {
    match class {
        FaceCamera => ("人脸相机", "face camera"),
        Bracelet => ("手环", "bracelet"),
        Smoke => ("烟感", "smoke detector"),
        Gas => ("燃气探测器", "gas detector"),
        Electrical => ("电气火灾探测器", "electrical monitor"),
        Door => ("门磁", "door contact"),
        Presence => ("人体存在传感器", "presence sensor"),
        Sos => ("求助按钮", "call button"),
        Water => ("水传感器", "water sensor"),
    }
}

/// Keys that tell of the device or the network, not of what it watches.
pub(super) fn is_about_the_device(key: &str) -> bool {
    const WORDS: &str = "linkquality lqi uptime heap freeheap fcnt fport seq seqno sequence msgid messageid version ver \
        fw firmware hw hardware model modelid manufacturer vendor ip ipaddress ssid dr adr confirmed update \
        updateavailable txinfo rxinfo settings deviceinfo identifiers networkids rxmetadata consumedairtime \
        deduplicationid frequency bandwidth spreadingfactor snr channel retries errcode code method src dst apikey \
        devaddr interval cmd qos len length id tempunit devicetemperature productkey productid tenantid applicationid \
        configrev restartrequired powersource lastseen cfg wifi cloud mqtt";
    let key = compact(key);
    WORDS.split_whitespace().any(|word| word == key)
}

/// How sure it is that a key holds a device's id; 0 is the surest.
pub(super) fn id_rank(key: &str) -> Option<usize> {
    const KEYS: &str = "deveui deviceid devid deviceno devno devicesn devsn imei sn serialno serialnumber serial mac \
        macaddress macaddr bleaddr bleno addr address devicecode devicename sensorid nodeid terminalid uid uuid clientid \
        id device dev src 设备编号 设备id 设备号 终端编号 编号";
    KEYS.split_whitespace().position(|known| known == compact(key))
}

/// How sure it is that a key holds a time; 0 is the surest.
pub(super) fn time_rank(key: &str) -> Option<usize> {
    const KEYS: &str = "ts timestamp time sampletime measuretime collecttime eventtime reporttime datetime date t tm utc \
        epoch createtime createdat updatetime at dt lastseen tst 时间 时间戳 采集时间 上报时间 检测时间 发生时间 shijian";
    let key = compact(key);
    let known = KEYS.split_whitespace().position(|known| known == key);
    let nearly = ["time", "timestamp", "时间"].iter().any(|ending| key.ends_with(ending));
    known.or(nearly.then_some(KEYS.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, state: bool) -> Option<&'static str> {
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        find(&path, |means| (*means == State) == state).map(|known| known.name)
    }

    #[test]
    fn makers_words_lead_to_the_common_names() {
        for (path, state, name) in [
            ("temp", false, "temperature_c"),
            ("tempC", false, "temperature_c"),
            ("temperature:0/tC", false, "temperature_c"),
            ("温度", false, "temperature_c"),
            ("wendu", false, "temperature_c"),
            ("humidity/value", false, "humidity_percent"),
            ("sensor/humidity/state", false, "humidity_percent"),
            ("vbat", false, "battery_voltage_v"),
            ("batt_mV", false, "battery_percent"),
            ("PM2.5", false, "pm25_ug_m3"),
            ("hr", false, "heart_rate_bpm"),
            ("water_leak", true, "leak"),
            ("smoke/alarm", true, "smoke_alarm"),
            ("doorState", true, "open"),
            ("烟雾报警", true, "smoke_alarm"),
            ("Low_Battery", true, "battery_low"),
        ] {
            assert_eq!(named(path, state), Some(name), "{path}");
        }
        assert_eq!(named("frobnication", false), None);
        assert_eq!(named("xc", false), None);
    }

    #[test]
    fn every_known_name_is_a_field_name() {
        for known in KNOWN {
            let is_name =
                known.name.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_');
            assert!(is_name, "{}", known.name);
            for key in known.keys.split_whitespace() {
                assert!(compact(key) == key || key.contains('_'), "{key} of {}", known.name);
            }
        }
    }
}
