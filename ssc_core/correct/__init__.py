"""Stage 3, Correct: train a referring segmentation network on the masks of the first two stages."""
