//! What is built once per Rust toolchain: the runtime dylib and what cells are compiled with.
//!
//! ```text
//! <data>/morceaux/runtime/<rustc version>-<hash>/
//!     source/                 the runtime crate as this program carries it
//!     build/release/deps/     libmorceaux.so, which contains tokio, and the crates it was made of
//!     stubs/tokio-1.54.1.rs   what cargo compiles in place of a crate that the dylib contains
//!     stubs/direct-link       how cells are linked, see `direct_link.rs`
//!     crates/                 the shared crates as cells see them, see `cell_crates.rs`
//!     bin/                    links to this program, whose names say what it is to be
//!     std-source/             what inference reads of the standard library, see `std_source.rs`
//!     template/               a session folder with everything compiled, see `session_dir.rs`
//!     ready                   written last, see `seal.rs`
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use crate::carried::{self, locked_version};
use crate::files::{create_dir, write};
use crate::linker::LINKER;
use crate::runtime_wrapper::{self, RUNTIME_WRAPPER};
use crate::{cell_crates, direct_link, old_runtimes, programs, seal, std_source};

/// The crates whose types the cells share with the dylib. The first is the dylib itself.
pub const SHARED_CRATES: [&str; 3] = ["morceaux", "tokio", "bytes"];

/// The name under which this program is linked to be started as the rustc wrapper.
pub const RUSTC_WRAPPER: &str = "rustc-wrapper";

/// What is in it when it has been built, apart from links.
const BUILT: [&str; 6] = [
    "source",
    "build",
    "stubs",
    "crates",
    "std-source",
    "template",
];

/// The parts of this program that build it.
const PREPARE: [&str; 6] = [
    include_str!("prebuilt.rs"),
    include_str!("prepare.rs"),
    include_str!("cell_crates.rs"),
    include_str!("direct_link.rs"),
    include_str!("runtime_wrapper.rs"),
    include_str!("std_source.rs"),
];

/// The folder described above.
#[derive(Debug, Clone)]
pub struct Prebuilt {
    root: PathBuf,
}

/// For rust-analyzer, evcxr 0.22 passes each variable of the notebook to a generic function of this name, whose
/// bounds are looked into each time. This one comes before it and has none: with 200 variables it takes
/// 24 ms instead of 59 to be told of another. rustc does not see it.
const CHEAP_STORE: &str = "#[cfg(rust_analyzer)] fn evcxr_variable_store() {}";

impl Prebuilt {
    /// The folder that a program in its `bin` belongs to.
    pub fn of_link(program: &Path) -> Option<Prebuilt> {
        let root = program.parent()?.parent()?.to_owned();
        root.join("stubs").is_dir().then_some(Prebuilt { root })
    }

    /// The runtime dylib.
    pub fn dylib(&self) -> PathBuf {
        let name = format!("libmorceaux{}", std::env::consts::DLL_SUFFIX);
        self.dependencies().join(name)
    }

    /// The crates that the dylib was made of.
    pub fn dependencies(&self) -> PathBuf {
        self.root.join("build/release/deps")
    }

    /// The source that stands in for a package that the dylib contains, if it does.
    pub fn stub(&self, package: &str, version: &str) -> PathBuf {
        self.root
            .join("stubs")
            .join(format!("{package}-{version}.rs"))
    }

    /// This program as the rustc wrapper.
    pub fn rustc_wrapper(&self) -> PathBuf {
        self.root.join("bin").join(RUSTC_WRAPPER)
    }

    /// This program as the wrapper of the rustc that builds the dylib.
    fn runtime_wrapper(&self) -> PathBuf {
        self.root.join("bin").join(RUNTIME_WRAPPER)
    }

    /// This program as the linker.
    pub fn linker(&self) -> PathBuf {
        self.root.join("bin").join(LINKER)
    }

    /// This program as the cell process.
    pub fn cell_process(&self) -> PathBuf {
        self.root.join("bin/cell-process")
    }

    /// How cells are linked, see `direct_link.rs`.
    pub fn direct_link(&self) -> PathBuf {
        self.root.join("stubs/direct-link")
    }

    /// The session folder that new ones are made from.
    pub fn template(&self) -> PathBuf {
        self.root.join("template")
    }

    /// The part of the standard library's source that inference reads.
    pub fn std_source(&self) -> PathBuf {
        self.root.join("std-source")
    }

    /// The shared crates as cells see them.
    pub fn cell_crates(&self) -> PathBuf {
        self.root.join("crates")
    }

