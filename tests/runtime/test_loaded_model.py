"""What every loaded model has: sessions that end together."""

from __future__ import annotations

import pytest

from edgevae.bundle import Bundle
from edgevae.errors import DeviceError
from edgevae.runtime.loaded_model import LoadedModel
from edgevae.runtime.shipped import locate


class Owned:
    """Ends as sessions do: what fails in closing is told only where nothing failed before."""

    def __init__(self, ended, name, *, fails=False):
        self.ended, self.name, self.fails = ended, name, fails

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.ended.append((self.name, error))
        if self.fails and error is None:
            raise DeviceError(f"{self.name} cannot be closed")


@pytest.fixture
def bundle():
    """Of a shipped model."""
    return Bundle.open(locate("edgevae-gan-digits"))


def test_all_are_closed_in_their_order_even_where_the_first_fails_to(bundle):
    ended = []
    model = LoadedModel(bundle, (Owned(ended, "encoder", fails=True), Owned(ended, "decoder")))
    with pytest.raises(DeviceError, match="encoder cannot be closed"):
        model.close()
    assert [name for name, _ in ended] == ["encoder", "decoder"]
    assert model.name == "edgevae-gan-digits"


def test_each_is_told_of_the_error_that_ends_the_model(bundle):
    ended, first = [], ValueError("the first")
    owned = (Owned(ended, "encoder", fails=True), Owned(ended, "decoder"))
    with pytest.raises(ValueError, match="the first"), LoadedModel(bundle, owned):
        raise first
    assert ended == [("encoder", first), ("decoder", first)]
