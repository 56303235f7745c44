//! What a picture is, told by its bytes, and the picture without what it says besides: where and when it was taken, by what
//! camera, with which thumbnail.
//!
//! Nothing is decoded: of each format the parts are kept that it takes to show the picture, and no others (ITU-T T.81, PNG
//! Third Edition, RFC 9649). So what is hidden in a part that nobody knows goes, too.

use std::fmt;

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
}

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::WebP];

    /// As a file's name ends.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// As `Content-Type` has it.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// A picture, and nothing besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Why bytes are no picture that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPicture {
    /// Neither JPEG, PNG nor WebP.
    Unknown,
    /// It begins as one, and then is none.
    Damaged(Format, &'static str),
    /// It has so many pixels by so many.
    TooLarge(u32, u32),
}

/// On either side. A phone's camera has some 4000; the page makes it smaller before it sends it.
const LONGEST_SIDE: u32 = 8192;
/// In all: what a browser on a small machine can still show.
const MOST_PIXELS: u64 = 25_000_000;

impl fmt::Display for NoPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("it is no picture in JPEG, PNG or WebP"),
            Self::Damaged(format, why) => write!(f, "it begins as {} and {why}", format.ending()),
            Self::TooLarge(width, height) => write!(f, "it has {width} by {height} pixels"),
        }
    }
}

/// Takes the picture out of bytes.
///
/// # Errors
/// Where they are none, or a larger one than is taken.
pub(crate) fn picture(bytes: &[u8]) -> Result<Picture, NoPicture> {
    let picture = if bytes.starts_with(&[0xff, 0xd8]) {
        jpeg(bytes).map_err(|why| NoPicture::Damaged(Format::Jpeg, why))?
    } else if bytes.starts_with(PNG) {
        png(bytes).map_err(|why| NoPicture::Damaged(Format::Png, why))?
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        webp(bytes).map_err(|why| NoPicture::Damaged(Format::WebP, why))?
    } else {
        return Err(NoPicture::Unknown);
    };
    let (width, height) = (picture.width, picture.height);
    let is_too_large = width.max(height) > LONGEST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS;
    if is_too_large { Err(NoPicture::TooLarge(width, height)) } else { Ok(picture) }
}

const CUT: &str = "is cut short";

/// The next `count` bytes from `at` on.
fn part(bytes: &[u8], at: usize, count: usize) -> Result<&[u8], &'static str> {
    at.checked_add(count).and_then(|end| bytes.get(at..end)).ok_or(CUT)
}

fn number(bytes: &[u8], at: usize, count: usize) -> Result<u32, &'static str> {
    Ok(part(bytes, at, count)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn little(bytes: &[u8], at: usize, count: usize) -> Result<u32, &'static str> {
    Ok(part(bytes, at, count)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn size(width: u32, height: u32) -> Result<(u32, u32), &'static str> {
    if width == 0 || height == 0 { Err("has no pixels") } else { Ok((width, height)) }
}

/// JFIF without a thumbnail: version 1.1, square pixels. It says how colours are written, so it is there where it was.
const JFIF: [u8; 18] = *b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";

/// Markers of T.81, table B.1.
fn jpeg(bytes: &[u8]) -> Result<Picture, &'static str> {
    const ADOBE: u8 = 0xee;
    /// A browser goes over the whole picture in each; cameras write ten or so.
    const MOST_SCANS: u32 = 100;
    let mut kept = vec![0xff, 0xd8];
    let (mut at, mut dimensions, mut scans) = (2, None, 0);
    loop {
        // Any number of 0xff may stand before a marker.
        let mut marker = part(bytes, at, 1)?;
        if marker != [0xff] {
            return Err("has no marker where one has to be");
        }
        while marker == [0xff] {
            at += 1;
            marker = part(bytes, at, 1)?;
        }
        let marker = marker.first().copied().unwrap_or_default();
        at += 1;
        if marker == 0xd9 {
            kept.extend([0xff, 0xd9]);
            let (width, height) = dimensions.filter(|_| scans > 0).ok_or("has no pixels")?;
            return Ok(Picture { format: Format::Jpeg, width, height, bytes: kept });
        }
        let length = usize::try_from(number(bytes, at, 2)?).unwrap_or(usize::MAX);
        let segment = part(bytes, at, length)?;
        if length < 2 {
            return Err("has a segment without a length");
        }
        at += length;
        let is_kept = match marker {
            // Baseline, extended and progressive: what browsers show.
            0xc0..=0xc2 if dimensions.is_some() => return Err("has a second picture"),
            0xc0..=0xc2 => {
                dimensions = Some(size(number(segment, 5, 2)?, number(segment, 3, 2)?)?);
                true
            }
            // Huffman tables, quantisation tables, the restart interval, a scan.
            0xc4 | 0xdb | 0xdd | 0xda => true,
            0xe0 if segment.get(2..7) == Some(b"JFIF\0") && kept.len() == 2 => {
                kept.extend_from_slice(&JFIF);
                false
            }
            // It says how colours are written; it has no room for anything else.
            ADOBE => segment.get(2..7) == Some(b"Adobe") && length == 14,
            0xe0..=0xfe => false,
            _ => return Err("is written in a way that browsers do not show"),
        };
        if is_kept {
            kept.extend([0xff, marker]);
            kept.extend_from_slice(segment);
        }
        if marker == 0xda {
            scans += 1;
            if scans > MOST_SCANS {
                return Err("is written in too many passes");
            }
            let end = scan_end(bytes, at)?;
            kept.extend_from_slice(part(bytes, at, end - at)?);
            at = end;
        }
    }
}

