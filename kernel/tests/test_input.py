"""What cells ask their user: by `morceaux::input`, by reading standard input, and by evcxr's way."""

from __future__ import annotations

from typing import Any

import pytest

from client import Kernel
from request import Cell


def start(kernel: Kernel, code: str) -> Cell:
    """Sends a cell as a front end does that has a user."""
    return kernel.start(code, allow_stdin=True)


def asked(kernel: Kernel, cell: Cell, index: int = 0) -> tuple[dict[str, Any], str, bool]:
    """A question of a cell, and what it shows."""
    question = kernel.question(cell, index)
    return question, question["content"]["prompt"], question["content"]["password"]


def test_the_answer_is_a_line(kernel: Kernel) -> None:
    cell = start(kernel, 'println!("hello {}", morceaux::input("name? ").await);')
    question, prompt, password = asked(kernel, cell)
    assert (prompt, password) == ("name? ", False)
    assert not cell.is_done
    kernel.answer(question, "Zoë")
    assert kernel.finish(cell).lines == ["hello Zoë"]


def test_a_password_is_not_to_be_seen(kernel: Kernel) -> None:
    cell = start(kernel, 'let secret = morceaux::password(format!("key {}: ", 1)).await;')
    question, prompt, password = asked(kernel, cell)
    assert (prompt, password) == ("key 1: ", True)
    kernel.answer(question, "s3cret")
    kernel.finish(cell)
    # It is a variable like any other.
    assert kernel.ok("secret.len()").text == "6"


def test_what_was_printed_stands_before_the_prompt_and_tasks_go_on(kernel: Kernel) -> None:
    cell = start(
        kernel,
        """
        let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel::<u8>();
        tokio::spawn(async move { asked.recv().await; println!("in the background"); });
        print!("before ");
        let line = tokio::spawn(async move { ask.send(1).unwrap(); morceaux::input("?").await });
        println!("{}", line.await.unwrap());
        """,
    )
    question, *_ = asked(kernel, cell)
    kernel.wait_for(lambda: cell.lines == ["before in the background"])
    kernel.answer(question, "after")
    assert kernel.finish(cell).lines == ["before in the background", "after"]


def test_questions_come_one_after_the_other(kernel: Kernel) -> None:
    cell = start(
        kernel, 'let (a, b) = tokio::join!(morceaux::input("1"), morceaux::input("2")); (a, b)'
    )
    first, prompt, _ = asked(kernel, cell)
    assert prompt == "1"
    # Some clients do not say what they answer.
    kernel.answer(first, "one", named=False)
    second, prompt, _ = asked(kernel, cell, 1)
    assert prompt == "2"
    kernel.answer(first, "too late")
    kernel.answer(second, "two")
    assert kernel.finish(cell).text == '("one", "two")'


def test_the_stop_button_ends_the_waiting(kernel: Kernel) -> None:
    kernel.ok("let before = 7;")
    cell = start(kernel, 'morceaux::input("?").await')
    question, *_ = asked(kernel, cell)
    kernel.stop()
    kernel.finish(cell)
    assert cell.ename == "Interrupted"
    # What is typed then is nobody's, and the next question gets its own answer.
    kernel.answer(question, "late")
    cell = start(kernel, 'format!("{} {before}", morceaux::input("again?").await)')
    question, prompt, _ = asked(kernel, cell)
    assert prompt == "again?"
    kernel.answer(question, "now")
    assert kernel.finish(cell).text == '"now 7"'


def test_without_a_user_there_is_an_error_that_says_so(kernel: Kernel) -> None:
    cell = kernel.fails('let name = morceaux::input("name? ").await;', "InputError")
    assert "JupyterLab" in cell.evalue
    cell = kernel.ok('morceaux::try_input("name? ").await.is_err()')
    assert cell.text == "true"


def test_a_task_that_asks_while_nothing_runs_is_told_so(kernel: Kernel) -> None:
    kernel.ok(
        """
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let asking = tokio::spawn(async { gone.await.unwrap(); morceaux::try_input("?").await });
        let (told, answer) = tokio::sync::oneshot::channel();
        tokio::spawn(async { told.send(asking.await.unwrap()).unwrap(); });
        """
    )
    spawner = kernel.ok("tokio::spawn(async { go.send(()).unwrap(); println!(\"sent\"); });")
    kernel.wait_for(lambda: spawner.lines == ["sent"])
    answer = kernel.ok("format!(\"{:?}\", answer.await.unwrap())").text
    # Whether the next cell runs already when the question comes is not for the task to say.
    assert answer in ('"Err(NoCell)"', '"Err(NobodyThere)"')


def test_standard_input_is_the_user(kernel: Kernel) -> None:
    cell = start(
        kernel,
        """
        use std::io::BufRead;
        let lines: Vec<String> = std::io::stdin().lock().lines().take(2).map(Result::unwrap).collect();
        lines
        """,
    )
    for index, line in enumerate(["first", "EVCXR_EXECUTION_COMPLETE"]):
        question, prompt, _ = asked(kernel, cell, index)
        assert prompt == ""
        kernel.answer(question, line)
    assert kernel.finish(cell).text == '["first", "EVCXR_EXECUTION_COMPLETE"]'


def test_a_stopped_read_of_standard_input_is_an_error(kernel: Kernel) -> None:
    cell = start(
        kernel,
        'let read = std::io::stdin().read_line(&mut String::new()); println!("{read:?}");',
    )
    asked(kernel, cell)
    kernel.stop()
    kernel.finish(cell)
    # The cell ends where it can: at the next `println!`.
    assert (cell.ename, cell.lines) == ("Interrupted", [])


@pytest.mark.timeout(240)
def test_evcxrs_own_way_to_ask_works(kernel: Kernel) -> None:
    cell = start(
        kernel,
        ':dep evcxr_input\nlet name = evcxr_input::get_string("name?"); println!("{name}!");',
    )
    question, prompt, password = asked(kernel, cell)
    assert (prompt, password) == ("name?", False)
    kernel.answer(question, "Ada")
    assert kernel.finish(cell).lines == ["Ada!"]
    cell = start(kernel, 'evcxr_input::get_password("key?")')
    question, prompt, password = asked(kernel, cell)
    assert (prompt, password) == ("key?", True)
    kernel.answer(question, "s3cret")
    assert kernel.finish(cell).text == '"s3cret"'
    assert kernel.ok('evcxr_input::get_string("name?")').text == '""'


def test_the_words_of_evcxrs_way_are_text_like_any_other(kernel: Kernel) -> None:
    cell = kernel.ok('println!("EVCXR_INPUT_REQUEST:name"); println!("b");')
    assert cell.lines == ["EVCXR_INPUT_REQUEST:name", "b"]
    cell = kernel.ok('println!("EVCXR_INPUT_REQUEST:last");')
    assert (cell.lines, cell.late_outputs) == (["EVCXR_INPUT_REQUEST:last"], [])
    cell = kernel.ok('std::thread::spawn(|| println!("EVCXR_INPUT_REQUEST:x")).join().unwrap();')
    assert cell.lines == ["EVCXR_INPUT_REQUEST:x"]
