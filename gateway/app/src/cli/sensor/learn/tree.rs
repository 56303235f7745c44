//! Walking through a payload: its leaves and where they stand, and the lists of like elements.

use serde_json::{Map, Value};

use super::names;
use super::payload::{escaped, is_plain};
use super::privacy;

/// One value of a payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Where it stands, as a sensor type file writes it.
    pub(super) pointer: String,
    /// The keys on the way.
    pub(super) path: Vec<String>,
    pub(super) value: Value,
}

/// A list of which this many numbers are samples rather than values.
const BURST: usize = 8;

/// All leaves; a list of many numbers is one. What is below `except` is left out.
pub(super) fn leaves(value: &Value, except: Option<&str>) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(value, String::new(), &mut Vec::new(), except, &mut found);
    found
}

fn walk(value: &Value, pointer: String, path: &mut Vec<String>, except: Option<&str>, found: &mut Vec<Leaf>) {
    if except == Some(pointer.as_str()) {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| is_plain(key)) {
                path.push(key.clone());
                walk(value, format!("{pointer}/{}", escaped(key)), path, except, found);
                path.pop();
            }
        }
        Value::Array(list) if !is_burst(list) => {
            for (index, value) in list.iter().enumerate().take(BURST) {
                match value.as_object().and_then(name_and_value) {
                    Some((key, name, of, value)) => {
                        path.push(name.to_owned());
                        walk(
                            value,
                            format!("{pointer}/[{key}={}]/{}", escaped(name), escaped(of)),
                            path,
                            except,
                            found,
                        );
                    }
                    None => {
                        path.push(index.to_string());
                        walk(value, format!("{pointer}/{index}"), path, except, found);
                    }
                }
                path.pop();
            }
        }
        _ => found.push(Leaf { pointer, path: path.clone(), value: value.clone() }),
    }
}

fn is_burst(list: &[Value]) -> bool {
    let is_sample = |value: &Value| {
        value.is_number() || value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_number))
    };
    list.len() >= BURST && list.iter().all(is_sample)
}

/// An element such as `{"name":"co","value":12}`: key, name, key of the value, value.
pub(super) fn name_and_value(map: &Map<String, Value>) -> Option<(&str, &str, &str, &Value)> {
    const NAMES: [&str; 12] =
        ["name", "key", "type", "code", "identifier", "field", "n", "param", "channel", "sensor", "property", "id"];
    const VALUES: [&str; 6] = ["value", "val", "v", "vb", "vs", "data"];
    let (of, value) = VALUES.iter().find_map(|key| map.get_key_value(*key))?;
    let (key, name) = NAMES.iter().find_map(|key| map.get_key_value(*key))?;
    let name = name.as_str().filter(|name| !name.contains(']') && !is_id_like(name) && *name != privacy::HIDDEN)?;
    // Without telling names they are events of one kind.
    (map.len() <= 6).then_some((key, name, of, value))
}

/// What `each` goes over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Each {
    /// As a sensor type file writes it.
    pub(super) pointer: String,
    /// It is an object, and its keys are the devices.
    pub(super) keyed: bool,
}

/// One element of a payload, or all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'v> {
    pub(super) value: &'v Value,
    pub(super) key: Option<&'v str>,
}

/// Where a payload has a list of like objects that are readings of their own.
pub(super) fn find_each(value: &Value) -> Option<Each> {
    if value.as_array().is_some_and(|list| is_list_of_readings(list, true)) {
        return Some(deeper(value, "").unwrap_or(Each { pointer: String::new(), keyed: false }));
    }
    deeper(value, "")
}

fn deeper(value: &Value, pointer: &str) -> Option<Each> {
    match value {
        Value::Object(map) => {
            // One key alone may be the name of a sensor chip.
            let sure = map.len() > 1 || map.keys().any(|key| is_address(key));
            if sure && map.iter().all(|(key, value)| is_id_like(key) && value.is_object()) {
                return Some(Each { pointer: pointer.to_owned(), keyed: true });
            }
            let worth = map.iter().filter(|(key, value)| {
                is_plain(key) && !names::is_about_the_device(key) && !privacy::is_private(key, value)
            });
            worth.into_iter().find_map(|(key, value)| {
                let pointer = format!("{pointer}/{}", escaped(key));
                deeper(value, &pointer).or_else(|| {
                    let is_one = value.as_array().is_some_and(|list| is_list_of_readings(list, false));
                    is_one.then_some(Each { pointer, keyed: false })
                })
            })
        }
        Value::Array(list) => {
            let pointer = format!("{pointer}/*");
            list.iter().find_map(|value| deeper(value, &pointer))
        }
        _ => None,
    }
}

