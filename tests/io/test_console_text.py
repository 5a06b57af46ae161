"""Text of unknown origin does not steer the terminal."""

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.io.console_text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 胰腺 😀", "Größe 胰腺 😀"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("two\nlines\r", "two?lines?"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("right-to-left \u202e", "right-to-left ?"),
        ("a" * 80, "a" * 80),
        ("a" * 81, "a" * 80 + "…"),
    ],
)
def test_text_is_shown_without_what_steers_a_terminal(text, shown):
    assert printable(text) == shown


def test_errors_of_the_command_are_printed_so(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "no\x1b[2J\ud800file")]) == 1
    error = capsys.readouterr().err
    assert "no?[2J?file does not exist. Give a .zip" in error
    assert len(error.splitlines()) == 1
