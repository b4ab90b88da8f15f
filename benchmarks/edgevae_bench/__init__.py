"""The benchmark: how fast and how faithful a bundle is on this machine, against PyTorch.

Importing this package, or `edgevae_bench.cli`, imports no heavy library. Only `edgevae_bench.baseline` imports PyTorch.
"""
