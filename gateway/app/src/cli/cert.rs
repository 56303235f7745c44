//! `ninewatch cert`: the gateway's own CA, by which the console speaks HTTPS.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use crate::audit::note_command;
use crate::config::Config;
use crate::console::Authority;
use crate::lang::Lang;

/// What `cert` can be told.
#[derive(Debug, Args)]
pub(crate) struct CertArgs {
    /// The site file
    #[arg(long, value_name = "FILE", default_value = "/etc/ninewatch/site.toml", global = true)]
    site: PathBuf,
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Make the CA before the first start, which else does it
    Init {
        /// Make another one in the place of the one there is: for other names, or because its key got known. It has to be
        /// installed anew everywhere
        #[arg(long)]
        force: bool,
    },
    /// Print the CA's certificate, as `/ca.crt` gives it, and its fingerprint
    Show,
}

/// Makes or shows the CA.
///
/// # Errors
/// Where the console does not use one, or it cannot be read or written.
pub(crate) fn run(args: &CertArgs, lang: Lang) -> anyhow::Result<()> {
    let config = Config::load(&args.site)?;
    let site = args.site.display();
    let https = config.console.as_ref().and_then(|console| console.https());
    let https = https.with_context(|| {
        format!(
            "the console of {site} does not speak HTTPS; add `[console.tls]`, or listen where other machines reach it"
        )
    })?;
    if https.cert.is_some() {
        bail!("the console of {site} has a certificate from elsewhere (`console.tls.cert`) and needs no CA of its own");
    }
    let data_dir = &config.gateway.data_dir;
    let authority = match args.command {
        CertCommand::Init { force: true } => {
            let made = note_command(data_dir, "ca.renew", "", Authority::renew(data_dir, &https.names))?;
            let next = lang.pick(
                "已生成新的 CA，重启网关后生效；手机和电脑须重新安装",
                "Made another CA; it is in force once the gateway is restarted, and has to be installed anew everywhere",
            );
            eprintln!("{next}");
            made
        }
        CertCommand::Init { force: false } | CertCommand::Show => Authority::open(data_dir, &https.names)?,
    };
    eprintln!("SHA-256  {}", authority.fingerprint());
    if matches!(args.command, CertCommand::Show) {
        write!(std::io::stdout(), "{}", authority.pem())?;
    }
    Ok(())
}
