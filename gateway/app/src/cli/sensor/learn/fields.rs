//! The fields of a draft, gathered from all kinds of messages.

use super::field::{self, Doubt, Field, Kind};
use super::names::{self, compact};

/// The fields of all kinds of messages; those of one name are one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) fields: Vec<Field>,
}

impl Fields {
    /// Adds a field, or finds that it is there already from another kind of message. `taken` are
    /// those that this kind has from elsewhere in it.
    pub(super) fn take(&mut self, mut field: Field, path: &[String], taken: &[usize]) -> Option<usize> {
        let at = |fields: &[Field], name: &str| fields.iter().position(|there| there.name == name);
        if let Some(index) = at(&self.fields, &field.name) {
            let there = self.fields.get_mut(index)?;
            if !taken.contains(&index) && there.merge(&field) {
                return Some(index);
            }
            // The same in Fahrenheit beside it.
            if matches!(&field.kind, Kind::Measure(measure) if measure.offset != 0.0) {
                return None;
            }
            let telling = path.iter().rev().skip(1).find(|key| !names::is_empty_word(&compact(key)));
            let prefix = field::snake(telling.or_else(|| path.last())?);
            let name = format!("{prefix}_{}", field.name);
            let number = (2..).find(|number| at(&self.fields, &format!("{}_{number}", field.name)).is_none())?;
            field.label.zh = format!("{} {}", path.last()?, field.label.zh);
            field.label.en = format!("{} {}", path.last()?, field.label.en);
            field.name = if at(&self.fields, &name).is_none() { name } else { format!("{}_{number}", field.name) };
            if !field.doubts.contains(&Doubt::Meaning) {
                field.doubts.push(Doubt::Meaning);
            }
        }
        self.fields.push(field);
        Some(self.fields.len() - 1)
    }
}

impl Field {
    /// Takes in what another kind of message sends of the same field, where both can be read alike.
    fn merge(&mut self, other: &Self) -> bool {
        match (&mut self.kind, &other.kind) {
            (Kind::State(mine), Kind::State(theirs)) if mine.at_least == theirs.at_least => {
                if (mine.on.is_empty()) != (theirs.on.is_empty()) {
                    return false;
                }
                for (mine, theirs) in [(&mut mine.on, &theirs.on), (&mut mine.off, &theirs.off)] {
                    mine.extend(theirs.iter().filter(|value| !mine.contains(value)).cloned().collect::<Vec<_>>());
                }
            }
            (Kind::Word { words, map }, Kind::Word { words: other_words, map: other_map }) if map == other_map => {
                words.extend(other_words.iter().filter(|word| !words.contains(word)).cloned().collect::<Vec<_>>());
            }
            (mine, theirs) if mine == theirs => {}
            _ => return false,
        }
        self.doubts
            .extend(other.doubts.iter().filter(|doubt| !self.doubts.contains(doubt)).copied().collect::<Vec<_>>());
        true
    }
}
