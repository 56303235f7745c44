//! Topics with captures: `application/{application}/device/{device}/event/up`.

/// How many captures a topic may have.
pub(super) const MOST_CAPTURES: usize = 8;

/// What a topic's captures are, by their index in the message's list of names.
pub(super) type Captured<'t> = [Option<&'t str>; MOST_CAPTURES];

/// A topic that a kind of message comes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// As it stands in the file.
    text: String,
    /// How every topic of the form begins and ends: most topics are told apart by it at once.
    begins: String,
    ends: String,
    /// Before the part that takes several levels; all where there is none.
    head: Vec<Level>,
    /// What takes one level or more, with its capture, and the levels behind it.
    rest: Option<(Rest, Vec<Level>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// `{name...}`: at least one level.
    Capture(usize),
    /// `#`: none or more.
    Any,
}

/// A level: pieces of text with captures between them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Capture(usize),
    /// `+`
    Any,
}

impl Topic {
    /// Reads a topic; the names of its captures are looked up in `names`, and added there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, names: &mut Vec<String>) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("is no topic".to_owned());
        }
        let wild = ['{', '}', '+', '#'];
        let mut topic = Self {
            text: text.to_owned(),
            begins: text.split(wild).next().unwrap_or_default().to_owned(),
            ends: text.rsplit(wild).next().unwrap_or_default().to_owned(),
            head: Vec::new(),
            rest: None,
        };
        if text.contains('#') {
            // It stands for its parent, too.
            topic.begins = topic.begins.strip_suffix('/').unwrap_or(&topic.begins).to_owned();
        }
        let mut taken = Vec::new();
        for level in text.split('/') {
            let several = match level.strip_prefix('{').and_then(|level| level.strip_suffix("...}")) {
                Some(name) => Some(Rest::Capture(capture(name, names, &mut taken)?)),
                None => (level == "#").then_some(Rest::Any),
            };
            match (several, &mut topic.rest) {
                (Some(_), Some(_)) => return Err("has two parts that take several levels".to_owned()),
                (Some(rest), none) => *none = Some((rest, Vec::new())),
                (None, Some((_, tail))) => tail.push(Level::parse(level, names, &mut taken)?),
                (None, None) => topic.head.push(Level::parse(level, names, &mut taken)?),
            }
        }
        if let Some((Rest::Any, tail)) = &topic.rest
            && !tail.is_empty()
        {
            return Err("`#` stands last".to_owned());
        }
        Ok(topic)
    }

    /// As it stands in the file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The captures, if `topic` is of this form.
    pub(super) fn captures<'t>(&self, topic: &'t str) -> Option<Captured<'t>> {
        if !topic.starts_with(self.begins.as_str()) || !topic.ends_with(self.ends.as_str()) {
            return None;
        }
        let mut captured = Captured::default();
        let mut left = Some(topic);
        for level in &self.head {
            let (first, rest) = split_first(left?);
            level.take(first, &mut captured).then_some(())?;
            left = rest;
        }
        let Some((rest, tail)) = &self.rest else { return left.is_none().then_some(captured) };
        for level in tail.iter().rev() {
            let (rest, last) = left?.rsplit_once('/')?;
            level.take(last, &mut captured).then_some(())?;
            left = Some(rest);
        }
        match rest {
            Rest::Any => Some(captured),
            Rest::Capture(index) => {
                let several = left.filter(|several| has_no_empty_level(several))?;
                if let Some(slot) = captured.get_mut(*index) {
                    *slot = Some(several);
                }
                Some(captured)
            }
        }
    }
}

/// Whether each of its levels has a name.
fn has_no_empty_level(levels: &str) -> bool {
    let mut before = b'/';
    for byte in levels.bytes() {
        if byte == b'/' && before == b'/' {
            return false;
        }
        before = byte;
    }
    before != b'/'
}

/// The first level and what follows it, if anything does.
fn split_first(topic: &str) -> (&str, Option<&str>) {
    topic.split_once('/').map_or((topic, None), |(first, rest)| (first, Some(rest)))
}

/// The index of a capture's name.
fn capture(name: &str, names: &mut Vec<String>, taken: &mut Vec<usize>) -> Result<usize, String> {
    if !is_capture_name(name) {
        return Err(format!("`{{{name}}}` is no capture; use a-z 0-9 _ for its name"));
    }
    if matches!(name, "index" | "key") {
        return Err(format!("`{{{name}}}` means an element of `each`; name the capture otherwise"));
    }
    let index = names.iter().position(|there| there == name).unwrap_or(names.len());
    if index == names.len() {
        names.push(name.to_owned());
    }
    if index >= MOST_CAPTURES {
        return Err(format!("has more than {MOST_CAPTURES} captures"));
    }
    if taken.contains(&index) {
        return Err(format!("captures `{{{name}}}` twice"));
    }
    taken.push(index);
    Ok(index)
}

