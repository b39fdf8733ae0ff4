"""Compare the predictions of source and result, run side by side, a layer at a time.

Both run in float32, so that nothing but the stored weights differs; weights are read a few rows at a time, so
that the whole model passes through little memory.
"""
