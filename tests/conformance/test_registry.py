"""Nothing public is forgotten: every name is a case of the suite, or has a reason not to be one."""

import inspect

import keras
import pytest

from conformance import registry
from conformance.table import CASES, NOT_TENSOR_CODE
from dvae_tf import posterior, rbm


def forgotten() -> set[str]:
    return set(registry.found_names()) - set(CASES) - set(NOT_TENSOR_CODE)


def test_every_public_name_has_a_case_or_a_reason():
    assert not forgotten()


def test_the_tables_name_nothing_that_is_gone():
    assert not (set(CASES) | set(NOT_TENSOR_CODE)) - set(registry.found_names())


def test_a_name_is_in_one_table_only():
    assert not set(CASES) & set(NOT_TENSOR_CODE)


def test_what_keras_knows_is_made_by_a_case():
    classes = [each for each in registry.registered() if inspect.isclass(each)]
    assert len(classes) > 10
    for name, found in registry.found_names().items():
        if found in classes:
            assert CASES[name].make, name


def test_a_new_public_function_is_noticed(monkeypatch):
    monkeypatch.setattr(rbm, "__all__", [*rbm.__all__, "halved"])
    monkeypatch.setattr(rbm, "halved", lambda machine: rbm.scaled(machine, 0.5), raising=False)
    assert forgotten() == {"rbm.halved"}


def test_a_new_function_of_a_module_without_a_list_is_noticed(monkeypatch):
    def wider(size):
        return size

    wider.__module__ = posterior.__name__
    monkeypatch.setattr(posterior, "wider", wider, raising=False)
    assert forgotten() == {"posterior.wider"}


@pytest.mark.parametrize("registered", [False, True])
def test_a_new_layer_is_noticed_though_no_list_has_it(registered, monkeypatch):
    base = object if registered else keras.layers.Layer
    new = type("Unlisted", (base,), {"__module__": "dvae_tf.priors.base", "get_config": lambda self: {}})
    if registered:
        monkeypatch.setitem(keras.saving.get_custom_objects(), "dvae_tf>Unlisted", new)
    # A class stays in `__subclasses__` until it is collected, and must not be found later.
    try:
        assert forgotten() == {"priors.base.Unlisted"}
    finally:
        new.__module__ = "gone"


def test_a_name_that_is_gone_is_noticed(monkeypatch):
    monkeypatch.delattr(posterior, "Posterior")
    monkeypatch.setattr(rbm, "__all__", [name for name in rbm.__all__ if name != "scaled"])
    found = registry.found_names()
    assert "rbm.scaled" not in found
    # A layer is still found by its base class.
    assert "posterior.Posterior" in found
