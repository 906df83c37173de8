"""What tests of several commands ask of them."""

from pyroshift.cli import main


def rejected(capsys, *argv):
    """The message of a command that must fail, in one line and without a traceback."""
    assert main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"pyroshift {argv[0]}: error: ")
    assert err.count("\n") == 1
    return err
