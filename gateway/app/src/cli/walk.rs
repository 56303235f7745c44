//! `ninewatch walk verify`: whether a walk-test's certificate is as a gateway has signed it.

use anyhow::{Context, ensure};
use axum::http::Method;
use clap::{Args, Subcommand};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use ninewatch_core::time::UtcOffset;

use super::way::MaybeWay;
use crate::console::{Certificate, Told};
use crate::lang::Lang;

/// What `walk` can be told.
#[derive(Debug, Args)]
pub(crate) struct WalkArgs {
    #[command(subcommand)]
    command: WalkCommand,
}

#[derive(Debug, Subcommand)]
enum WalkCommand {
    /// 校验走查证书的签名 · Check the signature of a walk-test's certificate
    ///
    /// 证书取自文件（GET /api/v1/walk-tests/ID 的回答）、标准输入（-）或二维码中的地址（须给出账号）。用首次走查时记下的公钥（--key）校验；
    /// 不给公钥时只能说明证书自签名后没有改动，不能说明由谁签名。
    ///
    /// The certificate is a file (what GET /api/v1/walk-tests/ID answers), standard input (-), or the address in the QR code, with an
    /// account. Check it by the key that was noted down at the first walk-test; without one this says only that it is as it was signed,
    /// and not by whom.
    #[command(after_help = "  ninewatch walk verify walk.json --key gateway-walk.pem
  \
        ninewatch walk verify 'https://192.168.1.20:8443/#/walk/5f0c…?sha256=9a…' --key gateway-walk.pem \\
      \
        --account li --password-file password --ca ca.crt")]
    Verify {
        /// A file, `-`, or the address in the QR code
        certificate: String,
        /// The gateway's public key: `public_key` of an earlier certificate (PEM)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        way: MaybeWay,
    },
}

/// Checks a certificate, and tells what it says.
///
/// # Errors
/// Where it cannot be had, is none, or is not as it was signed.
pub(crate) async fn run(args: WalkArgs, lang: Lang) -> anyhow::Result<()> {
    let WalkCommand::Verify { certificate, key, way } = args.command;
    let (text, printed) = match printed(&certificate) {
        Some(Printed { base, id, sha256 }) => {
            let way = way.way().context(lang.pick(
                "证书在网关上，请用 --account 和 --password-file 给出可查看走查的账号",
                "it is on the gateway: give an account that may see walk-tests, by --account and --password-file",
            ))?;
            let path = format!("/api/v1/walk-tests/{id}");
            let text = way.at(base).fetch(Path::new(""), Method::GET, &path, Vec::new()).await?;
            (String::from_utf8(text)?, sha256)
        }
        None if certificate == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            (text, None)
        }
        None => (std::fs::read_to_string(&certificate).with_context(|| format!("{certificate} cannot be read"))?, None),
    };
    let key =
        key.map(|path| std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display())));
    let key = key.transpose()?;
    let read = Certificate::read(&text)?;
    let told = read.verify(key.as_deref())?;
    ensure!(
        printed.as_ref().is_none_or(|printed| *printed == told.sha256),
        "{}",
        lang.pick(
            "签名正确，但不是二维码所指的那份证书",
            "it is signed well, and not the certificate that the QR code is of"
        )
    );
    tell(&told, key.is_some(), lang)
}

/// What a QR code says.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    base: String,
    id: String,
    sha256: Option<String>,
}

fn printed(address: &str) -> Option<Printed> {
    let (base, rest) = address.split_once("/#/walk/")?;
    let is_address = base.starts_with("http://") || base.starts_with("https://");
    let (id, query) = rest.split_once('?').map_or((rest, ""), |(id, query)| (id, query));
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let sha256 = query.split('&').find_map(|pair| pair.strip_prefix("sha256=")).map(str::to_owned);
    (is_address && is_id).then(|| Printed { base: base.to_owned(), id: id.to_owned(), sha256 })
}

fn tell(told: &Told, by_key: bool, lang: Lang) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let Told { gateway, id, finished_by, passed, devices, places, key, .. } = told;
    let [finished, due] = [told.finished_at_ms, told.due_at_ms].map(|time| UtcOffset::CHINA.rfc3339(time));
    let due: String = due.chars().take(10).collect();
    let places = places.join(lang.pick("、", ", "));
    match lang {
        Lang::Zh => {
            let result = if *passed { "全部通过" } else { "附原因移交" };
            writeln!(out, "网关 {gateway} 的走查证书 {id}：{result}，{finished} 由 {finished_by} 完成")?;
            writeln!(out, "场所 {places}；设备 {}/{} 通过；{due} 前应再走一次", devices.0, devices.1)?;
        }
        Lang::En => {
            let result = if *passed { "all passed" } else { "handed over with reasons" };
            writeln!(out, "Walk-test {id} of gateway {gateway}: {result}, finished {finished} by {finished_by}")?;
            writeln!(out, "Places: {places}; {} of {} devices passed; due again on {due}", devices.0, devices.1)?;
        }
    }
    if by_key {
        writeln!(
            out,
            "{}",
            lang.pick(
                "签名有效：由所给公钥的网关签发，之后没有改动。",
                "Valid: signed by the gateway of the key that was given, and unchanged since."
            )
        )?;
    } else {
        writeln!(out, "{}", lang.pick("自签名后没有改动。由谁签名无法判断：请与记下的公钥比对（--key）。", "Unchanged since it was signed. By whom, this does not say: check it by the key that was noted down (--key)."))?;
        writeln!(out, "{} sha256:{key}", lang.pick("公钥", "key"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_in_a_qr_code_is_told_from_a_file() {
        let at = printed("https://[fd00::1]:8443/#/walk/5f0c?sha256=9a").unwrap();
        let expected = Printed { base: "https://[fd00::1]:8443".into(), id: "5f0c".into(), sha256: Some("9a".into()) };
        assert_eq!(at, expected);
        for other in ["walk.json", "-", "/tmp/#/walk/5f", "https://x/#/walk/", "https://x/#/walk/../devices"] {
            assert_eq!(printed(other), None, "{other}");
        }
    }
}
