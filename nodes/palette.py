"""The colours that the pack draws with."""

# Okabe and Ito's palette for all kinds of colour vision, without yellow, which is too faint on white.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
