"""How good generated clips of moving digits are: what they show, how far from real ones, and how they move.

python -m edgevae_bench.generation MODEL... --digits FOLDER

clips.py ------- where clips come from: an array, MNIST itself, noise; models.py: a bundle
classifier.py -- which two digits a frame shows, learnt here from MNIST (the only PyTorch)
figures.py ----- coverage, Fréchet distance, precision and recall, motion: numpy
run.py -> result.py (document, table), picture.py
"""
