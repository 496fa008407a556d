"""Weights that others published, as models of misr: read as plain tensors, or refused."""

from misr.importing.run import Imported, import_model

__all__ = ["Imported", "import_model"]
