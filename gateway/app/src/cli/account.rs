//! `ninewatch account`: who may log in to the console.

use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;

use super::table;
use crate::audit::note_command;
use crate::console::{AccountList, Role, edit_accounts};
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
        /// What it is for
        #[arg(long, value_enum, default_value_t = Role::Duty)]
        role: Role,
        /// A grid of a grid member; may be given again
        #[arg(long = "grid", value_name = "GRID")]
        grids: Vec<String>,
    },
    /// Give an account another role; whoever is logged in with it goes on with that one
    Role {
        name: String,
        #[arg(value_enum)]
        role: Role,
        /// A grid of a grid member; may be given again
        #[arg(long = "grid", value_name = "GRID")]
        grids: Vec<String>,
    },
    /// List the accounts, with their roles
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
            let header = match lang {
                Lang::Zh => ["账号", "角色", "网格"],
                Lang::En => ["ACCOUNT", "ROLE", "GRIDS"],
            };
            let accounts = AccountList::load(data_dir)?.accounts.into_iter();
            let rows = accounts.map(|account| [account.name, account.role.word().to_owned(), account.grids.join(" ")]);
            table::print(&mut std::io::stdout().lock(), header, rows)?;
        }
        AccountCommand::Role { name, role, grids } => {
            let of = format!("{name} {} {}", role.word(), grids.join(" "));
            let done = edit_accounts(data_dir, |list| list.set_role(name, *role, grids));
            note_command(data_dir, "account.role", of.trim(), done)?;
            eprintln!("{} {name}: {}", lang.pick("已更改角色", "Changed the role of"), role.word());
        }
        AccountCommand::Remove { name } => {
            note_command(data_dir, "account.remove", name, edit_accounts(data_dir, |list| list.remove(name)))?;
            eprintln!("{} {name}", lang.pick("已删除账号", "Removed account"));
        }
        AccountCommand::Add { name, role, grids } => {
            let of = format!("{name} {} {}", role.word(), grids.join(" "));
            let done = edit_accounts(data_dir, |list| list.add(name, *role, grids));
            // Shown also where the audit log fails: it is in force, and kept nowhere.
            let shown = done.as_ref().map(|password| password.shown().to_owned()).ok();
            let noted = note_command(data_dir, "account.add", of.trim(), done);
            shown.map(|shown| show(&shown, lang)).transpose()?;
            noted?;
        }
        AccountCommand::Password { name } => {
            let done = edit_accounts(data_dir, |list| list.set_password(name));
            let shown = done.as_ref().map(|password| password.shown().to_owned()).ok();
            let noted = note_command(data_dir, "account.password", name, done);
            shown.map(|shown| show(&shown, lang)).transpose()?;
            noted?;
        }
    }
    Ok(())
}

/// The password alone on standard output, for scripts.
fn show(password: &str, lang: Lang) -> std::io::Result<()> {
    eprintln!("{}", lang.pick("密码（只显示这一次）：", "Password (shown this once):"));
    writeln!(std::io::stdout(), "{password}")
}