/// Where the marker stands that ends a scan: in it 0xff stands before 0, or before a restart marker.
fn scan_end(bytes: &[u8], from: usize) -> Result<usize, &'static str> {
    let rest = bytes.get(from..).unwrap_or_default();
    let ends = |two: &[u8]| matches!(two, [0xff, marker] if !matches!(marker, 0 | 0xd0..=0xd7 | 0xff));
    rest.windows(2).position(ends).map(|at| from + at).ok_or(CUT)
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn png(bytes: &[u8]) -> Result<Picture, &'static str> {
    let mut kept = PNG.to_vec();
    let (mut at, mut dimensions, mut has_data) = (PNG.len(), None, false);
    loop {
        let length = usize::try_from(number(bytes, at, 4)?).unwrap_or(usize::MAX);
        let chunk = part(bytes, at, length.saturating_add(12))?;
        let (kind, data) = (part(chunk, 4, 4)?, part(chunk, 8, length)?);
        if crc32fast::hash(part(chunk, 4, length + 4)?) != number(chunk, 8 + length, 4)? {
            return Err("has a chunk with a wrong checksum");
        }
        at += chunk.len();
        match kind {
            b"IHDR" if dimensions.is_none() => dimensions = Some(size(number(data, 0, 4)?, number(data, 4, 4)?)?),
            b"IDAT" if dimensions.is_some() => has_data = true,
            b"PLTE" | b"tRNS" | b"gAMA" | b"sRGB" if dimensions.is_some() => {}
            b"IEND" => {
                kept.extend_from_slice(chunk);
                let (width, height) = dimensions.filter(|_| has_data).ok_or("has no pixels")?;
                return Ok(Picture { format: Format::Png, width, height, bytes: kept });
            }
            // A small letter first: it can be shown without.
            [first, ..] if first.is_ascii_lowercase() => continue,
            _ => return Err("has a chunk that does not belong there"),
        }
        kept.extend_from_slice(chunk);
    }
}

fn webp(bytes: &[u8]) -> Result<Picture, &'static str> {
    /// Of the flags of `VP8X`.
    const ALPHA: u8 = 0x10;
    let whole = usize::try_from(little(bytes, 4, 4)?).unwrap_or(usize::MAX);
    let body = part(bytes, 8, whole)?;
    let (mut kept, mut at) = (b"WEBP".to_vec(), 4);
    let (mut canvas, mut pixels) = (None, None);
    while at < body.len() {
        let length = usize::try_from(little(body, at + 4, 4)?).unwrap_or(usize::MAX);
        let chunk = part(body, at, length.saturating_add(8))?;
        let (kind, data) = (part(chunk, 0, 4)?, part(chunk, 8, length)?);
        // A byte stands behind a chunk of an odd length.
        at += chunk.len() + length % 2;
        let mut written = chunk.to_vec();
        match kind {
            b"VP8X" if canvas.is_none() && pixels.is_none() => {
                canvas = Some(size(little(data, 4, 3)? + 1, little(data, 7, 3)? + 1)?);
                if let Some(flags) = written.get_mut(8) {
                    *flags &= ALPHA;
                }
            }
            b"ALPH" if canvas.is_some() => {}
            b"VP8 " if pixels.is_none() => {
                if part(data, 3, 3)? != [0x9d, 0x01, 0x2a] {
                    return Err("has no frame that can be shown");
                }
                pixels = Some(size(little(data, 6, 2)? & 0x3fff, little(data, 8, 2)? & 0x3fff)?);
            }
            b"VP8L" if pixels.is_none() => {
                if part(data, 0, 1)? != [0x2f] {
                    return Err("has no frame that can be shown");
                }
                let bits = little(data, 1, 4)?;
                pixels = Some(size((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)?);
            }
            b"ANIM" | b"ANMF" => return Err("moves"),
            _ => continue,
        }
        if length % 2 == 1 {
            written.push(0);
        }
        kept.extend(written);
    }
    let (width, height) = pixels.ok_or("has no pixels")?;
    if canvas.is_some_and(|canvas| canvas != (width, height)) {
        return Err("says two sizes");
    }
    let mut all = b"RIFF".to_vec();
    all.extend(u32::try_from(kept.len()).map_err(|_| "is too long")?.to_le_bytes());
    all.extend(kept);
    Ok(Picture { format: Format::WebP, width, height, bytes: all })
}
