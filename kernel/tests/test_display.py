"""Values that are shown: by which representation, where, and in the place of which others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from client import Kernel
from test_output import HTML, block, ids

# A PNG picture of one pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    "value, expected",
    [
        ('Latex("$x^2$")', {"text/latex": "$x^2$"}),
        ('morceaux::Plain("as it is")', {"text/plain": "as it is"}),
        (r'morceaux::Json(r#"{"a": [1, null]}"#)', {"application/json": {"a": [1, None]}}),
        ("Png([137, 80, 78, 71])", {"image/png": "iVBORw=="}),
        ("Jpeg(vec![255, 216])", {"image/jpeg": "/9g="}),
        ("morceaux::Gif(*b\"GIF89a\")", {"image/gif": "R0lGODlh"}),
        (
            'MimeBundle::new().with("text/plain", 1).with("text/html", "<b>a</b>")',
            HTML | {"text/plain": "1"},
        ),
        ("MimeBundle::new()", None),
        ("()", None),
    ],
)
def test_a_value_is_shown_as_its_type_says(kernel: Kernel, value: str, expected: Any) -> None:
    assert kernel.ok(value).result == expected
    shown = kernel.ok(f"display(&{value});").displays
    assert shown == ([] if expected is None else [expected])


def test_a_type_may_have_a_way_of_its_own(kernel: Kernel) -> None:
    kernel.ok(
        """
        #[derive(Debug)] struct Own(u8);
        impl Show for Own {
            fn show(&self) -> MimeBundle { MimeBundle::new().with("text/html", "<b>a</b>") }
        }
        struct Hidden;
        impl Show for Hidden { fn show(&self) -> MimeBundle { Own(0).show() } }
        """
    )
    for value in ("Own(1)", "Hidden", "&Own(1)", "(Box::new(Hidden) as Box<dyn Show>)"):
        assert kernel.ok(value).result == HTML
        assert kernel.ok(f"display(&{value});").displays == [HTML]
    # Inside of something else, Debug is what there is.
    assert kernel.ok("vec![Own(1)]").text == "[Own(1)]"


def test_evcxrs_way_comes_first_wherever_a_value_is_shown(kernel: Kernel) -> None:
    kernel.ok(
        """
        #[derive(Debug)] struct Shown;
        impl Shown { fn evcxr_display(&self) { println!("said"); BLOCK } }
        fn show_it() { display(&Shown); }
        """.replace("BLOCK", block("text/html", "<b>a</b>"))
    )
    said, shown = ("stdout", "said\n"), ("display", HTML)
    assert kernel.ok("display(&Shown);").outputs == [said, shown]
    assert kernel.ok("show_it();").outputs == [said, shown]
    assert kernel.ok("Shown").outputs == [said, ("result", HTML)]
    cell = kernel.ok("tokio::spawn(async { display(&Shown); }).await.unwrap();")
    assert cell.outputs == [said, shown]


def test_an_update_is_shown_as_its_type_says(kernel: Kernel) -> None:
    kernel.ok(
        """
        #[derive(Debug)] struct Bar(usize);
        impl Show for Bar {
            fn show(&self) -> MimeBundle { Html("#".repeat(self.0)).show() }
        }
        """
    )
    cell = kernel.ok("let bar = display(&Bar(1));")
    kernel.ok("bar.update(&Bar(3));")
    # The definition that counts is the last one, with another layout.
    kernel.ok(
        """
        #[derive(Debug)] struct Bar { text: String }
        impl Show for Bar { fn show(&self) -> MimeBundle { Html(&self.text).show() } }
        """
    )
    kernel.ok('bar.update(&Bar { text: "new".to_owned() });')
    kernel.ok('display(&Bar { text: "a".to_owned() }); bar.update(&Bar { text: "b".to_owned() });')
    updates = [data for _, data in cell.late_outputs]
    # A type that has been defined anew is shown by its own way once it has been displayed.
    assert updates == [
        {"text/html": "###"},
        {"text/plain": 'Bar { text: "new" }'},
        {"text/html": "b"},
    ]


def test_what_cannot_be_shown_by_a_function_can_be_wrapped(kernel: Kernel) -> None:
    kernel.ok(
        'struct Opaque; impl Show for Opaque { fn show(&self) -> MimeBundle { Html("<b>a</b>").show() } }'
    )
    cell = kernel.ok("let handle = display(&1);")
    failed = kernel.fails("handle.update(&Opaque);", "CompilationError")
    assert "shown!" in failed.traceback
    kernel.ok("handle.update(&morceaux::shown!(Opaque));")
    assert cell.late_outputs == [("update", HTML)]


def test_what_the_user_calls_display_stays_the_users(fresh_kernel: Kernel) -> None:
    kernel = fresh_kernel
    kernel.ok('fn display(x: u8) -> String { format!("own {x}") }')
    assert kernel.ok("display(1)").text == '"own 1"'
    assert kernel.ok("morceaux::display(&1);").displays == [{"text/plain": "1"}]


def test_many_updates_are_few_messages_and_the_last_one_is_shown(kernel: Kernel) -> None:
    cell = kernel.ok(
        "let counter = display(&0); for x in 1..=100_000 { counter.update(&x); }", timeout=60
    )
    updates = [data["text/plain"] for kind, data in cell.outputs if kind == "update"]
    assert updates[-1] == "100000"
    assert len(updates) < 1000
    assert updates == sorted(updates, key=int)


def test_large_values_are_shortened_with_their_size(kernel: Kernel) -> None:
    text = kernel.ok("vec![1u8; 1_000_000]").text or ""
    assert text.startswith("[1, 1, 1, ") and len(text) < 11_000
    assert text.endswith("… (shortened: 1,000,000 elements, 3,000,000 characters in all)")
    text = kernel.ok("(0..5000).map(|x| (x, x)).collect::<std::collections::HashMap<_, _>>()").text or ""
    assert "5,000 elements" in text
    text = kernel.ok('Some("x".repeat(20_000))').text or ""
    assert text.endswith("… (shortened: 20,008 characters in all)")
    kernel.ok("morceaux::set_value_limit(0);")
    assert len(kernel.ok("vec![1u8; 10_000]").text or "") == 30_000
    kernel.ok("morceaux::set_value_limit(10_000);")


def test_a_value_too_large_for_a_message_is_told_of(kernel: Kernel) -> None:
    cell = kernel.ok('Html("x".repeat(70 << 20))')
    assert "73,400,320 bytes" in (cell.text or "")
    assert kernel.ok("1 + 1").text == "2"


def test_slices_of_structs_and_maps_are_tables(kernel: Kernel) -> None:
    kernel.ok("#[derive(Debug)] struct City { name: &'static str, people: u32 }")
    cell = kernel.ok('Table([City { name: "<Zürich>", people: 448_000 }])')
    assert cell.result == {
        "text/html": "<table><thead><tr><th>name</th><th>people</th></tr></thead>"
        "<tbody><tr><td>&lt;Zürich&gt;</td><td>448000</td></tr></tbody></table>",
        "text/plain": "name      people\n<Zürich>  448000",
    }
    cell = kernel.ok('display(&Table(&std::collections::BTreeMap::from([("a", 1), ("b", 2)])));')
    assert cell.displays[0]["text/plain"] == "key  value\na    1\nb    2"
    table = kernel.ok("Table((0..1000).collect::<Vec<_>>())").text or ""
    assert table.endswith("… and 900 more rows")


def test_what_stands_below_a_cell_can_be_cleared(kernel: Kernel) -> None:
    cell = kernel.ok('println!("a"); clear_output(false); println!("b");')
    assert cell.outputs[-2:] == [("clear", False), ("stdout", "b\n")]
    spawner = kernel.ok(
        'let (go, gone) = tokio::sync::oneshot::channel::<()>(); println!("old");'
        'tokio::spawn(async { gone.await.unwrap(); clear_output(true); println!("new"); });'
    )
    kernel.ok("go.send(()).unwrap();")
    kernel.wait_for(lambda: spawner.late_outputs == [("clear", True), ("stdout", "new\n")])


def test_displays_stand_in_order_with_the_text(kernel: Kernel) -> None:
    cell = kernel.ok(
        'for x in 0..3 { print!("{x} "); display(&x); eprint!("e"); display(&Html("<b>a</b>")); }'
    )
    expected: list[tuple[str, Any]] = []
    for x in range(3):
        shown = ("display", {"text/plain": str(x)})
        expected += [("stdout", f"{x} "), shown, ("stderr", "e"), ("display", HTML)]
    assert cell.outputs == expected
    assert len(set(ids(cell, "display_data"))) == 6


def test_a_picture_is_its_bytes(kernel: Kernel) -> None:
    path = json.dumps(PNG)
    cell = kernel.ok(
        f":dep base64\nuse base64::Engine;\n"
        f"Png(base64::engine::general_purpose::STANDARD.decode({path}).unwrap())"
    )
    assert cell.result == {"image/png": PNG}
