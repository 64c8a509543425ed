"""How good are the masks: metrics, intervals, and the evaluations of a trained model and of candidate masks."""
