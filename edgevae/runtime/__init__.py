"""The runtime: bundles run by backends, without PyTorch."""
