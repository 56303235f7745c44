//! From an image and a site file to a card, through the real file.

use anyhow::Context;
use indicatif::ProgressBar;
use ninewatch_tests::{card, skipped_without};
use std::fs;
use std::process::Command;

use super::made;
use crate::flash::{Target, flash};

#[test]
fn a_card_is_the_image_with_this_gateway_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    let (image, out) = (dir.path().join("a.img"), dir.path().join("card.img"));
    fs::write(&image, card::image().unwrap()).unwrap();
    let target = Target::File(out.clone());
    let mut steps = Vec::new();
    let step = |step| {
        steps.push(step);
        ProgressBar::hidden()
    };
    let sha256 = flash(&image, &target, &one, |_| Ok(()), step).unwrap();
    assert_eq!(steps.len(), 3);
    let told = Command::new("sha256sum").arg(&image).output().unwrap();
    assert!(told.stdout.starts_with(sha256.as_bytes()));
    let bytes = fs::read(&out).unwrap();
    assert_eq!(card::folder(&bytes, "ninewatch").unwrap(), one.files);

    let again = flash(&image, &target, &one, |_| Ok(()), |_| ProgressBar::hidden()).unwrap_err();
    assert!(again.to_string().contains("there already"), "{again}");
    assert_eq!(fs::read(&out).unwrap(), bytes, "and is left alone");

    // As another program sees it.
    if skipped_without("mtools", Command::new("mcopy").arg("--version").output().is_ok()) {
        return;
    }
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    let at = format!("{}@@{}", out.display(), card::FAT.start);
    let copied = Command::new("mcopy").args(["-s", "-n", "-i", &at, "::ninewatch"]).arg(&taken).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    for (name, bytes) in &one.files {
        assert_eq!(&fs::read(taken.join("ninewatch").join(name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn nothing_of_the_gateway_is_on_a_card_that_the_log_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let one = made(dir.path()).unwrap();
    let (image, out) = (dir.path().join("a.img"), dir.path().join("card.img"));
    fs::write(&image, card::image().unwrap()).unwrap();
    let mut seen = Vec::new();
    let begin = |_: &str| {
        seen = fs::read(&out)?;
        Err(anyhow::anyhow!("the log cannot be written")).context("no")
    };
    flash(&image, &Target::File(out.clone()), &one, begin, |_| ProgressBar::hidden()).unwrap_err();
    assert_eq!(seen.get(..card::BYTES), Some(card::image().unwrap().as_slice()), "the image, and nothing else");
    assert!(!out.exists(), "a file that is no card does not stay");
}
