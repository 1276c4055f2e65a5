"""What cells and tasks print and show: live, in order, and under the cell to which it belongs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from client import Kernel
from conftest import Gate
from request import Cell

Gates = Callable[[], Gate]

HTML = {"text/html": "<b>a</b>"}


def block(mime_type: str, content: str) -> str:
    """The statement that prints a value in the way in which many crates do it for evcxr."""
    return f'println!("EVCXR_BEGIN_CONTENT {mime_type}\\n{content}\\nEVCXR_END_CONTENT");'


@pytest.mark.parametrize(
    "statement",
    [
        'print!("50 %");',
        'std::print!("50 %");',
        'eprint!("50 %");',
        'write!(stdout(), "50 %").unwrap();',
    ],
)
def test_a_partial_line_is_seen_while_the_cell_runs(
    kernel: Kernel, gate: Gates, statement: str
) -> None:
    go_on = gate()
    cell = kernel.start(f"use std::io::{{Write, stdout}};\n{statement} {go_on.wait}")
    kernel.wait_for(lambda: cell.stdout + cell.stderr == "50 %")
    assert not cell.is_done
    go_on.open()
    assert kernel.finish(cell).status == "ok"


def test_a_partial_line_is_seen_while_the_cell_computes(kernel: Kernel) -> None:
    cell = kernel.start(
        'use std::time::{Duration, Instant};\nlet begin = Instant::now(); print!("computing");'
        "while begin.elapsed() < Duration::from_secs(1) { std::hint::spin_loop() }"
    )
    kernel.wait_for(lambda: cell.stdout == "computing")
    assert not cell.is_done
    kernel.finish(cell)


def test_both_streams_are_in_order(kernel: Kernel) -> None:
    cell = kernel.ok(
        'for x in 0..3 { println!("out {x}"); eprintln!("err {x}"); print!("part "); }'
    )
    texts = [text for _, text in cell.outputs]
    assert texts == [
        "out 0\n",
        "err 0\n",
        "part out 1\n",
        "err 1\n",
        "part out 2\n",
        "err 2\n",
        "part ",
    ]


def test_a_task_prints_under_the_cell_that_spawned_it(kernel: Kernel, gate: Gates) -> None:
    between, during, end = gate(), gate(), gate()
    spawner = kernel.ok(
        f"""
        tokio::spawn(async {{
            {between.wait}
            println!("between");
            tokio::spawn(async {{
                {during.wait}
                eprintln!("during");
                display(&Html("<b>a</b>"));
            }});
        }});
        """
    )
    assert spawner.outputs == []
    between.open()
    kernel.wait_for(lambda: spawner.late_outputs == [("stdout", "between\n")])
    later = kernel.start(f'println!("later"); {end.wait}')
    kernel.wait_for(lambda: later.stdout)
    during.open()
    expected = [("stdout", "between\n"), ("stderr", "during\n"), ("display", HTML)]
    kernel.wait_for(lambda: spawner.late_outputs == expected)
    assert not later.is_done
    end.open()
    assert kernel.finish(later).outputs == [("stdout", "later\n")]


def test_tasks_of_two_cells_do_not_mix(kernel: Kernel) -> None:
    code = """
        let NAME = tokio::spawn(async {
            for _ in 0..200 { println!("NAME"); print!("NAME "); tokio::task::yield_now().await; }
        });
    """
    cells = [kernel.start(code.replace("NAME", name)) for name in ("left", "right")]
    for cell in cells:
        kernel.finish(cell)
    kernel.ok("left.await.unwrap(); right.await.unwrap();")
    for cell, name in zip(cells, ("left", "right"), strict=True):
        kernel.wait_for(lambda cell=cell: len(cell.stdout.split()) == 400)
        assert set(cell.stdout.split()) == {name}


def test_all_that_a_cell_prints_comes_before_its_idle(kernel: Kernel) -> None:
    for _ in range(4):
        cell = kernel.ok('for line in 0..2000 { println!("line {line}"); } print!("end");')
        assert cell.lines == [*(f"line {line}" for line in range(2000)), "end"]
        assert cell.late_outputs == []


def test_what_a_task_prints_before_it_is_awaited_comes_before_idle(kernel: Kernel) -> None:
    for _ in range(4):
        cell = kernel.ok(
            'tokio::spawn(async { println!("task") }).await.unwrap(); println!("cell");'
        )
        assert (cell.lines, cell.late_outputs) == (["task", "cell"], [])


def test_a_flood_of_lines_is_sent_in_few_messages(kernel: Kernel) -> None:
    # Front ends drop what comes in more than a thousand messages a second.
    cell = kernel.ok('for line in 0..100_000 { println!("{line}"); }')
    assert cell.lines == [str(line) for line in range(100_000)]
    assert len(cell.published) < 1000


def test_words_of_evcxrs_protocol_are_text_like_any_other(kernel: Kernel) -> None:
    kernel.ok("let before = 7;")
    words = [
        "EVCXR_EXECUTION_COMPLETE",
        "EVCXR_PANIC_NOTIFICATION",
        "EVCXR_ERROR_OCCURRED",
        "EVCXR_VARIABLE_CHANGED_TYPE:before",
        "EVCXR_END_CONTENT",
    ]
    cell = kernel.ok(
        "".join(f'println!("{word}"); eprintln!("{word}");' for word in words) + "before"
    )
    assert cell.lines == cell.stderr.splitlines() == words
    assert cell.text == "7"
    for word in words:
        # Without a newline, just before the words that the kernel's own code prints.
        assert kernel.ok(f'print!("{word}");').stdout == word
        assert kernel.fails(f'print!("{word}"); panic!("as wanted");', "Panic").stdout == word
    spawner = kernel.ok(
        f"""tokio::spawn(async {{ {"".join(f'println!("{word}");' for word in words)} }});"""
    )
    kernel.wait_for(lambda: spawner.lines == words)
    assert kernel.ok("before").outputs == [("result", {"text/plain": "7"})]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_invalid_bytes_are_replaced_and_split_characters_joined(
    kernel: Kernel, stream: str
) -> None:
    cell = kernel.ok(
        f"""
        use std::io::Write;
        let mut stream = std::io::{stream}().lock();
        for part in [&b"a\\xffb "[..], b"\\xc3", b"\\xa9 \\xe2\\x82", b"\\xac ", b"\\xe2\\x82"] {{
            stream.write_all(part).unwrap();
            stream.flush().unwrap();
        }}
        """
    )
    assert getattr(cell, stream) == "a\ufffdb é € \ufffd"
    # Neither stream is silent from now on.
    cell = kernel.ok('println!("out"); eprintln!("err");')
    assert (cell.stdout, cell.stderr) == ("out\n", "err\n")


def test_child_processes_write_in_order_with_the_cell(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        use std::process::Command;
        for x in 0..3 {
            print!("cell {x}, ");
            Command::new("echo").arg(format!("child {x}")).status().unwrap();
            eprintln!("error {x}");
            Command::new("sh").args(["-c", "echo late >&2"]).status().unwrap();
        }
        """
    )
    assert cell.lines == [f"cell {x}, child {x}" for x in range(3)]
    assert cell.stderr.splitlines() == [line for x in range(3) for line in (f"error {x}", "late")]
    assert cell.late_outputs == []


