"""The benchmark of the GPU backends: every backend that is usable here, in a process each, in turns, against PyTorch.

python -m edgevae_bench.gpu --output benchmarks/results/NAME.json

run.py ---- process.py ~~~~ child.py     PyTorch fp32: the reference for parity
        |                ~~~~ child.py     PyTorch eager fp16, torch.compile
        |                ~~~~ child.py     ONNX Runtime, TensorRT, TensorRT-RTX
        |                      turns.py on a place.py: streams the same chunks; bare.py: the engine by itself
        +-- result.py, report.py           written after every round, so that nothing measured is lost
"""
