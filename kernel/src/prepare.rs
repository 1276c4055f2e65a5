//! Building, once per toolchain, what every session then finds ready.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::evaluator;
use crate::prebuilt::{Prebuilt, Toolchain};
use crate::session_dir::SessionDir;

/// Finds what is built for the toolchain of the current folder.
///
/// # Errors
/// Where the toolchain is incomplete.
pub fn find() -> anyhow::Result<(Toolchain, Option<Prebuilt>)> {
    let toolchain = Toolchain::find()?;
    let ready = toolchain.candidates().into_iter().find(Prebuilt::is_ready);
    if let Some(prebuilt) = &ready {
        prebuilt.link_program()?;
    }
    Ok((toolchain, ready))
}

/// Builds it if need be, saying so on standard error. Changes the environment, so it belongs into a
/// process of its own.
///
/// # Errors
/// Where the toolchain is incomplete, or something cannot be built; says what to do.
pub fn prepare() -> anyhow::Result<Prebuilt> {
    let (toolchain, ready) = find()?;
    if let Some(ready) = ready {
        return Ok(ready);
    }
    let mut refused = anyhow!("there is no folder for it");
    for prebuilt in toolchain.candidates() {
        match lock(&prebuilt) {
            Ok(_lock) => {
                if !prebuilt.is_ready() {
                    build(&prebuilt, &toolchain)?;
                }
                return Ok(prebuilt);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused.context("the runtime cannot be stored"))
}

/// One process builds, the others wait for it.
fn lock(prebuilt: &Prebuilt) -> anyhow::Result<File> {
    let path = prebuilt.template().with_extension("lock");
    let folder = path.parent().context("the template lies in a folder")?;
    let file = fs::create_dir_all(folder)
        .and_then(|()| File::create(&path))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.lock()
        .with_context(|| format!("{} cannot be locked", path.display()))?;
    Ok(file)
}

fn build(prebuilt: &Prebuilt, toolchain: &Toolchain) -> anyhow::Result<()> {
    let version = toolchain.verbose_version.lines().next().unwrap_or_default();
    eprintln!("morceaux: building the runtime for {version}; this takes a minute or two, once");
    prebuilt.build(toolchain)?;
    make_template(prebuilt, toolchain)?;
    prebuilt.set_ready()
}

/// Lets evcxr compile everything that a session begins with, in a session's folder: below somebody's
/// own workspace, which a prefix may well be, cargo would take the cells for a part of it.
fn make_template(prebuilt: &Prebuilt, toolchain: &Toolchain) -> anyhow::Result<()> {
    let folder = SessionDir::choose()?;
    // SAFETY: this runs in a process of its own, before it has any other thread.
    unsafe { evaluator::set_environment(&folder) };
    let session = SessionDir::create(&folder)?;
    session.write_cargo_config(prebuilt)?;
    let cells = session.cells();
    fs::create_dir(&cells)?;
    session.hide_std()?;
    session.programs().link(toolchain)?;

    let listener = UnixListener::bind(session.socket())?;
    std::thread::spawn(move || {
        // What the cell process reports while the template is made interests nobody.
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &connection, &mut std::io::sink()));
        }
    });

    let failed = |error: evcxr::Error| anyhow!("the first cell cannot be compiled: {error}");
    let (mut context, _outputs) =
        evaluator::open(prebuilt, &session.socket(), &session.programs(), None).map_err(failed)?;
    fs::write(cells.join("Cargo.lock"), prebuilt.lock_file())?;
    session.show_std(prebuilt)?;
    context.execute(&prebuilt.commands()?).map_err(failed)?;
    drop(context);
    remove_cells_own(&cells.join("target"))?;
    session.keep_as_template(prebuilt)
}

/// Removes what belongs to the template's own cells and not to what cells depend on.
fn remove_cells_own(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = name == "incremental"
            || ["ctx", "libctx", "code_", "libcode_"]
                .iter()
                .any(|own| name.starts_with(own));
        match (entry.file_type()?.is_dir(), own) {
            (true, true) => fs::remove_dir_all(entry.path())?,
            (true, false) => remove_cells_own(&entry.path())?,
            (false, true) => fs::remove_file(entry.path())?,
            (false, false) => {}
        }
    }
    Ok(())
}
