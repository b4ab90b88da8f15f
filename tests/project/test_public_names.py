from __future__ import annotations

import edgevae
from edgevae import errors


def test_every_error_is_public_and_documented_in_the_tree():
    tree = errors.__doc__ or ""
    classes = [
        e
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, errors.EdgeVaeError)
    ]
    assert {c.__name__ for c in classes} == set(errors.__all__)
    for error in classes:
        assert error.__name__ in edgevae.__all__
        assert error.__name__ in tree


def test_all_public_names_exist():
    assert all(hasattr(edgevae, name) for name in edgevae.__all__)


def test_exit_codes_are_those_of_the_documentation():
    codes = {e: getattr(errors, e).exit_code for e in errors.__all__}
    assert codes == {
        "DeviceError": 1,
        "EdgeVaeError": 1,
        "InputError": 2,
        "ConfigError": 2,
        "MediaError": 2,
        "OutOfMemoryError": 1,
        "ParityError": 3,
        "GateError": 3,
        "IncompatibleError": 4,
        "IntegrityError": 4,
        "UnavailableError": 5,
    }
