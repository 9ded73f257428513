"""Studies: what a part of the router is worth, measured in the simulated market. Nobody imports them."""
