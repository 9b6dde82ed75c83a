"""`python -m runners.… --help` shows the description and the flags of the program."""

import pytest

from support import help, programs


@pytest.mark.parametrize("module", help.PROGRAMS)
def test_help_shows_the_description_and_the_flags(module):
    out, _ = programs.run(module, "--help")
    help.check(module, out)


def test_help_of_another_program_is_noticed():
    out, _ = programs.run("export", "--help")
    with pytest.raises(AssertionError):
        help.check("evaluate", out)
