//! What of a message is kept that no sensor type describes.

use std::borrow::Cow;

use super::node::Node;

/// A longer text may be a picture or an embedding.
const LONGEST_TEXT: usize = 256;
/// A longer list may be an embedding.
const LONGEST_LIST: usize = 64;
/// More bytes that are no JSON may be a picture.
const MOST_BYTES: usize = 1024;

/// The payload without what may be a picture or an embedding; `None` where all of it may be kept.
pub fn without_bulk(payload: &[u8]) -> Option<Vec<u8>> {
    match Node::from_json(payload) {
        Ok(mut root) => mask(&mut root).then(|| serde_json::to_vec(&root).unwrap_or_default()),
        Err(_) => (payload.len() > MOST_BYTES).then(Vec::new),
    }
}

/// Masks what is long in it; says whether anything was.
fn mask(node: &mut Node<'_>) -> bool {
    let long = match node {
        Node::Text(text) => text.len() > LONGEST_TEXT,
        Node::List(items) => items.len() > LONGEST_LIST,
        _ => false,
    };
    if long {
        *node = Node::Text(Cow::Borrowed("*"));
        return true;
    }
    match node {
        Node::List(items) => items.iter_mut().filter_map(|item| mask(item).then_some(())).count() > 0,
        Node::Map(members) => members.iter_mut().filter_map(|(_, item)| mask(item).then_some(())).count() > 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_picture_or_an_embedding_is_not_kept() {
        let long = "A".repeat(300);
        let numbers = vec!["0.1"; 128].join(",");
        let payload = format!(r#"{{"t":21,"snap":"{long}","face":[{numbers}],"few":[1,2]}}"#);
        let kept = without_bulk(payload.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(kept).unwrap(), r#"{"t":21,"snap":"*","face":"*","few":[1,2]}"#);
        assert_eq!(without_bulk(br#"{"t":21}"#), None);
        assert_eq!(without_bulk(&[0xff; 2000]), Some(Vec::new()));
        assert_eq!(without_bulk(b"T=21"), None);
    }
}