    /// The evcxr commands that make the runtime available to the cells.
    pub fn commands(&self) -> anyhow::Result<String> {
        Ok(format!(
            ":dep tokio = {}\n:dep morceaux = {{ path = {:?} }}\n\
             use morceaux::prelude::*;\nuse morceaux::{{print, println}};\n{CHEAP_STORE}",
            cell_crates::tokio_dependency()?,
            self.manifest_for_cells()?,
        ))
    }

    /// The evcxr command that changes nothing but has rust-analyzer read everything anew, which it does
    /// when the manifest's text is another one.
    pub fn commands_to_read_anew(&self) -> anyhow::Result<String> {
        let manifest = self.manifest_for_cells()?;
        Ok(format!(":dep morceaux = {{path = {manifest:?}}}"))
    }

    fn manifest_for_cells(&self) -> anyhow::Result<String> {
        let manifest = self.cell_crates().join("morceaux");
        let manifest = manifest.to_str().context("its path is not UTF-8")?;
        Ok(manifest.to_owned())
    }

    /// The versions of crates that everything is built for, as cargo's lock file.
    pub fn lock_file(&self) -> &'static str {
        carried::LOCK
    }

    /// Whether everything in it has been built, and is still there.
    pub fn is_ready(&self) -> bool {
        seal::is_whole(&self.root)
    }

    /// Declares everything in it built, which may take the place of something older.
    pub fn set_ready(&self) -> anyhow::Result<()> {
        seal::put(&self.root, &BUILT)?;
        old_runtimes::remove_beside(&self.root);
        Ok(())
    }

    /// Marks it as in use for as long as the file lives.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn mark_used(&self) -> io::Result<File> {
        old_runtimes::mark_used(&self.root)
    }

    /// Lets the links in `bin` lead to the running program.
    pub fn link_program(&self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let links = [
            self.rustc_wrapper(),
            self.runtime_wrapper(),
            self.linker(),
            self.cell_process(),
        ];
        for link in links {
            if std::fs::read_link(&link).is_ok_and(|target| target == program) {
                continue;
            }
            let new = link.with_extension(format!("{}", std::process::id()));
            create_dir(&self.root.join("bin"))?;
            std::os::unix::fs::symlink(&program, &new)
                .and_then(|()| std::fs::rename(&new, &link))
                .with_context(|| format!("{} cannot be written", link.display()))?;
        }
        Ok(())
    }

    /// Writes the sources and builds the dylib.
    pub fn build(&self, toolchain: &Toolchain) -> anyhow::Result<()> {
        // What is left of an interrupted build, or was damaged since, would be taken for built.
        seal::clear(&self.root, &BUILT)
            .with_context(|| format!("{} cannot be written to", self.root.display()))?;
        self.link_program()?;
        let source = self.root.join("source");
        carried::write(&source)?;
        self.write_stubs()?;
        cell_crates::write_all(&self.cell_crates(), &source)?;
        let std_source = self.std_source();
        std_source::copy(&toolchain.library, &std_source)
            .with_context(|| format!("{} cannot be written", std_source.display()))?;
        direct_link::prepare(self, toolchain)?;
        self.run_cargo(&source, toolchain)
    }

    fn run_cargo(&self, source: &Path, toolchain: &Toolchain) -> anyhow::Result<()> {
        let rpath = toolchain.target_libdir.display();
        let mut cargo = Command::new("cargo");
        if runtime_wrapper::is_of_use(toolchain.rustc.as_os_str()) {
            cargo.env("RUSTC_WRAPPER", self.runtime_wrapper());
        } else {
            cargo.env_remove("RUSTC_WRAPPER");
        }
        let status = cargo
            .args(["rustc", "--quiet", "--release", "--package", "morceaux"])
            .args(["--lib", "--crate-type", "dylib"])
            .current_dir(source)
            .env("CARGO_TARGET_DIR", self.root.join("build"))
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                [
                    "--cfg=tokio_unstable",
                    "-Cprefer-dynamic",
                    &format!("-Clink-arg=-Wl,-rpath,{rpath}"),
                ]
                .join("\x1f"),
            )
            .env_remove("CARGO_BUILD_TARGET")
            .status()
            .context("cargo cannot be started; install Rust from https://rustup.rs")?;
        ensure!(
            status.success() && self.dylib().exists(),
            "the runtime could not be built; what is wrong is said above. A missing linker is \
             installed with your system's C compiler (Debian: apt install gcc), crates that cannot \
             be fetched need the network once"
        );
        Ok(())
    }

    fn write_stubs(&self) -> anyhow::Result<()> {
        create_dir(&self.root.join("stubs"))?;
        for package in SHARED_CRATES {
            let path = match package {
                "morceaux" => "morceaux_dylib".to_owned(),
                other => format!("morceaux_dylib::__shared::{other}"),
            };
            let version = locked_version(package)?;
            write(
                &self.stub(package, version),
                &format!("pub use {path}::*;\n"),
            )?;
        }
        Ok(())
    }
}

