//! What a draft never takes in: pictures, faces as numbers, names, and numbers that lead to a person.

use serde_json::Value;

use super::capture::Captured;
use super::names::compact;

/// What stands in an example for what was there.
pub(super) const HIDDEN: &str = "…";

/// Whether a value says who a person is, by its key or by itself.
pub(super) fn is_private(key: &str, value: &Value) -> bool {
    (is_private_key(&compact(key)) && !value.is_null()) || is_private_value(value)
}

fn is_private_key(key: &str) -> bool {
    const PARTS: [&str; 32] = [
        "image",
        "picture",
        "photo",
        "snapshot",
        "jpeg",
        "jpg",
        "base64img",
        "facepic",
        "thumbnail",
        "embedding",
        "facefeature",
        "facevector",
        "facetemplate",
        "fingerprint",
        "phone",
        "mobile",
        "idcard",
        "idnumber",
        "identitycard",
        "certno",
        "passport",
        "wechat",
        "email",
        "birth",
        "图片",
        "照片",
        "抓拍",
        "特征",
        "姓名",
        "手机",
        "电话",
        "身份证",
    ];
    const WHOLE: [&str; 20] = [
        "img",
        "pic",
        "face",
        "feature",
        "features",
        "vector",
        "template",
        "name",
        "personname",
        "username",
        "realname",
        "fullname",
        "nickname",
        "tel",
        "telephone",
        "contactphone",
        "certificate",
        "msisdn",
        "xingming",
        "shouji",
    ];
    PARTS.iter().any(|part| key.contains(part)) || WHOLE.contains(&key)
}

fn is_private_value(value: &Value) -> bool {
    match value {
        Value::String(text) => is_picture(text) || is_id_card(text) || is_mobile_number(text),
        Value::Number(number) => is_mobile_number(&number.to_string()),
        _ => false,
    }
}

/// JPEG and PNG as base64, or any picture as a data URL.
fn is_picture(text: &str) -> bool {
    text.starts_with("data:image") || (text.len() > 64 && (text.starts_with("/9j/") || text.starts_with("iVBOR")))
}

/// Seventeen digits and a check sign (GB 11643).
fn is_id_card(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let Some((check, digits)) = text.as_bytes().split_last().filter(|(_, digits)| digits.len() == 17) else {
        return false;
    };
    let sum = digits
        .iter()
        .zip(WEIGHTS)
        .try_fold(0, |sum, (digit, weight)| digit.is_ascii_digit().then(|| sum + u32::from(digit - b'0') * weight));
    let sign = sum.and_then(|sum| b"10X98765432".get(usize::try_from(sum % 11).ok()?));
    sign == Some(&check.to_ascii_uppercase())
}

/// Of the mainland: eleven digits, 13 to 19 in front.
fn is_mobile_number(text: &str) -> bool {
    let text = text.strip_prefix("+86").unwrap_or(text);
    text.len() == 11
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.starts_with('1')
        && text.as_bytes().get(1).is_some_and(|second| *second >= b'3')
}

/// A captured message with everything private hidden, and where that was.
pub(super) struct Cleared {
    pub(super) captured: Captured,
    pub(super) hidden: Vec<String>,
}

/// Hides what is private in a message; `None` where nothing else is in it.
pub(super) fn clear(captured: &Captured) -> Option<Cleared> {
    let mut captured = captured.clone();
    let hidden = match serde_json::from_slice::<Value>(&captured.payload) {
        Ok(mut value) if !is_private_value(&value) => {
            let hidden = hide(&mut value);
            if !hidden.is_empty() {
                captured.payload = value.to_string().into_bytes();
            }
            hidden
        }
        Ok(_) => return None,
        Err(_) if is_private_value(&String::from_utf8_lossy(&captured.payload).into()) => return None,
        Err(_) => Vec::new(),
    };
    Some(Cleared { captured, hidden })
}

/// Puts [`HIDDEN`] in the place of everything private, in texts that hold JSON too. Gives the
/// pointers to what it hid, lists on the way as `*`; those of nested JSON do not go inside.
fn hide(value: &mut Value) -> Vec<String> {
    let mut hidden = Vec::new();
    hide_below(value, "", &mut hidden);
    hidden
}

fn hide_below(value: &mut Value, pointer: &str, hidden: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            // In a list of names and values, the name is of a quantity.
            let names_a_value = is_named_value(map);
            for (key, value) in map {
                let pointer = format!("{pointer}/{}", super::payload::escaped(key));
                if is_private(key, value) && !(names_a_value && compact(key) == "name") {
                    *value = HIDDEN.into();
                    hidden.push(pointer);
                } else {
                    hide_below(value, &pointer, hidden);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| hide_below(value, &format!("{pointer}/*"), hidden)),
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            if let Ok(mut inner) = serde_json::from_str(text) {
                let before = hidden.len();
                hide_below(&mut inner, pointer, hidden);
                if hidden.len() > before {
                    *text = inner.to_string();
                }
            }
        }
        _ => {}
    }
}

/// Whether an object is one of a list of names and values: `{"name":"co","value":12}`.
pub(super) fn is_named_value(map: &serde_json::Map<String, Value>) -> bool {
    super::tree::name_and_value(map).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_leads_to_a_person_is_hidden() {
        let mut value = json!({
            "mac": "AA:BB:CC:DD:EE:FF", "faceImage": "x", "person": {"name": "张三", "age": 61}, "n": 13_812_345_678_u64,
            "card": "11010519491231002X", "list": [{"feature": [0.1, 0.2]}], "packed": "{\"phone\":\"1\",\"hr\":60}",
            "values": [{"name": "co", "value": 3}], "imei": "861234567890123",
        });
        let mut hidden = hide(&mut value);
        hidden.sort();
        assert_eq!(hidden, ["/card", "/faceImage", "/list/*/feature", "/n", "/packed/phone", "/person/name"]);
        assert_eq!(value["packed"], "{\"hr\":60,\"phone\":\"…\"}");
        assert_eq!(value["person"], json!({"name": "…", "age": 61}));
        assert_eq!(value["values"][0]["name"], "co");
    }
}
