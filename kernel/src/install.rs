//! Putting the program and its kernelspec where Jupyter finds them, and taking them away again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;

use crate::dependency_cache;
use crate::kernel_info::PROTOCOL_VERSION;

const NAME: &str = "morceaux";
const PROGRAM: &str = "morceaux-kernel";

/// Where to.
#[derive(Args)]
pub struct Target {
    /// For the current user (the default).
    #[arg(long, conflicts_with = "prefix")]
    user: bool,
    /// Below this folder: its bin and its share.
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

/// What lies where.
struct Places {
    program: PathBuf,
    kernelspec: PathBuf,
    /// What `prepare` builds.
    runtime: PathBuf,
}

impl Places {
    fn of(target: &Target) -> anyhow::Result<Places> {
        let (prefix, jupyter) = match &target.prefix {
            Some(prefix) => {
                let prefix = std::path::absolute(prefix)?;
                let jupyter = prefix.join("share/jupyter");
                (prefix, jupyter)
            }
            None => {
                let home = dirs::home_dir().context("the home folder is not known; set HOME")?;
                (home.join(".local"), users_jupyter_folder(&home))
            }
        };
        Ok(Places {
            program: prefix.join("bin").join(PROGRAM),
            kernelspec: jupyter.join("kernels").join(NAME),
            runtime: prefix.join("share").join(NAME).join("runtime"),
        })
    }
}

/// The folder in which Jupyter looks for the user's kernels, see
/// <https://docs.jupyter.org/en/latest/use/jupyter-directories.html#data-files>.
fn users_jupyter_folder(home: &Path) -> PathBuf {
    if let Some(folder) = std::env::var_os("JUPYTER_DATA_DIR") {
        return PathBuf::from(folder);
    }
    if cfg!(target_os = "macos") {
        return home.join("Library/Jupyter");
    }
    let data = dirs::data_dir().unwrap_or_else(|| home.join(".local/share"));
    data.join("jupyter")
}

/// Installs.
///
/// # Errors
/// Where something cannot be written or built; says what to do.
pub fn install(target: &Target) -> anyhow::Result<()> {
    let places = Places::of(target)?;
    copy_program(&places.program)?;
    // The installed program builds, so that what it builds lies beside it.
    let status = Command::new(&places.program).arg("prepare").status()?;
    ensure!(
        status.success(),
        "the runtime is not built; what is wrong is said above"
    );
    write_kernelspec(&places)?;
    println!("program:    {}", places.program.display());
    println!("kernelspec: {}", places.kernelspec.display());
    Ok(())
}

/// Uninstalls, and removes what sessions have kept for each other. What is not there is no error.
///
/// # Errors
/// Where something cannot be removed.
pub fn uninstall(target: &Target) -> anyhow::Result<()> {
    let places = Places::of(target)?;
    remove(&places.kernelspec, |path| fs::remove_dir_all(path))?;
    remove(&places.runtime, |path| fs::remove_dir_all(path))?;
    if let Some(kept) = dependency_cache::kept() {
        remove(&kept, |path| fs::remove_dir_all(path))?;
    }
    remove(&places.program, |path| fs::remove_file(path))
}

fn remove(path: &Path, remover: fn(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    match remover(path) {
        Ok(()) => println!("removed {}", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).context(format!("{} cannot be removed", path.display()));
        }
    }
    Ok(())
}

/// Copies the running program, unless it is the installed one. By renaming, since a kernel may be
/// running from the old file.
fn copy_program(to: &Path) -> anyhow::Result<()> {
    let from = std::env::current_exe().context("this program does not know its own path")?;
    if fs::canonicalize(to).is_ok_and(|to| to == from) {
        return Ok(());
    }
    let copy = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        let new = to.with_extension("new");
        fs::copy(&from, &new)?;
        fs::rename(&new, to)
    };
    copy().with_context(|| {
        format!(
            "{} cannot be written; choose another folder with --prefix",
            to.display()
        )
    })
}

fn write_kernelspec(places: &Places) -> anyhow::Result<()> {
    let program = places
        .program
        .to_str()
        .context("the program's path is not UTF-8")?;
    let kernelspec = json!({
        "argv": [program, "run", "{connection_file}"],
        "display_name": "Rust (async)",
        "language": "rust",
        "interrupt_mode": "message",
        "kernel_protocol_version": PROTOCOL_VERSION,
        "metadata": { "debugger": false },
    });
    let write = || -> io::Result<()> {
        fs::create_dir_all(&places.kernelspec)?;
        let text = serde_json::to_string_pretty(&kernelspec)?;
        fs::write(places.kernelspec.join("kernel.json"), text + "\n")
    };
    write().with_context(|| format!("{} cannot be written", places.kernelspec.display()))
}
