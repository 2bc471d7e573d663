"""A contract tests every promise of a reader; all it needs is one method."""

import pytest
from backend import Keys

from patmiddleware.testing import OutageContract, TokenReaderContract


class TestKeys(TokenReaderContract):
    @pytest.fixture(autouse=True)
    def _keys(self, tmp_path):
        self.keys = Keys(tmp_path / "app.db")

    def make_reader(self, tokens):
        self.keys.keep(tokens)
        return self.keys


class TestKeysOutOfReach(OutageContract):
    def make_unreachable(self):
        return Keys("no/such/folder/app.db")
