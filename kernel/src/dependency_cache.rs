//! What rustc has made of crates from a registry, for all sessions. Each session compiles in a folder of
//! its own, so every notebook would compile its dependencies anew.
//!
//! What is kept is used again where everything is the same that rustc can see: the compiler and the
//! runtime, its arguments, the contents of the crates that it links, what a build script has made, and the
//! environment variables that the crate reads. Where the session's folder is named, it counts as the same.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cache_folder::CacheFolder;
use crate::prebuilt::Prebuilt;
use crate::rustc_wrapper::value_of;

/// The environment variable that says how many bytes are kept at most; 0 is none.
const LIMIT_VAR: &str = "MORCEAUX_DEPENDENCY_CACHE";

/// Its default.
const LIMIT: u64 = 2 << 30;

/// The folder, in the user's cache folder.
const FOLDER: &str = "morceaux/dependencies";

/// What is known of an entry.
const MANIFEST: &str = "manifest";

/// What stands for the folder in which the session compiles.
const TARGET: &str = "<morceaux-target>";

/// The environment variable that names the folder of what a build script has made.
const OUT_DIR: &str = "OUT_DIR";

/// A compilation that gives the same in every session.
#[derive(Debug)]
pub struct Compilation<'a> {
    rustc: &'a OsStr,
    args: &'a [OsString],
    out_dir: &'a Path,
    /// The folder in which the session compiles.
    target: &'a str,
    key: String,
    cache: CacheFolder,
}

/// What was made, and with what.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The files' names, and their lengths.
    files: Vec<(String, u64)>,
    /// What rustc has said.
    messages: String,
    /// The environment variables that were read.
    environment: Vec<(String, Option<String>)>,
}

/// Where it is kept, if the user has a cache folder.
pub fn kept() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join(FOLDER))
}

impl<'a> Compilation<'a> {
    /// What rustc is about to compile with these arguments, if that is a crate from a registry, and
    /// anything is to be kept.
    pub fn of(
        prebuilt: &Prebuilt,
        rustc: &'a OsStr,
        args: &'a [OsString],
    ) -> Option<Compilation<'a>> {
        let limit = std::env::var(LIMIT_VAR).ok();
        let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT);
        let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
        let out_dir = Path::new(value_of(args, "--out-dir")?);
        if limit == 0 || !is_from_registry(&folder) {
            return None;
        }
        let mut folders = out_dir.ancestors();
        let target = folders
            .find(|folder| folder.ends_with("target"))?
            .to_str()?;
        let built = std::env::var_os(OUT_DIR).map(PathBuf::from);
        Some(Compilation {
            rustc,
            args,
            out_dir,
            target,
            key: key(&prebuilt.dylib(), args, target, built.as_deref()).ok()?,
            cache: CacheFolder::new(kept()?, limit),
        })
    }

    /// Compiles, or puts there what was kept, and says what rustc says.
    pub fn run(&self) -> ExitCode {
        if self.restore().is_some() {
            return ExitCode::SUCCESS;
        }
        // It is damaged, or was made in another environment.
        self.cache.remove(&self.key);
        match self.compile() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {} cannot be started: {error}", self.rustc.display());
                ExitCode::FAILURE
            }
        }
    }

    /// Puts there what was kept. None where that is nothing, or not all.
    fn restore(&self) -> Option<()> {
        let entry = self.cache.entry(&self.key)?;
        let manifest = fs::read(entry.join(MANIFEST)).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let is_same = |(name, value): &(String, Option<String>)| *value == variable(name);
        if !manifest.environment.iter().all(is_same) {
            return None;
        }
        for (name, length) in &manifest.files {
            let [kept, wanted] = [entry.join(name), self.out_dir.join(name)];
            if is_dep_info(name) {
                let kept = fs::read_to_string(kept).ok()?;
                fs::write(wanted, kept.replace(TARGET, self.target)).ok()?;
            } else if fs::copy(kept, wanted).ok()? != *length {
                return None;
            }
        }
        let messages = manifest.messages.replace(TARGET, self.target);
        io::stderr().write_all(messages.as_bytes()).ok()
    }

    fn compile(&self) -> io::Result<ExitCode> {
        let mut rustc = Command::new(self.rustc);
        let mut rustc = rustc.args(self.args).stderr(Stdio::piped()).spawn()?;
        let mut messages = String::new();
        // At once, since cargo goes on with other crates as soon as there is enough of this one.
        if let Some(stderr) = rustc.stderr.take() {
            for line in BufReader::new(stderr).lines() {
                let line = line?;
                eprintln!("{line}");
                messages.push_str(&line);
                messages.push('\n');
            }
        }
        if !rustc.wait()?.success() {
            return Ok(ExitCode::FAILURE);
        }
        // What is not kept only has to be compiled again.
        let _ = self
            .cache
            .put(&self.key, |entry| self.keep(entry, &messages));
        Ok(ExitCode::SUCCESS)
    }

    /// Copies what was made into an entry.
    fn keep(&self, entry: &Path, messages: &str) -> io::Result<()> {
        let mut manifest = Manifest {
            files: Vec::new(),
            messages: messages.replace(self.target, TARGET),
            environment: Vec::new(),
        };
        for made in artifacts(messages) {
            let name = made.strip_prefix(self.out_dir).map_err(io::Error::other)?;
            let name = name
                .to_str()
                .ok_or(io::ErrorKind::InvalidFilename)?
                .to_owned();
            let kept = entry.join(&name);
            if is_dep_info(&name) {
                let text = fs::read_to_string(&made)?;
                manifest.environment.extend(read_variables(&text));
                fs::write(kept, text.replace(self.target, TARGET))?;
                manifest.files.push((name, 0));
            } else {
                manifest.files.push((name, fs::copy(&made, kept)?));
            }
        }
        fs::write(entry.join(MANIFEST), serde_json::to_vec(&manifest)?)
    }
}