/// Whether `name` may stand in braces.
pub(super) fn is_capture_name(name: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(sign)
}

impl Level {
    fn parse(level: &str, names: &mut Vec<String>, taken: &mut Vec<usize>) -> Result<Self, String> {
        if level == "+" {
            return Ok(Self(vec![Piece::Any]));
        }
        let mut pieces = Vec::new();
        let mut rest = level;
        while let Some((text, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or_else(|| format!("`{level}` lacks a `}}`"))?;
            if text.is_empty() && !pieces.is_empty() {
                return Err(format!("`{level}` has two captures with nothing between them"));
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.push(Piece::Capture(capture(name, names, taken)?));
            rest = behind;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('}'))) {
            return Err(format!("`{level}` has a `}}` that closes nothing"));
        }
        let wild = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(['+', '#']));
        if pieces.iter().any(wild) {
            return Err(format!("`{level}`: `+` and `#` stand alone in their level"));
        }
        Ok(Self(pieces))
    }

    /// Whether `level` is of this form; its captures are put down.
    fn take<'t>(&self, level: &'t str, captured: &mut Captured<'t>) -> bool {
        let mut rest = level;
        for (number, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Any => return true,
                Piece::Text(text) => match rest.strip_prefix(text.as_str()) {
                    Some(behind) => rest = behind,
                    None => return false,
                },
                Piece::Capture(index) => {
                    let end = match self.0.get(number + 1) {
                        // The last text of a level stands at its end: `a_x` is in `{device}_x` of `a_x_x`.
                        Some(Piece::Text(next)) if number + 2 == self.0.len() => {
                            rest.strip_suffix(next.as_str()).map(str::len)
                        }
                        Some(Piece::Text(next)) => rest.find(next.as_str()),
                        _ => Some(rest.len()),
                    };
                    let Some(end) = end.filter(|end| *end > 0) else { return false };
                    let (value, behind) = rest.split_at(end);
                    if let Some(slot) = captured.get_mut(*index) {
                        *slot = Some(value);
                    }
                    rest = behind;
                }
            }
        }
        rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(topic: &str, heard: &str) -> Option<Vec<(String, String)>> {
        let mut names = Vec::new();
        let captured = Topic::parse(topic, &mut names).unwrap().captures(heard)?;
        let pair = |(name, value): (String, Option<&str>)| Some((name, value?.to_owned()));
        Some(names.into_iter().zip(captured).filter_map(pair).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn captures_are_levels_parts_of_one_and_several() {
        assert_eq!(captured("ninewatch/{device}/readings", "ninewatch/gas-7/readings"), pairs(&[("device", "gas-7")]));
        assert_eq!(captured("ninewatch/{device}/readings", "ninewatch/gas/7/readings"), None);
        assert_eq!(captured("ninewatch/{device}/readings", "ninewatch//readings"), None);
        assert_eq!(captured("ninewatch/{device}/readings", "ninewatch/gas-7/readings/x"), None);
        assert_eq!(captured("{a}-{b}/x", "s-7-8/x"), pairs(&[("a", "s"), ("b", "7-8")]));
        assert_eq!(captured("tele/tasmota_{device}/SENSOR", "tele/tasmota_AB12/SENSOR"), pairs(&[("device", "AB12")]));
        assert_eq!(captured("{device}_x", "a_x_x"), pairs(&[("device", "a_x")]));
        assert_eq!(captured("z/{device...}/set", "z/一楼/厨房/set"), pairs(&[("device", "一楼/厨房")]));
        assert_eq!(captured("z/{device...}", "z/a"), pairs(&[("device", "a")]));
        assert_eq!(captured("z/{device...}", "z"), None);
        for empty in ["z//a", "z/a//b", "z/a/", "z/"] {
            assert_eq!(captured("z/{device...}", empty), None, "{empty}");
        }
        assert_eq!(captured("{device}/online", "a/online"), pairs(&[("device", "a")]));
        assert_eq!(captured("z/+/#", "z/a"), pairs(&[]));
        assert_eq!(captured("z/+/#", "z/a/b/c"), pairs(&[]));
        assert_eq!(captured("z/+", "z/a/b"), None);
    }

    #[test]
    fn what_is_no_topic_says_why() {
        for (topic, part) in [
            ("", "no topic"),
            ("a/{Device}", "use a-z"),
            ("a/{device", "lacks"),
            ("a/{device}{x}", "nothing between"),
            ("{a}/{a}", "twice"),
            ("a/b+/c", "alone"),
            ("a/device}", "closes nothing"),
            ("#/a", "last"),
            ("{a...}/{b...}", "two parts"),
            ("{index}", "each"),
        ] {
            let problem = Topic::parse(topic, &mut Vec::new()).unwrap_err();
            assert!(problem.contains(part), "{topic}: {problem}");
        }
    }
}
