"""How a number of things is written in a message: `1 run`, `2 runs`."""

_TAKES_ES = ("s", "x", "tch", "sh")


def counted(number: float, noun: str, form: str = "") -> str:
    """Return a number of things, such as `1 pair`, `6 pairs` or `0.5 epochs`.

    Args:
        number: How many there are.
        noun: In the singular; words may stand before it.
        form: How the number is written, as `format` takes it. What is then written as 1 is one thing.
    """
    shown = format(number, form)
    plural = "" if shown == "1" else "es" if noun.endswith(_TAKES_ES) else "s"
    return f"{shown} {noun}{plural}"
