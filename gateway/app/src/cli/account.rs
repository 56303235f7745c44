//! `ninewatch account`: who may log in to the console.

use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use crate::console::{AccountList, edit_accounts};
use crate::lang::Lang;

/// What `account` can be told.
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    /// The gateway's data folder
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ninewatch", global = true)]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Add an account; its password is shown once
    Add {
        /// 1 to 64 of A-Z a-z 0-9 . _ -
        name: String,
    },
    /// List the accounts
    List,
    /// Remove an account; whoever is logged in with it is out at once
    Remove { name: String },
    /// Give an account a new password, shown once; whoever is logged in with the old one is out at once
    Password { name: String },
}

/// Reads or changes the accounts. A running gateway notices.
///
/// # Errors
/// Where the accounts do not allow it, or the file cannot be read or written.
pub(crate) fn run(args: &AccountArgs, lang: Lang) -> anyhow::Result<()> {
    let data_dir = &args.data_dir;
    match &args.command {
        AccountCommand::List => {
            for account in AccountList::load(data_dir)?.accounts {
                writeln!(std::io::stdout(), "{}", account.name)?;
            }
        }
        AccountCommand::Remove { name } => {
            edit_accounts(data_dir, |list| list.remove(name))?;
            eprintln!("{} {name}", lang.pick("已删除账号", "Removed account"));
        }
        AccountCommand::Add { name } => {
            let password = edit_accounts(data_dir, |list| list.add(name))?;
            show(password.shown(), lang)?;
        }
        AccountCommand::Password { name } => {
            let password = edit_accounts(data_dir, |list| list.set_password(name))?;
            show(password.shown(), lang)?;
        }
    }
    Ok(())
}

/// The password alone on standard output, for scripts.
fn show(password: &str, lang: Lang) -> std::io::Result<()> {
    eprintln!("{}", lang.pick("密码（只显示这一次）：", "Password (shown this once):"));
    writeln!(std::io::stdout(), "{password}")
}
