"""Messages of others in one line."""

from __future__ import annotations


def one_line(error: BaseException, most: int = 500) -> str:
    """Return an error's message without line breaks, and no longer than a message should be.

    Parameters
    ----------
    error : BaseException
        Whose text may hold parts of a file.
    most : int
        Characters.

    Returns
    -------
    str
        The message, or the error's class if it has none.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return (text if len(text) <= most else f"{text[:most]} ...") or type(error).__name__
