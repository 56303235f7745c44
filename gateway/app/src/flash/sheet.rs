//! The sheet that goes with a card: a label for the box, with a QR code, and below a line to cut along what only the
//! installer may have.

use anyhow::Context;
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write as _;

use super::identity::Identity;
use crate::console::qr_svg;
use crate::lang::Lang;

const STYLE: &str = "
@page { size: A4; margin: 14mm; }
* { box-sizing: border-box; }
body { font: 11pt/1.5 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif; color: #000; background: #fff; margin: 0 auto; max-width: 182mm; padding: 4mm; }
h1 { font-size: 20pt; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 13pt; margin: 0 0 2mm; }
small, .en { color: #444; font-size: 9.5pt; }
.box { display: flex; flex-wrap: wrap; gap: 8mm; align-items: center; border: 1px solid #000; border-radius: 3mm; padding: 6mm; }
.box svg { width: 44mm; height: 44mm; flex: none; }
.box > div { flex: 1 1 70mm; min-width: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1.5mm 5mm; margin: 3mm 0; }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
code { font: 11pt/1.4 'DejaVu Sans Mono', Consolas, monospace; overflow-wrap: anywhere; }
.cut { border: 0; border-top: 1px dashed #000; margin: 9mm 0 7mm; }
li { margin-bottom: 2mm; }
@media (max-width: 480px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 2mm; } }
";

/// The sheet as a page to print. `belongs` says where the box belongs, as people say it.
///
/// # Errors
/// Where the address is too long for a code.
pub(crate) fn sheet(identity: &Identity, belongs: Option<&str>, made: &str) -> anyhow::Result<String> {
    let id = safe(&identity.id);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{id} · 九哨网关 Ninewatch gateway</title>\
         <style>{STYLE}</style></head><body><main>\n<section class=\"box\">"
    );
    if let Some(address) = &identity.address {
        let code = QrCode::encode_text(address, QrCodeEcc::Quartile);
        page.push_str(&qr_svg(&code.ok().context("the gateway's address is too long for a QR code; shorten its id")?));
    }
    let _ = write!(page, "<div><small>九哨社区物联网边缘网关 · Ninewatch gateway</small><h1>{id}</h1><dl>");
    let mut line = |zh: &str, en: &str, text: &str| {
        let _ = write!(page, "<dt>{zh} <span class=\"en\">{en}</span></dt><dd>{}</dd>", safe(text));
    };
    if let Some(belongs) = belongs {
        line("安装位置", "belongs at", belongs);
    }
    if !identity.grids.is_empty() {
        line("网格", "grids", &identity.grids.join(" · "));
    }
    match &identity.address {
        Some(address) => line("控制台", "console", address),
        None => line("控制台", "console", "只在网关本机可用 · only on the box itself"),
    }
    line("烧录时间", "flashed", made);
    page.push_str("</dl></div></section>\n<hr class=\"cut\">\n<section>");
    page.push_str(
        "<h2>以下由安装人员保管，不要贴在箱上 <span class=\"en\">For the installer: cut off, do not leave it at the box</span></h2><dl>",
    );
    let _ = write!(
        page,
        "<dt>账号 <span class=\"en\">account</span></dt><dd><code>{}</code></dd>\
         <dt>口令 <span class=\"en\">password</span></dt><dd><code>{}</code></dd>",
        safe(identity.account),
        safe(&identity.password)
    );
    if let Some(fingerprint) = &identity.fingerprint {
        let what = if identity.ca.is_some() { ("CA 指纹", "CA") } else { ("证书指纹", "certificate") };
        let _ = write!(
            page,
            "<dt>{} <span class=\"en\">SHA-256 of the {}</span></dt><dd><code>{}</code></dd>",
            what.0,
            what.1,
            safe(fingerprint)
        );
    }
    page.push_str("</dl><ol>");
    let mut step = |zh: &str, en: &str| {
        let _ = write!(page, "<li>{zh}<br><span class=\"en\">{en}</span></li>");
    };
    step(
        "插卡，接网线（或使用已写入的 Wi-Fi），通电，等几分钟。首次启动会自动扩展存储卡。",
        "Put the card in, connect the network (or use the Wi-Fi that it knows) and the power, and wait some minutes: the first start fills the card.",
    );
    if identity.ca.is_some() {
        step(
            "手机连入同一网络，扫描二维码。浏览器会警告一次：打开 /ca.crt，逐字核对上面的指纹后安装 CA；不一致就不要登录。",
            "With a phone in the same network, scan the code. The browser warns once: fetch /ca.crt, compare its fingerprint with the one above, install it; where they differ, do not log in.",
        );
    }
    if identity.address.is_some() {
        step(
            "再次打开二维码中的地址，用上面的账号登录。",
            "Open the code's address again and log in with the account above.",
        );
    }
    step(
        "卡丢失或可能被复制时，立即通知运维：",
        "Where the card is lost or may have been copied, tell the operator at once:",
    );
    page.push_str("</ol><ul>");
    for credential in &identity.credentials {
        let (zh, en) = (credential.revocation(Lang::Zh), credential.revocation(Lang::En));
        let _ = write!(page, "<li>{}<br><span class=\"en\">{}</span></li>", safe(&zh), safe(&en));
    }
    let again = format!("ninewatch flash --again --id {}", identity.id);
    let _ = writeln!(
        page,
        "<li>换新凭据后重新烧录：<code>{0}</code>；新卡有新的 CA 和口令。<br>\
         <span class=\"en\">then flash anew, with a new credential: the new card has another CA and another password.</span></li>\
         </ul></section></main></body></html>",
        safe(&again)
    );
    Ok(page)
}

/// Text that no page takes for anything else.
fn safe(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
