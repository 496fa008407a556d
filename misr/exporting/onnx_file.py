"""An ONNX model of a form: a picture model as torch traces it, a window model as a Scan of its one step over the views."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from misr.card import ModelCard
from misr.exporting.forms import Step

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPSETS = range(16, 21)  # grid_sample came with 16; torch's tracing exporter ends at 20
EXAMPLE = (2, 44, 71)  # n, h, w: more than one picture and no multiple of anything, so that nothing is taken for fixed
REMEMBERED = ("picture", "state", "there", "last")

Dims = Mapping[str, tuple[str | int, ...]]  # of each tensor: names of what may vary, sizes of what may not


def onnx_model(form: nn.Module, card: ModelCard, views: Dims, told: Mapping[str, str], opset: int) -> ModelProto:
    """The whole model, checked for form; `views` names its inputs and output with their dimensions."""
    import onnx

    made = window(form, card, views, opset) if isinstance(form, Step) else picture(form, views, opset)
    made.graph.name, made.producer_name, made.producer_version = card.name, "misr", told["misr"]
    made.doc_string = told["about"]
    onnx.helper.set_model_props(made, dict(told))
    onnx.checker.check_model(made, full_check=True)
    return made


def picture(form: nn.Module, dims: Dims, opset: int) -> ModelProto:
    """A picture model: one input, one output."""
    n, h, w = EXAMPLE
    (name, given), (result, _) = dims.items()
    c = given[1]
    assert isinstance(c, int)
    vary = {k: {i: d for i, d in enumerate(v) if isinstance(d, str)} for k, v in dims.items()}
    made = traced(form, {name: torch.rand(n, c, h, w)}, [result], vary, opset)
    made.graph.output[0].CopyFrom(tensor(result, dims[result]))  # torch says less of it than is known
    return made


def traced(
    form: nn.Module, given: Mapping[str, Tensor], results: list[str], vary: Mapping[str, dict[int, str]], opset: int
) -> ModelProto:
    """What torch makes of a module called with example tensors, whose axes in `vary` may have any size."""
    import onnx

    sink = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that this exporter is the older one, and that shapes are traced
        form(*given.values())  # kernels that are cached are constants from here on
        torch.onnx.export(
            form,
            tuple(given.values()),
            sink,  # type: ignore[arg-type]
            dynamo=False,  # the other one needs onnxscript, and leaves tensors that are none in our caches
            opset_version=opset,
            input_names=list(given),
            output_names=results,
            dynamic_axes=vary,
        )
    return onnx.load_from_string(sink.getvalue())


def window(step: Step, card: ModelCard, dims: Dims, opset: int) -> ModelProto:
    """A window model: views and valid in, the pictures of the centres out."""
    from onnx import helper

    body = step_model(step, opset)
    (views, given), (valid, real), (sharp, made) = dims.items()
    sizes: Dims = {
        "picture": ("n", 1, "H", "W"),
        "state": ("n", step.net.width, "h", "w"),
        "there": ("n", 1, 1, 1),
        "last": ("n", 1, "h", "w"),
    }
    nodes = [*shapes(views, step.net.scale)]
    for name, size in sizes.items():
        nodes += zeros(name, size)
    scan = helper.make_node(
        "Scan",
        [*(f"first_{name}" for name in REMEMBERED), views, valid],
        [*(f"last_{name}" for name in REMEMBERED), "all"],
        body=body.graph,
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1],
    )
    stop = card.before + card.emit
    nodes += [scan, *slices("all", sharp, card.before, stop, axis=1)]
    graph = helper.make_graph(nodes, card.name, [tensor(views, given), tensor(valid, real)], [tensor(sharp, made)])
    return helper.make_model(graph, opset_imports=body.opset_import, ir_version=body.ir_version)


def step_model(step: Step, opset: int) -> ModelProto:
    """The body of the loop: what is remembered and a view in, what is then remembered and a picture out."""
    n, h, w = EXAMPLE
    s, c = step.net.scale, 3 if step.colour else 1
    given = {
        "picture": torch.rand(n, 1, s * h, s * w),
        "state": torch.rand(n, step.net.width, h, w),
        "there": torch.ones(n, 1, 1, 1),
        "last": torch.rand(n, 1, h, w),
        "view": torch.rand(n, c, h, w),
        "real": torch.tensor([1.0, 0.0]),
    }
    low, high = {0: "n", 2: "h", 3: "w"}, {0: "n", 2: "H", 3: "W"}
    vary = {"picture": high, "state": low, "there": {0: "n"}, "last": low}
    results = [f"next_{name}" for name in REMEMBERED]
    vary |= {f"next_{name}": axes for name, axes in vary.items()} | {"view": low, "real": {0: "n"}, "drawn": high}
    return traced(step, given, [*results, "drawn"], vary, opset)


def tensor(name: str, dims: tuple[str | int, ...]) -> Any:
    """The declaration of a tensor of floats."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def numbers(name: str, values: list[int]) -> NodeProto:
    """Whole numbers, as a constant."""
    from onnx import TensorProto, helper

    value = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return helper.make_node("Constant", [], [name], value=value)


def slices(source: str, result: str, start: int, stop: int, *, axis: int = 0) -> list[NodeProto]:
    """result = source[start:stop] along an axis."""
    from onnx import helper

    ends = [numbers(f"{result}_{k}", [v]) for k, v in (("start", start), ("stop", stop), ("axis", axis))]
    return [*ends, helper.make_node("Slice", [source, *(e.output[0] for e in ends)], [result])]


def shapes(views: str, scale: int) -> list[NodeProto]:
    """The numbers n, h, w, H, W of views (n, t, c, h, w)."""
    from onnx import helper

    nodes = [helper.make_node("Shape", [views], ["shape"]), numbers("scale", [scale])]
    for name, axis in (("n", 0), ("h", 3), ("w", 4)):
        nodes += slices("shape", name, axis, axis + 1)
    return [*nodes, *(helper.make_node("Mul", [k, "scale"], [k.upper()]) for k in "hw")]


def zeros(name: str, dims: tuple[str | int, ...]) -> list[NodeProto]:
    """first_name: zeros of these dimensions."""
    from onnx import TensorProto, helper

    nodes, parts = [], []
    for k, d in enumerate(dims):
        if isinstance(d, int):
            nodes.append(numbers(f"{name}_{k}", [d]))
        parts.append(d if isinstance(d, str) else f"{name}_{k}")
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    nodes.append(helper.make_node("Concat", parts, [f"shape_{name}"], axis=0))
    return [*nodes, helper.make_node("ConstantOfShape", [f"shape_{name}"], [f"first_{name}"], value=zero)]
