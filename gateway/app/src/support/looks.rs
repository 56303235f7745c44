//! What must not be in a bundle by its looks: addresses, numbers of persons, secrets, paths, and what stands in quotes.

/// Folders that are the same on every box.
const SYSTEM_PATHS: [&str; 7] =
    ["/dev/", "/sys/", "/proc/", "/usr/", "/var/lib/ninewatch", "/etc/ninewatch", "/api/v1/"];
/// A shorter number is no telephone.
const FEWEST_DIGITS: usize = 7;
/// A shorter word without a gap is no secret.
const SHORTEST_SECRET: usize = 20;

/// A place in a text.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// Its beginning.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character.
    pub(super) fn first(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character before it.
    pub(super) fn before(&self) -> Option<char> {
        self.text.get(..self.at)?.chars().next_back()
    }

    /// Goes on behind so many bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Gives so many bytes as they are, and goes on behind them.
    pub(super) fn copy(&mut self, bytes: usize, out: &mut String) {
        out.push_str(self.rest().get(..bytes).unwrap_or_default());
        self.at += bytes;
    }

    fn run(&self, is_in: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        rest.get(..rest.find(|sign| !is_in(sign)).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// What must not be seen by its looks: its kind (none where it is harmless), and how long it is.
    pub(super) fn looks_like(&self) -> Option<(&'static str, usize)> {
        let is_wordlike = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        if self.before().is_some_and(is_wordlike) {
            return None;
        }
        if let Some(length) = time(self.rest()) {
            return Some(("", length));
        }
        if self.first() == Some('[') {
            // A mark of ours.
            let mark = self.run(|sign| sign != ']');
            let is_ours = mark.len() < 40
                && mark
                    .rsplit_once('-')
                    .is_some_and(|(_, tag)| tag.len() == 8 && tag.bytes().all(|byte| (b'a'..=b'p').contains(&byte)));
            if is_ours {
                return Some(("", mark.len() + 1));
            }
        }
        if self.first() == Some('/') {
            let path = self.run(|sign| !sign.is_whitespace() && !"\"'`<>|;,，；：（）()".contains(sign));
            if let Some(prefix) = SYSTEM_PATHS.iter().find(|prefix| path.starts_with(**prefix)) {
                return Some(("", prefix.len()));
            }
            let is_path = path.len() > 1 && !path.starts_with("//");
            return is_path.then_some(("path", path.len()));
        }
        let token = self.run(|sign| sign.is_ascii_alphanumeric() || ".:@_+-%".contains(sign));
        let token = token.trim_end_matches(['.', ':', '-']);
        if let Some((scheme, rest)) = self.rest().split_once("://")
            && !scheme.is_empty()
            && scheme.len() < 9
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            let host = rest
                .split(|sign: char| sign.is_whitespace() || "/?#\"'`<>)，；".contains(sign))
                .next()
                .unwrap_or_default();
            return Some(("address", scheme.len() + 3 + host.len()));
        }
        if token.contains('@') && token.len() > 3 {
            return Some(("mail", token.len()));
        }
        if let Some(length) = ip(token) {
            return Some(("ip", length));
        }
        if let Some(length) = number(self.rest(), self.before()) {
            return Some(("number", length));
        }
        let secret = self.run(|sign| sign.is_ascii_alphanumeric() || "+/=_-".contains(sign));
        let mixed =
            secret.bytes().any(|byte| byte.is_ascii_digit()) && secret.bytes().any(|byte| byte.is_ascii_alphabetic());
        (secret.len() >= SHORTEST_SECRET && mixed).then_some(("secret", secret.len()))
    }

    /// Something in quotes: bytes before it, of it, and after it.
    pub(super) fn quoted(&self) -> Option<(usize, usize, usize)> {
        let open = self.first()?;
        let close = match open {
            '`' | '"' => open,
            '“' => '”',
            '「' => '」',
            '《' => '》',
            _ => return None,
        };
        let inside = self.rest().get(open.len_utf8()..)?;
        let length = inside.find(close)?;
        (length > 0).then_some((open.len_utf8(), length, close.len_utf8()))
    }

    /// `key=value`: bytes of the key with its sign, and of the value.
    pub(super) fn field(&self) -> Option<(usize, usize)> {
        if self.before().is_some_and(|sign| !sign.is_whitespace() && sign != '{' && sign != ',') {
            return None;
        }
        let key = self.run(|sign| sign.is_ascii_alphanumeric() || sign == '_');
        let value = self.rest().get(key.len()..)?.strip_prefix('=')?;
        let length = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(value.len(), |end| end + 2),
            None => value.find(char::is_whitespace).unwrap_or(value.len()),
        };
        (!key.is_empty()).then_some((key.len() + 1, length))
    }
}

/// A date, with a time or without: `2026-11-29T03:00:12.5+08:00`.
fn time(text: &str) -> Option<usize> {
    let shaped = |shape: &str, from: &str| {
        let fits = shape.bytes().zip(from.bytes()).all(|(wanted, given)| match wanted {
            b'0' => given.is_ascii_digit(),
            b'T' => given == b'T' || given == b' ',
            b'+' => given == b'+' || given == b'-',
            other => other == given,
        });
        (fits && from.len() >= shape.len()).then_some(shape.len())
    };
    let mut length = shaped("0000-00-00", text)?;
    let after = |length: usize| text.get(length..).unwrap_or_default();
    if let Some(more) = shaped("T00:00", after(length)) {
        length += more;
        length += shaped(":00", after(length)).unwrap_or(0);
        if after(length).starts_with('.') {
            let digits = after(length).bytes().skip(1).take_while(u8::is_ascii_digit).count();
            length += 1 + digits;
        }
        length += shaped("Z", after(length)).or_else(|| shaped("+00:00", after(length))).unwrap_or(0);
    }
    let ends = after(length).chars().next().is_none_or(|sign| !sign.is_ascii_digit());
    ends.then_some(length)
}

/// An IPv4, IPv6 or MAC address at the beginning of a token; a port behind it stays.
fn ip(token: &str) -> Option<usize> {
    let v4 = token.split(|sign: char| !sign.is_ascii_digit() && sign != '.').next().unwrap_or_default();
    if v4.trim_end_matches('.').parse::<std::net::Ipv4Addr>().is_ok() {
        return Some(v4.trim_end_matches('.').len());
    }
    let hex = token.split(|sign: char| !sign.is_ascii_hexdigit() && !":-.".contains(sign)).next().unwrap_or_default();
    let is_v6 = hex.parse::<std::net::Ipv6Addr>().is_ok() && hex.len() > 2;
    let groups: Vec<&str> = hex.split([':', '-']).collect();
    let is_mac = groups.len() >= 6 && groups.iter().all(|group| group.len() == 2);
    (is_v6 || is_mac).then_some(hex.len())
}

/// A number as people have them: a telephone, an identity card. Fractions and what hangs on a word are none.
fn number(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|sign| sign == '.' || sign == '-') {
        return None;
    }
    let (mut digits, mut length) = (0, 0);
    for (at, sign) in text.char_indices() {
        match sign {
            '0'..='9' => {
                digits += 1;
                length = at + 1;
            }
            '+' if at == 0 => {}
            '-' | ' ' if digits > 0 && at == length => {}
            'X' | 'x' if digits == 17 && at == length => length = at + 1,
            _ => break,
        }
    }
    let is_fraction = text
        .get(length..)
        .is_some_and(|rest| rest.starts_with('.') && rest.chars().nth(1).is_some_and(|sign| sign.is_ascii_digit()));
    (digits >= FEWEST_DIGITS && !is_fraction).then_some(length)
}
