"""Statistics: how well a figure is known. Pure functions of samples; a replication without an observation (NaN) is left out, never zero."""
