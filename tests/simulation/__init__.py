"""A world of faults: the real node on a virtual clock and network, one seed a run."""
