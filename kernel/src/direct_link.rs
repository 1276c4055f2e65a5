//! Linking a cell with the linker itself. rustc calls it by way of the C compiler, which knows where the
//! system's libraries are and costs ten milliseconds each time. Here, it is asked for that once.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::files::write;
use crate::prebuilt::{Prebuilt, Toolchain};

/// What C compilers put around all that goes into a library.
const OBJECTS: [&str; 4] = ["crti.o", "crtbeginS.o", "crtendS.o", "crtn.o"];

/// Options of rustc that say how to link.
const OPTIONS: [&str; 4] = ["link-arg", "link-self-contained", "linker", "linker-flavor"];

/// Works out how to call the linker that comes with rustc, tries that, and writes it down; an empty file,
/// where it does not work.
///
/// # Errors
/// Where the file cannot be written.
pub fn prepare(prebuilt: &Prebuilt, toolchain: &Toolchain) -> anyhow::Result<()> {
    let parts = parts(toolchain).filter(|parts| works(toolchain, parts));
    let lines = parts.map_or_else(Vec::new, |parts| parts.lines());
    write(&prebuilt.direct_link(), &lines.concat())
}

/// What the linker needs to be told.
struct Parts {
    linker: PathBuf,
    objects: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Parts {
    fn lines(&self) -> Vec<String> {
        let paths = std::iter::once(&self.linker)
            .chain(&self.objects)
            .chain(&self.folders);
        paths.map(|path| format!("{}\n", path.display())).collect()
    }

    fn parse(text: &str) -> Option<Parts> {
        let mut paths = text.lines().map(PathBuf::from);
        Some(Parts {
            linker: paths.next()?,
            objects: paths.by_ref().take(OBJECTS.len()).collect(),
            folders: paths.collect(),
        })
    }

    fn are_there(&self) -> bool {
        let mut paths = std::iter::once(&self.linker)
            .chain(&self.objects)
            .chain(&self.folders);
        paths.all(|path| path.exists())
    }

    fn options(&self) -> Vec<OsString> {
        let mut options = vec![
            joined("linker=", &self.linker),
            "linker-flavor=ld.lld".into(),
        ];
        options.extend(
            self.folders
                .iter()
                .map(|folder| joined("link-arg=-L", folder)),
        );
        options.extend(
            self.objects
                .iter()
                .map(|object| joined("link-arg=", object)),
        );
        options
    }
}

fn joined(word: &str, path: &Path) -> OsString {
    let mut joined = OsString::from(word);
    joined.push(path);
    joined
}

fn parts(toolchain: &Toolchain) -> Option<Parts> {
    let linker = toolchain.target_libdir.parent()?.join("bin/rust-lld");
    let objects: Option<_> = OBJECTS.iter().map(|name| file_of_compiler(name)).collect();
    let parts = Parts {
        linker,
        objects: objects?,
        folders: folders_of_compiler()?,
    };
    parts.are_there().then_some(parts)
}

/// What the C compiler answers to a question, see
/// <https://gcc.gnu.org/onlinedocs/gcc/Developer-Options.html>.
fn ask_compiler(question: &str) -> Option<String> {
    let asked = Command::new("cc").arg(question).output().ok()?;
    String::from_utf8(asked.stdout).ok()
}

/// Where it finds a file. It repeats the name of what it does not find.
fn file_of_compiler(name: &str) -> Option<PathBuf> {
    let answer = ask_compiler(&format!("-print-file-name={name}"))?;
    let path = PathBuf::from(answer.trim_end());
    path.is_absolute().then_some(path)
}

/// Where it looks for libraries.
fn folders_of_compiler() -> Option<Vec<PathBuf>> {
    let answer = ask_compiler("-print-search-dirs")?;
    let list = answer
        .lines()
        .find_map(|line| line.strip_prefix("libraries: ="))?;
    let mut folders = Vec::new();
    // Many are there under several names, or not at all.
    for folder in std::env::split_paths(list).filter_map(|path| path.canonicalize().ok()) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    Some(folders)
}

/// Whether a library can be linked in this way.
fn works(toolchain: &Toolchain, parts: &Parts) -> bool {
    let tried = || -> anyhow::Result<bool> {
        let folder = std::env::temp_dir().join(format!("morceaux-link-{}", std::process::id()));
        std::fs::create_dir_all(&folder).context("no temporary folder")?;
        let source = folder.join("lib.rs");
        write(
            &source,
            "#[unsafe(no_mangle)] pub fn tried() { println!(\"{:?}\", std::env::args()); }\n",
        )?;
        let options = parts
            .options()
            .into_iter()
            .flat_map(|option| [OsString::from("-C"), option]);
        let mut rustc = Command::new(&toolchain.rustc);
        rustc
            .args(["--edition=2024", "--crate-type=cdylib", "-Cprefer-dynamic"])
            .args(options);
        let linked = rustc.arg(source).arg("--out-dir").arg(&folder).output();
        std::fs::remove_dir_all(&folder)?;
        Ok(linked?.status.success())
    };
    tried().unwrap_or(false)
}

/// Has rustc link directly what these arguments build. Where the user wishes something of a linker that
/// is not for the linker itself, or something has gone since it was written down, the arguments stay.
pub fn apply(prebuilt: &Prebuilt, args: &mut Vec<OsString>) {
    let written = std::fs::read_to_string(prebuilt.direct_link());
    let parts = Parts::parse(&written.unwrap_or_default()).filter(Parts::are_there);
    if let Some(parts) = parts.filter(|_| !args.iter().any(|arg| is_for_compiler(arg))) {
        *args = args.iter().flat_map(|arg| without_compiler(arg)).collect();
        args.extend(
            parts
                .options()
                .into_iter()
                .flat_map(|option| ["-C".into(), option]),
        );
    }
}

/// How the C compiler is told what is for the linker.
const FOR_LINKER: &str = "link-arg=-Wl,";

/// Whether only the C compiler understands an argument of rustc's.
fn is_for_compiler(arg: &OsStr) -> bool {
    let option = arg.to_string_lossy();
    let option = option.strip_prefix("-C").unwrap_or(&option);
    OPTIONS.iter().any(|name| option.starts_with(name)) && !option.starts_with(FOR_LINKER)
}

/// An argument as it is without the C compiler, which takes several words in one.
fn without_compiler(arg: &OsStr) -> Vec<OsString> {
    let text = arg.to_string_lossy();
    let joined = text
        .strip_prefix("-C")
        .and_then(|option| option.strip_prefix(FOR_LINKER));
    match joined.or(text.strip_prefix(FOR_LINKER)) {
        Some(words) => {
            let words = words
                .split(',')
                .flat_map(|word| ["-C".into(), format!("link-arg={word}")]);
            // The first of them is there, unless it is a part of the argument.
            words
                .skip(usize::from(joined.is_none()))
                .map(OsString::from)
                .collect()
        }
        None => vec![arg.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_used_as_long_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("stubs")).unwrap();
        let prebuilt = Prebuilt::of_link(&folder.path().join("bin/rustc-wrapper")).unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let parts = Parts {
            linker: file("lld"),
            objects: OBJECTS.map(file).to_vec(),
            folders: vec![folder.path().to_owned()],
        };
        let applied = |args: &[&str]| {
            let mut args: Vec<OsString> = args.iter().map(OsString::from).collect();
            apply(&prebuilt, &mut args);
            args.iter()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        let own = ["-C", "link-arg=-Wl,-rpath,/a", "-Clink-arg=-Wl,-b"];
        assert_eq!(applied(&own), own);
        write(&prebuilt.direct_link(), &parts.lines().concat()).unwrap();
        assert_eq!(
            applied(&own)[..6],
            [
                "-C",
                "link-arg=-rpath",
                "-C",
                "link-arg=/a",
                "-C",
                "link-arg=-b"
            ]
        );
        assert!(applied(&[]).contains(&"linker-flavor=ld.lld".to_owned()));
        for wish in ["linker=clang", "-Clink-arg=-fuse-ld=mold"] {
            assert_eq!(applied(&[wish]), [wish]);
        }
        std::fs::remove_file(&parts.objects[1]).unwrap();
        assert_eq!(applied(&own), own);
    }
}
