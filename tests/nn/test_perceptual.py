"""LPIPS against another implementation of it, and files that are not its weights.

The weights of the classifiers are random, in torchvision's layout; the linear ones are LPIPS' own, which torchmetrics
carries.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgevae.errors import InputError, IntegrityError
from edgevae.nn.perceptual import MIN_PX, Lpips, load_lpips

lpips_module = pytest.importorskip("torchmetrics.functional.image.lpips")

NAMES = {"alexnet": "alex", "vgg16": "vgg"}


def alexnet():
    """torchvision's `alexnet().features`."""
    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for c_in, c_out in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2))


def vgg16():
    """torchvision's `vgg16().features`."""
    layers, c = [], 3
    for width, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(c, width, 3, padding=1), nn.ReLU()]
            c = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


@pytest.fixture(scope="module", params=["alexnet", "vgg16"])
def made(request, tmp_path_factory):
    """Torchmetrics' LPIPS on a random classifier, and its weights as a user would save them."""
    torch.manual_seed(4)
    features = {"alexnet": alexnet, "vgg16": vgg16}[request.param]()
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lpips_module, "_get_tv_model_features", lambda *_, **__: features)
        reference = lpips_module._LPIPS(net=NAMES[request.param])
    linear = {
        f"lin{i}.model.1.weight": layer.model[1].weight for i, layer in enumerate(reference.lins)
    }
    tensors = {f"features.{name}": t for name, t in features.state_dict().items()} | linear
    assert len(tensors) == {"alexnet": 15, "vgg16": 31}[request.param]
    file = tmp_path_factory.mktemp("lpips") / f"{request.param}.safetensors"
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, file)
    return reference, file


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(9)
    one = torch.rand((2, 3, 48, 64), generator=generator) * 2 - 1
    return one, (one + 0.3 * torch.randn(one.shape, generator=generator)).clamp(-1, 1)


def test_it_equals_torchmetrics(made, pictures):
    reference, file = made
    with torch.no_grad():
        expected = reference(*pictures).flatten()
        ours = load_lpips(file)(*pictures)
    assert expected.min() > 0.01
    assert torch.allclose(ours, expected, rtol=1e-4)


def test_equal_pictures_have_no_distance_and_small_and_black_ones_a_finite_slope(made):
    lpips = load_lpips(made[1])
    black = -torch.ones(1, 3, MIN_PX, MIN_PX)
    assert lpips(black, black).item() == 0.0
    other = black.clone().requires_grad_()
    lpips(other, black + 0.5).sum().backward()
    assert torch.isfinite(other.grad).all()
    assert other.grad.any()
    assert all(not p.requires_grad for p in lpips.parameters())


def write(path, change):
    """Write weights in the layout of AlexNet with some tensors replaced, added or (None) left out."""
    names = {f"features.{n}": t for n, t in alexnet().state_dict().items()}
    names |= {
        f"lin{i}.model.1.weight": torch.zeros(1, c, 1, 1)
        for i, c in enumerate((64, 192, 384, 256, 256))
    }
    tensors = {name: t for name, t in (names | change).items() if t is not None}
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lin3.model.1.weight": None}, "'lin3.model.1.weight' is missing, expected LPIPS weights"),
        ({"classifier.6.bias": torch.zeros(3)}, "'classifier.6.bias' is unknown, expected LPIPS"),
        ({"features.6.bias": torch.zeros(3)}, r"'features.6.bias' is \[3\], expected \[384\]"),
    ],
)
def test_other_tensors_are_refused_in_one_line(tmp_path, change, message):
    file = write(tmp_path / "weights.safetensors", change)
    with pytest.raises(InputError, match=message) as caught:
        load_lpips(file)
    assert "\n" not in str(caught.value)


def test_the_whole_layout_is_taken(tmp_path):
    assert isinstance(load_lpips(write(tmp_path / "weights.safetensors", {})), Lpips)


def test_no_file_and_a_pickle_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file; expected LPIPS weights in safetensors"):
        load_lpips(tmp_path / "none.safetensors")
    pickled = Path(tmp_path / "vgg.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, pickled)
    with pytest.raises(IntegrityError, match="not a whole safetensors file") as caught:
        load_lpips(pickled)
    assert "\n" not in str(caught.value)
