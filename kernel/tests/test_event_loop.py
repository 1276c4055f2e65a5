"""Event loops that a notebook holds in variables."""

from __future__ import annotations

from client import Kernel
from request import Cell


def numbers(cell: Cell) -> list[int]:
    """The numbers at the ends of the printed lines."""
    return [int(line.split()[-1]) for line in cell.lines]


def test_a_loop_does_not_run_its_tasks_before_it_is_run(kernel: Kernel) -> None:
    spawner = kernel.ok(
        """
        let quiet = EventLoop::new();
        let quiet_task = quiet.spawn(async { println!("ran"); 7 });
        """
    )
    # Time for a task of the kernel's own loop, which is enough to see that this one does not run.
    kernel.ok(
        "tokio::spawn(tokio::time::sleep(std::time::Duration::from_millis(50))).await.unwrap();"
    )
    assert spawner.stdout == ""
    assert kernel.ok("quiet.run_until_complete(quiet_task).unwrap()").text == "7"
    kernel.wait_for(lambda: spawner.lines == ["ran"])


def test_futures_need_not_be_send(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        use std::{cell::RefCell, rc::Rc};
        let local = EventLoop::new();
        let shared = Rc::new(RefCell::new(Vec::new()));
        for name in ["a", "b"] {
            let shared = Rc::clone(&shared);
            local.spawn(async move {
                for round in 0..2 {
                    tokio::task::yield_now().await;
                    shared.borrow_mut().push((name, round));
                }
            });
        }
        let waiting = Rc::clone(&shared);
        local.run_until_complete(async move {
            while waiting.borrow().len() < 4 { tokio::task::yield_now().await; }
        });
        let mut sorted = shared.borrow().clone();
        sorted.sort();
        sorted
        """
    )
    assert cell.text == '[("a", 0), ("a", 1), ("b", 0), ("b", 1)]'


def test_a_stopped_loop_resumes_without_a_lost_or_a_doubled_tick(kernel: Kernel) -> None:
    spawner = kernel.ok(
        """
        let ticking = EventLoop::new();
        let (tick_sender, mut tick_receiver) = tokio::sync::mpsc::unbounded_channel::<u32>();
        ticking.spawn(async move {
            for tick in 1.. {
                tick_sender.send(tick).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            }
        });
        ticking.spawn(async move {
            while let Some(tick) = tick_receiver.recv().await { println!("received {tick}"); }
        });
        """
    )
    for _ in range(4):
        enough = len(spawner.lines) + 5
        running = kernel.start('if ticking.run_forever().is_err() { println!("bye"); }')
        kernel.wait_for(lambda enough=enough: len(spawner.lines) >= enough)
        assert not running.is_done
        kernel.stop()
        kernel.finish(running)
        assert (running.status, running.lines) == ("ok", ["bye"])
    kernel.ok("1")
    at_rest = len(spawner.lines)
    assert numbers(spawner) == list(range(1, at_rest + 1))
    kernel.ok("tokio::time::sleep(std::time::Duration::from_millis(30)).await;")
    assert len(spawner.lines) == at_rest, "a loop that is not run is silent"


def test_run_forever_returns_the_stop_as_a_value(kernel: Kernel) -> None:
    kernel.ok("let forever = EventLoop::new();")
    for loop in ("forever", "EventLoop::current()"):
        running = kernel.start(f'println!("on"); {loop}.run_forever()')
        kernel.wait_for(lambda running=running: running.stdout)
        kernel.stop()
        kernel.finish(running)
        assert (running.status, running.text) == ("ok", "Err(Interrupted)")


def test_a_stop_that_is_passed_on_is_an_interrupted_cell(kernel: Kernel) -> None:
    kernel.ok("let passing = EventLoop::new();")
    running = kernel.start('println!("on"); passing.run_forever()?; println!("behind");')
    kernel.wait_for(lambda running=running: running.stdout)
    kernel.stop()
    kernel.finish(running)
    assert (running.status, running.ename, running.lines) == ("error", "Interrupted", ["on"])


def test_a_stop_of_run_until_complete_is_an_interrupted_cell(kernel: Kernel) -> None:
    kernel.ok("let endless = EventLoop::new(); let spared = endless.spawn(async { 5 });")
    for loop in ("endless", "EventLoop::current()"):
        code = f'println!("on"); {loop}.run_until_complete(std::future::pending::<()>())'
        running = kernel.start(code)
        kernel.wait_for(lambda running=running: running.stdout)
        kernel.stop()
        kernel.finish(running)
        assert (running.status, running.ename) == ("error", "Interrupted")
    assert kernel.ok("endless.run_until_complete(spared).unwrap()").text == "5"


def test_a_task_ends_run_forever(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        let ending = EventLoop::new();
        let inside = ending.clone();
        ending.spawn(async move { tokio::task::yield_now().await; inside.stop(); });
        ending.run_forever()
        """
    )
    assert cell.text == "Ok(())"
    assert kernel.ok("ending.run_until_complete(async { 6 })").text == "6"
    kernel.ok("tokio::spawn(async { EventLoop::current().stop() });")
    assert kernel.ok("EventLoop::current().run_forever()").text == "Ok(())"


def test_run_until_complete_returns_what_the_future_does(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        let returning = EventLoop::new();
        let borrowed = String::from("borrowed");
        let lengths = returning.run_until_complete(async { (borrowed.len(), async { 2 }.await) });
        let current_loop = EventLoop::current();
        (lengths, current_loop.run_until_complete(async { tokio::join!(async { 3 }, async { 4 }) }))
        """
    )
    assert cell.text == "((8, 2), (3, 4))"


def test_tasks_of_the_current_loop_run_by_themselves(kernel: Kernel) -> None:
    spawner = kernel.ok('let current = EventLoop::current().spawn(async { println!("ran"); 8 });')
    kernel.wait_for(lambda: spawner.lines == ["ran"])
    assert kernel.ok("current.await.unwrap()").text == "8"


def test_a_loop_takes_tasks_while_it_runs(kernel: Kernel) -> None:
    cell = kernel.ok(
        """
        let growing = EventLoop::new();
        let grower = growing.clone();
        let grown = growing.spawn(async move { grower.spawn(async { 9 }).await.unwrap() });
        growing.run_until_complete(grown).unwrap()
        """
    )
    assert cell.text == "9"
