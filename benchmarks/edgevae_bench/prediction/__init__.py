"""How well a predictor continues clips: Moving MNIST by the published protocol, beside a baseline by the same code."""
