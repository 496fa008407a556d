"""One job on several workers: processes of this machine, a Ray cluster, or shares that any batch system runs."""