def test_a_child_process_prints_live(kernel: Kernel, gate: Gates) -> None:
    go_on = gate()
    script = f"printf half; until [ -e '{go_on.path}' ]; do sleep 0.01; done; echo whole"
    cell = kernel.start(
        "use tokio::process::Command;\n"
        f'Command::new("sh").args(["-c", {json.dumps(script)}]).status().await.unwrap();'
    )
    kernel.wait_for(lambda: cell.stdout == "half")
    go_on.open()
    assert kernel.finish(cell).lines == ["halfwhole"]


def test_c_code_prints_in_order_with_the_cell(kernel: Kernel) -> None:
    kernel.ok(":dep libc")
    cell = kernel.ok(
        """
        for x in 0..3 {
            print!("rust {x}, ");
            unsafe { libc::printf(c"c %d\\n".as_ptr(), x); libc::fflush(std::ptr::null_mut()); }
        }
        unsafe { libc::write(2, c"direct".as_ptr().cast(), 6); }
        """
    )
    assert cell.lines == [f"rust {x}, c {x}" for x in range(3)]
    assert cell.stderr == "direct"


def test_blocks_become_displays_in_order(kernel: Kernel) -> None:
    cell = kernel.ok(
        'println!("one");'
        + block("text/html", "<b>a</b>")
        + 'println!("two");'
        + block("text/html", "<b>a</b>")
        + block("text/plain", "a")
        + 'print!("three");'
        + block("application/json", '{{\\"a\\": [1]}}')
    )
    assert cell.outputs == [
        ("stdout", "one\n"),
        ("display", HTML),
        ("stdout", "two\n"),
        ("display", HTML | {"text/plain": "a"}),
        ("stdout", "three"),
        ("display", {"application/json": {"a": [1]}}),
    ]


