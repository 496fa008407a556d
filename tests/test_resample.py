import numpy as np
import pytest
import torch

from misr.resample import RADIUS, kernel_value, matrix, phases, resample

KERNELS = ["nearest", "bilinear", "bicubic", "lanczos"]
SMOOTH = KERNELS[1:]


pytestmark = pytest.mark.usefixtures("one_thread")


def noise(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, h, w, generator=torch.Generator().manual_seed(seed))


def keys(x: float) -> float:
    """Keys' cubic, a = -1/2, from the paper's formula."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


@pytest.mark.parametrize("scale", [0.25, 0.5, 2 / 3, 1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edges", ["replicate", "symmetric"])
def test_a_constant_stays_constant(kernel, scale, edges):
    m = matrix(24, round(24 * scale), scale, kernel, 0.3, edges)
    assert torch.allclose(m.sum(1), torch.ones(len(m)), atol=1e-6)


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_a_ramp_stays_a_ramp_on_the_area_aligned_grid(kernel, scale):
    n = 20
    out = matrix(n, int(n * scale), scale, kernel) @ torch.arange(n, dtype=torch.float32)
    wanted = (torch.arange(len(out)) + 0.5) / scale - 0.5
    inner = slice(int(2 * scale), -int(2 * scale))
    assert torch.allclose(out[inner], wanted[inner], atol=1e-5)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_shift_moves_where_a_ramp_is_read_in_input_samples(kernel):
    ramp = torch.arange(20, dtype=torch.float32).expand(3, 20)
    moved = resample(ramp, (6, 40), kernel=kernel, shift=(0.25, 0.0)) - resample(ramp, (6, 40), kernel=kernel)
    assert torch.allclose(moved[:, 8:-8], torch.full((6, 24), 0.25), atol=1e-5)


def test_bicubic_x2_is_keys_formula_at_chosen_pixels():
    x = noise(9, 11)[0]
    out = resample(x, (18, 22))
    for row, column in [(6, 8), (7, 9), (8, 11), (11, 12)]:
        at_y, at_x = (row + 0.5) / 2 - 0.5, (column + 0.5) / 2 - 0.5
        value = sum(keys(at_y - i) * keys(at_x - j) * float(x[i, j]) for i in range(9) for j in range(11))
        assert float(out[row, column]) == pytest.approx(value, abs=1e-6)


def test_halving_by_bicubic_is_the_antialiased_formula():
    x = noise(1, 16)[0]
    out = matrix(16, 8, 0.5) @ x[0]
    taps = np.array([keys((6.5 - j) / 2) for j in range(16)])
    assert float(out[3]) == pytest.approx(float(taps @ x[0].numpy() / taps.sum()), abs=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_nearest_repeats_every_sample(scale):
    x = noise(5, 7)
    out = resample(x, (5 * scale, 7 * scale), kernel="nearest")
    assert torch.equal(out, x.repeat_interleave(scale, -1).repeat_interleave(scale, -2))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_size_is_the_same_picture(kernel):
    x = noise(8, 9)
    assert torch.allclose(resample(x, (8, 9), kernel=kernel), x, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 5), (7, 10)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.25, -1.5)])
@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("kernel", SMOOTH)
def test_phases_are_the_matrices_picture_before_its_shuffle(kernel, scale, shift, size):
    h, w = size
    x = noise(h, w)[:, None]
    across, down = matrix(w, w * scale, scale, kernel, shift[0]), matrix(h, h * scale, scale, kernel, shift[1])
    picture = torch.nn.functional.pixel_shuffle(phases(x, scale, kernel, shift), scale)
    assert torch.allclose(picture, down @ (x @ across.T), atol=2e-6)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("kernel", SMOOTH)
def test_a_flipped_picture_gives_the_flipped_result(kernel, scale):
    x, size = noise(8, 12), (int(8 * scale), int(12 * scale))
    flipped = resample(x.flip(-1).flip(-2), size, kernel=kernel).flip(-1).flip(-2)
    assert torch.allclose(resample(x, size, kernel=kernel), flipped, atol=2e-6)


@pytest.mark.parametrize("scale", [2, 1.5])
def test_leading_axes_are_resampled_alike(scale):
    x = noise(6, 8).reshape(2, 1, 1, 6, 8)
    out = resample(x, (int(6 * scale), int(8 * scale)))
    assert out.shape == (2, 1, 1, int(6 * scale), int(8 * scale))
    assert torch.allclose(out[1, 0, 0], resample(x[1, 0, 0], out.shape[-2:]), atol=1e-6)


def test_symmetric_edges_mirror_the_picture_with_its_last_sample():
    x = noise(1, 6)[0][0]
    mirrored = torch.cat([x.flip(0), x, x.flip(0)])
    wanted = (matrix(18, 9, 0.5, "bicubic") @ mirrored)[3:6]
    assert torch.allclose(matrix(6, 3, 0.5, "bicubic", 0.0, "symmetric") @ x, wanted, atol=1e-6)


def test_half_precision_keeps_its_type_and_its_picture():
    x = noise(6, 8)[:, None]
    out = phases(x.bfloat16(), 2)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.float(), phases(x, 2), atol=0.02)


@pytest.mark.parametrize("kernel", SMOOTH)
def test_a_kernel_is_one_at_zero_and_nothing_at_other_samples_and_beyond_its_radius(kernel):
    at = torch.tensor([0.0, 1.0, 2.0, 3.0, RADIUS[kernel] + 0.01], dtype=torch.float64)
    assert torch.allclose(kernel_value(kernel, at), torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64), atol=1e-12)


def test_what_inference_made_first_can_be_learned_through():
    with torch.inference_mode():
        phases(noise(7, 9)[:, None], 5)
        resample(noise(7, 9), (35, 45))
    planes = noise(7, 9).requires_grad_()
    (phases(planes[:, None], 5).square().sum() + resample(planes, (35, 45)).square().sum()).backward()
    assert planes.grad is not None