/// Whether each element of a list stands for itself: it is all there is, or says who or when it was.
fn is_list_of_readings(list: &[Value], is_all: bool) -> bool {
    let maps: Option<Vec<_>> = list.iter().map(Value::as_object).collect();
    let Some((first, others)) = maps.as_deref().and_then(<[_]>::split_first) else { return false };
    let alike = others.iter().all(|other| other.keys().any(|key| first.contains_key(key)));
    let named = first.keys().any(|key| names::id_rank(key).is_some() || names::time_rank(key).is_some());
    alike && name_and_value(first).is_none() && (named || is_all)
}

/// The elements of a payload; all of it where there is no `each`.
pub(super) fn elements<'v>(tree: &'v Value, each: Option<&Each>) -> Vec<Element<'v>> {
    let Some(each) = each else { return vec![Element { value: tree, key: None }] };
    let mut holders = vec![tree];
    for segment in each.pointer.split('/').skip(1) {
        holders = match segment {
            "*" => holders.into_iter().filter_map(Value::as_array).flatten().collect(),
            _ => holders.into_iter().filter_map(|holder| holder.pointer(&format!("/{segment}"))).collect(),
        };
    }
    let mut found = Vec::new();
    for holder in holders {
        match holder {
            Value::Array(list) => found.extend(list.iter().map(|value| Element { value, key: None })),
            Value::Object(map) if each.keyed => {
                found.extend(map.iter().map(|(key, value)| Element { value, key: Some(key) }));
            }
            _ => {}
        }
    }
    found
}

/// The value at a pointer of a draft; `[key=text]` picks an element of a list.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    pointer.split('/').skip(1).try_fold(value, |value, segment| {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        match value {
            Value::Object(map) => map.get(&segment),
            Value::Array(list) => match segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(wanted) => {
                    let (key, text) = wanted.split_once('=')?;
                    list.iter().find(|value| value.get(key).and_then(Value::as_str) == Some(text))
                }
                None => list.get(segment.parse::<usize>().ok()?),
            },
            _ => None,
        }
    })
}

/// Whether a text looks like the id of one device among many.
pub(super) fn is_id_like(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_number = digits >= 2 && digits == text.len();
    let is_named = text.chars().count() >= 4
        && digits >= 1
        && text.chars().all(|sign| sign.is_alphanumeric() || "-_:.".contains(sign))
        && !names_a_quantity(text);
    is_address(text) || is_number || is_named
}

/// `temperature:0` is a quantity, `smoke-01` the first of some detectors.
fn names_a_quantity(text: &str) -> bool {
    let is_counted = || {
        let name = text.trim_end_matches(|sign: char| sign.is_ascii_digit());
        name.ends_with('-') || text.len() - name.len() > 1
    };
    names::find(&[text.to_owned()], |_| true).is_some() && (names::is_key(text) || !is_counted())
}

/// Whether a text looks like the address of a radio: a MAC, a devEUI, a short Zigbee address.
fn is_address(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":-".contains(&byte));
    match text.strip_prefix("0x") {
        Some(rest) => rest.len() >= 4 && is_hex(rest),
        None => is_hex(text) && text.bytes().filter(u8::is_ascii_hexdigit).count() >= 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_know_where_they_stand() {
        let tree =
            json!({"a/b": {"温度": 1}, "l": [{"name": "co", "value": 3}], "s": [1, 2], "w": [0, 1, 2, 3, 4, 5, 6, 7]});
        let pointers: Vec<String> = leaves(&tree, None).into_iter().map(|leaf| leaf.pointer).collect();
        assert_eq!(pointers, ["/a~1b/温度", "/l/[name=co]/value", "/s/0", "/s/1", "/w"]);
        for leaf in leaves(&tree, None) {
            assert_eq!(at(&tree, &leaf.pointer), Some(&leaf.value));
        }
    }

    #[test]
    fn lists_of_readings_are_found() {
        for (tree, each, count) in [
            (json!([{"mac": "a1", "hr": 60}, {"mac": "a2", "hr": 61}]), Some(("", false)), 2),
            (json!({"gw": "g", "devices": [{"mac": "a1", "hr": 60}]}), Some(("/devices", false)), 1),
            (
                json!({"g": [{"items": [{"id": "a1"}, {"id": "a2"}]}, {"items": [{"id": "a3"}]}]}),
                Some(("/g/*/items", false)),
                3,
            ),
            (json!({"tags": {"aabbccddeeff": {"hr": 1}, "aabbccddee00": {"hr": 2}}}), Some(("/tags", true)), 2),
            (json!([{"name": "co", "value": 3}]), None, 1),
            (json!({"sensors": [{"temp": 3}, {"temp": 4}]}), None, 1),
            (json!({"rxInfo": [{"time": 3, "id": "x"}]}), None, 1),
        ] {
            let found = find_each(&tree);
            let wanted = each.map(|(pointer, keyed)| Each { pointer: pointer.to_owned(), keyed });
            assert_eq!(found, wanted, "{tree}");
            assert_eq!(elements(&tree, found.as_ref()).len(), count, "{tree}");
        }
    }
}
