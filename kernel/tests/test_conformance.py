"""The public suite that every Jupyter kernel is held against."""

from __future__ import annotations

import jupyter_kernel_test

from client import NAME


class TestMorceaux(jupyter_kernel_test.KernelTests):
    """What does not apply yet is left out: paging and history."""

    kernel_name = NAME
    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("wrong");'
    code_clear_output = "clear_output(false);"
    code_generate_error = 'panic!("as wanted");'
    code_inspect_sample = "String"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "async { 6 * 7 }.await", "result": "42"},
        {"code": '"a".repeat(2)', "result": '"aa"'},
        {"code": 'Html("<b>a</b>")', "mime": "text/html", "result": "<b>a</b>"},
    ]
    code_display_data = [
        {"code": 'display(&morceaux::Svg("<svg/>"));', "mime": "image/svg+xml"},
        {"code": 'display(&Html("<b>a</b>"));', "mime": "text/html"},
        {"code": 'display(&Markdown("*a*"));', "mime": "text/markdown"},
        {"code": "display(&[1, 2]);", "mime": "text/plain"},
    ]
    completion_samples = [
        {"text": '"a".to_upperc', "matches": {"to_uppercase()"}},
        {"text": "invented::nowhere", "matches": set()},
    ]
    complete_code_samples = ["1 + 1", "let x = f().await;", "fn f() {}", ":dep serde", ""]
    incomplete_code_samples = ["fn f() {", "let x = vec![1,", 'println!("a', "/* a"]
    invalid_code_samples = ["fn f() }", "let let", "(]"]

    @classmethod
    def setUpClass(cls) -> None:
        """Waits for evcxr: the suite gives a cell less time than the first one takes."""
        super().setUpClass()
        cls.kc.execute_interactive("1", timeout=90)