/// Whether a package is cargo's copy of one from a registry, which nobody changes.
fn is_from_registry(folder: &Path) -> bool {
    let parents: Vec<_> = folder.iter().collect();
    parents
        .windows(2)
        .any(|pair| pair[0] == "registry" && pair[1] == "src")
}

/// Stands for all that a compilation depends on but for the variables that the crate reads.
fn key(
    runtime: &Path,
    args: &[OsString],
    target: &str,
    built: Option<&Path>,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    // Named after the compiler and what the runtime is made of.
    add(runtime.as_os_str().as_encoded_bytes());
    for arg in args {
        let arg = arg.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        add(arg.replace(target, TARGET).as_bytes());
        if let Some((_, file)) = arg.split_once('=')
            && Path::new(file).starts_with(target)
            && Path::new(file).is_file()
        {
            add(&fs::read(file)?);
        }
    }
    let mut folders: Vec<PathBuf> = built.into_iter().map(Path::to_owned).collect();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::path);
        for entry in entries {
            let path = entry.path();
            let name = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
            add(name.replace(target, TARGET).as_bytes());
            if path.is_dir() {
                folders.push(path);
            } else {
                add(&fs::read(path)?);
            }
        }
    }
    let hash = hash.finalize();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The files that rustc says it has made.
fn artifacts(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines();
    let messages = messages.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = messages.filter_map(|message| message["artifact"].as_str().map(PathBuf::from));
    artifacts.collect()
}

fn is_dep_info(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "d")
}

/// The environment variables that a crate has read, as rustc writes them down beside its sources.
fn read_variables(dep_info: &str) -> Vec<(String, Option<String>)> {
    let lines = dep_info.lines();
    let variables = lines.filter_map(|line| line.strip_prefix("# env-dep:"));
    let names = variables.map(|line| line.split_once('=').map_or(line, |(name, _)| name));
    // Of that one, the contents count.
    let names = names.filter(|name| *name != OUT_DIR);
    names
        .map(|name| (name.to_owned(), variable(name)))
        .collect()
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cargos_copies_are_kept() {
        let from = |folder: &str| is_from_registry(Path::new(folder));
        assert!(from(
            "/home/a/.cargo/registry/src/index.crates.io-1/itoa-1.0.0"
        ));
        assert!(!from("/home/a/src/registry/mine"));
    }

    #[test]
    fn the_key_is_that_of_what_is_seen_and_not_of_where() {
        let runtime = Path::new("/p/libmorceaux.so");
        let key_in = |contents: &str, flag: &str| {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("target");
            let (built, linked) = (target.join("out"), target.join("liba.rlib"));
            fs::create_dir_all(built.join("inner")).unwrap();
            fs::write(built.join("inner/made.rs"), contents).unwrap();
            fs::write(&linked, contents).unwrap();
            let args = [
                flag.into(),
                "--extern".into(),
                format!("a={}", linked.display()),
            ];
            let args = args.map(OsString::from);
            key(runtime, &args, target.to_str().unwrap(), Some(&built)).unwrap()
        };
        let first = key_in("one", "-O");
        assert_eq!(first, key_in("one", "-O"));
        assert_ne!(first, key_in("two", "-O"));
        assert_ne!(first, key_in("one", "-g"));
    }

    #[test]
    fn the_variables_are_those_of_the_dep_info() {
        let dep_info =
            "a.d: b.rs\n\n# env-dep:NO_SUCH_VARIABLE\n# env-dep:OUT_DIR=/o\n# env-dep:HOME=/h\n";
        let variables = read_variables(dep_info);
        assert_eq!(variables[0], ("NO_SUCH_VARIABLE".to_owned(), None));
        assert_eq!(variables[1], ("HOME".to_owned(), variable("HOME")));
        assert_eq!(variables.len(), 2);
    }
}
