"""A model for other runtimes: ONNX, TorchScript, OpenVINO; checked there against misr before it gets its name."""

from misr.exporting.run import Exported, Format, export

__all__ = ["Exported", "Format", "export"]
