//! The part of a cell's source that evcxr generates into every cell: the store of its variables. The
//! runtime has one, too, that is compiled already, and a fifth of a small cell's compilation goes with
//! the other. Pinned to what evcxr 0.22.0 generates (its `wrap_user_code`). Pure.

/// How the module begins, how it ends, and what calls for a part of it that the runtime has not.
const MODULE: &str = "\nmod evcxr_internal_runtime {\n";
const END: &str = "\n}\n}\n";
const ONLY_THERE: &str = "evcxr_variable_store.lazy_arc(";

/// What stands for it.
const IMPORT: &str = "use morceaux::__evcxr as evcxr_internal_runtime;";

/// The source of a cell with the runtime's module in place of the generated one. Everything else stays
/// where it is, in lines and in bytes. None where it has none, or one that is not known.
pub fn with_compiled_store(source: &str) -> Option<String> {
    let start = source.rfind(MODULE)? + 1;
    let end = start + source[start..].find(END)? + END.len();
    if source[end..].contains(ONLY_THERE) {
        return None;
    }
    let mut import = Some(IMPORT);
    let lines: Vec<String> = source[start..end]
        .split('\n')
        .map(|line| {
            let import = import.take_if(|import| import.len() <= line.len());
            format!("{:1$}", import.unwrap_or_default(), line.len())
        })
        .collect();
    let replaced = lines.join("\n");
    import
        .is_none()
        .then(|| [&source[..start], &replaced, &source[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "use morceaux::println;\nmod evcxr_internal_runtime {\n\
                          // Some line that has room enough for what is to stand there.\n\
                          fn f() {\n    g()\n}\n}\n";
    const AFTER: &str = "#[unsafe(no_mangle)]\nfn cell() {}\n";

    #[test]
    fn the_store_is_replaced_and_nothing_moves() {
        let source = [BEFORE, AFTER].concat();
        let replaced = with_compiled_store(&source).unwrap();
        assert!(replaced.starts_with("use morceaux::println;\n"));
        assert!(replaced.contains(IMPORT) && !replaced.contains("fn f()"));
        assert_eq!(replaced.find(AFTER), source.find(AFTER));
        assert_eq!(replaced.lines().count(), source.lines().count());
    }

    #[test]
    fn what_is_not_known_is_left_alone() {
        assert_eq!(with_compiled_store(AFTER), None);
        let asynchronous = [BEFORE, "fn cell() { evcxr_variable_store.lazy_arc() }"].concat();
        assert_eq!(with_compiled_store(&asynchronous), None);
        assert_eq!(
            with_compiled_store("\nmod evcxr_internal_runtime {\n}\n}\n"),
            None
        );
    }
}
