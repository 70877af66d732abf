"""The inside of the simulated upstream; `loadtests.simulator` runs it."""
