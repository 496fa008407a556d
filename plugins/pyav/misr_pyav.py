"""misr as a filter of PyAV (first form, being built)."""
