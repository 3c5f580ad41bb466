"""A migration and its clock bounds -> one trace: phases, tree, names, ids. Plain data; no OpenTelemetry SDK."""