def test_a_value_may_show_itself(kernel: Kernel) -> None:
    kernel.ok(
        """
        #[derive(Debug)] struct Shown;
        impl Shown { fn evcxr_display(&self) { BLOCK } }
        """.replace("BLOCK", block("text/html", "<b>a</b>"))
    )
    assert kernel.ok('println!("one"); Shown').outputs == [("stdout", "one\n"), ("result", HTML)]
    assert kernel.ok("async { Shown }.await").outputs == [("result", HTML)]


@pytest.mark.parametrize(
    "code, expected",
    [
        ("()", None),
        ("7;", None),
        ('Some("a")', {"text/plain": 'Some("a")'}),
        ('Html("<b>a</b>")', HTML),
        ('Markdown("*a*")', {"text/markdown": "*a*"}),
        ('Svg("<svg/>")', {"image/svg+xml": "<svg/>"}),
        ("{ struct Plain; Plain }", {"text/plain": "<Plain>"}),
        ("let x = 3;\nx // said", {"text/plain": "3"}),
    ],
)
def test_the_last_expression_is_the_result(kernel: Kernel, code: str, expected: Any) -> None:
    cell = kernel.ok(code)
    if expected and "<Plain>" in expected.values():
        assert cell.text and "Plain" in cell.text
    else:
        assert cell.result == expected


def ids(cell: Cell, msg_type: str) -> list[str]:
    """The names under which the cell's displays can be replaced."""
    messages = [m for m in cell.published + cell.late if m["header"]["msg_type"] == msg_type]
    return [message["content"]["transient"]["display_id"] for message in messages]


def test_a_display_is_replaced_from_its_own_cell_a_later_one_and_a_task(kernel: Kernel) -> None:
    shower = kernel.ok(
        'let progress = display("0 %"); print!("mid"); progress.update("50 %"); display(&1);'
    )
    assert shower.outputs == [
        ("display", {"text/plain": '"0 %"'}),
        ("stdout", "mid"),
        ("update", {"text/plain": '"50 %"'}),
        ("display", {"text/plain": "1"}),
    ]
    kernel.ok(
        'progress.update(&Html("<b>a</b>")); tokio::spawn(async move { progress.update(&100) });'
    )
    kernel.wait_for(lambda: len(shower.late_outputs) == 2)
    assert shower.late_outputs == [("update", HTML), ("update", {"text/plain": "100"})]
    first, second = ids(shower, "display_data")
    assert first != second
    assert ids(shower, "update_display_data") == [first] * 3


def test_standard_input_is_at_its_end(kernel: Kernel) -> None:
    cell = kernel.ok("let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap()")
    assert cell.text == "0"
