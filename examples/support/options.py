"""What the examples' options have in common: their types, and errors that name them.

An example reads its options before it imports JAX and Matplotlib, which takes seconds:
`--help` and a wrong option answer at once, and a picture that could not be saved is
refused before training. So this module imports nothing but the standard library.
"""

import argparse
import contextlib
import importlib.util
import tempfile
import zipfile
from pathlib import Path

SUFFIXES = (".jpg", ".pdf", ".png", ".svg")  # of the pictures that are drawn
NEEDED = ("matplotlib", "PIL", "sklearn", "tqdm")  # by all: the extra `examples`


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names defaults, where there are any."""

    def _get_help_string(self, action):
        if action.default is None or action.default is False or action.default == []:
            return action.help
        return super()._get_help_string(action)


def parser(doc, output, seed="of start and order"):
    """A parser with the options that every example has: `--output` and `--seed`.

    ``doc`` is the example's docstring, ``output`` the default name of its picture,
    and ``seed`` says what is random.
    """
    found = argparse.ArgumentParser(
        description=doc.partition("\n")[0], formatter_class=_Help
    )
    # A default that is text goes through the type too: a folder that cannot be
    # written to is found out now.
    found.add_argument(
        "--output", type=picture, default=output, help="where to save the picture"
    )
    found.add_argument("--seed", type=whole_seed, default=0, help=seed)
    return found


def add_data(parser, images):
    """The option `--data`, which takes other images than the default ones."""
    parser.add_argument(
        "--data", type=existing, help=f"{images}; without it scikit-learn's digits"
    )


def parse(parser, *packages):
    """The arguments of the command line, if the packages that it takes are there."""
    arguments = parser.parse_args()
    for package in (*NEEDED, *packages):
        if importlib.util.find_spec(package) is None:
            extra = '-e ".[examples]"' if package in (*NEEDED, "orbax") else package
            parser.error(f"this example needs {package}: pip install {extra}")
    return arguments


def check_beside(parser, *paths):
    """Refuse a picture beside which these other files could not be written."""
    for path in paths:
        try:
            check_writable(path)
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument --output: what goes beside the picture {error}")


def at_least(least, most=None):
    """The type of an option that takes an integer, for argparse."""

    def integer(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"of at least {least}" if most is None else f"in {least}..{most}"
            raise argparse.ArgumentTypeError(
                f"must be an integer {bounds}, found {text!r}"
            )
        return number

    return integer


positive = at_least(1)
whole_seed = at_least(0, 2**32 - 1)  # what NumPy, scikit-learn and JAX all take


def existing(text):
    """The path of a file or folder to read from."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"found no {text}")
    return path


def picture(text):
    """The path of a picture; one that could not be saved is refused before training."""
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        expected = ", ".join(SUFFIXES)
        raise argparse.ArgumentTypeError(
            f"must be a file that ends in one of {expected}, found {text!r}"
        )
    check_writable(path)
    return path


def check_writable(path):
    """Refuse a file that could not be written: its folder is missing, or closed."""
    if path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file, found the folder {str(path)!r}"
        )
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be in a folder that exists, found {str(path)!r}"
        )
    try:
        if path.exists():
            path.open("ab").close()  # which changes nothing
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"must be a file that can be written, found {str(path)!r}: "
            f"{error.strerror or error}"
        ) from error


@contextlib.contextmanager
def reading(parser, option):
    """End with one line about the option if what it names cannot be read."""
    try:
        yield
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        parser.error(f"{option}: {error}")
