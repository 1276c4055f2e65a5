"""Variables: which types they may have, and what becomes of them from cell to cell."""

from __future__ import annotations

import pytest

from client import Kernel


@pytest.mark.parametrize(
    "code, type_name",
    [
        ("let named = (1.5, 'c', \"text\");", "(f64, char, &'static str)"),
        ("let named: u8 = 7;", "u8"),
        ("let mut named = std::collections::HashMap::from([(1, vec![true])]);", "HashMap<i32, Vec<bool>>"),
        ("struct Plain; let named = [Plain, Plain];", "[Plain; 2]"),
        ("struct Of<T: Clone, U>(T, U); let named = Of(1, Some(\"a\"));", "Of<i32, Option<&'static str>>"),
        ("mod inner { pub struct Deep; } let named = vec![inner::Deep];", "Vec<inner::Deep>"),
        ("let named = |text: &str| text.len();", "Fn(&'a str) -> usize"),
        ("let named = tokio::spawn(async { loop { tokio::task::yield_now().await } });", "JoinHandle<morceaux::Never>"),
        ("let Some(named) = Some(3_u64) else { panic!() };", "u64"),
        ("let NAMED = 4; let named = NAMED;", "i32"),
        ("let named @ (left, _) = (1, 2);", "(i32, i32)"),
    ],
)  # fmt: skip
def test_a_variable_has_the_type_that_the_compiler_gives_it(
    kernel: Kernel, code: str, type_name: str
) -> None:
    kernel.ok(code)
    assert type_name in kernel.ok(":vars").text
    # So it is really there.
    kernel.ok("drop(named);")


def test_a_variable_that_is_bound_anew_may_be_made_of_the_old_one(kernel: Kernel) -> None:
    kernel.ok("let anew = vec![1, 2];")
    kernel.ok("let anew = anew.into_iter().map(|x: i32| x.to_string()).collect::<Vec<_>>();")
    kernel.ok("let anew = anew.join(\"-\"); let anew = anew + \"!\";")
    assert kernel.ok("anew").text == '"1-2!"'


def test_what_a_variable_held_is_dropped_under_the_cell_that_binds_it_anew(kernel: Kernel) -> None:
    kernel.ok('struct Loud; impl Drop for Loud { fn drop(&mut self) { println!("gone"); } }')
    kernel.ok("let held = Loud;")
    assert kernel.ok("let held = 1;").outputs == [("stdout", "gone\n")]


def test_a_destructor_that_panics_costs_no_variable(kernel: Kernel) -> None:
    kernel.ok('struct Bad; impl Drop for Bad { fn drop(&mut self) { panic!("no"); } }')
    kernel.ok("let beside = 5; let bad = Bad;")
    cell = kernel.ok("let bad = 6;")
    assert "no" in cell.stderr
    assert kernel.ok("beside + bad").text == "11"


def test_what_was_moved_away_is_gone_and_the_rest_is_there(kernel: Kernel) -> None:
    kernel.ok("let moved = String::from(\"a\"); let stays = moved.len(); drop(moved);")
    assert kernel.ok("stays").text == "1"
    assert "moved" not in kernel.ok(":vars").text


def test_a_cell_that_ends_early_keeps_variables_of_every_kind(kernel: Kernel) -> None:
    kernel.ok("mod early { #[derive(Clone)] pub struct Deep(pub u8); }")
    kernel.fails(
        'let plain = 1; let said: u16 = 2; let deep = early::Deep(3); "x".parse::<u8>()?;',
        "ParseIntError",
    )
    assert kernel.ok("(plain, said, deep.0)").text == "(1, 2, 3)"


def test_a_name_that_is_not_there_is_compared_with_all_variables(kernel: Kernel) -> None:
    kernel.ok("let counter_of_pages = 1;")
    cell = kernel.fails("counter_of_page + 1", "CompilationError")
    assert "counter_of_pages" in cell.traceback


def test_a_name_that_a_macro_makes_of_parts_is_found(kernel: Kernel) -> None:
    kernel.ok(':dep paste = "1"\nlet part_one = 8;')
    assert kernel.ok("paste::paste! { [<part _one>] }").text == "8"


def test_a_type_that_is_not_there_after_all_costs_no_variable(kernel: Kernel) -> None:
    kernel.ok("#[cfg_attr(all(), cfg(any()))] struct Gone; struct There;")
    kernel.ok("let beside_gone = 1; let there = There;")
    assert kernel.ok("drop(there); beside_gone").text == "1"


def test_a_type_that_is_defined_anew_costs_the_variables_that_nobody_names(kernel: Kernel) -> None:
    kernel.ok("struct Anew(u8); let old_kind = Anew(1);")
    cell = kernel.ok("struct Anew(u16);")
    assert "`old_kind` is lost" in cell.stderr
    assert "old_kind" not in kernel.ok(":vars").text


def test_variables_that_no_later_cell_has_named_are_lost_with_the_process(kernel: Kernel) -> None:
    kernel.ok("let never_named = 1;")
    kernel.ok("let named_neither = 2;")
    died = kernel.fails("std::process::abort();", "CellProcessDied")
    assert "never_named" in died.evalue
    assert "named_neither" in died.evalue
    kernel.fails("never_named", "CompilationError")
    kernel.ok("let after = 3;")
    assert kernel.ok(":vars").text == "after: i32\n"


def test_what_the_cell_before_has_bound_is_completed(kernel: Kernel) -> None:
    kernel.ok("let freshly_bound = 1;")
    reply = kernel.ask("complete_request", code="freshly_", cursor_pos=8).reply
    assert "freshly_bound" in reply["matches"]


def test_a_variable_that_is_bound_anew_is_not_taken_for_the_old_one(kernel: Kernel) -> None:
    kernel.ok(':dep paste = "1"\nlet (part_two, other_kind) = (8, String::from("text"));')
    kernel.ok(":vars")
    kernel.ok("let other_kind = 7_u8;")
    assert kernel.ok("paste::paste! { [<part _two>] }").text == "8"
    assert kernel.ok("other_kind").text == "7"
