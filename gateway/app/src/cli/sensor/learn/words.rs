//! Words of switches and buttons, as makers send them.

/// Which texts mean on and which off.
#[derive(Debug, PartialEq)]
pub(super) struct OnOff {
    pub(super) on: Vec<String>,
    pub(super) off: Vec<String>,
    /// Both were seen.
    pub(super) both: bool,
    /// They are the ones that need no saying.
    pub(super) usual: bool,
    /// They tell by themselves that this is a switch.
    pub(super) telling: bool,
    /// The field that they are of, where they say it.
    pub(super) field: Option<&'static str>,
}

/// On, off, and the field that they are of.
const PAIRS: &[(&str, &str, Option<&str>)] = &[
    ("on", "off", None),
    ("true", "false", None),
    ("1", "0", None),
    ("yes", "no", None),
    ("y", "n", None),
    ("online", "offline", Some("online")),
    ("open", "closed", Some("open")),
    ("open", "close", Some("open")),
    ("opened", "closed", Some("open")),
    // What is told first is guessed where only `normal` was seen.
    ("alarm", "normal", None),
    ("报警", "正常", None),
    ("leak", "dry", Some("leak")),
    ("leak", "normal", Some("leak")),
    ("wet", "dry", Some("leak")),
    ("alarm", "ok", None),
    ("alarm", "none", None),
    ("alarm", "clear", None),
    ("fire", "normal", Some("smoke_alarm")),
    ("smoke", "normal", Some("smoke_alarm")),
    ("smoke", "clear", Some("smoke_alarm")),
    ("warning", "normal", None),
    ("abnormal", "normal", None),
    ("fault", "normal", None),
    ("fault", "ok", None),
    ("triggered", "idle", None),
    ("triggered", "normal", None),
    ("active", "inactive", None),
    ("detected", "clear", None),
    ("detected", "none", None),
    ("detected", "undetected", None),
    ("occupied", "unoccupied", Some("presence")),
    ("occupied", "vacant", Some("presence")),
    ("present", "absent", Some("presence")),
    ("presence", "none", Some("presence")),
    ("motion", "none", Some("presence")),
    ("connected", "disconnected", Some("online")),
    ("worn", "removed", Some("worn")),
    ("low", "normal", None),
    ("low", "ok", None),
    ("告警", "正常", None),
    ("异常", "正常", None),
    ("有人", "无人", Some("presence")),
    ("打开", "关闭", Some("open")),
    ("开", "关", None),
    ("漏水", "正常", Some("leak")),
    ("有烟", "无烟", Some("smoke_alarm")),
    ("在线", "离线", Some("online")),
    ("佩戴", "未佩戴", Some("worn")),
    ("是", "否", None),
];

/// Which of the texts mean on, if they are the words of a switch.
pub(super) fn on_and_off(texts: &[&str]) -> Option<OnOff> {
    let is = |text: &str, word: &str| text.trim().to_lowercase() == word;
    let fits = |(on, off, _): &&(&str, &str, Option<&str>)| texts.iter().all(|text| is(text, on) || is(text, off));
    let (on_word, off_word, field) = PAIRS.iter().find(fits)?;
    let like = texts.first()?;
    let side = |word: &str| {
        let seen: Vec<String> = texts.iter().filter(|text| is(text, word)).map(|text| (*text).to_owned()).collect();
        // The one that was not seen is written as the other one is.
        if seen.is_empty() { vec![in_the_case_of(like, word)] } else { seen }
    };
    let seen = |word: &str| texts.iter().any(|text| is(text, word));
    let usual = matches!(*on_word, "on" | "true");
    Some(OnOff {
        on: side(on_word),
        off: side(off_word),
        both: seen(on_word) && seen(off_word),
        usual,
        telling: (seen(on_word) && seen(off_word)) || field.is_some() || usual,
        field: *field,
    })
}

fn in_the_case_of(like: &str, word: &str) -> String {
    let mut signs = like.chars().filter(|sign| sign.is_alphabetic());
    match (signs.next(), signs.next()) {
        (Some(first), second) if first.is_uppercase() => {
            if second.is_none_or(char::is_uppercase) {
                return word.to_uppercase();
            }
            let (head, tail) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{}{tail}", head.to_uppercase())
        }
        _ => word.to_owned(),
    }
}

/// Whether these are the words of a button.
pub(super) fn is_press(texts: &[&str]) -> bool {
    const WORDS: &str = "single double triple quadruple hold release long short press pressed click clicked \
        long_press short_press double_click single_click single_push double_push long_push btn_down btn_up emergency \
        sos panic 1_single 1_double 1_hold 单击 双击 长按 按下 求助";
    !texts.is_empty() && texts.iter().all(|text| WORDS.split_whitespace().any(|word| word == text.to_lowercase()))
}

/// Words that call for help, as the `map` that says so: of all words, for others would be refused.
pub(super) fn cries(words: &[String]) -> Vec<(String, String)> {
    let is_cry = |word: &str| matches!(word.to_lowercase().as_str(), "emergency" | "panic" | "求助" | "sos");
    if !words.iter().any(|word| is_cry(word) && word != "sos") {
        return Vec::new();
    }
    let meant = |word: &String| if is_cry(word) { "sos".to_owned() } else { word.clone() };
    words.iter().map(|word| (word.clone(), meant(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_say_it_in_many_words() {
        let found = on_and_off(&["NORMAL"]).unwrap();
        assert_eq!((found.on, found.off, found.both), (vec!["ALARM".to_owned()], vec!["NORMAL".to_owned()], false));
        let found = on_and_off(&["Online"]).unwrap();
        assert_eq!((found.on, found.off, found.field), (vec!["Online".into()], vec!["Offline".into()], Some("online")));
        assert!(on_and_off(&["ON", "OFF"]).unwrap().usual);
        assert_eq!(on_and_off(&["有人", "无人"]).unwrap().field, Some("presence"));
        assert_eq!(on_and_off(&["warm", "cold"]), None);
    }
}
