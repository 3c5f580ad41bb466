"""The tree while it is built: both sides on one timeline, spans with moments for ends, and their final layout."""
