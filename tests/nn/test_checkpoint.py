from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgevae.errors import ConfigError, InputError, IntegrityError
from edgevae.nn import load_checkpoint, save_checkpoint


def test_a_checkpoint_comes_back_as_it_was_written(tiny_checkpoint, tmp_path):
    vae = load_checkpoint(tiny_checkpoint)
    save_checkpoint(vae, tmp_path / "copy")
    again = load_checkpoint(tmp_path / "copy")
    assert again.config == vae.config
    for name, tensor in vae.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_half_a_checkpoint_is_half_as_large_and_loads_as_float32(tiny_checkpoint, tmp_path):
    vae = load_checkpoint(tiny_checkpoint)
    save_checkpoint(vae, tmp_path / "half", half=True)
    again = load_checkpoint(tmp_path / "half")
    for name, tensor in vae.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=5e-4, atol=1e-7)


def test_nested_channels_come_back_and_are_none_where_the_config_says_nothing(own_checkpoint):
    path = own_checkpoint / "config.json"
    config = json.loads(path.read_text())
    config.pop("nested_channels", None)
    path.write_text(json.dumps(config))
    assert load_checkpoint(own_checkpoint).spec.nested_channels == ()
    path.write_text(json.dumps({**config, "nested_channels": [1, 3]}))
    vae = load_checkpoint(own_checkpoint)
    assert vae.config.nested_channels == (1, 3)
    assert vae.spec.channels == (1, 3, 4)


@pytest.mark.parametrize("wrong", [[0], [4], [2, 1], [1, 1]])
def test_nested_channels_ascend_from_1_to_below_all(own_checkpoint, wrong):
    path = own_checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nested_channels": wrong}))
    with pytest.raises(ConfigError, match=r"nested_channels is .*, expected ascending .* 1 to 3"):
        load_checkpoint(own_checkpoint)


def test_an_unknown_config_key_is_named(own_checkpoint):
    path = own_checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chanels": 3}))
    with pytest.raises(
        ConfigError, match=r"config.json: unknown key 'chanels'; expected one of kind"
    ):
        load_checkpoint(own_checkpoint)


def test_a_config_that_is_not_json_is_said_to_be_none(own_checkpoint):
    (own_checkpoint / "config.json").write_text("kind: video")
    with pytest.raises(ConfigError, match="not JSON"):
        load_checkpoint(own_checkpoint)


def test_weights_of_another_network_are_refused(own_checkpoint):
    path = own_checkpoint / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "decoder_blocks": [1, 1, 2]}))
    with pytest.raises(
        InputError, match=r"is missing; the weights belong to another configuration"
    ):
        load_checkpoint(own_checkpoint)


def test_damaged_weights_are_noticed(own_checkpoint):
    path = own_checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="damaged"):
        load_checkpoint(own_checkpoint)


def test_weights_that_are_not_finite_are_refused(own_checkpoint):
    path = own_checkpoint / "model.safetensors"
    tensors = load_file(path)
    tensors["decoder.head.bias"][0] = torch.nan
    save_file(tensors, path)
    with pytest.raises(IntegrityError, match=r"decoder.head.bias.*NaN or infinite"):
        load_checkpoint(own_checkpoint)


def test_a_folder_without_a_checkpoint_is_said_to_have_none(tmp_path):
    with pytest.raises(InputError, match=r"no config.json in it"):
        load_checkpoint(tmp_path)
