"""The one runtime: tasks and queues outlive the cells that made them, and later dependencies."""

from __future__ import annotations

import pytest

from client import Kernel


def test_tasks_from_three_cells_all_go_on(kernel: Kernel) -> None:
    kernel.ok(
        """
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
        type Sender = tokio::sync::mpsc::UnboundedSender<&'static str>;
        async fn speak(sender: Sender, name: &'static str) {
            while sender.send(name).is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        """
    )
    for name in ("one", "two", "three"):
        kernel.ok(f'let {name} = tokio::spawn(speak(sender.clone(), "{name}"));')
    # Each of them is heard again in a later cell, and in the one behind that.
    for _ in range(2):
        cell = kernel.ok(
            """
            let mut heard = std::collections::BTreeSet::new();
            while receiver.try_recv().is_ok() {}
            while heard.len() < 3 { heard.insert(receiver.recv().await.unwrap()); }
            heard
            """
        )
        assert cell.text == '{"one", "three", "two"}'
    assert kernel.ok("one.is_finished() || two.is_finished()").text == "false"


class Ticks:
    """A queue that a task fills with the numbers from 1 on, for as long as the kernel lives."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.last = 0
        kernel.ok(
            """
            let (ticker, mut ticks) = tokio::sync::mpsc::unbounded_channel::<u64>();
            let kept = String::from("kept");
            let ticking = tokio::spawn(async move {
                for tick in 1.. {
                    if ticker.send(tick).is_err() { break; }
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            });
            """
        )

    def check(self) -> None:
        """New ticks have come, none is missing, and the variables are there."""
        cell = self.kernel.ok(
            """
            println!("{}", ticks.recv().await.unwrap());
            while let Ok(tick) = ticks.try_recv() { println!("{tick}"); }
            println!("{}", ticks.recv().await.unwrap());
            format!("{kept} {}", ticking.is_finished())
            """
        )
        first, last = self.last + 1, int(cell.lines[-1])
        assert [int(line) for line in cell.lines] == list(range(first, last + 1))
        assert cell.text == '"kept false"'
        self.last = last


@pytest.fixture(scope="module")
def ticks(kernel_of_module: Kernel) -> Ticks:
    """One queue for the tests below: none of them may disturb it."""
    return Ticks(kernel_of_module)


def test_a_queue_is_filled_while_no_cell_runs(kernel: Kernel, ticks: Ticks) -> None:
    ticks.check()
    # A thousand ticks come between two cells: the task says so when it is time for the second.
    waiter = kernel.ok(
        """
        let (idle_ticker, mut idle_ticks) = tokio::sync::mpsc::unbounded_channel::<u64>();
        tokio::spawn(async move {
            for tick in 1..=1000 {
                tokio::task::yield_now().await;
                idle_ticker.send(tick).unwrap();
            }
            println!("filled");
        });
        """
    )
    kernel.wait_for(lambda: waiter.lines == ["filled"])
    assert kernel.ok("idle_ticks.len()").text == "1000"
    ticks.check()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "dependency, code, text",
    [
        ('async-trait = "0.1"', 'std::any::type_name::<Echo>().ends_with("Echo")', "true"),
        ('serde = { version = "1", features = ["derive"] }', "std::mem::size_of::<Named>()", "24"),
        (
            'tokio-util = { version = "0.7", features = ["rt"] }',
            "{ let token = tokio_util::sync::CancellationToken::new(); let child = token.clone(); "
            "tokio::spawn(async move { child.cancel() }); token.cancelled().await; 1 }",
            "1",
        ),
        (
            'hyper = { version = "1", features = ["full"] }',
            'hyper::Request::get("/").body(()).unwrap().method().to_string()',
            '"GET"',
        ),
        (
            'tokio = { version = "1", features = ["full"] }',
            "tokio::task::yield_now().await; 2",
            "2",
        ),
    ],
    ids=["async-trait", "serde", "tokio-util", "hyper", "tokio"],
)
def test_a_dependency_in_the_middle_disturbs_nothing(
    kernel: Kernel, ticks: Ticks, dependency: str, code: str, text: str
) -> None:
    items = {
        "async-trait": """
            #[async_trait::async_trait] trait Speak { async fn speak(&self) -> String; }
            struct Echo;
            #[async_trait::async_trait] impl Speak for Echo {
                async fn speak(&self) -> String { tokio::task::yield_now().await; "echo".into() }
            }""",
        "serde": "#[derive(serde::Serialize)] struct Named { name: String }",
    }
    kernel.ok(f":dep {dependency}\n{items.get(dependency.split(' ')[0], '')}", timeout=280)
    assert kernel.ok(code).text == text
    ticks.check()


@pytest.mark.timeout(300)
def test_a_crate_on_top_of_tokio_takes_the_kernels_own_types(kernel: Kernel, ticks: Ticks) -> None:
    kernel.ok("let (to_stream, from_channel) = tokio::sync::mpsc::channel::<u32>(8);")
    kernel.ok(":dep tokio-stream", timeout=280)
    kernel.ok(
        """
        use tokio_stream::StreamExt;
        let mut stream = tokio_stream::wrappers::ReceiverStream::new(from_channel);
        tokio::spawn(async move { for x in 1..=3 { to_stream.send(x).await.unwrap(); } });
        """
    )
    assert kernel.ok("(stream.next().await, stream.next().await)").text == "(Some(1), Some(2))"
    assert kernel.ok("(&mut stream).fold(0, |sum, x| sum + x).await").text == "3"
    ticks.check()


def test_another_version_of_tokio_is_refused_and_changes_nothing(
    kernel: Kernel, ticks: Ticks
) -> None:
    cell = kernel.run(':dep tokio = "=1.40.0"\ntokio::spawn(async {});')
    assert cell.status == "error", cell
    assert "tokio" in cell.evalue + cell.traceback, cell
    assert "1.40.0" in cell.evalue + cell.traceback, cell
    ticks.check()
    assert kernel.ok("tokio::spawn(async { 3 }).await.unwrap()").text == "3"


def test_a_dependency_that_does_not_exist_is_refused_and_changes_nothing(
    kernel: Kernel, ticks: Ticks
) -> None:
    cell = kernel.run(":dep morceaux-no-such-crate")
    assert cell.status == "error", cell
    assert "morceaux-no-such-crate" in cell.evalue + cell.traceback, cell
    ticks.check()
