//! The codes in a picture.

/// A phone's page scales its picture down to this.
pub(crate) const LARGEST_SIDE: usize = 1280;
/// A box has some; a picture of noise is no reason to go on looking.
const MOST: usize = 16;

/// The texts of the QR codes in a picture of gray bytes, row by row, each once.
pub(crate) fn codes_in(width: usize, height: usize, gray: &[u8]) -> Vec<String> {
    let at = |x: usize, y: usize| gray.get(y * width + x).copied().unwrap_or(u8::MAX);
    let mut texts: Vec<String> = Vec::new();
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    for grid in image.detect_grids().into_iter().take(MOST) {
        // What is out of focus or half out of the picture cannot be read.
        let Ok((_, text)) = grid.decode() else { continue };
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use qrcodegen::{QrCode, QrCodeEcc};

    /// A picture of codes side by side, each square 5 pixels wide, on gray paper.
    fn photograph(texts: &[&str]) -> (usize, usize, Vec<u8>) {
        const SCALE: usize = 5;
        const SIDE: usize = 400;
        let width = SIDE * texts.len().max(1);
        let mut gray = vec![205_u8; width * SIDE];
        for (number, text) in texts.iter().enumerate() {
            let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
            let size = usize::try_from(code.size()).unwrap() * SCALE;
            for (x, y) in (0..size).flat_map(|x| (0..size).map(move |y| (x, y))) {
                let module = |at: usize| i32::try_from(at / SCALE).unwrap();
                if code.get_module(module(x), module(y)) {
                    gray[(y + 60) * width + number * SIDE + 60 + x] = 60;
                }
            }
        }
        (width, SIDE, gray)
    }

    #[test]
    fn every_code_in_a_picture_is_found_once() {
        let (width, height, gray) = photograph(&["NW:D1:kaili-01:gas-7:ninewatch-gas", "SN: G7-0012"]);
        let mut found = codes_in(width, height, &gray);
        found.sort();
        assert_eq!(found, ["NW:D1:kaili-01:gas-7:ninewatch-gas", "SN: G7-0012"]);
    }

    #[test]
    fn a_picture_without_a_code_or_cut_short_has_none() {
        assert_eq!(codes_in(400, 400, &photograph(&[]).2), [""; 0]);
        let noise: Vec<u8> = (0..90_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(codes_in(300, 300, &noise), [""; 0]);
        assert_eq!(codes_in(300, 300, &noise[..1000]), [""; 0]);
        assert_eq!(codes_in(1, 1, &[0]), [""; 0]);
    }
}
