"""Items that are defined anew, where more than the cells of the corpus is needed to see it."""

from __future__ import annotations

from collections.abc import Callable

from client import Kernel
from conftest import Gate


def test_a_type_is_defined_anew_after_the_process_has_died(kernel: Kernel) -> None:
    kernel.ok("#[derive(Debug)] struct Died { a: u8 }\nlet died = Died { a: 1 };")
    cell_processes = kernel.processes()[1:]
    for process in cell_processes:
        process.kill()
    kernel.wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in cell_processes))
    cell = kernel.run("#[derive(Debug)] struct Died { a: u64 }\nlet died = Died { a: 1 << 40 };")
    if cell.status == "error":
        # This cell was told that the process had ended.
        assert cell.ename == "CellProcessDied", cell
        kernel.ok("#[derive(Debug)] struct Died { a: u64 }\nlet died = Died { a: 1 << 40 };")
    assert kernel.ok("died.a").text == str(1 << 40)


def test_a_task_goes_on_with_the_type_that_it_was_compiled_with(
    kernel: Kernel, gate: Callable[[], Gate]
) -> None:
    go_on = gate()
    kernel.ok(
        f"""
        struct Old {{ a: u8, b: String }}
        let (old_tx, mut old_rx) = tokio::sync::mpsc::channel::<String>(1);
        let old = Old {{ a: 7, b: "old".into() }};
        tokio::spawn(async move {{
            {go_on.wait}
            let _ = old_tx.send(format!("{{}} {{}}", old.a, old.b)).await;
        }});
        """
    )
    kernel.ok("struct Old { b: u64, c: [u64; 9] }\nlet old = Old { b: 1, c: [2; 9] };")
    go_on.open()
    assert kernel.ok("old_rx.recv().await").text == 'Some("7 old")'
    assert kernel.ok("(old.b, old.c[8])").text == "(1, 2)"


def test_a_cell_that_does_not_compile_costs_no_variable(kernel: Kernel) -> None:
    kernel.ok("struct Shape { side: u8 }\nlet shape = Shape { side: 3 };")
    kernel.fails("struct Shape { side: u8, other: Missing }", "CompilationError")
    assert kernel.ok("shape.side").text == "3"


def test_a_stop_keeps_what_the_cell_had_bound(kernel: Kernel) -> None:
    cell = kernel.start(
        """
        let (stopped_tx, mut stopped_rx) = tokio::sync::mpsc::channel::<u8>(4);
        stopped_tx.try_send(5).unwrap();
        println!("waiting");
        std::future::pending::<()>().await;
        """
    )
    kernel.wait_for(lambda: cell.lines == ["waiting"])
    kernel.stop()
    kernel.finish(cell)
    assert (cell.status, cell.ename) == ("error", "Interrupted")
    assert "kept: stopped_tx, stopped_rx" in cell.traceback
    assert kernel.ok("(stopped_rx.try_recv(), stopped_tx.is_closed())").text == "(Ok(5), false)"
