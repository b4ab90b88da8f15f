"""The evaluation of a model: how faithful it is on clips, what that costs in bits, and the figures of its card.

edgevae evaluate MODEL CLIPS...

run.py ---- protocol.py   the clips, at native size or as squares
        +-- variants.py   the model as it is, with 8-bit latents, with fewer channels, in half precision
        +-- coding.py     latents as 8-bit codes: what they lose and how many bytes they take
        +-- h264.py       the same frames through x264 at the same number of bytes
result.py -> tables.py, comparisons.py -> render.py; card.py puts the tables into a model card; grid.py is its picture
"""
