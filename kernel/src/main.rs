//! `morceaux-kernel`: a Jupyter kernel for Rust async cells.
//!
//! One program in five modes, told apart before anything else: the cell process (evcxr starts the
//! program again for it), the rustc wrapper (cargo does), the linker (rustc does), and, by its
//! arguments, the kernel and the user's commands.

mod ask;
#[path = "../runtime/src/blocks.rs"]
mod blocks;
mod bracket;
mod cache_folder;
mod cargo;
mod carried;
mod cell_build;
mod cell_call;
mod cell_crates;
mod cell_process;
mod cell_source;
mod checkpoints;
mod child;
mod commands;
mod compilers;
mod complete;
mod content;
mod control;
mod conversion;
mod counting;
mod declarations;
mod declare;
mod dependency_cache;
mod dependency_dylib;
mod diagnostics;
mod direct_link;
mod display_calls;
mod error;
mod evaluator;
mod files;
mod generated;
mod hand_over;
mod heartbeat;
mod hints;
mod history;
mod identity;
mod inference;
mod install;
mod iopub;
mod is_complete;
mod items;
mod keep;
mod kernel_info;
mod line_tables;
mod linker;
mod local_statics;
mod lost_tasks;
mod macros;
mod moves;
mod old_runtimes;
mod options;
mod outbox;
mod output;
mod pace;
mod parent;
mod plain;
mod prebuilt;
mod prepare;
mod process_tree;
mod programs;
#[cfg(test)]
mod properties;
mod receive;
mod relay;
mod remedy;
mod rewrite;
mod run;
mod running;
mod runtime_wrapper;
mod rustc_wrapper;
mod scan;
mod seal;
mod server;
mod session;
mod session_dir;
mod shell;
mod source_map;
mod statics;
mod std_source;
mod stdin;
mod stored;
mod surroundings;
#[path = "../runtime/src/task_words.rs"]
mod task_words;
mod type_name;
mod unnamed;
mod unused;
mod value;
mod waits;
mod warnings;
#[path = "../runtime/src/wire.rs"]
mod wire;
mod words;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::programs::Programs;

/// A Jupyter kernel for Rust async cells.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copies this program and its kernelspec to where Jupyter finds them, and builds the runtime.
    Install(install::Target),
    /// Removes what `install` has put there.
    Uninstall(install::Target),
    /// Builds the runtime for the Rust toolchain of the current folder, if that is not done yet.
    Prepare,
    /// Runs the kernel. Jupyter does this.
    Run {
        /// The file in which Jupyter describes the sockets.
        connection_file: PathBuf,
        #[command(flatten)]
        options: options::Options,
    },
}

fn main() -> ExitCode {
    if cell_process::is_wanted() {
        return cell_process::run();
    }
    if let Some(programs) = Programs::started_as_cargo() {
        return cargo::run(&programs);
    }
    if let Some(programs) = Programs::started_as_rustup() {
        return programs.answer_as_rustup();
    }
    if let Some(prebuilt) = rustc_wrapper::is_wanted() {
        return rustc_wrapper::run(&prebuilt);
    }
    if runtime_wrapper::is_wanted() {
        return runtime_wrapper::run();
    }
    if linker::is_wanted() {
        return linker::run();
    }
    let result = match Cli::parse().command {
        Command::Install(target) => install::install(&target),
        Command::Uninstall(target) => install::uninstall(&target),
        Command::Prepare => prepare::prepare().map(|_| ()),
        Command::Run {
            connection_file,
            options,
        } => server::run(&connection_file, &options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("morceaux-kernel: {error:#}");
            ExitCode::FAILURE
        }
    }
}
