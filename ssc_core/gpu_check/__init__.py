"""Whether what runs on this machine's GPU is right: every stage there against the CPU, with random weights.

``python -m ssc_core.gpu_check PART`` runs one part, ``ssc doctor --gpu`` the quick ones at small size.
"""
