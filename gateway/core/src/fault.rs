//! What is wrong in a file that a person wrote: where it is, and how to mend it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// A file that a person wrote, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// As to be named in messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl SourceFile {
    /// Stands before the names of files that are in the program.
    pub const BUILT_IN: &str = "built-in ";

    /// No text begins so.
    const UNREADABLE: &str = "\0";

    /// One that is there and cannot be read, for this reason: reading it as TOML gives that as its fault.
    pub fn unreadable(name: String, why: &str) -> Self {
        Self { name, text: format!("{}{why}", Self::UNREADABLE) }
    }

    /// Whether it is in the program.
    pub fn is_built_in(&self) -> bool {
        self.name.starts_with(Self::BUILT_IN)
    }

    /// Its name without a folder: files of one name take each other's place, wherever they are.
    pub fn bare_name(&self) -> &str {
        let name = self.name.strip_prefix(Self::BUILT_IN).unwrap_or(&self.name);
        Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name)
    }

    /// A fault in it at `key`.
    pub fn fault(&self, key: &str, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
        Fault::at_key(&self.name, &self.text, key, problem, mend)
    }

    /// The line on which `key` stands, or as far of it as there is; 1-based.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        line_of_key(&self.text, key)
    }

    /// Reads it as TOML.
    ///
    /// # Errors
    /// What the parser finds, with its line and key.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        if let Some(why) = self.text.strip_prefix(Self::UNREADABLE) {
            return Err(Fault::at_key(&self.name, "", "", why, ""));
        }
        toml::from_str(&self.text).map_err(|error| Fault::from_toml(&self.name, &self.text, &error))
    }
}

/// One fault in `site.toml`, a sensor type, a rule, a model card or the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the person named it.
    pub file: String,
    /// 1-based; `None` where the fault is in no one line (a missing file).
    pub line: Option<usize>,
    /// The key as a path, such as `rule.when.field`; empty where none applies.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it; empty where `problem` already says it.
    pub mend: String,
    /// Whether the file's former version is in force until then.
    pub former_goes_on: bool,
}

impl Fault {
    /// A fault at `key`, found in `source` so that its line can be named.
    pub fn at_key(file: &str, source: &str, key: &str, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: line_of_key(source, key),
            key: key.to_owned(),
            problem: problem.into(),
            mend: mend.into(),
            former_goes_on: false,
        }
    }

    /// A fault that the TOML parser found: bad syntax, an unknown key, a value of a wrong kind.
    pub fn from_toml(file: &str, source: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map(|span| span.start).filter(|at| source.is_char_boundary(*at));
        Self {
            file: file.to_owned(),
            line: at.map(|at| line_at(source, at)),
            key: at.map(|at| key_at(source, at)).unwrap_or_default(),
            problem: error.message().to_owned(),
            mend: mend_of(error.message()).to_owned(),
            former_goes_on: false,
        }
    }
}

/// What to do about what the TOML parser finds, where its words do not say it.
fn mend_of(message: &str) -> &'static str {
    if message.contains("invalid type: map, expected a sequence") {
        "there may be several: write [[name]] for a table of its own, or name = [{ … }]"
    } else if message.contains("expected a sequence") {
        "write it as a list: [ … ]"
    } else {
        ""
    }
}

/// The line of a byte, 1-based.
fn line_at(source: &str, at: usize) -> usize {
    1 + source[..at].matches('\n').count()
}

/// The key whose value begins at a byte, or the key that itself begins there.
fn key_at(source: &str, at: usize) -> String {
    let is_key = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-' | '.');
    let (before, behind) = source.split_at(at);
    match before.trim_end().strip_suffix('=') {
        Some(before) => {
            let key = before.trim_end();
            let begin = key.rfind(|sign| !is_key(sign)).map_or(0, |last| last + 1);
            key.get(begin..).unwrap_or_default().to_owned()
        }
        None => behind.chars().take_while(|sign| is_key(*sign)).collect(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": `{}`", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        if self.former_goes_on {
            f.write_str(" (the former version goes on)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// The line on which the dotted `key` stands in a TOML `source`, or as far of it as there is; a number
/// picks an element of an array of tables, as in `rule.2.when`.
fn line_of_key(source: &str, key: &str) -> Option<usize> {
    let root = toml::de::DeTable::parse(source).ok()?;
    let mut at = None;
    let mut table = Some(root.get_ref());
    let mut array: Option<&toml::de::DeArray<'_>> = None;
    for part in key.split('.') {
        let found = match (array.take(), table) {
            (Some(items), _) => {
                let item = part.parse::<usize>().ok().and_then(|index| items.get(index));
                item.map(|item| (item.span().start, item.get_ref()))
            }
            (None, Some(members)) => {
                let member = members.iter().find(|(name, _)| name.get_ref().as_ref() == part);
                member.map(|(name, value)| (name.span().start, value.get_ref()))
            }
            (None, None) => None,
        };
        let Some((start, value)) = found else { break };
        at = Some(start);
        table = value.as_table();
        array = value.as_array();
    }
    at.map(|start| line_at(source, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "a = 1\n[b]\nc = 2\n[[rule]]\nid = \"x\"\n[[rule]]\nid = \"y\"\n";

    #[test]
    fn a_fault_names_file_line_key_and_mend() {
        let fault = Fault::at_key("site.toml", SOURCE, "b.c", "is 2", "write 3");
        assert_eq!(fault.to_string(), "site.toml:3: `b.c`: is 2; write 3");
        assert_eq!(Fault::at_key("r", SOURCE, "rule.1.id", "", "").line, Some(7));
        assert_eq!(Fault::at_key("r", SOURCE, "rule.1.gone.deeper", "", "").line, Some(6), "as far as there is");
        assert_eq!(Fault::at_key("r", SOURCE, "gone", "", "").line, None);
        let unreadable = SourceFile::unreadable("x.toml".into(), "is not UTF-8");
        assert_eq!(unreadable.parse::<toml::Table>().unwrap_err().to_string(), "x.toml: is not UTF-8");
    }

    #[test]
    fn what_the_parser_finds_is_named_by_its_key() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Steps {
            #[allow(dead_code, reason = "only to be refused")]
            steps: Vec<std::collections::BTreeMap<String, u8>>,
        }
        let told = |source: &str| {
            let error = toml::from_str::<Steps>(source).unwrap_err();
            Fault::from_toml("f.toml", source, &error).to_string()
        };
        let inline = told("steps = [\n  { a = 1, b = \"two\" },\n]\n");
        assert!(inline.starts_with("f.toml:2: `b`: invalid type"), "{inline}");
        let unknown = told("steps = []\n\nstep = 1\n");
        assert!(unknown.starts_with("f.toml:3: `step`: unknown field"), "{unknown}");
    }
}