/// The Rust toolchain of the current folder.
#[derive(Debug)]
pub struct Toolchain {
    /// What `rustc -vV` says: a dylib is only valid for exactly this compiler.
    pub verbose_version: String,
    /// Itself, without the proxies of rustup.
    pub rustc: PathBuf,
    /// The cargo that belongs to it.
    pub cargo: PathBuf,
    /// Where the standard library's dylib lies.
    pub target_libdir: PathBuf,
    /// Where its source lies.
    pub library: PathBuf,
}

impl Toolchain {
    /// What `rustc -vV` says of the toolchain of this name.
    ///
    /// # Errors
    /// Where there is none, or no rustup that would know.
    pub fn verbose_version_of(name: &str) -> anyhow::Result<String> {
        ask("rustup".as_ref(), &["run", name, "rustc", "-vV"])
    }

    /// Asks rustc.
    ///
    /// # Errors
    /// Says what to install where something is missing.
    pub fn find() -> anyhow::Result<Toolchain> {
        let ask_rustc = |args: &[&str]| ask("rustc".as_ref(), args);
        // At once, since every kernel begins with it, and it is rustup that takes most of the time.
        let (verbose_version, folders) = std::thread::scope(|scope| {
            let folders = scope.spawn(|| ask_rustc(&["--print=target-libdir", "--print=sysroot"]));
            (ask_rustc(&["-vV"]), folders.join())
        });
        let verbose_version = verbose_version?;
        let folders = folders.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut folders = folders.lines().map(PathBuf::from);
        let mut folder = || folders.next().context("rustc does not say where it lies");
        let (target_libdir, sysroot) = (folder()?, folder()?);
        let rustc = program(&sysroot, "rustc")?;
        let cargo = program(&sysroot, "cargo")?;
        let library = sysroot.join("lib/rustlib/src/rust/library");
        if !library.is_dir() {
            bail!(
                "the standard library's source is missing, without which the types of variables \
                 cannot be known; install it with: rustup component add rust-src"
            );
        }
        Ok(Toolchain {
            verbose_version,
            rustc,
            cargo,
            target_libdir,
            library,
        })
    }

    /// The name of the folder that belongs to it and to what is built by this program, and how.
    fn folder_name(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.verbose_version);
        carried::hash(&mut hash);
        PREPARE.iter().for_each(|source| hash.update(source));
        let hash: String = hash.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let release = self
            .verbose_version
            .lines()
            .find_map(|line| line.strip_prefix("release: "));
        format!("{}-{hash}", release.unwrap_or("rustc"))
    }

    /// The folders in which what belongs to it may lie, most wanted first.
    pub fn candidates(&self) -> Vec<Prebuilt> {
        let name = self.folder_name();
        let root = |data: PathBuf| Prebuilt {
            root: data.join("morceaux/runtime").join(&name),
        };
        data_folders().into_iter().map(root).collect()
    }
}

/// The `share` beside the program's `bin`, then the user's own.
fn data_folders() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| {
        let bin = program.parent()?;
        let prefix = bin.parent()?;
        (bin.file_name()? == "bin").then(|| prefix.join("share"))
    });
    beside.into_iter().chain(dirs::data_local_dir()).collect()
}

/// A program of a toolchain, else the one on the PATH: a Rust that is not from rustup may have them in
/// different places.
fn program(sysroot: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let own = sysroot.join("bin").join(name);
    if own.is_file() {
        return Ok(own);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    programs::find_in(&path, name.as_ref()).with_context(|| {
        format!("there is no {name} on the PATH; install Rust from https://rustup.rs")
    })
}

fn ask(program: &Path, args: &[&str]) -> anyhow::Result<String> {
    let name = program.display();
    let output = Command::new(program).args(args).output();
    let output = output.with_context(|| {
        format!("{name} cannot be started; install Rust from https://rustup.rs")
    })?;
    ensure!(
        output.status.success(),
        "{name} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
