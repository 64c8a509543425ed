"""What people look at: overlays, contact sheets, plots and the HTML report."""
