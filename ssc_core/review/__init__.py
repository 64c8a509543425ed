"""The page of ``ssc review``, where people settle doubtful refs."""
