"""What becomes of whatever a backend raises."""

from __future__ import annotations

import pytest

from patmiddleware.backends.caching import unavailable


def test_no_word_of_the_error_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A look-up in a dictionary of tokens fails with the token in its message: only the kind and the place are told."""
    secret = "-".join(("pat", "secret"))  # not as it stands in this line, which the log does show
    try:
        {}[secret]
    except KeyError as error:
        outage = unavailable("the token store", error)

    assert secret not in caplog.text + str(outage)
    assert "KeyError" in caplog.text
